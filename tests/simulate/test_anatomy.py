"""Bodies drawn from a seed: repeatable, anatomically correct, with the arteries in the fat of their own heart."""

import numpy as np
import pytest

pytest.importorskip("numba")
pytest.importorskip("spekpy")

from ctacal.geometry import Geometry
from ctacal.heart import find_heart
from ctacal.simulate.anatomy.body import build_body, coronaries_of
from ctacal.simulate.anatomy.description import Patient, draw_patient
from ctacal.simulate.anatomy.heart import contraction
from ctacal.simulate.anatomy.structures import CODES, HEART, AnatomyMaps, Structure
from ctacal.simulate.materials import Tissue
from ctacal.simulate.scanner.attenuation import beam, tissue_hu
from ctacal.volume import Volume

pytestmark = pytest.mark.slow

TISSUE_HU = np.array([tissue_hu(beam(120.0, 7.0), tissue) for tissue in Tissue], np.float32)
WHOLE = Geometry.from_spacing((100, 250, 250), (4.0, 1.9, 1.9), (-236.0, -236.0, -220.0))
HEART_BOX = Geometry.from_spacing((70, 150, 150), (2.0, 1.0, 1.0), (-65.0, -100.0, -150.0))


@pytest.fixture(scope="module")
def patient() -> Patient:
    return draw_patient(3)


@pytest.fixture(scope="module")
def whole(patient: Patient) -> AnatomyMaps:
    return build_body(patient, WHOLE)


@pytest.fixture(scope="module")
def box(patient: Patient) -> AnatomyMaps:
    return build_body(patient, HEART_BOX)


def test_json_round_trip_gives_the_same_body(patient: Patient, box: AnatomyMaps) -> None:
    again = Patient.from_json(patient.to_json())
    assert again == patient
    assert np.array_equal(build_body(again, HEART_BOX).body.tissue, box.body.tissue)


def test_an_unknown_field_is_refused(patient: Patient) -> None:
    with pytest.raises(ValueError, match="halo"):
        Patient.from_json(patient.to_json().replace('"bmi"', '"halo"'))


def test_given_values_are_kept_and_seeds_differ() -> None:
    assert (draw_patient(1, sex="F", bmi=33.0).sex, draw_patient(1, sex="F", bmi=33.0).bmi) == ("F", 33.0)
    assert len({draw_patient(seed).height_cm for seed in range(20)}) == 20


def test_calibres_follow_dodge() -> None:
    men = [draw_patient(seed, sex="M") for seed in range(200)]
    assert np.mean([man.lad_mm for man in men]) == pytest.approx(3.7, abs=0.15)
    assert np.mean([man.lm_mm for man in men]) == pytest.approx(4.5, abs=0.15)
    assert np.mean([man.dominance == "right" for man in men]) == pytest.approx(0.85, abs=0.08)


def test_all_structures_are_there(whole: AnatomyMaps) -> None:
    counts = np.bincount(whole.structure.ravel(), minlength=CODES)
    missing = [s.name for s in Structure if counts[s] == 0 and s not in (Structure.BREAST, Structure.LM)]
    assert not missing
    assert whole.body.tissue.max() <= max(Tissue)


def test_volumes_are_those_of_a_body(whole: AnatomyMaps) -> None:
    ml = np.bincount(whole.structure.ravel(), minlength=CODES) * WHOLE.voxel_volume_mm3 / 1000
    assert 2000 < ml[Structure.LUNG] < 8500
    assert 60 < ml[Structure.LV_WALL] < 300
    assert 50 < ml[Structure.LV_BLOOD] < 300
    assert 60 < ml[Structure.RV_BLOOD] < 350
    assert 30 < ml[Structure.LA_BLOOD] < 200
    assert 700 < ml[Structure.LIVER] < 3500


def test_left_and_right_are_not_swapped(whole: AnatomyMaps) -> None:
    def middle(structure: Structure) -> np.ndarray:
        return WHOLE.to_patient_mm(np.argwhere(whole.structure == structure).mean(axis=0))

    assert middle(Structure.LIVER)[0] < -20 < 20 < middle(Structure.SPLEEN)[0]
    assert middle(Structure.LV_BLOOD)[0] > middle(Structure.RA_BLOOD)[0] + 20
    assert middle(Structure.LA_BLOOD)[1] > middle(Structure.RV_BLOOD)[1] + 20
    assert middle(Structure.STERNUM)[1] < middle(Structure.VERTEBRA)[1] - 80
    assert middle(Structure.CLAVICLE)[2] > middle(Structure.KIDNEY)[2] + 150


def test_find_heart_finds_it(whole: AnatomyMaps) -> None:
    found = find_heart(Volume(TISSUE_HU[whole.body.tissue], WHOLE)).mask
    heart = np.isin(whole.structure, HEART)
    assert np.count_nonzero(found & heart) > 0.75 * np.count_nonzero(heart)
    assert 2 * np.count_nonzero(found & heart) / (found.sum() + heart.sum()) > 0.55


def test_a_part_is_the_same_as_in_the_whole(patient: Patient, box: AnatomyMaps) -> None:
    part = HEART_BOX.crop((slice(20, 50), slice(20, 130), slice(10, 140)))
    same = build_body(patient, part).body.tissue == box.body.tissue[20:50, 20:130, 10:140]
    assert same.all()


def test_coronaries_have_their_lengths_and_lie_in_fat(box: AnatomyMaps) -> None:
    lengths = {segment.name: segment.length_mm for segment in box.coronaries}
    assert 70 < lengths["LAD"] < 170
    assert 40 < lengths["LCX"] < 170
    assert 70 < lengths["RCA"] < 190
    for segment in box.coronaries:
        if segment.name in ("LAD", "RCA"):
            ring = segment.points[:, None] + np.array([(3.5, 0, 0), (-3.5, 0, 0), (0, 3.5, 0), (0, -3.5, 0)])
            index = np.linalg.inv(HEART_BOX.affine) @ np.vstack([ring.reshape(-1, 3).T, np.ones(ring.size // 3)])
            at = np.rint(index[:3]).astype(int)
            at = at[:, ((at >= 0) & (HEART_BOX.shape > at.T).T).all(axis=0)]
            assert (box.body.tissue[tuple(at)] == Tissue.FAT).mean() > 0.3


def test_the_heart_beats_and_the_right_coronary_moves_most(patient: Patient) -> None:
    rest, squeezed = coronaries_of(patient), coronaries_of(patient, phase=0.36)
    moved = {
        a.name: float(np.linalg.norm(a.points[len(a.points) // 2] - b.points[len(b.points) // 2]))
        for a, b in zip(rest, squeezed, strict=True)
    }
    assert 2 < moved["LAD"] < moved["RCA"] < 40
    assert contraction(0.0) == contraction(1.0) == 0


def test_systole_empties_the_ventricle(patient: Patient, box: AnatomyMaps) -> None:
    systole = build_body(patient, HEART_BOX, phase=0.36)
    full, emptied = ((maps.structure == Structure.LV_BLOOD).sum() for maps in (box, systole))
    assert 0.2 < emptied / full < 0.8


@pytest.mark.slow
def test_breathing_in_lowers_the_diaphragm(patient: Patient, box: AnatomyMaps) -> None:
    deep = build_body(patient, HEART_BOX, breath_mm=15.0)
    assert (deep.structure == Structure.LUNG).sum() > 1.02 * (box.structure == Structure.LUNG).sum()


def test_a_turned_grid_is_refused(patient: Patient) -> None:
    with pytest.raises(ValueError, match="canonical"):
        build_body(patient, HEART_BOX.transpose((2, 1, 0)))
