"""``index.html``: all studies of a run on one page, readable from a file share and fast with ten thousand rows.

The rows are JSON inside the page; a script draws only those in view. Text from headers is never read as markup.
"""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ctacal import __version__
from ctacal.atomic import write_text
from ctacal.categories import CATEGORIES
from ctacal.report.outputs import WRITERS
from ctacal.report.wording import RESEARCH_ONLY, TITLE
from ctacal.result import NOTICE
from ctacal.results_table import IDENTITY, Row
from ctacal.templates import render

PAGE = "index.html"

LINKS = (("html", "report"), ("pdf", "PDF"), ("png", "pictures"), ("json", "data"))
"""Kinds of output that the page links to, each with the text of its link."""

MOST_REASONS = 12
"""Number of reasons for refusal that are listed, the most frequent first."""

Bar = tuple[str, int, float, str]
"""Name, number of studies, share of all and the same in percent."""


def write_index(out: Path, rows: Sequence[Row]) -> None:
    """Write OUT/index.html, whole or not at all; ``rows`` are those of ``results.csv``."""
    write_text(out / PAGE, index_html(rows, out))


def index_html(rows: Sequence[Row], out: Path, *, left_out: str = "") -> str:
    """Return the page; it links to the files that exist in the studies' folders under ``out``.

    ``left_out`` says in a sentence what the page does not show.
    """
    refused = [row for row in rows if row["status"] == "refused"]
    times = Counter(row["study_uid"] for row in rows)
    return render(
        "ctacal.jobs",
        "index.html.j2",
        title=TITLE,
        research_only=RESEARCH_ONLY,
        notice=NOTICE,
        left_out=left_out,
        rows=[_entry(row, out, names_series=times[row["study_uid"]] > 1) for row in rows],
        refused=len(refused),
        categories=_categories(rows),
        refusals=_refusals(refused),
        software=f"ctacal {__version__}",
        today=date.today().isoformat(),
    )


def _categories(rows: Iterable[Row]) -> list[Bar]:
    """Return how many scored studies are in each category."""
    count = Counter(row["category"] for row in rows if row["status"] != "refused")
    return _bars([(category, count[category]) for category in CATEGORIES], count.total())


def _refusals(refused: Iterable[Row]) -> list[Bar]:
    """Return how often each reason refused a study: the last code of a row is the one that did."""
    count = Counter(str(row["reason_codes"]).split(" ")[-1] for row in refused)
    return _bars(count.most_common(MOST_REASONS), count.total())


def _bars(counts: Iterable[tuple[str, int]], total: int) -> list[Bar]:
    shares = ((name, count, count / max(total, 1)) for name, count in counts)
    return [(name, count, share, f"{share:.0%}" if total else "–") for name, count, share in shares]


def _entry(row: Row, out: Path, *, names_series: bool) -> list[Any]:
    """Return a row as index.js reads it, by the numbers of its fields; without --phi it names nobody."""
    folder = str(row["folder"])
    files = _names_in(out / folder)
    links = [
        [text, quote(f"{folder}/{WRITERS[kind].files[0]}")] for kind, text in LINKS if WRITERS[kind].files[0] in files
    ]
    vessels = [_rounded(row[f"agatston_{vessel}"]) for vessel in ("lm", "lad", "lcx", "rca")]
    scanner = " ".join(filter(None, (row.get("manufacturer"), row.get("scanner_model"))))
    return [
        row["study_uid"], row.get("study_date") or "", _status(row), _rounded(row["agatston"]), row["category"] or "",
        *vessels, _rounded(row["volume_mm3"]), scanner, row["reason_codes"], row["reasons"],
        *(row.get(name) or "" for name in IDENTITY),
        (row.get("series_description") or row.get("series_uid") or "") if names_series else "", links,
    ]  # fmt: skip


def _names_in(folder: Path) -> frozenset[str]:
    """Return the names in a folder; none if it is not there."""
    try:
        return frozenset(os.listdir(folder))  # noqa: PTH208 (a million folders)
    except (FileNotFoundError, NotADirectoryError):
        return frozenset()


def _status(row: Row) -> str:
    return {"scored": "scored", "scored_with_warnings": "with warnings"}.get(str(row["status"]), "refused")


def _rounded(value: Any) -> float | None:
    return None if value in (None, "") else round(float(value), 1)
