"""What people and programs ask of a node: to score a study now or again, to try again what is held.

Who asked stands in the audit trail, before what was done about it.
"""

from ctacal.errors import NotPossible, Problem, UsageError
from ctacal.jobs.node.config import NodeConfig
from ctacal.jobs.node.ledger import UNDELIVERED, DeliveryState, Ledger, StudyState


def score(ledger: Ledger, study_uid: str, *, by: str) -> str:
    """Score a study now, with what has arrived, or again; returns what happens, for people.

    Raises ``NotPossible`` if the study is unknown, or its originals were deleted.
    """
    study = ledger.study(study_uid)
    if study is None:
        raise _no_study(study_uid)
    if study.state is StudyState.SETTLED:
        return "It is being scored." if study.claimed_by else "It waits to be scored."
    if not study.objects:
        raise _no_originals()
    ledger.audit.append("asked", study_uid=study_uid, wish="score", by=by)
    if study.state is StudyState.RECEIVING:
        ledger.score_now(study_uid)
        return "It is scored now, with the objects that have arrived."
    try:
        ledger.rescore(study_uid)
    except UsageError as problem:  # deleted in between
        raise _no_originals() from problem
    return "It is scored again."


def retry(ledger: Ledger, *, delivery_id: int | None = None, destination: str | None = None, by: str) -> int:
    """Try again what is held: one item, all items of a destination, or all; returns how many.

    Raises ``NotPossible`` if the item is unknown, or is not held.
    """
    if delivery_id is not None:
        delivery = ledger.delivery(delivery_id)
        if delivery is None:
            raise NotPossible(Problem.NOT_FOUND, f"there is no delivery {delivery_id}")
        if delivery.state is not DeliveryState.HELD:
            raise NotPossible(Problem.STALE, f"delivery {delivery_id} is not held any more: it is {delivery.state}")
    ledger.audit.append("asked", wish="retry", by=by, delivery=str(delivery_id or ""), destination=destination or "")
    return ledger.retry_held(delivery_id, destination)


def try_now(ledger: Ledger, destination: str, config: NodeConfig, *, by: str) -> int:
    """Try a destination at once that is down; returns how many objects wait for it.

    Raises ``NotPossible`` if the configuration does not hold it.
    """
    _require_known(destination, config)
    ledger.audit.append("asked", wish="try now", by=by, destination=destination)
    return ledger.ask_to_try(destination)


def give_up(
    ledger: Ledger,
    config: NodeConfig,
    *,
    delivery_id: int | None = None,
    destination: str | None = None,
    to: str = "",
    by: str,
) -> int:
    """Give up a delivery, or all to a destination, or send them to another one (``to``); returns how many.

    Only what is held, and what is for a destination that the configuration does not hold any more: all else is sent by
    itself. Raises ``NotPossible`` if the item or ``to`` is unknown, or the item is sent by itself.
    """
    if (delivery_id is None) == (destination is None):
        raise NotPossible(Problem.INVALID, "say which delivery, or which destination")
    if to:
        _require_known(to, config)
    if delivery_id is not None:
        delivery = ledger.delivery(delivery_id)
        if delivery is None:
            raise NotPossible(Problem.NOT_FOUND, f"there is no delivery {delivery_id}")
        states = _states_to_give_up(delivery.destination, config)
        if delivery.state not in states:
            raise NotPossible(Problem.STALE, f"delivery {delivery_id} is not held: it is {delivery.state}")
    else:
        states = _states_to_give_up(destination or "", config)
    ledger.audit.append("asked", wish="send elsewhere" if to else "give up", by=by, delivery=str(delivery_id or ""),
                        destination=destination or "", to=to)  # fmt: skip
    if not to:
        return ledger.give_up(states, delivery_id=delivery_id, destination=destination)
    takes_files = any(one.name == to and one.kind == "folder" for one in config.destination)
    return ledger.redirect(states, to, takes_files=takes_files, delivery_id=delivery_id, destination=destination)


def _states_to_give_up(destination: str, config: NodeConfig) -> tuple[DeliveryState, ...]:
    return UNDELIVERED if config.destination_named(destination) is None else (DeliveryState.HELD,)


def _require_known(destination: str, config: NodeConfig) -> None:
    if config.destination_named(destination) is None:
        raise NotPossible(Problem.NOT_FOUND, f"there is no destination {destination[:64]!r} in the configuration")


def _no_study(study_uid: str) -> NotPossible:
    return NotPossible(Problem.NOT_FOUND, f"the node does not know the study {study_uid[:64]}")


def _no_originals() -> NotPossible:
    return NotPossible(Problem.LOCKED, "its images were deleted after delivery; send the study again to score it again")
