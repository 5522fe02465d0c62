"""``Volume``: Hounsfield units with their geometry; reorient, crop, resample, read and write NIfTI."""

import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ctacal.arrays import Box, Floats, Floats32, HUArray
from ctacal.errors import Code, Refusal
from ctacal.geometry import CANONICAL_DIRECTIONS, Geometry

_DAMAGED = (ArithmeticError, AttributeError, EOFError, LookupError, OSError, TypeError, ValueError, zlib.error)
"""The exceptions that nibabel raises for a damaged file."""

AIR_HU = -1000
"""Value of voxels outside a volume that is resampled."""

MAX_VOXELS = 2**28
"""Largest number of voxels that are read at once: 1,024 slices of 512 x 512, more than any chest; 0.5 GB as int16.
Of a larger scan, the part with the heart is read (``ctacal.whole_body``)."""

_MAX_ROUNDING_ERROR = 1e-9
"""In voxels; far above that of double precision, far below what interpolation shows."""

MAX_NIFTI_BYTES = 2**31
"""Largest size of a NIfTI file's voxels: labels of whole-body scans are read, 0.3 GB as uint8."""

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""NIfTI's patient frame points to the right and anterior, DICOM's to the left and posterior."""


@dataclass(frozen=True, eq=False, slots=True)
class Volume:
    """A CT in Hounsfield units, with its geometry. Raises ``ValueError`` if the two do not fit together.

    Example:
        >>> water = Volume(np.zeros((20, 64, 64), np.int16), Geometry.from_spacing((20, 64, 64), (3.0, 0.8, 0.8)))
        >>> water.crop((slice(0, 5), slice(0, 64), slice(0, 64))).geometry.shape
        (5, 64, 64)
    """

    hu: HUArray
    """(slices, rows, columns), int16 or float32."""
    geometry: Geometry
    """Where the voxels lie in the patient, in mm (LPS)."""

    def __post_init__(self) -> None:
        if self.hu.dtype not in (np.int16, np.float32):
            raise ValueError(f"hu must be int16 or float32, got {self.hu.dtype}")
        if self.hu.shape != self.geometry.shape:
            raise ValueError(f"hu has shape {self.hu.shape}, its geometry says {self.geometry.shape}")

    def crop(self, slices: Box) -> "Volume":
        """Return the part ``hu[slices]`` (a view) with its geometry."""
        return Volume(self.hu[slices], self.geometry.crop(slices))

    def canonical(self) -> "Volume":
        """Return the same voxels with slices to the head, rows to posterior, columns to the left, by flips alone."""
        hu, geometry = reoriented(self.hu, self.geometry, CANONICAL_DIRECTIONS)
        return Volume(hu, geometry)

    def resample(self, grid: Geometry, *, order: Literal[0, 1, 2, 3] = 1, fill_hu: float = AIR_HU) -> "Volume":
        """Interpolate the volume at the voxel centres of ``grid`` by splines of ``order`` (1: linear), as float32."""
        from scipy import ndimage

        index_map = _with_whole_numbers(np.linalg.inv(self.geometry.affine) @ grid.affine)
        matrix, offset = index_map[:3, :3], index_map[:3, 3]
        diagonal = bool(np.allclose(matrix, np.diag(np.diag(matrix)), atol=1e-12))
        hu = ndimage.affine_transform(
            self.hu,
            np.diag(matrix) if diagonal else matrix,  # a diagonal takes scipy's separable path: 3x faster
            offset,
            output_shape=grid.shape,
            output=np.float32,
            order=order,
            mode="constant",
            cval=fill_hu,
        )
        return Volume(np.asarray(hu, np.float32), grid)

    def save_nifti(self, path: Path) -> None:
        """Write a NIfTI-1 file (.nii or .nii.gz), axes (column, row, slice), frame RAS."""
        save_nifti(path, self.hu, self.geometry)

    @classmethod
    def from_nifti(cls, path: Path) -> "Volume":
        """Read a NIfTI file of Hounsfield units in canonical orientation."""
        array, geometry = load_nifti(path)
        exact = np.issubdtype(array.dtype, np.integer) and np.iinfo(np.int16).min <= array.min() <= array.max() <= 32767
        hu: HUArray = array.astype(np.int16) if exact else array.astype(np.float32)
        return cls(hu, geometry).canonical()


def _with_whole_numbers(index_map: Floats) -> Floats:
    """Round what rounding errors alone keep from whole numbers: an end slice at -1e-16 would lie outside the volume."""
    whole = np.rint(index_map)
    return np.where(np.abs(index_map - whole) < _MAX_ROUNDING_ERROR, whole, index_map)


def reoriented(array: NDArray[Any], geometry: Geometry, directions: Floats) -> tuple[Any, Geometry]:
    """Flip and transpose an array of any kind, and its grid, so that its axes lie nearest to ``directions``."""
    view, turned = reoriented_view(array, geometry, directions)
    return np.ascontiguousarray(view), turned


def reoriented_view(array: NDArray[Any], geometry: Geometry, directions: Floats) -> tuple[Any, Geometry]:
    """Return what ``reoriented`` returns as a view, which takes no memory."""
    order, signs = geometry.axes_to(directions)
    flips = (slice(None, None, signs[0]), slice(None, None, signs[1]), slice(None, None, signs[2]))
    turned = geometry.transpose(order).crop(flips)
    return array.transpose(order)[flips], turned


def block_sums(plane: NDArray[Any], block: tuple[int, int]) -> Floats32:
    """Return the sum of each block of (rows, columns) of a slice; what is left over at the end of a side is cut off."""
    rows, columns = (n // b for n, b in zip(plane.shape, block, strict=True))
    whole = plane[: rows * block[0], : columns * block[1]]
    by_rows = whole[:: block[0]].astype(np.float32)
    for row in range(1, block[0]):  # sums of whole rows take half the time of a reduction over the blocks
        by_rows += whole[row :: block[0]]
    sums = by_rows[:, :: block[1]].copy()
    for column in range(1, block[1]):
        sums += by_rows[:, column :: block[1]]
    return sums


def save_nifti(path: Path, array: NDArray[Any], geometry: Geometry) -> None:
    """Write any (slice, row, column) array as NIfTI in mm."""
    import nibabel as nib

    affine = _LPS_TO_RAS @ geometry.affine[:, [2, 1, 0, 3]]
    image: Any = nib.Nifti1Image(np.ascontiguousarray(array.T), affine)  # type: ignore[no-untyped-call]
    image.header.set_xyzt_units("mm")
    nib.save(image, path)


def load_nifti(path: Path) -> tuple[NDArray[Any], Geometry]:
    """Read a 3-D NIfTI file as a (slice, row, column) array with its grid.

    Raises ``ValueError`` if the file is not a 3-D NIfTI.
    """
    import nibabel as nib

    try:
        image: Any = nib.load(path)
        kind = image.get_data_dtype()
        if (
            kind.kind not in "biuf"
            or kind.itemsize > 8
            or not 0 < math.prod(image.shape) * kind.itemsize <= MAX_NIFTI_BYTES
        ):
            raise ValueError(f"claims {image.shape} voxels of {kind}")
        array = np.asarray(image.dataobj)
    except (nib.filebasedimages.ImageFileError, nib.spatialimages.HeaderDataError, *_DAMAGED) as problem:
        raise ValueError(f"{path}: not a readable NIfTI file ({problem})") from problem
    if array.ndim != 3:
        raise ValueError(f"{path}: expected 3 dimensions, got {array.ndim} ({array.shape})")
    slices, rows, columns = array.T.shape
    return array.T, Geometry((slices, rows, columns), _LPS_TO_RAS @ image.affine[:, [2, 1, 0, 3]])


def require_same_grid(volume: Volume, geometry: Geometry, name: str) -> None:
    """Raise ``Refusal`` (``LABELS_MISMATCH``) if a geometry is not the volume's; ``name`` says whose it is."""
    if not volume.geometry.same_grid(geometry):
        raise Refusal(
            Code.LABELS_MISMATCH,
            f"{name}: its grid {geometry.shape} is not the scan's {volume.geometry.shape}, or lies elsewhere; "
            "draw the labels on the scored series",
        )
