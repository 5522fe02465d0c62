"""Rubin's pooling against R's mice; chained equations against the removed values."""

import numpy as np
import pytest

from ctacal.statistics.survival.imputation import Covariate, impute, pool
from tests.statistics.survival.oracle import numbers


def test_pooling_equals_mice() -> None:
    fits, pooled = numbers("rubin")["per_imputation"], numbers("rubin")["pooled"]
    got = pool([list(f["coef"].values()) for f in fits], [list(f["se"].values()) for f in fits], 125 - 4)
    names = {"estimate": got.estimate, "std.error": got.error, "df": got.degrees_of_freedom, "p.value": got.p,
             "2.5 %": got.low, "97.5 %": got.high}  # fmt: skip
    for name, values in names.items():
        np.testing.assert_allclose(values, [row[name] for row in pooled], rtol=1e-9, err_msg=name)


def test_without_variation_between_sets_nothing_is_missing() -> None:
    got = pool([[1.0], [1.0]], [[0.5], [0.5]])
    assert (got.fraction_missing[0], got.error[0], got.degrees_of_freedom[0]) == (0.0, 0.5, np.inf)


def test_pooling_one_set_is_refused() -> None:
    with pytest.raises(ValueError, match="m >= 2"):
        pool([[1.0]], [[1.0]])


def patients(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x known; y = 2 x + noise, a category that x moves."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    return x, 2 * x + rng.normal(size=n), np.digitize(x + rng.normal(size=n), [-1, 1]).astype(float)


def test_imputation_undoes_the_bias_of_complete_cases() -> None:
    """y is missing if x is large: the mean of the remaining values is far off, the imputed mean is not."""
    x, y, kind = patients(4000, 1)
    gap = np.random.default_rng(2).random(4000) < 1 / (1 + np.exp(-2 * x))
    seen = [Covariate("y", np.where(gap, np.nan, y)), Covariate("kind", np.where(gap, np.nan, kind), categorical=True)]
    sets = list(impute(seen, x[:, None], imputations=5, seed=3))
    means = [completed[0].mean() for completed in sets]
    shares = [np.mean(completed[1] == 2) for completed in sets]
    assert abs(np.nanmean(seen[0].values) - y.mean()) > 0.8
    assert abs(np.mean(means) - y.mean()) < 0.1
    assert abs(np.nanmean(seen[1].values == 2) - np.mean(kind == 2)) > 0.1
    assert abs(np.mean(shares) - np.mean(kind == 2)) < 0.03


def test_pooled_interval_covers_the_truth() -> None:
    """Slope of y on x with 40 % of x missing at random by y: about 95 % of intervals cover 2, none of them wildly."""
    covered = []
    for seed in range(120):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=200)
        y = 2 * x + rng.normal(size=200)
        gap = rng.random(200) < 0.8 / (1 + np.exp(-y))
        sets = [
            completed[0]
            for completed in impute([Covariate("x", np.where(gap, np.nan, x))], y[:, None], imputations=5, seed=seed)
        ]
        slopes = [np.polyfit(values, y, 1, cov="unscaled") for values in sets]
        errors = [
            np.sqrt(c[0, 0] * np.var(y - np.polyval(b, values), ddof=2))
            for (b, c), values in zip(slopes, sets, strict=True)
        ]
        pooled = pool([[b[0]] for b, _ in slopes], [[error] for error in errors], 198)
        covered.append(pooled.low[0] <= 2 <= pooled.high[0])
    assert 0.88 <= np.mean(covered) <= 1.0


def test_seed_decides_and_known_values_stay() -> None:
    x, y, kind = patients(100, 4)
    y[::7] = np.nan
    columns = [Covariate("y", y), Covariate("kind", kind, categorical=True)]
    first, same, other = (list(impute(columns, x[:, None], imputations=2, seed=seed)) for seed in (5, 5, 6))
    assert (first[0][0] == same[0][0]).all()
    assert (first[0][0] != first[1][0]).any()
    assert (first[0][0] != other[0][0]).any()
    assert (first[0][0][~np.isnan(y)] == y[~np.isnan(y)]).all()
    assert (first[0][1] == kind).all()


def test_nothing_to_impute_from_is_refused() -> None:
    with pytest.raises(ValueError, match="weight: missing in every patient"):
        list(impute([Covariate("weight", np.full(5, np.nan))], np.zeros((5, 1))))
