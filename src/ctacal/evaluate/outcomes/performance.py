"""How well risks are told: discrimination, calibration and net benefit of models with and without calcium."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ctacal.arrays import Floats
from ctacal.evaluate.outcomes.models import Columns, Fit, coefficients, fit, gain, together
from ctacal.evaluate.outcomes.part import Footnotes, Part
from ctacal.evaluate.outcomes.patients import Patients
from ctacal.evaluate.publication import COLOURS, GREY, Cell, Chart, Section, Table, listed
from ctacal.statistics.estimate import Estimate
from ctacal.statistics.survival.calibration import (
    CalibrationGroup,
    brier_difference,
    brier_score,
    calibration_groups,
    calibration_intercept,
    calibration_slope,
    observed_expected,
    prediction_accuracy,
)
from ctacal.statistics.survival.cox_model import CoxModel, predicted_risk
from ctacal.statistics.survival.decision import decision_curve, net_benefit, net_benefit_difference
from ctacal.statistics.survival.discrimination import (
    auc_at,
    auc_difference,
    harrell_c,
    harrell_c_difference,
    uno_c,
    uno_c_difference,
)
from ctacal.statistics.survival.survival_data import SurvivalData

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINES = ("--", "-", "-.")
"""Of the reference model, with the model's calcium, with the reader's: told apart in grey too."""

THRESHOLDS = 20
"""Points of a decision curve: every 2 % between the default ends."""

APPARENT = "Models are fitted to the same patients (apparent performance): it is somewhat better than in new ones."


@dataclass(frozen=True, slots=True, eq=False)
class RiskModel:
    """A fitted model with the risk that it gives each patient by the horizon."""

    name: str
    fit: CoxModel
    risk: Floats
    columns: Columns


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """A reference model, and the same with calcium added."""

    reference: RiskModel
    calcium: tuple[RiskModel, ...]

    @property
    def all(self) -> tuple[RiskModel, ...]:
        """The reference first."""
        return (self.reference, *self.calcium)


def family(patients: Patients, columns: Sequence[str]) -> Family | str:
    """Of covariates in these columns; or in words why there is none. Every covariate has to be known."""
    base = patients.adjusted(columns)
    labels = [one.label for one in patients.covariates if one.column in columns]
    name = "all covariates" if len(labels) == len(patients.covariates) > 1 else listed(labels)
    if alike := [one.name for one in patients.readings if len(one.present) < 2]:
        return f"{listed(alike)}: all patients are in one calcium category, which adds nothing to {name}."
    wanted = [(name, base), *((f"with {one.name}", together(one.by_category(), base)) for one in patients.readings)]
    made: list[RiskModel] = []
    for label, own in wanted:
        found: Fit = fit(patients, own)
        if not isinstance(found, CoxModel):
            return f"The model {name if label == name else f'{name} {label}'} cannot be fitted: {found.reason}."
        risk = predicted_risk(found, own[1], patients.config.analysis.horizon_years)
        made.append(RiskModel(label, found, risk, own))
    return Family(made[0], tuple(made[1:]))


def families(patients: Patients) -> list[Family | str]:
    """Against the reference of reclassification, and against all covariates where they are more."""
    config = patients.config
    if not config.adjusted:
        return ["No covariates are named: there is no model that calcium could be added to."]
    sets = dict.fromkeys((tuple(config.reference), tuple(config.adjusted)))
    return [family(patients, columns) for columns in sets]


def performance_part(patients: Patients, found: Sequence[Family | str]) -> Part:
    """Of patients with all covariates."""
    horizon = patients.config.analysis.horizon_years
    content: list[str | Table | Chart] = [told for told in found if isinstance(told, str)]
    known = [one for one in found if isinstance(one, Family)]
    numbers: dict[str, Any] = {"horizon_years": horizon}
    if not known:
        return Part(Section("Performance", tuple(content)), {"reason": content})
    content += [APPARENT, _measures(patients, known, numbers), _additions(patients, known, numbers)]
    content += [_auc_chart(patients, known[0], numbers), _calibration_chart(patients, known[-1], numbers)]
    content.append(_decision_chart(patients, known[0], numbers))
    numbers["models"] = {one.reference.name: [coefficients(model.fit) for model in one.all] for one in known}
    return Part(Section("Performance", tuple(content)), numbers)


def _measures(patients: Patients, known: Sequence[Family], numbers: dict[str, Any]) -> Table:
    data, horizon = patients.data, patients.config.analysis.horizon_years
    notes = Footnotes(
        f"Horizon {horizon:g} years. C: Harrell's; Uno's up to the horizon. AUC: cumulative cases, dynamic controls, "
        "weighted by inverse probability of censoring. IPA: index of prediction accuracy, 1 - Brier / Brier without "
        "covariates. O/E: observed (Kaplan-Meier) over expected events."
    )
    rows: list[tuple[Cell, ...]] = []
    for one in known:
        rows.append((one.reference.name,))
        own = {}
        for model in one.all:
            found = _all_measures(data, model.risk, horizon)
            own[model.name] = found
            label = "alone" if model is one.reference else model.name
            rows.append((f"  {label}", *(notes.figure(told, 3) for told in found.values())))
        numbers.setdefault("measures", {})[one.reference.name] = own
    columns = ("", "Harrell's C", "Uno's C", "AUC", "Brier score", "IPA", "O/E", "Calibration intercept", "Slope")
    return Table("Discrimination and calibration (95 % CI)", columns, tuple(rows), notes.all, name="performance")


def _all_measures(data: SurvivalData, risk: Floats, horizon: float) -> dict[str, Estimate]:
    return {
        "harrell_c": harrell_c(data, risk),
        "uno_c": uno_c(data, risk, horizon),
        "auc": auc_at(data, risk, horizon),
        "brier": brier_score(data, risk, horizon),
        "ipa": prediction_accuracy(data, risk, horizon),
        "observed_expected": observed_expected(data, risk, horizon),
        "intercept": calibration_intercept(data, risk, horizon),
        "slope": calibration_slope(data, risk, horizon),
    }


def _additions(patients: Patients, known: Sequence[Family], numbers: dict[str, Any]) -> Table:
    """What calcium adds, and the model less the reader, by all measures side by side."""
    notes = Footnotes(
        "Differences on the same patients; Brier: negative is better. Net benefit at the risk thresholds named, per "
        "100 patients. LR: likelihood-ratio test of nested models."
    )
    rows: list[tuple[Cell, ...]] = []
    for one in known:
        rows.append((f"Added to {one.reference.name}",))
        pairs = [(model.name, one.reference, model) for model in one.calcium]
        if len(one.calcium) > 1:
            first, second = one.calcium[:2]
            pairs.append(
                (f"{first.name.removeprefix('with ')} less {second.name.removeprefix('with ')}", second, first)
            )
        own: dict[str, Any] = {}
        for name, old, new in pairs:
            own[name] = found = _differences(patients, old, new)
            test = gain(old.fit, new.fit) if old is one.reference else None
            own[name]["likelihood_ratio"] = test
            benefit = [notes.figure(told, 2, 100) for told in found["net_benefit"].values()]
            measures = [notes.figure(found[key], 3) for key in ("harrell_c", "uno_c", "auc", "brier")]
            told = "" if test is None or test.statistic is None else f"{test.statistic:.1f} ({test.df} df)"
            rows.append((f"  {name}", told, notes.p(test), *measures, *benefit))
        numbers.setdefault("differences", {})[one.reference.name] = own
    benefit_columns = (f"Net benefit at {100 * cut:g} %" for cut in patients.config.analysis.nri_cutoffs)
    columns = ("", "LR chi-square", "p", "Harrell's C", "Uno's C", "AUC", "Brier", *benefit_columns)
    return Table("What calcium adds (95 % CI)", columns, tuple(rows), notes.all, name="additions")


def _differences(patients: Patients, old: RiskModel, new: RiskModel) -> dict[str, Any]:
    data, analysis = patients.data, patients.config.analysis
    horizon = analysis.horizon_years
    return {
        "harrell_c": harrell_c_difference(data, new.risk, old.risk),
        "uno_c": uno_c_difference(data, new.risk, old.risk, horizon),
        "auc": auc_difference(data, new.risk, old.risk, horizon),
        "brier": brier_difference(data, new.risk, old.risk, horizon),
        "net_benefit": {
            f"{cut:g}": net_benefit_difference(data, new.risk, old.risk, horizon, cut) for cut in analysis.nri_cutoffs
        },
    }


def _auc_chart(patients: Patients, one: Family, numbers: dict[str, Any]) -> Chart:
    """The area under the curve at several times, of the risk by the horizon."""
    times = _auc_times(patients)
    curves = {model.name: [auc_at(patients.data, model.risk, time) for time in times] for model in one.all}
    numbers["auc_over_time"] = {"times_years": times, "auc": curves}

    def draw(figure: "Figure") -> None:
        _draw_auc(figure, times, curves)

    caption = (
        f"Area under the time-dependent ROC curve (cumulative cases, dynamic controls) of {one.reference.name}, "
        "alone and with calcium categories, with 95 % intervals; markers are set apart for legibility."
    )
    return Chart("Time-dependent AUC", caption, draw)


def _auc_times(patients: Patients) -> list[float]:
    """Those asked for, and the horizon, as far as both cases and controls are seen."""
    data, analysis = patients.data, patients.config.analysis
    last = float(np.quantile(data.time, 0.95)) if data.n else 0.0
    wanted = sorted({0.5, *analysis.follow_up_years, analysis.horizon_years})
    return [time for time in wanted if time <= last] or [analysis.horizon_years]


def _draw_auc(figure: "Figure", times: list[float], curves: Mapping[str, list[Estimate]]) -> None:
    axes = figure.subplots()
    for k, (name, told) in enumerate(curves.items()):
        middle, low, high = (np.array([getattr(one, end) for one in told], np.float64) for end in _ENDS)
        known = np.isfinite(middle) & np.isfinite(low) & np.isfinite(high)
        at = np.array(times)[known] + 0.012 * (k - 1) * times[-1]
        ends = [(middle - low)[known], (high - middle)[known]]
        style: Any = {"color": _colour(k), "linestyle": LINES[k % 3], "marker": "osD"[k % 3]}
        axes.errorbar(at, middle[known], ends, capsize=2, label=name, **style)
    axes.axhline(0.5, color=GREY, linewidth=0.6, linestyle=":")
    axes.set(xlabel="Years since the scan", ylabel="Time-dependent AUC", ylim=(0.45, 1.0))
    axes.set_xticks(times, [f"{time:g}" for time in times])
    axes.legend(loc="upper right")


_ENDS = ("estimate", "low", "high")


def _colour(place: int) -> str:
    """The reference model is grey."""
    return GREY if place == 0 else COLOURS[(place - 1) % len(COLOURS)]


def _calibration_chart(patients: Patients, one: Family, numbers: dict[str, Any]) -> Chart:
    horizon = patients.config.analysis.horizon_years
    groups = 10 if patients.data.events >= 100 else 5
    found = {model.name: calibration_groups(patients.data, model.risk, horizon, groups) for model in one.all}
    numbers["calibration_groups"] = {"reference": one.reference.name, "groups": found}

    def draw(figure: "Figure") -> None:
        _draw_calibration(figure, found)

    caption = (
        f"Calibration at {horizon:g} years of the model with {one.reference.name}, alone and with calcium categories: "
        f"observed risk (1 - Kaplan-Meier, 95 % interval) in {groups} groups of predicted risk; dashed: perfect."
    )
    return Chart("Calibration", caption, draw, "double", 68)


def _draw_calibration(figure: "Figure", found: Mapping[str, Sequence[CalibrationGroup]]) -> None:
    panels = figure.subplots(1, len(found), sharex=True, sharey=True, squeeze=False)[0]
    top = 100 * max([0.01, *(_top(group) for own in found.values() for group in own)])
    for k, (axes, (name, own)) in enumerate(zip(panels, found.items(), strict=True)):
        axes.plot([0, top], [0, top], color=GREY, linewidth=0.7, linestyle=(0, (3, 2)), zorder=0)
        for group in own:
            _draw_group(axes, group, _colour(k))
        axes.set_title(name if k else "Covariates alone", fontsize=8)
        axes.set(xlabel="Predicted risk (%)", xlim=(0, 1.04 * top), ylim=(0, 1.04 * top), aspect="equal")
    panels[0].set_ylabel("Observed risk (%)")


def _top(group: CalibrationGroup) -> float:
    return max(one for one in (group.predicted, group.observed.estimate, group.observed.high) if one is not None)


def _draw_group(axes: "Axes", group: CalibrationGroup, colour: str) -> None:
    seen = group.observed
    if seen.estimate is None:
        return
    if seen.low is not None and seen.high is not None:
        axes.plot([100 * group.predicted] * 2, [100 * seen.low, 100 * seen.high], color=colour, linewidth=1)
    axes.plot(100 * group.predicted, 100 * seen.estimate, "o", color=colour)


def _decision_chart(patients: Patients, one: Family, numbers: dict[str, Any]) -> Chart:
    analysis = patients.config.analysis
    horizon, thresholds = analysis.horizon_years, np.linspace(*analysis.thresholds, THRESHOLDS)
    everybody = decision_curve(patients.data, one.reference.risk, horizon, thresholds.tolist())
    treat_all = [point.treat_all for point in everybody]
    curves = {one.reference.name: [point.net_benefit for point in everybody]} | {
        model.name: [net_benefit(patients.data, model.risk, horizon, float(cut)) for cut in thresholds]
        for model in one.calcium
    }
    numbers["decision_curve"] = {"thresholds": thresholds, "treat_all": treat_all, "net_benefit": curves}

    def draw(figure: "Figure") -> None:
        _draw_decisions(figure, curves, treat_all, 100 * thresholds)

    caption = (
        f"Decision curves at {horizon:g} years: net benefit of treating patients whose predicted risk reaches the "
        f"threshold, by {one.reference.name}, alone and with calcium categories."
    )
    return Chart("Decision curve", caption, draw)


def _draw_decisions(
    figure: "Figure", curves: Mapping[str, Sequence[Estimate]], treat_all: Sequence[Estimate], percent: Floats
) -> None:
    axes = figure.subplots()
    axes.plot(percent, _in_percent(treat_all), "k:", linewidth=0.9, label="Treat all")
    axes.axhline(0, color="black", linewidth=0.9, label="Treat none")
    top = 0.5
    for k, (name, told) in enumerate(curves.items()):
        benefit = _in_percent(told)
        top = max(top, float(benefit[np.isfinite(benefit)].max(initial=0)))
        axes.plot(percent, benefit, color=_colour(k), linestyle=LINES[k % 3], label=name)
    axes.set(xlabel="Threshold risk (%)", ylabel="Net benefit (per 100 patients)", ylim=(-0.15 * top, 1.1 * top))
    axes.set_xlim(float(percent[0]), float(percent[-1]))
    axes.legend(loc="upper right")


def _in_percent(told: Sequence[Estimate]) -> Floats:
    """NaN, which leaves a gap in a line, where it is not defined."""
    return np.array([np.nan if one.estimate is None else 100 * one.estimate for one in told], np.float64)
