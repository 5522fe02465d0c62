"""Calibration of the categories' probabilities: reliability diagram, Brier score, calibration error."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ctacal.arrays import Floats, Mask
from ctacal.atomic import whole_file
from ctacal.categories import CATEGORIES, CATEGORY_KEYS
from ctacal.evaluate.accuracy.results import Row
from ctacal.statistics.agreement import risk_categories
from ctacal.statistics.estimate import Estimate, proportion

BINS = 10
"""Number of bins of equal width (usual)."""

FEWEST = 5
"""Smallest number of studies for which a point is drawn (own choice)."""

COLOURS, MARKERS = ("#0072B2", "#009E73", "#E69F00", "#D55E00"), ("o", "s", "^", "D")
"""Colours of Okabe and Ito, for colour-blind readers, and markers, one of each for every category."""


@dataclass(frozen=True, slots=True)
class Bin:
    """Studies with similar predicted probabilities of a category."""

    category: str
    predicted: float
    """Mean probability."""
    observed: Estimate
    """Share of studies in the category."""


@dataclass(frozen=True, slots=True)
class Reliability:
    """Calibration of the probabilities of all four categories."""

    bins: tuple[Bin, ...]
    brier: float
    """Mean over studies of the summed squared error of the four probabilities: 0 best, 2 worst (Brier 1950)."""
    calibration_error: float
    """Mean difference of predicted and observed over all bins and categories, weighted by studies."""
    n: int


def reliability(rows: Sequence[Row]) -> Reliability | None:
    """Return the calibration from the scored rows of a predictor, or None if no row has probabilities.

    The truth is the category of the true label map.
    """
    with_probabilities = [
        row for row in rows if row["status"] == "scored" and all(row[name] is not None for name in CATEGORY_KEYS)
    ]
    if not with_probabilities:
        return None
    probability = np.array([[row[name] for name in CATEGORY_KEYS] for row in with_probabilities], np.float64)
    truth = np.eye(len(CATEGORIES))[risk_categories([row["true_agatston"] for row in with_probabilities])]
    bins = tuple(
        point
        for k, name in enumerate(CATEGORIES)
        for point in _bins_of(name, probability[:, k], truth[:, k].astype(bool))
    )
    apart = sum(point.observed.n * abs(point.predicted - (point.observed.estimate or 0.0)) for point in bins)
    brier = float(((probability - truth) ** 2).sum(axis=1).mean())
    return Reliability(bins, brier, apart / truth.size, len(with_probabilities))


def _bins_of(category: str, probability: Floats, truth: Mask) -> list[Bin]:
    place = np.minimum((probability * BINS).astype(int), BINS - 1)
    return [
        Bin(category, float(probability[place == k].mean()), proportion(int(truth[place == k].sum()), int(n)))
        for k, n in enumerate(np.bincount(place, minlength=BINS))
        if n
    ]


def draw_reliability(found: Reliability, path: Path) -> None:
    """Write the diagram as SVG, with the same bytes for the same figures. Needs matplotlib."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"svg.hashsalt": "ctacal", "font.size": 9}):
        figure = Figure(figsize=(4.6, 4.6), layout="constrained")
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color="0.6", linewidth=1, linestyle="--")
        for category, colour, marker in zip(CATEGORIES, COLOURS, MARKERS, strict=True):
            drawn = [point for point in found.bins if point.category == category and point.observed.n >= FEWEST]
            x, y, error = _points(drawn)
            axes.errorbar(x, y, error, color=colour, marker=marker, markersize=5, linewidth=1, label=category)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
        axes.set(xlabel="predicted probability", ylabel="observed share (95 % interval)")
        axes.legend(title="category", loc="upper left", frameon=False)
        with whole_file(path) as temporary:
            figure.savefig(temporary, format="svg", metadata={"Date": None})


def _points(bins: Sequence[Bin]) -> tuple[list[float], list[float], list[list[float]]]:
    """Return predicted and observed of each bin, and the distances to the ends of the interval."""
    predicted, observed = [point.predicted for point in bins], [point.observed.estimate or 0.0 for point in bins]
    low = [share - (point.observed.low or 0.0) for share, point in zip(observed, bins, strict=True)]
    high = [(point.observed.high or 0.0) - share for share, point in zip(observed, bins, strict=True)]
    return predicted, observed, [low, high]
