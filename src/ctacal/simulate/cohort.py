"""``make_cohort``: many studies on disk, with a manifest; ``stream_studies``: the same in memory, for training."""

import csv
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ctacal import __version__
from ctacal.atomic import sweep
from ctacal.errors import UsageError
from ctacal.simulate.anatomy.measures import Sex
from ctacal.simulate.output.folder import DEFAULT_WRITERS, RECORD, digest_of, known_writers, whole_record
from ctacal.simulate.output.simulated import study_name, write_study
from ctacal.simulate.scanner.protocol import ScannerProtocol
from ctacal.simulate.study import SimulatedStudy, StudyDescription, draw_study, simulate_study
from ctacal.spreadsheets import as_text
from ctacal.workers import Failure, ordered

Row = dict[str, Any]
Simulate = Callable[[StudyDescription], SimulatedStudy]

_log = logging.getLogger("ctacal")

MANIFEST = "manifest.csv"
COLUMNS = (
    "study",
    "status",
    "reason",
    "centre",
    "seed",
    "study_uid",
    "sex",
    "age_years",
    "bmi",
    "slices",
    "reference_agatston",
    "reference_category",
    "ctac_agatston",
    "ctac_category",
    "ctacal",
    "digest",
)
"""Columns of the manifest. Status: made, kept (from an earlier run) or failed. Digest: SHA-256 of study.json, which
holds the digests of all other files."""

MOST_STUDIES = 1_000_000
"""Largest number of studies of a cohort. Study k of seed s is drawn from seed s times this, plus k, so that two cohorts
share no study."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortPlan:
    """The studies of a cohort: protocols are used in turn; patients are drawn, except for the values given here.

    Raises ``UsageError``, which names the command-line option, if a value is impossible.

    Example:
        >>> from ctacal.simulate import load_protocol
        >>> plan = CohortPlan(protocols=(load_protocol("spect_ct_16slice"),), count=3, seed=7, sex="F")
        >>> plan.description(2).seed, plan.description(2).patient.sex
        (7000002, 'F')
    """

    protocols: tuple[ScannerProtocol, ...]
    count: int = 1
    seed: int = 0
    sex: Sex | None = None
    age_years: float | None = None
    bmi: float | None = None
    with_deposits: bool = True

    def __post_init__(self) -> None:
        names = [protocol.name for protocol in self.protocols]
        _require(bool(names), "--centre", "none", "at least one")
        _require(len(set(names)) == len(names), "--centre", ", ".join(names), "different names")
        for name in names:
            safe = name.strip(". ") == name and not set(name) & set('/\\:*?"<>|\0\n')
            _require(safe and bool(name), "--centre", repr(name), "a name that can be a folder's")
        _require(1 <= self.count <= MOST_STUDIES, "-n", self.count, f"1 to {MOST_STUDIES}")
        _require(0 <= self.seed < 2**32, "--seed", self.seed, "0 to 4294967295")
        _require(self.sex in (None, "F", "M"), "--sex", self.sex, "F or M")
        _require(self.age_years is None or 35 <= self.age_years <= 90, "--age", self.age_years, "35 to 90 years")
        _require(self.bmi is None or 17 <= self.bmi <= 48, "--bmi", self.bmi, "17 to 48 kg/m2")

    def description(self, k: int) -> StudyDescription:
        """Return study ``k``, counted from 0; it does not depend on ``count``."""
        return draw_study(
            self.seed * MOST_STUDIES + k,
            self.protocols[k % len(self.protocols)],
            sex=self.sex,
            age_years=self.age_years,
            bmi=self.bmi,
            with_deposits=self.with_deposits,
        )


def _require(valid: bool, option: str, value: object, expected: str) -> None:
    if not valid:
        raise UsageError(f"{option} is {value}, expected {expected}")


def make_cohort(
    descriptions: Iterable[StudyDescription],
    out: Path,
    *,
    writers: Sequence[str] = DEFAULT_WRITERS,
    workers: int = 1,
    resume: bool = False,
    simulate: Simulate = simulate_study,
) -> Iterator[Row]:
    """Simulate and write the studies, each in its own folder of ``out``; yield the rows of the manifest as it grows.

    ``resume`` keeps studies that are complete and have the same description, writers and version. A study that fails
    has a row with the reason. If the run is killed, only studies in progress are lost.

    Args:
        descriptions: The studies, such as ``CohortPlan.description`` gives them.
        out: The folder of the cohort.
        writers: Kinds of files of each study: ``dicom``, ``ct``, ``nifti``, ``seg``.
        workers: Studies that are simulated side by side, each in a process of its own.
        resume: Whether to continue a cohort.
        simulate: Makes a study; another function takes the place of the simulator in tests.

    Yields:
        The rows of manifest.csv: ages in years, BMI in kg/m2.

    Raises:
        UsageError: ``out`` holds a cohort and ``resume`` is False, or an option is impossible.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:  # with descriptions, about 30 s of one core for each
        ...     rows = list(make_cohort([], Path(folder)))
        ...     Path(folder, "manifest.csv").read_text()[:26]
        'study,status,reason,centre'
    """
    _require(workers >= 1, "--workers", workers, "1 or more")
    names = known_writers(writers)
    if (out / MANIFEST).exists() and not resume:
        raise UsageError(f"{out} already holds a cohort: give --resume to continue it, or another folder")
    out.mkdir(parents=True, exist_ok=True)
    sweep(out, depth=0)
    make = partial(_made_or_kept, out=out, writers=names, resume=resume, simulate=simulate)
    return _rows(list(descriptions), out, make, workers)


def _rows(
    descriptions: Sequence[StudyDescription], out: Path, make: Callable[[StudyDescription], Row], workers: int
) -> Iterator[Row]:
    with (out / MANIFEST).open("w", newline="", encoding="utf-8", buffering=1) as file:
        manifest = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        manifest.writeheader()
        outcomes = ordered(make, descriptions, workers=max(1, min(workers, len(descriptions))))
        for description, outcome in zip(descriptions, outcomes, strict=True):
            row = _failed(description, outcome) if isinstance(outcome, Failure) else outcome
            manifest.writerow({name: as_text(cell) if isinstance(cell, str) else cell for name, cell in row.items()})
            yield row


def _made_or_kept(
    description: StudyDescription, *, out: Path, writers: tuple[str, ...], resume: bool, simulate: Simulate
) -> Row:
    folder = out / study_name(description)
    if resume and (kept := _kept(folder, description, writers)):
        return _row(folder, kept, description, "kept")
    record = write_study(simulate(description), folder, writers=writers)
    return _row(folder, record, description, "made")


def _kept(folder: Path, description: StudyDescription, writers: tuple[str, ...]) -> dict[str, Any] | None:
    """Return the record of a complete study that would come out the same, else None."""
    record = whole_record(folder)
    if record is None or record.get("software") != {"ctacal": __version__} or record.get("writers") != list(writers):
        return None
    try:
        return record if StudyDescription.from_json(record["description"]) == description else None
    except (ValueError, KeyError, TypeError, UsageError):
        return None


def _row(folder: Path, record: dict[str, Any], description: StudyDescription, status: str) -> Row:
    return {
        **_drawn(description),
        "status": status,
        "reason": "",
        "study_uid": record["study_uid"],
        "slices": record["shape"][0],
        "reference_agatston": record["reference_score"]["agatston"],
        "reference_category": record["reference_score"]["category"],
        "ctac_agatston": record["ctac_score"]["agatston"],
        "ctac_category": record["ctac_score"]["category"],
        "ctacal": record["software"]["ctacal"],
        "digest": digest_of(folder / RECORD),
    }


def _failed(description: StudyDescription, failure: Failure) -> Row:
    _log.error("study %s: %s\n%s", study_name(description), failure.reason, failure.traceback)
    return {
        **_drawn(description),
        "status": "failed",
        "reason": " ".join(failure.reason.split()),
        "ctacal": __version__,
    }


def _drawn(description: StudyDescription) -> Row:
    patient = description.patient
    return {
        "study": study_name(description),
        "centre": description.protocol.name,
        "seed": description.seed,
        "sex": patient.sex,
        "age_years": patient.age_years,
        "bmi": patient.bmi,
    }


def stream_studies(
    seeds: Iterable[int], protocols: Sequence[ScannerProtocol], *, workers: int = 1, simulate: Simulate = simulate_study
) -> Iterator[SimulatedStudy]:
    """Yield studies in memory, for training: one per seed, with the protocols in turn; ``seeds`` may be endless.

    Order and content do not depend on the number of workers; at most about two studies per worker wait in memory.
    With several workers, call it under ``if __name__ == "__main__"``.

    Args:
        seeds: One for each study.
        protocols: Scanners and their protocols, used in turn.
        workers: Studies that are simulated side by side, each in a process of its own.
        simulate: Makes a study; another function takes the place of the simulator in tests.

    Yields:
        The studies, in the order of their seeds.

    Raises:
        RuntimeError: A study fails; the message names its seed.

    Example:
        >>> from ctacal.simulate import load_protocol
        >>> protocol = load_protocol("spect_ct_16slice")
        >>> patients = stream_studies(range(3), [protocol], simulate=lambda description: description.patient)
        >>> [round(patient.age_years) for patient in patients]  # simulate_study, the default, scans each patient (30 s)
        [52, 77, 41]
    """
    descriptions = (draw_study(seed, protocols[k % len(protocols)]) for k, seed in enumerate(seeds))
    for study in ordered(partial(_named, simulate=simulate), descriptions, workers=workers):
        if isinstance(study, Failure):
            raise RuntimeError(f"{study.reason}\n{study.traceback}")
        yield study


def _named(description: StudyDescription, *, simulate: Simulate) -> SimulatedStudy:
    """Return the study; an error names it."""
    try:
        return simulate(description)
    except Exception as problem:
        raise RuntimeError(f"study {study_name(description)}: {problem}") from problem
