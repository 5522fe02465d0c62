"""Names and colours of each kind of calcium, the same in pictures, reports and DICOM objects."""

from collections.abc import Mapping
from types import MappingProxyType

from ctacal.labels import Calcium

Colour = tuple[int, int, int]

VESSEL_COLOURS: Mapping[Calcium, Colour] = MappingProxyType(
    {
        Calcium.LM: (240, 228, 66),
        Calcium.LAD: (230, 97, 0),
        Calcium.LCX: (0, 200, 255),
        Calcium.RCA: (255, 100, 200),
        Calcium.CORONARY: (255, 50, 50),
        Calcium.OTHER: (70, 130, 255),
    }
)
"""Based on Okabe and Ito's palette for colour-blind readers, brightened for a dark background."""

UNCOUNTED = max(Calcium) + 1
"""Value, in the labels that are drawn, of what was weighed and is neither coronary nor other calcium."""

FADED = UNCOUNTED + 1
"""The same of what was never weighed, because it fades once the scan is smoothed."""

UNCOUNTED_COLOUR: Colour = (170, 170, 170)
FADED_COLOUR: Colour = (150, 130, 70)
UNCOUNTED_NAME = "weighed, not counted"
FADED_NAME = "too faint once smoothed"

VESSEL_NAMES: Mapping[Calcium, str] = MappingProxyType(
    {
        Calcium.LM: "LM",
        Calcium.LAD: "LAD",
        Calcium.LCX: "LCx",
        Calcium.RCA: "RCA",
        Calcium.CORONARY: "coronary, vessel not specified",
        Calcium.OTHER: "other (not counted)",
    }
)

FULL_NAMES: Mapping[Calcium, str] = MappingProxyType(
    {
        Calcium.LM: "Left main",
        Calcium.LAD: "Left anterior descending",
        Calcium.LCX: "Left circumflex",
        Calcium.RCA: "Right coronary",
        Calcium.CORONARY: "Coronary, vessel not specified",
        Calcium.OTHER: "Other calcium (not counted)",
    }
)

SEGMENT_LABELS: Mapping[Calcium, str] = MappingProxyType(
    {
        Calcium.LM: "LM",
        Calcium.LAD: "LAD",
        Calcium.LCX: "LCX",
        Calcium.RCA: "RCA",
        Calcium.CORONARY: "Coronary calcium",
        Calcium.OTHER: "Non-coronary calcium",
    }
)
"""Labels of the SEG segments; ``labels.SEGMENT_NAMES`` maps each back to its vessel."""
