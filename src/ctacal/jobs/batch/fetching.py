"""Objects of a store on this machine: first only their headers, then the pixels of what is scored.

A file whose header alone was fetched is cut off behind it, so that its pixels cannot be taken for whole ones.
"""

from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any

from pydicom.filereader import read_partial

from ctacal.dicom.header import READING_ERRORS, quiet_pydicom
from ctacal.jobs.batch.bucket import as_os_error, bucket_and_path, store_of

HEAD_BYTES = 2**16
"""What is fetched of an object at first: the header, with room for private elements (own choice)."""
BEYOND_BYTES = 64
"""What must be there beyond the header: the item in which compressed pixels begin."""
PIECE_BYTES = 2**20
"""An object that is fetched whole is written to the disk in such pieces."""
AT_ONCE = 16
"""Requests at once of one process (own choice: a store answers in tens of milliseconds)."""
_PIXELS = (0x7FE0, 0x0008)
"""The first tag that holds pixels: Float Pixel Data (PS3.6)."""


@dataclass(frozen=True, slots=True)
class Object:
    """An object and its copy."""

    path: str
    size_bytes: int
    file: Path


@dataclass(frozen=True, slots=True)
class Traffic:
    """What was asked of a store, and what came."""

    requests: int = 0
    bytes: int = 0

    def __add__(self, other: "Traffic") -> "Traffic":
        return Traffic(self.requests + other.requests, self.bytes + other.bytes)


@dataclass(frozen=True, slots=True)
class Fetched:
    """The objects under an address, as files in a folder."""

    folder: Path
    address: str
    bucket: str
    objects: tuple[Object, ...]
    partial: tuple[Object, ...]
    """Those of which only the header was fetched at first."""
    traffic: Traffic

    @property
    def known_as(self) -> dict[str, str]:
        """What users know the folder and its files by: paths here and file names, to addresses and names there."""
        files = {str(one.file): f"{self.bucket}/{one.path}" for one in self.objects}
        names = {one.file.name: PurePosixPath(one.path).name for one in self.objects}
        return {str(self.folder): self.address.rstrip("/")} | files | names


def fetch_headers(address: str, folder: Path) -> Fetched:
    """Fetch the headers of all objects under an address; what is no DICOM is fetched whole.

    Raises ``FileNotFoundError`` if there is no object, ``OSError`` if the store fails.
    """
    bucket, path = bucket_and_path(address)
    folder.mkdir(parents=True, exist_ok=True)
    objects = _listed(bucket, path, folder)
    if not objects:
        raise FileNotFoundError(None, "no object there", address)
    with ThreadPoolExecutor(AT_ONCE) as threads:
        whole = list(threads.map(lambda one: _fetch_head(bucket, one), objects))
    heads = Traffic(1 + len(objects), sum(min(HEAD_BYTES, one.size_bytes) for one in objects))
    cut = [one for one, is_whole in zip(objects, whole, strict=True) if not is_whole]
    partial = tuple(one for one in cut if _ends_in_head(one))
    return Fetched(
        folder,
        address,
        bucket,
        tuple(objects),
        partial,
        heads + _fetch_all(bucket, [one for one in cut if one not in partial]),
    )


def fetch_whole(fetched: Iterable[Fetched], wanted: Collection[Path]) -> Traffic:
    """Fetch those files whole, if only their headers are here."""
    traffic = Traffic()
    for part in fetched:
        cut = (one for one in part.partial if one.file.stat().st_size < one.size_bytes)
        traffic += _fetch_all(part.bucket, [one for one in cut if one.file in wanted])
    return traffic


def _listed(bucket: str, path: str, folder: Path) -> list[Object]:
    with as_os_error(f"{bucket}/{path}"):
        found: list[Any] = [one for part in store_of(bucket).list(path or None) for one in part]
        if not found and path and not path.endswith("/"):
            found = [store_of(bucket).head(path)]  # an address of one object, such as an archive
    names = [(one["path"], int(one["size"])) for one in found if int(one["size"])]
    return [
        Object(name, size, folder / f"{number:06d}{_suffix(name)}") for number, (name, size) in enumerate(sorted(names))
    ]


def _suffix(name: str) -> str:
    suffix = Path(name).suffix
    return suffix if suffix.isascii() and len(suffix) < 10 else ""


def _fetch_head(bucket: str, one: Object) -> bool:
    """Fetch the beginning of an object; return whether that is all."""
    with as_os_error(f"{bucket}/{one.path}"):
        head = store_of(bucket).get_range(one.path, start=0, end=min(HEAD_BYTES, one.size_bytes))
    one.file.write_bytes(head)
    return one.size_bytes <= HEAD_BYTES


def _ends_in_head(one: Object) -> bool:
    """Whether the header of a DICOM file ends in what was fetched, so that the rest is pixels."""
    head = BytesIO(one.file.read_bytes())
    at_pixels: list[int] = []

    def stop(tag: Any, _vr: str | None, _length: int) -> bool:
        if tag >= _PIXELS:
            at_pixels.append(head.tell())
        return bool(at_pixels)

    try:
        with quiet_pydicom():
            read_partial(head, stop, force=False)
    except (*READING_ERRORS, EOFError):
        return False
    return bool(at_pixels) and at_pixels[0] + BEYOND_BYTES <= HEAD_BYTES


def _fetch_all(bucket: str, objects: Sequence[Object]) -> Traffic:
    """Fetch objects whole, in place of what is there of them."""
    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(lambda one: _fetch(bucket, one), objects))
    return Traffic(len(objects), sum(one.size_bytes for one in objects))


def _fetch(bucket: str, one: Object) -> None:
    """Fetch an object piece by piece: an archive may be larger than the memory."""
    with as_os_error(f"{bucket}/{one.path}"), one.file.open("wb") as file:
        for piece in store_of(bucket).get(one.path).stream(min_chunk_size=PIECE_BYTES):
            file.write(piece)
