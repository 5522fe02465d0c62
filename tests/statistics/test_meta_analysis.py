"""Against R's metafor (``evidence.json``), and data without a value."""

from typing import Any

import numpy as np
import pytest

from ctacal.statistics.estimate import Estimate, Z
from ctacal.statistics.meta_analysis import combine, combine_estimates
from tests.statistics.survival.oracle import numbers

R: dict[str, Any] = numbers("evidence")["combined"]


@pytest.mark.parametrize("name", R)
def test_as_metafor(name: str) -> None:
    expected = R[name]
    found = combine(expected["y"], expected["s"])
    ends = [found.average.estimate, found.average.low, found.average.high]
    assert ends == pytest.approx([expected[key] for key in ("mean", "low", "high")], abs=1e-7)
    assert (found.spread, found.share) == pytest.approx((expected["tau"], expected["share"]), abs=1e-6)
    assert (found.test.statistic, found.test.p) == pytest.approx((expected["q"], expected["p"]), rel=1e-12)


def test_interval_covers() -> None:
    """500 sets of 5 centres whose true values differ."""
    rng, held = np.random.default_rng(3), 0
    for _ in range(500):
        errors = rng.uniform(0.1, 0.3, 5)
        average = combine(0.5 + rng.normal(0, 0.3, 5) + rng.normal(0, errors), errors).average
        held += (average.low or 0.0) <= 0.5 <= (average.high or 0.0)
    assert held / 500 == pytest.approx(0.95, abs=0.03)  # 3 Monte-Carlo errors


def test_ratios_are_combined_as_logarithms() -> None:
    y, s = np.array([0.31, 0.52, -0.10]), np.array([0.12, 0.20, 0.15])
    ends = np.exp(np.column_stack([y, y - Z * s, y + Z * s]))
    found = combine_estimates([Estimate(float(a), float(b), float(c), "ratio", 9) for a, b, c in ends], ratios=True)
    plain = combine(y, s)
    assert plain.average.estimate is not None and plain.average.low is not None
    assert found.average.estimate == pytest.approx(np.exp(plain.average.estimate))
    assert found.average.low == pytest.approx(np.exp(plain.average.low))
    assert (found.spread, found.test.p) == pytest.approx((plain.spread, plain.test.p))


def test_estimates_without_an_interval_are_left_out() -> None:
    """An end that is cut off at 1 does not make an estimate look precise."""
    given = [
        Estimate(0.9, 0.7, 1.0, "C", 9),
        Estimate(0.8, 0.7, 0.9, "C", 9),
        Estimate(None, None, None, "C", 9, "none"),
    ]
    found = combine_estimates(given)
    expected = combine([0.9, 0.8], [0.2 / Z, 0.1 / Z])
    assert found.centres == 2
    assert found.average.estimate == pytest.approx(expected.average.estimate)


def test_fewer_than_two_centres() -> None:
    one = combine([0.4], [0.1])
    assert (one.average.estimate, one.average.low, one.spread) == (0.4, None, None)
    assert one.test.reason == "fewer than 2 centres have an estimate"
    assert combine([], []).average.estimate is None
    with pytest.raises(ValueError, match="positive standard errors"):
        combine([0.1, 0.2], [0.1, 0.0])
