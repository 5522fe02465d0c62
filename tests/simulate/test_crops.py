"""Training crops have the HU and noise of scans of the same anatomy, and the truth of the scanner's own tools."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ctacal.labels import Calcium
from ctacal.simulate.anatomy.body import build_body
from ctacal.simulate.anatomy.calcium import BRANCHED, CalciumDescription, Deposit, Kind
from ctacal.simulate.anatomy.description import draw_patient
from ctacal.simulate.anatomy.structures import Structure
from ctacal.simulate.anatomy.truth import CalciumRow, with_calcium
from ctacal.simulate.materials import Body, Tissue
from ctacal.simulate.scanner.attenuation import beam
from ctacal.simulate.scanner.calcium import calcium_hu
from ctacal.simulate.scanner.protocol import ScannerProtocol, protocol_names
from ctacal.simulate.scanner.scan import scan
from ctacal.simulate.training.anatomy_cache import (
    HARD_WANTED,
    AnatomyCache,
    Sampling,
    coronary_mm3,
    draw_variants,
)
from ctacal.simulate.training.crop import METAL_MM, Crop, draw_crop, draw_whole, simulate_crop
from ctacal.simulate.training.description import (
    SHARP_NOISE_HU,
    CropDescription,
    Focus,
    draw_description,
    draw_heart_description,
    draw_protocol,
    draw_whole_description,
)
from ctacal.simulate.training.projections import Projections
from ctacal.simulate.training.stream import stream_crops
from ctacal.simulate.truth import KIND_LABELS, TRUTH_HU
from tests.simulate.bodies import PROTOCOL, QUIET, cylinder

PATIENT = draw_patient(3)
STILL = Sampling(slice_mm=3.0, pixel_mm=1.5, views=360, detector_mm=1.2, states=1, margin_mm=(0.0, 50.0))
BEATING = replace(STILL, pixel_mm=2.5, views=90, detector_mm=2.0, states=3)
PLAQUE = Deposit(Kind.CORONARY, "LAD", 0.3, 0.0, 14.0, 2.2, 200.0, 900.0, 1)
NODE = Deposit(Kind.LYMPH_NODE, "", 0.4, 40.0, 8.0, 7.0, 360.0, 700.0, 2)
LEAD = Deposit(Kind.LEAD, "RV", 0.5, 0.0, 0.0, 1.5, 360.0, 9000.0, 3)
CALCIUM = (CalciumDescription((PLAQUE, NODE)), CalciumDescription((NODE, LEAD)))


@pytest.fixture(scope="module")
def still() -> AnatomyCache:
    return AnatomyCache.of(PATIENT, CALCIUM, STILL)


@pytest.fixture(scope="module")
def beating() -> AnatomyCache:
    return AnatomyCache.of(PATIENT, CALCIUM, BEATING)


@pytest.fixture(scope="module")
def filled(still: AnatomyCache) -> tuple[Body, tuple[CalciumRow, ...]]:
    """Return the body of the first draw and its table, built without projections."""
    maps, calcium = with_calcium(build_body(PATIENT, still.geometry), PATIENT, CALCIUM[0])
    return maps.body, calcium.table


def protocol_of(cache: AnatomyCache, like: ScannerProtocol) -> ScannerProtocol:
    field_mm = cache.projections.detectors * cache.projections.detector_mm
    return replace(
        like, views=cache.projections.views, detector_mm=cache.projections.detector_mm, scan_field_mm=field_mm,
        matrix=256, fov_mm=256.0, thickness_mm=6.0, spacing_mm=6.0,
    )  # fmt: skip


def description_of(
    cache: AnatomyCache, like: ScannerProtocol, *, deposits: int | None = 0, seed: int = 1
) -> CropDescription:
    """Return all slices that ``scan`` makes, and 160 of its 256 pixels around the centre."""
    bottom_mm = cache.geometry.to_patient_mm((-0.5, 0, 0))[2] + 3.0
    return CropDescription(
        seed=seed, focus=Focus.CORONARY, protocol=protocol_of(cache, like), deposits=deposits, heart_rate_bpm=70.0,
        irregularity=0.0, breathing_mm=0.0, breathing_s=4.0, middle_mm=(-30.0, 10.0), bottom_mm=bottom_mm,
        shape=(int(cache.geometry.shape[0] * 3 / 6), 160, 160),
    )  # fmt: skip


ROWS, COLUMNS = slice(128 - 30 - 80, 128 - 30 + 80), slice(128 + 10 - 80, 128 + 10 + 80)
"""Rows and columns of the crop in the scan."""


def scanned(
    cache: AnatomyCache, body: Body, like: ScannerProtocol, *, seed: int = 1, views: int = STILL.views
) -> NDArray[np.float64]:
    protocol = replace(protocol_of(cache, like), views=views)
    hu = scan(body, protocol, seed=seed, isocentre_mm=cache.projections.isocentre_mm, slabs=1).hu
    return hu[:, ROWS, COLUMNS].astype(float)


@pytest.mark.slow
def test_without_noise_a_crop_is_what_the_scan_shows(still: AnatomyCache, filled: tuple[Body, object]) -> None:
    crop = simulate_crop(still, description_of(still, QUIET))
    assert crop.measured.all()
    difference = (crop.hu - scanned(still, filled[0], QUIET, views=2 * STILL.views))[crop.heart]
    assert abs(difference.mean()) < 0.2
    assert difference.std() < 2.0


@pytest.mark.slow
def test_noise_is_that_of_the_scan(still: AnatomyCache, filled: tuple[Body, object]) -> None:
    low = replace(PROTOCOL, tube_current_ma=40.0)
    by_scan = scanned(still, filled[0], low, seed=3) - scanned(still, filled[0], QUIET)
    by_crop = simulate_crop(still, description_of(still, low, seed=4)).hu.astype(float)
    by_crop -= simulate_crop(still, description_of(still, QUIET)).hu
    inner = slice(2, -2)
    assert by_crop[inner].std() == pytest.approx(by_scan[inner].std(), rel=0.05)
    for crop_power, scan_power in zip(bands(by_crop[inner]), bands(by_scan[inner]), strict=True):
        assert crop_power == pytest.approx(scan_power, rel=0.1)


def bands(noise: NDArray[np.float64]) -> list[float]:
    """Return the noise power in four frequency bands."""
    power = (np.abs(np.fft.fft2(noise)) ** 2).mean(axis=0)
    frequency = np.hypot(*np.meshgrid(*[np.fft.fftfreq(160)] * 2))
    edges = (0.02, 0.08, 0.14, 0.2, 0.28)
    return [float(power[(frequency >= a) & (frequency < b)].mean()) for a, b in pairwise(edges)]


@pytest.mark.slow
def test_labels_are_where_calcium_adds_to_the_picture(still: AnatomyCache, filled: tuple[Body, object]) -> None:
    crop = simulate_crop(still, description_of(still, PROTOCOL))
    region = slice(0, len(crop.hu)), ROWS, COLUMNS
    isocentre_mm = still.projections.isocentre_mm
    added = calcium_hu(filled[0], crop.description.protocol, seed=1, region=region, isocentre_mm=isocentre_mm)
    truth, found = added >= TRUTH_HU, crop.labels > 0
    assert truth.sum() > 50
    assert 2 * (truth & found).sum() / (truth.sum() + found.sum()) > 0.95
    assert {Calcium.LAD, Calcium.OTHER} == set(crop.labels[found].tolist())


@pytest.mark.slow
def test_mass_is_that_of_the_table(still: AnatomyCache, filled: tuple[Body, tuple[CalciumRow, ...]]) -> None:
    crop = simulate_crop(still, description_of(still, PROTOCOL))
    plaque, node = filled[1]
    assert crop.mass_mg[:, Calcium.LAD - 1].sum() == pytest.approx(plaque.mass_mg, rel=0.01)
    assert crop.mass_mg[:, Calcium.OTHER - 1].sum() == pytest.approx(node.mass_mg, rel=0.01)
    middle = crop.mass_mg[:, Calcium.LAD - 1] @ np.arange(len(crop.hu)) / plaque.mass_mg
    expected = (plaque.centre_mm[2] - crop.geometry.affine[2, 3]) / 6.0
    assert middle == pytest.approx(expected, abs=0.1)


@pytest.mark.slow
def test_metal_is_labelled_but_not_its_streaks(still: AnatomyCache) -> None:
    crop = simulate_crop(still, description_of(still, PROTOCOL, deposits=1))
    lead = crop.structures == KIND_LABELS[Kind.LEAD]
    assert (crop.labels[lead] == Calcium.OTHER).all()
    assert crop.hu[lead].max() > 300
    metal = still.deposits[1].rows(still.deposits[1].mg_cm3 == 0).points_mm(still.geometry)
    points = np.argwhere(lead) @ crop.geometry.affine[:3, :3].T + crop.geometry.affine[:3, 3]
    assert 1 < np.max(cKDTree(metal).query(points)[0]) < np.hypot(METAL_MM + 0.8, 6.0 / 2)
    assert not crop.mass_mg[:, : Calcium.OTHER - 1].any()


@pytest.mark.slow
def test_states_add_up_to_the_body_in_that_state() -> None:
    rest, state = (cylinder(120, slices=6, tissues=(((10.0, -15.0, radius), Tissue.FAT),)) for radius in (25.0, 12.0))
    part = rest.geometry.crop((slice(1, 5), slice(20, 120), slice(10, 110)))
    region = Body(state.tissue[1:5, 20:120, 10:110], state.hydroxyapatite_mg_cm3[1:5, 20:120, 10:110], part)
    basis = beam(120.0, 7.0).basis
    layout = {"views": 60, "detector_mm": 1.0, "detectors": 160, "isocentre_mm": (0.0, 0.0)}
    moving = Projections.of(rest, [region], basis, **layout)  # type: ignore[arg-type]
    weights = np.zeros((1, 6), np.float32)
    weights[0, 2:4] = 0.5
    for share in (0.0, 0.25, 1.0):
        seen = np.array([1 - share, share], np.float32)[:, None, None] * np.ones((1, 60, 1), np.float32)
        water = moving.paths(weights, seen)[0]
        at_rest, contracted = (
            Projections.of(body, [], basis, **layout).paths(weights, seen[:1])[0]  # type: ignore[arg-type]
            for body in (rest, state)
        )
        assert np.abs(at_rest - contracted).max() > 1
        np.testing.assert_allclose(water, (1 - share) * at_rest + share * contracted, atol=0.05)


@pytest.mark.slow
def test_the_heart_beats(beating: AnatomyCache) -> None:
    description = description_of(beating, QUIET, deposits=None)
    slow, fast = (simulate_crop(beating, replace(description, heart_rate_bpm=rate)) for rate in (50.0, 110.0))
    inner = slow.measured
    assert np.abs(slow.hu - fast.hu)[inner][slow.heart[inner]].mean() > 1


@pytest.mark.slow
def test_the_same_seed_gives_the_same_crop(beating: AnatomyCache, tmp_path: Path) -> None:
    beating.save(tmp_path / "anatomy.npz")
    stored = AnatomyCache.load(tmp_path / "anatomy.npz")
    assert stored.patient == PATIENT
    assert stored.calcium == CALCIUM
    first, again, other = draw_crop(beating, 5), draw_crop(stored, 5), draw_crop(beating, 6)
    assert first.description == again.description
    for name in ("hu", "labels", "structures", "mass_mg", "measured"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert first.hu.shape == other.hu.shape == (36, 160, 160)
    assert (first.hu != other.hu).any()


def test_what_is_no_anatomy_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", something=np.zeros(2))
    with pytest.raises(ValueError, match=r"other\.npz is not a stored anatomy"):
        AnatomyCache.load(tmp_path / "other.npz")
    np.savez(tmp_path / "early.npz", projections_rest=np.zeros(2))
    with pytest.raises(ValueError, match=r"early\.npz was stored by an earlier version"):
        AnatomyCache.load(tmp_path / "early.npz")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_crop_shows_what_was_asked_for(beating: AnatomyCache, seed: int) -> None:
    crops = {focus: draw_crop(beating, seed, focus) for focus in Focus}
    assert crops[Focus.CORONARY].mass_mg[:, : Calcium.OTHER - 1].sum() > 0
    assert (crops[Focus.OTHER].labels == Calcium.OTHER).any()
    assert not crops[Focus.NEGATIVE].mass_mg[:, : Calcium.OTHER - 1].any()
    assert not crops[Focus.CLEAN].mass_mg.any()
    assert not crops[Focus.CLEAN].labels.any()
    for crop in crops.values():
        check_crop(crop)


def check_crop(crop: Crop) -> None:
    assert (crop.hu[~crop.measured] == -1024).all()
    assert not crop.labels[~crop.measured].any()
    assert crop.heart.any()
    assert crop.hu[crop.heart & (crop.labels == 0)].mean() == pytest.approx(20, abs=60)


@pytest.mark.slow
def test_slices_beyond_the_anatomy_are_not_measured(beating: AnatomyCache) -> None:
    description = draw_description(beating, 1, Focus.CLEAN)
    thick = replace(description, protocol=replace(description.protocol, thickness_mm=10.0, spacing_mm=10.0))
    low = beating.geometry.to_patient_mm((-0.5, 0, 0))[2]
    crop = simulate_crop(beating, replace(thick, bottom_mm=low - 25.0, breathing_mm=0.0))
    assert crop.measured.tolist()[:4] == [False, False, False, True]
    check_crop(crop)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_a_scan_of_the_heart_holds_all_of_it(beating: AnatomyCache, seed: int) -> None:
    description = draw_heart_description(beating, seed, 0)
    crop = simulate_crop(beating, description)
    assert crop.hu.shape == description.shape
    assert crop.measured.all()
    low, high = (crop.geometry.to_patient_mm(corner)[:2] for corner in ((0, 0, 0), np.array(crop.hu.shape) - 1))
    np.testing.assert_allclose(low, beating.heart_mm[0, :2] - 26, atol=description.protocol.pixel_mm)
    np.testing.assert_allclose(high, beating.heart_mm[1, :2] + 26, atol=description.protocol.pixel_mm)
    assert not crop.heart[:, [0, -1]].any()
    assert not crop.heart[:, :, [0, -1]].any()
    assert crop.mass_mg[:, : Calcium.OTHER - 1].sum() > 0
    with pytest.raises(ValueError, match="2 draws of calcium, got number 2"):
        draw_heart_description(beating, seed, 2)


@pytest.mark.slow
def test_only_the_centres_asked_for_are_drawn(beating: AnatomyCache) -> None:
    rng = np.random.default_rng(1)
    assert {draw_protocol(rng, beating, ["pet_ct_80kvp"]).name for _ in range(4)} == {"pet_ct_80kvp"}
    drawn = {draw_protocol(rng, beating).name for _ in range(200)}
    assert drawn == set(protocol_names()) - {"canon_aquilion_one"}
    assert draw_description(beating, 1, Focus.CLEAN, ["hawkeye_slow"]).protocol.name == "hawkeye_slow"


@pytest.mark.slow
def test_hard_protocols_leave_the_usual_range_now_and_then(beating: AnatomyCache) -> None:
    usual, hard = (
        [draw_protocol(np.random.default_rng(seed), beating, hard=hard) for seed in range(400)]
        for hard in (False, True)
    )
    pixels_mm, spacing_mm = (np.array([getattr(p, name) for p in hard]) for name in ("pixel_mm", "spacing_mm"))
    assert 0.49 < pixels_mm.min() < 0.55 and 1.8 < pixels_mm.max() < 2.01
    assert spacing_mm.min() == 1.5 and spacing_mm.max() == 10.0
    assert np.mean((pixels_mm > 0.69) & (pixels_mm < 1.41)) > 0.6 and np.mean(spacing_mm < 2.5) > 0.05
    kernels = {(p.kernel, p.mtf50_per_mm) for p in hard}
    assert {kernel for kernel, _ in kernels} == {"hann", "cosine", "gauss", "enhanced", "lung", "body"}
    assert min(mtf for _, mtf in kernels) < 0.15 and max(mtf for _, mtf in kernels) > 0.5
    same = [a == b for a, b in zip(usual, hard, strict=True)]
    assert 0.2 < np.mean(same) < 0.6
    assert all(a.name == b.name and a.kvp == b.kvp for a, b in zip(usual, hard, strict=True))


@pytest.mark.slow
def test_sharp_kernels_are_as_noisy_in_the_heart_as_drawn(still: AnatomyCache) -> None:
    drawn = (draw_protocol(np.random.default_rng(seed), still, hard=True) for seed in range(400))
    sharp = next(p for p in drawn if p.kernel == "lung" and p.spacing_mm >= 3.0)
    description = replace(
        description_of(still, PROTOCOL, deposits=None), protocol=replace(sharp, matrix=256, fov_mm=256.0),
        bottom_mm=float(still.heart_mm[:, 2].mean()), shape=(2, 160, 160),
    )  # fmt: skip
    quiet = replace(sharp, matrix=256, fov_mm=256.0, tube_current_ma=1e7, electronic_noise_kev=0.0, gain_error=0.0)
    crop, still_crop = (simulate_crop(still, replace(description, protocol=p)) for p in (description.protocol, quiet))
    blood = crop.structures == Structure.LV_BLOOD
    assert blood.sum() > 100
    noise = (crop.hu.astype(float) - still_crop.hu)[blood].std()
    assert SHARP_NOISE_HU[0] / 1.6 < noise < SHARP_NOISE_HU[1] * 1.6


@pytest.mark.slow
def test_a_whole_scan(beating: AnatomyCache) -> None:
    crop = draw_whole(beating, 1)
    assert crop.hu.shape[1:] == (128, 128)
    assert crop.geometry.spacing_mm == pytest.approx((5.0, 4.0, 4.0))
    lung = crop.hu[crop.measured][crop.structures[crop.measured] == Structure.LUNG]
    assert np.median(lung) == pytest.approx(-830, abs=120)


def test_variants_hold_none_to_much() -> None:
    drawn = draw_variants(PATIENT, 3)
    for none, little, some, much in (drawn[:4], drawn[4:]):
        assert coronary_mm3(none) == 0 < coronary_mm3(little) <= 40 < coronary_mm3(some) <= 160 < coronary_mm3(much)
    metal, root = {Kind.STENT, Kind.BYPASS_CLIP}, {Kind.AORTIC_WALL, Kind.AORTIC_VALVE}
    for number, kinds in ((4, metal), (5, root), (6, metal), (7, root)):
        assert kinds & {deposit.kind for deposit in drawn[number].deposits}


@pytest.mark.slow
def test_hard_whole_scans_hold_devices_and_are_cut(beating: AnatomyCache) -> None:
    described = [draw_whole_description(beating, seed, hard=True) for seed in range(60)]
    assert {description.deposits for description in described} == {None, 0, 1}
    widths = {description.shape[1] for description in described}
    assert min(widths) < 100 and max(widths) > 140 and all(width % 4 == 0 for width in widths)
    narrow = min(described, key=lambda description: description.shape[1])
    crop = simulate_crop(beating, replace(narrow, deposits=0))
    assert crop.hu.shape == narrow.shape and crop.labels.any()


def test_hard_variants_hold_what_is_confused() -> None:
    drawn = draw_variants(PATIENT, 3, HARD_WANTED, BRANCHED)
    assert [coronary_mm3(calcium) == 0 for calcium in drawn].count(True) == 4
    assert all(condition(calcium) for calcium, (_, _, condition) in zip(drawn, HARD_WANTED, strict=True))
    sites = {deposit.site for calcium in drawn for deposit in calcium.deposits if deposit.kind is Kind.CORONARY}
    assert "LM" in sites and sites & {"D1", "D2"} and sites & {"OM1", "OM2"}


@pytest.mark.slow
def test_the_young_have_variants_without_what_they_never_have() -> None:
    young = replace(PATIENT, age_years=30.0)
    drawn = draw_variants(young, 3)
    assert len(drawn) == 8
    assert not any(deposit.kind is Kind.AORTIC_VALVE for calcium in drawn for deposit in calcium.deposits)


@pytest.mark.slow
def test_the_stream_takes_turns(beating: AnatomyCache, still: AnatomyCache) -> None:
    first = [crop.hu for crop in stream_crops(range(3), [beating, still], crops_of_each=1, in_memory=1)]
    again = [crop.hu for crop in stream_crops(range(3), [beating, still], crops_of_each=1, in_memory=1)]
    for crop, same in zip(first, again, strict=True):
        np.testing.assert_array_equal(crop, same)
    only = [crop.labels.any() for crop in stream_crops(range(3), [still], shares={Focus.CLEAN: 1.0})]
    assert only == [False] * 3


@pytest.mark.slow
def test_a_stream_of_nothing_is_refused(still: AnatomyCache) -> None:
    with pytest.raises(ValueError, match="no anatomy"):
        next(stream_crops(range(3), []))
    with pytest.raises(ValueError, match="shares must be 0 or more"):
        next(stream_crops(range(3), [still], shares={Focus.OTHER: -1.0}))
