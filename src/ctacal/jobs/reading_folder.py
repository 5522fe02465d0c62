"""``ReadingFolder``: where readings lie on the disk, and the check that nothing in them was altered.

::

    READINGS/
      README.txt                       what this is, and how to back it up
      plan.jsonl                       the plan of the reader study, as it was at the first reading
      cases/CASE/READER.SESSION.jsonl  the events of one reading, one a line, chained by SHA-256
      signatures.jsonl                 the digest of each signature, in one chain for all readings
      index.sqlite                     the list; may be deleted, it is made again from the files
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ctacal.atomic import write_text
from ctacal.errors import NotPossible, Problem, UsageError
from ctacal.jobs.reader_study import NAME, Plan
from ctacal.readings.chain import Record
from ctacal.readings.journal import TORN, Journal
from ctacal.readings.reading import Reading, replayed, replayed_on

INDEX = "index.sqlite"

_SESSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}(~aided)?")
"""Names of sessions: those of the plan, of their second stage, and of their adjudication."""

_README = """Readings of ctacal: who marked what on which scan, when, and with which score.

Each line of a file under cases/ is one event; it is never changed, and the next one names its digest.
signatures.jsonl holds the digest of each signature. index.sqlite is made from the files and may be deleted.

Back up this whole folder with any tool that copies files: the files only grow, so that a copy made while a reader
works is whole but for the newest events. To restore, copy it back. `ctacal readings verify` on this folder tells
whether anything was altered, and prints the digest of the newest signature: note it elsewhere, and nobody can
rewrite the folder unseen.
"""


@dataclass(frozen=True, slots=True)
class ReadingKey:
    """Which reading: of which case, by whom, in which session."""

    case_id: str
    reader: str
    session: str

    def __str__(self) -> str:
        return f"{self.case_id} {self.reader} {self.session}"


@dataclass(frozen=True, slots=True)
class ReadingFolder:
    """A folder of readings."""

    path: Path

    def prepare(self) -> None:
        """Make the folder and the file that explains it. Raises ``OSError``."""
        (self.path / "cases").mkdir(parents=True, exist_ok=True)
        if not (self.path / "README.txt").exists():
            write_text(self.path / "README.txt", _README)

    def file(self, key: ReadingKey) -> Path:
        """Return the file of a reading. Raises ``NotPossible`` (``NOT_FOUND``) for a name that names no file."""
        if not (NAME.fullmatch(key.case_id) and NAME.fullmatch(key.reader) and _SESSION.fullmatch(key.session)):
            raise NotPossible(Problem.NOT_FOUND, "there is no such reading")
        return self.path / "cases" / key.case_id / f"{key.reader}.{key.session}.jsonl"

    def files(self) -> Iterator[tuple[ReadingKey, Path]]:
        """Yield each reading and its file."""
        for file in sorted((self.path / "cases").glob("*/*.jsonl")):
            reader, _, session = file.name.removesuffix(".jsonl").partition(".")
            yield ReadingKey(file.parent.name, reader, session), file

    def reading(self, key: ReadingKey) -> Reading:
        """Return a reading by replaying its file. Raises ``NotPossible``."""
        return replayed(Journal.read(self.file(key)).records)

    @property
    def plan(self) -> Path:
        """The file that holds the plan of the reader study."""
        return self.path / "plan.jsonl"

    @property
    def signatures(self) -> Path:
        """The file of all signatures."""
        return self.path / "signatures.jsonl"

    def keep_plan(self, plan: Plan, when: str) -> None:
        """Note the plan at the first start. Raises ``UsageError`` if the folder belongs to another plan."""
        journal = Journal.read(self.plan)
        if journal.last is None:
            journal.append(lambda _: {"kind": "plan", "when": when, "plan_digest": plan.digest, "plan": repr(plan)})
        elif journal.last.content["plan_digest"] != plan.digest:
            raise UsageError(
                f"{self.path}: its readings began under another plan, noted in plan.jsonl; "
                "go on with that plan, or choose another folder (--readings)"
            )


@dataclass(frozen=True, slots=True)
class Verified:
    """What a check of a folder found."""

    readings: int
    events: int
    signatures: int
    faults: tuple[str, ...]
    """What was altered, damaged or is missing; empty if all is well."""
    notes: tuple[str, ...]
    """What is worth knowing: lines that a crash tore apart."""
    head: str
    """Digest of the newest signature; empty if there is none."""


def verify(folder: Path) -> Verified:
    """Check every chain of a folder, replay every reading, and compare signatures with readings.

    Raises ``UsageError`` if the folder holds no readings.
    """
    if not (folder / "cases").is_dir():
        raise UsageError(f"{folder}: holds no readings (no folder cases/)")
    place = ReadingFolder(folder)
    faults: list[str] = []
    signed: dict[str, ReadingKey] = {}
    files = events = 0
    for key, file in place.files():
        files += 1
        try:
            records = Journal.read(file).records
            faults += _faults_of(key, records)
            signed |= {record.digest: key for record in records if record.content["kind"] == "sign"}
            events += len(records)
        except NotPossible as problem:
            faults.append(str(problem))
    ledger = _chain(place.signatures, faults)
    _chain(place.plan, faults)
    noted = {str(record.content["signature"]): record for record in ledger}
    faults += [
        f"signatures.jsonl: line {record.n + 1} names a signature of {record.content['case']} by "
        f"{record.content['reader']} that is no longer there; restore the reading from a backup"
        for digest, record in noted.items()
        if digest not in signed
    ]
    faults += [f"{key}: signed, but signatures.jsonl does not name it" for d, key in signed.items() if d not in noted]
    notes = tuple(
        f"{file.relative_to(folder)}: holds lines that were never finished, of events that were not acknowledged"
        for file in sorted(folder.rglob(f"*{TORN}"))
    )
    return Verified(files, events, len(ledger), tuple(faults), notes, ledger[-1].digest if ledger else "")


def _chain(file: Path, faults: list[str]) -> tuple[Record, ...]:
    try:
        return Journal.read(file).records
    except NotPossible as problem:
        faults.append(str(problem))
        return ()


def _faults_of(key: ReadingKey, records: tuple[Record, ...]) -> Iterator[str]:
    """Yield what does not fit: the file's name, and marks that are not those that each event says it led to."""
    opening = records[0].content if records else {}
    if (opening.get("case"), opening.get("reader"), opening.get("session")) != (key.case_id, key.reader, key.session):
        yield f"{key}: the file holds a reading of {opening.get('case')} by {opening.get('reader')}"
    reading: Reading | None = None
    for record in records:
        reading = replayed_on(reading, record)
        if record.content.get("marks", reading.marks.digest) != reading.marks.digest:
            yield f"{key}: event {record.n} names other marks than the events give"


def note_signatures(ledger: Journal, key: ReadingKey, records: Iterable[Record]) -> None:
    """Note a reading's signatures in the chain of all signatures, but for those that are there already.

    Raises ``NotPossible`` (``DISK``).
    """
    noted = {str(entry.content["signature"]) for entry in ledger.records}
    for record in records:
        if record.content["kind"] == "sign" and record.digest not in noted:
            note_signature(ledger, key, record)


def note_signature(ledger: Journal, key: ReadingKey, record: Record) -> None:
    """Note a signature in the chain of all signatures. Raises ``NotPossible`` (``DISK``)."""
    ledger.append(
        lambda _: {
            "kind": "signature",
            "when": record.content["when"],
            "case": key.case_id,
            "reader": key.reader,
            "session": key.session,
            "signature": record.digest,
        }
    )
