"""The mass of islands: what they add, and the regression from that to what is there."""

from dataclasses import replace

import numpy as np
import pytest

from ctacal.errors import UsageError
from ctacal.geometry import Geometry
from ctacal.islands import find_islands
from ctacal.labels import Calcium
from ctacal.nn.gated import GatedScale
from ctacal.nn.mass import (
    BLUR_MM,
    MIN_STUDIES,
    NOISE_HU,
    USUAL_BLUR_MM,
    USUAL_NOISE_HU,
    KnownMass,
    MassScale,
    fit_mass_scale,
    island_excess_mg,
)
from ctacal.prediction import ScanFigures
from ctacal.scores import KVP_ADAPTED, SCCT_2016
from ctacal.volume import Volume
from tests.nn.model_by_hand import ball, by_hand


def figures(noise_hu: float | None = USUAL_NOISE_HU, blur_mm: float | None = USUAL_BLUR_MM) -> ScanFigures:
    return ScanFigures(noise_hu, None, None, 3.0, 1.0, 400.0, None, blur_mm, 0.0)


def test_what_an_island_adds_to_blood() -> None:
    """Two voxels of 6 mm3 at 300 HU and one at 168 HU: 1.28 HU are 1 mg/cm3."""
    volume = Volume(np.full((3, 20, 20), 40.0, np.float32), Geometry.from_spacing((3, 20, 20), (3.0, 2.0, 1.0)))
    volume.hu[0, 3, 3:5], volume.hu[2, 10, 10] = 300.0, 168.0
    found = island_excess_mg(find_islands(volume, np.nonzero(volume.hu >= 130)))
    np.testing.assert_allclose(found, [2 * 260 * 0.006 / 1.28, 128 * 0.006 / 1.28])


def known(true: MassScale, count: int, seed: int = 2) -> list[KnownMass]:
    """Return studies of one to five islands whose masses the scale gives exactly; a tenth shows nothing."""
    random = np.random.default_rng(seed)
    rows = []
    for k in range(count):
        scan = figures(random.uniform(4, 30), random.uniform(0.5, 6))
        excess = random.lognormal(1.5, 1.5, random.integers(1, 6))
        mg = float(true.mass_mg(excess, scan).sum())
        rows.append(KnownMass(excess if k % 10 else excess[:0], scan, mg))
    return rows


def test_the_fit_finds_what_made_the_studies() -> None:
    true = MassScale(scale=9.0, power=0.6, blur_per_mm=0.15, noise_per_hu=-0.02)
    found = fit_mass_scale(known(true, 100))
    assert found.studies == 90
    assert (found.scale, found.power) == (pytest.approx(9.0, rel=0.05), pytest.approx(0.6, abs=0.02))
    assert (found.blur_per_mm, found.noise_per_hu) == (pytest.approx(0.15, abs=0.02), pytest.approx(-0.02, abs=0.003))


def test_a_figure_that_was_not_measured_is_taken_as_usual() -> None:
    scale = MassScale(scale=5.0, power=0.7, blur_per_mm=0.3, noise_per_hu=0.1)
    assert scale.mass_mg(np.array([3.0]), figures(None, None)) == scale.mass_mg(np.array([3.0]), figures())
    assert scale.mass_mg(np.array([3.0]), figures(USUAL_NOISE_HU + 1)) > scale.mass_mg(np.array([3.0]), figures())


def test_an_unheard_of_noise_does_not_multiply_the_mass() -> None:
    scale = MassScale(scale=5.0, power=0.7, blur_per_mm=0.3, noise_per_hu=0.1)
    loudest = figures(NOISE_HU[1], BLUR_MM[1])
    assert scale.mass_mg(np.array([3.0]), figures(120.0, 30.0)) == scale.mass_mg(np.array([3.0]), loudest)


def test_too_few_studies_with_calcium_are_refused() -> None:
    rows = [replace(row, true_mg=0.0) for row in known(MassScale(scale=9.0, power=0.6), 100)]
    with pytest.raises(ValueError, match=f"at least {MIN_STUDIES} studies, it is found in 0"):
        fit_mass_scale(rows)


def test_the_card_keeps_it() -> None:
    scale = MassScale(scale=9.0, power=0.6, blur_per_mm=0.15, noise_per_hu=-0.02, studies=90)
    assert MassScale.from_json(scale.to_json()) == scale
    with pytest.raises(UsageError, match="mass_scale: "):
        MassScale.from_json({"scale": 1.0, "power": 1.0, "speed": 3}, "mass_scale: ")


def test_a_model_with_a_scale_weighs_the_islands_that_count() -> None:
    """27 mm3 of 300 HU in LAD; in RCA nothing. Under another rule the scale does not hold."""
    volume, _ = ball((3.0, 1.0, 1.0))
    middle = [n // 2 for n in volume.hu.shape]
    volume.hu[middle[0], middle[1] : middle[1] + 3, middle[2] + 20 : middle[2] + 23] = 300
    scale = MassScale(scale=10.0, power=0.5)
    model = replace(by_hand(), mass_scale=scale, gated_scale=GatedScale(scale=20.0, power=1.0, least_mg=0.0))
    found = model(volume, SCCT_2016)
    excess = 27 / 1000 * 260 / 1.28
    expected = float(scale.mass_mg(np.array([excess]), found.figures or figures())[0])
    assert found.uncertainty is not None
    masses = dict.fromkeys(("LM", "LCX", "RCA"), 0.0) | {"LAD": pytest.approx(expected, abs=0.01)}
    assert found.uncertainty.excess_mass_mg == masses
    assert found.uncertainty.gated_equivalent_agatston == pytest.approx(20 * expected, rel=1e-3)
    assert (found.labels.labels == Calcium.LAD).sum() == 9
    under_other = model(volume, replace(KVP_ADAPTED.at_kvp(100.0))).uncertainty
    assert under_other is not None
    assert under_other.excess_mass_mg["LAD"] == pytest.approx(excess, rel=0.25), "what the voxels add"
