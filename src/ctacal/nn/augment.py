"""Augmentation: a training sequence cut from a sample, rotated, scaled, blurred and made noisy.

The result depends on the sample, the configuration and the random generator alone.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ctacal.arrays import Bytes, Floats, Floats32, Ints, Mask
from ctacal.nn.config import AugmentationConfig, SamplingConfig, UniformRange
from ctacal.nn.inputs import STRUCTURE_PIXELS, STRUCTURES, heart_centre_index, true_structures
from ctacal.nn.samples import Sample

Random = np.random.Generator

USUAL_BLUR_MM = 4.0
"""SD of the Gaussian that makes true structures as soft as those of stage 1, in validation (own choice)."""


@dataclass(frozen=True, eq=False, slots=True)
class Clip:
    """Neighbouring slices of a sample, of the size that the network is trained on."""

    hu: Floats32
    """(slices, rows, columns)."""
    labels: Bytes
    heart: Floats32
    """0 to 1."""
    mass_mg: Floats32
    """(slices, 4)."""
    spacing_mm: tuple[float, float, float]
    centre: Floats
    """(slice, row, column) of the heart's centre on this clip; it may lie outside."""
    anatomy: Bytes | None = None
    """``Anatomy`` values; None if the sample has none."""
    structures: Floats32 | None = None
    """(slices, ``inputs.STRUCTURES``, rows / 4, columns / 4): how likely each is, as stage 1 may see it."""


def whole_clip(sample: Sample, multiple: int, *, structures: bool = False) -> Clip:
    """Return the whole sample, padded to a multiple of ``multiple`` by its last rows and columns, unlabelled there.

    With ``structures``, as for ``draw_clip``, if the sample knows its anatomy.
    """
    padding = ((0, 0), *((0, -n % multiple) for n in sample.hu.shape[1:]))
    anatomy = None if sample.anatomy is None else np.pad(sample.anatomy, padding)
    return Clip(
        np.pad(sample.hu, padding, mode="edge").astype(np.float32),
        np.pad(sample.labels, padding),
        np.pad(sample.heart, padding).astype(np.float32),
        sample.mass_mg,
        sample.spacing_mm,
        heart_centre_index(sample.heart),
        anatomy,
        _softened(anatomy, sample.spacing_mm, USUAL_BLUR_MM) if structures and anatomy is not None else None,
    )


def draw_clip(
    sample: Sample,
    near_slice: int,
    sampling: SamplingConfig,
    config: AugmentationConfig,
    random: Random,
    *,
    structures: bool = False,
) -> Clip:
    """Return a clip that holds the slice ``near_slice``, with every augmentation of ``config`` drawn at random.

    ``structures``: the clip also holds what stage 1 may tell the calcium network.
    """
    thick = 2 if random.random() < config.thick_share and len(sample.hu) >= 2 * sampling.slices else 1
    clip = _placed(
        sample, _slices_around(near_slice, sampling.slices * thick, len(sample.hu), random), random, sampling, config
    )
    if thick == 2:
        clip = _thickened(clip)
    hu = _resolution_changed(_blurred_along(clip.hu, config, random), config, random)
    hu = hu + _noise(hu.shape, _drawn(config.noise_sd_hu, random), _drawn(config.noise_grain_pixels, random), random)
    hu *= _drawn(config.contrast, random)
    hu += random.uniform(-config.offset_hu, config.offset_hu)
    centre = clip.centre + random.uniform(-1, 1, 3) * config.heart_shift_mm / np.asarray(clip.spacing_mm)
    heart = _heart_erred(clip, config, random)
    seen = _structures_erred(clip, config, random) if structures else None
    return replace(clip, hu=hu, heart=heart, centre=centre, structures=seen)


def _slices_around(near: int, count: int, available: int, random: Random) -> Ints:
    """Return ``count`` neighbouring slice numbers, ``near`` among them; the last repeats if there are too few."""
    lowest, highest = max(0, near - count + 1), min(near, available - count)
    first = int(random.integers(lowest, highest + 1)) if highest >= lowest else 0
    return np.minimum(first + np.arange(count), available - 1)


def _placed(sample: Sample, slices: Ints, random: Random, sampling: SamplingConfig, config: AugmentationConfig) -> Clip:
    """Rotate, scale and shift in plane about the heart's centre; mass scales with the area."""
    scale, angle = _drawn(config.scale, random), np.deg2rad(random.uniform(-1, 1) * config.rotation_degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / scale
    centre = heart_centre_index(sample.heart)
    shift = random.uniform(-1, 1, 2) * config.shift_mm / np.asarray(sample.spacing_mm[1:])
    middle = (np.array([sampling.rows, sampling.columns]) - 1) / 2 + shift  # where the heart's centre will be
    places = _Places.of(turn, centre[1:] - turn @ middle, (sampling.rows, sampling.columns), sample.hu.shape[1:])
    return Clip(
        places.linear(sample.hu[slices]),
        places.nearest(sample.labels[slices]),
        places.nearest(sample.heart[slices]).astype(np.float32),
        sample.mass_mg[slices] * np.float32(scale**2),
        sample.spacing_mm,
        np.array([centre[0] - slices[0], *middle]),
        None if sample.anatomy is None else places.nearest(sample.anatomy[slices]),
    )


@dataclass(frozen=True, eq=False, slots=True)
class _Places:
    """Where each pixel of a clip comes from; the same for all its slices, so computed once."""

    size: tuple[int, int]
    corners: tuple[NDArray[np.intp], ...]
    """Flat indices of the four pixels around the place; beyond the sides the last pixel repeats."""
    shares: tuple[Floats32, ...]
    at: NDArray[np.intp]
    """Flat index of the nearest pixel."""
    inside: Mask

    @classmethod
    def of(cls, turn: Floats, offset: Floats, size: tuple[int, int], plane: tuple[int, ...]) -> "_Places":
        row, column = (turn @ np.indices(size).reshape(2, -1) + offset[:, None]).astype(np.float32)
        rows, columns = plane
        nearest = np.floor(row + 0.5).astype(np.intp), np.floor(column + 0.5).astype(np.intp)
        inside = (nearest[0] >= 0) & (nearest[0] < rows) & (nearest[1] >= 0) & (nearest[1] < columns)
        r, c = np.clip(row, 0, rows - 1), np.clip(column, 0, columns - 1)
        r0, c0 = np.minimum(r.astype(np.intp), rows - 2), np.minimum(c.astype(np.intp), columns - 2)
        fr, fc = r - r0, c - c0
        first = r0 * columns + c0
        at = np.clip(nearest[0], 0, rows - 1) * columns + np.clip(nearest[1], 0, columns - 1)
        shares = tuple(np.asarray(s, np.float32) for s in ((1 - fr) * (1 - fc), (1 - fr) * fc, fr * (1 - fc), fr * fc))
        return cls(size, (first, first + 1, first + columns, first + columns + 1), shares, at, inside)

    def linear(self, planes: NDArray[Any]) -> Floats32:
        """Return (slices, rows, columns), interpolated linearly."""
        flat = planes.reshape(len(planes), -1)
        found = sum(share * flat.take(at, axis=1) for at, share in zip(self.corners, self.shares, strict=True))
        return np.asarray(found, np.float32).reshape(len(planes), *self.size)

    def nearest(self, planes: NDArray[Any]) -> NDArray[Any]:
        """Return (slices, rows, columns) of the nearest pixels, 0 beyond the sides."""
        flat = planes.reshape(len(planes), -1).take(self.at, axis=1)
        return np.asarray(flat * self.inside, planes.dtype).reshape(len(planes), *self.size)


def _thickened(clip: Clip) -> Clip:
    """Average pairs of slices to slices of twice the thickness; the label is that of the brighter voxel."""
    pairs = clip.hu.reshape(-1, 2, *clip.hu.shape[1:])
    labels = clip.labels.reshape(pairs.shape)
    brighter = pairs.argmax(axis=1)[:, None]
    chosen = np.take_along_axis(labels, brighter, axis=1)[:, 0]
    return Clip(
        pairs.mean(axis=1),
        np.where(chosen == 0, labels.max(axis=1), chosen),
        clip.heart.reshape(pairs.shape).mean(axis=1),
        clip.mass_mg.reshape(-1, 2, clip.mass_mg.shape[1]).sum(axis=1),
        (2 * clip.spacing_mm[0], *clip.spacing_mm[1:]),
        np.array([(clip.centre[0] - 0.5) / 2, *clip.centre[1:]]),
        None if clip.anatomy is None else clip.anatomy[::2],
    )


def _blurred_along(hu: Floats32, config: AugmentationConfig, random: Random) -> Floats32:
    """Blur along the patient, as in thicker slices; the random numbers of other recipes stay as they were."""
    if config.blur_slices[1] == 0:
        return hu
    sd = (_drawn(config.blur_slices, random), 0.0, 0.0)
    return np.asarray(ndimage.gaussian_filter(hu, sd, mode="nearest", truncate=3.0), np.float32)


def _resolution_changed(hu: Floats32, config: AugmentationConfig, random: Random) -> Floats32:
    """Sharpen by an unsharp mask, or blur."""
    if random.random() < config.sharpen_share:
        return hu + np.float32(_drawn(config.sharpen, random)) * (hu - _smooth(hu, 1.0))
    return _smooth(hu, _drawn(config.blur_pixels, random))


def _noise(shape: tuple[int, ...], sd_hu: float, grain_pixels: float, random: Random) -> Floats32:
    """Return Gaussian noise of that standard deviation, grainy in plane, independent between slices."""
    noise = _smooth(random.standard_normal(shape, np.float32), grain_pixels)
    return noise * np.float32(sd_hu / noise.std())


def _heart_erred(clip: Clip, config: AugmentationConfig, random: Random) -> Floats32:
    """Return the heart mask shifted, along the patient too, and grown or shrunk, as stage 1 may err."""
    slice_mm, pixel_mm, _ = clip.spacing_mm
    shift = random.uniform(-1, 1, 2) * config.heart_shift_mm / pixel_mm
    along = round(random.uniform(-1, 1) * config.heart_shift_along_mm / slice_mm)
    from_slice = np.clip(np.arange(len(clip.heart)) - along, 0, len(clip.heart) - 1)
    heart = np.roll(clip.heart[from_slice], np.rint(shift).astype(int), axis=(1, 2))
    grow_pixels = _drawn(config.heart_grow_mm, random) / pixel_mm
    width = max(1.0, abs(grow_pixels))  # an edge blurred by its own growth moves about as far at this level
    level = 0.5 - 0.34 * grow_pixels / width
    return (_smooth(heart, width) >= level).astype(np.float32)


def _structures_erred(clip: Clip, config: AugmentationConfig, random: Random) -> Floats32 | None:
    """Return the structures shifted, blurred, preferred or missed as stage 1 may err, or none of them."""
    if clip.anatomy is None:
        return None
    shift = random.uniform(-1, 1, 3) * config.anatomy_shift_mm / np.asarray(clip.spacing_mm)
    blur_mm, doubts = _drawn(config.anatomy_blur_mm, random), random.normal(0, config.anatomy_doubt, len(STRUCTURES))
    hidden = random.random() < config.anatomy_hidden_share
    moved = np.roll(clip.anatomy, np.rint(shift).astype(int), axis=(0, 1, 2))
    share = _softened(moved, clip.spacing_mm, blur_mm)
    odds = share * np.exp(doubts).astype(np.float32)[:, None, None]
    rest = 1 - share.sum(axis=1, keepdims=True)
    return np.asarray(odds / (odds.sum(axis=1, keepdims=True) + rest) * (not hidden), np.float32)


def _softened(anatomy: Bytes, spacing_mm: tuple[float, float, float], sd_mm: float) -> Floats32:
    """Return the share of each structure, blurred by a Gaussian along all three axes."""
    slice_mm, *plane_mm = spacing_mm
    slices, rows, columns = sd_mm / slice_mm, *(sd_mm / (STRUCTURE_PIXELS * mm) for mm in plane_mm)
    blurred = ndimage.gaussian_filter(
        true_structures(anatomy), (slices, 0, rows, columns), mode="nearest", truncate=3.0
    )
    return np.asarray(blurred, np.float32)


def _smooth(array: Floats32, pixels: float) -> Floats32:
    """Blur by a Gaussian, in plane only."""
    if pixels < 0.2:  # less than 0.2 pixels changes nothing
        return array
    return np.asarray(ndimage.gaussian_filter(array, (0.0, pixels, pixels), truncate=3.0), np.float32)


def _drawn(limits: UniformRange, random: Random) -> float:
    return float(random.uniform(*limits))
