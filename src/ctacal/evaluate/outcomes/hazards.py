"""Cox models: univariable beside multivariable, proportional hazards, and the spline of log(CAC + 1)."""

from typing import TYPE_CHECKING, Any

import numpy as np

from ctacal.arrays import Floats
from ctacal.evaluate.outcomes.figures import ForestRow, draw_forest
from ctacal.evaluate.outcomes.models import (
    Columns,
    Fit,
    coefficients,
    fit,
    gain,
    missing_maximum,
    one_column,
    ratio,
    together,
    wald,
)
from ctacal.evaluate.outcomes.part import LABELS, Footnotes, Part
from ctacal.evaluate.outcomes.patients import Covariate, Patients, Reading
from ctacal.evaluate.publication import COLOURS, GREY, Cell, Chart, Section, Table, listed
from ctacal.statistics.estimate import Estimate
from ctacal.statistics.survival.cox_model import CoxModel, NoModel, joint_wald, relative_hazard
from ctacal.statistics.survival.proportional_hazards import schoenfeld_test
from ctacal.statistics.survival.splines import spline_basis

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Rows = list[tuple[Cell, ...]]

LOG_SCORE = "log(CAC + 1)"


def hazards_part(patients: Patients) -> Part:
    """Return univariable models of all patients, and multivariable models of those with all covariates."""
    complete = patients.take(patients.complete)
    if not complete.data.n:
        reason = "No patient has all covariates: there is no multivariable model."
        return Part(Section("Cox models", (reason,)), {"reason": reason})
    made = _Ratios(patients, complete)
    numbers: dict[str, Any] = {}
    for reading, model in zip(patients.readings, made.models, strict=True):
        numbers[reading.name] = made.add_categories(reading, model)
        numbers[reading.name] |= made.add_score(reading)
    made.add_covariates(made.models[0])
    numbers["covariates"] = coefficients(made.models[0])
    proportional, numbers["proportional_hazards"] = _proportional(made.models[0], patients)
    splines = _splines(complete, made.adjusted, numbers)
    content = (made.table(), _forest(patients, made.forest), proportional, *splines)
    return Part(Section("Cox models", content), numbers)


def categories_model(complete: Patients, whole: Reading, known: Reading) -> Fit:
    """Fit the multivariable model of the categories; there is none if a category has no complete case."""
    if whole.present != known.present:
        reason = "a calcium category has no patient with all covariates"
        return NoModel(reason, "Cox model", complete.data.n, complete.data.events)
    return fit(complete, together(known.by_category(), complete.adjusted(complete.config.adjusted)))


class _Ratios:
    """Hazard ratios, row by row, for the table and the forest plot."""

    def __init__(self, patients: Patients, complete: Patients) -> None:
        self.patients, self.complete = patients, complete
        self.adjusted = complete.adjusted(patients.config.adjusted)
        self.models = [
            categories_model(complete, *both) for both in zip(patients.readings, complete.readings, strict=True)
        ]  # fmt: skip
        self.notes = Footnotes(_notes(patients, complete))
        self.rows: Rows = []
        self.forest: list[ForestRow] = []

    def _add(self, label: str, counts: tuple[int, int], models: tuple[Fit, Fit], name: str) -> None:
        ratios = tuple(ratio(model, name) for model in models)
        cells = [
            cell
            for model, hazard_ratio in zip(models, ratios, strict=True)
            for cell in (self.notes.figure(hazard_ratio), self.notes.p(wald(model, name)))
        ]
        self.rows.append((f"  {label}", *counts, *cells))
        self.forest.append(ForestRow(f"  {label}", ratios, counts=counts))

    def _head(self, label: str) -> None:
        self.rows.append((label,))
        self.forest.append(ForestRow(label.partition(" (")[0]))

    def _counts(self, reading: Reading, place: int) -> tuple[int, int]:
        mine = reading.category == place
        return int(mine.sum()), int(self.patients.data.event[mine].sum())

    def add_categories(self, reading: Reading, multivariable: Fit) -> dict[str, Any]:
        """Add a row for each category."""
        alone, first = fit(self.patients, reading.by_category()), reading.present[0]
        self._head(reading.name)
        reference = "1 (reference)"
        self.rows.append((f"  {LABELS[first]}", *self._counts(reading, first), reference, "", reference, ""))
        self.forest.append(ForestRow(f"  {LABELS[first]}", reference=True, counts=self._counts(reading, first)))
        for place, name in zip(reading.present[1:], reading.by_category()[0], strict=True):
            self._add(LABELS[place], self._counts(reading, place), (alone, multivariable), name)
        return {"univariable": coefficients(alone), "multivariable": coefficients(multivariable)}

    def add_score(self, reading: Reading) -> dict[str, Any]:
        """Add a row for the score itself, if the table has it."""
        known = next(same for same in self.complete.readings if same.name == reading.name)
        if reading.log_score is None or known.log_score is None:
            return {}
        alone = fit(self.patients, one_column(LOG_SCORE, reading.log_score))
        multivariable = fit(self.complete, together(one_column(LOG_SCORE, known.log_score), self.adjusted))
        counts = (self.patients.data.n, self.patients.data.events)
        self._add(f"per unit of {LOG_SCORE}", counts, (alone, multivariable), LOG_SCORE)
        return {"log_univariable": coefficients(alone), "log_multivariable": coefficients(multivariable)}

    def add_covariates(self, multivariable: Fit) -> None:
        """Add a row for each number and for each level except the first."""
        if self.patients.covariates:
            self._head(f"Covariates (in the model with {self.patients.model.name} categories)")
        for covariate in self.patients.covariates:
            there = ~np.isnan(covariate.values)
            known = self.patients.take(there)
            names, values = covariate.columns(covariate.values[there])
            alone = fit(known, (names, values))
            for name in names:
                counts = (known.data.n, known.data.events)
                self._add(f"{name}{_unit(covariate)}", counts, (alone, multivariable), name)

    def table(self) -> Table:
        """Return the table of all rows."""
        columns = ("", "n", "Events", "Univariable HR (95 % CI)", "p", "Multivariable HR (95 % CI)", "p")
        title = "Hazard ratios, univariable and multivariable"
        return Table(title, columns, tuple(self.rows), self.notes.all, name="hazard_ratios")


def _notes(patients: Patients, complete: Patients) -> str:
    labels = [covariate.label for covariate in patients.covariates]
    number = patients.data.n - complete.data.n
    excluded = f"; {number:,} patients with a missing covariate are excluded" if number else ""
    if not labels:
        return (
            "Cox models with Efron's method for ties, Wald intervals. No covariates are named, so the multivariable "
            "models are univariable."
        )
    return (
        "Cox models with Efron's method for ties, Wald intervals. Multivariable: adjusted for "
        f"{listed(labels)}{excluded}."
    )


def _unit(covariate: Covariate) -> str:
    """Return the difference that a hazard ratio is for; flags and levels need none."""
    numbers = set(np.unique(covariate.values[~np.isnan(covariate.values)])[:3].tolist())
    return "" if covariate.levels or numbers <= {0.0, 1.0} else f", per {covariate.per:g}"


def _forest(patients: Patients, rows: list[ForestRow]) -> Chart:
    outcome = patients.config.outcome.name

    def draw(figure: "Figure") -> None:
        draw_forest(figure, rows, ("Univariable", "Multivariable"), f"Hazard ratio for {outcome} (logarithmic axis)")

    caption = (
        f"Hazard ratios for {outcome} with 95 % intervals, univariable and multivariable, from Cox models; "
        "an interval that extends beyond the axis is cut off at its end."
    )
    return Chart("Forest plot of hazard ratios", caption, draw, "double", 22 + 6.2 * len(rows))


def _proportional(model: Fit, patients: Patients) -> tuple[Table | str, Any]:
    if not isinstance(model, CoxModel):
        reason = f"Proportional hazards cannot be tested: {missing_maximum(model)}."
        return reason, {"reason": reason}
    tested = schoenfeld_test(model)
    notes = Footnotes("Exact score test (Grambsch and Therneau 1994) with time transformed by 1 - Kaplan-Meier.")
    named_tests = [*zip(model.names, tested.tests, strict=True), ("All together", tested.overall)]
    rows = tuple(
        (name, f"{test.statistic:.2f}", test.df, notes.p(test))
        if test.statistic is not None
        else (name, notes.dash(test.reason), "", "")
        for name, test in named_tests
    )
    title = f"Test of proportional hazards ({patients.model.name}, multivariable)"
    numbers = {"tests": dict(zip(model.names, tested.tests, strict=True)), "overall": tested.overall}
    return Table(title, ("", "Chi-square", "df", "p"), rows, notes.all, name="proportional_hazards"), numbers


def score_knots(log_score: Floats, knots: int) -> Floats:
    """Return (knots,): 0 if there are scores of 0, and quantiles of the other scores; fewer if some coincide.

    Quantiles of all scores would fall on 0 more than once, because two patients in five have no calcium.
    Spacing: Harrell FE, Regression Modeling Strategies, 2nd ed. 2015, table 2.3.
    """
    positive = log_score[log_score > 0]
    if not len(positive):
        return np.zeros(0)
    own = [0.0] if (log_score == 0).any() else []
    ends = {2: (0.25, 0.9), 3: (0.1, 0.5, 0.9), 4: (0.05, 0.35, 0.65, 0.95), 5: (0.05, 0.275, 0.5, 0.725, 0.95)}
    return np.unique([*own, *np.quantile(positive, ends[knots - len(own)])])


def _splines(complete: Patients, adjusted: Columns, numbers: dict[str, Any]) -> list[Chart | str]:
    content: list[Chart | str] = []
    for reading in complete.readings:
        log_score = reading.log_score
        if log_score is None:
            content.append(f"{reading.name}: the table has categories, not scores, so there is no spline.")
            continue
        knots = score_knots(log_score, complete.config.analysis.knots)
        if len(knots) < 3:
            content.append(f"{reading.name}: the scores have too few different values for a spline.")
            continue
        content += _spline(complete, reading, log_score, knots, adjusted, numbers)
    return content


def _spline(
    complete: Patients, reading: Reading, log_score: Floats, knots: Floats, adjusted: Columns, numbers: dict[str, Any]
) -> list[Chart | str]:
    basis = spline_basis(log_score, knots)
    names = tuple(f"{LOG_SCORE} spline {place + 1}" for place in range(basis.shape[1]))
    model = fit(complete, together((names, basis), adjusted))
    if not isinstance(model, CoxModel):
        return [f"{reading.name}: the spline of {LOG_SCORE} cannot be fitted: {missing_maximum(model)}."]
    linear = fit(complete, together(one_column(LOG_SCORE, log_score), adjusted))
    nonlinearity, overall = gain(linear, model), joint_wald(model, names)
    grid = np.linspace(0, float(log_score.max()), 200)
    rest = adjusted[1].mean(axis=0)
    at = np.column_stack([spline_basis(grid, knots), np.tile(rest, (len(grid), 1))])
    zero = np.concatenate([spline_basis(np.zeros(1), knots)[0], rest])
    curve = relative_hazard(model, at, zero)
    numbers[f"{reading.name} spline"] = {
        "knots": knots, "model": coefficients(model), "nonlinearity": nonlinearity, "overall": overall,
        "log_score": grid, "hazard_ratio": [point.estimate for point in curve], "low": [point.low for point in curve],
        "high": [point.high for point in curve],
    }  # fmt: skip

    def draw(figure: "Figure") -> None:
        _draw_spline(figure, grid, curve, knots, log_score)

    notes = Footnotes()
    caption = (
        f"Adjusted hazard ratio against CAC 0 by a restricted cubic spline of log(CAC + 1) with {len(knots)} knots "
        f"(ticks), with its 95 % interval. Below: distribution of the scores. Overall p {notes.p(overall)}, "
        f"nonlinearity p {notes.p(nonlinearity)}."
    )
    return [Chart(f"Hazard ratio along the score, {reading.name}", caption, draw, height_mm=80)]


def _draw_spline(figure: "Figure", grid: Floats, curve: list[Estimate], knots: Floats, scores: Floats) -> None:
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=[6, 1])
    middle, low, high = (
        np.array([getattr(point, end) for point in curve], float) for end in ("estimate", "low", "high")
    )
    axes.plot(grid, middle, color=COLOURS[0])
    axes.fill_between(grid, low, high, color=COLOURS[0], alpha=0.18, linewidth=0)
    axes.axhline(1, color=GREY, linewidth=0.7, linestyle=(0, (3, 2)))
    bottom, top = min(0.7, float(middle.min()) / 1.3), max(2.0, float(np.minimum(high, 4 * middle.max()).max()) * 1.1)
    axes.set(yscale="log", ylim=(bottom, top), ylabel="Hazard ratio against CAC 0")
    ticks = [tick for tick in (0.1, 0.2, 0.5, 1, 2, 3, 5, 10, 20, 50) if bottom <= tick <= top]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.plot(knots, np.full(len(knots), bottom), "|", color="black", markersize=7, clip_on=False)
    axes.tick_params(labelbottom=False)
    below.hist(scores[scores > 0], bins=60, range=(0, float(grid[-1])), color=GREY)
    none = int((scores == 0).sum())
    below.text(0.01, 1.02, f"{none:,} with CAC 0 not shown", transform=below.transAxes, fontsize=6, va="bottom")
    below.set(xlabel="CAC (Agatston; axis of log(CAC + 1))", ylabel="Patients", xlim=(-0.1, float(grid[-1])))
    shown = [score for score in (0, 1, 10, 100, 400, 1000, 4000, 10000) if np.log1p(score) <= grid[-1] + 1e-9]
    below.set_xticks([float(np.log1p(score)) for score in shown], [f"{score:,}" for score in shown])
