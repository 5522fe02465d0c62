"""``Stack``: slices in the order of the patient, on one regular grid, or a refusal that says why there is none.

Spacing comes from slice positions, never from Slice Thickness; order from positions, never from file names or Instance
Number. The seven faults that reading libraries pass over in silence (a missing, duplicate or shifted slice, mixed
spacing, a localizer inside, two reconstructions under one UID, gantry tilt) each end here in a reason.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ctacal.dicom.header import Slice
from ctacal.dicom.pixels import stored_frames
from ctacal.errors import Code, Reason, Refusal
from ctacal.geometry import Geometry
from ctacal.volume import MAX_VOXELS

MIN_SLICES = 5
"""Fewer cannot hold a heart, even at 10 mm."""

MAX_AXIAL_TILT_DEG = 30.0
"""Gantries tilt no further."""

SAME_POSITION_MM = 0.01
SPACING_TOLERANCE = 0.05
"""Positions may stray from the regular grid by this part of the spacing: headers round them to 0.1 mm at worst."""

SHIFT_TOLERANCE_MM = 0.1
"""In-plane straying that rounding explains."""

MAX_UNTREATED_TILT_DEG = 1.0
"""Below this the stack's shear is kept in its geometry, which holds it exactly; above, networks would see a slant."""

MAX_FILLED_SHARE = 0.1
"""At most this part of the slices is ever interpolated, and no two neighbours."""

Vectors = NDArray[np.float64]


@dataclass(frozen=True, eq=False, slots=True)
class Stack:
    """Slices from feet to head; None marks a missing slice that is to be interpolated."""

    slices: tuple[Slice | None, ...]
    geometry: Geometry
    tilted: bool
    notes: tuple[Reason, ...]

    @classmethod
    def of(cls, slices: Sequence[Slice], *, fill_gaps: bool = False, untilt: bool = False) -> "Stack":
        """Order the slices of one series; raises ``Refusal`` where they do not make a regular volume."""
        _require_geometry(slices)
        normal = _common_normal(slices)
        ordered, notes = _without_duplicates(_sorted_along(slices, normal))
        if len(ordered) < MIN_SLICES:
            raise Refusal(Code.TOO_FEW_SLICES, f"{len(ordered)} slices; a heart needs at least {MIN_SLICES}")
        filled = _on_regular_positions(ordered, normal, fill_gaps=fill_gaps)
        if len(filled) * ordered[0].rows * ordered[0].columns > MAX_VOXELS:
            raise Refusal(Code.TOO_LARGE, f"{len(filled)} slices of {ordered[0].rows} x {ordered[0].columns} pixels")
        gaps = len(filled) - len(ordered)
        if gaps:
            notes.append(Reason(Code.SLICES_INTERPOLATED, f"{gaps} missing slices were interpolated"))
        geometry, tilt_deg = _geometry(filled, ordered, normal)
        tilted = tilt_deg > MAX_UNTREATED_TILT_DEG
        if tilted and not untilt:
            raise Refusal(
                Code.GANTRY_TILT, f"the stack is sheared by {tilt_deg:.1f} degrees; --untilt resamples it away"
            )
        if tilted:
            notes.append(Reason(Code.TILT_RESAMPLED, f"a gantry tilt of {tilt_deg:.1f} degrees was resampled away"))
        return cls(filled, geometry, tilted, tuple(notes))


def _require_geometry(slices: Iterable[Slice]) -> None:
    for one in slices:
        missing = [
            name
            for name, value in (
                ("Image Position (Patient)", one.position_mm),
                ("Image Orientation (Patient)", one.orientation),
                ("Pixel Spacing", one.pixel_spacing_mm),
            )
            if value is None
        ]
        if missing:
            raise Refusal(Code.NO_GEOMETRY, f"{one.source}: {' and '.join(missing)} missing or no number")


def _position(one: Slice) -> Vectors:
    return np.array(one.position_mm, np.float64)


def _directions(one: Slice) -> tuple[Vectors, Vectors]:
    """Unit vectors along a row and down a column (Image Orientation (Patient))."""
    both = np.array(one.orientation, np.float64)
    return both[:3], both[3:]


def _common_normal(slices: Sequence[Slice]) -> Vectors:
    """The stack's unit normal, towards the head."""
    across, down = _directions(slices[0])
    unit = abs(np.linalg.norm(across) - 1) < 1e-3 and abs(np.linalg.norm(down) - 1) < 1e-3
    if not unit or abs(across @ down) > 1e-3 or min(slices[0].pixel_spacing_mm or (0,)) <= 0:
        message = f"{slices[0].source}: orientation {slices[0].orientation} is no pair of unit vectors, or pixel size 0"
        raise Refusal(Code.NO_GEOMETRY, message)
    normal = np.cross(across, down)
    if abs(normal[2]) < np.cos(np.deg2rad(MAX_AXIAL_TILT_DEG)):
        raise Refusal(Code.NOT_AXIAL, "coronal, sagittal or oblique slices; the score is defined on axial ones")
    return np.asarray(normal * np.sign(normal[2]))


def _sorted_along(slices: Iterable[Slice], normal: Vectors) -> list[Slice]:
    return sorted(slices, key=lambda one: (float(_position(one) @ normal), one.sop_instance_uid))


def _without_duplicates(ordered: Sequence[Slice]) -> tuple[list[Slice], list[Reason]]:
    """Keep one of several equal images at a position; refuse where they differ."""
    kept = [ordered[0]]
    for one in ordered[1:]:
        if np.abs(_position(one) - _position(kept[-1])).max() > SAME_POSITION_MM:
            kept.append(one)
        elif not _equal_pixels(one, kept[-1]):
            raise Refusal(
                Code.DUPLICATE_SLICE,
                f"different images at {np.round(_position(one), 2)} mm ({kept[-1].source}, {one.source}): "
                "two reconstructions or phases under one series; send one of them",
            )
    dropped = len(ordered) - len(kept)
    return kept, [Reason(Code.DUPLICATES_DROPPED, f"{dropped} copies of slices were dropped")] if dropped else []


def _equal_pixels(a: Slice, b: Slice) -> bool:
    rescales = [(one.rescale_slope, one.rescale_intercept) for one in (a, b)]
    first, second = stored_frames([a, b])
    return rescales[0] == rescales[1] and np.array_equal(first, second)


def _on_regular_positions(ordered: Sequence[Slice], normal: Vectors, *, fill_gaps: bool) -> tuple[Slice | None, ...]:
    """The slices with None where one is missing; raises ``Refusal`` where the distances fit no regular grid."""
    depth_mm = np.array([_position(one) @ normal for one in ordered])
    step_mm = np.diff(depth_mm)
    spacing_mm = float(np.median(step_mm))
    steps = np.maximum(np.rint(step_mm / spacing_mm), 1).astype(int)
    spacing_mm = float(depth_mm[-1] - depth_mm[0]) / int(steps.sum())
    stray_mm = np.abs(depth_mm - depth_mm[0] - spacing_mm * np.append(0, np.cumsum(steps)))
    tolerance_mm = max(SPACING_TOLERANCE * spacing_mm, 2 * SAME_POSITION_MM)
    if stray_mm.max() > tolerance_mm or np.abs(step_mm - steps * spacing_mm).max() > tolerance_mm:
        low, high = step_mm.min(), step_mm.max()
        raise Refusal(Code.MIXED_SPACING, f"slices lie {low:.2f} to {high:.2f} mm apart; send one reconstruction")
    gaps = np.flatnonzero(steps > 1)
    too_wide = steps.max() > 2 or gaps.size > MAX_FILLED_SHARE * len(ordered)
    if gaps.size and (too_wide or not fill_gaps):
        after, before = depth_mm[gaps[0] : gaps[0] + 2]
        missing = f"{int(steps.sum()) - len(step_mm)} missing, the first between {after:.1f} and {before:.1f} mm"
        advice = "send the series again" if too_wide else "send it again, or --fill-gaps interpolates"
        raise Refusal(Code.MISSING_SLICE, f"{missing}; {advice}")
    filled: list[Slice | None] = [ordered[0]]
    for one, step in zip(ordered[1:], steps, strict=True):
        filled += [None] * (int(step) - 1) + [one]
    return tuple(filled)


def _geometry(filled: Sequence[Slice | None], ordered: Sequence[Slice], normal: Vectors) -> tuple[Geometry, float]:
    """The grid, sheared where the gantry was tilted, and the shear's angle in degrees."""
    index = np.flatnonzero([one is not None for one in filled])
    position_mm = np.array([_position(one) for one in ordered])
    in_plane_mm = position_mm - np.outer(position_mm @ normal, normal)
    drift_mm = np.median(np.diff(in_plane_mm, axis=0) / np.diff(index)[:, None], axis=0)
    straight_mm = in_plane_mm - index[:, None] * drift_mm
    stray_mm = np.abs(straight_mm - np.median(straight_mm, axis=0)).max(axis=1)
    tolerance_mm = SHIFT_TOLERANCE_MM + 1e-3 * len(filled)
    if stray_mm.max() > tolerance_mm:
        worst = ordered[int(np.argmax(stray_mm))]
        raise Refusal(Code.SHIFTED_SLICE, f"{worst.source} lies {stray_mm.max():.1f} mm aside of its neighbours")
    first = ordered[0]
    across, down = _directions(first)
    row_mm, column_mm = first.pixel_spacing_mm or (0.0, 0.0)
    spacing_mm = float((position_mm[-1] - position_mm[0]) @ normal) / (len(filled) - 1)
    affine = np.eye(4)
    affine[:3, 0] = normal * spacing_mm + drift_mm
    affine[:3, 1], affine[:3, 2] = down * row_mm, across * column_mm
    affine[:3, 3] = position_mm[0]
    tilt_deg = float(np.rad2deg(np.arctan2(np.linalg.norm(drift_mm), spacing_mm)))
    return Geometry((len(filled), first.rows, first.columns), affine), tilt_deg
