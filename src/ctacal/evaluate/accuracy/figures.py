"""The figures of the model card, with their goals, from the results of ``ctacal accuracy``."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

import numpy as np

from ctacal.arrays import Floats, Ints, Mask
from ctacal.categories import CUTS
from ctacal.evaluate.accuracy.contenders import HARD, SIMULATED
from ctacal.evaluate.accuracy.results import VESSELS, Row, counted_kinds
from ctacal.statistics.agreement import (
    Weights,
    above,
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
"""The score from the true label map on the same scan, or the score of the gated scan."""

Answered = Literal["agatston", "true", "gated_equivalent"]
"""The score of a row that is compared with the reference."""


@dataclass(frozen=True, eq=False, slots=True)
class Scored:
    """The scores of a predictor beside a reference; all are (n,), and n may be 0."""

    reference: Floats
    """Agatston scores."""
    model: Floats
    reference_by_vessel: Mapping[str, Floats]
    model_by_vessel: Mapping[str, Floats]
    """Empty if the predictor names no vessels."""
    patients: tuple[str, ...]
    missed: int
    """Number of studies with a reference that were refused or failed."""

    @property
    def classes(self) -> tuple[Ints, Ints]:
        """Risk categories of reference and model."""
        return risk_categories(self.reference), risk_categories(self.model)

    @property
    def pair(self) -> Floats:
        """(n, 2): scores of reference and model."""
        return np.column_stack([self.reference, self.model])

    @property
    def table(self) -> Ints:
        """(4, 4): studies by category, the reference in rows."""
        return cross_table(*self.classes)


def scored(rows: Sequence[Row], reference: Reference, model: Answered = "agatston") -> Scored:
    """Return the scores of a predictor from its rows.

    ``model="true"`` takes the score of the true label map instead. ``model="gated_equivalent"`` takes the predictor's
    estimate of the score of a gated scan, which names no vessels.
    """
    with_reference = [row for row in rows if row[f"{reference}_agatston"] is not None]
    kept = [row for row in with_reference if row["status"] == "scored" or model == "true"]
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
        len(with_reference) - len(kept),
    )


def _column(rows: Sequence[Row], name: str) -> Floats:
    return np.array([np.nan if row[name] is None else row[name] for row in rows], np.float64)


@dataclass(frozen=True, slots=True)
class Figure:
    """A row of the table that compares predictors."""

    name: str
    of: Callable[[Scored], Estimate]
    """Computes the figure."""
    goals: Mapping[tuple[str, Reference], float]
    """Lowest value that meets the goal, by kind of cohort and reference; empty if there is no goal."""
    elsewhere: Mapping[Reference, str]
    """Values published by others, on other data."""
    among: Callable[[Row], bool] = lambda row: True
    """Whether a study is part of the figure."""


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


def _any_calcium(measure: Callable[[Mask, Mask], Estimate]) -> Callable[[Scored], Estimate]:
    return lambda found: measure(above(found.reference, CUTS[0]), above(found.model, CUTS[0]))


KNOWN_DISEASE = {"stent", "bypass_clip"}
"""Signs of known coronary disease; patients with it were not in the published cohorts (Miller 2023)."""


def is_untreated(row: Row) -> bool:
    """Whether the patient has no sign of known coronary disease."""
    return not KNOWN_DISEASE & set(row["kinds_present"].split())


def _goals(
    true: float | None = None, *, gated: float | None = None, hard: float | None = None
) -> dict[tuple[str, Reference], float]:
    """Return the goals of a figure: against both references in simulated scans, against the true one in hard scans."""
    given: dict[tuple[str, Reference], float | None] = {
        (SIMULATED, "true"): true, (SIMULATED, "gated"): gated, (HARD, "true"): hard
    }  # fmt: skip
    return {where: goal for where, goal in given.items() if goal is not None}


FIGURES = (
    Figure(
        "kappa, linear weights", _kappa("linear"), _goals(0.93, gated=0.80, hard=0.85),
        {"true": "0.80 (Miller 2023); two readers 0.85", "gated": "automatic 0.58-0.74; readers 0.75-0.80"},
    ),
    Figure("kappa, quadratic weights", _kappa("quadratic"), {}, {}),
    Figure("kappa, unweighted", _kappa("unweighted"), {}, {}),
    Figure(
        "exact agreement", lambda found: exact_agreement(found.table), _goals(0.92),
        {"true": "0.964 (commercial tool, 112 SPECT CTACs: 3.6 % reclassified); 0.735 (DeepCAC)"},
    ),
    Figure("exact agreement, refused or failed counted as wrong", _exact_of_all, {}, {}),
    Figure("within one category", lambda found: within_one_agreement(found.table), {}, {}),
    Figure(
        "kappa, linear weights, without stents and bypass clips", _kappa("linear"), _goals(0.96), {}, is_untreated
    ),
    Figure(
        "exact agreement, without stents and bypass clips", lambda found: exact_agreement(found.table), _goals(0.95),
        {}, is_untreated,
    ),
    Figure(f"{CUTS[0].name}: sensitivity", _any_calcium(sensitivity), _goals(0.93), {"true": "0.917 (DeepCAC)"}),
    Figure(f"{CUTS[0].name}: specificity", _any_calcium(specificity), _goals(0.95), {"true": "0.621 (DeepCAC)"}),
    Figure("Agatston, ICC(2,1)", lambda found: icc_agreement(found.pair), _goals(0.95), {}),
    Figure("Agatston, ICC(3,1)", lambda found: icc_consistency(found.pair), {}, {}),
    Figure("Agatston, Spearman", lambda found: spearman(found.reference, found.model), {}, {}),
    *(Figure(f"{vessel.upper()}, ICC(2,1)", _vessel(vessel), _goals(0.92), {}) for vessel in VESSELS),
)  # fmt: skip
"""The figures with their goals and the values of others, from issues 4 and 17 and the literature that they cite (Miller
RJH et al., J Nucl Med 2023;64:652-658; Isgum I et al., J Nucl Cardiol 2018;25:2133-2142; Dobrolinska MM et al. 2024;
Zeleznik R et al., Nat Commun 2021;12:715, DeepCAC on 396 scans of NLST; the commercial tool: PMC9984313)."""


def difference(rows: Sequence[Row], other: Sequence[Row], reference: Reference) -> Estimate:
    """Return linear weighted kappa of a predictor minus that of another, on the studies that both scored."""
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
    """How often a kind of other calcium or metal was counted as coronary."""

    share: Estimate
    """Share of the scored studies that show it at or above the threshold."""
    wrong: int
    """Number of studies in which it was counted."""
    median_agatston: float | None
    """Median of the score that it added in these studies."""


def kind_found(rows: Sequence[Row], kind: str, *, everywhere: bool = False) -> KindFound:
    """Return how often a kind was counted, from the rows of a predictor; ``everywhere``: all studies show it."""
    shown = [row for row in rows if row["status"] == "scored" and (everywhere or kind in row["kinds_visible"].split())]
    added = [agatston for row in shown if (agatston := counted_kinds(row).get(kind, 0.0)) > 0]
    share = proportion(len(added), len(shown), "no study shows it")
    return KindFound(share, len(added), median(added) if added else None)
