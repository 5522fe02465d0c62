"""The elements of a header that are read, by keyword; equal bytes are converted once for all images."""

from collections.abc import Callable, Iterable
from typing import Any

from pydicom import Dataset
from pydicom.datadict import dictionary_VR
from pydicom.tag import BaseTag, Tag

from ctacal.dicom.headers.contrast import CONTRAST_KEYWORDS
from ctacal.dicom.headers.request import REQUEST_KEYWORDS

TAGS: dict[str, BaseTag] = {
    keyword: Tag(keyword)
    for keyword in (
        "SpecificCharacterSet", "ImageType", "SOPClassUID", "SOPInstanceUID", "Modality", "Manufacturer",
        "StudyDescription", "SeriesDescription", "ManufacturerModelName", "PatientID", "PatientSex", "PatientAge",
        "ScanOptions", "SliceThickness", "KVP", "ProtocolName", "XRayTubeCurrent", "ExposureTime",
        "Exposure", "ConvolutionKernel", "StudyInstanceUID", "SeriesInstanceUID", "SeriesNumber",
        "AcquisitionNumber", "InstanceNumber", "ImagePositionPatient", "ImageOrientationPatient", "FrameOfReferenceUID",
        "SamplesPerPixel", "NumberOfFrames", "Rows", "Columns", "PixelSpacing",
        "BitsAllocated", "BitsStored", "PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit",
        "RescaleIntercept", "RescaleSlope", "RescaleType", "ModalityLUTSequence", "SharedFunctionalGroupsSequence",
        "PerFrameFunctionalGroupsSequence", "StudyDate", "RevolutionTime",
        "PatientName", "PatientBirthDate", "StudyTime", "SeriesDate", "SeriesTime", "DerivationDescription",
        "LossyImageCompression", *REQUEST_KEYWORDS,
        "BodyPartExamined", "AcquisitionDate", "AcquisitionTime", "AcquisitionDateTime", "ContentTime",
        "ImagesInAcquisition", "NumberOfStudyRelatedInstances", "NumberOfSeriesRelatedInstances",
        "TemporalPositionIdentifier", "NominalPercentageOfCardiacPhase", "TriggerTime", "SpacingBetweenSlices",
        "HighBit", "PhotometricInterpretation", "ExposureInuAs", "XRayTubeCurrentInuA", "ExposureTimeInuS",
        "ConcatenationUID", "InConcatenationNumber", "InConcatenationTotalNumber",
        "DeviceSerialNumber", "PatientWeight",
        "VolumetricProperties", "VolumeBasedCalculationTechnique", "MultienergyCTAcquisition", *CONTRAST_KEYWORDS,
    )
}  # fmt: skip
"""The elements that are read of an image; the rest of a header is skipped, which halves the time."""

Getter = Callable[[str], Any]
"""The value of the element of a keyword, or None. Decimal and integer strings stay text: ``values.numbers`` reads them
where pydicom raises an error."""

Known = dict[Any, Any]
"""Converted values by the bytes they came from, and series headers: the images of a series differ in few of them."""

_OWN_TO_EACH_IMAGE = ("SOPInstanceUID", "InstanceNumber", "ImagePositionPatient", "AcquisitionTime", "ContentTime")
_NUMERIC_TEXT = ("DS", "IS")
_TEXT_OR_UNKNOWN = (None, "UN", *_NUMERIC_TEXT, "AE", "CS", "LO", "LT", "SH", "ST", "UC", "UT")
_IN_FILE_META = {"SOPClassUID": "MediaStorageSOPClassUID", "SOPInstanceUID": "MediaStorageSOPInstanceUID"}


def image_getter(image: Dataset, known: Known) -> Getter:
    """Return a getter of the top level of an image; the file meta information stands in for a missing class or UID."""
    charset = str(image.get("SpecificCharacterSet"))

    def get(keyword: str) -> Any:
        if keyword not in TAGS:
            return None
        value = value_of(image, TAGS[keyword], keyword, known, charset)
        return image.file_meta.get(_IN_FILE_META[keyword]) if not value and keyword in _IN_FILE_META else value

    return get


def value_of(dataset: Dataset, tag: BaseTag, keyword: str, known: Known, charset: str = "") -> Any:
    """Return the value of an element, or None if it is not there."""
    raw: Any = dataset.get_item(tag)
    if raw is None:
        return None
    if not isinstance(raw.value, bytes):
        return dataset.get(keyword)
    if keyword in _OWN_TO_EACH_IMAGE:
        return _converted(dataset, tag, keyword, raw)
    key = (keyword, raw.VR, raw.value, raw.is_little_endian, charset)
    if key not in known:
        known[key] = _converted(dataset, tag, keyword, raw)
    return known[key]


def same_bytes(image: Dataset, keywords: Iterable[str]) -> tuple[Any, ...]:
    """Return what the elements hold as it was read: equal for images that write the same, without converting it."""
    return tuple([_as_read(image.get_item(TAGS[keyword])) for keyword in keywords if keyword in TAGS])


def _as_read(raw: Any) -> Any:
    if raw is None:
        return None
    return (raw.VR, raw.value, raw.is_little_endian) if isinstance(raw.value, bytes) else str(raw.value)


def is_written(image: Dataset, keyword: str) -> bool:
    """Whether the image holds the element, with a value or without."""
    return TAGS[keyword] in image


def _converted(dataset: Dataset, tag: BaseTag, keyword: str, raw: Any) -> Any:
    if raw.VR in _TEXT_OR_UNKNOWN and dictionary_VR(tag) in _NUMERIC_TEXT:
        try:
            return str(raw.value, "utf-8")
        except UnicodeDecodeError:
            return str(raw.value, "latin-1")
    return dataset.get(keyword)
