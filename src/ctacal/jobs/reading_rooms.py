"""``open_room``: from what a command was given to a ``ReadingRoom``: cases found, list made, roles given."""

import getpass
import hashlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ctacal.errors import UsageError
from ctacal.jobs.assignments import Kind, Role, RoomSettings
from ctacal.jobs.batch.images import images_of, is_run
from ctacal.jobs.inputs import noted_inputs
from ctacal.jobs.reader_study import NAME, Plan
from ctacal.jobs.reading_cases import Accepted, Case, cases_of_run, cases_under
from ctacal.jobs.reading_folder import INDEX, ReadingFolder
from ctacal.jobs.reading_index import ReadingIndex
from ctacal.jobs.reading_room import ReadingRoom

READINGS = "readings"
"""Folder of the readings of a run, in the run's own folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomJob:
    """What is to be read, by whom, and where the readings go."""

    kind: Kind
    paths: tuple[Path, ...]
    """Where the images lie; for a review none: where the run noted that they lie."""
    out: Path | None = None
    """Folder of the run that is reviewed."""
    readings: Path
    accepted: Accepted
    readers: tuple[str, ...] = ()
    """Without a plan; none: the user of this computer."""
    adjudicators: tuple[str, ...] = ()
    administrators: tuple[str, ...] = ()
    plan: Plan | None = None
    database: str = ""
    """URL of a PostgreSQL database for the list; empty: a file beside the readings."""


def open_room(job: RoomJob, *, complain: Callable[[str], object] = lambda _: None) -> ReadingRoom:
    """Find the cases, unless the list holds them already, and open the room.

    ``complain`` is called with what could not be read.
    Raises ``UsageError`` if there is nothing to read, a path or a name is wrong, or the readings belong to another
    plan.
    """
    roles = roles_of(job)
    folder = ReadingFolder(job.readings)
    paths = job.paths or _images(job, complain)
    is_new = not job.readings.exists()
    cases = _cases(job, paths, complain) if is_new else []
    if is_new and not cases:
        raise UsageError(_nothing(paths))  # before a folder is made
    folder.prepare()
    index = ReadingIndex(job.database or job.readings / INDEX)
    found = _fingerprint(job, paths)
    if index.fact("cases") != found:
        index.put_cases(cases or _cases(job, paths, complain))
        index.note("cases", found)
    if not index.case_ids():
        raise UsageError(_nothing(paths))
    settings = RoomSettings(kind=job.kind, roles=roles, plan=job.plan, phi=job.accepted.phi)
    return ReadingRoom(folder, index, settings)


def _images(job: RoomJob, complain: Callable[[str], object]) -> tuple[Path, ...]:
    """Return where a run, of a batch or not, tells that its images lie."""
    if job.out is None or not is_run(job.out):
        return noted_inputs(job.out) if job.out else ()
    images = images_of(job.out)
    for problem in images.problems:
        complain(problem)
    return images.paths


def _nothing(paths: Sequence[Path]) -> str:
    return f"no study was found under {', '.join(map(str, paths))}"


def roles_of(job: RoomJob) -> dict[str, frozenset[Role]]:
    """Return the roles of each reader: one alone has all of them. Raises ``UsageError`` for a name that cannot be."""
    plan = job.plan
    named: dict[Role, tuple[str, ...]] = {
        "reader": plan.readers if plan else job.readers or (user(),),
        "adjudicator": plan.adjudicators if plan else job.adjudicators,
        "administrator": plan.administrators if plan else job.administrators,
    }
    people = list(dict.fromkeys(name for names in named.values() for name in names))
    if wrong := [name for name in people if not NAME.fullmatch(name)]:
        raise UsageError(f"--reader {wrong[0]}: use up to 32 letters, digits and -")
    if len(people) == 1 and plan is None:
        return {people[0]: frozenset(named)}
    return {name: frozenset(role for role, names in named.items() if name in names) for name in people}


def user() -> str:
    """Return the name of the computer's user, as readers are named."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        name = "reader"
    return re.sub(r"[^A-Za-z0-9-]", "-", name).strip("-")[:32] or "reader"


def _cases(job: RoomJob, paths: Sequence[Path], complain: Callable[[str], object]) -> list[Case]:
    if job.out is None:
        return cases_under(paths, job.accepted, complain=complain)
    cases = cases_of_run(job.out, paths, job.accepted)
    if bare := sum(case.model is not None and not case.model.labels for case in cases):
        complain(f"{bare:,} results hold no label map: the model's marks are not shown; score with --write json,seg")
    return cases


def _fingerprint(job: RoomJob, paths: Sequence[Path]) -> str:
    """Return a digest of everything that the list of cases depends on: names, sizes and times of all files."""
    digest = hashlib.sha256(repr((job.kind, job.accepted)).encode())
    results = sorted(job.out.rglob("result.json")) if job.out else []
    for path in [*paths, *results]:
        for line in _files(path):
            digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _files(path: Path) -> Iterator[str]:
    if not path.is_dir():
        status = path.stat()
        yield f"{path}\n{status.st_size} {status.st_mtime_ns}\n"
        return
    for folder, folders, names in os.walk(path):
        folders.sort()
        for name in sorted(names):
            status = os.stat(os.path.join(folder, name), follow_symlinks=False)  # noqa: PTH116, PTH118 (a million files)
            yield f"{folder}/{name}\n{status.st_size} {status.st_mtime_ns}\n"
