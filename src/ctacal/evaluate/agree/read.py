"""A table of readings, joined with results of ``ctacal score`` -> the scores of each rater on the same studies."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from ctacal.errors import UsageError
from ctacal.evaluate.agree.config import AgreeConfig
from ctacal.evaluate.agree.label_files import IDENTIFIER_NAMES, Files, find_label_files, result_label_file
from ctacal.evaluate.agree.rater_columns import find_raters, long_form
from ctacal.evaluate.agree.raters import STANDING_FOR, VESSELS, Grade, Rater, Raters
from ctacal.evaluate.columns_read import numbers_read
from ctacal.evaluate.linkage import NOT_SCORED, PATIENT_NAMES, Rules, link, read_results
from ctacal.evaluate.readings import (
    KINDS,
    Column,
    RawTable,
    Readings,
    as_text,
    check,
    find_column,
    five_column,
    need,
    open_table,
)
from ctacal.evaluate.readings.identifiers import alike
from ctacal.evaluate.readings.opened import names_listed
from ctacal.evaluate.readings.plausible import MOST_AGATSTON

if TYPE_CHECKING:
    import pandas as pd

SECOND = "second"
"""Ending of the column of a second reading: SCORE_second."""

UNNAMED = "CORONARY"
"""Name of coronary calcium without a vessel: if a study has any, its scores by vessel are not known."""


def read_raters(config: AgreeConfig) -> Raters:
    """Read and check the table. Raises ``UsageError`` if there is nothing to compare or a row has a fault."""
    if unknown := set(config.drop) - set(KINDS):
        raise UsageError(f"cannot drop {', '.join(sorted(unknown))}: known are {', '.join(KINDS)}")
    opened = open_table(config.table, config.form, wanted=[*config.readers, *config.models])
    raw, names = _with_identifier(opened, config)
    scored = [_add_results(raw, config, path, names.study) for path in config.results]
    found = find_raters(raw, config, (names.study, names.patient), bool(scored))
    models, readers = [*found.models, *(added.name for added in scored)], list(found.readers)
    raw.cells.drop(index=list({row for added in scored for row in added.refused}), inplace=True)
    if len(readers) + len(models) < 2 or not readers:
        long = long_form(raw.cells)
        raise UsageError(" ".join([_nothing_to_compare(raw, readers, models), *found.told, *([long] if long else [])]))
    if twice := [name for name in [*readers, *models] if [*readers, *models].count(name) > 1]:
        raise UsageError(f"{twice[0]} is named twice: give each column once")
    readings = _checked(raw, config, [*readers, *models], found.categories, names)
    files = _label_files(config, [*readers, *models], names.study, scored)
    raters = [
        *(_rater(readings, name, "reader", names.study, files) for name in readers),
        *(_rater(readings, name, "model", names.study, files) for name in models),
    ]
    patients = None if names.patient is None else tuple(map(str, readings.table[names.patient]))
    refused = {added.name: len(added.refused) for added in scored}
    readings = replace(readings, told=(*readings.told, *names.told, *found.told))
    columns = tuple(
        numbers_read(readings, column, "reader" if column.name in readers else "model")
        for column in readings.columns
        if column.name in (*readers, *models)
    )
    whole = _named(Raters(tuple(raters), patients, readings, names.study, refused, columns), config)
    if not any(True for _ in whole.pairs()):
        raise UsageError(f"{config.table}: no study was scored by two raters")
    return whole


@dataclass(frozen=True, slots=True)
class _Names:
    """The columns that name a study and its patient."""

    study: str | None
    patient: str | None
    told: tuple[str, ...] = ()


def _with_identifier(raw: RawTable, config: AgreeConfig) -> tuple[RawTable, _Names]:
    """Return the table, with a column for an identifier of several columns, and the names of the identifiers."""
    names = list(raw.cells.columns)
    if config.patient is not None and config.patient not in names:
        raise UsageError(f"{raw.source} has no column {config.patient}; it has: {', '.join(names)}")
    if len(config.identifier) > 1:
        need(raw.cells, config.identifier, raw.source)
        joined, parts = ", ".join(config.identifier), [as_text(raw.cells[name]) for name in config.identifier]
        whole = raw.cells.copy()
        whole[joined] = [None if None in row else ", ".join(row) for row in zip(*parts, strict=True)]
        return replace(raw, cells=whole), _Names(joined, config.patient)
    if config.identifier or any(name.lower() in {usual.lower() for usual in IDENTIFIER_NAMES} for name in names):
        given = config.identifier[0] if config.identifier else None
        study = find_column(names, given, IDENTIFIER_NAMES, "the study", raw.source)
        return raw, _of_patients(raw, config, study) if given is None else _Names(study, config.patient)
    return raw, _Names(None, config.patient)


def _of_patients(raw: RawTable, config: AgreeConfig, study: str) -> _Names:
    """Take a column of patients who occur more than once for the patient, not for the study."""
    if study.lower() not in {name.lower() for name in PATIENT_NAMES}:
        return _Names(study, config.patient)
    known = as_text(raw.cells[study]).dropna().map(alike)
    if not known.duplicated().any():
        return _Names(study, config.patient)
    told = (
        f"No column names the study, and {study} occurs more than once: each row was taken for a study of its own, and "
        "studies that occur twice are not noticed. Name what makes a study with --id, also several columns."
    )
    return _Names(None, config.patient or study, (told,))


def _nothing_to_compare(raw: RawTable, readers: Sequence[str], models: Sequence[str]) -> str:
    found = ", ".join([*(f"reader {name}" for name in readers), *(f"model {name}" for name in models)]) or "none"
    return (
        f"{raw.source}: expected a reader and a model, or two readers; found: {found}. Name the columns with "
        f"--reader and --model; the table has: {names_listed(raw.cells.columns)}."
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


def _add_results(raw: RawTable, config: AgreeConfig, path: Path, identifier: str | None) -> _Added:
    """Add the scores of a results.csv to the table."""
    import pandas as pd

    rules = Rules(study=identifier, by_patient=False, form=config.form)
    linked = link(read_results([path]), config.table, rules)
    name, cells = _model_name(linked.table, path, raw.cells), raw.cells
    rows = list(linked.rows)

    def add(column: str, theirs: str) -> None:
        cells[column] = np.nan
        cells.loc[rows, column] = pd.to_numeric(linked.table[theirs]).to_numpy(np.float64)

    add(name, _last(linked.table, "agatston"))
    for vessel in (*VESSELS, UNNAMED):
        column = _last(linked.table, f"agatston_{vessel.lower()}")
        if column in linked.table.columns:
            add(f"{name}_{vessel.lower()}", column)
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


def _named(raters: Raters, config: AgreeConfig) -> Raters:
    """Return the raters with the names that the user gave them."""
    names = {rater.name: config.names.get(rater.name, rater.name) for rater in raters.all}
    if len(set(names.values())) < len(names):
        raise UsageError(f"two readers or models would have one name: {', '.join(names.values())}")
    named = tuple(replace(rater, name=names[rater.name]) for rater in raters.all)
    return replace(raters, all=named, refused={names[name]: number for name, number in raters.refused.items()})


def _checked(
    raw: RawTable, config: AgreeConfig, scores: Sequence[str], categories: Sequence[str], names: _Names
) -> Readings:
    need(raw.cells, scores, config.table)
    parts = (*VESSELS, UNNAMED, SECOND)
    others = [(score, name) for score in scores for name in _part_columns(raw.cells, score, parts).values()]
    columns = [
        *(_rated(name, config, name in categories, may_be_missing=config.incomplete) for name in scores),
        *(_rated(name, config, score in categories, may_be_missing=True, judged=False) for score, name in others),
    ]
    if names.patient is not None and (gaps := as_text(raw.cells[names.patient]).isna()).any():
        raise UsageError(f"{config.table}: row {raw.cells.index[gaps][0] + 2}: {names.patient} is missing")
    text = [names.patient] if names.patient else []
    try:
        return check(raw, columns, identifier=names.study, text=text, drop=config.drop, form=config.form)
    except UsageError as problem:
        if (raw.cells[list(scores)].notna().sum(axis=1) < 2).all():
            raise UsageError(
                f"{raw.source}: no row has two of {', '.join(scores)}: one row for each study is expected, with the "
                "scores of all raters"
            ) from None
        if "write 0" in str(problem) or not any(f"{score} is missing" in str(problem) for score in scores):
            raise
        hint = "or, if not everybody had to score every study, allow for it with --incomplete"
        raise UsageError(f"{problem}; {hint}") from None


def _rated(name: str, config: AgreeConfig, is_category: bool, *, may_be_missing: bool, judged: bool = True) -> Column:
    if is_category:
        return Column(name, is_category=True, words=tuple(config.words), may_be_missing=may_be_missing)
    instead = (
        f"To compare categories alone, say --category {name}; if it is no rater, name all with --reader and --model"
    )
    return Column(
        name, most=MOST_AGATSTON, may_be_missing=may_be_missing, meaning="score" if judged else "", unit="Agatston",
        if_bounds=instead, if_words=instead, if_implausible=instead,
    )  # fmt: skip


def _part_columns(table: "pd.DataFrame", score: str, parts: Sequence[str] = VESSELS) -> dict[str, str]:
    """Return the columns SCORE_PART that exist, by vessel (or by what else is looked for)."""
    by_lower = {str(name).lower(): str(name) for name in table.columns}
    found = {part: by_lower.get(f"{score}_{part}".lower()) for part in parts}
    return {part: name for part, name in found.items() if name is not None}


def _rater(
    readings: Readings, score: str, kind: Literal["reader", "model"], identifier: str | None, files: Files
) -> Rater:
    table = readings.table
    if any(column.name == score and column.is_category for column in readings.columns):
        return _category_rater(readings, score, kind)
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


def _category_rater(readings: Readings, name: str, kind: Literal["reader", "model"]) -> Rater:
    """Return a rater of whom only categories are known."""
    second = _part_columns(readings.table, name, (SECOND,)).get(SECOND)
    columns = [name] if second is None else [name, second]
    known = [np.isfinite(readings.table[column].to_numpy(np.float64)) for column in columns]
    five = [readings.table[five_column(column)].to_numpy(np.float64) for column in columns]
    grade: Grade = (
        "five" if all(np.isfinite(own[there]).all() for own, there in zip(five, known, strict=True)) else "four"
    )
    indices = five if grade == "five" else [readings.table[column].to_numpy(np.float64) for column in columns]
    standing = np.array([*STANDING_FOR[grade], np.nan])
    scores = [standing[np.where(np.isnan(own), -1, own).astype(np.int64)] for own in indices]
    return Rater(name, kind, scores[0], {}, scores[1] if second else None, grade=grade)
