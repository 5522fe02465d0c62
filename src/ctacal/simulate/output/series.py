"""``write_series``: a volume as a CT Image Storage series, one file per slice (PS3.3 A.3)."""

import io
import os
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, generate_uid
from pydicom.valuerep import DSfloat

from ctacal.volume import Volume

RESCALE_INTERCEPT_HU = -1024
"""Stored values are unsigned, HU + 1024, as most scanners write them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesDescription:
    """The variable parts of the headers of a written series; the rest is fixed."""

    seed: int = 0
    """Determines all UIDs: the series of a study share the seed and differ in ``series_number``."""
    patient_id: str = "PHANTOM-0"
    patient_name: str = "Phantom^Drawn"
    study_description: str = "Myocardial perfusion SPECT/CT"
    series_description: str = "CTAC"
    series_number: int = 1
    study_date: str = "20240102"
    manufacturer: str = "ctacal"
    model: str = "Drawn phantom"
    patient_sex: str = "O"
    patient_age_years: float | None = None
    patient_size_m: float | None = None
    patient_weight_kg: float | None = None
    kernel: str = "SMOOTH"
    image_type: tuple[str, ...] = ("ORIGINAL", "PRIMARY", "AXIAL")
    kvp: float = 120.0
    tube_current_ma: int | None = 30
    """None: the headers have neither tube current nor exposure."""
    exposure_time_ms: int = 600
    slice_thickness_mm: float | None = None
    """None: equal to the slice spacing."""
    comments: str = ""
    technique: "Technique | None" = None
    """None: the headers have no acquisition details."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Technique:
    """Acquisition details (PS3.3 C.8.2.1); a drawn phantom has none."""

    rotation_s: float
    collimation_mm: float
    pitch: float | None
    """None: step and shoot."""
    field_mm: float
    """Width of the reconstructed image."""
    scan_field_mm: float
    focus_mm: float
    """From focus to isocentre."""
    effective_mas: float
    """Current x rotation time / pitch."""
    starts_s: tuple[float, ...]
    """Start of the acquisition of each slice, from the start of the scan."""


def write_series(
    volume: Volume,
    folder: Path,
    *,
    header: SeriesDescription | None = None,
    transfer_syntax: UID = ExplicitVRLittleEndian,
) -> list[Path]:
    """Write the slices, from the feet upwards, as ``0001.dcm`` .. in ``folder``; return their paths.

    ``header`` defaults to ``SeriesDescription()``. ``transfer_syntax`` may be a compressed syntax that pydicom can
    encode, such as RLE Lossless or JPEG-LS Lossless. Each file appears whole or not at all. The same volume and header
    give the same bytes. Raises ``ValueError`` if HU do not fit 16 bits.
    """
    stored = _stored_values(volume)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index, (image, pixels) in enumerate(zip(slice_headers(volume, header), stored, strict=True)):
        image.PixelData = pixels.tobytes()
        image["PixelData"].VR = "OW"
        if transfer_syntax != ExplicitVRLittleEndian:
            image.compress(transfer_syntax, generate_instance_uid=False)
        paths.append(_write(image, folder / f"{index + 1:04}.dcm"))
    return paths


def slice_headers(volume: Volume, header: SeriesDescription | None = None) -> list[Dataset]:
    """Return the headers, without pixels, of the files that ``write_series`` writes of the same volume."""
    header = header or SeriesDescription()
    common = _series_dataset(volume, header, bits=12 if np.rint(volume.hu.max()) < 2**12 + RESCALE_INTERCEPT_HU else 16)
    return [_slice_dataset(common, volume, header, index) for index in range(volume.geometry.shape[0])]


def _stored_values(volume: Volume) -> NDArray[np.uint16]:
    stored = np.rint(volume.hu.astype(np.float32)) - RESCALE_INTERCEPT_HU
    if stored.min() < 0 or stored.max() >= 2**16:
        low, high = volume.hu.min(), volume.hu.max()
        raise ValueError(f"HU must be {RESCALE_INTERCEPT_HU}..{2**16 - 1 + RESCALE_INTERCEPT_HU}, got {low}..{high}")
    return stored.astype("<u2")


def _uid(header: SeriesDescription, what: str) -> UID:
    return generate_uid(entropy_srcs=["ctacal.simulate", str(header.seed), what])


def _series_dataset(volume: Volume, header: SeriesDescription, bits: int) -> Dataset:
    """Return the attributes that all slices share."""
    image = Dataset()
    _describe_study(image, header)
    _describe_acquisition(image, header, volume.geometry.slice_spacing_mm)
    _describe_pixels(image, volume, bits)
    return image


def _describe_study(image: Dataset, header: SeriesDescription) -> None:
    """Set Patient, General Study, General Series, Frame of Reference, General Equipment (PS3.3 C.7)."""
    image.SOPClassUID = CTImageStorage
    image.PatientName, image.PatientID = header.patient_name, header.patient_id
    image.PatientBirthDate, image.PatientSex = "", header.patient_sex
    if header.patient_age_years is not None:
        image.PatientAge = f"{round(header.patient_age_years):03}Y"
    if header.patient_size_m is not None:
        image.PatientSize = _decimal(round(header.patient_size_m, 2))
    if header.patient_weight_kg is not None:
        image.PatientWeight = _decimal(round(header.patient_weight_kg, 1))
    image.StudyInstanceUID, image.StudyID = _uid(header, "study"), str(header.seed)
    image.StudyDate, image.StudyTime = header.study_date, "120000"
    image.ReferringPhysicianName, image.AccessionNumber = "", ""
    image.StudyDescription = header.study_description
    image.Modality, image.SeriesNumber = "CT", header.series_number
    image.SeriesInstanceUID = _uid(header, f"series {header.series_number}")
    image.SeriesDescription, image.ProtocolName = header.series_description, header.series_description
    image.SeriesDate, image.SeriesTime = header.study_date, "120000"
    image.BodyPartExamined, image.PatientPosition = "CHEST", "HFS"
    image.FrameOfReferenceUID, image.PositionReferenceIndicator = _uid(header, "frame of reference"), ""
    image.Manufacturer, image.ManufacturerModelName = header.manufacturer, header.model


def _describe_acquisition(image: Dataset, header: SeriesDescription, slice_spacing_mm: float) -> None:
    """Set General Image and CT Image (PS3.3 C.7.6.1, C.8.2.1)."""
    image.ImageType = list(header.image_type)
    image.AcquisitionNumber = 1
    image.AcquisitionDate = image.ContentDate = header.study_date
    image.AcquisitionTime = image.ContentTime = "120000"
    image.KVP = _decimal(header.kvp)
    if header.tube_current_ma is not None:
        image.XRayTubeCurrent, image.ExposureTime = header.tube_current_ma, header.exposure_time_ms
        image.Exposure = round(header.tube_current_ma * header.exposure_time_ms / 1000)
    image.ConvolutionKernel = header.kernel
    image.SliceThickness = _decimal(header.slice_thickness_mm or slice_spacing_mm)
    image.BurnedInAnnotation = "NO"
    if header.comments:
        image.ImageComments = header.comments
    if header.technique:
        _describe_technique(image, header.technique)


def _describe_technique(image: Dataset, technique: Technique) -> None:
    """Set the optional attributes of CT Image (PS3.3 C.8.2.1)."""
    image.Exposure = round(technique.effective_mas)
    image.DataCollectionDiameter = _decimal(technique.scan_field_mm)
    image.ReconstructionDiameter = _decimal(technique.field_mm)
    image.DistanceSourceToPatient = _decimal(technique.focus_mm)
    image.GantryDetectorTilt = _decimal(0)
    image.RevolutionTime, image.TotalCollimationWidth = technique.rotation_s, technique.collimation_mm
    if technique.pitch is not None:
        image.SpiralPitchFactor = technique.pitch
        image.TableFeedPerRotation = technique.pitch * technique.collimation_mm
        image.TableSpeed = image.TableFeedPerRotation / technique.rotation_s


def _describe_pixels(image: Dataset, volume: Volume, bits: int) -> None:
    """Set Image Plane and Image Pixel (PS3.3 C.7.6.2, C.7.6.3), and the rescaling to HU."""
    affine = volume.geometry.affine
    row_mm, column_mm = (float(np.linalg.norm(affine[:3, axis])) for axis in (1, 2))
    image.ImageOrientationPatient = _decimals([*affine[:3, 2] / column_mm, *affine[:3, 1] / row_mm])
    image.PixelSpacing = _decimals([row_mm, column_mm])
    image.Rows, image.Columns = volume.geometry.shape[1:]
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, bits, bits - 1, 0
    image.RescaleSlope, image.RescaleIntercept, image.RescaleType = _decimal(1), _decimal(RESCALE_INTERCEPT_HU), "HU"


def _slice_dataset(common: Dataset, volume: Volume, header: SeriesDescription, index: int) -> Dataset:
    image = deepcopy(common)  # Dataset(common) would share its elements
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.SOPInstanceUID = _uid(header, f"series {header.series_number} image {index}")
    image.InstanceNumber = index + 1
    image.ImagePositionPatient = _decimals(volume.geometry.to_patient_mm((index, 0, 0)))
    if header.technique:
        image.SliceLocation = image.ImagePositionPatient[2]
        image.AcquisitionTime = image.ContentTime = _clock(header.technique.starts_s[index])
    return image


def _clock(seconds: float) -> str:
    """Return the time of day so many seconds after noon (PS3.5 6.2, TM)."""
    minutes, rest = divmod(seconds, 60)
    return f"{12 + int(minutes) // 60:02}{int(minutes) % 60:02}{min(rest, 59.999):06.3f}"


def _decimal(value: float) -> DSfloat:
    """Return a decimal string of at most 16 characters (PS3.5 6.2)."""
    return DSfloat(float(value), auto_format=True)


def _decimals(values: Any) -> list[DSfloat]:
    return [_decimal(value) for value in values]


def _write(image: Dataset, path: Path) -> Path:
    """Write a temporary file, then rename it."""
    content = io.BytesIO()
    image.save_as(content, enforce_file_format=True)
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(content.getvalue())
    os.replace(part, path)  # noqa: PTH105
    return path
