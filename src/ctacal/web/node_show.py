"""``Show``: how pages write times, scores, states and UIDs. Times are in the time zone of the node's machine."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from ctacal.categories import CATEGORIES
from ctacal.jobs.node.ledger import DeliveryState, StudyRow
from ctacal.jobs.node.overview import late_in_words

_WORDS = {
    "RECEIVING": "arriving",
    "SETTLED": "waiting",
    "QUARANTINED": "in quarantine",
    "SENT": "commitment awaited",
    "DONE": "delivered",
}
_HIDDEN_FACTS = ("sop_instance_uid", "key")
_UID_HEAD, _UID_TAIL = 14, 8
_FAR_S = 366 * 86400


class Show:
    """Functions that templates use."""

    categories = dict.fromkeys(CATEGORIES, "")

    @staticmethod
    def when(at: str) -> str:
        """Return a time of the ledger for people."""
        try:
            return datetime.fromisoformat(at).astimezone().strftime("%d %b %Y %H:%M:%S")
        except ValueError:
            return at

    @staticmethod
    def clock(now: datetime) -> str:
        """Return the time of day, with its zone."""
        return now.astimezone().strftime("%H:%M:%S %Z")

    @staticmethod
    def ago(at: str, now: datetime) -> str:
        """Return how long ago something was; a time in the future, by a clock that was set back, is now."""
        try:
            seconds = max(0.0, (now - datetime.fromisoformat(at)).total_seconds())
        except ValueError:
            return at
        for size, word in ((86400, "d"), (3600, "h"), (60, "min")):
            if seconds >= size:
                return f"{int(seconds // size)} {word}"
        return f"{int(seconds)} s"

    @staticmethod
    def when_due(due_at: float, now: datetime) -> str:
        """Return when something is tried next, if it has to wait; ``due_at`` is in seconds since 1970."""
        left_s = due_at - now.timestamp()
        if left_s <= 0 or left_s > _FAR_S:
            return ""
        return (now + timedelta(seconds=left_s)).astimezone().strftime("%H:%M:%S" if left_s < 43200 else "%d %b %H:%M")

    @staticmethod
    def hour(now: datetime, ago: int) -> str:
        """Return the hour that began so many hours before this one."""
        return (now.astimezone() - timedelta(hours=ago)).strftime("%H:00")

    @staticmethod
    def word(state: str) -> str:
        """Return a state of the ledger in the words of people."""
        return _WORDS.get(state, state.lower())

    @staticmethod
    def score(agatston: float | None) -> str:
        """Return a score as reports write it; nothing for a study without one."""
        return "" if agatston is None else f"{agatston:,.1f}" if agatston % 1 else f"{agatston:,.0f}"

    @staticmethod
    def category_number(category: str) -> int:
        """Return the place of a category, which has a colour."""
        return CATEGORIES.index(category) if category in CATEGORIES else 0

    @staticmethod
    def short_uid(uid: str) -> str:
        """Return a UID with its middle left out, which rarely tells two studies apart.

        >>> Show.short_uid("1.2.826.0.1.3680043.8.498.30507689925594392647418135043975237556")
        '1.2.826.0.1.36…75237556'
        """
        return uid if len(uid) <= _UID_HEAD + _UID_TAIL + 4 else f"{uid[:_UID_HEAD]}…{uid[-_UID_TAIL:]}"

    @staticmethod
    def delivered(states: Mapping[DeliveryState, int] | None) -> str:
        """Return how many results of a study were delivered, of those that still count."""
        counts = {state: number for state, number in (states or {}).items() if state is not DeliveryState.SUPERSEDED}
        return f"{counts.get(DeliveryState.DONE, 0)} of {sum(counts.values())}" if counts else ""

    @staticmethod
    def late(study: StudyRow) -> str:
        """Return why objects that came late make no new result."""
        return late_in_words(study)

    @staticmethod
    def sentence(what: str) -> str:
        """Return an event of the audit trail with a capital letter."""
        return what[:1].upper() + what[1:]

    @staticmethod
    def facts(facts: Mapping[str, Any]) -> str:
        """Return the facts of an event in one line."""
        shown = {name: value for name, value in facts.items() if value not in ("", None) and name not in _HIDDEN_FACTS}
        return ", ".join(f"{name.replace('_', ' ')}: {value}" for name, value in shown.items())


def utc_now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)
