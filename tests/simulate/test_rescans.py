"""One patient scanned again: the same calcium in another position, another beat and noise; grown calcium is heavier."""

from dataclasses import replace

import numpy as np
import pytest

from ctacal.jobs.rescans import true_mass_mg
from ctacal.simulate.anatomy.calcium import CalciumDescription, Deposit, Kind
from ctacal.simulate.anatomy.description import draw_patient
from ctacal.simulate.scanner.protocol import load_protocol
from ctacal.simulate.training import rescans
from ctacal.simulate.training.anatomy_cache import AnatomyCache, Sampling, coronary_mm3
from ctacal.simulate.training.crop import simulate_crop, simulate_picture
from ctacal.simulate.training.rescans import deposits_of, describe_rescan, draw_rescanned_anatomy, grown, rescan

pytestmark = pytest.mark.slow

CRUDE = Sampling(slice_mm=5.0, pixel_mm=2.5, views=60, detector_mm=2.5, states=2, margin_mm=(20.0, 50.0))
PLAQUE = Deposit(Kind.CORONARY, "LAD", 0.3, 0.0, 20.0, 3.0, 300.0, 1000.0, 1)
NODE = Deposit(Kind.LYMPH_NODE, "", 0.4, 40.0, 12.0, 10.0, 360.0, 900.0, 2)
NONE, LITTLE = CalciumDescription((NODE,)), CalciumDescription((replace(PLAQUE, length_mm=5.0, arc_deg=120.0), NODE))
MUCH = CalciumDescription((PLAQUE, NODE))
PRESET = load_protocol("pet_ct_140kvp")


@pytest.fixture(scope="module")
def cache() -> AnatomyCache:
    return AnatomyCache.of(draw_patient(3), (NONE, LITTLE, MUCH, grown(MUCH)), CRUDE)


def test_plaques_grow_by_their_length_and_their_mass(cache: AnatomyCache) -> None:
    more = grown(MUCH)
    assert (more.deposits[0].length_mm, more.deposits[1]) == (26.0, NODE)
    assert coronary_mm3(more) == pytest.approx(1.3 * coronary_mm3(MUCH))
    before, after = true_mass_mg(cache, 2), true_mass_mg(cache, 3)
    assert after / before == pytest.approx(1.3, abs=0.08)  # voxels of 2.5 mm
    assert true_mass_mg(cache, 0) == true_mass_mg(cache, None) == 0


def test_grown_draws_follow_the_others(cache: AnatomyCache) -> None:
    assert [deposits_of(cache, draw, has_grown=False) for draw in range(4)] == [0, 1, 2, None]
    assert [deposits_of(cache, draw, has_grown=True) for draw in range(4)] == [None, None, 3, None]


def test_scans_of_a_patient_differ_in_all_but_the_patient(cache: AnatomyCache) -> None:
    first, second = (describe_rescan(cache, PRESET, deposits=2, scan_seed=seed) for seed in (1, 2))
    assert first == describe_rescan(cache, PRESET, deposits=2, scan_seed=1)
    assert first.irregularity == second.irregularity
    for name in ("seed", "heart_rate_bpm", "breathing_mm", "middle_mm", "bottom_mm"):
        assert getattr(first, name) != getattr(second, name)
    assert (first.protocol.kvp, first.protocol.spacing_mm) == (PRESET.kvp, PRESET.spacing_mm)


def test_a_rescan_shows_the_heart_as_a_whole_scan_does(cache: AnatomyCache) -> None:
    description = describe_rescan(cache, PRESET, deposits=2, scan_seed=1)
    seen, whole = rescan(cache, description), simulate_crop(cache, description)
    assert seen.geometry.same_grid(whole.geometry)
    row, column = np.rint(np.linalg.inv(whole.geometry.affine) @ [*cache.heart_mm.mean(axis=0), 1])[1:3].astype(int)
    heart = (slice(None), slice(row - 20, row + 20), slice(column - 20, column + 20))
    apart = np.abs(seen.hu[heart].astype(int) - whole.hu[heart])  # processors sum in different orders before rounding
    assert apart.max() <= 1 and (apart > 0).mean() < 0.01
    difference = seen.hu[:, ::8, ::8].astype(float) - whole.hu[:, ::8, ::8]
    assert abs(np.median(difference)) < 20


def test_rows_that_coarse_pixels_do_not_divide_are_refused(cache: AnatomyCache) -> None:
    description = describe_rescan(cache, PRESET, deposits=None, scan_seed=1)
    odd = replace(description, shape=(4, 511, 512))
    with pytest.raises(ValueError, match="must be multiples of"):
        simulate_picture(cache, odd, (slice(0, 8), slice(0, 8)))


def test_a_patient_is_drawn_with_calcium_of_every_range(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rescans, "SAMPLING", CRUDE)
    drawn = draw_rescanned_anatomy(81_000_000)
    volumes = [coronary_mm3(calcium) for calcium in drawn.calcium]
    assert volumes[0] == 0
    assert all(low <= mm3 <= high for mm3, (low, high, _) in zip(volumes, rescans.RESCANNED, strict=False))
    assert [round(b / a, 3) for a, b in zip(volumes[2:5], volumes[5:], strict=True)] == [1.3] * 3
