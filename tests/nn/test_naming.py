"""What islands are taken for, by a map of the anatomy that is drawn by hand."""

import numpy as np
import pytest

from ctacal.anatomy import Anatomy
from ctacal.geometry import Geometry
from ctacal.islands import Islands, find_islands
from ctacal.labels import Calcium
from ctacal.nn.anatomy_stage import AnatomyMap
from ctacal.nn.classes import BY_VESSEL
from ctacal.nn.naming import taken_for
from ctacal.uncounted import TakenFor
from ctacal.volume import Volume

SCAN = Geometry.from_spacing((20, 40, 120), (5.0, 2.0, 2.0))
COARSE = Geometry.from_spacing((20, 20, 60), (5.0, 4.0, 4.0), (1.0, 1.0, 0.0))
COLUMNS = {
    Anatomy.BONE: 5, Anatomy.LUNG: 10, Anatomy.PERICARDIAL_SPACE: 15, Anatomy.RIGHT_ATRIUM: 20,
    Anatomy.RIGHT_VENTRICLE: 25, Anatomy.LEFT_VENTRICLE: 30, Anatomy.LEFT_ATRIUM: 35, Anatomy.VEIN: 40,
    Anatomy.PULMONARY_ARTERY: 45, Anatomy.AIRWAY: 50, Anatomy.AORTA: 55, Anatomy.ABDOMEN: 60,
}  # fmt: skip
"""Each structure ends at this column of the coarse grid, where the next begins; bone at the right of the patient."""


def drawn_map() -> AnatomyMap:
    """Slabs of structures from right to left; above slice 10 the ascending aorta stands on the left ventricle."""
    likeliest = np.zeros(COARSE.shape, np.int64)
    begin = 0
    for structure, end in COLUMNS.items():
        likeliest[:, :, begin:end] = structure
        begin = end
    likeliest[10:, :, 25:30] = Anatomy.ASCENDING_AORTA
    probability = np.moveaxis(np.eye(len(Anatomy), dtype=np.float32)[likeliest], -1, 1)
    return AnatomyMap(np.ascontiguousarray(probability), COARSE)


def island(coarse_column: float, coarse_slice: int, hu: float = 300.0) -> Islands:
    """Return an island of 2 x 2 pixels, at a column of the coarse grid."""
    volume = Volume(np.full(SCAN.shape, 40.0, np.float32), SCAN)
    column = round(2 * coarse_column)
    volume.hu[coarse_slice, 20:22, column : column + 2] = hu
    return find_islands(volume, np.nonzero(volume.hu >= 130))


def class_of(label: int, chance: float = 0.9) -> np.ndarray:
    probability = np.full((1, len(BY_VESSEL)), (1 - chance) / (len(BY_VESSEL) - 1))
    probability[0, BY_VESSEL.index(label)] = chance
    return probability


@pytest.mark.parametrize(
    ("column", "at_slice", "name"),
    [
        (2, 5, TakenFor.BONE),
        (7, 5, TakenFor.LUNG),
        (12, 5, TakenFor.PERICARDIUM),
        (24.5, 5, TakenFor.MYOCARDIUM),
        (20, 5, TakenFor.TRICUSPID_ANNULUS),
        (30, 5, TakenFor.MITRAL_ANNULUS),
        (27, 10, TakenFor.AORTIC_VALVE),
        (27, 15, TakenFor.ASCENDING_AORTA),
        (37, 5, TakenFor.VEIN),
        (42, 5, TakenFor.PULMONARY_ARTERY),
        (47, 5, TakenFor.AIRWAY),
        (53, 5, TakenFor.AORTA),
        (58, 5, TakenFor.ABDOMEN),
    ],
)
def test_calcium_is_named_by_what_it_touches(column: float, at_slice: int, name: TakenFor) -> None:
    assert taken_for(island(column, at_slice), class_of(Calcium.OTHER), BY_VESSEL, drawn_map()) == (name,)


def test_what_is_no_calcium_is_named_only_outside_the_heart() -> None:
    found = [taken_for(island(column, 5), class_of(0), BY_VESSEL, drawn_map())[0] for column in (2, 27, 53, 58)]
    assert found == [TakenFor.BONE, TakenFor.NO_CALCIUM, TakenFor.NO_CALCIUM, TakenFor.ABDOMEN]


def test_without_anatomy_the_class_alone_gives_the_name() -> None:
    here = island(27, 15)
    by_class = {0: TakenFor.NO_CALCIUM, Calcium.OTHER: TakenFor.OTHER_CALCIUM, Calcium.LAD: TakenFor.DOUBTFUL}
    for label, name in by_class.items():
        assert taken_for(here, class_of(label, 0.45), BY_VESSEL, None) == (name,)
    assert taken_for(here, class_of(Calcium.LAD, 0.45), BY_VESSEL, drawn_map()) == (TakenFor.DOUBTFUL,)


def test_metal_is_told_by_its_ct_value() -> None:
    assert taken_for(island(27, 5, 2500.0), class_of(0), BY_VESSEL, None) == (TakenFor.METAL,)


def test_no_island_has_no_name() -> None:
    empty = island(27, 5, 40.0)
    assert taken_for(empty, np.zeros((0, len(BY_VESSEL))), BY_VESSEL, drawn_map()) == ()
