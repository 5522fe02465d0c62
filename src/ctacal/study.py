"""``score_study``: the one door, from a study to its ``StudyResult``; and the result's JSON form.

Research use only: the numbers come from a non-gated, low-dose CT, and ctacal is not a medical device.
"""

import hashlib
import json
import logging
import platform
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ctacal import __version__
from ctacal.atomic import write_text
from ctacal.dicom.choose import Candidate, Choice, candidates, choose_among, is_sharp_kernel
from ctacal.dicom.labels import read_label_map
from ctacal.dicom.series import Series, Study
from ctacal.dicom.stack import Stack
from ctacal.dicom.volume import decode_volume
from ctacal.errors import Code, Reason, Refusal
from ctacal.heart import HeartMask, find_heart
from ctacal.labels import Calcium, LabelMap
from ctacal.lesion import Lesions
from ctacal.noise import blood_pool_noise_hu
from ctacal.scores import KVP_TOLERANCE, SCCT_2016, Scores, ScoringRule, Tally, component_agatston, score_label_map
from ctacal.threshold import threshold_labels
from ctacal.volume import Volume

SCHEMA_VERSION = "1.0"
NOTICE = (
    "Research use only, not a medical device. Scored on a non-gated, low-dose CT: not equal to a gated calcium score."
)

REFERENCE_KVP = 120.0
"""The tube voltage for which the Agatston thresholds hold."""

THICK_SLICE_MM = 5.0
"""Above this, small lesions fall under the threshold by partial volume (dicom.md: CTAC slices are 2-10 mm)."""

HIGH_NOISE_HU = 130.0 / 3
"""Noise SD at which the calcium threshold is three SD off: one voxel of 700 passes it by chance. Own choice."""

Status = Literal["scored", "scored_with_warnings", "refused"]

_log = logging.getLogger("ctacal")


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What labelled the voxels: a network, the baseline, or a reader's file."""

    name: str
    version: str
    digest: str
    """SHA-256 of the weights or of the label file; of the name and version where there is no file."""


@dataclass(frozen=True, eq=False, slots=True)
class Prediction:
    """A predictor's answer for one volume."""

    labels: LabelMap
    model: ModelInfo
    heart: HeartMask | None = None
    """None where the predictor does not look for it."""
    uncertainty: Mapping[str, float] | None = None
    reasons: tuple[Reason, ...] = ()
    """Why the scan is unlike what the predictor knows."""
    figures: Mapping[str, float | None] | None = None
    """What the predictor measured of the scan."""


Predictor = Callable[[Volume, ScoringRule], Prediction]
"""Labels the calcium of a canonical volume; the rule, at the scan's tube voltage, says from which HU on."""


@dataclass(frozen=True, eq=False, slots=True)
class Scan:
    """The arrays behind a result, for pictures and label files; not part of its JSON form."""

    stack: Stack
    """The images in the order of the volume's slices, before it was made canonical."""
    volume: Volume
    labels: LabelMap
    heart: HeartMask | None
    lesions: Lesions


@dataclass(frozen=True, eq=False, slots=True)
class StudyResult:
    """All that is known of one study: scored, scored with warnings, or refused with the reasons."""

    status: Status
    study_uid: str
    reasons: tuple[Reason, ...]
    candidates: tuple[Candidate, ...] = ()
    series: Series | None = None
    why: str = ""
    rule: ScoringRule | None = None
    scores: Scores | None = None
    noise_sd_hu: float | None = None
    model: ModelInfo | None = None
    uncertainty: Mapping[str, float] | None = None
    figures: Mapping[str, float | None] | None = None
    timing_s: Mapping[str, float] = field(default_factory=dict)
    scan: Scan | None = None

    def to_json(self) -> dict[str, Any]:
        """The content of result.json, as ``result.schema.json`` describes it."""
        scores = self.scores
        return {
            "schema_version": SCHEMA_VERSION,
            "status": self.status,
            "reasons": [{"code": str(reason.code), "message": reason.message} for reason in self.reasons],
            "notice": NOTICE,
            "study": self._study_json(),
            "rule": self.rule.to_json() if self.rule else None,
            "agatston": _tally_json(scores.agatston) if scores else None,
            "volume_mm3": _tally_json(scores.volume_mm3) if scores else None,
            "mass_mg": _tally_json(scores.mass_mg) if scores and scores.mass_mg else None,
            "category": scores.category if scores else None,
            "category_five": scores.category_five if scores else None,
            "cac_drs": scores.cac_drs if scores else None,
            "lesions": _lesions_json(self.scan.lesions, scores.rule) if self.scan and scores else [],
            "uncertainty": dict(self.uncertainty) if self.uncertainty else None,
            "quality": {
                "noise_sd_hu": self.noise_sd_hu,
                "heart_found": bool(self.scan and self.scan.heart),
                "figures": dict(self.figures) if self.figures else None,
            },
            "model": {"name": self.model.name, "version": self.model.version, "digest": self.model.digest}
            if self.model
            else None,
            "timing_s": {stage: round(seconds, 4) for stage, seconds in self.timing_s.items()},
            "software": {"ctacal": __version__, "python": platform.python_version(), "numpy": np.__version__},
        }

    def _study_json(self) -> dict[str, Any]:
        series = self.series
        return {
            "study_uid": self.study_uid,
            "series_uid": series.uid if series else None,
            "series_part": series.part if series else None,
            "series_description": series.header.series_description if series else None,
            "why": self.why or None,
            "acquisition": _acquisition_json(series, self.scan) if series else None,
            "candidates": [
                {
                    "series_uid": candidate.series.uid,
                    "series_part": candidate.series.part,
                    "modality": candidate.series.header.modality,
                    "description": candidate.series.header.series_description,
                    "images": len(candidate.series.slices),
                    "points": candidate.points,
                    "why": candidate.why,
                    "unfit": str(candidate.unfit) if candidate.unfit else None,
                }
                for candidate in self.candidates
            ],
        }

    def write(self, path: Path) -> None:
        """Write result.json, whole or not at all."""
        write_text(path, json.dumps(self.to_json(), indent=2, allow_nan=False) + "\n")


def score_study(
    study: Study,
    predict: Predictor,
    *,
    rule: ScoringRule = SCCT_2016,
    series_uid: str | None = None,
    mass_calibration: float | None = None,
    fill_gaps: bool = False,
    untilt: bool = False,
    ranked: tuple[Candidate, ...] | None = None,
) -> StudyResult:
    """Score the coronary calcium of one study; never raises for what is wrong with the study.

    ``series_uid`` asks for a series instead of the likeliest CTAC; ``mass_calibration`` (mg/cm3 per HU) adds the mass;
    ``fill_gaps`` and ``untilt`` accept, with a warning, what is refused otherwise. ``ranked`` are the study's
    ``candidates`` if the caller has them; they then decide about gaps and tilt, and the two options are unused.
    """
    timer = _Timer()
    choice: Choice | None = None
    try:
        with timer.stage("choose"):
            if ranked is None:
                ranked = candidates(study, fill_gaps=fill_gaps, untilt=untilt)
            choice = choose_among(ranked, study, series_uid)
        return _score_series(study, choice, predict, rule, mass_calibration, timer)
    except Refusal as refusal:
        reason = refusal.reason
    except MemoryError:
        reason = Reason(Code.TOO_LARGE, "the study does not fit into memory")
    except Exception as problem:  # one bad study must never stop a cohort
        _log.exception("study %s", study.uid)
        reason = Reason(Code.INTERNAL_ERROR, f"{type(problem).__name__}: {problem}; please report this")
    return StudyResult(
        status="refused",
        study_uid=study.uid,
        reasons=(*study.notes, reason),
        candidates=ranked or (),
        series=choice.series if choice else None,
        why=choice.why if choice else "",
        rule=rule,
        timing_s=timer.seconds,
    )


def _score_series(
    study: Study,
    choice: Choice,
    predict: Predictor,
    rule: ScoringRule,
    mass_calibration: float | None,
    timer: "_Timer",
) -> StudyResult:
    header = choice.series.header
    rule = rule.at_kvp(header.kvp)
    with timer.stage("read"):
        volume, notes = decode_volume(choice.stack)
    with timer.stage("predict"):
        prediction = predict(volume, rule)
    with timer.stage("quality"):
        heart = prediction.heart or _heart_if_any(volume)
        noise_sd_hu = blood_pool_noise_hu(volume, heart) if heart else None
    with timer.stage("score"):
        lesions, scores = score_label_map(volume, prediction.labels, rule, mass_calibration=mass_calibration)
    quality = _quality_notes(choice.series, rule, heart, noise_sd_hu)
    reasons = (*study.notes, *choice.notes, *choice.series.notes, *notes, *quality, *prediction.reasons)
    return StudyResult(
        status="scored_with_warnings" if reasons else "scored",
        study_uid=study.uid,
        reasons=reasons,
        candidates=choice.candidates,
        series=choice.series,
        why=choice.why,
        rule=rule,
        scores=scores,
        noise_sd_hu=noise_sd_hu,
        model=prediction.model,
        uncertainty=prediction.uncertainty,
        figures=prediction.figures,
        timing_s=timer.seconds,
        scan=Scan(choice.stack, volume, prediction.labels, heart, lesions),
    )


def predict_threshold(volume: Volume, rule: ScoringRule) -> Prediction:
    """The baseline without training: bright, not bone, not aorta, in the heart region (``ctacal.threshold``).

    Raises ``Refusal`` (``HEART_NOT_FOUND``).
    """
    heart = find_heart(volume)
    labels = threshold_labels(volume, heart, threshold_hu=rule.threshold_hu)
    return Prediction(labels, model_without_file("threshold"), heart)


def predict_from_file(path: Path) -> Predictor:
    """A predictor that answers with the label map of a file (NIfTI or DICOM SEG), for a study drawn by a reader."""

    def predict(volume: Volume, _: ScoringRule) -> Prediction:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        return Prediction(read_label_map(path, volume), ModelInfo("labels", path.name, digest))

    return predict


def model_without_file(name: str) -> ModelInfo:
    """The identity of a predictor that is code alone: it changes with the version of ctacal."""
    return ModelInfo(name, __version__, hashlib.sha256(f"{name} {__version__}".encode()).hexdigest())


def folder_name(uid: str) -> str:
    """A safe folder name for a study or series: its UID where that is one (PS3.5 section 9.1), else a digest of it.

    >>> folder_name("1.2.840.1"), folder_name("../../etc")
    ('1.2.840.1', 'uid-74ccf3c5b4c19a81')
    """
    if re.fullmatch(r"[0-9]+(\.[0-9]+)*", uid) and len(uid) <= 64:
        return uid
    return "uid-" + hashlib.sha256(uid.encode()).hexdigest()[:16]


def _heart_if_any(volume: Volume) -> HeartMask | None:
    try:
        return find_heart(volume)
    except Refusal:
        return None


def _quality_notes(
    series: Series, rule: ScoringRule, heart: HeartMask | None, noise_sd_hu: float | None
) -> Iterator[Reason]:
    """What a reader should know before trusting the number."""
    kvp, thickness_mm = series.header.kvp, series.slices[0].thickness_mm
    if not rule.kvp_factors and (kvp is None or abs(kvp - REFERENCE_KVP) > KVP_TOLERANCE):
        told = "no tube voltage in the header" if kvp is None else f"{kvp:g} kVp"
        yield Reason(Code.KVP_NOT_120, f"{told}; rule {rule.name} holds for 120 kVp (kvp_adapted scales it)")
    if thickness_mm is not None and thickness_mm > THICK_SLICE_MM:
        yield Reason(Code.THICK_SLICES, f"{thickness_mm:g} mm slices lose small lesions")
    if is_sharp_kernel(series.header.kernel):
        yield Reason(Code.SHARP_KERNEL, f"kernel {series.header.kernel} enhances edges and noise")
    if noise_sd_hu is not None and noise_sd_hu > HIGH_NOISE_HU:
        yield Reason(
            Code.HIGH_NOISE,
            f"noise SD {noise_sd_hu:.0f} HU in the heart; noise alone can reach {rule.threshold_hu:g} HU",
        )
    if heart is not None and (heart.touches_first_slice or heart.touches_last_slice):
        ends = {"lowest": heart.touches_first_slice, "highest": heart.touches_last_slice}
        where = " and the ".join(end for end, reached in ends.items() if reached)
        yield Reason(Code.HEART_CUT_OFF, f"the heart reaches the {where} slice; calcium beyond it is not counted")


class _Timer:
    """Seconds per stage, in order."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = time.perf_counter() - begin


def _tally_json(tally: Tally) -> dict[str, Any]:
    return {"total": tally.total, "per_vessel": dict(tally.per_vessel), "other": tally.other}


def _acquisition_json(series: Series, scan: Scan | None) -> dict[str, Any]:
    header, middle = series.header, series.slices[len(series.slices) // 2]
    geometry = scan.volume.geometry if scan else None
    return {
        "manufacturer": header.manufacturer,
        "model": header.model,
        "kvp": header.kvp,
        "exposure_mas": middle.exposure_mas,
        "kernel": header.kernel,
        "slice_thickness_mm": middle.thickness_mm,
        "slice_spacing_mm": geometry.slice_spacing_mm if geometry else None,
        "pixel_spacing_mm": list(middle.pixel_spacing_mm) if middle.pixel_spacing_mm else None,
        "matrix": [middle.rows, middle.columns],
        "slices": geometry.shape[0] if geometry else len(series.slices),
        "study_date": header.study_date or None,
    }


def _lesions_json(lesions: Lesions, rule: ScoringRule) -> list[dict[str, Any]]:
    """Lesions that score, highest first; other calcium is listed too, with what it would have scored."""
    agatston = component_agatston(lesions, rule)
    rows = []
    for number in np.unique(lesions.lesion[agatston > 0]):
        own = lesions.lesion == number
        pixels = lesions.pixels[own]
        centroid = np.average(lesions.centroid[own], axis=0, weights=pixels)
        rows.append(
            {
                "vessel": Calcium(int(lesions.label[own][0])).name,
                "agatston": float(agatston[own].sum()),
                "volume_mm3": float(lesions.volume_mm3[own].sum()),
                "peak_hu": float(lesions.peak_hu[own].max()),
                "mean_hu": float(np.average(lesions.mean_hu[own], weights=pixels)),
                "slices": [int(lesions.slice_index[own].min()), int(lesions.slice_index[own].max())],
                "centroid_mm": [round(float(mm), 2) for mm in lesions.geometry.to_patient_mm(centroid)],
            }
        )
    return sorted(rows, key=lambda row: -row["agatston"])
