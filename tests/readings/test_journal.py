"""A file of events: only grows, shows every change, survives full disks and torn lines."""

import errno
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ctacal.errors import NotPossible, Problem
from ctacal.readings.chain import Record, read_chain
from ctacal.readings.journal import Journal


def say(number: int) -> Mapping[str, Any]:
    return {"kind": "say", "number": number, "text": "Bücher ✓"}


def said(number: int, _: Record | None) -> Mapping[str, Any]:
    return say(number)


def filled(path: Path, count: int = 3) -> Journal:
    journal = Journal.read(path)
    for number in range(count):
        journal.append(partial(said, number))
    return journal


def test_what_is_appended_is_read_back(tmp_path: Path) -> None:
    journal = filled(tmp_path / "a" / "j.jsonl")
    again = Journal.read(journal.path)
    assert again.records == journal.records
    assert [record.content["number"] for record in again.records] == [0, 1, 2]
    assert again.size == journal.path.stat().st_size


def test_every_byte_that_changes_is_seen(tmp_path: Path) -> None:
    content = filled(tmp_path / "j.jsonl").path.read_bytes()
    for place in range(len(content) - 1):  # without the last line's end it is a torn line
        changed = bytearray(content)
        changed[place] ^= 1
        with pytest.raises(NotPossible, match=r"line [123]") as refused:
            read_chain(bytes(changed), "j")
        assert refused.value.problem is Problem.DAMAGED


@pytest.mark.parametrize("order", [(1, 2), (0, 2), (1, 0, 2), (0, 1, 1, 2), (0, 0)])
def test_lines_removed_moved_or_doubled_are_seen(order: tuple[int, ...], tmp_path: Path) -> None:
    lines = filled(tmp_path / "j.jsonl").path.read_bytes().splitlines(keepends=True)
    with pytest.raises(NotPossible, match="altered"):
        read_chain(b"".join(lines[k] for k in order), "j")


def test_a_torn_last_line_is_set_aside_and_nothing_is_lost(tmp_path: Path) -> None:
    path = filled(tmp_path / "j.jsonl").path
    whole = path.read_bytes()
    for length in (1, 40, 100):
        path.write_bytes(whole + whole[:length])
        journal = Journal.read(path)
        assert len(journal.records) == 3
        record = journal.append(lambda _: say(3))
        assert record.n == 3
        assert path.read_bytes() == whole + record.line
        assert path.with_name("j.jsonl.torn").read_bytes().endswith(whole[:length] + b"\n")
        path.write_bytes(whole)


def test_a_full_disk_stores_nothing_and_later_all_is_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = filled(tmp_path / "j.jsonl")
    before, write = journal.path.read_bytes(), os.write

    def half(handle: int, line: bytes) -> int:
        if len(line) > 60:
            return write(handle, line[:60])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.write", half)
    with pytest.raises(NotPossible, match="free the disk") as refused:
        journal.append(lambda _: say(9))
    assert refused.value.problem is Problem.DISK
    assert journal.path.read_bytes() == before
    monkeypatch.setattr("os.write", write)
    journal.append(lambda _: say(3))
    assert [record.content["number"] for record in Journal.read(journal.path).records] == [0, 1, 2, 3]


def test_a_flush_that_fails_stores_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = filled(tmp_path / "j.jsonl")

    def fails(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", fails)
        with pytest.raises(NotPossible, match="not stored"):
            journal.append(lambda _: say(9))
    assert len(Journal.read(journal.path).records) == 3


def test_what_cannot_be_cut_off_is_a_torn_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk fails in the middle of a line, and refuses to be cut back as well."""
    journal = filled(tmp_path / "j.jsonl")

    def fails(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    write = os.write

    def half(handle: int, line: bytes) -> int:
        write(handle, line[:50])
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr("os.write", half)
        patched.setattr("os.ftruncate", fails)
        with pytest.raises(NotPossible):
            journal.append(lambda _: say(9))
    journal.append(lambda _: say(3))
    assert [record.content["number"] for record in Journal.read(journal.path).records] == [0, 1, 2, 3]


def test_two_programs_append_in_turn(tmp_path: Path) -> None:
    first = filled(tmp_path / "j.jsonl")
    second = Journal.read(first.path)
    second.append(lambda _: say(3))
    seen: list[Record | None] = []

    def after(last: Record | None) -> Mapping[str, Any]:
        seen.append(last)
        return say(4)

    first.append(after)
    assert seen[0] is not None
    assert seen[0].content["number"] == 3
    assert [record.n for record in Journal.read(first.path).records] == [0, 1, 2, 3, 4]


def test_nothing_is_stored_if_the_event_is_refused(tmp_path: Path) -> None:
    journal = filled(tmp_path / "j.jsonl")

    def refuse(_: Record | None) -> Mapping[str, Any]:
        raise NotPossible(Problem.STALE, "gone on")

    with pytest.raises(NotPossible, match="gone on"):
        journal.append(refuse)
    assert len(Journal.read(journal.path).records) == 3


@pytest.mark.parametrize("name", ["n", "previous", "digest"])
def test_names_of_the_chain_are_its_own(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="another name"):
        Journal.read(tmp_path / "j.jsonl").append(lambda _: {name: 1})
