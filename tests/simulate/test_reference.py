"""The gated reference score, against the scores that follow from the drawn calcium."""

import numpy as np
import pytest

pytest.importorskip("numba")

from ctacal.geometry import Geometry
from ctacal.simulate.anatomy.body import build_body
from ctacal.simulate.anatomy.calcium import CalciumDescription, Deposit, Kind
from ctacal.simulate.anatomy.description import draw_patient
from ctacal.simulate.anatomy.truth import calcium_maps
from ctacal.simulate.materials import Body
from ctacal.simulate.reference import FILTER_MM_AL, KVP, REFERENCE_PHASE, reference_scan, reference_score
from ctacal.simulate.scanner.attenuation import beam, hydroxyapatite_hu

PATIENT = draw_patient(3)
BOX = Geometry.from_spacing((60, 90, 100), (2.5, 2.0, 2.0), (-80.0, -125.0, -150.0))


@pytest.fixture(scope="module")
def heart() -> Body:
    return build_body(PATIENT, BOX, phase=REFERENCE_PHASE).body


def plaque(site: str = "LAD", thickness_mm: float = 2.0, density_mg_cm3: float = 600.0) -> Deposit:
    return Deposit(Kind.CORONARY, site, 0.25, 0.0, 12.0, thickness_mm, 150.0, density_mg_cm3, 1)


def described(*deposits: Deposit) -> CalciumDescription:
    return CalciumDescription(deposits)


def test_no_calcium_scores_zero(heart: Body) -> None:
    assert reference_score(PATIENT, described(), heart).agatston.total == 0
    valve = Deposit(Kind.AORTIC_VALVE, "", 0.5, 0.0, 6.0, 3.0, 120.0, 800.0, 1)
    assert reference_score(PATIENT, described(valve), heart).agatston.total == 0, "valve calcium is not coronary"


@pytest.mark.parametrize("site", ["LAD", "LCX", "RCA"])
def test_a_plaque_scores_in_its_vessel(heart: Body, site: str) -> None:
    scores = reference_score(PATIENT, described(plaque(site)), heart).agatston
    assert scores.total > 20
    assert scores.per_vessel[site] == scores.total


def test_the_image_holds_the_mass_that_was_drawn(heart: Body) -> None:
    """Blur and slices spread calcium and lose nothing of it."""
    calcium = described(plaque(), plaque("RCA"))
    volume, added_hu, _ = reference_scan(PATIENT, calcium, heart)
    contrast = hydroxyapatite_hu(beam(KVP, FILTER_MM_AL))
    fine = Geometry.from_spacing((400, 360, 400), (0.4, 0.4, 0.4), (-80.0, -115.0, -160.0))
    true_mg = sum(row.mass_mg for row in calcium_maps(PATIENT, calcium, fine, phase=REFERENCE_PHASE).table)
    seen_mg = float(added_hu.sum(dtype=np.float64)) * volume.geometry.voxel_volume_mm3 / contrast
    assert seen_mg == pytest.approx(true_mg, rel=0.02)


def test_a_large_plaque_reads_what_calcium_reads_at_120_kvp(heart: Body) -> None:
    """The QRM phantom's calibration, 0.722 mg/cm3 a HU at 120 kVp (tests/data/qrm_phantom_expected.json)."""
    volume, added_hu, _ = reference_scan(PATIENT, described(plaque(thickness_mm=9.0, density_mg_cm3=200)), heart)
    assert added_hu.flat[volume.hu.argmax()] == pytest.approx(200 / 0.722, rel=0.05)


def test_denser_and_thicker_plaques_score_more(heart: Body) -> None:
    thin, thick, dense = (
        reference_score(PATIENT, described(one), heart).agatston.total
        for one in (plaque(thickness_mm=1.0), plaque(), plaque(density_mg_cm3=1000))
    )
    assert thin < thick < dense


def test_a_faint_plaque_scores_nothing(heart: Body) -> None:
    """0.5 mm of 100 mg/cm3, spread over the blur's 1.4 mm, stays below 130 HU."""
    assert reference_score(PATIENT, described(plaque(thickness_mm=0.5, density_mg_cm3=100)), heart).agatston.total == 0
