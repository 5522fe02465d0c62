"""``register``: lay the heart of one scan upon that of another scan of the same patient, by shift and turn alone.

First the shift, searched on a coarse grid from the middle of both hearts; then shift and turn together, refined so that
soft tissue, fat and lung around the heart of the first scan fall on the same in the second. The heart beats and the
chest breathes: what is left between the scans is some millimetres, which ``matching`` allows for.
"""

from dataclasses import dataclass

import numpy as np

from ctacal.arrays import Floats, Floats32, Mask
from ctacal.errors import Code, Refusal
from ctacal.geometry import Geometry
from ctacal.heart import HeartMask
from ctacal.volume import Volume

GRID_MM = 5.0
"""Voxel of the grid on which scans are compared: about a slice of a CTAC, and finer than a heart moves (own choice)."""

SMOOTH_MM = 1.8
"""SD of the Gaussian that averages noise before a scan is seen on that grid (own choice)."""

RIM_MM = 15.0
"""Tissue up to this far around the heart is compared too: the border to the lungs holds the heart in place (own
choice)."""

TISSUE_HU = (-200.0, 120.0)
"""Values are cut to this range: lung and fat stay dark, and neither calcium nor bone decides (own choice)."""

SEARCH_MM = (-40.0, -20.0, 0.0, 20.0, 40.0)
"""Shifts along each axis that are tried first, beside that from the middle of one heart to that of the other: a heart
that one scan cuts off has another middle (own choice)."""

LEAST_FIT = 0.85
"""Smallest correlation of the two scans around the heart; with less they are not laid upon each other. Simulated
patients who are scanned twice reach 0.90 and more. So do some pairs of two patients: whose hearts they are is seen in
``chest`` (benchmarks/another_patient.py)."""

MOST_TURN_DEG = 25.0
"""A patient who lies on the same kind of table turns less (own choice)."""


@dataclass(frozen=True, eq=False, slots=True)
class RigidTransform:
    """A turn about ``centre_mm`` and a shift: from the patient frame of one scan to that of another, in mm (LPS)."""

    rotation: Floats
    """(3, 3)."""
    translation_mm: Floats
    centre_mm: Floats
    """(3,) in the first scan."""
    fit: float
    """Correlation of the scans around the heart, up to 1."""

    def apply(self, points_mm: Floats) -> Floats:
        """Return where points of the first scan, (..., 3), lie in the second."""
        return np.asarray((points_mm - self.centre_mm) @ self.rotation.T + self.centre_mm + self.translation_mm)

    def inverse(self) -> "RigidTransform":
        """Return the way back, from the second scan to the first."""
        return RigidTransform(
            self.rotation.T, -self.translation_mm, np.asarray(self.centre_mm + self.translation_mm), self.fit
        )

    @property
    def turn_deg(self) -> float:
        """Angle of the turn about its axis."""
        return float(np.degrees(np.arccos(np.clip((np.trace(self.rotation) - 1) / 2, -1, 1))))


def register(a: Volume, heart_a: HeartMask, b: Volume, heart_b: HeartMask) -> RigidTransform:
    """Return the transform that lays the heart of ``a`` upon that of ``b``; takes about half a second.

    Args:
        a: The scan to be moved, in HU.
        heart_a: Its heart.
        b: The scan that stays, in HU.
        heart_b: Its heart.

    Returns:
        A turn and a shift in mm of the patient frame (LPS).

    Raises:
        Refusal: The scans do not fit upon each other (``SCANS_NOT_ALIGNED``): another patient, or a scan that shows too
            little of the heart.

    Example:
        >>> from ctacal.heart import find_heart
        >>> from pathlib import Path
        >>> import ctacal
        >>> from ctacal.dicom import read_volume
        >>> [study] = ctacal.read_studies([Path(ctacal.__file__).parent / "sample" / "thorax_phantom.zip"]).studies
        >>> volume, _ = read_volume(study.series[0])
        >>> heart = find_heart(volume)
        >>> transform = register(volume, heart, volume, heart)  # a scan lies upon itself
        >>> round(transform.fit, 2), round(transform.turn_deg, 1), bool(abs(transform.translation_mm).max() < 0.1)
        (1.0, 0.0, True)
    """
    return require_fit(best_fit(a, heart_a, b, heart_b))


def best_fit(a: Volume, heart_a: HeartMask, b: Volume, heart_b: HeartMask) -> RigidTransform:
    """Return the best transform, however little the hearts fit."""
    fixed, moving = seen_coarsely(a, heart_a, RIM_MM), seen_coarsely(b, heart_b, RIM_MM + max(SEARCH_MM))
    wanted = Points.of(fixed, heart_a)
    start = _middle_mm(heart_b) - _middle_mm(heart_a)
    shift = max(_shifts(start), key=lambda mm: wanted.fit(moving, np.concatenate([mm, np.zeros(3)])))
    found = refined(wanted, moving, np.concatenate([shift, np.zeros(3)]))
    return wanted.transform(found, wanted.fit(moving, found))


def seen_coarsely(volume: Volume, heart: HeartMask, rim_mm: float, range_hu: tuple[float, float] = TISSUE_HU) -> Volume:
    """Return the heart and its surroundings on the grid of ``GRID_MM``, averaged, and cut to a range."""
    from scipy import ndimage

    part = volume.crop(_around(heart, rim_mm))
    hu = np.clip(part.hu, *range_hu).astype(np.float32)
    sd = [SMOOTH_MM / mm for mm in part.geometry.spacing_mm]
    smooth = ndimage.gaussian_filter(hu, sd, mode="nearest", truncate=2.0)
    grid = part.geometry.with_spacing((GRID_MM,) * 3)
    return Volume(smooth, part.geometry).resample(grid, fill_hu=range_hu[0])


def _around(heart: HeartMask, rim_mm: float) -> tuple[slice, slice, slice]:
    """Return the heart's box, widened by a rim as far as the scan goes."""
    rims = [int(np.ceil(rim_mm / mm)) for mm in heart.geometry.spacing_mm]
    spans = [
        slice(max(0, span.start - rim), min(n, span.stop + rim))
        for span, rim, n in zip(heart.bounding_box, rims, heart.geometry.shape, strict=True)
    ]
    return spans[0], spans[1], spans[2]


def _middle_mm(heart: HeartMask) -> Floats:
    """Return the middle of the heart's voxels in the patient frame."""
    box = heart.bounding_box
    index = [
        np.average(np.arange(span.start, span.stop), weights=heart.mask[box].sum(axis=others))
        for span, others in zip(box, ((1, 2), (0, 2), (0, 1)), strict=True)
    ]
    return heart.geometry.to_patient_mm(index)


def _shifts(start: Floats) -> list[Floats]:
    grid = np.stack(np.meshgrid(SEARCH_MM, SEARCH_MM, SEARCH_MM, indexing="ij"), axis=-1).reshape(-1, 3)
    return list(start + grid)


@dataclass(frozen=True, eq=False, slots=True)
class Points:
    """The points of the first scan that the second is compared at, and what the first shows there."""

    points_mm: Floats
    """(points, 3)."""
    hu: Floats32
    centre_mm: Floats

    @classmethod
    def of(cls, fixed: Volume, heart: HeartMask) -> "Points":
        """Return the heart's points and those around it within ``RIM_MM``."""
        near = distance_from_heart(heart, fixed.geometry) <= RIM_MM
        index = np.argwhere(near)
        points = index @ fixed.geometry.affine[:3, :3].T + fixed.geometry.affine[:3, 3]
        return cls(points, np.asarray(fixed.hu[near], np.float32), _middle_mm(heart))

    def transform(self, values: Floats, fit: float) -> RigidTransform:
        """Return the transform of three shifts in mm and three turns in units of ``_DEGREES``."""
        from scipy.spatial.transform import Rotation

        rotation = Rotation.from_rotvec(values[3:] * _DEGREES, degrees=True).as_matrix()
        return RigidTransform(np.asarray(rotation), np.asarray(values[:3]), self.centre_mm, fit)

    def among(self, which: Mask | slice) -> "Points":
        """Return some of the points."""
        return Points(self.points_mm[which], self.hu[which], self.centre_mm)

    def index_in(self, grid: Geometry, values: Floats) -> Floats:
        """Return (points, 3): where the points lie in the second scan, in voxels."""
        there = self.transform(values, 0.0).apply(self.points_mm)
        back = np.linalg.inv(grid.affine)
        return np.asarray(there @ back[:3, :3].T + back[:3, 3])

    def seen(self, moving: Volume, values: Floats) -> Floats32:
        """Return what the second scan shows at the points; beyond its end, its nearest voxel."""
        from scipy import ndimage

        index = self.index_in(moving.geometry, values)
        return np.asarray(ndimage.map_coordinates(moving.hu, index.T, order=1, mode="nearest"), np.float32)

    def fit(self, moving: Volume, values: Floats) -> float:
        """Return the correlation of both scans at the points."""
        seen = self.seen(moving, values)
        return float(np.corrcoef(self.hu, seen)[0, 1]) if seen.std() > 0 else -1.0


def values_of(transform: RigidTransform) -> Floats:
    """Return the six values that ``Points.transform`` takes."""
    from scipy.spatial.transform import Rotation

    turn = Rotation.from_matrix(transform.rotation).as_rotvec(degrees=True)
    return np.concatenate([transform.translation_mm, turn / _DEGREES])


_DEGREES = 1.5
"""Turn that moves the border of a heart about as far as a shift of 1 mm."""


STEP = 0.5
"""Step in mm, or in ``_DEGREES``, over which differences are taken for slopes: smaller than a voxel, and far above the
rounding of single precision (own choice)."""


def distance_from_heart(heart: HeartMask, grid: Geometry) -> Floats:
    """Return how far each voxel of a coarse grid lies from the heart, in mm; 0 within it."""
    from scipy import ndimage

    mask = Volume(heart.mask.astype(np.float32), heart.geometry).resample(grid, fill_hu=0).hu >= 0.5
    return np.asarray(ndimage.distance_transform_edt(~mask, grid.spacing_mm), np.float64)


def refined(wanted: Points, moving: Volume, start: Floats) -> Floats:
    """Return shift and turn of the least differences, in which large ones count less (soft L1)."""
    from scipy.optimize import least_squares

    scale = float(wanted.hu.std()) or 1.0

    def differences(values: Floats) -> Floats:
        return np.asarray((wanted.seen(moving, values) - wanted.hu) / scale, np.float64)

    def slopes(values: Floats) -> Floats:
        at = differences(values)
        return np.stack([(differences(values + step) - at) / STEP for step in np.eye(6) * STEP], axis=1)

    found = least_squares(differences, start, slopes, loss="soft_l1", max_nfev=40, xtol=1e-4, ftol=1e-6)
    return np.asarray(found.x, np.float64)


def require_fit(transform: RigidTransform) -> RigidTransform:
    """Return the transform. Raises ``Refusal`` (``SCANS_NOT_ALIGNED``) if the scans hardly fit."""
    if transform.fit < LEAST_FIT or transform.turn_deg > MOST_TURN_DEG:
        raise Refusal(
            Code.SCANS_NOT_ALIGNED,
            f"the hearts of the two scans do not fit upon each other (correlation {transform.fit:.2f}, turned by "
            f"{transform.turn_deg:.0f} degrees): lesions are not matched; check that both show the same patient",
        )
    return transform
