"""Print how far a model's score moves when a picture changes as two readings of one patient differ.

    python benchmarks/stability.py SCAN... [--no-heart SCAN...] [--model MODEL] [--out stability.csv]

SCAN is a test study (.npz), a folder of them, or a folder or zip of DICOM. Each is scored as it is and changed: shifted
within the plane by up to 8 pixels, with more noise, with a field of view a tenth smaller or larger (with the same
pixels, and with others). Goal (issue 17): a score moves by less than 5 % or 5 points, and a category by at most one.

A scan of ``--no-heart`` must be refused: as it is, shifted, cropped, and turned as a wrong header turns it. Exit
status 1 if a goal is missed.

Noise and other pixels change the voxels themselves, so the score moves even if the same calcium is found: ``voxels
alone`` is the score of the calcium of the unchanged scan, carried over, with the voxels beside it that are bright now.
The summary tells both: how often the score is kept, and how often the model keeps to what the voxels do.
"""

import argparse
import csv
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ctacal.arrays import Bytes
from ctacal.categories import category_indices
from ctacal.dicom.series import read_studies
from ctacal.dicom.volume import read_volume
from ctacal.errors import Refusal
from ctacal.geometry import Geometry
from ctacal.labels import CORONARY_LABELS, LabelMap
from ctacal.nn.known_study import read_test_study
from ctacal.nn.predict import WEIGHTS, load_model
from ctacal.prediction import Predictor
from ctacal.scores import SCCT_2016, ScoringRule, score_label_map
from ctacal.volume import AIR_HU, Volume

SHARE, POINTS = 0.05, 5.0
"""A score may move by this share, or by this many points (issue 17)."""

SHIFTS = ((-8, 0), (8, 0), (0, -8), (0, 8), (-5, -5), (3, 1))
"""Shifts by (rows, columns); the first, the second, the fourth and the fifth are those of issue 17."""

NOISE_SD_HU, NOISE_GRAIN_PIXELS = (5.0, 10.0), 1.0
"""Noise that is added, and the SD of the Gaussian that gives it the grain of a soft kernel (own choice)."""

FIELD = 0.1
"""Share by which the field of view is smaller or larger."""

Change = Callable[[Volume, Bytes], tuple[Volume, Bytes]]
"""Changes a scan, and carries labels over to it."""


@dataclass(frozen=True, slots=True)
class Scan:
    """A scan as it is."""

    name: str
    volume: Volume
    rule: ScoringRule


@dataclass(frozen=True, slots=True)
class Line:
    """One change of one scan."""

    scan: str
    change: str
    before: float | None
    """Agatston score as it is; None: refused."""
    after: float | None
    voxels_alone: float | None
    """Score of the calcium found before, on the changed voxels."""
    refusal: str
    kept: bool
    """Whether the goal is met."""
    follows: bool
    """Whether it would be met if the score before were that of the voxels alone."""


def shifted(rows: int, columns: int) -> Change:
    """Move the picture by whole pixels; air follows."""

    def moved(plane: NDArray[Any], fill: int) -> NDArray[Any]:
        return ndimage.shift(plane, (0, rows, columns), order=0, mode="constant", cval=fill, prefilter=False)

    return lambda volume, labels: (Volume(moved(volume.hu, AIR_HU), volume.geometry), moved(labels, 0))


def noisier(sd_hu: float, seed: int = 0) -> Change:
    def change(volume: Volume, labels: Bytes) -> tuple[Volume, Bytes]:
        white = np.random.default_rng(seed).normal(size=volume.hu.shape).astype(np.float32)
        grain = ndimage.gaussian_filter(white, (0, NOISE_GRAIN_PIXELS, NOISE_GRAIN_PIXELS))
        hu = volume.hu + grain * (sd_hu / float(grain.std()))
        return Volume(np.rint(hu).astype(np.int16), volume.geometry), with_neighbours(labels)

    return change


def with_neighbours(labels: Bytes) -> Bytes:
    """Label the pixels beside coronary calcium too, where nothing is labelled yet."""
    coronary = np.where(np.isin(labels, CORONARY_LABELS), labels, 0)
    return np.where(labels == 0, ndimage.grey_dilation(coronary, size=(1, 3, 3)), labels)


def cropped(share: float) -> Change:
    """Cut the rim off (or add air, if ``share`` is negative), so that the field of view is smaller by ``share``."""

    def change(volume: Volume, labels: Bytes) -> tuple[Volume, Bytes]:
        wanted = [n - 2 * round(n * share / 2) for n in volume.hu.shape[1:]]
        affine = volume.geometry.affine.copy()
        starts = [(n - w) // 2 for n, w in zip(volume.hu.shape[1:], wanted, strict=True)]
        affine[:3, 3] = volume.geometry.to_patient_mm((0, *starts))
        grid = Geometry((volume.hu.shape[0], wanted[0], wanted[1]), affine)
        return Volume(_framed(volume.hu, starts, wanted, AIR_HU), grid), _framed(labels, starts, wanted, 0)

    return change


def _framed(array: NDArray[Any], starts: Sequence[int], wanted: Sequence[int], fill: int) -> NDArray[Any]:
    pads = [(0, 0)] + [
        (max(0, -start), max(0, start + w - n)) for start, w, n in zip(starts, wanted, array.shape[1:], strict=True)
    ]
    rows, columns = (slice(max(0, start), max(0, start) + w) for start, w in zip(starts, wanted, strict=True))
    return np.ascontiguousarray(np.pad(array, pads, constant_values=fill)[:, rows, columns])


def other_pixels(share: float) -> Change:
    """The same matrix over a field of view larger by ``share``, by cubic splines in plane; labels by the nearest."""

    def change(volume: Volume, labels: Bytes) -> tuple[Volume, Bytes]:
        _, rows, columns = volume.hu.shape
        scale, middle = 1 + share, ((rows - 1) / 2, (columns - 1) / 2)
        affine = volume.geometry.affine.copy()
        affine[:3, 3] = volume.geometry.to_patient_mm((0, *(m * (1 - scale) for m in middle)))
        affine[:3, 1:3] *= scale
        grid = Geometry(volume.hu.shape, affine)
        hu = np.stack([_zoomed(plane.astype(np.float32), scale, middle, 3, AIR_HU) for plane in volume.hu])
        carried = np.stack([_zoomed(plane, scale, middle, 0, 0) for plane in labels])
        return Volume(np.rint(hu).clip(-32768, 32767).astype(np.int16), grid), with_neighbours(carried)

    return change


def _zoomed(
    plane: NDArray[Any], scale: float, middle: tuple[float, float], order: Literal[0, 3], fill: int
) -> NDArray[Any]:
    offset = [m * (1 - scale) for m in middle]
    return np.asarray(ndimage.affine_transform(plane, [scale, scale], offset, order=order, mode="constant", cval=fill))


def turned(flips: tuple[int, int, int]) -> Change:
    """Flip axes although the header stays: what a wrong header does. -1 flips (slices, rows, columns)."""
    steps = (slice(None, None, flips[0]), slice(None, None, flips[1]), slice(None, None, flips[2]))
    return lambda volume, labels: (Volume(volume.hu[steps].copy(), volume.geometry), labels[steps].copy())


def without_part(axis: int, first: float, last: float) -> Change:
    """Keep the part of an axis between two shares of its length."""

    def change(volume: Volume, labels: Bytes) -> tuple[Volume, Bytes]:
        n = volume.hu.shape[axis]
        kept = [slice(0, size) for size in volume.hu.shape]
        kept[axis] = slice(round(first * n), round(last * n))
        part = (kept[0], kept[1], kept[2])
        return Volume(volume.hu[part].copy(), volume.geometry.crop(part)), labels[part].copy()

    return change


CHANGES: dict[str, Change] = {
    **{f"shifted by {shift}": shifted(*shift) for shift in SHIFTS},
    **{f"noise of {sd:.0f} HU added": noisier(sd) for sd in NOISE_SD_HU},
    "field a tenth smaller": cropped(FIELD),
    "field a tenth larger": cropped(-FIELD),
    "pixels a tenth smaller": other_pixels(-FIELD),
    "pixels a tenth larger": other_pixels(FIELD),
}

REFUSED_CHANGES: dict[str, Change] = {
    **CHANGES,
    "cropped to the middle half of the rows": without_part(1, 0.25, 0.75),
    "cropped to the left half": without_part(2, 0.5, 1.0),
    "cropped to the right half": without_part(2, 0.0, 0.5),
    "lower half of the slices": without_part(0, 0.0, 0.5),
    "upper half of the slices": without_part(0, 0.5, 1.0),
    "mirrored along the patient": turned((-1, 1, 1)),
    "mirrored left to right": turned((1, 1, -1)),
    "head first for feet first": turned((-1, 1, -1)),
    "prone for supine": turned((1, -1, -1)),
}


def scans_of(path: Path) -> Iterator[Scan]:
    """Yield the test studies or the DICOM series at a path."""
    known = [path] if path.suffix == ".npz" else sorted(path.glob("[!.]*.npz")) if path.is_dir() else []
    for file in known:
        test_study = read_test_study(file)
        yield Scan(test_study.name, test_study.volume, SCCT_2016)
    if known:
        return
    for study in read_studies([path]).studies:
        for series in study.series:
            if series.header.modality == "CT":
                yield Scan(
                    f"{path.name} {series.uid[-6:]}", read_volume(series)[0], SCCT_2016.at_kvp(series.header.kvp)
                )


def scored(model: Predictor, scan: Scan, volume: Volume) -> tuple[float | None, Bytes, str]:
    """Return the score, the labels and why it was refused."""
    try:
        labels = model(volume, scan.rule).labels
    except Refusal as refusal:
        return None, np.zeros(volume.hu.shape, np.uint8), refusal.reason.code
    return score_label_map(volume, labels, scan.rule)[1].agatston.total, labels.labels, ""


def stability(model: Predictor, scan: Scan) -> Iterator[Line]:
    """Yield what each change does to the score."""
    before, labels, refusal = scored(model, scan, scan.volume)
    yield Line(scan.name, "as it is", before, before, before, refusal, *(before is not None,) * 2)
    for name, change in CHANGES.items():
        volume, carried = change(scan.volume, labels)
        after, _, refusal = scored(model, scan, volume)
        alone = score_label_map(volume, LabelMap(carried, volume.geometry), scan.rule)[1].agatston.total
        yield Line(scan.name, name, before, after, alone, refusal, is_kept(before, after), is_kept(alone, after))


def is_kept(before: float | None, after: float | None) -> bool:
    """Whether the score moves by less than 5 % or 5 points, and the category by at most one."""
    if before is None or after is None:
        return before is after
    category = category_indices([before, after])
    return abs(after - before) < max(SHARE * before, POINTS) and bool(abs(category[1] - category[0]) <= 1)


def refusals(model: Predictor, scan: Scan) -> Iterator[Line]:
    """Yield whether a scan without a heart is refused, as it is and changed."""
    none = np.zeros(scan.volume.hu.shape, np.uint8)
    for name, change in {"as it is": turned((1, 1, 1)), **REFUSED_CHANGES}.items():
        volume, _ = change(scan.volume, none)
        after, _, refusal = scored(model, scan, volume)
        yield Line(scan.name, name, None, after, None, refusal, *(after is None,) * 2)


def main() -> None:
    """Score every scan and print a line for each change."""
    parser = argparse.ArgumentParser(description="How far a score moves when the picture changes")
    parser.add_argument("scans", nargs="*", type=Path)
    parser.add_argument("--no-heart", nargs="*", type=Path, default=[])
    parser.add_argument("--model", type=Path, default=WEIGHTS)
    parser.add_argument("--out", type=Path, help="write the lines as CSV too")
    options = parser.parse_args()
    model = load_model(options.model)
    lines: list[Line] = []
    print(f"{'scan':34s} {'change':40s} {'before':>9s} {'after':>9s} {'voxels alone':>13s}")
    for paths, examine in ((options.scans, stability), (options.no_heart, refusals)):
        for scan in (scan for path in paths for scan in scans_of(path)):
            for line in examine(model, scan):
                print_line(line)
                lines.append(line)
    if options.out:
        write_lines(lines, options.out)
    sys.exit(summarise(lines))


def print_line(line: Line) -> None:
    numbers = (_number(value) for value in (line.before, line.after, line.voxels_alone))
    before, after, alone = numbers
    verdict = line.refusal if line.kept else f"MISSED {line.refusal}"
    print(f"{line.scan:34s} {line.change:40s} {before:>9s} {after:>9s} {alone:>13s}  {verdict}".rstrip(), flush=True)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def write_lines(lines: Sequence[Line], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(Line.__slots__))
        table.writeheader()
        table.writerows(asdict(line) for line in lines)


def summarise(lines: Sequence[Line]) -> int:
    """Print how many scans keep their score in each change; returns 1 if any does not."""
    print(f"\n{'change':40s} {'kept':>10s} {'as voxels':>10s} {'scans':>6s}")
    for change in dict.fromkeys(line.change for line in lines):
        here = [line for line in lines if line.change == change]
        kept, follows = (sum(flags) for flags in zip(*((line.kept, line.follows) for line in here), strict=True))
        print(f"{change:40s} {kept:10d} {follows:10d} {len(here):6d}")
    return int(not all(line.kept for line in lines))


if __name__ == "__main__":
    main()
