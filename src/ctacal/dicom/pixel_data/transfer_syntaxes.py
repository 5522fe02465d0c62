"""Transfer syntaxes (PS3.6 table A-1): the name of each, and the codec that its pixels need, if ctacal has it."""

from dataclasses import dataclass
from enum import StrEnum


class Codec(StrEnum):
    """How the pixels of a frame are stored."""

    NATIVE = "uncompressed"
    DEFLATED_FRAME = "Deflate"
    RLE = "RLE"
    JPEG = "JPEG"
    """With loss: baseline and extended sequential, Huffman coding."""
    JPEG_LOSSLESS = "JPEG Lossless"
    JPEG_LS = "JPEG-LS"
    JPEG_2000 = "JPEG 2000"
    """Also High-Throughput JPEG 2000, which the same decoder reads."""


@dataclass(frozen=True, slots=True)
class TransferSyntax:
    """An entry of the registry."""

    uid: str
    name: str
    codec: Codec | None
    """None if ctacal does not read it."""

    @property
    def holds_ct(self) -> bool:
        """Whether a CT in this transfer syntax is read; the 8 bits of JPEG Baseline cannot hold CT values."""
        return self.codec is not None and self.uid != JPEG_BASELINE


JPEG_BASELINE = "1.2.840.10008.1.2.4.50"

LOSSY = frozenset((JPEG_BASELINE, "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.81"))
"""Those that lose something of every image; others may, or may not."""

GE_PRIVATE = "1.2.840.113619.5.2"
"""Implicit VR little endian, but the pixels are big endian (as GDCM and fo-dicom read it)."""

DEFLATED = {"1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"}
"""The whole dataset after the file meta information is deflated (PS3.5 A.5, A.7, A.12)."""

_DICOM = "1.2.840.10008.1.2"

TRANSFER_SYNTAXES = {
    uid: TransferSyntax(uid, name, codec)
    for uid, name, codec in (
        (f"{_DICOM}", "Implicit VR Little Endian", Codec.NATIVE),
        (f"{_DICOM}.1", "Explicit VR Little Endian", Codec.NATIVE),
        (f"{_DICOM}.1.98", "Encapsulated Uncompressed Explicit VR Little Endian", Codec.NATIVE),
        (f"{_DICOM}.1.99", "Deflated Explicit VR Little Endian", Codec.NATIVE),
        (f"{_DICOM}.2", "Explicit VR Big Endian (retired)", Codec.NATIVE),
        ("1.2.840.10008.1.20", "Papyrus 3 Implicit VR Little Endian (retired)", Codec.NATIVE),
        (GE_PRIVATE, "GE private Implicit VR Big Endian", Codec.NATIVE),
        (f"{_DICOM}.8.1", "Deflated Image Frame Compression", Codec.DEFLATED_FRAME),
        (f"{_DICOM}.5", "RLE Lossless", Codec.RLE),
        (JPEG_BASELINE, "JPEG Baseline (Process 1)", Codec.JPEG),
        (f"{_DICOM}.4.51", "JPEG Extended (Process 2 and 4)", Codec.JPEG),
        (f"{_DICOM}.4.57", "JPEG Lossless (Process 14)", Codec.JPEG_LOSSLESS),
        (f"{_DICOM}.4.70", "JPEG Lossless (Process 14, Selection Value 1)", Codec.JPEG_LOSSLESS),
        (f"{_DICOM}.4.80", "JPEG-LS Lossless", Codec.JPEG_LS),
        (f"{_DICOM}.4.81", "JPEG-LS Near-Lossless", Codec.JPEG_LS),
        (f"{_DICOM}.4.90", "JPEG 2000 (Lossless Only)", Codec.JPEG_2000),
        (f"{_DICOM}.4.91", "JPEG 2000", Codec.JPEG_2000),
        (f"{_DICOM}.4.201", "High-Throughput JPEG 2000 (Lossless Only)", Codec.JPEG_2000),
        (f"{_DICOM}.4.202", "High-Throughput JPEG 2000 with RPCL Options (Lossless Only)", Codec.JPEG_2000),
        (f"{_DICOM}.4.203", "High-Throughput JPEG 2000", Codec.JPEG_2000),
        (f"{_DICOM}.4.52", "JPEG Extended (Process 3 and 5, retired)", None),
        (f"{_DICOM}.4.53", "JPEG Spectral Selection (Process 6 and 8, retired)", None),
        (f"{_DICOM}.4.54", "JPEG Spectral Selection (Process 7 and 9, retired)", None),
        (f"{_DICOM}.4.55", "JPEG Full Progression (Process 10 and 12, retired)", None),
        (f"{_DICOM}.4.56", "JPEG Full Progression (Process 11 and 13, retired)", None),
        (f"{_DICOM}.4.58", "JPEG Lossless (Process 15, retired)", None),
        (f"{_DICOM}.4.59", "JPEG Extended, Hierarchical (Process 16 and 18, retired)", None),
        (f"{_DICOM}.4.60", "JPEG Extended, Hierarchical (Process 17 and 19, retired)", None),
        (f"{_DICOM}.4.61", "JPEG Spectral Selection, Hierarchical (Process 20 and 22, retired)", None),
        (f"{_DICOM}.4.62", "JPEG Spectral Selection, Hierarchical (Process 21 and 23, retired)", None),
        (f"{_DICOM}.4.63", "JPEG Full Progression, Hierarchical (Process 24 and 26, retired)", None),
        (f"{_DICOM}.4.64", "JPEG Full Progression, Hierarchical (Process 25 and 27, retired)", None),
        (f"{_DICOM}.4.65", "JPEG Lossless, Hierarchical (Process 28, retired)", None),
        (f"{_DICOM}.4.66", "JPEG Lossless, Hierarchical (Process 29, retired)", None),
        (f"{_DICOM}.4.92", "JPEG 2000 Part 2 Multi-component (Lossless Only)", None),
        (f"{_DICOM}.4.93", "JPEG 2000 Part 2 Multi-component", None),
        (f"{_DICOM}.4.94", "JPIP Referenced", None),
        (f"{_DICOM}.4.95", "JPIP Referenced Deflate", None),
        (f"{_DICOM}.4.204", "JPIP HTJ2K Referenced", None),
        (f"{_DICOM}.4.205", "JPIP HTJ2K Referenced Deflate", None),
        (f"{_DICOM}.4.110", "JPEG XL Lossless", None),
        (f"{_DICOM}.4.111", "JPEG XL JPEG Recompression", None),
        (f"{_DICOM}.4.112", "JPEG XL", None),
        (f"{_DICOM}.4.100", "MPEG2 Main Profile / Main Level", None),
        (f"{_DICOM}.4.100.1", "Fragmentable MPEG2 Main Profile / Main Level", None),
        (f"{_DICOM}.4.101", "MPEG2 Main Profile / High Level", None),
        (f"{_DICOM}.4.101.1", "Fragmentable MPEG2 Main Profile / High Level", None),
        (f"{_DICOM}.4.102", "MPEG-4 AVC/H.264 High Profile / Level 4.1", None),
        (f"{_DICOM}.4.102.1", "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.1", None),
        (f"{_DICOM}.4.103", "MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1", None),
        (f"{_DICOM}.4.103.1", "Fragmentable MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1", None),
        (f"{_DICOM}.4.104", "MPEG-4 AVC/H.264 High Profile / Level 4.2 For 2D Video", None),
        (f"{_DICOM}.4.104.1", "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.2 For 2D Video", None),
        (f"{_DICOM}.4.105", "MPEG-4 AVC/H.264 High Profile / Level 4.2 For 3D Video", None),
        (f"{_DICOM}.4.105.1", "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.2 For 3D Video", None),
        (f"{_DICOM}.4.106", "MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2", None),
        (f"{_DICOM}.4.106.1", "Fragmentable MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2", None),
        (f"{_DICOM}.4.107", "HEVC/H.265 Main Profile / Level 5.1", None),
        (f"{_DICOM}.4.108", "HEVC/H.265 Main 10 Profile / Level 5.1", None),
        (f"{_DICOM}.6.1", "RFC 2557 MIME encapsulation (retired)", None),
        (f"{_DICOM}.6.2", "XML Encoding (retired)", None),
        (f"{_DICOM}.7.1", "SMPTE ST 2110-20 Uncompressed Progressive Active Video", None),
        (f"{_DICOM}.7.2", "SMPTE ST 2110-20 Uncompressed Interlaced Active Video", None),
        (f"{_DICOM}.7.3", "SMPTE ST 2110-30 PCM Digital Audio", None),
    )
}
"""The registry, by UID: first those that are read."""


def codec_of(uid: str) -> Codec | None:
    """Return the codec that a transfer syntax needs; None if ctacal does not read it, or does not know it."""
    known = TRANSFER_SYNTAXES.get(uid)
    return known.codec if known else None


def name_of(uid: str) -> str:
    """Return the name of a transfer syntax for messages, with its UID.

    >>> name_of("1.2.840.10008.1.2.4.110"), name_of("1.2.3")
    ('JPEG XL Lossless (1.2.840.10008.1.2.4.110)', '1.2.3 (none of DICOM)')
    """
    known = TRANSFER_SYNTAXES.get(uid)
    return f"{known.name} ({uid})" if known else f"{uid} (none of DICOM)"
