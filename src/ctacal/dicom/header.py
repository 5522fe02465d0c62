"""``Slice``: the header of an image, or of a frame of a multi-frame image; nothing is guessed."""

import re
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

import numpy as np
from pydicom import Dataset
from pydicom.datadict import dictionary_description
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.uid import (
    UID,
    CTImageStorage,
    EnhancedCTImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
    MediaStorageDirectoryStorage,
)

from ctacal.dicom.files.source import ARCHIVE_ERRORS, Source, looks_like_dicom
from ctacal.dicom.headers.contrast import Agent, read_agents
from ctacal.dicom.headers.dataset import read_dataset
from ctacal.dicom.headers.elements import TAGS, Getter, Known, image_getter, is_written, same_bytes
from ctacal.dicom.headers.exposure import exposure_mas, rotation_s
from ctacal.dicom.headers.functional_groups import frame_getters
from ctacal.dicom.headers.request import request_texts
from ctacal.dicom.headers.values import LARGEST, Numbers, integer, number, numbers, text, texts, within
from ctacal.dicom.pixel_data.transfer_syntaxes import DEFLATED, GE_PRIVATE
from ctacal.errors import Code, Refusal

MAX_FRAME_PIXELS = 4096 * 4096
"""Largest matrix of a CT; Rows and Columns that claim more are wrong."""

MAX_FRAMES = 4096
"""Largest number of frames of a CT image."""

READING_ERRORS = (
    *ARCHIVE_ERRORS, InvalidDicomError, BytesLengthException, TypeError, AttributeError, AssertionError,
)  # fmt: skip
"""The exceptions that pydicom and its decoders were seen to raise on corrupted files."""

_CT_SOP_CLASSES = (CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage)
_PIXEL_DATA_TAG = (0x7FE0, 0x0010)
ITEM_START = b"\xfe\xff\x00\xe0"
"""First bytes of encapsulated pixels: an item, in little endian (PS3.5 A.4)."""
_UNDEFINED_LENGTH = 0xFFFFFFFF

THICKNESS_MM = (0.1, 50.0)
"""Range of Slice Thickness; anything else is not used."""

KVP = (40.0, 200.0)
"""Range of the tube voltage; 0 and volts (120000) are not used."""

_NUMBERS_OF_A_SCORE = {
    "ImagePositionPatient": (3, LARGEST), "ImageOrientationPatient": (6, 1.0), "PixelSpacing": (2, 100.0),
    "RescaleSlope": (1, 100.0), "RescaleIntercept": (1, LARGEST),
}  # fmt: skip
"""Attributes that every score depends on: the number of their values, and the size that none of them reaches."""

_VOLUME_VALUES = ("VolumetricProperties", "VolumeBasedCalculationTechnique")
_TEMPORAL_POSITION = (
    "TemporalPositionIdentifier", "TemporalPositionIndex", "NominalPercentageOfCardiacPhase", "TriggerTime",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class SeriesHeader:
    """The values that the images of a series share (PS3.3: Patient, Study, Series, Equipment, CT Image modules)."""

    study_uid: str
    series_uid: str
    frame_of_reference_uid: str
    modality: str
    sop_class_uid: str
    image_type: tuple[str, ...]
    patient_id: str
    patient_name: str
    patient_birth_date: str
    """As written: YYYYMMDD, or empty."""
    patient_sex: str
    patient_age: str
    patient_weight_kg: float | None
    study_date: str
    study_time: str
    series_date: str
    series_time: str
    study_description: str
    series_description: str
    protocol_name: str
    request: str
    """Descriptions of the requested, scheduled and performed procedure (``request_texts``)."""
    body_part: str
    derivation: str
    """Derivation Description: how the image was made from others, in free text."""
    series_number: int | None
    manufacturer: str
    model: str
    device_serial_number: str
    kernel: str
    kvp: float | None
    scan_options: str
    contrast: tuple[Agent, ...]
    """Every contrast agent of the Contrast/Bolus modules; mostly none."""
    volume_values: tuple[str, ...]
    """Volumetric Properties and Volume Based Calculation Technique of Enhanced CT."""
    is_multi_energy: bool
    """Multi-energy CT Acquisition is YES."""
    samples_per_pixel: int
    """As written, else by the photometric interpretation: 1 unless that is a colour space."""
    photometric: str
    """Photometric Interpretation, or empty."""
    bits_allocated: int | None
    rescale_type: str
    is_lossy: bool
    """Lossy Image Compression is 01: the pixels were compressed with loss at some time (PS3.3 C.7.6.1.1.5)."""

    @property
    def text(self) -> str:
        """The free texts that name a series, lower case."""
        return " | ".join([self.series_description, self.protocol_name, self.study_description]).lower()


@dataclass(frozen=True, slots=True)
class NativePixels:
    """Position of uncompressed pixel values in the file, so that they are read without parsing the header again."""

    offset: int
    """Start of the first frame, in bytes from the start of the file."""
    dtype: str
    """Unsigned words, with their byte order."""


@dataclass(frozen=True, slots=True)
class Slice:
    """An image plane: where its pixels are stored, where it lies, and how its values become Hounsfield units."""

    source: Source
    frame: int
    """Index of the frame, from 0; always 0 in a single-frame image."""
    header: SeriesHeader
    sop_instance_uid: str
    acquisition_number: int | None
    instance_number: int | None
    acquired_at: str
    """Date and time of acquisition, YYYYMMDDHHMMSS.FFFFFF, as far as written; empty if either is missing."""
    content_time: str
    images_in_acquisition: int | None
    study_instances: int | None
    """Number of Study Related Instances, which some archives write into the images."""
    series_instances: int | None
    stack_id: str
    """Stack ID: the stack of parallel slices that a frame of a multi-frame image belongs to; else empty."""
    temporal_position: float | None
    """Temporal Position Identifier, else cardiac phase (percent), else Trigger Time (ms); mostly None."""
    concatenation: tuple[str, int | None, int | None] | None
    """(UID, number, total) if the file is a part of a multi-frame image that was stored in several (PS3.3 C.7.6.16)."""
    rows: int
    columns: int
    position_mm: Numbers | None
    """Image Position (Patient): the centre of the first pixel, LPS."""
    orientation: Numbers | None
    """Image Orientation (Patient): the directions of rising column, then of rising row index."""
    pixel_spacing_mm: Numbers | None
    """Distance between (rows, columns)."""
    thickness_mm: float | None
    spacing_between_slices_mm: float | None
    """Spacing Between Slices as written; negative in some scans, and never proof of a distance."""
    rescale_slope: float | None
    rescale_intercept: float | None
    has_modality_lut: bool
    bits_stored: int | None
    high_bit: int | None
    is_signed: bool | None
    """Pixel Representation; None if it is missing."""
    padding: tuple[int, int] | None
    """Lowest and highest stored value that stand for padding (PS3.3 C.7.5.1.1.2)."""
    exposure_mas: float | None
    """Rotation time; None if the header gives no plausible value."""
    rotation_s: float | None
    """Revolution Time, else Exposure Time; None if implausible."""
    native: NativePixels | None
    """None if the pixels are compressed or inside a deflated dataset."""
    transfer_syntax: str
    """Its UID; empty if the file does not say."""
    faults: tuple[str, ...]
    """Why position, orientation, pixel spacing or rescale cannot be read though something is written, in words."""


@contextmanager
def quiet_pydicom() -> Iterator[None]:
    """Silence pydicom's warnings about odd values: all that matter are checked here and reported with their file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def read_slices(source: Source, known: Known) -> list[Slice]:
    """Read the image planes of a file; an image that is not CT gives a single entry for its series.

    ``known`` collects the values converted so far. Raises ``Refusal`` (``FILE_UNREADABLE``, ``TOO_LARGE``); returns
    nothing if the file is not DICOM or no image.
    """
    try:
        with source.open() as file:
            if not looks_like_dicom(file):
                return []
            image, in_place = read_dataset(file, stop_before_pixels=True, specific_tags=list(TAGS.values()))
            get = image_getter(image, known)
            native = _native_pixels(image, get, file) if in_place else None
            if native is not None and not get("BitsAllocated"):  # uncompressed pixels say themselves how long they are
                image.BitsAllocated = 8 * np.dtype(native.dtype).itemsize
        if not _is_image(image, get):
            return []
        return _slices(source, image, get, native, known)
    except Refusal:
        raise
    except READING_ERRORS as problem:
        raise Refusal(Code.FILE_UNREADABLE, f"{type(problem).__name__}: {problem}; copy it again") from problem


def _is_image(image: Dataset, get: Getter) -> bool:
    """Whether the file is an image; raises ``Refusal`` if it must be, but its header ends too early."""
    kind = text(get("SOPClassUID"))
    if kind == MediaStorageDirectoryStorage:
        return False
    if is_written(image, "Rows"):
        return True
    is_ct = kind in _CT_SOP_CLASSES or (not kind and text(get("Modality")) == "CT")  # raw data are of modality CT too
    has_series = not kind or "Image Storage" in UID(kind).name  # protocols, palettes have none
    if is_ct or (has_series and not is_written(image, "SeriesInstanceUID")):
        raise Refusal(Code.FILE_UNREADABLE, "the header ends early or names no series; copy it again")
    return False


def _native_pixels(image: Dataset, get: Getter, file: BinaryIO) -> NativePixels | None:
    """Find where uncompressed pixels begin, if there are any; the file is at the Pixel Data element.

    The form of the element decides (PS3.5 sections 7.1 and A.4), not the transfer syntax, which can be wrong.
    """
    syntax = str(image.file_meta.get("TransferSyntaxUID", ""))
    head = file.read(16)
    if len(head) < 16 or syntax in DEFLATED:
        return None
    order = "<" if image.original_encoding[1] else ">"
    explicit = head[4:6].isalpha() and head[4:6].isupper()
    tag, (length,) = (
        struct.unpack(order + "HH", head[:4]),
        struct.unpack(order + "I", head[8:12] if explicit else head[4:8]),
    )
    content = head[12 if explicit else 8 :]
    rows, columns, frames = (max(integer(get(k)) or 1, 1) for k in ("Rows", "Columns", "NumberOfFrames"))
    bits = integer(get("BitsAllocated")) or 8 * length // (rows * columns * frames)
    if tag != _PIXEL_DATA_TAG or length == _UNDEFINED_LENGTH or bits not in (8, 16, 32):
        return None
    if not pixels_fit(length, frames, rows, columns, bits) or content[:4] == ITEM_START:
        return None  # decoding will say what is wrong
    words = ">" if syntax == GE_PRIVATE else order
    return NativePixels(file.tell() - len(content), f"{words}u{bits // 8}")


def pixels_fit(length: int, frames: int, rows: int, columns: int, bits: int) -> bool:
    """Whether ``length`` bytes hold these pixels, with less than a row of padding at the end."""
    size = frames * rows * columns * bits // 8
    return size <= length < size + columns * bits // 8


def _slices(source: Source, image: Dataset, get: Getter, native: NativePixels | None, known: Known) -> list[Slice]:
    rows, columns = integer(get("Rows")), integer(get("Columns"))
    if rows is None or columns is None:
        raise Refusal(Code.FILE_UNREADABLE, "Rows or Columns is empty or not a number; copy it again")
    getters, contradiction = [get], ""
    if _modality(get) == "CT":
        frames = _frame_count(get)
        if not 0 < rows * columns <= MAX_FRAME_PIXELS or not 0 <= frames <= MAX_FRAMES:
            raise Refusal(Code.TOO_LARGE, f"claims {frames} frames of {rows} x {columns} pixels")
        getters = frame_getters(image, get, frames, known)
        if len(getters) != frames:
            contradiction = f"the header describes {len(getters)} frames, but Number of Frames is"
            contradiction = f"{contradiction} '{text(get('NumberOfFrames'))}'; copy the file again"
    syntax = str(image.file_meta.get("TransferSyntaxUID", ""))
    frames = len(getters)
    described = frames == 1 or is_written(image, "PerFrameFunctionalGroupsSequence")
    slices = []
    for frame, get_frame in enumerate(getters):
        header = _header_of_image(image, get, known) if get_frame is get else _series_header(get_frame)
        slice_ = _slice(source, frame, known.setdefault(header, header), get_frame, native, syntax)
        rescale = slice_.rescale_slope, slice_.rescale_intercept
        if contradiction:  # which frame lies where is not known
            slice_ = replace(slice_, position_mm=None, faults=(contradiction,))
        elif None in (slice_.position_mm, slice_.orientation, slice_.pixel_spacing_mm, *rescale):
            slice_ = replace(slice_, faults=_faults(get_frame, frame, frames, described=described))
        slices.append(slice_)
    return slices


def _frame_count(get: Getter) -> int:
    """Return Number of Frames, 1 if it is missing, 0 if it is no number of frames."""
    if not text(get("NumberOfFrames")):
        return 1
    frames = max(integer(get("NumberOfFrames")) or 0, 0)
    if not frames and get("SOPClassUID") == CTImageStorage:  # it has one frame by definition (PS3.3 A.3)
        return 1
    return frames


def _numbers_of_a_score(get: Getter, keyword: str) -> Numbers | None:
    count, largest = _NUMBERS_OF_A_SCORE[keyword]
    return numbers(get(keyword), count, largest=largest)


def _faults(get: Getter, frame: int, frames: int, *, described: bool) -> tuple[str, ...]:
    """Say what the header gets wrong about geometry and rescale; what it leaves out is no fault of this kind."""
    if not described:
        message = f"Number of Frames is {frames}, and no functional groups give the position of each frame"
        return (f"{message}; export the series as single images or as Enhanced CT",)
    found = []
    for keyword, (count, _) in _NUMBERS_OF_A_SCORE.items():
        name, written = dictionary_description(keyword), get(keyword)
        if frames > 1 and keyword == "ImagePositionPatient" and not text(written):
            found.append(f"frame {frame + 1} has no {name} of its own")
        elif text(written) and _numbers_of_a_score(get, keyword) is None:
            meant = "a number" if count == 1 else f"{count} numbers"
            found.append(f"{name} is '{text(written)}', not {meant}")
    return tuple(found)


def _header_of_image(image: Dataset, get: Getter, known: Known) -> SeriesHeader:
    """Return the series header of a single-frame image, made once for all images whose elements are the same.

    The elements that it is made from are those that were read while one was made.
    """
    read = known.setdefault(_series_header, {"SpecificCharacterSet": None})
    meta = text(image.file_meta.get("MediaStorageSOPClassUID"))
    key = (meta, *same_bytes(image, read))
    if key not in known:

        def reading(keyword: str) -> Any:
            read[keyword] = None
            return get(keyword)

        header = _series_header(reading)
        key = (meta, *same_bytes(image, read))
        known[key] = header
    header_of_same_bytes: SeriesHeader = known[key]
    return header_of_same_bytes


def _series_header(get: Getter) -> SeriesHeader:
    return SeriesHeader(
        study_uid=text(get("StudyInstanceUID")),
        series_uid=text(get("SeriesInstanceUID")),
        frame_of_reference_uid=text(get("FrameOfReferenceUID")),
        modality=_modality(get),
        sop_class_uid=text(get("SOPClassUID")),
        image_type=texts(get("FrameType") or get("ImageType")),
        patient_id=text(get("PatientID")),
        patient_name=text(get("PatientName")),
        patient_birth_date=text(get("PatientBirthDate")),
        patient_sex=text(get("PatientSex")),
        patient_age=text(get("PatientAge")),
        patient_weight_kg=number(get("PatientWeight")),
        study_date=text(get("StudyDate")),
        study_time=text(get("StudyTime")),
        series_date=text(get("SeriesDate")),
        series_time=text(get("SeriesTime")),
        study_description=text(get("StudyDescription")),
        series_description=text(get("SeriesDescription")),
        protocol_name=text(get("ProtocolName")),
        request=" | ".join(request_texts(get)),
        body_part=text(get("BodyPartExamined")),
        derivation=text(get("DerivationDescription")),
        series_number=integer(get("SeriesNumber")),
        manufacturer=text(get("Manufacturer")),
        model=text(get("ManufacturerModelName")),
        device_serial_number=text(get("DeviceSerialNumber")),
        kernel="/".join(texts(get("ConvolutionKernel"))),
        kvp=within(number(get("KVP"), largest=KVP[1]), *KVP),
        scan_options=" ".join(texts(get("ScanOptions"))),
        contrast=read_agents(get),
        volume_values=tuple(filter(None, (text(get(keyword)) for keyword in _VOLUME_VALUES))),
        is_multi_energy=text(get("MultienergyCTAcquisition")) == "YES",
        samples_per_pixel=_samples_per_pixel(get),
        photometric=text(get("PhotometricInterpretation")),
        bits_allocated=integer(get("BitsAllocated")),
        rescale_type=text(get("RescaleType")),
        is_lossy=text(get("LossyImageCompression")) == "01",
    )


def _slice(
    source: Source, frame: int, header: SeriesHeader, get: Getter, native: NativePixels | None, syntax: str
) -> Slice:
    return Slice(
        source=source,
        frame=frame,
        header=header,
        sop_instance_uid=text(get("SOPInstanceUID")),
        acquisition_number=integer(get("FrameAcquisitionNumber") or get("AcquisitionNumber")),
        instance_number=integer(get("InstanceNumber")),
        acquired_at=_acquired_at(get),
        content_time=text(get("ContentTime")),
        images_in_acquisition=integer(get("ImagesInAcquisition")),
        study_instances=integer(get("NumberOfStudyRelatedInstances")),
        series_instances=integer(get("NumberOfSeriesRelatedInstances")),
        stack_id=text(get("StackID")),
        temporal_position=_temporal_position(get),
        concatenation=_concatenation(get),
        rows=int(get("Rows")),
        columns=int(get("Columns")),
        position_mm=_numbers_of_a_score(get, "ImagePositionPatient"),
        orientation=_numbers_of_a_score(get, "ImageOrientationPatient"),
        pixel_spacing_mm=_numbers_of_a_score(get, "PixelSpacing"),
        thickness_mm=within(number(get("SliceThickness"), largest=THICKNESS_MM[1]), *THICKNESS_MM),
        spacing_between_slices_mm=number(get("SpacingBetweenSlices")),
        rescale_slope=number(_numbers_of_a_score(get, "RescaleSlope")),
        rescale_intercept=number(_numbers_of_a_score(get, "RescaleIntercept")),
        has_modality_lut=bool(get("ModalityLUTSequence")),
        bits_stored=integer(get("BitsStored")),
        high_bit=integer(get("HighBit")),
        is_signed=_is_signed(get),
        padding=_padding(get),
        exposure_mas=exposure_mas(get),
        rotation_s=rotation_s(get),
        native=native,
        transfer_syntax=syntax,
        faults=(),
    )


def _modality(get: Getter) -> str:
    """Return Modality; if it is missing, the storage classes of CT say it as well."""
    return text(get("Modality")).upper() or ("CT" if get("SOPClassUID") in _CT_SOP_CLASSES else "")


def _samples_per_pixel(get: Getter) -> int:
    colour = text(get("PhotometricInterpretation")).startswith(("RGB", "YBR", "HSV", "ARGB", "CMYK"))
    return integer(get("SamplesPerPixel")) or (3 if colour else 1)


def _concatenation(get: Getter) -> tuple[str, int | None, int | None] | None:
    whole = text(get("ConcatenationUID"))
    part, parts = (integer(get(keyword)) for keyword in ("InConcatenationNumber", "InConcatenationTotalNumber"))
    return (whole, part, parts) if whole else None


def _acquired_at(get: Getter) -> str:
    """Return the moment of acquisition without offset from UTC; dates of ACR-NEMA hold points, times colons."""
    written = text(get("FrameAcquisitionDateTime") or get("AcquisitionDateTime"))
    if written:
        return re.split("[+-]", written)[0]
    date, time = text(get("AcquisitionDate")).replace(".", ""), text(get("AcquisitionTime")).replace(":", "")
    return date + time if date and time else ""


def _temporal_position(get: Getter) -> float | None:
    values = (number(get(keyword)) for keyword in _TEMPORAL_POSITION)
    return next((value for value in values if value is not None), None)


def _is_signed(get: Getter) -> bool | None:
    written = integer(get("PixelRepresentation"))
    return None if written is None else written == 1


def _padding(get: Getter) -> tuple[int, int] | None:
    """Return the padding range in stored values, modulo 2^bits: the VR of these tags often has the wrong sign."""
    value, limit, bits = (integer(get(k)) for k in ("PixelPaddingValue", "PixelPaddingRangeLimit", "BitsAllocated"))
    if value is None:
        return None
    signed = integer(get("PixelRepresentation")) == 1
    ends = [_as_stored(end, bits or 16, signed=signed) for end in (value, value if limit is None else limit)]
    return min(ends), max(ends)


def _as_stored(value: int, bits: int, *, signed: bool) -> int:
    value %= 2**bits
    return value - 2**bits if signed and value >= 2 ** (bits - 1) else value
