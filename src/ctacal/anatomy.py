"""``Anatomy``: the structures that an anatomy network tells apart on a whole scan."""

from enum import IntEnum


class Anatomy(IntEnum):
    """The classes of an anatomy network, and the values of its label maps.

    They decide where calcium lies, and whether a scan shows a heart (own choice). A wall is not parted from the blood
    inside it: a scan without contrast medium shows no border between them.
    """

    OTHER = 0
    """Everything else: air around the body, chest wall, arms, breasts, mediastinal fat, nodes, oesophagus."""
    LEFT_VENTRICLE = 1
    RIGHT_VENTRICLE = 2
    LEFT_ATRIUM = 3
    RIGHT_ATRIUM = 4
    PERICARDIAL_SPACE = 5
    """Between chambers and pericardium: epicardial fat and the coronary arteries, with the pericardium itself."""
    ASCENDING_AORTA = 6
    """From the valve to the arch."""
    AORTA = 7
    """The arch with its branches, and the descending aorta."""
    PULMONARY_ARTERY = 8
    """The trunk and both main arteries, as far as the hilum."""
    VEIN = 9
    """Both venae cavae and the pulmonary veins, outside of the lungs."""
    LUNG = 10
    """With the vessels in it."""
    AIRWAY = 11
    BONE = 12
    """With cartilage of the ribs and discs of the spine."""
    ABDOMEN = 13
    """Diaphragm and all that lies below it."""

    @property
    def title(self) -> str:
        """The name in words."""
        return self.name.lower().replace("_", " ")


HEART = (
    Anatomy.LEFT_VENTRICLE, Anatomy.RIGHT_VENTRICLE, Anatomy.LEFT_ATRIUM, Anatomy.RIGHT_ATRIUM,
    Anatomy.PERICARDIAL_SPACE,
)  # fmt: skip
"""The classes inside the pericardium, without the great vessels: the heart mask."""
