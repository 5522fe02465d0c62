"""Calibration along the risk: a smooth curve of the observed over the predicted risk, with its band."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ctacal.arrays import Floats
from ctacal.statistics.survival.cox_model import CoxModel, NoModel, cox, predicted_curve, predicted_risk
from ctacal.statistics.survival.risks import checked_risk, why_undefined
from ctacal.statistics.survival.splines import spline_basis, spline_knots
from ctacal.statistics.survival.survival_data import SurvivalData

METHOD = "Cox model of a restricted cubic spline of log(-log(1 - risk)), follow-up ended at the horizon"

POINTS = 40
"""Number of points of the curve."""

ENDS = (0.01, 0.99)
"""Quantiles of the risk between which the curve is drawn: beyond them it rests on single patients."""


@dataclass(frozen=True, slots=True, eq=False)
class CalibrationCurve:
    """Observed over predicted risk; arrays are (k,)."""

    predicted: Floats
    observed: Floats
    low: Floats
    """Lower end of the pointwise 95 % band."""
    high: Floats
    average_error: float
    """Mean over the patients of the distance between observed and predicted risk (integrated calibration index)."""
    large_error: float
    """The distance that nine in ten patients do not exceed (E90)."""
    method: str
    n: int


def calibration_curve(
    data: SurvivalData, risk: ArrayLike, horizon: float, predicted: ArrayLike | None = None
) -> CalibrationCurve | str:
    """Return the observed risk along the predicted risk, or why there is no curve.

    ``predicted`` (k,) are the risks at which it is taken, by default ``POINTS`` between the ``ENDS`` of the risk.
    Austin PC, Harrell FE, van Klaveren D, Stat Med 2020;39:2714-2742. The spline has 4 knots, fewer where many patients
    share a risk. The average error is never 0, even for perfect risks, because the curve follows chance as well.

    Args:
        data: Follow-up.
        risk: (n,) risk of the event by the horizon.
        horizon: A time in the unit of the data.
        predicted: (k,) risks at which the curve is taken.

    Returns:
        The curve, or why there is none.

    Raises:
        ValueError: A risk is no probability.

    Example:
        >>> rng = np.random.default_rng(1)
        >>> calcium, noise = rng.normal(size=(2, 120))
        >>> time = rng.exponential(5 / np.exp(calcium))
        >>> data = SurvivalData(np.minimum(time, 5), time < 5)
        >>> curve = calibration_curve(data, 1 - np.exp(-0.4 * np.exp(calcium)), horizon=2)
        >>> isinstance(curve, CalibrationCurve), round(curve.average_error, 3)
        (True, 0.098)
    """
    values = checked_risk(data, risk)
    reason = why_undefined(data, horizon)
    if reason or ((values <= 0) | (values >= 1)).any():
        return reason or "a risk is exactly 0 or 1, which has no log(-log)"
    log_hazard = np.log(-np.log1p(-values))
    knots = _knots(log_hazard)
    model = _fitted(data, log_hazard, knots, horizon)
    if isinstance(model, str):
        return model
    at = points(values) if predicted is None else np.asarray(predicted, np.float64)
    curve = [_at(model, row, horizon) for row in _basis(np.log(-np.log1p(-at)), knots)]
    middle, low, high = np.array(curve).T
    apart = np.abs(predicted_risk(model, _basis(log_hazard, knots), horizon) - values)
    return CalibrationCurve(at, middle, low, high, float(apart.mean()), float(np.quantile(apart, 0.9)), METHOD, data.n)


def points(risk: Floats) -> Floats:
    """Return the risks at which a curve is taken."""
    return np.linspace(float(np.quantile(risk, ENDS[0])), float(np.quantile(risk, ENDS[1])), POINTS)


def _knots(log_hazard: Floats) -> Floats:
    """Return 4 knots, or 3 if two of 4 coincide, or none."""
    for number in (4, 3):
        try:
            return spline_knots(log_hazard, number)
        except ValueError:
            continue
    return np.zeros(0)


def _basis(log_hazard: Floats, knots: Floats) -> Floats:
    return spline_basis(log_hazard, knots) if len(knots) else log_hazard[:, None]


def _fitted(data: SurvivalData, log_hazard: Floats, knots: Floats, horizon: float) -> CoxModel | str:
    ended = SurvivalData(np.minimum(data.time, horizon), data.event & (data.time <= horizon), data.unit)
    model = cox(ended, _basis(log_hazard, knots), [f"spline {k + 1}" for k in range(max(len(knots) - 1, 1))])
    return model.reason if isinstance(model, NoModel) else model


def _at(model: CoxModel, row: Floats, horizon: float) -> tuple[float, float, float]:
    """Return the risk of a patient with this row of the spline, and the ends of its interval."""
    curve = predicted_curve(model, row)
    last = int(np.searchsorted(curve.times, horizon, side="right")) - 1
    return 1 - float(curve.survival[last]), 1 - float(curve.high[last]), 1 - float(curve.low[last])
