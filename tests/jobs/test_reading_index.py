"""The list of cases and readings: the same in SQLite and in PostgreSQL, paged, small, never in WAL mode."""

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ctacal.errors import UsageError
from ctacal.jobs.reading_index import Query, ReadingIndex, Summary
from tests import places
from tests.reading_scene import case

SUMMARY = Summary(
    reader="anna", case_id="", session="s", mode="blind", state="signed", version=1, events=3, edits=2, active_s=12.5,
    signed_s=11.0, signed_edits=2, agatston=12.25, category="1-100", per_vessel={"LAD": 12.25}, verdict="read",
    began="2026-01-01T00:00:00+00:00", ended="2026-01-01T00:01:00+00:00", head="h", size=99,
)  # fmt: skip


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], ReadingIndex]:
    """What opens the same database again and again."""
    if request.param == "sqlite":
        return lambda: ReadingIndex(tmp_path / "index.sqlite")
    url = request.getfixturevalue("postgres")
    with_schema = ReadingIndex(url)
    with_schema.note("schema", "of an older version")
    with_schema.close()
    return lambda: ReadingIndex(url)


def test_cases_assignments_and_readings(opener: Callable[[], ReadingIndex]) -> None:
    index = opener()
    cases = [case(number, model=number % 2 == 0) for number in range(1, 31)]
    cases[4] = replace(cases[4], refusal="MISSING_SLICE: one is missing", title="50 %_off")
    index.put_cases(cases)
    index.assign("anna", [(one.id, "s", 2 * place, place + 1) for place, one in enumerate(cases)])
    index.put_reading(replace(SUMMARY, case_id=cases[0].id))
    index.put_reading(replace(SUMMARY, case_id=cases[1].id, state="started"))
    index.put_reading(replace(SUMMARY, case_id=cases[1].id, state="started", edits=7))
    index.close()
    index = opener()
    assert index.case(cases[3].id) == cases[3]
    assert index.case("none") is None
    assert index.case_ids()[2] == (cases[2].id, cases[2].study_uid, "")
    assert index.counts("anna") == {"open": 27, "started": 1, "signed": 1, "refused": 1}
    total, items = index.items("anna", Query(offset=2, limit=3))
    assert (total, [item["number"] for item in items]) == (30, [3, 4, 5])
    assert items[2]["state"] == "refused"
    assert index.items("anna", Query(state="signed"))[1][0]["agatston"] == 12.25
    assert index.items("anna", Query(text="50 %_"))[0] == 1  # no wild cards
    assert index.items("anna", Query(text="canary"))[0] == 30  # by title or patient
    assert index.items("anna", Query(text="canary", search_texts=False))[0] == 0
    assert index.items("anna", Query(text="7", search_texts=False))[0] == 1
    assert index.items("anna", Query(session="t"))[0] == 0
    assert index.items("ben", Query())[0] == 0
    assert index.neighbour("anna", 0, forward=True) == (cases[1].id, "s")
    assert index.neighbour("anna", 6, forward=True) == (cases[5].id, "s")  # the fifth is refused
    assert index.neighbour("anna", 2, forward=False) == (cases[0].id, "s")
    assert index.neighbour("anna", 0, forward=False) is None
    (started,) = index.readings(reader="anna", state="started")
    assert (started.edits, started.per_vessel) == (7, {"LAD": 12.25})
    assert len(index.model_scores()) == 15
    index.forget_reading("anna", cases[0].id, "s")
    assert len(index.readings()) == 1
    index.close()


def test_a_list_of_another_version_is_made_anew(opener: Callable[[], ReadingIndex]) -> None:
    index = opener()
    index.put_cases([case()])
    index.note("schema", "1")
    index.close()
    again = opener()
    assert again.case_ids() == []
    again.close()


def test_never_a_write_ahead_log(tmp_path: Path) -> None:
    """The SQLite of many systems damages databases in that mode (fixed in 3.51.3)."""
    connection = sqlite3.connect(tmp_path / "index.sqlite")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    ReadingIndex(tmp_path / "index.sqlite").close()
    connection = sqlite3.connect(tmp_path / "index.sqlite")
    assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "delete"
    connection.close()


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "index.sqlite").write_bytes(b"x" * 5000)
    with pytest.raises(UsageError, match="delete this file"):
        ReadingIndex(tmp_path / "index.sqlite")


def test_a_database_that_is_not_there() -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(UsageError, match="cannot be opened"):
        ReadingIndex("postgresql://nobody@/none?host=/nowhere&connect_timeout=1", wait_s=0)


MEMORY = """
import re, sys
from dataclasses import replace
from pathlib import Path
from ctacal.jobs.reading_index import Query
from tests.reading_scene import Page, case, room, names
from ctacal.jobs.reading_folder import INDEX
from ctacal.jobs.reading_index import ReadingIndex
import ctacal.web.serve
folder = Path(sys.argv[1])
ReadingIndex(folder / INDEX).put_cases(
    replace(case(n), files=tuple(f"/archive/of/images/{n}/image-{k:04d}.dcm" for k in range(120))) for n in range(10000)
)
where = room(folder)
listed = where.worklist("anna", Query(offset=9900, limit=100))
assert listed["total"] == 10000 and listed["items"][-1]["number"] == 10000
page = Page(where, listed["items"][3]["id"])
page.click(0, 2)
peak = re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())  # ru_maxrss holds that of the tests too
print(int(peak[1]) // 1024)
"""


@pytest.mark.slow
def test_ten_thousand_studies_take_little_memory(tmp_path: Path) -> None:
    """In MB, with the modules of the server loaded: the bar of the page is 400."""
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, tmp_path], cwd=places.ROOT, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 400
