"""Convert a site's own annotated studies (DICOM, with labels as NIfTI or SEG) to folders of samples."""

import csv
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ctacal.dicom.choose import choose_series
from ctacal.dicom.objects.labels import read_label_map
from ctacal.dicom.series import Study, read_studies
from ctacal.dicom.volume import decode_volume
from ctacal.errors import CtacalError, UsageError
from ctacal.heart import find_heart
from ctacal.nn.classes import NOT_CORONARY
from ctacal.nn.config import NetworkConfig
from ctacal.nn.locate import Located
from ctacal.nn.samples import make_sample, write_sample
from ctacal.volume import Volume


@dataclass(frozen=True, slots=True)
class AnnotatedStudy:
    """One row of a site's table."""

    study: Path
    labels: Path
    split: str
    series: str = ""
    """SeriesInstanceUID that the labels were drawn on; empty: the likeliest CTAC of the one study there."""
    all_marked: bool = False
    """Whether all other calcium was marked too: if not, an unmarked voxel may be such calcium."""


def read_table(path: Path) -> list[AnnotatedStudy]:
    """Read a CSV with the columns study (DICOM folder, file or zip), labels (NIfTI or SEG) and split.

    It may have the columns series (SeriesInstanceUID) and all_marked (yes or no; no if there is no such column). Paths
    are relative to its folder. Raises ``UsageError`` if a column is missing, or all_marked says something else.
    """
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    if not rows or (missing := {"study", "labels", "split"} - set(rows[0])):
        raise UsageError(
            f"{path}: expected rows with the columns study, labels, split; missing {missing if rows else ''}"
        )
    return [_annotated_study(path, number, row) for number, row in enumerate(rows, 2)]


def _annotated_study(path: Path, number: int, row: dict[str, str]) -> AnnotatedStudy:
    said = (row.get("all_marked") or "no").strip().lower()
    if said not in ("yes", "no"):
        raise UsageError(f"{path}: row {number}: all_marked is {said!r}, expected yes or no")
    return AnnotatedStudy(
        study=path.parent / row["study"],
        labels=path.parent / row["labels"],
        split=row["split"].strip(),
        series=(row.get("series") or "").strip(),
        all_marked=said == "yes",
    )


def cache_annotated(
    table: Path,
    out: Path,
    network: NetworkConfig,
    *,
    locate: Callable[[Volume], Located] = lambda scan: Located(find_heart(scan)),
) -> list[str]:
    r"""Write a site's annotated studies as samples to ``out/SPLIT``; returns the problems, one line per study.

    Where a study's readers did not mark all other calcium, its unmarked voxels train "not coronary", not "background".
    A label of ``Calcium.CORONARY`` trains "some vessel". Existing samples are kept. ``locate`` should be stage 1 of
    the model that will be used.

    Args:
        table: A CSV with the columns study, labels and split, as ``read_table`` describes it.
        out: The folder of the samples.
        network: The network that will be trained: its spacing in mm is that of the samples.
        locate: Finds the heart in a scan.

    Returns:
        The problems: a line for each study that gave no sample.

    Raises:
        UsageError: The table lacks a column, or a cell says something else than expected.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     table = Path(folder, "annotated.csv")
        ...     _ = table.write_text("study,labels,split\nno_such_scan,no_such_labels.nii.gz,train\n")
        ...     [problem] = cache_annotated(table, Path(folder, "samples"), NetworkConfig())
        >>> "no_such_scan" in problem
        True
    """
    problems = []
    for row in read_table(table):
        try:
            _cache_one(row, out / row.split, network, locate)
        except (CtacalError, OSError) as problem:
            problems.append(f"{row.study}: {problem}")
    return problems


def _cache_one(
    row: AnnotatedStudy,
    folder: Path,
    network: NetworkConfig,
    locate: Callable[[Volume], Located],
) -> None:
    study = _study_of(row)
    name = "study-" + hashlib.sha256(study.uid.encode()).hexdigest()[:16]  # no patient's identity in file names
    if (folder / f"{name}.npz").exists():
        return
    volume, _ = decode_volume(choose_series(study, row.series or None).stack)
    labels = read_label_map(row.labels, volume).labels
    if not row.all_marked:
        labels = np.where(labels == 0, np.uint8(NOT_CORONARY), labels)
    located = locate(volume)
    anatomy = located.anatomy.on(volume.geometry) if located.anatomy else None
    write_sample(folder, make_sample(name, volume, labels, located.heart, network, anatomy=anatomy))


def _study_of(row: AnnotatedStudy) -> Study:
    """Return the study of the labelled series; without its UID, the only one there. Raises ``UsageError``."""
    studies = read_studies([row.study]).studies
    if row.series:
        studies = tuple(study for study in studies if any(row.series in series.uids for series in study.series))
    if len(studies) != 1:
        raise UsageError(f"expected one study, found {len(studies)}")
    return studies[0]
