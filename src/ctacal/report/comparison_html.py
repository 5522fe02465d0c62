"""A comparison as an HTML page that needs no other file: style, pictures and the few lines of script are inside."""

from ctacal.compare.comparison import Comparison
from ctacal.report import comparison_words as words
from ctacal.report import wording
from ctacal.report.comparison_pictures import ComparisonPictures
from ctacal.subject import Subject
from ctacal.templates import render


def comparison_html(comparison: Comparison, subject: Subject, pictures: ComparisonPictures | None) -> str:
    """Return the page; ``pictures`` is None if a scan was not scored."""
    return render(
        "ctacal.report",
        "comparison.html.j2",
        words=words,
        general=wording,
        comparison=comparison,
        title=words.document_title(comparison),
        facts=words.facts(comparison, subject),
        verdict_line=words.verdict_line(comparison),
        limit_notes=words.limit_notes(comparison),
        headline=words.headline(comparison),
        category_line=words.category_line(comparison),
        bar=words.bar(comparison),
        changes=words.change_rows(comparison),
        vessels=words.vessel_rows(comparison),
        change_note=words.change_note(comparison),
        limit_rows=words.limit_rows(comparison),
        flags=[words.flag(reason) for reason in comparison.reasons],
        lesion_line=words.lesion_line(comparison),
        lesions=words.lesion_rows(comparison.matches),
        published=words.published_rows(comparison),
        scans=words.scan_rows(comparison),
        pictures=pictures,
        footer=words.footer(comparison),
    )
