"""Accuracy on test studies whose truth is known: from the results of ``ctacal accuracy`` to the model card.

``results``: the table of results, one row for each study and predictor. ``figures``: each figure of the card, such as
kappa, from the rows of a predictor. ``goals``: the goals, and whether they are met. ``reliability_diagram``:
calibration of the probabilities. ``real_scans``: results on real scans. ``contenders``: the models that a card
compares, and the cohorts. ``model_card`` writes the card, with the tables of ``cohort_section``, the paragraphs of
``card_text`` and the cells of ``markdown``::

    write_card(Path("model-card.md"), contenders, read_results(Path("results.csv")), read_real_scans(Path("real.toml")))

The names are imported on first use, so that what needs no statistics does not wait for them.
"""

from typing import TYPE_CHECKING

from ctacal.public_names import imported_on_use

if TYPE_CHECKING:
    from ctacal.evaluate.accuracy.contenders import Cohort, Contender, cohorts_of
    from ctacal.evaluate.accuracy.figures import (
        FIGURES,
        Figure,
        KindFound,
        Reference,
        Scored,
        difference,
        kind_found,
        scored,
    )
    from ctacal.evaluate.accuracy.goals import GOAL_KINDS, KIND_GOAL, Verdict, verdicts
    from ctacal.evaluate.accuracy.model_card import write_card
    from ctacal.evaluate.accuracy.real_scans import RealScan, read_real_scans
    from ctacal.evaluate.accuracy.reliability_diagram import Reliability, draw_reliability, reliability
    from ctacal.evaluate.accuracy.results import (
        COLUMNS,
        NO_DEPOSIT,
        VESSELS,
        Row,
        counted_kinds,
        read_results,
        write_results,
    )

__all__ = [
    "COLUMNS",
    "FIGURES",
    "GOAL_KINDS",
    "KIND_GOAL",
    "NO_DEPOSIT",
    "VESSELS",
    "Cohort",
    "Contender",
    "Figure",
    "KindFound",
    "RealScan",
    "Reference",
    "Reliability",
    "Row",
    "Scored",
    "Verdict",
    "cohorts_of",
    "counted_kinds",
    "difference",
    "draw_reliability",
    "kind_found",
    "read_real_scans",
    "read_results",
    "reliability",
    "scored",
    "verdicts",
    "write_card",
    "write_results",
]

_NAMES = {
    "contenders": (
        "Cohort",
        "Contender",
        "cohorts_of",
    ),
    "figures": (
        "FIGURES",
        "Figure",
        "KindFound",
        "Reference",
        "Scored",
        "difference",
        "kind_found",
        "scored",
    ),
    "goals": (
        "GOAL_KINDS",
        "KIND_GOAL",
        "Verdict",
        "verdicts",
    ),
    "model_card": ("write_card",),
    "real_scans": (
        "RealScan",
        "read_real_scans",
    ),
    "reliability_diagram": (
        "Reliability",
        "draw_reliability",
        "reliability",
    ),
    "results": (
        "COLUMNS",
        "NO_DEPOSIT",
        "VESSELS",
        "Row",
        "counted_kinds",
        "read_results",
        "write_results",
    ),
}
"""Public names of each module."""

__getattr__ = imported_on_use(__name__, _NAMES)
