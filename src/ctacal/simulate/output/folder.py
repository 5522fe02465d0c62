"""``write_folder``: the files of a study with known calcium, and study.json with the digest of every file.

STUDY/dicom/0001.dcm ..           the CTAC
STUDY/ct.nii.gz                   the same as NIfTI, on request
STUDY/truth/labels.nii.gz         the calcium to be scored: ``ctacal.labels.Calcium`` per voxel
STUDY/truth/structures.nii.gz     the structure that each voxel belongs to
STUDY/truth/labels.dcm            the labels as DICOM SEG
STUDY/truth/study.json            description, calcium table, scores, and the digest of every other file
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from ctacal import __version__
from ctacal.arrays import Bytes
from ctacal.atomic import whole_folder, write_text
from ctacal.dicom.objects.codes import Concept
from ctacal.dicom.objects.seg_writer import Maker, write_segmentation
from ctacal.errors import UsageError
from ctacal.labels import Calcium, LabelMap
from ctacal.simulate.output.segments import segment
from ctacal.simulate.output.series import SeriesDescription, slice_headers, write_series
from ctacal.simulate.truth import VESSEL_LABELS
from ctacal.volume import Volume, save_nifti

SCHEMA_VERSION = "1.0"
RECORD = "truth/study.json"
"""The file that describes the study; it is written last."""
UNITS = MappingProxyType(
    {"centre_mm": "mm, (L, P, S), 0 at the carina", "volume_mm3": "mm3", "mass_mg": "mg of hydroxyapatite",
     "mean_mg_cm3": "mg of hydroxyapatite per cm3", "agatston": "Agatston units"}
)  # fmt: skip


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class StudyContent:
    """What is written of a study whose calcium is known: a simulated one, or a real scan with inserted calcium."""

    volume: Volume
    header: SeriesDescription
    labels: LabelMap
    deposits: Bytes
    """(slices, rows, columns): the key in ``SEGMENTS`` of each labelled voxel; 0 elsewhere."""
    structures: Bytes | None
    """None if the anatomy is not known."""
    record: Mapping[str, Any]
    """Truth and origin, as study.json holds them."""


def _write_dicom(study: StudyContent, folder: Path) -> None:
    write_series(study.volume, folder / "dicom", header=study.header)


def _write_ct(study: StudyContent, folder: Path) -> None:
    study.volume.save_nifti(folder / "ct.nii.gz")


def _write_nifti(study: StudyContent, folder: Path) -> None:
    study.labels.save_nifti(folder / "truth" / "labels.nii.gz")
    if study.structures is not None:
        save_nifti(folder / "truth" / "structures.nii.gz", study.structures, study.volume.geometry)


def _write_seg(study: StudyContent, folder: Path) -> None:
    values = sorted({*VESSEL_LABELS.values(), *np.unique(study.deposits[study.deposits > 0]).tolist()})
    number = np.zeros(256, np.uint8)
    number[values] = np.arange(1, len(values) + 1)
    write_segmentation(
        folder / "truth" / "labels.dcm",
        number[study.deposits],
        [segment(value) for value in values],
        slice_headers(study.volume, study.header),
        Maker(
            algorithm="ctacal simulation",
            version=__version__,
            family=Concept("123110", "Artificial Intelligence", "DCM"),
            description="True calcium and devices",
            software=__version__,
        ),
    )


WRITERS: Mapping[str, Callable[[StudyContent, Path], None]] = MappingProxyType(
    {"dicom": _write_dicom, "nifti": _write_nifti, "seg": _write_seg, "ct": _write_ct}
)
DEFAULT_WRITERS = ("dicom", "nifti", "seg")


def known_writers(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names; raises ``UsageError`` if one is not in ``WRITERS``."""
    names = tuple(names)
    for name in names:
        if name not in WRITERS:
            raise UsageError(f"--write is {name}, expected some of {', '.join(WRITERS)}")
    return names


def write_folder(study: StudyContent, folder: Path, writers: Sequence[str]) -> dict[str, Any]:
    """Write the files of a study and return the content of study.json.

    The folder appears whole or not at all, and replaces what was there. The same study and ``writers`` (keys of
    ``WRITERS``) give the same bytes on the same machine.
    """
    with whole_folder(folder) as part:
        (part / "truth").mkdir()
        for name in writers:
            WRITERS[name](study, part)
        record = _record(study, writers, _digests(part))
        write_text(part / RECORD, json.dumps(record, indent=1) + "\n")
    return record


def _record(study: StudyContent, writers: Sequence[str], files: Mapping[str, str]) -> dict[str, Any]:
    """Return the content of study.json; ``files`` are the digests of the other files."""
    header = slice_headers(study.volume, study.header)[0]
    return {
        "schema_version": SCHEMA_VERSION,
        "notice": study.header.comments,
        "software": {"ctacal": __version__},
        "study_uid": str(header.StudyInstanceUID),
        "series_uid": str(header.SeriesInstanceUID),
        "shape": list(study.volume.geometry.shape),
        "spacing_mm": [round(mm, 6) for mm in study.volume.geometry.spacing_mm],
        "units": dict(UNITS),
        "labels": {int(label): label.name for label in Calcium},
        **study.record,
        "writers": list(writers),
        "files": dict(files),
    }


def whole_record(folder: Path) -> dict[str, Any] | None:
    """Return the content of study.json if every file is there with its digest, else None."""
    try:
        record: dict[str, Any] = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        files = {name: digest for name, digest in _digests(folder).items() if name != RECORD}
        return record if record["files"] == files else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def digest_of(file: Path) -> str:
    """Return the SHA-256 of a file; that of study.json identifies the study, because it covers all other files."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): digest_of(file) for file in files}


def uid_seed(content: bytes) -> int:
    """Return 48 bits of the digest, so that the UIDs of two studies differ if anything about them does."""
    return int(hashlib.sha256(content).hexdigest()[:12], 16)
