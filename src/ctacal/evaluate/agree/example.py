"""A table of readings to try ``ctacal agree`` on: drawn from a seed, of no patient."""

import numpy as np

from ctacal.arrays import Floats
from ctacal.evaluate.agree.raters import VESSELS

STUDIES = 400

NO_CALCIUM = 0.40
"""Share of studies with a score of 0 (Miller 2023: 40.0 %)."""

SHARES = (0.6, 2.5, 1.0, 1.9)
"""Of left main, LAD, circumflex and right coronary in a score, in relation (Dirichlet; own choice)."""

READERS_AND_MODELS = {
    "reader_1": (0.10, 0.03),
    "reader_2": (0.22, 0.05),
    "model_a": (0.35, 0.08),
    "model_b": (0.60, 0.16),
}
"""Spread of the logarithm, and the share of small scores that are missed or made up (own choice)."""


def example_csv(seed: int = 0) -> str:
    """The text of a CSV: study and patient, two readers, two models; vessels of ``reader_1`` and ``model_a``."""
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
                f"{name}_{vessel.lower()}": [f"{one:.1f}" for one in by_vessel[:, k]]
                for k, vessel in enumerate(VESSELS)
            }
    lines = [",".join(columns), *(",".join(row) for row in zip(*columns.values(), strict=True))]
    return "\n".join(lines) + "\n"


def _scored(truth: Floats, spread: float, missed: float, rng: np.random.Generator) -> Floats:
    """What a rater makes of the truth: noise, small lesions missed, noise taken for some."""
    scores = truth * np.exp(rng.normal(0, spread, len(truth)))
    scores[(truth < 30) & (rng.random(len(truth)) < 3 * missed)] = 0
    made_up = (truth == 0) & (rng.random(len(truth)) < missed)
    scores[made_up] = rng.exponential(8, int(made_up.sum()))
    return np.asarray(np.round(scores, 1), np.float64)
