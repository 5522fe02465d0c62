"""``Plan``: who reads which cases in which sessions, and what each reader may see; from a TOML file, or the usual one.

A reader study follows what the FDA asks of studies with several readers (Clinical Performance Assessment: CADe, 2022):
a plan that is fixed before the first reading, a random order of the cases for each reader, and sessions on the same
cases at least four weeks apart. The order is drawn from the seed by digests, so that it is the same on each machine.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from ctacal.errors import UsageError
from ctacal.fields import read_toml

WASHOUT_DAYS = 28
"""Least number of days between two sessions of a reader on the same case (FDA 2022: at least 4 weeks)."""

Mode = Literal["scratch", "blind", "aided", "sequential", "adjudication"]
"""What a reader sees: ``scratch`` the scan and who it is of, but no model; ``blind`` the scan alone; ``aided`` the
model's marks to start from; ``sequential`` first blind, then the same reading with the model's marks shown;
``adjudication`` the readings of others that disagree."""

UNAIDED, AIDED = "unaided", "aided"
"""The two stages of a sequential session."""

_AIDED_STAGE = "~aided"
"""Ending of the session's name in the second stage."""

ADJUDICATION = "adjudication-"
"""Beginning of the session's name of an adjudicator's reading; the session that is settled follows."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,31}")
"""Names of readers and sessions: they become names of files, and of columns, in which _ comes before a vessel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One reading of the cases by each of some readers."""

    name: str
    mode: Literal["blind", "aided", "sequential"]
    readers: tuple[str, ...] = ()
    """Empty: all readers."""
    cases: tuple[str, ...] = ()
    """Study UIDs, or names of cases; empty: all cases."""

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ValueError(f"sessions.name: {self.name!r}; use letters, digits and -")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A reader study, fixed before its first reading."""

    name: str
    seed: int
    readers: tuple[str, ...]
    sessions: tuple[Session, ...]
    """In the order in which a reader does them."""
    adjudicators: tuple[str, ...] = ()
    administrators: tuple[str, ...] = ()
    washout_days: int = WASHOUT_DAYS
    washout_reason: str = ""
    """Why the washout is shorter than ``WASHOUT_DAYS``; it is recorded in each reading."""

    def __post_init__(self) -> None:
        people = (*self.readers, *self.adjudicators, *self.administrators)
        if wrong := [name for name in people if not NAME.fullmatch(name)]:
            raise ValueError(f"readers: {wrong[0]!r}; use letters, digits and -")
        if self.washout_days < WASHOUT_DAYS and not self.washout_reason.strip():
            raise ValueError(f"washout_reason: missing; a washout below {WASHOUT_DAYS} days needs a reason")
        if unknown := {reader for session in self.sessions for reader in session.readers} - set(self.readers):
            raise ValueError(f"sessions.readers: {min(unknown)} is not among the readers")
        for reader in self.readers:
            names = [session.name for session in self.sessions_of(reader)]
            if len(names) != len(set(names)):
                raise ValueError(f"sessions.name: {reader} has two sessions of one name")
        if both := set(self.readers) & set(self.adjudicators):
            raise ValueError(f"adjudicators: {min(both)} is a reader too, and would settle an own reading")

    def sessions_of(self, reader: str) -> list[Session]:
        """Return the sessions of a reader, in order."""
        return [session for session in self.sessions if not session.readers or reader in session.readers]

    @property
    def digest(self) -> str:
        """SHA-256 of everything in the plan."""
        return hashlib.sha256(repr(self).encode()).hexdigest()


def read_plan(path: Path) -> Plan:
    """Read a plan from a TOML file. Raises ``UsageError`` naming the file and the field."""
    return read_toml(Plan, path)


def sessions_in_order(plan: Plan, reader: str, cases: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return (case, session) of everything that a reader reads, in the reader's own random order within each session.

    ``cases`` are (name, study UID). Raises ``UsageError`` if a session names a case that is not there.
    """
    return [
        (case, session.name) for session in plan.sessions_of(reader) for case in _in_order(plan, session, reader, cases)
    ]


def _in_order(plan: Plan, session: Session, reader: str, cases: Sequence[tuple[str, str]]) -> list[str]:
    by_name = {key: name for name, uid in cases for key in (uid, name)}
    if unknown := [case for case in session.cases if case not in by_name]:
        raise UsageError(f"session {session.name}: case {unknown[0]} is not among the studies")
    names = dict.fromkeys(by_name[case] for case in session.cases) if session.cases else [name for name, _ in cases]
    return sorted(names, key=lambda name: _draw(plan, session.name, reader, name))


def _draw(plan: Plan, *words: str) -> bytes:
    """Return a random number that depends on the seed and the words alone."""
    return hashlib.sha256("\n".join((plan.name, str(plan.seed), *words)).encode()).digest()


def stage_of(session: str) -> tuple[str, str]:
    """Return a session's name in the plan and, of a sequential one, its stage.

    >>> stage_of("first"), stage_of("first~aided")
    (('first', 'unaided'), ('first', 'aided'))
    """
    name, tilde, _ = session.partition("~")
    return name, AIDED if tilde else UNAIDED


def aided_stage(session: str) -> str:
    """Return the name of the second stage of a sequential session."""
    return session + _AIDED_STAGE


def free_from(plan: Plan, ended: Sequence[datetime]) -> datetime | None:
    """Return when a case may be read again by a reader whose earlier sessions on it ended then; None: at once."""
    return max(ended) + timedelta(days=plan.washout_days) if ended else None


def moment(text: str) -> datetime:
    """Return the time of an event."""
    return datetime.fromisoformat(text)


def written(moment: datetime) -> str:
    """Return a time as events hold it: UTC, with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")
