"""The page of all studies: complete, safe, linked, and usable with ten thousand rows."""

import html
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ctacal.jobs.index_page import PAGE, index_html, write_index
from ctacal.results_table import COLUMNS, Row
from tests.tools import need

WICKED = '</script><script>document.title = "taken over"</script>'


def row(number: int, **changes: Any) -> Row:
    agatston = [0.0, 0.5, 100.0, 250.5, 1234.0][number % 5]
    category = ["0", "1-100", "1-100", "101-400", ">400"][number % 5]
    usual: Row = dict.fromkeys(COLUMNS) | {
        "study_uid": f"1.2.{number}", "status": "scored", "reason_codes": "", "reasons": "", "agatston": agatston,
        "category": category, "volume_mm3": agatston * 0.8, "folder": f"1.2.{number}", "study_date": "20240102",
        "manufacturer": "Maker", "scanner_model": f"Model {number % 7}",
        **{f"agatston_{vessel}": agatston / 4 for vessel in ("lm", "lad", "lcx", "rca")},
    }  # fmt: skip
    return usual | changes


def refused(number: int, code: str) -> Row:
    empty = dict.fromkeys(
        ("agatston", "category", "volume_mm3", *(f"agatston_{v}" for v in ("lm", "lad", "lcx", "rca")))
    )
    return row(number, status="refused", reason_codes=f"SERIES_SPLIT {code}", reasons=f"because of {code}", **empty)


def data(page: str) -> list[list[Any]]:
    found: list[list[Any]] = json.loads(re.findall(r'id="rows">(.*?)</script>', page, re.DOTALL)[0])
    return found


def test_every_row_is_there_with_its_numbers_and_reasons(tmp_path: Path) -> None:
    page = index_html(
        [*(row(k) for k in range(10)), refused(10, "MISSING_SLICE"), refused(11, "GANTRY_TILT")], tmp_path
    )
    rows = {entry[0]: entry for entry in data(page)}
    assert len(rows) == 12
    assert rows["1.2.3"][3:10] == [250.5, "101-400", 62.6, 62.6, 62.6, 62.6, 200.4]
    assert rows["1.2.10"][2:4] == ["refused", None]
    assert rows["1.2.10"][12] == "because of MISSING_SLICE"
    text = html.unescape(re.sub(r"<[^>]+>", " ", page.split("<script")[0]))
    assert "10 scored, 2 refused" in text
    for words in ("0 2 20%", "1-100 4 40%", "101-400 2 20%", ">400 2 20%", "MISSING_SLICE 1 50%", "GANTRY_TILT 1 50%"):
        assert words in re.sub(r"\s+", " ", text), words
    assert "not a medical device" in text.lower()


def test_rows_of_one_study_name_their_series(tmp_path: Path) -> None:
    both = [row(1, series_description="AC CT"), row(1, series_uid="1.2.9", series_description="")]
    found = data(index_html([*both, row(2, series_description="CTAC")], tmp_path))
    assert [entry[-2] for entry in found] == ["AC CT", "1.2.9", ""]


def test_it_links_what_is_there(tmp_path: Path) -> None:
    folder = tmp_path / "1.2.1" / "a b#c"
    folder.mkdir(parents=True)
    for name in ("report.html", "report.pdf", "result.json"):
        (folder / name).touch()
    ((*_, links),) = data(index_html([row(1, folder="1.2.1/a b#c")], tmp_path))
    assert links == [
        ["report", "1.2.1/a%20b%23c/report.html"], ["PDF", "1.2.1/a%20b%23c/report.pdf"],
        ["data", "1.2.1/a%20b%23c/result.json"],
    ]  # fmt: skip


def test_headers_cannot_write_into_the_page(tmp_path: Path) -> None:
    page = index_html([row(1, scanner_model=WICKED, reasons=WICKED)], tmp_path)
    assert WICKED not in page
    assert page.count("<script") == 2
    assert WICKED in data(page)[0][10]


def test_it_names_the_patient_where_the_table_does(tmp_path: Path) -> None:
    named = row(1, patient_id="4711", accession_number="A1", patient_name="<b>Doe</b>, John")
    page = index_html([named, row(2)], tmp_path)
    assert [entry[13:16] for entry in data(page)] == [["4711", "A1", "<b>Doe</b>, John"], ["", "", ""]]
    assert "<b>Doe" not in page


def test_it_needs_nothing_from_elsewhere(tmp_path: Path) -> None:
    page = index_html([row(1)], tmp_path)
    assert not re.findall(r'(?:src|href)="(?!results\.csv)', page)
    assert "http" not in page.replace("http-equiv", "")


def test_no_study_at_all(tmp_path: Path) -> None:
    write_index(tmp_path, [])
    assert data((tmp_path / PAGE).read_text(encoding="utf-8")) == []


@pytest.mark.slow
@pytest.mark.parametrize("named", [True, False])
def test_columns_of_the_patient_are_drawn_only_if_a_row_has_them(tmp_path: Path, named: bool) -> None:
    identity = {"patient_id": "4711", "accession_number": "A1", "patient_name": "Doe, John"} if named else {}
    page = tmp_path / "index.html"
    page.write_text(index_html([row(1, **identity), row(2)], tmp_path), encoding="utf-8")
    command = [need("chromium"), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", f"file://{page}"]
    drawn = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    assert [words in drawn for words in ("Patient ID</button>", ">Accession</button>", ">Doe, John</span>")] == [
        named
    ] * 3
    assert ">Agatston ▼</button>" in drawn


@pytest.mark.slow
def test_ten_thousand_rows_in_a_browser(tmp_path: Path) -> None:
    """Only rows in view are drawn; searching, filtering and sorting find the right ones."""
    browser = need("chromium")
    rows = [refused(k, "NO_CT_SERIES") if k % 100 == 7 else row(k, scanner_model=WICKED) for k in range(10_000)]
    page = index_html(rows, tmp_path)
    actions = """<script>
      const seen = [];
      const look = () => seen.push([document.getElementById("count").textContent,
        document.querySelectorAll(".row").length, document.querySelector(".row span:nth-child(4)")?.textContent]);
      const buttons = () => [...document.querySelectorAll("button")];
      const press = (word) => buttons().find((button) => button.textContent.startsWith(word)).click();
      look(); press("Agatston"); look(); press("refused"); look(); press("all");
      search.value = "1.2.4321"; choose(); look();
      search.value = ""; choose(); view.scrollTop = 1e9; paint();
      seen.push([document.querySelectorAll(".row").length > 5, document.title]);
      document.body.textContent = JSON.stringify(seen);
    </script></body>"""
    (tmp_path / "actions.html").write_text(page.replace("</body>", actions), encoding="utf-8")
    command = [
        browser,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--dump-dom",
        f"file://{tmp_path / 'actions.html'}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    seen = json.loads(html.unescape(re.findall(r"<body>(.*?)</body>", done.stdout, re.DOTALL)[0]))
    assert [step[0] for step in seen[:4]] == ["10,000 of 10,000", "10,000 of 10,000", "100 of 10,000", "1 of 10,000"]
    assert all(step[1] < 100 for step in seen[:4])
    assert [step[2] for step in seen[:4]] == ["1,234.0", "0.0", "", "0.5"]
    assert seen[4] == [True, "Coronary artery calcium: 10000 studies"]
