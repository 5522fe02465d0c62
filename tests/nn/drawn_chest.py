"""A drawn chest: four chambers and the root of the aorta between two lungs, as an anatomy network would find them."""

import numpy as np

from ctacal.anatomy import Anatomy
from ctacal.arrays import Bytes
from ctacal.geometry import Geometry
from ctacal.nn.anatomy_stage import AnatomyMap

SHAPE = (40, 64, 96)
CHAMBERS = (
    (Anatomy.LEFT_VENTRICLE, (14, 30, 54), (5, 9, 9)),
    (Anatomy.RIGHT_VENTRICLE, (14, 18, 42), (5, 6, 9)),
    (Anatomy.LEFT_ATRIUM, (23, 36, 46), (4, 5, 7)),
    (Anatomy.RIGHT_ATRIUM, (18, 28, 34), (4, 6, 5)),
)
"""Centre (slice, row, column) and half axes of each chamber."""


def chest(*, lungs: tuple[Anatomy, Anatomy] = (Anatomy.LUNG, Anatomy.LUNG)) -> Bytes:
    """Draw both lungs as boxes, right one first; four chambers, ellipsoids, and the root of the aorta between them."""
    drawn = np.zeros(SHAPE, np.uint8)
    drawn[5:36, 10:56, 14:46], drawn[5:36, 10:56, 46:82] = lungs
    drawn[5:36, 10:46, 28:64] = Anatomy.OTHER
    places = np.indices(SHAPE)
    for chamber, centre, half in CHAMBERS:
        apart = sum(((at - c) / h) ** 2 for at, c, h in zip(places, centre, half, strict=True))
        drawn[np.asarray(apart <= 1)] = chamber
    drawn[19:27, 27:30, 44:48] = Anatomy.ASCENDING_AORTA
    return drawn


def map_of(drawn: Bytes) -> AnatomyMap:
    probability = np.moveaxis(np.eye(len(Anatomy), dtype=np.float32)[drawn], -1, 1)
    return AnatomyMap(probability, Geometry.from_spacing(drawn.shape, (5.0, 4.0, 4.0)))
