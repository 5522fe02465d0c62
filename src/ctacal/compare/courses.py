"""``pairs_of``: the scans of each patient in the order of time, and which of them are compared."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Generic, TypeVar

from ctacal.compare.scan import ComparedScan

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Pair(Generic[T]):
    """Two scans of one patient, the earlier first."""

    patient: str
    first: T
    second: T
    number: tuple[int, int]
    """Places of both scans in the patient's course, counted from 1."""
    scans: int
    """Number of the patient's scans."""

    @property
    def is_whole_course(self) -> bool:
        """Whether it leads from the patient's first scan to the last: one such pair for each patient."""
        return self.number == (1, self.scans)


def pairs_of(patient: str, scans: Sequence[T], of: Callable[[T], ComparedScan]) -> list[Pair[T]]:
    """Return each scan of a patient with the next, and then, of more than two, the first with the last.

    Scans without a date keep their order; ``of`` gives what a comparison knows of one.
    """
    ordered = in_time(scans, of)
    numbers = list(pairwise(range(len(ordered))))
    if len(ordered) > 2:
        numbers.append((0, len(ordered) - 1))
    return [Pair(patient, ordered[a], ordered[b], (a + 1, b + 1), len(ordered)) for a, b in numbers]


def in_time(scans: Sequence[T], of: Callable[[T], ComparedScan]) -> list[T]:
    """Return the scans by date and time; as they are if the date of one is not known."""
    if any(of(scan).day is None for scan in scans):
        return list(scans)
    return sorted(scans, key=lambda scan: (of(scan).day, of(scan).time))
