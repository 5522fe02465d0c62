"""Studies that a node is sent, and stores that have them already."""

import zipfile
from collections.abc import Iterable
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

from pydicom import Dataset, dcmread
from pydicom.uid import UID, ExplicitVRLittleEndian

from ctacal.jobs.node.intake import Limits, Taken, keep_object
from ctacal.jobs.node.store import Store
from tests import places
from tests.dicom_series import encoded

NO_LIMITS = Limits(largest_object_mb=1000, reserve_mb=0, reserve_percent=0)
PHANTOM_AGATSTON = 314.027


def phantom(folder: Path, study_uid: str = "", patient: str = "") -> list[Path]:
    """Unpack the drawn thorax of the package, 48 slices that the threshold predictor scores; returns its files.

    With ``study_uid`` it is another study: all its UIDs change, and the patient's name and ID are ``patient``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(places.SAMPLE / "thorax_phantom.zip") as packed:
        files = [folder / f"{Path(name).name}.dcm" for name in sorted(packed.namelist())]
        for name, file in zip(sorted(packed.namelist()), files, strict=True):
            file.write_bytes(packed.read(name))
    if study_uid:
        for number, file in enumerate(files):
            _rename(file, study_uid, number, patient or "Other")
    return files


def _rename(file: Path, study_uid: str, number: int, patient: str) -> None:
    image = dcmread(file)
    image.StudyInstanceUID, image.SeriesInstanceUID = study_uid, f"{study_uid}.1"
    image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = UID(f"{study_uid}.1.{number + 1}")
    image.FrameOfReferenceUID = f"{study_uid}.2"
    image.PatientName, image.PatientID = f"{patient}^Test", patient
    image.save_as(file)


def study_uid_of(files: Iterable[Path]) -> str:
    """Return the Study Instance UID of the first file."""
    return str(dcmread(next(iter(files)), stop_before_pixels=True).StudyInstanceUID)


def in_order(files: Iterable[Path]) -> list[Path]:
    """Return the files in the order of their Instance Numbers."""
    numbers = {file: int(dcmread(file, stop_before_pixels=True).InstanceNumber) for file in files}
    return sorted(numbers, key=lambda file: numbers[file])


def keep(store: Store, files: Iterable[Path]) -> str:
    """Put files into a store as if they had been received; returns the Study Instance UID of the last."""
    study_uid = ""
    for file in files:
        with file.open("rb") as content:
            taken = keep_object(store, NO_LIMITS, content)
        assert isinstance(taken, Taken), taken
        study_uid = taken.study_uid
    return study_uid


def write(image: Dataset, path: Path) -> Path:
    """Write a dataset as a file; returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(image, ExplicitVRLittleEndian))
    return path


def small_study(study_uid: str, patient: str = "Small") -> list[Dataset]:
    """Return the drawn thorax in 16 slices of 32 x 32, which "threshold" scores in 0.2 s; its score is 0."""
    images = []
    for number, template in enumerate(_small_slices()):
        image = deepcopy(template)
        image.StudyInstanceUID, image.SeriesInstanceUID = study_uid, f"{study_uid}.1"
        image.SOPInstanceUID, image.FrameOfReferenceUID = f"{study_uid}.1.{number + 1}", f"{study_uid}.2"
        image.PatientName, image.PatientID, image.InstanceNumber = f"{patient}^Test", patient, number + 1
        image.file_meta.MediaStorageSOPInstanceUID = UID(image.SOPInstanceUID)
        images.append(image)
    return images


@lru_cache(maxsize=1)
def _small_slices(step: int = 8, slice_step: int = 3) -> tuple[Dataset, ...]:
    with TemporaryDirectory() as folder:
        images = [dcmread(file) for file in in_order(phantom(Path(folder)))[::slice_step]]
    for image in images:
        image.decompress(generate_instance_uid=False)
        pixels = image.pixel_array[step // 2 :: step, step // 2 :: step]
        image.Rows, image.Columns = pixels.shape
        image.PixelData = pixels.tobytes()
        image.PixelSpacing = [float(mm) * step for mm in image.PixelSpacing]
        image.SliceThickness = float(image.SliceThickness) * slice_step
    return tuple(images)
