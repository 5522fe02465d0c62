"""Limits of repeatability at each centre, from simulated patients who were scanned again and again (``rescans``)."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

from ctacal.compare.limits import Limits, write_limits
from ctacal.compare.protocol import ScanProtocol
from ctacal.compare.rescanned import COVERAGE, RescanPairs, spread_of
from ctacal.jobs.rescans import RULE, Row, read_rescans
from ctacal.simulate.scanner.protocol import ScannerProtocol, load_protocol

QUANTITIES = ("agatston", "volume_mm3", "excess_mass_mg", "gated_equivalent_agatston")

SHARP_MTF50_PER_MM = 0.4
"""Resolution from which a preset's kernel is called sharp: no usual CTAC has as much (own choice)."""


def read_scans(folder: Path) -> list[Row]:
    """Return the rows of all patients of a folder of ``ctacal rescan``."""
    return [row for path in sorted(folder.glob("patient-*.csv")) for row in read_rescans(path)]


def pairs_of(rows: Iterable[Row], quantity: str) -> RescanPairs:
    """Return all pairs of scans with the same patient, calcium and centre; refused scans are in none."""
    scans: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for row in rows:
        if row["grown"] == "0" and row["status"] == "scored" and row[quantity]:
            scans[row["patient"], row["draw"], row["centre"]].append(float(row[quantity]))
    found = [
        (centre, patient, *pair)
        for (patient, _, centre), values in scans.items()
        for pair in combinations(values, 2)
    ]  # fmt: skip
    centres, patients, first, second = zip(*found, strict=True) if found else ((), (), (), ())
    return RescanPairs(centres, patients, np.array(first, np.float64), np.array(second, np.float64))


def limits_by_centre(rows: Sequence[Row]) -> Iterator[Limits]:
    """Yield the limits at each centre; of a quantity that no scan has, there are none."""
    pairs = {name: found for name in QUANTITIES if len((found := pairs_of(rows, name)).first)}
    spreads = {name: spread_of(found) for name, found in pairs.items()}
    for centre in pairs["agatston"].centres:
        own = pairs["agatston"].of_centre(centre)
        bands = {name: spreads[name].band(centre, of) for name, of in pairs.items() if centre in of.centres}
        yield Limits(
            name=centre, origin="simulated", coverage=COVERAGE, pairs=len(own.first), patients=len(set(own.patient)),
            bands=bands, protocol=protocol_of(load_protocol(centre)), rule=RULE.name,
            model_digest=rows[0]["model_digest"],
            notes=("simulated patients scanned again with other position, heartbeat, breath and noise",),
        )  # fmt: skip


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
