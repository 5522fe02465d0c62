"""Which scored study belongs to which row of another table: by an identifier, by way of a key file, and by date.

``results.csv`` holds no patient's name or number (only the StudyInstanceUID), so the other table holds the study's
identifier itself, or a key file says which study is whose. Everything that finds no partner, or more than one, is told
as a ``LeftOut``; nothing is guessed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ctacal.errors import UsageError
from ctacal.evaluate.readings import column_names, find_column, need, read_table

if TYPE_CHECKING:
    import pandas as pd

STUDY_NAMES = ("study_uid", "StudyInstanceUID", "study_instance_uid", "Study Instance UID", "0020000D")
"""What the column of a study's identifier is called, where none is named."""

PATIENT_NAMES = ("patient_id", "PatientID", "Patient ID", "patient", "subject_id", "subject", "mrn", "id")
"""What the column of a patient's identifier is called, where none is named."""

Choice = Literal["refuse", "earliest", "latest", "nearest"]
"""Which of several scored studies of one patient is taken."""

SCORED = ("scored", "scored_with_warnings")

NOT_SCORED = "its study was not scored"
"""Of a row whose study was refused."""

SHOWN = 3


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A scored study, or a row of the other table, that is in no pair."""

    side: Literal["results", "table"]
    identifier: str
    row: int
    """In its file, as a spreadsheet counts."""
    why: str


@dataclass(frozen=True, eq=False, slots=True)
class Linked:
    """One row a patient (or a row of the other table), and what is not in it."""

    table: "pd.DataFrame"
    """The other table's columns, then those of the results, ending in ``_ctacal`` where both have the name."""
    rows: tuple[int, ...]
    """Of each: the label (row in the file less 2) in the other table."""
    left_out: tuple[LeftOut, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How studies find their rows."""

    study: str | None = None
    """Column of the other table (or of the key file) that holds the StudyInstanceUID; None: by its usual names."""
    patient: str | None = None
    """Column of the patient's identifier, in the table and in the key file; None: by its usual names."""
    key: Path | None = None
    """Table of study and patient; without it the other table holds the study itself."""
    by_patient: bool = True
    """Several rows of one patient count as several studies; False: every row of the table stands for itself."""
    choose: Choice = "refuse"
    date: str | None = None
    """Column of the table's own date, for ``nearest``."""
    within_days: float | None = None
    """A study further from that date is left out."""


def read_results(paths: Sequence[Path]) -> "pd.DataFrame":
    """Lines of results.csv, of one or several runs of ``ctacal score`` (files or their folders); identifiers as text.

    A line that is there again, alike, counts once. Raises ``UsageError`` where one is no results.csv.
    """
    import pandas as pd

    tables = []
    for path in paths:
        file = path / "results.csv" if path.is_dir() else path
        table = read_table(file, text=("study_uid", "series_uid", "study_date", "model", "model_version", "folder"))
        need(table, ("study_uid", "status", "agatston"), file)
        if (missing := table["study_uid"].isna()).any():
            raise UsageError(f"{file}: row {table.index[missing][0] + 2}: study_uid is missing")
        tables.append(table.assign(results_row=table.index + 2))
    together = pd.concat(tables, ignore_index=True)
    alike = [name for name in together.columns if name not in ("results_row", "folder")]
    return together.drop_duplicates(alike).reset_index(drop=True)


def link(results: "pd.DataFrame", source: Path, rules: Rules) -> Linked:
    """Read ``source`` and give its rows their scored study; what finds none, or several, is left out and told.

    Raises ``UsageError`` where a file cannot be read, a column is not there, or nothing fits at all.
    """
    table, patients, pairs, left_out = (
        _with_key(results, source, rules) if rules.key else _direct(results, source, rules)
    )
    pairs = pairs.assign(patient=patients.loc[pairs["table"]].to_numpy())
    scored, refused = _scored(pairs, results)
    left_out += refused
    chosen, others = _one_each(scored, results, table, rules, source)
    left_out += [*others, *_without_study(table, patients, pairs, scored, chosen, left_out)]
    if not len(chosen):
        raise UsageError(_nothing_fits(results, source, left_out))
    chosen = chosen.sort_values("table")
    told = tuple(sorted(left_out, key=lambda one: (one.side, one.row)))
    return Linked(_joined(table, results, chosen), tuple(int(row) for row in chosen["table"]), told)


# --- who belongs together ---------------------------------------------------------------------------------------------

_Parts = tuple["pd.DataFrame", "pd.Series[Any]", "pd.DataFrame", list[LeftOut]]
"""The table, each row's patient, pairs (``result``, ``table``: labels of their rows), and what is in none."""


def _direct(results: "pd.DataFrame", source: Path, rules: Rules) -> _Parts:
    """The table itself holds the study's identifier."""
    names = column_names(source)
    study = find_column(
        names, rules.study, STUDY_NAMES, "the study's StudyInstanceUID (--study), or is there a key (--key)", source
    )
    patient = _patient_column(names, rules, source, other=study)
    table = _as_written(source, names, [study, *([patient] if patient else [])])
    own = table[patient or study]
    patients = own.where(own.notna(), table.index.map(str))
    left_out = [_row(table, row, None, f"{study} is missing") for row in table.index[table[study].isna()]]
    twice = table[study].notna() & table[study].duplicated(keep=False)
    left_out += [_row(table, row, table[study][row], f"{study} is there more than once") for row in table.index[twice]]
    rows = table.loc[table[study].notna() & ~twice, study]
    pairs = _matched(results["study_uid"], rows)
    told = {*pairs["result"]}
    ambiguous = set(table.loc[twice, study])
    for place, uid in results["study_uid"].items():
        if place not in told:
            why = (
                "its row in the table is not the only one" if uid in ambiguous else "the table does not hold this study"
            )
            left_out.append(_result(results, place, why))
    return table, patients, pairs, left_out


def _with_key(results: "pd.DataFrame", source: Path, rules: Rules) -> _Parts:
    """A key file says which study is whose."""
    assert rules.key is not None
    key_names = column_names(rules.key)
    study = find_column(key_names, rules.study, STUDY_NAMES, "the study's StudyInstanceUID (--study)", rules.key)
    names = column_names(source)
    patient = find_column(names, rules.patient, PATIENT_NAMES, "the patient's identifier (--patient)", source)
    usual = (patient, *PATIENT_NAMES)
    in_key = find_column(key_names, None, usual, "the patient's identifier, named as in the table", rules.key)
    table, key = _as_written(source, names, [patient]), read_table(rules.key, text=[study, in_key])
    left_out = [_row(table, row, None, f"{patient} is missing") for row in table.index[table[patient].isna()]]
    twice = table[patient].notna() & table[patient].duplicated(keep=False)
    left_out += [
        _row(table, row, table[patient][row], f"{patient} is there more than once") for row in table.index[twice]
    ]
    whose = key.dropna(subset=[study, in_key]).drop_duplicates([study, in_key])
    torn = set(whose.loc[whose[study].duplicated(keep=False), study])
    owner = whose[~whose[study].isin(torn)].set_index(study)[in_key]
    patients_of_results = results["study_uid"].map(owner)
    pairs = _matched(patients_of_results, table.loc[table[patient].notna() & ~twice, patient])
    left_out += list(_unkeyed(results, patients_of_results, pairs, torn, set(table.loc[twice, patient])))
    return table, table[patient].where(table[patient].notna(), table.index.map(str)), pairs, left_out


def _as_written(source: Path, names: Sequence[str], identifiers: Sequence[str]) -> "pd.DataFrame":
    """Text files as they are, so that 007 and 1.50 come out as they went in; elsewhere cells keep their kind."""
    return read_table(source, text=identifiers if source.suffix.lower() in (".parquet", ".xlsx") else names)


def _unkeyed(
    results: "pd.DataFrame", owners: "pd.Series[Any]", pairs: "pd.DataFrame", torn: set[str], twice: set[str]
) -> Iterator[LeftOut]:
    """Why results are in no pair."""
    told = {*pairs["result"]}
    for place, uid in results["study_uid"].items():
        if place in told:
            continue
        owner = owners[place]
        if uid in torn:
            yield _result(results, place, "the key names more than one patient for this study")
        elif not isinstance(owner, str):
            yield _result(results, place, "the key does not hold this study")
        elif owner in twice:
            yield _result(results, place, f"its patient {owner} has more than one row in the table")
        else:
            yield _result(results, place, f"its patient {owner} has no row in the table")


def _patient_column(names: Sequence[str], rules: Rules, source: Path, other: str) -> str | None:
    if not rules.by_patient:
        return None
    if rules.patient is not None:
        return find_column(names, rules.patient, (), "the patient's identifier", source)
    known = [name for name in names if name.lower() in {one.lower() for one in PATIENT_NAMES} and name != other]
    return known[0] if known else None


def _matched(of_results: "pd.Series[Any]", of_table: "pd.Series[Any]") -> "pd.DataFrame":
    """Pairs of labels whose identifiers are the same."""
    import pandas as pd

    left = pd.DataFrame({"result": of_results.index, "identifier": of_results.to_numpy()}).dropna()
    right = pd.DataFrame({"table": of_table.index, "identifier": of_table.to_numpy()})
    return left.merge(right, on="identifier")[["result", "table"]]


def _result(results: "pd.DataFrame", place: Any, why: str) -> LeftOut:
    return LeftOut("results", str(results["study_uid"][place]), int(results["results_row"][place]), why)


def _row(table: "pd.DataFrame", place: Any, identifier: object, why: str) -> LeftOut:
    return LeftOut("table", "" if identifier is None else str(identifier), int(place) + 2, why)


# --- which of several -------------------------------------------------------------------------------------------------


def _scored(pairs: "pd.DataFrame", results: "pd.DataFrame") -> "tuple[pd.DataFrame, list[LeftOut]]":
    """The pairs whose study has a score, and the others."""
    status = results.loc[pairs["result"], "status"].to_numpy()
    fine = np.isin(status, SCORED) & results.loc[pairs["result"], "agatston"].notna().to_numpy()
    codes = results["reason_codes"] if "reason_codes" in results.columns else results["status"]
    left_out = [
        _result(results, place, f"{results['status'][place]}: {codes[place]}") for place in pairs.loc[~fine, "result"]
    ]
    return pairs[fine], left_out


def _one_each(
    pairs: "pd.DataFrame", results: "pd.DataFrame", table: "pd.DataFrame", rules: Rules, source: Path
) -> "tuple[pd.DataFrame, list[LeftOut]]":
    """At most one pair a patient, and the results that were not taken."""
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
            others, why = some.drop(best.index), f"another study of {patient} was taken ({rules.choose})"
        else:
            others, why = some, _several(patient, some, best, rules)
        left_out += [_result(results, place, why) for place in others["result"]]
    return pd.concat(kept), left_out


def _far(days: float, rules: Rules) -> str:
    if np.isnan(days):
        return "its date, or that of the table, is not known"
    return f"{days:g} days from the table's date, more than {rules.within_days:g}"


def _several(patient: object, some: "pd.DataFrame", best: "pd.DataFrame", rules: Rules) -> str:
    told = f"{len(some)} scored studies or series of {patient}"
    if rules.choose == "refuse":
        return f"{told}: --choose says which to take"
    if not len(best):
        return f"{told}, of unknown dates"
    return f"{told}, {len(best)} of them alike in date"


def _distance(
    pairs: "pd.DataFrame", results: "pd.DataFrame", table: "pd.DataFrame", rules: Rules, source: Path
) -> "pd.Series[Any]":
    """What the chosen study has least of: days; NaN where it is not known, all 0 where none is to be chosen."""
    import pandas as pd

    if rules.choose == "refuse":
        return pd.Series(0.0, index=pairs.index)
    if "study_date" not in results.columns:
        raise UsageError("the results hold no study_date; without it no study can be chosen by its date")
    scanned = pd.Series(_days(results["study_date"], "study_date", "the results")).loc[pairs["result"]].to_numpy()
    if rules.choose in ("earliest", "latest"):
        return pd.Series(scanned if rules.choose == "earliest" else -scanned, index=pairs.index)
    if rules.date is None:
        raise UsageError("nearest to which date? Name the table's column: --date")
    need(table, [rules.date], source)
    asked = _days(table[rules.date], rules.date, str(source)).loc[pairs["table"]].to_numpy()
    return pd.Series(np.abs(scanned - asked), index=pairs.index)


def _days(dates: "pd.Series[Any]", name: str, where: str) -> "pd.Series[Any]":
    """Days since 1970, NaN where there is none; ``UsageError`` where one is neither YYYYMMDD nor YYYY-MM-DD."""
    import pandas as pd

    text = dates.map(
        lambda one: None if one is None or one != one else str(one).split(".")[0].split(" ")[0].split("T")[0]
    )
    plain = text.astype("string").str.replace("-", "", regex=False)
    days = pd.to_datetime(plain, format="%Y%m%d", errors="coerce")
    wrong = text.notna() & (text != "") & days.isna()
    if wrong.any():
        row = dates.index[wrong][0]
        raise UsageError(f"{where}: {name} is {dates[row]!r}, expected YYYY-MM-DD or YYYYMMDD")
    return (days - pd.Timestamp(1970, 1, 1)).dt.days.astype("float64")


# --- what comes out ---------------------------------------------------------------------------------------------------


def _without_study(
    table: "pd.DataFrame",
    patients: "pd.Series[Any]",
    pairs: "pd.DataFrame",
    scored: "pd.DataFrame",
    chosen: "pd.DataFrame",
    told: Sequence[LeftOut],
) -> Iterator[LeftOut]:
    """Why rows of the table are in no pair, where that is not told yet."""
    known = {one.row for one in told if one.side == "table"}
    taken, taken_patients = set(chosen["table"]), set(chosen["patient"])
    with_study, with_score = set(pairs["table"]), set(scored["table"])
    for row in table.index:
        if row in taken or row + 2 in known:
            continue
        if patients[row] in taken_patients:
            why = "another row of this patient was taken"
        elif row in with_score:
            why = "more than one scored study, or none near enough in date"
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


def _nothing_fits(results: "pd.DataFrame", source: Path, left_out: Sequence[LeftOut]) -> str:
    theirs = [one.identifier for one in left_out if one.side == "table" and one.identifier][:SHOWN]
    ours = [str(uid) for uid in results["study_uid"][:SHOWN]]
    why = next((one.why for one in left_out if one.side == "results"), "")
    return (
        f"no scored study finds a row in {source} ({why}); the results hold {', '.join(ours)}, "
        f"the table {', '.join(theirs) or 'no identifier'}"
    )
