"""Who the patients are: follow-up, what is missing, and the baseline table by calcium category."""

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from ctacal.agreement import CATEGORIES
from ctacal.outcomes.part import LABELS, Footnotes, Part
from ctacal.outcomes.patients import Covariate, Patients
from ctacal.prognosis.kaplan_meier import median_follow_up
from ctacal.prognosis.survival_data import Floats
from ctacal.publication import Cell, Section, Table, count_percent, p_value

if TYPE_CHECKING:
    import pandas as pd

SKEWED = 1.0
"""Absolute skewness from which a number is told by its median and quartiles (own choice)."""


def cohort_part(patients: Patients) -> Part:
    """Numbers of patients and events, follow-up, missing values."""
    data, outcome = patients.data, patients.config.outcome
    followed = median_follow_up(data)
    notes = Footnotes("Median follow-up by the reverse Kaplan-Meier method.")
    rows: list[tuple[Cell, ...]] = [
        ("Patients", data.n),
        (f"With {outcome.name}", count_percent(data.events, data.n)),
        *(
            (f"  first: {name.replace('_', ' ')}", number)
            for name, number in patients.kinds.items()
            if outcome.component
        ),
        ("Follow-up, years: median (95 % CI)", notes.figure(followed, 2)),
        ("Person-years", float(data.time.sum())),
        ("With all covariates", count_percent(int(patients.complete.sum()), data.n)),
        *((f"  {one.label} missing", count_percent(one.missing, data.n)) for one in patients.covariates if one.missing),
    ]
    table = Table("Cohort and follow-up", ("", "Value"), tuple(rows), notes.all)
    numbers = {
        "n": data.n, "events": data.events, "first_events": patients.kinds, "median_follow_up_years": followed,
        "person_years": float(data.time.sum()), "complete": int(patients.complete.sum()),
        "missing": {one.column: one.missing for one in patients.covariates}, "told": patients.told,
    }  # fmt: skip
    return Part(Section("Cohort", (*patients.told, table)), numbers)


def baseline_part(patients: Patients) -> Part:
    """Covariates by the model's category, with tests and standardised differences (by the tableone library)."""
    title = f"Baseline by calcium category ({patients.model.name})"
    if not patients.covariates:
        return Part(Section("Baseline", ("No covariates are named: there is no baseline table.",)), {})
    found = _tableone(patients)
    present = [LABELS[place] for place in patients.model.present]
    columns = ("", "All", *present, *(("Largest SMD", "p") if len(present) > 1 else ()))
    rows: list[tuple[Cell, ...]] = [("n", *_counts(patients))]
    for covariate in patients.covariates:
        rows += _rows(covariate, found, len(columns))
    rows[0] = (*rows[0], *[""] * (len(columns) - len(rows[0])))
    notes = (
        "Mean (SD), median [quartiles] where skewed, or n (%). Tests by tableone: analysis of variance, "
        "Kruskal-Wallis, chi-squared, or Fisher's where counts are small.",
        "Largest SMD: the largest absolute standardised mean difference between two of the categories.",
        *_missing(patients.covariates),
    )
    numbers = {
        "summary": {one.column: _summaries(patients, one) for one in patients.covariates},
        "tests": found.tests,
        "standardised_differences": found.differences,
        "method": "tableone",
    }
    return Part(Section("Baseline", (Table(title, columns, tuple(rows), notes, name="baseline"),)), numbers)


def _summaries(patients: Patients, covariate: Covariate) -> dict[str, Any]:
    """At full precision, of all and by category."""
    groups = {CATEGORIES[place]: patients.model.category == place for place in patients.model.present}
    return {"all": _summary(covariate, covariate.values)} | {
        name: _summary(covariate, covariate.values[rows]) for name, rows in groups.items()
    }


def _summary(covariate: Covariate, values: Floats) -> dict[str, Any]:
    known = values[~np.isnan(values)]
    told: dict[str, Any] = {"n": len(known), "missing": len(values) - len(known)}
    if covariate.levels:
        return told | {level: int((known == place).sum()) for place, level in enumerate(covariate.levels)}
    if not len(known):
        return told
    low, median, high = np.quantile(known, [0.25, 0.5, 0.75])
    spread = float(known.std(ddof=1)) if len(known) > 1 else None
    return told | {"mean": float(known.mean()), "sd": spread, "median": median, "quartiles": [low, high]}


def _counts(patients: Patients) -> list[Cell]:
    counts = [int((patients.model.category == place).sum()) for place in patients.model.present]
    return [patients.data.n, *(count_percent(count, patients.data.n) for count in counts)]


def _missing(covariates: tuple[Covariate, ...]) -> tuple[str, ...]:
    gaps = [f"{one.label} {one.missing:,}" for one in covariates if one.missing]
    return (f"Missing: {', '.join(gaps)}.",) if gaps else ()


class _Found:
    """What tableone says, by column."""

    def __init__(self, table: Any, groups: int) -> None:
        printed = table.tableone
        self.cells = {key: list(row)[: groups + 1] for key, row in zip(printed.index, printed.to_numpy(), strict=True)}
        with_tests = groups > 1
        self.tests: dict[str, dict[str, Any]] = _tests(table.htest_table) if with_tests else {}
        self.differences: dict[str, dict[str, float]] = _differences(table.smd_table) if with_tests else {}


def _tests(found: "pd.DataFrame") -> dict[str, dict[str, Any]]:
    return {str(column): {"p": _number(row["P-Value"]), "test": str(row["Test"])} for column, row in found.iterrows()}


def _differences(found: "pd.DataFrame") -> dict[str, dict[str, float]]:
    return {
        str(column): {str(pair): value for pair, cell in row.items() if (value := _number(cell)) is not None}
        for column, row in found.iterrows()
    }


def _number(cell: object) -> float | None:
    try:
        value = float(cell)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return value if np.isfinite(value) else None


def _tableone(patients: Patients) -> _Found:
    import pandas as pd
    from tableone import TableOne

    frame = pd.DataFrame({one.column: _cells(one) for one in patients.covariates})
    present = patients.model.present
    group = [LABELS[place] for place in present]
    frame["category"] = pd.Categorical([LABELS[place] for place in patients.model.category], group)
    known = [one for one in patients.covariates if one.missing < patients.data.n]
    categorical = [one.column for one in known if _is_category(one)]
    numbers = [one for one in known if not _is_category(one)]
    skewed = [one.column for one in numbers if abs(_skewness(one.values)) >= SKEWED]
    several = len(present) > 1
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # its own, and pandas' about it
        table = TableOne(
            frame, [one.column for one in known], categorical, [one.column for one in numbers], "category",
            nonnormal=skewed, pval=several, smd=several, htest_name=several, missing=False, overall=True,
            order={"category": group}, label_suffix=False, decimals=1,
        )  # fmt: skip
    return _Found(table, len(present))


def _is_category(covariate: Covariate) -> bool:
    """Flags too."""
    return bool(covariate.levels) or bool(
        np.isin(covariate.values, (0, 1)).sum() == (~np.isnan(covariate.values)).sum()
    )


def _cells(covariate: Covariate) -> Any:
    if covariate.levels:
        return [None if np.isnan(value) else covariate.levels[int(value)] for value in covariate.values]
    if _is_category(covariate):
        return [None if np.isnan(value) else ("yes" if value else "no") for value in covariate.values]
    return covariate.values


def _skewness(values: "np.ndarray[Any, Any]") -> float:
    known = values[~np.isnan(values)]
    spread = known.std()
    return float((((known - known.mean()) / spread) ** 3).mean()) if spread > 0 else 0.0


def _rows(covariate: Covariate, found: _Found, width: int) -> list[tuple[Cell, ...]]:
    """Of one covariate: a row of a number or a flag, or a heading and a row for each level."""
    ends = _ends(covariate, found) if found.tests else ()
    if covariate.missing == len(covariate.values):
        return [(f"{covariate.label}: missing in everybody", *[""] * (width - 1))]
    if not covariate.levels:
        level = "yes" if _is_category(covariate) else ""
        kind = ", n (%)" if level else ""
        cells = found.cells.get((covariate.column, level), ["0 (0.0)"] * (width - 1 - len(ends)))
        return [(covariate.label + kind, *map(str, cells), *ends)]
    rows: list[tuple[Cell, ...]] = [(f"{covariate.label}, n (%)", *[""] * (width - 1 - len(ends)), *ends)]
    for level in covariate.levels:
        rows.append((f"  {level}", *map(str, found.cells[(covariate.column, level)])))
        rows[-1] = (*rows[-1], *[""] * (width - len(rows[-1])))
    return rows


def _ends(covariate: Covariate, found: _Found) -> tuple[str, str]:
    differences = found.differences.get(covariate.column, {})
    p = found.tests.get(covariate.column, {}).get("p")
    largest = f"{max(map(abs, differences.values())):.2f}" if differences else "–"
    return largest, "–" if p is None else p_value(p)
