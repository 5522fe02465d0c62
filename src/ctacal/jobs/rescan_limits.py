"""Limits of repeatability at each centre, from simulated patients who were scanned again and again (``rescans``).

What the limits are made of, for one quantity: d, the difference of the square roots of two scans of one patient with
the same calcium, and m, the mean of both roots. The mean of |d| is a straight line along m, times a factor of the
centre. Both are fitted to the pairs of all centres, because the shape of the line needs more pairs than one centre has.
The limits are that line times the smallest number that holds 95 of 100 pairs, as for one further pair (the quantile of
split conformal prediction: Lei J et al., J Am Stat Assoc 2018;113:1094-1111). Pairs of 0 and 0 are left out: they
would make the limits narrower.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import ceil, sqrt
from pathlib import Path

import numpy as np

from ctacal.arrays import Floats
from ctacal.compare.limits import Band, Limits, write_limits
from ctacal.compare.protocol import ScanProtocol
from ctacal.jobs.rescans import RULE, Row, read_rescans
from ctacal.simulate.scanner.protocol import ScannerProtocol, load_protocol

QUANTITIES = ("agatston", "volume_mm3", "excess_mass_mg", "gated_equivalent_agatston")

COVERAGE = 0.95

SHARP_MTF50_PER_MM = 0.4
"""Resolution from which a preset's kernel is called sharp: no usual CTAC has as much (own choice)."""

_POINTS = 5


@dataclass(frozen=True, eq=False, slots=True)
class RescanPairs:
    """Pairs of scans of one patient with the same calcium, (n,) each."""

    centre: tuple[str, ...]
    patient: tuple[str, ...]
    first: Floats
    second: Floats

    @property
    def mean_sqrt(self) -> Floats:
        """Mean of both square roots."""
        return np.asarray((np.sqrt(self.first) + np.sqrt(self.second)) / 2)

    @property
    def difference(self) -> Floats:
        """Difference of the square roots, second less first."""
        return np.asarray(np.sqrt(self.second) - np.sqrt(self.first))


def read_scans(folder: Path) -> list[Row]:
    """Return the rows of all patients of a folder of ``ctacal rescan``."""
    return [row for path in sorted(folder.glob("patient-*.csv")) for row in read_rescans(path)]


def pairs_of(rows: Iterable[Row], quantity: str) -> RescanPairs:
    """Return all pairs of scans with the same patient, calcium and centre; refused scans are in none."""
    scans: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for row in rows:
        if row["grown"] == "0" and row["status"] == "scored" and row[quantity]:
            scans[row["patient"], row["draw"], row["centre"]].append(float(row[quantity]))
    found = [(centre, patient, *pair) for (patient, _, centre), values in scans.items()
             for pair in combinations(values, 2)]  # fmt: skip
    centres, patients, first, second = zip(*found, strict=True) if found else ((), (), (), ())
    return RescanPairs(centres, patients, np.array(first, np.float64), np.array(second, np.float64))


@dataclass(frozen=True, eq=False, slots=True)
class Spread:
    """How far pairs differ: ``times`` x the centre's factor x (``at_0`` + ``slope`` m)."""

    at_0: float
    slope: float
    factor: Mapping[str, float]
    times: float

    def limit(self, centre: str, mean_sqrt: Floats) -> Floats:
        """Return the largest difference of an unchanged patient at the mean of both square roots."""
        return np.asarray(self.times * self.factor[centre] * (self.at_0 + self.slope * mean_sqrt))


def spread_of(pairs: RescanPairs, coverage: float = COVERAGE) -> Spread:
    """Fit the spread. Raises ``ValueError`` if all pairs are equal."""
    from scipy.optimize import nnls

    mean, size = pairs.mean_sqrt, np.abs(pairs.difference)
    used = mean > 0
    if not size[used].any():
        raise ValueError("no pair differs")
    mean, size, centre = mean[used], size[used], np.array(pairs.centre)[used]
    factor = dict.fromkeys(sorted(set(centre)), 1.0)
    for _ in range(20):
        of_pair = np.array([factor[name] for name in centre])
        (at_0, slope), _ = nnls(np.column_stack([of_pair, of_pair * mean]), size)
        line = at_0 + slope * mean
        factor = {name: float((size / line)[centre == name].mean()) for name in factor}
    relative = np.sort(size / line / np.array([factor[name] for name in centre]))
    rank = min(len(relative), ceil((len(relative) + 1) * coverage))
    return Spread(float(at_0), float(slope), factor, float(relative[rank - 1]))


def limits_by_centre(rows: Sequence[Row]) -> Iterator[Limits]:
    """Yield the limits at each centre."""
    pairs = {name: pairs_of(rows, name) for name in QUANTITIES}
    spreads = {name: spread_of(found) for name, found in pairs.items() if len(found.first)}
    for centre in sorted({row["centre"] for row in rows}):
        own = np.array(pairs["agatston"].centre) == centre
        patients = {patient for patient, here in zip(pairs["agatston"].patient, own, strict=True) if here}
        yield Limits(
            name=centre, origin="simulated", coverage=COVERAGE, pairs=int(own.sum()), patients=len(patients),
            bands={name: _band(spread, centre, pairs[name]) for name, spread in spreads.items()},
            protocol=protocol_of(load_protocol(centre)), rule=RULE.name,
            model_digest=rows[0]["model_digest"],
            notes=("simulated patients scanned again with other position, heartbeat, breath and noise",),
        )  # fmt: skip


def _band(spread: Spread, centre: str, pairs: RescanPairs) -> Band:
    own = np.array(pairs.centre) == centre
    points = np.linspace(0, float(pairs.mean_sqrt[own].max()), _POINTS)
    high = tuple(round(float(limit), 6) for limit in spread.limit(centre, points))
    return Band(
        mean_sqrt=tuple(round(float(point), 6) for point in points), low=tuple(-limit for limit in high), high=high
    )


def protocol_of(preset: ScannerProtocol) -> ScanProtocol:
    """Return the protocol of a preset; presets stand for kinds of scanners, so that no maker is named."""
    return ScanProtocol(
        kvp=preset.kvp, slice_thickness_mm=preset.thickness_mm, slice_spacing_mm=preset.spacing_mm,
        kernel="sharp" if preset.mtf50_per_mm > SHARP_MTF50_PER_MM else "smooth",
    )  # fmt: skip


def write_simulated(limits: Limits, folder: Path) -> Path:
    """Write the limits of a centre to a folder, as ``compare.limits.simulated_limits`` reads them."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{limits.name}.json"
    write_limits(limits, path)
    return path


def beyond(limits: Limits, quantity: str, before: float, after: float) -> bool:
    """Whether two values differ by more than those of an unchanged patient; beyond all pairs nothing is said."""
    ends = limits.bands[quantity].at(before, after)
    return ends is not None and not ends[0] <= sqrt(after) - sqrt(before) <= ends[1]
