"""The patient as outputs may show them: by default only age and sex."""

from dataclasses import dataclass, replace
from datetime import date

from pydicom import Dataset

OLDEST = 130
"""Highest age in years that a header can mean; 999 stands for an unknown age (own choice)."""

_DAYS = {"D": 1.0, "W": 7.0, "M": 30.44, "Y": 365.25}


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The patient and the study date; the identifying fields are empty unless ``phi`` is on."""

    sex: str = ""
    age_years: int | None = None
    study_date: str = ""
    """In the form 2024-01-31."""
    name: str = ""
    patient_id: str = ""
    birth_date: str = ""
    accession_number: str = ""

    @property
    def age_and_sex(self) -> str:
        """Age and sex in words."""
        sex = {"F": "woman", "M": "man", "O": "sex recorded as other"}.get(self.sex, "sex not recorded")
        return f"{sex}, {'age not recorded' if self.age_years is None else f'{self.age_years} years'}"


def subject_from(about: Dataset, *, phi: bool) -> Subject:
    """Return the subject from cleaned attributes; only ``phi`` adds name, ID, birth date and accession number."""
    subject = Subject(
        sex=str(about.PatientSex),
        age_years=age_years(about),
        study_date=_dashed(str(about.StudyDate)),
    )
    if not phi:
        return subject
    return replace(
        subject,
        name=readable_name(str(about.PatientName)),
        patient_id=str(about.PatientID),
        birth_date=_dashed(str(about.PatientBirthDate)),
        accession_number=str(about.AccessionNumber),
    )


def age_years(about: Dataset) -> int | None:
    """Return the age in whole years, from Patient's Age or from birth and study date; None if neither is usable."""
    if age := str(about.get("PatientAge", "")):
        years = int(int(age[:3]) * _DAYS[age[3]] / 365.25)
        if years <= OLDEST:
            return years
    born, studied = (str(about.get(keyword) or "") for keyword in ("PatientBirthDate", "StudyDate"))
    if not born or not studied:
        return None
    first, last = (date(int(text[:4]), int(text[4:6]), int(text[6:])) for text in (born, studied))
    years = last.year - first.year - ((last.month, last.day) < (first.month, first.day))
    return years if 0 <= years <= OLDEST else None


def readable_name(name: str) -> str:
    """Return a DICOM person name (PS3.5 section 6.2.1) as people write it, with each of its scripts.

    >>> readable_name("Yamada^Tarou^^Dr=山田^太郎")
    'Yamada, Tarou Dr (山田, 太郎)'
    """
    groups = []
    for group in name.split("="):
        family, _, rest = group.partition("^")
        given = " ".join(part for part in rest.split("^") if part)
        if text := ", ".join(part for part in (family, given) if part):
            groups.append(text)
    return groups[0] + (f" ({', '.join(groups[1:])})" if groups[1:] else "") if groups else ""


def _dashed(day: str) -> str:
    return f"{day[:4]}-{day[4:6]}-{day[6:]}" if day else ""
