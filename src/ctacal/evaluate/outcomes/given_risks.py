"""Validation of given risks: a predicted risk of the table, or a published formula, as it is and recalibrated."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ctacal.arrays import Floats
from ctacal.evaluate.outcomes.part import Footnotes, Part
from ctacal.evaluate.outcomes.patients import GivenRisk, Patients
from ctacal.evaluate.outcomes.risk_figures import EXPLAINED, Calibrated, calibrated, draw_calibration, draw_decisions
from ctacal.evaluate.publication import COLOURS, Cell, Chart, Section, Table, percent
from ctacal.evaluate.publication.wording import number
from ctacal.statistics.estimate import Estimate
from ctacal.statistics.survival.calibration import (
    Recalibration,
    brier_difference,
    brier_score,
    calibration_intercept,
    calibration_slope,
    observed_expected,
    prediction_accuracy,
    recalibrate,
)
from ctacal.statistics.survival.decision import decision_curve
from ctacal.statistics.survival.discrimination import auc_at, auc_difference, harrell_c, harrell_c_difference
from ctacal.statistics.survival.survival_data import SurvivalData

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MEANING = (
    "These risks are validated as they are: nothing is fitted to these patients, so that there is no optimism. "
    "Recalibration fits level and spread of the risks (two numbers) to these patients; the order of the patients, and "
    "with it C and AUC, stays. It shows what a local adjustment could achieve, and is itself not validated."
)
"""What the section shows."""

COLUMNS = ("", "n", "Events", "Predicted", "Harrell's C", "AUC", "Brier score", "IPA", "O/E", "Intercept", "Slope")


def given_risks_part(patients: Patients) -> Part:
    """Return the validation of all given risks, each in the patients for whom it is known."""
    notes = Footnotes(
        "Predicted: mean risk. C: Harrell's. AUC: cumulative cases, dynamic controls. IPA: index of prediction "
        "accuracy, 1 - Brier score / Brier score without any predictor. O/E: observed (Kaplan-Meier) over expected "
        "events; above 1 the risks are too low. Intercept: 0 is ideal. Slope: 1 is ideal, below 1 the risks are too "
        "extreme."
    )
    rows: list[tuple[Cell, ...]] = []
    numbers: dict[str, Any] = {}
    words, charts = [], []
    for risk in patients.risks:
        there = ~np.isnan(risk.values)
        data, values = patients.data.take(there), risk.values[there]
        again = recalibrate(data, values, risk.horizon_years)
        own = numbers[risk.name] = _numbers(data, risk, values, again)
        rows += _rows(data, risk, values, again, own, notes)
        words.append(_words(risk, int((~there).sum()), again))
        charts += _charts(patients, data, risk, values, again, own)
    table = Table("Validation of given risks (95 % CI)", COLUMNS, tuple(rows), notes.all, name="given_risks")
    compared = _compared(patients, numbers) if len(patients.risks) > 1 else []
    return Part(Section("Given risks", (MEANING, table, *words, *compared, *charts)), numbers)


def _measures(data: SurvivalData, risk: Floats, horizon: float) -> dict[str, Estimate]:
    return {
        "harrell_c": harrell_c(data, risk),
        "auc": auc_at(data, risk, horizon),
        "brier": brier_score(data, risk, horizon),
        "ipa": prediction_accuracy(data, risk, horizon),
        "observed_expected": observed_expected(data, risk, horizon),
        "calibration_intercept": calibration_intercept(data, risk, horizon),
        "calibration_slope": calibration_slope(data, risk, horizon),
    }


def _numbers(data: SurvivalData, risk: GivenRisk, values: Floats, again: Recalibration | str) -> dict[str, Any]:
    own: dict[str, Any] = {
        "n": data.n, "events": data.events, "horizon_years": risk.horizon_years,
        "mean_risk": float(values.mean()) if data.n else None, "measures": _measures(data, values, risk.horizon_years),
    }  # fmt: skip
    if isinstance(again, str):
        return own | {"recalibration": {"reason": again}}
    new = {
        "brier": brier_score(data, again.risk, risk.horizon_years),
        "ipa": prediction_accuracy(data, again.risk, risk.horizon_years),
    }
    return own | {"recalibration": {"intercept": again.intercept, "slope": again.slope, "measures": new}}


def _rows(
    data: SurvivalData,
    risk: GivenRisk,
    values: Floats,
    again: Recalibration | str,
    own: Mapping[str, Any],
    notes: Footnotes,
) -> list[tuple[Cell, ...]]:
    mean = percent(float(values.mean())) if data.n else "–"
    label = f"{risk.name}, {risk.horizon_years:g} years"
    rows: list[tuple[Cell, ...]] = [
        (label, data.n, data.events, mean, *(notes.figure(one, 3) for one in own["measures"].values()))
    ]
    if isinstance(again, str):
        return [*rows, ("  recalibrated", "", "", notes.dash(again), *[""] * 7)]
    new = own["recalibration"]["measures"]
    figures = (notes.figure(new["brier"], 3), notes.figure(new["ipa"], 3))
    return [
        *rows,
        ("  recalibrated", "", "", percent(float(again.risk.mean())), "same", "same", *figures, "1", "0", "1"),
    ]


def _words(risk: GivenRisk, missing: int, again: Recalibration | str) -> str:
    left_out = f" {missing:,} patients without it are left out." if missing else ""
    if isinstance(again, str):
        return f"{risk.name}: no recalibration, because {again}.{left_out}"
    slope = again.slope.estimate or 0.0
    return (
        f"{risk.name}, recalibrated: log(-log(1 - new risk)) = {number(again.intercept, 3)} + {number(slope, 3)} × "
        f"log(-log(1 - risk)).{left_out}"
    )


def _compared(patients: Patients, numbers: dict[str, Any]) -> list[str | Table]:
    """Return each risk less the first with the same horizon, in patients who have both."""
    first, *others = patients.risks
    rows: list[tuple[Cell, ...]] = []
    notes = Footnotes("Paired differences in the patients who have both risks. A lower Brier score is better.")
    for other in others:
        if other.horizon_years != first.horizon_years:
            return ["The given risks have different horizons and are not compared."]
        both = ~np.isnan(first.values) & ~np.isnan(other.values)
        data, old, new = patients.data.take(both), first.values[both], other.values[both]
        found = {
            "harrell_c": harrell_c_difference(data, new, old),
            "auc": auc_difference(data, new, old, first.horizon_years),
            "brier": brier_difference(data, new, old, first.horizon_years),
        }
        numbers[other.name][f"less {first.name}"] = found
        rows.append((f"{other.name} less {first.name}", data.n, *(notes.figure(one, 3) for one in found.values())))
    columns = ("", "n", "Harrell's C", "AUC", "Brier score")
    return [Table("Given risks compared (95 % CI)", columns, tuple(rows), notes.all, name="given_risks_compared")]


def _charts(
    patients: Patients,
    data: SurvivalData,
    risk: GivenRisk,
    values: Floats,
    again: Recalibration | str,
    own: dict[str, Any],
) -> list[Chart]:
    """Return calibration, before and after, and the decision curve."""
    if own["measures"]["observed_expected"].estimate is None:
        return []
    horizon = risk.horizon_years
    sides = {"As given": values} | ({} if isinstance(again, str) else {"Recalibrated": again.risk})
    shown = [
        calibrated(data, name, one, horizon, colour)
        for (name, one), colour in zip(sides.items(), COLOURS, strict=False)
    ]
    own["calibration"] = {one.name: {"groups": one.groups, "curve": one.curve} for one in shown}
    thresholds = np.linspace(*patients.config.analysis.thresholds, 20)
    points = {name: decision_curve(data, one, horizon, thresholds.tolist()) for name, one in sides.items()}
    curves = {name: [point.net_benefit for point in found] for name, found in points.items()}
    everybody = [point.treat_all for point in next(iter(points.values()))]
    own["decision_curve"] = {"thresholds": thresholds, "treat_all": everybody, "net_benefit": curves}

    def calibration(figure: "Figure") -> None:
        draw_calibration(figure, shown)

    def decisions(figure: "Figure") -> None:
        draw_decisions(figure, curves, everybody, 100 * thresholds, COLOURS)

    return [
        Chart(
            f"Calibration of {risk.name}",
            f"Calibration at {horizon:g} years of {risk.name}, as given and recalibrated. {EXPLAINED}{_index(shown)}",
            calibration,
            "double",
            84,
        ),
        Chart(
            f"Decision curve of {risk.name}",
            f"Net benefit at {horizon:g} years of treating patients whose risk by {risk.name} reaches the threshold, "
            "with 95 % bands.",
            decisions,
        ),
    ]


def _index(shown: Sequence[Calibrated]) -> str:
    """Return the mean distance of the curve from perfect calibration in words."""
    known = [(one.name.lower(), one.curve) for one in shown if not isinstance(one.curve, str)]
    told = ", ".join(f"{percent(curve.average_error)} {name}" for name, curve in known)
    return f" Mean distance of the curve from perfect calibration: {told}." if told else ""
