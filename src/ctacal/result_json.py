"""The JSON form of a ``StudyResult``, as ``result.schema.json`` describes it."""

import json
import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ctacal import __version__
from ctacal.atomic import write_text
from ctacal.categories import CATEGORY_KEYS
from ctacal.dicom.choose import Candidate
from ctacal.errors import Reason
from ctacal.percentile import MESA_RULES, SOURCE, mesa_reference
from ctacal.prediction import Uncertainty
from ctacal.result import NOTICE, Acquisition, ScoredStudy, SecondScan, StudyResult
from ctacal.scores import ScoredLesion, Tally
from ctacal.subject import Subject
from ctacal.uncounted import Rest, UncountedIsland, UncountedList

SCHEMA_VERSION = "1.5"

MASS_KEY = "excess_mass_mg_"
"""Start of the names of the estimated masses in ``uncertainty``; the vessel's name follows."""


def result_json(result: StudyResult) -> dict[str, Any]:
    """Return the content of result.json."""
    scores = _scores_json(result) if isinstance(result, ScoredStudy) else _no_scores()
    return {
        "schema_version": SCHEMA_VERSION,
        "status": result.status,
        "reasons": [_reason_json(reason) for reason in result.reasons],
        "notice": NOTICE,
        "study": _study_json(result),
        "patient": _patient_json(result.subject) if result.subject else None,
        "rule": result.rule.to_json(),
        **scores,
        "input_digest": result.input_digest,
        "settings_digest": result.settings_digest,
        "timing_s": {stage: round(seconds, 4) for stage, seconds in result.timing_s.items()},
        "software": {"ctacal": __version__, "python": platform.python_version(), "numpy": np.__version__},
    }


def write_result(result: StudyResult, path: Path) -> None:
    """Write result.json, whole or not at all."""
    write_text(path, json.dumps(result_json(result), indent=2, allow_nan=False) + "\n")


def uncertainty_json(uncertainty: Uncertainty) -> dict[str, float]:
    """Return a predictor's estimates as a flat mapping, without those that it does not make."""
    probabilities = uncertainty.category_probabilities or ()
    content = dict(zip(CATEGORY_KEYS, probabilities, strict=False))
    if interval := uncertainty.interval:
        content |= {"agatston_low": interval.low, "agatston_high": interval.high, "coverage": interval.coverage}
    if uncertainty.coronary_certainty is not None:
        content["coronary_certainty"] = uncertainty.coronary_certainty
    content |= {f"{MASS_KEY}{vessel}": mg for vessel, mg in uncertainty.excess_mass_mg.items()}
    if uncertainty.gated_equivalent_agatston is not None:
        content["gated_equivalent_agatston"] = uncertainty.gated_equivalent_agatston
    return content


def _scores_json(result: ScoredStudy) -> dict[str, Any]:
    scores, uncertainty = result.scores, result.uncertainty
    return {
        "agatston": _tally_json(scores.agatston),
        "volume_mm3": _tally_json(scores.volume_mm3),
        "mass_mg": _tally_json(scores.mass_mg) if scores.mass_mg else None,
        "category": scores.category,
        "category_five": scores.category_five,
        "cac_drs": scores.cac_drs,
        "percentile": _percentile_json(result),
        "lesions": [_lesion_json(lesion) for lesion in result.lesions],
        "not_counted": _uncounted_json(result.uncounted) if result.uncounted else None,
        "second_scan": _second_json(result.second_scan) if result.second_scan else None,
        "uncertainty": (uncertainty_json(uncertainty) or None) if uncertainty else None,
        "uncertainty_rule": uncertainty.rule.name if uncertainty and uncertainty.rule else None,
        "quality": {
            "noise_sd_hu": result.noise_sd_hu,
            "heart_found": result.scan.heart is not None,
            "figures": asdict(result.figures) if result.figures else None,
        },
        "model": asdict(result.model),
    }


def _no_scores() -> dict[str, Any]:
    """Return every key of a scored study, empty, for a refused study."""
    names = ("agatston", "volume_mm3", "mass_mg", "category", "category_five", "cac_drs", "percentile")
    return {
        **dict.fromkeys(names),
        "lesions": [],
        "not_counted": None,
        "second_scan": None,
        "uncertainty": None,
        "uncertainty_rule": None,
        "quality": {"noise_sd_hu": None, "heart_found": False, "figures": None},
        "model": None,
    }


def _study_json(result: StudyResult) -> dict[str, Any]:
    chosen = result.chosen
    series = chosen.series if chosen else None
    return {
        "study_uid": result.study_uid,
        "series_uid": series.uid if series else None,
        "series_part": series.part if series else None,
        "series_description": series.header.series_description if series else None,
        "why": (chosen.why or None) if chosen else None,
        "acquisition": _acquisition_json(chosen.acquisition) if chosen else None,
        "candidates": [_candidate_json(candidate) for candidate in result.candidates],
    }


def _patient_json(subject: Subject) -> dict[str, Any]:
    """Return what outputs may show; names and numbers of the patient are None unless the user wants them."""
    texts = {name: getattr(subject, name) or None for name in ("sex", "patient_id", "accession_number", "name")}
    return texts | {"age_years": subject.age_years}


def _percentile_json(result: ScoredStudy) -> dict[str, Any] | None:
    """Return the percentile in MESA, over all groups and in each; None if there is none, as for a score of 0."""
    agatston, subject = result.scores.agatston.total, result.subject or Subject()
    if agatston == 0 or not any(result.rule.scores_like(rule) for rule in MESA_RULES):
        return None
    try:
        reference = mesa_reference(agatston, subject.sex, subject.age_years)
    except ValueError:
        return None
    bands = {group: [band.low, band.high] for group, band in reference.by_group.items()}
    return {"source": SOURCE, "low": reference.overall.low, "high": reference.overall.high, "by_group": bands}


def _candidate_json(candidate: Candidate) -> dict[str, Any]:
    return {
        "series_uid": candidate.series.uid,
        "series_part": candidate.series.part,
        "modality": candidate.series.header.modality,
        "description": candidate.series.header.series_description,
        "images": len(candidate.series.slices),
        "points": candidate.points,
        "why": candidate.why,
        "unfit": str(candidate.unfit) if candidate.unfit else None,
    }


def _acquisition_json(acquisition: Acquisition) -> dict[str, Any]:
    spacing_mm = acquisition.pixel_spacing_mm
    scored = acquisition.scored_slices
    lists = {
        "scored_slices": list(scored) if scored else None,
        "pixel_spacing_mm": list(spacing_mm) if spacing_mm else None,
        "matrix": list(acquisition.matrix),
    }
    return asdict(acquisition) | lists


def _lesion_json(lesion: ScoredLesion) -> dict[str, Any]:
    return {
        "vessel": lesion.vessel.name,
        "agatston": lesion.agatston,
        "volume_mm3": lesion.volume_mm3,
        "peak_hu": lesion.peak_hu,
        "mean_hu": lesion.mean_hu,
        "slices": list(lesion.slices),
        "centroid_mm": list(lesion.centroid_mm),
    }


def _uncounted_json(uncounted: UncountedList) -> dict[str, Any]:
    return {
        "islands": [_island_json(island) for island in uncounted.islands],
        "rest": _rest_json(uncounted.rest),
        "faded": _rest_json(uncounted.faded),
    }


def _second_json(second: SecondScan) -> dict[str, Any]:
    return {
        "series_uid": second.series_uid,
        "series_description": second.series_description,
        "agatston": _tally_json(second.agatston) if second.agatston else None,
        "volume_mm3": _tally_json(second.volume_mm3) if second.volume_mm3 else None,
        "category": second.category,
        "refused": _reason_json(second.refused) if second.refused else None,
        "limits_sqrt": list(second.limits) if second.limits else None,
    }


def _rest_json(rest: Rest) -> dict[str, Any]:
    return {"islands": rest.islands, "volume_mm3": rest.volume_mm3, "agatston_if_counted": rest.agatston}


def _island_json(uncounted: UncountedIsland) -> dict[str, Any]:
    island = uncounted.island
    return {
        "taken_for": str(uncounted.taken_for),
        "coronary_probability": None if uncounted.probability is None else round(uncounted.probability, 4),
        "agatston_if_counted": island.agatston,
        "volume_mm3": island.volume_mm3,
        "peak_hu": island.peak_hu,
        "mean_hu": island.mean_hu,
        "slices": list(island.slices),
        "centroid_mm": list(island.centroid_mm),
    }


def _reason_json(reason: Reason) -> dict[str, str]:
    return {"code": str(reason.code), "message": reason.message}


def _tally_json(tally: Tally) -> dict[str, Any]:
    return {"total": tally.total, "per_vessel": dict(tally.per_vessel), "other": tally.other}
