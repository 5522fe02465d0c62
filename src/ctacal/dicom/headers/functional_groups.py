"""Attributes of the frames of a multi-frame image, each read from the macro that owns it (PS3.3 C.7.6.16 and C.8.15.3).

A functional group holds more sequences than its macros: references to other images and their derivation, values of the
real world, private copies of source headers. These use the same attributes about something else.
"""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from pydicom import Dataset
from pydicom.tag import BaseTag, Tag

from ctacal.dicom.headers.contrast import CONTRAST_KEYWORDS
from ctacal.dicom.headers.elements import Getter, Known, is_written, value_of

_MACROS = {
    "PixelMeasuresSequence": ("PixelSpacing", "SliceThickness", "SpacingBetweenSlices"),
    "PlanePositionSequence": ("ImagePositionPatient",),
    "PlaneOrientationSequence": ("ImageOrientationPatient",),
    "PixelValueTransformationSequence": ("RescaleIntercept", "RescaleSlope", "RescaleType"),
    "FrameContentSequence": (
        "FrameAcquisitionNumber", "FrameAcquisitionDateTime", "TemporalPositionIndex", "StackID",
    ),
    "CardiacSynchronizationSequence": ("NominalPercentageOfCardiacPhase",),
    "CTImageFrameTypeSequence": ("FrameType", "VolumetricProperties", "VolumeBasedCalculationTechnique"),
    "ContrastBolusUsageSequence": ("ContrastBolusAgentAdministered",),
    "CTAcquisitionDetailsSequence": ("RevolutionTime",),
    "CTReconstructionSequence": ("ConvolutionKernel",),
    "CTExposureSequence": ("ExposureInmAs", "XRayTubeCurrentInmA", "ExposureTimeInms"),
    "CTXRayDetailsSequence": ("KVP",),
}  # fmt: skip
"""Attributes by the macro that owns them."""

_RESCALE = ("RescaleIntercept", "RescaleSlope")
_INSEPARABLE = dict.fromkeys(_RESCALE, _RESCALE)
"""Attributes that mean something together only: they are never read from two macros."""

_CONVERTED = (
    "AcquisitionNumber", "InstanceNumber", "AcquisitionDate", "AcquisitionTime", "AcquisitionDateTime", "ContentTime",
    "ImagesInAcquisition", "TemporalPositionIdentifier", "NominalPercentageOfCardiacPhase", "TriggerTime",
    "KVP", "ConvolutionKernel", "Exposure", "ExposureInuAs", "XRayTubeCurrent", "XRayTubeCurrentInuA", "ExposureTime",
    "ExposureTimeInuS", "RevolutionTime", "SliceThickness", "SpacingBetweenSlices", "ScanOptions", "ProtocolName",
    "BodyPartExamined", "DerivationDescription", "RescaleType",
    *CONTRAST_KEYWORDS,
)  # fmt: skip
"""Attributes of single-frame CT that Legacy Converted Enhanced CT keeps in the macros of converted attributes, because
it has no macro for them (PS3.3 C.7.6.16.2.25 and 26)."""

_MACRO_OF = {keyword: Tag(macro) for macro, keywords in _MACROS.items() for keyword in keywords}
_TAG_OF = {keyword: Tag(keyword) for keyword in (*_MACRO_OF, *_CONVERTED)}
_GROUPS = ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence")
_CONVERTED_PER_FRAME = Tag("UnassignedPerFrameConvertedAttributesSequence")
_CONVERTED_SHARED = Tag("UnassignedSharedConvertedAttributesSequence")


def frame_getters(image: Dataset, get: Getter, frames: int, known: Known) -> list[Getter]:
    """Return a getter for each frame described; fewer or more than ``frames`` if the header contradicts itself.

    It looks for each attribute in the frame's own macro, then in the shared one, then among converted attributes, then
    at the top level, where some writers leave what all frames share. The position of one of several frames is only its
    own.
    """
    if frames == 1 and not any(is_written(image, sequence) for sequence in _GROUPS):
        return [get]
    per_frame = image.get("PerFrameFunctionalGroupsSequence") or [Dataset()] * max(frames, 1)
    shared = list(image.get("SharedFunctionalGroupsSequence") or ())
    return [partial(_frame_value, [own], shared, get, known, frames > 1) for own in per_frame]


def _items(groups: Iterable[Dataset], sequence: BaseTag) -> list[Dataset]:
    return [item for group in groups if sequence in group for item in group[sequence].value or ()]


def _frame_value(
    own: Sequence[Dataset], shared: Sequence[Dataset], get: Getter, known: Known, one_of_several: bool, keyword: str
) -> Any:
    if one_of_several and keyword == "ImagePositionPatient":
        return _agreed(_items(own, _MACRO_OF[keyword]), keyword, known)
    if keyword in _MACRO_OF:
        for groups in (own, shared):
            items = _items(groups, _MACRO_OF[keyword])
            if any(_TAG_OF[name] in item for item in items for name in _INSEPARABLE.get(keyword, (keyword,))):
                return _agreed(items, keyword, known)
    if keyword in _CONVERTED:
        for groups, sequence in ((own, _CONVERTED_PER_FRAME), (shared, _CONVERTED_SHARED)):
            if (value := _agreed(_items(groups, sequence), keyword, known)) is not None:
                return value
    return get(keyword)


def _agreed(items: Sequence[Dataset], keyword: str, known: Known) -> Any:
    """Return the value that all items give (two tube voltages have one item each), or None.

    Of several contrast agents, one that was administered is enough.
    """
    values = [value_of(item, _TAG_OF[keyword], keyword, known) for item in items]
    if keyword == "ContrastBolusAgentAdministered" and "YES" in values:
        return "YES"
    return values[0] if values and all(value == values[0] for value in values) else None
