"""Jobs of the simulator: which studies to make, and calcium inserted into a real scan. Needs the ``simulate`` extra."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ctacal.errors import UsageError
from ctacal.simulate.cohort import MOST_STUDIES
from ctacal.simulate.insert.study import insert_study
from ctacal.simulate.output.folder import DEFAULT_WRITERS
from ctacal.simulate.output.inserted import write_inserted
from ctacal.simulate.output.simulated import WORDS
from ctacal.simulate.scanner.protocol import ScannerProtocol, load_protocol
from ctacal.simulate.study import StudyDescription


def cohort_protocols(names: Sequence[str]) -> tuple[ScannerProtocol, ...]:
    """Load presets or TOML files; without names, all presets that are CTAC systems. Raises ``UsageError``."""
    return tuple(load_protocol(name) for name in names or WORDS)


def stored_description(file: Path) -> StudyDescription:
    """Read the study description in a study.json, or in a file with a line of ``ctacal simulate --describe``.

    Raises ``UsageError`` if the file cannot be read or holds no description.
    """
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
        return StudyDescription.from_json(stored.get("description", stored))
    except OSError as problem:
        raise UsageError(f"--replay {file}: {problem.strerror}") from problem
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise UsageError(f"--replay {file}: no study description ({problem})") from problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Insertion:
    """Calcium to be inserted into a real scan, once per seed."""

    scan: Path
    out: Path
    """Gets a folder per seed."""
    protocol: ScannerProtocol | None = None
    """None: the scan keeps its own quality; else it is degraded to this protocol first."""
    seed: int = 0
    count: int = 1
    lines: Path | None = None
    """JSON file with the coronary centre lines of the scan; None: the lines are estimated."""
    allow_calcium: bool = False
    """Accept a scan that already holds calcium."""
    writers: Sequence[str] = DEFAULT_WRITERS


def insert_calcium(job: Insertion) -> Iterator[tuple[str, dict[str, Any]]]:
    """Insert calcium, write each study, and yield its folder's name and the content of its study.json.

    Raises ``Refusal`` if the scan cannot take calcium, and ``UsageError`` as ``insert_study`` does.
    """
    for seed in range(job.seed * MOST_STUDIES, job.seed * MOST_STUDIES + job.count):
        study = insert_study(
            [job.scan], seed=seed, protocol=job.protocol, lines=job.lines, allow_calcium=job.allow_calcium
        )
        name = f"inserted-{seed}"
        yield name, write_inserted(study, job.out / name, seed=seed, writers=job.writers)
