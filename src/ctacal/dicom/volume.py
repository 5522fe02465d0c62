"""A ``Stack`` of DICOM images, or a series of them -> a ``Volume`` in Hounsfield units."""

import numpy as np

from ctacal.dicom.decode import decode_hu
from ctacal.dicom.series import Series
from ctacal.dicom.stack import Stack
from ctacal.errors import Reason
from ctacal.geometry import Geometry
from ctacal.volume import Volume


def read_volume(series: Series, *, fill_gaps: bool = False, untilt: bool = False) -> tuple[Volume, tuple[Reason, ...]]:
    """Stack and decode a series into a canonical volume; return it with notes of every correction.

    ``fill_gaps`` interpolates missing slices, ``untilt`` resamples a gantry tilt away; without them such a series is
    refused. If you have the series' stack already, call ``decode_volume``.

    Args:
        series: A series of ``Study.series``, or that of a ``Choice``.
        fill_gaps: Whether missing slices are interpolated; otherwise such a series is refused.
        untilt: Whether a gantry tilt is resampled away; otherwise such a series is refused.

    Returns:
        The volume in HU, slices to the head, spacing in mm; and a note of each correction.

    Raises:
        Refusal: The series has gaps, a tilt, or pixels that cannot be read.

    Example:
        >>> from pathlib import Path
        >>> import ctacal
        >>> from ctacal.dicom import read_studies
        >>> [study] = read_studies([Path(ctacal.__file__).parent / "sample" / "thorax_phantom.zip"]).studies
        >>> volume, notes = read_volume(study.series[0])
        >>> volume.hu.shape, [round(mm, 2) for mm in volume.geometry.spacing_mm], notes
        ((48, 256, 256), [4.0, 1.6, 1.6], ())
    """
    volume, notes = decode_volume(Stack.of(series.slices, fill_gaps=fill_gaps, untilt=untilt))
    return volume, (*series.notes, *notes)


def decode_volume(stack: Stack) -> tuple[Volume, tuple[Reason, ...]]:
    """Decode a stack into a canonical volume; return it with notes of every correction. Raises ``Refusal``."""
    hu, notes = decode_hu(stack)
    volume = Volume(hu, stack.geometry)
    if stack.tilted:
        volume = _without_tilt(volume)
    return volume.canonical(), (*stack.notes, *notes)


def _without_tilt(volume: Volume) -> Volume:
    """Shift each slice within its plane so that the stack becomes orthogonal; slice positions stay as they are."""
    affine = volume.geometry.affine.copy()
    normal = np.cross(affine[:3, 1], affine[:3, 2])
    normal /= np.linalg.norm(normal)
    affine[:3, 0] = normal * (normal @ affine[:3, 0])
    return volume.resample(Geometry(volume.geometry.shape, affine))
