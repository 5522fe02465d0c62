"""The files of a real scan with inserted calcium; the labels of a phantom replace the insertion."""

import json
from pathlib import Path

import numpy as np
import pydicom
import pytest

from ctacal.dicom.choose import choose_series
from ctacal.dicom.objects.labels import read_label_map
from ctacal.dicom.series import read_studies
from ctacal.dicom.volume import read_volume
from ctacal.simulate.insert.quality import ScanQuality
from ctacal.simulate.insert.study import InsertedStudy
from ctacal.simulate.output.folder import RECORD, whole_record
from ctacal.simulate.output.inserted import write_inserted
from ctacal.simulate.scanner.protocol import load_protocol
from tests.dicom_series import ct_series, study_of, write
from tests.simulate.studies import hand_made
from tests.tools import assert_valid


@pytest.fixture(scope="module")
def inserted(tmp_path_factory: pytest.TempPathFactory) -> InsertedStudy:
    real = study_of(write(tmp_path_factory.mktemp("real"), ct_series(PatientName="Real^Name", PatientID="real-id")))
    made = hand_made()
    quality = ScanQuality(
        protocol=load_protocol("spect_ct_2slice"), noise_hu=20.0, noise_power=((0.1, 5.0),), slice_correlation=0.1,
        border_motion_mm=None, calcium_hu_per_mg_cm3=1.2, edges=100,
    )  # fmt: skip
    return InsertedStudy(
        series=real.series[0], quality=quality, patient=made.description.patient, calcium=made.description.calcium,
        coronaries=(), volume=made.volume, labels=made.truth.labels, table=made.truth.table,
        ctac_score=made.truth.ctac_score, reference_score=made.truth.reference_score,
        notes=("one plaque found no place",),
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(inserted: InsertedStudy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out") / "inserted-5"
    write_inserted(inserted, folder, seed=5)
    return folder


def test_scan_and_labels_come_back(folder: Path, inserted: InsertedStudy) -> None:
    choice = choose_series(read_studies([folder / "dicom"]).studies[0])
    volume, _ = read_volume(choice.series)
    assert "attenuation-correction" in choice.why
    assert np.array_equal(volume.hu, inserted.volume.hu)
    for name in ("labels.nii.gz", "labels.dcm"):
        assert np.array_equal(read_label_map(folder / "truth" / name, volume).labels, inserted.labels.labels)
    assert sorted(path.name for path in (folder / "truth").iterdir()) == ["labels.dcm", "labels.nii.gz", "study.json"]


def test_record_is_complete_and_describes_what_was_inserted(folder: Path, inserted: InsertedStudy) -> None:
    record = json.loads((folder / RECORD).read_text())
    assert whole_record(folder) == record
    assert record["ctac_score"]["agatston"] == pytest.approx(inserted.ctac_score.agatston.total, abs=1e-3)
    assert (record["seed"], record["deposits"][0]["mass_mg"]) == (5, 4.0)
    assert record["notes"] == ["one plaque found no place"]
    assert record["reference_score"]["agatston"] == pytest.approx(inserted.reference_score.agatston.total, abs=1e-3)


def test_nothing_of_the_patient_s_identity_is_written(folder: Path, inserted: InsertedStudy) -> None:
    real_uids = {inserted.series.uid.encode(), inserted.series.header.study_uid.encode()}
    for file in folder.rglob("*.*"):
        content = file.read_bytes()
        assert b"Real^Name" not in content
        assert b"real-id" not in content
        assert not [uid for uid in real_uids if uid in content]


def test_headers_do_not_claim_what_is_not_known(folder: Path) -> None:
    image = pydicom.dcmread(folder / "dicom" / "0001.dcm")
    assert "XRayTubeCurrent" not in image
    assert "Exposure" not in image
    assert image.ImageType[0] == "DERIVED"
    assert image.KVP == 130
    assert_valid(folder / "dicom" / "0001.dcm")
    assert_valid(folder / "truth" / "labels.dcm")
