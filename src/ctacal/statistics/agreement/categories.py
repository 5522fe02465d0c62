"""Agreement of two readings in risk categories: tables of counts, kappa, proportions, tests of the margins."""

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from ctacal.arrays import Floats, Ints
from ctacal.categories import CATEGORIES, CATEGORY_EDGES, FIVE_CATEGORY_EDGES, category_indices
from ctacal.statistics.bootstrap import drawn_sums, numbered, percentile_interval, resampling
from ctacal.statistics.estimate import Estimate, Z, proportion
from ctacal.statistics.hypothesis import HypothesisTest, chi_square, undefined

Weights = Literal["linear", "quadratic", "unweighted"]
"""How the distance of two categories counts in kappa."""

WEIGHTS: tuple[Weights, ...] = get_args(Weights)
"""All weights of kappa."""


def risk_categories(agatston: ArrayLike) -> Ints:
    """Return (n,): the index in ``CATEGORIES`` of each Agatston score.

    Args:
        agatston: (n,) scores in Agatston units.

    Returns:
        (n,) indices from 0.

    Raises:
        ValueError: A score is negative or not finite.

    Example:
        >>> risk_categories([0, 0.8, 100, 401]).tolist()
        [0, 1, 1, 3]
    """
    return _indices(agatston, CATEGORY_EDGES)


def five_class_categories(agatston: ArrayLike) -> Ints:
    """Return (n,): the index in ``FIVE_CATEGORIES`` of each Agatston score; errors as ``risk_categories``.

    Args:
        agatston: (n,) scores in Agatston units.

    Returns:
        (n,) indices from 0.

    Raises:
        ValueError: A score is negative or not finite.

    Example:
        >>> five_class_categories([0, 10, 10.5, 401]).tolist()
        [0, 1, 2, 4]
    """
    return _indices(agatston, FIVE_CATEGORY_EDGES)


def _indices(agatston: ArrayLike, edges: tuple[float, ...]) -> Ints:
    scores = np.asarray(agatston, np.float64).ravel()
    wrong = np.flatnonzero(~(np.isfinite(scores) & (scores >= 0)))
    if wrong.size:
        raise ValueError(f"Agatston scores must be 0 or more, number {wrong[0]} is {scores[wrong[0]]}")
    return category_indices(scores, edges)


def cross_table(reference: ArrayLike, model: ArrayLike, classes: int = len(CATEGORIES)) -> Ints:
    """Count studies (classes, classes) by the reference's class (rows) and the model's (columns).

    Classes are whole numbers from 0.

    Args:
        reference: (n,) categories of the reference, from 0.
        model: (n,) categories of the model, from 0.
        classes: Number of categories.

    Returns:
        (classes, classes) counts.

    Raises:
        ValueError: The two differ in length, or a class is out of range.

    Example:
        >>> cross_table([0, 0, 1], [0, 1, 1], classes=2).tolist()
        [[1, 1], [0, 1]]
    """
    a, b = _class_pair(reference, model, classes)
    table: Ints = _tables(a, b, np.zeros(len(a), np.int64), 1, classes)[0]
    return table


def weighted_kappa(table: ArrayLike, weights: Weights = "linear") -> Estimate:
    """Return Cohen's kappa of a square table of counts, with its asymptotic interval.

    kappa = 1 - sum(d p) / sum(d e): proportions p observed and e expected by chance, distance d = |i - j|
    (linear), its square, or i != j (Cohen J, Psychol Bull 1968;70:213-220). Standard error as in R's vcd: Fleiss JL,
    Cohen J, Everitt BS, Psychol Bull 1969;72:323-327, equation 13. The interval is not cut at 1.

    Args:
        table: Square table of counts (``cross_table``).
        weights: ``linear``, ``quadratic`` or ``unweighted``.

    Returns:
        Kappa with its 95 % interval.

    Raises:
        ValueError: The table is not square, or holds a negative count.

    Example:
        >>> weighted_kappa([[2, 1], [0, 3]]).estimate
        0.6666666666666667
    """
    counts = _square(table)
    method, n = f"Cohen's kappa, {weights} weights, asymptotic interval (Fleiss 1969)", int(counts.sum())
    kappa = float(kappas(counts[None].astype(np.float64), weights)[0])
    if np.isnan(kappa):
        return Estimate(None, None, None, method, n, _why_no_kappa(n))
    half = Z * _kappa_error(counts, kappa, weights)
    reason = "all studies agree: the asymptotic interval has no width" if kappa == 1 else ""
    return Estimate(kappa, kappa - half, kappa + half, method, n, reason)


def kappas(tables: Floats, weights: Weights) -> Floats:
    """Return (m,): kappa of each of (m, k, k) tables; NaN if chance alone gives full agreement."""
    apart = distance(tables.shape[1], weights)
    observed = (tables * apart).sum(axis=(1, 2))
    rows, columns = tables.sum(axis=2), tables.sum(axis=1)
    by_chance = np.einsum("mi,ij,mj->m", rows, apart, columns)
    ratio = observed * tables.sum(axis=(1, 2))
    disagreement: Floats = np.divide(ratio, by_chance, out=np.full(len(tables), np.nan), where=by_chance > 0)
    return 1 - disagreement


def distance(classes: int, weights: Weights) -> Floats:
    """Return (classes, classes): the distance of two classes in kappa, up to a factor."""
    rank = np.arange(classes)
    apart = np.abs(rank[:, None] - rank).astype(np.float64)
    distances: dict[Weights, Floats] = {"linear": apart, "quadratic": apart**2, "unweighted": np.sign(apart)}
    return distances[weights]


def _kappa_error(counts: Ints, kappa: float, weights: Weights) -> float:
    """Return the standard error (Fleiss 1969)."""
    n = counts.sum()
    shares, apart = counts / n, distance(len(counts), weights)
    agreement = 1 - apart / apart.max()
    rows, columns = shares.sum(axis=1), shares.sum(axis=0)
    mean = (agreement @ columns)[:, None] + rows @ agreement
    by_chance = float(rows @ agreement @ columns)
    spread = float((shares * (agreement - mean * (1 - kappa)) ** 2).sum())
    variance = max(spread - (kappa - by_chance * (1 - kappa)) ** 2, 0.0)  # rounding may bring 0 just below 0
    return float(np.sqrt(variance / n) / (1 - by_chance))


def _why_no_kappa(n: int) -> str:
    return "both put every study into one and the same category" if n else "no studies"


def bootstrap_kappa(
    reference: ArrayLike,
    model: ArrayLike,
    weights: Weights = "linear",
    *,
    classes: int = len(CATEGORIES),
    patients: ArrayLike | None = None,
    seed: int = 0,
) -> Estimate:
    """Return Cohen's kappa of two readings (n,) in classes from 0, with a percentile interval from 2,000 resamples.

    If ``patients`` (n,) names the patient of each study, whole patients are drawn, since studies of the same patient
    are not independent (Field CA, Welsh AH, J R Stat Soc B 2007;69:369-390); otherwise studies are drawn. Resamples
    without a kappa are left out and counted in ``reason``.

    Args:
        reference: (n,) categories of the reference, from 0.
        model: (n,) categories of the model, from 0.
        weights: ``linear``, ``quadratic`` or ``unweighted``.
        classes: Number of categories.
        patients: (n,) the patient of each study; None if every study is a patient of its own.
        seed: Seed of the bootstrap.

    Returns:
        Kappa with its 95 % interval.

    Raises:
        ValueError: The two differ in length, or a class is out of range.

    Example:
        >>> reader, model = [0, 0, 1, 1, 2, 3, 3, 1], [0, 1, 1, 1, 2, 2, 3, 1]
        >>> weights: Weights = WEIGHTS[0]
        >>> print(bootstrap_kappa(reader, model, weights))
        0.771 (0.444 to 1.000)
    """
    return bootstrap_kappas(reference, model, classes=classes, patients=patients, seed=seed)[weights]


def bootstrap_kappas(
    reference: ArrayLike,
    model: ArrayLike,
    *,
    classes: int = len(CATEGORIES),
    patients: ArrayLike | None = None,
    seed: int = 0,
) -> dict[Weights, Estimate]:
    """Return ``bootstrap_kappa`` for each kind of weights, from the same resamples.

    Args:
        reference: (n,) categories of the reference, from 0.
        model: (n,) categories of the model, from 0.
        classes: Number of categories.
        patients: (n,) the patient of each study; None if every study is a patient of its own.
        seed: Seed of the bootstrap.

    Returns:
        Kappa by the kind of weights.

    Example:
        >>> reader, model = [0, 0, 1, 1, 2, 3, 3, 1], [0, 1, 1, 1, 2, 2, 3, 1]
        >>> print(bootstrap_kappas(reader, model)["quadratic"])
        0.873 (0.600 to 1.000)
    """
    tables = tables_by_patient(reference, model, classes, patients)
    whole, drawn = tables.sum(axis=0), _resampled(tables, seed)
    drawing, n = resampling(len(tables), patients), int(tables.sum())

    def kappa(weights: Weights) -> Estimate:
        method = f"Cohen's kappa, {weights} weights, {drawing}"
        return _kappa_interval(weighted_kappa(whole, weights).estimate, kappas(drawn, weights), method, n)

    return {weights: kappa(weights) for weights in WEIGHTS}


def kappa_difference(
    reference: ArrayLike,
    model: ArrayLike,
    other: ArrayLike,
    weights: Weights = "linear",
    *,
    classes: int = len(CATEGORIES),
    patients: ArrayLike | None = None,
    seed: int = 0,
) -> Estimate:
    """Return kappa of ``model`` minus kappa of ``other``, each against ``reference`` on the same studies.

    The interval is from a paired bootstrap; all else is as in ``bootstrap_kappa``.

    Args:
        reference: (n,) categories of the reference, from 0.
        model: (n,) categories of the model, from 0.
        other: (n,) categories of the other model, from 0.
        weights: ``linear``, ``quadratic`` or ``unweighted``.
        classes: Number of categories.
        patients: (n,) the patient of each study; None if every study is a patient of its own.
        seed: Seed of the bootstrap.

    Returns:
        The difference with its 95 % interval.

    Example:
        >>> reader, model = [0, 0, 1, 1, 2, 3, 3, 1], [0, 1, 1, 1, 2, 2, 3, 1]
        >>> print(kappa_difference(reader, model, [0, 0, 1, 1, 2, 2, 3, 1]))
        -0.120 (-0.458 to 0.000)
    """
    both = [tables_by_patient(reference, reading, classes, patients) for reading in (model, other)]
    first, second = (weighted_kappa(tables.sum(axis=0), weights).estimate for tables in both)
    apart = None if first is None or second is None else first - second
    drawn = [kappas(_resampled(tables, seed), weights) for tables in both]  # the same seed draws the same patients
    method = f"difference of kappas, {weights} weights, paired {resampling(len(both[0]), patients)}"
    return _kappa_interval(apart, drawn[0] - drawn[1], method, int(both[0].sum()))


def tables_by_patient(reference: ArrayLike, model: ArrayLike, classes: int, patients: ArrayLike | None) -> Ints:
    """Return (patients, classes, classes): a table of counts for each patient, or for each study."""
    group, groups = numbered(patients, np.size(reference))
    return _tables(*_class_pair(reference, model, classes), group, groups, classes)


def _tables(reference: Ints, model: Ints, group: Ints, groups: int, classes: int) -> Ints:
    tables = np.zeros((groups, classes, classes), np.int64)
    np.add.at(tables, (group, reference, model), 1)
    return tables


def _resampled(tables: Ints, seed: int) -> Floats:
    """Return (resamples, classes, classes): in each resample, the sum of the tables drawn with replacement."""
    return drawn_sums(tables.astype(np.float64), None, seed)


def _kappa_interval(kappa: float | None, drawn: Floats, method: str, n: int) -> Estimate:
    """Return a kappa, or a difference of kappas, with the interval from resamples."""
    if kappa is None:
        return Estimate(None, None, None, method, n, _why_no_kappa(n))
    return percentile_interval(kappa, drawn, method, n, lack="have no kappa")


def exact_agreement(table: ArrayLike) -> Estimate:
    """Return the proportion of studies in the same class, from a square table of counts; Wilson interval.

    Args:
        table: Square table of counts (``cross_table``).

    Returns:
        The share with its 95 % interval.

    Example:
        >>> print(exact_agreement([[40, 9], [2, 30]]))
        0.864 (0.773 to 0.922)
    """
    counts = _square(table)
    return proportion(int(np.trace(counts)), int(counts.sum()))


def within_one_agreement(table: ArrayLike) -> Estimate:
    """Return the proportion of studies no more than one class apart; Wilson interval.

    Args:
        table: Square table of counts (``cross_table``).

    Returns:
        The share with its 95 % interval.

    Example:
        >>> print(within_one_agreement([[40, 9, 3], [2, 30, 4], [0, 1, 11]]))
        0.970 (0.915 to 0.990)
    """
    counts = _square(table)
    return proportion(int(counts[distance(len(counts), "linear") <= 1].sum()), int(counts.sum()))


def stuart_maxwell(table: ArrayLike) -> HypothesisTest:
    """Test whether both readings put equally many studies into each category, from a square table of counts.

    d' V^+ d with d_i = n_i. - n_.i, V_ii = n_i. + n_.i - 2 n_ii, V_ij = -(n_ij + n_ji), on rank(V) degrees of freedom:
    one less than the number of categories if all are in use (Stuart A, Biometrika 1955;42:412-416; Maxwell AE, Br J
    Psychiatry 1970;116:651-655).

    Args:
        table: Square table of counts (``cross_table``).

    Returns:
        The test, or why there is none.

    Raises:
        ValueError: The table is not square, or holds a negative count.

    Example:
        >>> stuart_maxwell([[10, 4], [1, 5]]).statistic  # with two categories it is McNemar's test
        1.8
    """
    counts = _square(table)
    method, n = "Stuart-Maxwell test of marginal homogeneity", int(counts.sum())
    apart = (counts - np.diag(np.diag(counts))).astype(np.float64)
    if not apart.any():
        return undefined(method, n, "no study is in different categories" if n else "no studies")
    shift = apart.sum(axis=1) - apart.sum(axis=0)
    covariance = np.diag(apart.sum(axis=1) + apart.sum(axis=0)) - apart - apart.T
    statistic = round(float(shift @ np.linalg.pinv(covariance, hermitian=True) @ shift), 12)
    return chi_square(statistic, int(np.linalg.matrix_rank(covariance, hermitian=True)), method, n)


def bowker(table: ArrayLike) -> HypothesisTest:
    """Test whether disagreement is symmetric, (i, j) as frequent as (j, i), from a square table of counts.

    sum (n_ij - n_ji)^2 / (n_ij + n_ji) over the pairs of categories that hold a study; the number of these pairs is the
    degrees of freedom (Bowker AH, J Am Stat Assoc 1948;43:572-574).

    Args:
        table: Square table of counts (``cross_table``).

    Returns:
        The test, or why there is none.

    Raises:
        ValueError: The table is not square, or holds a negative count.

    Example:
        >>> print(bowker([[40, 9], [2, 30]]))
        chi-square 4.45 (1 df), p = 0.035
    """
    counts = _square(table)
    method, n = "Bowker test of symmetry", int(counts.sum())
    above, below = (counts[np.triu_indices(len(counts), 1)], counts.T[np.triu_indices(len(counts), 1)])
    held = above + below > 0
    if not held.any():
        return undefined(method, n, "no study is in different categories" if n else "no studies")
    statistic = float(((above - below)[held] ** 2 / (above + below)[held]).sum())
    return chi_square(statistic, int(held.sum()), method, n)


def _square(table: ArrayLike) -> Ints:
    counts = np.asarray(table)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or counts.shape[0] < 2 or (counts < 0).any():
        raise ValueError(f"expected a square table of counts, got shape {counts.shape}")
    return counts.astype(np.int64)


def _class_pair(reference: ArrayLike, model: ArrayLike, classes: int) -> tuple[Ints, Ints]:
    a, b = (np.asarray(reading).ravel().astype(np.int64) for reading in (reference, model))
    if len(a) != len(b):
        raise ValueError(f"reference and model differ in length: {len(a)} and {len(b)}")
    for classed in (a, b):
        if classed.size and not 0 <= classed.min() <= classed.max() < classes:
            raise ValueError(f"classes must be 0..{classes - 1}, got {classed.min()}..{classed.max()}")
    return a, b
