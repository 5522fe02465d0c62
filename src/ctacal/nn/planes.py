"""The bytes of an ONNX file in four planes, as the wheel holds it: a zip makes 7 % less of them.

The first bytes of all 32-bit words come first, then the second, and so on (the byte shuffle of HDF5 and Blosc): the
exponents of weights are alike, their mantissas are noise. ``hatch_build.py`` writes planes; nothing but Python is
needed to build.
"""

WORD = 4
"""Bytes of a weight (float32)."""
SUFFIX = ".planes"
"""Follows the name of the ONNX file."""


def to_planes(content: bytes) -> bytes:
    """Return the same bytes, plane after plane.

    >>> to_planes(b"abcdABCD.")
    b'aA.bBcCdD'
    """
    return b"".join(content[first::WORD] for first in range(WORD))


def from_planes(planes: bytes) -> bytes:
    """Return the bytes that ``to_planes`` was given.

    >>> from_planes(b'aA.bBcCdD')
    b'abcdABCD.'
    """
    content, start = bytearray(len(planes)), 0
    for first in range(WORD):
        end = start + len(range(first, len(planes), WORD))
        content[first::WORD] = planes[start:end]
        start = end
    return bytes(content)
