"""Whether a scan resembles the training scans: figures of image quality, and their range in training.

``figures_of`` measures a scan; ``training_range`` summarises the same figures over the training scans;
``doubts_about`` warns of figures outside that range, which is kept in the model card. No torch.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctacal.arrays import Floats32, Mask
from ctacal.errors import Code, Reason
from ctacal.heart import HeartMask
from ctacal.morphology import grown
from ctacal.nn.motion import border_blur_mm
from ctacal.noise import BLOOD_HU, MIN_NOISE_PATCHES, SOFT_ABOVE_HU
from ctacal.prediction import ScanFigures
from ctacal.volume import Volume, require_same_grid

PATCH_MM = 16.0
"""Side of the patches on which noise is measured: many grains wide, no wider than a chamber (as ``heart``)."""

MIN_NOISE_HU = 1.0
"""Smallest noise whose grain is measured: less is a drawing or rounding, not CT noise (own choice)."""

METAL_ABOVE_HU = 2000.0
"""HU above which a voxel is metal: more than bone and any calcium on a CTAC; electrodes, wires and clips saturate (own
choice)."""

METAL_REACH_MM = 15.0
"""Distance from the heart within which metal causes streaks in it (own choice)."""

PERCENTILES = (1.0, 99.0)
"""Percentiles of the training scans' figures that are the ends of the range (own choice)."""

SLACK = 0.15
"""A figure is outside the range if it is beyond an end by more than this share of the range's width. Without it, one of
the eight figures would be outside by chance in every tenth scan; percentiles of a hundred scans leave out the ends that
training reached, such as pixels of 2 mm (own choice)."""

MIN_SCANS = 30
"""Smallest number of training scans for a range (own choice)."""


TrainingRange = Mapping[str, tuple[float, float]]
"""Low and high end of each figure over the training scans."""


def figures_of(volume: Volume, heart: HeartMask) -> ScanFigures:
    """Measure a canonical scan, or a crop around the heart; ``field_mm`` of a crop has no meaning.

    Raises ``Refusal`` (``LABELS_MISMATCH``) if the mask does not belong to the volume.
    """
    require_same_grid(volume, heart.geometry, "heart mask")
    patches, deep = _patches_of_heart(volume, heart)
    mean_hu = patches.mean(axis=(3, 4))
    blood = deep & (mean_hu >= BLOOD_HU[0]) & (mean_hu <= BLOOD_HU[1])
    soft = mean_hu[deep & (mean_hu > SOFT_ABOVE_HU)]
    rest = _less_plane(patches[blood]) if np.count_nonzero(blood) >= MIN_NOISE_PATCHES else None
    noise_sd_hu = _noise_sd_hu(rest) if rest is not None else None
    if noise_sd_hu is not None and noise_sd_hu < MIN_NOISE_HU:
        rest = None
    slice_mm, row_mm, column_mm = volume.geometry.spacing_mm
    rows, columns = volume.geometry.shape[1:]
    return ScanFigures(
        noise_sd_hu=noise_sd_hu,
        noise_grain_mm=_grain_mm(rest, (row_mm, column_mm)) if rest is not None else None,
        slice_correlation=_slice_correlation(rest, blood) if rest is not None else None,
        slice_spacing_mm=slice_mm,
        pixel_mm=row_mm,
        field_mm=min(rows * row_mm, columns * column_mm),
        blood_hu=float(np.median(soft)) if soft.size >= MIN_NOISE_PATCHES else None,
        border_blur_mm=border_blur_mm(volume, heart),
        metal_mm3=_metal_mm3(volume, heart),
    )


def training_range(figures: Iterable[ScanFigures]) -> dict[str, tuple[float, float]]:
    """Return the ``PERCENTILES`` of each figure over the training scans, the card's entry ``training_range``.

    A figure that was measured on fewer than ``MIN_SCANS`` scans is left out.
    """
    rows = [asdict(measured) for measured in figures]
    ends = {}
    for name in CODES:
        values = [row[name] for row in rows if row[name] is not None]
        if len(values) >= MIN_SCANS:
            low, high = np.percentile(values, PERCENTILES)
            ends[name] = (round(float(low), 4), round(float(high), 4))
    return ends


CODES: Mapping[str, tuple[Code, str]] = {
    "noise_sd_hu": (Code.NOISE_UNLIKE_TRAINING, "noise SD in HU"),
    "noise_grain_mm": (Code.KERNEL_UNLIKE_TRAINING, "noise grain in mm"),
    "slice_correlation": (Code.SLICES_UNLIKE_TRAINING, "correlation of noise between neighbouring slices"),
    "slice_spacing_mm": (Code.SLICES_UNLIKE_TRAINING, "slice spacing in mm"),
    "pixel_mm": (Code.PIXELS_UNLIKE_TRAINING, "pixel size in mm"),
    "field_mm": (Code.FIELD_UNLIKE_TRAINING, "field of view in mm"),
    "blood_hu": (Code.BLOOD_UNLIKE_TRAINING, "CT value inside the heart in HU"),
    "border_blur_mm": (Code.MOTION_SEEN, "blur of the heart's border in mm"),
}
"""For each figure that has a range: the code of its warning, and its name in words."""


def doubts_about(figures: ScanFigures, known: TrainingRange) -> Iterator[Reason]:
    """Yield a warning for each figure outside the training range; metal needs no range.

    Contrast medium is ``blood``'s concern, for every predictor.
    """
    if figures.metal_mm3 > 0:
        message = (
            f"{figures.metal_mm3:.0f} mm3 above {METAL_ABOVE_HU:.0f} HU in or beside the heart: metal and its streaks"
        )
        yield Reason(Code.METAL_SEEN, f"{message} can count as calcium or hide it")
    for name, (code, words) in CODES.items():
        value = getattr(figures, name)
        if name not in known or value is None:
            continue
        low, high = known[name]
        slack = SLACK * (high - low)
        too_low = value < low - slack and code is not Code.MOTION_SEEN  # no heart can be too still
        if too_low or value > high + slack:
            yield Reason(code, f"{words}: {value:.3g}; the training scans have {low:.3g} to {high:.3g}")


def _patches_of_heart(volume: Volume, heart: HeartMask) -> tuple[Floats32, Mask]:
    """Return (slices, patch rows, patch columns, rows, columns) HU over the heart's box; which patches lie inside."""
    box = heart.bounding_box
    side = tuple(max(3, round(PATCH_MM / mm)) for mm in volume.geometry.spacing_mm[1:])
    inside = _in_patches(heart.mask[box], side).all(axis=(3, 4))
    framed = np.pad(inside, ((0, 0), (1, 1), (1, 1)))
    deep = inside & framed[:, :-2, 1:-1] & framed[:, 2:, 1:-1] & framed[:, 1:-1, :-2] & framed[:, 1:-1, 2:]
    return _in_patches(volume.hu[box], side).astype(np.float32), deep


def _in_patches(array: NDArray[Any], side: tuple[int, ...]) -> NDArray[Any]:
    rows, columns = (n // s for n, s in zip(array.shape[1:], side, strict=True))
    whole = array[:, : rows * side[0], : columns * side[1]]
    return whole.reshape(len(array), rows, side[0], columns, side[1]).swapaxes(2, 3)


def _less_plane(patches: Floats32) -> Floats32:
    """Subtract from each (rows, columns) patch its least-squares plane: shading does not count as noise."""
    rows, columns = patches.shape[1:]
    down, across = np.mgrid[:rows, :columns].astype(np.float32)
    plane = np.stack([np.ones_like(down), down - (rows - 1) / 2, across - (columns - 1) / 2]).reshape(3, -1)
    plane /= np.linalg.norm(plane, axis=1, keepdims=True)
    flat = patches.reshape(len(patches), -1)
    return np.asarray((flat - (flat @ plane.T) @ plane).reshape(patches.shape), np.float32)


def _noise_sd_hu(rest: Floats32) -> float:
    """Return the median over the patches, which those with a vessel's border hardly change."""
    freedom = rest.shape[1] * rest.shape[2] - 3
    return float(np.median(np.sqrt((rest**2).sum(axis=(1, 2)) / freedom)))


def _grain_mm(rest: Floats32, pixel_mm: tuple[float, float]) -> float:
    """Return the distance at which the autocorrelation, along rows and columns, first falls to one half.

    It is half a pixel for white noise. Patches with a border in them, louder than most, are left out.
    """
    power = (rest**2).mean(axis=(1, 2))
    rest = rest[power <= 1.5 * np.median(power)]
    widths = []
    for axis, mm in zip((1, 2), pixel_mm, strict=True):
        along = np.moveaxis(rest, axis, -1)
        lags = range(along.shape[-1] // 2)
        level = [float((along[..., lag:] * along[..., : along.shape[-1] - lag]).mean()) for lag in lags]
        share = np.asarray(level) / level[0]
        below = int(np.argmax(share < 0.5))
        if not below:  # it does not fall that far
            return mm * len(share)
        widths.append(mm * (below - 1 + (share[below - 1] - 0.5) / (share[below - 1] - share[below])))
    return float(np.mean(widths))


def _slice_correlation(rest: Floats32, blood: Mask) -> float | None:
    """Return the median over patches that hold blood in two neighbouring slices; None if there are too few."""
    number = np.cumsum(blood.ravel()).reshape(blood.shape) - 1  # index of each patch among those of blood
    both = blood[:-1] & blood[1:]
    if np.count_nonzero(both) < MIN_NOISE_PATCHES:
        return None
    lower, upper = rest[number[:-1][both]], rest[number[1:][both]]
    products = (lower * upper).mean(axis=(1, 2))
    return float(np.median(products / np.sqrt((lower**2).mean(axis=(1, 2)) * (upper**2).mean(axis=(1, 2)) + 1e-6)))


def _metal_mm3(volume: Volume, heart: HeartMask) -> float:
    slices, *plane = heart.bounding_box
    reach = [int(np.ceil(METAL_REACH_MM / mm)) for mm in volume.geometry.spacing_mm[1:]]
    rows, columns = (slice(max(0, side.start - by), side.stop + by) for side, by in zip(plane, reach, strict=True))
    bright = volume.hu[slices, rows, columns] > METAL_ABOVE_HU
    if not bright.any():  # nearly always: saves growing the mask
        return 0.0
    near = grown(heart.mask[slices, rows, columns], METAL_REACH_MM, volume.geometry.spacing_mm[1])
    return float(np.count_nonzero(bright & near)) * volume.geometry.voxel_volume_mm3
