"""``Stack``: slices in anatomical order on one regular grid, or a refusal that says why there is none.

Spacing comes from slice positions, never from Slice Thickness; order comes from positions, never from file names or
Instance Number. Reading libraries silently accept seven faults (a missing, duplicate or shifted slice, mixed spacing, a
localizer inside, two reconstructions under one UID, gantry tilt); here each of them gives a reason.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctacal.arrays import Floats, Ints
from ctacal.dicom.header import Slice
from ctacal.dicom.pixel_data.pixels import stored_frames
from ctacal.dicom.pixel_data.stored_values import stored_values
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
"""Largest in-plane deviation of a position that rounding, or a trembling table, explains."""

ROUNDING_UNITS_MM = (1.0, 0.5, 0.1)
"""Units to which converters round positions."""

ROUNDING_SHARE = 0.6
"""Largest distance of a rounded position from the fitted grid, in units: half of one, and a margin for the fit."""

DIRECTION_TOLERANCE = 1e-3
"""Largest difference of a direction cosine among slices that lie in parallel, alike turned planes (0.06 degrees)."""

UNIT_TOLERANCE = 1e-2
"""Largest deviation from unit length, and from a right angle, that cosines written with two digits have."""

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
    first: int = 0
    """Index of its first slice in the whole stack, if it is a part."""

    @classmethod
    def of(cls, slices: Sequence[Slice], *, fill_gaps: bool = False, untilt: bool = False) -> "Stack":
        """Order the slices of a series; raises ``Refusal`` if they do not make a regular volume."""
        _require_geometry(slices)
        directions = _common_directions(slices)
        ordered, notes = _without_duplicates(_sorted_along(slices, directions[2]))
        if len(ordered) < MIN_SLICES:
            raise Refusal(Code.TOO_FEW_SLICES, f"slices: {len(ordered)}; a heart needs at least {MIN_SLICES}")
        filled, rounded = _on_regular_positions(ordered, directions[2], fill_gaps=fill_gaps)
        gaps = len(filled) - len(ordered)
        if gaps:
            notes.append(Reason(Code.SLICES_INTERPOLATED, f"missing slices were interpolated: {gaps}"))
        geometry, tilt_deg = _geometry(filled, ordered, directions)
        notes += rounded
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
        return Stack(self.slices[first:stop], geometry, self.tilted, self.notes, self.first + first)


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
            why = "; ".join(slice_.faults) or f"{' and '.join(missing)} missing"
            raise Refusal(Code.NO_GEOMETRY, f"{slice_.source}: {why}")


def _positions_mm(slices: Sequence[Slice]) -> Floats:
    """Return the positions of the slices, (n, 3)."""
    return np.array([slice_.position_mm for slice_ in slices], np.float64)


def _common_directions(slices: Sequence[Slice]) -> Floats:
    """Return the unit vectors along a row, down a column, and across the slices towards the head, (3, 3)."""
    cosines = np.array([slice_.orientation for slice_ in slices], np.float64)
    across, down = np.median(cosines, axis=0).reshape(2, 3)
    lengths = np.linalg.norm(across), np.linalg.norm(down)
    right_angled = abs(across @ down) <= UNIT_TOLERANCE and max(abs(length - 1) for length in lengths) <= UNIT_TOLERANCE
    if not right_angled or min(slices[0].pixel_spacing_mm or (0,)) <= 0:
        found = slices[0].orientation
        message = f"{slices[0].source}: orientation {found} is not two orthogonal unit vectors, or the pixel size is 0"
        raise Refusal(Code.NO_GEOMETRY, message)
    turned = np.abs(cosines - np.median(cosines, axis=0)).max(axis=1) > DIRECTION_TOLERANCE
    if turned.any():
        message = f"Image Orientation (Patient) of {turned.sum()} of {len(slices)} images differs from that of the rest"
        raise Refusal(Code.MIXED_ORIENTATION, f"{message}, the first: {slices[int(turned.argmax())].source}")
    across, down = across / lengths[0], down / lengths[1]
    normal = np.cross(across, down)
    if abs(normal[2]) < np.cos(np.deg2rad(MAX_AXIAL_TILT_DEG)):
        raise Refusal(Code.NOT_AXIAL, "coronal, sagittal or oblique slices; the score is defined on axial slices")
    return np.array([across, down, normal * np.sign(normal[2])])


def _sorted_along(slices: Sequence[Slice], normal: Floats) -> list[Slice]:
    depths_mm = (_positions_mm(slices) @ normal).tolist()
    order = sorted(range(len(slices)), key=lambda k: (depths_mm[k], slices[k].sop_instance_uid))
    return [slices[k] for k in order]


def _without_duplicates(ordered: Sequence[Slice]) -> tuple[list[Slice], list[Reason]]:
    """Keep the first of several equal images at a position; raises ``Refusal`` if they differ."""
    kept = [reduce(_readable_copy, there) for there in _by_place(ordered)]
    dropped = len(ordered) - len(kept)
    return kept, [Reason(Code.DUPLICATES_DROPPED, f"copies of slices were dropped: {dropped}")] if dropped else []


def _by_place(ordered: Sequence[Slice]) -> list[list[Slice]]:
    """Group slices that are sorted along the normal and lie at one place."""
    positions_mm = _positions_mm(ordered)
    places, at_mm = [[ordered[0]]], positions_mm[0]
    for slice_, position_mm in zip(ordered[1:], positions_mm[1:], strict=True):
        if np.abs(position_mm - at_mm).max() > SAME_POSITION_MM:
            places.append([slice_])
            at_mm = position_mm
        else:
            places[-1].append(slice_)
    return places


def images_of_one_place(slices: Sequence[Slice]) -> tuple[Slice, ...]:
    """Return the images that share their place with another: ``Stack.of`` compares their pixels."""
    try:
        _require_geometry(slices)
        ordered = _sorted_along(slices, _common_directions(slices)[2])
    except Refusal:
        return ()
    return tuple(slice_ for there in _by_place(ordered) if len(there) > 1 for slice_ in there)


def _readable_copy(a: Slice, b: Slice) -> Slice:
    """Return the first of two equal images at one position, or the one that can be read; raises ``Refusal``."""
    first, second = _pixels_or_none(a), _pixels_or_none(b)
    if first is None or second is None:
        return b if first is None else a
    rescales = [(slice_.rescale_slope, slice_.rescale_intercept) for slice_ in (a, b)]
    if rescales[0] != rescales[1] or not np.array_equal(first, second):
        place = np.round(a.position_mm or (), 2)
        message = f"different images at {place} mm ({a.source}, {b.source}): {_difference(a, b)}; send one of them"
        raise Refusal(Code.DUPLICATE_SLICE, message)
    return a


def _pixels_or_none(slice_: Slice) -> NDArray[Any] | None:
    try:
        return stored_values(next(stored_frames([slice_])), slice_).values
    except Refusal:
        return None


_PHASE_TIMES: tuple[tuple[str, Callable[[Slice], object]], ...] = (
    ("temporal position", lambda slice_: slice_.temporal_position),
    ("acquisition", lambda slice_: slice_.acquisition_number),
    ("time of acquisition", lambda slice_: slice_.acquired_at),
    ("time", lambda slice_: slice_.content_time),
)


def _difference(a: Slice, b: Slice) -> str:
    """Return in words what two images of one place may be: the headers tell phases by their times."""
    for name, value in _PHASE_TIMES:
        if value(a) and value(b) and value(a) != value(b):
            return f"phases or repeated scans in one series ({name} {value(a)} and {value(b)})"
    return "two reconstructions or phases in one series, and nothing in their headers tells them apart"


def _on_regular_positions(
    ordered: Sequence[Slice], normal: Floats, *, fill_gaps: bool
) -> tuple[tuple[Slice | None, ...], list[Reason]]:
    """Return the slices with None for each missing one; raises ``Refusal`` if the distances fit no regular grid."""
    positions_mm = _positions_mm(ordered)
    depth_mm = positions_mm @ normal
    steps = _regular_steps(depth_mm)
    gaps = None if steps is None else np.flatnonzero(steps > 1)
    if gaps is None or gaps.size > MAX_FILLED_SHARE * len(ordered):
        notes = _notes_of_even_grid(depth_mm, positions_mm[:, 2])
        if notes is not None:
            return tuple(ordered), notes
    if steps is None or gaps is None:
        raise _mixed_spacing(depth_mm, positions_mm[:, 2])
    too_wide = steps.max() > 2 or gaps.size > MAX_FILLED_SHARE * len(ordered)
    if gaps.size and (too_wide or not fill_gaps):
        after, before = depth_mm[gaps[0] : gaps[0] + 2]
        number = int(steps.sum()) - len(steps)
        missing = f"slices missing: {number}, the first between {after:.1f} and {before:.1f} mm"
        advice = "send the series again" if too_wide else "send the series again, or interpolate with --fill-gaps"
        raise Refusal(Code.MISSING_SLICE, f"{missing}; {advice}")
    filled: list[Slice | None] = [ordered[0]]
    for slice_, step in zip(ordered[1:], steps, strict=True):
        filled += [None] * (int(step) - 1) + [slice_]
    return tuple(filled), []


def _regular_steps(depth_mm: Floats) -> Ints | None:
    """Return the steps from slice to slice in units of the spacing; None if the distances fit no regular grid."""
    step_mm = np.diff(depth_mm)
    spacing_mm = float(np.median(step_mm))
    if spacing_mm <= SAME_POSITION_MM:
        return None
    steps = np.maximum(np.rint(step_mm / spacing_mm), 1).astype(int)
    spacing_mm = float(depth_mm[-1] - depth_mm[0]) / int(steps.sum())
    stray_mm = np.abs(depth_mm - depth_mm[0] - spacing_mm * np.append(0, np.cumsum(steps)))
    tolerance_mm = max(SPACING_TOLERANCE * spacing_mm, 2 * SAME_POSITION_MM)
    irregular = stray_mm.max() > tolerance_mm or np.abs(step_mm - steps * spacing_mm).max() > tolerance_mm
    return None if irregular else steps


def _notes_of_even_grid(depth_mm: Floats, written_mm: Floats) -> list[Reason] | None:
    """Return None unless the slices lie on an even grid without gaps; a note says so if their positions are rounded.

    ``written_mm`` are the coordinates that were rounded, ``depth_mm`` the positions along the normal.
    """
    start_mm, spacing_mm = _line(depth_mm)
    stray_mm = float(np.abs(depth_mm - start_mm - spacing_mm * np.arange(len(depth_mm))).max())
    unit_mm = _rounding_mm(written_mm)
    tolerance_mm = max(SPACING_TOLERANCE * spacing_mm, ROUNDING_SHARE * unit_mm)
    if stray_mm > tolerance_mm or spacing_mm < max(unit_mm, SAME_POSITION_MM):
        return None
    if stray_mm <= SPACING_TOLERANCE * spacing_mm:
        return []
    message = f"positions are rounded to {unit_mm:g} mm; a line through all gives a spacing of {spacing_mm:.2f} mm"
    return [Reason(Code.POSITIONS_ROUNDED, message)]


def grid_spacing_mm(positions_mm: Floats, normal: Floats) -> float | None:
    """Return the spacing of the regular grid on which ``positions_mm``, (n, 3), lie; None if they lie on none.

    No two may lie at one place. A few may be missing, as in ``Stack``.
    """
    positions_mm = positions_mm[np.argsort(positions_mm @ normal)]
    depth_mm = positions_mm @ normal
    if len(depth_mm) < 2 or not np.diff(depth_mm).min() > SAME_POSITION_MM:
        return None
    steps = _regular_steps(depth_mm)
    few = steps is not None and steps.max() <= 2 and (steps > 1).sum() <= MAX_FILLED_SHARE * len(depth_mm)
    if steps is None or not few:
        if _notes_of_even_grid(depth_mm, positions_mm[:, 2]) is None:
            return None
        steps = np.ones(len(depth_mm) - 1, np.int64)
    index = np.append(0, np.cumsum(steps))
    start_mm, step_mm = _line(positions_mm, index)
    aside_mm = positions_mm - start_mm - index[:, None] * step_mm
    aside_mm -= np.outer(aside_mm @ normal, normal)
    if np.abs(aside_mm).max() > SHIFT_TOLERANCE_MM + 1e-3 * len(index):
        return None
    return float(step_mm @ normal)


def _mixed_spacing(depth_mm: Floats, written_mm: Floats) -> Refusal:
    low, high, unit_mm = np.diff(depth_mm).min(), np.diff(depth_mm).max(), _rounding_mm(written_mm)
    rounded = f" (their positions are rounded to {unit_mm:g} mm)" if unit_mm >= 1 else ""
    return Refusal(Code.MIXED_SPACING, f"slices lie {low:.2f} to {high:.2f} mm apart{rounded}; send one reconstruction")


def _rounding_mm(written_mm: Floats) -> float:
    """Return the coarsest unit of which all values are multiples, 0 if none is."""
    off_mm = {unit: np.abs(written_mm - np.rint(written_mm / unit) * unit).max() for unit in ROUNDING_UNITS_MM}
    return next((unit for unit, off in off_mm.items() if off < 1e-6), 0.0)


def _line(values: Floats, index: Ints | None = None) -> tuple[Any, Any]:
    """Return start and slope of the least-squares line through values, (n,) or (n, k), at ``index``, else 0, 1, ..."""
    at = np.arange(len(values)) if index is None else index
    centred = at - at.mean()
    slope = centred @ (values - values[0]) / (centred @ centred)
    start = values[0] + (values - values[0]).mean(axis=0) - at.mean() * slope
    return start, slope


def _geometry(filled: Sequence[Slice | None], ordered: Sequence[Slice], directions: Floats) -> tuple[Geometry, float]:
    """Return the grid, sheared if the gantry was tilted, and the angle of the shear in degrees."""
    across, down, normal = directions
    index = np.flatnonzero([slice_ is not None for slice_ in filled])
    position_mm = _positions_mm(ordered)
    in_plane_mm = position_mm - np.outer(position_mm @ normal, normal)
    start_mm, drift_mm = _line(in_plane_mm, index)
    stray_mm = np.abs(in_plane_mm - start_mm - index[:, None] * drift_mm).max(axis=1)
    tolerance_mm = SHIFT_TOLERANCE_MM + 1e-3 * len(filled)
    if stray_mm.max() > tolerance_mm:
        worst = ordered[int(np.argmax(stray_mm))]
        raise Refusal(
            Code.SHIFTED_SLICE, f"{worst.source} is shifted by {stray_mm.max():.1f} mm against its neighbours"
        )
    first = ordered[0]
    row_mm, column_mm = first.pixel_spacing_mm or (0.0, 0.0)
    spacing_mm = float(_line(position_mm @ normal, index)[1])
    affine = np.eye(4)
    affine[:3, 0] = normal * spacing_mm + drift_mm
    affine[:3, 1], affine[:3, 2] = down * row_mm, across * column_mm
    affine[:3, 3] = position_mm[0]
    tilt_deg = float(np.rad2deg(np.arctan2(np.linalg.norm(drift_mm), spacing_mm)))
    return Geometry((len(filled), first.rows, first.columns), affine), tilt_deg
