"""``read_volume``: a series of DICOM images -> a ``Volume`` in Hounsfield units."""

import numpy as np

from ctacal.dicom.decode import decode_hu
from ctacal.dicom.series import Series
from ctacal.dicom.stack import Stack
from ctacal.errors import Reason
from ctacal.geometry import Geometry
from ctacal.volume import Volume


def read_volume(series: Series, *, fill_gaps: bool = False, untilt: bool = False) -> tuple[Volume, tuple[Reason, ...]]:
    """Decode a series into a canonical volume, with the notes of what had to be done.

    ``fill_gaps`` interpolates missing slices, ``untilt`` resamples a gantry tilt away; without them such a series is
    refused. Raises ``Refusal``.
    """
    stack = Stack.of(series.slices, fill_gaps=fill_gaps, untilt=untilt)
    hu, notes = decode_hu(stack)
    volume = Volume(hu, stack.geometry)
    if stack.tilted:
        volume = _without_tilt(volume)
    return volume.canonical(), (*series.notes, *stack.notes, *notes)


def _without_tilt(volume: Volume) -> Volume:
    """Shift each slice in its own plane so that the stack is orthogonal; slice positions stay as they are."""
    affine = volume.geometry.affine.copy()
    normal = np.cross(affine[:3, 1], affine[:3, 2])
    normal /= np.linalg.norm(normal)
    affine[:3, 0] = normal * (normal @ affine[:3, 0])
    return volume.resample(Geometry(volume.geometry.shape, affine))
