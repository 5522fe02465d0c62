"""The report of one study as a PDF of one or two A4 pages, by ReportLab, without system libraries or fonts.

Text can be selected and searched. Fonts are embedded, except those for Chinese, Japanese and Korean names, which PDF
viewers have. The same result gives the same bytes.
"""

import io
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files
from typing import Any
from xml.sax.saxutils import escape

from reportlab import rl_config
from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import (
    BaseDocTemplate,
    Flowable,
    Frame,
    PageBreak,
    PageTemplate,
    Paragraph,
    Spacer,
    Table,
    TableStyle,
)

from ctacal import __version__
from ctacal.categories import CATEGORIES
from ctacal.labels import Calcium
from ctacal.report import wording
from ctacal.report.pictures import Picture, Pictures
from ctacal.report.vessels import VESSEL_COLOURS
from ctacal.result import ScoredStudy, StudyResult
from ctacal.subject import Subject

rl_config.useA85 = 0  # binary streams: ASCII85 is a quarter larger and slow
MARGIN = 14 * mm
WIDTH = A4[0] - 2 * MARGIN
GAP = 6 * mm
INK, FAINT, LINE, GROUND = HexColor("#1c2530"), HexColor("#5b6673"), HexColor("#d5dbe1"), HexColor("#f6f8fa")
ACCENT, WARNING = HexColor("#1f4e79"), HexColor("#a23b2a")
CATEGORY_COLOURS = (HexColor("#cfe3ee"), HexColor("#fbe3a9"), HexColor("#f5b36b"), HexColor("#e07b5a"))
"""Colours of the categories, from none to extensive; position and words distinguish them as well."""

TEXT, STRONG = "OpenSans", "OpenSans-Semibold"
_OTHER_SCRIPTS = (
    ("STSong-Light", (0x4E00, 0x9FFF)), ("STSong-Light", (0x3400, 0x4DBF)), ("HeiseiKakuGo-W5", (0x3000, 0x30FF)),
    ("HYGothic-Medium", (0xAC00, 0xD7A3)),
)  # fmt: skip
"""Fonts for characters that Open Sans lacks, each with its first and last character."""
_UNKNOWN_LETTERS = "? stands for letters that this PDF has no font for"

_BODY = ParagraphStyle(
    "body", fontName=TEXT, bulletFontName=TEXT, fontSize=8.5, leading=11.5, textColor=INK, spaceAfter=2
)
_SMALL = ParagraphStyle("small", _BODY, fontSize=7, leading=9, textColor=FAINT)
_HEADING = ParagraphStyle(
    "heading", _BODY, fontName=STRONG, fontSize=9.5, leading=12, textColor=ACCENT, spaceBefore=7, spaceAfter=3
)
_CELL = ParagraphStyle("cell", _BODY, spaceAfter=0)
_RIGHT = ParagraphStyle("right", _CELL, alignment=2)
_FAINT_CELL = ParagraphStyle("faint", _CELL, textColor=FAINT)


_PLAIN = (("FONT", (0, 0), (-1, -1), TEXT),)
"""Style of every table; without it ReportLab refers to a default font that is not embedded."""


def report_pdf(result: StudyResult, subject: Subject, pictures: Pictures | None) -> bytes:
    """Return the document; for a refused study (``pictures`` None) it gives the reasons."""
    _register_fonts()
    content = io.BytesIO()
    document = BaseDocTemplate(
        content,
        pagesize=A4,
        title=wording.document_title(subject),
        author=f"ctacal {__version__}",
        subject=wording.RESEARCH_ONLY,
        invariant=1,  # no time, no random identifier
        initialFontName=TEXT,
    )
    frame = Frame(MARGIN, 15 * mm, WIDTH, A4[1] - 15 * mm - 27 * mm, 0, 0, 0, 0)
    document.addPageTemplates(PageTemplate("page", [frame], onPage=_Furniture(result)))
    document.build(
        _story(result, subject, pictures) if isinstance(result, ScoredStudy) and pictures else _refusal(result, subject)
    )
    return content.getvalue()


@cache
def _register_fonts() -> None:
    folder = files("ctacal.report").joinpath("fonts")
    for name, file in ((TEXT, "OpenSans-Regular.ttf"), (STRONG, "OpenSans-Semibold.ttf")):
        pdfmetrics.registerFont(TTFont(name, io.BytesIO(folder.joinpath(file).read_bytes())))
    pdfmetrics.registerFontFamily(TEXT, normal=TEXT, bold=STRONG, italic=TEXT, boldItalic=STRONG)


class _Furniture:
    """Header and footer of each page."""

    def __init__(self, result: StudyResult) -> None:
        self.footer = wording.footer(result)

    def __call__(self, canvas: Any, document: Any) -> None:
        top = A4[1] - 14 * mm
        canvas.setFillColor(INK)
        canvas.setFont(STRONG, 16)
        canvas.drawString(MARGIN, top - 4, wording.TITLE)
        canvas.setFont(TEXT, 9)
        canvas.setFillColor(FAINT)
        canvas.drawString(MARGIN, top - 16, wording.SUBTITLE)
        self._notice(canvas, top)
        canvas.setStrokeColor(ACCENT)
        canvas.setLineWidth(1.6)
        canvas.line(MARGIN, top - 22, A4[0] - MARGIN, top - 22)
        canvas.setFont(TEXT, 6.5)
        canvas.setFillColor(FAINT)
        canvas.drawString(MARGIN, 9 * mm, self.footer)
        canvas.drawRightString(A4[0] - MARGIN, 9 * mm, f"page {document.page}")

    @staticmethod
    def _notice(canvas: Any, top: float) -> None:
        width = pdfmetrics.stringWidth(wording.RESEARCH_ONLY, STRONG, 8.5) + 12
        canvas.setStrokeColor(WARNING)
        canvas.setFillColor(WARNING)
        canvas.setLineWidth(0.8)
        canvas.rect(A4[0] - MARGIN - width, top - 12, width, 16)
        canvas.setFont(STRONG, 8.5)
        canvas.drawCentredString(A4[0] - MARGIN - width / 2, top - 7, wording.RESEARCH_ONLY)


def _story(result: ScoredStudy, subject: Subject, pictures: Pictures) -> list[Flowable]:
    return [
        _facts(result, subject),
        _beside([_Headline(result), _note(wording.NOT_GATED)],
                [_vessels(result), _note(wording.mass_note(result))]),
        _beside([_heading(wording.PERCENTILE_TITLE), *_paragraphs(wording.percentile_lines(result, subject))],
                [_heading(wording.UNCERTAINTY_TITLE), *_uncertainty(result)]),
        _heading(wording.FLAGS_TITLE),
        *_flags(result),
        _heading(wording.pictures_title(result)),
        _Strip([*pictures.key_slices, *pictures.locators]),
        PageBreak(),
        _heading(wording.montage_title(result)),
        _Strip([pictures.montage], most=128 * mm),
        *_uncounted(result),
        _beside([_heading(wording.SCAN_TITLE), _pairs(wording.acquisition(result))],
                [_heading(wording.METHOD_TITLE), _pairs(wording.method(result))]),
        _heading(wording.MEANING_TITLE),
        _paragraph(wording.MEANING),
        _heading(wording.INTENDED_USE_TITLE),
        _paragraph(wording.INTENDED_USE),
    ]  # fmt: skip


def _refusal(result: StudyResult, subject: Subject) -> list[Flowable]:
    return [
        _facts(result, subject),
        _heading(wording.REFUSED_TITLE),
        *_flags(result),
        _heading(wording.INTENDED_USE_TITLE),
        _paragraph(wording.INTENDED_USE),
    ]


class _Headline(Flowable):  # type: ignore[misc]
    """The score in large type, and the four categories with its own marked."""

    def __init__(self, result: ScoredStudy) -> None:
        super().__init__()
        self.scores = result.scores

    def wrap(self, width: float, _: float) -> tuple[float, float]:
        self.width, self.height = width, 33 * mm
        return self.width, self.height

    def draw(self) -> None:
        canvas, score = self.canv, wording.number(self.scores.agatston.total)
        canvas.setFillColor(INK)
        canvas.setFont(STRONG, 38)
        canvas.drawString(0, self.height - 14 * mm, score)
        beside = pdfmetrics.stringWidth(score, STRONG, 38) + 8
        canvas.setFont(TEXT, 9)
        canvas.setFillColor(FAINT)
        canvas.drawString(beside, self.height - 9 * mm, "Agatston score")
        canvas.drawString(beside, self.height - 13.5 * mm, f"CAC-DRS {self.scores.cac_drs}")
        step = self.width / 4
        for n, category in enumerate(CATEGORIES):
            self._step(n * step, step - 3, n, category)

    def _step(self, left: float, width: float, n: int, category: str) -> None:
        canvas, here = self.canv, category == self.scores.category
        canvas.setFillColor(CATEGORY_COLOURS[n] if here else GROUND)
        canvas.setStrokeColor(INK if here else GROUND)
        canvas.setLineWidth(1.2)
        canvas.rect(left, 2, width, 11 * mm, fill=1)
        canvas.setFillColor(INK if here else FAINT)
        canvas.setFont(STRONG, 9)
        canvas.drawCentredString(left + width / 2, 7.2 * mm, category)
        canvas.setFont(TEXT, 7.5)
        canvas.drawCentredString(left + width / 2, 3.6 * mm, wording.CATEGORY_WORDS[category])


class _Bars(Flowable):  # type: ignore[misc]
    """Bars for the probability of each category."""

    def __init__(self, shares: Sequence[tuple[str, float]]) -> None:
        super().__init__()
        self.shares = shares

    def wrap(self, width: float, _: float) -> tuple[float, float]:
        self.width, self.height = width, 12.0 * len(self.shares) + 2
        return self.width, self.height

    def draw(self) -> None:
        canvas = self.canv
        for n, (category, share) in enumerate(self.shares):
            bottom = self.height - 12 * (n + 1) + 2
            canvas.setFont(TEXT, 8)
            canvas.setFillColor(INK)
            canvas.drawRightString(40, bottom, category)
            canvas.setFillColor(CATEGORY_COLOURS[n])
            length = max(0.8, (self.width - 80) * share)
            canvas.rect(45, bottom - 1.5, length, 9, stroke=0, fill=1)
            canvas.setFillColor(FAINT)
            canvas.drawString(48 + length, bottom, wording.percent(share))


class _Strip(Flowable):  # type: ignore[misc]
    """Captioned pictures of one height, in the number of rows that makes them largest; at most ``most`` points high."""

    CAPTION, SPACE = 22.0, 5.0

    def __init__(self, pictures: Sequence[Picture], most: float = 62 * mm) -> None:
        super().__init__()
        self.pictures, self.most = list(pictures), most

    def wrap(self, width: float, height: float) -> tuple[float, float]:
        choices = [self._in_rows(rows, width, height) for rows in (1, 2, 3)]
        self.tall, self.per_row = max(choices)
        rows = -(-len(self.pictures) // self.per_row)
        self.width, self.height = width, rows * (self.tall + self.CAPTION)
        return self.width, self.height

    def _in_rows(self, rows: int, width: float, height: float) -> tuple[float, int]:
        """Return the height of the pictures and their number per row, for a number of rows."""
        per_row = -(-len(self.pictures) // rows)
        shapes = [picture.image.width / picture.image.height for picture in self.pictures]
        fullest = max(sum(shapes[n : n + per_row]) for n in range(0, len(shapes), per_row))
        free = width - self.SPACE * (per_row - 1)
        return max(20 * mm, min(self.most, free / fullest, (height - 4) / rows - self.CAPTION)), per_row

    def draw(self) -> None:
        for n, picture in enumerate(self.pictures):
            row = n // self.per_row
            before = self.pictures[row * self.per_row : n]
            left = sum(self._wide(other) + self.SPACE for other in before)
            self._draw_picture(picture, left, self.height - row * (self.tall + self.CAPTION) - self.tall)

    def _wide(self, picture: Picture) -> float:
        return self.tall * picture.image.width / picture.image.height

    def _draw_picture(self, picture: Picture, left: float, bottom: float) -> None:
        wide = self._wide(picture)
        self.canv.drawImage(ImageReader(io.BytesIO(picture.jpeg)), left, bottom, wide, self.tall)
        caption = Paragraph(markup(picture.caption), _SMALL)
        _, tall = caption.wrap(wide, self.CAPTION)
        caption.drawOn(self.canv, left, bottom - 2 - tall)


def _facts(result: StudyResult, subject: Subject) -> Table:
    pairs = wording.facts(result, subject)
    cells = [[Paragraph(markup(name), _SMALL), Paragraph(markup(value), _CELL)] for name, value in pairs]
    style = [
        *_PLAIN,
        ("LEFTPADDING", (0, 0), (-1, -1), 0),
        ("TOPPADDING", (0, 0), (-1, -1), 0),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
    ]
    return Table([cells], colWidths=[WIDTH / len(cells)] * len(cells), style=TableStyle(style))


def _vessels(result: ScoredStudy) -> Table:
    head = wording.VESSEL_COLUMNS
    rows: list[list[Any]] = [[Paragraph(head[0], _SMALL), *(Paragraph(name, _small_right()) for name in head[1:])]]
    style: list[Any] = [
        ("LINEBELOW", (0, 0), (-1, -1), 0.5, LINE),
        ("TOPPADDING", (0, 0), (-1, -1), 1.8),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 2.2),
        ("LEFTPADDING", (0, 0), (-1, -1), 0),
        ("RIGHTPADDING", (0, 0), (-1, -1), 2),
        ("VALIGN", (0, 0), (-1, -1), "MIDDLE"),
    ]
    for n, line in enumerate(wording.vessel_lines(result), 1):
        bold = ("<b>", "</b>") if line.label is None else ("", "")
        values = (line.agatston, line.volume, line.mass, line.lesions)
        name = (
            Paragraph(f"{bold[0]}{markup(line.name)}{bold[1]}", _CELL)
            if line.label is None
            else _Named(line.label, line.name)
        )
        rows.append([name, *(Paragraph(f"{bold[0]}{markup(value)}{bold[1]}", _RIGHT) for value in values)])
        if line.label is None:
            style.append(("LINEABOVE", (0, n), (-1, n), 1.1, INK))
    width = (WIDTH - GAP) * 6 / 11
    shares = (0.43, 0.14, 0.18, 0.14, 0.11)
    return Table(rows, colWidths=[width * share for share in shares], style=TableStyle([*_PLAIN, *style]))


def _small_right() -> ParagraphStyle:
    return ParagraphStyle("small right", _SMALL, alignment=2)


class _Named(Flowable):  # type: ignore[misc]
    """The colour and the name of a vessel."""

    def __init__(self, label: Calcium, name: str) -> None:
        super().__init__()
        self.colour, self.text = VESSEL_COLOURS[label], Paragraph(markup(name), _CELL)

    def wrap(self, width: float, height: float) -> tuple[float, float]:
        self.width, self.height = width, self.text.wrap(width - 12, height)[1]
        return self.width, self.height

    def draw(self) -> None:
        self.canv.setFillColorRGB(*(part / 255 for part in self.colour))
        self.canv.setStrokeColor(FAINT)
        self.canv.setLineWidth(0.4)
        self.canv.rect(0.5, self.height - 9.5, 7, 7, fill=1)
        self.text.drawOn(self.canv, 12, 0)


def _uncertainty(result: ScoredStudy) -> list[Flowable]:
    shares, lines = wording.probabilities(result), wording.uncertainty_lines(result)
    bars = [_paragraph(wording.probabilities_title(result)), _Bars(shares)] if shares else []
    return [*bars, *_paragraphs(lines)]


def _uncounted(result: ScoredStudy) -> list[Flowable]:
    lines = wording.uncounted_lines(result)
    return [_heading(wording.UNCOUNTED_TITLE), *_paragraphs(lines), Spacer(0, 6)] if lines else []


def _flags(result: StudyResult) -> list[Flowable]:
    if not result.reasons:
        return [_paragraph(wording.NOTHING_UNUSUAL)]
    style = ParagraphStyle("flag", _BODY, leftIndent=9, bulletIndent=1, spaceAfter=1)
    return [
        Paragraph(f"<b>{markup(title)}.</b> {markup(sentence[:600])}", style, bulletText="•")
        for title, sentence in map(wording.flag, result.reasons)
    ]


def _pairs(pairs: wording.Pairs) -> Table:
    width = (WIDTH - GAP) / 2
    rows = [[Paragraph(markup(name), _FAINT_CELL), Paragraph(markup(value), _CELL)] for name, value in pairs]
    style = [
        *_PLAIN,
        ("LINEBELOW", (0, 0), (-1, -1), 0.4, LINE),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("TOPPADDING", (0, 0), (-1, -1), 1.4),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 1.6),
        ("LEFTPADDING", (0, 0), (-1, -1), 0),
        ("RIGHTPADDING", (0, 0), (-1, -1), 3),
    ]
    return Table(rows, colWidths=[width * 0.3, width * 0.7], style=TableStyle(style))


def _beside(left: Sequence[Flowable], right: Sequence[Flowable]) -> Table:
    """Two columns; the right one is wider if it holds the table of vessels."""
    wide = any(isinstance(part, _Headline) for part in left)
    first = (WIDTH - GAP) * (5 / 11 if wide else 0.5)
    style = [
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        *((f"{side}PADDING", (0, 0), (-1, -1), 0) for side in ("LEFT", "RIGHT", "TOP", "BOTTOM")),
        ("LEFTPADDING", (1, 0), (1, 0), GAP),
    ]  # fmt: skip
    return Table([[list(left), list(right)]], colWidths=[first, WIDTH - first], style=TableStyle([*_PLAIN, *style]))


def _heading(text: str) -> Paragraph:
    return Paragraph(markup(text), _HEADING)


def _note(text: str) -> Paragraph:
    return Paragraph(markup(text), _SMALL)


def _paragraph(text: str) -> Paragraph:
    return Paragraph(markup(text), _BODY)


def _paragraphs(lines: Iterable[str]) -> list[Paragraph]:
    return [_paragraph(line) for line in lines]


def markup(text: str) -> str:
    """Return plain text as ReportLab markup, with another font for what Open Sans lacks and ``?`` for what none has."""
    shown = [_shown(c) for c in text]
    return "".join(c or "?" for c in shown) + ("" if all(shown) else f" ({_UNKNOWN_LETTERS})")


def _shown(c: str) -> str:
    """Return the markup of a character, empty if no font has it."""
    if ord(c) in pdfmetrics.getFont(TEXT).face.charToGlyph:
        return escape(c)
    for name, (first, last) in _OTHER_SCRIPTS:
        if first <= ord(c) <= last:
            if name not in pdfmetrics.getRegisteredFontNames():
                pdfmetrics.registerFont(UnicodeCIDFont(name))
            return f'<font name="{name}">{c}</font>'
    return ""
