"""Competing risks against R's cmprsk and survival."""

import numpy as np
import pytest

from ctacal.statistics.survival.competing import FineGray, cumulative_incidence, fine_gray
from ctacal.statistics.survival.cox_model import NoModel
from tests.statistics.survival.oracle import columns, numbers

TIMES = [1000, 2000, 3000]


def test_cumulative_incidence_equals_cmprsk() -> None:
    table, expected = columns("pbc_cr"), numbers("competing_risks")
    for cause in (1, 2):
        flipped = np.where(table["fstat"] == 0, 0, np.where(table["fstat"] == cause, 1, 2))
        got = cumulative_incidence(table["time"], flipped)
        np.testing.assert_allclose(got.at(TIMES), expected["cuminc"]["est"][cause - 1], rtol=1e-12)
        variance = [got.variance[got.times <= time][-1] for time in TIMES]
        np.testing.assert_allclose(variance, expected["cuminc"]["var"][cause - 1], rtol=1e-9)


def test_fine_gray_equals_cmprsk() -> None:
    table, expected = columns("pbc_cr"), numbers("competing_risks")["finegray"]
    x = np.column_stack([table[name] for name in expected["coef"]])
    got = fine_gray(table["time"], table["fstat"], x, list(expected["coef"]))
    assert isinstance(got, FineGray)
    np.testing.assert_allclose(got.coefficients, list(expected["coef"].values()), rtol=1e-8)
    np.testing.assert_allclose(got.standard_errors, list(expected["se"].values()), rtol=1e-8)
    assert got.log_likelihood == pytest.approx(expected["loglik"], rel=1e-12)
    assert (got.n, got.events, got.competing) == (312, 125, 19)
    ratio = got.hazard_ratio(2)
    assert ratio.low is not None and ratio.estimate is not None
    assert ratio.estimate == pytest.approx(np.exp(expected["coef"]["lbili"]))
    assert np.log(ratio.estimate / ratio.low) == pytest.approx(1.959964 * expected["se"]["lbili"], rel=1e-6)


@pytest.mark.parametrize("name", ["lung", "pbc", "colon", "veteran", "rossi"])
def test_without_competing_events_fine_gray_is_cox(name: str) -> None:
    """Ties included: R's coxph with Breslow's method; the robust error is that of the score's influence."""
    formula, fit = numbers("cox")["formulae"][name], numbers("cox")["fits"][f"{name}.breslow"]
    table = columns(name)
    got = fine_gray(
        table[formula["time"]], table[formula["event"]], np.column_stack([table[key] for key in formula["x"]])
    )
    assert isinstance(got, FineGray)
    np.testing.assert_allclose(got.coefficients, list(fit["coef"].values()), rtol=1e-7, atol=1e-9)
    assert got.log_likelihood == pytest.approx(fit["loglik"], rel=1e-10)


def test_incidences_and_freedom_from_events_sum_to_one() -> None:
    table = columns("pbc_cr")
    first, second = (
        cumulative_incidence(table["time"], np.where(table["fstat"] == 0, 0, np.where(table["fstat"] == cause, 1, 2)))
        for cause in (1, 2)
    )
    free = 1 - cumulative_incidence(table["time"], table["fstat"] > 0).at(TIMES)
    np.testing.assert_allclose(first.at(TIMES) + second.at(TIMES) + free, 1, rtol=1e-12)


def test_interval_holds_the_estimate_and_stays_within_0_and_1() -> None:
    table = columns("pbc_cr")
    curve = cumulative_incidence(table["time"], table["fstat"])
    low, high = curve.interval([0, 500, 2000, 4000])
    estimate = curve.at([0, 500, 2000, 4000])
    assert ((low >= 0) & (low <= estimate) & (estimate <= high) & (high <= 1)).all()
    assert (low[0], high[0]) == (0, 0)
    assert (low[1:] < estimate[1:]).all()


def test_last_patient_with_the_event_has_finite_variance() -> None:
    curve = cumulative_incidence([1, 2, 3], [2, 0, 1])
    assert np.isfinite(curve.variance).all()
    np.testing.assert_allclose(curve.incidence, [0, 0, 2 / 3])


@pytest.mark.parametrize(
    ("cause", "x", "reason"),
    [
        ([0, 2, 2, 0], [1, 2, 3, 4], "no event of interest"),
        ([0, 1, 2, 1], [1, 1, 1, 1], "x1 is the same in all patients"),
        ([1, 1, 0, 0], [1, 1, 0, 0], "separate"),
    ],
)
def test_a_model_that_cannot_be_fitted_has_a_reason(cause: list[int], x: list[int], reason: str) -> None:
    got = fine_gray([1, 2, 3, 4], cause, np.array(x, float)[:, None])
    assert isinstance(got, NoModel)
    assert reason in got.reason
