"""Simulated patients scanned again and again, each scan scored by a model: how much scores change by themselves.

One table for each patient, a row for each scan; a run that was interrupted goes on where it ended.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ctacal.atomic import write_text
from ctacal.errors import Refusal
from ctacal.labels import NAMED_VESSELS
from ctacal.nn.predict import WEIGHTS, Model, load_model
from ctacal.prediction import Uncertainty
from ctacal.progress import Progress, no_progress
from ctacal.scores import SCCT_2016, score_label_map
from ctacal.simulate.output.simulated import WORDS
from ctacal.simulate.scanner.protocol import load_protocol
from ctacal.simulate.training.anatomy_cache import AnatomyCache
from ctacal.simulate.training.rescans import (
    RESCANNED,
    deposits_of,
    describe_rescan,
    draw_rescanned_anatomy,
    rescan,
)
from ctacal.workers import Failure, ordered

MOST_PATIENTS, MOST_SCANS = 1_000_000, 1_000_000
"""Patient k of seed s has the seed s times the first, plus k; scans of a patient have seeds of their own."""

RULE = SCCT_2016

Row = dict[str, Any]

IDENTITY = ("patient", "draw", "grown", "centre", "scan")
"""Columns that tell one scan from all others; ``draw`` is the number of the patient's draw of calcium, and ``grown``
is 1 if its plaques were let grow."""

COLUMNS = (
    *IDENTITY,
    "status",
    "reason",
    "true_mass_mg",
    "agatston",
    *(f"agatston_{vessel.name.lower()}" for vessel in NAMED_VESSELS),
    "volume_mm3",
    "excess_mass_mg",
    "gated_equivalent_agatston",
    "rule",
    "model",
    "model_version",
    "model_digest",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RescanSet:
    """Patients to scan, and how often: each draw of calcium ``each`` times at each centre, grown plaques once."""

    out: Path
    patients: int
    seed: int
    each: int = 3
    protocols: tuple[str, ...] = tuple(WORDS)
    """Presets of the simulator, as they are: no value is varied."""
    model: Path | None = None
    """None: the model that ships with ctacal."""

    def path(self, patient_seed: int) -> Path:
        """Return the table of one patient."""
        return self.out / f"patient-{patient_seed}.csv"

    def anatomy(self, patient_seed: int) -> Path:
        """Return the file of a patient's anatomy."""
        return self.out / f"patient-{patient_seed}.npz"

    @property
    def patient_seeds(self) -> tuple[int, ...]:
        """Seeds of the patients."""
        return tuple(self.seed * MOST_PATIENTS + k for k in range(self.patients))


@dataclass(frozen=True, slots=True)
class _Scan:
    """One scan that is wanted."""

    draw: int
    grown: bool
    centre: str
    number: int

    def seed(self, patient_seed: int, place: int) -> int:
        """Return a seed that no other scan has; ``place`` numbers the centre."""
        return patient_seed * MOST_SCANS + ((self.number * 2 + self.grown) * 100 + place) * 100 + self.draw


def make_rescans(wanted: RescanSet, *, workers: int = 1, progress: Progress = no_progress) -> list[str]:
    """Make what the tables lack, patient by patient; returns what went wrong."""
    wanted.out.mkdir(parents=True, exist_ok=True)
    problems = []
    results = ordered(partial(_make_patient, wanted), wanted.patient_seeds, workers=workers)
    for number, result in enumerate(results, start=1):
        if isinstance(result, Failure):
            problems.append(f"patient {number}: {result.reason}")
        progress(number, wanted.patients)
    return problems


def _make_patient(wanted: RescanSet, patient_seed: int) -> None:
    path = wanted.path(patient_seed)
    model = load_model(wanted.model or WEIGHTS, threads=1)
    rows = [row for row in read_rescans(path) if row["model_digest"] == model.info.digest] if path.exists() else []
    known = {tuple(row[name] for name in IDENTITY) for row in rows}
    scans = [scan for scan in _scans(wanted) if _cells(patient_seed, scan) not in known]
    if not scans:
        return
    cache = _anatomy(wanted.anatomy(patient_seed), patient_seed)
    write_text(
        path, ",".join(COLUMNS) + "\n" + "".join(map(_line, rows))
    )  # without lines of another model, or not whole
    for scan in scans:
        if deposits_of(cache, scan.draw, has_grown=scan.grown) is not None:
            _append(path, _scored(cache, patient_seed, scan, wanted, model))


def _anatomy(path: Path, patient_seed: int) -> AnatomyCache:
    """Return the stored anatomy, or build and store it."""
    if not path.exists():
        draw_rescanned_anatomy(patient_seed).save(path)
    return AnatomyCache.load(path)


def _scans(wanted: RescanSet) -> Iterator[_Scan]:
    """Yield the scans in an order in which any part is of use: two of each first, then grown, then the others."""
    draws = sorted(range(len(RESCANNED)), key=lambda draw: draw == 0)  # those with calcium first
    for numbers, has_grown in ((range(min(2, wanted.each)), False), (range(1), True), (range(2, wanted.each), False)):
        for draw in draws:
            for centre in wanted.protocols:
                yield from (_Scan(draw, has_grown, centre, number) for number in numbers)


def _scored(cache: AnatomyCache, patient_seed: int, scan: _Scan, wanted: RescanSet, model: Model) -> Row:
    deposits = deposits_of(cache, scan.draw, has_grown=scan.grown)
    protocol = load_protocol(scan.centre)
    seed = scan.seed(patient_seed, wanted.protocols.index(scan.centre))
    volume = rescan(cache, describe_rescan(cache, protocol, deposits=deposits, scan_seed=seed))
    row: Row = dict(zip(IDENTITY, _cells(patient_seed, scan), strict=True))
    row |= {"true_mass_mg": true_mass_mg(cache, deposits), "rule": RULE.name, "model": model.info.name}
    row |= {"model_version": model.info.version, "model_digest": model.info.digest}
    rule = RULE.at_kvp(protocol.kvp)
    try:
        prediction = model(volume, rule)
    except Refusal as refusal:
        return {**row, "status": "refused", "reason": str(refusal.reason.code)}
    scores = score_label_map(volume, prediction.labels, rule)[1]
    sure = prediction.uncertainty or Uncertainty()
    per_vessel = {f"agatston_{v.name.lower()}": scores.agatston.per_vessel[v.name] for v in NAMED_VESSELS}
    return {
        **row, **per_vessel, "status": "scored", "agatston": scores.agatston.total,
        "volume_mm3": scores.volume_mm3.total, "excess_mass_mg": sum(sure.excess_mass_mg.values()),
        "gated_equivalent_agatston": sure.gated_equivalent_agatston,
    }  # fmt: skip


def true_mass_mg(cache: AnatomyCache, deposits: int | None) -> float:
    """Return the mass of the coronary calcium at end-diastole, as it was built."""
    if deposits is None:
        return 0.0
    kept = cache.deposits[deposits]
    coronary = np.isin(kept.calcium, NAMED_VESSELS) & (kept.state == 0)
    return float(kept.mg_cm3[coronary].sum()) * cache.geometry.voxel_volume_mm3 / 1000


def _cells(patient_seed: int, scan: _Scan) -> tuple[str, ...]:
    return str(patient_seed), str(scan.draw), str(int(scan.grown)), scan.centre, str(scan.number)


def _line(row: Row) -> str:
    values = ("" if row.get(name) is None else row[name] for name in COLUMNS)
    return ",".join(f"{value:.4f}" if isinstance(value, float) else str(value) for value in values) + "\n"


def _append(path: Path, row: Row) -> None:
    """Add a row in one write."""
    with path.open("a", encoding="utf-8", newline="") as file:
        file.write(_line(row))


def read_rescans(path: Path) -> list[Row]:
    """Return the whole rows of a patient's table; a last line that an interrupted run left unfinished is left out."""
    with path.open(encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if row["model_digest"] and len(row["model_digest"]) == 64]
