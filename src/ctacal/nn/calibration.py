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
from ctacal.islands import Islands
from ctacal.lesion import Lesions
from ctacal.nn.islands import Weighed
from ctacal.scores import ScoringRule, component_agatston

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

PLAUSIBLE_SHARE = 0.99
"""Share of the distribution of the score, in its middle, that an interval never leaves (own choice)."""

LEAST_SHARE = 0.4
"""Share of the distribution of the score, in its middle, that an interval always holds (own choice)."""

CELLS = 2048
"""Number of cells, from 0 to the highest possible score, in which the distribution is computed (own choice)."""

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
    highest: float = np.inf
    """Score if every candidate voxel were coronary calcium."""


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


def lesion_doubts(weighed: Weighed, counted: Mask, rule: ScoringRule, noise_sd_hu: float) -> LesionDoubts:
    """Return the islands of a scan that score: those that are ``counted``, and others that may be coronary."""
    lesions, chance = weighed.lesions, weighed.chance
    sd_hu = noise_sd_hu / np.sqrt(np.maximum(1.0, lesions.area_mm2 / GRAIN_MM2))
    moved = (_moved(lesions, node * sd_hu, rule.threshold_hu) for node in _NODES)
    agatston = np.stack([lesions.summed(component_agatston(of_node, rule)) for of_node in moved], axis=1)
    kept = (counted | (chance >= MIN_PROBABILITY)) & (agatston.max(axis=1) > 0)
    score, highest = (_score(islands, rule) for islands in (weighed.islands.of(counted), weighed.islands))
    return LesionDoubts(chance[kept], agatston[kept], score, highest)


def _score(islands: Islands, rule: ScoringRule) -> float:
    """Return the score of all islands; those that touch count as one lesion, as in the score of the label map."""
    return float(component_agatston(islands.uncut(rule.connectivity).lesions(rule.connectivity), rule).sum())


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

    Its width comes from the errors of the validation studies, which are multiplicative. For a score of 0 beside a large
    doubtful lesion that has no bound, so the interval ends where the distribution of the score does: at categories that
    are very unlikely, at the ends of ``PLAUSIBLE_SHARE`` of it (but for the error that is there without any doubt), and
    at the score of all bright voxels. It is not narrower than ``LEAST_SHARE`` of the distribution.
    """
    distribution = score_distribution(doubts, calibration)
    lowest, highest = _likely_scores(category_probabilities(doubts, calibration), INTERVAL_COVERAGE)
    bottom, top = distribution.middle(PLAUSIBLE_SHARE)
    least_low, least_high = _around(doubts.score, calibration.interval_width * LEAST_SPREAD)
    low, high = _around(doubts.score, calibration.interval_width * _spread(doubts, calibration))
    low, high = max(low, lowest, min(bottom, least_low)), min(high, highest, max(top, least_high), doubts.highest)
    held_low, held_high = distribution.middle(LEAST_SHARE)
    return min(low, held_low, doubts.score), max(high, min(held_high, doubts.highest), doubts.score)


def _around(score: float, reach: float) -> tuple[float, float]:
    """Return the scores at a distance of ``reach`` in log(1 + score)."""
    middle = np.log1p(score)
    return float(np.expm1(middle - reach)), float(np.expm1(middle + reach))


@dataclass(frozen=True, eq=False, slots=True)
class ScoreDistribution:
    """The calibrated distribution of the score."""

    score: Floats
    """(cells,): rising, from 0 to the score of all lesions that may be coronary, raised by noise."""
    share: Floats
    """(cells,): probability of each, 1 in all."""

    def middle(self, share: float) -> tuple[float, float]:
        """Return the ends of the middle ``share`` of the probability.

        >>> ScoreDistribution(np.array([0.0, 50.0, 900.0]), np.array([0.9, 0.06, 0.04])).middle(0.9)
        (0.0, 50.0)
        """
        below = np.cumsum(self.share)
        ends = np.searchsorted(below, [(1 - share) / 2 + 1e-9, (1 + share) / 2 - 1e-9])
        low, high = self.score[np.minimum(ends, len(below) - 1)]
        return float(low), float(high)


def score_distribution(doubts: LesionDoubts, calibration: Calibration) -> ScoreDistribution:
    """Return the distribution of the sum of the lesions, weighted so that the categories have their probabilities.

    A category that no sum of lesions reaches has none.
    """
    score, share = _sums(doubts, calibration)
    category = category_indices(score)
    of_category = np.bincount(category, share, minlength=len(CATEGORY_EDGES) + 1)
    reached = of_category > LEAST_PROBABILITY**2
    wanted = np.where(reached, category_probabilities(doubts, calibration), 0.0)
    share = share * (wanted / np.where(reached, of_category, 1.0))[category]
    return ScoreDistribution(score, share / share.sum())


def _sums(doubts: LesionDoubts, calibration: Calibration) -> tuple[Floats, Floats]:
    """Return (cells,): scores and the probability that the lesions sum up to them.

    A lesion's score is shared between the two cells beside it, so that rounding does not change the mean.
    """
    weights = _weights(calibration)
    most = float(np.where(weights > 0, doubts.agatston, 0.0).max(axis=1, initial=0.0).sum())
    score = np.linspace(0.0, most, CELLS)
    share = np.zeros(CELLS)
    share[0] = 1.0
    for p, cells in zip(_chance(doubts, calibration), doubts.agatston * ((CELLS - 1) / (most or 1.0)), strict=True):
        added = np.zeros(CELLS)
        for weight, cell in zip(weights, np.minimum(cells, CELLS - 1), strict=True):
            below = int(cell)
            for step, part in ((below, 1 - cell + below), (min(below + 1, CELLS - 1), cell - below)):
                added[step:] += weight * part * share[: CELLS - step]
        share = (1 - p) * share + p * added
    return score, share


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
