"""``Runner``: a program that scores rows of a run, as a small file that it replaces while it works.

Other machines see by it who works, how fast, and what died with rows in hand.
"""

import json
import os
import platform
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ctacal.jobs.batch.places import Place

BEAT_S = 5.0
"""How often a runner says that it is there."""
SILENT_S = 60.0
"""A runner that has said nothing for so long is taken for dead."""
GONE_S = 86400.0
"""What a runner of another machine left half done is removed when it has said nothing for so long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """A runner as its file shows it; times are Unix times in seconds."""

    name: str
    host: str
    pid: int
    """Its number there."""
    cores: int
    part: str
    """Its share of the shards, such as 3/100."""
    began: float
    seen: float
    done: int = 0
    """Rows that it has done."""
    in_hand: tuple[str, ...] = ()
    """Identities of rows that it works on."""
    system: str = ""
    """The running kernel and the PID namespace in which ``pid`` is its number; containers may share a host name."""
    ended: str = ""
    """Why it ended by itself; empty while it runs, and if it was killed."""

    @property
    def seconds(self) -> float:
        """How long it has worked."""
        return self.seen - self.began

    def is_alive(self, now: float) -> bool:
        """Whether it seems to run."""
        return not self.ended and now - self.seen < SILENT_S


def new_runner(cores: int, part: str) -> Runner:
    """Return a runner of this process, with a name that no other has."""
    now = time.time()
    host = platform.node() or "host"
    name = f"{host.split('.')[0]}-{os.getpid()}-{secrets.token_hex(3)}"
    return Runner(name=name, host=host, pid=os.getpid(), cores=cores, part=part, began=now, seen=now, system=_system())


def _system() -> str:
    """Return what tells this running system from all others; empty where it is not Linux."""
    with suppress(OSError):
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {Path('/proc/self/ns/pid').readlink()}"
    return ""


def show(runner: Runner, place: Place) -> None:
    """Write the runner's file."""
    place.tell(f"runners/{runner.name}.json", json.dumps(asdict(runner)).encode())


def seen_now(runner: Runner, **changes: object) -> Runner:
    """Return the runner with what has changed, and this moment."""
    return replace(runner, seen=time.time(), **changes)  # type: ignore[arg-type]


def runners(place: Place) -> Iterator[Runner]:
    """Yield all runners of a run, also those that have ended."""
    for name in sorted(place.names("runners")):
        with suppress(FileNotFoundError, ValueError, TypeError):
            yield _runner(json.loads(place.read(f"runners/{name}")))


def _runner(content: Mapping[str, object]) -> Runner:
    values = dict(content)
    values["in_hand"] = tuple(values["in_hand"])  # type: ignore[arg-type]
    return Runner(**values)  # type: ignore[arg-type]


def lost_in_hand(place: Place) -> dict[str, int]:
    """Return how often each row was in hand when its runner was killed, or a machine failed."""
    times: dict[str, int] = {}
    for runner in runners(place):
        if not runner.ended and not _may_live(runner):
            for row in runner.in_hand:
                times[row] = times.get(row, 0) + 1
    return times


def _may_live(runner: Runner) -> bool:
    """Whether it may be alive: it was seen lately, and its process is not known to be gone."""
    return runner.is_alive(time.time()) and not _has_ended_here(runner)


def _has_ended_here(runner: Runner) -> bool:
    """Whether it ran on this machine, in this PID namespace, and its process is gone."""
    if (runner.host, runner.system) != (platform.node(), _system()):
        return False
    try:
        os.kill(runner.pid, 0)
    except ProcessLookupError:
        return True
    except OSError:  # another user's
        return False
    return False


def is_gone(runner: Runner) -> bool:
    """Whether it is dead for certain: it ended, its process is gone from this machine, or it was silent for long."""
    return bool(runner.ended) or time.time() - runner.seen > GONE_S or _has_ended_here(runner)
