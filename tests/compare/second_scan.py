"""A later scan of the patient of the sample: its images with other noise, date, UIDs and perhaps more calcium."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.uid import generate_uid

from tests import places

SAMPLE = places.SAMPLE / "simulated_ctac.zip"


def sample_images() -> list[Dataset]:
    """Return the images of the sample, each with its pixels."""
    with zipfile.ZipFile(SAMPLE) as archive:
        names = sorted(archive.namelist())
        return [dcmread(io.BytesIO(archive.read(name))) for name in names]


def write_scan(
    folder: Path,
    *,
    seed: int = 1,
    noise_hu: float = 6.0,
    gain: float = 1.0,
    change: Callable[[Dataset], None] = lambda _: None,
    **attributes: Any,
) -> Path:
    """Write the sample anew: other noise, voxels above 130 HU in the heart's height ``gain`` times as far above it.

    ``attributes`` are set in every image, such as ``StudyDate``; ``change`` may do more to each.
    """
    folder.mkdir(parents=True)
    random = np.random.default_rng(seed)
    study, series, frame = (generate_uid(entropy_srcs=["second", str(seed), what]) for what in ("study", "series", "f"))
    for number, image in enumerate(sample_images()):
        hu = image.pixel_array.astype(np.float64) * float(image.RescaleSlope) + float(image.RescaleIntercept)
        hu = np.where((hu > 130) & (hu < 1000), 130 + gain * (hu - 130), hu) + random.normal(0, noise_hu, hu.shape)
        stored = (hu - float(image.RescaleIntercept)) / float(image.RescaleSlope)
        image.set_pixel_data(
            np.clip(np.rint(stored), 0, 4095).astype(image.pixel_array.dtype), "MONOCHROME2", int(image.BitsStored)
        )
        image.StudyInstanceUID, image.SeriesInstanceUID, image.FrameOfReferenceUID = study, series, frame
        image.SOPInstanceUID = generate_uid(entropy_srcs=["second", str(seed), str(number)])
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
        for keyword, value in attributes.items():
            setattr(image, keyword, value)
        change(image)
        image.save_as(folder / f"{number:04}.dcm")
    return folder
