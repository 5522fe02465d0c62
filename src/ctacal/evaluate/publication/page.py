"""The report as one HTML file: self-contained, printable. The template is ``report.html.j2``."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Literal

from ctacal.evaluate.publication.checklists import OPEN
from ctacal.evaluate.publication.content import Cell, Chart, Publication, Section, Table
from ctacal.evaluate.publication.figures import inline_svg
from ctacal.evaluate.publication.wording import shown, unbroken
from ctacal.templates import render

if TYPE_CHECKING:
    from markupsafe import Markup


def report_page(publication: Publication, drawn: Mapping[str, bytes], notice: str, made_by: str) -> str:
    """Return the whole page; ``drawn`` holds each chart's SVG by its stem."""
    tables, charts = count(1), count(1)
    sections = [_numbered(section, drawn, tables, charts) for section in publication.sections]
    return render(
        __package__, "report.html.j2", publication=publication, sections=sections, notice=notice, made_by=made_by,
        made=_made(publication, made_by), open=OPEN,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Cell:
    text: str
    indent: float
    """In rem."""


@dataclass(frozen=True, slots=True)
class _Row:
    heading: str | None
    """The text of a heading across the table, or None."""
    cells: tuple[_Cell, ...]


@dataclass(frozen=True, slots=True)
class _Paragraph:
    text: str
    kind: Literal["paragraph"] = "paragraph"


@dataclass(frozen=True, slots=True)
class _Table:
    number: int
    table: Table
    rows: tuple[_Row, ...]
    kind: Literal["table"] = "table"


@dataclass(frozen=True, slots=True)
class _Chart:
    number: int
    chart: Chart
    svg: "Markup"
    kind: Literal["chart"] = "chart"


@dataclass(frozen=True, slots=True)
class _Section:
    title: str
    content: tuple[_Paragraph | _Table | _Chart, ...]


def _numbered(section: Section, drawn: Mapping[str, bytes], tables: Iterator[int], charts: Iterator[int]) -> _Section:
    """Return a section with its tables and charts numbered through the whole report."""

    def shown_as(content: str | Table | Chart) -> _Paragraph | _Table | _Chart:
        if isinstance(content, Table):
            rows = tuple(_row(row, len(content.columns)) for row in content.rows)
            return _Table(next(tables), content, rows)
        if isinstance(content, Chart):
            return _Chart(next(charts), content, inline_svg(drawn[content.stem], content))
        return _Paragraph(content)

    return _Section(section.title, tuple(map(shown_as, section.content)))


def _row(row: Sequence[Cell], columns: int) -> _Row:
    if len(row) == 1 < columns:
        return _Row(shown(row[0]), ())
    return _Row(None, tuple(_cell(shown(cell)) for cell in row))


def _cell(text: str) -> _Cell:
    bare = text.lstrip(" ")
    return _Cell(unbroken(bare), (len(text) - len(bare)) / 2)


def _made(publication: Publication, made_by: str) -> list[tuple[str, str]]:
    """Return names and values for the section that says how the report was made."""
    rows = [("made by", made_by), ("command", publication.command)]
    rows += [("seed of the resampling", str(publication.seed))] * (publication.seed is not None)
    return rows + [(name.replace("_", " "), _in_words(value)) for name, value in publication.options.items()]


def _in_words(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_in_words(item)}" for key, item in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(_in_words, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)
