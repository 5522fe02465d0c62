"""Risks that are given: a column of the table, or a published formula of its columns; nothing is fitted."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ctacal.arrays import Floats
from ctacal.errors import UsageError
from ctacal.evaluate.readings.words import listed_values

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True, kw_only=True)
class TermConfig:
    """A term of a published formula: coefficient times (value - ``minus``)."""

    column: str
    coefficient: float
    equals: str = ""
    """The value is 1 where the column holds this word or number, otherwise 0."""
    at_least: float | None = None
    """The value is 1 from here on (and below ``below``), otherwise 0."""
    below: float | None = None
    transform: Literal["none", "log", "log1p", "square"] = "none"
    """Applied to the number first: its natural logarithm, the logarithm of the number plus 1, or its square."""
    minus: float = 0.0
    """Subtracted from the value, such as the mean of the patients for whom the formula was made."""

    def __post_init__(self) -> None:
        ranged = self.at_least is not None or self.below is not None
        if bool(self.equals) + ranged + (self.transform != "none") > 1:
            raise ValueError(f"term of {self.column}: give one of equals, at_least / below, and transform")


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskConfig:
    """A risk by a horizon, given by a column or by a formula."""

    name: str
    column: str = ""
    """Column: the predicted risk, 0 to 1."""
    percent: bool = False
    """true: the column holds percentages."""
    term: tuple[TermConfig, ...] = ()
    """The formula's terms: risk = 1 - baseline_survival ^ exp(sum of the terms)."""
    baseline_survival: float | None = None
    """Survival at the horizon of a patient whose terms sum to 0."""
    horizon_years: float | None = None
    """Horizon of the risk; by default that of the analysis."""

    def __post_init__(self) -> None:
        if bool(self.column) == bool(self.term):
            raise ValueError(f"risk {self.name}: give either a column, or terms of a formula")
        if bool(self.term) != (self.baseline_survival is not None):
            raise ValueError(f"risk {self.name}: terms and baseline_survival go together")
        if self.baseline_survival is not None and not 0 < self.baseline_survival < 1:
            raise ValueError(f"risk {self.name}: baseline_survival is {self.baseline_survival:g}, expected 0 to 1")
        if self.horizon_years is not None and not self.horizon_years > 0:
            raise ValueError(f"risk {self.name}: horizon_years is {self.horizon_years:g}, expected a positive number")

    @property
    def numbers(self) -> tuple[str, ...]:
        """Columns that must hold numbers."""
        return (self.column,) if self.column else tuple(term.column for term in self.term if not term.equals)

    @property
    def words(self) -> tuple[str, ...]:
        """Columns that hold words, or numbers that are codes."""
        return tuple(term.column for term in self.term if term.equals)


def given_risk(table: "pd.DataFrame", risk: RiskConfig, source: Path) -> Floats:
    """Return (n,) the risk of each patient, NaN where a column is empty.

    Raises ``UsageError`` if the column does not hold risks, or a term has no value (such as the logarithm of 0).
    """
    if risk.column:
        return _column(table, risk, source)
    assert risk.baseline_survival is not None
    total: Floats = np.sum([_term(table, term, risk, source) for term in risk.term], axis=0)
    with np.errstate(over="ignore"):  # a sum of 1000 is a risk of 1
        return np.asarray(-np.expm1(np.exp(total) * np.log(risk.baseline_survival)))


def _column(table: "pd.DataFrame", risk: RiskConfig, source: Path) -> Floats:
    values = table[risk.column].to_numpy(np.float64)
    known = values[~np.isnan(values)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 0.0)
    where = f"{source}, risk {risk.name}: column {risk.column} holds {low:g} to {high:g}"
    if risk.percent and low >= 0 and high <= 1 and len(known):
        raise UsageError(f"{where}, which are no percentages; remove percent = true")
    if low < 0 or high > (100 if risk.percent else 1):
        hint = f", or percent = true{_fractions(known)}" if 1 < high <= 100 and low >= 0 and not risk.percent else ""
        raise UsageError(f"{where}, expected risks of 0 to {100 if risk.percent else 1}{hint}")
    return np.asarray(values / 100 if risk.percent else values)


def _fractions(known: Floats) -> str:
    """Return what to check before values up to 1 are taken for percentages."""
    if not (below := int(((known > 0) & (known <= 1)).sum())):
        return ""
    return (
        f". {below:,} of {len(known):,} values are above 0 and at most 1: fractions of 1 among percentages? Bring all "
        "to one unit first; with percent = true they are risks of at most 1 %"
    )


def _term(table: "pd.DataFrame", term: TermConfig, risk: RiskConfig, source: Path) -> Floats:
    cells = table[term.column]
    value: Floats
    if term.equals:
        _check_word(cells, term.equals, f"{source}, risk {risk.name}: column {term.column}")
        value = np.where(cells.isna(), np.nan, cells.map(_word) == _word(term.equals)).astype(np.float64)
    else:
        value = _transformed(cells.to_numpy(np.float64), term)
        if (wrong := np.flatnonzero(~np.isnan(cells.to_numpy(np.float64)) & ~np.isfinite(value))).size:
            found = f"{cells.iloc[wrong[0]]:g}"
            raise UsageError(f"{source}, risk {risk.name}: {term.transform} of {found} in column {term.column}")
    return term.coefficient * (value - term.minus)


def _check_word(cells: "pd.Series[Any]", word: str, where: str) -> None:
    """Raise ``UsageError`` if no cell is the word of a formula, or some are it but for their capitals."""
    counts = {str(own): int(rows) for own, rows in cells.dropna().map(_word).value_counts().items()}
    own = _word(word)
    listed = f"{where} holds {listed_values(counts)}"
    if other := [text for text in counts if text != own and text.casefold() == own.casefold()]:
        names = f'recode = {{ {cells.name} = {{ "{other[0]}" = "{own}" }} }}'
        raise UsageError(f"{listed}; does {other[0]!r} mean {own!r}? Then say {names} in the TOML")
    if own not in counts:
        raise UsageError(
            f"{listed}; no row equals {own!r}, as a term of the formula asks. Write the word that the table has"
        )


def _word(cell: object) -> str:
    """Return a cell as text, so that 1 and 1.0 are one code."""
    return f"{cell:g}" if isinstance(cell, float) else str(cell).strip()


def _transformed(numbers: Floats, term: TermConfig) -> Floats:
    if term.at_least is not None or term.below is not None:
        low, high = (
            (-np.inf if term.at_least is None else term.at_least),
            (np.inf if term.below is None else term.below),
        )
        return np.where(np.isnan(numbers), np.nan, (numbers >= low) & (numbers < high)).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        if term.transform == "log":
            return np.log(numbers)
        if term.transform == "log1p":
            return np.log1p(numbers)
    return numbers**2 if term.transform == "square" else numbers
