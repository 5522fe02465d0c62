"""What a simulated body is made of: ``Tissue`` per voxel, and hydroxyapatite on top of it."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from ctacal.geometry import Geometry


class Tissue(IntEnum):
    """The values of a tissue map; composition and density of each are in the scanner's tables."""

    AIR = 0
    LUNG = 1
    FAT = 2
    MUSCLE = 3
    SKIN = 4
    BLOOD = 5
    MYOCARDIUM = 6
    SOFT = 7
    """Oesophagus, lymph node, bowel wall, thymus, airway and vessel walls."""
    LIVER = 8
    CARTILAGE = 9
    BONE_TRABECULAR = 10
    BONE_CORTICAL = 11
    WATER = 12
    """Stomach content; and phantoms."""
    TABLE = 13
    STEEL = 14
    """Sternal wires, clips, valve frames."""
    TITANIUM = 15
    """Pacemaker housing, some stents."""


@dataclass(frozen=True, eq=False, slots=True)
class Body:
    """A body to be scanned, on a fine grid."""

    tissue: NDArray[np.uint8]
    """(slices, rows, columns) of ``Tissue``."""
    hydroxyapatite_mg_cm3: NDArray[np.float32]
    """Calcium beyond the tissue's own, per voxel: plaques, calcified valves and nodes; displaces the tissue."""
    geometry: Geometry

    def __post_init__(self) -> None:
        if self.tissue.shape != self.geometry.shape or self.hydroxyapatite_mg_cm3.shape != self.geometry.shape:
            raise ValueError(f"maps of shape {self.tissue.shape} do not lie on a grid of {self.geometry.shape}")
