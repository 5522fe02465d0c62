"""A comparison as a PDF of two or three A4 pages."""

from collections.abc import Sequence
from typing import Any

from reportlab.lib.colors import HexColor
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.platypus import CondPageBreak, Flowable, Paragraph, Table, TableStyle

from ctacal.compare.comparison import Comparison, Verdict
from ctacal.report import comparison_words as words
from ctacal.report import wording
from ctacal.report.comparison_pictures import ComparisonPictures
from ctacal.report.pdf_parts import (
    BODY,
    CELL,
    FAINT,
    FAINT_CELL,
    GAP,
    GROUND,
    INK,
    LINE,
    PLAIN,
    RIGHT,
    SMALL,
    STRONG,
    TEXT,
    WIDTH,
    Furniture,
    Strip,
    document_bytes,
    heading,
    markup,
    note,
    paragraph,
    register_fonts,
)
from ctacal.subject import Subject

_FRAMES = {Verdict.WITHIN: HexColor("#2c7a4b"), Verdict.BEYOND: HexColor("#a23b2a")}
_NORMAL = HexColor("#9dbdd8")


def comparison_pdf(comparison: Comparison, subject: Subject, pictures: ComparisonPictures | None) -> bytes:
    """Return the document; ``pictures`` is None if a scan was not scored."""
    register_fonts()
    furniture = Furniture(words.footer(comparison), words.SUBTITLE, words.TITLE)
    return document_bytes(_story(comparison, subject, pictures), words.document_title(comparison), furniture)


def _story(comparison: Comparison, subject: Subject, pictures: ComparisonPictures | None) -> list[Flowable]:
    return [
        _facts(words.facts(comparison, subject)),
        _top(comparison),
        *_changes(comparison),
        heading(words.REASONS_TITLE),
        *_flags(comparison),
        *_pictures(pictures),
        *_lesions(comparison),
        *_published(comparison),
        CondPageBreak(45 * mm),
        heading(words.SCANS_TITLE),
        _table(("", "Before", "After"), words.scan_rows(comparison), (0.2, 0.4, 0.4), right=False),
        CondPageBreak(45 * mm),
        heading(wording.MEANING_TITLE),
        paragraph(wording.MEANING),
        heading(wording.INTENDED_USE_TITLE),
        paragraph(wording.INTENDED_USE),
    ]


def _facts(pairs: wording.Pairs) -> Table:
    cells = [[Paragraph(markup(name), SMALL), Paragraph(markup(value), CELL)] for name, value in pairs]
    style = [
        *PLAIN,
        ("LEFTPADDING", (0, 0), (-1, -1), 0),
        ("TOPPADDING", (0, 0), (-1, -1), 0),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
    ]
    return Table([cells], colWidths=[WIDTH / len(cells)] * len(cells), style=TableStyle(style))


class _Verdict(Flowable):  # type: ignore[misc]
    """The verdict in large type within a frame."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__()
        self.verdict = verdict

    def wrap(self, width: float, _: float) -> tuple[float, float]:
        self.width, self.height = width, 20 * mm
        return self.width, self.height

    def draw(self) -> None:
        canvas = self.canv
        canvas.setStrokeColor(_FRAMES.get(self.verdict, FAINT))
        canvas.setFillColor(GROUND)
        canvas.setLineWidth(1.6)
        canvas.rect(1, 5, self.width - 4, self.height - 6, fill=1)
        canvas.setFillColor(FAINT)
        canvas.setFont(TEXT, 8.5)
        alone = self.verdict is Verdict.NOT_COMPARABLE
        canvas.drawString(8, self.height - 14, "The scans are" if alone else "The change is")
        canvas.setFillColor(INK)
        canvas.setFont(STRONG, 20)
        limits = "" if alone else " the limits"
        canvas.drawString(8, 14, f"{self.verdict}{limits}")


class _Bar(Flowable):  # type: ignore[misc]
    """Where the later value lies among those of an unchanged patient, on the scale of square roots."""

    def __init__(self, bar: words.Bar) -> None:
        super().__init__()
        self.bar = bar

    def wrap(self, width: float, _: float) -> tuple[float, float]:
        self.width, self.height = width, 12 * mm
        return self.width, self.height

    def draw(self) -> None:
        canvas, bar = self.canv, self.bar
        scale = self.width / bar.end
        canvas.setFillColor(GROUND)
        canvas.rect(0, 12, self.width, 7, stroke=0, fill=1)
        canvas.setFillColor(_NORMAL)
        canvas.rect(bar.low * scale, 12, (bar.high - bar.low) * scale, 7, stroke=0, fill=1)
        canvas.setStrokeColor(FAINT)
        canvas.setLineWidth(1.4)
        canvas.line(bar.before * scale, 9, bar.before * scale, 22)
        canvas.setFillColor(INK)
        canvas.circle(bar.after * scale, 15.5, 4, stroke=0, fill=1)
        canvas.setFillColor(FAINT)
        canvas.setFont(TEXT, 7)
        self._label(bar.before * scale, 1, "before")
        self._label(bar.after * scale, 24, "after")

    def _label(self, x: float, y: float, text: str) -> None:
        self.canv.drawCentredString(min(max(x, 12), self.width - 12), y, text)


class _Numbers(Flowable):  # type: ignore[misc]
    """The deciding quantity before and after, in large type; the font has no arrow, so it is drawn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text

    def wrap(self, width: float, _: float) -> tuple[float, float]:
        self.width, self.height = width, 11 * mm
        return self.width, self.height

    def draw(self) -> None:
        canvas = self.canv
        canvas.setFillColor(INK)
        canvas.setStrokeColor(INK)
        canvas.setFont(STRONG, 24)
        before, after = self.text.split(words.ARROW)
        canvas.drawString(0, 8, before)
        left = pdfmetrics.stringWidth(before, STRONG, 24) + 9
        canvas.setLineWidth(1.8)
        canvas.lines([(left, 16, left + 22, 16), (left + 16, 20, left + 22, 16), (left + 16, 12, left + 22, 16)])
        canvas.drawString(left + 31, 8, after)


def _top(comparison: Comparison) -> Table:
    left: list[Flowable] = [_Verdict(comparison.verdict), paragraph(words.verdict_line(comparison))]
    left += [note(line) for line in words.limit_notes(comparison)]
    name, numbers = words.headline(comparison)
    right: list[Flowable] = []
    if name:
        line = ". ".join(part for part in (f"{name} before and after", words.category_line(comparison)) if part)
        right += [_Numbers(numbers), paragraph(f"{line}.")]
    if bar := words.bar(comparison):
        right += [_Bar(bar), note(f"{bar.words} Scale: square roots.")]
    style = [
        *PLAIN,
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        *((f"{side}PADDING", (0, 0), (-1, -1), 0) for side in ("LEFT", "RIGHT", "TOP", "BOTTOM")),
        ("LEFTPADDING", (1, 0), (1, 0), GAP),
    ]
    return Table([[left, right]], colWidths=[WIDTH * 0.46, WIDTH * 0.54], style=TableStyle(style))


_CHANGE_SHARES = (0.24, 0.09, 0.09, 0.09, 0.09, 0.08, 0.09, 0.13, 0.1)


def _changes(comparison: Comparison) -> list[Flowable]:
    rows, vessels = words.change_rows(comparison), words.vessel_rows(comparison)
    if not rows:
        return []
    parts: list[Flowable] = [heading(words.CHANGES_TITLE), _table(words.CHANGE_COLUMNS, rows, _CHANGE_SHARES)]
    parts += [note(line) for line in (words.change_note(comparison), *words.limit_rows(comparison)) if line]
    if vessels:
        parts += [heading(words.VESSELS_TITLE), _table(words.CHANGE_COLUMNS, vessels, _CHANGE_SHARES)]
    return parts


def _flags(comparison: Comparison) -> list[Flowable]:
    flags = [words.flag(reason) for reason in comparison.reasons]
    if not flags:
        return [paragraph(words.NO_REASONS)]
    return [Paragraph(f"<b>{markup(title)}.</b> {markup(sentence[:600])}", BODY) for title, sentence in flags]


def _pictures(pictures: ComparisonPictures | None) -> list[Flowable]:
    """Return the key slices, earlier and later scan beside each other."""
    if pictures is None:
        return []
    strip = [pair.beside for pair in pictures.key_slices]
    return [CondPageBreak(70 * mm), heading(words.PICTURES_TITLE), Strip(strip, most=48 * mm)]


def _lesions(comparison: Comparison) -> list[Flowable]:
    rows = words.lesion_rows(comparison.matches)
    parts: list[Flowable] = [CondPageBreak(40 * mm), heading(words.LESIONS_TITLE)]
    parts.append(paragraph(words.lesion_line(comparison)))
    if rows:
        parts.append(_table(words.LESION_COLUMNS, rows, (0.44, 0.13, 0.13, 0.11, 0.11, 0.08)))
    return parts


def _published(comparison: Comparison) -> list[Flowable]:
    rows = words.published_rows(comparison)
    if not rows:
        return []
    table = _table(words.PUBLISHED_COLUMNS, rows, (0.3, 0.14, 0.07, 0.15, 0.34), right=False)
    return [CondPageBreak(60 * mm), heading(words.PUBLISHED_TITLE), table, note(words.PUBLISHED_NOTE)]


def _table(columns: Sequence[str], rows: Sequence[words.Row], shares: Sequence[float], *, right: bool = True) -> Table:
    """Return a table as wide as the page; ``right`` aligns all columns but the first to the right."""
    aligned = RIGHT if right else CELL
    cells: list[list[Any]] = [[Paragraph(markup(column), SMALL) for column in columns]]
    if right:
        small_right = SMALL.clone("small right", alignment=2)
        cells = [[Paragraph(markup(column), small_right if n else SMALL) for n, column in enumerate(columns)]]
    for row in rows:
        first = FAINT_CELL if not right else CELL
        cells.append([Paragraph(markup(cell), aligned if n else first) for n, cell in enumerate(row)])
    style = [
        *PLAIN,
        ("LINEBELOW", (0, 0), (-1, -1), 0.4, LINE),
        ("VALIGN", (0, 0), (-1, -1), "BOTTOM" if right else "TOP"),
        ("TOPPADDING", (0, 0), (-1, -1), 1.6),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 1.8),
        ("LEFTPADDING", (0, 0), (-1, -1), 0),
        ("RIGHTPADDING", (0, 0), (-1, -1), 3),
    ]
    return Table(cells, colWidths=[WIDTH * share for share in shares], style=TableStyle(style), repeatRows=1)
