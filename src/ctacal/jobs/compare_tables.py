"""Compare scores that are there already: a results folder of ``ctacal score``, or a table of patients and dates.

The columns are those of results.csv; a table with other names says so (``agatston=CAC``). A site's own limits are made
from pairs: two scores in a row, or two rows of one study or of one patient and day.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from ctacal.categories import risk_category
from ctacal.compare.comparable import doubt_of
from ctacal.compare.comparison import Terms, compare_scans
from ctacal.compare.comparison_json import comparison_json, comparison_row
from ctacal.compare.courses import pairs_of
from ctacal.compare.limits import Limits
from ctacal.compare.protocol import ScanProtocol, protocol_differences
from ctacal.compare.reasons import ComparisonReason, Doubt
from ctacal.compare.repeatability import Pairs, PairsInfo, limits_of_pairs
from ctacal.compare.scan import QUANTITIES, VESSELS, Amount, ComparedScan
from ctacal.errors import Code, Reason, UsageError
from ctacal.evaluate.linkage import PATIENT_NAMES, SCORED
from ctacal.evaluate.readings import Column, TableForm, as_text, find_column, open_table, read_readings
from ctacal.evaluate.readings.dates import EPOCH, days
from ctacal.jobs.compare import Compared, CompareRun, write_tables
from ctacal.jobs.score import RESULTS
from ctacal.scores import SCCT_2016

DATE_NAMES = ("study_date", "StudyDate", "Study Date", "scan_date", "date")
"""Usual names of the column with the date of a scan."""

SCORE_NAMES = ("agatston", "agatston_score", "cac", "cac_score", "cacs", "score")
"""Usual names of the column with the Agatston score."""

_TEXTS = (
    "study_uid", "series_uid", "status", "reason_codes", "reasons", "rule", "model", "model_version", "model_digest",
    "kernel", "manufacturer", "scanner_model",
)  # fmt: skip
_PROTOCOL_NUMBERS = ("kvp", "slice_thickness_mm", "slice_spacing_mm")
_NUMBERS = (
    *QUANTITIES,
    *(f"{name}_{vessel.lower()}" for name in QUANTITIES for vessel in VESSELS),
    *_PROTOCOL_NUMBERS,
)
KNOWN = ("patient", "date", *_NUMBERS, *_TEXTS)
"""What a column can be declared to hold."""

SECOND_SCORE = "second_agatston"
"""Column of results.csv with the score of a study's other CTAC, as of rest and stress."""

MOST_APART_DAYS = 7
"""Pairs further apart are no repeats: calcium may have grown (own choice)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableTerms:
    """How a table is read."""

    columns: Mapping[str, str] = field(default_factory=dict)
    """Name of the column by what it holds, one of ``KNOWN``; others are found by their usual names."""
    form: TableForm = field(default_factory=TableForm)


def declared(options: Iterable[str]) -> dict[str, str]:
    """Return the declared columns, each given as ``agatston=CAC score``. Raises ``UsageError`` for one that is not."""
    found = {}
    for option in options:
        what, equals, name = option.partition("=")
        base = re.sub(r"_[12]$", "", what)
        if not equals or not name or base not in KNOWN:
            raise UsageError(f"--column {option}: expected WHAT=COLUMN; WHAT is one of {', '.join(KNOWN[:7])} ...")
        found[what] = name
    return found


def compare_table(table: Path, out: Path, terms: Terms, how: TableTerms) -> CompareRun:
    """Compare the scans of each patient of a table or of a results folder; the tables lie in ``out``.

    Raises ``UsageError`` if the table has no column of patients, dates or scores, or a fault.
    """
    source = table / RESULTS if table.is_dir() else table
    scans, left_out = _scans(source, how)
    note = ComparisonReason(
        Doubt.SCORED_EARLIER, f"the scores were taken from {source.name}; ctacal compare A B scores both anew", False
    )
    compared: list[Compared] = []
    for patient, own in scans.items():
        for pair in pairs_of(patient, own, lambda scan: scan):
            comparison = compare_scans(pair.first, pair.second, terms, notes=(note,))
            content = comparison_json(comparison)
            of_course = {
                "patient_id": patient,
                "scans": pair.scans,
                "scan_before": pair.number[0],
                "scan_after": pair.number[1],
            }
            row = comparison_row(content, **of_course)
            compared.append(Compared(content, row, pair.is_whole_course))
    write_tables(compared, out)
    return CompareRun(tuple(compared), left_out)


def _scans(source: Path, how: TableTerms) -> tuple[dict[str, list[ComparedScan]], tuple[str, ...]]:
    """Return the scans of each patient who has several, and sentences on the others."""
    read = _read(source, how)
    by_patient: dict[str, list[ComparedScan]] = {}
    for patient, scan in zip(read.patients, read.scans, strict=True):
        by_patient.setdefault(patient, []).append(scan)
    alone = [patient for patient, scans in by_patient.items() if len(scans) == 1]
    told = [f"{len(alone)} patients with one scan only"] if alone else []
    if read.nameless:
        told.append(f"{read.nameless} rows without a patient")
    return {patient: scans for patient, scans in sorted(by_patient.items()) if len(scans) > 1}, tuple(told)


@dataclass(frozen=True, eq=False, slots=True)
class _Read:
    """The rows of a table as scans."""

    patients: list[str]
    scans: list[ComparedScan]
    nameless: int


def _read(source: Path, how: TableTerms) -> _Read:
    raw = open_table(source, how.form)
    names = list(raw.cells.columns)
    patient = find_column(
        names,
        how.columns.get("patient"),
        PATIENT_NAMES,
        "the patient (patient_id: ctacal score writes it with --phi or --pseudonymise)",
        source,
    )
    day = find_column(names, how.columns.get("date"), DATE_NAMES, "the date of the scan (study_date)", source)
    score = find_column(names, how.columns.get("agatston"), SCORE_NAMES, "the Agatston score", source)
    held = {"agatston": score} | {
        name: how.columns.get(name, name) for name in (*_NUMBERS, *_TEXTS) if how.columns.get(name, name) in names
    }
    numbers = [name for name in _NUMBERS if name in held]
    table = read_readings(
        source,
        [Column(held[name], may_be_missing=True, meaning="score" if name == "agatston" else "") for name in numbers],
        text=[patient, *(held[name] for name in _TEXTS if name in held)],
        form=how.form,
    ).table
    dates = days(as_text(raw.cells.loc[table.index, day]), day, source, how.form.dates)
    table = table.rename(columns={held[name]: name for name in held})
    table = table.assign(_patient=as_text(raw.cells.loc[table.index, patient]), _day=dates)
    known = table[table["_patient"].notna()]
    scans = [_scan(row, number) for number, row in _rows(known)]
    return _Read([str(name) for name in known["_patient"]], scans, len(table) - len(known))


def _rows(table: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield each row of a pandas table with its number in the file."""
    for index, row in zip(table.index, table.to_dict("records"), strict=True):
        yield int(index) + 2, {str(name): value for name, value in row.items()}


def _scan(row: Mapping[str, Any], number: int) -> ComparedScan:
    """Return the scan of a row; ``number`` is that of the row in its file."""
    text = {name: row.get(name) or "" for name in _TEXTS}
    agatston = _number(row, "agatston")
    refused = agatston is None or (text["status"] and text["status"] not in SCORED)
    scan = ComparedScan(
        study_uid=text["study_uid"],
        series_uid=text["series_uid"],
        label=f"row {number}",
        day=None if np.isnan(row["_day"]) else EPOCH + timedelta(days=int(row["_day"])),
        protocol=_protocol(row),
        warnings=_warnings(text["reason_codes"]),
        rule=text["rule"],
        model_digest=text["model_digest"],
        model=f"{text['model']} {text['model_version']}".strip(),
        patient_id=str(row["_patient"] or ""),
    )
    if refused or agatston is None:
        why = text["reasons"] or "the table has no score for it"
        return replace(scan, warnings=(), refused=Reason(_last_code(text["reason_codes"]), why))
    amounts = {name: _amount(row, name, total) for name in QUANTITIES if (total := _number(row, name)) is not None}
    return replace(scan, amounts=amounts, category=risk_category(agatston))


def _protocol(row: Mapping[str, Any]) -> ScanProtocol:
    return ScanProtocol(
        manufacturer=row.get("manufacturer") or "",
        model=row.get("scanner_model") or "",
        kvp=_number(row, "kvp"),
        slice_thickness_mm=_number(row, "slice_thickness_mm"),
        slice_spacing_mm=_number(row, "slice_spacing_mm"),
        kernel=row.get("kernel") or "",
    )


def _number(row: Mapping[str, Any], name: str) -> float | None:
    value = row.get(name)
    return None if value is None or np.isnan(value) else float(value)


def _amount(row: Mapping[str, Any], name: str, total: float) -> Amount:
    parts = {vessel: _number(row, f"{name}_{vessel.lower()}") for vessel in VESSELS}
    return Amount(total, {vessel: part for vessel, part in parts.items() if part is not None})


def _warnings(codes: str) -> tuple[Reason, ...]:
    known = set(Code)
    return tuple(Reason(Code(code), "see its result") for code in codes.split() if code in known)


def _last_code(codes: str) -> Code:
    found = [code for code in codes.split() if code in set(Code)]
    return Code(found[-1]) if found else Code.NO_SCORABLE_SERIES


def limits_of_table(table: Path, name: str, decides: str, how: TableTerms) -> Limits:
    """Return a site's own limits from pairs: a row with two scores (``agatston_1``, ``agatston_2``; or a study of rest
    and stress in results.csv), or two rows of one study, or of one patient and day.

    Raises ``UsageError`` if the table has no pairs, or they are too few or no repeats.
    """
    source = table / RESULTS if table.is_dir() else table
    wide = _wide_columns(source, how)
    found = (_wide_pairs(source, wide, how) if wide else _long_pairs(source, how)).clean
    if not found.pairs:
        raise UsageError(
            f"{source}: no pairs; expected two scores in a row (agatston_1, agatston_2), or two rows of one study or "
            "of one patient and day"
        )
    return limits_of_pairs(_columns_of(found.pairs), found.info(name), decides)


@dataclass(frozen=True, eq=False, slots=True)
class _FoundPairs:
    pairs: list[tuple[ComparedScan, ComparedScan]]
    notes: tuple[str, ...] = ()

    @property
    def clean(self) -> "_FoundPairs":
        """The pairs that could be compared: limits are for such scans."""
        kept = [pair for pair in self.pairs if not any(map(_is_spoilt, pair))]
        if (left_out := len(self.pairs) - len(kept)) == 0:
            return self
        note = f"{left_out} pairs with metal, contrast medium or part of the heart missing were left out"
        return _FoundPairs(kept, (*self.notes, note))

    def info(self, name: str) -> PairsInfo:
        """Return where the pairs come from. Raises ``UsageError`` if they are of several scanners or models."""
        scans = [scan for pair in self.pairs for scan in pair]
        known = sorted(scan.day for scan in scans if scan.day)
        rule = _one({scan.rule for scan in scans}, "scoring rule")
        return PairsInfo(
            name=name,
            patients=len({scan.patient_id or scan.label for scan in scans}),
            first_day=known[0].isoformat() if known else None,
            last_day=known[-1].isoformat() if known else None,
            protocol=_one_protocol(scans),
            rule=rule or SCCT_2016.name,
            model_digest=_one({scan.model_digest for scan in scans}, "model"),
            notes=(*self.notes, *([] if rule else [f"the table names no scoring rule: taken for {SCCT_2016.name}"])),
        )


def _is_spoilt(scan: ComparedScan) -> bool:
    """Whether a warning about the scan alone leaves no verdict."""
    return any(doubt_of(reason.code) not in (None, Doubt.IMAGE_QUALITY) for reason in scan.warnings)


def _one(values: set[str], what: str) -> str:
    known = values - {""}
    if len(known) > 1:
        raise UsageError(f"the pairs have more than one {what} ({', '.join(sorted(known))}); make limits of each apart")
    return known.pop() if known else ""


def _one_protocol(scans: Sequence[ComparedScan]) -> ScanProtocol:
    """Return the scanner and protocol that all scans share. Raises ``UsageError`` if they differ."""
    first = scans[0].protocol
    for scan in scans:
        for _, words in protocol_differences(first, scan.protocol):
            raise UsageError(f"the pairs are of more than one scanner or protocol: {words}; make limits of each apart")
    return first


def _columns_of(pairs: Sequence[tuple[ComparedScan, ComparedScan]]) -> dict[str, Pairs]:
    """Return the totals of each quantity that any pair has."""
    found = {}
    for name in QUANTITIES:
        values = np.array([[_total(scan, name) for scan in pair] for pair in pairs])
        if np.isfinite(values).any():
            found[name] = Pairs(values[:, 0], values[:, 1])
    return found


def _total(scan: ComparedScan, name: str) -> float:
    amount = scan.amounts.get(name)
    return amount.total if amount else float("nan")


def _wide_columns(source: Path, how: TableTerms) -> dict[str, tuple[str, str]]:
    """Return the columns of the quantities that a row holds twice."""
    names = set(open_table(source, how.form).cells.columns)
    found = {}
    for name in QUANTITIES:
        both = tuple(how.columns.get(f"{name}_{k}", f"{name}_{k}") for k in (1, 2))
        if set(both) <= names:
            found[name] = (both[0], both[1])
    if not found and {"agatston", SECOND_SCORE} <= names:
        return {"agatston": ("agatston", SECOND_SCORE)}
    return found


def _wide_pairs(source: Path, wide: Mapping[str, tuple[str, str]], how: TableTerms) -> _FoundPairs:
    raw = open_table(source, how.form)
    names = set(raw.cells.columns)
    held = {name: how.columns.get(name, name) for name in (*_PROTOCOL_NUMBERS, *_TEXTS)}
    held = {name: column for name, column in held.items() if column in names}
    patient = how.columns.get("patient") or next((name for name in PATIENT_NAMES if name in names), None)
    numbers = [
        *(column for both in wide.values() for column in both),
        *(held[n] for n in _PROTOCOL_NUMBERS if n in held),
    ]
    texts = [*(held[name] for name in _TEXTS if name in held), *([patient] if patient else [])]
    columns = [Column(name, may_be_missing=True) for name in dict.fromkeys(numbers)]
    table = read_readings(source, columns, text=texts, form=how.form).table
    dates = _wide_dates(raw.cells.loc[table.index], source, how)
    pairs = []
    for at, (number, row) in enumerate(_rows(table)):
        shared = {name: row.get(column) for name, column in held.items()}
        shared |= {"_patient": row.get(patient) if patient else None, "_day": dates[at]}
        both = [shared | {name: row[columns_of[k]] for name, columns_of in wide.items()} for k in (0, 1)]
        pairs.append(tuple(_scan(scan, number) for scan in both))
    return _FoundPairs([(a, b) for a, b in pairs if not (a.refused or b.refused)])


def _wide_dates(cells: Any, source: Path, how: TableTerms) -> Any:
    """Return the day of each pair, NaN if not known. Raises ``UsageError`` if the two scans of a pair lie far apart."""
    names = set(cells.columns)
    two = [how.columns.get(f"date_{k}", f"date_{k}") for k in (1, 2)]
    if set(two) <= names:
        first, second = (days(as_text(cells[name]), name, source, how.form.dates) for name in two)
        if (far := np.abs(second - first) > MOST_APART_DAYS).any():
            row = int(cells.index[far][0]) + 2
            raise UsageError(
                f"{source}: row {row}: the scans of the pair lie more than {MOST_APART_DAYS} days apart: calcium may "
                "have changed; leave such pairs out"
            )
        return first
    day = how.columns.get("date") or next((name for name in DATE_NAMES if name in names), None)
    return days(as_text(cells[day]), day, source, how.form.dates) if day else np.full(len(cells), np.nan)


def _long_pairs(source: Path, how: TableTerms) -> _FoundPairs:
    """Return the pairs of rows of one study, else of one patient and day; groups of another size are left out."""
    read = _read_scored(source, how)
    groups: dict[tuple[str, ...], list[ComparedScan]] = {}
    for scan in read:
        key = (scan.study_uid,) if scan.study_uid else (scan.patient_id, str(scan.day))
        groups.setdefault(key, []).append(scan)
    pairs, unlike = [], 0
    for scans in groups.values():
        if len(scans) == 2:
            if any(protocol_differences(scans[0].protocol, scans[1].protocol)):
                unlike += 1
            else:
                pairs.append((scans[0], scans[1]))
    notes = []
    if unlike:
        notes.append(f"{unlike} pairs whose scans differ in protocol were left out")
    if several := sum(len(scans) > 2 for scans in groups.values()):
        notes.append(f"{several} studies or days with more than two scans were left out")
    notes.append(
        "rows of one study were taken for two scans: leave out studies whose rows are two reconstructions of one scan"
    )
    return _FoundPairs(pairs, tuple(notes))


def _read_scored(source: Path, how: TableTerms) -> list[ComparedScan]:
    raw = open_table(source, how.form)
    names = list(raw.cells.columns)
    if "study_uid" in names and not set(PATIENT_NAMES) & set(names) and "patient" not in how.columns:
        how = replace(how, columns={**how.columns, "patient": "study_uid"})
    return [scan for scan in _read(source, how).scans if not scan.refused]
