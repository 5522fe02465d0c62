"""Description of the patients: follow-up, missing values, and the baseline table by calcium category."""

from typing import Any

import numpy as np

from ctacal.arrays import Floats, Ints
from ctacal.categories import CATEGORIES
from ctacal.evaluate.outcomes.differences import between_pairs, counts_test, numbers_test
from ctacal.evaluate.outcomes.part import LABELS, Footnotes, Part
from ctacal.evaluate.outcomes.patients import Covariate, Patients
from ctacal.evaluate.publication import Cell, Section, Table, count_percent
from ctacal.evaluate.publication.wording import number
from ctacal.statistics.survival.survival_curve import median_follow_up

SKEWED = 1.0
"""Absolute skewness at which a number is summarised by its median and quartiles (own choice)."""


def cohort_part(patients: Patients) -> Part:
    """Return numbers of patients and events, follow-up and missing values."""
    data, outcome = patients.data, patients.config.outcome
    followed = median_follow_up(data)
    notes = Footnotes("Median follow-up by the reverse Kaplan-Meier method.")
    rows: list[tuple[Cell, ...]] = [
        ("Patients", data.n),
        (f"With {outcome.name}", count_percent(data.events, data.n)),
        *(
            (f"  first event: {name.replace('_', ' ')}", number)
            for name, number in patients.kinds.items()
            if outcome.component
        ),
        ("Follow-up, years: median (95 % CI)", notes.figure(followed, 2)),
        ("Person-years", float(data.time.sum())),
        ("With all covariates", count_percent(int(patients.complete.sum()), data.n)),
        *((f"  {gap.label} missing", count_percent(gap.missing, data.n)) for gap in patients.covariates if gap.missing),
    ]
    table = Table("Cohort and follow-up", ("", "Value"), tuple(rows), notes.all)
    numbers = {
        "n": data.n, "events": data.events, "first_events": patients.kinds, "median_follow_up_years": followed,
        "person_years": float(data.time.sum()), "complete": int(patients.complete.sum()),
        "missing": {covariate.column: covariate.missing for covariate in patients.covariates}, "told": patients.notes,
    }  # fmt: skip
    return Part(Section("Cohort", (*patients.notes, table)), numbers)


def baseline_part(patients: Patients) -> Part:
    """Return the covariates by the model's category, with tests and standardised differences."""
    title = f"Baseline by calcium category ({patients.model.name})"
    if not patients.covariates:
        return Part(Section("Baseline", ("No covariates are named: there is no baseline table.",)), {})
    present = [LABELS[place] for place in patients.model.present]
    notes = Footnotes(
        "Mean (SD), median [quartiles] if skewed, or n (%). Tests: analysis of variance (Welch's t test for two "
        "groups), Kruskal-Wallis, chi-squared, or Fisher's exact test if counts are small.",
        "SMD: the largest absolute standardised mean difference between two of the categories.",
        *_missing(patients.covariates),
    )
    columns = ("", "All", *present, "SMD", "p")
    rows: list[tuple[Cell, ...]] = [("n", *_counts(patients), "", "")]
    numbers: dict[str, Any] = {}
    for covariate in patients.covariates:
        own = _Baseline(patients, covariate)
        rows += own.rows(notes)
        numbers[covariate.column] = own.numbers()
    return Part(Section("Baseline", (Table(title, columns, tuple(rows), notes.all, name="baseline"),)), numbers)


def _counts(patients: Patients) -> list[Cell]:
    counts = [int((patients.model.category == place).sum()) for place in patients.model.present]
    return [patients.data.n, *(count_percent(count, patients.data.n) for count in counts)]


def _missing(covariates: tuple[Covariate, ...]) -> tuple[str, ...]:
    gaps = [f"{covariate.label} {covariate.missing:,}" for covariate in covariates if covariate.missing]
    return (f"Missing: {', '.join(gaps)}.",) if gaps else ()


class _Baseline:
    """A covariate in all patients and by category."""

    def __init__(self, patients: Patients, covariate: Covariate) -> None:
        self.covariate, self.levels = covariate, covariate.levels or _flag_levels(covariate)
        self.skewed = not self.levels and abs(_skewness(covariate.values)) >= SKEWED
        category = patients.model.category
        groups = {CATEGORIES[place]: covariate.values[category == place] for place in patients.model.present}
        self.values = {"all": covariate.values, **groups}
        self.table = {name: self._level_counts(values) for name, values in self.values.items()}
        by_group = {name: (self.table if self.levels else self.values)[name] for name in groups}
        self.differences = between_pairs(by_group, counts=bool(self.levels))
        self.test = (
            counts_test(np.array([self.table[name] for name in groups]))
            if self.levels
            else numbers_test(list(groups.values()), skewed=self.skewed)
        )

    def _level_counts(self, values: Floats) -> Ints:
        return np.array([int((values == place).sum()) for place in range(len(self.levels))], np.int64)

    def rows(self, notes: Footnotes) -> list[tuple[Cell, ...]]:
        """Return one row for a number or a flag; for a category a heading and a row for each level."""
        largest = max(map(abs, self.differences.values()), default=None)
        ends = ("–" if largest is None else f"{largest:.2f}", self._p(notes))
        label = self.covariate.label
        if not self.levels:
            return [(label, *(self._number(values) for values in self.values.values()), *ends)]
        if not self.covariate.levels:
            return [(f"{label}, n (%)", *self._shares(1), *ends)]
        head = (f"{label}, n (%)", *[""] * len(self.values), *ends)
        return [head, *((f"  {level}", *self._shares(place), "", "") for place, level in enumerate(self.levels))]

    def _p(self, notes: Footnotes) -> str:
        p = notes.p(self.test)
        return f"{p} {notes.mark(self.test.reason)}" if self.test.p is not None and self.test.reason else p

    def _number(self, values: Floats) -> str:
        known = values[~np.isnan(values)]
        if not len(known):
            return "–"
        if self.skewed:
            low, median, high = (number(float(value), 1) for value in np.quantile(known, [0.25, 0.5, 0.75]))
            return f"{median} [{low} to {high}]"
        spread = f" ({number(float(known.std(ddof=1)), 1)})" if len(known) > 1 else ""
        return f"{number(float(known.mean()), 1)}{spread}"

    def _shares(self, place: int) -> list[str]:
        return [count_percent(int(counts[place]), int(counts.sum())) for counts in self.table.values()]

    def numbers(self) -> dict[str, Any]:
        """Return summary, test and differences at full precision."""
        summary = {name: self._summary(name, values) for name, values in self.values.items()}
        return {"summary": summary, "test": self.test, "standardised_differences": self.differences}

    def _summary(self, name: str, values: Floats) -> dict[str, Any]:
        known = values[~np.isnan(values)]
        counts: dict[str, Any] = {"n": len(known), "missing": len(values) - len(known)}
        if self.levels:
            return counts | {level: int(count) for level, count in zip(self.levels, self.table[name], strict=True)}
        if not len(known):
            return counts
        low, median, high = np.quantile(known, [0.25, 0.5, 0.75])
        spread = float(known.std(ddof=1)) if len(known) > 1 else None
        return counts | {"mean": float(known.mean()), "sd": spread, "median": median, "quartiles": [low, high]}


def _flag_levels(covariate: Covariate) -> tuple[str, ...]:
    """Return the levels of a column that holds only 0 and 1, otherwise none."""
    known = covariate.values[~np.isnan(covariate.values)]
    return ("no", "yes") if len(known) and np.isin(known, (0, 1)).all() else ()


def _skewness(values: Floats) -> float:
    known = values[~np.isnan(values)]
    spread = known.std() if len(known) else 0.0
    return float((((known - known.mean()) / spread) ** 3).mean()) if spread > 0 else 0.0
