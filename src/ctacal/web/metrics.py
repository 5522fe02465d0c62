"""``NodeMetrics``: a node in numbers for Prometheus. No label holds a UID, an address or anything of a patient."""

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from threading import Lock

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from ctacal.jobs.node.audit import Audit
from ctacal.jobs.node.overview import Overview

CONTENT_TYPE = CONTENT_TYPE_LATEST
_PREFIX = "ctacal_node"
_BATCH = 1000


class EventCounts:
    """How often each event of the audit trail happened since this process started: counters that never go back."""

    def __init__(self, audit: Audit) -> None:
        head = audit.head()
        self._audit, self._last = audit, head.n if head else -1
        self._counts: Counter[str] = Counter()
        self._lock = Lock()

    def now(self) -> dict[str, int]:
        """Return the counts, with what has been added to the trail."""
        with self._lock:
            while records := self._audit.since(self._last, limit=_BATCH):
                self._counts.update(str(record.content["what"]) for record in records)
                self._last = records[-1].n
            return dict(self._counts)


class NodeMetrics(Collector):
    """Makes the numbers at each request."""

    def __init__(
        self, seen: Callable[[], Overview], events: Callable[[], dict[str, int]], alarms: Callable[[], Iterable[str]]
    ) -> None:
        self._seen, self._events, self._alarms = seen, events, alarms
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def text(self) -> bytes:
        """Return all numbers in the text format of Prometheus."""
        return generate_latest(self._registry)

    def describe(self) -> Iterable[Metric]:
        """Return nothing: the registry must not ask the ledger when this is registered."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Return all numbers."""
        seen = self._seen()
        yield from _of_studies(seen)
        yield from _of_deliveries(seen)
        yield from _of_machine(seen)
        events = CounterMetricFamily(f"{_PREFIX}_events", "Events of the audit trail", labels=["event"])
        for what, number in sorted(self._events().items()):
            events.add_metric([what], number)
        yield events
        alarms = GaugeMetricFamily(f"{_PREFIX}_alarms", "Alarms that hold now, by cause", labels=["cause"])
        for cause, number in sorted(Counter(self._alarms()).items()):
            alarms.add_metric([cause], number)
        yield alarms


def _of_studies(seen: Overview) -> Iterable[Metric]:
    studies = GaugeMetricFamily(f"{_PREFIX}_studies", "Studies by state", labels=["state"])
    for state, number in seen.studies.items():
        studies.add_metric([state.value.lower()], number)
    yield studies
    yield _gauge("studies_being_scored", "Studies that a scorer has taken", len(seen.being_scored))
    yield _gauge("studies_to_score", "Whole studies that wait for a scorer", seen.to_score)
    age_s = _age_s(seen.to_score_since, seen.at) if seen.to_score else 0.0
    yield _gauge("oldest_study_to_score_seconds", "Age of the study that has waited longest to be scored", age_s)
    yield _gauge("objects_aside", "Objects that were set aside", len(seen.aside))


def _of_deliveries(seen: Overview) -> Iterable[Metric]:
    name = f"{_PREFIX}_deliveries"
    deliveries = GaugeMetricFamily(name, "Results by destination and state", labels=["destination", "state"])
    oldest = GaugeMetricFamily(
        f"{_PREFIX}_oldest_delivery_seconds", "Age of the first result in a queue", labels=["destination"]
    )
    for destination, counts in seen.deliveries.items():
        for state, number in counts.items():
            deliveries.add_metric([destination, state.value.lower()], number)
        oldest.add_metric([destination], _age_s(seen.to_send_since.get(destination, ""), seen.at))
    yield deliveries
    yield oldest


def _of_machine(seen: Overview) -> Iterable[Metric]:
    yield _gauge("disk_free_bytes", "Free space of the store's file system", seen.disk.free_bytes)
    yield _gauge("disk_size_bytes", "Size of the store's file system", seen.disk.total_bytes)
    yield _gauge("disk_reserve_bytes", "Free space below which nothing is received", seen.disk.reserve_bytes)
    up = GaugeMetricFamily(f"{_PREFIX}_part_up", "Whether a process of the node lives", labels=["part"])
    restarts = GaugeMetricFamily(
        f"{_PREFIX}_part_restarts", "Starts of a process in the last ten minutes but the first", labels=["part"]
    )
    for part in seen.parts:
        up.add_metric([part.name], int(part.alive))
        restarts.add_metric([part.name], part.restarts)
    yield up
    yield restarts
    yield _gauge("inputs_failing", "Watched folders and Orthancs that cannot be read", len(seen.inputs))


def _gauge(name: str, about: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{_PREFIX}_{name}", about, value=value)


def _age_s(since: str, now: str) -> float:
    if not since:
        return 0.0
    return max(0.0, (datetime.fromisoformat(now) - datetime.fromisoformat(since).astimezone(UTC)).total_seconds())
