"""``RowOutcome``: what came of a row, written once. The outcomes are the ledger; nothing else decides what is done."""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ctacal.jobs.batch.places import Place
from ctacal.jobs.batch.rows import Row
from ctacal.results_table import result_row

FAILED = ".failed"
"""Mark in the name of an outcome that says why a row gave nothing; a later success counts instead."""

LOST = "lost"
"""Why a row was given up that was in hand again and again when its runner was killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyOutcome:
    """A study that was scored or refused."""

    key: str
    """SHA-256 of study, input, model, rule, version and outputs: the same key means the same bytes."""
    study_uid: str
    status: str
    folder: str
    """Where its files lie in the run."""
    table: Mapping[str, Any]
    """Its row of results.csv, without empty cells."""

    @property
    def reason(self) -> str:
        """The code of the reason for its refusal; empty if it was scored."""
        return str(self.table.get("reason_codes", "")).split(" ")[-1] if self.status == "refused" else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why a row gave no result."""

    why: str
    """A short stable word, such as ``memory``."""
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RowOutcome:
    """What came of a row: its studies, or why there is none."""

    row: str
    studies: tuple[StudyOutcome, ...] = ()
    fault: Fault | None = None
    unreadable_files: int = 0

    @property
    def name(self) -> str:
        """The name of its file, without folder."""
        return f"{self.row}{FAILED if self.fault else ''}.json"

    def line(self, **facts: Any) -> bytes:
        """Return it as a line of JSON; ``facts`` are about this attempt, and no part of the outcome."""
        content = {
            "row": self.row,
            "fault": [self.fault.why, self.fault.message] if self.fault else None,
            "unreadable": self.unreadable_files,
            "studies": [
                {"key": one.key, "uid": one.study_uid, "status": one.status, "folder": one.folder, "table": one.table}
                for one in self.studies
            ],
        }
        return json.dumps(content | facts, separators=(",", ":")).encode() + b"\n"


def outcome_from(content: Mapping[str, Any]) -> RowOutcome:
    """Return an outcome from a line's content. Raises ``LookupError`` or ``TypeError`` if it is none."""
    studies = tuple(
        StudyOutcome(
            key=one["key"], study_uid=one["uid"], status=one["status"], folder=one["folder"], table=one["table"]
        )
        for one in content["studies"]
    )
    fault = Fault(why=content["fault"][0], message=content["fault"][1]) if content["fault"] else None
    return RowOutcome(row=content["row"], studies=studies, fault=fault, unreadable_files=content["unreadable"])


def outcome_name(shard: int, name: str) -> str:
    """Return where an outcome lies."""
    return f"outcomes/{shard:04d}/{name}"


def study_key(result: Mapping[str, Any], outputs: Sequence[str], row: Row) -> str:
    """Return the key of a result from the content of its result.json.

    ``settings_digest`` covers model, rule, version and options. A study whose files could not be read again has no
    digest of its input, and its key is of this row alone.
    """
    parts = [
        result["study"]["study_uid"],
        result["input_digest"] or f"row {row.id}",
        result["settings_digest"],
        *sorted(outputs),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def keep_study(result: Mapping[str, Any], files: Path, key: str, place: Place) -> StudyOutcome:
    """Move the files of a study to their place in the run, unless they are there; return its outcome."""
    folder = f"studies/{key[:2]}/{key}"
    if not place.keep(files, folder):
        shutil.rmtree(files, ignore_errors=True)  # another row, or an attempt that was cut off, holds the same study
    table = {name: value for name, value in result_row(result, folder).items() if value not in (None, "")}
    return StudyOutcome(
        key=key, study_uid=result["study"]["study_uid"], status=result["status"], folder=folder, table=table
    )


def write_down(outcome: RowOutcome, shard: int, place: Place, ledger: str, facts: Mapping[str, Any]) -> None:
    """Create the outcome's file, then add its line to the shard's ledger of this runner."""
    place.create(outcome_name(shard, outcome.name), outcome.line())
    place.append(ledger, outcome.line(**facts))


def read_outcome(shard: int, name: str, place: Place) -> RowOutcome | None:
    """Return an outcome; None if its file is gone or torn, as a power failure may leave it."""
    with suppress(FileNotFoundError, ValueError, LookupError, TypeError):
        return outcome_from(json.loads(place.read(outcome_name(shard, name))))
    return None
