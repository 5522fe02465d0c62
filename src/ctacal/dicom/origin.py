"""What an object that is derived from a series takes over from it: patient, study, place, the images themselves.

Headers in the wild hold names with control characters, dates that are no dates and ages like "abc". What is taken
over is cleaned to what PS3.5 section 6.2 allows, or left out: a derived object is valid whatever the source holds.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydicom import Dataset, dcmread
from pydicom.datadict import dictionary_VR
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid
from pydicom.valuerep import DSfloat

from ctacal.dicom.header import READING_ERRORS, Slice, quiet_pydicom
from ctacal.errors import Code, Refusal

_PATIENT = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex")
_STUDY = ("StudyID", "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName")
_OPTIONAL = (
    "PatientAge", "PatientSize", "PatientWeight", "StudyDescription", "PositionReferenceIndicator", "SeriesDate",
    "SeriesTime", "AcquisitionDate", "AcquisitionTime", "ContentDate", "ContentTime", "PatientIdentityRemoved",
    "DeidentificationMethod",
)  # fmt: skip
_TAKEN_OVER = (
    *_PATIENT, *_STUDY, "SpecificCharacterSet", "PatientAge", "PatientSize", "PatientWeight", "PatientIdentityRemoved",
    "DeidentificationMethod", "StudyInstanceUID", "StudyDescription",
)  # fmt: skip
"""Of an image, what holds of each object that is made of it too."""
_READ = (*_PATIENT, *_STUDY, *_OPTIONAL, "SpecificCharacterSet")

_LENGTHS = {"LO": 64, "SH": 16, "CS": 16, "PN": 64}
"""Characters (PS3.5 table 6.2-1); of a name, each of its component groups."""

_PATTERNS = {
    "DA": re.compile(r"\d{8}"),
    "TM": re.compile(r"([01]\d|2[0-3])([0-5]\d([0-5]\d(\.\d{1,6})?)?)?"),
    "AS": re.compile(r"\d{3}[DWMY]"),
    "CS": re.compile(r"[A-Z0-9 _]{1,16}"),
}
_UID = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))+")


def is_uid(text: str) -> bool:
    """Whether it is a UID (PS3.5 section 9.1).

    >>> is_uid("1.2.840.10008"), is_uid("../../x"), is_uid("1.02")
    (True, False, False)
    """
    return len(text) <= 64 and bool(_UID.fullmatch(text))


def derived_uid(*parts: str) -> UID:
    """A UID that is always the same for the same parts."""
    return generate_uid(entropy_srcs=["ctacal", *(f"{len(part)}:{part}" for part in parts)])


def read_patient_and_study(one: Slice) -> Dataset:
    """Patient and study of an image, as the file has them, not cleaned. Raises ``Refusal`` (``FILE_UNREADABLE``)."""
    try:
        with quiet_pydicom(), one.source.open() as file:
            image = dcmread(file, stop_before_pixels=True, force=True, specific_tags=list(_READ))
            return Dataset({element.tag: element for element in image})  # decodes every value by its character set
    except READING_ERRORS as problem:
        raise Refusal(Code.FILE_UNREADABLE, f"{one.source}: {problem}; copy it again") from problem


def cleaned(raw: Dataset) -> Dataset:
    """Patient and study with only what their value representations allow, in UTF-8; type 2 attributes always there."""
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
    """The value, or an empty one where nothing of it can be kept."""
    vr = dictionary_VR(keyword)
    if vr == "DS":
        try:
            return DSfloat(float(value), auto_format=True)
        except (TypeError, ValueError, OverflowError):
            return ""
    text = _one_line(value)
    if vr == "PN":
        return _clean_name(text)
    if vr in _PATTERNS and not _PATTERNS[vr].fullmatch(text):
        return ""
    if vr == "DA" and not _is_date(text):
        return ""
    return text[: _LENGTHS.get(vr, len(text))].strip()


def _one_line(value: Any) -> str:
    """Text without control characters; a backslash, which parts values, becomes a blank."""
    several = isinstance(value, Sequence) and not isinstance(value, str | bytes)
    text = " ".join(map(str, value)) if several else "" if value is None else str(value)
    return "".join(c for c in text.replace("\\", " ") if c.isprintable()).strip()


def _clean_name(text: str) -> str:
    """At most three groups of five components and 64 characters (PS3.5 section 6.2.1); what is more is joined."""
    groups = []
    for group in text.split("=")[:3]:
        components = [component.strip() for component in group.split("^")]
        if len(components) > 5:
            components = [*components[:4], " ".join(filter(None, components[4:]))]
        groups.append("^".join(components)[: _LENGTHS["PN"]].rstrip("^ "))
    return "=".join(groups).rstrip("=")


def _is_date(text: str) -> bool:
    try:
        datetime.strptime(text, "%Y%m%d")
    except ValueError:
        return False
    return True


def source_images(slices: Sequence[Slice], patient_and_study: Dataset) -> list[Dataset]:
    """The images of a series as datasets without pixels: one a slice, or the one enhanced multi-frame image.

    Where there is no frame of reference the series defines one of its own. Raises ``Refusal`` (``OUTPUT_NOT_WRITTEN``)
    where no valid object can refer to the images.
    """
    header = slices[0].header
    for what, text in (("StudyInstanceUID", header.study_uid), ("SeriesInstanceUID", header.series_uid)):
        _require_uid(what, text)
    for uid in {one.sop_instance_uid for one in slices}:
        _require_uid("SOPInstanceUID", uid)
    if any(one.frame for one in slices):
        return [_multi_frame(slices, patient_and_study)]
    return [_single_frame(one, slices[0], patient_and_study) for one in slices]


def _require_uid(what: str, text: str) -> None:
    if not is_uid(text):
        raise Refusal(Code.OUTPUT_NOT_WRITTEN, f"{what} {text!r} is no UID, so no DICOM object can refer to the scan")


def _image(one: Slice, patient_and_study: Dataset) -> Dataset:
    header = one.header
    frame_of_reference = header.frame_of_reference_uid
    if not is_uid(frame_of_reference):
        frame_of_reference = derived_uid("frame of reference", header.series_uid)
    image = Dataset(dict(patient_and_study.items()))
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.SOPClassUID, image.SOPInstanceUID = UID(header.sop_class_uid), UID(one.sop_instance_uid)
    image.StudyInstanceUID, image.SeriesInstanceUID = UID(header.study_uid), UID(header.series_uid)
    image.FrameOfReferenceUID, image.Modality = UID(frame_of_reference), header.modality
    image.Rows, image.Columns = one.rows, one.columns
    return image


def _single_frame(one: Slice, first: Slice, patient_and_study: Dataset) -> Dataset:
    image = _image(one, patient_and_study)
    image.ImagePositionPatient = list(decimals(one.position_mm or ()))
    image.ImageOrientationPatient = list(decimals(first.orientation or ()))
    image.PixelSpacing = list(decimals(first.pixel_spacing_mm or ()))
    image.SliceThickness = next(decimals([_thickness_mm(one)]))
    return image


def _thickness_mm(one: Slice) -> float:
    """As told; a made-up millimetre where it is not, which no score depends on."""
    return one.thickness_mm if one.thickness_mm and one.thickness_mm > 0 else 1.0


def _multi_frame(slices: Sequence[Slice], patient_and_study: Dataset) -> Dataset:
    ordered = sorted(slices, key=lambda one: one.frame)
    if [one.frame for one in ordered] != list(range(len(ordered))):
        told = "the series is part of a multi-frame image, or of several; no DICOM object is made that refers to it"
        raise Refusal(Code.OUTPUT_NOT_WRITTEN, told)
    first = ordered[0]
    image, shared, measures, orientation = _image(first, patient_and_study), Dataset(), Dataset(), Dataset()
    measures.PixelSpacing = list(decimals(first.pixel_spacing_mm or ()))
    measures.SliceThickness = next(decimals([_thickness_mm(first)]))
    orientation.ImageOrientationPatient = list(decimals(first.orientation or ()))
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    image.NumberOfFrames, image.SharedFunctionalGroupsSequence = len(ordered), [shared]
    image.PerFrameFunctionalGroupsSequence = [_place(one) for one in ordered]
    return image


def _place(one: Slice) -> Dataset:
    frame, position = Dataset(), Dataset()
    position.ImagePositionPatient = list(decimals(one.position_mm or ()))
    frame.PlanePositionSequence = [position]
    return frame


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Of an object that is made of images: its kind, and what it is filed under."""

    sop_class: UID
    modality: str
    instance_uid: UID
    series_uid: UID
    series_number: int
    description: str
    """Of its series."""
    software: str


def derived_object(image: Dataset, identity: Identity) -> Dataset:
    """An object of ``image``'s patient and study by ctacal, to be filled (PS3.3 C.7.1 to C.7.5, C.12.1)."""
    made = Dataset({image[keyword].tag: image[keyword] for keyword in _TAKEN_OVER if keyword in image})
    for keyword in (*_PATIENT, *_STUDY):
        if keyword not in made:
            setattr(made, keyword, "")
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID, made.SOPInstanceUID, made.InstanceNumber = identity.sop_class, identity.instance_uid, 1
    made.Modality, made.SeriesInstanceUID = identity.modality, identity.series_uid
    made.SeriesNumber, made.SeriesDescription = identity.series_number, identity.description
    made.Manufacturer = made.ManufacturerModelName = "ctacal"
    made.DeviceSerialNumber, made.SoftwareVersions = "0", identity.software
    make_repeatable(made, image)
    return made


def reference_to(image: Dataset) -> Dataset:
    """An item that refers to an object (PS3.3 table 10-11)."""
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
    return item


def decimals(values: Sequence[float]) -> Iterator[DSfloat]:
    """Decimal strings of at most 16 characters (PS3.5 section 6.2)."""
    return (DSfloat(float(value), auto_format=True) for value in values)


def make_repeatable(image: Dataset, source: Dataset) -> None:
    """Take the time of the scan for that of the object, and a derived UID for a random one: the same study gives the
    same bytes, however often it is scored."""
    told = [(source.get(f"{of}Date"), source.get(f"{of}Time")) for of in ("Content", "Acquisition", "Series", "Study")]
    image.ContentDate, image.ContentTime = next((both for both in told if all(both)), ("19000101", "000000"))
    for keyword in ("InstanceCreationDate", "InstanceCreationTime"):
        image.pop(keyword, None)
    for equipment in image.get("ContributingEquipmentSequence", ()):
        equipment.pop("ContributionDateTime", None)
    for item in (*image.get("DimensionOrganizationSequence", ()), *image.get("DimensionIndexSequence", ())):
        item.DimensionOrganizationUID = derived_uid("dimensions", image.SOPInstanceUID)
