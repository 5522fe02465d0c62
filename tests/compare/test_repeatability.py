"""Limits from a site's own pairs: they cover unchanged patients, and pairs that are none are refused."""

from typing import Any

import numpy as np
import pytest

from ctacal.compare.protocol import ScanProtocol
from ctacal.compare.repeatability import LEAST_PAIRS, Pairs, PairsInfo, limits_of_pairs
from ctacal.errors import UsageError

INFO = PairsInfo(name="ours", patients=40, protocol=ScanProtocol(kvp=120.0), rule="scct2016", first_day="2024-01-01")


def repeats(n: int, seed: int, *, zeros: float = 0.0) -> Pairs:
    """Return pairs whose roots have noise of SD 1 + 0.05 times the root, as two scans of an unchanged patient."""
    random = np.random.default_rng(seed)
    root = random.uniform(2, 35, n) * (random.random(n) >= zeros)
    noisy = [np.maximum(root + random.normal(size=n) * (1 + 0.05 * root) * (root > 0), 0) for _ in range(2)]
    return Pairs(noisy[0] ** 2, noisy[1] ** 2)


def outside(n: int, seed: int) -> float:
    """Return the share of new pairs that lie beyond the limits of ``n`` pairs."""
    band = limits_of_pairs({"agatston": repeats(n, seed)}, INFO).bands["agatston"]
    new = repeats(2000, seed + 1000)
    out = []
    for a, b in zip(new.first, new.second, strict=True):
        if ends := band.at(a, b):
            out.append(not ends[0] <= np.sqrt(b) - np.sqrt(a) <= ends[1])
    assert len(out) > 1500
    return float(np.mean(out))


@pytest.mark.parametrize("n", [LEAST_PAIRS, 100, 400])
def test_about_one_unchanged_patient_in_twenty_lies_beyond(n: int) -> None:
    shares = [outside(n, seed) for seed in range(20)]
    assert 0.03 <= np.mean(shares) <= 0.065


def test_the_limits_grow_with_the_score_as_the_noise_does() -> None:
    band = limits_of_pairs({"agatston": repeats(2000, 3)}, INFO).bands["agatston"]
    low, high = band.at(4.0, 4.0), band.at(900.0, 900.0)
    assert low is not None
    assert high is not None
    for (_, half), sd in ((low, 1.1), (high, 2.5)):
        assert half == pytest.approx(1.96 * np.sqrt(2) * sd, rel=0.12)


def test_pairs_without_calcium_do_not_take_the_limits_to_nothing() -> None:
    band = limits_of_pairs({"agatston": repeats(200, 5, zeros=0.4)}, INFO).bands["agatston"]
    assert band.low[0] < -0.3
    assert band.high[0] > 0.3


def test_further_quantities_are_left_out_with_a_note_where_pairs_are_few() -> None:
    few = Pairs(np.full(40, np.nan), np.full(40, np.nan))
    limits = limits_of_pairs({"agatston": repeats(40, 7), "mass_mg": few}, INFO)
    assert set(limits.bands) == {"agatston"}
    assert any(note.startswith("no limits of mass_mg: mass_mg: 0 pairs") for note in limits.notes)
    assert any(note.startswith("40 pairs give limits that are themselves unsure") for note in limits.notes)
    assert limits.pairs == 40


def test_a_scan_that_measures_more_on_the_whole_is_told() -> None:
    pairs = repeats(200, 9)
    limits = limits_of_pairs({"agatston": Pairs(pairs.first, pairs.second * 1.6)}, INFO)
    assert any("the second scan of the pairs has the higher agatston" in note for note in limits.notes)


GOOD = repeats(60, 11)


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        (repeats(LEAST_PAIRS - 1, 1), "29 pairs; limits need 30 at least"),
        (Pairs(GOOD.first, GOOD.first), "the columns hold one scan twice"),
        (Pairs(GOOD.first, np.random.default_rng(0).permutation(GOOD.second)), "check that each row holds two scans"),
        (Pairs(GOOD.first, np.where(np.arange(60) < 45, GOOD.first, GOOD.second)), "exactly equal values"),
        (repeats(60, 12, zeros=0.9), "pairs have calcium in both scans"),
        (Pairs(-GOOD.first, GOOD.second), "below 0"),
    ],
)
def test_nonsense_is_refused(pairs: Pairs, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        limits_of_pairs({"agatston": pairs}, INFO)


def test_the_deciding_quantity_must_be_there() -> None:
    options: dict[str, Any] = {"decides": "mass_mg"}
    with pytest.raises(UsageError, match="the pairs hold no mass_mg"):
        limits_of_pairs({"agatston": GOOD}, INFO, **options)
