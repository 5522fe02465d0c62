"""Places: what is created once, in a folder and in a bucket of an S3 server that is not ours."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ctacal.errors import UsageError
from ctacal.jobs.batch.places import FolderPlace, Place, open_place
from tests.jobs.batch.buckets import Bucket, bucket_server

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with bucket_server() as url:
        yield url


@pytest.fixture(params=["folder", "bucket"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    if request.param == "folder":
        return FolderPlace(tmp_path / "run")
    bucket = Bucket.new(request.getfixturevalue("server"), monkeypatch)
    return open_place(f"{bucket.address}/run")


def test_a_file_is_created_once(place: Place) -> None:
    assert not place.exists("a/b") and not list(place.names("a"))
    assert place.create("a/b", b"first")
    assert not place.create("a/b", b"second")
    assert place.read("a/b") == b"first" and place.exists("a/b") and list(place.names("a")) == ["b"]
    place.replace("a/b", b"third")
    assert place.read("a/b") == b"third"
    place.remove("a/b")
    place.remove("a/b")
    with pytest.raises(FileNotFoundError):
        place.read("a/b")


def test_of_many_that_create_at_once_one_wins(place: Place) -> None:
    won: list[int] = []
    start = threading.Barrier(8)

    def create(number: int) -> None:
        start.wait()
        if place.create("one", f"{number}".encode()):
            won.append(number)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert place.read("one") == f"{won[0]}".encode() and len(won) == 1


def test_lines_are_appended(place: Place) -> None:
    for number in range(3):
        place.append("ledger/a.jsonl", f"{number}\n".encode())
    place.settle()
    assert place.read("ledger/a.jsonl") == b"0\n1\n2\n"


def test_lines_in_a_bucket_grow_by_further_objects(monkeypatch: pytest.MonkeyPatch, server: str) -> None:
    place = open_place(f"{Bucket.new(server, monkeypatch).address}/run")
    for number in range(5):
        place.append("ledger/a.jsonl", b"%d" % number + b"x" * 2**15 + b"\n")
    assert sorted(place.names("ledger")) == ["a.1.jsonl", "a.jsonl"]
    place.settle()
    assert sorted(place.names("ledger")) == ["a.1.jsonl", "a.2.jsonl", "a.jsonl"]
    lines = b"".join(place.read(f"ledger/{name}") for name in ("a.jsonl", "a.1.jsonl", "a.2.jsonl")).splitlines()
    assert [line[:1] for line in lines] == [b"0", b"1", b"2", b"3", b"4"]
    for number in range(200):  # shards
        place.append(f"ledger/{number:03d}.jsonl", b"line\n")
    assert place.read("ledger/000.jsonl") == b"line\n", "few objects of lines are kept in memory"
    assert place.age_s("ledger/000.jsonl") < 300 and place.age_s("ledger/none") == 0


def test_a_folder_of_files_is_kept_once(place: Place, tmp_path: Path) -> None:
    for number in range(2):
        files = tmp_path / f"made {number}"
        files.mkdir()
        (files / "result.json").write_text(f"{number}")
        (files / "seg.dcm").write_text(f"seg {number}")
        assert place.keep(files, "studies/ab/abc") == (number == 0)
    assert place.read("studies/ab/abc/result.json") == b"0" and place.read("studies/ab/abc/seg.dcm") == b"seg 0"


def test_a_store_that_is_away_is_an_error_of_the_system(monkeypatch: pytest.MonkeyPatch, server: str) -> None:
    bucket = Bucket.new(server, monkeypatch)
    place = open_place(f"{bucket.address}-that-is-not-there/run")
    with pytest.raises(OSError):
        place.create("a", b"")
    with pytest.raises(UsageError, match="nosuch://x"):
        open_place("nosuch://x")
