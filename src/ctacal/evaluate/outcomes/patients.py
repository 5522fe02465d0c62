"""The patients of one table: follow-up, calcium and covariates of each, ready for analysis."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ctacal.arrays import Floats, Ints, Mask
from ctacal.categories import CATEGORIES
from ctacal.evaluate.columns_read import ColumnRead
from ctacal.evaluate.outcomes.config import OutcomesConfig
from ctacal.statistics.survival.survival_data import SurvivalData

Rows = Mask | NDArray[np.intp]
"""A flag for each patient, or indices of patients."""


@dataclass(frozen=True, slots=True, eq=False)
class Covariate:
    """A column of the multivariable models."""

    column: str
    label: str
    values: Floats
    """(n,): numbers, or indices into ``levels``; NaN if missing."""
    levels: tuple[str, ...] = ()
    """Levels of a category; the first is the reference."""
    per: float = 1.0
    """Difference of a number for which its hazard ratio is reported."""

    @property
    def missing(self) -> int:
        """Number of patients without a value."""
        return int(np.isnan(self.values).sum())

    @property
    def codes(self) -> Ints:
        """(n,): indices into ``levels``; -1 if missing."""
        return np.where(np.isnan(self.values), -1, self.values).astype(np.int64)

    def columns(self, values: Floats) -> tuple[tuple[str, ...], Floats]:
        """Return names and columns (n, k) for a model, made from ``values`` (n,)."""
        if not self.levels:
            return (self.label,), values[:, None] / self.per
        names = tuple(f"{self.label}: {level}" for level in self.levels[1:])
        return names, np.asarray(values[:, None] == np.arange(1, len(self.levels)), np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """The calcium of each patient according to one reader or model."""

    name: str
    category: Ints
    """(n,): index into ``categories.CATEGORIES``."""
    score: Floats | None
    """(n,): Agatston scores, or None if the table has categories only."""
    vessels: Ints | None = None
    """(n,): number of diseased vessels, if the table has it."""

    @property
    def present(self) -> tuple[int, ...]:
        """Categories with at least one patient; the first is the reference of the models."""
        return tuple(int(category) for category in np.unique(self.category))

    def by_category(self) -> tuple[tuple[str, ...], Floats]:
        """Return names and flags (n, k) of all categories present except the first."""
        names = tuple(f"{self.name} {CATEGORIES[category]}" for category in self.present[1:])
        return names, np.asarray(self.category[:, None] == np.array(self.present[1:], np.int64), np.float64)

    @property
    def log_score(self) -> Floats | None:
        """(n,): log(CAC + 1)."""
        return None if self.score is None else np.log1p(self.score)


@dataclass(frozen=True, slots=True, eq=False)
class Subgroup:
    """A split of the patients."""

    name: str
    group: Ints
    """(n,): index into ``labels``; -1 if the column is missing."""
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Endpoint:
    """Follow-up of the same patients to another endpoint."""

    name: str
    data: SurvivalData
    included: Mask
    """(n,): False if the early window excludes the patient from this endpoint."""


@dataclass(frozen=True, slots=True, eq=False)
class GivenRisk:
    """A risk that the table or a published formula gives."""

    name: str
    values: Floats
    """(n,): 0 to 1; NaN if it is not known."""
    horizon_years: float


@dataclass(frozen=True, slots=True)
class Flow:
    """How many rows were read, and why some of them are no patients of the analysis."""

    rows: int = 0
    excluded: tuple[tuple[str, int], ...] = ()
    """Reason and number of rows."""


@dataclass(frozen=True, slots=True, eq=False)
class Patients:
    """The patients of one table. Every array is (n,); times are in years."""

    config: OutcomesConfig
    data: SurvivalData
    cause: Ints
    """0 no event, 1 an event of interest, 2 a competing event; all events are 1 if none is named as competing."""
    kinds: dict[str, int]
    """Number of first events that count, by component."""
    model: Reading
    reader: Reading | None
    covariates: tuple[Covariate, ...]
    subgroups: tuple[Subgroup, ...]
    notes: tuple[str, ...]
    """Sentences on what was dropped, excluded or not counted."""
    doubts: tuple[str, ...] = ()
    """Sentences on what the reader of the report must check, for its first lines."""
    columns: tuple[ColumnRead, ...] = ()
    """The columns of the table with their ranges, of all rows that were read."""
    centre: Subgroup | None = None
    """The centre of each patient, if the table names it."""
    risks: tuple[GivenRisk, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    windows: tuple["Window", ...] = ()
    """The patients under each rule for early revascularisation, if it is named."""
    flow: Flow = Flow()

    @property
    def readings(self) -> tuple[Reading, ...]:
        """The model, and the reader if there is any."""
        return (self.model,) if self.reader is None else (self.model, self.reader)

    @property
    def complete(self) -> Mask:
        """(n,): no covariate is missing."""
        whole = np.ones(self.data.n, np.bool_)
        for covariate in self.covariates:
            whole &= ~np.isnan(covariate.values)
        return whole

    def covariate(self, column: str) -> Covariate:
        """Return the covariate of a column."""
        return next(covariate for covariate in self.covariates if covariate.column == column)

    def risk(self, name: str) -> GivenRisk:
        """Return the given risk with this name."""
        return next(risk for risk in self.risks if risk.name == name)

    def adjusted(
        self, columns: Sequence[str], values: Sequence[Floats] | None = None
    ) -> tuple[tuple[str, ...], Floats]:
        """Return names and matrix (n, p) of the covariates in these columns; ``values`` replace all covariates' own."""
        filled = values if values is not None else [covariate.values for covariate in self.covariates]
        parts = [
            covariate.columns(own)
            for covariate, own in zip(self.covariates, filled, strict=True)
            if covariate.column in columns
        ]
        names = tuple(name for part, _ in parts for name in part)
        return names, np.column_stack([np.empty((self.data.n, 0)), *(part for _, part in parts)])

    def by_time(self) -> "Patients":
        """Return the patients in order of follow-up, which makes sums over those at risk faster."""
        return self.take(np.argsort(self.data.time, kind="stable"))

    def take(self, rows: Rows) -> "Patients":
        """Return only these patients, or all in this order."""
        return replace(
            self,
            data=self.data.take(rows),
            cause=self.cause[rows],
            model=_rows_of(self.model, rows),
            reader=None if self.reader is None else _rows_of(self.reader, rows),
            covariates=tuple(replace(covariate, values=covariate.values[rows]) for covariate in self.covariates),
            subgroups=tuple(replace(subgroup, group=subgroup.group[rows]) for subgroup in self.subgroups),
            centre=None if self.centre is None else replace(self.centre, group=self.centre.group[rows]),
            risks=tuple(replace(risk, values=risk.values[rows]) for risk in self.risks),
            endpoints=tuple(
                replace(one, data=one.data.take(rows), included=one.included[rows]) for one in self.endpoints
            ),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """The follow-up of all patients of the table under one rule for early revascularisation."""

    rule: str
    """As ``config.OutcomeConfig.early``."""
    everybody: Patients
    data: SurvivalData
    included: Mask
    """(n,): False if the rule leaves the patient out."""

    def patients(self) -> Patients:
        """Return the patients whom the rule includes."""
        return replace(self.everybody, data=self.data).take(self.included)


def _rows_of(reading: Reading, rows: Rows) -> Reading:
    return replace(
        reading,
        category=reading.category[rows],
        score=None if reading.score is None else reading.score[rows],
        vessels=None if reading.vessels is None else reading.vessels[rows],
    )
