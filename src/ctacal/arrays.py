"""Type aliases for arrays, by what they hold.

The shape and the unit of an array are stated where it is used. Axes are (slices, rows, columns), as in
``docs/conventions.md``.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
"""Real numbers in double precision: statistics, geometry, scores."""

Floats32 = NDArray[np.float32]
"""Real numbers in single precision: images on their way through filters and networks."""

Ints = NDArray[np.int64]
"""Whole numbers: indices, counts."""

Bytes = NDArray[np.uint8]
"""Small whole numbers: labels, structures."""

Mask = NDArray[np.bool_]
"""True for the selected voxels or rows."""

HUArray = NDArray[np.int16] | NDArray[np.float32]
"""Hounsfield units, (slices, rows, columns)."""

Box = tuple[slice, slice, slice]
"""A part of a grid: ``array[box]``."""
