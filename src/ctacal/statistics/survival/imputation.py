"""Missing covariates: multiple imputation by chained equations, and pooling of the results by Rubin's rules."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from ctacal.arrays import Floats, Mask
from ctacal.statistics.estimate import LEVEL

DONORS = 5
"""Number of patients with the nearest predicted values among whom the donor is drawn: van Buuren S, Flexible Imputation
of Missing Data, 2nd ed. 2018, section 3.4.3."""

SWEEPS = 5
"""Number of iterations of the chained equations: van Buuren S, Groothuis-Oudshoorn K, J Stat Softw 2011;45(3)."""

MOST_DONORS = 100_000
"""Largest number of possible donors; of more, so many are drawn at random to save time (own choice)."""

RIDGE = 1e-5
"""Share of the diagonal that is added to it, so that collinear covariates do no harm (as in mice)."""


@dataclass(frozen=True, slots=True)
class Pooled:
    """The pooled estimates of m completed data sets."""

    estimate: Floats
    """(p,)"""
    error: Floats
    """(p,): square root of within + (1 + 1/m) between."""
    degrees_of_freedom: Floats
    """(p,): by Barnard J, Rubin DB, Biometrika 1999;86:948-955."""
    low: Floats
    high: Floats
    p: Floats
    """(p,): two-sided t test against 0."""
    fraction_missing: Floats
    """(p,): lambda, the share of the variance that is due to missing values."""
    imputations: int


def pool(estimates: ArrayLike, errors: ArrayLike, complete_degrees_of_freedom: float = np.inf) -> Pooled:
    """Pool estimates and standard errors (m, p) of m >= 2 completed data sets by Rubin's rules.

    For a Cox model the degrees of freedom without missing values are events - p, as in R's mice.
    Rubin DB, Multiple Imputation for Nonresponse in Surveys, 1987, section 3.3.

    Args:
        estimates: (m, p) estimates of the sets.
        errors: (m, p) their standard errors.
        complete_degrees_of_freedom: Degrees of freedom without missing values.

    Returns:
        The pooled estimates, with their 95 % intervals.

    Raises:
        ValueError: Shapes differ, or fewer than two sets are given.

    Example:
        >>> isinstance(pool([[1.0], [2.0]], [[0.5], [0.5]]), Pooled)
        True
        >>> pool([[1.0], [2.0]], [[0.5], [0.5]]).estimate.tolist()
        [1.5]
    """
    q, u = np.asarray(estimates, np.float64), np.asarray(errors, np.float64) ** 2
    if q.ndim != 2 or q.shape != u.shape or len(q) < 2:
        raise ValueError(f"expected two tables of m >= 2 rows, got {q.shape} and {u.shape}")
    m, mean, within, between = len(q), q.mean(axis=0), u.mean(axis=0), q.var(axis=0, ddof=1)
    total = within + (1 + 1 / m) * between
    share = (1 + 1 / m) * between / total
    df = _degrees_of_freedom(share, m, complete_degrees_of_freedom)
    error = np.sqrt(total)
    half = stats.t.ppf((1 + LEVEL) / 2, df) * error
    p = np.asarray(2 * stats.t.sf(np.abs(mean / error), df), np.float64)
    return Pooled(mean, error, df, mean - half, mean + half, p, share, m)


def _degrees_of_freedom(share: Floats, m: int, complete: float) -> Floats:
    with np.errstate(divide="ignore"):
        old = np.where(share > 0, (m - 1) / np.where(share > 0, share, 1.0) ** 2, np.inf)
    if not np.isfinite(complete):
        return old
    seen = (complete + 1) / (complete + 3) * complete * (1 - share)
    return np.asarray(1 / (1 / old + 1 / seen))


@dataclass(frozen=True, slots=True)
class Covariate:
    """A column of values, some of which may be missing."""

    name: str
    values: Floats
    """(n,): NaN if missing; a category is a whole number."""
    categorical: bool = False


def impute(
    covariates: Sequence[Covariate],
    always: ArrayLike,
    *,
    imputations: int = 10,
    sweeps: int = SWEEPS,
    seed: int = 0,
) -> Iterator[list[Floats]]:
    """Yield the completed covariates (n,) of each of ``imputations`` imputations, by predictive mean matching.

    Each missing value is taken from one of the ``DONORS`` patients with the nearest predicted value, under a linear
    model whose coefficients are drawn from their posterior (van Buuren 2018, algorithm 3.3); for a category, with the
    nearest vector of predicted shares. ``always`` (n, q) holds predictors that are known for all patients: for a Cox
    model the event, the Nelson-Aalen cumulative hazard at the patient's time (White IR, Royston P, Stat Med
    2009;28:1982-1998), and the scores.

    Args:
        covariates: The columns.
        always: (n, q) predictors that are known for all patients.
        imputations: Number of completed sets.
        sweeps: Rounds over the covariates.
        seed: Seed of the random numbers.

    Yields:
        The completed covariates of each set.

    Raises:
        ValueError: A covariate is missing in all patients, or ``always`` is not finite.

    Example:
        >>> age = Covariate("age", np.array([60.0, np.nan, 70.0, 65.0, 58.0, 72.0]))
        >>> event = [[1.0], [0.0], [1.0], [0.0], [0.0], [1.0]]
        >>> [[float(ages[1]) for [ages] in impute([age], event, imputations=3)]]
        [[72.0, 70.0, 58.0]]
    """
    known = np.asarray(always, np.float64)
    if known.ndim != 2 or not np.isfinite(known).all():
        raise ValueError(f"always must be finite, (n, q); got shape {known.shape}")
    for covariate in covariates:
        if np.isnan(covariate.values).all():
            raise ValueError(f"{covariate.name}: missing in every patient, nothing to impute it from")
    for stream in np.random.default_rng(seed).spawn(imputations):
        yield _completed(covariates, known, sweeps, stream)


def _completed(covariates: Sequence[Covariate], always: Floats, sweeps: int, rng: np.random.Generator) -> list[Floats]:
    filled = [_filled_at_random(covariate.values, rng) for covariate in covariates]
    gaps = [np.isnan(covariate.values) for covariate in covariates]
    in_order = sorted((k for k, gap in enumerate(gaps) if gap.any()), key=lambda k: int(gaps[k].sum()))
    if len(in_order) == 1:
        sweeps = 1  # its predictors do not change
    for _ in range(sweeps if in_order else 0):
        for k in in_order:
            others = [_columns(filled[i], covariates[i].categorical) for i in range(len(filled)) if i != k]
            predictors = _standardised(np.column_stack([always, *others]))
            filled[k] = _imputed(filled[k], gaps[k], covariates[k].categorical, predictors, rng)
    return filled


def _filled_at_random(values: Floats, rng: np.random.Generator) -> Floats:
    gap = np.isnan(values)
    filled = values.copy()
    filled[gap] = rng.choice(values[~gap], int(gap.sum()))
    return filled


def _columns(values: Floats, categorical: bool) -> Floats:
    """Return (n, 1) for a number, or (n, levels - 1) indicators for a category."""
    if not categorical:
        return values[:, None]
    return np.asarray(values[:, None] == np.unique(values)[1:], np.float64)


def _standardised(columns: Floats) -> Floats:
    """Return the standardised columns with an intercept; columns that do not vary are left out."""
    spread = columns.std(axis=0)
    varies = spread > 0
    inside = (columns[:, varies] - columns[:, varies].mean(axis=0)) / spread[varies]
    return np.column_stack([np.ones(len(columns)), inside])


def _imputed(values: Floats, gap: Mask, categorical: bool, predictors: Floats, rng: np.random.Generator) -> Floats:
    """Return the values with each gap filled again."""
    donors = np.flatnonzero(~gap)
    target = _columns(values[donors], categorical)
    if target.shape[1] == 0 or not np.ptp(target, axis=0).any():  # a single category, or a single number
        return values
    fitted, drawn = _fitted_and_drawn(predictors[donors], target, rng)
    if len(donors) > MOST_DONORS:
        donors = rng.choice(donors, MOST_DONORS, replace=False)
    near = _nearest(predictors[gap] @ drawn, predictors[donors] @ fitted, rng)
    filled = values.copy()
    filled[gap] = values[donors[near]]
    return filled


def _fitted_and_drawn(x: Floats, y: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return (k, d): least squares of y (n, d) on x (n, k), and a draw from its posterior (flat prior)."""
    product = x.T @ x
    product[np.diag_indices_from(product)] *= 1 + RIDGE
    fitted = np.linalg.solve(product, x.T @ y)
    residuals = y - x @ fitted
    df = max(len(x) - x.shape[1], 1)
    covariance = residuals.T @ residuals / rng.chisquare(df)
    outer, inner = np.linalg.cholesky(np.linalg.inv(product)), _root(covariance)
    return np.asarray(fitted), np.asarray(fitted + outer @ rng.standard_normal(fitted.shape) @ inner.T)


def _root(covariance: Floats) -> Floats:
    """Return a matrix whose product with its transpose is the covariance, which may be singular."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))


def _nearest(wanted: Floats, offered: Floats, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return (m,): for each of ``wanted`` (m, d) the index of a donor among ``offered`` (n, d).

    The donor is drawn at random from the ``DONORS`` nearest. Noise of a millionth of the spread is added, so that all
    donors at equal distance can be drawn.
    """
    from scipy.spatial import cKDTree

    noise = 1e-6 * max(float(offered.std()), 1e-12)
    tree = cKDTree(offered + rng.normal(0, noise, offered.shape))
    donors = min(DONORS, len(offered))
    _, near = tree.query(wanted + rng.normal(0, noise, wanted.shape), k=donors)
    chosen = rng.integers(0, donors, len(wanted))
    return np.asarray(near.reshape(len(wanted), donors)[np.arange(len(wanted)), chosen], np.intp)
