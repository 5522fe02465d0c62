"""``ctacal accuracy``: predictors on test studies whose truth is known, and the model card of what comes out."""

import hashlib
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import typer
from numpy.typing import NDArray

from ctacal import __version__
from ctacal.cli.progress import progress
from ctacal.errors import Refusal, UsageError
from ctacal.evaluate.accuracy.model_card import Contender, write_card
from ctacal.evaluate.accuracy.real_scans import read_real_scans
from ctacal.evaluate.accuracy.results import NO_DEPOSIT, PROBABILITIES, VESSELS, Row, read_results, write_results
from ctacal.labels import CORONARY_LABELS, LabelMap
from ctacal.nn.known_study import KnownStudy, read_test_study
from ctacal.nn.predict import Model, load_model
from ctacal.scores import SCCT_2016, Scores, ScoringRule, score_label_map
from ctacal.study import ModelInfo, Prediction, Predictor, model_without_file, predict_threshold

COHORT_KINDS = ("simulated", "inserted")
RULE = SCCT_2016

BASELINE = model_without_file("threshold")

_log = logging.getLogger("ctacal")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line asks for, as typed."""

    cohort: Path | None
    out: Path
    models: Sequence[Path] = ()
    kind: str = "simulated"
    card: Path | None = None
    real: Path | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Entrant:
    """A predictor with its identity, known before it runs."""

    info: ModelInfo
    predict: Predictor


def run(options: Options) -> int:
    """Score and write the card, as asked; returns the exit status: 0 all scored, 1 some not."""
    if options.cohort is None and options.card is None:
        raise UsageError("give a COHORT to score, or --card for the model card of what OUT holds")
    models = [load_model(folder) for folder in options.models]
    if options.card and not models:
        raise UsageError("--card needs --model: the model that the card is of, then those it is compared with")
    missed = _score_cohort(options, options.cohort, models) if options.cohort else 0
    if options.card:
        _write_card(options, options.card, models)
    return 1 if missed else 0


def _score_cohort(options: Options, cohort: Path, models: Sequence[Model]) -> int:
    """Fill OUT/results.csv study by study; how many of its lines are not scored."""
    paths = sorted(cohort.glob("[!.]*.npz"))  # not what is being written
    if not paths:
        raise UsageError(f"{cohort} holds no test studies (.npz)")
    if options.kind not in COHORT_KINDS:
        raise UsageError(f"--kind {options.kind}: known are {', '.join(COHORT_KINDS)}")
    entrants = [*(Entrant(model.info, model) for model in models), Entrant(BASELINE, predict_threshold)]
    table = options.out / "results.csv"
    lines = {_key(row): row for row in read_results(table)}
    cohort_told = {"cohort": cohort.resolve().name, "cohort_kind": options.kind, "ctacal": __version__}
    keys = []
    with progress("scoring", len(paths)) as advance:
        for path in paths:
            found = list(prove_file(path, entrants, known=lines, told=cohort_told))
            keys += [_key(row) for row in found]
            if any(lines.get(_key(row)) is not row for row in found):
                lines |= {_key(row): row for row in found}
                write_results(table, lines.values())
            advance()
    return _summarise([lines[key] for key in keys], table)


def _key(row: Row) -> tuple[str, str, str]:
    return row["cohort"], row["study"], row["model_digest"]


def prove_file(
    path: Path,
    entrants: Sequence[Entrant],
    *,
    known: Mapping[tuple[str, str, str], Row],
    told: Mapping[str, str],
) -> Iterator[Row]:
    """A line for each predictor; those in ``known`` of the same file and weights are kept, unless they failed.

    A file that cannot be read makes lines of status ``failed``. ``told`` goes to every line.
    """
    digest = _digest(path)
    study: KnownStudy | str | None = None
    for entrant in entrants:
        start = {
            **told, "study": path.stem, "study_digest": digest, "predictor": entrant.info.name,
            "model_version": entrant.info.version, "model_digest": entrant.info.digest,
        }  # fmt: skip
        earlier = known.get(_key(start))
        if earlier and earlier["study_digest"] == digest and earlier["status"] != "failed":
            yield earlier
            continue
        study = study or _read(path)  # once for all predictors, and only where one has to run
        if isinstance(study, str):
            yield {**start, "status": "failed", "reason": study}
        else:
            yield {**start, **prove(study, entrant.predict)}


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    except OSError:  # told by the reader
        return ""


def _read(path: Path) -> KnownStudy | str:
    """The study, or why it cannot be read."""
    try:
        return read_test_study(path)
    except (UsageError, MemoryError) as problem:
        return str(problem) or type(problem).__name__


def prove(study: KnownStudy, predict: Predictor, rule: ScoringRule = RULE) -> Row:
    """The line of one study and predictor: the truth, the answer, and what of other calcium was counted."""
    row: Row = {}
    try:
        row |= _truth(study, rule)
        begin = time.perf_counter()
        prediction = predict(study.volume, rule)
        seconds = round(time.perf_counter() - begin, 3)
        answer = _answer(study, prediction, rule)
        return {**row, **answer, "seconds": seconds, "status": "scored", "reason": ""}
    except Refusal as refusal:
        return {**row, "status": "refused", "reason": str(refusal)}
    except Exception as problem:  # one bad study must never stop a cohort
        _log.exception("study %s", study.name)
        return {**row, "status": "failed", "reason": f"{type(problem).__name__}: {problem}"}


def _truth(study: KnownStudy, rule: ScoringRule) -> Row:
    facts, scores = study.facts, score_label_map(study.volume, study.labels, rule)[1]
    visible = [name for name, mask in _kinds(study, rule) if name != NO_DEPOSIT and mask.any()]
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


def _answer(study: KnownStudy, prediction: Prediction, rule: ScoringRule) -> Row:
    scores = score_label_map(study.volume, prediction.labels, rule)[1]
    told = prediction.uncertainty or {}
    counted = _counted(study, prediction.labels, scores, rule)
    mass_mg = {vessel.upper(): told.get(f"excess_mass_mg_{vessel.upper()}") for vessel in VESSELS}
    return {
        "kinds_counted": " ".join(f"{kind}:{agatston:.4f}" for kind, agatston in counted.items()),
        "agatston": scores.agatston.total,
        **_by_vessel("agatston_", scores.agatston.per_vessel),
        "agatston_coronary": scores.agatston.per_vessel["CORONARY"],
        **_by_vessel("mass_mg_", mass_mg),
        "gated_equivalent_agatston": told.get("gated_equivalent_agatston"),
        "certainty": told.get("coronary_certainty"),
        **{name: told.get(name) for name in PROBABILITIES},
    }


def _by_vessel(prefix: str, values: Mapping[str, Any]) -> Row:
    return {f"{prefix}{vessel}": values.get(vessel.upper()) for vessel in VESSELS}


def _counted(study: KnownStudy, labels: LabelMap, scores: Scores, rule: ScoringRule) -> dict[str, float]:
    """The Agatston score that each kind of what is not coronary adds: with its voxels less without them."""
    coronary = np.isin(labels.labels, CORONARY_LABELS)
    added = {}
    for name, mask in _kinds(study, rule):
        wrong = mask & coronary
        if wrong.any():
            left = LabelMap(np.where(wrong, np.uint8(0), labels.labels), labels.geometry)
            without = score_label_map(study.volume, left, rule)[1]
            added[name] = scores.agatston.total - without.agatston.total
    return {name: agatston for name, agatston in added.items() if agatston > 0}


def _kinds(study: KnownStudy, rule: ScoringRule) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Each kind that is not coronary, and its voxels at or above the threshold; none where kinds are not known."""
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


def _summarise(rows: Sequence[Row], table: Path) -> int:
    """What was not scored, to stderr; and how many lines that is."""
    missed = [row for row in rows if row["status"] != "scored"]
    for row in missed:
        typer.echo(f"{row['study']}  {row['predictor']}  {row['status'].upper()}  {row['reason']}", err=True)
    typer.echo(f"{len(rows) - len(missed)} scored, {len(missed)} not; all in {table}", err=True)
    return len(missed)


def _write_card(options: Options, card: Path, models: Sequence[Model]) -> None:
    contenders = [Contender(_title(model), model.info, model.card) for model in models]
    contenders.append(Contender("threshold baseline", BASELINE, None))
    titles = [one.title for one in contenders]
    if len(set(titles)) < len(titles):
        raise UsageError(f"the models need different names, got: {', '.join(titles)}")
    scans = read_real_scans(options.real) if options.real else []
    write_card(card, contenders, read_results(options.out / "results.csv"), scans)
    typer.echo(f"model card: {card}", err=True)


def _title(model: Model) -> str:
    published = model.card["stages"]["calcium"]["recipe"]["network"]["kind"] == "published"
    return f"published network, rebuilt ({model.info.name})" if published else model.info.name
