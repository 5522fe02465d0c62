"""What the reader's page gets, as plain values. Whatever a reader must not know is left out here, on the server."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ctacal.dicom.objects.codes import REGIONS
from ctacal.errors import Code, Reason
from ctacal.jobs.reader_study import Mode
from ctacal.jobs.reading_cases import OpenCase
from ctacal.labels import Calcium
from ctacal.readings.candidates import Candidate, Candidates, in_order
from ctacal.readings.marks import Marks, Shape, runs_of, triples
from ctacal.readings.reading import Reading, cut_json
from ctacal.report.vessels import FULL_NAMES, VESSEL_COLOURS
from ctacal.report.wording import FLAG_TITLES
from ctacal.result import NOTICE
from ctacal.scores import REFERENCE_SLICE_MM

AREA_TOLERANCE_MM2 = 1e-6
"""As ``scores`` compares areas with the least that counts."""

_OF_THE_SCAN = {
    Code.KVP_NOT_120, Code.THICK_SLICES, Code.HIGH_NOISE, Code.SHARP_KERNEL, Code.HEART_CUT_OFF, Code.CONTRAST_SEEN,
    Code.SLICES_INTERPOLATED, Code.TILT_RESAMPLED, Code.SLICES_APART, Code.CONTENT_JUMP, Code.LOSSY_COMPRESSION,
    Code.HU_GAP, Code.CONTRAST_GIVEN,
}  # fmt: skip
"""Warnings that a blind reader sees, by their codes: a text may quote what people typed into a header."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """A reading that a reader is to do, and what may be seen with it."""

    case_id: str
    session: str
    mode: Mode
    stage: str | None
    """Stage of a sequential session; None in all others."""
    number: int
    """The case's number in the reader's order."""
    hides_identity: bool
    shows_model: bool

    @property
    def id(self) -> str:
        """Its name in URLs."""
        return f"{self.case_id}.{self.session}"


def case_json(opened: OpenCase, what: Assignment, *, phi: bool) -> dict[str, Any]:
    """Return what is to be known of a scan before it is read."""
    case, geometry = opened.case, opened.volume.geometry
    open_to_all = not what.hides_identity
    return {
        "id": what.id,
        "number": what.number,
        "session": what.session,
        "mode": what.mode,
        "stage": what.stage,
        "title": (case.title or None) if open_to_all else None,
        "date": (case.date or None) if open_to_all else None,
        "patient": _patient_json(opened) if open_to_all and phi else None,
        "acquisition": _acquisition_json(opened, open_to_all=open_to_all),
        "warnings": _warnings_json(opened.warnings, what),
        "noise_sd_hu": opened.noise_sd_hu,
        "volume": _volume_json(opened),
        "rule": opened.rule.to_json(),
        "scoring": {
            "pixel_area_mm2": geometry.pixel_area_mm2,
            "voxel_volume_mm3": geometry.voxel_volume_mm3,
            "slice_factor": _slice_factor(opened),
            "area_tolerance_mm2": AREA_TOLERANCE_MM2,
            "mass_calibration": case.mass_calibration,
        },
        "model": _model_json(opened) if what.shows_model else None,
        "sign": {"ask_all_marked": True},
    }


def _slice_factor(opened: OpenCase) -> float:
    scaled = opened.rule.slice_weight == "spacing_over_3mm"
    return opened.volume.geometry.slice_spacing_mm / REFERENCE_SLICE_MM if scaled else 1.0


def _patient_json(opened: OpenCase) -> dict[str, Any]:
    subject = opened.subject
    return {
        "name": subject.name,
        "id": subject.patient_id,
        "birth_date": subject.birth_date,
        "sex": subject.sex,
        "age": subject.age_years,
    }


def _acquisition_json(opened: OpenCase, *, open_to_all: bool) -> dict[str, Any]:
    """Return how the scan was made; what people type into a console stays away from blind readers."""
    made = opened.acquisition
    return {
        "manufacturer": made.manufacturer if open_to_all else None,
        "model": made.model if open_to_all else None,
        "kvp": made.kvp,
        "exposure_mas": made.exposure_mas,
        "kernel": made.kernel if open_to_all else None,
        "slice_thickness_mm": made.slice_thickness_mm,
        "slice_spacing_mm": made.slice_spacing_mm,
        "pixel_spacing_mm": list(made.pixel_spacing_mm or ()),
        "matrix": list(made.matrix),
        "slices": made.slices,
        "study_date": (opened.case.date or None) if open_to_all else None,
    }


def _warnings_json(warnings: Sequence[Reason], what: Assignment) -> list[dict[str, str]]:
    if not what.hides_identity:
        return [{"code": str(reason.code), "message": reason.message} for reason in warnings]
    codes = dict.fromkeys(reason.code for reason in warnings if reason.code in _OF_THE_SCAN)
    return [{"code": str(code), "message": FLAG_TITLES[code]} for code in codes]


def _volume_json(opened: OpenCase) -> dict[str, Any]:
    hu = opened.volume.hu
    return {
        "dtype": str(hu.dtype),
        "shape": list(hu.shape),
        "spacing_mm": list(opened.volume.geometry.spacing_mm),
        "heart": {
            "origin": [span.start for span in opened.box],
            "shape": [span.stop - span.start for span in opened.box],
        },
        "heart_found": opened.heart_found,
    }


def _model_json(opened: OpenCase) -> dict[str, Any] | None:
    model = opened.case.model
    if model is None:
        return None
    return {
        "name": model.name,
        "version": model.version,
        "digest": model.digest,
        "agatston": model.agatston,
        "category": model.category,
        "has_marks": bool(model.labels),
        "labels": marks_json(opened.model_marks, opened.volume.geometry.shape),
    }


def marks_json(marks: Marks, shape: Shape) -> list[int]:
    """Return marks as triples: first voxel, length, label of each run."""
    return triples(marks.voxel, marks.label, shape)


def candidates_json(candidates: Candidates, opened: OpenCase, what: Assignment) -> dict[str, Any]:
    """Return the candidates in the order in which they matter."""
    known = opened.model_marks if what.shows_model else Marks.none()
    items = [candidate_json(candidate, opened, what) for candidate in in_order(candidates, known)]
    return {"items": items, "hidden": sum(item["hidden"] for item in items)}


def candidate_json(candidate: Candidate, opened: OpenCase, what: Assignment) -> dict[str, Any]:
    """Return one candidate."""
    lesions, shape = candidate.lesions, opened.volume.geometry.shape
    columns = (lesions.slice_index, lesions.pixels, lesions.area_mm2, lesions.peak_hu)
    content = {
        "id": candidate.number,
        "hidden": candidate.hidden,
        "peak_hu": float(lesions.peak_hu.max()),
        "peak_voxel": [int(index) for index in np.unravel_index(candidate.peak, shape)],
        "slices": [int(lesions.slice_index.min()), int(lesions.slice_index.max())],
        "pixels": int(lesions.pixels.sum()),
        "volume_mm3": float(lesions.volume_mm3.sum()),
        "agatston": candidate.agatston,
        "components": [list(row) for row in zip(*(column.tolist() for column in columns), strict=True)],
        "runs": runs_of(candidate.voxel, shape),
    }
    if what.shows_model:
        content["model_label"] = _most(opened.model_marks, candidate)
    return content


def _most(marks: Marks, candidate: Candidate) -> int:
    """Return the model's label of most voxels of a candidate that it labels; 0 if it labels none."""
    votes = np.bincount(marks.at(candidate.voxel), minlength=int(max(Calcium)) + 1)
    votes[0] = 0
    return int(votes.argmax())


def state_json(reading: Reading) -> dict[str, Any]:
    """Return a reading as it stands."""
    return {
        "labels": marks_json(reading.marks, reading.shape),
        "cuts": [cut_json(cut) for cut in reading.cuts],
        **progress_json(reading),
    }


def progress_json(reading: Reading) -> dict[str, Any]:
    """Return what changes with every event, but for the marks themselves."""
    signature = reading.signature
    return {
        "seq": reading.seq,
        "version": reading.version,
        "locked": reading.locked,
        "signed": {"when": signature.when, "all_marked": signature.all_marked, "verdict": signature.verdict}
        if signature
        else None,
        "versions": [
            {"version": one.number, "when": one.when, "reason": one.reason, "agatston": one.agatston}
            for one in reading.versions
        ],
        "undo": len(reading.done),
        "redo": len(reading.undone),
        "score": dict(reading.score),
        "digest": reading.marks.digest,
        "active_s": reading.active_s,
        "edits": reading.edits,
    }


def labels_json() -> list[dict[str, Any]]:
    """Return the labels with their keys, names and colours."""
    return [
        {
            "value": int(label),
            "key": str(int(label)),
            "name": label.name,
            "title": FULL_NAMES[label],
            "colour": "#{:02x}{:02x}{:02x}".format(*VESSEL_COLOURS[label]),
            "coronary": label.is_coronary,
            "region": REGIONS[label].meaning,
        }
        for label in Calcium
    ]


def notice() -> str:
    """Return the notice that every page bears."""
    return NOTICE


def item_json(item: Mapping[str, Any], what: Assignment, available_from: str | None) -> dict[str, Any]:
    """Return a line of the work list.

    In a study the model's score appears only once the reading that may show it has begun: the same case may stand in
    the list as a blind reading too.
    """
    open_to_all = not what.hides_identity
    begun = open_to_all or item["state"] in ("started", "signed")
    known = what.shows_model and begun and item["model_category"] is not None
    return {
        "id": what.id,
        "number": what.number,
        "state": item["state"],
        "session": what.session,
        "mode": what.mode,
        "stage": what.stage,
        "title": (item["title"] or None) if open_to_all else None,
        "date": (item["date"] or None) if open_to_all else None,
        "patient": (item["patient"] or None) if open_to_all else None,
        "agatston": item["agatston"],
        "category": item["category"],
        "model": {"agatston": item["model_agatston"], "category": item["model_category"]} if known else None,
        "warnings": item["warnings"] if open_to_all else 0,
        "refusal": _refusal(item["refusal"], open_to_all=open_to_all),
        "available_from": available_from,
        "active_s": item["active_s"] or 0.0,
        "edits": item["edits"] or 0,
    }


def _refusal(text: str, *, open_to_all: bool) -> str | None:
    """Return why a scan cannot be read; a blind reader gets the code alone."""
    if not text:
        return None
    return text if open_to_all else text.partition(":")[0]
