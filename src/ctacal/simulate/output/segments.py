"""The segments of the DICOM SEG of a simulated study: calcium by vessel or site, and metal."""

from collections.abc import Mapping
from types import MappingProxyType

from ctacal.dicom.objects import codes
from ctacal.dicom.objects.codes import Concept
from ctacal.dicom.objects.seg_writer import SegmentOf
from ctacal.simulate.anatomy.calcium import Kind
from ctacal.simulate.truth import KIND_LABELS, VESSEL_LABELS

SegmentWords = tuple[str, Concept, Concept, Concept | None]
"""Name, category, type and anatomic region of a segment."""


def _calcium(name: str, region: Concept) -> SegmentWords:
    return name, codes.ABNORMAL, codes.CALCIFICATION.worded("Pathologic calcification, calcified structure"), region


def _device(name: str, kind: Concept, region: Concept | None = None) -> SegmentWords:
    return name, codes.PHYSICAL_OBJECT, kind, region


OTHER_CALCIUM = 109
"""Value of calcium outside the coronary arteries whose kind is not known; it is not a value of ``Truth.structures``."""

SEGMENTS: Mapping[int, SegmentWords] = MappingProxyType(
    {
        VESSEL_LABELS["LM"]: _calcium("LM", codes.LEFT_MAIN.worded("Left coronary artery main stem")),
        VESSEL_LABELS["LAD"]: _calcium(
            "LAD", codes.LEFT_ANTERIOR_DESCENDING.worded("Anterior descending branch of left coronary artery")
        ),
        VESSEL_LABELS["LCX"]: _calcium("LCX", codes.CIRCUMFLEX.worded("Circumflex branch of left coronary artery")),
        VESSEL_LABELS["RCA"]: _calcium("RCA", codes.RIGHT_CORONARY.worded("Right coronary artery")),
        OTHER_CALCIUM: _calcium("Other calcium", codes.THORAX),
        KIND_LABELS[Kind.AORTIC_WALL]: _calcium("Aortic wall", codes.AORTA),
        KIND_LABELS[Kind.AORTIC_VALVE]: _calcium("Aortic valve", codes.AORTIC_VALVE),
        KIND_LABELS[Kind.MITRAL_ANNULUS]: _calcium("Mitral annulus", codes.MITRAL_ANNULUS),
        KIND_LABELS[Kind.PERICARDIUM]: _calcium("Pericardium", codes.PERICARDIUM),
        KIND_LABELS[Kind.MYOCARDIAL_SCAR]: _calcium("Myocardial scar", codes.LEFT_VENTRICLE_MYOCARDIUM),
        KIND_LABELS[Kind.LYMPH_NODE]: _calcium("Lymph node", codes.LYMPH_NODE),
        KIND_LABELS[Kind.HILAR]: _calcium("Hilum", codes.HILUM_OF_LUNG),
        KIND_LABELS[Kind.PLEURA]: _calcium("Pleura", codes.PLEURA),
        KIND_LABELS[Kind.STENT]: _device("Stent", codes.STENT),
        KIND_LABELS[Kind.LEAD]: _device("Lead", codes.PACEMAKER_LEAD),
        KIND_LABELS[Kind.BYPASS_CLIP]: _device("Bypass clip", codes.CLIP),
        KIND_LABELS[Kind.STERNAL_WIRE]: _device("Sternal wire", codes.IMPLANT, codes.STERNUM),
        KIND_LABELS[Kind.VALVE_PROSTHESIS]: _device("Valve prosthesis", codes.VALVE_PROSTHESIS, codes.AORTIC_VALVE),
        KIND_LABELS[Kind.PACEMAKER]: _device("Pacemaker", codes.PACEMAKER),
        KIND_LABELS[Kind.SHOCK_COIL]: _device("Shock coil", codes.DEFIBRILLATOR),
        KIND_LABELS[Kind.CONTRAST]: _device("Contrast remnant", codes.CONTRAST_MEDIA),
    }
)
"""The segments by value of ``Truth.structures``. Devices in a coronary artery have no anatomic region, so that nobody
counts them as coronary calcium."""


def segment(value: int) -> SegmentOf:
    """Return the segment of a value of ``SEGMENTS``."""
    name, category, kind, region = SEGMENTS[value]
    return SegmentOf(name=name, category=category, kind=kind, region=region)
