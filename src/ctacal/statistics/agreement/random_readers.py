"""A model against readers who stand for all readers: what an interval must be to hold for other readers as well.

A statistic is taken of the model against each reader. Its mean varies with the studies and with the readers; the
interval takes both into account, by Obuchowski and Rockette's analysis of one modality.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from ctacal.arrays import Floats
from ctacal.categories import CATEGORIES
from ctacal.statistics.agreement.categories import kappas, tables_by_patient
from ctacal.statistics.bootstrap import drawn_sums, percentile_interval, resampling
from ctacal.statistics.estimate import LEVEL, Estimate

OfTables = Callable[[Floats], Floats]
"""A statistic of tables of counts (m, classes, classes), reference in the rows: (m,), NaN where it is not defined."""


def linear_kappa_of(tables: Floats) -> Floats:
    """Return (m,): linear weighted kappa of each table.

    Args:
        tables: (m, classes, classes) tables of counts, the reference in rows.

    Returns:
        (m,) kappas; NaN where there is none.

    Example:
        >>> tables = np.array([[[6.0, 1.0], [2.0, 11.0]]])
        >>> linear_kappa_of(tables).round(3)
        array([0.681])
    """
    return kappas(tables, "linear")


def exact_agreement_of(tables: Floats) -> Floats:
    """Return (m,): share in the same category.

    Args:
        tables: (m, classes, classes) tables of counts, the reference in rows.

    Returns:
        (m,) shares.

    Example:
        >>> tables = np.array([[[6.0, 1.0], [2.0, 11.0]]])
        >>> exact_agreement_of(tables)
        array([0.85])
    """
    return _share(np.trace(tables, axis1=1, axis2=2), tables.sum(axis=(1, 2)))


def sensitivity_of(tables: Floats) -> Floats:
    """Return (m,): of the studies that the reference puts above the lowest category, the share that the model does.

    Args:
        tables: (m, classes, classes) tables of counts, the reference in rows.

    Returns:
        (m,) shares; NaN where there is none.

    Example:
        >>> tables = np.array([[[6.0, 1.0], [2.0, 11.0]]])
        >>> sensitivity_of(tables).round(3)
        array([0.846])
    """
    return _share(tables[:, 1:, 1:].sum(axis=(1, 2)), tables[:, 1:].sum(axis=(1, 2)))


def specificity_of(tables: Floats) -> Floats:
    """Return (m,): of the studies that the reference puts into the lowest category, the share that the model does.

    Args:
        tables: (m, classes, classes) tables of counts, the reference in rows.

    Returns:
        (m,) shares; NaN where there is none.

    Example:
        >>> tables = np.array([[[6.0, 1.0], [2.0, 11.0]]])
        >>> specificity_of(tables).round(3)
        array([0.857])
    """
    return _share(tables[:, 0, 0], tables[:, 0].sum(axis=1))


def over_readers(
    statistic: OfTables,
    readers: ArrayLike,
    model: ArrayLike,
    *,
    classes: int = len(CATEGORIES),
    patients: ArrayLike | None = None,
) -> Estimate:
    """Return the mean of a statistic of ``model`` (n,) against each of the ``readers`` (n, readers), in categories.

    Variance: (MS + J max(C, 0)) / J, with MS the variance of the J readers' values and C the mean covariance of two of
    them, by the jackknife of studies (or whole ``patients``); Student's t with (J - 1) ((MS + J max(C, 0)) / MS)^2
    degrees of freedom (Obuchowski NA, Rockette HE, Commun Stat Simul Comput 1995;24:285-308; Hillis SL, Stat Med
    2014;33:330-360). Not cut at 1.

    Args:
        statistic: One of many tables at once, such as ``linear_kappa_of``.
        readers: (n, readers) categories from 0.
        model: (n,) categories of the model, from 0.
        classes: Number of categories.
        patients: (n,) the patient of each study; None if every study is a patient of its own.

    Returns:
        The mean with its 95 % interval.

    Raises:
        ValueError: As ``cross_table``, or there are fewer than two readers.

    Example:
        >>> readers, model = [[0, 0], [0, 1], [1, 1], [2, 2], [3, 2], [3, 3]], [0, 1, 1, 2, 3, 3]
        >>> statistic: OfTables = linear_kappa_of  # or a function of your own
        >>> print(over_readers(statistic, readers, model))
        0.866 (0.753 to 0.980)
    """
    rated = np.asarray(readers)
    if rated.ndim != 2 or rated.shape[1] < 2:
        raise ValueError(f"expected (n, readers) categories of two readers or more, got shape {rated.shape}")
    n, j = rated.shape
    method = f"mean over {j} readers, readers and studies random (Obuchowski 1995, jackknife)"
    tables = [tables_by_patient(rated[:, reader], model, classes, patients).astype(float) for reader in range(j)]
    own = np.array([statistic(table.sum(axis=0)[None])[0] for table in tables])
    if not np.isfinite(own).all():
        return Estimate(None, None, None, method, n, "it is not defined for every reader")
    without_each = np.array([statistic(table.sum(axis=0) - table) for table in tables])
    if len(tables[0]) < 2 or not np.isfinite(without_each).all():
        return Estimate(float(own.mean()), None, None, method, n, "too few studies for an interval")
    return _interval(own, _mean_covariance(without_each), method, n)


def _mean_covariance(without_each: Floats) -> float:
    """Return the mean covariance of two readers' values, from those (readers, groups) without each study or patient."""
    readers, groups = without_each.shape
    covariance = np.cov(without_each, bias=True) * (groups - 1)
    return float(covariance[~np.eye(readers, dtype=bool)].mean())


def _interval(own: Floats, covariance: float, method: str, n: int) -> Estimate:
    mean, readers, j = float(own.mean()), float(own.var(ddof=1)), len(own)
    variance = readers + j * max(covariance, 0.0)
    if variance == 0:
        return Estimate(mean, mean, mean, method, n, "nothing varies: the interval has no width")
    df = (j - 1) * (variance / readers) ** 2 if readers > 0 else np.inf
    half = float(stats.t.ppf((1 + LEVEL) / 2, df) * np.sqrt(variance / j))
    return Estimate(mean, mean - half, mean + half, method, n)


def kappa_beyond_readers(
    readers: ArrayLike,
    model: ArrayLike,
    *,
    classes: int = len(CATEGORIES),
    patients: ArrayLike | None = None,
    seed: int = 0,
) -> Estimate:
    """Return how much better the model agrees with a reader than another reader does: above 0 is better.

    Mean linear kappa of ``model`` (n,) with each of the ``readers`` (n, readers), minus the mean of all pairs of
    readers (Light's). Percentile bootstrap of studies (or whole ``patients``), for these readers. Compare Obuchowski
    NA, Subhas N, Schoenhagen P, Acad Radiol 2014;21:1483-1489, interchangeability.

    Args:
        readers: (n, readers) categories from 0.
        model: (n,) categories of the model, from 0.
        classes: Number of categories.
        patients: (n,) the patient of each study; None if every study is a patient of its own.
        seed: Seed of the bootstrap.

    Returns:
        The difference with its 95 % interval.

    Raises:
        ValueError: As ``over_readers``.

    Example:
        >>> rng = np.random.default_rng(1)
        >>> truth = rng.integers(0, 4, 40)
        >>> readers = np.column_stack([np.clip(truth + rng.integers(-1, 2, 40), 0, 3) for _ in range(3)])
        >>> print(kappa_beyond_readers(readers, truth))
        0.169 (0.070 to 0.254)
    """
    rated, other = np.asarray(readers), np.asarray(model)
    j = rated.shape[1]
    with_model = [tables_by_patient(rated[:, a], other, classes, patients) for a in range(j)]
    among = [tables_by_patient(rated[:, a], rated[:, b], classes, patients) for a in range(j) for b in range(a)]

    def mean(all_tables: list[Floats]) -> Floats:
        return np.asarray(np.mean([kappas(tables, "linear") for tables in all_tables], axis=0), np.float64)

    whole, drawn = (
        mean([take(tables) for tables in with_model]) - mean([take(tables) for tables in among])
        for take in (lambda t: t.sum(axis=0)[None].astype(float), lambda t: drawn_sums(t.astype(float), None, seed))
    )
    method = f"mean linear kappa with readers, minus that among readers, {resampling(len(among[0]), patients)}"
    if not np.isfinite(whole[0]):
        reason = "two readers put every study into one and the same category" if len(rated) else "no studies"
        return Estimate(None, None, None, method, len(rated), reason)
    return percentile_interval(float(whole[0]), drawn, method, len(rated), lack="have no kappa")


def _share(part: Floats, whole: Floats) -> Floats:
    share: Floats = np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
    return share
