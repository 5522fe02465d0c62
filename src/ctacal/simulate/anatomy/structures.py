"""``Structure``: the anatomical structure of each voxel of a body; ``AnatomyMaps``: a body with these labels."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from ctacal.simulate.materials import Body

Points = NDArray[np.float64]
"""(n, 3): positions (L, P, S) in mm."""


CODES = 64
"""All values of ``Structure`` and ``Tissue`` are below this; lookup tables have as many entries."""


class Structure(IntEnum):
    """The values of a structure map.

    Compiled kernels rely on the order: ``RIB`` to ``HUMERUS`` are the skeleton, those up to ``ARM`` are chest wall
    and arms; of the heart's chambers (``LV_WALL`` to ``RA_BLOOD``) walls are even and blood is odd.
    """

    OUTSIDE = 0
    BODY_WALL = 1
    """Skin, subcutaneous fat and muscle."""
    BREAST = 2
    ARM = 3
    LUNG = 4
    LUNG_VESSEL = 5
    AIRWAY = 6
    RIB = 7
    COSTAL_CARTILAGE = 8
    STERNUM = 9
    CLAVICLE = 10
    SCAPULA = 11
    VERTEBRA = 12
    DISC = 13
    HUMERUS = 14
    DIAPHRAGM = 15
    LIVER = 16
    STOMACH = 17
    SPLEEN = 18
    KIDNEY = 19
    ABDOMEN = 20
    """Fat and bowel below the diaphragm."""
    OESOPHAGUS = 21
    MEDIASTINUM = 22
    """Fat between the lungs, outside of the pericardium."""
    LYMPH_NODE = 23
    PERICARDIUM = 30
    EPICARDIAL_FAT = 31
    LV_WALL = 32
    LV_BLOOD = 33
    RV_WALL = 34
    RV_BLOOD = 35
    LA_WALL = 36
    LA_BLOOD = 37
    RA_WALL = 38
    RA_BLOOD = 39
    AORTA = 40
    PULMONARY_ARTERY = 41
    SUPERIOR_VENA_CAVA = 42
    INFERIOR_VENA_CAVA = 43
    ARCH_BRANCH = 44
    PULMONARY_VEIN = 45
    LM = 50
    LAD = 51
    LCX = 52
    RCA = 53


HEART = (*range(Structure.PERICARDIUM, Structure.RA_BLOOD + 1), *range(Structure.LM, Structure.RCA + 1))
"""Structures within the pericardial sac, without the great vessels."""


@dataclass(frozen=True, eq=False, slots=True)
class CoronarySegment:
    """A coronary artery segment: centre line from its origin, and radius."""

    name: str
    """LM, LAD, D1, D2, LCX, OM1, OM2, RCA, PDA, PLV."""
    vessel: Structure
    """The artery to which its calcium counts: LM, LAD, LCX or RCA."""
    points: Points
    radius_mm: NDArray[np.float64]

    @property
    def length_mm(self) -> float:
        """Length of the centre line."""
        return float(np.linalg.norm(np.diff(self.points, axis=0), axis=1).sum())


@dataclass(frozen=True, eq=False, slots=True)
class AnatomyMaps:
    """A body with the structure of each voxel and the coronary arteries."""

    body: Body
    structure: NDArray[np.uint8]
    """(slices, rows, columns) of ``Structure``."""
    coronaries: tuple[CoronarySegment, ...]
