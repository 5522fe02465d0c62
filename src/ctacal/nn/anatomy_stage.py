"""The anatomy of a scan at 5 x 4 x 4 mm, by a network that sees all of it. No torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ctacal.anatomy import HEART, Anatomy
from ctacal.arrays import Bytes, Floats32, Mask
from ctacal.components import parts
from ctacal.geometry import Geometry
from ctacal.heart import HeartMask
from ctacal.nn.grids import nearest, resampled
from ctacal.nn.heart_stage import largest_heart, probabilities
from ctacal.nn.inputs import STRUCTURE_PIXELS, STRUCTURES
from ctacal.nn.runtime import Stage
from ctacal.volume import Volume

STRAY_ML = 10.0
"""Parts of the heart that are smaller, and apart from all others, are stray islands (own choice)."""


@dataclass(frozen=True, eq=False)
class AnatomyMap:
    """How likely each structure is at each voxel of a coarse grid over the scan, cut to the body."""

    probability: Floats32
    """(slices, ``Anatomy`` classes, rows, columns); the classes sum to 1."""
    geometry: Geometry
    """Grid of ``probability``, coarser than the scan."""
    hu: Floats32 | None = None
    """(slices, rows, columns): the scan on that grid; None if the anatomy comes from no scan."""

    @cached_property
    def likeliest(self) -> Bytes:
        """(slices, rows, columns): the likeliest ``Anatomy`` of each voxel."""
        found, sure = np.zeros((2, *self.geometry.shape), np.uint8)
        for structure in Anatomy:  # only one can exceed a half: faster than argmax, which then decides a few voxels
            likely = self.probability[:, structure] > 0.5
            found |= likely * np.uint8(structure)
            sure |= likely
        slices, rows, columns = np.nonzero(sure == 0)
        found[slices, rows, columns] = self.probability[slices, :, rows, columns].argmax(axis=1)
        return found

    @cached_property
    def in_heart(self) -> Mask:
        """(slices, rows, columns): the inside of the pericardium, without stray islands."""
        return without_stray(np.isin(self.likeliest, HEART), self.geometry)

    @cached_property
    def volumes_ml(self) -> dict[Anatomy, float]:
        """Volume of each structure, as far as the scan shows it: of the voxels where it is the likeliest."""
        counts = np.bincount(self.likeliest.ravel(), minlength=len(Anatomy))
        voxel_ml = self.geometry.voxel_volume_mm3 / 1000.0
        return {structure: float(counts[structure] * voxel_ml) for structure in Anatomy}

    @property
    def heart_probability(self) -> Floats32:
        """(slices, rows, columns): probability of all that lies inside the pericardium, without great vessels."""
        return self._share(HEART)

    def heart_on(self, scan: Geometry) -> HeartMask:
        """Return the heart on the scan's voxels. Raises ``Refusal`` (``HEART_NOT_FOUND``) if it is too small."""
        return largest_heart(self.heart_probability, self.geometry, scan)

    def on(self, scan: Geometry) -> Bytes:
        """Return the likeliest ``Anatomy`` on the scan's voxels, ``OTHER`` beyond the body."""
        return nearest(self.likeliest, self.geometry, scan)

    def structures_around(self, crop: Geometry) -> Floats32:
        """Return (slices, ``STRUCTURES``, rows / 4, columns / 4): the input of the calcium network that
        says where the structures lie."""
        slice_mm, *pixels_mm = crop.spacing_mm
        grid = crop.with_spacing((slice_mm, *(STRUCTURE_PIXELS * mm for mm in pixels_mm)))
        return np.stack([resampled(share, self.geometry, grid, fill=0.0) for share in self.shares(STRUCTURES)], axis=1)

    def shares(self, groups: Sequence[Sequence[Anatomy]]) -> list[Floats32]:
        """Return (slices, rows, columns) for each group: the probability of one of its structures."""
        return [self._share(group) for group in groups]

    def _share(self, structures: Sequence[Anatomy]) -> Floats32:
        """Return (slices, rows, columns): probability of one of these structures."""
        first, *others = (self.probability[:, structure] for structure in structures)
        return np.asarray(sum(others, start=first), np.float32)


def without_stray(mask: Mask, geometry: Geometry) -> Mask:
    """Return the connected parts of a mask that have at least ``STRAY_ML``."""
    found = parts(mask, neighbours=6)
    return found.mask_of(found.sizes * geometry.voxel_volume_mm3 / 1000 >= STRAY_ML)


def find_anatomy(volume: Volume, stage: Stage) -> AnatomyMap:
    """Return the anatomy of a scan. Raises ``ValueError`` if the network is no anatomy network."""
    if stage.config.kind != "anatomy":
        raise ValueError(f"expected an anatomy network, got {stage.config.kind!r}")
    return AnatomyMap(*probabilities(volume, stage))
