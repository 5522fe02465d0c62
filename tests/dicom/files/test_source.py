"""Files are found whatever their names and however they are packed; files that are no images are counted."""

import gc
import io
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ctacal.errors import Code, UsageError
from tests.dicom_series import (
    Grid,
    assert_truth,
    chest_hu,
    ct_series,
    emission_image,
    encoded,
    intake_of,
    refusal_of,
    uid,
    volume_of,
    write,
)

ALL_HU = chest_hu(Grid())
SHUFFLED = np.random.default_rng(7).permutation(14)
PNG = bytes.fromhex("89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489")


def zipped(files: dict[str, Any], *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def zipped_series(**options: Any) -> bytes:
    return zipped({f"study/{index:02}": encoded(image) for index, image in enumerate(ct_series())}, **options)


def assert_exact(path: Path, notes: list[Code] | tuple[Any, ...] = ()) -> None:
    volume, found = volume_of(path)
    np.testing.assert_array_equal(volume.hu, ALL_HU)
    assert_truth(volume)
    assert found == list(notes)


@pytest.mark.parametrize(
    "name",
    [
        lambda index: f"{SHUFFLED[index]}",
        lambda index: f"{SHUFFLED[index]:03}.jpg",
        lambda index: f"{SHUFFLED[index]}.txt",
        lambda index: f"a/{index % 3}/b{index % 2}/IM {SHUFFLED[index]} ü.dcm",
        lambda index: f".hidden{SHUFFLED[index]}",
    ],
    ids=["no extension", "jpg", "txt", "nested folders", "hidden"],
)
def test_file_names_do_not_matter(tmp_path: Path, name: Callable[..., Any]) -> None:
    write(tmp_path, ct_series(), name=name)
    assert_exact(tmp_path)


def test_instance_numbers_do_not_matter(tmp_path: Path) -> None:
    series = ct_series()
    for image, number in zip(series, SHUFFLED, strict=True):
        image.InstanceNumber = int(number)
    assert_exact(write(tmp_path, series))


def test_files_between_that_are_no_dicom(tmp_path: Path) -> None:
    write(tmp_path, ct_series())
    contents = {
        "README.txt": b"Patient CD\r\n" * 50,
        "empty": b"",
        "one": b"\x08",
        "preview.png": PNG,
        "autorun.exe": b"MZ" + bytes(400),
        "zeros": bytes(4096),
        "PK.txt": b"PK is what a zip begins with, but this is text",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    assert_exact(tmp_path)
    intake = intake_of(tmp_path)
    assert (intake.files, intake.not_dicom, intake.skipped) == (21, 7, ())


def test_broken_zip_is_listed(tmp_path: Path) -> None:
    write(tmp_path, ct_series())
    (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04 and then nothing of a zip")
    intake = intake_of(tmp_path)
    assert [(Path(file.name).name, file.reason.code) for file in intake.skipped] == [
        ("broken.zip", Code.FILE_UNREADABLE)
    ]
    assert_exact(tmp_path, notes=[Code.SERIES_UNREADABLE])


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_zip_of_any_name(tmp_path: Path, method: int) -> None:
    (tmp_path / "export").write_bytes(zipped_series(method=method))
    assert_exact(tmp_path / "export")


def test_zip_in_zip(tmp_path: Path) -> None:
    content = zipped({"a/inner.bin": zipped_series(), "note.txt": b"hello"})
    (tmp_path / "outer.zip").write_bytes(content)
    assert_exact(tmp_path)


def test_series_spread_over_folder_zip_and_inner_zip(tmp_path: Path) -> None:
    series = ct_series()
    write(tmp_path, series[:7])
    inner = zipped({f"{index}": encoded(image) for index, image in enumerate(series[7:13])})
    outer = {f"{index}.dcm": encoded(image) for index, image in enumerate(series[13:])}
    (tmp_path / "rest.zip").write_bytes(zipped({"inner.zip": inner, **outer}))
    assert_exact(tmp_path)


def test_zips_nested_too_deep_are_listed(tmp_path: Path) -> None:
    content = zipped_series()
    for _ in range(3):
        content = zipped({"inner.zip": content})
    (tmp_path / "deep.zip").write_bytes(content)
    intake = intake_of(tmp_path)
    assert intake.studies == ()
    assert [file.reason.code for file in intake.skipped] == [Code.TOO_LARGE]


def test_encrypted_zip_is_listed(tmp_path: Path) -> None:
    content = bytearray(zipped({"secret.dcm": bytes(500)}, method=zipfile.ZIP_STORED))
    content[6] |= 1  # general purpose bit 0 of the local header, then of the central directory
    content[content.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "secret.zip").write_bytes(content)
    (skipped,) = intake_of(tmp_path).skipped
    assert skipped.reason.code is Code.FILE_UNREADABLE
    assert "encrypted" in skipped.reason.message


@pytest.fixture
def with_dicomdir(tmp_path: Path) -> Path:
    """A file set as on a patient's CD: a DICOMDIR, and the images beside it."""
    from pydicom.fileset import FileSet

    files = FileSet()
    for image in ct_series():
        path = tmp_path / "image.dcm"
        path.write_bytes(encoded(image))
        files.add(path)
    (tmp_path / "image.dcm").unlink()
    folder = tmp_path / "cd"
    files.write(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # pydicom leaves its temporary folders to the collector
        del files
        gc.collect()
    return folder


def test_dicomdir_beside(with_dicomdir: Path) -> None:
    assert_exact(with_dicomdir)
    assert intake_of(with_dicomdir).not_dicom == 1


def test_dicomdir_as_the_path(with_dicomdir: Path) -> None:
    assert_exact(with_dicomdir / "DICOMDIR")


def test_a_single_file_is_read_alone(tmp_path: Path) -> None:
    write(tmp_path, ct_series())
    assert refusal_of(tmp_path / "IM0003") is Code.TOO_FEW_SLICES


def test_the_same_file_is_read_once(tmp_path: Path) -> None:
    write(tmp_path, ct_series())
    (tmp_path / "link").symlink_to(tmp_path / "IM0003")
    volume, notes = volume_of(tmp_path, tmp_path / "IM0004", tmp_path)
    assert_truth(volume)
    assert notes == []


def test_a_path_that_does_not_exist_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        intake_of(tmp_path / "nowhere")


def test_several_studies_and_series_in_one_folder(tmp_path: Path) -> None:
    series = [
        ct_series(),
        ct_series(name="thin", SeriesDescription="Thorax B30f"),
        ct_series(name="other", StudyInstanceUID=uid("other study"), PatientID="P2"),
        [emission_image("NM")],
    ]
    order = np.random.default_rng(5).permutation(43)
    mixed = [image for images in series for image in images]
    write(tmp_path, mixed, name=lambda index: f"{order[index]}")
    intake = intake_of(tmp_path)
    assert sorted(len(study.series) for study in intake.studies) == [1, 3]
    for study in intake.studies:
        for found in study.series:
            assert len(found.slices) == (1 if found.header.modality == "NM" else 14)
            assert {slice_.header.study_uid for slice_ in found.slices} == {study.uid}
