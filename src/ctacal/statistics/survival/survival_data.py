"""``SurvivalData``: follow-up of patients, the frozen value that every survival statistic takes."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from ctacal.arrays import Floats, Ints, Mask


@dataclass(frozen=True, eq=False)
class SurvivalData:
    """Right-censored times. They are compared exactly: times that were equal in days have to be equal here.

    Raises ``ValueError`` if a time is negative or not finite, an event is neither 0 nor 1, or the lengths differ.

    >>> data = SurvivalData([1, 2, 2], [1, 0, 1])
    >>> data.n, data.events, data.unit
    (3, 2, 'years')
    """

    time: Floats
    """(n,) from the scan to the event or to the end of follow-up; any sequence is accepted."""
    event: Mask
    """(n,) whether the event happened at ``time``; otherwise follow-up ended then."""
    unit: str = "years"

    def __init__(self, time: ArrayLike, event: ArrayLike, unit: str = "years") -> None:
        times = np.ascontiguousarray(np.asarray(time, np.float64))
        happened = np.asarray(event)
        if times.ndim != 1 or times.shape != happened.shape:
            raise ValueError(f"time and event must be two lists of one length, got {times.shape} and {happened.shape}")
        wrong = np.flatnonzero(~(np.isfinite(times) & (times >= 0)))
        if wrong.size:
            raise ValueError(f"times must be 0 or more, number {wrong[0]} (from 0) is {times[wrong[0]]}")
        other = np.flatnonzero((happened != 0) & (happened != 1))
        if other.size:
            raise ValueError(f"events must be 0 or 1, number {other[0]} (from 0) is {happened[other[0]]}")
        object.__setattr__(self, "time", times)
        object.__setattr__(self, "event", np.ascontiguousarray(happened.astype(np.bool_)))
        object.__setattr__(self, "unit", unit)

    @cached_property
    def ticks(self) -> tuple[Floats, Ints]:
        """(k,) the distinct times, rising, and (n,) the place of each patient's time among them; sorted once."""
        times, place = np.unique(self.time, return_inverse=True)
        return times, place

    @property
    def n(self) -> int:
        """Number of patients."""
        return len(self.time)

    @property
    def events(self) -> int:
        """Number of patients with the event."""
        return int(self.event.sum())

    def take(self, rows: ArrayLike) -> "SurvivalData":
        """Return the follow-up of some patients: ``rows`` are indices, or a flag for each patient."""
        chosen = np.asarray(rows)
        taken = SurvivalData(self.time[chosen], self.event[chosen], self.unit)
        if "ticks" in self.__dict__:  # then those of the patients taken need no sorting
            times, place = self.ticks
            there = np.bincount(place[chosen], minlength=len(times)) > 0
            taken.__dict__["ticks"] = times[there], (np.cumsum(there) - 1)[place[chosen]]
        return taken
