"""``LabelMap``: the voxels that are calcium, and the vessel of each."""

from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import numpy as np

from ctacal.arrays import Bytes, Ints
from ctacal.geometry import Geometry
from ctacal.volume import save_nifti


class Calcium(IntEnum):
    """The values of a label map; 0 is background.

    >>> Calcium(2).name, Calcium.OTHER.is_coronary
    ('LAD', False)
    """

    LM = 1
    """Left main coronary artery."""
    LAD = 2
    """Left anterior descending coronary artery, with its diagonals."""
    LCX = 3
    """Left circumflex coronary artery, with its marginals."""
    RCA = 4
    """Right coronary artery."""
    CORONARY = 5
    """A coronary artery of unknown name."""
    OTHER = 6
    """Calcium that is not coronary: aortic wall, valve, annulus, node; never counted."""

    @property
    def is_coronary(self) -> bool:
        """Whether calcium of this label counts towards the score."""
        return self is not Calcium.OTHER


CORONARY_LABELS: tuple[Calcium, ...] = tuple(label for label in Calcium if label.is_coronary)
NAMED_VESSELS: tuple[Calcium, ...] = (Calcium.LM, Calcium.LAD, Calcium.LCX, Calcium.RCA)


@dataclass(frozen=True, eq=False, slots=True)
class LabelMap:
    """The voxels that are calcium, and the vessel of each. Raises ``ValueError`` for a value that is no ``Calcium``.

    Example:
        >>> grid = Geometry.from_spacing((2, 8, 8), (3.0, 0.8, 0.8))
        >>> labels = np.zeros((2, 8, 8), np.uint8)
        >>> labels[1, 3, 3:5] = Calcium.LAD
        >>> LabelMap(labels, grid).held_slices
        array([1])
    """

    labels: Bytes
    """``Calcium`` values, 0 for background: (slices, rows, columns), uint8."""
    geometry: Geometry
    """The grid of the volume that they belong to."""

    def __post_init__(self) -> None:
        if self.labels.dtype != np.uint8 or self.labels.shape != self.geometry.shape:
            raise ValueError(
                f"labels must be uint8 of shape {self.geometry.shape}, got {self.labels.dtype} {self.labels.shape}"
            )
        if self.labels.size and self.labels.max() > max(Calcium):
            raise ValueError(f"labels must be 0..{int(max(Calcium))}, got {self.labels.max()}")

    @property
    def held_slices(self) -> Ints:
        """Indices of the slices that hold a label: few, so that work on them alone saves time and memory."""
        return np.flatnonzero(self.labels.any(axis=(1, 2)))

    def save_nifti(self, path: Path) -> None:
        """Write the label map as NIfTI (uint8)."""
        save_nifti(path, self.labels, self.geometry)
