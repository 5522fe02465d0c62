"""``KnownStudy``: a whole scan with its true label map, to test a predictor; one .npz file per study.

Arrays of the file: ``hu`` int16 and ``labels`` uint8 (``Calcium`` values), both (slices, rows, columns); ``affine``
(4, 4) of its ``Geometry``; ``study``, the JSON of ``StudyFacts``; if known, ``deposit_labels`` uint8: which
kind of calcium or metal each voxel belongs to (``simulate.truth.VESSEL_LABELS``, ``KIND_LABELS``; 0 none).
No torch here.
"""

import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctacal.arrays import Bytes
from ctacal.errors import UsageError
from ctacal.geometry import CANONICAL_DIRECTIONS, Geometry
from ctacal.labels import LabelMap
from ctacal.npz import write_npz
from ctacal.volume import Volume


@dataclass(frozen=True, slots=True)
class StudyFacts:
    """Facts of a test study beside its voxels."""

    seed: int
    """Seed of the patient: studies with the same seed share an anatomy and its calcium."""
    centre: str
    """The scanner: the name of a protocol, or manufacturer and model."""
    reference_agatston: float | None = None
    """Score on a gated, noise-free scan of 3 mm at 120 kVp; None if there is no such scan."""
    reference_per_vessel: Mapping[str, float] | None = None
    """That score by vessel: LM, LAD, LCX, RCA."""
    deposit_kinds: tuple[str, ...] = ()
    """Kinds of non-coronary calcium or metal in the scan (``simulate.anatomy.calcium.Kind`` values)."""
    mass_mg: Mapping[str, float] | None = None
    """True mass of coronary calcium by vessel: LM, LAD, LCX, RCA."""


@dataclass(frozen=True, eq=False, slots=True)
class KnownStudy:
    """A canonical scan and its true labels, on the same voxels."""

    name: str
    volume: Volume
    labels: LabelMap
    deposit_labels: Bytes | None
    """(slices, rows, columns); None if the kinds are not known."""
    facts: StudyFacts


def write_test_study(
    path: Path, volume: Volume, labels: Bytes, deposit_labels: Bytes | None, facts: StudyFacts
) -> None:
    """Write one study, whole or not at all; CT values are rounded to whole HU, as DICOM stores them.

    Raises ``ValueError`` if the volume is not canonical or a map has another shape.
    """
    _check(volume.geometry, labels, deposit_labels)
    arrays: dict[str, NDArray[Any]] = {
        "hu": np.clip(np.rint(volume.hu), -32768, 32767).astype(np.int16),
        "labels": labels,
        "affine": volume.geometry.affine,
        "study": np.array(json.dumps(asdict(facts))),
    }
    if deposit_labels is not None:
        arrays["deposit_labels"] = deposit_labels
    write_npz(path, arrays)


def read_test_study(path: Path) -> KnownStudy:
    """Read a file of ``write_test_study``. Raises ``UsageError`` if the file is something else."""
    try:
        if path.exists() and not zipfile.is_zipfile(path):  # numpy would suggest unpickling it
            raise ValueError("no .npz archive")
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            hu, labels = arrays["hu"], arrays["labels"]
            slices, rows, columns = hu.shape
            geometry = Geometry((slices, rows, columns), arrays["affine"].astype(np.float64))
            deposits = arrays.get("deposit_labels")
            _check(geometry, labels, deposits)
            facts = _facts(json.loads(str(arrays["study"])))
            return KnownStudy(path.stem, Volume(hu, geometry), LabelMap(labels, geometry), deposits, facts)
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as problem:
        raise UsageError(f"{path.name}: not a test study ({problem})") from problem


def _facts(fields: dict[str, object]) -> StudyFacts:
    kinds = fields.pop("deposit_kinds", ())
    return StudyFacts(**fields, deposit_kinds=tuple(kinds))  # type: ignore[arg-type]


def _check(geometry: Geometry, labels: Bytes, deposits: Bytes | None) -> None:
    if geometry.axes_to(CANONICAL_DIRECTIONS) != ((0, 1, 2), (1, 1, 1)):
        raise ValueError("the volume must be canonical: slices to the head, rows to posterior, columns to the left")
    for name, found in (("labels", labels), ("deposit_labels", deposits)):
        if found is not None and (found.dtype != np.uint8 or found.shape != geometry.shape):
            raise ValueError(f"{name} must be uint8 of shape {geometry.shape}, got {found.dtype} {found.shape}")
