"""The shape of the chest: radii of the cavity about the long axis, course of the spine, height of the diaphragm.

Heights are those of a patient of 172 cm, with z = 0 at the carina, and are multiplied by ``Chest.scale``. All numbers:
own choice, compared with two real CTs (a slim man, a woman with her arms up).
"""

from dataclasses import dataclass

import numpy as np

from ctacal.arrays import Floats
from ctacal.simulate.anatomy.description import Patient

ANGLES = 360
"""Number of directions about the long axis; 0 is the front, 90 the left."""

BEHIND_STERNUM_MM = 3.5
"""Thickness of muscle and fat between the sternum and the cavity."""

_CAVITY_Z = (-330, -250, -180, -120, -60, 0, 40, 70, 90, 104, 112)
_CAVITY_WIDTH = (0.90, 0.93, 0.97, 1.0, 0.99, 0.93, 0.80, 0.60, 0.40, 0.17, 0.02)
_CAVITY_FRONT = (0.86, 0.95, 1.0, 1.0, 0.97, 0.85, 0.66, 0.42, 0.24, 0.08, 0.02)
_CAVITY_BACK = (0.78, 0.86, 0.95, 1.0, 1.02, 1.0, 0.90, 0.72, 0.52, 0.30, 0.04)
"""Half the width, and the depth to the front and to the back, over the largest ones, at each height."""


@dataclass(frozen=True)
class Chest:
    """The chest of a patient at a depth of breath (mm that the diaphragm descends)."""

    patient: Patient
    breath_mm: float = 0.0

    @property
    def scale(self) -> float:
        """Factor of all heights."""
        return self.patient.height_cm / 172

    @property
    def dome_top_mm(self) -> float:
        """Height of the right dome."""
        return -112 * self.scale + self.patient.diaphragm_mm - self.breath_mm

    def spine_front_mm(self, z: float | Floats) -> Floats:
        """Return y of the front of the vertebral bodies: kyphosis of the chest, lordosis of the neck."""
        t = np.asarray(z, float) / self.scale
        bow = np.interp(t, (-300, -200, -60, 20, 80, 130, 250), (-12, -8, 4, 3, -8, -18, -22))
        rest = np.interp(t, (-300, -60, 60, 120), (0.30, 0.33, 0.31, 0.2))
        return np.asarray(rest * self.patient.chest_half_depth_mm + bow * (0.6 + self.patient.kyphosis))

    def spine_x_mm(self, z: float | Floats) -> Floats:
        """Return x of the spine, which bends slightly to the side."""
        return np.asarray(self.patient.scoliosis_mm * np.sin(np.asarray(z, float) / self.scale / 70))

    def cavity_mm(self, z: float | Floats, angle_deg: float | Floats) -> Floats:
        """Return the radius of the chest cavity, inside of the ribs."""
        t = np.asarray(z, float) / self.scale
        patient = self.patient
        width = patient.chest_half_width_mm * np.interp(t, _CAVITY_Z, _CAVITY_WIDTH)
        deep = patient.chest_half_depth_mm + 0.15 * self.breath_mm
        front, back = deep * np.interp(t, _CAVITY_Z, _CAVITY_FRONT), deep * np.interp(t, _CAVITY_Z, _CAVITY_BACK)
        radius = rounded(angle_deg, width, front, back, 2.35)
        return np.asarray(radius * self.dent(t, angle_deg))

    def dent(self, t: Floats, angle_deg: float | Floats) -> Floats:
        """Return the share of the cavity's radius that remains where spine and muscles protrude between the lungs.

        ``t`` is the height in a patient of 172 cm. There is no dent in the neck.
        """
        apart = np.asarray(angle_deg, float) % 360 - 180
        return np.asarray(1 - 0.33 * np.clip((105 - t) / 30, 0, 1) * np.exp(-((apart / 21) ** 6)))


def rounded(angle_deg: float | Floats, width: Floats, front: Floats, back: Floats, power: float) -> Floats:
    """Return the radius of a superellipse whose depth differs between front and back."""
    turn = np.deg2rad(np.asarray(angle_deg, float))
    depth = np.where(np.cos(turn) > 0, front, back)
    level = (np.abs(np.sin(turn)) / np.maximum(width, 1)) ** power
    level = level + (np.abs(np.cos(turn)) / np.maximum(depth, 1)) ** power
    return np.asarray(level ** (-1 / power))
