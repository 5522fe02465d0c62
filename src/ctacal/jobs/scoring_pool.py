"""``ScoringPool``: studies scored in several watched processes, each with a warm model."""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ctacal.dicom.files.source import SkippedFile
from ctacal.dicom.series import read_studies
from ctacal.jobs.score import Outcome, ScoreJob, score_and_write, tasks_of
from ctacal.report.outputs import prepare
from ctacal.watched import Duty, Limits
from ctacal.watched_pool import WatchedPool

_MOST_AHEAD_BYTES = 2**29
"""How much a process reads ahead, at most (own choice: several times a large study)."""


@dataclass(frozen=True, slots=True)
class Work:
    """Files to score, and where their results go."""

    key: str
    """How the caller knows it again."""
    paths: tuple[Path, ...]
    """Files, folders and archives."""
    out: Path
    """Gets a folder for each study, as ``ctacal score`` writes it."""


@dataclass(frozen=True, slots=True)
class Scored:
    """What came of the studies under the paths of a ``Work``."""

    outcomes: tuple[Outcome, ...]
    skipped: tuple[SkippedFile, ...]
    """Files that could not be read."""
    empty: tuple[str, ...]
    """The paths under which there is no image, each with what lies there."""


class ScoringPool(WatchedPool[Work, Scored]):
    """Scores ``Work`` by a ``ScoreJob``; ``results`` yields ``Finished`` with ``Scored``, or ``Failed``."""

    def __init__(
        self, job: ScoreJob, *, processes: int | None = None, memory_mb: int = 4096, time_s: float = 600.0
    ) -> None:
        """By default there is a process for each core; a study may take so much memory and time."""
        super().__init__(partial(begin_scoring, job), processes=processes, limits=Limits(memory_mb, time_s))


def begin_scoring(job: ScoreJob) -> Duty[Work, Scored]:
    """Run in a process of the pool, in which unpickling the job has loaded its model."""
    prepare(job.outputs)
    return Duty(partial(score_work, job=job), read_ahead)


def score_work(work: Work, job: ScoreJob) -> Scored:
    """Score every study under the paths of ``work``. Raises ``UsageError`` if there is no such path."""
    intake = read_studies(work.paths)
    tasks = [task for study in intake.studies for task in tasks_of(study, job)]
    outcomes = tuple(score_and_write(task, work.out, job) for task in tasks)
    return Scored(outcomes, intake.skipped, intake.empty)


def read_ahead(work: Work) -> Work:
    """Let the system read the files of ``work`` into its memory, while another study is scored."""
    will_need(file for path in work.paths for file in _files(path))
    return work


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    for folder, _, names in os.walk(path):
        yield from (Path(folder, name) for name in names)


def will_need(files: Iterable[Path]) -> None:
    """Tell the system that files will be read soon. What is wrong with one is told when it is read."""
    left_bytes = _MOST_AHEAD_BYTES if hasattr(os, "posix_fadvise") else 0
    for file in files:
        if left_bytes <= 0:
            return
        with suppress(OSError):
            left_bytes -= _told(file, left_bytes)


def _told(file: Path, most_bytes: int) -> int:
    number = os.open(file, os.O_RDONLY | os.O_NONBLOCK)
    try:
        size_bytes = min(os.fstat(number).st_size, most_bytes)
        os.posix_fadvise(number, 0, size_bytes, os.POSIX_FADV_WILLNEED)
    finally:
        os.close(number)
    return size_bytes
