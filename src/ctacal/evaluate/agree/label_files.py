"""Which label file belongs to which study of which rater: from a folder, from a table, or from ``ctacal score``."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ctacal.errors import UsageError
from ctacal.evaluate.linkage import PATIENT_NAMES, STUDY_NAMES
from ctacal.evaluate.readings import column_names, find_column, read_table

IDENTIFIER_NAMES = (*STUDY_NAMES, "study", "scan", "case", *PATIENT_NAMES)
"""Usual names of the identifier's column, most specific first."""

ENDINGS = (".nii.gz", ".nii", ".dcm")
"""Endings of label files in a folder, the one to prefer first."""

RESULT_FILES = ("labels.nii.gz", "labelmap.dcm", "seg.dcm")
"""Label files of ``ctacal score`` in a study's folder, the one to prefer first."""

Files = Mapping[str, Mapping[str, Path]]
"""The label file of each study, by rater and identifier of the study."""


def find_label_files(place: Path, raters: Sequence[str], identifier: str | None) -> Files:
    """Return the label files in a folder (``RATER/STUDY.nii.gz``, .nii or .dcm) or a table (a column for each rater).

    Paths in a table are relative to its folder; a rater without a column, and an empty cell, have no file. Raises
    ``UsageError`` if ``place`` holds none for any rater, or a file of the table does not exist.
    """
    found = _in_folder(place, raters) if place.is_dir() else _in_table(place, raters, identifier)
    if not any(found.values()):
        layout = "RATER/STUDY.nii.gz, .nii or .dcm" if place.is_dir() else "a column of files for each rater"
        raise UsageError(f"{place}: no label file of {', '.join(raters)}; expected {layout}")
    return found


def result_label_file(folder: Path) -> Path | None:
    """Return the label file in a study's folder of ``ctacal score``; None if it was not written."""
    return next((folder / name for name in RESULT_FILES if (folder / name).is_file()), None)


def _in_folder(folder: Path, raters: Sequence[str]) -> Files:
    return {rater: _by_study(folder / rater) for rater in raters if (folder / rater).is_dir()}


def _by_study(folder: Path) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for ending in reversed(ENDINGS):
        files |= {file.name.removesuffix(ending): file for file in sorted(folder.iterdir()) if _ends(file, ending)}
    return files


def _ends(file: Path, ending: str) -> bool:
    return file.name.endswith(ending) and file.is_file()


def _in_table(table: Path, raters: Sequence[str], identifier: str | None) -> Files:
    names = column_names(table)
    study = find_column(
        names, identifier if identifier in names else None, IDENTIFIER_NAMES, "the study (of label files)", table
    )
    rows = read_table(table, text=[study, *(rater for rater in raters if rater in names)])
    files: dict[str, dict[str, Path]] = {rater: {} for rater in raters if rater in names}
    for rater, own in files.items():
        for row, (name, cell) in zip(rows.index, rows[[study, rater]].itertuples(index=False), strict=True):
            if name is None or cell is None:
                continue
            own[name] = table.parent / cell
            if not own[name].is_file():
                raise UsageError(f"{table}: row {row + 2}: {rater} is {cell}, which is not a file")
    return files
