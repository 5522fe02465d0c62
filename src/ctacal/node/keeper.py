"""The keeper of the node: settles studies, frees the claims of dead workers, deletes what is old, looks into folders.

It does what no request asks for. If it is killed, the next keeper looks at everything anew; nothing is settled or freed
early by that, because it then waits the full time again.
"""

import logging
import os
import platform
import re
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import TypeVar

from ctacal.errors import CtacalError, system_message
from ctacal.jobs.node.arrivals import Arrivals
from ctacal.jobs.node.config import NodeConfig
from ctacal.jobs.node.events import tell
from ctacal.jobs.node.inputs import Trouble, input_name
from ctacal.jobs.node.intake import Limits
from ctacal.jobs.node.ledger import APPENDING_KIB, Claimed, Ledger, ledger_of
from ctacal.jobs.node.ledger_rebuild import put_right, rebuild
from ctacal.jobs.node.life import Pulse, alive_folder
from ctacal.jobs.node.retention import discard, finish_discarding
from ctacal.jobs.node.settling import Settling
from ctacal.jobs.node.store import Store
from ctacal.node.triage import Triage

Row = TypeVar("Row")

_LOOK_S = 0.3
_CLAIMS_S = 2.0
"""How often claims are looked at."""
DEAD_S = 30.0
"""A worker whose claim did not beat for so long is dead: workers beat every few seconds (own choice)."""
SCORER_DIED = "the scorer, or the whole node, ended while the study was being scored"
_SLOW_S = 1.0
"""A ledger that takes longer to answer was away."""
_RETENTION_S = 600.0
_PAUSE_S = 2.0


def run(config: NodeConfig, stopping: Event) -> None:
    """Keep the node in order until ``stopping`` is set."""
    store = Store(config.store)
    pulse = Pulse(alive_folder(config.store, config.receive.port), "keeper")
    with ExitStack() as stack:
        _start_looking(config, store, stopping, stack)
        keeper: Keeper | None = None
        told = ""
        while not stopping.is_set():
            try:
                keeper = keeper or Keeper(config, store, _whole_ledger(config, store))
                keeper.look()
                pulse.beat()
                told = ""
                stopping.wait(_LOOK_S)
            except (CtacalError, OSError) as problem:
                said = system_message(problem) if isinstance(problem, OSError) else str(problem)
                if said != told:
                    tell("keeper waits", level=logging.ERROR, reason=said)
                told = said
                stopping.wait(_PAUSE_S)
                if keeper:
                    keeper.away_s += _PAUSE_S
        if keeper:
            keeper.triage.end()
            keeper.ledger.close()


def _whole_ledger(config: NodeConfig, store: Store) -> Ledger:
    """Open the ledger, and add what lies in the store and is not in it, before any study settles."""
    ledger = ledger_of(config, store)
    try:
        finish_discarding(store, ledger)
        found = rebuild(ledger, store)
    except BaseException:
        ledger.close()
        raise
    if found.to_score or found.finished:
        tell("ledger made from the store: what is there is scored, and sent again under the same UIDs",
             level=logging.WARNING, to_score=found.to_score, finished=found.finished)  # fmt: skip
    return ledger


def _start_looking(config: NodeConfig, store: Store, stopping: Event, stack: ExitStack) -> None:
    """Start a thread for each watched folder and each Orthanc; the end of ``stack`` waits for them."""
    if not (config.watch or config.orthanc):
        return
    from ctacal.node.orthanc import PolledOrthanc
    from ctacal.node.watch import WatchedFolder

    arrivals = stack.enter_context(
        Arrivals(store, lambda: ledger_of(config, store, cache_kib=APPENDING_KIB), config.settle)
    )
    limits = Limits(
        largest_object_mb=config.receive.largest_object_mb,
        reserve_mb=config.disk.reserve_mb,
        reserve_percent=config.disk.reserve_percent,
    )
    lookers: dict[str, WatchedFolder | PolledOrthanc] = {
        **{input_name(one): WatchedFolder(one, store, limits, arrivals) for one in config.watch},
        **{input_name(one): PolledOrthanc(one, store, limits, arrivals) for one in config.orthanc},
    }
    alive = alive_folder(config.store, config.receive.port)
    for name, looker in lookers.items():
        thread = Thread(target=_looking, args=(looker.run, stopping, Trouble(alive, name)), daemon=True)
        thread.start()
        stack.callback(thread.join, 10.0)


def _looking(run_looker: Callable[[Event, Trouble], None], stopping: Event, trouble: Trouble) -> None:
    """Run until the node stops; log a defect, and go on."""
    while not stopping.is_set():
        try:
            run_looker(stopping, trouble)
        except Exception as problem:
            logging.getLogger("ctacal").exception("looking for files failed")
            trouble.note(f"{type(problem).__name__}; please report this")
            stopping.wait(_PAUSE_S)


@dataclass(eq=False)
class Keeper:
    """What the keeper remembers from one look to the next."""

    config: NodeConfig
    store: Store
    ledger: Ledger
    clock: Callable[[], float] = time.monotonic
    away_s: float = field(default=0.0, init=False)
    """For how long the ledger has not answered, in all: nobody could tell it of arrivals or heartbeats then."""
    _claims_at: float = field(default=float("-inf"), init=False)
    _retention_at: float = field(default=float("-inf"), init=False)

    def __post_init__(self) -> None:
        self.triage = Triage.of(self.config)
        self.settling = Settling(self.config.settle, self.triage.is_whole, self._patience)
        self.dead_claims = DeadClaims(self._patience)

    def look(self) -> None:
        """Do what is due now. Raises ``DatabaseAway`` if the ledger is away for long, ``OSError`` if the store is."""
        self.store.require()
        for study in self.settling.due(self._answer(self.ledger.receiving)):
            objects = put_right(self.ledger, self.store, study.study_uid, study.objects, study.activity)
            if self.ledger.settle(study.study_uid, study.activity):
                tell("settled", study_uid=study.study_uid, objects=objects, asked_now=study.asked_now)
        now = self.clock()
        if now - self._claims_at >= _CLAIMS_S:
            self._claims_at = now
            self._free_dead()
        if now - self._retention_at >= _RETENTION_S:
            self._retention_at = now
            discard(self.store, self.ledger, self.config.retention)

    def _patience(self) -> float:
        """Return the clock by which silence counts, which stands still while the ledger does not answer."""
        return self.clock() - self.away_s

    def _answer(self, ask: Callable[[], list[Row]]) -> list[Row]:
        """Return what the ledger answers; a long wait for it is no silence of those who work with it."""
        asked_at = self.clock()
        try:
            return ask()
        finally:
            if (waited_s := self.clock() - asked_at) > _SLOW_S:
                self.away_s += waited_s

    def _free_dead(self) -> None:
        for claimed in self.dead_claims.among(self._answer(self.ledger.claims)):
            if self._freed(claimed):
                tell("claim freed, because its worker is dead", level=logging.WARNING, worker=claimed.worker,
                     key=claimed.key)  # fmt: skip

    def _freed(self, claimed: Claimed) -> bool:
        """Take the claim away. For a study the attempt counts: it may be what killed the scorer, or the node.

        Scorers that are stopped in good order give their claims back themselves.
        """
        if claimed.what == "delivery":
            return self.ledger.free(claimed, counts=False)
        return self.ledger.scorer_died(claimed, SCORER_DIED, most_attempts=self.config.score.most_attempts)


@dataclass(eq=False)
class DeadClaims:
    """Claims of workers that are dead: their process is gone, or their counter did not move for ``DEAD_S``."""

    clock: Callable[[], float] = time.monotonic
    _seen: dict[tuple[str, int], float] = field(default_factory=dict, init=False)
    """Since when this claim has been seen with this beat."""

    def among(self, claims: list[Claimed]) -> list[Claimed]:
        """Return the claims that may be freed, of all that are open."""
        now = self.clock()
        self._seen = {(one.token, one.beat): self._seen.get((one.token, one.beat), now) for one in claims}
        return [one for one in claims if _is_gone(one.worker) or now - self._seen[one.token, one.beat] >= DEAD_S]


def _is_gone(worker: str) -> bool:
    """Whether a worker of this machine (``sender 123 on NAME``) runs no more.

    A process number that another process has by now hides a death, for ``DEAD_S``.
    """
    named = re.search(r" (\d+) on (.*)$", worker)
    if named is None or named[2] != platform.node():
        return False
    try:
        os.kill(int(named[1]), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False
