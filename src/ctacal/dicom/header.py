"""``Slice``: the header of an image, or of a frame of a multi-frame image; nothing is guessed."""

import re
import struct
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO

from pydicom import Dataset, dcmread
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.tag import Tag
from pydicom.uid import (
    UID,
    CTImageStorage,
    EnhancedCTImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
    MediaStorageDirectoryStorage,
)

from ctacal.dicom.source import ARCHIVE_ERRORS, Source, looks_like_dicom
from ctacal.dicom.transfer_syntaxes import DEFLATED, GE_PRIVATE
from ctacal.errors import Code, Refusal

MAX_FRAME_PIXELS = 4096 * 4096
"""Largest matrix of a CT; Rows and Columns that claim more are wrong."""

MAX_FRAMES = 4096
"""Largest number of frames of a CT image."""

READING_ERRORS = (
    *ARCHIVE_ERRORS, InvalidDicomError, BytesLengthException, TypeError, AttributeError, AssertionError,
)  # fmt: skip
"""The exceptions that pydicom and its decoders were seen to raise on corrupted files."""

_TAGS = {
    keyword: Tag(keyword)
    for keyword in (
        "SpecificCharacterSet", "ImageType", "SOPClassUID", "SOPInstanceUID", "Modality", "Manufacturer",
        "StudyDescription", "SeriesDescription", "ManufacturerModelName", "PatientID", "PatientSex", "PatientAge",
        "ContrastBolusAgent", "ScanOptions", "SliceThickness", "KVP", "ProtocolName", "XRayTubeCurrent", "ExposureTime",
        "Exposure", "ConvolutionKernel", "StudyInstanceUID", "SeriesInstanceUID", "SeriesNumber",
        "AcquisitionNumber", "InstanceNumber", "ImagePositionPatient", "ImageOrientationPatient", "FrameOfReferenceUID",
        "SamplesPerPixel", "NumberOfFrames", "Rows", "Columns", "PixelSpacing",
        "BitsAllocated", "BitsStored", "PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit",
        "RescaleIntercept", "RescaleSlope", "RescaleType", "ModalityLUTSequence", "SharedFunctionalGroupsSequence",
        "PerFrameFunctionalGroupsSequence", "StudyDate", "RevolutionTime",
        "PatientName", "PatientBirthDate", "StudyTime", "SeriesDate", "SeriesTime", "DerivationDescription",
        "LossyImageCompression", "RequestedProcedureDescription", "PerformedProcedureStepDescription",
        "BodyPartExamined", "AcquisitionDate", "AcquisitionTime", "AcquisitionDateTime", "ContentTime",
        "ImagesInAcquisition", "NumberOfStudyRelatedInstances", "NumberOfSeriesRelatedInstances",
        "TemporalPositionIdentifier", "NominalPercentageOfCardiacPhase", "TriggerTime", "SpacingBetweenSlices",
        "HighBit",
    )
}  # fmt: skip
"""The elements that are read; the rest of a header is skipped, which halves the time."""

_CT_SOP_CLASSES = (CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage)
_PIXEL_DATA_TAG = (0x7FE0, 0x0010)
ITEM_START = b"\xfe\xff\x00\xe0"
"""First bytes of encapsulated pixels: an item, in little endian (PS3.5 A.4)."""
_UNDEFINED_LENGTH = 0xFFFFFFFF

Numbers = tuple[float, ...]
Getter = Callable[[str], Any]
Known = dict[Any, Any]
"""Converted values by the bytes they came from, and series headers: the images of a series differ in few of them."""

_REQUEST = ("RequestedProcedureDescription", "PerformedProcedureStepDescription")
_TEMPORAL_POSITION = (
    "TemporalPositionIdentifier", "TemporalPositionIndex", "NominalPercentageOfCardiacPhase", "TriggerTime",
)  # fmt: skip
_OWN_TO_EACH_IMAGE = ("SOPInstanceUID", "InstanceNumber", "ImagePositionPatient", "AcquisitionTime", "ContentTime")


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
    study_date: str
    study_time: str
    series_date: str
    series_time: str
    study_description: str
    series_description: str
    protocol_name: str
    request: str
    """Requested Procedure Description and Performed Procedure Step Description."""
    body_part: str
    derivation: str
    """Derivation Description: how the image was made from others, in free text."""
    series_number: int | None
    manufacturer: str
    model: str
    kernel: str
    kvp: float | None
    scan_options: str
    contrast_agent: str
    samples_per_pixel: int | None
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
    temporal_position: float | None
    """Temporal Position Identifier, else cardiac phase (percent), else Trigger Time (ms); mostly None."""
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
    rotation_s: float | None
    """Revolution Time, else Exposure Time (by manufacturer: of a rotation, of a slice in a helix, or of the scan)."""
    native: NativePixels | None
    """None if the pixels are compressed or inside a deflated dataset."""
    transfer_syntax: str
    """Its UID; empty if the file does not say."""


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
            image = dcmread(file, stop_before_pixels=True, force=True, specific_tags=list(_TAGS.values()))
            get = _getter(image, known)
            native = _native_pixels(image, get, file)
        if not _is_image(image, get):
            return []
        return _slices(source, image, get, native, known)
    except Refusal:
        raise
    except READING_ERRORS as problem:
        raise Refusal(Code.FILE_UNREADABLE, f"{type(problem).__name__}: {problem}; copy it again") from problem


def _getter(image: Dataset, known: Known) -> Getter:
    """Return an ``image.get`` that converts equal bytes only once: pydicom converts half as fast as it parses."""
    charset = str(image.get("SpecificCharacterSet"))

    def get(keyword: str) -> Any:
        raw = _raw(image, keyword)
        if raw is None or keyword in _OWN_TO_EACH_IMAGE or not isinstance(raw.value, bytes):
            return None if raw is None else image.get(keyword)
        key = (keyword, raw.VR, raw.value, raw.is_little_endian, charset)
        if key not in known:
            known[key] = image.get(keyword)
        return known[key]

    return get


def _raw(image: Dataset, keyword: str) -> Any:
    """Return the element as it was read, unless it was converted already; None if it is missing or was not read."""
    tag = _TAGS.get(keyword)
    return None if tag is None else image.get_item(tag)


def _is_image(image: Dataset, get: Getter) -> bool:
    """Whether the file is an image; raises ``Refusal`` if it must be, but its header ends too early."""
    kind = get("SOPClassUID") or image.file_meta.get("MediaStorageSOPClassUID")
    if kind == MediaStorageDirectoryStorage:
        return False
    is_ct = kind in _CT_SOP_CLASSES or (not kind and get("Modality") == "CT")  # raw data are of modality CT too
    has_series, has_rows = (_raw(image, keyword) is not None for keyword in ("SeriesInstanceUID", "Rows"))
    must_have_series = has_rows or not kind or "Image Storage" in UID(kind).name  # protocols, palettes have none
    if (must_have_series and not has_series) or (is_ct and not has_rows):
        raise Refusal(Code.FILE_UNREADABLE, "the header ends early or names no series; copy it again")
    return has_rows


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
    content, bits = head[12 if explicit else 8 :], _integer(get("BitsAllocated"))
    if tag != _PIXEL_DATA_TAG or length == _UNDEFINED_LENGTH or bits not in (8, 16, 32):
        return None
    rows, columns, frames = (_integer(get(k)) for k in ("Rows", "Columns", "NumberOfFrames"))
    if not pixels_fit(length, frames or 1, rows or 0, columns or 0, bits) or content[:4] == ITEM_START:
        return None  # decoding will say what is wrong
    words = ">" if syntax == GE_PRIVATE else order
    return NativePixels(file.tell() - len(content), f"{words}u{bits // 8}")


def pixels_fit(length: int, frames: int, rows: int, columns: int, bits: int) -> bool:
    """Whether ``length`` bytes hold these pixels, with less than a row of padding at the end."""
    size = frames * rows * columns * bits // 8
    return size <= length < size + columns * bits // 8


def _slices(source: Source, image: Dataset, get: Getter, native: NativePixels | None, known: Known) -> list[Slice]:
    frames = 1
    if get("Modality") == "CT":
        rows, columns, frames = int(get("Rows")), int(get("Columns")), int(get("NumberOfFrames") or 1)
        if not 0 < rows * columns <= MAX_FRAME_PIXELS or not 0 < frames <= MAX_FRAMES:
            raise Refusal(Code.TOO_LARGE, f"claims {frames} frames of {rows} x {columns} pixels")
    getters = [get] * frames
    if per_frame := image.get("PerFrameFunctionalGroupsSequence"):
        shared = _first(image.get("SharedFunctionalGroupsSequence"))
        getters = [partial(_find, [own, shared], get) for own in per_frame[:frames]]
    if len(getters) < frames:
        raise Refusal(Code.FILE_UNREADABLE, f"describes only {len(getters)} of its {frames} frames; copy it again")
    slices, syntax = [], str(image.file_meta.get("TransferSyntaxUID", ""))
    for frame, get_frame in enumerate(getters):
        header = _series_header(get_frame)
        slices.append(_slice(source, frame, known.setdefault(header, header), get_frame, native, syntax))
    return slices


def _find(groups: Sequence[Dataset | None], get: Getter, keyword: str) -> Any:
    """Return an element of the frame's or the shared functional groups, else of the image itself (PS3.3 C.7.6.16).

    Macros nest the element one sequence down.
    """
    for group in groups:
        if group is None:
            continue
        if keyword in group:
            return group.get(keyword)
        for element in group:
            if element.VR == "SQ" and element.value and keyword in element.value[0]:
                return element.value[0].get(keyword)
    return get(keyword)


def _first(sequence: Any) -> Dataset | None:
    return sequence[0] if sequence else None


def _series_header(get: Getter) -> SeriesHeader:
    return SeriesHeader(
        study_uid=_text(get("StudyInstanceUID")),
        series_uid=_text(get("SeriesInstanceUID")),
        frame_of_reference_uid=_text(get("FrameOfReferenceUID")),
        modality=_text(get("Modality")),
        sop_class_uid=_text(get("SOPClassUID")),
        image_type=_texts(get("FrameType") or get("ImageType")),
        patient_id=_text(get("PatientID")),
        patient_name=_text(get("PatientName")),
        patient_birth_date=_text(get("PatientBirthDate")),
        patient_sex=_text(get("PatientSex")),
        patient_age=_text(get("PatientAge")),
        study_date=_text(get("StudyDate")),
        study_time=_text(get("StudyTime")),
        series_date=_text(get("SeriesDate")),
        series_time=_text(get("SeriesTime")),
        study_description=_text(get("StudyDescription")),
        series_description=_text(get("SeriesDescription")),
        protocol_name=_text(get("ProtocolName")),
        request=" | ".join(filter(None, (_text(get(keyword)) for keyword in _REQUEST))),
        body_part=_text(get("BodyPartExamined")),
        derivation=_text(get("DerivationDescription")),
        series_number=_integer(get("SeriesNumber")),
        manufacturer=_text(get("Manufacturer")),
        model=_text(get("ManufacturerModelName")),
        kernel="/".join(_texts(get("ConvolutionKernel"))),
        kvp=_number(get("KVP")),
        scan_options=" ".join(_texts(get("ScanOptions"))),
        contrast_agent=_text(get("ContrastBolusAgent")),
        samples_per_pixel=_integer(get("SamplesPerPixel")),
        bits_allocated=_integer(get("BitsAllocated")),
        rescale_type=_text(get("RescaleType")),
        is_lossy=_text(get("LossyImageCompression")) == "01",
    )


def _slice(
    source: Source, frame: int, header: SeriesHeader, get: Getter, native: NativePixels | None, syntax: str
) -> Slice:
    return Slice(
        source=source,
        frame=frame,
        header=header,
        sop_instance_uid=_text(get("SOPInstanceUID")),
        acquisition_number=_integer(get("AcquisitionNumber")),
        instance_number=_integer(get("InstanceNumber")),
        acquired_at=_acquired_at(get),
        content_time=_text(get("ContentTime")),
        images_in_acquisition=_integer(get("ImagesInAcquisition")),
        study_instances=_integer(get("NumberOfStudyRelatedInstances")),
        series_instances=_integer(get("NumberOfSeriesRelatedInstances")),
        temporal_position=_temporal_position(get),
        rows=int(get("Rows")),
        columns=int(get("Columns")),
        position_mm=_numbers(get("ImagePositionPatient"), 3),
        orientation=_numbers(get("ImageOrientationPatient"), 6),
        pixel_spacing_mm=_numbers(get("PixelSpacing"), 2),
        thickness_mm=_number(get("SliceThickness")),
        spacing_between_slices_mm=_number(get("SpacingBetweenSlices")),
        rescale_slope=_number(get("RescaleSlope")),
        rescale_intercept=_number(get("RescaleIntercept")),
        has_modality_lut=bool(get("ModalityLUTSequence")),
        bits_stored=_integer(get("BitsStored")),
        high_bit=_integer(get("HighBit")),
        is_signed=_is_signed(get),
        padding=_padding(get),
        exposure_mas=_number(get("ExposureInmAs")) or _exposure_mas(get),
        rotation_s=_number(get("RevolutionTime")) or _exposure_s(get),
        native=native,
        transfer_syntax=syntax,
    )


def _acquired_at(get: Getter) -> str:
    """Return the moment of acquisition without offset from UTC; dates of ACR-NEMA hold points, times colons."""
    written = _text(get("FrameAcquisitionDateTime") or get("AcquisitionDateTime"))
    if written:
        return re.split("[+-]", written)[0]
    date, time = _text(get("AcquisitionDate")).replace(".", ""), _text(get("AcquisitionTime")).replace(":", "")
    return date + time if date and time else ""


def _temporal_position(get: Getter) -> float | None:
    values = (_number(get(keyword)) for keyword in _TEMPORAL_POSITION)
    return next((value for value in values if value is not None), None)


def _is_signed(get: Getter) -> bool | None:
    written = _integer(get("PixelRepresentation"))
    return None if written is None else written == 1


def _exposure_s(get: Getter) -> float | None:
    time_ms = _number(get("ExposureTime"))
    return time_ms / 1000 if time_ms is not None else None


def _exposure_mas(get: Getter) -> float | None:
    """Return Exposure (mAs), else tube current (mA) x exposure time (ms) / 1000."""
    current_ma, time_s = _number(get("XRayTubeCurrent")), _exposure_s(get)
    product = current_ma * time_s if current_ma is not None and time_s is not None else None
    return _number(get("Exposure")) or product


def _padding(get: Getter) -> tuple[int, int] | None:
    """Return the padding range in stored values, modulo 2^bits: the VR of these tags often has the wrong sign."""
    value, limit, bits = (_integer(get(k)) for k in ("PixelPaddingValue", "PixelPaddingRangeLimit", "BitsAllocated"))
    if value is None:
        return None
    signed = _integer(get("PixelRepresentation")) == 1
    ends = [_as_stored(end, bits or 16, signed=signed) for end in (value, value if limit is None else limit)]
    return min(ends), max(ends)


def _as_stored(value: int, bits: int, *, signed: bool) -> int:
    value %= 2**bits
    return value - 2**bits if signed and value >= 2 ** (bits - 1) else value


def _text(value: Any) -> str:
    return " ".join(_texts(value))


def _texts(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    values = [value] if isinstance(value, str | int | float) or not hasattr(value, "__iter__") else value
    return tuple("".join(c for c in str(v) if c.isprintable()).strip() for v in values)


def _number(value: Any) -> float | None:
    numbers = _numbers(value, 1)
    return numbers[0] if numbers else None


def _integer(value: Any) -> int | None:
    number = _number(value)
    return None if number is None else int(number)


def _numbers(value: Any, count: int) -> Numbers | None:
    """Return ``count`` finite numbers, or None: decimal strings in the wild hold anything."""
    values = [value] if isinstance(value, str | int | float) or not hasattr(value, "__iter__") else list(value)
    try:
        numbers = tuple(float(v) for v in values)
    except (TypeError, ValueError):
        return None
    finite = all(abs(number) < 1e9 for number in numbers)
    return numbers if len(numbers) == count and finite else None
