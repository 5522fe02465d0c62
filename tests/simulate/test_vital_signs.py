"""Heart rate and breathing are drawn within the limits of their group, and as often irregular as it says."""

import numpy as np
import pytest

from ctacal.simulate.vital_signs import (
    ATRIAL_FIBRILLATION,
    INSERTED,
    PATIENTS,
    SHALLOW_MM,
    TRAINING,
    VitalSigns,
    draw_breath_s,
    draw_breathing_mm,
    draw_heart_rate,
    draw_irregularity,
)

GROUPS = (PATIENTS, TRAINING, INSERTED)


@pytest.mark.parametrize("group", GROUPS)
def test_heart_rates_follow_their_group(group: VitalSigns) -> None:
    rng = np.random.default_rng(1)
    drawn = [draw_heart_rate(rng, group) for _ in range(4000)]
    rates = np.array([rate for rate, _ in drawn])
    low, high = group.rate_limits_bpm
    assert low <= rates.min() <= rates.max() <= high
    assert np.mean([fibrillates for _, fibrillates in drawn]) == pytest.approx(group.fibrillation_share, abs=0.015)
    sinus = np.array([rate for rate, fibrillates in drawn if not fibrillates])
    assert sinus.mean() == pytest.approx(group.rate_bpm[0], abs=1)


def test_fibrillation_is_irregular() -> None:
    rng = np.random.default_rng(2)
    assert draw_irregularity(rng, fibrillates=True) == ATRIAL_FIBRILLATION
    assert max(draw_irregularity(rng, fibrillates=False) for _ in range(500)) < 0.06 < ATRIAL_FIBRILLATION


@pytest.mark.parametrize("group", (PATIENTS, TRAINING))
def test_breaths_stay_within_their_limits(group: VitalSigns) -> None:
    rng = np.random.default_rng(3)
    depths = np.array([draw_breathing_mm(rng, group) for _ in range(2000)])
    times = np.array([draw_breath_s(rng, group) for _ in range(2000)])
    assert 0 <= depths.min() <= depths.max() <= group.deepest_mm
    assert (depths < SHALLOW_MM).mean() == pytest.approx(0.5, abs=0.05)
    assert group.breath_limits_s[0] <= times.min() <= times.max() <= group.breath_limits_s[1]
    assert times.mean() == pytest.approx(
        np.mean(group.breath_s[:1] if group.breath_s else group.breath_limits_s), abs=0.1
    )
