"""``node_status``: how a node stands, in lines for a person at a terminal."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from ctacal.errors import UsageError, system_message
from ctacal.jobs.node.alarm import alarms_of
from ctacal.jobs.node.config import NodeConfig
from ctacal.jobs.node.ledger import DeliveryState, Ledger, StudyState, open_ledger
from ctacal.jobs.node.occupancy import node_runs, processes
from ctacal.jobs.node.overview import Overview, late_in_words, overview
from ctacal.jobs.node.store import Store, require_store

_MB = 10**6
_WAIT_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """A node at one moment."""

    overview: Overview
    runs: bool
    processes: dict[str, int]
    """Process number of each part, if it runs."""
    to_do: tuple[str, ...]
    """What a person must act on."""

    @property
    def lines(self) -> Iterator[str]:
        """Yield how things stand, in words."""
        seen = self.overview
        numbers = ", ".join(f"{name} {number}" for name, number in self.processes.items())
        yield f"the node runs ({numbers})" if self.runs else "the node does not run"
        yield "studies: " + ", ".join(f"{number} {_STUDIES[state]}" for state, number in seen.studies.items())
        yield f"last hour: {seen.hour.received} received, {seen.hour.scored} scored, {seen.hour.delivered} delivered"
        for name, counts in seen.deliveries.items():
            since = f", the first since {seen.to_send_since[name]}" if seen.to_send_since.get(name) else ""
            yield f"{name}: " + ", ".join(f"{counts[state]} {word}" for state, word in _DELIVERIES.items()) + since
        disk = seen.disk
        yield f"disk: {disk.free_bytes / _MB:,.0f} MB free, {disk.reserve_bytes / _MB:,.0f} MB kept free"
        yield from (f"{study.study_uid}: {late_in_words(study)}" for study in seen.late)
        yield from (f"TO DO: {text}" for text in self.to_do)


_STUDIES = {
    StudyState.RECEIVING: "arriving",
    StudyState.SETTLED: "to score",
    StudyState.SCORED: "scored",
    StudyState.REFUSED: "refused",
    StudyState.QUARANTINED: "in quarantine",
}
_DELIVERIES = {
    DeliveryState.WAITING: "waiting",
    DeliveryState.SENT: "awaiting storage commitment",
    DeliveryState.HELD: "held",
    DeliveryState.DONE: "delivered",
}


@contextmanager
def opened_ledger(config: NodeConfig) -> Iterator[Ledger]:
    """Yield the ledger of a node that was started before. Raises ``UsageError`` if it cannot be opened."""
    try:
        require_store(config.store)  # to look at a node must not make one
    except OSError as problem:
        message = f"{config.store}: {system_message(problem)} A node makes its store when it first starts."
        raise UsageError(message) from problem
    with closing(open_ledger(config.ledger, Store(config.store).id, wait_s=_WAIT_S)) as ledger:
        yield ledger


def node_status(config: NodeConfig) -> Status:
    """Return how the node of a configuration stands. Raises ``UsageError`` if store or ledger cannot be opened."""
    with opened_ledger(config) as ledger:
        runs = node_runs(config.store)
        seen = overview(ledger, config)
    return Status(
        overview=seen,
        runs=runs,
        processes=processes(config.store) if runs else {},
        to_do=tuple(alarm.text for alarm in alarms_of(seen, config, {})),
    )
