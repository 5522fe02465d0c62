"""Who was scanned, as far as a report may tell: by default age and sex alone."""

from dataclasses import dataclass
from datetime import date

from pydicom import Dataset

_DAYS = {"D": 1.0, "W": 7.0, "M": 30.44, "Y": 365.25}


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The person and the study; what identifies a person is empty unless it was asked for."""

    sex: str = ""
    age_years: int | None = None
    study_date: str = ""
    """As 2024-01-31."""
    name: str = ""
    patient_id: str = ""
    birth_date: str = ""
    accession_number: str = ""

    @property
    def age_and_sex(self) -> str:
        """In words."""
        sex = {"F": "woman", "M": "man", "O": "sex told as other"}.get(self.sex, "sex not told")
        return f"{sex}, {'age not told' if self.age_years is None else f'{self.age_years} years'}"


def subject_from(about: Dataset, *, phi: bool) -> Subject:
    """From cleaned patient and study attributes; without ``phi`` neither name, ID, birth date nor accession number."""
    told = Subject(
        sex=str(about.PatientSex),
        age_years=age_years(about),
        study_date=_dashed(str(about.StudyDate)),
    )
    if not phi:
        return told
    return Subject(
        sex=told.sex,
        age_years=told.age_years,
        study_date=told.study_date,
        name=readable_name(str(about.PatientName)),
        patient_id=str(about.PatientID),
        birth_date=_dashed(str(about.PatientBirthDate)),
        accession_number=str(about.AccessionNumber),
    )


def age_years(about: Dataset) -> int | None:
    """Whole years, from Patient's Age, else from birth and study date; None where neither tells a possible age."""
    if told := str(about.get("PatientAge", "")):
        return int(int(told[:3]) * _DAYS[told[3]] / 365.25)
    born, studied = (str(about.get(keyword) or "") for keyword in ("PatientBirthDate", "StudyDate"))
    if not born or not studied:
        return None
    first, last = (date(int(text[:4]), int(text[4:6]), int(text[6:])) for text in (born, studied))
    years = last.year - first.year - ((last.month, last.day) < (first.month, first.day))
    return years if 0 <= years <= 130 else None


def readable_name(name: str) -> str:
    """A person name (PS3.5 section 6.2.1) as people write it; each of its scripts.

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
