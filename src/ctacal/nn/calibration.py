"""Uncertainty of a score: calibrated probabilities of the categories from the network's doubt about each lesion.

Each lesion counts or not, independently, with the probability that the network gives it; noise raises or lowers its
score. Together the lesions give a distribution of the score. A ``Calibration``, fitted once on validation studies and
kept in the model card, corrects that distribution. Nothing here is random. No torch.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctacal.arrays import Floats, Mask
from ctacal.categories import CATEGORY_EDGES, category_indices
from ctacal.fields import from_fields
from ctacal.labels import Calcium, LabelMap
from ctacal.lesion import Lesions, find_lesions
from ctacal.scores import ScoringRule, component_agatston
from ctacal.volume import Volume

MIN_PROBABILITY = 0.01
"""A lesion with a lower probability of being coronary is certainly not coronary (own choice)."""

GRAIN_MM2 = 4.0
"""Area over which noise is about constant: larger lesions average it (own choice, grains of 2 mm)."""

MAX_GROWTH = 2.0
"""Largest factor by which noise can increase the area of a lesion (own choice)."""

SCORE_STEP = 0.25
"""Step of the grid on which scores are summed, up to the last edge of the categories."""

INTERVAL_COVERAGE = 0.9
"""Nominal coverage of an interval; the coverage reached on the validation studies is ``Calibration.coverage``."""

LEAST_SPREAD = 0.1
"""Added to the spread of log(1 + score), so that an interval has a width even if no lesion is in doubt (own choice)."""

LEAST_PROBABILITY = 1e-3
"""Added to the probability of each category: the network can be wrong even if it has no doubt (own choice)."""

MIN_STUDIES = 40
"""Smallest number of validation studies for a fit: 40 give about ten per category (own choice)."""

_NODES, _TAIL = np.sqrt(3.0) * np.array([-1.0, 0.0, 1.0]), 1 / 6
"""Gauss-Hermite quadrature: three values of a normal distribution, and the weight of each of the outer two."""


@dataclass(frozen=True, eq=False, slots=True)
class LesionDoubts:
    """All lesions that may count."""

    probability: Floats
    """(lesions,): probability of being coronary, by the network."""
    agatston: Floats
    """(lesions, 3): score if the lesion is coronary: lowered by noise, as measured, raised by noise."""
    score: float
    """Sum over the lesions that the network counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Corrections that fit the distribution of the score to the validation studies."""

    slope: float = 1.0
    offset: float = 0.0
    """Slope and offset of a lesion's log odds."""
    noise_share: float = 0.0
    """Share of the noise's effect, 0 to 1: 0 if the truth was measured on the same noisy scan."""
    temperature: float = 1.0
    bias: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    """Log probabilities of the categories are divided by the temperature, then the bias is added (Guo C et al., ICML
    2017)."""
    interval_width: float = 1.0
    """Half width of an interval, in units of the spread of log(1 + score)."""
    coverage: float = 0.9
    """Share of validation studies whose interval holds the true score."""
    studies: int = 0
    against: str = ""
    """Name of the true score that it was fitted against."""

    def to_json(self) -> dict[str, Any]:
        """Return the entry ``calibration`` of the model card."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any], where: str = "") -> "Calibration":
        """Read the card's entry. Raises ``UsageError`` naming the field that is unknown or impossible."""
        return from_fields(cls, fields, where)


@dataclass(frozen=True, eq=False, slots=True)
class KnownScore:
    """A validation study: the doubts about its lesions, and its true score."""

    doubts: LesionDoubts
    true_agatston: float


def lesion_doubts(
    volume: Volume, counted: Mask, probability: NDArray[np.float32], rule: ScoringRule, noise_sd_hu: float
) -> LesionDoubts:
    """Return the lesions of a scan, or of a part of it: those that count, and others that may be coronary.

    ``counted`` and ``probability`` (of being coronary) are (slices, rows, columns). Below the threshold of HU
    ``counted`` is False and ``probability`` 0; counted voxels have at least ``MIN_PROBABILITY``.
    """
    left_out = ~counted & (probability >= MIN_PROBABILITY)
    halves = [_of_mask(volume, mask, probability, rule, noise_sd_hu) for mask in (counted, left_out)]
    chance, agatston = (np.concatenate(columns) for columns in zip(*halves, strict=True))
    scoring = agatston.max(axis=1) > 0
    return LesionDoubts(chance[scoring], agatston[scoring], float(halves[0][1][:, 1].sum()))


def _of_mask(
    volume: Volume, mask: Mask, probability: NDArray[np.float32], rule: ScoringRule, noise_sd_hu: float
) -> tuple[Floats, Floats]:
    """Return the mean probability of each three-dimensional lesion, and its score at each of ``_NODES``."""
    labels = LabelMap(mask.astype(np.uint8) * np.uint8(Calcium.CORONARY), volume.geometry)
    lesions = find_lesions(volume, labels, threshold_hu=rule.threshold_hu, connectivity=rule.connectivity)
    chances = Volume(probability, volume.geometry)  # the same components, measured in probability
    of_voxels = find_lesions(chances, labels, threshold_hu=MIN_PROBABILITY / 2, connectivity=rule.connectivity)
    sd_hu = noise_sd_hu / np.sqrt(np.maximum(1.0, lesions.area_mm2 / GRAIN_MM2))
    at_nodes = [component_agatston(_moved(lesions, node * sd_hu, rule.threshold_hu), rule) for node in _NODES]
    n = int(lesions.lesion.max(initial=-1)) + 1
    sums = [np.bincount(lesions.lesion, weights, minlength=n) for weights in (lesions.pixels, *at_nodes)]
    chance = np.bincount(lesions.lesion, of_voxels.mean_hu * lesions.pixels, minlength=n) / np.maximum(sums[0], 1)
    return chance, np.stack(sums[1:], axis=1).reshape(n, 3).astype(np.float64)


def _moved(lesions: Lesions, by_hu: Floats, threshold_hu: float) -> Lesions:
    """Return the components after noise adds ``by_hu`` to each: another peak, more or fewer pixels above the threshold.

    The excess of HU above the threshold is assumed to be exponential, with the component's own mean.
    """
    excess_hu = np.maximum(lesions.mean_hu - threshold_hu, 1.0)
    growth = np.exp(np.minimum(by_hu / excess_hu, np.log(MAX_GROWTH)))
    pixels = np.rint(lesions.pixels * growth).astype(np.int64)
    return replace(lesions, peak_hu=lesions.peak_hu + by_hu, pixels=pixels)


def category_probabilities(doubts: LesionDoubts, calibration: Calibration) -> Floats:
    """Return (4,): the probability of 0, 1-100, 101-400 and >400; each lesion's score is rounded to ``SCORE_STEP``."""
    return np.asarray(_tempered(_summed(doubts, calibration)[None], calibration)[0])


def _tempered(summed: Floats, calibration: Calibration) -> Floats:
    """Apply temperature and bias to (studies, 4) probabilities."""
    level = np.log(summed + LEAST_PROBABILITY) / calibration.temperature + calibration.bias
    odds = np.exp(level - level.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


def _summed(doubts: LesionDoubts, calibration: Calibration) -> Floats:
    """Return (4,): the distribution of the sum of lesions, each of which counts or not."""
    low, high = (round(edge / SCORE_STEP) for edge in CATEGORY_EDGES[1:])
    share = np.zeros(high + 2)  # the last holds all higher scores
    share[0] = 1.0
    chance = _chance(doubts, calibration)
    steps = np.where(doubts.agatston > 0, np.maximum(1, np.rint(doubts.agatston / SCORE_STEP)), 0)
    steps = np.minimum(steps, len(share) - 1).astype(np.int64)
    for p, by in zip(chance, steps, strict=True):
        added = np.zeros_like(share)
        for weight, step in zip(_weights(calibration), by, strict=True):
            added[step:] += weight * share[: len(share) - step]
            added[-1] += weight * share[len(share) - step :].sum()
        share = (1 - p) * share + p * added
    return np.array([share[0], share[1 : low + 1].sum(), share[low + 1 : -1].sum(), share[-1]])


def _chance(doubts: LesionDoubts, calibration: Calibration) -> Floats:
    """Return (lesions,): the calibrated probability that each is coronary."""
    p = np.clip(doubts.probability, 1e-4, 1 - 1e-4)
    return np.asarray(1 / (1 + np.exp(-calibration.slope * np.log(p / (1 - p)) - calibration.offset)))


def _weights(calibration: Calibration) -> Floats:
    """Return (3,): weights of ``_NODES``; less noise moves weight to the middle."""
    tail = _TAIL * calibration.noise_share**2
    return np.array([tail, 1 - 2 * tail, tail])


def interval(doubts: LesionDoubts, calibration: Calibration) -> tuple[float, float]:
    """Return the interval of the Agatston score; it holds the true score in ``coverage`` of the validation studies.

    It stops at categories that are very unlikely: one doubtful lesion does not give an interval of 0 to 20,000 if the
    score is almost certainly 0.
    """
    reach = calibration.interval_width * _spread(doubts, calibration)
    middle = np.log1p(doubts.score)
    lowest, highest = _likely_scores(category_probabilities(doubts, calibration), INTERVAL_COVERAGE)
    low, high = max(lowest, float(np.expm1(middle - reach))), min(highest, float(np.expm1(middle + reach)))
    return min(low, doubts.score), max(high, doubts.score)


def _likely_scores(probabilities: Floats, coverage: float) -> tuple[float, float]:
    """Return the ends of the categories that hold the middle ``coverage`` of the probability.

    >>> _likely_scores(np.array([0.95, 0.04, 0.01, 0.0]), 0.9), _likely_scores(np.array([0.2, 0.5, 0.2, 0.1]), 0.9)
    ((0.0, 0.0), (0.0, inf))
    """
    below = np.cumsum(probabilities)
    first = int(np.searchsorted(below, (1 - coverage) / 2, side="right"))
    last = int(np.searchsorted(below, (1 + coverage) / 2 - 1e-9))
    return (0.0, *CATEGORY_EDGES)[first], (*CATEGORY_EDGES, np.inf)[min(last, len(CATEGORY_EDGES))]


def _spread(doubts: LesionDoubts, calibration: Calibration) -> float:
    """Return the SD of log(1 + score), to first order, plus ``LEAST_SPREAD``."""
    chance, weights = _chance(doubts, calibration), _weights(calibration)
    mean = chance * (doubts.agatston @ weights)
    variance = chance * (doubts.agatston**2 @ weights) - mean**2
    return float(np.sqrt(variance.sum()) / (1 + max(doubts.score, mean.sum()))) + LEAST_SPREAD


def fit_calibration(rows: Sequence[KnownScore], *, against: str) -> Calibration:
    """Fit on validation studies that the networks were not trained on.

    First the lesions' odds and the noise's share, then temperature and bias, by the mean log probability of the true
    category, each slightly regularised towards no change; last the interval's width, by split conformal prediction
    (Papadopoulos H et al., ECML 2002; Lei J et al., J Am Stat Assoc 2018;113:1094-1111). Raises ``ValueError`` if
    there are fewer than ``MIN_STUDIES``.
    """
    if len(rows) < MIN_STUDIES:
        raise ValueError(f"expected at least {MIN_STUDIES} validation studies, got {len(rows)}")
    true = category_indices([row.true_agatston for row in rows])
    start = Calibration(studies=len(rows), against=against)

    def of_lesions(values: Floats) -> Floats:
        return np.stack([_summed(row.doubts, _with_lesions(start, values)) for row in rows])

    lesions = _with_lesions(start, _likeliest(of_lesions, np.array([0.0, 0.0, -1.0]), true))
    summed = np.stack([_summed(row.doubts, lesions) for row in rows])

    def of_categories(values: Floats) -> Floats:
        return _tempered(summed, _with_categories(lesions, values))

    both = _with_categories(lesions, _likeliest(of_categories, np.zeros(5), true))
    fitted = replace(both, interval_width=_conformal_width(rows, both))
    return replace(fitted, coverage=round(_covered(rows, fitted), 3))


def _covered(rows: Sequence[KnownScore], calibration: Calibration) -> float:
    """Return the share of intervals that hold the true score."""
    ends = [interval(row.doubts, calibration) for row in rows]
    return float(np.mean([low <= row.true_agatston <= high for (low, high), row in zip(ends, rows, strict=True)]))


def _with_lesions(start: Calibration, values: Floats) -> Calibration:
    """Set the lesions' corrections from (log slope, offset, logit of the noise share)."""
    slope, share = np.exp(np.clip(values[0], -3, 3)), 1 / (1 + np.exp(-np.clip(values[2], -20, 20)))
    return replace(
        start, slope=round(float(slope), 4), offset=round(float(values[1]), 4), noise_share=round(float(share), 4)
    )


def _with_categories(start: Calibration, values: Floats) -> Calibration:
    """Set the categories' corrections from (log temperature, four biases, which are centred on 0)."""
    bias = (values[1:] - values[1:].mean()).round(4).tolist()
    temperature = round(float(np.exp(np.clip(values[0], -3, 3))), 4)
    return replace(start, temperature=temperature, bias=(bias[0], bias[1], bias[2], bias[3]))


def _likeliest(probabilities_at: Callable[[Floats], Floats], first: Floats, true: NDArray[np.int64]) -> Floats:
    """Return the values whose probabilities (studies, 4) fit the true categories best, drawn to ``first`` with the
    weight of one study."""
    from scipy.optimize import minimize

    def loss(values: Floats) -> float:
        of_true = probabilities_at(values)[np.arange(len(true)), true]
        return float(-np.log(of_true + LEAST_PROBABILITY).mean() + ((values - first) ** 2).sum() / len(true))

    found = minimize(loss, first, method="Nelder-Mead", options={"maxfev": 600, "xatol": 1e-3, "fatol": 1e-6})
    return np.asarray(found.x, np.float64)


def _conformal_width(rows: Sequence[KnownScore], calibration: Calibration) -> float:
    """Return the smallest width whose uncut intervals hold a share of (n + 1) x coverage / n of the true scores."""
    errors = [abs(np.log1p(row.true_agatston) - np.log1p(row.doubts.score)) for row in rows]
    scaled = np.sort([error / _spread(row.doubts, calibration) for error, row in zip(errors, rows, strict=True)])
    rank = int(np.ceil((len(rows) + 1) * INTERVAL_COVERAGE))
    return float(scaled[min(rank, len(rows)) - 1])
