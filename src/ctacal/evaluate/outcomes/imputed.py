"""Performance, calibration, decision curve and reclassification of imputed patients, averaged by Rubin's rules."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ctacal.arrays import Floats
from ctacal.evaluate.outcomes.part import Footnotes
from ctacal.evaluate.outcomes.patients import Patients
from ctacal.evaluate.outcomes.performance import (
    MEASURES,
    THRESHOLDS,
    Family,
    RiskModel,
    all_measures,
    apparent_cell,
    apparent_differences,
    differences,
    families,
    standing_alone,
)
from ctacal.evaluate.outcomes.reclassification import measures_table, tests_table
from ctacal.evaluate.outcomes.risk_figures import Calibrated, draw_calibration, draw_decisions
from ctacal.evaluate.outcomes.validation import imputed_validation
from ctacal.evaluate.publication import COLOURS, GREY, Cell, Chart, Table
from ctacal.statistics.estimate import Estimate
from ctacal.statistics.hypothesis import HypothesisTest
from ctacal.statistics.survival.decision import net_benefit, treat_everybody
from ctacal.statistics.survival.imputed_nri import imputed_reclassification
from ctacal.statistics.survival.pooling import Scale, pool_estimates, pooled_test
from ctacal.statistics.survival.smooth_calibration import CalibrationCurve, calibration_curve, points

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Content = list[str | Table | Chart]

HOW = (
    "Models and risks are made anew in each imputation; each figure is the average over the imputations, and its "
    "interval, by Rubin's rules, also holds what is not known because values are missing. O/E is averaged as its "
    "logarithm. Performance is apparent and without intervals, but for the table corrected for optimism."
)
"""What is averaged."""


@dataclass(frozen=True, slots=True)
class ImputedPerformance:
    """Tables and charts for the section, and their numbers."""

    content: Content
    numbers: Mapping[str, Any]


def imputed_performance(patients: Patients, sets: Sequence[Patients], imputations: int) -> ImputedPerformance:
    """Return the performance of the models, averaged over ``sets``: the patients of some or all of the imputations."""
    by_set = [families(own) for own in sets]
    known: list[list[Family]] = []
    for place in range(len(by_set[0])):
        own = [found[place] for found in by_set]
        if reason := next((one for one in own if isinstance(one, str)), ""):
            return ImputedPerformance([f"Imputed performance: {reason}"], {"reason": reason})
        known.append([one for one in own if isinstance(one, Family)])
    numbers: dict[str, Any] = {"imputations": len(sets)}
    few = f" Performance is of {len(sets)} of the imputations, to save time." if len(sets) < imputations else ""
    content: Content = [HOW + few, _measures(sets, known, numbers), _additions(sets, known, numbers)]
    if patients.config.analysis.validation == "bootstrap":
        corrected, numbers["validation"] = imputed_validation(sets, known)
        content.append(corrected)
    content += _calibration(sets, known[-1], numbers)
    content.append(_decisions(sets, known[0], numbers))
    content += _reclassification(patients, sets, known[0], numbers)
    return ImputedPerformance(content, numbers)


def _pooled(estimates: Sequence[Estimate], measure: str, events: int) -> Estimate:
    scale: Scale = "log" if measure == "observed_expected" else "plain"
    return pool_estimates(estimates, scale=scale, complete_degrees_of_freedom=max(events - 1, 1))


def _measures(sets: Sequence[Patients], known: Sequence[Sequence[Family]], numbers: dict[str, Any]) -> Table:
    horizon, events = sets[0].config.analysis.horizon_years, sets[0].data.events
    notes = Footnotes(f"Horizon {horizon:g} years; measures as in section Performance.")
    rows: list[tuple[Cell, ...]] = []
    for own in known:
        reference = own[0].reference.name
        rows.append((reference,))
        for k, model in enumerate(own[0].all):
            each = [all_measures(family.all[k]) for family in own]
            found = {key: _pooled([one[key] for one in each], key, events) for key in each[0]}
            alone = {key: standing_alone(one) for key, one in found.items()}
            numbers.setdefault("measures", {}).setdefault(reference, {})[model.name] = alone
            cells = (apparent_cell(one, notes, 3) for one in found.values())
            rows.append((f"  {model.name if k else 'alone'}", *cells))
    title = "Discrimination and calibration, imputed, apparent"
    return Table(title, ("", *MEASURES), tuple(rows), notes.all, name="imputed_performance")


def _additions(sets: Sequence[Patients], known: Sequence[Sequence[Family]], numbers: dict[str, Any]) -> Table:
    cuts, events = sets[0].config.analysis.nri_cutoffs, sets[0].data.events
    notes = Footnotes(
        "Differences in the same patients. Brier score: negative is better. Net benefit per 100 patients. Test: Wald "
        "test of the categories, pooled over the imputations (D1 of Li, Raghunathan and Rubin 1991)."
    )
    rows: list[tuple[Cell, ...]] = []
    for own in known:
        rows.append((f"Added to {own[0].reference.name}",))
        for name, (new, old) in _pairs(own[0]).items():
            each = [differences(one, family.all[old], family.all[new]) for one, family in zip(sets, own, strict=True)]
            found: dict[str, Any] = {
                key: _pooled([one[key] for one in each], key, events) for key in ("harrell_c", "uno_c", "auc", "brier")
            }
            benefit = {
                f"{cut:g}": _pooled([one["net_benefit"][f"{cut:g}"] for one in each], "", events) for cut in cuts
            }
            test = _test([family.all[new] for family in own], sets[0], new) if old == 0 else None
            alone = apparent_differences({**found, "net_benefit": benefit}) | {"test": test}
            numbers.setdefault("differences", {}).setdefault(own[0].reference.name, {})[name] = alone
            cells = [*(apparent_cell(one, notes, 3) for one in found.values())]
            cells += [apparent_cell(one, notes, 2, 100) for one in benefit.values()]
            rows.append((f"  {name}", notes.p(test), *cells))
    columns = ("", "p", "Harrell's C", "Uno's C", "AUC", "Brier", *(f"Net benefit at {100 * cut:g} %" for cut in cuts))
    return Table("What calcium adds, imputed, apparent", columns, tuple(rows), notes.all, name="imputed_additions")


def _pairs(family: Family) -> dict[str, tuple[int, int]]:
    """Return by name the places of the new and the old model of each comparison; 0 is the reference."""
    found = {model.name: (place, 0) for place, model in enumerate(family.calcium, start=1)}
    if len(family.calcium) > 1:
        names = [model.name.removeprefix("with ") for model in family.calcium[:2]]
        found[" less ".join(names)] = (1, 2)
    return found


def _test(models: Sequence[RiskModel], patients: Patients, place: int) -> HypothesisTest:
    """Test the categories of the reading at this place (1 or 2), which come first among the covariates."""
    count = len(patients.readings[place - 1].present) - 1
    fits = [model.fit for model in models]
    return pooled_test([one.coefficient[:count] for one in fits], [one.covariance[:count, :count] for one in fits])


def _calibration(sets: Sequence[Patients], own: Sequence[Family], numbers: dict[str, Any]) -> Content:
    """Return the chart of the curves averaged on the scale of log(-log(1 - observed risk))."""
    horizon = sets[0].config.analysis.horizon_years
    shown: list[Calibrated] = []
    for k, model in enumerate(own[0].all):
        risks = [family.all[k].risk for family in own]
        mean = np.asarray(np.mean(risks, axis=0))
        curve = _curve(sets, risks, points(mean), horizon)
        name = model.name if k else "Covariates alone"
        numbers.setdefault("calibration", {})[model.name] = curve
        shown.append(Calibrated(name, _colour(k), mean, (), curve))
    if failed := [one.curve for one in shown if isinstance(one.curve, str)]:
        return [f"Imputed calibration curve: {failed[0]}."]

    def draw(figure: "Figure") -> None:
        draw_calibration(figure, shown)

    caption = (
        f"Calibration at {horizon:g} years of the model with {own[0].reference.name}, alone and with calcium "
        f"categories: smooth curve with its 95 % band, averaged over {len(sets)} imputations by Rubin's rules. Dashed: "
        "perfect calibration. Below: distribution of the risks."
    )
    return [Chart("Calibration, imputed", caption, draw, "double", 80, "imputed_calibration")]


def _curve(sets: Sequence[Patients], risks: Sequence[Floats], at: Floats, horizon: float) -> CalibrationCurve | str:
    found = [calibration_curve(one.data, risk, horizon, at) for one, risk in zip(sets, risks, strict=True)]
    if reason := next((one for one in found if isinstance(one, str)), ""):
        return reason
    curves = [one for one in found if isinstance(one, CalibrationCurve)]
    pooled = [
        pool_estimates(
            [
                Estimate(float(one.observed[k]), float(one.low[k]), float(one.high[k]), one.method, one.n)
                for one in curves
            ],
            scale="cloglog",
        )
        for k in range(len(at))
    ]
    if reason := next((one.reason for one in pooled if one.estimate is None), ""):
        return reason
    ends = [np.array([getattr(one, end) for one in pooled], np.float64) for end in ("estimate", "low", "high")]
    average, large = (float(np.mean([getattr(one, key) for one in curves])) for key in ("average_error", "large_error"))
    middle, low, high = ends
    return CalibrationCurve(at, middle, low, high, average, large, pooled[0].method, curves[0].n)


def _decisions(sets: Sequence[Patients], own: Sequence[Family], numbers: dict[str, Any]) -> Chart:
    analysis, events = sets[0].config.analysis, sets[0].data.events
    horizon, thresholds = analysis.horizon_years, np.linspace(*analysis.thresholds, THRESHOLDS)
    reference = own[0].reference
    everybody = treat_everybody(sets[0].data, horizon, thresholds.tolist())
    curves = {
        model.name: [
            _pooled(
                [
                    net_benefit(one.data, family.all[k].risk, horizon, float(cut))
                    for one, family in zip(sets, own, strict=True)
                ],
                "",
                events,
            )
            for cut in thresholds
        ]
        for k, model in enumerate(own[0].all)
    }
    numbers["decision_curve"] = {"thresholds": thresholds, "treat_all": everybody, "net_benefit": curves}

    def draw(figure: "Figure") -> None:
        draw_decisions(figure, curves, everybody, 100 * thresholds, [_colour(k) for k in range(len(curves))])

    caption = (
        f"Decision curves at {horizon:g} years of the model with {reference.name}, alone and with calcium categories: "
        f"net benefit with 95 % bands, averaged over {len(sets)} imputations by Rubin's rules."
    )
    return Chart("Decision curve, imputed", caption, draw, name="imputed_decision_curve")


def _colour(place: int) -> str:
    """Return the colour of a model; the reference model is grey."""
    return GREY if place == 0 else COLOURS[(place - 1) % len(COLOURS)]


def _reclassification(
    patients: Patients, sets: Sequence[Patients], own: Sequence[Family], numbers: dict[str, Any]
) -> Content:
    analysis, reference = patients.config.analysis, own[0].reference.name
    comparisons = ("model", "reader")[: len(own[0].calcium)]
    tests = {
        name: _test([family.all[place] for family in own], patients, place)
        for place, name in enumerate(comparisons, start=1)
    }
    given = [
        dict(zip(("reference", *comparisons), (model.columns[1] for model in family.all), strict=True))
        for family in own
    ]
    study = imputed_reclassification(
        sets[0].data, given, tests, horizon=analysis.horizon_years, cutoffs=analysis.nri_cutoffs or None,
        resamples=analysis.resamples, seed=analysis.seed,
    )  # fmt: skip
    if study.reason:
        return [f"Imputed reclassification: {study.reason}."]
    names = dict(zip(("model", "reader"), (reading.name for reading in patients.readings), strict=False))
    names["model - reader"] = f"{patients.model.name} minus {names.get('reader', '')}"
    numbers["reclassification"] = {"study": study.results, "tests": tests, "reference": reference}
    words = (
        "Reclassification over the imputations: averages; intervals of the NRI and of differences by Rubin's rules, "
        f"with errors from {study.resamples:,} resamples that are shared out among the imputations and in which all "
        "models are fitted again. The caution of section Reclassification holds here too."
    )
    return [
        words, tests_table(tests, names, reference, pooled=True),
        measures_table(reference, study.results, names, pooled=True),
    ]  # fmt: skip
