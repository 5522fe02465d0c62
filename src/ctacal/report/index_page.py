"""``index.html``: all studies of a run on one page, from a file share as from a server, ten thousand rows as ten.

The rows are data inside the page; a script shows those that are looked at. What headers say is text, never markup.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ctacal import __version__
from ctacal.atomic import write_text
from ctacal.categories import CATEGORIES
from ctacal.report.outputs import WRITERS
from ctacal.report.wording import RESEARCH_ONLY, TITLE
from ctacal.result import NOTICE
from ctacal.results_table import Row

PAGE = "index.html"

LINKS = (("html", "report"), ("pdf", "PDF"), ("png", "pictures"), ("json", "data"))
"""Which files of a study are linked, and how."""


def write_index(out: Path, rows: Sequence[Row]) -> None:
    """Write OUT/index.html, whole or not at all; ``rows`` are those of ``results.csv``."""
    write_text(out / PAGE, index_html(rows, out))


def index_html(rows: Sequence[Row], out: Path) -> str:
    """The page; links lead to what lies in the studies' folders under ``out``."""
    style, script = (files("ctacal.report").joinpath(name).read_text(encoding="utf-8") for name in _BESIDE)
    refused = [row for row in rows if row["status"] == "refused"]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{TITLE}: {len(rows)} studies</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        f'<header><h1>{TITLE}</h1><p class="notice">{RESEARCH_ONLY}</p></header>\n'
        f"<p>{len(rows) - len(refused):,} scored, {len(refused):,} refused. {escape(NOTICE)}</p>\n"
        f'<section class="sums"><div><h2>Categories</h2>{_categories(rows)}</div>'
        f"<div><h2>Refused</h2>{_refusals(refused)}</div></section>\n"
        f"{_TABLE}"
        f'<script type="application/json" id="rows">{_as_data(rows, out)}</script>\n<script>\n{script}</script>\n'
        f"<footer>ctacal {__version__}, {date.today().isoformat()} · all numbers: "
        '<a href="results.csv">results.csv</a></footer>\n</body>\n</html>\n'
    )


_BESIDE = ("index.css", "index.js")

_TABLE = """<section class="controls"><input type="search" id="search" placeholder="Search study, reason, scanner"
aria-label="Search"><span id="filters"></span><span id="count" role="status"></span></section>
<noscript><p>The table needs JavaScript; <a href="results.csv">results.csv</a> holds the same.</p></noscript>
<div id="table" role="table" aria-label="Studies"><div id="head" role="row"></div>
<div id="view" tabindex="0"><div id="space"></div></div></div>
"""


def _categories(rows: Iterable[Row]) -> str:
    """Bars of how many studies fell into each category."""
    count = Counter(row["category"] for row in rows if row["status"] != "refused")
    total = sum(count.values())
    return _bars([(category, count[category]) for category in CATEGORIES], total)


def _refusals(refused: Iterable[Row]) -> str:
    """Bars of the reasons, the commonest first; a study counts by its last code, which is what refused it."""
    count = Counter(str(row["reason_codes"]).split(" ")[-1] for row in refused)
    return _bars(count.most_common(12), sum(count.values())) if count else "<p>none</p>"


def _bars(counted: Sequence[tuple[str, int]], total: int) -> str:
    bars = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td class="n">{number:,}</td>'
        f'<td class="n">{_share(number, total)}</td>'
        f'<td class="bar"><b class="c{place}" style="width:{100 * number / max(total, 1):.1f}%"></b></td></tr>'
        for place, (name, number) in enumerate(counted)
    )
    return f"<table><tbody>{bars}</tbody></table>"


def _share(number: int, total: int) -> str:
    return f"{number / total:.0%}" if total else "–"


def _as_data(rows: Iterable[Row], out: Path) -> str:
    """The rows as JSON that no text in them can end."""
    text = json.dumps([_entry(row, out) for row in rows], separators=(",", ":"), ensure_ascii=False)
    return text.replace("<", "\\u003c")


def _entry(row: Row, out: Path) -> list[Any]:
    """A row as the script reads it; the order is that of ``COLUMNS`` in index.js."""
    folder = str(row["folder"])
    links = [
        [word, quote(f"{folder}/{WRITERS[kind].files[0]}")]
        for kind, word in LINKS
        if (out / folder / WRITERS[kind].files[0]).is_file()
    ]
    vessels = [_rounded(row[f"agatston_{vessel}"]) for vessel in ("lm", "lad", "lcx", "rca")]
    scanner = " ".join(filter(None, (row.get("manufacturer"), row.get("scanner_model"))))
    return [
        row["study_uid"], row.get("study_date") or "", _status(row), _rounded(row["agatston"]), row["category"] or "",
        *vessels, _rounded(row["volume_mm3"]), scanner, row["reason_codes"], row["reasons"], links,
    ]  # fmt: skip


def _status(row: Row) -> str:
    return {"scored": "scored", "scored_with_warnings": "with warnings"}.get(str(row["status"]), "refused")


def _rounded(value: Any) -> float | None:
    return None if value in (None, "") else round(float(value), 1)
