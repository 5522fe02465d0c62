"""Tables of a run: pages for many studies, and what pseudonymised runs do not tell."""

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet
import pytest

from ctacal.jobs.batch import collect as collecting
from ctacal.jobs.batch import pages
from ctacal.jobs.batch.collect import collect
from ctacal.jobs.batch.places import FolderPlace
from ctacal.results_table import WORD_COLUMNS
from tests.jobs.batch.cohorts import SETTINGS, cohort, planned, refused_study, run

pytestmark = pytest.mark.slow


def test_many_studies_are_shown_on_several_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "ROWS_A_PAGE", 3)
    place = tmp_path / "run"
    planned(place, cohort(tmp_path / "in", 6))
    run(place)
    for _ in range(2):  # a second time replaces the pages of the first
        collect(FolderPlace(place), place)
        assert sorted(file.name for file in place.glob("index*")) == [
            "index-0001.html", "index-0002.html", "index-0003.html", "index.html",
        ]  # fmt: skip
    text = (place / "index.html").read_text()
    assert "1 studies scored, 6 refused" in text and 'href="index-0003.html"' in text
    monkeypatch.undo()
    collect(FolderPlace(place), place)
    assert [file.name for file in place.glob("index*")] == ["index.html"]


def test_pages_stay_until_others_take_their_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "ROWS_A_PAGE", 3)
    place = tmp_path / "run"
    planned(place, cohort(tmp_path / "in", 6, scored=False))
    run(place)
    collect(FolderPlace(place), place)
    shown: list[int] = []

    def index_html(*_: object, **__: object) -> str:
        shown.append(len(list(place.glob("index-*.html"))))
        return ""

    monkeypatch.setattr(pages, "index_html", index_html)
    collect(FolderPlace(place), place)
    assert shown == [2, 2]


def test_what_comes_while_tables_are_made_is_left_for_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A study of two rows, of which the second is done when the first was counted, stands in the table once."""
    place = FolderPlace(tmp_path / "run")
    for name in ("copy 1", "copy 2"):
        refused_study(tmp_path / "in" / name, "copied")
    planned(place, tmp_path / "in")
    run(place)
    outcome = sorted((place.folder / "outcomes").rglob("*.json"))[-1]
    late = outcome.rename(tmp_path / "late")
    is_counted = collecting._Seen.close

    def close(seen: collecting._Seen) -> None:
        is_counted(seen)
        if late.exists():
            late.rename(outcome)

    monkeypatch.setattr(collecting._Seen, "close", close)
    collected = collect(place, tmp_path / "out")
    assert (collected.rows, collected.left, collected.studies) == (1, 1, 1)
    assert len((tmp_path / "out" / "results.csv").read_text().splitlines()) == 2
    collected = collect(place, tmp_path / "out")
    assert (collected.rows, collected.left, collected.studies, collected.in_several_rows) == (2, 0, 1, 1)


def test_parquet_has_the_table_with_its_types(tmp_path: Path) -> None:
    place = tmp_path / "run"
    planned(place, cohort(tmp_path / "in", 1))
    run(place)
    collect(FolderPlace(place), tmp_path / "out")
    rows = pyarrow.parquet.read_table(tmp_path / "out" / "results.parquet").to_pylist()
    assert sorted(row["agatston"] is None for row in rows) == [False, True]
    for row in rows:
        assert all(isinstance(value, str if name in WORD_COLUMNS else float) for name, value in row.items() if value)


def test_a_pseudonymised_run_names_no_places_in_its_tables(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"0123456789abcdef0123456789abcdef")
    folder = cohort(tmp_path / "in", 1, scored=False).rename(tmp_path / "Mustermann")
    (folder / "letters").mkdir()
    (folder / "letters" / "a.txt").write_text("no image")
    place = tmp_path / "run"
    planned(place, folder, settings=replace(SETTINGS, pseudonymise=tmp_path / "key"))
    assert run(place).failed == 1
    collect(FolderPlace(place), tmp_path / "out")
    assert not [file for file in (tmp_path / "out").iterdir() if b"Mustermann" in file.read_bytes()]
    outcome = b"".join(file.read_bytes() for file in (place / "studies").rglob("*.json"))
    assert outcome and b"Mustermann" not in outcome
