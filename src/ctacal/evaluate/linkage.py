"""Linkage of scored studies with the rows of another table: by identifier, through a key file, and by date.

Studies are known by their StudyInstanceUID; names and numbers of patients, which ``results.csv`` holds only if the user
wants it, are left out. The other table therefore has the identifier of the study
itself, or a key file assigns studies to patients. Whatever has no partner, or more than one, is
reported as a ``LeftOut``; nothing is guessed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ctacal.errors import UsageError
from ctacal.evaluate.readings import (
    ANY_FORM,
    RawTable,
    TableForm,
    as_text,
    column_names,
    find_column,
    need,
    open_table,
    read_table,
    without_unknown,
)
from ctacal.evaluate.readings.dates import days
from ctacal.evaluate.readings.identifiers import alike, damage
from ctacal.results_table import IDENTITY

if TYPE_CHECKING:
    import pandas as pd

STUDY_NAMES = ("study_uid", "StudyInstanceUID", "study_instance_uid", "Study Instance UID", "0020000D")
"""Usual names of the column with the identifier of the study."""

PATIENT_NAMES = ("patient_id", "PatientID", "Patient ID", "patient", "subject_id", "subject", "mrn", "id")
"""Usual names of the column with the identifier of the patient."""

Choice = Literal["refuse", "earliest", "latest", "nearest"]
"""Which study is used if a patient has several scored studies."""

SCORED = ("scored", "scored_with_warnings")
"""Statuses of studies that have a score."""

NOT_SCORED = "its study was not scored"
"""Reason for leaving out a row whose study was refused."""

SHOWN = 3
"""Number of identifiers that a message shows."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A scored study, or a row of the other table, without a partner."""

    side: Literal["results", "table"]
    identifier: str
    row: int
    """Row in its file, numbered as in a spreadsheet."""
    why: str


@dataclass(frozen=True, eq=False, slots=True)
class Linked:
    """One row for each patient (or each row of the other table), and what was left out."""

    table: "pd.DataFrame"
    """The columns of the other table, then those of the results, with ``_ctacal`` added to names that both have."""
    rows: tuple[int, ...]
    """The label of each row in the other table: its row in the file minus 2."""
    left_out: tuple[LeftOut, ...]
    raw: RawTable
    """The other table as it was opened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How studies are linked with rows."""

    study: str | None = None
    """Column of the StudyInstanceUID in the other table or the key file; None to look for its usual names."""
    patient: str | None = None
    """Column of the patient's identifier in the table and the key file; None to look for its usual names."""
    key: Path | None = None
    """Table of studies and patients; without it the other table has the StudyInstanceUID itself."""
    by_patient: bool = True
    """Whether several rows of a patient count as several studies; if not, every row stands for itself."""
    choose: Choice = "refuse"
    date: str | None = None
    """Column of the date in the other table, for ``nearest``."""
    within_days: float | None = None
    """Studies further from that date are left out."""
    form: TableForm = ANY_FORM
    """How the other table is written."""


def read_results(paths: Sequence[Path]) -> "pd.DataFrame":
    r"""Read the results.csv of one or several runs of ``ctacal score`` (files or their folders), every cell as text.

    Columns that name the patient are left out. Equal rows count once.

    Args:
        paths: Files, or the folders that hold results.csv.

    Returns:
        The rows, with ``results_row``, the row in the file.

    Raises:
        UsageError: A file is not a results.csv.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "results.csv").write_text("study_uid,status,agatston\n1.2,scored,120.5\n")
        ...     read_results([Path(folder)])["agatston"].tolist()
        ['120.5']
    """
    import pandas as pd

    tables = []
    for path in paths:
        file = path / "results.csv" if path.is_dir() else path
        table = read_table(file)
        need(table, ("study_uid", "status", "agatston"), file)
        if (missing := table["study_uid"].isna()).any():
            raise UsageError(f"{file}: row {table.index[missing][0] + 2}: study_uid is missing")
        named = [name for name in IDENTITY if name in table.columns]
        tables.append(table.drop(columns=named).assign(results_row=table.index + 2))
    together = pd.concat(tables, ignore_index=True)
    compared = [name for name in together.columns if name not in ("results_row", "folder")]
    return together.drop_duplicates(compared).reset_index(drop=True)


def link(results: "pd.DataFrame", source: Path, rules: Rules) -> Linked:
    r"""Read ``source`` and link its rows with scored studies; rows and studies without a unique partner are left out.

    Args:
        results: What ``read_results`` gives.
        source: The other table: clinical data, or readings.
        rules: By which columns they are linked, and which of several studies of a patient is chosen.

    Returns:
        The joined table, and what was left out.

    Raises:
        UsageError: A file cannot be read, a column is missing, or no study matches a row.

    Example:
        >>> import tempfile
        >>> import pandas as pd
        >>> results = pd.DataFrame(
        ...     {"study_uid": ["1.2", "1.3"], "status": "scored", "agatston": ["120.5", "0"], "results_row": [2, 3]}
        ... )
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     clinical = Path(folder, "clinical.csv")
        ...     _ = clinical.write_text("study_uid,age_years\n1.2,64\n")
        ...     linked = link(results, clinical, Rules(study="study_uid"))
        >>> isinstance(linked, Linked), linked.table["agatston"].tolist(), isinstance(linked.left_out[0], LeftOut)
        (True, ['120.5'], True)
    """
    raw = open_table(source, rules.form)
    table, patients, pairs, left_out = _with_key(results, raw, rules) if rules.key else _direct(results, raw, rules)
    pairs = pairs.assign(patient=patients.loc[pairs["table"]].to_numpy())
    scored, refused = _scored(pairs, results)
    left_out += refused
    chosen, others = _one_for_each_patient(scored, results, table, rules, source)
    left_out += [*others, *_without_study(table, patients, pairs, scored, chosen, left_out)]
    if not len(chosen):
        raise UsageError(_no_match(results, source, left_out, "" if rules.key else _study_column(raw, rules), table))
    chosen = chosen.sort_values("table")
    in_order = tuple(sorted(left_out, key=lambda left: (left.side, left.row)))
    return Linked(_joined(table, results, chosen), tuple(int(row) for row in chosen["table"]), in_order, raw)


# --- pairs of study and row -------------------------------------------------------------------------------------------

_Parts = tuple["pd.DataFrame", "pd.Series[Any]", "pd.DataFrame", list[LeftOut]]
"""The table, the patient of each row, the pairs (``result``, ``table``: labels of their rows), and what has no pair."""


def _direct(results: "pd.DataFrame", raw: RawTable, rules: Rules) -> _Parts:
    """Link by the StudyInstanceUID in the table itself."""
    names = list(raw.cells.columns)
    study = _study_column(raw, rules)
    patient = _patient_column(names, rules, raw.source, other=study)
    table = _with_identifiers(raw, [study, *([patient] if patient else [])])
    left_out = [_row(table, row, None, f"{study} is missing") for row in table.index[table[study].isna()]]
    twice = _occurs_twice(table[study])
    left_out += [_row(table, row, table[study][row], f"{study} occurs more than once") for row in table.index[twice]]
    rows = table.loc[table[study].notna() & ~twice, study]
    pairs = _matched(results["study_uid"], rows)
    paired, ambiguous = {*pairs["result"]}, set(table.loc[twice, study].map(alike))
    near = _Near(rows)
    for place, uid in results["study_uid"].items():
        if place not in paired:
            rows_held = "more than one row" if alike(uid) in ambiguous else "no row"
            why = f"the table has {rows_held} for this study"
            left_out.append(_result(results, place, why + (near.of(uid) if rows_held == "no row" else "")))
    return table, _or_row(table[patient or study]), pairs, left_out


def _study_column(raw: RawTable, rules: Rules) -> str:
    what = "the StudyInstanceUID (name it with --study, or give a key file with --key)"
    return find_column(list(raw.cells.columns), rules.study, STUDY_NAMES, what, raw.source)


def _with_key(results: "pd.DataFrame", raw: RawTable, rules: Rules) -> _Parts:
    """Link through a key file of studies and patients."""
    assert rules.key is not None
    key_names = column_names(rules.key)
    study = find_column(key_names, rules.study, STUDY_NAMES, "the StudyInstanceUID (name it with --study)", rules.key)
    names = list(raw.cells.columns)
    patient = find_column(
        names, rules.patient, PATIENT_NAMES, "the identifier of the patient (name it with --patient)", raw.source
    )
    usual = (patient, *PATIENT_NAMES)
    in_key = find_column(key_names, None, usual, "the identifier of the patient, named as in the table", rules.key)
    table, key = _with_identifiers(raw, [patient]), read_table(rules.key, text=[study, in_key])
    if problem := damage(key[in_key]):
        raise UsageError(f"{rules.key}: column {in_key} {problem}")
    left_out = [_row(table, row, None, f"{patient} is missing") for row in table.index[table[patient].isna()]]
    twice = _occurs_twice(table[patient])
    left_out += [
        _row(table, row, table[patient][row], f"{patient} occurs more than once") for row in table.index[twice]
    ]
    key_rows = key.dropna(subset=[study, in_key]).drop_duplicates([study, in_key])
    contradictory = set(key_rows.loc[key_rows[study].duplicated(keep=False), study])
    owner = key_rows[~key_rows[study].isin(contradictory)].set_index(study)[in_key]
    patients_of_results = results["study_uid"].map(owner)
    rows = table.loc[table[patient].notna() & ~twice, patient]
    pairs = _matched(patients_of_results, rows)
    doubled = set(table.loc[twice, patient].map(alike))
    left_out += list(_unkeyed(results, patients_of_results, pairs, contradictory, doubled, _Near(rows)))
    return table, _or_row(table[patient]), pairs, left_out


class _Near:
    """Identifiers of the table that another spelling of an identifier may mean. Nothing is linked by them."""

    def __init__(self, rows: "pd.Series[Any]") -> None:
        self._rows = {alike(name): f"row {int(row) + 2} has {name}" for row, name in zip(rows.index, rows, strict=True)}

    def of(self, identifier: str) -> str:
        """Return what to add to a reason."""
        found = self._rows.get(alike(identifier))
        return f"; {found}: other capitals, blanks, or zeros lost in a spreadsheet?" if found else ""


def _occurs_twice(identifiers: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return which identifiers occur again, also in another spelling."""
    spelled = identifiers.map(lambda name: None if name is None else alike(name))
    return spelled.notna() & spelled.duplicated(keep=False)


def _or_row(identifier: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return the identifiers, with the number of the row if one is missing."""
    return identifier.where(identifier.notna(), identifier.index.map(str).to_series(identifier.index))


def _with_identifiers(raw: RawTable, identifiers: Sequence[str]) -> "pd.DataFrame":
    """Return the cells as they are, but for identifiers, which become text."""
    table = raw.cells.copy()
    for name in identifiers:
        table[name] = as_text(table[name])
        if problem := damage(table[name]):
            raise UsageError(f"{raw.source}: column {name} {problem}")
    return table


def _unkeyed(
    results: "pd.DataFrame",
    owners: "pd.Series[Any]",
    pairs: "pd.DataFrame",
    contradictory: set[str],
    twice: set[str],
    near: _Near,
) -> Iterator[LeftOut]:
    """Yield why results have no pair."""
    paired = {*pairs["result"]}
    for place, uid, owner in zip(results.index, results["study_uid"], owners, strict=True):
        if place in paired:
            continue
        if uid in contradictory:
            yield _result(results, place, "the key names more than one patient for this study")
        elif not isinstance(owner, str):
            yield _result(results, place, "the key has no row for this study")
        elif alike(owner) in twice:
            yield _result(results, place, f"patient {owner} has more than one row in the table")
        else:
            yield _result(results, place, f"patient {owner} has no row in the table{near.of(owner)}")


def _patient_column(names: Sequence[str], rules: Rules, source: Path, other: str) -> str | None:
    if not rules.by_patient:
        return None
    if rules.patient is not None:
        return find_column(names, rules.patient, (), "the identifier of the patient", source)
    known = [name for name in names if name.lower() in {usual.lower() for usual in PATIENT_NAMES} and name != other]
    return known[0] if known else None


def _matched(of_results: "pd.Series[Any]", of_table: "pd.Series[Any]") -> "pd.DataFrame":
    """Return the pairs of labels whose identifiers are equal."""
    import pandas as pd

    left = pd.DataFrame({"result": of_results.index, "identifier": of_results.to_numpy()}).dropna()
    right = pd.DataFrame({"table": of_table.index, "identifier": of_table.to_numpy()})
    return left.merge(right, on="identifier")[["result", "table"]]


def _result(results: "pd.DataFrame", place: Any, why: str) -> LeftOut:
    return LeftOut("results", str(results["study_uid"][place]), int(results["results_row"][place]), why)


def _row(table: "pd.DataFrame", place: Any, identifier: object, why: str) -> LeftOut:
    return LeftOut("table", "" if identifier is None else str(identifier), int(place) + 2, why)


# --- one study for each patient ---------------------------------------------------------------------------------------


def _scored(pairs: "pd.DataFrame", results: "pd.DataFrame") -> "tuple[pd.DataFrame, list[LeftOut]]":
    """Return the pairs whose study has a score, and the others as left out."""
    status = results.loc[pairs["result"], "status"].to_numpy()
    has_score = np.isin(status, SCORED) & results.loc[pairs["result"], "agatston"].notna().to_numpy()
    codes = results["reason_codes"] if "reason_codes" in results.columns else results["status"]
    left_out = [
        _result(results, place, f"{results['status'][place]}: {codes[place]}")
        for place in pairs.loc[~has_score, "result"]
    ]
    return pairs[has_score], left_out


def _one_for_each_patient(
    pairs: "pd.DataFrame", results: "pd.DataFrame", table: "pd.DataFrame", rules: Rules, source: Path
) -> "tuple[pd.DataFrame, list[LeftOut]]":
    """Return at most one pair for each patient, and the results that were not chosen."""
    import pandas as pd

    pairs = pairs.assign(distance=_distance(pairs, results, table, rules, source))
    left_out: list[LeftOut] = []
    if rules.choose == "nearest":
        far = pairs["distance"].isna() | (
            pairs["distance"] > (np.inf if rules.within_days is None else rules.within_days)
        )
        left_out += [
            _result(results, place, _far(days, rules))
            for place, days in pairs.loc[far, ["result", "distance"]].to_numpy()
        ]
        pairs = pairs[~far]
    several = pairs["patient"].duplicated(keep=False)
    kept = [pairs[~several]]
    for patient, some in pairs[several].groupby("patient", sort=False):
        best = some if rules.choose == "refuse" else some[some["distance"] == some["distance"].min()]
        if len(best) == 1:
            kept.append(best)
            others, why = some.drop(best.index), f"another study of {patient} was chosen ({rules.choose})"
        else:
            others, why = some, _several(patient, some, best, rules)
        left_out += [_result(results, place, why) for place in others["result"]]
    return pd.concat(kept), left_out


def _far(days: float, rules: Rules) -> str:
    if np.isnan(days):
        return "its date, or the date in the table, is not known"
    return f"{days:g} days from the date in the table, more than {rules.within_days:g}"


def _several(patient: object, some: "pd.DataFrame", best: "pd.DataFrame", rules: Rules) -> str:
    several = f"{len(some)} scored studies or series of {patient}"
    if rules.choose == "refuse":
        return f"{several}: choose one with --choose"
    if not len(best):
        return f"{several}, with unknown dates"
    return f"{several}, {len(best)} of them tied by date"


def _distance(
    pairs: "pd.DataFrame", results: "pd.DataFrame", table: "pd.DataFrame", rules: Rules, source: Path
) -> "pd.Series[Any]":
    """Return days, of which the chosen study has the fewest; NaN if not known, all 0 if none is to be chosen."""
    import pandas as pd

    if rules.choose == "refuse":
        return pd.Series(0.0, index=pairs.index)
    if "study_date" not in results.columns:
        raise UsageError("the results have no column study_date, so no study can be chosen by its date")
    scanned = _days(results["study_date"], "study_date", "the results").loc[pairs["result"]].to_numpy()
    if rules.choose in ("earliest", "latest"):
        return pd.Series(scanned if rules.choose == "earliest" else -scanned, index=pairs.index)
    if rules.date is None:
        raise UsageError("to choose the nearest study, name the date column of the table with --date")
    need(table, [rules.date], source)
    wanted = _days(table[rules.date], rules.date, source, rules.form).loc[pairs["table"]].to_numpy()
    return pd.Series(np.abs(scanned - wanted), index=pairs.index)


def _days(dates: "pd.Series[Any]", name: str, source: object, form: TableForm = ANY_FORM) -> "pd.Series[Any]":
    """Return days since 1970, NaN if missing. Raises ``UsageError`` if a cell is no date."""
    import pandas as pd

    known = without_unknown(dates, form.unknown(name))
    return pd.Series(days(known, name, source, form.dates), index=dates.index)


# --- the joined table -------------------------------------------------------------------------------------------------


def _without_study(
    table: "pd.DataFrame",
    patients: "pd.Series[Any]",
    pairs: "pd.DataFrame",
    scored: "pd.DataFrame",
    chosen: "pd.DataFrame",
    left_out: Sequence[LeftOut],
) -> Iterator[LeftOut]:
    """Yield why rows of the table have no pair, unless ``left_out`` has the reason already."""
    known = {left.row for left in left_out if left.side == "table"}
    used, used_patients = set(chosen["table"]), set(chosen["patient"])
    with_study, with_score = set(pairs["table"]), set(scored["table"])
    for row in table.index:
        if row in used or row + 2 in known:
            continue
        if patients[row] in used_patients:
            why = "another row of this patient was used"
        elif row in with_score:
            why = "more than one scored study, or none close enough in date"
        else:
            why = NOT_SCORED if row in with_study else "no scored study"
        yield _row(table, row, patients[row], why)


def _joined(table: "pd.DataFrame", results: "pd.DataFrame", chosen: "pd.DataFrame") -> "pd.DataFrame":
    import pandas as pd

    left = table.loc[chosen["table"]].reset_index(drop=True)
    right = results.loc[chosen["result"]].drop(columns="results_row").reset_index(drop=True)
    same = [name for name in right.columns if name in left.columns and name == "study_uid"]
    right = right.drop(columns=same).rename(
        columns={name: f"{name}_ctacal" for name in right.columns if name in left.columns}
    )
    return pd.concat([left, right], axis=1)


def _no_match(
    results: "pd.DataFrame", source: Path, left_out: Sequence[LeftOut], study: str, table: "pd.DataFrame"
) -> str:
    """Return why nothing matches, with identifiers of both sides: of the column of the study, "" if a key is given."""
    theirs = [left.identifier for left in left_out if left.side == "table" and left.identifier][:SHOWN]
    theirs = [str(uid) for uid in table[study].dropna()[:SHOWN]] if study else theirs
    ours = [str(uid) for uid in results["study_uid"][:SHOWN]]
    why = next((left.why for left in left_out if left.side == "results"), "")
    return (
        f"no scored study matches a row of {source} ({why}); studies in the results: {', '.join(ours)}; "
        f"identifiers in {f'column {study}' if study else 'the table'}: {', '.join(theirs) or 'none'}"
    )
