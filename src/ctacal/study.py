"""``score_study``: the only entry point for scoring, from a study to its ``StudyResult``.

Research use only: the numbers come from a non-gated, low-dose CT, and ctacal is not a medical device.
"""

import hashlib
import logging
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from ctacal import __version__
from ctacal.blood import contrast_seen
from ctacal.dicom.choose import Candidate, Choice, candidates, choose_among
from ctacal.dicom.clues import is_sharp_kernel
from ctacal.dicom.objects.labels import labelled_slices, read_label_map
from ctacal.dicom.series import Series, Study
from ctacal.dicom.stack import Stack
from ctacal.dicom.volume import decode_volume
from ctacal.errors import Code, Reason, Refusal
from ctacal.heart import ENHANCED_BONE_ABOVE_HU, HeartMask, find_heart
from ctacal.names import printable
from ctacal.noise import blood_pool_hu, blood_pool_noise_hu
from ctacal.prediction import ModelInfo, Prediction, Predictor
from ctacal.result import Acquisition, ChosenSeries, RefusedStudy, Scan, ScoredStudy, StudyResult
from ctacal.scores import KVP_TOLERANCE, SCCT_2016, ScoringRule, score_label_map, scored_lesions
from ctacal.threshold import threshold_labels
from ctacal.uncounted import listed
from ctacal.volume import Volume
from ctacal.whole_body import Locate, heart_slices, part_to_read

REFERENCE_KVP = 120.0
"""The tube voltage for which the Agatston thresholds hold."""

THICK_SLICE_MM = 5.0
"""Slice thickness above which partial volume hides small lesions (CTAC slices are 2-10 mm thick)."""

HIGH_NOISE_HU = 130.0 / 3
"""Noise SD at which the calcium threshold is three SD away: one voxel of 700 exceeds it by chance (own choice)."""

HEART_INSIDE_MM = 20.0
"""Distance between heart and ends of the scan from which no part of it lies in a series that goes on there (own
choice)."""

_log = logging.getLogger("ctacal")


def score_study(
    study: Study,
    predict: Predictor,
    *,
    locate: Locate | None = heart_slices,
    rule: ScoringRule = SCCT_2016,
    series_uid: str | None = None,
    mass_calibration: float | None = None,
    fill_gaps: bool = False,
    untilt: bool = False,
    allow_contrast: bool = False,
    ranked: tuple[Candidate, ...] | None = None,
) -> StudyResult:
    """Score the coronary calcium of a study. No fault of the study raises an exception: it gives a ``RefusedStudy``.

    Args:
        study: A study of ``read_studies``.
        predict: What labels the calcium: a model of ``load_model``, or any function from a ``Volume`` and a
            ``ScoringRule`` to a ``Prediction``.
        locate: Finds the part to read of a scan too large to be read whole; None: it is read whole all the same.
        rule: The choices that the score depends on.
        series_uid: Selects a series instead of the likeliest CTAC.
        mass_calibration: In mg of hydroxyapatite per cm3 and HU; adds the mass in mg.
        fill_gaps: Interpolates single missing slices, with a warning; without it such a scan is refused.
        untilt: Resamples a gantry tilt away, with a warning; without it such a scan is refused.
        allow_contrast: Scores a CT with contrast medium, with a warning; without it such a scan is refused.
        ranked: The study's ``candidates`` if the caller has them; they then decide about gaps, tilt and tags of
            contrast medium.

    Returns:
        The scores (Agatston has no unit, volume in mm3, mass in mg), with warnings; or the reasons why there are none.

    Raises:
        Nothing that is wrong with a study: an error of the program itself is a refusal (``INTERNAL_ERROR``).

    Example:
        >>> from pathlib import Path
        >>> import ctacal
        >>> [study] = ctacal.read_studies([Path(ctacal.__file__).parent / "sample" / "thorax_phantom.zip"]).studies
        >>> result = score_study(study, predict_threshold)  # the baseline; ctacal.load_model() gives the networks
        >>> result.status, round(result.scores.agatston.total, 1), result.scores.category
        ('scored', 327.7, '101-400')
    """
    timer = _Timer()
    choice: Choice | None = None
    try:
        with timer.stage("choose"):
            if ranked is None:
                ranked = candidates(study, fill_gaps=fill_gaps, untilt=untilt, allow_contrast=allow_contrast)
            choice = choose_among(ranked, study, series_uid)
        return _score_series(
            study, choice, predict, locate, rule, mass_calibration, timer, allow_contrast=allow_contrast
        )
    except Refusal as refusal:
        reason = refusal.reason
    except MemoryError:
        reason = Reason(Code.TOO_LARGE, "the study does not fit into memory")
    except Exception as problem:  # one bad study must never stop a cohort
        _log.exception("study %s", study.uid)
        reason = Reason(Code.INTERNAL_ERROR, f"{type(problem).__name__}: {problem}; please report this")
    return RefusedStudy(
        study_uid=study.uid,
        reasons=(*study.notes, reason),
        candidates=ranked or (),
        chosen=ChosenSeries(choice.series, choice.why, Acquisition.of(choice.series)) if choice else None,
        rule=rule,
        timing_s=timer.seconds,
    )


def _score_series(
    study: Study,
    choice: Choice,
    predict: Predictor,
    locate: Locate | None,
    rule: ScoringRule,
    mass_calibration: float | None,
    timer: "_Timer",
    *,
    allow_contrast: bool,
) -> ScoredStudy:
    header = choice.series.header
    rule = rule.at_kvp(header.kvp)
    with timer.stage("read"):
        stack = part_to_read(choice.stack, locate)
        volume, notes = decode_volume(stack)
    with timer.stage("predict"):
        prediction = _predicted(predict, volume, rule, header.kvp)
    with timer.stage("quality"):
        heart = prediction.heart or heart_if_any(volume)
        noise_sd_hu = blood_pool_noise_hu(volume, heart) if heart else None
        contrast = _contrast_seen(prediction, volume, heart, header.kvp)
    if contrast and not allow_contrast:
        instead = f"{_instead(choice)}, or this one all the same: --allow-contrast"
        raise Refusal(contrast.code, f"{contrast.message}; {instead}")
    with timer.stage("score"):
        lesions, scores = score_label_map(volume, prediction.labels, rule, mass_calibration=mass_calibration)
    told = {reason.code for reason in prediction.reasons}  # the predictor may know more exactly what is cut off
    quality = [note for note in _quality_notes(choice.series, rule, heart, noise_sd_hu) if note.code not in told]
    seen = (contrast,) if contrast else ()
    of_series = _series_notes(choice.series, heart)
    reasons = (*study.notes, *choice.notes, *of_series, *notes, *quality, *seen, *prediction.reasons)
    return ScoredStudy(
        study_uid=study.uid,
        reasons=reasons,
        candidates=choice.candidates,
        chosen=ChosenSeries(choice.series, choice.why, _acquisition(choice, stack, volume)),
        rule=rule,
        scores=scores,
        lesions=scored_lesions(lesions, rule, first_slice=stack.first),
        noise_sd_hu=noise_sd_hu,
        model=prediction.model,
        uncertainty=prediction.uncertainty,
        figures=prediction.figures,
        timing_s=timer.seconds,
        scan=Scan(stack, volume, prediction.labels, heart, lesions, prediction.uncounted),
        uncounted=listed(prediction.uncounted, rule, first_slice=stack.first) if prediction.uncounted else None,
    )


def _predicted(predict: Predictor, volume: Volume, rule: ScoringRule, kvp: float | None) -> Prediction:
    """Return the predictor's answer; raises ``Refusal``, which says so if contrast medium hides the heart."""
    try:
        return predict(volume, rule)
    except Refusal as refusal:
        if refusal.reason.code is not Code.HEART_NOT_FOUND:
            raise
        if contrast := contrast_seen(_enhanced_blood_hu(volume), kvp):
            raise Refusal(contrast.code, f"{contrast.message}; score a CT without contrast medium") from refusal
        raise


def _acquisition(choice: Choice, stack: Stack, volume: Volume) -> Acquisition:
    acquisition = Acquisition.of(choice.series, volume.geometry)
    if stack is choice.stack:
        return acquisition
    last = stack.first + len(stack.slices) - 1
    return replace(acquisition, slices=len(choice.stack.slices), scored_slices=(stack.first, last))


def predict_threshold(volume: Volume, rule: ScoringRule) -> Prediction:
    """Label calcium by the baseline without training: bright, not bone, not aorta, in the heart (``ctacal.threshold``).

    Raises ``Refusal`` (``HEART_NOT_FOUND``).
    """
    heart = find_heart(volume)
    labels = threshold_labels(volume, heart, threshold_hu=rule.threshold_hu)
    return Prediction(labels, model_without_file("threshold"), heart)


def predict_from_file(path: Path) -> Predictor:
    """Return a predictor that answers with a reader's label map, from a file (NIfTI or DICOM SEG)."""

    def predict(volume: Volume, _: ScoringRule) -> Prediction:
        return Prediction(read_label_map(path, volume), label_file_info(path))

    return predict


def locate_labels(path: Path) -> Locate:
    """Return what finds the slices that a reader's label map and the heart lie in; all slices if there are neither."""

    def locate(view: Volume) -> slice:
        heart = heart_if_any(view)
        spans = [labelled_slices(path, view), heart.bounding_box[0] if heart else slice(0, 0)]
        held = [span for span in spans if span.start < span.stop] or [slice(0, len(view.hu))]
        return slice(min(span.start for span in held), max(span.stop for span in held))

    return locate


def label_file_info(path: Path) -> ModelInfo:
    """Return the identity of a label file: its name and the digest of its content."""
    return ModelInfo("labels", printable(path.name), hashlib.sha256(path.read_bytes()).hexdigest())


def model_without_file(name: str) -> ModelInfo:
    """Return the identity of a predictor that is code only: it changes with the version of ctacal."""
    return ModelInfo(name, __version__, hashlib.sha256(f"{name} {__version__}".encode()).hexdigest())


def folder_name(uid: str) -> str:
    """Return a safe folder name for a study or series: its UID if that is valid (PS3.5 section 9.1), else its digest.

    >>> folder_name("1.2.840.1"), folder_name("../../etc")
    ('1.2.840.1', 'uid-74ccf3c5b4c19a81')
    """
    if re.fullmatch(r"[0-9]+(\.[0-9]+)*", uid) and len(uid) <= 64:
        return uid
    return "uid-" + hashlib.sha256(uid.encode()).hexdigest()[:16]


def heart_if_any(volume: Volume) -> HeartMask | None:
    """Return the heart that ``find_heart`` finds, None if it refuses."""
    try:
        return find_heart(volume)
    except Refusal:
        return None


def _contrast_seen(prediction: Prediction, volume: Volume, heart: HeartMask | None, kvp: float | None) -> Reason | None:
    """Return the reason if the blood in the heart is enhanced, measured by the predictor or else here."""
    if prediction.figures:
        return contrast_seen(prediction.figures.blood_hu, kvp)
    return contrast_seen(blood_pool_hu(volume, heart) if heart else _enhanced_blood_hu(volume), kvp)


def _instead(choice: Choice) -> str:
    """Return what to score instead of the chosen series, by the names of the study's other series that fit."""
    fit = [candidate.series for candidate in choice.candidates if candidate.stack]
    others = [series.name for series in fit if series is not choice.series]
    return f"score another CT with --series ({', '.join(others)})" if others else "score another CT"


def _enhanced_blood_hu(volume: Volume) -> float | None:
    """Return the CT value inside a heart that is only found if its blood may read as high as bone; None if none is."""
    try:
        return blood_pool_hu(volume, find_heart(volume, bone_above_hu=ENHANCED_BONE_ABOVE_HU))
    except Refusal:
        return None


def _series_notes(series: Series, heart: HeartMask | None) -> tuple[Reason, ...]:
    """Return the notes of the series, but for one that the scan goes on elsewhere where the heart lies inside it."""
    inside = heart is not None and heart.mm_to_the_ends >= HEART_INSIDE_MM
    return tuple(note for note in series.notes if not (inside and note.code is Code.SCAN_GOES_ON))


def _quality_notes(
    series: Series, rule: ScoringRule, heart: HeartMask | None, noise_sd_hu: float | None
) -> Iterator[Reason]:
    """Yield what a reader should know before trusting the score."""
    kvp, thickness_mm = series.header.kvp, series.slices[0].thickness_mm
    if not rule.kvp_factors and (kvp is None or abs(kvp - REFERENCE_KVP) > KVP_TOLERANCE):
        found = "no usable tube voltage in the header" if kvp is None else f"{kvp:g} kVp"
        yield Reason(
            Code.KVP_NOT_120, f"{found}; the rule {rule.name} holds for 120 kVp (kvp_adapted adjusts the thresholds)"
        )
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
        cut_off = " and the ".join(end for end, reached in ends.items() if reached)
        yield Reason(Code.HEART_CUT_OFF, f"the heart reaches the {cut_off} slice; calcium beyond it is not counted")


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
