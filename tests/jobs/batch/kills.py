"""Kills random processes of a batch at random instants, and checks that nothing was lost, doubled or changed.

    python -m tests.jobs.batch.kills 200 --seed 1 [--folder FOLDER] [--pause 0.3] [--hosts 2]

Each kill is SIGKILL: of a scoring process, of a runner, or of everything at once. Who was killed is started again. With
several hosts the runners share the folder and nothing else: each has a host name and a network of its own (unshare(1)).
When a run is done, the next one begins, until there were enough kills. Each run is compared with one that nothing
disturbed: results and outcomes byte for byte, and the table. The faults that were found are printed, and the status is
1. A pair of seed and number draws the same kills, not the same instants.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ctacal.jobs.batch.collect import collect
from ctacal.jobs.batch.places import FolderPlace
from ctacal.jobs.batch.plan import load_plan
from ctacal.jobs.batch.status import status_of
from tests.jobs.batch.cohorts import cohort, content, planned, run

VICTIMS = ("scoring", "scoring", "runner", "everything")
"""What is killed, as often as it stands here."""
PROCESSES = 2
WORK_S = 120.0
"""How long a runner may take to do a row after it was started, before kills go on."""
REFUSED = 40
"""Studies that take milliseconds, beside one that is scored."""


@dataclass
class Trial:
    """What was killed and found."""

    kills: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    tried_again: int = 0
    """Rows that were recorded after three kills of their process, and done by ``--retry-failed``."""
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def summary(self) -> str:
        """Return what was done and found."""
        killed = ", ".join(f"{name} {number}" for name, number in sorted(self.kills.items()))
        return "\n".join([
            f"{self.kills.total()} kills in {self.seconds:.0f} s: {killed}",
            f"{self.runs} runs of {REFUSED + 1} studies; {self.tried_again} rows were given up and tried again",
            *(f"FAULT: {fault}" for fault in self.faults),
            f"{len(self.faults)} faults",
        ])  # fmt: skip


@dataclass
class Runners:
    """The runners of a run, one for each host."""

    place: Path
    hosts: int
    programs: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self) -> None:
        """Start those that are missing."""
        while len(self.programs) < self.hosts:
            self.programs.append(self._started(len(self.programs)))
        for number, program in enumerate(self.programs):
            if program.poll() not in (None, 0):
                self.programs[number] = self._started(number)

    def _started(self, number: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "ctacal", "batch", "run", str(self.place), "--processes", str(PROCESSES)]
        if self.hosts > 1:
            command = ["unshare", "-n", "-u", "sh", "-c", f'hostname host{number}; exec "$@"', "sh", *command]
        return subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)

    @property
    def are_done(self) -> bool:
        """Whether all runners ended by themselves, with nothing left to do."""
        return bool(self.programs) and all(program.poll() == 0 for program in self.programs)

    @property
    def have_ended(self) -> bool:
        """Whether none runs."""
        return all(program.poll() is not None for program in self.programs)

    def kill(self, name: str, chance: random.Random) -> bool:
        """Kill something; return whether there was anything to kill."""
        alive = [program for program in self.programs if program.poll() is None]
        if not alive:
            return False
        program = chance.choice(alive)
        if name == "everything":
            for one in alive:
                _kill_group(one)
        elif name == "runner":
            program.kill()
        elif not (processes := _children(program.pid)):
            return False
        else:
            with suppress(ProcessLookupError):
                os.kill(chance.choice(processes), signal.SIGKILL)
        if name != "scoring":
            for one in alive if name == "everything" else [program]:
                one.wait()
        return True

    def end(self) -> None:
        """Kill what is left."""
        for program in self.programs:
            _kill_group(program)
            program.wait()


def _kill_group(program: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(program.pid, signal.SIGKILL)


def _children(number: int) -> list[int]:
    """Return the scoring processes of a runner, which run the forks of multiprocessing."""
    with suppress(OSError):
        found = Path(f"/proc/{number}/task/{number}/children").read_text().split()
        return [int(child) for child in found if b"spawn_main" in _command(int(child))]
    return []


def _command(number: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{number}/cmdline").read_bytes()
    return b""


def trial(
    folder: Path,
    *,
    kills: int,
    seed: int,
    pause_s: float = 0.3,
    hosts: int = 1,
    on_run: Callable[[Trial], object] = lambda _: None,
) -> Trial:
    """Kill processes until there were enough kills; return what came of it. ``on_run`` is told after each run."""
    made, chance, began = Trial(), random.Random(seed), time.monotonic()
    studies, calm = cohort(folder / "in", REFUSED), folder / "calm"
    planned(calm, studies)
    run(calm)
    collect(FolderPlace(calm), calm)
    while made.kills.total() < kills and not made.faults:
        place = folder / f"run {made.runs}"
        planned(place, studies)
        _disturbed(place, made, chance, kills, pause_s, hosts)
        made.faults += faults(place, calm, made)
        made.runs += 1
        made.seconds = time.monotonic() - began
        on_run(made)
    return made


def _disturbed(place: Path, made: Trial, chance: random.Random, kills: int, pause_s: float, hosts: int) -> None:
    runners = Runners(place, hosts)
    try:
        while made.kills.total() < kills and not runners.are_done:
            before = _outcomes(place)
            runners.start()
            if chance.random() < 0.8:  # otherwise kills go on while it starts
                _await_work(place, before, runners)
            time.sleep(chance.expovariate(1 / pause_s))
            name = chance.choice(VICTIMS)
            made.kills[name] += runners.kill(name, chance)
        if made.kills.total() >= kills:
            runners.end()
    finally:
        runners.end()
    run(place)


def _await_work(place: Path, before: int, runners: Runners) -> None:
    """Wait until a row was done, or there is nothing left to do: what never works shows nothing."""
    until = time.monotonic() + WORK_S
    while _outcomes(place) == before and not runners.have_ended and time.monotonic() < until:
        time.sleep(0.05)


def _outcomes(place: Path) -> int:
    return sum(1 for _ in place.glob("outcomes/*/*"))


def faults(place: Path, calm: Path, made: Trial) -> list[str]:
    """Return what differs from the run that nothing disturbed."""
    made.tried_again += run(place).failed
    done = run(place, retry_failed=True)
    collected = collect(FolderPlace(place), place)
    found = []
    if (done.done, done.failed) != (load_plan(FolderPlace(place)).total, 0):
        found.append(f"{place.name}: {done}")
    if collected.studies != REFUSED + 1 or collected.in_several_rows:
        found.append(f"{place.name}: {collected}")
    here, there = content(place), content(calm)
    found += [f"{place.name}: {name} is lost" for name in sorted(there.keys() - here.keys())]
    found += [f"{place.name}: {name} is too much" for name in sorted(here.keys() - there.keys())]
    found += [
        f"{place.name}: {name} differs" for name in sorted(here.keys() & there.keys()) if here[name] != there[name]
    ]
    if (place / "results.csv").read_bytes() != (calm / "results.csv").read_bytes():
        found.append(f"{place.name}: results.csv differs")
    if status_of(FolderPlace(place)).done != done.total:
        found.append(f"{place.name}: status {status_of(FolderPlace(place))}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("kills", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--pause", type=float, default=0.3, help="mean time in seconds between work and a kill")
    parser.add_argument("--hosts", type=int, default=1, choices=(1, 2))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        how = {"kills": options.kills, "seed": options.seed, "pause_s": options.pause, "hosts": options.hosts}
        made = trial(folder, **how, on_run=lambda made: print(made.summary(), flush=True))
    return 1 if made.faults else 0


if __name__ == "__main__":
    sys.exit(main())
