"""The report of one study as an HTML page that needs no other file: style and pictures are inside."""

from typing import Any

from ctacal.report import wording
from ctacal.report.pictures import Pictures
from ctacal.report.vessels import VESSEL_COLOURS
from ctacal.result import ScoredStudy, StudyResult
from ctacal.subject import Subject
from ctacal.templates import render


def report_html(result: StudyResult, subject: Subject, pictures: Pictures | None) -> str:
    """Return the page; for a refused study (``pictures`` None) it gives the reasons."""
    scored = _scored(result, subject, pictures) if isinstance(result, ScoredStudy) and pictures else None
    return render(
        "ctacal.report",
        "report.html.j2",
        words=wording,
        title=wording.document_title(subject),
        facts=wording.facts(result, subject),
        flags=[wording.flag(reason) for reason in result.reasons],
        footer=wording.footer(result),
        scored=scored,
    )


def _scored(result: ScoredStudy, subject: Subject, pictures: Pictures) -> dict[str, Any]:
    """Return the values that only the report of a scored study shows."""
    return {
        "agatston": wording.number(result.scores.agatston.total),
        "cac_drs": result.scores.cac_drs,
        "category": result.scores.category,
        "categories": wording.CATEGORY_WORDS,
        "vessels": [(line, _colour(line)) for line in wording.vessel_lines(result)],
        "mass_note": wording.mass_note(result),
        "percentile": wording.percentile_lines(result, subject),
        "probabilities_title": wording.probabilities_title(result),
        "probabilities": [(name, share, wording.percent(share)) for name, share in wording.probabilities(result)],
        "uncertainty": wording.uncertainty_lines(result),
        "pictures_title": wording.pictures_title(result),
        "pictures": [*pictures.key_slices, *pictures.locators],
        "montage_title": wording.montage_title(result),
        "montage": pictures.montage,
        "uncounted": wording.uncounted_lines(result),
        "acquisition": wording.acquisition(result),
        "method": wording.method(result),
    }


def _colour(line: wording.VesselLine) -> tuple[int, int, int] | None:
    return None if line.label is None else VESSEL_COLOURS[line.label]
