"""Whether the probability of a category is what it says: reliability diagram, Brier score, calibration error."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ctacal.atomic import whole_file
from ctacal.categories import CATEGORIES
from ctacal.evaluate.accuracy.results import PROBABILITIES, Row
from ctacal.statistics.agreement import risk_categories
from ctacal.statistics.estimate import Estimate, proportion

BINS = 10
"""Of equal width (usual)."""

FEWEST = 5
"""Studies of a point that is drawn (own choice)."""

COLOURS, MARKERS = ("#0072B2", "#009E73", "#E69F00", "#D55E00"), ("o", "s", "^", "D")
"""Okabe and Ito's, for colour-blind readers; the marker tells as well."""


@dataclass(frozen=True, slots=True)
class Bin:
    """Studies given about the same probability of one category."""

    category: str
    predicted: float
    """Mean probability."""
    observed: Estimate
    """Share that is of the category."""


@dataclass(frozen=True, slots=True)
class Reliability:
    """Of the probabilities of all four categories."""

    bins: tuple[Bin, ...]
    brier: float
    """Mean over studies of the summed squared error of the four probabilities: 0 best, 2 worst (Brier 1950)."""
    calibration_error: float
    """Mean distance of predicted and observed, weighted by studies, over all bins and categories."""
    n: int


def reliability(rows: Sequence[Row]) -> Reliability | None:
    """From the scored lines of one predictor that hold probabilities; None where none does.

    The truth is the category of the true label map.
    """
    told = [row for row in rows if row["status"] == "scored" and all(row[name] is not None for name in PROBABILITIES)]
    if not told:
        return None
    probability = np.array([[row[name] for name in PROBABILITIES] for row in told], np.float64)
    truth = np.eye(len(CATEGORIES))[risk_categories([row["true_agatston"] for row in told])]
    bins = tuple(
        one for k, name in enumerate(CATEGORIES) for one in _bins_of(name, probability[:, k], truth[:, k].astype(bool))
    )
    apart = sum(one.observed.n * abs(one.predicted - (one.observed.estimate or 0.0)) for one in bins)
    brier = float(((probability - truth) ** 2).sum(axis=1).mean())
    return Reliability(bins, brier, apart / truth.size, len(told))


def _bins_of(category: str, probability: NDArray[np.float64], truth: NDArray[np.bool_]) -> list[Bin]:
    place = np.minimum((probability * BINS).astype(int), BINS - 1)
    return [
        Bin(category, float(probability[place == k].mean()), proportion(int(truth[place == k].sum()), int(n)))
        for k, n in enumerate(np.bincount(place, minlength=BINS))
        if n
    ]


def draw_reliability(found: Reliability, path: Path) -> None:
    """Write the diagram as SVG, the same bytes for the same figures. Needs matplotlib."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"svg.hashsalt": "ctacal", "font.size": 9}):
        figure = Figure(figsize=(4.6, 4.6), layout="constrained")
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color="0.6", linewidth=1, linestyle="--")
        for category, colour, marker in zip(CATEGORIES, COLOURS, MARKERS, strict=True):
            kept = [one for one in found.bins if one.category == category and one.observed.n >= FEWEST]
            x, y = [one.predicted for one in kept], [one.observed.estimate or 0.0 for one in kept]
            low = [share - (one.observed.low or 0.0) for share, one in zip(y, kept, strict=True)]
            high = [(one.observed.high or 0.0) - share for share, one in zip(y, kept, strict=True)]
            axes.errorbar(x, y, [low, high], color=colour, marker=marker, markersize=5, linewidth=1, label=category)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
        axes.set(xlabel="predicted probability", ylabel="observed share (95 % interval)")
        axes.legend(title="category", loc="upper left", frameon=False)
        with whole_file(path) as temporary:
            figure.savefig(temporary, format="svg", metadata={"Date": None})
