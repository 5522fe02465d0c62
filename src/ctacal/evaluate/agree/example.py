"""A simulated table of readings to try ``ctacal agree`` on."""

import numpy as np

from ctacal.arrays import Floats
from ctacal.evaluate.agree.raters import VESSELS

STUDIES = 400
"""Number of studies in the example."""

NO_CALCIUM = 0.40
"""Proportion of studies with a score of 0 (Miller 2023: 40.0 %)."""

SHARES = (0.6, 2.5, 1.0, 1.9)
"""Dirichlet parameters of the shares of left main, LAD, circumflex and right coronary in a score (own choice)."""

READERS_AND_MODELS = {
    "reader_1": (0.10, 0.03),
    "reader_2": (0.22, 0.05),
    "model_a": (0.35, 0.08),
    "model_b": (0.60, 0.16),
    "reader_3": (0.28, 0.06),
}
"""Standard deviation of the log score, and proportion of small scores missed or invented, by column (own choice)."""


def example_csv(seed: int = 0) -> str:
    """Return the text of a CSV: study, patient, three readers, two models.

    ``reader_1`` and ``model_a`` also have scores by vessel; ``reader_1`` read every third study twice.
    """
    rng = np.random.default_rng(seed)
    patients = np.sort(rng.integers(0, int(0.9 * STUDIES), STUDIES))
    truth = np.where(rng.random(STUDIES) < NO_CALCIUM, 0.0, np.exp(rng.normal(4.6, 1.7, STUDIES)))
    parts = rng.dirichlet(SHARES, STUDIES)
    columns: dict[str, list[str]] = {
        "study_uid": [f"1.2.826.0.1.{seed}.{number}" for number in range(1, STUDIES + 1)],
        "patient_id": [f"P{number:03d}" for number in patients],
    }
    for name, (spread, missed) in READERS_AND_MODELS.items():
        scores = _scored(truth, spread, missed, rng)
        columns[name] = [f"{score:.1f}" for score in scores]
        if name in ("reader_1", "model_a"):
            by_vessel = np.round(scores[:, None] * parts, 1)
            columns |= {
                f"{name}_{vessel.lower()}": [f"{score:.1f}" for score in by_vessel[:, k]]
                for k, vessel in enumerate(VESSELS)
            }
    again = _scored(truth, *READERS_AND_MODELS["reader_1"], rng)
    columns["reader_1_second"] = [f"{score:.1f}" if row % 3 == 0 else "" for row, score in enumerate(again)]
    lines = [",".join(columns), *(",".join(row) for row in zip(*columns.values(), strict=True))]
    return "\n".join(lines) + "\n"


def _scored(truth: Floats, spread: float, missed: float, rng: np.random.Generator) -> Floats:
    """Return a rater's scores: the truth with noise, small lesions missed, and noise taken for lesions."""
    scores = truth * np.exp(rng.normal(0, spread, len(truth)))
    scores[(truth < 30) & (rng.random(len(truth)) < 3 * missed)] = 0
    invented = (truth == 0) & (rng.random(len(truth)) < missed)
    scores[invented] = rng.exponential(8, int(invented.sum()))
    return np.asarray(np.round(scores, 1), np.float64)
