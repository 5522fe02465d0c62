"""What a large batch costs beside scoring: planning a million rows, finding the place of a run, status and tables.

    python benchmarks/batch_ledger.py [--rows 1000000] [--done 100000]

No image is read: the rows are names in a list, and the outcomes are written here. Each step runs in a process of its
own; its time and largest memory are printed.
"""

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Self

from ctacal.jobs.batch.collect import collect
from ctacal.jobs.batch.finding import Sources
from ctacal.jobs.batch.ledger import ledger_name
from ctacal.jobs.batch.outcomes import RowOutcome, StudyOutcome, outcome_name
from ctacal.jobs.batch.places import FolderPlace
from ctacal.jobs.batch.plan import load_plan, make_plan, rows_of_shard
from ctacal.jobs.batch.run import RunOptions, run_batch
from ctacal.jobs.batch.scoring import RowScored, RowTask
from ctacal.jobs.batch.settings import Settings
from ctacal.jobs.batch.share import Share
from ctacal.jobs.batch.status import status_of
from ctacal.jobs.score import ScoreJob
from ctacal.results_table import COLUMNS, WORD_COLUMNS
from ctacal.watched_pool import Finished

SETTINGS = Settings(predictor="threshold", write="json")


class FirstTask:
    """An engine that takes one task, if any is left, and scores nothing."""

    processes = 1

    def __init__(self, _job: ScoreJob, _options: RunOptions) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def stop(self) -> None:
        pass

    def results(self, tasks: Iterable[RowTask]) -> Iterator[Finished[RowTask, RowScored]]:
        next(iter(tasks), None)
        return iter(())


def plan(folder: Path) -> str:
    made = make_plan(Sources(lists=(folder / "list",)), SETTINGS, FolderPlace(folder / "run"))
    return f"{made.total:,} rows in {len(made.rows)} shards"


def find_place(folder: Path) -> str:
    done = run_batch(FolderPlace(folder / "run"), RunOptions(share=Share()), engine=FirstTask)
    return f"{done.done:,} of {done.total:,} rows were done"


def tell_status(folder: Path) -> str:
    status = status_of(FolderPlace(folder / "run"))
    return f"{status.scored:,} scored"


def write_tables(folder: Path) -> str:
    done = collect(FolderPlace(folder / "run"), folder / "tables")
    size_mb = sum(file.stat().st_size for file in (folder / "tables").iterdir()) / 1e6
    return f"{done.studies:,} studies, {size_mb:.0f} MB"


def write_outcomes(folder: Path, wanted: int) -> int:
    """Write outcomes and ledger of some rows, without waiting for the disk."""
    place, written = FolderPlace(folder / "run"), 0
    planned = load_plan(place)
    for shard in range(len(planned.rows)):
        rows = rows_of_shard(planned, place, shard)[: wanted - written]
        lines = [(outcome.name, outcome.line()) for outcome in (_outcome(row.id) for row in rows)]
        written += len(lines)
        for name, line in lines:
            file = place.folder / outcome_name(shard, name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(line)
        ledger = place.folder / ledger_name(shard, "benchmark")
        ledger.parent.mkdir(parents=True, exist_ok=True)
        ledger.write_bytes(b"".join(line for _, line in lines))
    return written


def _outcome(row: str) -> RowOutcome:
    """An outcome as large as that of a scored study."""
    uid, folder = f"1.2.826.0.1.{int(row, 16)}", f"studies/{row[:2]}/{2 * row}"
    cells: dict[str, object] = {name: "some word" if name in WORD_COLUMNS else 1234.5678 for name in COLUMNS}
    cells |= {"status": "scored", "category": "101-400", "study_uid": uid, "folder": folder}
    study = StudyOutcome(key=2 * row, study_uid=uid, status="scored", folder=folder, table=cells)
    return RowOutcome(row=row, studies=(study,))


def measured(step: Callable[[Path], str], folder: Path) -> None:
    """Run a step in a new process, and print what it took."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(step, folder, sender))
    process.start()
    sender.close()  # a step that fails closes the other end, and recv raises
    said, wall_s, cpu_s, peak_mb = receiver.recv()
    process.join()
    print(f"{step.__name__:14} {wall_s:7.1f} s wall {cpu_s:7.1f} s CPU {peak_mb:6.0f} MB   {said}", flush=True)


def _measure(step: Callable[[Path], str], folder: Path, sender: Connection) -> None:
    began, cpu = time.perf_counter(), time.process_time()
    said = step(folder)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sender.send((said, time.perf_counter() - began, time.process_time() - cpu, peak_mb))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--done", type=int, default=100_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with (folder / "list").open("w") as lines:
            lines.writelines(f"/data/cohort/site-{n % 37:02d}/patient-{n:07d}/study\n" for n in range(options.rows))
        measured(plan, folder)
        began = time.perf_counter()
        written = write_outcomes(folder, options.done)
        print(json.dumps({"outcomes written": written, "s": round(time.perf_counter() - began, 1)}))
        for step in (find_place, tell_status, write_tables):
            measured(step, folder)


if __name__ == "__main__":
    main()
