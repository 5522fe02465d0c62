"""Which columns of a table hold the scores of a reader or a model, if they are not named."""

import re
import shlex
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ctacal.categories import CATEGORIES, FIVE_CATEGORIES
from ctacal.errors import UsageError
from ctacal.evaluate.agree.config import AgreeConfig
from ctacal.evaluate.agree.raters import VESSELS
from ctacal.evaluate.readings import RawTable, need
from ctacal.evaluate.readings.category_words import MOST_WORDS_OF_CATEGORIES, words_offer
from ctacal.evaluate.readings.dates import is_date_cell
from ctacal.evaluate.readings.identifiers import names_an_identifier
from ctacal.evaluate.readings.numbers import number, what_it_is
from ctacal.evaluate.readings.opened import text_of
from ctacal.evaluate.readings.words import category_name

if TYPE_CHECKING:
    import pandas as pd

READER_COLUMN = re.compile(
    r"(.*[-_ .])?(reader|expert|observer|radiologist|manual|reference|truth)(?![a-z])", re.IGNORECASE
)
"""Words of a reader anywhere in the name of a column: agatston_reader_2 is no model."""
MODEL_COLUMN = re.compile(r"(model|dl|ai|agatston|ctacal)(?![a-z])", re.IGNORECASE)
"""How the names of score columns begin, for tables whose columns are not named."""

_OTHER_WORDS = frozenset((
    "accuracy", "age", "auc", "center", "centre", "certainty", "changes", "clicks", "cohort", "comment", "comments",
    "confidence", "corrections", "count", "coverage", "date", "day", "days", "dice", "digest", "dose", "duration",
    "edits", "error", "experience", "grade", "group", "high", "hour", "hours", "hu", "id", "identifier", "index",
    "initials", "institution", "kappa", "kernel", "kv", "kvp", "label", "lesions", "likert", "location", "loss",
    "low", "mas", "mass", "memory", "mg", "minute", "minutes", "mm", "mm3", "ms", "name", "noise", "note", "notes",
    "number", "order", "pages", "percent", "percentile", "prob", "probability", "quality", "rate", "runtime", "sd",
    "sec", "seconds", "session", "sex", "site", "size", "software", "speed", "std", "study", "thickness", "threshold",
    "time", "uid", "version", "vol", "volume", "weight", "year", "years",
))  # fmt: skip
"""Words in a column's name that say that it holds something other than Agatston scores."""

OTHER_PARTS = ("CORONARY", "second")
"""Endings of a rater's columns beside the vessels."""

CONSTANT, FLAGS, WORDS = "one and the same number everywhere", "0 and 1 only", "words"

NOT_SCORES = "not scores"
"""Part of the reason for passing over a column of words."""

FEW_WORDS = 12
"""Most different words of a column of categories; more are free text (own choice)."""

_SHARE = 0.5
"""Share of numbers among the cells of a column of scores."""


@dataclass(frozen=True, slots=True)
class Found:
    """Columns of scores."""

    readers: tuple[str, ...]
    models: tuple[str, ...]
    categories: tuple[str, ...]
    """Those of them that hold categories."""
    told: tuple[str, ...]
    """Sentences on columns that were passed over."""


def find_raters(raw: RawTable, config: AgreeConfig, taken: Collection[str | None], has_model: bool) -> Found:
    """Return the columns that are named, or else the columns of scores with a usual name."""
    need(raw.cells, [*config.readers, *config.models, *config.categories, *config.names], raw.source)
    passed: dict[str, str] = {}
    readers = list(config.readers) or list(_usual(raw.cells, READER_COLUMN, taken, config.categories, passed))
    models = list(config.models)
    if not models and not has_model:
        known = (*taken, *(name for name in raw.cells.columns if READER_COLUMN.match(str(name))))
        models = list(_usual(raw.cells, MODEL_COLUMN, known, config.categories, passed))
    if strange := [name for name in config.categories if name not in (*readers, *models)]:
        raise UsageError(f"{raw.source}: name {strange[0]} also with --reader or --model")
    categories = [name for name in (*readers, *models) if name in config.categories or _has_names(raw.cells[name])]
    told = ""
    if passed:
        listed = ", ".join(f"{name} ({why})" for name, why in passed.items())
        told = f"Not taken for raters: {listed}. If one of them is, name all raters with --reader and --model."
        if offer := _categories_offer(raw.cells, [name for name, why in passed.items() if NOT_SCORES in why]):
            told += f" {offer}"
    return Found(tuple(readers), tuple(models), tuple(categories), (told,) if told else ())


def long_form(cells: "pd.DataFrame") -> str:
    """Return what a table of one score in a row, whoever gave it, must become; "" if it is none."""
    identifiers = [name for name in map(str, cells.columns) if names_an_identifier(name)]
    for identifier in (name for name in identifiers if cells[name].duplicated().any()):
        for name in cells.columns.drop(identifier):
            words = cells[name].dropna().unique()
            are_words = all(isinstance(own, str) and number(own) is None for own in words)
            if are_words and 1 < len(words) <= FEW_WORDS and not cells.duplicated([identifier, name]).any():
                listed = ", ".join(sorted(words))
                return (
                    f"{identifier} occurs once for each of {listed} (column {name}): if these are raters, give each a "
                    "column of its own, in one row for each study."
                )
    return ""


def _categories_offer(cells: "pd.DataFrame", names: Collection[str]) -> str:
    """Return how to compare these columns of words as categories, with the words that all of them have; "" if not."""
    by_column = {name: Counter(cells[name].dropna().map(text_of)) for name in names}
    few = {name: texts for name, texts in by_column.items() if len(texts) <= MOST_WORDS_OF_CATEGORIES}
    offer = words_offer(sum(few.values(), Counter()))
    options = " ".join(f"--category {shlex.quote(name)}" for name in few)
    return f"If these are categories, say so of each rater: {options}. {offer}." if offer else ""


def _usual(
    cells: "pd.DataFrame",
    usual: re.Pattern[str],
    taken: Collection[str | None],
    categories: Collection[str],
    passed: dict[str, str],
) -> Iterator[str]:
    """Yield the columns of scores whose names begin as usual, without their vessels; add the others to ``passed``.

    A column that holds one number only, or 0 and 1, is passed over if others are left.
    """
    named = [name for name in map(str, cells.columns) if usual.match(name) and name not in taken]
    reasons = {name: "" if name in categories else _why_not(name, cells[name]) for name in named}
    if all(reasons.values()):
        reasons = {name: "" if why in (CONSTANT, FLAGS) else why for name, why in reasons.items()}
    found: list[str] = []
    for name, why in reasons.items():
        whole = next((other for other in found if name.startswith(f"{other}_")), "")
        if whole and _is_part(name.removeprefix(whole)) and name not in categories:
            continue
        if whole and name not in categories and not why:
            passed |= {name: f"a part of {whole}?"}
            continue
        if why:
            passed |= {name: why} if why != WORDS else _words(name, cells[name])
            continue
        found.append(name)
        yield name


def _is_part(rest: str) -> bool:
    """Return whether the end of a column's name says a vessel, or a second reading."""
    parts = {part.lower() for part in (*VESSELS, *OTHER_PARTS)}
    return set(filter(None, rest.lower().split("_"))) <= parts


def _words(name: str, column: "pd.Series[Any]") -> dict[str, str]:
    """Return the column with what it holds; nothing for free text, which no reader takes for scores."""
    texts = [text_of(cell) for cell in column.dropna().unique()]
    with_digits = [text for text in texts if any(map(str.isdigit, text)) and number(text) is None]
    if not texts or (not with_digits and len(texts) > FEW_WORDS):
        return {}
    example = (with_digits or texts)[0]
    row = int(column.index[(column.map(text_of, na_action="ignore") == example).to_numpy(bool)][0]) + 2
    what = what_it_is(example)
    return {name: f"{what or 'words'}, {NOT_SCORES}: {example!r} in row {row}"}


def _why_not(name: str, column: "pd.Series[Any]") -> str:
    """Return why a column cannot hold scores or names of categories, "" if it can."""
    if _has_names(column):
        return ""
    words = set(re.split(r"[^a-z0-9]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()))
    if words & {vessel.lower() for vessel in VESSELS}:
        return "one vessel: give a column of the total score, to which it belongs by its name"
    if words & {"category", "cat", "class"}:
        return "categories? then name it with --category"
    if words & _OTHER_WORDS:
        return "its name says something else"
    filled = column.dropna()
    numbers = [own for own in map(_number, filled) if own is not None]
    if not len(filled) or len(numbers) <= _SHARE * len(filled):
        return WORDS
    if len(set(numbers)) == 1 and numbers[0] > 0 and len(numbers) > 1:
        return CONSTANT
    if set(numbers) == {0, 1}:
        return FLAGS
    if max(numbers) <= 1 and any(0 < own < 1 for own in numbers):
        return "numbers from 0 to 1"
    whole = all(own == round(own) for own in numbers)
    return "years" if whole and min(numbers) > 1900 and max(numbers) < 2100 else ""


def _has_names(column: "pd.Series[Any]") -> bool:
    """Whether cells are names such as 1-100, which only categories have."""
    middle = (*CATEGORIES[1:-1], *FIVE_CATEGORIES[1:-1])
    return any(isinstance(cell, str) and category_name(cell) in middle for cell in column.dropna().unique()[:50])


def _number(cell: object) -> float | None:
    if isinstance(cell, str):
        known = number(cell)
        return None if known is None else known.if_comma if known.decimal == "," else known.if_point
    return None if is_date_cell(cell) else float(cell)  # type: ignore[arg-type]
