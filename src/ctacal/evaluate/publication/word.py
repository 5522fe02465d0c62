"""All tables in one Word file. Needs python-docx."""

import zipfile
from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

from ctacal.evaluate.publication.content import Cell, Table
from ctacal.evaluate.publication.wording import shown, unbroken

if TYPE_CHECKING:
    from docx.document import Document
    from docx.table import _Cell

PORTRAIT = 6
"""Number of columns that fit a portrait page (own choice)."""

TOGETHER = 30
"""Number of rows up to which a table is kept on one page (own choice)."""

LETTER_MM, PADDING_MM = 1.8, 4.5
"""Width of a digit of 8 points in a wide font, and of a cell's margins, in mm (Word's default is 1.9 mm a side)."""

NARROW, NARROW_MM = frozenset(" \u00a0.,:;()[]'|ijlfrt"), 1.1
"""Characters that are narrower, and their width in the same font."""

BOLD = 1.15
"""Times which bold letters are wider."""

_EARLIEST = (1980, 1, 1, 0, 0, 0)
"""The earliest time a zip file can hold. All parts have it, so that the bytes do not depend on the time of writing."""


def tables_docx(tables: Sequence[Table], title: str, notice: str, mark: str = "") -> bytes:
    """Return a Word file of numbered tables with footnotes, ruled as journals require (no vertical lines).

    ``mark`` stands at the head of each page.
    """
    from docx import Document
    from docx.shared import Pt

    document = Document()
    page_mm = _page(document, landscape=any(len(table.columns) > PORTRAIT for table in tables))
    style: Any = document.styles["Normal"]
    style.font.name, style.font.size, style.paragraph_format.space_after = "Arial", Pt(8), Pt(1)
    document.core_properties.title, document.core_properties.author = title, "ctacal"
    document.sections[0].header.paragraphs[0].text = mark
    document.add_heading(title, level=1)
    document.add_paragraph(notice)
    for number, table in enumerate(tables, start=1):
        _add(document, table, number, page_mm)
    return _without_time(document)


def _page(document: "Document", *, landscape: bool) -> float:
    """Set up A4 pages with margins of 20 mm; return the width left for a table, in mm."""
    from docx.enum.section import WD_ORIENT
    from docx.shared import Mm

    section = document.sections[0]
    section.orientation = WD_ORIENT.LANDSCAPE if landscape else WD_ORIENT.PORTRAIT
    width_mm, height_mm = (297.0, 210.0) if landscape else (210.0, 297.0)
    section.page_width, section.page_height = Mm(width_mm), Mm(height_mm)
    section.left_margin = section.right_margin = section.top_margin = section.bottom_margin = Mm(20)
    return width_mm - 40.2  # Word rounds each width to a twentieth of a point


def _add(document: "Document", table: Table, number: int, page_mm: float) -> None:
    from docx.shared import Pt

    caption = document.add_paragraph()
    caption.add_run(f"Table {number}. ").bold = True
    caption.add_run(table.title)
    caption.paragraph_format.keep_with_next = True
    caption.paragraph_format.space_after = Pt(4)
    for run in caption.runs:
        run.font.size = Pt(9)
    heads = 2 if table.groups else 1
    grid = document.add_table(heads + len(table.rows), len(table.columns))
    grid.autofit = False
    cells = _grid(grid)
    _set_widths(grid, cells, _widths_mm(table, page_mm))
    if table.groups:
        _groups(cells[0], table.groups)
    for cell, name in zip(cells[heads - 1], table.columns, strict=True):
        _write(cell, name, bold=True, right=cell is not cells[heads - 1][0])
    for place, row in zip(cells[heads:], table.rows, strict=True):
        _row(place, row)
    _rule(cells[0], top="single")
    _rule(cells[heads - 1], bottom="single")
    _rule(cells[-1], bottom="single")
    _repeat(grid, heads)
    if len(table.rows) <= TOGETHER:
        _keep_together(cells)
    for note in table.footnotes:
        document.add_paragraph(note).paragraph_format.space_before = Pt(3)
    document.add_paragraph()


def _widths_mm(table: Table, page_mm: float) -> list[float]:
    """Return the widths of the columns: those of their text, or shrunk towards those of their longest words."""
    heads = [BOLD * _mm(name) for name in table.columns]
    words = [BOLD * max(map(_mm, unbroken(name).split(" "))) for name in table.columns]
    cells = [[shown(row[k]) for row in table.rows if len(row) > 1] for k in range(len(table.columns))]
    whole = [PADDING_MM + max([head, *map(_mm, texts)]) for head, texts in zip(heads, cells, strict=True)]
    if sum(whole) <= page_mm:
        return whole
    least = [PADDING_MM + max([head, *map(_longest_mm, texts)]) for head, texts in zip(words, cells, strict=True)]
    if sum(least) >= page_mm:
        return [width * page_mm / sum(least) for width in least]
    spare = (page_mm - sum(least)) / (sum(whole) - sum(least))
    return [low + spare * (high - low) for low, high in zip(least, whole, strict=True)]


def _mm(text: str) -> float:
    """Return the width of a text, with its indent, in mm."""
    return sum(NARROW_MM if letter in NARROW else LETTER_MM for letter in text)


def _longest_mm(text: str) -> float:
    """Return the width of the longest part of a text that is not broken, with the indent, in mm."""
    bare = text.lstrip(" ")
    return _mm(" " * (len(text) - len(bare))) + max(map(_mm, unbroken(bare).split(" ")))


def _set_widths(grid: Any, cells: "Sequence[Sequence[_Cell]]", widths_mm: Sequence[float]) -> None:
    from docx.shared import Mm

    for column, width in zip(grid.columns, widths_mm, strict=True):
        column.width = Mm(width)
    for row in cells:
        for cell, width in zip(row, widths_mm, strict=True):
            cell.width = Mm(width)


def _keep_together(cells: "Sequence[Sequence[_Cell]]") -> None:
    """Keep the whole table on one page, with its first footnote."""
    for row in cells:
        for cell in row:
            cell.paragraphs[0].paragraph_format.keep_with_next = True


def _grid(grid: Any) -> "list[list[_Cell]]":
    """Return rows of cells; ``Table.cell`` would take quadratic time."""
    width, flat = len(grid.columns), grid._cells
    return [flat[start : start + width] for start in range(0, len(flat), width)]


def _groups(cells: "Sequence[_Cell]", groups: Sequence[tuple[str, int]]) -> None:
    first = 0
    for text, span in groups:
        merged = cells[first].merge(cells[first + span - 1]) if span > 1 else cells[first]
        _write(merged, text, bold=True, centre=True)
        first += span


def _row(place: "Sequence[_Cell]", row: Sequence[Cell]) -> None:
    if len(row) == 1 < len(place):
        _write(place[0].merge(place[-1]), shown(row[0]), italic=True)
        return
    for number, (cell, value) in enumerate(zip(place, row, strict=True)):
        _write(cell, shown(value), right=number > 0)


def _write(
    cell: "_Cell", text: str, *, bold: bool = False, italic: bool = False, right: bool = False, centre: bool = False
) -> None:
    from docx.enum.text import WD_ALIGN_PARAGRAPH
    from docx.shared import Mm

    paragraph, bare = cell.paragraphs[0], text.lstrip(" ")
    run = paragraph.add_run(unbroken(bare))
    if bold:
        run.bold = True
    if italic:
        run.italic = True
    if bare != text:
        paragraph.paragraph_format.left_indent = Mm(2 * ((len(text) - len(bare) + 1) // 2))
    if right or centre:
        paragraph.alignment = WD_ALIGN_PARAGRAPH.CENTER if centre else WD_ALIGN_PARAGRAPH.RIGHT


def _rule(cells: "Sequence[_Cell]", **edges: str) -> None:
    """Draw lines above or below a row."""
    from docx.oxml import OxmlElement
    from docx.oxml.ns import qn

    for cell in dict.fromkeys(cell._tc for cell in cells):
        properties = cell.get_or_add_tcPr()
        borders: Any = properties.find(qn("w:tcBorders"))
        if borders is None:
            borders = OxmlElement("w:tcBorders")
            properties.append(borders)
        for edge, kind in edges.items():
            line: Any = OxmlElement(f"w:{edge}")
            line.set(qn("w:val"), kind)
            line.set(qn("w:sz"), "6")
            borders.append(line)


def _repeat(grid: Any, heads: int) -> None:
    """Repeat the header on each page and split no row."""
    from docx.oxml import OxmlElement

    for number, row in enumerate(grid.rows):
        properties = row._tr.get_or_add_trPr()
        properties.append(OxmlElement("w:cantSplit"))
        if number < heads:
            properties.append(OxmlElement("w:tblHeader"))


def _without_time(document: "Document") -> bytes:
    written, same = BytesIO(), BytesIO()
    document.save(written)
    with zipfile.ZipFile(written) as source, zipfile.ZipFile(same, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            part = zipfile.ZipInfo(name, _EARLIEST)
            part.compress_type = zipfile.ZIP_DEFLATED
            target.writestr(part, source.read(name))
    return same.getvalue()
