"""The compiled kernels' predicates hold for the structures that their names promise."""

import pytest

pytest.importorskip("numba")

from ctacal.simulate.anatomy.heart_kernels import gives_way_to_heart, is_blood
from ctacal.simulate.anatomy.lung_kernels import takes_vessels
from ctacal.simulate.anatomy.structures import CODES, Structure
from ctacal.simulate.anatomy.wall_kernels import (
    CAVITY_EDGE,
    DEEP_EDGE,
    MIDDLE_EDGE,
    SHALLOW_EDGE,
    SKIN_EDGE,
    is_muscle_within,
)  # fmt: skip
from ctacal.simulate.materials import Tissue

CHEST_WALL = {Structure.OUTSIDE, Structure.BODY_WALL, Structure.BREAST, Structure.ARM}
BONES = {
    Structure.RIB, Structure.COSTAL_CARTILAGE, Structure.STERNUM, Structure.CLAVICLE, Structure.SCAPULA,
    Structure.VERTEBRA, Structure.DISC, Structure.HUMERUS,
}  # fmt: skip


def test_all_codes_fit_into_the_tables() -> None:
    assert max(*Structure, *Tissue) < CODES


def test_odd_chambers_are_blood() -> None:
    for structure in map(Structure, range(Structure.LV_WALL, Structure.RA_BLOOD + 1)):
        assert is_blood(int(structure)) == structure.name.endswith("_BLOOD")


def test_the_heart_spares_chest_wall_and_bones() -> None:
    assert {structure for structure in Structure if not gives_way_to_heart(int(structure))} == CHEST_WALL | BONES


def test_lung_vessels_stay_in_the_chest_wall_and_lung() -> None:
    expected = CHEST_WALL | {Structure.LUNG, Structure.LUNG_VESSEL}
    assert {structure for structure in Structure if takes_vessels(int(structure))} == expected


def test_three_layers_of_the_wall_are_muscle() -> None:
    muscles = [edge for edge in range(CAVITY_EDGE, SKIN_EDGE + 1) if is_muscle_within(edge)]
    assert muscles == [DEEP_EDGE, MIDDLE_EDGE, SHALLOW_EDGE]
