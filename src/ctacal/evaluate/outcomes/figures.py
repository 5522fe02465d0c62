"""Drawing shared by several figures: step curves with patients at risk below the axis, and forest plots."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ctacal.arrays import Floats
from ctacal.evaluate.publication import COLOURS, GREY
from ctacal.statistics.estimate import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_STEPS = 1500
"""Most steps drawn of one curve: more than the printed width can show."""


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """A step curve with its interval."""

    name: str
    colour: str
    times: Floats
    values: Floats
    low: Floats
    high: Floats
    line: str = "-"


@dataclass(frozen=True, slots=True)
class RiskRow:
    """A row of the table below the axis: a count for each tick."""

    name: str
    colour: str
    counts: tuple[int, ...]


def thinned(times: Floats) -> NDArray[np.int64]:
    """Return indices of at most ``MOST_STEPS`` steps, evenly spaced in time and including the last."""
    if len(times) <= MOST_STEPS:
        return np.arange(len(times))
    wanted = np.linspace(times[0], times[-1], MOST_STEPS)
    return np.unique(np.searchsorted(times, wanted, side="right") - 1)


def year_ticks(years: Floats) -> list[float]:
    """Return 3 to 8 ticks, from 0 to the last multiple of their distance that follow-up reaches, however long it is.

    >>> year_ticks(np.array([4.9])), year_ticks(np.array([27000.0]))
    ([0.0, 1.0, 2.0, 3.0, 4.0], [0.0, 5000.0, 10000.0, 15000.0, 20000.0, 25000.0])
    """
    longest = float(years.max()) if len(years) else 1.0
    size = float(10.0 ** np.floor(np.log10(max(longest, 1e-6))))
    step = next(own * size for own in (0.1, 0.2, 0.25, 0.5, 1, 2) if longest / (own * size) <= 7.5)
    return [round(step * place, 6) for place in range(int(longest / step + 1e-9) + 1)]


def draw_steps(
    figure: "Figure",
    steps: Sequence[Step],
    risks: Sequence[RiskRow],
    ticks: Sequence[float],
    what: str,
    label: str = "",
) -> None:
    """Draw curves over years from 0 and below them, aligned with the ticks, the patients at risk."""
    rows = max(len(risks), 1)
    height = figure.get_figheight() * 25.4
    table = 4.2 * rows + 3
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[height - table, table])
    for step in steps:
        _draw_step(above, step)
    end = max(ticks[-1], 1e-6) * 1.03
    seen = [step.values[step.times <= end] for step in steps]
    highest = max([0.8, *(float(values.max()) for values in seen if len(values))])
    upper = [float(step.high[step.times <= end].max(initial=0)) for step in steps]
    top = max([highest, *(min(value, 1.3 * highest) for value in upper)])
    above.set(
        ylabel=what,
        xlabel="Years since the scan",
        xlim=(0, end),
        ylim=(0, _round_up(top * 1.02)),
    )
    above.set_xticks(list(ticks), [f"{tick:g}" for tick in ticks])
    above.tick_params(labelbottom=True)
    above.legend(loc="upper left", title=label or None, title_fontsize=7, alignment="left")
    _draw_risks(below, risks, ticks, 25.4 * figure.get_figwidth())


def _draw_step(axes: "Axes", step: Step) -> None:
    times = np.concatenate([[0.0], step.times])
    values, low, high = (np.concatenate([[0.0], curve]) for curve in (step.values, step.low, step.high))
    axes.step(times, values, where="post", color=step.colour, linestyle=step.line, label=step.name)
    axes.fill_between(times, low, high, step="post", color=step.colour, alpha=0.15, linewidth=0)


def _round_up(value: float) -> float:
    """Round up to a number suitable as the end of an axis."""
    size = 10.0 ** np.floor(np.log10(value))
    return float(min(next(step for step in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10) if step * size >= value) * size, 100.0))


DIGIT_MM, AXIS_SHARE = 1.65, 0.7
"""Width of a digit of 7 points, with its share of the gap; share of a figure's width that the axis takes at least."""


def _every(risks: Sequence[RiskRow], ticks: Sequence[float], width_mm: float) -> int:
    """Return 1 if the counts of all ticks fit side by side, 2 for every second tick, and so on."""
    longest = max([1, *(len(f"{count:,}") for row in risks for count in row.counts)])
    apart_mm = AXIS_SHARE * width_mm / max(len(ticks) - 1, 1)
    return max(1, int(np.ceil(longest * DIGIT_MM / apart_mm)))


def _draw_risks(axes: "Axes", risks: Sequence[RiskRow], ticks: Sequence[float], width_mm: float) -> None:
    every = _every(risks, ticks, width_mm)
    axes.set(ylim=(len(risks) - 0.5, -1.0))
    axes.set_yticks(range(len(risks)), [row.name for row in risks])
    for label, row in zip(axes.get_yticklabels(), risks, strict=True):
        label.set_color(_dark(row.colour))
    axes.tick_params(axis="both", length=0, labelbottom=False, pad=11)
    axes.spines[:].set_visible(False)
    axes.text(0, -0.95, "Patients at risk", fontsize=7, fontweight="bold", ha="left", va="center")
    for place, row in enumerate(risks):
        for tick, count in list(zip(ticks, row.counts, strict=True))[::every]:
            axes.text(tick, place, f"{count:,}", fontsize=7, ha="center", va="center", clip_on=False)


def _dark(colour: str) -> tuple[float, float, float]:
    """Return the colour, dark enough for text on white."""
    from matplotlib.colors import to_rgb

    red, green, blue = to_rgb(colour)
    return 0.65 * red, 0.65 * green, 0.65 * blue


@dataclass(frozen=True, slots=True)
class ForestRow:
    """A line of a forest plot: a heading (no estimates), or a name with an estimate for each series."""

    name: str
    estimates: tuple[Estimate | None, ...] = ()
    reference: bool = False
    counts: tuple[int, int] | None = None
    """Number of patients and of those with the event."""


def draw_forest(
    figure: "Figure",
    rows: Sequence[ForestRow],
    series: Sequence[str],
    what: str,
    *,
    ratios: bool = True,
    colours: Sequence[str] = COLOURS,
) -> None:
    """Draw the series of a row one above the other; to the right their values.

    Ratios are drawn on a logarithmic axis beside a line at 1, other estimates on a plain axis.
    """
    counted = any(row.counts for row in rows)
    widths = [*([0.46] if counted else []), 1.0, 0.52 * len(series)]
    *before, axes, values = figure.subplots(1, len(widths), sharey=True, width_ratios=widths)
    low, high = _ratio_ends(rows) if ratios else _plain_ends(rows)
    axes.set(ylim=(len(rows) - 0.4, -1.1), xlabel=what)
    if ratios:
        axes.set_xscale("log")
        _log_ticks(axes, low, high)
        axes.axvline(1, color=GREY, linewidth=0.7, linestyle=(0, (3, 2)))
    axes.set_xlim(low, high)
    first = before[0] if before else axes
    first.set_yticks(range(len(rows)), [row.name for row in rows])
    for one in (first, axes):
        one.tick_params(axis="y", length=0, labelleft=one is first)
    for label, row in zip(first.get_yticklabels(), rows, strict=True):
        label.set_fontweight("normal" if row.estimates or row.reference else "bold")
    if before:
        _write_counts(first, rows)
    for place, row in enumerate(rows):
        _draw_row(axes, place, row, colours[: len(series)], (low, high))
    handles = [
        axes.plot([], [], _MARKS[k], color=colours[k], markerfacecolor=_face(k, colours), label=name)[0]
        for k, name in enumerate(series)
    ]
    if len(series) > 1:
        figure.legend(handles=handles, loc="outside upper center", ncols=len(series))
    _write_values(values, rows, series, 2 if ratios else 3)


_MARKS = ("o", "s", "D", "^")


def _face(series: int, colours: Sequence[str]) -> str:
    return "white" if series == 0 else colours[series]


def _ratio_ends(rows: Sequence[ForestRow]) -> tuple[float, float]:
    """Return the ends of the logarithmic axis: all intervals, within 0.05 to 50."""
    ratios = [min(max(end, 0.05), 50.0) for end in _all_ends(rows)]
    return (min([0.8, *ratios]) / 1.15, max([1.25, *ratios]) * 1.15) if ratios else (0.5, 2.0)


def _plain_ends(rows: Sequence[ForestRow]) -> tuple[float, float]:
    ends = _all_ends(rows)
    if not ends:
        return 0.0, 1.0
    margin = 0.06 * max(max(ends) - min(ends), 0.02)
    return min(ends) - margin, max(ends) + margin


def _all_ends(rows: Sequence[ForestRow]) -> list[float]:
    known = [one for row in rows for one in row.estimates if one is not None and one.estimate is not None]
    return [end for one in known for end in (one.low, one.high, one.estimate) if end is not None]


def _draw_row(axes: "Axes", place: int, row: ForestRow, colours: Sequence[str], ends: tuple[float, float]) -> None:
    for k, ratio in enumerate(row.estimates):
        if ratio is None or ratio.estimate is None or ratio.low is None or ratio.high is None:
            continue
        y = place + (k - (len(colours) - 1) / 2) * min(0.3, 0.75 / len(colours))
        axes.plot([max(ratio.low, ends[0]), min(ratio.high, ends[1])], [y, y], color=colours[k], linewidth=1.1)
        axes.plot(ratio.estimate, y, _MARKS[k], color=colours[k], markerfacecolor=_face(k, colours), markersize=4)


def _log_ticks(axes: "Axes", low: float, high: float) -> None:
    from matplotlib.ticker import NullLocator

    steps = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)
    if high / low < 12:
        steps = (0.05, 0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4, 6, 8, 10)  # type: ignore[assignment]
    ticks = [step for step in steps if low <= step <= high]
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])


def _write_counts(axes: "Axes", rows: Sequence[ForestRow]) -> None:
    """Write the number of patients and of events of each row."""
    axes.set_xlim(0, 2)
    axes.spines[:].set_visible(False)
    axes.set_xticks([])
    for place, name in enumerate(("n", "Events")):
        axes.text(place + 0.95, -0.9, name, fontsize=7, fontweight="bold", ha="right", va="center")
    for line, row in enumerate(rows):
        for place, count in enumerate(row.counts or ()):
            axes.text(place + 0.95, line, f"{count:,}", fontsize=7, ha="right", va="center")


def _write_values(axes: "Axes", rows: Sequence[ForestRow], series: Sequence[str], places: int) -> None:
    from ctacal.evaluate.publication import interval

    axes.set_xlim(0, len(series))
    axes.axis("off")
    for k, name in enumerate(series):
        axes.text(k + 0.5, -0.9, name, fontsize=7, fontweight="bold", ha="center", va="center")
    for place, row in enumerate(rows):
        for k in range(len(series)):
            ratio = row.estimates[k] if k < len(row.estimates) else None
            text = "reference" if row.reference and k == 0 else ""
            if ratio is not None and ratio.estimate is not None:
                text = interval(ratio.estimate, ratio.low, ratio.high, places).replace(" to ", "–")
            elif row.estimates and ratio is not None:
                text = "not defined"
            axes.text(k + 0.5, place, text, fontsize=7, ha="center", va="center")
