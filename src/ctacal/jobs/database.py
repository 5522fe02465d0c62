"""``Database``: SQLite or PostgreSQL by one set of statements; transactions that are done once, also when it was away.

SQLite keeps a rollback journal, never a write-ahead log: versions 3.7.0 to 3.51.2 can damage a database in that mode
when two connections write at the same instant (fixed in 3.51.3, 3.44.6 and 3.50.7), and most systems have one of them.
A commit is on the disk, with the folder's entry of its journal (``synchronous = EXTRA``), before a call returns.

A transaction is a function of a ``Transaction``. It may be called again: if the database was busy, its server was
away or its disk was full, it is rolled back and done anew until ``wait_s`` have passed. If a connection breaks in a
commit, PostgreSQL is asked afterwards whether that commit was done (``pg_xact_status``), so that nothing is done twice.
"""

import random
import re
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, Protocol, TypeVar

from ctacal.atomic import make_folder
from ctacal.errors import CtacalError, UsageError

Result = TypeVar("Result")

WAIT_S = 30.0
"""How long a call waits for a database that is busy or away."""
_BUSY_S = 1.0
"""How long SQLite itself waits for a lock before it answers that the database is busy."""
_PAUSES_S = (0.05, 1.0)
"""First and longest pause between two tries."""
_SQLITE_PASSES = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR,
                  sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}  # fmt: skip
"""Primary result codes of what may pass by itself."""
_SQLITE_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_POSTGRES_DEFAULTS = {"connect_timeout": 5, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3,
                      "tcp_user_timeout": 20000, "application_name": "ctacal"}  # fmt: skip
"""A server that is cut off is noticed after half a minute; what the URL says of these goes before."""
_POSTGRES_SETTINGS = "SET lock_timeout = '5s'; SET idle_in_transaction_session_timeout = '60s'"
"""A program that is frozen in a transaction holds up the others for a minute."""
_REFUSED = "let the owner of the database give this user the right to make tables (GRANT CREATE ON SCHEMA ...)"
_NETWORK = {"nfs", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre", "gpfs",
            "ocfs2", "gfs2", "beegfs", "fuse.sshfs", "fuse.glusterfs", "fuse.s3fs", "davfs", "fuse.davfs2",
            "fuse.rclone", "ncpfs", "coda", "fuse.ceph", "pvfs2"}  # fmt: skip
"""File systems that several machines share, as Linux names them: SQLite's locks do not hold there."""


class DatabaseAway(CtacalError):
    """The database was busy or away for longer than a call waits; nothing was changed unless the message says so."""


class DatabaseDamaged(UsageError):
    """The file is no database, or a damaged one."""


class Connection(Protocol):
    """What SQLite's and PostgreSQL's connections have in common."""

    def cursor(self) -> Any:
        """Return a cursor."""

    def commit(self) -> None:
        """Make the changes last."""

    def rollback(self) -> None:
        """Forget the changes."""

    def close(self) -> None:
        """Close the connection."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """The statements of one transaction; values stand for question marks."""

    cursor: Any
    postgres: bool

    def run(self, statement: str, *values: Any) -> int:
        """Run a statement, and return the number of rows that it changed."""
        self.cursor.execute(self._dialect(statement), values)
        return int(self.cursor.rowcount)

    def run_many(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run a statement once for each row of values."""
        if rows:
            self.cursor.executemany(self._dialect(statement), rows)

    def all(self, statement: str, *values: Any) -> list[Any]:
        """Return all rows that a query finds."""
        self.cursor.execute(self._dialect(statement), values)
        return list(self.cursor.fetchall())

    def one(self, statement: str, *values: Any) -> Any:
        """Return the first row that a query finds; None if there is none."""
        self.cursor.execute(self._dialect(statement), values)
        return self.cursor.fetchone()

    def _dialect(self, statement: str) -> str:
        return statement.replace("%", "%%").replace("?", "%s") if self.postgres else statement


class Database:
    """One connection, safe to use from several threads, made anew when it breaks."""

    def __init__(
        self,
        where: Path | str,
        *,
        wait_s: float = WAIT_S,
        if_damaged: str = "restore it from a backup",
        complain: Callable[[str], object] = lambda _: None,
        cache_kib: int = 8000,
    ) -> None:
        """Open or make the database: a file for SQLite, in a folder that is there, or a URL such as
        ``postgresql://host/name``.

        ``if_damaged`` tells the user what to do about a damaged database. ``complain`` is called when a call begins to
        wait. ``cache_kib`` is how much of a file SQLite may keep in memory. Raises ``UsageError`` if it cannot be
        opened within ``wait_s``, and ``DatabaseDamaged``.
        """
        self.postgres = is_postgres(where)
        self.where = where if self.postgres else Path(where).absolute()
        self.wait_s, self._if_damaged, self._complain = wait_s, if_damaged, complain
        self._cache_kib = cache_kib
        self._lock = Lock()
        self._connection: Connection | None = None
        if not self.postgres:
            _make_sqlite(Path(self.where), self._damaged)
        try:
            self.read(lambda rows: rows.one("SELECT 1"))
        except DatabaseAway as problem:
            raise UsageError(f"the database cannot be opened: {problem}") from problem

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._forget()

    def write(self, work: Callable[[Transaction], Result]) -> Result:
        """Return what ``work`` returns, after its changes are on the disk.

        Raises ``DatabaseAway``, and ``DatabaseDamaged``; what else ``work`` raises takes its changes back.
        """
        return self._patiently(lambda: self._once(work, writing=True))

    def read(self, work: Callable[[Transaction], Result]) -> Result:
        """Return what ``work`` finds; it may change nothing. Raises as ``write`` does."""
        return self._patiently(lambda: self._once(work, writing=False))

    def check(self) -> None:
        """Read the whole file of SQLite, which takes seconds when it is large. Raises ``DatabaseDamaged``."""
        if self.postgres:
            return
        found = self.read(lambda rows: rows.one("PRAGMA quick_check(1)"))[0]
        if found != "ok":
            raise self._damaged(found)

    def _patiently(self, attempt: Callable[[], Result]) -> Result:
        until = time.monotonic() + self.wait_s
        with self._my_turn():
            pause_s, told = _PAUSES_S[0], False
            while True:
                try:
                    return attempt()
                except Exception as problem:
                    self._forget()
                    said = self._passes(problem)
                    if time.monotonic() >= until:
                        raise DatabaseAway(f"{said}; tried for {self.wait_s:.0f} s") from problem
                except BaseException:
                    self._forget()
                    raise
                if not told:
                    self._complain(f"{said}; trying again for {self.wait_s:.0f} s")
                    told = True
                time.sleep(pause_s * random.uniform(0.5, 1))
                pause_s = min(2 * pause_s, _PAUSES_S[1])

    @contextmanager
    def _my_turn(self) -> Iterator[None]:
        if not self._lock.acquire(timeout=self.wait_s + 1):
            raise DatabaseAway(f"{self.name}: other threads have waited for it for {self.wait_s:.0f} s")
        try:
            yield
        finally:
            self._lock.release()

    def _once(self, work: Callable[[Transaction], Result], *, writing: bool) -> Result:
        connection = self._connected()
        with closing(connection.cursor()) as cursor:
            if not self.postgres:
                cursor.execute("BEGIN IMMEDIATE" if writing else "BEGIN")
            result = work(Transaction(cursor, self.postgres))
            number = _transaction_number(cursor) if self.postgres and writing else None
        try:
            connection.commit()
        except Exception as problem:
            if number is None or not self._was_committed(number, problem):
                raise
        return result

    def _was_committed(self, number: str, problem: Exception) -> bool:
        """Whether a commit in which the connection broke was done: the server knows, once it answers."""
        self._passes(problem)
        until = time.monotonic() + self.wait_s
        while time.monotonic() < until:
            self._forget()
            with suppress(*_postgres_passes()), closing(self._connected().cursor()) as cursor:
                cursor.execute("SELECT pg_xact_status(%s::xid8)", (number,))
                said = cursor.fetchone()[0]
                if said in ("committed", "aborted"):
                    self._forget()
                    return bool(said == "committed")
            time.sleep(_PAUSES_S[0])
        message = f"{self.name}: the connection broke in a commit, and whether it was done is not known: {problem}"
        raise DatabaseAway(message) from problem

    def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = (
                _postgres(str(self.where)) if self.postgres else _sqlite(Path(self.where), self._cache_kib)
            )
        return self._connection

    def _forget(self) -> None:
        """Close the connection, which takes an unfinished transaction back."""
        if self._connection is not None:
            with suppress(Exception):
                self._connection.close()
            self._connection = None

    def _passes(self, problem: Exception) -> str:
        """Return what to say of a problem that may pass; raises what will not."""
        if isinstance(problem, sqlite3.Error):
            code = getattr(problem, "sqlite_errorcode", 0) & 0xFF
            if code in _SQLITE_DAMAGED:
                raise self._damaged(problem) from problem
            if code not in _SQLITE_PASSES:
                raise problem
        elif self.postgres and isinstance(problem, _postgres_refuses()):
            raise UsageError(f"{self.name}: {_said(problem, self.where)}; {_REFUSED}") from problem
        elif not (self.postgres and isinstance(problem, _postgres_passes())):
            raise problem
        return f"{self.name}: {_said(problem, self.where)}"

    @property
    def name(self) -> str:
        """The database as messages name it: without a password."""
        return _without_password(str(self.where), self.where)

    def _damaged(self, problem: object) -> DatabaseDamaged:
        return DatabaseDamaged(f"{self.where}: {problem}; {self._if_damaged}")


def is_postgres(where: Path | str) -> bool:
    """Whether a database is named by the URL of PostgreSQL."""
    return isinstance(where, str) and where.startswith(("postgres://", "postgresql://"))


def network_file_system(path: Path) -> str:
    """Return the type of the network file system that a path lies on (``nfs4``, ``cifs``); empty for a local disk.

    SQLite's locks do not hold there (sqlite.org/faq.html, question 5). Only Linux tells; elsewhere it is empty.
    """
    try:
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""
    kind = mounted_as(path.resolve(), mounts)
    return kind if kind in _NETWORK else ""


def mounted_as(path: Path, mounts: str) -> str:
    """Return the type of the file system of an absolute path, from the text of ``/proc/self/mountinfo`` (proc(5))."""
    found = ("", "")
    for line in mounts.splitlines():
        place, _, kind = line.partition(" - ")
        point = re.sub(r"\\(\d{3})", lambda code: chr(int(code[1], 8)), place.split()[4])
        if path.is_relative_to(point) and len(point) >= len(found[0]):  # a later mount hides an earlier one
            found = (point, kind.split()[0])
    return found[1]


def make_database_folder(path: Path) -> None:
    """Make the folder of a database file, if it is missing. Raises ``UsageError``."""
    try:
        make_folder(path.parent)
    except OSError as problem:
        raise UsageError(f"{path.parent}: the folder of the database cannot be made: {problem}") from problem


def _make_sqlite(path: Path, damaged: Callable[[object], DatabaseDamaged]) -> None:
    try:
        with closing(sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)) as connection:
            connection.execute("PRAGMA schema_version")
    except sqlite3.DatabaseError as problem:
        if getattr(problem, "sqlite_errorcode", 0) & 0xFF in _SQLITE_DAMAGED:
            raise damaged(problem) from problem
        if getattr(problem, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_BUSY:
            raise UsageError(f"{path}: the database cannot be opened: {problem}") from problem


def _sqlite(path: Path, cache_kib: int) -> Connection:
    """Connect to a file that is there: one that was removed while it was used is not made again, empty."""
    address = f"{path.absolute().as_uri()}?mode=rw"
    connection = sqlite3.connect(address, uri=True, check_same_thread=False, timeout=_BUSY_S, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = DELETE")  # never WAL: see above
        connection.execute("PRAGMA synchronous = EXTRA")
        connection.execute(f"PRAGMA cache_size = -{cache_kib}")
    except BaseException:
        connection.close()
        raise
    return connection


def _postgres(url: str) -> Connection:
    try:
        import psycopg
        from psycopg.conninfo import conninfo_to_dict
    except ImportError as problem:
        raise UsageError("PostgreSQL needs psycopg: pip install 'psycopg[binary]'") from problem
    try:
        settings: dict[str, Any] = {**_POSTGRES_DEFAULTS, **conninfo_to_dict(url)}
        connection = psycopg.connect(**settings)
    except psycopg.ProgrammingError as problem:
        name = _without_password(url, url)
        raise UsageError(f"{name}: {_said(problem, url)}; correct the URL of the database") from problem
    try:
        connection.execute(_POSTGRES_SETTINGS)
        connection.commit()
    except BaseException:
        connection.close()
        raise
    found: Connection = connection
    return found


@cache
def _postgres_passes() -> tuple[type[Exception], ...]:
    """What PostgreSQL's driver raises when the server is away, busy, full or a stand-by, or a lock was not given."""
    import psycopg

    errors = psycopg.errors
    ended = (errors.IdleInTransactionSessionTimeout, errors.ReadOnlySqlTransaction)
    return (psycopg.OperationalError, psycopg.InterfaceError, *ended)


@cache
def _postgres_refuses() -> tuple[type[Exception], ...]:
    """What PostgreSQL's driver raises when the user may not do what the program must do."""
    import psycopg

    return (psycopg.errors.InsufficientPrivilege,)


def _transaction_number(cursor: Any) -> str | None:
    cursor.execute("SELECT pg_current_xact_id_if_assigned()::text")
    number = cursor.fetchone()[0]
    return None if number is None else str(number)


def _said(problem: Exception, where: Path | str) -> str:
    """Return what a database says of a problem, on one line and without the statement or a password."""
    said = getattr(getattr(problem, "diag", None), "message_primary", None) or str(problem)
    return _without_password(" ".join(said.split()), where)


def _without_password(text: str, where: Path | str) -> str:
    """Return a text without the password that the URL of a database holds."""
    if not is_postgres(where):
        return text
    found = re.search(r"//[^/@]*?:([^@]*)@", str(where)), re.search(r"[?&]password=([^&]*)", str(where))
    for match in found:
        if match is not None and match[1]:
            text = text.replace(match[1], "***")
    return text
