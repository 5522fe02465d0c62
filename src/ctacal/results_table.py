"""Many results as a table: ``results.csv``, a row for each scored series and each refused study."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from ctacal.atomic import whole_file
from ctacal.categories import CATEGORY_KEYS
from ctacal.dicom.files.source import SkippedFile
from ctacal.labels import CORONARY_LABELS
from ctacal.result import StudyResult
from ctacal.result_json import MASS_KEY, result_json
from ctacal.spreadsheets import as_text

Row = dict[str, Any]

EXCESS_MASS = MASS_KEY.rstrip("_")
"""Column of the estimated mass in all vessels; those of a vessel have its name behind it."""


_VESSELS = tuple(label.name.lower() for label in CORONARY_LABELS)
_UNCERTAINTY = ("agatston_low", "agatston_high", "gated_equivalent_agatston", "coronary_certainty", *CATEGORY_KEYS)
"""Columns that ``uncertainty`` of result.json has by the same name."""

IDENTITY = ("patient_id", "accession_number", "patient_name")
"""Columns that come before the others if the user wants the table to name the patient."""

COLUMNS = (
    "study_uid",
    "series_uid",
    "series_description",
    "status",
    "reason_codes",
    "reasons",
    "sex",
    "age_years",
    "agatston",
    *(f"agatston_{vessel}" for vessel in _VESSELS),
    *_UNCERTAINTY[:2],
    "interval_coverage",
    *_UNCERTAINTY[2:],
    "uncertainty_rule",
    "percentile_low",
    "percentile_high",
    "volume_mm3",
    *(f"volume_mm3_{vessel}" for vessel in _VESSELS),
    "mass_mg",
    *(f"mass_mg_{vessel}" for vessel in _VESSELS),
    EXCESS_MASS,
    *(f"{EXCESS_MASS}_{vessel}" for vessel in _VESSELS),
    "category",
    "category_five",
    "cac_drs",
    "second_series_uid",
    "second_agatston",
    "second_category",
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

TEXT_COLUMNS = (
    *IDENTITY, "study_uid", "series_uid", "series_description", "study_date", "second_series_uid", "model",
    "model_version", "folder",
)  # fmt: skip
"""Columns that stay text even if every cell is a number."""

WORD_COLUMNS = (
    *TEXT_COLUMNS, "status", "reason_codes", "reasons", "sex", "uncertainty_rule", "category", "category_five",
    "cac_drs", "second_category", "rule", "kernel", "manufacturer", "scanner_model", "model_digest", "ctacal",
)  # fmt: skip
"""Columns of words; all others hold numbers."""


def result_row(result: Mapping[str, Any], folder: str) -> Row:
    """Return the row of a result, from the content of its result.json, which may be of an earlier version."""
    study, rule, model = result["study"], result["rule"] or {}, result["model"] or {}
    acquisition = study["acquisition"] or {}
    row: Row = {
        "study_uid": study["study_uid"],
        "series_uid": study["series_uid"],
        "series_description": study["series_description"],
        "status": result["status"],
        "reason_codes": " ".join(reason["code"] for reason in result["reasons"]),
        "reasons": "; ".join(reason["message"] for reason in result["reasons"]),
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
    row |= _patient_cells(result.get("patient") or {}) | _estimate_cells(result)
    for name in ("agatston", "volume_mm3", "mass_mg"):
        row |= _tally_cells(name, result[name] or {})
    row |= {name: result[name] for name in ("category", "category_five", "cac_drs")}
    row |= _second_cells(result.get("second_scan") or {})
    carried = (name for name in COLUMNS if name in acquisition and name not in row)
    return row | {name: acquisition[name] for name in carried}


def _second_cells(second: Mapping[str, Any]) -> Row:
    """Return the score of the study's other CTAC; empty if there is none, or it was refused."""
    return {
        "second_series_uid": second.get("series_uid"),
        "second_agatston": (second.get("agatston") or {}).get("total"),
        "second_category": second.get("category"),
    }


def _tally_cells(name: str, tally: Mapping[str, Any]) -> Row:
    """Return a quantity in all vessels and in each."""
    per_vessel = tally.get("per_vessel", {})
    return {name: tally.get("total")} | {f"{name}_{vessel}": per_vessel.get(vessel.upper()) for vessel in _VESSELS}


def _patient_cells(patient: Mapping[str, Any]) -> Row:
    cells = {name: patient.get(name) for name in ("sex", "age_years", "patient_id", "accession_number")}
    return cells | {"patient_name": patient.get("name")}


def _estimate_cells(result: Mapping[str, Any]) -> Row:
    """Return what the predictor estimates beside the score, and the percentile."""
    uncertainty, percentile = result["uncertainty"] or {}, result.get("percentile") or {}
    masses = {vessel: uncertainty.get(f"{MASS_KEY}{vessel.upper()}") for vessel in _VESSELS}
    known = [mass for mass in masses.values() if mass is not None]
    return {
        **{name: uncertainty.get(name) for name in _UNCERTAINTY},
        "interval_coverage": uncertainty.get("coverage"),
        "uncertainty_rule": result.get("uncertainty_rule"),
        "percentile_low": percentile.get("low"),
        "percentile_high": percentile.get("high"),
        EXCESS_MASS: sum(known) if known else None,
        **{f"{EXCESS_MASS}_{vessel}": mass for vessel, mass in masses.items()},
    }


def write_results(path: Path, results: Iterable[StudyResult]) -> None:
    """Write results of ``score_study`` as a table, a row for each: the columns of ``results.csv``.

    Args:
        path: The CSV file; it appears whole or not at all, and replaces an earlier one.
        results: Scored and refused studies. The scores of a refused study are empty cells, never 0. No cell names a
            patient; volumes are in mm3, masses in mg.

    Raises:
        OSError: The file cannot be written.

    Example:
        >>> import tempfile
        >>> from ctacal.result import RefusedStudy
        >>> from ctacal.errors import Code, Reason
        >>> from ctacal.scores import SCCT_2016
        >>> refused = RefusedStudy(study_uid="1.2", reasons=(Reason(Code.NO_CT_SERIES, "no CT"),), rule=SCCT_2016)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_results(Path(folder, "results.csv"), [refused])
        ...     Path(folder, "results.csv").read_text().splitlines()[1][:27]
        '1.2,,,refused,NO_CT_SERIES,'
    """
    write_results_csv(path, (result_row(result_json(result), "") for result in results))


def write_results_csv(path: Path, rows: Iterable[Row], identity: Sequence[str] = ()) -> None:
    """Write the table whole or not at all; numbers have four decimal places, text is safe for spreadsheets.

    ``identity`` are those of ``IDENTITY`` that the table has.
    """
    write_table(path, (*identity, *COLUMNS), rows)


def append_results_csv(path: Path, row: Row, identity: Sequence[str] = (), *, first: bool = False) -> None:
    """Add a row to the table, in one write; ``first`` begins a new table, in place of any that is there."""
    if first:
        write_results_csv(path, [row], identity)
        return
    text = io.StringIO()
    _write_rows(text, (*identity, *COLUMNS), [row])
    with path.open("a", encoding="utf-8", newline="") as file:
        file.write(text.getvalue())


def write_skipped_csv(path: Path, skipped: Iterable[SkippedFile]) -> None:
    """Write the list of files that look like DICOM or an archive and could not be read."""
    rows = ({"file": file.name, "code": str(file.reason.code), "reason": file.reason.message} for file in skipped)
    write_table(path, ("file", "code", "reason"), rows)


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """Write a CSV table whole or not at all, as ``write_results_csv``."""
    with open_table(path, columns) as add:
        add(rows)


@contextmanager
def open_table(path: Path, columns: Sequence[str]) -> Iterator[Callable[[Iterable[Row]], None]]:
    """Yield what adds rows to a new CSV table, which may be larger than memory; it appears whole or not at all."""
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        csv.DictWriter(file, columns, lineterminator="\n").writeheader()
        yield lambda rows: _write_rows(file, columns, rows)
        file.flush()


def _write_rows(file: TextIO, columns: Sequence[str], rows: Iterable[Row]) -> None:
    csv.writer(file, lineterminator="\n").writerows([_cell(row.get(name)) for name in columns] for row in rows)


def _cell(value: Any) -> Any:
    """Return the value as written; text from DICOM headers never starts a formula in a spreadsheet."""
    if isinstance(value, float):
        return f"{value:.4f}".rstrip("0").rstrip(".")
    return as_text(value) if isinstance(value, str) else value
