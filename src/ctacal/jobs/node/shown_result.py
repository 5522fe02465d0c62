"""``ShownResult``: what a page shows of a result in the store. It names the patient only where that is wanted."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ctacal.jobs.node.ledger import StudyRow
from ctacal.report.outputs import WRITERS

IDENTITY = ("name", "patient_id", "accession_number")
"""Fields of ``patient`` in result.json that name the patient."""

SHOWN_KINDS = {"html": "Report", "pdf": "Report as PDF", "png": "Pictures"}
"""Kinds of output that a page links to, each with the text of its link."""

_VESSELS = ("LM", "LAD", "LCX", "RCA")
_VESSEL_WORDS = {"LCX": "LCx", "CORONARY": "vessel not known"}

NAMES_PATIENT = ("html", "pdf")
"""Kinds that name the patient where result.json does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownResult:
    """A result as a page shows it."""

    status: str
    agatston: float | None
    category: str
    cac_drs: str
    vessels: Mapping[str, float]
    reasons: tuple[tuple[str, str], ...]
    """Warnings, or why there is no score: code and message."""
    facts: Mapping[str, str]
    """Age, sex, scanner, model: what describes the result in words."""
    patient: Mapping[str, str]
    """Who it is; empty unless patients may be named."""
    links: Mapping[str, str]
    """Text of each link by the name of its file, in the folder of the result."""
    withheld: bool
    """Whether reports are not linked because they name the patient."""


def shown_result(store: Path, study: StudyRow, *, patients: bool) -> ShownResult | None:
    """Return the newest result of a study; None if there is none, or its files were deleted."""
    folder = store / study.result
    content = _content(folder / "result.json") if study.result else None
    if content is None:
        return None
    named = names_patient(content)
    kinds = [kind for kind in SHOWN_KINDS if (folder / WRITERS[kind].files[0]).is_file()]
    shown = [kind for kind in kinds if patients or not named or kind not in NAMES_PATIENT]
    tally = content.get("agatston") or {}
    return ShownResult(
        status=str(content.get("status", "")),
        agatston=tally.get("total"),
        category=content.get("category") or "",
        cac_drs=content.get("cac_drs") or "",
        vessels=_vessels(tally),
        reasons=tuple((reason["code"], reason["message"]) for reason in content.get("reasons", ())),
        facts=_facts(content),
        patient=_patient(content) if patients else {},
        links={WRITERS[kind].files[0]: SHOWN_KINDS[kind] for kind in shown},
        withheld=len(shown) < len(kinds),
    )


def shown_file(store: Path, study: StudyRow, name: str, *, patients: bool) -> Path | None:
    """Return a file of the newest result that a page may show; None if it may not, or is not there."""
    result = shown_result(store, study, patients=patients)
    return store / study.result / name if result and name in result.links else None


def names_patient(content: Mapping[str, Any]) -> bool:
    """Whether the files of a result name the patient; ``content`` is its result.json."""
    patient = content.get("patient") or {}
    return any(patient.get(field) for field in IDENTITY)


def _content(file: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _patient(content: Mapping[str, Any]) -> dict[str, str]:
    patient = content.get("patient") or {}
    words = {"name": "Name", "patient_id": "Patient ID", "accession_number": "Accession number"}
    return {word: str(patient[field]) for field, word in words.items() if patient.get(field)}


def _vessels(tally: Mapping[str, Any]) -> dict[str, float]:
    """Return the score of each vessel; that of calcium whose vessel is not known only where there is some."""
    scores = {str(vessel): float(score) for vessel, score in (tally.get("per_vessel") or {}).items()}
    return {_VESSEL_WORDS.get(vessel, vessel): score for vessel, score in scores.items() if score or vessel in _VESSELS}


def _facts(content: Mapping[str, Any]) -> dict[str, str]:
    patient, study = content.get("patient") or {}, content.get("study") or {}
    scan, model = study.get("acquisition") or {}, content.get("model") or {}
    scanner = " ".join(str(part) for part in (scan.get("manufacturer"), scan.get("model")) if part)
    age = patient.get("age_years")
    facts = {
        "Age": f"{age:.0f} years" if age is not None else "",
        "Sex": patient.get("sex") or "",
        "Scanner": scanner,
        "Scan": f"{scan['slices']} slices" if scan.get("slices") else "",
        "Chosen because it": study.get("why") or "",
        "Predictor": " ".join(str(part) for part in (model.get("name"), model.get("version")) if part),
    }
    return {name: value for name, value in facts.items() if value}
