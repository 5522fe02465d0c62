"""Limits from simulated pairs: 95 of 100 pairs lie within, at each centre, whatever the score."""

from pathlib import Path

import numpy as np
import pytest

from ctacal.compare.limits import read_limits
from ctacal.compare.rescanned import spread_of
from ctacal.jobs.rescan_limits import limits_by_centre, pairs_of, protocol_of, write_simulated
from ctacal.jobs.rescans import Row
from ctacal.simulate.scanner.protocol import load_protocol

NOISE = {"spect_ct_16slice": 0.6, "hawkeye_slow": 1.2}


def rows(patients: int, seed: int = 1, each: int = 3, uneven: float = 0.0) -> list[Row]:
    """Return scans whose square roots differ by the centre's noise, and more with the score.

    ``uneven`` is the SD of the log of how much more one patient's scans differ than another's.
    """
    rng = np.random.default_rng(seed)
    found = []
    for patient in range(patients):
        own = np.exp(uneven * rng.normal())
        for draw, root in enumerate((0.0, 5.0, 10.0, 20.0, 30.0)):
            for centre, noise in NOISE.items():
                for scan in range(each):
                    score = max(0.0, root + own * noise * (1 + root / 20) * rng.normal()) ** 2 if root else 0.0
                    cells = {"patient": str(patient), "draw": str(draw), "grown": "0", "centre": centre}
                    cells |= {"scan": str(scan), "status": "scored", "model_digest": "f" * 64, "agatston": str(score)}
                    found.append(
                        {**cells, "volume_mm3": str(score), "excess_mass_mg": "", "gated_equivalent_agatston": ""}
                    )
    return found


def test_all_scans_of_the_same_calcium_are_paired_and_no_others() -> None:
    some = rows(2)
    pairs = pairs_of(some, "agatston")
    assert len(pairs.first) == 2 * 5 * 2 * 3
    refused = [{**row, "status": "refused"} if row["scan"] == "2" else row for row in some]
    assert len(pairs_of(refused, "agatston").first) == 2 * 5 * 2
    grown = [{**row, "grown": "1"} for row in some]
    assert len(pairs_of(grown, "agatston").first) == 0
    assert len(pairs_of(some, "excess_mass_mg").first) == 0


def test_new_patients_stay_within_and_the_noisy_centre_has_the_wider_limits() -> None:
    spread = spread_of(pairs_of(rows(12), "agatston"))
    fresh = pairs_of(rows(60, seed=2), "agatston")
    for name in NOISE:
        own = fresh.of_centre(name)
        pairs = [(a, b) for a, b in zip(own.first.tolist(), own.second.tolist(), strict=True) if a or b]
        assert 0.01 < np.mean([spread.is_beyond(name, a, b) for a, b in pairs]) < 0.08
        assert spread.is_beyond(name, 400.0, 1000.0)
    assert spread.factor["hawkeye_slow"] / spread.factor["spect_ct_16slice"] == pytest.approx(2, rel=0.35)
    assert spread.limit("hawkeye_slow", np.array([30.0])) > 1.5 * spread.limit("hawkeye_slow", np.array([0.0]))


def test_few_patients_that_differ_give_limits_that_hold_for_others() -> None:
    beyond = []
    for seed in range(20):
        spread = spread_of(pairs_of(rows(6, seed, uneven=0.5), "agatston"))
        fresh = pairs_of(rows(20, 1000 + seed, uneven=0.5), "agatston")
        beyond += [spread.is_beyond(*pair) for pair in zip(fresh.centre, fresh.first, fresh.second, strict=True)]
    assert 0.03 < np.mean(beyond) < 0.05  # 0.058 if each were measured by a line that has seen it


def test_pairs_of_a_patient_can_be_left_out() -> None:
    pairs = pairs_of(rows(3), "agatston")
    assert set(pairs.without("1").patient) == {"0", "2"}
    assert len(pairs.without("1").first) == len(pairs.first) * 2 // 3
    assert pairs.of_centre("hawkeye_slow").centres == ("hawkeye_slow",)


def test_limits_are_symmetric_and_read_as_they_were_written(tmp_path: Path) -> None:
    first, *_ = limits_by_centre(rows(4))
    assert (first.name, first.origin, first.patients, first.pairs) == ("hawkeye_slow", "simulated", 4, 60)
    assert set(first.bands) == {"agatston", "volume_mm3"}
    assert first.bands["agatston"].low == tuple(-limit for limit in first.bands["agatston"].high)
    assert read_limits(write_simulated(first, tmp_path)) == first


def test_pairs_of_equal_scores_give_no_limits() -> None:
    same = [{**row, "agatston": "10"} for row in rows(2)]
    with pytest.raises(ValueError, match="no pair differs"):
        spread_of(pairs_of(same, "agatston"))


def test_a_preset_is_a_protocol_without_a_maker() -> None:
    preset = load_protocol("spect_ct_16slice")
    protocol = protocol_of(preset)
    assert (protocol.manufacturer, protocol.kvp, protocol.slice_spacing_mm) == ("", preset.kvp, preset.spacing_mm)
    assert protocol.kernel_class == "smooth"
    assert protocol_of(load_protocol("chest_ct_sharp")).kernel_class == "sharp"
