"""What the PDFs share: page, fonts, styles, strips of pictures and tables of pairs. Made by ReportLab.

Text can be selected and searched. Fonts are embedded, except those for Chinese, Japanese and Korean names, which PDF
viewers have.
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
from reportlab.platypus import BaseDocTemplate, Flowable, Frame, PageTemplate, Paragraph, Table, TableStyle

from ctacal import __version__
from ctacal.report import wording
from ctacal.report.pictures import Picture

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

BODY = ParagraphStyle(
    "body", fontName=TEXT, bulletFontName=TEXT, fontSize=8.5, leading=11.5, textColor=INK, spaceAfter=2
)
SMALL = ParagraphStyle("small", BODY, fontSize=7, leading=9, textColor=FAINT)
HEADING = ParagraphStyle(
    "heading", BODY, fontName=STRONG, fontSize=9.5, leading=12, textColor=ACCENT, spaceBefore=7, spaceAfter=3
)
CELL = ParagraphStyle("cell", BODY, spaceAfter=0)
RIGHT = ParagraphStyle("right", CELL, alignment=2)
FAINT_CELL = ParagraphStyle("faint", CELL, textColor=FAINT)


PLAIN = (("FONT", (0, 0), (-1, -1), TEXT),)
"""Style of every table; without it ReportLab refers to a default font that is not embedded."""


@cache
def register_fonts() -> None:
    """Make Open Sans known to ReportLab; later calls do nothing."""
    folder = files("ctacal.report").joinpath("fonts")
    for name, file in ((TEXT, "OpenSans-Regular.ttf"), (STRONG, "OpenSans-Semibold.ttf")):
        pdfmetrics.registerFont(TTFont(name, io.BytesIO(folder.joinpath(file).read_bytes())))
    pdfmetrics.registerFontFamily(TEXT, normal=TEXT, bold=STRONG, italic=TEXT, boldItalic=STRONG)


def document_bytes(story: Sequence[Flowable], title: str, furniture: "Furniture") -> bytes:
    """Return the document of the flowables, on A4. The same flowables give the same bytes."""
    content = io.BytesIO()
    document = BaseDocTemplate(
        content,
        pagesize=A4,
        title=title,
        author=f"ctacal {__version__}",
        subject=wording.RESEARCH_ONLY,
        invariant=1,  # no time, no random identifier
        initialFontName=TEXT,
    )
    frame = Frame(MARGIN, 15 * mm, WIDTH, A4[1] - 15 * mm - 27 * mm, 0, 0, 0, 0)
    document.addPageTemplates(PageTemplate("page", [frame], onPage=furniture))
    document.build(list(story))
    return content.getvalue()


class Furniture:
    """Header and footer of each page."""

    def __init__(self, footer: str, subtitle: str = wording.SUBTITLE, title: str = wording.TITLE) -> None:
        self.footer, self.subtitle, self.title = footer, subtitle, title

    def __call__(self, canvas: Any, document: Any) -> None:
        """Draw them on a page."""
        top = A4[1] - 14 * mm
        canvas.setFillColor(INK)
        canvas.setFont(STRONG, 16)
        canvas.drawString(MARGIN, top - 4, self.title)
        canvas.setFont(TEXT, 9)
        canvas.setFillColor(FAINT)
        canvas.drawString(MARGIN, top - 16, self.subtitle)
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


class Strip(Flowable):  # type: ignore[misc]
    """Captioned pictures of one height, in the number of rows that makes them largest; at most ``most`` points high."""

    CAPTION, SPACE = 22.0, 5.0

    def __init__(self, pictures: Sequence[Picture], most: float = 62 * mm) -> None:
        super().__init__()
        self.pictures, self.most = list(pictures), most

    def wrap(self, width: float, height: float) -> tuple[float, float]:
        """Return the space that the pictures take."""
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
        """Draw the pictures with their captions."""
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
        caption = Paragraph(markup(picture.caption), SMALL)
        _, tall = caption.wrap(wide, self.CAPTION)
        caption.drawOn(self.canv, left, bottom - 2 - tall)


def pairs_table(pairs: wording.Pairs) -> Table:
    """Return names and values as two columns, half a page wide."""
    width = (WIDTH - GAP) / 2
    rows = [[Paragraph(markup(name), FAINT_CELL), Paragraph(markup(value), CELL)] for name, value in pairs]
    style = [
        *PLAIN,
        ("LINEBELOW", (0, 0), (-1, -1), 0.4, LINE),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("TOPPADDING", (0, 0), (-1, -1), 1.4),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 1.6),
        ("LEFTPADDING", (0, 0), (-1, -1), 0),
        ("RIGHTPADDING", (0, 0), (-1, -1), 3),
    ]
    return Table(rows, colWidths=[width * 0.3, width * 0.7], style=TableStyle(style))


def heading(text: str) -> Paragraph:
    """Return a heading."""
    return Paragraph(markup(text), HEADING)


def note(text: str) -> Paragraph:
    """Return a line in small, faint letters."""
    return Paragraph(markup(text), SMALL)


def paragraph(text: str) -> Paragraph:
    """Return a paragraph of plain text."""
    return Paragraph(markup(text), BODY)


def paragraphs(lines: Iterable[str]) -> list[Paragraph]:
    """Return each line as a paragraph."""
    return [paragraph(line) for line in lines]


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
