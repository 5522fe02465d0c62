"""Many studies on one machine: a process after the other, GNU parallel, and the watched processes of ``ctacal score``.

    python benchmarks/batch_speed.py [--studies 24] [--rounds 3] [--write json] [--flat 5000] [--line 1000]

The ways take turns, so that what else the machine does meets all of them. Wall time depends on that, processor time
hardly. "One process" is what ``ctacal score --processes 1`` does: its networks use all cores. The studies are copies of
the simulated sample (34 slices, JPEG-LS) with UIDs of their own. ``--flat`` and ``--line`` use studies of 16 slices of
64 x 64 and the threshold, so that what the engine itself does for a study shows: memory over so many, and seconds a
study of 10, 100, 1,000. The last line is how much of the processor time the parent takes.
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
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from installed import with_bytecode
from pydicom import dcmread
from pydicom.uid import generate_uid

import ctacal
from ctacal.cores import cores
from ctacal.jobs.finders import baseline, networks
from ctacal.jobs.score import ScoreJob
from ctacal.jobs.scoring_pool import Scored, ScoringPool, Work
from ctacal.simulate.output.series import write_series
from ctacal.simulate.phantom.thorax import draw_thorax

SAMPLE = Path(ctacal.__file__).parent / "sample" / "simulated_ctac.zip"
SMALL, SMALL_MM = (16, 64, 64), (12.0, 6.4, 6.4)
CTACAL = [sys.executable, "-m", "ctacal"]
FOLDERS = 40
"""Different folders of small studies; they are scored again and again."""


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


def small_studies(folder: Path) -> list[Path]:
    """Write folders of small studies."""
    pattern = draw_thorax(SMALL, SMALL_MM, seed=1).volume
    folders = [folder / str(number) for number in range(FOLDERS)]
    for one in folders:
        write_series(pattern, one)
    return folders


def works(folders: list[Path], out: Path) -> Iterator[Work]:
    """Yield work without end."""
    while True:
        yield from (Work(one.name, (one,), out / one.name) for one in folders)


def memory_mb(number: int) -> float:
    """Return the resident memory of a process (proc(5)); 0 if it has ended."""
    try:
        return int(Path(f"/proc/{number}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except FileNotFoundError:
        return 0.0


def children() -> list[int]:
    """Return the processes that this one has started."""
    return [int(word) for word in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]


def flat(folders: list[Path], out: Path, number: int) -> None:
    """Print the memory of the parent and of each process, as studies are scored."""
    job, done = ScoreJob(finder=baseline(), outputs=("json",)), 0
    print(f"\nmemory over {number:,} small studies, MB: parent, then its processes")
    with ScoringPool(job) as pool:
        for finished in pool.results(islice(works(folders, out), number)):
            assert isinstance(finished.answer, Scored)
            done += 1
            if done in (100, number) or done % max(1, number // 5) == 0:
                print(f"{done:8,d}", *(f"{memory_mb(one):8.1f}" for one in (os.getpid(), *children())), flush=True)


def line(folders: list[Path], out: Path, most: int) -> None:
    """Print seconds a study of 10, 100 ... studies, once the processes are warm."""
    job = ScoreJob(finder=baseline(), outputs=("json",))
    print(f"\nsmall studies, {cores()} processes; CPU: of the processes with their start, of the parent without it")
    number = 10
    while number <= most:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        with ScoringPool(job) as pool:
            endless = pool.results(works(folders, out))
            for _ in islice(endless, 2 * pool.processes):  # until all are warm
                pass
            began, parent_began = time.perf_counter(), time.process_time()
            for _ in islice(endless, number):
                pass
            wall_s, parent_s = time.perf_counter() - began, time.process_time() - parent_began
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        parent = f"the parent {1000 * parent_s / number:.1f} ms a study"
        print(f"{number:8,d} studies: {wall_s / number:.4f} s a study, CPU {cpu_s:.1f} s, {parent}", flush=True)
        number *= 10


def overhead(studies: Path, out: Path, number: int) -> None:
    """Print how much of the processor time the parent takes, with the networks."""
    job = ScoreJob(finder=networks(), outputs=("json",))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with ScoringPool(job) as pool:
        folders = (Work(one.name, (one,), out) for one in sorted(studies.iterdir()))
        results = pool.results(folders)
        next(results)  # the processes have started
        began = time.process_time()
        assert len(list(results)) == number - 1
        parent_s = time.process_time() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    all_s = parent_s + after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"\nthe parent took {parent_s:.2f} of {all_s:.1f} CPU s for {number} studies: {parent_s / all_s:.2%}")


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
        small = small_studies(folder / "small") if options.flat or options.line else []
        if options.flat:
            flat(small, folder / "flat", options.flat)
        if options.line:
            line(small, folder / "line", options.line)
        overhead(studies, folder / "overhead", options.studies)


if __name__ == "__main__":
    main()
