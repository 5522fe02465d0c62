"""How well risks are told: discrimination, calibration and net benefit of models with and without calcium."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ctacal.agreement import Estimate
from ctacal.outcomes.models import Columns, Fit, coefficients, fit, gain, named, together
from ctacal.outcomes.part import Footnotes, Part
from ctacal.outcomes.patients import Patients
from ctacal.prognosis.calibration import (
    brier_difference,
    brier_score,
    calibration_groups,
    calibration_intercept,
    calibration_slope,
    observed_expected,
    prediction_accuracy,
)
from ctacal.prognosis.cox import CoxModel, predicted_risk
from ctacal.prognosis.decision_curve import decision_curve, net_benefit_difference
from ctacal.prognosis.discrimination import (
    auc_at,
    auc_difference,
    harrell_c,
    harrell_c_difference,
    uno_c,
    uno_c_difference,
)
from ctacal.prognosis.survival_data import Floats, SurvivalData
from ctacal.publication import COLOURS, GREY, Cell, Chart, Section, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LINES = ("--", "-", "-.")
"""Of the reference model, with the model's calcium, with the reader's: told apart in grey too."""

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
    name = named([one.label for one in patients.covariates if one.column in columns])
    wanted = [(name, base), *((f"+ {one.name}", together(one.by_category(), base)) for one in patients.readings)]
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
            pairs.append((f"{first.name.removeprefix('+ ')} less {second.name.removeprefix('+ ')}", second, first))
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
    """The area under the curve at several times, each with the risk of that time."""
    times = _auc_times(patients)
    curves = {model.name: [auc_at(patients.data, model.risk, time) for time in times] for model in one.all}
    numbers["auc_over_time"] = {"times_years": times, "auc": curves}

    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        for k, (name, told) in enumerate(curves.items()):
            known = [(t, e) for t, e in zip(times, told, strict=True) if e.estimate is not None and e.low is not None]
            if not known:
                continue
            at = [t + 0.012 * (k - 1) * times[-1] for t, _ in known]
            middle = [float(e.estimate or 0) for _, e in known]
            ends = [[float((e.estimate or 0) - (e.low or 0)) for _, e in known],
                    [float((e.high or 0) - (e.estimate or 0)) for _, e in known]]  # fmt: skip
            colour = GREY if k == 0 else COLOURS[k - 1]
            axes.errorbar(
                at, middle, ends, color=colour, linestyle=LINES[k % 3], marker="osD"[k % 3], capsize=2, label=name
            )
        axes.axhline(0.5, color=GREY, linewidth=0.6, linestyle=":")
        axes.set(xlabel="Years since the scan", ylabel="Time-dependent AUC", ylim=(0.45, 1.0))
        axes.legend(loc="upper right", ncols=1)

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


def _calibration_chart(patients: Patients, one: Family, numbers: dict[str, Any]) -> Chart:
    horizon = patients.config.analysis.horizon_years
    groups = 10 if patients.data.events >= 100 else 5
    found = {model.name: calibration_groups(patients.data, model.risk, horizon, groups) for model in one.all}
    numbers["calibration_groups"] = {"reference": one.reference.name, "groups": found}

    def draw(figure: "Figure") -> None:
        panels = figure.subplots(1, len(found), sharex=True, sharey=True, squeeze=False)[0]
        top = 0.0
        for k, (axes, (name, own)) in enumerate(zip(panels, found.items(), strict=True)):
            colour = GREY if k == 0 else COLOURS[k - 1]
            for group in own:
                predicted, seen = 100 * float(group.predicted), group.observed
                if seen.estimate is None:
                    continue
                top = max(top, predicted, 100 * float(seen.high if seen.high is not None else seen.estimate))
                if seen.low is not None and seen.high is not None:
                    axes.plot([predicted] * 2, [100 * seen.low, 100 * seen.high], color=colour, linewidth=1)
                axes.plot(predicted, 100 * seen.estimate, "o", color=colour)
            axes.set_title(name if k else "Covariates alone", fontsize=8)
            axes.set(xlabel="Predicted risk (%)")
        for axes in panels:
            axes.plot([0, max(top, 1)], [0, max(top, 1)], color=GREY, linewidth=0.7, linestyle=(0, (3, 2)), zorder=0)
            axes.set(xlim=(0, max(top, 1) * 1.04), ylim=(0, max(top, 1) * 1.04), aspect="equal")
        panels[0].set_ylabel("Observed risk (%)")

    caption = (
        f"Calibration at {horizon:g} years of the model with {one.reference.name}, alone and with calcium categories: "
        f"observed risk (1 - Kaplan-Meier, 95 % interval) in {groups} groups of predicted risk; dashed: perfect."
    )
    return Chart("Calibration", caption, draw, "double", 68)


def _decision_chart(patients: Patients, one: Family, numbers: dict[str, Any]) -> Chart:
    analysis = patients.config.analysis
    horizon, (low, high) = analysis.horizon_years, analysis.thresholds
    thresholds = np.linspace(low, high, 39)
    curves = {model.name: decision_curve(patients.data, model.risk, horizon, thresholds) for model in one.all}
    numbers["decision_curve"] = {"thresholds": thresholds, "curves": curves}

    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        first = next(iter(curves.values()))
        at, everybody = _known([(point.threshold, point.treat_all) for point in first])
        axes.plot(100 * at, 100 * everybody, color="black", linewidth=0.9, linestyle=":", label="Treat all")
        axes.axhline(0, color="black", linewidth=0.9, label="Treat none")
        top = 0.5
        for k, (name, points) in enumerate(curves.items()):
            at, benefit = _known([(point.threshold, point.net_benefit) for point in points])
            top = max(top, float((100 * benefit).max(initial=0)))
            axes.plot(
                100 * at, 100 * benefit, color=GREY if k == 0 else COLOURS[k - 1], linestyle=LINES[k % 3], label=name
            )
        axes.set(xlabel="Threshold risk (%)", ylabel="Net benefit (per 100 patients)", ylim=(-0.15 * top, 1.1 * top))
        axes.set_xlim(100 * low, 100 * high)
        axes.legend(loc="upper right")

    caption = (
        f"Decision curves at {horizon:g} years: net benefit of treating patients whose predicted risk reaches the "
        f"threshold, by {one.reference.name}, alone and with calcium categories."
    )
    return Chart("Decision curve", caption, draw)


def _known(points: Sequence[tuple[float, Estimate]]) -> tuple[Floats, Floats]:
    kept = [(threshold, told.estimate) for threshold, told in points if told.estimate is not None]
    table = np.array(kept, np.float64).reshape(-1, 2)
    return table[:, 0], table[:, 1]
