"""What a reader's page asks for, as checked values: each kind of event with its fields."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ctacal.errors import NotPossible, Problem, UsageError
from ctacal.fields import from_fields

MAX_TEXT = 2000
"""Longest comment or reason, in characters."""

MAX_ACTIVE_S = 3600.0
"""Longest time of activity between two events, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What every event carries."""

    kind: str
    seq: int
    """Number of events of the reading that the page knows."""
    event_id: str
    """Drawn by the page, so that an event that is sent again is stored once."""
    active_s: float = 0.0
    """Seconds of activity since the last event."""

    def __post_init__(self) -> None:
        if not 0 < len(self.event_id) <= 64:
            raise ValueError("event_id: expected 1 to 64 characters")
        if not 0 <= self.active_s <= MAX_ACTIVE_S:
            raise ValueError(f"active_s: expected 0 to {MAX_ACTIVE_S:g} seconds, got {self.active_s:g}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Click:
    """A click on a voxel."""

    voxel: tuple[int, int, int]
    label: int
    depth: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Paint:
    """A stroke of lasso, brush or eraser."""

    tool: Literal["lasso", "brush", "eraser"]
    label: int
    runs: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CutLine:
    """A line that divides a candidate."""

    candidate: int
    slice: int
    start: tuple[float, float]
    end: tuple[float, float]
    depth: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Take:
    """An adjudicator takes over the marks of a reader."""

    reader: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Undo, redo, or the time that went by: no fields of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """A signature."""

    all_marked: bool
    verdict: Literal["read", "unreadable"] = "read"
    comment: str = ""

    def __post_init__(self) -> None:
        _require_short("comment", self.comment)


@dataclass(frozen=True, slots=True, kw_only=True)
class Amend:
    """A new version of a signed reading."""

    reason: str

    def __post_init__(self) -> None:
        if not self.reason.strip():
            raise ValueError("reason: say why the signed reading is changed")
        _require_short("reason", self.reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """The page counts otherwise than the server."""

    page: dict[str, Any]


Asked = Click | Paint | CutLine | Take | Step | Sign | Amend | Mismatch

_KINDS: Mapping[str, type[Asked]] = {
    "click": Click,
    "paint": Paint,
    "cut": CutLine,
    "take": Take,
    "undo": Step,
    "redo": Step,
    "time": Step,
    "sign": Sign,
    "amend": Amend,
}

_SENT = ("kind", "seq", "event_id", "active_s")


def parsed(body: Any) -> tuple[Sent, Asked]:
    """Return an event that a page sent. Raises ``NotPossible`` (``INVALID``) naming the field that is wrong."""
    if not isinstance(body, dict):
        raise NotPossible(Problem.INVALID, "expected an object of fields")
    try:
        sent = from_fields(Sent, {name: body[name] for name in _SENT if name in body})
        rest = {name: value for name, value in body.items() if name not in _SENT and value is not None}
        return sent, _asked(sent.kind, rest)
    except UsageError as problem:
        raise NotPossible(Problem.INVALID, str(problem)) from problem


def _asked(kind: str, fields: dict[str, Any]) -> Asked:
    if kind == "mismatch":
        page = fields.get("page")
        if not isinstance(page, dict) or len(str(page)) > MAX_TEXT:
            raise UsageError(f"page: expected an object of up to {MAX_TEXT} characters")
        return Mismatch(page=page)
    if kind not in _KINDS:
        raise UsageError(f"kind: {kind!r} is unknown; known are {', '.join((*_KINDS, 'mismatch'))}")
    if kind == "cut":  # "from" is a word of Python
        fields = {{"from": "start", "to": "end"}.get(name, name): value for name, value in fields.items()}
    return from_fields(_KINDS[kind], fields)


def _require_short(name: str, text: str) -> None:
    if len(text) > MAX_TEXT:
        raise ValueError(f"{name}: {len(text)} characters; the most is {MAX_TEXT}")
