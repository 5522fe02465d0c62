"""The files of a study, read by ctacal, highdicom and dciodvfy; the same bytes; whole or not at all."""

import json
import shutil
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from ctacal.dicom.choose import choose_series
from ctacal.dicom.objects.labels import read_label_map
from ctacal.dicom.objects.seg import referenced_series_uid
from ctacal.dicom.series import read_studies
from ctacal.dicom.volume import read_volume
from ctacal.labels import Calcium, LabelMap
from ctacal.scores import SCCT_2016, score_label_map
from ctacal.simulate.anatomy.calcium import Kind
from ctacal.simulate.output.folder import RECORD, whole_record
from ctacal.simulate.output.simulated import WORDS, series_description, study_name, write_study
from ctacal.simulate.scanner.protocol import load_protocol
from ctacal.simulate.study import StudyDescription, draw_study
from ctacal.simulate.truth import KIND_LABELS, VESSEL_LABELS, scored_labels
from ctacal.volume import Volume, load_nifti
from tests.simulate.studies import hand_made, tiny_protocol
from tests.tools import assert_valid

ALL = ("dicom", "nifti", "seg", "ct")
STUDY = hand_made()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort") / "study"
    write_study(STUDY, folder, writers=ALL)
    return folder


@pytest.fixture(scope="module")
def volume(folder: Path) -> Volume:
    return read_volume(read_studies([folder / "dicom"]).studies[0].series[0])[0]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def record(folder: Path) -> dict[str, Any]:
    stored: dict[str, Any] = json.loads((folder / RECORD).read_text())
    return stored


def test_the_series_is_the_scan_and_is_taken_as_ctac(folder: Path, volume: Volume) -> None:
    choice = choose_series(read_studies([folder / "dicom"]).studies[0])
    assert np.array_equal(volume.hu, STUDY.volume.hu)
    np.testing.assert_allclose(volume.geometry.affine, STUDY.volume.geometry.affine, atol=1e-9)
    assert choice.notes == ()
    assert "attenuation-correction" in choice.why
    assert np.array_equal(Volume.from_nifti(folder / "ct.nii.gz").hu, STUDY.volume.hu)


@pytest.mark.parametrize("name", ["labels.nii.gz", "labels.dcm"])
def test_labels_come_back_as_they_were(folder: Path, volume: Volume, name: str) -> None:
    assert set(np.unique(STUDY.truth.labels.labels)) >= {0, 1, 2, 3, 4, 6}
    assert np.array_equal(read_label_map(folder / "truth" / name, volume).labels, STUDY.truth.labels.labels)


def test_every_kind_of_deposit_has_its_segment(tmp_path: Path, volume: Volume) -> None:
    values = [*VESSEL_LABELS.values(), *(KIND_LABELS[kind] for kind in Kind if kind is not Kind.CORONARY)]
    structures = np.zeros_like(STUDY.truth.structures)
    structures[5, 5, : len(values)] = values
    labels = scored_labels(structures, STUDY.volume.geometry)
    study = replace(STUDY, truth=replace(STUDY.truth, structures=structures, labels=labels))
    write_study(study, tmp_path / "study", writers=("dicom", "seg"))
    image = pydicom.dcmread(tmp_path / "study" / "truth" / "labels.dcm")
    assert len({segment.SegmentLabel for segment in image.SegmentSequence}) == len(values)
    assert np.array_equal(read_label_map(tmp_path / "study" / "truth" / "labels.dcm", volume).labels, labels.labels)


def test_labels_on_the_written_series_score_what_the_record_says(folder: Path, volume: Volume) -> None:
    labels = read_label_map(folder / "truth" / "labels.dcm", volume)
    _, scores = score_label_map(volume, labels, SCCT_2016)
    assert scores.agatston.total == pytest.approx(record(folder)["ctac_score"]["agatston"], abs=1e-3)
    assert scores.agatston.total > 0


def test_seg_names_its_series_each_vessel_and_what_is_no_vessel(folder: Path) -> None:
    image = pydicom.dcmread(folder / "truth" / "labels.dcm")
    first = pydicom.dcmread(folder / "dicom" / "0001.dcm")
    names = [segment.SegmentLabel for segment in image.SegmentSequence]
    assert names == ["LM", "LAD", "LCX", "RCA", "Aortic wall", "Stent"]
    assert referenced_series_uid(folder / "truth" / "labels.dcm") == first.SeriesInstanceUID
    assert image.StudyInstanceUID == first.StudyInstanceUID
    assert image.FrameOfReferenceUID == first.FrameOfReferenceUID
    assert image.SeriesInstanceUID != first.SeriesInstanceUID


def test_highdicom_reads_the_same_seg(folder: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import highdicom.seg

        image = highdicom.seg.segread(folder / "truth" / "labels.dcm")
        slices = [pydicom.dcmread(file).SOPInstanceUID for file in sorted((folder / "dicom").iterdir())]
        for value, number in ((Calcium.LM, 1), (Calcium.LAD, 2), (Calcium.LCX, 3), (Calcium.RCA, 4)):
            mask = image.get_pixels_by_source_instance(
                slices, segment_numbers=[number], assert_missing_frames_are_empty=True
            )
            assert np.array_equal(mask[..., 0] > 0, STUDY.truth.labels.labels == value)


def test_structures_come_back_with_their_names(folder: Path) -> None:
    array, geometry = load_nifti(folder / "truth" / "structures.nii.gz")
    names = record(folder)["structures"]
    lead = Volume(array.astype(np.int16), geometry).canonical().hu
    assert np.array_equal(lead, STUDY.truth.structures)
    assert {str(value) for value in np.unique(array)} <= set(names)
    assert (names["102"], names["4"]) == ("lad_calcium", "lung")


def test_record_replays(folder: Path) -> None:
    stored = record(folder)
    assert StudyDescription.from_json(stored["description"]) == STUDY.description
    assert stored["deposits"][0]["mass_mg"] == 4.0
    assert stored["study_uid"] == read_studies([folder / "dicom"]).studies[0].uid


def test_a_scan_without_calcium_has_an_empty_seg(tmp_path: Path, volume: Volume) -> None:
    empty = LabelMap(np.zeros_like(STUDY.truth.labels.labels), STUDY.volume.geometry)
    truth = replace(STUDY.truth, labels=empty, structures=np.full(empty.labels.shape, 4, np.uint8))
    write_study(replace(STUDY, truth=truth), tmp_path / "study")
    assert not read_label_map(tmp_path / "study" / "truth" / "labels.dcm", volume).labels.any()
    assert_valid(tmp_path / "study" / "truth" / "labels.dcm")


@pytest.mark.slow
def test_the_same_study_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    write_study(hand_made(), tmp_path / "again", writers=ALL)
    assert contents(tmp_path / "again") == contents(folder)


def test_another_seed_or_protocol_shares_no_uid(folder: Path) -> None:
    others = [draw_study(4, load_protocol("spect_ct_16slice")), draw_study(3, load_protocol("hawkeye_slow"))]
    seeds = {series_description(hand_made(description)).seed for description in (*others, STUDY.description)}
    assert len(seeds) == 3
    assert len({study_name(description) for description in (*others, STUDY.description)}) == 3


def test_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def disk_full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    write_study(STUDY, tmp_path / "study", writers=("nifti",))
    before = contents(tmp_path / "study")
    monkeypatch.setattr("ctacal.simulate.output.folder.write_segmentation", disk_full)
    with pytest.raises(OSError, match="No space"):
        write_study(STUDY, tmp_path / "study")
    assert contents(tmp_path / "study") == before
    assert [path.name for path in tmp_path.iterdir()] == ["study"]


@pytest.mark.parametrize("spoil", ["changed", "missing", "added", "no record", "half a record"])
def test_a_study_is_whole_or_it_is_not(folder: Path, tmp_path: Path, spoil: str) -> None:
    study = tmp_path / "study"
    shutil.copytree(folder, study)
    assert whole_record(study) == record(folder)
    slice_file = study / "dicom" / "0007.dcm"
    match spoil:
        case "changed":
            slice_file.write_bytes(slice_file.read_bytes()[:-1] + b"\1")
        case "missing":
            slice_file.unlink()
        case "added":
            shutil.copy(slice_file, study / "dicom" / "0100.dcm")
        case "no record":
            (study / RECORD).unlink()
        case _:
            (study / RECORD).write_text((study / RECORD).read_text()[:200])
    assert whole_record(study) is None


def test_headers_have_the_patient_and_the_technique(folder: Path) -> None:
    files = sorted((folder / "dicom").iterdir())
    first, last = pydicom.dcmread(files[0]), pydicom.dcmread(files[-1])
    patient, protocol = STUDY.description.patient, STUDY.description.protocol
    assert (first.PatientSex, first.PatientAge) == (patient.sex, f"{round(patient.age_years):03}Y")
    assert float(first.PatientWeight) == pytest.approx(patient.bmi * (patient.height_cm / 100) ** 2, abs=0.06)
    assert (first.KVP, first.SliceThickness, first.RevolutionTime) == (120, 3.75, 0.5)
    assert first.SpiralPitchFactor == pytest.approx(0.938)
    assert first.TableSpeed == pytest.approx(0.938 * 20 / 0.5)
    assert first.Exposure == round(40 * 0.5 / 0.938)
    assert first.ReconstructionDiameter == protocol.fov_mm
    travel_s = 47 * protocol.spacing_mm / first.TableSpeed
    assert (first.AcquisitionTime, float(last.AcquisitionTime)) == (
        "120000.000",
        pytest.approx(120000 + travel_s, abs=2e-3),
    )
    assert "no patient" in first.ImageComments.lower()


@pytest.mark.parametrize("name", WORDS)
def test_every_system_is_listed_as_ctac_and_valid(name: str, tmp_path: Path) -> None:
    study = hand_made(draw_study(1, load_protocol(name)))
    write_study(study, tmp_path / "study", writers=("dicom",))
    choice = choose_series(read_studies([tmp_path / "study" / "dicom"]).studies[0])
    assert "attenuation-correction" in choice.why
    assert choice.notes == ()
    assert_valid(tmp_path / "study" / "dicom" / "0040.dcm")


def test_a_protocol_of_the_user_is_a_ctac_too(tmp_path: Path) -> None:
    write_study(hand_made(draw_study(1, tiny_protocol("Our scanner"))), tmp_path / "study", writers=("dicom",))
    assert choose_series(read_studies([tmp_path / "study" / "dicom"]).studies[0]).notes == ()


def test_seg_is_valid(folder: Path) -> None:
    assert_valid(folder / "truth" / "labels.dcm")
