"""What a DICOMDIR lists is held against what is there; a DICOMDIR alone is never a reason to refuse."""

import gc
import shutil
import warnings
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.fileset import FileSet

from ctacal.dicom.files.dicomdir import _images
from ctacal.errors import Code
from tests.dicom_series import assert_truth, ct_series, emission_image, encoded, intake_of, uid, volume_of


def disc(folder: Path, images: Sequence[Dataset]) -> Path:
    """A file set as on a patient's disc."""
    files = FileSet()
    scratch = folder.parent / "image.dcm"
    folder.parent.mkdir(parents=True, exist_ok=True)
    for image in images:
        scratch.write_bytes(encoded(image))
        files.add(scratch)
    scratch.unlink()
    files.write(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # pydicom leaves its temporary folders to the collector
        del files
        gc.collect()
    return folder


def images_on(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file() and file.name != "DICOMDIR")


def notes_of(*paths: Path) -> list[tuple[Code, str]]:
    return [(note.code, note.message) for study in intake_of(*paths).studies for note in study.notes]


@pytest.fixture
def cd(tmp_path: Path) -> Path:
    return disc(tmp_path / "cd", ct_series())


def test_whole_disc_carries_no_note(cd: Path) -> None:
    volume, notes = volume_of(cd)
    assert_truth(volume)
    assert notes == []


@pytest.mark.parametrize("lost", [slice(0, 1), slice(-1, None), slice(10, None)])
def test_images_that_are_listed_and_not_there_are_noted(cd: Path, lost: slice) -> None:
    files = images_on(cd)
    gone = files[lost]
    for file in gone:
        file.unlink()
    ((code, message),) = notes_of(cd)
    assert code is Code.FILES_MISSING
    assert f"lists 14 CT images of this study, but {len(gone)} of them are not there" in message
    assert message.endswith(f"the first: {gone[0].relative_to(cd)}")


def lower_case(cd: Path) -> None:
    for path in sorted(cd.rglob("*"), reverse=True):
        path.rename(path.with_name(path.name.lower()))


def with_versions(cd: Path) -> None:
    """As ISO 9660 writes names, and as some copies keep them."""
    for path in images_on(cd):
        path.rename(path.with_name(f"{path.name}.;1"))


def in_one_folder(cd: Path) -> None:
    for index, path in enumerate(images_on(cd)):
        path.rename(cd / f"{index}.dcm")


def zipped(cd: Path) -> None:
    with zipfile.ZipFile(cd.parent / "cd.zip", "w") as archive:
        for path in sorted(cd.rglob("*")):
            archive.write(path, path.relative_to(cd))
    shutil.rmtree(cd)


@pytest.mark.parametrize("change", [lower_case, with_versions, in_one_folder, zipped])
def test_other_names_of_the_files_do_not_matter(cd: Path, change: Callable[[Path], None]) -> None:
    change(cd)
    assert notes_of(cd.parent) == []
    assert len(intake_of(cd.parent).studies[0].series[0].slices) == 14


@pytest.mark.parametrize("change", [lower_case, with_versions, in_one_folder, zipped])
def test_losses_are_noted_whatever_the_names(cd: Path, change: Callable[[Path], None]) -> None:
    images_on(cd)[-1].unlink()
    change(cd)
    assert [code for code, _ in notes_of(cd.parent)] == [Code.FILES_MISSING]


def test_series_that_is_wholly_lost(tmp_path: Path) -> None:
    """The series that is left may be the wrong one."""
    cd = disc(tmp_path / "cd", [*ct_series(), *ct_series(name="thin", SeriesNumber=3)])
    for path in images_on(cd):
        if dcmread(path).SeriesInstanceUID == uid("series", "ctac"):
            path.unlink()
    ((_, message),) = notes_of(cd)
    assert "lists 28 CT images of this study, but 14 of them are not there" in message


def test_other_modalities_and_studies_may_be_left_out(tmp_path: Path) -> None:
    other = ct_series(name="other", StudyInstanceUID=uid("other study"), PatientID="P2")
    cd = disc(tmp_path / "cd", [*ct_series(), emission_image("PT"), *other])
    for path in images_on(cd):
        image = dcmread(path)
        if image.Modality == "PT" or image.PatientID == "P2":
            path.unlink()
    assert notes_of(cd) == []


def test_records_in_the_order_of_writing(tmp_path: Path) -> None:
    """Records are linked by offsets (PS3.3 F.3.2.2): a writer that adds to the end mixes the series."""
    cd = disc(tmp_path / "cd", [*ct_series(), emission_image("PT")])
    directory = dcmread(cd / "DICOMDIR")
    records = list(directory.DirectoryRecordSequence)
    records.sort(key=lambda record: record.DirectoryRecordType == "IMAGE")  # first all series
    listed = list(_images([*records[:4], *records[:3:-1]]))
    assert {study for study, _ in listed} == {uid("study")}
    assert len(listed) == 14


def test_several_discs(tmp_path: Path) -> None:
    first, second = ct_series(), ct_series(name="b", StudyInstanceUID=uid("b"))
    discs = [disc(tmp_path / name, images) for name, images in (("1", first), ("2", second))]
    images_on(discs[1])[-1].unlink()
    noted = {study.uid: [note.code for note in study.notes] for study in intake_of(*discs).studies}
    assert noted == {uid("study"): [], uid("b"): [Code.FILES_MISSING]}


@pytest.mark.parametrize("kept", [0.2, 0.5, 0.97, 0.98, 0.99])
def test_broken_dicomdir_costs_nothing(cd: Path, kept: float) -> None:
    path = cd / "DICOMDIR"
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    intake = intake_of(cd)
    assert intake.skipped == ()
    assert len(intake.studies[0].series[0].slices) == 14
    assert notes_of(cd) == []


@pytest.mark.parametrize(
    ("found", "spoilt"), [(b"CS\x06\0STUDY ", b"C\xb0\x06\0STUDY "), (b"\x30\x14CS", b"\x30\x14\xff\xff")]
)
def test_corrupted_dicomdir_costs_nothing(cd: Path, found: bytes, spoilt: bytes) -> None:
    images_on(cd)[-1].unlink()
    path = cd / "DICOMDIR"
    path.write_bytes(path.read_bytes().replace(found, spoilt))
    assert len(intake_of(cd).studies[0].series[0].slices) == 13


def test_dicomdir_with_a_broken_head_costs_nothing(cd: Path) -> None:
    path = cd / "DICOMDIR"
    path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.1.3.10\0", b"9" * 21))
    intake = intake_of(cd)
    assert intake.skipped == ()
    assert intake.others == {"DICOMDIR": 1}


def test_images_that_were_given_other_uids(tmp_path: Path) -> None:
    """By a tool that removes identities and leaves the DICOMDIR."""
    cd = disc(tmp_path / "cd", ct_series())
    for path in images_on(cd):
        image = dcmread(path)
        image.SOPInstanceUID = uid("new", image.SOPInstanceUID)
        image.save_as(path)
    assert notes_of(cd) == []


def test_dicomdir_with_links_in_a_circle_ends(cd: Path) -> None:
    path = cd / "DICOMDIR"
    directory = dcmread(path)
    for record in directory.DirectoryRecordSequence:
        record.OffsetOfTheNextDirectoryRecord = record.OffsetOfReferencedLowerLevelDirectoryEntity = 398
    directory.save_as(path)
    images_on(cd)[-1].unlink()
    assert [code for code, _ in notes_of(cd)] == [Code.FILES_MISSING]


def test_dicomdir_alone(cd: Path) -> None:
    for path in images_on(cd):
        path.unlink()
    intake = intake_of(cd / "DICOMDIR")
    assert intake.studies == ()
    assert "found 1 DICOMDIR" in intake.empty[0]
    assert "14 CT images" in intake.empty[0]
