"""``tell``: what the node prints, one event a line, with facts by name. No fact may identify a patient."""

import json
import logging
import sys
import warnings
from datetime import UTC, datetime
from typing import Any

from ctacal.errors import trace
from ctacal.jobs.node.config import Log

_log = logging.getLogger("ctacal")
_FACTS = "facts"


def tell(what: str, *, level: int = logging.INFO, **facts: Any) -> None:
    """Print an event in words that never change, and its facts: UIDs, numbers, reasons."""
    _log.log(level, "%s", what, extra={_FACTS: facts})


def start_logging(log: Log, part: str) -> None:
    """Let this process print its events to standard error; ``part`` is the name of the process."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines(part) if log.format == "json" else _Text(part))
    logging.basicConfig(handlers=[handler], level=logging.ERROR, force=True)  # libraries print values of headers
    _log.setLevel(log.level.upper())
    warnings.simplefilter("ignore")  # so do their warnings


class _Text(logging.Formatter):
    """``2026-11-30T12:00:00.000+00:00 keeper INFO settled study_uid=1.2.3``."""

    def __init__(self, part: str) -> None:
        super().__init__()
        self._part = part

    def format(self, record: logging.LogRecord) -> str:
        words = [f"{_time(record)} {self._part} {record.levelname} {record.getMessage()}"]
        words += [f"{name}={_word(value)}" for name, value in _facts(record).items()]
        return " ".join(words) + (f"\n{trace(problem)}" if (problem := _problem(record)) else "")


class _Lines(logging.Formatter):
    """One JSON object a line."""

    def __init__(self, part: str) -> None:
        super().__init__()
        self._part = part

    def format(self, record: logging.LogRecord) -> str:
        line = {"time": _time(record), "part": self._part, "level": record.levelname.lower()}
        line |= {"event": record.getMessage(), **_facts(record)}
        if problem := _problem(record):
            line["traceback"] = trace(problem)
        return json.dumps(line, default=str)


def _problem(record: logging.LogRecord) -> BaseException | None:
    return record.exc_info[1] if record.exc_info else None


def _facts(record: logging.LogRecord) -> dict[str, Any]:
    facts: dict[str, Any] = getattr(record, _FACTS, {})
    return facts


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


def _word(value: Any) -> str:
    """A value in one line; texts with spaces stand in quotes.

    >>> _word(3), _word("1.2.3"), _word("no answer")
    ('3', '1.2.3', '"no answer"')
    """
    text = str(value)
    return text if text and not any(sign.isspace() or sign in '"=' for sign in text) else json.dumps(text)
