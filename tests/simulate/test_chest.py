"""The chest wall, the skeleton and the organs' textures: their HU, and how they depend on the patient."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

pytest.importorskip("numba")
pytest.importorskip("spekpy")

from ctacal.geometry import Geometry
from ctacal.simulate.anatomy.body import build_body
from ctacal.simulate.anatomy.chest import Chest
from ctacal.simulate.anatomy.description import Patient, draw_patient
from ctacal.simulate.anatomy.spine import vertebra
from ctacal.simulate.anatomy.structures import AnatomyMaps, Structure
from ctacal.simulate.anatomy.texture import GRADE_HU, GRADES
from ctacal.simulate.anatomy.wall import wall_layers
from ctacal.simulate.anatomy.wall_kernels import CAVITY_EDGE, MUSCLE_EDGE, RIB_EDGE, SHALLOW_EDGE, SKIN_EDGE
from ctacal.simulate.materials import Tissue
from ctacal.simulate.scanner.attenuation import beam, tissue_hu

HU = np.array([tissue_hu(beam(120.0, 7.0), tissue) for tissue in Tissue])
SLICES = Geometry.from_spacing((10, 190, 240), (3.0, 2.0, 2.0), (-240.0, -180.0, -75.0))
"""Ten slices through the heart."""
CALCIFIED = (Tissue.BONE_THIN, Tissue.BONE_TRABECULAR_DENSER)


def read(maps: AnatomyMaps, structure: Structure) -> NDArray[np.float64]:
    return np.asarray(HU[maps.body.tissue[maps.structure == structure]])


@pytest.fixture(scope="module")
def patient() -> Patient:
    return replace(draw_patient(3, sex="M", age_years=60.0, bmi=26.0), emphysema=0.0, atelectasis_mm=0.0)


@pytest.fixture(scope="module")
def chest_maps(patient: Patient) -> AnatomyMaps:
    return build_body(patient, SLICES)


def test_grades_read_what_the_scanner_tables_say() -> None:
    for tissues, values in zip(GRADES, GRADE_HU, strict=True):
        assert HU[list(tissues)] == pytest.approx(np.array(values), abs=2)
        assert list(values) == sorted(values)


def test_bone_thins_with_age() -> None:
    young, old = (
        np.array([draw_patient(seed, age_years=age).trabecular_hu for seed in range(200)]) for age in (30.0, 75.0)
    )
    assert young.mean() == pytest.approx(210, abs=8)
    assert old.mean() == pytest.approx(107, abs=8)
    assert young.std() > 15


@pytest.mark.slow
@pytest.mark.parametrize("wanted_hu", [90.0, 200.0])
def test_vertebrae_have_the_patients_density_and_a_brighter_shell(patient: Patient, wanted_hu: float) -> None:
    bone = vertebra(Chest(patient), 14)
    x, y, z = bone.middle
    grid = Geometry.from_spacing((12, 60, 60), (2.0, 1.0, 1.0), (x - 30, y - 25, z - 12))
    maps = build_body(replace(patient, trabecular_hu=wanted_hu), grid)
    hu = HU[maps.body.tissue]
    assert hu[4:8, 18:32, 22:38].mean() == pytest.approx(wanted_hu, abs=20)
    assert hu[4:8, 18:32, 22:38].std() > 15
    edge = int(25 - bone.deep)  # the front's shell crosses the middle column here
    assert hu[5, edge - 2 : edge + 4, 30].max() > 600
    canal = int(25 + bone.canal_mm)
    assert np.isin(maps.body.tissue[5, canal, 30], (Tissue.SOFT, Tissue.WATER))


def test_the_back_of_the_lung_is_denser(chest_maps: AnatomyMaps, patient: Patient) -> None:
    hu = HU[chest_maps.body.tissue]
    lung = chest_maps.structure == Structure.LUNG
    rows = np.argwhere(lung)[:, 1]
    front, back = np.quantile(rows, (0.25, 0.75))
    at = np.arange(SLICES.shape[1])[None, :, None]
    fall = hu[lung & (at > back)].mean() - hu[lung & (at < front)].mean()
    assert 35 < fall < 110  # 57 and 45 HU in the real scans
    assert np.median(hu[lung]) == pytest.approx(patient.lung_hu, abs=60)


@pytest.mark.slow
def test_emphysema_makes_holes(patient: Patient, chest_maps: AnatomyMaps) -> None:
    ill = build_body(replace(patient, emphysema=0.9), SLICES)
    shares = [(read(maps, Structure.LUNG) < -930).mean() for maps in (chest_maps, ill)]
    assert shares[1] > shares[0] + 0.02


@pytest.mark.slow
@pytest.mark.parametrize("wanted_hu", [15.0, 56.0])
def test_the_liver_has_the_patients_density_and_a_texture(patient: Patient, wanted_hu: float) -> None:
    grid = Geometry.from_spacing((6, 90, 120), (4.0, 2.0, 2.0), (-150.0, -80.0, -180.0))
    maps = build_body(replace(patient, liver_hu=wanted_hu), grid)
    liver = maps.structure == Structure.LIVER
    hu = HU[maps.body.tissue]
    assert np.median(hu[liver]) == pytest.approx(wanted_hu, abs=12)
    inside = ndimage.uniform_filter(liver.astype(float), (1, 5, 5)) > 0.999
    means = ndimage.uniform_filter(hu, (1, 5, 5))[inside]  # over 10 mm
    assert means.size > 500
    assert 1.0 < means.std() < 12


@pytest.mark.slow
def test_fat_lies_between_the_muscles(patient: Patient) -> None:
    grid = Geometry.from_spacing((1, 380, 480), (1.0, 1.0, 1.0), (-240.0, -180.0, -30.0))
    tissue = build_body(patient, grid).body.tissue[0]
    chest = Chest(patient)
    runs = []
    for angle in np.arange(60.0, 150.0, 2.0):
        layers = wall_layers(chest, np.array([-30.0]))[0, :, int(angle)]
        rho = np.arange(layers[RIB_EDGE] + 2, layers[MUSCLE_EDGE], 0.5)
        turn = np.deg2rad(angle)
        i, j = np.rint(rho * np.sin(turn) + 240).astype(int), np.rint(-rho * np.cos(turn) + 180).astype(int)
        muscle = np.isin(tissue[j, i], (Tissue.MUSCLE, Tissue.MUSCLE_FATTY, Tissue.MUSCLE_FATTIER))
        runs.append(np.count_nonzero(np.diff(muscle.astype(int)) == 1) + int(muscle[0]))
    assert np.median(runs) >= 2
    assert max(runs) < 12


def test_layers_of_the_wall_are_in_order(patient: Patient) -> None:
    for arms_up in (True, False):
        layers = wall_layers(Chest(replace(patient, arms_up=arms_up)), np.arange(-240.0, 190.0, 10.0))
        assert (np.diff(layers[:, CAVITY_EDGE : SHALLOW_EDGE + 1], axis=1) >= -1e-9).all()
        assert (layers[:, SKIN_EDGE] >= layers[:, MUSCLE_EDGE] + 2).all()


def test_muscle_is_fattier_in_the_old_and_the_obese() -> None:
    lean = np.mean([draw_patient(seed, age_years=40.0, bmi=22.0).muscle_hu for seed in range(100)])
    obese = np.mean([draw_patient(seed, age_years=80.0, bmi=38.0).muscle_hu for seed in range(100)])
    assert obese < lean - 8


def test_ribs_have_a_cortex_and_marrow(chest_maps: AnatomyMaps) -> None:
    hu = read(chest_maps, Structure.RIB)
    assert 0.2 < (hu > 1000).mean() < 0.85
    assert (hu < 300).mean() > 0.1


@pytest.mark.slow
def test_cartilage_calcifies_as_much_as_the_patient_says(patient: Patient) -> None:
    grid = Geometry.from_spacing((30, 50, 120), (4.0, 2.0, 2.0), (-120.0, -150.0, -110.0))

    def share(calcification: float, seed: int) -> float:
        maps = build_body(replace(patient, cartilage_calcification=calcification, seed=seed), grid)
        tissue = maps.body.tissue[maps.structure == Structure.COSTAL_CARTILAGE]
        return float(np.isin(tissue, CALCIFIED).mean())

    assert share(0.0, 1) < 0.02
    assert share(0.6, 1) > share(0.15, 1) + 0.01
    assert 0.02 < share(0.6, 2) < 0.6


@pytest.mark.slow
def test_breasts_are_on_women_only() -> None:
    grid = Geometry.from_spacing((4, 80, 200), (6.0, 2.5, 2.5), (-250.0, -200.0, -90.0))
    woman, man = (build_body(draw_patient(4, sex=sex), grid) for sex in ("F", "M"))
    assert (woman.structure == Structure.BREAST).sum() > 500
    assert not (man.structure == Structure.BREAST).any()
    assert np.isin(woman.body.tissue[woman.structure == Structure.BREAST], (Tissue.BREAST_GLAND, Tissue.SOFT)).any()


@pytest.mark.slow
def test_raised_arms_leave_the_chest(patient: Patient) -> None:
    up, down = (build_body(replace(patient, arms_up=arms), SLICES).structure for arms in (True, False))
    assert not (up == Structure.ARM).any()
    assert (down == Structure.ARM).sum() > 1000
    assert (down == Structure.HUMERUS).sum() > 100
