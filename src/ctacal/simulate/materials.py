"""Materials of a simulated body: a ``Tissue`` per voxel, and the hydroxyapatite in it."""

from dataclasses import dataclass
from enum import IntEnum

from ctacal.arrays import Bytes, Floats32
from ctacal.geometry import Geometry


class Tissue(IntEnum):
    """Values of a tissue map; ``scanner.attenuation`` has the composition and density of each."""

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
    """Also stomach content, and phantoms."""
    TABLE = 13
    STEEL = 14
    """Sternal wires, clips, valve frames."""
    TITANIUM = 15
    """Pacemaker housing, some stents."""
    LUNG_INFLATED_MOST = 16
    """Lung from emphysema to collapse; ``LUNG`` lies between ``LUNG_INFLATED`` and ``LUNG_DEPENDENT``."""
    LUNG_INFLATED_MORE = 17
    LUNG_INFLATED = 18
    LUNG_DEPENDENT = 19
    LUNG_DENSE = 20
    LUNG_DENSER = 21
    """Half air; also fissures and vessels thinner than a voxel."""
    FAT_STRANDED = 22
    """Fat with a third of connective tissue: septa, fasciae, small vessels."""
    MUSCLE_FATTY = 23
    MUSCLE_FATTIER = 24
    LIVER_DENSE = 25
    LIVER_FATTY = 26
    LIVER_FATTIER = 27
    LIVER_FATTIEST = 28
    SPLEEN = 29
    KIDNEY = 30
    MARROW = 31
    """No mineral, half of it fat."""
    BONE_POROTIC = 32
    """Trabecular bone of old age; ``BONE_TRABECULAR`` and the two that follow are denser."""
    BONE_TRABECULAR_DENSE = 33
    BONE_TRABECULAR_DENSER = 34
    BONE_THIN = 35
    """A cortex thinner than a voxel, with the marrow beside it; end plates, calcified cartilage."""
    FOAM = 36
    """Mattresses and table cores."""
    CARBON = 37
    """Skin of the table."""
    PLASTIC = 38
    """Electrodes, leads of carbon."""
    BREAST_GLAND = 39
    """A quarter of it fat."""
    BONE_DENSE = 40
    """A thin cortex, thicker than ``BONE_THIN``: ribs, vertebral arches and shoulder blades."""
    CLOTH = 41


@dataclass(frozen=True, eq=False, slots=True)
class Body:
    """A body to be scanned, on a fine grid."""

    tissue: Bytes
    """(slices, rows, columns) of ``Tissue``."""
    hydroxyapatite_mg_cm3: Floats32
    """Mineral per voxel beyond that of the tissue itself: plaques, calcified valves and nodes; displaces the tissue."""
    geometry: Geometry

    def __post_init__(self) -> None:
        if self.tissue.shape != self.geometry.shape or self.hydroxyapatite_mg_cm3.shape != self.geometry.shape:
            raise ValueError(f"maps of shape {self.tissue.shape} do not lie on a grid of {self.geometry.shape}")
