"""``write_inserted``: a real scan with inserted calcium as a folder, with the same files as a simulated study.

All headers are new. Of the real patient only sex and age are written.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ctacal.labels import Calcium
from ctacal.simulate.insert.quality import ScanQuality
from ctacal.simulate.insert.study import InsertedStudy
from ctacal.simulate.output.folder import DEFAULT_WRITERS, StudyContent, uid_seed, write_folder
from ctacal.simulate.output.segments import OTHER_CALCIUM
from ctacal.simulate.output.series import SeriesDescription
from ctacal.simulate.truth import VESSEL_LABELS, scores_json

NOTICE = "Real scan, calcium inserted by ctacal for research, training and tests."

_DEPOSITS = np.zeros(max(Calcium) + 1, np.uint8)
_DEPOSITS[[Calcium[vessel] for vessel in VESSEL_LABELS]] = list(VESSEL_LABELS.values())
_DEPOSITS[Calcium.OTHER] = OTHER_CALCIUM


def write_inserted(
    study: InsertedStudy, folder: Path, *, seed: int, writers: Sequence[str] = DEFAULT_WRITERS
) -> dict[str, Any]:
    """Write the study and return the content of its study.json. See ``folder.write_folder``."""
    record = {
        "deposits": [{**asdict(row), "kind": row.kind.value} for row in study.table],
        "ctac_score": scores_json(study.ctac_score),
        "reference_score": scores_json(study.reference_score),
        "seed": seed,
        "quality": _quality_json(study.quality),
        "patient": json.loads(study.patient.to_json()),
        "calcium": json.loads(study.calcium.to_json()),
        "coronaries": {line.name: line.points.round(2).tolist() for line in study.coronaries},
        "notes": list(study.notes),
    }
    content = StudyContent(
        volume=study.volume,
        header=_header(study),
        labels=study.labels,
        deposits=_DEPOSITS[study.labels.labels],
        structures=None,
        record=record,
    )
    return write_folder(content, folder, writers)


def _quality_json(quality: ScanQuality) -> dict[str, Any]:
    """Return the fields as JSON values; study.json keeps the key "centre" of its first version for the protocol."""
    return {"centre" if name == "protocol" else name: value for name, value in asdict(quality).items()}


def _header(study: InsertedStudy) -> SeriesDescription:
    """Return headers with the acquisition of the real scan; tube current and exposure time are not known."""
    protocol, seed = study.quality.protocol, uid_seed(study.volume.hu.tobytes())
    return SeriesDescription(
        seed=seed,
        patient_id=f"INSERTED-{seed}",
        patient_name="Inserted^Calcium",
        patient_sex=study.patient.sex,
        patient_age_years=study.patient.age_years,
        model="Calcium inserted",
        series_number=2,
        image_type=("DERIVED", "PRIMARY", "AXIAL"),
        kernel=study.series.header.kernel.split("/")[0][:16] or protocol.kernel.upper(),
        kvp=protocol.kvp,
        tube_current_ma=None,
        slice_thickness_mm=protocol.thickness_mm,
        comments=NOTICE,
    )
