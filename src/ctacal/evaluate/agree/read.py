"""A table of readings, joined with results of ``ctacal score`` -> the scores of each rater on the same studies."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ctacal.errors import UsageError
from ctacal.evaluate.agree.config import AgreeConfig
from ctacal.evaluate.agree.label_files import IDENTIFIER_NAMES, Files, find_label_files, result_label_file
from ctacal.evaluate.agree.raters import VESSELS, Rater, Raters
from ctacal.evaluate.linkage import NOT_SCORED, Rules, link, read_results
from ctacal.evaluate.readings import KINDS, Column, Readings, check, find_column, need, read_table

if TYPE_CHECKING:
    import pandas as pd

SECOND = "second"
"""Ending of the column of a second reading: SCORE_second."""

UNNAMED = "CORONARY"
"""Name of coronary calcium without a vessel: if a study has any, its scores by vessel are not known."""

READER_COLUMN = re.compile(r"(reader|expert|observer|radiologist|manual|reference|truth)(?![a-z])", re.IGNORECASE)
MODEL_COLUMN = re.compile(r"(model|dl|ai|agatston|ctacal)(?![a-z])", re.IGNORECASE)
"""How the names of score columns begin, for tables whose columns are not named."""


def read_raters(config: AgreeConfig) -> Raters:
    """Read and check the table. Raises ``UsageError`` if there is nothing to compare or a row has a fault."""
    if unknown := set(config.drop) - set(KINDS):
        raise UsageError(f"cannot drop {', '.join(sorted(unknown))}: known are {', '.join(KINDS)}")
    names = _names(config)
    raw = read_table(config.table, text=[name for name in names if name])
    identifier, patient = names
    scored = [_add_results(raw, config, path, identifier) for path in config.results]
    models = [
        *_columns(raw, config.models, MODEL_COLUMN, "model", not scored, names),
        *(added.name for added in scored),
    ]
    readers = _columns(raw, config.readers, READER_COLUMN, "reader", True, names)
    raw = raw.drop(index=list({row for added in scored for row in added.refused}))
    if len(readers) + len(models) < 2 or not readers:
        raise UsageError(_nothing_to_compare(raw, config, readers, models))
    if twice := [name for name in [*readers, *models] if [*readers, *models].count(name) > 1]:
        raise UsageError(f"{twice[0]} is named twice: give each column once")
    readings = _checked(raw, config, [*readers, *models], names)
    files = _label_files(config, [*readers, *models], identifier, scored)
    raters = [
        *(_rater(readings, name, "reader", identifier, files) for name in readers),
        *(_rater(readings, name, "model", identifier, files) for name in models),
    ]
    patients = None if patient is None else tuple(map(str, readings.table[patient]))
    refused = {added.name: len(added.refused) for added in scored}
    found = Raters(tuple(raters), patients, readings, identifier, refused)
    if not any(True for _ in found.pairs()):
        raise UsageError(f"{config.table}: no study was scored by two raters")
    return found


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


@dataclass(frozen=True, slots=True)
class _Added:
    """What was added to the table from results of ``ctacal score``."""

    name: str
    """Name of the model, which is also that of its column."""
    refused: list[int]
    """Rows of studies that it refused."""
    files: dict[str, Path]
    """Label file of each study, by the study's identifier."""


def _add_results(raw: "pd.DataFrame", config: AgreeConfig, path: Path, identifier: str | None) -> _Added:
    """Add the scores of a results.csv to the table."""
    linked = link(read_results([path]), config.table, Rules(study=identifier, by_patient=False))
    name = _model_name(linked.table, path, raw)
    rows = list(linked.rows)
    raw[name] = np.nan
    raw.loc[rows, name] = linked.table[_last(linked.table, "agatston")].to_numpy(np.float64)
    for vessel in (*VESSELS, UNNAMED):
        column = _last(linked.table, f"agatston_{vessel.lower()}")
        if column in linked.table.columns:
            raw[f"{name}_{vessel.lower()}"] = np.nan
            raw.loc[rows, f"{name}_{vessel.lower()}"] = linked.table[column].to_numpy(np.float64)
    refused = [left.row - 2 for left in linked.left_out if left.side == "table" and left.why == NOT_SCORED]
    return _Added(name, refused, _result_files(linked.table, path))


def _result_files(table: "pd.DataFrame", path: Path) -> dict[str, Path]:
    """Return the label files that the run wrote, by the StudyInstanceUID."""
    place, folder, study = path if path.is_dir() else path.parent, _last(table, "folder"), _last(table, "study_uid")
    if folder not in table.columns:
        return {}
    pairs = zip(table[study], table[folder], strict=True)
    files = {str(uid): result_label_file(place / str(name)) for uid, name in pairs if name is not None}
    return {uid: file for uid, file in files.items() if file}


def _label_files(config: AgreeConfig, raters: Sequence[str], identifier: str | None, scored: Sequence[_Added]) -> Files:
    """Return the label files of each rater, also of ``ctacal score``; none if no label maps are named."""
    if config.labels is None:
        return {}
    if identifier is None:
        raise UsageError(f"{config.table}: label maps need a column that names the study; name it with --id")
    own = {added.name: added.files for added in scored}
    return own | dict(find_label_files(config.labels, raters, identifier))


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
    raw: "pd.DataFrame",
    config: AgreeConfig,
    scores: Sequence[str],
    names: tuple[str | None, str | None],
) -> Readings:
    identifier, patient = names
    need(raw, scores, config.table)
    parts = (*VESSELS, UNNAMED, SECOND)
    others = [name for score in scores for name in _part_columns(raw, score, parts).values()]
    columns = [
        *(Column(name, may_be_missing=config.incomplete) for name in scores),
        *(Column(name, may_be_missing=True) for name in others),
    ]
    kept = [
        *([identifier] if identifier else []),
        *([patient] if patient else []),
        *(column.name for column in columns),
    ]
    table = raw[list(dict.fromkeys(kept))]
    if patient is not None and table[patient].isna().any():
        row = table.index[table[patient].isna()][0] + 2
        raise UsageError(f"{config.table}: row {row}: {patient} is missing")
    try:
        return check(table, columns, config.table, identifier=identifier, drop=config.drop)
    except UsageError as problem:
        if not any(f"{score} is missing" in str(problem) for score in scores):
            raise
        hint = "or, if not everybody had to score every study, allow for it with --incomplete"
        raise UsageError(f"{problem}; {hint}") from None


def _part_columns(table: "pd.DataFrame", score: str, parts: Sequence[str] = VESSELS) -> dict[str, str]:
    """Return the columns SCORE_PART that exist, by vessel (or by what else is looked for)."""
    by_lower = {str(name).lower(): str(name) for name in table.columns}
    found = {part: by_lower.get(f"{score}_{part}".lower()) for part in parts}
    return {part: name for part, name in found.items() if name is not None}


def _rater(
    readings: Readings, score: str, kind: Literal["reader", "model"], identifier: str | None, files: Files
) -> Rater:
    table = readings.table
    unnamed = _part_columns(table, score, (UNNAMED,)).get(UNNAMED)
    known = np.ones(len(table), bool) if unnamed is None else ~(table[unnamed].to_numpy(np.float64) > 0)
    vessels = {
        vessel: np.where(known, table[name].to_numpy(np.float64), np.nan)
        for vessel, name in _part_columns(table, score).items()
    }
    vessels = {vessel: scores for vessel, scores in vessels.items() if np.isfinite(scores).any()}
    second = _part_columns(table, score, (SECOND,)).get(SECOND)
    own = files.get(score, {})
    return Rater(
        score,
        kind,
        table[score].to_numpy(np.float64),
        vessels,
        None if second is None else table[second].to_numpy(np.float64),
        tuple(own.get(str(name)) for name in table[identifier]) if own and identifier else (),
    )
