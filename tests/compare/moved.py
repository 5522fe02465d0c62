"""A scan of the same patient, who lies elsewhere on the table: moved by a shift and a turn."""

import numpy as np
from scipy.spatial.transform import Rotation

from ctacal.arrays import Floats
from ctacal.compare.registration import RigidTransform
from ctacal.geometry import Geometry
from ctacal.volume import Volume


def movement(
    volume: Volume, *, shift_mm: tuple[float, float, float], turn_deg: tuple[float, float, float]
) -> RigidTransform:
    """Return a turn about the middle of the scan and a shift."""
    middle = volume.geometry.to_patient_mm((np.array(volume.geometry.shape) - 1) / 2)
    rotation = np.asarray(Rotation.from_rotvec(turn_deg, degrees=True).as_matrix(), np.float64)
    return RigidTransform(rotation, np.array(shift_mm), middle, 1.0)


def moved(volume: Volume, by: RigidTransform) -> Volume:
    """Return the scan on the same grid after the patient has moved."""
    back = by.inverse()
    origin = back.apply(np.zeros(3))
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = back.rotation, origin
    grid = Geometry(volume.geometry.shape, affine @ volume.geometry.affine)
    return Volume(volume.resample(grid).hu, volume.geometry)


def error_mm(found: RigidTransform, true: RigidTransform, points_mm: Floats) -> float:
    """Return the largest distance between where both lead the points."""
    return float(np.linalg.norm(found.apply(points_mm) - true.apply(points_mm), axis=-1).max())
