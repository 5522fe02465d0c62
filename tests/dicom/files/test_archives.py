"""Archives of every kind are read with bounded memory, or named with what to do."""

import bz2
import gzip
import io
import lzma
import tarfile
import warnings
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ctacal.dicom.files.archive import discard_unpacked
from ctacal.errors import Code
from tests.dicom_series import Grid, assert_truth, chest_hu, ct_series, encoded, intake_of, volume_of, write

ALL_HU = chest_hu(Grid())
IMAGES = [encoded(image) for image in ct_series()]


def tar(files: Iterable[tuple[str, bytes]], *, format: int = tarfile.PAX_FORMAT) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=format) as archive:
        for name, content in files:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def zipped(files: Iterable[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w", method) as archive:
        warnings.simplefilter("ignore", UserWarning)  # of equal names
        for name, content in files:
            archive.writestr(name, content)
    return stream.getvalue()


def numbered(name: str = "study/IM{:02}") -> list[tuple[str, bytes]]:
    return [(name.format(index), content) for index, content in enumerate(IMAGES)]


def assert_read(path: Path) -> None:
    volume, notes = volume_of(path)
    np.testing.assert_array_equal(volume.hu, ALL_HU)
    assert_truth(volume)
    assert notes == []
    assert intake_of(path).skipped == ()


def assert_named(path: Path, *words: str, code: Code = Code.FILE_UNREADABLE) -> None:
    """The archive is listed once, with all the words, and gives no study."""
    intake = intake_of(path)
    assert intake.studies == ()
    (skipped,) = intake.skipped
    assert skipped.reason.code is code
    assert str(path) in skipped.name
    for word in words:
        assert word in skipped.reason.message


PACKINGS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gz", gzip.compress),
    "bzip2": ("bz2", bz2.compress),
    "xz": ("xz", lzma.compress),
}


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_tar_of_any_name(tmp_path: Path, format: int) -> None:
    (tmp_path / "export").write_bytes(tar(numbered(), format=format))
    assert_read(tmp_path)


@pytest.mark.parametrize("packing", PACKINGS)
def test_packed_tar(tmp_path: Path, packing: str) -> None:
    suffix, pack = PACKINGS[packing]
    (tmp_path / f"study.tar.{suffix}").write_bytes(pack(tar(numbered())))
    assert_read(tmp_path)


@pytest.mark.parametrize("packing", PACKINGS)
def test_images_packed_one_by_one(tmp_path: Path, packing: str) -> None:
    suffix, pack = PACKINGS[packing]
    for name, content in numbered("IM{}"):
        (tmp_path / f"{name}.dcm.{suffix}").write_bytes(pack(content))
    assert_read(tmp_path)


@pytest.mark.parametrize("suffix", [".gz", ""])
def test_packed_image_that_is_broken_is_a_loss_of_the_study(tmp_path: Path, suffix: str) -> None:
    """And not of the study in the folder beside."""
    for folder, study_uid in (("a", "1.2.3"), ("b", "1.2.4")):
        (tmp_path / folder).mkdir()
        for index, image in enumerate(ct_series(StudyInstanceUID=study_uid)):
            (tmp_path / folder / f"{index}{suffix}").write_bytes(gzip.compress(encoded(image)))
    broken = tmp_path / "a" / f"5{suffix}"
    broken.write_bytes(broken.read_bytes()[:-300])
    notes = {study.uid: [note.code for note in study.notes] for study in intake_of(tmp_path).studies}
    assert notes == {"1.2.3": [Code.SERIES_UNREADABLE], "1.2.4": []}


def test_archives_in_archives(tmp_path: Path) -> None:
    content = numbered()
    inner = [("a.tar", tar(content[:4])), ("b.tgz", gzip.compress(tar(content[4:9]))), ("c.zip", zipped(content[9:]))]
    (tmp_path / "all.zip").write_bytes(zipped(inner))
    assert_read(tmp_path)


def test_zip_that_begins_with_a_folder(tmp_path: Path) -> None:
    (tmp_path / "study.zip").write_bytes(zipped([("study/", b""), *numbered()]))
    assert_read(tmp_path)


@pytest.mark.parametrize("pack", [tar, zipped], ids=["tar", "zip"])
@pytest.mark.parametrize(
    "name", ["image.dcm", "a/image", "{:02}/image"], ids=["all equal", "in a folder", "in folders"]
)
def test_members_of_equal_names(tmp_path: Path, pack: Callable[..., bytes], name: str) -> None:
    (tmp_path / "study").write_bytes(pack(numbered(name)))
    assert_read(tmp_path)


def test_equal_names_beside_a_name_that_a_number_makes(tmp_path: Path) -> None:
    names = ["IM", "IM (2)", "IM", "IM (2)", "IM (3)", *["IM"] * 9]
    (tmp_path / "study").write_bytes(zipped(zip(names, IMAGES, strict=True)))
    assert_read(tmp_path)


def test_zip_behind_a_program(tmp_path: Path) -> None:
    """A program that unpacks itself, as viewers on discs are."""
    (tmp_path / "viewer.exe").write_bytes(b"MZ" + bytes(3000) + zipped(numbered()))
    assert_read(tmp_path)


def test_zip_behind_other_bytes(tmp_path: Path) -> None:
    (tmp_path / "download.zip").write_bytes(b"HTTP/1.1 200 OK\r\n\r\n" + zipped(numbered()))
    assert_read(tmp_path)


def test_zip_written_to_a_stream(tmp_path: Path) -> None:
    """Sizes stand behind the members, in data descriptors; and in the fields of zip64."""

    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.content = bytearray()

        def writable(self) -> bool:
            return True

        def write(self, content: Any, /) -> int:
            self.content += content
            return len(content)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in numbered():
            with archive.open(name, "w", force_zip64=True) as member:
                member.write(content)
    (tmp_path / "stream.zip").write_bytes(bytes(pipe.content))
    assert_read(tmp_path)


def test_names_in_a_zip_in_other_character_sets(tmp_path: Path) -> None:
    content = zipped(numbered("Sch*del/IM{:02}")).replace(b"Sch*del", b"Sch\xe4del")
    (tmp_path / "study.zip").write_bytes(content)
    assert_read(tmp_path)


def test_names_in_a_tar_that_are_no_utf8(tmp_path: Path) -> None:
    files = [(f"Sch\udce4del\n/{name}" + "x" * 300, content) for name, content in numbered()]
    (tmp_path / "study.tar").write_bytes(tar(files))
    assert_read(tmp_path)


def test_links_and_devices_in_a_tar(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in numbered():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
            for kind in (tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE):
                other = tarfile.TarInfo(f"{name}-{kind!r}")
                other.type, other.linkname = kind, name
                archive.addfile(other)
    (tmp_path / "study.tar").write_bytes(stream.getvalue())
    assert_read(tmp_path)


def with_flags(content: bytes, flags: int, method: int | None = None) -> bytes:
    """The zip with other flags and compression method in every member."""
    changed = bytearray(content)
    for mark, at_flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = changed.find(mark)
        while at >= 0:
            changed[at + at_flags] |= flags
            if method is not None:
                changed[at + at_flags + 2 : at + at_flags + 4] = method.to_bytes(2, "little")
            at = changed.find(mark, at + 4)
    return bytes(changed)


@pytest.mark.parametrize(
    ("flags", "method", "word"),
    [(1, None, "password"), (0x41, None, "password"), (1, 99, "password"), (0, 9, "Deflate64"), (0, 77, "method 77")],
)
def test_zip_that_cannot_be_read_is_one_line(tmp_path: Path, flags: int, method: int | None, word: str) -> None:
    path = tmp_path / "study.zip"
    path.write_bytes(with_flags(zipped(numbered(), zipfile.ZIP_STORED), flags, method))
    assert_named(path, f"{len(IMAGES)} files in it are", word)


def test_readable_members_beside_one_that_is_encrypted(tmp_path: Path) -> None:
    content = bytearray(zipped([*numbered(), ("secret", b"?" * 600)], zipfile.ZIP_STORED))
    content[content.rindex(b"PK\x03\x04") + 6] |= 1
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "study.zip").write_bytes(content)
    volume, notes = volume_of(tmp_path)
    assert_truth(volume)
    assert notes == [Code.SERIES_UNREADABLE]


CLOSED = {
    "a.7z": b"7z\xbc\xaf\x27\x1c",
    "a.rar": b"Rar!\x1a\x07\x01\0",
    "a.tar.zst": b"\x28\xb5\x2f\xfd",
    "a.tar.lz4": b"\x04\x22\x4d\x18",
    "a.Z": b"\x1f\x9d\x90",
    "a.cab": b"MSCF\0\0\0\0",
    "a.z01": b"PK\x07\x08PK\x03\x04",
    "a.z02": b"\x8a\x01",
    "a.7z.002": b"\x8a\x01",
    "cd.iso": bytes(16),
    "cd.dmg": b"x\xda\x63",
}


@pytest.mark.parametrize("name", CLOSED)
def test_other_archives_are_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(CLOSED[name] + bytes(range(256)) * 4)
    assert_named(path, "which is not opened; unpack it first")


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


BROKEN: dict[str, Callable[[], bytes]] = {
    "cut zip": lambda: cut(zipped(numbered())),
    "cut tar": lambda: cut(tar(numbered())),
    "tar cut between members": lambda: tar(numbered())[: 5 * (512 + -(-len(IMAGES[0]) // 512) * 512)],
    "cut tar.gz": lambda: cut(gzip.compress(tar(numbered()))),
    "cut tar.bz2": lambda: cut(bz2.compress(tar(numbered()))),
    "cut tar.xz": lambda: cut(lzma.compress(tar(numbered()))),
    "tar broken between": lambda: (
        (content := tar(numbered()))[: content.index(b"study/IM07")]
        + b"?" * 512
        + content[content.index(b"study/IM07") + 512 :]
    ),
    "tar joined to a tar": lambda: tar(numbered()[:7]) + tar(numbered()[7:]),
    "zip joined to a zip": lambda: zipped(numbered()[:7]) + zipped(numbered()[7:]),
    "first part of a split zip": lambda: zipped(numbered())[:-500],
}


@pytest.mark.parametrize("broken", BROKEN)
def test_archive_that_is_not_whole_is_named_and_not_read_in_part(tmp_path: Path, broken: str) -> None:
    path = tmp_path / "study"
    path.write_bytes(BROKEN[broken]())
    assert_named(path)


def test_broken_archive_does_not_stop_the_rest(tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz").write_bytes(cut(gzip.compress(tar(numbered()))))
    write(tmp_path / "b", ct_series())
    volume, notes = volume_of(tmp_path)
    assert_truth(volume)
    assert notes == [Code.SERIES_UNREADABLE]


def test_bomb_in_a_gzip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctacal.dicom.files.archive.MAX_INFLATED_BYTES", 2**20)
    path = tmp_path / "IM1.dcm.gz"
    path.write_bytes(gzip.compress(IMAGES[0] + bytes(2**22)))
    assert_named(path, "allowed", code=Code.TOO_LARGE)


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress], ids=["tar.gz", "tar.xz"])
def test_bomb_in_a_packed_tar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pack: Callable[..., bytes]) -> None:
    monkeypatch.setattr("ctacal.dicom.files.archive.MAX_INFLATED_BYTES", 2**20)
    path = tmp_path / "study"
    path.write_bytes(pack(tar([("a", bytes(2**24))])))
    assert_named(path, "unpack it first", code=Code.TOO_LARGE)


def test_full_disk_while_unpacking_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ctacal.dicom.files.archive.tempfile.SpooledTemporaryFile.write", full)
    path = tmp_path / "study.tar.gz"
    path.write_bytes(gzip.compress(tar(numbered())))
    assert_named(path, "cannot be unpacked", "No space left on device", code=Code.TOO_LARGE)


def test_packed_tar_is_unpacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading each member from the start of the stream would take a second per member."""
    from ctacal.dicom.files import archive

    copied = archive._copied
    sizes: list[int] = []

    def counted(stream: Any, packed_bytes: int) -> Any:
        sizes.append(packed_bytes)
        return copied(stream, packed_bytes)

    monkeypatch.setattr("ctacal.dicom.files.archive._copied", counted)
    (tmp_path / "study.tar.gz").write_bytes(gzip.compress(tar(numbered())))
    discard_unpacked()
    assert_read(tmp_path)
    assert len(sizes) == 1


def test_unpacked_archive_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctacal.dicom.files.archive._IN_MEMORY_BYTES", 1000)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "study.tar.gz").write_bytes(gzip.compress(tar(numbered())))
    assert_read(tmp_path / "in")
    assert list(scratch.iterdir()) == []


def test_nii_gz_is_no_archive_of_images(tmp_path: Path) -> None:
    header = bytearray(352)
    header[344:348] = b"n+1\0"
    (tmp_path / "ct.nii.gz").write_bytes(gzip.compress(bytes(header)))
    (line,) = intake_of(tmp_path).empty
    assert "found 1 NIfTI file" in line
