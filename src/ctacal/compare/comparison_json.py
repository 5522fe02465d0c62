"""The JSON form of a ``Comparison``, as ``comparison.schema.json`` describes it, and its row of comparisons.csv."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ctacal import __version__
from ctacal.compare.comparison import Comparison, QuantityChange
from ctacal.compare.matching import LesionMatch
from ctacal.compare.measures import Change
from ctacal.compare.reasons import ComparisonReason
from ctacal.compare.scan import QUANTITIES, VESSELS, ComparedScan
from ctacal.scores import ScoredLesion

SCHEMA_VERSION = "1.0"

NOTICE = (
    "Research use only, not a medical device. Both scans are non-gated, low-dose CTs unless the reasons say otherwise; "
    "scores of two such scans of an unchanged patient differ widely."
)

_MEASURES = (
    "absolute", "per_year", "percent", "percent_per_year", "square_root", "square_root_per_year", "logarithm",
)  # fmt: skip


def comparison_json(comparison: Comparison) -> dict[str, Any]:
    """Return the content of comparison.json."""
    return {
        "schema_version": SCHEMA_VERSION,
        "notice": NOTICE,
        "verdict": str(comparison.verdict),
        "reasons": [_reason(reason) for reason in comparison.reasons],
        "interval_days": comparison.days,
        "scans": [_scan(comparison.a), _scan(comparison.b)],
        "changes": {name: _quantity(change) for name, change in comparison.changes.items()},
        "category": _category(comparison),
        "limits": _limits(comparison),
        "published": [asdict(limit) for limit in comparison.published],
        "lesions": None if comparison.matches is None else [_match(match) for match in comparison.matches],
        "alignment": _alignment(comparison),
        "software": {"ctacal": __version__},
    }


def _reason(reason: ComparisonReason) -> dict[str, Any]:
    return {"code": str(reason.code), "message": reason.message, "blocks": reason.blocks}


def _scan(scan: ComparedScan) -> dict[str, Any]:
    return {
        "study_uid": scan.study_uid or None,
        "series_uid": scan.series_uid or None,
        "label": scan.label or None,
        "date": scan.day.isoformat() if scan.day else None,
        "patient_id": scan.patient_id or None,
        "status": "refused" if scan.refused else "scored_with_warnings" if scan.warnings else "scored",
        "reasons": [
            {"code": str(reason.code), "message": reason.message}
            for reason in ((scan.refused,) if scan.refused else scan.warnings)
        ],
        "category": scan.category or None,
        "protocol": asdict(scan.protocol),
        "rule": scan.rule or None,
        "model": scan.model or None,
        "model_digest": scan.model_digest or None,
    }


def _quantity(change: QuantityChange) -> dict[str, Any]:
    limits, after = change.limits, change.after_if_unchanged
    return {
        "total": _change(change.total),
        "per_vessel": {vessel: _change(part) for vessel, part in change.per_vessel.items()},
        "square_root_limits": list(limits) if limits else None,
        "after_if_unchanged": list(after) if after else None,
        "is_beyond": change.is_beyond,
    }


def _change(change: Change) -> dict[str, float | None]:
    return {"before": change.before, "after": change.after} | {name: getattr(change, name) for name in _MEASURES}


def _category(comparison: Comparison) -> dict[str, Any]:
    return {
        "before": comparison.a.category or None,
        "after": comparison.b.category or None,
        "up": comparison.categories_up,
    }


def _limits(comparison: Comparison) -> dict[str, Any] | None:
    limits = comparison.limits
    if limits is None:
        return None
    content = asdict(limits)
    content["protocol"] = asdict(limits.protocol)
    content["notes"] = list(limits.notes)
    content["bands"] = {
        name: {end: list(values) for end, values in asdict(band).items()} for name, band in limits.bands.items()
    }
    return content


def _match(match: LesionMatch) -> dict[str, Any]:
    return {
        "kind": str(match.kind),
        "before": [_lesion(lesion) for lesion in match.a],
        "after": [_lesion(lesion) for lesion in match.b],
        "distance_mm": match.distance_mm,
    }


def _lesion(lesion: ScoredLesion) -> dict[str, Any]:
    return {
        "vessel": lesion.vessel.name,
        "agatston": lesion.agatston,
        "volume_mm3": lesion.volume_mm3,
        "peak_hu": lesion.peak_hu,
        "slices": list(lesion.slices),
        "centroid_mm": list(lesion.centroid_mm),
    }


def _alignment(comparison: Comparison) -> dict[str, Any] | None:
    transform = comparison.transform
    if transform is None:
        return None
    return {
        "rotation": transform.rotation.tolist(),
        "translation_mm": transform.translation_mm.tolist(),
        "centre_mm": transform.centre_mm.tolist(),
        "fit": transform.fit,
    }


_OF_TOTAL = ("before", "after", *_MEASURES)

TABLE_COLUMNS = (
    "patient_id",
    "scans",
    "scan_before",
    "scan_after",
    "study_uid",
    "study_uid_before",
    "date_before",
    "date_after",
    "interval_days",
    "verdict",
    "reason_codes",
    "reasons",
    "category_before",
    "category_after",
    "categories_up",
    *(f"{quantity}_{measure}" for quantity in QUANTITIES for measure in _OF_TOTAL),
    *(f"agatston_{vessel.lower()}_absolute" for vessel in VESSELS),
    "lesions_kept",
    "lesions_new",
    "lesions_gone",
    "lesions_split",
    "lesions_merged",
    "limits",
    "limits_origin",
    "limits_pairs",
    "folder",
)
"""The columns of comparisons.csv; ``study_uid`` is that of the later scan."""


def comparison_row(content: Mapping[str, Any], **of_course: Any) -> dict[str, Any]:
    """Return the row of comparisons.csv, from the content of comparison.json and what only the course of scans tells:
    ``patient_id``, ``scans``, ``scan_before``, ``scan_after``, ``folder``."""
    before, after = content["scans"]
    limits = content["limits"] or {}
    row = {
        "study_uid": after["study_uid"],
        "study_uid_before": before["study_uid"],
        "date_before": before["date"],
        "date_after": after["date"],
        "interval_days": content["interval_days"],
        "verdict": content["verdict"],
        "reason_codes": " ".join(dict.fromkeys(reason["code"] for reason in content["reasons"])),
        "reasons": "; ".join(reason["message"] for reason in content["reasons"]),
        "category_before": content["category"]["before"],
        "category_after": content["category"]["after"],
        "categories_up": content["category"]["up"],
        "limits": limits.get("name"),
        "limits_origin": limits.get("origin"),
        "limits_pairs": limits.get("pairs"),
    }
    for quantity, change in content["changes"].items():
        row |= {f"{quantity}_{measure}": change["total"][measure] for measure in _OF_TOTAL}
    for vessel, change in content["changes"].get("agatston", {}).get("per_vessel", {}).items():
        row[f"agatston_{vessel.lower()}_absolute"] = change["absolute"]
    if content["lesions"] is not None:
        kinds = [lesion["kind"] for lesion in content["lesions"]]
        row |= {f"lesions_{kind}": kinds.count(kind) for kind in ("kept", "new", "gone", "split", "merged")}
    return row | of_course
