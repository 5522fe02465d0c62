"""Tissues are found, and figures measured, on a drawn thorax whose HU, blur and noise are known by construction."""

import numpy as np
import pytest

from ctacal.simulate.measure import noise_sd_hu
from ctacal.simulate.phantom.thorax import BLOOD_HU, BLUR_FWHM_MM, FAT_HU, LIVER_HU, LUNG_HU, MUSCLE_HU, draw_thorax
from ctacal.simulate.realism.figures import edge_across, measure_scan
from ctacal.simulate.realism.regions import Regions, find_regions
from ctacal.volume import Volume

pytestmark = pytest.mark.slow

NOISE_HU = 12.0


@pytest.fixture(scope="module")
def thorax() -> Volume:
    return draw_thorax(noise_sd_hu=NOISE_HU, plaques=()).volume


@pytest.fixture(scope="module")
def regions(thorax: Volume) -> Regions:
    return find_regions(thorax)


@pytest.mark.parametrize(
    ("tissue", "hu"),
    [
        ("air", -1000.0),
        ("lung", LUNG_HU),
        ("subcutaneous fat", FAT_HU),
        ("muscle", MUSCLE_HU),
        ("blood pool", BLOOD_HU),
        ("liver", LIVER_HU),
    ],
)
def test_a_tissue_is_found_and_is_nothing_else(thorax: Volume, regions: Regions, tissue: str, hu: float) -> None:
    mask = regions.tissues[tissue]
    assert mask.sum() > 1000
    assert np.median(thorax.hu[mask]) == pytest.approx(hu, abs=6)


def test_regions_lie_where_they_belong(regions: Regions) -> None:
    assert not (regions.tissues["air"] & regions.body).any()
    assert not (regions.tissues["blood pool"] & ~regions.heart).any()
    assert not (regions.lungs & ~regions.body).any()
    columns = {
        name: np.flatnonzero(mask.any(axis=(0, 1)))
        for name, mask in (("liver", regions.tissues["liver"]), ("heart", regions.heart))
    }
    assert columns["liver"][-1] < columns["heart"].mean()  # columns run to the patient's left


@pytest.mark.slow
def test_figures_of_the_drawn_thorax(thorax: Volume, regions: Regions) -> None:
    figures = measure_scan(thorax)
    assert figures.values["blood pool: noise SD HU"] == pytest.approx(NOISE_HU, rel=0.15)
    assert figures.values["blood pool: noise SD HU"] == pytest.approx(
        noise_sd_hu(thorax, regions.tissues["blood pool"]), rel=1e-9
    )
    assert abs(figures.values["liver: noise correlation of slices"]) < 0.1  # drawn slice by slice
    assert figures.values["skin: edge width mm"] == pytest.approx(BLUR_FWHM_MM, rel=0.15)
    hu, share = figures.curves["blood pool: histogram"]
    assert (share * np.gradient(hu)).sum() == pytest.approx(1.0, abs=1e-6)


@pytest.mark.slow
def test_calcium_is_counted_in_the_heart(thorax: Volume) -> None:
    heart = np.argwhere(find_regions(thorax).heart).mean(axis=0).round().astype(int)
    calcified = thorax.hu.copy()
    calcified[heart[0], heart[1] : heart[1] + 4, heart[2] : heart[2] + 4] = 900
    more = measure_scan(Volume(calcified, thorax.geometry)).values
    before = measure_scan(thorax).values
    added = 16 * thorax.geometry.voxel_volume_mm3
    assert more["heart: largest part above 130 HU, mm3"] == pytest.approx(added, rel=0.2)
    assert more["heart: parts above 130 HU per 100 ml"] > before["heart: parts above 130 HU per 100 ml"]


def test_no_border_no_edge(thorax: Volume) -> None:
    assert edge_across(thorax, np.zeros(thorax.hu.shape, bool)) is None
