"""The figures of one comparison. Each draws on a matplotlib figure that it is given."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ctacal.arrays import Floats
from ctacal.categories import CATEGORY_EDGES
from ctacal.evaluate.agree.comparison import Comparison, Pair
from ctacal.evaluate.agree.raters import Rater
from ctacal.evaluate.publication import COLOURS, GREY, Chart

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, RED = COLOURS[0], COLOURS[1]
MANY = 2000
"""Number of points above which they are drawn as one image inside the SVG (own choice)."""

SCORE_TICKS, HIGH_SCORE_TICKS = (0, 1, 10, 100, 400, 1000, 4000), (0, 1, 10, 100, 400, 2000, 10000)
"""Ticks whose labels do not touch; the second set is for scores up to 8,000 and more."""


def pair_charts(found: Pair, reference: Rater, other: Rater, stem: str) -> dict[str, Chart]:
    """Return all charts of one comparison, by what they show."""
    pair = f"{found.other} against {found.reference}"
    matrix = Chart(
        f"Categories, {pair}",
        "Number of studies and percentage of the row; darker means a larger percentage.",
        lambda figure: _matrix(figure, found),
        height_mm=82,
        name=f"{stem}_matrix",
    )
    if not isinstance(found, Comparison):
        return {"matrix": matrix}
    return {
        "matrix": matrix,
        "scatter": Chart(
            f"Scores, {pair}",
            "Axes of log(score + 1). Dashed: identity. "
            + _line_caption(found)
            + f" Dotted: edges of the categories. {_zeros(reference, other)}",
            lambda figure: _scatter(figure, found, reference.scores, other.scores),
            height_mm=85,
            name=f"{stem}_scatter",
        ),
        "bland_altman": Chart(
            f"Bland-Altman, {pair}",
            "Left: difference of scores against their mean (axis linear near 0, logarithmic beyond), with the limits "
            "that grow with the score (lines) and the constant limits (dashed). Right: ratio of (score + 1), with its "
            "limits of agreement (lines).",
            lambda figure: _bland_altman(figure, found, reference.scores, other.scores),
            width="double",
            height_mm=82,
            name=f"{stem}_bland_altman",
        ),
    }


def _zeros(reference: Rater, other: Rater) -> str:
    both = int(((reference.scores == 0) & (other.scores == 0)).sum())
    return f"The {both:,} studies that both score 0 coincide in one point." if both > 1 else ""


def _line_caption(found: Comparison) -> str:
    slope = found.passing_bablok.slope
    if slope.estimate is None:
        return f"No Passing-Bablok line: {slope.reason}."
    band = " with the interval of its slope" if slope.low is not None else ""
    return f"Line: Passing-Bablok{band}, for the studies that both score above 0."


def _matrix(figure: "Figure", found: Pair) -> None:
    counts, names = found.four.table, found.four.categories
    rows = counts.sum(axis=1, keepdims=True)
    share = np.divide(counts, rows, out=np.zeros(counts.shape), where=rows > 0)
    axes = figure.subplots()
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="equal")
    for (i, j), count in np.ndenumerate(counts):
        colour = "white" if share[i, j] > 0.55 else "black"
        text = f"{count:,}\n{100 * share[i, j]:.1f} %" if rows[i, 0] else "0"
        axes.text(j, i, text, ha="center", va="center", color=colour, fontsize=7.5)
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel=_short(found.other), ylabel=_short(found.reference))
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xticks(np.arange(len(names) - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(len(names) - 1) + 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="minor", length=0)


def _scatter(figure: "Figure", found: Comparison, a: Floats, b: Floats) -> None:
    axes = figure.subplots()
    top = max(float(a.max(initial=0)), float(b.max(initial=0)), 1000.0) * 1.3
    for edge in CATEGORY_EDGES[1:]:
        axes.axvline(np.log1p(edge), color=GREY, linewidth=0.6, linestyle=":", zorder=0)
        axes.axhline(np.log1p(edge), color=GREY, linewidth=0.6, linestyle=":", zorder=0)
    axes.plot([0, np.log1p(top)], [0, np.log1p(top)], color=GREY, linewidth=0.9, linestyle="--", zorder=1)
    _points(axes, np.log1p(a), np.log1p(b))
    _draw_line(axes, found, np.expm1(np.linspace(np.log1p(1), np.log1p(top), 200)))
    _log_ticks(axes.xaxis, top)
    _log_ticks(axes.yaxis, top)
    start = -0.03 * np.log1p(top)
    axes.set(xlim=(start, np.log1p(top)), ylim=(start, np.log1p(top)), aspect="equal")
    axes.set(xlabel=f"{_short(found.reference)} (Agatston)", ylabel=f"{_short(found.other)} (Agatston)")


def _draw_line(axes: "Axes", found: Comparison, x: Floats) -> None:
    slope, intercept = found.passing_bablok.slope, found.passing_bablok.intercept
    if slope.estimate is None or intercept.estimate is None:
        return

    x = x[slope.estimate * x + intercept.estimate >= 0]  # a score is never below 0

    def line(slope: float, intercept: float) -> Floats:
        return np.asarray(np.log1p(np.maximum(intercept + slope * x, 0)), np.float64)

    if slope.low is not None and slope.high is not None and intercept.low is not None and intercept.high is not None:
        low, high = line(slope.low, intercept.high), line(slope.high, intercept.low)
        axes.fill_between(np.log1p(x), np.minimum(low, high), np.maximum(low, high), color=RED, alpha=0.25, linewidth=0)
    axes.plot(np.log1p(x), line(slope.estimate, intercept.estimate), color=RED, linewidth=1.2)


def _bland_altman(figure: "Figure", found: Comparison, a: Floats, b: Floats) -> None:
    left, right = figure.subplots(1, 2)
    mean = (a + b) / 2
    top = max(float(mean.max(initial=0)), 10.0) * 1.3
    _points(left, np.log1p(mean), b - a)
    left.axhline(0, color=GREY, linewidth=0.8, zorder=0)
    _limit_lines(left, found)
    _growing(left, found, np.expm1(np.linspace(0, np.log1p(top), 200)))
    left.set(ylabel="Difference (Agatston)", title="Difference of scores")
    left.set_yscale("asinh", linear_width=5)
    left.set_yticks(_decades(float(np.abs(b - a).max(initial=0))))
    left.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}".replace("-", "−"))
    left.minorticks_off()
    _points(right, np.log1p(mean), np.log1p(b) - np.log1p(a))
    right.axhline(0, color=GREY, linewidth=0.8, zorder=0)
    _ratio_lines(right, found)
    ticks = _ratio_ticks(np.abs(np.log1p(b) - np.log1p(a)).max(initial=0))
    right.set_yticks(np.log(ticks), [f"{tick:g}" if tick >= 1 else f"1/{1 / tick:.0f}" for tick in ticks])
    right.set(ylabel="Ratio of (score + 1)", title="Ratio")
    for axes in (left, right):
        _log_ticks(axes.xaxis, top)
        axes.set_xlim(-0.03 * np.log1p(top), np.log1p(top))
        axes.set_xlabel("Mean of both scores (Agatston)")


def _decades(most: float) -> list[int]:
    largest = max(1, int(np.ceil(np.log10(max(most, 1)))))
    steps = [10**power for power in range(1, largest + 1, 1 + largest // 6)]
    return [-step for step in reversed(steps)] + [0] + steps


def _ratio_ticks(most: float) -> NDArray[np.float64]:
    """Return powers of 2 around 1, or of 10 if those would crowd the axis."""
    base = 2.0 if most < np.log(20) else 10.0
    largest = max(1, int(np.ceil(most / np.log(base))))
    powers = np.arange(1, largest + 1, 1 + largest // 5)
    return np.concatenate([base ** -powers[::-1].astype(float), [1.0], base ** powers.astype(float)])


def _limit_lines(axes: "Axes", found: Comparison) -> None:
    for limit in (found.limits.lower, found.limits.upper, found.limits.bias):
        if limit.estimate is not None:
            axes.axhline(limit.estimate, color=RED, linewidth=0.9, linestyle="--")


def _growing(axes: "Axes", found: Comparison, mean: Floats) -> None:
    if not found.regression_limits.reason:
        for curve in found.regression_limits.at(mean):
            axes.plot(np.log1p(mean), curve, color=RED, linewidth=1.2)


def _ratio_lines(axes: "Axes", found: Comparison) -> None:
    limits = found.ratio_limits
    for limit, width in ((limits.lower, 1.2), (limits.bias, 1.2), (limits.upper, 1.2)):
        if limit.estimate is not None:
            axes.axhline(np.log(limit.estimate), color=RED, linewidth=width)


def _points(axes: "Axes", x: Floats, y: Floats) -> None:
    many = len(x) > MANY
    axes.scatter(x, y, s=5, color=BLUE, alpha=0.25 if many else 0.45, linewidths=0, rasterized=many, zorder=2)


def _log_ticks(axis: "object", top: float) -> None:
    all_ticks = SCORE_TICKS if top < 8000 else HIGH_SCORE_TICKS
    ticks = (
        [tick for tick in all_ticks if tick <= top] if top < 50_000 else [0, *(10**power for power in (1, 3, 5, 7, 9))]
    )
    axis.set_ticks(np.log1p(ticks), [f"{tick:,}" for tick in ticks])  # type: ignore[attr-defined]


def _short(name: str) -> str:
    """Return a name that fits an axis."""
    return name if len(name) <= 28 else name[:27] + "…"
