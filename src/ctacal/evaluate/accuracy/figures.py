"""What the lines of ``ctacal accuracy`` come to: each figure of the model card, with its goal."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ctacal.arrays import Floats
from ctacal.evaluate.accuracy.results import VESSELS, Row, counted_kinds
from ctacal.statistics.agreement import (
    Weights,
    bootstrap_kappa,
    cross_table,
    exact_agreement,
    icc_agreement,
    icc_consistency,
    kappa_difference,
    risk_categories,
    sensitivity,
    spearman,
    specificity,
    within_one_agreement,
)
from ctacal.statistics.estimate import Estimate, proportion

Reference = Literal["true", "gated"]
"""The true label map's score on the same scan, or the gated scan's score."""

KIND_GOAL = 0.03
"""Each of ``GOAL_KINDS`` is counted as coronary in fewer of the studies that show it."""

GOAL_KINDS = ("aortic_wall", "aortic_valve", "mitral_annulus", "lymph_node", "sternal_wire", "lead")


Answered = Literal["agatston", "true", "gated_equivalent"]
"""Which of a line's scores is set beside the reference."""


@dataclass(frozen=True, eq=False, slots=True)
class Scored:
    """The studies that a predictor scored, beside a reference; all (n,) long, n may be 0."""

    reference: Floats
    """Agatston."""
    model: Floats
    reference_by_vessel: Mapping[str, Floats]
    model_by_vessel: Mapping[str, Floats]
    """Without any vessel where the predictor names none."""
    patients: tuple[str, ...]
    missed: int
    """Studies with a reference that it refused or failed on."""

    @property
    def classes(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Risk categories of reference and model."""
        return risk_categories(self.reference), risk_categories(self.model)

    @property
    def table(self) -> NDArray[np.int64]:
        """(4, 4): reference in rows."""
        return cross_table(*self.classes)


def scored(rows: Sequence[Row], reference: Reference, model: Answered = "agatston") -> Scored:
    """From the lines of one predictor; ``model="true"`` puts the true label map in its place.

    ``"gated_equivalent"`` takes what the predictor says a gated scan would score; that names no vessel.
    """
    asked = [row for row in rows if row[f"{reference}_agatston"] is not None]
    kept = [row for row in asked if row["status"] == "scored" or model == "true"]
    if model == "gated_equivalent":
        kept = [row for row in kept if row["gated_equivalent_agatston"] is not None]
    unnamed = model == "gated_equivalent" or any(row["agatston_coronary"] for row in kept if model == "agatston")
    by_vessel = {} if unnamed else {vessel: _column(kept, f"{model}_{vessel}") for vessel in VESSELS}
    return Scored(
        _column(kept, f"{reference}_agatston"),
        _column(kept, {"agatston": "agatston"}.get(model, f"{model}_agatston")),
        {vessel: _column(kept, f"{reference}_{vessel}") for vessel in VESSELS},
        by_vessel,
        tuple(row["patient"] for row in kept),
        len(asked) - len(kept),
    )


def _column(rows: Sequence[Row], name: str) -> Floats:
    return np.array([np.nan if row[name] is None else row[name] for row in rows], np.float64)


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the side-by-side table."""

    name: str
    of: Callable[[Scored], Estimate]
    goals: Mapping[Reference, float]
    """At least this; none where nothing was set."""
    elsewhere: Mapping[Reference, str]
    """What others reached, on other data."""


def _kappa(weights: Weights) -> Callable[[Scored], Estimate]:
    return lambda found: bootstrap_kappa(*found.classes, weights, patients=found.patients)


def _vessel(name: str) -> Callable[[Scored], Estimate]:
    def icc(found: Scored) -> Estimate:
        if name not in found.model_by_vessel:
            return Estimate(None, None, None, "ICC(2,1)", len(found.model), "names no vessels")
        pair = np.column_stack([found.reference_by_vessel[name], found.model_by_vessel[name]])
        return icc_agreement(pair[np.isfinite(pair).all(axis=1)])

    return icc


def _exact_of_all(found: Scored) -> Estimate:
    return proportion(int(found.table.trace()), found.model.size + found.missed)


def _any_calcium(measure: Callable[[NDArray[np.bool_], NDArray[np.bool_]], Estimate]) -> Callable[[Scored], Estimate]:
    return lambda found: measure(found.reference > 0, found.model > 0)


FIGURES = (
    Figure(
        "kappa, linear weights", _kappa("linear"), {"true": 0.90, "gated": 0.80},
        {"true": "0.80 (Miller 2023); two readers 0.85", "gated": "automatic 0.58-0.74; readers 0.75-0.80"},
    ),
    Figure("kappa, quadratic weights", _kappa("quadratic"), {}, {}),
    Figure("kappa, unweighted", _kappa("unweighted"), {}, {}),
    Figure("exact agreement", lambda one: exact_agreement(one.table), {"true": 0.85}, {"true": "0.735 (DeepCAC)"}),
    Figure("the same, refused or failed counted as wrong", _exact_of_all, {}, {}),
    Figure("within one category", lambda one: within_one_agreement(one.table), {}, {}),
    Figure("CAC > 0: sensitivity", _any_calcium(sensitivity), {"true": 0.93}, {"true": "0.917 (DeepCAC)"}),
    Figure("CAC > 0: specificity", _any_calcium(specificity), {"true": 0.93}, {"true": "0.621 (DeepCAC)"}),
    Figure(
        "Agatston, ICC(2,1)", lambda one: icc_agreement(np.column_stack([one.reference, one.model])), {"true": 0.95}, {}
    ),
    Figure("Agatston, ICC(3,1)", lambda one: icc_consistency(np.column_stack([one.reference, one.model])), {}, {}),
    Figure("Agatston, Spearman", lambda one: spearman(one.reference, one.model), {}, {}),
    *(Figure(f"{vessel.upper()}, ICC(2,1)", _vessel(vessel), {"true": 0.90}, {}) for vessel in VESSELS),
)  # fmt: skip
"""Goals and the figures of others: issue 4 and the literature it stands on (Miller RJH et al., J Nucl Med
2023;64:652-658; Isgum I et al., J Nucl Cardiol 2018;25:2133-2142; Dobrolinska MM et al. 2024; Zeleznik R et al., Nat
Commun 2021;12:715, DeepCAC on 396 scans of NLST)."""


def difference(rows: Sequence[Row], other: Sequence[Row], reference: Reference) -> Estimate:
    """Linear weighted kappa of one predictor minus that of another, on the studies that both scored."""
    second = {row["study"]: row for row in other if row["status"] == "scored"}
    pairs = [
        (row, second[row["study"]])
        for row in rows
        if row["status"] == "scored" and row["study"] in second and row[f"{reference}_agatston"] is not None
    ]
    truth, ours, theirs = (
        risk_categories([pair[side][name] for pair in pairs])
        for side, name in ((0, f"{reference}_agatston"), (0, "agatston"), (1, "agatston"))
    )
    return kappa_difference(truth, ours, theirs, patients=[row["patient"] for row, _ in pairs])


@dataclass(frozen=True, slots=True)
class KindFound:
    """How often one kind of other calcium or metal was counted as coronary."""

    share: Estimate
    """Of the scored studies that show it at or above the threshold."""
    wrong: int
    median_agatston: float | None
    """What it added, over the studies where it was counted."""


def kind_found(rows: Sequence[Row], kind: str, *, everywhere: bool = False) -> KindFound:
    """Over the lines of one predictor; ``everywhere`` takes all studies for showing it."""
    shown = [row for row in rows if row["status"] == "scored" and (everywhere or kind in row["kinds_visible"].split())]
    added = [agatston for row in shown if (agatston := counted_kinds(row).get(kind, 0.0)) > 0]
    share = proportion(len(added), len(shown), "no study shows it")
    return KindFound(share, len(added), median(added) if added else None)
