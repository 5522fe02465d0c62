"""Coded concepts (PS3.3 section 8.8) of anatomy, calcium and devices: written into DICOM objects and read from them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from ctacal.labels import Calcium

if TYPE_CHECKING:
    from pydicom.sr.coding import Code


@dataclass(frozen=True, slots=True)
class Concept:
    """A code with its meaning (PS3.3 8.8)."""

    code: str
    meaning: str
    scheme: str = "SCT"

    def __post_init__(self) -> None:
        """Lengths are those of PS3.3 table 8.8-1."""
        if not 0 < len(self.code) <= 16 or not 0 < len(self.meaning) <= 64:
            raise ValueError(f"expected a code of up to 16 and a meaning of up to 64 characters, got {self}")

    def coded(self) -> "Code":
        """Return the concept in the form that highdicom takes."""
        from pydicom.sr.coding import Code  # 0.1 s with its tables, which only writing needs

        return Code(self.code, self.scheme, self.meaning)

    def worded(self, meaning: str) -> "Concept":
        """Return the same code with another of its meanings (SNOMED CT has several terms for a concept)."""
        return replace(self, meaning=meaning)


ABNORMAL = Concept("49755003", "Morphologically Abnormal Structure")
AGATSTON_SCORE = Concept("450360000", "Coronary artery calcium score")
CALCIFICATION = Concept("18115005", "pathologic calcification")
PHYSICAL_OBJECT = Concept("260787004", "Physical object")

LEFT_MAIN = Concept("3227004", "Left Main Coronary Artery")
LEFT_ANTERIOR_DESCENDING = Concept("59438005", "Left Anterior Descending Coronary Artery")
CIRCUMFLEX = Concept("57396003", "Circumflex Coronary Artery")
RIGHT_CORONARY = Concept("13647002", "Right Coronary Artery")
CORONARY_ARTERY = Concept("41801008", "Coronary artery")
THORAX = Concept("51185008", "Thorax")

AORTA = Concept("15825003", "Aorta")
AORTIC_VALVE = Concept("34202007", "Aortic valve")
MITRAL_ANNULUS = Concept("65197004", "Mitral annulus")
PERICARDIUM = Concept("76848001", "Pericardium")
LEFT_VENTRICLE_MYOCARDIUM = Concept("49848007", "Left Ventricle Myocardium")
LYMPH_NODE = Concept("59441001", "Lymph node")
HILUM_OF_LUNG = Concept("46750007", "Hilum of lung")
PLEURA = Concept("3120008", "Pleura")
STERNUM = Concept("56873002", "Sternum")

STENT = Concept("65818007", "Stent")
PACEMAKER_LEAD = Concept("360129009", "Cardiac pacemaker lead")
CLIP = Concept("77720000", "Clip")
PACEMAKER = Concept("14106009", "Cardiac pacemaker")
DEFIBRILLATOR = Concept("72506001", "Implantable defibrillator")
CONTRAST_MEDIA = Concept("385420005", "Contrast media")
IMPLANT = Concept("40388003", "Implant")
VALVE_PROSTHESIS = Concept("25510005", "Heart valve prosthesis")

REGIONS: Mapping[Calcium, Concept] = MappingProxyType(
    {
        Calcium.LM: LEFT_MAIN,
        Calcium.LAD: LEFT_ANTERIOR_DESCENDING,
        Calcium.LCX: CIRCUMFLEX,
        Calcium.RCA: RIGHT_CORONARY,
        Calcium.CORONARY: CORONARY_ARTERY,
        Calcium.OTHER: THORAX,
    }
)
"""Anatomic region written for each label: a coronary artery (PS3.16 CID 3015), or the chest for other calcium."""

_NOT_CORONARY = (
    AORTA, AORTIC_VALVE, MITRAL_ANNULUS, PERICARDIUM, LEFT_VENTRICLE_MYOCARDIUM, LYMPH_NODE, HILUM_OF_LUNG, PLEURA,
    STERNUM,
    STENT, PACEMAKER_LEAD, CLIP, PACEMAKER, DEFIBRILLATOR, CONTRAST_MEDIA,
)  # fmt: skip

SNOMED_CODES: Mapping[str, Calcium] = MappingProxyType(
    {concept.code: label for label, concept in REGIONS.items() if label.is_coronary}
    | dict.fromkeys((concept.code for concept in _NOT_CORONARY), Calcium.OTHER)
)
"""Label of a SEG segment, by the SNOMED CT code of its anatomic region or of the device that it shows. The code of the
chest is left out: the name of such a segment decides."""
