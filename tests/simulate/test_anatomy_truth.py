"""The true anatomy of a scan: each structure has its class, deposits leave no hole, the aorta is parted."""

import numpy as np
import pytest

from ctacal.anatomy import HEART, Anatomy
from ctacal.geometry import Geometry
from ctacal.simulate.anatomy.body import build_body
from ctacal.simulate.anatomy.description import draw_patient
from ctacal.simulate.anatomy.structures import HEART as IN_PERICARDIUM
from ctacal.simulate.anatomy.structures import Structure
from ctacal.simulate.training.anatomy_truth import anatomy_of, without_deposits
from ctacal.simulate.truth import KIND_LABELS, VESSEL_LABELS

PATIENT = draw_patient(3)
LINE = Geometry.from_spacing((1, 1, 7), (5.0, 4.0, 4.0), (500.0, 0.0, 0.0))


def classes(*structures: int) -> list[int]:
    row = np.array(structures, np.uint8).reshape(1, 1, -1)
    return anatomy_of(row, Geometry.from_spacing(row.shape, (5.0, 4.0, 4.0)), PATIENT).ravel().tolist()


def test_each_structure_has_its_class() -> None:
    found = classes(Structure.OUTSIDE, Structure.LV_WALL, Structure.RA_BLOOD, Structure.LAD, Structure.RIB)
    expected = [Anatomy.OTHER, Anatomy.LEFT_VENTRICLE, Anatomy.RIGHT_ATRIUM, Anatomy.PERICARDIAL_SPACE, Anatomy.BONE]
    assert found == expected
    found = classes(Structure.HUMERUS, Structure.DIAPHRAGM, Structure.ABDOMEN, Structure.OESOPHAGUS, Structure.LUNG)
    assert found == [Anatomy.BONE, Anatomy.ABDOMEN, Anatomy.ABDOMEN, Anatomy.OTHER, Anatomy.LUNG]


def test_the_heart_is_what_the_simulator_calls_heart() -> None:
    every = [int(structure) for structure in Structure]
    heart = {structure for structure, found in zip(every, classes(*every), strict=True) if found in HEART}
    assert heart == set(IN_PERICARDIUM)


def test_a_deposit_belongs_to_the_nearest_structure() -> None:
    plaque, node = VESSEL_LABELS["LAD"], max(KIND_LABELS.values())
    row = np.array([33, 33, plaque, 4, node, 4, node], np.uint8).reshape(1, 1, 7)
    assert without_deposits(row, LINE).ravel().tolist() in ([33, 33, 33, 4, 4, 4, 4], [33, 33, 4, 4, 4, 4, 4])
    assert not without_deposits(np.full((1, 1, 7), plaque, np.uint8), LINE).any()


@pytest.mark.slow
def test_the_ascending_aorta_lies_in_front_of_the_descending_one() -> None:
    """In the slices below the arch, from the valve upwards, both are there, apart by more than 15 mm."""
    grid = Geometry.from_spacing((30, 100, 130), (5.0, 3.0, 3.0), (-190.0, -150.0, -100.0))
    maps = build_body(PATIENT, grid)
    found = anatomy_of(maps.structure, grid, PATIENT)
    ascending, descending = found == Anatomy.ASCENDING_AORTA, found == Anatomy.AORTA
    assert (ascending | descending)[maps.structure == Structure.AORTA].all()
    both = [k for k in range(len(found)) if ascending[k].any() and descending[k].any()]
    below_arch = both[: len(both) // 2]
    assert len(below_arch) >= 4
    for k in below_arch:
        back, front = np.argwhere(descending[k])[:, 0], np.argwhere(ascending[k])[:, 0]
        assert back.mean() - front.mean() > 15 / 3
    ml = np.count_nonzero(ascending) * grid.voxel_volume_mm3 / 1000
    assert 25 < ml < 150
