"""What an object derived from a series takes from it: patient, study, position and the images that it refers to.

Real headers contain names with control characters, impossible dates and ages such as "abc". Every value is cleaned to
what PS3.5 section 6.2 allows, or left out, so that a derived object is valid whatever its source contains.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydicom import Dataset, dcmread
from pydicom.datadict import dictionary_VR
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    EnhancedCTImageStorage,
    ExplicitVRLittleEndian,
    LegacyConvertedEnhancedCTImageStorage,
    generate_uid,
)
from pydicom.valuerep import DSfloat

from ctacal.dicom.header import READING_ERRORS, Slice, quiet_pydicom
from ctacal.dicom.uids import is_used_uid
from ctacal.errors import Code, Refusal

_PATIENT = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex")
_STUDY = ("StudyID", "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName")
_OPTIONAL = (
    "IssuerOfPatientID", "PatientAge", "PatientSize", "PatientWeight", "StudyDescription", "PositionReferenceIndicator",
    "SeriesDate", "SeriesTime", "AcquisitionDate", "AcquisitionTime", "ContentDate", "ContentTime",
    "PatientIdentityRemoved", "DeidentificationMethod",
)  # fmt: skip
_TAKEN_OVER = (
    *_PATIENT, *_STUDY, "SpecificCharacterSet", "IssuerOfPatientID", "PatientAge", "PatientSize", "PatientWeight",
    "PatientIdentityRemoved", "DeidentificationMethod", "StudyInstanceUID", "StudyDescription",
)  # fmt: skip
"""Attributes of an image that also hold for each object derived from it."""
_READ = (*_PATIENT, *_STUDY, *_OPTIONAL, "SpecificCharacterSet")

_MULTI_FRAME_CLASSES = (EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage)

_LENGTHS = {"LO": 64, "SH": 16, "CS": 16, "PN": 64}
"""Largest number of characters (PS3.5 table 6.2-1); for a name, of each component group."""

_PATTERNS = {
    "DA": re.compile(r"\d{8}"),
    "TM": re.compile(r"([01]\d|2[0-3])([0-5]\d([0-5]\d(\.\d{1,6})?)?)?"),
    "AS": re.compile(r"\d{3}[DWMY]"),
    "CS": re.compile(r"[A-Z0-9 _]{1,16}"),
}
_SEXES = {"FEMALE": "F", "MALE": "M", "OTHER": "O"}
"""Words for the sex that some converters write in full."""


def derived_uid(*parts: str) -> UID:
    """Return a UID that is always the same for the same parts."""
    return generate_uid(entropy_srcs=["ctacal", *(f"{len(part)}:{part}" for part in parts)])


def read_patient_and_study(image: Slice) -> Dataset:
    """Return patient and study of an image as they are in its file. Raises ``Refusal`` (``FILE_UNREADABLE``)."""
    try:
        with quiet_pydicom(), image.source.open() as file:
            header = dcmread(file, stop_before_pixels=True, force=True, specific_tags=list(_READ))
            return Dataset({element.tag: element for element in header})  # decodes every value by its character set
    except READING_ERRORS as problem:
        raise Refusal(Code.FILE_UNREADABLE, f"{image.source}: {problem}; copy it again") from problem


def cleaned(raw: Dataset) -> Dataset:
    """Return patient and study with valid values only, in UTF-8; type 2 attributes are always present."""
    clean = Dataset()
    clean.SpecificCharacterSet = "ISO_IR 192"
    for keyword in (*_PATIENT, *_STUDY, *_OPTIONAL):
        value = _clean_value(keyword, raw.get(keyword))
        if value or keyword in _PATIENT + _STUDY:
            setattr(clean, keyword, value)
    if clean.PatientSex not in ("M", "F", "O"):
        clean.PatientSex = ""
    if clean.get("PatientIdentityRemoved") != "YES" or "DeidentificationMethod" not in clean:
        for keyword in ("PatientIdentityRemoved", "DeidentificationMethod"):
            clean.pop(keyword, None)
    return clean


def _clean_value(keyword: str, value: Any) -> Any:
    """Return the valid part of a value, or an empty value."""
    vr = dictionary_VR(keyword)
    if vr == "DS":
        try:
            return DSfloat(float(value), auto_format=True)
        except (TypeError, ValueError, OverflowError):
            return ""
    text = _one_line(value)
    if vr == "PN":
        return _clean_name(text)
    if vr == "AS":
        text = _usual_age(text)
    if keyword == "PatientSex":
        text = _SEXES.get(text.upper(), text.upper())
    if vr in _PATTERNS and not _PATTERNS[vr].fullmatch(text):
        return ""
    if vr == "DA" and not _is_date(text):
        return ""
    return text[: _LENGTHS.get(vr, len(text))].strip()


def _one_line(value: Any) -> str:
    """Return text without control characters; a backslash, which separates values, becomes a blank."""
    several = isinstance(value, Sequence) and not isinstance(value, str | bytes)
    text = " ".join(map(str, value)) if several else "" if value is None else str(value)
    return "".join(c for c in text.replace("\\", " ") if c.isprintable()).strip()


def _clean_name(text: str) -> str:
    """Return at most three groups of five components and 64 characters (PS3.5 section 6.2.1); more are joined."""
    groups = []
    for group in text.split("=")[:3]:
        components = [component.strip() for component in group.split("^")]
        if len(components) > 5:
            components = [*components[:4], " ".join(filter(None, components[4:]))]
        groups.append("^".join(components)[: _LENGTHS["PN"]].rstrip("^ "))
    return "=".join(groups).rstrip("=")


def _usual_age(text: str) -> str:
    """Return an age such as 45Y or 45y in the form of PS3.5, 045Y; one of 0, which stands for an unknown age, as empty.

    >>> _usual_age("45y"), _usual_age("008M"), _usual_age("000Y"), _usual_age("45")
    ('045Y', '008M', '', '45')
    """
    match = re.fullmatch(r"(\d{1,3})\s?([DWMY])", text.upper())
    if not match:
        return text
    return f"{int(match[1]):03}{match[2]}" if int(match[1]) else ""


def _is_date(text: str) -> bool:
    try:
        datetime.strptime(text, "%Y%m%d")
    except ValueError:
        return False
    return True


def study_header(image: Slice, patient_and_study: Dataset) -> Dataset:
    """Return patient and study for an object that refers to no image, such as a PDF.

    Raises ``Refusal`` (``OUTPUT_NOT_WRITTEN``) if the StudyInstanceUID is not valid.
    """
    _require_uid("StudyInstanceUID", image.header.study_uid)
    header = Dataset(dict(patient_and_study.items()))
    header.StudyInstanceUID = UID(image.header.study_uid)
    # highdicom copies patient and study only from an object of a known class, and logs its name
    header.SOPClassUID, header.SOPInstanceUID = CTImageStorage, derived_uid("study", image.header.study_uid)
    return header


def source_images(slices: Sequence[Slice], patient_and_study: Dataset, others: Iterable[Slice] = ()) -> list[Dataset]:
    """Return the images of a series as datasets without pixels: one per slice, or the one enhanced multi-frame image.

    ``others`` are the other images of the study. If the series has no frame of reference, one is derived from its UID.
    Raises ``Refusal`` (``OUTPUT_NOT_WRITTEN``) if no valid object can refer to the images, or if a reference would not
    say which image it means.
    """
    _require_one_scan(slices)
    for uid in {image.sop_instance_uid for image in slices}:
        _require_uid("SOPInstanceUID", uid)
    _require_distinct(slices, others)
    if has_frames(slices):
        return [_multi_frame(slices, patient_and_study)]
    frame = _frame_of_reference(slices)
    return [_single_frame(image, slices[0], frame, patient_and_study) for image in slices]


def has_frames(slices: Iterable[Slice]) -> bool:
    """Whether the slices are frames of multi-frame images, which may have a single frame each."""
    return any(image.frame or image.header.sop_class_uid in _MULTI_FRAME_CLASSES for image in slices)


def _require_one_scan(slices: Sequence[Slice]) -> None:
    """A SEG lies in one study and one frame of reference (PS3.3 C.7.4.1), and refers to images of known classes."""
    headers = {image.header for image in slices}
    for what, values in (
        ("StudyInstanceUID", {header.study_uid for header in headers}),
        ("SeriesInstanceUID", {header.series_uid for header in headers}),
        ("FrameOfReferenceUID", {uid for header in headers if is_used_uid(uid := header.frame_of_reference_uid)}),
    ):
        if len(values) > 1:
            problem = (
                f"the slices have {len(values)} values of {what}, so no DICOM object can refer to them as one scan"
            )
            raise Refusal(Code.OUTPUT_NOT_WRITTEN, problem)
    _require_uid("StudyInstanceUID", slices[0].header.study_uid)
    _require_uid("SeriesInstanceUID", slices[0].header.series_uid)
    for sop_class in {header.sop_class_uid for header in headers}:
        if UID(sop_class).type != "SOP Class":
            problem = f"SOPClassUID {sop_class!r} is not one of DICOM's, so no DICOM object can refer to the scan"
            raise Refusal(Code.OUTPUT_NOT_WRITTEN, problem)


def _require_distinct(slices: Sequence[Slice], others: Iterable[Slice]) -> None:
    """A SOP Instance UID names one image (PS3.5 section 9); some de-identifiers and converters give it to several.

    Copies of one image are no fault: same series, same place.
    """
    owners = {(image.sop_instance_uid, image.frame): image for image in slices}
    for image in (*slices, *others):
        owner = owners.get((image.sop_instance_uid, image.frame))
        if owner is not None and _place_of(owner) != _place_of(image):
            raise Refusal(
                Code.OUTPUT_NOT_WRITTEN,
                f"several images have the SOPInstanceUID {image.sop_instance_uid}, so a DICOM object cannot say which "
                "of them it means; send the scan with a UID of its own for each image",
            )


def _place_of(image: Slice) -> tuple[str, tuple[float, ...], tuple[float, ...]]:
    """Return what is the same in copies of an image: its series, its position in 0.1 mm, its orientation."""
    position = tuple(round(mm, 1) for mm in image.position_mm or ())
    return image.header.series_uid, position, tuple(round(cosine, 2) for cosine in image.orientation or ())


def _require_uid(what: str, text: str) -> None:
    if not text:
        raise Refusal(Code.OUTPUT_NOT_WRITTEN, f"{what} is missing, so no DICOM object can refer to the scan")
    if not is_used_uid(text):
        raise Refusal(
            Code.OUTPUT_NOT_WRITTEN, f"{what} {text!r} is not a valid UID, so no DICOM object can refer to the scan"
        )


def _image(image_slice: Slice, frame_of_reference: str, patient_and_study: Dataset) -> Dataset:
    header = image_slice.header
    image = Dataset(dict(patient_and_study.items()))
    image.file_meta = _file_meta()
    image.SOPClassUID, image.SOPInstanceUID = UID(header.sop_class_uid), UID(image_slice.sop_instance_uid)
    image.StudyInstanceUID, image.SeriesInstanceUID = UID(header.study_uid), UID(header.series_uid)
    image.FrameOfReferenceUID, image.Modality = UID(frame_of_reference), header.modality
    image.Rows, image.Columns = image_slice.rows, image_slice.columns
    return image


def _frame_of_reference(slices: Sequence[Slice]) -> str:
    """Return the slices' frame of reference, or one derived from the series if none of them has a valid UID."""
    named = (uid for image in slices if is_used_uid(uid := image.header.frame_of_reference_uid))
    return next(named, None) or derived_uid("frame of reference", slices[0].header.series_uid)


def _single_frame(image_slice: Slice, first: Slice, frame_of_reference: str, patient_and_study: Dataset) -> Dataset:
    image = _image(image_slice, frame_of_reference, patient_and_study)
    image.ImagePositionPatient = list(decimals(image_slice.position_mm or ()))
    image.ImageOrientationPatient = list(decimals(first.orientation or ()))
    image.PixelSpacing = list(decimals(first.pixel_spacing_mm or ()))
    image.SliceThickness = next(decimals([_thickness_mm(image_slice)]))
    return image


def _thickness_mm(image_slice: Slice) -> float:
    """Return the slice thickness, or 1 mm if it is missing; no score depends on it, but a SEG needs one."""
    thickness_mm = image_slice.thickness_mm
    return thickness_mm if thickness_mm and thickness_mm > 0 else 1.0


def _multi_frame(slices: Sequence[Slice], patient_and_study: Dataset) -> Dataset:
    ordered = sorted(slices, key=lambda frame: frame.frame)
    if [frame.frame for frame in ordered] != list(range(len(ordered))):
        problem = "the series is part of a multi-frame image, or spans several; DICOM objects cannot refer to it"
        raise Refusal(Code.OUTPUT_NOT_WRITTEN, problem)
    first = ordered[0]
    image = _image(first, _frame_of_reference(slices), patient_and_study)
    shared, measures, orientation = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing = list(decimals(first.pixel_spacing_mm or ()))
    measures.SliceThickness = next(decimals([_thickness_mm(first)]))
    orientation.ImageOrientationPatient = list(decimals(first.orientation or ()))
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    image.NumberOfFrames, image.SharedFunctionalGroupsSequence = len(ordered), [shared]
    image.PerFrameFunctionalGroupsSequence = [_place(frame) for frame in ordered]
    return image


def _place(frame: Slice) -> Dataset:
    groups, position = Dataset(), Dataset()
    position.ImagePositionPatient = list(decimals(frame.position_mm or ()))
    groups.PlanePositionSequence = [position]
    return groups


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Kind and identifiers of a derived object."""

    sop_class: UID
    modality: str
    instance_uid: UID
    series_uid: UID
    series_number: int
    description: str
    """Description of its series."""
    software: str


def derived_object(image: Dataset, identity: Identity) -> Dataset:
    """Return an object of ``image``'s patient and study, made by ctacal, still empty (PS3.3 C.7.1 to C.7.5)."""
    made = Dataset({image[keyword].tag: image[keyword] for keyword in _TAKEN_OVER if keyword in image})
    for keyword in (*_PATIENT, *_STUDY):
        if keyword not in made:
            setattr(made, keyword, "")
    made.file_meta = _file_meta()
    made.SOPClassUID, made.SOPInstanceUID, made.InstanceNumber = identity.sop_class, identity.instance_uid, 1
    made.Modality, made.SeriesInstanceUID = identity.modality, identity.series_uid
    made.SeriesNumber, made.SeriesDescription = identity.series_number, identity.description
    made.Manufacturer = made.ManufacturerModelName = "ctacal"
    made.DeviceSerialNumber, made.SoftwareVersions = "0", identity.software
    _set_time(made, image)
    return made


def decimals(values: Sequence[float]) -> Iterator[DSfloat]:
    """Return decimal strings of at most 16 characters (PS3.5 section 6.2)."""
    return (DSfloat(float(value), auto_format=True) for value in values)


def finish(image: Dataset, source: Dataset) -> None:
    """Complete an object made by highdicom: the same study gives the same bytes, and ctacal alone is its maker.

    highdicom adds itself as contributing equipment, the time of writing and a random UID of the dimensions.
    """
    image.file_meta = _file_meta()
    image.pop("ContributingEquipmentSequence", None)
    _set_time(image, source)
    for item in (*image.get("DimensionOrganizationSequence", ()), *image.get("DimensionIndexSequence", ())):
        item.DimensionOrganizationUID = derived_uid("dimensions", image.SOPInstanceUID)


def _set_time(image: Dataset, source: Dataset) -> None:
    """Give the object the time of the scan, so that it does not depend on when the scan is scored."""
    times = [(source.get(f"{of}Date"), source.get(f"{of}Time")) for of in ("Content", "Acquisition", "Series", "Study")]
    image.ContentDate, image.ContentTime = next((time for time in times if all(time)), ("19000101", "000000"))
    for keyword in ("InstanceCreationDate", "InstanceCreationTime", "DateOfSecondaryCapture", "TimeOfSecondaryCapture"):
        image.pop(keyword, None)


def _file_meta() -> FileMetaDataset:
    file_meta = FileMetaDataset()
    file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return file_meta
