"""Processes that work with one ledger, for tests: ``python -m tests.jobs.node.ledger_workers DO WHERE LOG NUMBER``.

Each writes to the log what was acknowledged, a line at once. They are forked, so that each starts in no time, and may
be killed at any instant.
"""

import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from ctacal.jobs.node.ledger import Ledger, open_ledger
from tests.jobs.node.ledgers import outcome, report

STUDIES = 12
"""Studies that the killed workers share."""


class Log:
    """A file of lines, each written whole."""

    def __init__(self, path: Path) -> None:
        self.handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def __call__(self, *words: object) -> None:
        os.write(self.handle, (" ".join(map(str, words)) + "\n").encode())


def claim_all(ledger: Ledger, log: Log) -> None:
    """Score every study and send every delivery, as long as there are any."""
    while (claim := ledger.claim_study(str(os.getpid()))) is not None:
        log("study", claim.study_uid)
        assert ledger.scored(claim, outcome(), [report(claim.study_uid, "pacs", "sr")])
    while (delivery := ledger.claim_delivery(str(os.getpid()), "pacs")) is not None:
        log("delivery", delivery.sop_instance_uid)
        assert ledger.done(delivery)


def arrive_together(ledger: Ledger, log: Log) -> None:
    """Let objects of the same studies arrive as in many associations at once."""
    for number in range(20):
        ledger.arrived(f"1.{number % 3}", objects=1, source=f"CAM@{os.getpid()}")
        log("arrived", f"1.{number % 3}")


def live(ledger: Ledger, log: Log) -> None:
    """Do everything a node does, in no order, until killed."""
    while True:
        _step(ledger, log)


def _step(ledger: Ledger, log: Log) -> None:
    """Do one thing; what is written to the log was acknowledged."""
    chance = random.random()
    if chance < 0.3:
        uid = f"1.{random.randrange(STUDIES)}"
        ledger.arrived(uid, objects=1, source="CAM@10.0.0.1")
        log("arrived", uid)
    elif chance < 0.6:
        for arriving in ledger.receiving()[:2]:
            ledger.settle(arriving.study_uid, arriving.activity)
    elif chance < 0.8:
        claim = ledger.claim_study("scorer")
        if claim is not None and ledger.beat(claim):
            item = report(f"{claim.study_uid}/{claim.revision}")
            if ledger.scored(claim, outcome(), [item]):
                log("scored", claim.study_uid, claim.revision)
    elif delivery := ledger.claim_delivery("sender", "pacs"):
        if ledger.sent(delivery, f"2.25.{delivery.id}"):
            log("sent", delivery.id)
        if ledger.committed(f"2.25.{delivery.id}", [delivery.sop_instance_uid]):
            log("done", delivery.id)


def fork(work: Callable[[Ledger, Log], None], where: Path | str, path: Path) -> int:
    """Start a process that opens the ledger for itself, and return its number."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        work(open_ledger(where, "store"), Log(path))
        code = 0
    finally:
        os._exit(code)


def kill_again_and_again(where: Path | str, path: Path, kills: int) -> None:
    """Run two workers, and kill one after the other, at random instants after they have done something."""
    workers = [fork(live, where, path) for _ in range(2)]
    path.touch()
    for number in range(kills):
        enough = path.stat().st_size + random.uniform(1, 200)
        while path.stat().st_size < enough:
            time.sleep(random.uniform(0.0001, 0.003))
        os.kill(workers[number % 2], signal.SIGKILL)
        os.waitpid(workers[number % 2], 0)
        workers[number % 2] = fork(live, where, path)
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
        os.waitpid(worker, 0)


def all_at_once(work: Callable[[Ledger, Log], None], where: Path | str, path: Path, processes: int) -> int:
    """Run processes side by side, and return how many of them failed."""
    return sum(os.waitpid(worker, 0)[1] != 0 for worker in [fork(work, where, path) for _ in range(processes)])


def main(do: str, where: str, log: str, number: str) -> int:
    place: Path | str = where if where.startswith("postgresql:") else Path(where)
    open_ledger(place, "store").close()  # imports the driver once, before all forks
    if do == "kill":
        kill_again_and_again(place, Path(log), int(number))
        return 0
    return all_at_once(claim_all if do == "claim" else arrive_together, place, Path(log), int(number))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
