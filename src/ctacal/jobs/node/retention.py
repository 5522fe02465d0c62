"""Retention: files that are needed no more are deleted, and nothing before all that is sent of it is delivered."""

import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ctacal.jobs.node.config import Retention
from ctacal.jobs.node.events import tell
from ctacal.jobs.node.ledger import DeliveryState, Ledger, StudyState
from ctacal.jobs.node.store import Discarding, Store

_OPEN = {DeliveryState.WAITING, DeliveryState.SENT, DeliveryState.HELD}


def discard(store: Store, ledger: Ledger, retention: Retention, now: datetime | None = None) -> int:
    """Delete what is old enough, with a record in the audit trail; returns the number of studies of which it was.

    ``now`` is for tests.
    """
    now = now or datetime.now(UTC)
    finish_discarding(store, ledger)
    days = retention.days_of_originals
    originals = _discard_originals(store, ledger, now, days) if days else 0
    results = _discard_results(store, ledger, now, retention.results_days) if retention.results_days else 0
    return originals + results


def finish_discarding(store: Store, ledger: Ledger) -> None:
    """Delete the originals of which a killed process had begun to; to be called at each start, before a study settles.

    Raises ``OSError``.
    """
    for going in store.discarding():
        _finish(store, ledger, going)


def _discard_originals(store: Store, ledger: Ledger, now: datetime, days: float) -> int:
    discarded = 0
    for study in ledger.removable(last_before=_time(now - timedelta(days=days))):
        objects = len(store.received(study.study_uid))  # before the ledger is asked: what arrives from here on stays
        if objects <= study.objects and ledger.originals_deleted(replace(study, objects=objects)):
            going = store.discard_received(study.study_uid, objects)
            discarded += going is not None and _finish(store, ledger, going)
    return discarded


def _finish(store: Store, ledger: Ledger, going: Discarding) -> bool:
    """Delete originals that were taken out of the store; False if something had arrived before that: then all go back.

    A new result needs them, and the ledger records that they are back.
    """
    if len(going.files) > going.objects:
        ledger.found(going.study_uid, objects=len(going.files))
        store.put_back(going)
        return False
    store.delete(going)
    tell("originals deleted", study_uid=going.study_uid, objects=going.objects)
    return True


def _discard_results(store: Store, ledger: Ledger, now: datetime, days: float) -> int:
    discarded = 0
    before = _time(now - timedelta(days=days))
    for folder in sorted((store.folder / "results").iterdir()):
        if _is_old(ledger, folder.name, before):
            ledger.audit.append("results deleted", study_uid=folder.name)
            _remove(folder)
            tell("results deleted", study_uid=folder.name)
            discarded += 1
    return discarded


def _is_old(ledger: Ledger, study_uid: str, before: str) -> bool:
    study = ledger.study(study_uid)
    if study is None or study.state not in (StudyState.SCORED, StudyState.REFUSED) or study.scored_at >= before:
        return False
    return not any(delivery.state in _OPEN for delivery in ledger.deliveries(study_uid))


def _remove(folder: Path) -> None:
    """Remove a folder; what is left if the program is killed now is removed the next time."""
    shutil.rmtree(folder, ignore_errors=True)


def _time(moment: datetime) -> str:
    """A time as the ledger writes it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")
