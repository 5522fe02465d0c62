"""Read calcium measurements from a DICOM SR (PS3.16 TID 1500), by pydicom alone."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset, dcmread

from ctacal.dicom.files.source import Source
from ctacal.dicom.header import READING_ERRORS, quiet_pydicom
from ctacal.dicom.objects.codes import AGATSTON_SCORE
from ctacal.errors import Refusal

AGATSTON, VOLUME, MASS, THRESHOLD = "agatston", "volume_mm3", "mass_mg", "threshold_hu"

QUANTITIES: Mapping[tuple[str, str], str] = {
    (AGATSTON_SCORE.code, "SCT"): AGATSTON,
    ("112058", "DCM"): AGATSTON,  # code of older writers
    ("122660", "DCM"): VOLUME,
    ("122661", "DCM"): MASS,
    ("122657", "DCM"): THRESHOLD,
}

_MEASUREMENT_GROUP, _FINDING_SITE = "125007", "363698007"
_TRACKING_UID, _SEGMENT = "112040", "121191"
_OLD_FINDING_SITE = "G-C0E3"


@dataclass(frozen=True, slots=True)
class MeasuredGroup:
    """A measurement group: its finding site and its values."""

    site: str
    """Code value of the finding site; empty if there is none."""
    tracking_uid: str
    segment: int | None
    """Number of the measured segment in the SEG; None if there is no single one, as for the total."""
    values: Mapping[str, float]
    """Values by the names in ``QUANTITIES``."""


def read_measurements(path: Path) -> tuple[MeasuredGroup, ...]:
    """Return the groups with calcium measurements; raises ``ValueError`` if the file is not a readable report."""
    try:
        with quiet_pydicom(), Source(path).open() as file:
            report = dcmread(file, force=True)
            if report.get("Modality") != "SR":
                raise ValueError(f"{path}: a DICOM file of modality {report.get('Modality')}, not a structured report")
            return tuple(group for group in map(_measured, _groups(report)) if group.values)
    except (Refusal, *READING_ERRORS) as problem:
        raise ValueError(f"{path}: {problem}") from problem


def _groups(item: Dataset) -> Iterator[Dataset]:
    for child in item.get("ContentSequence", ()):
        if _name(child)[0] == _MEASUREMENT_GROUP:
            yield child
        else:
            yield from _groups(child)


def _name(item: Dataset) -> tuple[str, str]:
    names = item.get("ConceptNameCodeSequence")
    return (str(names[0].CodeValue), str(names[0].CodingSchemeDesignator)) if names else ("", "")


def _measured(group: Dataset) -> MeasuredGroup:
    site, tracking_uid, segment, values = "", "", None, {}
    for child in group.ContentSequence:
        name = _name(child)
        if name[0] in (_FINDING_SITE, _OLD_FINDING_SITE):
            site = str(child.ConceptCodeSequence[0].CodeValue)
        elif name[0] == _TRACKING_UID:
            tracking_uid = str(child.UID)
        elif name[0] == _SEGMENT and child.ValueType == "IMAGE":
            segment = int(child.ReferencedSOPSequence[0].ReferencedSegmentNumber)
        elif name in QUANTITIES and child.get("MeasuredValueSequence"):
            value = child.MeasuredValueSequence[0]
            values[QUANTITIES[name]] = float(value.get("FloatingPointValue", value.NumericValue))
    return MeasuredGroup(site, tracking_uid, segment, values)
