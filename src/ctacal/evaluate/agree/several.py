"""All readers of a table together, and the two readings of each: what goes beyond pairs of raters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ctacal.arrays import Floats, Ints
from ctacal.categories import CATEGORIES, FIVE_CATEGORIES
from ctacal.evaluate.agree.comparison import Pair, compare_pair
from ctacal.evaluate.agree.raters import Rater, Raters, shared_grade
from ctacal.statistics.agreement import (
    UNREAD,
    WEIGHTS,
    OfTables,
    Spread,
    Weights,
    all_agree,
    bootstrap_fleiss,
    exact_agreement_of,
    five_class_categories,
    fleiss_kappa,
    icc_agreement,
    icc_consistency,
    icc_one_way,
    kappa_beyond_readers,
    krippendorff_alpha,
    light_kappa,
    linear_kappa_of,
    over_readers,
    repeatability,
    reproducibility,
    risk_categories,
    sensitivity_of,
    specificity_of,
)
from ctacal.statistics.estimate import Estimate

SEVERAL = 3
"""Number of readers from which on they are also taken together; two are a pair."""


@dataclass(frozen=True, slots=True)
class SeveralIcc:
    """Intraclass correlation of all readings of a study."""

    agreement: Estimate
    consistency: Estimate
    one_way: Estimate


@dataclass(frozen=True, eq=False, slots=True)
class SeveralCategories:
    """Kappa of all readers."""

    categories: tuple[str, ...]
    fleiss: Estimate
    """With its asymptotic interval; the others have bootstrap intervals."""
    fleiss_bootstrap: Estimate
    light: Mapping[Weights, Estimate]
    alpha: Estimate
    """Krippendorff's, ordinal; of all studies that two readers or more have read."""
    all_agree: Estimate


@dataclass(frozen=True, slots=True)
class ModelAndReaders:
    """A model against readers who stand for all readers: means over the readers, in four categories."""

    model: str
    n: int
    linear_kappa: Estimate
    exact: Estimate
    sensitivity: Estimate
    """For a score above 0, as the specificity."""
    specificity: Estimate
    beyond_readers: Estimate
    """Mean linear kappa with the readers minus that among the readers, for these readers."""


@dataclass(frozen=True, eq=False, slots=True)
class SeveralReaders:
    """All readers together, in the studies that all of them read."""

    readers: tuple[str, ...]
    n: int
    raw: SeveralIcc | None
    """This, its logarithm and the spread are None if of a reader only categories are known."""
    logarithmic: SeveralIcc | None
    """The same figures for log(score + 1)."""
    spread: Spread | None
    four: SeveralCategories
    five: SeveralCategories | None
    models: tuple[ModelAndReaders, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Repeats:
    """The two readings of one rater."""

    reader: str
    comparison: Pair
    """The second reading against the first."""
    raw: Estimate | None
    """ICC(1,1) of the scores; this, the next and the spread are None if only categories are known."""
    logarithmic: Estimate | None
    """ICC(1,1) of log(score + 1)."""
    spread: Spread | None


def compare_readers(raters: Raters, *, seed: int = 0) -> SeveralReaders | None:
    """Return all statistics of the readers together; None if there are fewer than ``SEVERAL``, or no study that all
    have read."""
    readers = raters.of("reader")
    rows = raters.scored_by(readers)
    if len(readers) < SEVERAL or not rows.any():
        return None
    scores = np.column_stack([reader.scores for reader in readers])
    common, grade = scores[rows], shared_grade(readers)
    scored = grade == "scores"
    return SeveralReaders(
        tuple(reader.name for reader in readers), len(common),
        _icc(common) if scored else None, _icc(np.log1p(common)) if scored else None,
        reproducibility(common) if scored else None, _categories(CATEGORIES, scores, raters, seed),
        None if grade == "four" else _categories(FIVE_CATEGORIES, scores, raters, seed),
        tuple(_model(raters, model, seed) for model in raters.of("model")),
    )  # fmt: skip


def compare_repeats(raters: Raters, *, seed: int = 0) -> tuple[Repeats, ...]:
    """Return the two readings of each rater who read studies twice."""
    return tuple(_repeats(raters, rater, seed) for rater in raters.all if rater.read_twice.any())


def _icc(ratings: Floats) -> SeveralIcc:
    return SeveralIcc(icc_agreement(ratings), icc_consistency(ratings), icc_one_way(ratings))


def _categories(names: tuple[str, ...], scores: Floats, raters: Raters, seed: int) -> SeveralCategories:
    every, classes = _categories_of(scores, names), len(names)
    rows = (every != UNREAD).all(axis=1)
    common, patients = every[rows], raters.patients_of(rows)
    return SeveralCategories(
        names,
        fleiss_kappa(common, classes=classes),
        bootstrap_fleiss(common, classes=classes, patients=patients, seed=seed),
        {weights: light_kappa(common, weights, classes=classes, patients=patients, seed=seed) for weights in WEIGHTS},
        krippendorff_alpha(every, classes=classes, patients=raters.patients, seed=seed),
        all_agree(common, classes=classes),
    )


def _categories_of(scores: Floats, names: Sequence[str]) -> Ints:
    """Return the category of each score, of any shape; ``UNREAD`` if there is none."""
    known = np.isfinite(scores)
    found = np.full(scores.shape, UNREAD, np.int64)
    into = risk_categories if len(names) == len(CATEGORIES) else five_class_categories
    found[known] = into(scores[known])
    return found


def _model(raters: Raters, model: Rater, seed: int) -> ModelAndReaders:
    readers = raters.of("reader")
    rows = raters.scored_by([*readers, model])
    rated = np.column_stack([risk_categories(reader.scores[rows]) for reader in readers])
    own, patients = risk_categories(model.scores[rows]), raters.patients_of(rows)

    def mean(statistic: OfTables) -> Estimate:
        return over_readers(statistic, rated, own, patients=patients)

    return ModelAndReaders(
        model.name, len(own),
        mean(linear_kappa_of), mean(exact_agreement_of), mean(sensitivity_of), mean(specificity_of),
        kappa_beyond_readers(rated, own, patients=patients, seed=seed),
    )  # fmt: skip


def _repeats(raters: Raters, rater: Rater, seed: int) -> Repeats:
    first, second = rater.readings()
    both = np.column_stack([first.scores, second.scores])
    found = compare_pair(first, second, patients=raters.patients_of(rater.read_twice), seed=seed)
    if rater.grade != "scores":
        return Repeats(rater.name, found, None, None, None)
    return Repeats(rater.name, found, icc_one_way(both), icc_one_way(np.log1p(both)), repeatability(both))
