"""``ComparedScan``: what a comparison knows of one scan, from a fresh result, an earlier one, or a row of a table."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from ctacal.compare.protocol import ScanProtocol
from ctacal.dicom.scans.patient import Identity
from ctacal.errors import Code, Reason
from ctacal.labels import CORONARY_LABELS
from ctacal.result_json import MASS_KEY

VESSELS = tuple(label.name for label in CORONARY_LABELS)

QUANTITIES: Mapping[str, str] = {
    "agatston": "Agatston score",
    "volume_mm3": "volume, mm³",
    "mass_mg": "mass, mg (calibrated)",
    "excess_mass_mg": "mass, mg (estimated)",
    "gated_equivalent_agatston": "gated equivalent",
}
"""What is compared, named as in results.csv, with its words."""


@dataclass(frozen=True, slots=True)
class Amount:
    """A quantity: its coronary total, and the part of each vessel; the gated equivalent has no parts."""

    total: float
    per_vessel: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedScan:
    """One of the two scans, scored or refused.

    Example:
        >>> scan = ComparedScan(day=date(2025, 3, 1), amounts={"agatston": Amount(120.0, {"LAD": 120.0})})
        >>> scan.amounts["agatston"].total
        120.0
    """

    study_uid: str = ""
    series_uid: str = ""
    label: str = ""
    """How the user knows the scan: a row of a table, or empty."""
    day: date | None = None
    time: str = ""
    """Acquisition, as far as written: HHMMSS; orders scans of one day."""
    protocol: ScanProtocol = field(default_factory=ScanProtocol)
    amounts: Mapping[str, Amount] = field(default_factory=dict)
    """By quantity; one that is not known is missing."""
    category: str = ""
    warnings: tuple[Reason, ...] = ()
    refused: Reason | None = None
    rule: str = ""
    """Name of the scoring rule; empty if not known."""
    model_digest: str = ""
    model: str = ""
    """Name and version."""
    pixels: str = ""
    """Digest of the CT values; empty if they were not read."""
    acquired: frozenset[tuple[str, str]] = frozenset()
    """(frame of reference, time of acquisition) of its images, as far as written."""
    patient: Identity | None = None
    """None if not known."""
    patient_id: str = ""
    """As outputs may show it."""


def scan_of_result(content: Mapping[str, Any]) -> ComparedScan:
    """Return the scan of a result, from the content of its result.json, which may be of an earlier version.

    Args:
        content: The content of result.json.

    Returns:
        The scan; amounts are Agatston units, mm3 and mg.

    Raises:
        LookupError: The content lacks a key of a result.
        TypeError: A part of it has another form.
        ValueError: A value is none of a result.

    Example:
        >>> import ctacal
        >>> from pathlib import Path
        >>> from ctacal.study import predict_threshold
        >>> from ctacal.result_json import result_json
        >>> [study] = ctacal.read_studies([Path(ctacal.__file__).parent / "sample" / "thorax_phantom.zip"]).studies
        >>> scan = scan_of_result(result_json(ctacal.score_study(study, predict_threshold)))
        >>> round(scan.amounts["agatston"].total, 1), scan.category, scan.protocol.kvp
        (327.7, '101-400', 120.0)
    """
    study, model, rule = content["study"], content["model"] or {}, content["rule"] or {}
    acquisition, patient = study["acquisition"] or {}, content.get("patient") or {}
    reasons = tuple(Reason(_code(reason["code"]), reason["message"]) for reason in content["reasons"])
    refused = content["status"] == "refused"
    return ComparedScan(
        study_uid=study["study_uid"],
        series_uid=study["series_uid"] or "",
        day=day_of(acquisition.get("study_date")),
        protocol=_protocol(acquisition),
        amounts={} if refused else _amounts(content),
        category=content["category"] or "",
        warnings=() if refused else reasons,
        refused=reasons[-1] if refused else None,
        rule=rule.get("name") or "",
        model_digest=model.get("digest") or "",
        model=f"{model.get('name') or ''} {model.get('version') or ''}".strip(),
        patient_id=patient.get("patient_id") or "",
    )


def day_of(text: str | None) -> date | None:
    """Return a date as headers and results write it: 20240131 or 2024-01-31; None if there is none.

    >>> day_of("20240131"), day_of("")
    (datetime.date(2024, 1, 31), None)
    """
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        return None


def _code(text: str) -> Code:
    return Code(text)


def _protocol(acquisition: Mapping[str, Any]) -> ScanProtocol:
    return ScanProtocol(
        manufacturer=acquisition.get("manufacturer") or "",
        model=acquisition.get("model") or "",
        kvp=acquisition.get("kvp"),
        slice_thickness_mm=acquisition.get("slice_thickness_mm"),
        slice_spacing_mm=acquisition.get("slice_spacing_mm"),
        kernel=acquisition.get("kernel") or "",
    )


def _amounts(content: Mapping[str, Any]) -> dict[str, Amount]:
    amounts = {}
    for name in ("agatston", "volume_mm3", "mass_mg"):
        if tally := content.get(name):
            amounts[name] = Amount(tally["total"], {vessel: tally["per_vessel"].get(vessel, 0.0) for vessel in VESSELS})
    estimated = content.get("uncertainty") or {}
    masses = {vessel: estimated[MASS_KEY + vessel] for vessel in VESSELS if MASS_KEY + vessel in estimated}
    if masses:
        amounts["excess_mass_mg"] = Amount(sum(masses.values()), masses)
    if (gated := estimated.get("gated_equivalent_agatston")) is not None:
        amounts["gated_equivalent_agatston"] = Amount(gated)
    return amounts
