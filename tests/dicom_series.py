"""Synthetic CT series with a known truth: a small chest, and a bright marker voxel at a known place in the patient.

``ct_series`` gives a list of datasets, which a test may spoil; ``write`` stores them; ``volume_of`` and ``refusal_of``
read them back as scoring does.
"""

import io
import itertools
import warnings
import zlib
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset, write_file_meta_info
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    NuclearMedicineImageStorage,
    PositronEmissionTomographyImageStorage,
    RLELossless,
    generate_uid,
)

from ctacal.dicom.choose import choose_series
from ctacal.dicom.series import Intake, Study, read_studies
from ctacal.dicom.volume import decode_volume
from ctacal.errors import Code, Refusal
from ctacal.volume import Volume

MARKER_MM = (21.3, -40.5, 112.0)
"""Position of the marker voxel's centre in the patient (LPS), on every grid."""

MARKER_INDEX = (8, 20, 25)
"""(slice, row, column) of the marker in the order in which ``ct_series`` makes them."""

MARKER_HU = 1500

SYNTAXES = (
    ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian,
    RLELossless, JPEG2000Lossless, JPEGLSLossless, JPEGLosslessSV1,
)  # fmt: skip

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


@dataclass(frozen=True)
class Grid:
    """Matrix, spacing and orientation of the slices; the marker stays at ``MARKER_MM``."""

    slices: int = 14
    rows: int = 48
    columns: int = 40
    row_mm: float = 0.9
    column_mm: float = 0.7
    slice_mm: float = 3.0
    orientation: tuple[float, ...] = AXIAL
    step_mm: tuple[float, float, float] | None = None
    """Step from a slice to the next; None: along the normal. A gantry tilt is a step off the normal."""

    @property
    def axes_mm(self) -> NDArray[np.float64]:
        """(3, 3): the steps in the patient of the slice, the row and the column index, as rows."""
        across, down = np.reshape(self.orientation, (2, 3))
        step = np.cross(across, down) * self.slice_mm if self.step_mm is None else np.asarray(self.step_mm)
        return np.array([step, down * self.row_mm, across * self.column_mm])

    def position_mm(self, index: int) -> list[float]:
        """Image Position (Patient) of a slice."""
        first = np.asarray(MARKER_MM) - MARKER_INDEX @ self.axes_mm
        return [round(float(mm), 6) for mm in first + index * self.axes_mm[0]]


@lru_cache(maxsize=8)
def chest_hu(grid: Grid) -> NDArray[np.int16]:
    """(slices, rows, columns): air around, soft tissue, two lungs, the marker; every slice differs from the others."""
    depth, row, column = np.indices((grid.slices, grid.rows, grid.columns))
    down = 2 * row / (grid.rows - 1) - 1
    across = 2 * column / (grid.columns - 1) - 1
    grain = (7 * depth + 3 * row + 5 * column) % 11 - 5
    hu = np.where(across**2 / 0.9 + down**2 / 0.7 < 1, 40, -1000)
    hu[(np.abs(across) - 0.55) ** 2 / 0.07 + (down - 0.1) ** 2 / 0.25 < 1] = -800
    hu[(across - 0.2) ** 2 + down**2 < 0.02 + 0.001 * depth] = 60
    hu = hu + grain
    hu[MARKER_INDEX] = MARKER_HU
    stored: NDArray[np.int16] = hu.astype(np.int16)
    stored.flags.writeable = False
    return stored


@lru_cache(maxsize=1000)
def uid(*names: object) -> str:
    """The same UID for the same names."""
    return str(generate_uid(entropy_srcs=["ctacal", *map(str, names)]))


def ct_series(grid: Grid = Grid(), *, name: str = "ctac", **attributes: Any) -> list[Dataset]:
    """Return a CT dataset per slice, with the marker; ``attributes`` replace any element (None leaves it out).

    Two series of a study differ in ``name``, from which their UIDs are made.
    """
    series = []
    for index, hu in enumerate(chest_hu(grid)):
        image = _copy(_ct_elements(name))
        image.SOPInstanceUID, image.InstanceNumber = uid(name, index), index + 1
        image.ImageOrientationPatient = [round(c, 8) for c in grid.orientation]
        image.ImagePositionPatient = grid.position_mm(index)
        image.PixelSpacing = [grid.row_mm, grid.column_mm]
        for keyword, value in attributes.items():
            if value is None:
                delattr(image, keyword)
            else:
                setattr(image, keyword, value)
        store_hu(image, hu)
        series.append(image)
    return series


def _copy(image: Dataset) -> Dataset:
    """Copy the elements, without file meta information, so that a test may spoil a single slice."""
    return Dataset({element.tag: copy(element) for element in image})


@lru_cache(maxsize=8)
def _ct_elements(name: str) -> Dataset:
    image = _common_elements("CT", CTImageStorage, name)
    image.SeriesDescription = "CTAC"
    image.KVP, image.Exposure, image.SliceThickness = "120", "20", "3"
    image.ConvolutionKernel, image.AcquisitionNumber = "B30f", 1
    image.RescaleSlope, image.RescaleIntercept, image.RescaleType = "1", "-1024", "HU"
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 12, 11, 0
    return image


def _common_elements(modality: str, sop_class: str, name: str) -> Dataset:
    """Patient, study, series, frame of reference and equipment."""
    image = Dataset()
    image.SpecificCharacterSet = "ISO_IR 100"
    image.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    image.SOPClassUID, image.Modality = sop_class, modality
    image.StudyDate = image.SeriesDate = image.AcquisitionDate = image.ContentDate = "20240102"
    image.StudyTime = image.SeriesTime = image.AcquisitionTime = image.ContentTime = "101112"
    image.AccessionNumber, image.StudyID, image.ReferringPhysicianName = "", "1", ""
    image.PatientName, image.PatientID, image.PatientBirthDate, image.PatientSex = "Test^Phantom", "P1", "19500101", "F"
    image.PatientAge, image.PatientPosition, image.PositionReferenceIndicator = "074Y", "HFS", ""
    image.Manufacturer, image.ManufacturerModelName, image.SoftwareVersions = "ctacal", "phantom", "1"
    image.DeviceSerialNumber = "1"
    image.StudyInstanceUID, image.SeriesInstanceUID = uid("study"), uid("series", name)
    image.FrameOfReferenceUID, image.SeriesNumber = uid("frame"), 2
    return image


def emission_image(modality: str = "NM", *, name: str = "emission", **attributes: Any) -> Dataset:
    """A small NM or PT image in the same study and frame of reference."""
    sop_class = NuclearMedicineImageStorage if modality == "NM" else PositronEmissionTomographyImageStorage
    image = _common_elements(modality, sop_class, name)
    image.SOPInstanceUID, image.SeriesDescription, image.InstanceNumber = uid(name, "image"), "Stress", 1
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 16, 15, 0
    for keyword, value in attributes.items():
        setattr(image, keyword, value)
    store_values(image, np.zeros((16, 16), np.uint16))
    return image


def store_hu(image: Dataset, hu: NDArray[Any]) -> None:
    """Set the pixels so that the image's own rescale gives ``hu``."""
    slope, intercept = float(image.get("RescaleSlope", 1)), float(image.get("RescaleIntercept", 0))
    store_values(image, np.rint((hu - intercept) / slope).astype(np.int64))


def store_values(image: Dataset, values: NDArray[Any]) -> None:
    """Set the stored pixel values, truncated to Bits Allocated."""
    image.Rows, image.Columns = values.shape
    image["PixelData"] = _pixel_element(values.astype(f"<u{image.BitsAllocated // 8}").tobytes())


def _pixel_element(content: bytes) -> Any:
    element = Dataset()
    element.add_new("PixelData", "OW", content)
    return element["PixelData"]


def values_of(image: Dataset) -> NDArray[np.uint16]:
    """(rows, columns): a copy of the stored 16-bit words."""
    return np.frombuffer(image.PixelData, "<u2").reshape(image.Rows, image.Columns).copy()


def enhanced_ct(images: Sequence[Dataset]) -> Dataset:
    """Return a true Enhanced CT image (PS3.3 A.38) of single-frame images, with all that geometry and rescale need."""
    first = images[0]
    whole = _common_elements("CT", EnhancedCTImageStorage, "enhanced")
    whole.SOPInstanceUID, whole.InstanceNumber = uid("enhanced", "image"), 1
    whole.SeriesDescription, whole.NumberOfFrames = first.SeriesDescription, len(images)
    for keyword in (
        "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
        "Rows", "Columns",
    ):  # fmt: skip
        setattr(whole, keyword, first[keyword].value)
    whole.SharedFunctionalGroupsSequence = [_shared_macros(first)]
    whole.PerFrameFunctionalGroupsSequence = [_frame_macros(image) for image in images]
    whole["PixelData"] = _pixel_element(b"".join(image.PixelData for image in images))
    return whole


def _item(source: Dataset, *keywords: str) -> list[Dataset]:
    item = Dataset()
    for keyword in keywords:
        item.add(source[keyword])
    return [item]


def _shared_macros(image: Dataset) -> Dataset:
    shared = Dataset()
    shared.PixelMeasuresSequence = _item(image, "PixelSpacing", "SliceThickness")
    shared.PlaneOrientationSequence = _item(image, "ImageOrientationPatient")
    shared.CTReconstructionSequence = _item(image, "ConvolutionKernel")
    shared.CTXRayDetailsSequence = _item(image, "KVP")
    frame_type = Dataset()
    frame_type.FrameType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    shared.CTImageFrameTypeSequence = [frame_type]
    return shared


def _frame_macros(image: Dataset) -> Dataset:
    macros = Dataset()
    macros.PlanePositionSequence = _item(image, "ImagePositionPatient")
    macros.PixelValueTransformationSequence = _item(image, "RescaleSlope", "RescaleIntercept", "RescaleType")
    return macros


def legacy_converted_ct(images: Sequence[Dataset]) -> Dataset:
    """A Legacy Converted Enhanced CT image (PS3.3 A.70), by highdicom."""
    from highdicom.legacy import LegacyConvertedEnhancedCTImage

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return LegacyConvertedEnhancedCTImage(
            [in_file_format(image) for image in images], uid("series", "legacy"), 3, uid("legacy"), 1
        )


def in_file_format(image: Dataset, syntax: str = ExplicitVRLittleEndian) -> Any:
    """The dataset as read back from a PS3.10 file."""
    return dcmread(io.BytesIO(encoded(image, syntax)))


def encoded(image: Dataset, syntax: str = ExplicitVRLittleEndian, *, preamble: bool = True) -> bytes:
    """The bytes of a DICOM file; without preamble, a bare dataset in implicit VR."""
    if not preamble:
        return _elements(image, ImplicitVRLittleEndian)
    if syntax in (JPEGLosslessSV1, JPEG2000Lossless, JPEGExtended12Bit):
        return _by_gdcm(encoded(image), syntax)
    if syntax in (RLELossless, JPEGLSLossless):
        image = _compressed(image, syntax)
    if syntax == ExplicitVRBigEndian and "PixelData" in image:
        image = _copy(image)
        image["PixelData"] = _pixel_element(np.frombuffer(image.PixelData, "<u2").byteswap().tobytes())
    content = _elements(image, syntax)
    if syntax == DeflatedExplicitVRLittleEndian:
        packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        content = packer.compress(content) + packer.flush()
    return _file_head(image.SOPClassUID, image.SOPInstanceUID, syntax) + content


def in_fragments(image: Dataset, frame: bytes, syntax: str) -> bytes:
    """The bytes of a DICOM file whose pixels are this frame, encapsulated as it is (PS3.5 A.4)."""
    whole = _copy(image)
    whole["PixelData"] = _pixel_element(encapsulate([frame]))
    whole["PixelData"].VR, whole["PixelData"].is_undefined_length = "OB", True
    return _file_head(image.SOPClassUID, image.SOPInstanceUID, syntax) + _elements(whole, ExplicitVRLittleEndian)


def relabelled(content: bytes, syntax: str) -> bytes:
    """The file with another transfer syntax UID, and nothing else of the dataset changed."""
    meta = dcmread(io.BytesIO(content), force=True, specific_tags=[]).file_meta
    start = 144 + int.from_bytes(content[140:144], "little")
    return _file_head(meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID, syntax) + content[start:]


def write_files(folder: Path, contents: Iterable[bytes]) -> Path:
    """Store whole files under ``folder`` (made if missing) and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, content in enumerate(contents):
        (folder / by_number(index)).write_bytes(content)
    return folder


def _elements(image: Dataset, syntax: str) -> bytes:
    stream = DicomBytesIO()
    stream.is_little_endian = syntax != ExplicitVRBigEndian
    stream.is_implicit_VR = syntax == ImplicitVRLittleEndian
    write_dataset(stream, image)
    return stream.getvalue()


@lru_cache(maxsize=1000)
def _file_head(sop_class: str, sop_instance: str, syntax: str) -> bytes:
    """Preamble and file meta information (PS3.10 section 7.1)."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = UID(sop_class), UID(sop_instance)
    meta.TransferSyntaxUID = UID(syntax)
    stream = DicomBytesIO()
    write_file_meta_info(stream, meta)
    return bytes(128) + b"DICM" + stream.getvalue()


def _compressed(image: Dataset, syntax: str) -> Dataset:
    ready = _copy(image)
    ready.file_meta = FileMetaDataset()
    ready.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ready.compress(syntax, generate_instance_uid=False)
    return ready


def _by_gdcm(content: bytes, syntax: str) -> bytes:
    """Compress a file's content by GDCM, which only knows files."""
    import tempfile

    import gdcm  # type: ignore[import-untyped]

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "image.dcm")
        path.write_bytes(content)
        reader = gdcm.ImageReader()
        reader.SetFileName(str(path))
        assert reader.Read()
        change = gdcm.ImageChangeTransferSyntax()
        change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(syntax)))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer = gdcm.ImageWriter()
        writer.SetFileName(str(path))
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        assert writer.Write()
        return path.read_bytes()


def by_number(index: int) -> str:
    """File names as a scanner's export has them."""
    return f"IM{index:04}"


def write(
    folder: Path,
    images: Iterable[Dataset],
    *,
    syntax: str = ExplicitVRLittleEndian,
    preamble: bool = True,
    name: Callable[[int], str] = by_number,
) -> Path:
    """Store the images under ``folder`` (made if missing) and return it."""
    for index, image in enumerate(images):
        path = folder / name(index)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(image, syntax, preamble=preamble))
    return folder


def intake_of(*paths: Path) -> Intake:
    """Return what ctacal finds under the paths."""
    return read_studies(paths)


def study_of(*paths: Path) -> Study:
    """Read the only study under the paths."""
    (study,) = read_studies(paths).studies
    return study


def volume_of(*paths: Path, wanted_uid: str | None = None, **options: bool) -> tuple[Volume, list[Code]]:
    """Return the volume that would be scored, and the codes of all notes."""
    study = study_of(*paths)
    choice = choose_series(study, wanted_uid, **options)
    volume, notes = decode_volume(choice.stack)
    return volume, [note.code for note in itertools.chain(study.notes, choice.notes, choice.series.notes, notes)]


def refusal_of(*paths: Path, wanted_uid: str | None = None, **options: bool) -> Code:
    """Return the code with which the study is refused; the test fails if it is not."""
    try:
        volume, _ = volume_of(*paths, wanted_uid=wanted_uid, **options)
    except Refusal as refusal:
        return refusal.reason.code
    raise AssertionError(f"not refused, but read as a volume of {volume.geometry.shape}")


def marker_mm(volume: Volume) -> NDArray[np.float64]:
    """Return the position of the brightest voxel in the patient."""
    return volume.geometry.to_patient_mm(np.unravel_index(int(volume.hu.argmax()), volume.hu.shape))


def assert_truth(volume: Volume, grid: Grid = Grid(), *, within_mm: float = 1e-3) -> None:
    """Assert that the marker has its position and brightness on a canonical grid with the right spacing."""
    np.testing.assert_allclose(marker_mm(volume), MARKER_MM, atol=within_mm)
    assert volume.hu.max() == MARKER_HU
    np.testing.assert_allclose(volume.geometry.spacing_mm, _canonical_spacing_mm(grid), rtol=1e-5)
    assert np.diag(volume.geometry.affine[:3, [2, 1, 0]]).min() > 0


def _canonical_spacing_mm(grid: Grid) -> tuple[float, float, float]:
    """Slice spacing is measured along the normal; a patient on the side has rows and columns exchanged."""
    across, down = np.reshape(grid.orientation, (2, 3))
    depth = abs(float(np.cross(across, down) @ grid.axes_mm[0]))
    turned = abs(across[1]) > abs(across[0])
    return (depth, grid.column_mm, grid.row_mm) if turned else (depth, grid.row_mm, grid.column_mm)
