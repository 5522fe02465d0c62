"""Print how much neighbouring slices of scans differ: the figures behind the limits of ``dicom/pixel_data/seams.py``.

    python benchmarks/seams.py FOLDER...

For each scan: the largest change between neighbours against the next pairs, its ratio to the change over 30 mm, and the
largest difference of a slice from both neighbours against that between these. Then, for every two of the scans, the
lower half of one below the upper half of the other: how much the seam stands out.
"""

import argparse
from itertools import permutations
from pathlib import Path

import numpy as np

from ctacal.arrays import Floats32
from ctacal.dicom.choose import candidates
from ctacal.dicom.decode import decode_hu
from ctacal.dicom.pixel_data import seams
from ctacal.dicom.series import read_studies
from ctacal.errors import Refusal


def scans(paths: list[Path]) -> list[tuple[str, Floats32, float]]:
    """Return (name, smoothed planes, slice spacing in mm) of each scan that can be read."""
    found = []
    for study in read_studies(paths).studies:
        for candidate in candidates(study):
            if candidate.stack is None:
                continue
            try:
                hu = decode_hu(candidate.stack)[0]
            except Refusal as refusal:
                print(f"{candidate.series.name}: {refusal}")
                continue
            planes = seams._smooth(hu[:, ::4, ::4].astype(np.float32))
            found.append((candidate.series.name, planes, candidate.stack.geometry.slice_spacing_mm))
    return found


def seam_at(planes: Floats32, pair: int, spacing_mm: float) -> tuple[float, float]:
    """Return how much the slices of a pair differ, against the next pairs and against slices 30 mm apart."""
    change, last = seams._change(planes, 1), len(planes) - 1
    far = max(1, round(seams.FAR_MM / spacing_mm))
    around = max(*change[pair - 2 : pair], *change[pair + 1 : pair + 3])
    ends = (pair, max(0, pair - far)), (pair + 1, min(last, pair + 1 + far))
    distant = max(float(np.abs(planes[a] - planes[b]).mean()) for a, b in ends)
    return float(change[pair] / around), float(change[pair] / (distant + 1))


def misplaced(planes: Floats32) -> float:
    """Return the largest ratio of a slice's difference from both neighbours to that between these."""
    change = seams._change(planes, 1)
    return float((np.minimum(change[:-1], change[1:]) / (seams._change(planes, 2) + 1)).max())


def main() -> None:
    """Print a line for each scan, and one for all pairs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", type=Path, nargs="+")
    found = scans(parser.parse_args().paths)
    for name, planes, spacing_mm in found:
        pairs = [seam_at(planes, pair, spacing_mm) for pair in range(2, len(planes) - 3)]
        near, far = max(pairs)
        print(f"{name}: next pairs {near:.2f} (30 mm apart {far:.2f}), misplaced {misplaced(planes):.2f}")
    values = []
    for (_, below, spacing_mm), (_, above, _) in permutations(found, 2):
        rows, columns = (min(below.shape[axis], above.shape[axis]) for axis in (1, 2))
        cut, start = len(below) // 2, len(above) // 2
        joined = np.concatenate([below[:cut, :rows, :columns], above[start:, :rows, :columns]])
        values.append(seam_at(joined, cut - 1, spacing_mm))
    if values:
        near, far = (np.percentile(column, (0, 5, 50)) for column in np.array(values).T)
        print(f"{len(values)} pairs: least, 5 %, median against next pairs {near.round(1)}, 30 mm apart {far.round(1)}")


if __name__ == "__main__":
    main()
