"""Many studies on one machine: a process after the other, GNU parallel, and the watched processes of ``ctacal score``.

    python benchmarks/batch_speed.py [--studies 24] [--rounds 3] [--write json] [--flat 5000] [--line 1000]

The ways take turns, so that what else the machine does meets all of them. Wall time depends on that, processor time
hardly. "One process" is what ``ctacal score --processes 1`` does: its networks use all cores. The studies are copies of
the simulated sample (34 slices, JPEG-LS) with UIDs of their own. ``--flat`` and ``--line`` run batches (``run_batch``)
of studies of 16 slices of 64 x 64 by the threshold, so that what the engine itself does for a study shows: memory over
so many, and seconds a study of 10, 100, 1,000. The last line is how much of the processor time the parent takes.
"""

import argparse
import io
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from installed import with_bytecode
from pydicom import dcmread
from pydicom.uid import generate_uid

import ctacal
from ctacal.cores import cores
from ctacal.jobs.batch.finding import Sources
from ctacal.jobs.batch.outcomes import RowOutcome
from ctacal.jobs.batch.places import FolderPlace
from ctacal.jobs.batch.plan import make_plan
from ctacal.jobs.batch.run import RunOptions, Watch, run_batch
from ctacal.jobs.batch.settings import Settings
from ctacal.jobs.batch.share import Share
from ctacal.simulate.output.series import write_series
from ctacal.simulate.phantom.thorax import draw_thorax

SAMPLE = Path(ctacal.__file__).parent / "sample" / "simulated_ctac.zip"
SMALL, SMALL_MM = (16, 64, 64), (12.0, 6.4, 6.4)
CTACAL = [sys.executable, "-m", "ctacal"]
THRESHOLD = Settings(predictor="threshold", write="json")
OnRow = Callable[[RowOutcome, int, int], object]


@dataclass(frozen=True, slots=True)
class Cost:
    """What a way of scoring took."""

    wall_s: float
    cpu_s: float


def copies(folder: Path, number: int) -> Path:
    """Write copies of the sample, each a study of its own."""
    with zipfile.ZipFile(SAMPLE) as archive:
        slices = [archive.read(name) for name in archive.namelist() if not name.endswith("/")]
    for copy in range(number):
        (folder / f"{copy:04d}").mkdir(parents=True)
        for index, content in enumerate(slices):
            image = dcmread(io.BytesIO(content))
            for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"):
                setattr(image, name, generate_uid(entropy_srcs=[str(copy), str(image[name].value)]))
            image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
            image.save_as(folder / f"{copy:04d}" / f"{index:03d}.dcm", enforce_file_format=True)
    return folder


def cost_of(action: Callable[[], object]) -> Cost:
    """Return the wall time of an action, and the processor time of the processes that it starts and waits for."""
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    action()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(time.perf_counter() - began, cpu_s)


def run(command: list[str], **environment: str) -> None:
    """Run a command that must succeed."""
    subprocess.run(command, check=True, capture_output=True, env=os.environ | environment)


def ways(studies: Path, out: Path, write: str) -> dict[str, Callable[[], None]]:
    """Return the ways to score a folder of studies, by name."""

    def score(*options: str, **environment: str) -> Callable[[], None]:
        return lambda: run([*CTACAL, "score", str(studies), "-o", str(out), "--write", write, *options], **environment)

    def one_by_one() -> None:
        each = [*CTACAL, "score", "{}", "-o", f"{out}/{{#}}", "--write", write]
        run(["parallel", f"-j{cores()}", *each, ":::", *map(str, sorted(studies.iterdir()))], OMP_NUM_THREADS="1")

    def batch() -> None:
        run([*CTACAL, "batch", "plan", str(studies), "-o", str(out), "--write", write])
        run([*CTACAL, "batch", "run", str(out)])

    found = {
        "one process, one thread": score("--processes", "1", OMP_NUM_THREADS="1"),
        "one process": score("--processes", "1"),
        "GNU parallel, a command a study": one_by_one,
        "ctacal score": score(),
        "ctacal batch run": batch,
    }
    if shutil.which("parallel") is None:
        print("GNU parallel is not installed: left out")
        del found["GNU parallel, a command a study"]
    return found


def compare(studies: Path, number: int, rounds: int, write: str, scratch: Path) -> None:
    """Print each way's studies a minute, processor seconds a study, and speed against one process."""
    costs: dict[str, list[Cost]] = {}
    for _ in range(rounds):
        for name, action in ways(studies, scratch, write).items():
            shutil.rmtree(scratch, ignore_errors=True)
            costs.setdefault(name, []).append(cost_of(action))
            print(f"  {name}: {costs[name][-1].wall_s:.1f} s, load {os.getloadavg()[0]:.1f}", flush=True)
    print(f"\n{number} studies, --write {write}, medians of {rounds}")
    heads = ("studies/min", "CPU s/study", "/min if alone", "x one thread", "x one process")
    print(f"{'':34s}", *(f"{head:>14s}" for head in heads))
    for name, found in costs.items():
        cpu_s = statistics.median(cost.cpu_s for cost in found) / number
        against = [
            statistics.median(one.wall_s / cost.wall_s for one, cost in zip(costs[base], found, strict=True))
            for base in ("one process, one thread", "one process")
        ]
        minute = 60 * number / statistics.median(cost.wall_s for cost in found)
        numbers = f"{minute:14.0f} {cpu_s:14.2f} {60 * cores() / cpu_s:14.0f} {against[0]:14.2f} {against[1]:14.2f}"
        print(f"{name:34s}", numbers)


def small_studies(folder: Path, number: int) -> Path:
    """Write folders of small studies, each with a UID of its own."""
    write_series(draw_thorax(SMALL, SMALL_MM, seed=1).volume, folder / "pattern")
    images = [dcmread(file) for file in sorted((folder / "pattern").iterdir())]
    for copy in range(number):
        (folder / "in" / f"{copy:05d}").mkdir(parents=True)
        for index, image in enumerate(images):
            image.StudyInstanceUID = generate_uid(entropy_srcs=["small", str(copy)])
            image.save_as(folder / "in" / f"{copy:05d}" / f"{index:02d}.dcm")
    return folder / "in"


def batch_of(studies: Iterable[Path], place: Path, settings: Settings, on_row: OnRow) -> None:
    """Plan a batch and run it."""
    make_plan(Sources(paths=tuple(map(str, studies))), settings, FolderPlace(place))
    done = run_batch(FolderPlace(place), RunOptions(share=Share()), Watch(on_row=on_row))
    assert done.done == done.total and not done.failed, done


def memory_mb(number: int) -> float:
    """Return the resident memory of a process (proc(5)); 0 if it has ended."""
    try:
        return int(Path(f"/proc/{number}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except FileNotFoundError:
        return 0.0


def children() -> list[int]:
    """Return the processes that this one has started."""
    return [int(word) for word in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]


def flat(studies: Path, place: Path) -> None:
    """Print the memory of the runner and of each process, as studies are scored."""
    found = sorted(studies.iterdir())
    print(f"\nmemory over {len(found):,} small studies, MB: runner, then its processes")

    def tell(_: RowOutcome, done: int, total: int) -> None:
        if done in (100, total) or done % max(1, total // 5) == 0:
            print(f"{done:8,d}", *(f"{memory_mb(one):8.1f}" for one in (os.getpid(), *children())), flush=True)

    batch_of(found, place, THRESHOLD, tell)


def line(studies: Path, place: Path, most: int) -> None:
    """Print seconds a study of 10, 100 ... studies, from the first to the last that is done."""
    print(f"\nsmall studies, {cores()} processes; CPU: of the processes with their start, of the runner without it")
    number = 10
    while number <= most:
        took = Took()
        before = children_s()
        batch_of(islice(sorted(studies.iterdir()), number + 1), place / str(number), THRESHOLD, took.tell)
        runner = f"the runner {1000 * took.runner_s / number:.1f} ms a study"
        print(
            f"{number:8,d} studies: {took.wall_s / number:.4f} s a study, CPU {children_s() - before:.1f} s, {runner}"
        )
        number *= 10


def overhead(studies: Path, place: Path, number: int) -> None:
    """Print how much of the processor time the runner takes, with the networks."""
    took, before = Took(), children_s()
    batch_of(sorted(studies.iterdir()), place, Settings(write="json"), took.tell)
    all_s = took.runner_s + children_s() - before
    print(
        f"\nthe runner took {took.runner_s:.2f} of {all_s:.1f} CPU s for {number} studies: {took.runner_s / all_s:.2%}"
    )


class Took:
    """Wall time, and processor time of this process, between the first row that is done and the last."""

    def __init__(self) -> None:
        self.began: tuple[float, float] | None = None
        self.wall_s = self.runner_s = 0.0

    def tell(self, _outcome: RowOutcome, _done: int, _total: int) -> None:
        """Take note that a row is done."""
        now = time.perf_counter(), time.process_time()
        self.began = self.began or now
        self.wall_s, self.runner_s = now[0] - self.began[0], now[1] - self.began[1]


def children_s() -> float:
    """Return the processor time of all processes that this one has started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--studies", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="append", help="kinds of output; may be given several times")
    parser.add_argument("--flat", type=int, default=0, help="measure the memory over so many small studies")
    parser.add_argument("--line", type=int, default=0, help="measure 10, 100 ... up to so many small studies")
    options = parser.parse_args()
    print(f"{cores()} cores, Python {sys.version.split()[0]}, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with_bytecode(folder / "bytecode")
        studies = copies(folder / "studies", options.studies)
        for write in options.write or ["json"]:
            compare(studies, options.studies, options.rounds, write, folder / "out")
        if options.flat:
            flat(small_studies(folder / "small", options.flat), folder / "flat")
        if options.line:
            line(small_studies(folder / "few", options.line + 1), folder / "line", options.line)
        overhead(studies, folder / "overhead", options.studies)


if __name__ == "__main__":
    main()
