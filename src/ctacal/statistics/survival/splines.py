"""Restricted cubic splines: a curved effect that is straight beyond the outer knots."""

import numpy as np
from numpy.typing import ArrayLike

from ctacal.arrays import Floats

QUANTILES = {
    3: (0.10, 0.50, 0.90),
    4: (0.05, 0.35, 0.65, 0.95),
    5: (0.05, 0.275, 0.50, 0.725, 0.95),
    6: (0.05, 0.23, 0.41, 0.59, 0.77, 0.95),
    7: (0.025, 0.025 + 0.95 / 6, 0.025 + 1.9 / 6, 0.50, 0.975 - 1.9 / 6, 0.975 - 0.95 / 6, 0.975),
}
"""Quantiles at which the knots lie, by number of knots: Harrell FE, Regression modeling strategies, 2nd ed. 2015,
table 2.3."""


def spline_knots(x: ArrayLike, knots: int = 4) -> Floats:
    """Return (knots,): Harrell's quantiles of x (n,).

    Args:
        x: (n,) values.
        knots: Number of knots, 3 to 7.

    Returns:
        (knots,) places.

    Raises:
        ValueError: The number is not 3 to 7, x is not finite, or two knots coincide.

    Example:
        >>> spline_knots(range(101), 4)
        array([ 5., 35., 65., 95.])
    """
    values = np.asarray(x, np.float64).ravel()
    if knots not in QUANTILES:
        raise ValueError(f"expected 3 to 7 knots, got {knots}")
    if not len(values) or not np.isfinite(values).all():
        raise ValueError(
            f"expected finite values, got {len(values)} of which {int(np.isfinite(values).sum())} are finite"
        )
    places = np.quantile(values, QUANTILES[knots])
    _check(places)
    return np.asarray(places, np.float64)


def spline_basis(x: ArrayLike, knots: ArrayLike) -> Floats:
    """Return (n, k - 1) for x (n,) and k knots: x, then k - 2 terms, 0 below the first knot, linear beyond the last.

    Term j, with u+ = max(u, 0)^3 and knots t: [(x - t_j)+ - (x - t_k-1)+ (t_k - t_j) / (t_k - t_k-1)
    + (x - t_k)+ (t_k-1 - t_j) / (t_k - t_k-1)] / (t_k - t_1)^2 (Devlin TF, Weeks BJ, SAS Users Group 1986; Harrell FE,
    Regression modeling strategies, 2.4.5).

    Args:
        x: (n,) values.
        knots: (k,) places, rising (``spline_knots``).

    Returns:
        (n, k - 1) columns of a model.

    Raises:
        ValueError: Knots do not rise, or there are fewer than 3.

    Example:
        >>> spline_basis([0.0, 2.0, 4.0], [1.0, 2.0, 3.0]).tolist()
        [[0.0, 0.0], [2.0, 0.25], [4.0, 3.0]]
    """
    values, t = np.asarray(x, np.float64).ravel(), np.asarray(knots, np.float64).ravel()
    if len(t) < 3:
        raise ValueError(f"expected 3 knots or more, got {len(t)}")
    _check(t)
    cube = np.maximum(values[:, None] - t, 0.0) ** 3
    last, gap = t[-1] - t[:-2], t[-1] - t[-2]
    before = t[-2] - t[:-2]
    terms = (cube[:, :-2] - cube[:, -2:-1] * last / gap + cube[:, -1:] * before / gap) / (t[-1] - t[0]) ** 2
    return np.column_stack([values, terms])


def _check(knots: Floats) -> None:
    if not (np.diff(knots) > 0).all():
        raise ValueError(f"knots must rise, got {', '.join(f'{knot:g}' for knot in knots)}")
