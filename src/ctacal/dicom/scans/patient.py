"""Whether the images of a study show one patient, by patient ID, name, birth date, sex and age.

Consoles and cameras write one patient's ID and name differently, and de-identifiers give several people one study UID
and no ID. So every two spellings are compared, and what is written in only one of them proves nothing. Messages name
attributes, never their values: results must not identify a patient.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from itertools import combinations

from ctacal.dicom.header import SeriesHeader
from ctacal.errors import Code, Reason, Refusal

_NO_ONE = re.compile(
    r"^(anon(ym(ous|us|i[sz]ed)?)?|de-?id(entified)?|unknown|removed|redacted|none|null|n/?a|no ?(id|name)|x+|[\W0_]*)$"
)
"""What stands in Patient ID or Patient's Name where the value was removed or never known."""

_AGE_DAYS = {"D": 1.0, "W": 7.0, "M": 30.4, "Y": 365.25}
"""Units of an age string (PS3.5 section 6.2, VR AS)."""

_SAME_AGE_YEARS = 1.01
"""Largest difference of ages within a study: the patient may have a birthday between two series."""

_SHORTEST_PREFIX = 5
"""Shortest name that counts as another name cut off: some systems keep only the first letters (own choice)."""


class _Likeness(Enum):
    SAME = "the same"
    RESPELT = "the same but for case, punctuation, spaces and leading zeros"
    EXTENDED = "the same digits, with letters or an issuer in one of the two"
    OTHER = "another"
    UNKNOWN = "not comparable"


@dataclass(frozen=True, slots=True)
class Identity:
    """What the headers of an image say of its patient."""

    patient_id: str
    name: str
    birth_date: str
    sex: str
    age: str

    @classmethod
    def of(cls, header: SeriesHeader) -> "Identity":
        """Take the identity from a header."""
        return cls(
            header.patient_id,
            header.patient_name,
            header.patient_birth_date,
            header.patient_sex,
            header.patient_age,
        )


def patient_notes(headers: Iterable[SeriesHeader]) -> tuple[Reason, ...]:
    """Return a note if one patient is written in several ways.

    Raises ``Refusal`` (``MIXED_PATIENTS``) if the images show several patients.
    """
    shared = {id(header): header for header in headers}
    identities = {Identity.of(header) for header in shared.values()}
    differing = {word for pair in combinations(identities, 2) for word in _differences(*pair)}
    if not differing:
        return ()
    words = " and ".join(sorted(differing, key=("patient ID", "name", "birth date", "sex", "age").index))
    return (
        Reason(
            Code.PATIENT_DATA_DIFFER,
            f"the images of this study differ in {words}, but the rest of the headers shows one patient",
        ),
    )


def known_differences(a: Identity, b: Identity) -> tuple[str, ...]:
    """Return the attributes that two scans, which may be years apart, both give and give differently.

    A patient ID that is only respelt, or has an issuer in one of the two, is no difference; the age is not compared.
    """
    ids = ("patient ID",) if _ids(a.patient_id, b.patient_id) is _Likeness.OTHER else ()
    return (*ids, *(word for word in _contradictions(a, b) if word != "age"))


def is_one_patient(a: Identity, b: Identity) -> bool:
    """Whether both have the same patient ID, or the same name and birth date; not proven if either was removed."""
    if _ids(a.patient_id, b.patient_id) in (_Likeness.SAME, _Likeness.RESPELT, _Likeness.EXTENDED):
        return True
    return bool(_names_agree(a.name, b.name) and _birth_dates_agree(a.birth_date, b.birth_date))


def _differences(a: Identity, b: Identity) -> list[str]:
    """Return the attributes that two images of one patient write differently; raises ``Refusal`` if it is not one."""
    likeness = _ids(a.patient_id, b.patient_id)
    others = list(_contradictions(a, b))
    agree = _names_agree(a.name, b.name) or _birth_dates_agree(a.birth_date, b.birth_date)
    one_patient = {
        _Likeness.SAME: len(others) < 2,
        _Likeness.RESPELT: not others,
        _Likeness.EXTENDED: not others and agree,
        _Likeness.OTHER: False,
        _Likeness.UNKNOWN: not others,
    }[likeness]
    ids = ["patient ID"] if likeness not in (_Likeness.SAME, _Likeness.UNKNOWN) else []
    if one_patient:
        return ids + others
    raise Refusal(
        Code.MIXED_PATIENTS,
        f"the images of this study differ in {' and '.join(ids + others)}: they seem to show several patients; "
        "separate them, or correct the headers if it is one patient",
    )


def _contradictions(a: Identity, b: Identity) -> Iterator[str]:
    """Yield the attributes that both images give, and give differently."""
    if _names_agree(a.name, b.name) is False:
        yield "name"
    if _birth_dates_agree(a.birth_date, b.birth_date) is False:
        yield "birth date"
    if {a.sex.upper(), b.sex.upper()} == {"F", "M"}:
        yield "sex"
    ages = _years(a.age), _years(b.age)
    if ages[0] and ages[1] and abs(ages[0] - ages[1]) > _SAME_AGE_YEARS:
        yield "age"


def _ids(a: str, b: str) -> _Likeness:
    """Compare two patient IDs.

    >>> [_ids("P-0012345", other).name for other in ("p0012345", "P12345", "12345^^^HOSPITAL", "P12346", "", "ANON")]
    ['RESPELT', 'RESPELT', 'EXTENDED', 'OTHER', 'UNKNOWN', 'UNKNOWN']
    """
    if _is_no_one(a) or _is_no_one(b):
        return _Likeness.UNKNOWN
    if a == b:
        return _Likeness.SAME
    words = [re.findall(r"[^\W\d_]+|\d+", _folded(text.partition("^")[0])) for text in (a, b)]
    letters = [[word for word in found if not word.isdigit()] for found in words]
    digits = [[word.lstrip("0") for word in found if word.strip("0") and word.isdigit()] for found in words]
    if "".join(words[0]) == "".join(words[1]) or (letters[0] == letters[1] and digits[0] == digits[1]):
        return _Likeness.RESPELT
    added = set(letters[0]) < set(letters[1]) or set(letters[1]) < set(letters[0])
    return _Likeness.EXTENDED if digits[0] and digits[0] == digits[1] and added else _Likeness.OTHER


@lru_cache(maxsize=256)
def _is_no_one(text: str) -> bool:
    return bool(_NO_ONE.match(text.strip().strip("^").lower()))


@lru_cache(maxsize=256)
def _folded(text: str) -> str:
    """Return the text in lower case without accents; German umlauts written as ae, oe, ue lose their e as well."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return re.sub("([aou])e", r"\1", "".join(c for c in plain if not unicodedata.combining(c)))


def _names_agree(a: str, b: str) -> bool | None:
    """Whether two person names are one, written in two ways; None if one is missing or in another script.

    >>> _names_agree("DOE^JOHN", "Doe, John"), _names_agree("Müller^Eva", "MUELLER^EVA^M."), _names_agree("Doe", "")
    (True, True, None)
    """
    if _is_no_one(a) or _is_no_one(b):
        return None
    verdicts = [
        _same_name(one, other)
        for one in a.split("=")
        for other in b.split("=")
        if one and other and one.isascii() == other.isascii()
    ]
    if not verdicts:
        verdicts = [_same_name(a, b)] if _folded(a).isascii() == _folded(b).isascii() else []
    return any(verdicts) if verdicts else None


def _same_name(a: str, b: str) -> bool:
    """Whether each word of the shorter name begins, or is the beginning of, a word of the other."""
    words = [re.findall(r"[^\W_]+", _folded(name)) for name in (a, b)]
    if "".join(sorted(words[0])) == "".join(sorted(words[1])) or "".join(words[0]) == "".join(words[1]):
        return True
    few, many = sorted(words, key=len)
    return bool(few) and all(any(_same_word(word, other) for other in many) for word in few)


def _same_word(a: str, b: str) -> bool:
    short, long = sorted((a, b), key=len)
    return a == b or ((len(short) == 1 or len(short) >= _SHORTEST_PREFIX) and long.startswith(short))


def _birth_dates_agree(a: str, b: str) -> bool | None:
    """Whether two birth dates are one; the first of January often stands for a year alone, one of 1900 for no date."""
    dates = [re.sub(r"\D", "", date) for date in (a, b)]
    if any(len(date) != 8 or date <= "19000101" for date in dates):
        return None
    if dates[0] == dates[1]:
        return True
    return None if dates[0][:4] == dates[1][:4] and any(date[4:] in ("0101", "0000") for date in dates) else False


def _years(age: str) -> float | None:
    match = re.fullmatch(r"(\d{1,3})([DWMY]?)", age.strip().upper())
    return int(match[1]) * _AGE_DAYS[match[2] or "Y"] / _AGE_DAYS["Y"] if match else None
