"""HU, noise and artefacts of water, tissue and calcium, compared with known properties of scanners."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from ctacal.geometry import Geometry
from ctacal.simulate.materials import Body, Tissue
from ctacal.simulate.scanner.attenuation import SPECTRA, beam, computed_spectrum, tissue_hu
from ctacal.simulate.scanner.protocol import ScannerProtocol, load_protocol, protocol_names
from ctacal.simulate.scanner.scan import scan
from ctacal.simulate.scanner.slabs import shares_of_neighbours
from ctacal.volume import Volume
from tests.simulate.bodies import PROTOCOL, QUIET, cylinder, inside

MIDDLE = (0.0, 0.0, 20.0)
NARROW = replace(QUIET, fov_mm=250.0, matrix=128, scan_field_mm=320.0, scatter=0.0)
"""A quick protocol for bodies up to 300 mm."""

KVP_FACTORS = {80: 1.388, 100: 1.142, 140: 0.907}
"""Factors of docs/decisions/0004-kvp-factors.md, printed by benchmarks/kvp_factors.py."""


@pytest.fixture(scope="module")
def quiet_water() -> Volume:
    return scan(cylinder(320), replace(QUIET, scatter=0.05), seed=1)


def noise_sd(body: Body, protocol: ScannerProtocol, radius_mm: float = 30) -> float:
    """Return the SD in the centre, from the difference of two scans."""
    first, second = (inside(scan(body, protocol, seed=seed), (0, 0, radius_mm)) for seed in (1, 2))
    return float((first - second).std() / np.sqrt(2))


@pytest.mark.slow
def test_stored_spectra_are_spekpys() -> None:
    with np.load(SPECTRA) as stored:
        for name, spectrum in stored.items():
            np.testing.assert_allclose(spectrum, computed_spectrum(*map(float, name.split())), rtol=1e-6)


# --- water and tissue -------------------------------------------------------------------------------------------------


def test_water_is_zero_and_flat(quiet_water: Volume) -> None:
    assert abs(inside(quiet_water, MIDDLE).mean()) < 2
    for position in range(-140, 141, 20):
        assert abs(inside(quiet_water, (0, position, 6)).mean()) < 5
        assert abs(inside(quiet_water, (position, 0, 6)).mean()) < 5


@pytest.mark.parametrize(("diameter_mm", "bias_hu"), [(200, 3), (400, 10)])
def test_scatter_biases_little(diameter_mm: float, bias_hu: float) -> None:
    protocol = replace(QUIET, fov_mm=440.0, scatter=0.05)
    assert abs(inside(scan(cylinder(diameter_mm), protocol, seed=1), MIDDLE).mean()) < bias_hu


def test_air_reads_minus_1000(quiet_water: Volume) -> None:
    assert quiet_water.hu[0, :3].mean() == pytest.approx(-1000, abs=4)


@pytest.mark.parametrize(
    ("tissue", "low", "high"),
    [
        (Tissue.FAT, -110, -90),
        (Tissue.MUSCLE, 45, 65),
        (Tissue.BLOOD, 35, 55),
        (Tissue.MYOCARDIUM, 35, 55),
        (Tissue.LIVER, 45, 65),
        (Tissue.LUNG, -760, -720),
        (Tissue.BONE_TRABECULAR, 120, 250),
        (Tissue.BONE_CORTICAL, 1200, 2000),
        (Tissue.WATER, -0.1, 0.1),
        (Tissue.AIR, -1000, -1000),
    ],
)
def test_tissue_is_as_bright_as_in_patients(tissue: Tissue, low: float, high: float) -> None:
    assert low <= tissue_hu(beam(120.0, 7.0), tissue) <= high


def test_a_scan_reads_tissue_as_computed() -> None:
    rods = (((0, -50, 25), Tissue.FAT), ((0, 50, 25), Tissue.MUSCLE), ((55, 0, 25), Tissue.LUNG))
    volume = scan(cylinder(220, tissues=tuple(rods)), NARROW, seed=1)
    for (row, column, _), tissue in rods:
        assert inside(volume, (row, column, 15)).mean() == pytest.approx(tissue_hu(beam(120.0, 7.0), tissue), abs=5)


# --- calcium ----------------------------------------------------------------------------------------------------------


def calcium_hu(mg_cm3: float, kvp: float = 120.0) -> float:
    body = cylinder(300, hydroxyapatite=(((0, 0, 10), mg_cm3),))
    return float(inside(scan(body, replace(NARROW, kvp=kvp), seed=1), (0, 0, 5)).mean())


def test_calcium_of_200_mg_reads_255_hu() -> None:
    assert 250 <= calcium_hu(200) <= 270


@pytest.mark.slow
def test_calcium_is_linear() -> None:
    assert calcium_hu(100) == pytest.approx(calcium_hu(200) / 2, rel=0.01)
    assert calcium_hu(800) == pytest.approx(calcium_hu(200) * 4, rel=0.04), "2 cm of 800 mg/cm3 harden the beam"


@pytest.mark.slow
@pytest.mark.parametrize("kvp", KVP_FACTORS)
def test_calcium_follows_the_tube_voltage(kvp: int) -> None:
    assert calcium_hu(200, kvp) / calcium_hu(200) == pytest.approx(KVP_FACTORS[kvp], rel=0.01)


def test_a_thin_lesion_loses_brightness_with_slice_thickness() -> None:
    """Calcium 2 mm high in slices of 4 mm and of 8 mm."""
    body = cylinder(200, slices=8, hydroxyapatite=(((0, 0, 10), 400.0),))
    body.hydroxyapatite_mg_cm3[[0, 1, 2, 5, 6, 7]] = 0
    thin, thick = (
        float(
            inside(
                scan(body, replace(NARROW, thickness_mm=mm, spacing_mm=8.0, helical=False), seed=1), (0, 0, 5)
            ).mean()
        )
        for mm in (4.0, 8.0)
    )
    assert thin == pytest.approx(2 * thick, rel=0.05)


# --- noise ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_noise_falls_with_the_square_root_of_dose() -> None:
    body, protocol = cylinder(240), replace(NARROW, electronic_noise_kev=0.0)
    low, high = (noise_sd(body, replace(protocol, tube_current_ma=ma)) for ma in (100.0, 400.0))
    assert low / high == pytest.approx(2, rel=0.08)


@pytest.mark.slow
def test_noise_rises_with_size_and_sharpness() -> None:
    usual = replace(NARROW, tube_current_ma=100.0)
    slim, stout = noise_sd(cylinder(200), usual), noise_sd(cylinder(280), usual)
    assert stout > 1.8 * slim
    assert noise_sd(cylinder(200), replace(usual, mtf50_per_mm=0.35)) > 1.5 * slim


@pytest.mark.slow
def test_electronic_noise_matters_at_low_dose_only() -> None:
    body = cylinder(280)
    low, high = (
        noise_sd(body, replace(NARROW, tube_current_ma=ma, electronic_noise_kev=600.0))
        / noise_sd(body, replace(NARROW, tube_current_ma=ma))
        for ma in (1.0, 400.0)
    )
    assert low > 1.3
    assert high < 1.05


@pytest.mark.slow
def test_current_modulation_spends_more_on_the_stout() -> None:
    """With modulation, noise rises less from slim to stout bodies."""
    constant = replace(NARROW, tube_current_ma=40.0)
    modulated = replace(constant, current_modulation=0.5)
    ratios = [
        noise_sd(cylinder(280), protocol) / noise_sd(cylinder(220), protocol) for protocol in (constant, modulated)
    ]
    assert ratios[1] < 0.85 * ratios[0]


@pytest.mark.slow
def test_the_seed_makes_the_noise() -> None:
    body = cylinder(200, slices=8)
    first, again, other = (scan(body, PROTOCOL, seed=seed).hu for seed in (5, 5, 6))
    assert first.tobytes() == again.tobytes()
    assert (first != other).mean() > 0.5
    assert (first[0] != first[1]).mean() > 0.5


@pytest.mark.slow
def test_overlapping_slices_share_their_noise() -> None:
    """Rectangles 4 mm wide every 2 mm share half their rays; rounded ones somewhat more."""
    body = cylinder(200, slices=16)
    noise = [
        np.stack(
            [
                inside(scan(body, replace(NARROW, tube_current_ma=50.0, spacing_mm=mm), seed=1), MIDDLE, k)
                for k in (0, 1)
            ]
        )
        for mm in (2.0, 6.0)
    ]
    overlapping, apart = (float(np.corrcoef(*pair)[0, 1]) for pair in noise)
    assert 0.4 < overlapping < 0.7
    assert abs(apart) < 0.15


def test_a_slice_has_the_same_noise_however_much_it_shares() -> None:
    for mm in (1.5, 2.0, 4.0, 8.0):
        assert np.sum(shares_of_neighbours(replace(PROTOCOL, spacing_mm=mm)) ** 2) == pytest.approx(1)
    assert len(shares_of_neighbours(replace(PROTOCOL, spacing_mm=8.0))) == 1


def test_uneven_detectors_make_rings() -> None:
    """A ring is equally bright all around, and in every slice."""
    body = cylinder(200, slices=8)
    plain, ringed = (scan(body, replace(NARROW, gain_error=error), seed=1).hu.astype(float) for error in (0.0, 1e-3))
    rings = (ringed - plain)[:, 30:98, 30:98]
    assert rings.std() > 1
    assert np.corrcoef(rings[0].ravel(), rings[1].ravel())[0, 1] > 0.9
    assert np.corrcoef(rings[0].ravel(), np.rot90(rings[0]).ravel())[0, 1] > 0.5


@pytest.mark.slow
def test_a_scatter_that_is_overcorrected_brightens() -> None:
    body = cylinder(300)
    right, over = (
        inside(scan(body, replace(QUIET, scatter=0.2, scatter_corrected=share), seed=1), MIDDLE).mean()
        for share in (1.0, 1.2)
    )
    assert abs(right) < 8
    assert over > right + 5


# --- picture ----------------------------------------------------------------------------------------------------------


def test_a_rod_is_seen_where_it_is() -> None:
    body = cylinder(200, hydroxyapatite=(((40, -25, 6), 600.0),))
    volume = scan(body, NARROW, seed=1)
    row, column = np.argwhere(volume.hu[0] > 300).mean(axis=0)
    left, posterior, _ = volume.geometry.to_patient_mm((0, row, column))
    assert (left, posterior) == pytest.approx((-25, 40), abs=0.5)


def test_the_isocentre_moves_the_picture_not_the_body() -> None:
    body = cylinder(160, hydroxyapatite=(((20, -15, 6), 600.0),))
    volume = scan(body, NARROW, seed=1, isocentre_mm=(30.0, -10.0))
    row, column = np.argwhere(volume.hu[0] > 300).mean(axis=0)
    assert volume.geometry.to_patient_mm((0, row, column))[:2] == pytest.approx((-15, 20), abs=0.5)


def test_slices_lie_within_the_body() -> None:
    body = cylinder(100, slices=12)
    volume = scan(body, replace(NARROW, spacing_mm=3.0), seed=1)
    assert volume.geometry.shape == (4, 128, 128)
    assert volume.geometry.slice_spacing_mm == pytest.approx(3)
    assert volume.geometry.to_patient_mm((0, 0, 0))[2] == pytest.approx(1.0)
    with pytest.raises(ValueError, match="thinner than one slice"):
        scan(cylinder(100, slices=2), NARROW, seed=1)


@pytest.mark.parametrize(
    ("family", "mtf50"), [("hann", 0.25), ("gauss", 0.25), ("enhanced", 0.4), ("body", 0.25), ("lung", 0.4)]
)
def test_resolution_is_as_stated(family: str, mtf50: float) -> None:
    """MTF50 from the cylinder's edge, within a tenth: the body's voxels blur as well."""
    protocol = replace(QUIET, kernel=family, mtf50_per_mm=mtf50, matrix=320, fov_mm=160.0, scatter=0.0, detector_mm=0.8)
    volume = scan(cylinder(130), protocol, seed=1)
    axis = (np.arange(320) - 159.5) * 0.5
    radius = np.hypot(axis[:, None], axis).ravel()
    bins = np.arange(50, 80, 0.2)
    place = np.digitize(radius, bins)
    edge = np.array([volume.hu[0].ravel()[place == k].mean() for k in range(1, len(bins))])
    transfer = np.abs(np.fft.rfft(np.diff(edge) * np.hanning(len(edge) - 1), 8192))
    measured = np.fft.rfftfreq(8192, 0.2)[np.argmax(transfer < transfer[0] / 2)]
    assert measured == pytest.approx(mtf50, rel=0.1)


@pytest.mark.slow
def test_metal_makes_streaks_and_no_nonsense() -> None:
    wires = (((-30, -40, 4), Tissue.STEEL), ((-30, 40, 4), Tissue.STEEL), ((60, 0, 10), Tissue.TITANIUM))
    plain, metal = (scan(cylinder(200, tissues=rods), replace(PROTOCOL, fov_mm=250.0), seed=1) for rods in ((), wires))
    assert metal.hu.max() == 3071
    between = inside(metal, (-30, 0, 8)).mean() - inside(plain, (-30, 0, 8)).mean()
    assert between < -40


def test_a_body_wider_than_the_scan_field_is_continued() -> None:
    volume = scan(cylinder(220), replace(NARROW, scan_field_mm=180.0), seed=1)
    assert abs(inside(volume, (0, 0, 60)).mean()) < 20
    assert abs(inside(volume, (0, 100, 5)).mean()) < 200


def test_partial_volume_acts_on_intensities() -> None:
    """Bones that end within a slice: a mean of intensities is dark between them, a mean of densities is not."""
    body = cylinder(200, slices=8, tissues=(((0, -50, 18), Tissue.BONE_CORTICAL), ((0, 50, 18), Tissue.BONE_CORTICAL)))
    body.tissue[4:][body.tissue[4:] == Tissue.BONE_CORTICAL] = Tissue.WATER
    thick = replace(NARROW, thickness_mm=8.0, spacing_mm=8.0, helical=False)
    densities, intensities = (inside(scan(body, thick, seed=1, slabs=n), (0, 0, 6)).mean() for n in (1, 2))
    assert intensities < densities - 15


def test_an_odd_grid_is_refused() -> None:
    geometry = Geometry.from_spacing((4, 8, 8), (1.0, 1.0, 2.0))
    body = Body(np.zeros(geometry.shape, np.uint8), np.zeros(geometry.shape, np.float32), geometry)
    with pytest.raises(ValueError, match="square pixels"):
        scan(body, PROTOCOL, seed=1)


def test_an_empty_body_is_air() -> None:
    body = cylinder(100)
    body.tissue[:] = Tissue.AIR
    assert scan(body, NARROW, seed=1).hu.mean() == pytest.approx(-1000, abs=1)


# --- presets ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", protocol_names())
def test_presets_have_the_noise_that_they_state(name: str) -> None:
    protocol = load_protocol(name)
    body = cylinder(320, slices=max(8, int(np.ceil(protocol.spacing_mm))))
    assert noise_sd(body, protocol) == pytest.approx(protocol.noise_target_hu, rel=0.1)


def test_help_and_scoring_need_no_simulator() -> None:
    code = "import sys, ctacal.cli.app, ctacal.study; print({'numba', 'spekpy', 'xraylib'} & set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "set()"
