"""``ReadingIndex``: the list of cases and readings as a database, to page through ten thousand of them.

The files are the truth: this database is made from them, may be deleted at any time, and is made again. It is a SQLite
file; a team may keep it in PostgreSQL, by a URL.
"""

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ctacal.jobs.database import Database, Transaction, is_postgres, make_database_folder
from ctacal.jobs.reading_cases import Case, case_from, stored

SCHEMA = "2"
"""Version of the tables; another one is made anew."""

TABLES = ("facts", "cases", "assignments", "readings")

_CREATE = (
    "CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS cases (id TEXT PRIMARY KEY, place INTEGER NOT NULL, title TEXT NOT NULL, "
    "date TEXT NOT NULL, patient TEXT NOT NULL, study_uid TEXT NOT NULL, warnings INTEGER NOT NULL, "
    "refusal TEXT NOT NULL, model_agatston DOUBLE PRECISION, model_category TEXT, content {blob} NOT NULL)",
    "CREATE TABLE IF NOT EXISTS assignments (reader TEXT NOT NULL, case_id TEXT NOT NULL, session TEXT NOT NULL, "
    "place INTEGER NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (reader, case_id, session))",
    "CREATE INDEX IF NOT EXISTS assignments_in_order ON assignments (reader, place)",
    "CREATE TABLE IF NOT EXISTS readings (reader TEXT NOT NULL, case_id TEXT NOT NULL, session TEXT NOT NULL, "
    "mode TEXT NOT NULL, state TEXT NOT NULL, version INTEGER NOT NULL, events INTEGER NOT NULL, "
    "edits INTEGER NOT NULL, "
    "active_s DOUBLE PRECISION NOT NULL, signed_s DOUBLE PRECISION NOT NULL, "
    "signed_edits INTEGER NOT NULL, agatston DOUBLE PRECISION, category TEXT, per_vessel TEXT NOT NULL, "
    "verdict TEXT NOT NULL, began TEXT NOT NULL, ended TEXT NOT NULL, head TEXT NOT NULL, size INTEGER NOT NULL, "
    "PRIMARY KEY (reader, case_id, session))",
)

STATES = ("open", "started", "signed", "refused")
"""States of an assignment: nothing done, begun, signed, or a scan that cannot be read."""

_STATE = "CASE WHEN c.refusal <> '' THEN 'refused' WHEN r.state IS NULL THEN 'open' ELSE r.state END"
_LISTED = (
    "FROM assignments a JOIN cases c ON c.id = a.case_id "
    "LEFT JOIN readings r ON r.reader = a.reader AND r.case_id = a.case_id AND r.session = a.session "
    "WHERE a.reader = ?"
)
_COLUMNS = (
    "a.case_id, a.session, a.place, a.number, c.title, c.date, c.patient, c.warnings, c.refusal, c.model_agatston, "
    f"c.model_category, {_STATE} AS state, r.agatston, r.category, r.active_s, r.version, r.edits"
)
_FORGET = "DELETE FROM readings WHERE reader = ? AND case_id = ? AND session = ?"
_BATCH = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which part of a reader's list is asked for."""

    offset: int = 0
    limit: int = 100
    state: str = "all"
    text: str = ""
    session: str = ""
    search_texts: bool = True
    """Whether the text may be looked for in titles and dates, which a blind reader does not see."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A reading as the list shows it."""

    reader: str
    case_id: str
    session: str
    mode: str
    """What the reader saw (``reader_study.Mode``); with its stage in a sequential session."""
    state: str
    version: int
    events: int
    edits: int
    active_s: float
    signed_s: float
    """Active seconds, and ``signed_edits``, until the first signature; 0 before it."""
    signed_edits: int
    agatston: float | None
    category: str | None
    per_vessel: dict[str, float]
    verdict: str
    """Empty until it is signed."""
    began: str
    ended: str
    """Time of the newest event."""
    head: str
    """Digest of the newest event."""
    size: int
    """Bytes of its file."""


class ReadingIndex:
    """A database of cases, assignments and readings; safe to use from several threads."""

    def __init__(self, where: Path | str, *, wait_s: float = 10.0) -> None:
        """Open or make the database: a file for SQLite, or a URL such as ``postgresql://host/name``.

        ``wait_s`` is how long a call waits for a database that is busy or away. Raises ``UsageError`` if it cannot be
        opened.
        """
        advice = "delete this file, it is made again from the readings"
        if not is_postgres(where):
            make_database_folder(Path(where))
        self._database = Database(where, wait_s=wait_s, if_damaged=advice)
        self._database.write(self._create)
        if self.fact("schema") != SCHEMA:
            self._database.write(self._make_anew)

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def fact(self, name: str) -> str | None:
        """Return what is noted under a name."""
        rows = self._rows("SELECT value FROM facts WHERE name = ?", (name,))
        return str(rows[0][0]) if rows else None

    def note(self, name: str, value: str) -> None:
        """Note something about the whole list."""
        self._database.write(lambda rows: _note(rows, name, value))

    def put_cases(self, cases: Iterable[Case]) -> None:
        """Replace all cases; their order is that in which they are read."""
        stored_cases = [_case_row(place, case) for place, case in enumerate(cases)]

        def put(rows: Transaction) -> None:
            rows.run("DELETE FROM cases")
            rows.run("DELETE FROM assignments")
            for start in range(0, len(stored_cases), _BATCH):
                batch = stored_cases[start : start + _BATCH]
                rows.run_many("INSERT INTO cases VALUES (?,?,?,?,?,?,?,?,?,?,?)", batch)

        self._database.write(put)

    def case(self, case_id: str) -> Case | None:
        """Return a case; None if there is none of that name."""
        rows = self._rows("SELECT content FROM cases WHERE id = ?", (case_id,))
        return _case_of(rows[0][0]) if rows else None

    def case_ids(self) -> list[tuple[str, str, str]]:
        """Return name, study UID and refusal of each case, in order."""
        rows = self._rows("SELECT id, study_uid, refusal FROM cases ORDER BY place", ())
        return [(str(name), str(uid), str(refusal)) for name, uid, refusal in rows]

    def model_scores(self) -> dict[str, float]:
        """Return the model's score of each case that has one."""
        rows = self._rows("SELECT id, model_agatston FROM cases WHERE model_agatston IS NOT NULL", ())
        return {str(name): float(score) for name, score in rows}

    def assign(self, reader: str, rows: Sequence[tuple[str, str, int, int]]) -> None:
        """Give cases to a reader: case, session, place in the reader's order, and number that the reader sees."""
        statement = "INSERT INTO assignments VALUES (?,?,?,?,?) ON CONFLICT DO NOTHING"
        given = [(reader, *row) for row in rows]
        self._database.write(lambda rows: rows.run_many(statement, given))

    def assigned(self, reader: str) -> bool:
        """Whether a reader has any case."""
        return bool(self._rows("SELECT 1 FROM assignments WHERE reader = ? LIMIT 1", (reader,)))

    def put_reading(self, summary: Summary) -> None:
        """Replace what the list says of a reading."""
        fields = {name: getattr(summary, name) for name in Summary.__dataclass_fields__}
        row = tuple((fields | {"per_vessel": json.dumps(summary.per_vessel)}).values())

        def put(rows: Transaction) -> None:
            rows.run(_FORGET, summary.reader, summary.case_id, summary.session)
            rows.run(f"INSERT INTO readings VALUES ({','.join('?' * len(row))})", *row)

        self._database.write(put)

    def forget_reading(self, reader: str, case_id: str, session: str) -> None:
        """Take a reading whose file is gone from the list."""
        self._database.write(lambda rows: rows.run(_FORGET, reader, case_id, session))

    def readings(self, **wanted: str) -> list[Summary]:
        """Return the readings whose columns (reader, case_id, session, state) have these values."""
        where = " AND ".join(f"{name} = ?" for name in wanted) or "1 = 1"
        rows = self._rows(f"SELECT * FROM readings WHERE {where} ORDER BY case_id, session, reader", [*wanted.values()])
        return [_summary(row) for row in rows]

    def item(self, reader: str, case_id: str, session: str) -> dict[str, Any] | None:
        """Return one line of a reader's list; None if it is not the reader's."""
        statement = f"SELECT {_COLUMNS} {_LISTED} AND a.case_id = ? AND a.session = ?"
        rows = self._rows(statement, (reader, case_id, session))
        return _item(rows[0]) if rows else None

    def items(self, reader: str, query: Query) -> tuple[int, list[dict[str, Any]]]:
        """Return how many lines of a reader's list match, and the part of them that is asked for."""
        where, values = _where(query)
        total = self._rows(f"SELECT COUNT(*) {_LISTED}{where}", (reader, *values))[0][0]
        statement = f"SELECT {_COLUMNS} {_LISTED}{where} ORDER BY a.place LIMIT ? OFFSET ?"
        rows = self._rows(statement, (reader, *values, query.limit, query.offset))
        return int(total), [_item(row) for row in rows]

    def counts(self, reader: str) -> dict[str, int]:
        """Return the number of lines in each state."""
        rows = self._rows(f"SELECT {_STATE}, COUNT(*) {_LISTED} GROUP BY 1", (reader,))
        return dict.fromkeys(STATES, 0) | {str(state): int(number) for state, number in rows}

    def neighbour(self, reader: str, place: int, *, forward: bool) -> tuple[str, str] | None:
        """Return case and session of the next one that is not done, or of the one before in any state."""
        if forward:
            rest = f"AND a.place > ? AND {_STATE} IN ('open', 'started') ORDER BY a.place"
        else:
            rest = "AND a.place < ? ORDER BY a.place DESC"
        rows = self._rows(f"SELECT a.case_id, a.session {_LISTED} {rest} LIMIT 1", (reader, place))
        return (str(rows[0][0]), str(rows[0][1])) if rows else None

    def _create(self, rows: Transaction) -> None:
        for statement in _CREATE:
            rows.run(statement.format(blob="BYTEA" if rows.postgres else "BLOB"))

    def _make_anew(self, rows: Transaction) -> None:
        for table in TABLES:
            rows.run(f"DROP TABLE {table}")
        self._create(rows)
        _note(rows, "schema", SCHEMA)

    def _rows(self, statement: str, values: Sequence[Any]) -> list[Any]:
        return self._database.read(lambda rows: rows.all(statement, *values))


def _note(rows: Transaction, name: str, value: str) -> None:
    rows.run("DELETE FROM facts WHERE name = ?", name)
    rows.run("INSERT INTO facts VALUES (?, ?)", name, value)


def _case_row(place: int, case: Case) -> tuple[Any, ...]:
    content = zlib.compress(json.dumps(stored(case)).encode())
    model = case.model
    return (
        case.id, place, case.title, case.date, case.patient, case.study_uid, len(case.warnings), case.refusal,
        model.agatston if model else None, model.category if model else None, content,
    )  # fmt: skip


def _case_of(content: bytes) -> Case:
    fields: Mapping[str, Any] = json.loads(zlib.decompress(content))
    return case_from(fields)


def _summary(row: Sequence[Any]) -> Summary:
    names = Summary.__dataclass_fields__
    fields = dict(zip(names, row, strict=True))
    return Summary(**fields | {"per_vessel": json.loads(fields["per_vessel"])})


def _item(row: Sequence[Any]) -> dict[str, Any]:
    names = (
        "case_id", "session", "place", "number", "title", "date", "patient", "warnings", "refusal", "model_agatston",
        "model_category", "state", "agatston", "category", "active_s", "version", "edits",
    )  # fmt: skip
    return dict(zip(names, row, strict=True))


def _where(query: Query) -> tuple[str, list[Any]]:
    """Return the conditions of a query after those of the list, and their values."""
    where, values = "", []
    if query.state != "all":
        where += f" AND {_STATE} = ?"
        values.append(query.state)
    if query.session:
        where += " AND a.session = ?"
        values.append(query.session)
    if query.text:
        like = "%" + query.text.lower().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        columns = ("c.title", "c.date", "c.patient", "r.category") if query.search_texts else ("r.category",)
        said = [f"LOWER(COALESCE({column}, '')) LIKE ? ESCAPE '\\'" for column in columns]
        where += f" AND ({' OR '.join(said)} OR CAST(a.number AS TEXT) = ?)"
        values += [like] * len(columns) + [query.text]
    return where, values
