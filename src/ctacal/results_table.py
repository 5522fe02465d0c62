"""Many results as a table: ``results.csv``, a row for each scored series and each refused study."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ctacal.atomic import write_text
from ctacal.dicom.source import SkippedFile
from ctacal.labels import CORONARY_LABELS
from ctacal.spreadsheets import as_text

Row = dict[str, Any]

COLUMNS = (
    "study_uid",
    "series_uid",
    "status",
    "reason_codes",
    "reasons",
    "agatston",
    *(f"agatston_{label.name.lower()}" for label in CORONARY_LABELS),
    "volume_mm3",
    "mass_mg",
    "category",
    "category_five",
    "cac_drs",
    "rule",
    "threshold_hu",
    "kvp",
    "exposure_mas",
    "slice_thickness_mm",
    "slice_spacing_mm",
    "kernel",
    "noise_sd_hu",
    "manufacturer",
    "scanner_model",
    "study_date",
    "model",
    "model_version",
    "model_digest",
    "ctacal",
    "folder",
)
"""The columns of results.csv; a refused study leaves its scores empty, never 0."""


def result_row(result: Mapping[str, Any], folder: str) -> Row:
    """Return the row of a result, from the content of its result.json."""
    study, rule, model = result["study"], result["rule"] or {}, result["model"] or {}
    acquisition = study["acquisition"] or {}
    agatston = result["agatston"] or {"total": None, "per_vessel": {}}
    row: Row = {
        "study_uid": study["study_uid"],
        "series_uid": study["series_uid"],
        "status": result["status"],
        "reason_codes": " ".join(reason["code"] for reason in result["reasons"]),
        "reasons": "; ".join(reason["message"] for reason in result["reasons"]),
        "agatston": agatston["total"],
        "volume_mm3": (result["volume_mm3"] or {}).get("total"),
        "mass_mg": (result["mass_mg"] or {}).get("total"),
        "rule": rule.get("name"),
        "threshold_hu": rule.get("threshold_hu"),
        "noise_sd_hu": result["quality"]["noise_sd_hu"],
        "scanner_model": acquisition.get("model"),
        "model": model.get("name"),
        "model_version": model.get("version"),
        "model_digest": model.get("digest"),
        "ctacal": result["software"]["ctacal"],
        "folder": folder,
    }
    row |= {f"agatston_{label.name.lower()}": agatston["per_vessel"].get(label.name) for label in CORONARY_LABELS}
    row |= {name: result[name] for name in ("category", "category_five", "cac_drs")}
    carried = (name for name in COLUMNS if name in acquisition and name not in row)
    return row | {name: acquisition[name] for name in carried}


def write_results_csv(path: Path, rows: Iterable[Row]) -> None:
    """Write the table whole or not at all; numbers have four decimal places, text is safe for spreadsheets."""
    write_table(path, COLUMNS, rows)


def append_results_csv(path: Path, row: Row, *, first: bool = False) -> None:
    """Add a row to the table, in one write; ``first`` begins a new table."""
    if first:
        write_results_csv(path, [row])
        return
    with path.open("a", encoding="utf-8", newline="") as file:
        file.write(_csv_text(COLUMNS, [row], header=False))


def write_skipped_csv(path: Path, skipped: Iterable[SkippedFile]) -> None:
    """Write the list of files that look like DICOM or an archive and could not be read."""
    rows = ({"file": file.name, "code": str(file.reason.code), "reason": file.reason.message} for file in skipped)
    write_table(path, ("file", "code", "reason"), rows)


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """Write a CSV table whole or not at all, as ``write_results_csv``."""
    write_text(path, _csv_text(columns, rows))


def _csv_text(columns: Sequence[str], rows: Iterable[Row], *, header: bool = True) -> str:
    table = io.StringIO()
    writer = csv.DictWriter(table, columns, lineterminator="\n")
    if header:
        writer.writeheader()
    writer.writerows({name: _cell(row.get(name)) for name in columns} for row in rows)
    return table.getvalue()


def _cell(value: Any) -> Any:
    """Return the value as written; text from DICOM headers never starts a formula in a spreadsheet."""
    if isinstance(value, float):
        return f"{value:.4f}".rstrip("0").rstrip(".")
    return as_text(value) if isinstance(value, str) else value
