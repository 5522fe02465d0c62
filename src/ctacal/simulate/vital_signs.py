"""``VitalSigns``: how heart rate and breathing during a scan are distributed, and functions that draw them."""

from dataclasses import dataclass

import numpy as np

ATRIAL_FIBRILLATION = 0.24
"""SD of RR intervals over their mean in atrial fibrillation (assumed)."""

SINUS_RHYTHM = (0.01, 0.06)
"""Lowest and highest SD of RR intervals over their mean in sinus rhythm (assumed)."""

SHALLOW_SHARE = 0.5
"""Share of patients who hold their breath or breathe shallowly (own choice)."""

SHALLOW_MM = 4.0
"""Largest motion of the body by shallow breathing (own choice)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VitalSigns:
    """Distributions of heart rate and breathing in a group of scans."""

    rate_bpm: tuple[float, float]
    """Mean and SD of the heart rate in sinus rhythm."""
    fibrillation_rate_bpm: tuple[float, float]
    """Mean and SD of the heart rate in atrial fibrillation."""
    rate_limits_bpm: tuple[float, float]
    fibrillation_share: float
    """Share of patients in atrial fibrillation."""
    deepest_mm: float
    """Largest motion of the body by breathing."""
    breath_s: tuple[float, float] | None
    """Mean and SD of the time of one breath; None: uniform within ``breath_limits_s``."""
    breath_limits_s: tuple[float, float]


PATIENTS = VitalSigns(
    rate_bpm=(69, 11), fibrillation_rate_bpm=(82, 14), rate_limits_bpm=(42, 130), fibrillation_share=0.06,
    deepest_mm=14, breath_s=(4.0, 0.8), breath_limits_s=(2.2, 7),
)  # fmt: skip
"""Patients at rest, for studies and test scans (assumed). Some 2-8 % of those sent to perfusion imaging have atrial
fibrillation (assumed)."""

TRAINING = VitalSigns(
    rate_bpm=(72, 14), fibrillation_rate_bpm=(72, 14), rate_limits_bpm=(42, 130), fibrillation_share=0.1,
    deepest_mm=12, breath_s=None, breath_limits_s=(3, 6),
)  # fmt: skip
"""Training crops: rates spread wider, and atrial fibrillation more often than in patients, so that networks see enough
of both (own choice)."""

INSERTED = VitalSigns(
    rate_bpm=(69, 11), fibrillation_rate_bpm=(69, 11), rate_limits_bpm=(45, 110), fibrillation_share=0.0,
    deepest_mm=0, breath_s=None, breath_limits_s=(3, 6),
)  # fmt: skip
"""Calcium inserted into a real scan: sinus rhythm at rest, without the extremes (own choice). Breathing is not drawn:
the real scan's own motion is measured."""


def draw_heart_rate(rng: np.random.Generator, group: VitalSigns) -> tuple[float, bool]:
    """Return a heart rate in beats per minute, and whether the patient is in atrial fibrillation."""
    fibrillates = group.fibrillation_share > 0 and bool(rng.random() < group.fibrillation_share)
    rate = rng.normal(*(group.fibrillation_rate_bpm if fibrillates else group.rate_bpm))
    return float(np.clip(rate, *group.rate_limits_bpm)), fibrillates


def draw_irregularity(rng: np.random.Generator, fibrillates: bool) -> float:
    """Return the SD of the RR intervals over their mean."""
    return ATRIAL_FIBRILLATION if fibrillates else float(rng.uniform(*SINUS_RHYTHM))


def draw_breathing_mm(rng: np.random.Generator, group: VitalSigns) -> float:
    """Return how far a breath moves the body."""
    shallow = rng.random() < SHALLOW_SHARE
    return float(rng.uniform(0, SHALLOW_MM) if shallow else rng.uniform(SHALLOW_MM, group.deepest_mm))


def draw_breath_s(rng: np.random.Generator, group: VitalSigns) -> float:
    """Return the time of one breath."""
    if group.breath_s is None:
        return float(rng.uniform(*group.breath_limits_s))
    return float(np.clip(rng.normal(*group.breath_s), *group.breath_limits_s))
