"""The beating heart: what moves, how far, and that its phases equal those of whole bodies."""

from typing import Literal

import numpy as np
import pytest

pytest.importorskip("numba")

from ctacal.geometry import Geometry
from ctacal.simulate.anatomy.body import build_body, coronaries_of, heart_phases, heart_region, still_body
from ctacal.simulate.anatomy.calcium import CalciumDescription, draw_calcium
from ctacal.simulate.anatomy.canvas import Canvas
from ctacal.simulate.anatomy.chest import Chest
from ctacal.simulate.anatomy.description import Patient, draw_patient
from ctacal.simulate.anatomy.heart import SYSTOLE, Heart, contraction
from ctacal.simulate.anatomy.structures import CODES, HEART, AnatomyMaps, Structure
from ctacal.simulate.anatomy.truth import with_calcium
from ctacal.simulate.anatomy.vessels import Courses
from ctacal.simulate.materials import Tissue

PATIENT = draw_patient(4, age_years=78.0)
GRID = Geometry.from_spacing((60, 130, 160), (4.0, 2.0, 2.0), (-160.0, -130.0, -190.0))


@pytest.fixture(scope="module")
def calcium() -> CalciumDescription:
    drawn = draw_calcium(PATIENT, 4)
    assert len(drawn.deposits) > 3
    return drawn


@pytest.fixture(scope="module")
def rest() -> AnatomyMaps:
    return build_body(PATIENT, GRID)


def box_of(region: Geometry) -> tuple[slice, slice, slice]:
    corner = np.linalg.inv(GRID.affine) @ np.append(region.to_patient_mm((0, 0, 0)), 1)
    spans = [slice(a, a + n) for a, n in zip(np.rint(corner[:3]).astype(int).tolist(), region.shape, strict=True)]
    return spans[0], spans[1], spans[2]


@pytest.mark.slow
def test_phases_are_parts_of_whole_bodies(calcium: CalciumDescription) -> None:
    box = box_of(heart_region(PATIENT, GRID))
    parts = heart_phases(still_body(PATIENT, GRID), calcium, phases=4)
    for phase, part in zip((0.0, 0.25, 0.5), parts, strict=False):
        whole = with_calcium(build_body(PATIENT, GRID, phase=phase), PATIENT, calcium, phase=phase)[0].body
        assert part.geometry.same_grid(GRID.crop(box))
        assert np.array_equal(whole.tissue[box], part.tissue)
        assert np.allclose(whole.hydroxyapatite_mg_cm3[box], part.hydroxyapatite_mg_cm3, atol=0.5)


@pytest.mark.slow
def test_what_lies_on_the_skin_is_there_in_all_phases(calcium: CalciumDescription) -> None:
    box = box_of(heart_region(PATIENT, GRID))
    still = still_body(PATIENT, GRID)
    air = still.tissue[box] == Tissue.AIR
    assert air.any(), "the region reaches beyond the skin"
    still.tissue[box][air] = Tissue.CLOTH
    parts = [still.at(0.0).body.tissue[box], *(body.tissue for body in heart_phases(still, calcium, phases=4, first=2))]
    assert [(part[air] == Tissue.CLOTH).all() for part in parts] == [True] * 3


@pytest.mark.slow
def test_nothing_beats_outside_of_the_region(rest: AnatomyMaps, calcium: CalciumDescription) -> None:
    bodies = []
    for phase in (0.0, SYSTOLE):
        body = with_calcium(build_body(PATIENT, GRID, phase=phase), PATIENT, calcium, phase=phase)[0].body
        tissue, added = body.tissue.copy(), body.hydroxyapatite_mg_cm3.copy()
        box = box_of(heart_region(PATIENT, GRID))
        assert (tissue[box] != rest.body.tissue[box]).any() == (phase > 0)
        tissue[box], added[box] = 0, 0
        bodies.append((tissue, added))
    assert np.array_equal(bodies[0][0], bodies[1][0])
    assert np.allclose(bodies[0][1], bodies[1][1], atol=0.5)


def heart_alone(patient: Patient, phase: float) -> np.ndarray:
    """Return the ml of each structure of a heart painted into lung."""
    canvas = Canvas(Geometry.from_spacing((90, 115, 115), (2.5, 2.5, 2.5), (-143.0, -143.0, -215.0)), patient.seed)
    canvas.tissue[:], canvas.structure[:] = Tissue.LUNG, Structure.LUNG
    Heart.of(Chest(patient), phase).paint(canvas)
    ml = np.bincount(canvas.structure.ravel(), minlength=CODES) * canvas.geometry.voxel_volume_mm3 / 1000
    return np.asarray(ml)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sex", "lv_ml", "rv_ml", "la_ml", "wall_ml"), [("M", 166, 182, 71, 98), ("F", 124, 130, 62, 67)]
)
def test_chambers_have_published_volumes(
    sex: Literal["F", "M"], lv_ml: float, rv_ml: float, la_ml: float, wall_ml: float
) -> None:
    """Means of healthy people (Petersen 2017); drawn patients have thicker walls."""
    patients = [draw_patient(seed, sex=sex) for seed in range(10)]
    full, emptied = (np.mean([heart_alone(patient, phase) for patient in patients], axis=0) for phase in (0.0, SYSTOLE))
    assert 0.7 * lv_ml < full[Structure.LV_BLOOD] < 1.2 * lv_ml
    assert 0.75 * rv_ml < full[Structure.RV_BLOOD] < 1.2 * rv_ml
    assert 0.7 * la_ml < emptied[Structure.LA_BLOOD] < 1.3 * la_ml
    assert 0.9 * wall_ml < full[Structure.LV_WALL] < 1.8 * wall_ml
    before, after = full[list(HEART)].sum(), emptied[list(HEART)].sum()
    assert 0.88 < after / before < 0.96  # Carlsson 2004: 8 % less


def test_the_aortic_root_follows_the_valve_ring() -> None:
    chest = Chest(PATIENT)
    rest, squeezed = Courses.of(chest, Heart.of(chest)), Courses.of(chest, Heart.of(chest, SYSTOLE))
    moved = np.linalg.norm(squeezed.aorta - rest.aorta, axis=1)
    apex = Heart.of(chest).axes[0]
    assert 4 < moved[0] < 13
    assert (squeezed.aorta[0] - rest.aorta[0]) @ apex > 0.9 * moved[0]
    assert moved[int(np.argmax(rest.aorta[:, 2])) :].max() < 0.01
    wider = squeezed.aorta_radius_mm / rest.aorta_radius_mm
    assert wider[0] == pytest.approx(1.05)
    assert wider[-1] == 1


@pytest.mark.parametrize("seed", range(20))
def test_sternum_and_ribs_flatten_the_heart(seed: int) -> None:
    chest = Chest(draw_patient(seed))
    heart = Heart.of(chest)
    z, angle = (axis.ravel() for axis in np.meshgrid(np.arange(-150.0, 0.0, 6), np.arange(-70.0, 71.0, 5)))
    radius, turn = chest.cavity_mm(z, angle) - 1.5, np.deg2rad(angle)
    inside_ribs = np.stack([radius * np.sin(turn), -radius * np.cos(turn), z], axis=1)
    assert heart.distance_mm(heart.to_local(inside_ribs - heart.origin)).min() > 0
    assert -20 < heart.front_mm(chest) < 6  # what is flattened is but the front


@pytest.mark.parametrize("seed", (3, 5, 12))
def test_no_artery_runs_into_sternum_or_ribs(seed: int) -> None:
    patient = draw_patient(seed)
    for phase in (0.0, SYSTOLE):
        for segment in coronaries_of(patient, phase=phase):
            left, behind, z = segment.points.T
            inside_mm = Chest(patient).cavity_mm(z, np.rad2deg(np.arctan2(left, -behind)))
            assert (np.hypot(left, behind) + segment.radius_mm < inside_mm)[behind < 0].all()


def test_contraction_is_periodic() -> None:
    assert contraction(0.0) == contraction(1.0) == 0
    assert contraction(SYSTOLE) == 1
    assert contraction(1.75) == contraction(0.75)


def test_a_grid_away_from_the_heart_is_refused() -> None:
    with pytest.raises(ValueError, match="does not reach the heart"):
        heart_region(PATIENT, Geometry.from_spacing((4, 10, 10), (4.0, 2.0, 2.0), (-10.0, -10.0, 160.0)))
