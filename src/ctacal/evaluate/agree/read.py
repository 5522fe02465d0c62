"""A table of readings, joined with results of ``ctacal score`` -> the scores of each rater on the same studies."""

import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ctacal.errors import UsageError
from ctacal.evaluate.agree.config import AgreeConfig
from ctacal.evaluate.agree.raters import VESSELS, Rater, Raters
from ctacal.evaluate.linkage import NOT_SCORED, PATIENT_NAMES, STUDY_NAMES, Rules, link, read_results
from ctacal.evaluate.readings import KINDS, Column, Readings, check, find_column, need, read_table

if TYPE_CHECKING:
    import pandas as pd

UNNAMED = "CORONARY"
"""Name of coronary calcium without a vessel: if a study has any, its scores by vessel are not known."""

READER_COLUMN = re.compile(r"(reader|expert|observer|radiologist|manual|reference|truth)(?![a-z])", re.IGNORECASE)
MODEL_COLUMN = re.compile(r"(model|dl|ai|agatston|ctacal)(?![a-z])", re.IGNORECASE)
"""How the names of score columns begin, for tables whose columns are not named."""

IDENTIFIER_NAMES = (*STUDY_NAMES, "study", "scan", "case", *PATIENT_NAMES)
"""Usual names of the identifier's column, most specific first."""


def read_raters(config: AgreeConfig) -> Raters:
    """Read and check the table. Raises ``UsageError`` if there is nothing to compare or a row has a fault."""
    if unknown := set(config.drop) - set(KINDS):
        raise UsageError(f"cannot drop {', '.join(sorted(unknown))}: known are {', '.join(KINDS)}")
    names = _names(config)
    raw = read_table(config.table, text=[name for name in names if name])
    identifier, patient = names
    scored = [(*_results_columns(raw, config, path, identifier),) for path in config.results]
    models = [*_columns(raw, config.models, MODEL_COLUMN, "model", not scored, names), *(name for name, _ in scored)]
    readers = _columns(raw, config.readers, READER_COLUMN, "reader", True, names)
    refused = {name: len(rows) for name, rows in scored}
    raw = raw.drop(index=list({row for _, rows in scored for row in rows}))
    if len(readers) + len(models) < 2 or not readers:
        raise UsageError(_nothing_to_compare(raw, config, readers, models))
    if twice := [name for name in [*readers, *models] if [*readers, *models].count(name) > 1]:
        raise UsageError(f"{twice[0]} is named twice: give each column once")
    readings = _checked(raw, config, [*readers, *models], identifier, patient)
    raters = [
        *(_rater(readings, name, "reader") for name in readers),
        *(_rater(readings, name, "model") for name in models),
    ]
    patients = None if patient is None else tuple(map(str, readings.table[patient]))
    return Raters(tuple(raters), patients, readings, identifier, refused)


def _names(config: AgreeConfig) -> tuple[str | None, str | None]:
    """Return the columns of the study's and of the patient's identifier."""
    names = [str(name) for name in read_table(config.table).columns]
    if config.patient is not None and config.patient not in names:
        raise UsageError(f"{config.table} has no column {config.patient}; it has: {', '.join(names)}")
    known = {name.lower() for name in IDENTIFIER_NAMES}
    if config.identifier is None and not any(name.lower() in known for name in names):
        return None, config.patient
    return find_column(names, config.identifier, IDENTIFIER_NAMES, "the study", config.table), config.patient


def _columns(
    raw: "pd.DataFrame",
    named: Sequence[str],
    usual: re.Pattern[str],
    kind: str,
    wanted: bool,
    taken: Collection[str | None],
) -> list[str]:
    """Return the columns that are named, or else the columns of scores with a usual name."""
    if named:
        return list(named)
    if not wanted:
        return []
    found = [
        name for name in map(str, raw.columns) if usual.match(name) and name not in taken and _holds_scores(raw[name])
    ]
    return [name for name in found if not any(name.startswith(f"{other}_") for other in found)]


def _holds_scores(cells: "pd.Series[Any]") -> bool:
    """Whether more than half of the cells are numbers; those of names and dates are not."""
    import pandas as pd

    filled = cells.dropna()
    return bool(len(filled)) and bool(pd.to_numeric(filled, errors="coerce").notna().mean() > 0.5)


def _nothing_to_compare(raw: "pd.DataFrame", config: AgreeConfig, readers: Sequence[str], models: Sequence[str]) -> str:
    found = ", ".join([*(f"reader {name}" for name in readers), *(f"model {name}" for name in models)]) or "none"
    return (
        f"{config.table}: expected a reader and a model, or two readers; found: {found}. Name the columns with "
        f"--reader and --model; the table has: {', '.join(map(str, raw.columns))}"
    )


def _results_columns(
    raw: "pd.DataFrame", config: AgreeConfig, path: Path, identifier: str | None
) -> tuple[str, list[int]]:
    """Add the scores of a results.csv to the table; return the model's name and the rows of studies that it refused."""
    results = read_results([path])
    linked = link(results, config.table, Rules(study=identifier, by_patient=False))
    name = _model_name(linked.table, path, raw)
    rows = list(linked.rows)
    raw[name] = np.nan
    raw.loc[rows, name] = linked.table[_last(linked.table, "agatston")].to_numpy(np.float64)
    for vessel in (*VESSELS, UNNAMED):
        column = _last(linked.table, f"agatston_{vessel.lower()}")
        if column in linked.table.columns:
            raw[f"{name}_{vessel.lower()}"] = np.nan
            raw.loc[rows, f"{name}_{vessel.lower()}"] = linked.table[column].to_numpy(np.float64)
    return name, [left.row - 2 for left in linked.left_out if left.side == "table" and left.why == NOT_SCORED]


def _last(table: "pd.DataFrame", name: str) -> str:
    """Return the name of the results' column, which has a suffix if both tables have the name."""
    return f"{name}_ctacal" if f"{name}_ctacal" in table.columns else name


def _model_name(table: "pd.DataFrame", path: Path, raw: "pd.DataFrame") -> str:
    columns = [_last(table, name) for name in ("model", "model_version")]
    known = [name for name in columns if name in table.columns]
    names = {" ".join(str(cell) for cell in row if cell is not None) for row in table[known].to_numpy()}
    name = names.pop() if len(names) == 1 else ""
    if not name or name in raw.columns:
        name = f"{name} {(path if path.is_dir() else path.parent).resolve().name}".strip()
    return name


def _checked(
    raw: "pd.DataFrame", config: AgreeConfig, scores: Sequence[str], identifier: str | None, patient: str | None
) -> Readings:
    need(raw, scores, config.table)
    vessels = [name for score in scores for name in _vessel_columns(raw, score, (*VESSELS, UNNAMED)).values()]
    columns = [*(Column(name) for name in scores), *(Column(name, may_be_missing=True) for name in vessels)]
    kept = [
        *([identifier] if identifier else []),
        *([patient] if patient else []),
        *(column.name for column in columns),
    ]
    table = raw[list(dict.fromkeys(kept))]
    if patient is not None and table[patient].isna().any():
        row = table.index[table[patient].isna()][0] + 2
        raise UsageError(f"{config.table}: row {row}: {patient} is missing")
    return check(table, columns, config.table, identifier=identifier, drop=config.drop)


def _vessel_columns(table: "pd.DataFrame", score: str, vessels: Sequence[str] = VESSELS) -> dict[str, str]:
    """Return the column of each vessel."""
    by_lower = {str(name).lower(): str(name) for name in table.columns}
    found = {vessel: by_lower.get(f"{score}_{vessel}".lower()) for vessel in vessels}
    return {vessel: name for vessel, name in found.items() if name is not None}


def _rater(readings: Readings, score: str, kind: Literal["reader", "model"]) -> Rater:
    table = readings.table
    unnamed = _vessel_columns(table, score, (UNNAMED,)).get(UNNAMED)
    known = np.ones(len(table), bool) if unnamed is None else ~(table[unnamed].to_numpy(np.float64) > 0)
    vessels = {
        vessel: np.where(known, table[name].to_numpy(np.float64), np.nan)
        for vessel, name in _vessel_columns(table, score).items()
    }
    vessels = {vessel: scores for vessel, scores in vessels.items() if np.isfinite(scores).any()}
    return Rater(score, kind, table[score].to_numpy(np.float64), vessels)
