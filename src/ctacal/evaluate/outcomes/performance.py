"""Performance: discrimination, calibration and net benefit of models with and without calcium."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ctacal.arrays import Floats
from ctacal.evaluate.outcomes.models import Columns, Fit, coefficients, fit, gain, missing_maximum, together
from ctacal.evaluate.outcomes.part import Footnotes, Part
from ctacal.evaluate.outcomes.patients import Patients
from ctacal.evaluate.outcomes.risk_figures import EXPLAINED, LINES, calibrated, draw_calibration, draw_decisions
from ctacal.evaluate.publication import COLOURS, GREY, Cell, Chart, Section, Table, listed
from ctacal.evaluate.publication.wording import number
from ctacal.statistics.estimate import Estimate
from ctacal.statistics.survival.calibration import (
    accuracy_of,
    brier_influence,
    brier_method,
    calibration_intercept,
    calibration_slope,
    observed_expected,
)
from ctacal.statistics.survival.censoring import censoring
from ctacal.statistics.survival.cox_model import CoxModel, predicted_risk
from ctacal.statistics.survival.decision import net_benefit, net_benefit_difference, treat_everybody
from ctacal.statistics.survival.discrimination import (
    HARRELL,
    auc_at,
    auc_influence,
    auc_method,
    concordance_influence,
    uno_method,
)
from ctacal.statistics.survival.influence import Influenced, paired_difference, with_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

THRESHOLDS = 20
"""Number of points of a decision curve: every 2 % between the default ends."""

APPARENT = (
    "Models are evaluated in the patients to whom they were fitted. This apparent performance is somewhat better than "
    "performance in new patients; section Internal validation corrects it. The apparent figures have no intervals, "
    "because those that are usual take the models as given and miss the truth too often: read the corrected figures."
)
"""The caveat above all measures of performance."""

NO_INTERVAL = (
    "no interval: the models are fitted to these patients, which an interval around the apparent figure leaves out; "
    "section Internal validation has the corrected figure (docs/outcomes.md)"
)
"""Why apparent figures stand alone."""


MEASURES = ("Harrell's C", "Uno's C", "AUC", "Brier score", "IPA", "O/E", "Calibration intercept", "Slope")
"""Headings of ``all_measures``."""


@dataclass(frozen=True, eq=False)
class RiskModel:
    """A fitted model and the risk that it predicts for each patient at the horizon."""

    name: str
    fit: CoxModel
    risk: Floats
    columns: Columns
    horizon: float

    @cached_property
    def measures(self) -> dict[str, tuple[Influenced, str]]:
        """By measure its value with each patient's influence, and its method: differences of models need them too."""
        data, risk, horizon = self.fit.data, self.risk, self.horizon
        return {
            "harrell_c": (concordance_influence(data, risk), HARRELL),
            "uno_c": (concordance_influence(data, risk, censoring(data), horizon), uno_method(horizon)),
            "auc": (auc_influence(data, risk, horizon), auc_method(data, horizon)),
            "brier": (brier_influence(data, risk, horizon), brier_method(data, horizon)),
        }


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """A reference model, and the same model with calcium added."""

    reference: RiskModel
    calcium: tuple[RiskModel, ...]

    @property
    def all(self) -> tuple[RiskModel, ...]:
        """All models, the reference first."""
        return (self.reference, *self.calcium)


def fit_family(patients: Patients, columns: Sequence[str]) -> Family | str:
    """Fit the models with the covariates of these columns, or return the reason why there are none.

    No covariate may be missing.
    """
    base = patients.adjusted(columns)
    labels = [covariate.label for covariate in patients.covariates if covariate.column in columns]
    name = "all covariates" if len(labels) == len(patients.covariates) > 1 else listed(labels)
    if alike := [reading.name for reading in patients.readings if len(reading.present) < 2]:
        return f"{listed(alike)}: all patients are in one calcium category, which adds nothing to {name}."
    wanted = [
        (name, base),
        *((f"with {reading.name}", together(reading.by_category(), base)) for reading in patients.readings),
    ]
    made: list[RiskModel] = []
    for label, own in wanted:
        found: Fit = fit(patients, own)
        if not isinstance(found, CoxModel):
            return f"The model {name if label == name else f'{name} {label}'} has no risks: {missing_maximum(found)}."
        horizon = patients.config.analysis.horizon_years
        made.append(RiskModel(label, found, predicted_risk(found, own[1], horizon), own, horizon))
    return Family(made[0], tuple(made[1:]))


def families(patients: Patients) -> list[Family | str]:
    """Return the models with the covariates of the reference, and with all covariates if these are more."""
    config = patients.config
    if not config.adjusted:
        return ["No covariates are named, so there is no model to which calcium could be added."]
    sets = dict.fromkeys((tuple(config.reference), tuple(config.adjusted)))
    return [fit_family(patients, columns) for columns in sets]


def performance_part(patients: Patients, found: Sequence[Family | str]) -> Part:
    """Return the performance of all models, in patients with all covariates."""
    horizon = patients.config.analysis.horizon_years
    content: list[str | Table | Chart] = [reason for reason in found if isinstance(reason, str)]
    known = [family for family in found if isinstance(family, Family)]
    numbers: dict[str, Any] = {"horizon_years": horizon}
    if not known:
        return Part(Section("Performance", tuple(content)), {"reason": content})
    content += [APPARENT, _measures(patients, known, numbers), _additions(patients, known, numbers)]
    content += [_auc_chart(patients, known[0], numbers), _calibration_chart(patients, known[-1], numbers)]
    content.append(_decision_chart(patients, known[0], numbers))
    numbers["models"] = {family.reference.name: [coefficients(model.fit) for model in family.all] for family in known}
    return Part(Section("Performance", tuple(content)), numbers)


def _measures(patients: Patients, known: Sequence[Family], numbers: dict[str, Any]) -> Table:
    horizon = patients.config.analysis.horizon_years
    notes = Footnotes(
        f"Horizon {horizon:g} years. C: Harrell's; Uno's up to the horizon. AUC: cumulative cases, dynamic controls, "
        "weighted by inverse probability of censoring. IPA: index of prediction accuracy, 1 - Brier score / Brier "
        "score without covariates. O/E: observed (Kaplan-Meier) over expected events."
    )
    rows: list[tuple[Cell, ...]] = []
    for family in known:
        rows.append((family.reference.name,))
        own = {}
        for model in family.all:
            found = all_measures(model)
            own[model.name] = {key: standing_alone(one) for key, one in found.items()}
            label = "alone" if model is family.reference else model.name
            rows.append((f"  {label}", *(apparent_cell(estimate, notes, 3) for estimate in found.values())))
        numbers.setdefault("measures", {})[family.reference.name] = own
    return Table(
        "Discrimination and calibration, apparent", ("", *MEASURES), tuple(rows), notes.all, name="performance"
    )


def standing_alone(found: Estimate) -> Estimate:
    """Return an apparent figure without its interval."""
    return found if found.estimate is None else replace(found, low=None, high=None, reason=NO_INTERVAL)


def apparent_cell(found: Estimate, notes: Footnotes, places: int, factor: float = 1.0) -> str:
    """Return the cell of an apparent figure, which has no interval; a note of the table says why."""
    return notes.figure(found, places) if found.estimate is None else number(found.estimate * factor, places)


def all_measures(model: RiskModel) -> dict[str, Estimate]:
    """Return discrimination and calibration of a model's risk, in the order of ``MEASURES``."""
    data, risk, horizon = model.fit.data, model.risk, model.horizon
    return {
        **{name: with_interval(found, method, data.n) for name, (found, method) in model.measures.items()},
        "ipa": accuracy_of(data, model.measures["brier"][0], horizon),
        "observed_expected": observed_expected(data, risk, horizon),
        "intercept": calibration_intercept(data, risk, horizon),
        "slope": calibration_slope(data, risk, horizon),
    }


def _additions(patients: Patients, known: Sequence[Family], numbers: dict[str, Any]) -> Table:
    """Return what calcium adds, and the model minus the reader, by all measures side by side."""
    notes = Footnotes(
        "Differences in the same patients. Brier score: negative is better. Net benefit per 100 patients, at the "
        "thresholds of risk in the headings. LR: likelihood-ratio test of nested models."
    )
    rows: list[tuple[Cell, ...]] = []
    for family in known:
        rows.append((f"Added to {family.reference.name}",))
        pairs = [(model.name, model.name, family.reference, model) for model in family.calcium]
        if len(family.calcium) > 1:
            first, second = family.calcium[:2]
            names = [model.name.removeprefix("with ") for model in (first, second)]
            pairs.append((" less ".join(names), " minus ".join(names), second, first))
        own: dict[str, Any] = {}
        for key, label, old, new in pairs:
            found = differences(patients, old, new)
            test = gain(old.fit, new.fit) if old is family.reference else None
            own[key] = apparent_differences(found) | {"likelihood_ratio": test}
            benefit = [apparent_cell(estimate, notes, 2, 100) for estimate in found["net_benefit"].values()]
            measures = [apparent_cell(found[key], notes, 3) for key in ("harrell_c", "uno_c", "auc", "brier")]
            ratio = "" if test is None or test.statistic is None else f"{test.statistic:.1f} ({test.df} df)"
            rows.append((f"  {label}", ratio, notes.p(test), *measures, *benefit))
        numbers.setdefault("differences", {})[family.reference.name] = own
    benefit_columns = (f"Net benefit at {100 * cut:g} %" for cut in patients.config.analysis.nri_cutoffs)
    columns = ("", "LR chi-square", "p", "Harrell's C", "Uno's C", "AUC", "Brier", *benefit_columns)
    return Table("What calcium adds, apparent", columns, tuple(rows), notes.all, name="additions")


def differences(patients: Patients, old: RiskModel, new: RiskModel) -> dict[str, Any]:
    """Return the paired differences of two models."""
    data, analysis = patients.data, patients.config.analysis
    horizon = analysis.horizon_years
    paired = {
        name: paired_difference(found, old.measures[name][0], method, data.n)
        for name, (found, method) in new.measures.items()
    }
    return {
        **paired,
        "net_benefit": {
            f"{cut:g}": net_benefit_difference(data, new.risk, old.risk, horizon, cut) for cut in analysis.nri_cutoffs
        },
    }


def apparent_differences(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return differences without their intervals."""
    return {
        key: {cut: standing_alone(one) for cut, one in own.items()} if isinstance(own, Mapping) else standing_alone(own)
        for key, own in found.items()
    }


def _auc_chart(patients: Patients, models: Family, numbers: dict[str, Any]) -> Chart:
    """Return the area under the curve at several times, for the risk at the horizon."""
    times = _auc_times(patients)
    curves = {
        model.name: [standing_alone(auc_at(patients.data, model.risk, time)) for time in times] for model in models.all
    }
    numbers["auc_over_time"] = {"times_years": times, "auc": curves}

    def draw(figure: "Figure") -> None:
        _draw_auc(figure, times, curves)

    caption = (
        "Area under the time-dependent ROC curve (cumulative cases, dynamic controls) of the model with "
        f"{models.reference.name}, alone and with calcium categories. Apparent, hence without intervals. Markers are "
        "shifted for legibility."
    )
    return Chart("Time-dependent AUC", caption, draw)


def _auc_times(patients: Patients) -> list[float]:
    """Return the times of the configuration and the horizon, as far as there are both cases and controls."""
    data, analysis = patients.data, patients.config.analysis
    last = float(np.quantile(data.time, 0.95)) if data.n else 0.0
    wanted = sorted({0.5, *analysis.follow_up_years, analysis.horizon_years})
    return [time for time in wanted if time <= last] or [analysis.horizon_years]


def _draw_auc(figure: "Figure", times: list[float], curves: Mapping[str, list[Estimate]]) -> None:
    axes = figure.subplots()
    for k, (name, curve) in enumerate(curves.items()):
        middle = np.array([point.estimate for point in curve], np.float64)
        known = np.isfinite(middle)
        at = np.array(times)[known] + 0.012 * (k - 1) * times[-1]
        style: Any = {"color": _colour(k), "linestyle": LINES[k % 3], "marker": "osD"[k % 3]}
        axes.plot(at, middle[known], label=name, **style)
    axes.axhline(0.5, color=GREY, linewidth=0.6, linestyle=":")
    axes.set(xlabel="Years since the scan", ylabel="Time-dependent AUC", ylim=(0.45, 1.0))
    axes.set_xticks(times, [f"{time:g}" for time in times])
    axes.legend(loc="upper right")


def _colour(place: int) -> str:
    """Return the colour of a model; the reference model is grey."""
    return GREY if place == 0 else COLOURS[(place - 1) % len(COLOURS)]


def _calibration_chart(patients: Patients, models: Family, numbers: dict[str, Any]) -> Chart:
    horizon = patients.config.analysis.horizon_years
    shown = [
        calibrated(patients.data, model.name if k else "Covariates alone", model.risk, horizon, _colour(k))
        for k, model in enumerate(models.all)
    ]
    found = {
        model.name: {"groups": one.groups, "curve": one.curve} for model, one in zip(models.all, shown, strict=True)
    }
    numbers["calibration_groups"] = {"reference": models.reference.name, "models": found}

    def draw(figure: "Figure") -> None:
        draw_calibration(figure, shown)

    caption = (
        f"Calibration at {horizon:g} years of the model with {models.reference.name}, alone and with calcium "
        f"categories. {EXPLAINED}"
    )
    return Chart("Calibration", caption, draw, "double", 80)


def _decision_chart(patients: Patients, models: Family, numbers: dict[str, Any]) -> Chart:
    analysis = patients.config.analysis
    horizon, thresholds = analysis.horizon_years, np.linspace(*analysis.thresholds, THRESHOLDS)
    treat_all = treat_everybody(patients.data, horizon, thresholds.tolist())
    curves = {
        model.name: [net_benefit(patients.data, model.risk, horizon, float(cut)) for cut in thresholds]
        for model in models.all
    }
    numbers["decision_curve"] = {"thresholds": thresholds, "treat_all": treat_all, "net_benefit": curves}

    def draw(figure: "Figure") -> None:
        draw_decisions(figure, curves, treat_all, 100 * thresholds, [_colour(k) for k in range(len(curves))])

    caption = (
        f"Decision curves at {horizon:g} years with 95 % bands: net benefit of treating patients whose predicted risk "
        f"reaches the threshold, by the model with {models.reference.name}, alone and with calcium categories. Bands "
        "that overlap do not mean that curves do not differ: the table gives the paired difference."
    )
    return Chart("Decision curve", caption, draw)
