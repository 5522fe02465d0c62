"""``Source``: a stored file, on disk or in a (nested) archive, read with bounded memory whatever its form."""

import io
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from ctacal.dicom.files import archive
from ctacal.dicom.files.archive import ARCHIVE_ERRORS, HEAD_BYTES, close_archives
from ctacal.dicom.files.kinds import Form, dicom_form
from ctacal.errors import Code, Reason, Refusal
from ctacal.names import printable

__all__ = ["ARCHIVE_ERRORS", "SkippedFile", "Source", "check_inflated_size", "close_archives", "looks_like_dicom"]

_CHUNK_BYTES = 2**20
_PREAMBLE = bytes(128)


@dataclass(frozen=True, slots=True)
class Source:
    """Where a file is stored: a path, and the chain of member names if it lies inside archives."""

    path: Path
    members: tuple[str, ...] = ()

    def __str__(self) -> str:
        return printable("!".join([str(self.path), *self.members]))

    @property
    def name(self) -> str:
        """Its name without folders."""
        return PurePosixPath(self.members[-1]).name if self.members else self.path.name

    @property
    def outer(self) -> "Source":
        """The archive that holds it."""
        return Source(self.path, self.members[:-1])

    @property
    def folder(self) -> str:
        """The folder that holds it, on disk or in an archive; a file compressed alone lies where the compressed one is.

        >>> Source(Path("/cd/IM1.gz"), ("IM1",)).folder, Source(Path("/cd/all.zip"), ("a/IM1",)).folder
        ('/cd', '/cd/all.zip!a')
        """
        if not self.members:
            return printable(self.path.parent)
        if self.members[-1] == archive.unpacked_name(self.outer.name):
            return self.outer.folder
        inside = self.members[-1].rpartition("/")[0]
        return f"{self.outer}!{printable(inside)}" if inside else str(self.outer)

    def open(self) -> BinaryIO:
        """Open the file for reading; no single read allocates more than the size of the file.

        DICOM without its preamble or prefix gets them. Raises ``Refusal`` (``TOO_LARGE``) for a bomb, or one of
        ``ARCHIVE_ERRORS`` if it cannot be read.
        """
        if self.members:
            content = archive.member_bytes(self.path, self.members)
            return _in_usual_form(_BoundedReader(io.BytesIO(content), len(content)))
        return _in_usual_form(_BoundedReader(io.FileIO(self.path), self.path.stat().st_size))

    def head(self) -> bytes:
        """Return the first ``HEAD_BYTES``. Raises as ``open``."""
        if self.members:
            return archive.member_head(self.path, self.members)
        with io.FileIO(self.path) as file:
            return file.read(HEAD_BYTES)


@dataclass(frozen=True, slots=True)
class SkippedFile:
    """A file that gave no image, and why; listed for the user, so that nothing is lost unnoticed."""

    name: str
    reason: Reason
    folder: str = ""
    """The folder or archive that holds it."""
    study_uid: str = ""
    """StudyInstanceUID, if the part that could be read names that of a study that was found."""


class _BoundedReader(io.BufferedReader):
    """A file that no read, and no inflating of it, brings beyond the allowed memory.

    Element lengths in hostile headers can be wrong by gigabytes. pydicom reads to the end only to inflate a deflated
    dataset at once, even if it needs only the header (417 KiB were seen to take 1.5 GB): the size is checked first.
    """

    name = ""
    """pydicom reads the name of every buffered reader; a zip member has none."""

    def __init__(self, raw: io.FileIO | io.BytesIO, size: int) -> None:
        super().__init__(raw, buffer_size=2**14)
        self._size = size

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            check_inflated_size(self)
        return super().read(size if size is None or size < self._size else self._size)

    @property
    def size(self) -> int:
        """Size of the file in bytes."""
        return self._size


def _in_usual_form(file: _BoundedReader) -> BinaryIO:
    """Return the file itself, or a copy in memory with what PS3.10 section 7.1 puts before the elements."""
    form = dicom_form(file.peek(HEAD_BYTES)[:HEAD_BYTES])
    if form not in (Form.NO_PREAMBLE, Form.NO_PREFIX):
        return file
    with file:
        if file.size > archive.MAX_INFLATED_BYTES:
            raise Refusal(Code.TOO_LARGE, f"{file.size} bytes without a DICOM preamble; write it again with one")
        file.seek(0 if form is Form.NO_PREAMBLE else len(_PREAMBLE))
        content = file.read(file.size)
    whole = _PREAMBLE + content if form is Form.NO_PREAMBLE else content
    return _BoundedReader(io.BytesIO(whole), len(whole))


def looks_like_dicom(file: BinaryIO) -> bool:
    """Whether the file starts like DICOM (PS3.10 preamble, or a bare dataset of group 0002 or 0008); rewinds it."""
    head = file.read(HEAD_BYTES)
    file.seek(0)
    return dicom_form(head) not in (None, Form.DISPLACED)


def check_inflated_size(file: BinaryIO) -> None:
    """Raise ``Refusal`` (``TOO_LARGE``) if the rest of the file inflates to more than is allowed; rewinds to here.

    A stream that is not deflated passes: the reader will report it.
    """
    start, inflater, total = file.tell(), zlib.decompressobj(-zlib.MAX_WBITS), 0
    with suppress(zlib.error):
        while packed := (inflater.unconsumed_tail or file.read(_CHUNK_BYTES)):
            total += len(inflater.decompress(packed, _CHUNK_BYTES))
            if total > archive.MAX_INFLATED_BYTES:
                raise Refusal(Code.TOO_LARGE, f"inflates to more than the allowed {archive.MAX_INFLATED_BYTES} bytes")
            if inflater.eof:
                break
    file.seek(start)
