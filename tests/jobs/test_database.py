"""The connection to SQLite and PostgreSQL: whole transactions, each done once, whatever happens to the database."""

import signal
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ctacal.errors import UsageError
from ctacal.jobs.database import (
    Database,
    DatabaseAway,
    DatabaseDamaged,
    Transaction,
    make_database_folder,
    mounted_as,
    network_file_system,
)
from tests.postgres import new_server


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """A database with an empty table of numbers."""
    place = tmp_path / "x.sqlite" if request.param == "sqlite" else str(request.getfixturevalue("postgres"))
    with closing(Database(place)) as database:
        database.write(lambda rows: rows.run("DROP TABLE IF EXISTS numbers"))
        database.write(lambda rows: rows.run("CREATE TABLE numbers (n INTEGER NOT NULL, said TEXT)"))
    return place


def put(number: int) -> Callable[[Transaction], int]:
    return lambda rows: rows.run("INSERT INTO numbers VALUES (?, '50 %')", number)


def numbers(place: Path | str) -> list[int]:
    with closing(Database(place)) as database:
        return [n for (n,) in database.read(lambda rows: rows.all("SELECT n FROM numbers WHERE said LIKE '50 %'"))]


def test_what_fails_leaves_nothing(where: Path | str) -> None:
    with closing(Database(where)) as database:

        def fail(rows: Transaction) -> None:
            put(1)(rows)
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            database.write(fail)
        assert numbers(where) == []
        with pytest.raises(Exception, match="nothing"):
            database.write(lambda rows: rows.run("SELECT * FROM nothing"))
        assert database.write(put(2)) == 1
    assert numbers(where) == [2]


def test_many_threads_share_a_connection(where: Path | str) -> None:
    with closing(Database(where)) as database:
        threads = [threading.Thread(target=database.write, args=(put(number),)) for number in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(numbers(where)) == list(range(40))


def test_a_commit_is_on_the_disk_with_the_entry_of_its_folder(tmp_path: Path) -> None:
    with closing(Database(tmp_path / "x.sqlite")) as database:
        assert database.read(lambda rows: rows.one("PRAGMA journal_mode")) == ("delete",)
        assert database.read(lambda rows: rows.one("PRAGMA synchronous")) == (3,)  # EXTRA


class Holder:
    """Another program that holds SQLite's lock."""

    def __init__(self, path: Path) -> None:
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.connection.execute("BEGIN IMMEDIATE")

    def let_go(self) -> None:
        self.connection.close()


def sqlite_with_numbers(path: Path) -> Path:
    with closing(Database(path)) as database:
        database.write(lambda rows: rows.run("CREATE TABLE numbers (n INTEGER NOT NULL, said TEXT)"))
    return path


def test_a_busy_database_is_waited_for(tmp_path: Path) -> None:
    path = sqlite_with_numbers(tmp_path / "x.sqlite")
    said: list[str] = []
    with closing(Database(path)) as database:
        holder = Holder(path)

        def let_go(what: str) -> None:
            said.append(what)
            holder.let_go()

        database._complain = let_go
        database.write(put(1))
    assert numbers(path) == [1]
    assert said == [f"{path}: database is locked; trying again for 30 s"]


def test_nobody_waits_for_ever(tmp_path: Path) -> None:
    path = sqlite_with_numbers(tmp_path / "x.sqlite")
    with closing(Database(path, wait_s=0)) as database:
        holder = Holder(path)
        with pytest.raises(DatabaseAway, match="locked; tried for 0 s"):
            database.write(put(1))
        holder.let_go()
        database.write(put(2))
    assert numbers(path) == [2]


def test_a_thread_waits_for_another_no_longer_than_for_the_database(tmp_path: Path) -> None:
    with closing(Database(sqlite_with_numbers(tmp_path / "x.sqlite"), wait_s=0)) as database:
        inside, leave = threading.Event(), threading.Event()

        def work(rows: Transaction) -> None:
            inside.set()
            assert leave.wait(60)

        slow = threading.Thread(target=database.write, args=(work,))
        slow.start()
        assert inside.wait(60)
        with pytest.raises(DatabaseAway, match="other threads"):
            database.write(put(1))
        leave.set()
        slow.join()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 300 kB; skipped where none can be mounted."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root may mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_changes_nothing_and_is_waited_for(small_disk: Path) -> None:
    path = sqlite_with_numbers(small_disk / "x.sqlite")
    with closing(Database(path, wait_s=0)) as database:
        database.write(put(1))
        filler = small_disk / "filler"
        with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
            while True:
                file.write(bytes(1000))
        with pytest.raises(DatabaseAway, match=r"full|disk I/O error|unable to open"):
            database.write(put(2))
        assert numbers(path) == [1]
        database.wait_s, database._complain = 30, lambda _: filler.unlink()
        database.write(put(3))
        assert numbers(path) == [1, 3]


def test_a_damaged_file_is_named_with_what_to_do(tmp_path: Path) -> None:
    path = sqlite_with_numbers(tmp_path / "x.sqlite")
    with closing(Database(path)) as database:
        database.write(
            lambda rows: rows.run_many("INSERT INTO numbers VALUES (?, ?)", [(n, "x" * 500) for n in range(500)])
        )
        database.check()
    content = bytearray(path.read_bytes())
    content[8192:40960] = b"\xa5" * 32768
    path.write_bytes(content)
    with closing(Database(path, if_damaged="fetch the backup")) as database:
        with pytest.raises(DatabaseDamaged, match=r"x\.sqlite: .*malformed; fetch the backup"):
            database.read(lambda rows: rows.all("SELECT * FROM numbers"))
        with pytest.raises(DatabaseDamaged, match="fetch the backup"):
            database.check()


def test_a_file_that_was_removed_is_not_made_again_empty(tmp_path: Path) -> None:
    path = sqlite_with_numbers(tmp_path / "x.sqlite")
    with closing(Database(path, wait_s=0)) as database:
        path.unlink()
        with pytest.raises(DatabaseAway):
            database.write(put(1))
        with pytest.raises(DatabaseAway, match="unable to open"):
            database.write(put(1))
    assert not path.exists()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be made"):
        make_database_folder(tmp_path / "file" / "x.sqlite")
    with pytest.raises(UsageError, match="cannot be opened"):  # never a new folder where a disk is not mounted
        Database(tmp_path / "away" / "x.sqlite")
    assert not (tmp_path / "away").exists()
    with pytest.raises(UsageError, match="cannot be opened"):
        Database(tmp_path)


def test_any_name_of_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path("a %20?#ä") / "x.sqlite"
    make_database_folder(path)
    with closing(Database(path)) as database:
        monkeypatch.chdir("/")
        database.write(lambda rows: rows.run("CREATE TABLE numbers (n INTEGER)"))
    assert [file.relative_to(tmp_path) for file in tmp_path.rglob("*.sqlite")] == [path]


@pytest.mark.slow
def test_a_user_without_rights_is_told_what_to_ask_for(postgres: str) -> None:
    with closing(Database(postgres)) as database:
        database.write(lambda rows: rows.run("DROP ROLE IF EXISTS guest"))
        database.write(lambda rows: rows.run("CREATE ROLE guest LOGIN"))
    with (
        closing(Database(postgres.replace("reader@", "guest@"))) as database,
        pytest.raises(UsageError, match=r"guest.*permission denied for schema public; .*GRANT CREATE"),
    ):
        database.write(lambda rows: rows.run("CREATE TABLE public.guests (n INTEGER)"))


def test_a_url_that_is_none() -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(UsageError, match=r"invalid.*nonsense.*; correct the URL"):
        Database("postgresql://me@/none?nonsense=1", wait_s=0)


class BrokenCommit:
    """A connection that breaks in its commit, before or after the server did it."""

    def __init__(self, connection: Any, *, after: bool) -> None:
        self.connection, self.after = connection, after

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)

    def commit(self) -> None:
        import psycopg

        if self.after:
            self.connection.commit()
        self.connection.close()
        raise psycopg.OperationalError("server closed the connection unexpectedly")


@pytest.mark.slow
@pytest.mark.parametrize("after", [True, False])
def test_a_connection_that_breaks_in_a_commit_does_nothing_twice(postgres: str, after: bool) -> None:
    with closing(Database(postgres)) as database:
        database.write(lambda rows: rows.run("DROP TABLE IF EXISTS numbers"))
        database.write(lambda rows: rows.run("CREATE TABLE numbers (n INTEGER NOT NULL, said TEXT)"))
        database._connection = BrokenCommit(database._connected(), after=after)
        tries = 0

        def work(rows: Transaction) -> int:
            nonlocal tries
            tries += 1
            return put(1)(rows)

        assert database.write(work) == 1
        assert tries == (1 if after else 2)
        assert numbers(postgres) == [1]
        database._connection = BrokenCommit(database._connected(), after=True)
        assert len(database.write(lambda rows: rows.all("SELECT n FROM numbers"))) == 1  # which changed nothing


@pytest.mark.slow
def test_a_server_that_was_away_is_waited_for() -> None:
    with new_server() as server:
        said: list[str] = []

        def start(what: str) -> None:
            said.append(what)
            server.start()

        with closing(Database(server.url, wait_s=60, complain=start)) as database:
            database.write(lambda rows: rows.run("CREATE TABLE numbers (n INTEGER NOT NULL, said TEXT)"))
            server.stop()
            database.write(put(1))
            server.stop(signal.SIGQUIT)  # as in a crash
            database.write(put(2))
            assert sorted(numbers(server.url)) == [1, 2]
            assert len(said) == 2
            server.stop()
            database.wait_s = 0
            with pytest.raises(DatabaseAway, match="tried for 0 s"):
                database.write(put(3))
            with pytest.raises(UsageError, match="cannot be opened"):
                Database(server.url, wait_s=0)


def test_no_message_holds_a_password() -> None:
    pytest.importorskip("psycopg")
    for url in ("postgresql://me:s3cret@/none?host=/nowhere", "postgresql://me@/none?host=/nowhere&password=s3cret"):
        with pytest.raises(UsageError, match="nowhere") as refused:
            Database(url, wait_s=0)
        assert "s3cret" not in str(refused.value)


MOUNTS = r"""
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:26 / /srv rw,relatime shared:2 - tmpfs tmpfs rw
31 22 0:27 / /srv/my\040store rw,relatime - nfs4 server:/store rw,vers=4.2
32 22 0:28 / /mnt/share rw,relatime shared:4 master:1 - cifs //server/share rw
33 22 0:29 / /mnt/share rw,relatime shared:5 - xfs /dev/vdb rw
""".strip()


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/", "ext4"), ("/srv/x", "tmpfs"), ("/srv/my store/ledger.sqlite", "nfs4"), ("/srv/my stores", "tmpfs"),
     ("/mnt/share/a", "xfs")],
)  # fmt: skip
def test_file_systems_are_told_apart(path: str, kind: str) -> None:
    assert mounted_as(Path(path), MOUNTS) == kind


def test_a_local_disk_is_no_network(tmp_path: Path) -> None:
    assert network_file_system(tmp_path / "not" / "there") == ""
