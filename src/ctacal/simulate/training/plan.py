"""``Plan``: the part of an anatomy that each slice and view of a crop sees."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ctacal.arrays import Floats
from ctacal.geometry import Geometry
from ctacal.simulate.anatomy.heart import contraction
from ctacal.simulate.materials import Body
from ctacal.simulate.scanner.motion import Motion, Timing, breathing_shift_mm, phase_weights, random_start_s
from ctacal.simulate.scanner.slabs import slab_weights
from ctacal.simulate.streams import Stream, generator
from ctacal.simulate.training.anatomy_cache import AnatomyCache
from ctacal.simulate.training.deposits import Deposits
from ctacal.simulate.training.description import CropDescription

CYCLE = 24
"""Number of phases of the heart cycle that are distinguished."""

_NOTHING = Body(
    np.zeros((1, 1, 1), np.uint8), np.zeros((1, 1, 1), np.float32), Geometry.from_spacing((1, 1, 1), (1,) * 3)
)


@dataclass(frozen=True, eq=False, slots=True)
class Plan:
    """The part of an anatomy that each slice and view of a crop sees."""

    cache: AnatomyCache
    description: CropDescription
    deposits: Deposits
    position_mm: Floats
    """(slices,)."""
    shift_mm: Floats
    """(moments, slices): displacement of the body towards the feet while a slice is measured."""
    measured: NDArray[np.bool_]
    """(slices,): whether the anatomy covers the slice."""
    weights: NDArray[np.float32]
    """(slices, slices of the body): share of the body's slices in each slice."""
    seen: NDArray[np.float32]
    """(states, views, slices): share of the heart's states in each view."""

    @classmethod
    def of(cls, cache: AnatomyCache, description: CropDescription) -> "Plan":
        """Draw heartbeat and breath, and find the slices of the body that they move into each slice."""
        protocol = description.protocol
        position_mm = np.asarray(
            description.bottom_mm + np.arange(description.shape[0]) * protocol.spacing_mm, np.float64
        )
        motion = Motion(
            phases=(_NOTHING,) * CYCLE,  # only their number matters
            heart_rate_bpm=description.heart_rate_bpm, irregularity=description.irregularity,
            breathing_mm=description.breathing_mm, breathing_s=description.breathing_s,
        )  # fmt: skip
        rng = generator(description.seed, Stream.SCAN_MOTION)
        timing = Timing.of(protocol, position_mm, random_start_s(motion, rng))
        shift_mm = breathing_shift_mm(motion, timing.breathing_s)
        low, high = (cache.geometry.to_patient_mm((edge, 0, 0))[2] for edge in (-0.5, cache.geometry.shape[0] - 0.5))
        half = protocol.thickness_mm / 2 - 0.01
        measured = (position_mm - half >= low) & (position_mm + half + description.breathing_mm <= high)
        weights = np.mean([slab_weights(cache.geometry, position_mm + mm, protocol, 1) for mm in shift_mm], axis=0)
        seen = np.tensordot(_state_of_phase(cache.projections.states), phase_weights(motion, timing.view_s, rng), 1)
        deposits = Deposits.joined([] if description.deposits is None else [cache.deposits[description.deposits]])
        return cls(cache, description, deposits, position_mm, shift_mm, measured, weights, seen.astype(np.float32))


def _state_of_phase(states: int) -> Floats:
    """Return (states, CYCLE): shares of the two states of the heart between which each phase lies."""
    at = np.array([contraction(k / CYCLE) for k in range(CYCLE)]) * (states - 1)
    return np.asarray(np.clip(1 - np.abs(at - np.arange(states)[:, None]), 0, 1))


def geometry_of(plan: Plan) -> Geometry:
    """Return the geometry of the crop in the patient."""
    _, rows, columns = plan.description.shape
    pixel_mm = plan.description.protocol.pixel_mm
    middle, isocentre = plan.description.middle_mm, plan.cache.projections.isocentre_mm
    left = isocentre[0] + middle[1] - (columns - 1) / 2 * pixel_mm
    posterior = isocentre[1] + middle[0] - (rows - 1) / 2 * pixel_mm
    spacing_mm = plan.description.protocol.spacing_mm, pixel_mm, pixel_mm
    return Geometry.from_spacing(plan.description.shape, spacing_mm, (left, posterior, float(plan.position_mm[0])))
