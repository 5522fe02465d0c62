"""``write_npz``: arrays as an NPZ file, whole or not at all, at the fastest compression."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctacal.atomic import whole_file

LEVEL = 1
"""Level of compression: NumPy's own, 6, takes five times as long for scans, which noise keeps from shrinking: 15.3
instead of 15.7 MB."""


def write_npz(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays for ``np.load``; those of dtype object are refused with ``ValueError``."""
    with (
        whole_file(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=LEVEL) as npz,
    ):
        for name, array in arrays.items():
            with npz.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asanyarray(array), allow_pickle=False)
