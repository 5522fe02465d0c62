"""The report of one study as a PDF of one or two A4 pages, by ReportLab, without system libraries or fonts."""

from collections.abc import Sequence
from typing import Any

from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.platypus import (
    Flowable,
    PageBreak,
    Paragraph,
    Spacer,
    Table,
    TableStyle,
)

from ctacal.categories import CATEGORIES
from ctacal.labels import Calcium
from ctacal.report import wording
from ctacal.report.pdf_parts import (
    BODY,
    CATEGORY_COLOURS,
    CELL,
    FAINT,
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
    pairs_table,
    paragraph,
    paragraphs,
    register_fonts,
)
from ctacal.report.pictures import Pictures
from ctacal.report.vessels import VESSEL_COLOURS
from ctacal.result import ScoredStudy, StudyResult
from ctacal.subject import Subject


def report_pdf(result: StudyResult, subject: Subject, pictures: Pictures | None) -> bytes:
    """Return the document; for a refused study (``pictures`` None) it gives the reasons."""
    register_fonts()
    story = (
        _story(result, subject, pictures) if isinstance(result, ScoredStudy) and pictures else _refusal(result, subject)
    )
    return document_bytes(story, wording.document_title(subject), Furniture(wording.footer(result)))


def _story(result: ScoredStudy, subject: Subject, pictures: Pictures) -> list[Flowable]:
    return [
        _facts(result, subject),
        _beside([_Headline(result), note(wording.NOT_GATED)],
                [_vessels(result), note(wording.mass_note(result))]),
        Spacer(0, 6),
        _beside([heading(wording.PERCENTILE_TITLE), *paragraphs(wording.percentile_lines(result, subject))],
                [heading(wording.UNCERTAINTY_TITLE), *_uncertainty(result)]),
        heading(wording.FLAGS_TITLE),
        *_flags(result),
        heading(wording.pictures_title(result)),
        Strip([*pictures.key_slices, *pictures.locators]),
        PageBreak(),
        heading(wording.montage_title(result)),
        Strip([pictures.montage], most=128 * mm),
        *_uncounted(result),
        _beside([heading(wording.SCAN_TITLE), pairs_table(wording.acquisition(result))],
                [heading(wording.METHOD_TITLE), pairs_table(wording.method(result))]),
        heading(wording.MEANING_TITLE),
        paragraph(wording.MEANING),
        heading(wording.INTENDED_USE_TITLE),
        paragraph(wording.INTENDED_USE),
    ]  # fmt: skip


def _refusal(result: StudyResult, subject: Subject) -> list[Flowable]:
    return [
        _facts(result, subject),
        heading(wording.REFUSED_TITLE),
        *_flags(result),
        heading(wording.INTENDED_USE_TITLE),
        paragraph(wording.INTENDED_USE),
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


def _facts(result: StudyResult, subject: Subject) -> Table:
    pairs = wording.facts(result, subject)
    cells = [[Paragraph(markup(name), SMALL), Paragraph(markup(value), CELL)] for name, value in pairs]
    style = [
        *PLAIN,
        ("LEFTPADDING", (0, 0), (-1, -1), 0),
        ("TOPPADDING", (0, 0), (-1, -1), 0),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
    ]
    return Table([cells], colWidths=[WIDTH / len(cells)] * len(cells), style=TableStyle(style))


def _vessels(result: ScoredStudy) -> Table:
    head = wording.VESSEL_COLUMNS
    rows: list[list[Any]] = [[Paragraph(head[0], SMALL), *(Paragraph(name, _small_right()) for name in head[1:])]]
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
            Paragraph(f"{bold[0]}{markup(line.name)}{bold[1]}", CELL)
            if line.label is None
            else _Named(line.label, line.name)
        )
        rows.append([name, *(Paragraph(f"{bold[0]}{markup(value)}{bold[1]}", RIGHT) for value in values)])
        if line.label is None:
            style.append(("LINEABOVE", (0, n), (-1, n), 1.1, INK))
    width = (WIDTH - GAP) * 6 / 11
    shares = (0.43, 0.14, 0.18, 0.14, 0.11)
    return Table(rows, colWidths=[width * share for share in shares], style=TableStyle([*PLAIN, *style]))


def _small_right() -> ParagraphStyle:
    return ParagraphStyle("small right", SMALL, alignment=2)


class _Named(Flowable):  # type: ignore[misc]
    """The colour and the name of a vessel."""

    def __init__(self, label: Calcium, name: str) -> None:
        super().__init__()
        self.colour, self.text = VESSEL_COLOURS[label], Paragraph(markup(name), CELL)

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
    bars = [paragraph(wording.probabilities_title(result)), _Bars(shares)] if shares else []
    return [*bars, *paragraphs(lines)]


def _uncounted(result: ScoredStudy) -> list[Flowable]:
    lines = wording.uncounted_lines(result)
    return [heading(wording.UNCOUNTED_TITLE), *paragraphs(lines), Spacer(0, 6)] if lines else []


def _flags(result: StudyResult) -> list[Flowable]:
    if not result.reasons:
        return [paragraph(wording.NOTHING_UNUSUAL)]
    style = ParagraphStyle("flag", BODY, leftIndent=9, bulletIndent=1, spaceAfter=1)
    return [
        Paragraph(f"<b>{markup(title)}.</b> {markup(sentence[:600])}", style, bulletText="•")
        for title, sentence in map(wording.flag, result.reasons)
    ]


def _beside(left: Sequence[Flowable], right: Sequence[Flowable]) -> Table:
    """Two columns; the right one is wider if it holds the table of vessels."""
    wide = any(isinstance(part, _Headline) for part in left)
    first = (WIDTH - GAP) * (5 / 11 if wide else 0.5)
    style = [
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        *((f"{side}PADDING", (0, 0), (-1, -1), 0) for side in ("LEFT", "RIGHT", "TOP", "BOTTOM")),
        ("LEFTPADDING", (1, 0), (1, 0), GAP),
    ]  # fmt: skip
    return Table([[list(left), list(right)]], colWidths=[first, WIDTH - first], style=TableStyle([*PLAIN, *style]))
