"""Risks by a horizon: checks of them, and whether the follow-up defines a measure of them."""

import numpy as np
from numpy.typing import ArrayLike

from ctacal.arrays import Floats, Mask
from ctacal.statistics.survival.survival_data import SurvivalData


def checked_risk(data: SurvivalData, risk: ArrayLike) -> Floats:
    """Return (n,) probabilities; raise ``ValueError`` if a risk is missing or no probability."""
    values = np.ascontiguousarray(risk, np.float64)
    if values.shape != (data.n,):
        raise ValueError(f"expected a risk for each of {data.n} patients, got shape {values.shape}")
    wrong = np.flatnonzero(~((values >= 0) & (values <= 1)))
    if wrong.size:
        raise ValueError(f"a risk must be 0 to 1, number {wrong[0]} (from 0) is {values[wrong[0]]}")
    return values


def free_at(data: SurvivalData, horizon: float) -> Mask:
    """Return (n,) whether each patient is known to be free of the event at the horizon: followed to it or beyond."""
    free: Mask = (data.time > horizon) | ((data.time == horizon) & ~data.event)
    return free


def why_undefined(data: SurvivalData, horizon: float) -> str:
    """Return why these patients define no measure of a risk by the horizon, or an empty text."""
    if not data.n:
        return "no patients"
    if not (data.event & (data.time <= horizon)).any():
        return f"no event by {horizon:g} {data.unit}"
    if data.time.max() < horizon:
        return f"follow-up ends at {data.time.max():g} {data.unit}, before {horizon:g}"
    if not free_at(data, horizon).any():
        return f"nobody was followed to {horizon:g} {data.unit} without the event"
    return ""
