"""``score_row``: what a watched process does with a row: fetch it, choose the CTAC by headers, read that, score it."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from ctacal.dicom.files.archive import discard_unpacked
from ctacal.dicom.series import Intake, Study, read_studies
from ctacal.dicom.stack import images_of_one_place
from ctacal.errors import UsageError
from ctacal.jobs.batch.fetching import Fetched, Traffic, fetch_headers, fetch_whole
from ctacal.jobs.batch.mounts import require_mounted, require_read
from ctacal.jobs.batch.places import is_address
from ctacal.jobs.batch.rows import Row
from ctacal.jobs.score import ScoreJob, score_and_write, series_to_score, tasks_of
from ctacal.report.outputs import prepare
from ctacal.watched import Duty

HEAD_BYTES = 2**16
"""What is read ahead of each local file: the header, with room for private elements."""
MOST_AHEAD = 5000
"""Files of a row whose headers are read ahead."""


@dataclass(frozen=True, slots=True)
class RowTask:
    """A row to score, and where its files go."""

    row: Row
    shard: int
    out: Path
    """Gets a folder for each study; on the disk of the run."""
    scratch: Path
    """Gets objects that are fetched; on a disk of this machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowScored:
    """What came of a row: its studies are in folders under ``RowTask.out``."""

    results: tuple[tuple[dict[str, Any], str], ...]
    """The content of each result.json, and the folder of its files."""
    unreadable_files: int
    why_empty: str = ""
    """What lies there if there is no image."""
    files: int
    read_bytes: int | None
    """What was fetched, if a source lies in a store; else what this process has read, from disks or from the system's
    memory of them; None if the system does not say."""
    requests: int = 0
    """Requests to an object store."""


@dataclass(frozen=True, slots=True)
class Ahead:
    """A row whose headers are on this machine."""

    task: RowTask
    fetched: tuple[Fetched, ...]
    problem: str = ""
    """Why a source cannot be fetched, though the store answers: there is nothing under that address."""


def begin(job: ScoreJob) -> Duty[RowTask, RowScored]:
    """Run in a process of the pool, in which unpickling the job has loaded its model."""
    prepare(job.outputs)
    return Duty(partial(score_row, job=job), ahead)


def ahead(task: RowTask) -> Ahead:
    """Fetch headers of objects, or let the system read those of files, while another row is scored.

    Raises ``OSError`` if the object store fails.
    """
    sources = task.row.sources
    for file in _heads(Path(source) for source in sources if not is_address(source)):
        _will_read(file, HEAD_BYTES)
    try:
        fetched = [fetch_headers(source, task.scratch / str(number)) for number, source in _addresses(sources)]
    except FileNotFoundError as problem:
        return Ahead(task, (), f"{problem.filename or problem}: nothing there")
    return Ahead(task, tuple(fetched))


def _addresses(sources: Sequence[str]) -> list[tuple[int, str]]:
    return [(number, source) for number, source in enumerate(sources) if is_address(source)]


def _heads(paths: Iterator[Path]) -> Iterator[Path]:
    left = MOST_AHEAD
    for path in paths:
        for file in _files(path):
            if (left := left - 1) < 0:
                return
            yield file


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    for folder, _, names in os.walk(path):
        yield from (Path(folder, name) for name in names)


def _will_read(file: Path, most_bytes: int = 0) -> None:
    """Let the system read a file, or its first bytes, into its memory. What is wrong with it shows when it is read."""
    with suppress(OSError, AttributeError):  # no such call but on Linux
        number = os.open(file, os.O_RDONLY | os.O_NONBLOCK)
        try:
            os.posix_fadvise(number, 0, most_bytes, os.POSIX_FADV_WILLNEED)
        finally:
            os.close(number)


def score_row(ahead: Ahead, job: ScoreJob) -> RowScored:
    """Score every study of a row. Raises ``UsageError`` if a source is not there, ``OSError`` if a disk fails."""
    task, before = ahead.task, _read_bytes()
    shutil.rmtree(task.out, ignore_errors=True)  # of an attempt that was cut off
    try:
        return _scored(ahead, job, before)
    finally:
        discard_unpacked()
        shutil.rmtree(task.scratch, ignore_errors=True)


def _scored(ahead: Ahead, job: ScoreJob, before: int | None) -> RowScored:
    task = ahead.task
    if ahead.problem:
        raise UsageError(ahead.problem)
    local = [Path(source) for source in task.row.sources if not is_address(source)]
    for source in local:
        require_mounted(source)
    intake = read_studies([*local, *(fetched.folder for fetched in ahead.fetched)])
    traffic = sum((fetched.traffic for fetched in ahead.fetched), Traffic())
    if ahead.fetched:
        traffic += fetch_whole(ahead.fetched, set(_compared(intake)))  # or another series might be chosen
    wanted = {path for study in intake.studies for path in _pixels(study, job)}
    if ahead.fetched:
        traffic += fetch_whole(ahead.fetched, wanted)
        intake = read_studies([*local, *(fetched.folder for fetched in ahead.fetched)])
    require_read(file.reason.message for file in intake.skipped)
    for file in wanted:
        _will_read(file)
    known_as = {here: there for fetched in ahead.fetched for here, there in fetched.known_as.items()}
    tasks = (replace(one, known_as=known_as) for study in intake.studies for one in tasks_of(study, job))
    outcomes = [score_and_write(one, task.out, job) for one in tasks]
    require_read(reason["message"] for outcome in outcomes for reason in outcome.content["reasons"])
    after = _read_bytes()
    return RowScored(
        results=tuple((outcome.content, outcome.folder) for outcome in outcomes),
        unreadable_files=len(intake.skipped),
        why_empty="" if outcomes else intake.why_empty,
        files=intake.files,
        read_bytes=traffic.bytes if ahead.fetched else None if after is None or before is None else after - before,
        requests=traffic.requests,
    )


def _compared(intake: Intake) -> Iterator[Path]:
    """Yield the files whose pixels tell whether a series can be scored: images of one place may be copies or not."""
    for series in (series for study in intake.studies for series in study.series if series.header.modality == "CT"):
        yield from (slice_.source.path for slice_ in images_of_one_place(series.slices))


def _pixels(study: Study, job: ScoreJob) -> Iterator[Path]:
    """Yield the files of a study whose pixels are scored."""
    for task in tasks_of(study, job):
        for series in series_to_score(task, job)[1]:
            yield from (slice_.source.path for slice_ in (*series.slices, *series.left_out))


def _read_bytes() -> int | None:
    """Return how much this process has read since its start, as Linux counts it (proc(5), rchar)."""
    with suppress(OSError, ValueError, IndexError):
        return int(Path("/proc/self/io").read_text().split("rchar:")[1].split()[0])
    return None
