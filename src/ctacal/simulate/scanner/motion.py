"""Motion during the scan: the beating heart, not gated, and breathing.

The body at rest is projected once. For each phase of the heart cycle, the difference that the heart region makes is
added to the views taken in that phase. Breathing displaces slices along the patient's axis: this gives steps between
slices, and blur within a slice if the rotation is slow. Bones move too, and all views of a slice have the same blur.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ctacal.arrays import Floats
from ctacal.geometry import Geometry
from ctacal.simulate.materials import Body
from ctacal.simulate.scanner.projector import view_angles
from ctacal.simulate.scanner.protocol import ScannerProtocol
from ctacal.simulate.scanner.slabs import check_grid

SHORTEST_BEAT = 0.4
"""Shortest RR interval over the mean (assumed)."""


BREATHING_STEPS = 5
"""Number of moments of its rotation over which a slice averages the body (own choice)."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Motion:
    """Heartbeat and breathing during a scan."""

    phases: tuple[Body, ...] = ()
    """The heart region at evenly spaced phases of the cycle, each a whole-voxel part of the body's grid."""
    heart_rate_bpm: float = 70.0
    irregularity: float = 0.0
    """SD of the RR intervals over their mean; see ``vital_signs.ATRIAL_FIBRILLATION``."""
    breathing_mm: float = 0.0
    """Displacement of the body towards the feet at full inspiration."""
    breathing_s: float = 4.0
    """Time of one breath."""

    def __post_init__(self) -> None:
        for name in ("heart_rate_bpm", "breathing_s"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}, expected above 0")
        if not 0 <= self.irregularity <= 1:
            raise ValueError(f"irregularity is {self.irregularity}, expected 0 to 1")

    @classmethod
    def of_heart(
        cls,
        body_at: Callable[[float], Body],
        *,
        phases: int = 8,
        heart_rate_bpm: float = 70.0,
        irregularity: float = 0.0,
    ) -> "Motion":
        """Return a beating heart; ``body_at`` returns the heart region at a phase from 0 to 1."""
        bodies = tuple(body_at(k / phases) for k in range(phases))
        return cls(phases=bodies, heart_rate_bpm=heart_rate_bpm, irregularity=irregularity)


@dataclass(frozen=True, eq=False)
class Timing:
    """The times at which the views of each slice of a scan are taken."""

    middle_s: Floats
    """(slices,): middle of the slice's rotation."""
    breathing_s: Floats
    """(``BREATHING_STEPS``, slices): moments spread over the slice's rotation."""
    view_s: Floats
    """(2, views, slices): a parallel view is the mean of two, half a rotation apart."""

    @classmethod
    def of(cls, protocol: ScannerProtocol, position_mm: Floats, start_s: float) -> "Timing":
        """Return a rotation for each slice, centred on the moment when the beam's centre meets it."""
        travel_mm = position_mm - position_mm[0]
        if protocol.helical:
            middle_s = travel_mm / (protocol.pitch * protocol.collimation_mm) * protocol.rotation_s
        else:
            rotation = np.floor(travel_mm / protocol.collimation_mm + 1e-6)
            middle_s = rotation * (protocol.rotation_s + protocol.step_s)
        middle_s = start_s + protocol.rotation_s / 2 + middle_s
        half_turn_s = protocol.rotation_s / 2
        first_s = middle_s - half_turn_s
        spread_s = ((np.arange(BREATHING_STEPS) + 0.5) / BREATHING_STEPS - 0.5) * protocol.rotation_s
        at_angle_s = view_angles(protocol.views)[:, None] / np.pi * half_turn_s
        first_view_s = first_s + np.mod(at_angle_s - first_s, half_turn_s)
        return cls(middle_s, middle_s + spread_s[:, None], np.stack([first_view_s, first_view_s + half_turn_s]))


def breathing_shift_mm(motion: Motion, time_s: Floats) -> Floats:
    """Return the displacement towards the feet from end-expiration (Lujan AE et al., Med Phys 1999;26:715-720)."""
    return np.asarray(motion.breathing_mm * np.sin(np.pi * time_s / motion.breathing_s) ** 4)


def phase_weights(motion: Motion, view_s: Floats, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return (phases, views, slices): the weight of each phase in each view; they sum to 1."""
    count = len(motion.phases)
    position = np.mod(_cycles(motion, view_s, rng), 1) * count
    distance = np.abs(position[None] - np.arange(count).reshape(-1, 1, 1, 1))
    distance = np.minimum(distance, count - distance)
    return np.asarray(np.clip(1 - distance, 0, 1).mean(axis=1), np.float32)


def _cycles(motion: Motion, time_s: Floats, rng: np.random.Generator) -> Floats:
    """Return the heart cycles since the start; the length of each is drawn."""
    mean_s = 60 / motion.heart_rate_bpm
    beats = int(np.max(time_s) / mean_s / SHORTEST_BEAT) + 2
    lengths_s = mean_s * np.maximum(1 + motion.irregularity * rng.standard_normal(beats), SHORTEST_BEAT)
    return np.asarray(np.interp(time_s, np.append(0, np.cumsum(lengths_s)), np.arange(beats + 1.0)))


def still_region(body: Body, region: Geometry) -> Body:
    """Return the part of the body that a moving region replaces.

    Raises ``ValueError`` if the region is not a part of the body's grid in whole voxels.
    """
    check_grid(region)
    corner = np.linalg.inv(body.geometry.affine) @ np.append(region.to_patient_mm((0, 0, 0)), 1)
    start = np.rint(corner[:3]).astype(int)
    spans = tuple(slice(a, a + n) for a, n in zip(start.tolist(), region.shape, strict=True))
    inside = (start >= 0).all() and (start + region.shape <= body.geometry.shape).all()
    part = (spans[0], spans[1], spans[2])
    if not inside or not body.geometry.crop(part).same_grid(region):
        raise ValueError(f"the heart region {region.shape} is no whole-voxel part of the body {body.geometry.shape}")
    return Body(body.tissue[part], body.hydroxyapatite_mg_cm3[part], region)


def slices_of(body: Body, region: Geometry) -> slice:
    """Return the slices of the body that the region covers."""
    first = round((region.affine[2, 3] - body.geometry.affine[2, 3]) / body.geometry.slice_spacing_mm)
    return slice(first, first + region.shape[0])


def random_start_s(motion: Motion, rng: np.random.Generator) -> float:
    """Return a random start of the scan within a heart cycle or a breath."""
    return float(rng.uniform(0, max(60 / motion.heart_rate_bpm, motion.breathing_s)))
