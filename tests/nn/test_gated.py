"""The equivalent of a gated score: a fit recovers a known law."""

import numpy as np
import pytest

from ctacal.nn.gated import GatedScale, fit_gated_scale


def test_a_known_law_is_found_again() -> None:
    rng = np.random.default_rng(1)
    true = np.where(rng.random(200) < 0.4, 0.0, rng.lognormal(3, 1.2, 200))
    mass = true * rng.lognormal(0, 0.15, 200) + rng.uniform(0, 0.3, 200)  # what is measured is never exactly 0
    fitted = fit_gated_scale(mass.tolist(), (4.0 * true**1.1).tolist())
    assert fitted.scale == pytest.approx(4.0, rel=0.2) and fitted.power == pytest.approx(1.1, abs=0.05)
    assert 0.25 < fitted.least_mg < 3
    wrong = [(fitted.agatston(m) > 0) != (t > 0) for m, t in zip(mass, true, strict=True)]
    assert np.mean(wrong) < 0.03
    assert GatedScale.from_json(fitted.to_json()) == fitted


def test_nothing_jumps_at_the_floor() -> None:
    scale = GatedScale(scale=20.0, power=0.8, least_mg=6.4)
    assert scale.agatston(6.4) == 0.0 < scale.agatston(6.5) < 5.0
    assert scale.agatston(1.0, seen=18.0) == 18.0


def test_mass_without_information_is_refused() -> None:
    with pytest.raises(ValueError, match="more mass"):
        fit_gated_scale([3.0] * 50, [10.0] * 25 + [0.0] * 25)


def test_one_freak_does_not_bend_it() -> None:
    true = np.concatenate([np.zeros(30), np.linspace(1, 100, 60)])
    gated = 5 * true
    gated[-1] = 50_000
    assert fit_gated_scale(true.tolist(), gated.tolist()).agatston(50.0) == pytest.approx(250, rel=0.05)


@pytest.mark.parametrize("gated", [[0.0] * 50, [10.0] * 50, [0.0, 10.0] * 5])
def test_too_little_is_refused(gated: list[float]) -> None:
    with pytest.raises(ValueError, match="with and without calcium"):
        fit_gated_scale([1.0] * len(gated), gated)
