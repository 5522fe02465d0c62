"""Figures of risks: calibration with the distribution of the risks, and decision curves with their bands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ctacal.arrays import Floats
from ctacal.evaluate.publication import GREY
from ctacal.statistics.estimate import Estimate
from ctacal.statistics.survival.calibration import CalibrationGroup, calibration_groups
from ctacal.statistics.survival.smooth_calibration import CalibrationCurve, calibration_curve
from ctacal.statistics.survival.survival_data import SurvivalData

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINES = ("--", "-", "-.")
"""Line styles of the reference model, with the model's calcium and with the reader's; they differ in grey too."""

EXPLAINED = (
    "Points: observed risk (1 - Kaplan-Meier, 95 % interval) in groups of predicted risk. Line: smooth curve with its "
    "95 % band, between the 1st and 99th percentile of the risk. Dashed: perfect calibration. Below: distribution of "
    "the risks."
)
"""What a calibration figure shows, for its caption."""


@dataclass(frozen=True, slots=True, eq=False)
class Calibrated:
    """Calibration of one risk: groups and, where it can be fitted, the smooth curve."""

    name: str
    colour: str
    risk: Floats
    groups: tuple[CalibrationGroup, ...]
    curve: CalibrationCurve | str
    """Or the reason why there is none."""


def calibrated(data: SurvivalData, name: str, risk: Floats, horizon: float, colour: str) -> Calibrated:
    """Return the calibration of a risk, in 10 groups, or 5 if there are fewer than 100 events."""
    groups = 10 if data.events >= 100 else 5
    return Calibrated(
        name, colour, risk, calibration_groups(data, risk, horizon, groups), calibration_curve(data, risk, horizon)
    )


def draw_calibration(figure: "Figure", shown: Sequence[Calibrated]) -> None:
    """Draw a panel for each risk, and below it the distribution of the risk."""
    panels = figure.subplots(2, len(shown), sharex=True, sharey="row", squeeze=False, height_ratios=[5, 1])
    top = 100 * max([0.01, *(_top(one) for one in shown)])
    for (axes, below), one in zip(panels.T, shown, strict=True):
        axes.plot([0, top], [0, top], color=GREY, linewidth=0.7, linestyle=(0, (3, 2)), zorder=0)
        if isinstance(one.curve, CalibrationCurve):
            at, line = 100 * one.curve.predicted, 100 * one.curve.observed
            axes.plot(at, line, color=one.colour, linewidth=1.1)
            axes.fill_between(at, 100 * one.curve.low, 100 * one.curve.high, color=one.colour, alpha=0.15, linewidth=0)
        for group in one.groups:
            _draw_group(axes, group, one.colour)
        axes.set_title(one.name, fontsize=8)
        axes.set(xlim=(0, 1.04 * top), ylim=(0, 1.04 * top))
        below.hist(100 * one.risk, bins=np.linspace(0, 1.04 * top, 41), color=GREY)
        below.set(xlabel="Predicted risk (%)")
    panels[0, 0].set_ylabel("Observed risk (%)")
    panels[1, 0].set_ylabel("Patients")


def _top(one: Calibrated) -> float:
    """Return the largest risk that the panel has to show; bands may be cut off."""
    ends = [end for group in one.groups for end in (group.predicted, group.observed.estimate, group.observed.high)]
    line = [] if isinstance(one.curve, str) else [float(one.curve.predicted[-1]), float(one.curve.observed.max())]
    return max([0.0, *line, *(end for end in ends if end is not None)])


def _draw_group(axes: "Axes", group: CalibrationGroup, colour: str) -> None:
    seen = group.observed
    if seen.estimate is None:
        return
    if seen.low is not None and seen.high is not None:
        axes.plot([100 * group.predicted] * 2, [100 * seen.low, 100 * seen.high], color=colour, linewidth=1)
    axes.plot(100 * group.predicted, 100 * seen.estimate, "o", color=colour)


def draw_decisions(
    figure: "Figure",
    curves: Mapping[str, Sequence[Estimate]],
    treat_all: Sequence[Estimate],
    percent: Floats,
    colours: Sequence[str],
) -> None:
    """Draw the net benefit over the threshold in ``percent``, with bands, beside treating all and treating none."""
    axes = figure.subplots()
    axes.plot(percent, _in_percent(treat_all, "estimate"), "k:", linewidth=0.9, label="Treat all")
    axes.axhline(0, color="black", linewidth=0.9, label="Treat none")
    top = 0.5
    for k, (name, curve) in enumerate(curves.items()):
        benefit, low, high = (_in_percent(curve, end) for end in ("estimate", "low", "high"))
        top = max(top, float(benefit[np.isfinite(benefit)].max(initial=0)))
        axes.fill_between(percent, low, high, color=colours[k], alpha=0.12, linewidth=0)
        axes.plot(percent, benefit, color=colours[k], linestyle=LINES[k % 3], label=name)
    axes.set(xlabel="Threshold risk (%)", ylabel="Net benefit (per 100 patients)", ylim=(-0.15 * top, 1.15 * top))
    axes.set_xlim(float(percent[0]), float(percent[-1]))
    axes.legend(loc="upper right")


def _in_percent(estimates: Sequence[Estimate], end: str) -> Floats:
    """Return estimates, or one end of their intervals, in percent; those not defined are NaN, a gap in the line."""
    values = [getattr(estimate, end) for estimate in estimates]
    return np.array([np.nan if value is None else 100 * value for value in values], np.float64)
