"""Accuracy of predictors on test studies whose truth is known: a table of results. ``jobs.model_card`` shows it."""

import hashlib
import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ctacal import __version__
from ctacal.arrays import Mask
from ctacal.categories import CATEGORY_KEYS
from ctacal.errors import Refusal, UsageError
from ctacal.evaluate.accuracy.contenders import COHORT_KINDS, SIMULATED
from ctacal.evaluate.accuracy.results import NO_DEPOSIT, VESSELS, Row, read_results, write_results
from ctacal.labels import CORONARY_LABELS, LabelMap
from ctacal.nn.card import Measured
from ctacal.nn.known_study import KnownStudy, read_test_study
from ctacal.nn.predict import Model
from ctacal.prediction import ModelInfo, Prediction, Predictor, Uncertainty
from ctacal.progress import Progress, no_progress
from ctacal.scores import SCCT_2016, Scores, ScoringRule, score_label_map
from ctacal.study import model_without_file, predict_threshold

RULE = SCCT_2016

BASELINE = model_without_file("threshold")

Key = tuple[str, str, str]
"""What identifies a row of the table: cohort, study, digest of the model."""

_log = logging.getLogger("ctacal")


@dataclass(frozen=True, eq=False, slots=True)
class NamedPredictor:
    """A predictor with its identity, which is known before it runs."""

    info: ModelInfo
    predict: Predictor
    settings_digest: str = ""
    """Digest of the settings that change its scores: calibration, thresholds and rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccuracyJob:
    """A cohort of test studies to score by some models and the baseline."""

    cohort: Path
    """Folder of test studies (.npz); its name is that of the cohort."""
    table: Path
    """The table of results (CSV); rows of other cohorts and models in it stay."""
    models: Sequence[Model] = ()
    kind: str = SIMULATED
    """Kind of the cohort, one of ``COHORT_KINDS``."""

    @property
    def name(self) -> str:
        """Name of the cohort in the table."""
        return self.cohort.resolve().name


def score_cohort(job: AccuracyJob, *, progress: Progress = no_progress) -> list[Row]:
    """Score the test studies and return their rows; the table is written after each study.

    Rows that the table holds already, of the same file, weights, settings and version of ctacal, are kept unless they
    failed. Raises ``UsageError`` if the folder holds no test study, and ``ValueError`` if the kind is not known.
    """
    paths = sorted(job.cohort.glob("[!.]*.npz"))  # without files that are being written
    if not paths:
        raise UsageError(f"{job.cohort} holds no test studies (.npz)")
    if job.kind not in COHORT_KINDS:
        raise ValueError(f"expected a kind of {', '.join(COHORT_KINDS)}, got {job.kind!r}")
    predictors = [NamedPredictor(model.info, model, _settings_digest(model.info, model.card)) for model in job.models]
    predictors.append(NamedPredictor(BASELINE, predict_threshold, _settings_digest(BASELINE, {})))
    rows = {_key(row): row for row in read_results(job.table)}
    cohort = {"cohort": job.name, "cohort_kind": job.kind, "ctacal": __version__}
    keys = []
    progress(0, len(paths))
    for number, path in enumerate(paths, start=1):
        found = list(score_file(path, predictors, known=rows, cohort=cohort))
        keys += [_key(row) for row in found]
        if any(rows.get(_key(row)) is not row for row in found):
            rows |= {_key(row): row for row in found}
            write_results(job.table, rows.values())
        progress(number, len(paths))
    return [rows[key] for key in keys]


def _settings_digest(info: ModelInfo, card: Mapping[str, Any]) -> str:
    """Return the digest of the rule, of what was measured of the model after export, and of what runs it."""
    settings = [RULE.to_json(), Measured.from_card(card).to_json(), info.runtime]
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def _key(row: Row) -> Key:
    return row["cohort"], row["study"], row["model_digest"]


def score_file(
    path: Path, predictors: Sequence[NamedPredictor], *, known: Mapping[Key, Row], cohort: Mapping[str, str]
) -> Iterator[Row]:
    """Yield a row for each predictor; rows in ``known`` that begin in the same way are kept, unless they failed.

    A file that cannot be read gives rows of status ``failed``. The cells of ``cohort`` are the same in every row.
    """
    digest = _digest(path)
    study: KnownStudy | str | None = None
    for predictor in predictors:
        start = {
            **cohort, "study": path.stem, "study_digest": digest, "predictor": predictor.info.name,
            "model_version": predictor.info.version, "model_digest": predictor.info.digest,
            "settings_digest": predictor.settings_digest,
        }  # fmt: skip
        earlier = known.get(_key(start))
        if earlier and start.items() <= earlier.items() and earlier["status"] != "failed":
            yield earlier
            continue
        study = study or _read(path)  # once for all predictors, and only if one has to run
        if isinstance(study, str):
            yield {**start, "status": "failed", "reason": study}
        else:
            yield {**start, **score_known_study(study, predictor.predict)}


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    except OSError:  # _read reports it
        return ""


def _read(path: Path) -> KnownStudy | str:
    """Return the study, or why it cannot be read."""
    try:
        return read_test_study(path)
    except (UsageError, MemoryError) as problem:
        return str(problem) or type(problem).__name__


def score_known_study(study: KnownStudy, predict: Predictor, rule: ScoringRule = RULE) -> Row:
    """Return the cells of one study and predictor: the truth, the prediction, and which other calcium it counted."""
    row: Row = {}
    try:
        row |= _truth(study, rule)
        begin = time.perf_counter()
        prediction = predict(study.volume, rule)
        seconds = round(time.perf_counter() - begin, 3)
        predicted = _predicted(study, prediction, rule)
        return {**row, **predicted, "seconds": seconds, "status": "scored", "reason": ""}
    except Refusal as refusal:
        return {**row, "status": "refused", "reason": str(refusal)}
    except Exception as problem:  # one bad study must never stop a cohort
        _log.exception("study %s", study.name)
        return {**row, "status": "failed", "reason": f"{type(problem).__name__}: {problem}"}


def _truth(study: KnownStudy, rule: ScoringRule) -> Row:
    facts, scores = study.facts, score_label_map(study.volume, study.labels, rule)[1]
    visible = [name for name, mask in _deposit_kinds(study, rule) if name != NO_DEPOSIT and mask.any()]
    return {
        "patient": str(facts.seed),
        "centre": facts.centre,
        "kinds_present": " ".join(sorted(facts.deposit_kinds)),
        "kinds_visible": " ".join(sorted(visible)),
        "true_agatston": scores.agatston.total,
        **_by_vessel("true_", scores.agatston.per_vessel),
        "gated_agatston": facts.reference_agatston,
        **_by_vessel("gated_", facts.reference_per_vessel or {}),
        **_by_vessel("true_mass_mg_", facts.mass_mg or {}),
    }


def _predicted(study: KnownStudy, prediction: Prediction, rule: ScoringRule) -> Row:
    scores = score_label_map(study.volume, prediction.labels, rule)[1]
    uncertainty = prediction.uncertainty or Uncertainty()
    probabilities = uncertainty.category_probabilities or (None,) * len(CATEGORY_KEYS)
    counted = _counted(study, prediction.labels, scores, rule)
    return {
        "kinds_counted": " ".join(f"{kind}:{agatston:.4f}" for kind, agatston in counted.items()),
        "agatston": scores.agatston.total,
        **_by_vessel("agatston_", scores.agatston.per_vessel),
        "agatston_coronary": scores.agatston.per_vessel["CORONARY"],
        **_by_vessel("mass_mg_", uncertainty.excess_mass_mg),
        "gated_equivalent_agatston": uncertainty.gated_equivalent_agatston,
        "certainty": uncertainty.coronary_certainty,
        **dict(zip(CATEGORY_KEYS, probabilities, strict=True)),
    }


def _by_vessel(prefix: str, values: Mapping[str, Any]) -> Row:
    return {f"{prefix}{vessel}": values.get(vessel.upper()) for vessel in VESSELS}


def _counted(study: KnownStudy, labels: LabelMap, scores: Scores, rule: ScoringRule) -> dict[str, float]:
    """Return the Agatston score that each kind of non-coronary deposit adds: the score less that without its voxels."""
    coronary = np.isin(labels.labels, CORONARY_LABELS)
    added = {}
    for name, mask in _deposit_kinds(study, rule):
        wrong = mask & coronary
        if wrong.any():
            left = LabelMap(np.where(wrong, np.uint8(0), labels.labels), labels.geometry)
            without = score_label_map(study.volume, left, rule)[1]
            added[name] = scores.agatston.total - without.agatston.total
    return {name: agatston for name, agatston in added.items() if agatston > 0}


def _deposit_kinds(study: KnownStudy, rule: ScoringRule) -> Iterator[tuple[str, Mask]]:
    """Yield each non-coronary kind and its voxels at or above the threshold; nothing if the kinds are not known."""
    if study.deposit_labels is None:
        return
    from ctacal.simulate.anatomy.calcium import Kind
    from ctacal.simulate.truth import KIND_LABELS, VESSEL_LABELS  # needs the extra `simulate`

    names = {value: kind.value for kind, value in KIND_LABELS.items()}
    coronary = {*VESSEL_LABELS.values(), KIND_LABELS[Kind.CORONARY]}
    bright = study.volume.hu >= rule.threshold_hu
    for value in np.unique(study.deposit_labels[bright]).tolist():
        if value in coronary:
            continue
        mask = bright & (study.deposit_labels == value)
        if value == 0:
            mask &= study.labels.labels == 0
        yield (names.get(value, f"kind_{value}") if value else NO_DEPOSIT), mask
