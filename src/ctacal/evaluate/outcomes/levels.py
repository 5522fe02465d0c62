"""Levels of categorical columns: their order, words that mean the same, and words that are no levels."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ctacal.arrays import Ints
from ctacal.errors import UsageError
from ctacal.evaluate.readings.numbers import number, what_it_is
from ctacal.evaluate.readings.words import as_code, listed_values

if TYPE_CHECKING:
    import pandas as pd

RARE = 10
"""Number of patients below which the report names a level (own choice)."""

UNKNOWN_WORDS = frozenset(("na", "n/a", "nan", "unknown", "unk", "not known", "missing", "unbekannt", "inconnu"))
UNKNOWN_CODES = ("9", "99", "999", "-9", "-99", "-1")
"""Levels that may mean that the value is not known; the words are never the reference by default."""

SHORT = 4
"""Letters of a word in capitals below which it is rather a code, such as II or AB."""

MOST_LEVELS = 30
"""Most levels of a column: more are rather identifiers or dates, and take memory by their square (own choice)."""


def levels_of(
    cells: "pd.Series[str]", source: Path, order: Sequence[str] = (), recode: Mapping[str, str] | None = None
) -> tuple[tuple[str, ...], Ints]:
    """Return the levels in order, and (n,) the index of each cell, -1 if missing.

    Without ``order``, numbers come by size and words by letters. Raises ``UsageError`` if a level is not in ``order``,
    if two differ only in capitals or blanks, or if one is a mere sign such as ``.``.
    """
    codes, distinct = cells.factorize()
    words = _renamed([_word(str(cell)) for cell in distinct], cells, source, recode or {})
    present = list(dict.fromkeys(words))
    _check(present, cells, source)
    if strange := [word for word in present if order and word not in order]:
        raise UsageError(f"{source}: column {cells.name} holds {strange[0]!r}, which is not in levels.{cells.name}")
    levels = [level for level in order if level in present] or sorted(
        present, key=lambda word: (word.casefold() in UNKNOWN_WORDS, _size(word), word)
    )
    if len(levels) > MOST_LEVELS:
        raise UsageError(
            f"{source}: column {cells.name} has {len(levels):,} different values, expected at most {MOST_LEVELS} "
            "levels; is it a number, a date or an identifier?"
        )
    place = np.array([*(levels.index(word) for word in words), -1], np.int64)
    return tuple(levels), place[codes]


def recoded(cells: "pd.Series[str]", source: Path, recode: Mapping[str, str] | None = None) -> "pd.Series[str]":
    """Return the level of each cell, None if missing; raise ``UsageError`` if a word to recode is not there."""
    codes, distinct = cells.factorize()
    words = _renamed([_word(str(cell)) for cell in distinct], cells, source, recode or {})
    levels = np.array([*words, None], dtype=object)
    return cells.__class__(levels[codes], index=cells.index, name=cells.name)


def _renamed(words: list[str], cells: "pd.Series[str]", source: Path, recode: Mapping[str, str]) -> list[str]:
    renamed = {_word(old): new for old, new in recode.items()}
    if unused := set(renamed) - set(words):
        raise UsageError(
            f"{source}: column {cells.name} has no {sorted(unused)[0]!r} to recode; it has {_shown(cells)}"
        )
    return [renamed.get(word, word) for word in words]


def _word(cell: str) -> str:
    """Return a level as it is shown; whole numbers without point and zeros."""
    return as_code(cell) if number(cell) else cell


def _size(word: str) -> float:
    known = number(word)
    return float("inf") if known is None else known.if_comma if known.decimal == "," else known.if_point


def _check(words: Sequence[str], cells: "pd.Series[str]", source: Path) -> None:
    for word in words:
        if not any(letter.isalnum() for letter in word) or what_it_is(word) == "an error of the spreadsheet":
            raise UsageError(
                f"{source}: column {cells.name} holds {_shown(cells)}. If {word!r} means that the value is not "
                f'known, say --missing {cells.name}="{word}"; if it is a level, write it in words'
            )
    spelled = dict[str, str]()
    for word in words:
        other = spelled.setdefault("".join(word.casefold().split()), word)
        if other != word:
            raise UsageError(
                f"{source}: column {cells.name} holds {_shown(cells)}; {other!r} and {word!r} are one level? Then say "
                f"recode.{cells.name} = {{ {json.dumps(word)} = {json.dumps(other)} }} in the TOML, or correct "
                "the table"
            )


def _shown(cells: "pd.Series[str]") -> str:
    return listed_values({str(word): int(count) for word, count in cells.value_counts().items()})


def unknown_levels(column: str, levels: Sequence[str], codes: Ints) -> Iterator[str]:
    """Yield a question for each level that may mean that the value is not known."""
    counts = np.bincount(codes[codes >= 0], minlength=len(levels))
    others = [_size(level) for level in levels if level not in UNKNOWN_CODES]
    apart = len(others) > 0 and max(others) < 7
    for level, count in zip(levels, counts, strict=True):
        if level.casefold() in UNKNOWN_WORDS or (level in UNKNOWN_CODES and apart):
            yield (
                f"Column {column} has the level {level!r} ({int(count):,} patients): if it means that the value is not "
                f"known, say --missing {column}={level}."
            )


def abbreviated_levels(column: str, levels: Sequence[str]) -> Iterator[str]:
    """Yield a question about levels of one letter beside words that begin with it: F and female.

    >>> next(abbreviated_levels("sex", ["F", "M", "female", "male"]))[-58:]
    'recode.sex = { "F" = "female", "M" = "male" } in the TOML.'
    >>> [*abbreviated_levels("nyha", ["I", "II", "III"])]
    []
    """
    words = [level for level in levels if len(level) > 1 and not (level.isupper() and len(level) < SHORT)]
    same = {
        letter: word
        for letter in levels
        for word in words
        if len(letter) == 1 and letter.isalpha() and letter.casefold() == word[0].casefold()
    }
    if same:
        listed = " and ".join(f"{letter!r} and {word!r}" for letter, word in same.items())
        recode = ", ".join(f"{json.dumps(letter)} = {json.dumps(word)}" for letter, word in same.items())
        said = f"recode.{column} = {{ {recode} }}"
        yield f"Column {column} has the levels {listed}: one each? Then say {said} in the TOML."


def rare_levels(label: str, levels: Sequence[str], codes: Ints) -> str:
    """Return a sentence on levels of few patients, "" if there are none."""
    counts = np.bincount(codes[codes >= 0], minlength=len(levels))
    few = [f"{level} ({int(count)})" for level, count in zip(levels, counts, strict=True) if count < RARE]
    return f"{label}: levels of fewer than {RARE} patients: {', '.join(few)}." if few else ""
