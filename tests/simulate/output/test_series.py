import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEGLSLossless, RLELossless

from ctacal.dicom.series import read_studies
from ctacal.dicom.volume import read_volume
from ctacal.geometry import Geometry
from ctacal.simulate.output.series import SeriesDescription, write_series
from ctacal.simulate.phantom.thorax import draw_thorax
from ctacal.volume import Volume


@pytest.fixture(scope="module")
def volume() -> Volume:
    return draw_thorax((8, 64, 64), (20.0, 6.4, 6.4)).volume


@pytest.mark.parametrize("transfer_syntax", [ExplicitVRLittleEndian, JPEGLSLossless, RLELossless])
def test_round_trip_gives_the_same_voxels_and_affine(volume: Volume, tmp_path: Path, transfer_syntax: UID) -> None:
    paths = write_series(volume, tmp_path, transfer_syntax=transfer_syntax)
    intake = read_studies([tmp_path])
    read, notes = read_volume(intake.studies[0].series[0])
    assert [path.name for path in sorted(tmp_path.iterdir())] == [path.name for path in paths]
    assert np.array_equal(read.hu, volume.hu)
    np.testing.assert_allclose(read.geometry.affine, volume.geometry.affine, atol=1e-12)
    assert not notes and not intake.skipped


def test_same_volume_and_header_give_the_same_bytes(volume: Volume, tmp_path: Path) -> None:
    first, again = (write_series(volume, tmp_path / name) for name in ("first", "again"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]


def test_series_of_one_seed_share_study_and_frame_but_nothing_else(volume: Volume, tmp_path: Path) -> None:
    headers = [SeriesDescription(series_number=1), SeriesDescription(series_number=2), SeriesDescription(seed=1)]
    files = [write_series(volume, tmp_path / str(i), header=header)[0] for i, header in enumerate(headers)]
    rest, stress, other = (pydicom.dcmread(file) for file in files)
    assert rest.StudyInstanceUID == stress.StudyInstanceUID != other.StudyInstanceUID
    assert rest.FrameOfReferenceUID == stress.FrameOfReferenceUID != other.FrameOfReferenceUID
    assert len({image.SeriesInstanceUID for image in (rest, stress, other)}) == 3
    assert len({image.SOPInstanceUID for image in (rest, stress, other)}) == 3


def test_twelve_bits_unless_values_need_sixteen(volume: Volume, tmp_path: Path) -> None:
    metal = Volume(np.where(volume.hu > 300, np.int16(20000), volume.hu), volume.geometry)
    bits = [pydicom.dcmread(write_series(v, tmp_path / v.hu.max().astype(str))[0]).BitsStored for v in (volume, metal)]
    assert bits == [12, 16]


def test_refuses_values_that_cannot_be_stored(tmp_path: Path) -> None:
    below = Volume(np.full((5, 8, 8), -2000, np.int16), Geometry.from_spacing((5, 8, 8), (3.0, 1.0, 1.0)))
    with pytest.raises(ValueError, match="-2000"):
        write_series(below, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dicom3tools is not installed")
@pytest.mark.parametrize("transfer_syntax", [ExplicitVRLittleEndian, JPEGLSLossless])
def test_dciodvfy_finds_no_fault(volume: Volume, tmp_path: Path, transfer_syntax: UID) -> None:
    for path in write_series(volume, tmp_path, transfer_syntax=transfer_syntax)[::4]:
        report = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False).stderr
        assert "CTImage" in report
        assert "Error" not in report and "Warning" not in report, report
