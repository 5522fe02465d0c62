"""``Pages``: index.html of a run, and a page for every 10,000 studies if there are more: no browser holds a million."""

from collections import Counter
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from ctacal import __version__
from ctacal.atomic import write_text
from ctacal.categories import CATEGORIES
from ctacal.jobs.index_page import PAGE, index_html
from ctacal.report.wording import RESEARCH_ONLY, TITLE
from ctacal.result import NOTICE
from ctacal.results_table import Row
from ctacal.templates import render

ROWS_A_PAGE = 10_000


class Pages:
    """The pages of a run, which take rows as they come."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self._rows: list[Row] = []
        self._pages: list[tuple[str, int]] = []
        self._categories: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()

    def add(self, rows: Sequence[Row]) -> None:
        """Add rows; full pages are written."""
        for row in rows:
            if row["status"] == "refused":
                self._refused[str(row["reason_codes"]).split(" ")[-1]] += 1
            else:
                self._categories[str(row["category"])] += 1
        self._rows += rows
        while len(self._rows) > ROWS_A_PAGE:
            self._write(self._rows[:ROWS_A_PAGE])
            self._rows = self._rows[ROWS_A_PAGE:]

    def finish(self, *, left: int, failed: int) -> None:
        """Write the last page, and the page that leads to all; then pages of an earlier time go."""
        if self._pages and self._rows:
            self._write(self._rows)
        write_text(self.out / PAGE, self._first_page(left, failed))
        names = {name for name, _ in self._pages}
        for page in self.out.glob("index-*.html"):
            if page.name not in names:
                page.unlink()

    def _first_page(self, left: int, failed: int) -> str:
        if not self._pages:
            gone = f"{failed:,} rows gave no result (failed.csv), {left:,} are still to do." if failed or left else ""
            return index_html(self._rows, self.out, left_out=gone)
        return render(
            "ctacal.jobs.batch",
            "pages.html.j2",
            title=TITLE,
            research_only=RESEARCH_ONLY,
            notice=NOTICE,
            scored=self._categories.total(),
            refused=self._refused.total(),
            failed=failed,
            left=left,
            categories=[(name, self._categories[name]) for name in CATEGORIES],
            refusals=self._refused.most_common(),
            pages=self._pages,
            software=f"ctacal {__version__}",
            today=date.today().isoformat(),
        )

    def _write(self, rows: Sequence[Row]) -> None:
        name = f"index-{len(self._pages) + 1:04d}.html"
        write_text(self.out / name, index_html(rows, self.out))
        self._pages.append((name, len(rows)))
