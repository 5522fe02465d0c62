"""Small cohorts for the tests of batch, and runs of them."""

import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Self

from ctacal.errors import UsageError
from ctacal.jobs.batch.finding import Sources
from ctacal.jobs.batch.places import FolderPlace, Place
from ctacal.jobs.batch.plan import Plan, make_plan
from ctacal.jobs.batch.run import BatchRun, RunOptions, run_batch
from ctacal.jobs.batch.runners import new_runner, seen_now, show
from ctacal.jobs.batch.scoring import RowScored, RowTask, begin
from ctacal.jobs.batch.settings import Settings
from ctacal.jobs.batch.share import Share
from ctacal.jobs.score import ScoreJob
from ctacal.watched import Duty, Failed, Why
from ctacal.watched_pool import Finished
from tests import places
from tests.dicom_series import ct_series, uid, write
from tests.marker_study import WIDE

WHOLE = Share()
SETTINGS = Settings(predictor="threshold", write="json")


def refused_study(folder: Path, name: str, **attributes: object) -> Path:
    """Write a study that is too small to hold a heart, so that it is refused within milliseconds."""
    return write(folder, ct_series(WIDE, name=name, StudyInstanceUID=uid(name), **attributes))


def cohort(folder: Path, refused: int = 3, *, scored: bool = True) -> Path:
    """Write a folder with a study in each entry: some that are refused, and one that is scored."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(refused):
        refused_study(folder / f"refused {number}", f"refused {number}")
    if scored:
        shutil.copy(places.SAMPLE / "thorax_phantom.zip", folder)
    return folder


def planned(place: Place | Path, *paths: Path | str, settings: Settings = SETTINGS, **sources: Any) -> Plan:
    """Plan a run."""
    place = FolderPlace(place) if isinstance(place, Path) else place
    return make_plan(Sources(paths=tuple(map(str, paths)), **sources), settings, place)


class InThisProcess:
    """An engine that performs each task in this process, which takes no seconds to begin."""

    processes = 1

    def __init__(self, job: ScoreJob, _options: RunOptions) -> None:
        self.duty = begin(job)
        self.stopped = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def stop(self) -> None:
        self.stopped = True

    def results(self, tasks: Iterable[RowTask]) -> Iterator[Finished[RowTask, RowScored]]:
        for number, task in enumerate(tasks):
            if self.stopped:
                return
            yield Finished(number, task, attempt(self.duty, task))


def attempt(duty: Duty[RowTask, RowScored], task: RowTask) -> RowScored | Failed:
    try:
        return duty.perform(duty.fetch(task))
    except UsageError as problem:
        return Failed(Why.REQUEST, str(problem))
    except OSError as problem:
        return Failed(Why.SYSTEM, str(problem))


def run(place: Place | Path, *, share: Share = WHOLE, **options: Any) -> BatchRun:
    """Run in this process."""
    place = FolderPlace(place) if isinstance(place, Path) else place
    return run_batch(place, RunOptions(share=share, **options), engine=InThisProcess)


def killed_with(row: str, place: Path, times: int) -> None:
    """Let runners be killed with a row in hand."""
    for _ in range(times):
        show(seen_now(new_runner(1, "0/1"), in_hand=(row,), host="elsewhere"), FolderPlace(place))
    for file in (place / "runners").iterdir():
        file.write_text(json.dumps(json.loads(file.read_text()) | {"seen": 1.0}))


def run_watched(place: Path, **options: Any) -> BatchRun:
    """Run in watched processes, as the command does."""
    return run_batch(FolderPlace(place), RunOptions(share=WHOLE, **options))


def content(folder: Path) -> dict[str, bytes]:
    """Return the results and outcomes of a run: what must be the same however it was disturbed."""
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for part in ("outcomes", "studies")
        for file in sorted((folder / part).rglob("*"))
        if file.is_file()
    }
