"""``Stack``: slices in anatomical order on one regular grid, or a refusal that says why there is none.

Spacing comes from slice positions, never from Slice Thickness; order comes from positions, never from file names or
Instance Number. Reading libraries silently accept seven faults (a missing, duplicate or shifted slice, mixed spacing, a
localizer inside, two reconstructions under one UID, gantry tilt); here each of them gives a reason.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ctacal.arrays import Floats
from ctacal.dicom.header import Slice
from ctacal.dicom.pixels import stored_frames
from ctacal.errors import Code, Reason, Refusal
from ctacal.geometry import Geometry

MIN_SLICES = 5
"""Smallest number of slices: fewer cannot hold a heart, even at 10 mm."""

MAX_AXIAL_TILT_DEG = 30.0
"""Largest angle between slices and the axial plane; gantries tilt no further."""

SAME_POSITION_MM = 0.01
"""Slices that differ less than this in every coordinate lie at the same position."""

SPACING_TOLERANCE = 0.05
"""Largest deviation of a position from the regular grid, as a share of the spacing (headers round to 0.1 mm)."""

SHIFT_TOLERANCE_MM = 0.1
"""Largest in-plane deviation of a position that rounding explains."""

MAX_UNTREATED_TILT_DEG = 1.0
"""Largest tilt that is not resampled away: the geometry holds the shear exactly, and networks hardly see the slant."""

MAX_FILLED_SHARE = 0.1
"""Largest share of the slices that is ever interpolated, and never two neighbours."""


@dataclass(frozen=True, eq=False, slots=True)
class Stack:
    """Slices from feet to head; None stands for a missing slice that will be interpolated."""

    slices: tuple[Slice | None, ...]
    geometry: Geometry
    tilted: bool
    notes: tuple[Reason, ...]

    @classmethod
    def of(cls, slices: Sequence[Slice], *, fill_gaps: bool = False, untilt: bool = False) -> "Stack":
        """Order the slices of a series; raises ``Refusal`` if they do not make a regular volume."""
        _require_geometry(slices)
        normal = _common_normal(slices)
        ordered, notes = _without_duplicates(_sorted_along(slices, normal))
        if len(ordered) < MIN_SLICES:
            raise Refusal(Code.TOO_FEW_SLICES, f"{len(ordered)} slices; a heart needs at least {MIN_SLICES}")
        filled = _on_regular_positions(ordered, normal, fill_gaps=fill_gaps)
        gaps = len(filled) - len(ordered)
        if gaps:
            notes.append(Reason(Code.SLICES_INTERPOLATED, f"{gaps} missing slices were interpolated"))
        geometry, tilt_deg = _geometry(filled, ordered, normal)
        tilted = tilt_deg > MAX_UNTREATED_TILT_DEG
        if tilted and not untilt:
            raise Refusal(
                Code.GANTRY_TILT,
                f"the stack is sheared by {tilt_deg:.1f} degrees (gantry tilt); --untilt resamples it away",
            )
        if tilted:
            notes.append(Reason(Code.TILT_RESAMPLED, f"a gantry tilt of {tilt_deg:.1f} degrees was resampled away"))
        return cls(filled, geometry, tilted, tuple(notes))

    def part(self, first: int, stop: int) -> "Stack":
        """Return the slices from ``first`` to before ``stop``, or one more at an end where a slice is missing.

        Such a slice is interpolated between its neighbours, and no two neighbours are missing.
        """
        if self.slices[first] is None:
            first -= 1
        if self.slices[stop - 1] is None:
            stop += 1
        geometry = self.geometry.crop((slice(first, stop), slice(None), slice(None)))
        return Stack(self.slices[first:stop], geometry, self.tilted, self.notes)


def _require_geometry(slices: Iterable[Slice]) -> None:
    for slice_ in slices:
        missing = [
            name
            for name, value in (
                ("Image Position (Patient)", slice_.position_mm),
                ("Image Orientation (Patient)", slice_.orientation),
                ("Pixel Spacing", slice_.pixel_spacing_mm),
            )
            if value is None
        ]
        if missing:
            raise Refusal(Code.NO_GEOMETRY, f"{slice_.source}: {' and '.join(missing)} missing or not numeric")


def _position(slice_: Slice) -> Floats:
    return np.array(slice_.position_mm, np.float64)


def _directions(slice_: Slice) -> tuple[Floats, Floats]:
    """Return the unit vectors along a row and down a column (Image Orientation (Patient))."""
    both = np.array(slice_.orientation, np.float64)
    return both[:3], both[3:]


def _common_normal(slices: Sequence[Slice]) -> Floats:
    """Return the stack's unit normal, towards the head."""
    across, down = _directions(slices[0])
    unit = abs(np.linalg.norm(across) - 1) < 1e-3 and abs(np.linalg.norm(down) - 1) < 1e-3
    if not unit or abs(across @ down) > 1e-3 or min(slices[0].pixel_spacing_mm or (0,)) <= 0:
        cosines = slices[0].orientation
        message = (
            f"{slices[0].source}: orientation {cosines} is not two orthogonal unit vectors, or the pixel size is 0"
        )
        raise Refusal(Code.NO_GEOMETRY, message)
    normal = np.cross(across, down)
    if abs(normal[2]) < np.cos(np.deg2rad(MAX_AXIAL_TILT_DEG)):
        raise Refusal(Code.NOT_AXIAL, "coronal, sagittal or oblique slices; the score is defined on axial slices")
    return np.asarray(normal * np.sign(normal[2]))


def _sorted_along(slices: Iterable[Slice], normal: Floats) -> list[Slice]:
    return sorted(slices, key=lambda slice_: (float(_position(slice_) @ normal), slice_.sop_instance_uid))


def _without_duplicates(ordered: Sequence[Slice]) -> tuple[list[Slice], list[Reason]]:
    """Keep the first of several equal images at a position; raises ``Refusal`` if they differ."""
    kept = [ordered[0]]
    for slice_ in ordered[1:]:
        if np.abs(_position(slice_) - _position(kept[-1])).max() > SAME_POSITION_MM:
            kept.append(slice_)
        elif not _equal_pixels(slice_, kept[-1]):
            raise Refusal(
                Code.DUPLICATE_SLICE,
                f"different images at {np.round(_position(slice_), 2)} mm ({kept[-1].source}, {slice_.source}): "
                "two reconstructions or phases in one series; send one of them",
            )
    dropped = len(ordered) - len(kept)
    return kept, [Reason(Code.DUPLICATES_DROPPED, f"{dropped} copies of slices were dropped")] if dropped else []


def _equal_pixels(a: Slice, b: Slice) -> bool:
    rescales = [(slice_.rescale_slope, slice_.rescale_intercept) for slice_ in (a, b)]
    first, second = stored_frames([a, b])
    return rescales[0] == rescales[1] and np.array_equal(first, second)


def _on_regular_positions(ordered: Sequence[Slice], normal: Floats, *, fill_gaps: bool) -> tuple[Slice | None, ...]:
    """Return the slices with None for each missing one; raises ``Refusal`` if the distances fit no regular grid."""
    depth_mm = np.array([_position(slice_) @ normal for slice_ in ordered])
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
        number = int(steps.sum()) - len(step_mm)
        missing = f"slices missing: {number}, the first between {after:.1f} and {before:.1f} mm"
        advice = "send the series again" if too_wide else "send the series again, or interpolate with --fill-gaps"
        raise Refusal(Code.MISSING_SLICE, f"{missing}; {advice}")
    filled: list[Slice | None] = [ordered[0]]
    for slice_, step in zip(ordered[1:], steps, strict=True):
        filled += [None] * (int(step) - 1) + [slice_]
    return tuple(filled)


def _geometry(filled: Sequence[Slice | None], ordered: Sequence[Slice], normal: Floats) -> tuple[Geometry, float]:
    """Return the grid, sheared if the gantry was tilted, and the angle of the shear in degrees."""
    index = np.flatnonzero([slice_ is not None for slice_ in filled])
    position_mm = np.array([_position(slice_) for slice_ in ordered])
    in_plane_mm = position_mm - np.outer(position_mm @ normal, normal)
    drift_mm = np.median(np.diff(in_plane_mm, axis=0) / np.diff(index)[:, None], axis=0)
    straight_mm = in_plane_mm - index[:, None] * drift_mm
    stray_mm = np.abs(straight_mm - np.median(straight_mm, axis=0)).max(axis=1)
    tolerance_mm = SHIFT_TOLERANCE_MM + 1e-3 * len(filled)
    if stray_mm.max() > tolerance_mm:
        worst = ordered[int(np.argmax(stray_mm))]
        raise Refusal(
            Code.SHIFTED_SLICE, f"{worst.source} is shifted by {stray_mm.max():.1f} mm against its neighbours"
        )
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
