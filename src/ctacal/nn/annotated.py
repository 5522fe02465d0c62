"""Convert a site's own annotated studies (DICOM, with labels as NIfTI or SEG) to folders of samples."""

import csv
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ctacal.dicom.choose import choose_series
from ctacal.dicom.objects.labels import read_label_map
from ctacal.dicom.series import read_studies
from ctacal.dicom.volume import decode_volume
from ctacal.errors import CtacalError, UsageError
from ctacal.heart import HeartMask, find_heart
from ctacal.nn.classes import NOT_CORONARY
from ctacal.nn.config import NetworkConfig
from ctacal.nn.samples import make_sample, write_sample
from ctacal.volume import Volume


@dataclass(frozen=True, slots=True)
class AnnotatedStudy:
    """One row of a site's table."""

    study: Path
    labels: Path
    split: str


def read_table(path: Path) -> list[AnnotatedStudy]:
    """Read a CSV with the columns study (DICOM folder, file or zip), labels (NIfTI or SEG) and split.

    Paths are relative to its folder. Raises ``UsageError`` if a column is missing.
    """
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    if not rows or (missing := {"study", "labels", "split"} - set(rows[0])):
        raise UsageError(
            f"{path}: expected rows with the columns study, labels, split; missing {missing if rows else ''}"
        )
    return [
        AnnotatedStudy(path.parent / row["study"], path.parent / row["labels"], row["split"].strip()) for row in rows
    ]


def cache_annotated(
    table: Path,
    out: Path,
    network: NetworkConfig,
    *,
    only_coronary_drawn: bool = True,
    locate_heart: Callable[[Volume], HeartMask] = find_heart,
) -> list[str]:
    """Write a site's annotated studies as samples to ``out/SPLIT``; returns the problems, one line per study.

    ``only_coronary_drawn``: readers marked no other calcium, so unmarked voxels may be such. A label of
    ``Calcium.CORONARY`` trains "some vessel". Existing samples are kept. ``locate_heart`` should be stage 1 of the
    model that will be used. Raises ``UsageError`` if the table is wrong.
    """
    problems = []
    for row in read_table(table):
        try:
            _cache_one(row, out / row.split, network, only_coronary_drawn, locate_heart)
        except (CtacalError, OSError) as problem:
            problems.append(f"{row.study}: {problem}")
    return problems


def _cache_one(
    row: AnnotatedStudy,
    folder: Path,
    network: NetworkConfig,
    only_coronary_drawn: bool,
    locate_heart: Callable[[Volume], HeartMask],
) -> None:
    studies = read_studies([row.study]).studies
    if len(studies) != 1:
        raise UsageError(f"expected one study, found {len(studies)}")
    name = "study-" + hashlib.sha256(studies[0].uid.encode()).hexdigest()[:16]  # no patient's identity in file names
    if (folder / f"{name}.npz").exists():
        return
    volume, _ = decode_volume(choose_series(studies[0]).stack)
    labels = read_label_map(row.labels, volume).labels
    if only_coronary_drawn:
        labels = np.where(labels == 0, np.uint8(NOT_CORONARY), labels)
    write_sample(folder, make_sample(name, volume, labels, locate_heart(volume), network))
