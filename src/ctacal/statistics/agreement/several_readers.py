"""Kappa of several readers at once: Fleiss, Light, and Krippendorff's ordinal alpha.

Categories are whole numbers from 0, in ratings of (n, readers); all intervals are of studies drawn at random, with
these readers. How far a statistic holds for other readers: ``random_readers``.
"""

from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from ctacal.arrays import Floats, Ints
from ctacal.categories import CATEGORIES
from ctacal.statistics.agreement.categories import Weights, kappas, tables_by_patient
from ctacal.statistics.bootstrap import drawn_sums, percentile_interval, resampling
from ctacal.statistics.estimate import LEVEL, Estimate, proportion

UNREAD = -1
"""Category of a study that a reader has not read; only ``krippendorff_alpha`` takes it."""

ONE_CATEGORY = "all readers put every study into one and the same category"


def fleiss_kappa(ratings: ArrayLike, *, classes: int = len(CATEGORIES)) -> Estimate:
    """Return Fleiss' kappa of categories (n, readers), without weights, with its asymptotic interval.

    (p - e) / (1 - e): p the share of agreeing pairs of readings of a study, e the sum of the squared shares of the
    categories (Fleiss JL, Psychol Bull 1971;76:378-382). Interval by Student's t with n - 1 degrees of freedom and the
    large-sample variance of Gwet KL, Br J Math Stat Psychol 2008;61:29-48: that of Fleiss 1971 holds for a kappa of 0
    only.

    Args:
        ratings: (n, readers) categories from 0.
        classes: Number of categories.

    Returns:
        Kappa with its 95 % interval.

    Raises:
        ValueError: There are fewer than two readers, or a category is out of range or ``UNREAD``.

    Example:
        >>> str(fleiss_kappa([[0, 0, 0], [1, 1, 0], [1, 1, 1], [0, 0, 0]], classes=2))
        '0.657 (-0.387 to 1.701)'
    """
    rated = _checked(ratings, classes)
    n, method = len(rated), "Fleiss' kappa, asymptotic interval (Gwet 2008)"
    own = coincidences(rated, classes=classes)
    kappa = float(fleiss_of(own.sum(axis=0)[None])[0])
    if not np.isfinite(kappa):
        return Estimate(None, None, None, method, n, _why_not(n))
    if n < 2:
        return Estimate(kappa, None, None, method, n, f"{n} studies: at least 2 are needed for an interval")
    error = _fleiss_error(own / rated.shape[1], kappa)
    half = float(stats.t.ppf((1 + LEVEL) / 2, n - 1)) * error
    reason = "" if error > 0 else "all readers agree on every study: the asymptotic interval has no width"
    return Estimate(kappa, kappa - half, kappa + half, method, n, reason)


def _fleiss_error(own: Floats, kappa: float) -> float:
    """Return the standard error from the coincidences (n, classes, classes) of each study, each with the sum 1."""
    n, margins = len(own), own.sum(axis=2)
    agreement, shares = np.trace(own, axis1=1, axis2=2), margins.mean(axis=0)
    by_chance = float(shares @ shares)
    linear = (agreement - by_chance) - 2 * (1 - kappa) * (margins @ shares - by_chance)
    return float(np.sqrt(((linear / (1 - by_chance) - kappa) ** 2).sum() / (n * (n - 1))))


def bootstrap_fleiss(
    ratings: ArrayLike, *, classes: int = len(CATEGORIES), patients: ArrayLike | None = None, seed: int = 0
) -> Estimate:
    """Return ``fleiss_kappa`` with a percentile interval, drawn as for ``bootstrap_kappa``; the same errors.

    Args:
        ratings: (n, readers) categories from 0.
        classes: Number of categories.
        patients: (n,) the patient of each study; None if every study is a patient of its own.
        seed: Seed of the bootstrap.

    Returns:
        Kappa with its 95 % interval.

    Example:
        >>> readings = [[0, 0, 0], [0, 1, 1], [1, 1, 1], [1, 1, 1], [2, 2, 2], [3, 2, 2], [3, 3, 3]]
        >>> print(bootstrap_fleiss(readings))
        0.738 (0.309 to 1.000)
    """
    rated = _checked(ratings, classes)
    own, method = coincidences(rated, classes=classes), f"Fleiss' kappa, {_drawing(rated, patients)}"
    return _drawn_interval(
        float(fleiss_of(own.sum(axis=0)[None])[0]), fleiss_of(drawn_sums(own, patients, seed)), method, len(rated)
    )


def fleiss_of(tables: Floats) -> Floats:
    """Return (m,): Fleiss' kappa of each of (m, classes, classes) tables of coincidences; NaN if not defined."""
    return 1 - _ratio(tables, 1 - np.eye(tables.shape[-1]))


def light_kappa(
    ratings: ArrayLike,
    weights: Weights = "unweighted",
    *,
    classes: int = len(CATEGORIES),
    patients: ArrayLike | None = None,
    seed: int = 0,
) -> Estimate:
    """Return Light's kappa of categories (n, readers): the mean of Cohen's kappa of all pairs of readers.

    Light RJ, Psychol Bull 1971;76:365-377. Percentile interval, drawn as for ``bootstrap_kappa``, the same studies for
    all pairs.

    Args:
        ratings: (n, readers) categories from 0.
        weights: ``linear``, ``quadratic`` or ``unweighted``.
        classes: Number of categories.
        patients: (n,) the patient of each study; None if every study is a patient of its own.
        seed: Seed of the bootstrap.

    Returns:
        The mean kappa with its 95 % interval.

    Raises:
        ValueError: As ``fleiss_kappa``.

    Example:
        >>> readings = [[0, 0, 0], [0, 1, 1], [1, 1, 1], [1, 1, 1], [2, 2, 2], [3, 2, 2], [3, 3, 3]]
        >>> print(light_kappa(readings))
        0.748 (0.456 to 1.000)
    """
    rated = _checked(ratings, classes)
    pairs = [
        tables_by_patient(rated[:, a], rated[:, b], classes, patients)
        for a, b in combinations(range(rated.shape[1]), 2)
    ]
    whole = float(np.mean([kappas(tables.sum(axis=0)[None].astype(float), weights) for tables in pairs]))
    drawn = np.mean([kappas(drawn_sums(tables.astype(float), None, seed), weights) for tables in pairs], axis=0)
    method = f"Light's kappa, mean of {len(pairs)} pairs, {weights} weights, {_drawing(rated, patients)}"
    return _drawn_interval(
        whole, drawn, method, len(rated), "two readers put every study into one and the same category"
    )


def krippendorff_alpha(
    ratings: ArrayLike, *, classes: int = len(CATEGORIES), patients: ArrayLike | None = None, seed: int = 0
) -> Estimate:
    """Return Krippendorff's alpha of ordered categories (n, readers); ``UNREAD`` where a reader did not read.

    1 - (N - 1) sum(o d) / sum(n n d) of the N readings in studies read twice or more: o their coincidences, n the
    number in each category, d the squared number of readings between two categories (Krippendorff K, Content Analysis,
    2nd edition 2004, chapter 11; Hayes AF, Krippendorff K, Commun Methods Meas 2007;1:77-89). Percentile interval,
    drawn as for ``bootstrap_kappa``.

    Args:
        ratings: (n, readers) categories from 0, or ``UNREAD``.
        classes: Number of categories.
        patients: (n,) the patient of each study; None if every study is a patient of its own.
        seed: Seed of the bootstrap.

    Returns:
        Alpha with its 95 % interval.

    Raises:
        ValueError: A category is out of range.

    Example:
        >>> print(krippendorff_alpha([[0, 0, 0], [0, 1, UNREAD], [1, 1, 1], [2, UNREAD, 2], [3, 2, 3], [1, 1, 1]]))
        0.888 (0.245 to 1.000)
    """
    rated = _checked(ratings, classes, least=UNREAD)
    read = (rated != UNREAD).sum(axis=1) > 1
    own = coincidences(rated[read], classes=classes)
    drawn = alpha_of(drawn_sums(own, None if patients is None else np.asarray(patients)[read], seed))
    method = f"Krippendorff's alpha, ordinal, {_drawing(own, patients)}"
    return _drawn_interval(float(alpha_of(own.sum(axis=0)[None])[0]), drawn, method, int(read.sum()))


def alpha_of(tables: Floats) -> Floats:
    """Return (m,): ordinal alpha of each of (m, classes, classes) tables of coincidences; NaN if not defined."""
    held = tables.sum(axis=2)
    middle = held.cumsum(axis=1) - held / 2
    apart, n = (middle[:, :, None] - middle[:, None, :]) ** 2, held.sum(axis=1)
    shrink = np.divide(n - 1, n, out=np.zeros(len(n)), where=n > 0)
    return np.asarray(1 - shrink * _ratio(tables, apart), np.float64)


def all_agree(ratings: ArrayLike, *, classes: int = len(CATEGORIES)) -> Estimate:
    """Return the share of studies that all readers (n, readers) put into the same category; Wilson interval.

    Args:
        ratings: (n, readers) categories from 0.
        classes: Number of categories.

    Returns:
        The share with its 95 % interval.

    Example:
        >>> readings = [[0, 0, 0], [0, 1, 1], [1, 1, 1], [1, 1, 1], [2, 2, 2], [3, 2, 2], [3, 3, 3]]
        >>> print(all_agree(readings))
        0.714 (0.359 to 0.918)
    """
    rated = _checked(ratings, classes)
    return proportion(int((rated == rated[:, :1]).all(axis=1).sum()), len(rated))


def coincidences(ratings: Ints, *, classes: int) -> Floats:
    """Return (n, classes, classes): the pairs of readings of each study, each reading with the weight 1 in all.

    Pairs of different readers in both orders, divided by the readers of the study less one (Krippendorff 2004); 0 if
    fewer than two read it.
    """
    held = (ratings[:, :, None] == np.arange(classes)).sum(axis=1).astype(np.float64)
    readers = held.sum(axis=1)
    pairs = held[:, :, None] * held[:, None, :] - held[:, :, None] * np.eye(classes)
    others = np.where(readers > 1, readers - 1, np.inf)
    return np.asarray(pairs / others[:, None, None], np.float64)


def _ratio(tables: Floats, apart: Floats) -> Floats:
    """Return (m,): disagreement observed, divided by that expected by chance; NaN if chance gives none."""
    held = tables.sum(axis=2)
    observed: Floats = (tables * apart).sum(axis=(1, 2)) * held.sum(axis=1)
    by_chance = (held[:, :, None] * held[:, None, :] * apart).sum(axis=(1, 2))
    ratio: Floats = np.divide(observed, by_chance, out=np.full(len(tables), np.nan), where=by_chance > 0)
    return ratio


def _checked(ratings: ArrayLike, classes: int, least: int = 0) -> Ints:
    rated = np.asarray(ratings)
    if rated.ndim != 2 or rated.shape[1] < 2 or (rated < least).any() or (rated >= classes).any():
        raise ValueError(f"expected (n, readers) categories from {least} to {classes - 1}, of two readers or more")
    return rated.astype(np.int64)


def _drawing(rated: Floats | Ints, patients: ArrayLike | None) -> str:
    return resampling(len(rated) if patients is None else len(np.unique(np.asarray(patients))), patients)


def _drawn_interval(value: float, drawn: Floats, method: str, n: int, why_not: str = ONE_CATEGORY) -> Estimate:
    if not np.isfinite(value):
        return Estimate(None, None, None, method, n, why_not if n else "no studies")
    return percentile_interval(value, drawn, method, n, lack="have no value")


def _why_not(n: int) -> str:
    return ONE_CATEGORY if n else "no studies"
