"""Files that lie, burst or are broken end in a refusal or are left out: no other exception, no changed geometry,
bounded memory."""

import io
import json
import subprocess
import sys
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from ctacal.dicom.choose import choose_series
from ctacal.dicom.volume import read_volume
from ctacal.errors import Code, Refusal
from ctacal.volume import Volume
from tests.dicom_series import (
    MARKER_INDEX,
    SYNTAXES,
    Grid,
    assert_truth,
    chest_hu,
    ct_series,
    encoded,
    enhanced_ct,
    intake_of,
    refusal_of,
    volume_of,
    write,
)

GRID = Grid()
Endian = Literal["little", "big"]
ALL_HU = chest_hu(GRID)
MIB = 2**20
DICOM_HEAD = bytes(128) + b"DICM"


@contextmanager
def memory_below(limit_bytes: int) -> Iterator[Any]:
    """Python's and numpy's allocations stay below the limit (C libraries are measured in a process of their own)."""
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < limit_bytes, f"took {peak / MIB:.0f} MiB"


def skipped_codes(folder: Path) -> list[Code]:
    return [file.reason.code for file in intake_of(folder).skipped]


@pytest.mark.parametrize(
    ("rows", "columns", "frames"), [(60000, 60000, 1), (65535, 300, 1), (0, 40, 1), (48, 40, 2**31 - 1)]
)
def test_sizes_beyond_any_scanner_are_left_out(tmp_path: Path, rows: int, columns: int, frames: int) -> None:
    image = ct_series(GRID)[0]
    image.Rows, image.Columns, image.NumberOfFrames = rows, columns, frames
    (tmp_path / "lie.dcm").write_bytes(encoded(image))
    with memory_below(8 * MIB):
        assert skipped_codes(tmp_path) == [Code.TOO_LARGE]


def test_bits_that_do_not_fit_the_code_stream_are_refused(tmp_path: Path) -> None:
    """GDCM ends the whole process on this image."""
    for index, image in enumerate(ct_series(GRID)):
        content = encoded(image, JPEG2000Lossless)
        (tmp_path / f"{index}").write_bytes(lying(content, image, "BitsAllocated", 32))
    assert refusal_of(tmp_path) is Code.PIXELS_UNREADABLE


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.keyword)
@pytest.mark.parametrize(("keyword", "value"), [("Rows", 24), ("Rows", 4000), ("Columns", 20)])
def test_matrix_that_does_not_fit_the_pixels_is_refused(tmp_path: Path, keyword: str, value: int, syntax: UID) -> None:
    """Fewer rows than there are pixels for would read, and look like a scan."""
    for index, image in enumerate(ct_series(GRID)):
        content = encoded(image, syntax)
        if syntax == DeflatedExplicitVRLittleEndian:
            content = with_dataset_inflated(content, lambda data, image=image: lying(data, image, keyword, value))
        else:
            order: Endian = "big" if syntax.keyword == "ExplicitVRBigEndian" else "little"
            content = lying(content, image, keyword, value, order, implicit=syntax == ImplicitVRLittleEndian)
        (tmp_path / f"{index}").write_bytes(content)
    assert refusal_of(tmp_path) is Code.PIXELS_UNREADABLE


def lying(
    content: bytes, image: Dataset, keyword: str, value: int, order: Endian = "little", *, implicit: bool = False
) -> bytes:
    """The file with one unsigned short of its header overwritten."""
    element = image[keyword]
    tag = element.tag.group.to_bytes(2, order) + element.tag.element.to_bytes(2, order)
    head = tag + (b"\2\0\0\0" if implicit else b"US" + (2).to_bytes(2, order))
    assert content.count(head) == 1
    return content.replace(head + element.value.to_bytes(2, order), head + value.to_bytes(2, order))


def with_dataset_inflated(content: bytes, change: Callable[..., Any]) -> bytes:
    start = 144 + int.from_bytes(content[140:144], "little")
    return content[:start] + deflated([change(zlib.decompress(content[start:], -15))])


def deflated(chunks: list[bytes]) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return b"".join([*(packer.compress(chunk) for chunk in chunks), packer.flush()])


def test_frames_that_are_not_there_are_refused(tmp_path: Path) -> None:
    series = ct_series(GRID)
    for image in series:
        image.NumberOfFrames = 3
    assert refusal_of(write(tmp_path, series)) is Code.NO_GEOMETRY


def test_more_frames_than_pixels_for_them_are_refused(tmp_path: Path) -> None:
    image = enhanced_ct(ct_series(GRID))
    image.PixelData = image.PixelData[: 13 * 48 * 40 * 2]
    assert refusal_of(write(tmp_path, [image])) is Code.PIXELS_UNREADABLE


THREE_GB = (3 * 10**9).to_bytes(4, "little")


@pytest.mark.parametrize("tag", [b"\x09\x00\x10\x10", b"\x10\x00\x00\x40", b"\xe0\x7f\x10\x00"])
@pytest.mark.parametrize("zipped", [False, True], ids=["file", "in a zip"])
@pytest.mark.parametrize("preamble", [True, False], ids=["explicit", "implicit"])
def test_element_of_3_gb_in_a_file_of_2_kb(tmp_path: Path, tag: bytes, zipped: bool, preamble: bool) -> None:
    content = encoded(ct_series(GRID)[0], preamble=preamble)
    cut = content.index(b"\x10\x00\x10\x00" if tag < b"\xe0" else b"\xe0\x7f\x10\x00")
    lie = tag + (b"UN\0\0" if preamble else b"") + THREE_GB + bytes(700)
    content = content[:cut] + lie
    path = tmp_path / "lie"
    path.write_bytes(content)
    if zipped:
        with zipfile.ZipFile(tmp_path / "lie.zip", "w") as archive:
            archive.writestr("lie", content)
        path.unlink()
    with memory_below(8 * MIB):
        for study in intake_of(tmp_path).studies:
            with pytest.raises(Refusal):
                choose_series(study)


@lru_cache
def deflate_bomb(inflated_mib: int) -> bytes:
    """A deflated CT image with a private element of zeros in it."""
    content = encoded(ct_series(GRID)[0], DeflatedExplicitVRLittleEndian)
    start = 144 + int.from_bytes(content[140:144], "little")
    zeros = b"\x09\x00\x10\x10UN\0\0" + (inflated_mib * MIB).to_bytes(4, "little")
    return content[:start] + deflated([zeros, *([bytes(MIB)] * inflated_mib)])


def with_longer_meta(content: bytes) -> bytes:
    """The Transfer Syntax UID behind 40 kB of private information."""
    version = b"\x02\x00\x01\x00OB\0\0"
    at = content.index(version)
    return content[:at] + b"\x02\x00\x02\x01OB\0\0" + (40000).to_bytes(4, "little") + bytes(40000) + content[at:]


BOMBS = {
    "plain": lambda bomb: bomb,
    "without preamble": lambda bomb: bomb[132:],
    "lying group length, 0": lambda bomb: bomb[:140] + bytes(4) + bomb[144:],
    "lying group length, long": lambda bomb: bomb[:140] + b"\xff\xff\0\0" + bomb[144:],
    "without group length": lambda bomb: bomb[:132] + bomb[144:],
    "long meta information": with_longer_meta,
}


@pytest.mark.parametrize(
    ("disguise", "zipped"),
    [*((disguise, False) for disguise in BOMBS.values()), (BOMBS["plain"], True)],
    ids=[*BOMBS, "in a zip"],
)
def test_deflate_bomb_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, disguise: Callable[..., Any], zipped: bool
) -> None:
    monkeypatch.setattr("ctacal.dicom.files.archive.MAX_INFLATED_BYTES", 2 * MIB)
    bomb = disguise(deflate_bomb(24))
    if zipped:
        with zipfile.ZipFile(tmp_path / "bomb.zip", "w") as archive:
            archive.writestr("bomb", bomb)
    else:
        (tmp_path / "bomb").write_bytes(bomb)
    with memory_below(12 * MIB):
        assert skipped_codes(tmp_path) == [Code.TOO_LARGE]


@pytest.mark.slow
def test_real_deflate_bomb_is_left_out(tmp_path: Path) -> None:
    bomb = deflate_bomb(300)
    assert len(bomb) < 420 * 1024
    (tmp_path / "bomb").write_bytes(bomb)
    with memory_below(16 * MIB):
        assert skipped_codes(tmp_path) == [Code.TOO_LARGE]


def test_large_but_allowed_deflated_image_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctacal.dicom.files.archive.MAX_INFLATED_BYTES", MIB)
    volume, _ = volume_of(write(tmp_path, ct_series(), syntax=DeflatedExplicitVRLittleEndian))
    assert_truth(volume)


def zip_of(files: dict[str, Any]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, chunks in files.items():
            with archive.open(name, "w", force_zip64=False) as member:
                for chunk in chunks:
                    member.write(chunk)
    return stream.getvalue()


def with_size(content: bytes, size: int) -> bytes:
    """The central directory and the local header state another unpacked size."""
    changed = bytearray(content)
    at = changed.index(b"PK\x01\x02")
    changed[at + 24 : at + 28] = changed[22:26] = size.to_bytes(4, "little")
    return bytes(changed)


@pytest.mark.parametrize("declared_mib", [None, 1, 4000], ids=["honest", "says less", "says more"])
def test_zip_bomb_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, declared_mib: int | None) -> None:
    monkeypatch.setattr("ctacal.dicom.files.archive.MAX_INFLATED_BYTES", 2 * MIB)
    bomb = zip_of({"image.dcm": [DICOM_HEAD, *[bytes(MIB)] * 40]})
    if declared_mib:
        bomb = with_size(bomb, declared_mib * MIB)
    (tmp_path / "bomb.zip").write_bytes(bomb)
    with memory_below(12 * MIB):
        (code,) = skipped_codes(tmp_path)
    assert code is (Code.FILE_UNREADABLE if declared_mib == 1 else Code.TOO_LARGE)


@pytest.mark.slow
def test_real_zip_bomb_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "bomb.zip").write_bytes(zip_of({"image.dcm": [DICOM_HEAD, *[bytes(MIB)] * 300]}))
    with memory_below(16 * MIB):
        assert skipped_codes(tmp_path) == [Code.TOO_LARGE]


def test_bombs_beside_a_series_do_not_hide_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctacal.dicom.files.archive.MAX_INFLATED_BYTES", 2 * MIB)
    write(tmp_path, ct_series(GRID))
    (tmp_path / "bomb.zip").write_bytes(zip_of({"image.dcm": [DICOM_HEAD, *[bytes(MIB)] * 4]}))
    volume, _ = volume_of(tmp_path)
    np.testing.assert_array_equal(volume.hu, ALL_HU)
    assert skipped_codes(tmp_path) == [Code.TOO_LARGE]


def test_zip_members_named_outside_write_nothing(tmp_path: Path) -> None:
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    names = ["../../x{}", "/etc/x{}", "C:\\x{}", "..\\..\\x{}"]
    files = {names[i % 4].format(i): [encoded(image)] for i, image in enumerate(ct_series(GRID))}
    (inside / "evil.zip").write_bytes(zip_of(files))
    volume, _ = volume_of(inside)
    np.testing.assert_array_equal(volume.hu, ALL_HU)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "b", "evil.zip"]


def test_corrupted_zips_never_raise(tmp_path: Path) -> None:
    whole = zip_of({f"{i}é": [encoded(image)] for i, image in enumerate(ct_series(GRID)[:2])})
    generator = np.random.default_rng(4)
    directory = whole.index(b"PK\x01\x02")
    for number in range(150):
        content = bytearray(whole)
        start = generator.choice([4, directory, len(whole) - 22])
        for at in generator.integers(start, min(start + 120, len(whole)), 1 + number % 4):
            content[at] = generator.integers(256)
        (tmp_path / "zip").write_bytes(content)
        intake = intake_of(tmp_path)
        assert intake.files >= 1


SIZE_FIELDS = {
    JPEG2000Lossless: (b"\xff\x4f\xff\x51", 8, 4),
    JPEGLSLossless: (b"\xff\xf7", 5, 2),
    JPEGLosslessSV1: (b"\xff\xc3", 5, 2),
}
"""Where a code stream says its size: marker, offset of the two numbers, bytes of each."""


def inflated_code_stream(content: bytes, syntax: UID, claimed: int = 60000) -> bytes:
    marker, offset, width = SIZE_FIELDS[syntax]
    at = content.index(marker, content.index(b"\xe0\x7f\x10\x00")) + offset
    return content[:at] + 2 * claimed.to_bytes(width, "big") + content[at + 2 * width :]


@pytest.mark.parametrize("syntax", SIZE_FIELDS, ids=lambda syntax: syntax.keyword)
def test_code_stream_that_claims_another_size_is_refused(tmp_path: Path, syntax: UID) -> None:
    write(tmp_path, ct_series(GRID), syntax=syntax)
    (tmp_path / "IM0005").write_bytes(inflated_code_stream((tmp_path / "IM0005").read_bytes(), syntax))
    assert refusal_of(tmp_path) is Code.PIXELS_UNREADABLE


MEASURE = """
import json, re, sys, pathlib
from tests.dicom_series import refusal_of
codes = {folder.name: refusal_of(folder) for folder in sorted(pathlib.Path(sys.argv[1]).iterdir())}
status = pathlib.Path("/proc/self/status").read_text()  # ru_maxrss would count the parent, which the fork copied
print(json.dumps([codes, int(re.search(r"VmHWM:\\s+(\\d+)", status)[1])]))
"""


@pytest.mark.slow
def test_code_streams_that_claim_gigabytes_take_no_memory(tmp_path: Path) -> None:
    """In a process of its own, since the decoders' memory is not Python's."""
    for syntax in SIZE_FIELDS:
        folder = write(tmp_path / syntax.keyword, ct_series(GRID), syntax=syntax)
        for path in folder.iterdir():
            path.write_bytes(inflated_code_stream(path.read_bytes(), syntax))
    done = subprocess.run([sys.executable, "-c", MEASURE, tmp_path], capture_output=True, text=True, check=True)
    codes, peak_kib = json.loads(done.stdout)
    assert codes == {syntax.keyword: Code.PIXELS_UNREADABLE for syntax in SIZE_FIELDS}
    assert peak_kib < 400 * 1024


@pytest.mark.parametrize("lost", [b"\xff\xc3", b"\xff\xc4"], ids=["frame header", "Huffman table"])
def test_jpeg_without_a_needed_segment_is_refused(tmp_path: Path, lost: bytes) -> None:
    """GDCM ends the whole process on some of these (an exception in C++ that nobody catches)."""
    write(tmp_path, ct_series(GRID), syntax=JPEGLosslessSV1)
    content = (tmp_path / "IM0005").read_bytes()
    at = content.index(lost, content.index(b"\xe0\x7f\x10\x00"))
    (tmp_path / "IM0005").write_bytes(content[:at] + b"\xa7" + content[at + 1 :])
    assert refusal_of(tmp_path) is Code.PIXELS_UNREADABLE


def test_second_frame_header_in_a_jpeg_is_refused(tmp_path: Path) -> None:
    """The size that is checked must be the size that the decoder takes."""
    write(tmp_path, ct_series(GRID), syntax=JPEGLosslessSV1)
    content = (tmp_path / "IM0005").read_bytes()
    at = content.index(b"\xff\xc3")
    length = 2 + int.from_bytes(content[at + 2 : at + 4], "big")
    header = content[at : at + length]
    second = header[:5] + 2 * (60000).to_bytes(2, "big") + header[9:]
    (tmp_path / "IM0005").write_bytes(content[: at + length] + second + content[at + length :])
    assert refusal_of(tmp_path) is Code.PIXELS_UNREADABLE


def encapsulated(image: Dataset, syntax: UID, fragments: list[Any]) -> bytes:
    """Return a file with these fragments, unchanged, as encapsulated pixel data."""
    whole = encoded(image, syntax)
    head = whole[: whole.index(b"\xe0\x7f\x10\x00") + 12]
    items = [b"\xfe\xff\x00\xe0" + len(item).to_bytes(4, "little") + item for item in (b"", *fragments)]
    return head + b"".join(items) + b"\xfe\xff\xdd\xe0" + bytes(4)


RLE_HEADER = np.array([2, 64, 64 + 4000, *[0] * 13], "<u4").tobytes()


@pytest.mark.parametrize(
    ("fragments", "code"),
    [
        ([RLE_HEADER + b"\x81\x00" * MIB], Code.TOO_LARGE),
        ([RLE_HEADER + b"\x81\x00" * 3000], Code.PIXELS_UNREADABLE),
        ([b"\xff" * 64 + bytes(100)], Code.PIXELS_UNREADABLE),
        ([b""], Code.PIXELS_UNREADABLE),
        ([], Code.PIXELS_UNREADABLE),
    ],
    ids=["far too long", "unpacks to too much", "lying header", "empty fragment", "no fragment"],
)
def test_rle_frame_that_does_not_fit_is_refused(tmp_path: Path, fragments: list[Any], code: Code) -> None:
    series = ct_series(GRID)
    write(tmp_path, series, syntax=RLELossless)
    (tmp_path / "IM0005").write_bytes(encapsulated(series[5], RLELossless, fragments))
    assert refusal_of(tmp_path) is code


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.keyword)
def test_pixel_data_cut_short_are_refused(tmp_path: Path, syntax: UID) -> None:
    write(tmp_path, ct_series(GRID), syntax=syntax)
    content = (tmp_path / "IM0005").read_bytes()
    (tmp_path / "IM0005").write_bytes(content[:-600])
    assert refusal_of(tmp_path) in (Code.PIXELS_UNREADABLE, Code.MISSING_SLICE)


def test_pixel_data_missing_are_refused(tmp_path: Path) -> None:
    series = ct_series(GRID)
    del series[5].PixelData
    assert refusal_of(write(tmp_path, series)) is Code.PIXELS_UNREADABLE


@pytest.mark.parametrize("share", [0.001, 0.03, 0.1, 0.2, 0.25, 0.5, 0.999])
def test_file_cut_short_is_refused(tmp_path: Path, share: float) -> None:
    write(tmp_path, ct_series(GRID))
    content = (tmp_path / "IM0005").read_bytes()
    (tmp_path / "IM0005").write_bytes(content[: int(len(content) * share)])
    assert refusal_of(tmp_path) in (Code.PIXELS_UNREADABLE, Code.MISSING_SLICE, Code.NO_GEOMETRY, Code.NO_RESCALE)


def corrupted(content: bytes, generator: np.random.Generator) -> bytes:
    """Damage a file in one of the usual ways: bytes overwritten, lost or inserted, or the end missing."""
    changed = bytearray(content)
    at = int(generator.integers(132, len(content))) if generator.random() < 0.3 else int(generator.integers(132, 1400))
    length = int(generator.integers(1, 6))
    way = generator.integers(6)
    noise = generator.integers(0, 256, length, dtype=np.uint8).tobytes()
    if way < 3:
        changed[at : at + length] = noise
    elif way == 3:
        del changed[at : at + length]
    elif way == 4:
        changed[at:at] = noise
    else:
        del changed[at:]
    return bytes(changed)


def volumes_in(folder: Path) -> Iterator[Volume]:
    """Return the volume of every study there that is not refused."""
    for study in intake_of(folder).studies:
        try:
            yield read_volume(choose_series(study).series)[0]
        except Refusal:
            continue


@pytest.mark.slow
@pytest.mark.parametrize("broken", [0, 4], ids=["first slice", "slice between"])
@pytest.mark.parametrize(
    "syntax",
    [ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, RLELossless, JPEG2000Lossless,
     JPEGLSLossless, JPEGLosslessSV1],
    ids=lambda syntax: syntax.keyword,
)  # fmt: skip
def test_random_corruption_never_changes_the_rest(tmp_path: Path, syntax: UID, broken: int) -> None:
    grid = Grid(slices=9)
    write(tmp_path, ct_series(grid), syntax=syntax)
    (truth,) = volumes_in(tmp_path)
    path = tmp_path / f"IM{broken:04}"
    content = path.read_bytes()
    generator = np.random.default_rng(broken)
    for _ in range(15):
        path.write_bytes(corrupted(content, generator))
        for volume in volumes_in(tmp_path):
            lost = len(truth.hu) - len(volume.hu)
            assert lost in (0, 1 if broken == 0 else 0)
            kept = (slice(lost, None), slice(None), slice(None))
            assert volume.geometry.same_grid(truth.geometry.crop(kept))
            rest = np.arange(len(truth.hu)) != broken
            np.testing.assert_array_equal(volume.hu[rest[lost:]], chest_hu(grid)[rest])
            assert volume.hu[MARKER_INDEX[0] - lost, *MARKER_INDEX[1:]] == 1500
