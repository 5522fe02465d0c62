"""``Tissue``: maps of a real scan, blurred until noise no longer matters: lung, fat, usable tissue."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ctacal.arrays import Floats, Floats32, Mask
from ctacal.geometry import Geometry
from ctacal.simulate.anatomy.structures import Points
from ctacal.volume import Volume

BLUR_MM = 1.8
"""SD of the blur in plane: an artery and the fat around it average to slightly more than fat (own choice)."""

LUNG_HU = -400.0
"""Blurred HU below which there is lung or air."""

LUNG_EDGE_MM = 4.0
"""Distance from lung within which apparent fat may be the blurred edge of lung: at an edge from -850 to 40 HU with a
blur of 2.3 mm (SD, of the scan and ``BLUR_MM`` together), HU are below -15 up to 3.6 mm."""

FAT_HU = -15.0
"""Blurred HU below which there is fat, also with an artery in it."""

NEAR_MM = 4.0
"""Largest distance of a coronary plaque from fat (own choice)."""

USABLE_HU = (-160.0, 110.0)
"""Blurred HU where calcium may be placed: neither lung nor bone."""


@dataclass(frozen=True, eq=False, slots=True)
class Tissue:
    """Maps on a scan's grid; distances are within the slice."""

    grid: Geometry
    blurred_hu: Floats32
    lung_mm: Floats32
    """Distance of each voxel to lung."""
    fat_mm: Floats32
    """Distance of each voxel to fat that is not the blurred edge of lung."""

    @classmethod
    def of(cls, volume: Volume) -> "Tissue":
        """Compute the maps of a canonical axial scan."""
        hu = blurred(volume)
        lung_mm = _distance_mm(hu < LUNG_HU, volume.geometry)
        return cls(
            volume.geometry, hu, lung_mm, _distance_mm((hu < FAT_HU) & (lung_mm > LUNG_EDGE_MM), volume.geometry)
        )

    def at(self, values: Floats32, points: Points) -> Floats:
        """Return the values of a map at (n, 3) points; beyond the scan, those of its rim."""
        return np.asarray(ndimage.map_coordinates(values, _index(self.grid, points), order=1, mode="nearest"), float)

    def usable(self, points: Points) -> Mask:
        """Whether calcium can lie at each point: in the scan, neither in lung nor in bone."""
        hu = self.at(self.blurred_hu, points)
        return np.asarray(within(self.grid, points) & (hu > USABLE_HU[0]) & (hu < USABLE_HU[1]))

    def beside_fat(self, points: Points) -> Mask:
        """Whether fat lies near each point: on the heart, neither in it nor at its border with lung."""
        return np.asarray(self.at(self.fat_mm, points) < NEAR_MM)


def within(grid: Geometry, points: Points) -> Mask:
    """Whether each (n, 3) point lies in the grid."""
    last, index = np.array(grid.shape)[:, None] - 1, _index(grid, points)
    return np.asarray(((index >= -0.5) & (index <= last + 0.5)).all(axis=0))


def _index(grid: Geometry, points: Points) -> Floats:
    """Return the index, (3, n), of (n, 3) points."""
    inverse = np.linalg.inv(grid.affine)
    return np.asarray((points @ inverse[:3, :3].T + inverse[:3, 3]).T)


def blurred(volume: Volume) -> Floats32:
    """Return HU blurred by ``BLUR_MM`` in each slice."""
    row_mm, column_mm = volume.geometry.spacing_mm[1:]
    clipped = np.clip(volume.hu, -1000, 400).astype(np.float32)
    return np.asarray(ndimage.gaussian_filter(clipped, (0, BLUR_MM / row_mm, BLUR_MM / column_mm)), np.float32)


def _distance_mm(mask: Mask, grid: Geometry) -> Floats32:
    """Return the distance to the nearest voxel of the mask in the same slice; large if the slice has none."""
    far = np.float32(np.hypot(*grid.shape[1:]) * max(grid.spacing_mm[1:]))
    planes = [
        ndimage.distance_transform_edt(~plane, sampling=grid.spacing_mm[1:])
        if plane.any()
        else np.full(plane.shape, far)
        for plane in mask
    ]
    return np.asarray(planes, np.float32)
