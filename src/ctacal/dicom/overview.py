"""``decode_overview``: a large stack seen coarsely: every n-th slice, in pixels of about 4 mm."""

from dataclasses import dataclass

import numpy as np

from ctacal.dicom.decode import hu_of_slices, require_hounsfield
from ctacal.dicom.files.source import close_archives
from ctacal.dicom.header import Slice
from ctacal.dicom.pixel_data.seams import require_one_scan
from ctacal.dicom.stack import Stack
from ctacal.geometry import Geometry
from ctacal.volume import Volume, block_sums

OVERVIEW_PIXEL_MM = 4.0
"""Pixel size of an overview: that of the heart network, and of the search by morphology (own choice)."""

OVERVIEW_SLICE_MM = 7.5
"""Largest distance between the slices of an overview: as in a CTAC of thick slices, whose hearts are found (own
choice)."""


@dataclass(frozen=True, eq=False, slots=True)
class Overview:
    """A canonical volume of few and coarse voxels."""

    volume: Volume
    every: int
    """Its slice k is slice k x ``every`` of the stack."""
    slices: tuple[Slice, ...]
    """Those of the stack."""

    def require_hounsfield(self) -> None:
        """Raise ``Refusal`` if the values are not HU, or hold hardly anything but air."""
        require_hounsfield(self.volume.hu, self.slices)


def decode_overview(stack: Stack) -> Overview:
    """Decode every n-th slice, averaged over blocks of pixels; one slice at a time is held at its full matrix.

    Raises ``Refusal``: pixels unreadable, no rescale, out of range, or two scans above each other.
    """
    slices, rows, columns = stack.geometry.shape
    slice_mm, row_mm, column_mm = stack.geometry.spacing_mm
    every = min(slices, max(1, int(OVERVIEW_SLICE_MM / slice_mm)))
    block = (
        min(rows, max(1, round(OVERVIEW_PIXEL_MM / row_mm))),
        min(columns, max(1, round(OVERVIEW_PIXEL_MM / column_mm))),
    )
    seen = _every(stack, every)
    hu = np.empty((len(seen), rows // block[0], columns // block[1]), np.float32)
    for index, plane in enumerate(hu_of_slices(seen)):
        hu[index] = block_sums(plane, block)
    hu /= block[0] * block[1]
    close_archives()
    require_one_scan(hu, seen, slice_mm * every)
    return Overview(Volume(hu, _coarse(stack.geometry, hu.shape, every, block)).canonical(), every, tuple(seen))


def _every(stack: Stack, step: int) -> list[Slice]:
    """Return every n-th slice; for one that is missing, the slice below it."""
    found = [stack.slices[index] or stack.slices[index - 1] for index in range(0, len(stack.slices), step)]
    return [slice_ for slice_ in found if slice_ is not None]


def _coarse(fine: Geometry, shape: tuple[int, ...], every: int, block: tuple[int, int]) -> Geometry:
    affine = fine.affine.copy()
    affine[:3, 3] = fine.to_patient_mm((0.0, (block[0] - 1) / 2, (block[1] - 1) / 2))
    affine[:3, :3] *= (every, *block)
    return Geometry((shape[0], shape[1], shape[2]), affine)
