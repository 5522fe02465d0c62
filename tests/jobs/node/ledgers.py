"""Ledgers for tests: opened again and again, with a clock that the test sets."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ctacal.jobs.database import Database
from ctacal.jobs.node.ledger import Ledger, NewDelivery, ScoredOutcome, StudyClaim, StudyState, open_ledger

TABLES = ("node_studies", "node_deliveries", "node_audit", "node_facts")
SR, SEG = "1.2.840.10008.5.1.4.1.1.88.33", "1.2.840.10008.5.1.4.1.1.66.4"

IN_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""Where thousands of commits take no time; None: where temporary files lie."""


def no_ledger(url: str) -> str:
    """Remove the ledger from a PostgreSQL database, and return its URL."""
    database = Database(url)
    for table in TABLES:
        database.write(lambda rows, table=table: rows.run(f"DROP TABLE IF EXISTS {table}"))  # type: ignore[misc]
    database.close()
    return url


@dataclass
class Ledgers:
    """Opens the same ledger as several processes would."""

    where: Path | str
    now: float = 1_800_000_000.0
    opened: list[Ledger] = field(default_factory=list)

    def __call__(self, store_id: str = "store") -> Ledger:
        open_ledger(self.where, store_id).close()
        ledger = Ledger(Database(self.where, wait_s=20), store_id, clock=lambda: self.now)
        self.opened.append(ledger)
        return ledger

    def close(self) -> None:
        for ledger in self.opened:
            ledger.close()


def outcome(state: str = "SCORED", result: str = "results/1.2/1", **fields: object) -> ScoredOutcome:
    """Return what scoring came to."""
    assert state in ("SCORED", "REFUSED")
    return ScoredOutcome(state=StudyState(state), result=result, **fields)  # type: ignore[arg-type]


def report(name: str, destination: str = "pacs", kind: str = "sr") -> NewDelivery:
    """Return an object to send; its UID follows from its name."""
    uid = f"1.2.3.{sum(ord(letter) * 1000**place for place, letter in enumerate(name))}"
    sop_class = SR if kind == "sr" else SEG
    return NewDelivery(
        destination=destination, kind=kind, path=f"results/{name}", sop_class_uid=sop_class, sop_instance_uid=uid
    )


def settled(ledger: Ledger, study_uid: str = "1.2", objects: int = 3) -> None:
    """Let objects arrive, and settle the study."""
    ledger.arrived(study_uid, objects=objects, source="CAM@10.0.0.1")
    (study,) = [study for study in ledger.receiving() if study.study_uid == study_uid]
    assert ledger.settle(study_uid, study.activity)


def claimed(ledger: Ledger, worker: str = "w") -> StudyClaim:
    """Claim a study, of which there must be one."""
    claim = ledger.claim_study(worker)
    assert claim is not None
    return claim


def scored(ledger: Ledger, study_uid: str, *deliveries: NewDelivery) -> None:
    """Bring a study from its first object to its result."""
    settled(ledger, study_uid)
    claim = claimed(ledger)
    assert claim.study_uid == study_uid
    assert ledger.scored(claim, outcome(result=f"results/{study_uid}/{claim.revision}"), deliveries)


Opener = Callable[[], Ledgers]
