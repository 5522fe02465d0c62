"""The MESA reference: the percentile of a score among people of the same age and sex.

McClelland RL, Chung H, Detrano R, Post W, Kronmal RA: Distribution of coronary artery calcium by race, gender, and age:
results from the Multi-Ethnic Study of Atherosclerosis (MESA). Circulation 2006;113:30-37, table 2: the 25th, 50th, 75th
and 90th percentile, estimated at the midpoint of each ten-year age group, of 6,110 participants aged 45 to 84 without
clinical cardiovascular disease or treated diabetes. Read on *gated* CT: an ungated, low-dose score tends to be lower.

The reference depends on race/ethnicity, which DICOM headers do not record reliably. None is assumed: the percentile is
the range over all four MESA groups and is given for each group, so that a reader who knows can pick the right one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ctacal.scores import AGATSTON_1990, SCCT_2016

SOURCE = "MESA: McClelland RL et al., Circulation 2006;113:30-37"

MESA_RULES = (SCCT_2016, AGATSTON_1990)
"""Scoring rules under which the MESA percentiles hold: Agatston's thresholds, with either slice weight."""

YOUNGEST, OLDEST = 45, 84
"""Youngest and oldest age that MESA covers, in years."""

PERCENTILES = (25, 50, 75, 90)

GROUPS = ("White", "Black", "Hispanic", "Chinese")
"""The groups, by MESA's names."""

Thresholds = tuple[int, int, int, int]

_AGE_GROUPS = ((45, 54), (55, 64), (65, 74), (75, 84))

_TABLE_2: Mapping[str, Mapping[str, tuple[Thresholds, ...]]] = MappingProxyType(
    {
        "F": {
            "White": ((0, 0, 0, 8), (0, 0, 16, 102), (0, 13, 119, 391), (20, 106, 370, 921)),
            "Black": ((0, 0, 0, 9), (0, 0, 5, 74), (0, 0, 77, 310), (0, 47, 214, 582)),
            "Hispanic": ((0, 0, 0, 2), (0, 0, 2, 50), (0, 1, 51, 203), (0, 45, 205, 557)),
            "Chinese": ((0, 0, 0, 12), (0, 0, 18, 105), (0, 5, 70, 246), (0, 32, 146, 398)),
        },
        "M": {
            "White": ((0, 0, 22, 110), (0, 28, 155, 452), (21, 145, 540, 1345), (103, 385, 1200, 2933)),
            "Black": ((0, 0, 2, 45), (0, 0, 40, 173), (0, 32, 191, 575), (23, 141, 516, 1281)),
            "Hispanic": ((0, 0, 9, 88), (0, 3, 75, 291), (1, 56, 247, 666), (36, 153, 494, 1221)),
            "Chinese": ((0, 0, 14, 89), (0, 5, 67, 242), (0, 34, 174, 487), (11, 81, 305, 769)),
        },
    }
)


@dataclass(frozen=True, slots=True)
class PercentileBand:
    """The two ``PERCENTILES`` that a score lies between; 0 and 100 mean below the first and above the last."""

    low: int
    high: int

    def __str__(self) -> str:
        if self.low == 0:
            return f"below the {self.high}th"
        return f"above the {self.low}th" if self.high == 100 else f"{self.low}th to {self.high}th"


@dataclass(frozen=True, slots=True)
class Reference:
    """A score's place among MESA participants of the same sex and ten-year age group."""

    age_group: tuple[int, int]
    sex: str
    by_group: Mapping[str, PercentileBand]
    zero_shares: tuple[int, ...]
    """For each group, the highest of ``PERCENTILES`` with a score of 0: at least that percentage has no calcium."""

    @property
    def overall(self) -> PercentileBand:
        """Range over all groups."""
        bands = self.by_group.values()
        return PercentileBand(min(band.low for band in bands), max(band.high for band in bands))

    @property
    def people(self) -> str:
        """The people that the score is compared with."""
        return f"{'women' if self.sex == 'F' else 'men'} aged {self.age_group[0]} to {self.age_group[1]}"


def age_group_thresholds(sex: str, age_years: int) -> Mapping[str, Thresholds]:
    """Return the scores at ``PERCENTILES`` for each MESA group. Raises ``ValueError`` if MESA has no such people."""
    if sex not in _TABLE_2:
        raise ValueError("the sex is not recorded as F or M")
    if not YOUNGEST <= age_years <= OLDEST:
        raise ValueError(f"MESA covers ages {YOUNGEST} to {OLDEST}; the patient is {age_years}")
    number = (age_years - YOUNGEST) // 10
    return {group: _TABLE_2[sex][group][number] for group in GROUPS}


def mesa_reference(agatston: float, sex: str, age_years: int | None) -> Reference:
    """Return a score's place. Raises ``ValueError`` if MESA has no such people, or age or sex is not known.

    >>> mesa_reference(120.0, "M", 60).by_group["White"]
    PercentileBand(low=50, high=75)
    >>> str(mesa_reference(120.0, "M", 60).overall)
    '50th to 90th'
    """
    if age_years is None:
        raise ValueError("the age is not recorded")
    thresholds = age_group_thresholds(sex, age_years)
    return Reference(
        _AGE_GROUPS[(age_years - YOUNGEST) // 10],
        sex,
        MappingProxyType({group: _band(agatston, values) for group, values in thresholds.items()}),
        tuple(_zero_share(values) for values in thresholds.values()),
    )


def _zero_share(thresholds: Thresholds) -> int:
    return max((p for p, value in zip(PERCENTILES, thresholds, strict=True) if value == 0), default=0)


def _band(agatston: float, thresholds: Thresholds) -> PercentileBand:
    """A score equal to a percentile has reached it, except a score of 0, which many people share."""
    reached = [p for p, value in zip(PERCENTILES, thresholds, strict=True) if 0 < value <= agatston or value < agatston]
    beyond = [p for p, value in zip(PERCENTILES, thresholds, strict=True) if value > agatston]
    return PercentileBand(max(reached, default=0), min(beyond, default=100))
