"""A thorax of ellipsoids with the truth about its heart, and the real scans."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ctacal.dicom.series import read_studies
from ctacal.dicom.volume import read_volume
from ctacal.geometry import Geometry
from ctacal.volume import Volume

SPACING_MM = (5.0, 2.0, 2.0)
SHAPE = (44, 130, 190)
FADE = 14
"""Slices over which the parts of a whole body fade into each other."""
AIR, LUNG, FAT, SOFT, BLOOD, BONE = -1000, -850, -90, 50, 45, 350


@dataclass
class Thorax:
    """Ellipsoids in mm about the scan's middle: (up, back, left)."""

    plaques: tuple[tuple[float, float, float], ...] = ()
    heart_center_mm: tuple[float, float, float] = (0.0, -25.0, 20.0)
    heart_mm: tuple[float, float, float] = (50.0, 50.0, 60.0)
    spacing_mm: tuple[float, float, float] = SPACING_MM
    shape: tuple[int, int, int] = SHAPE
    lungs: tuple[str, ...] = ("right", "left")
    hu: NDArray[np.int16] = field(init=False)
    heart: NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        hu = np.full(self.shape, AIR, np.int16)
        hu[self.ellipsoid((0, 0, 0), (1e6, 110, 170))] = SOFT
        abdomen = self.ellipsoid((-150, 0, 0), (102, 88, 150), power=4) | self.ellipsoid((-60, -10, -85), (35, 40, 40))
        left = self.left_mm()
        for side, half in (("right", left < -4), ("left", left > 4)):
            if side in self.lungs:
                hu[self.ellipsoid((0, -5, 0), (1e6, 83, 140)) & ~abdomen & half] = LUNG
        hu[self.ellipsoid((80, -20, 0), (80, 26, 32))] = BLOOD  # great vessels
        self.heart = self.ellipsoid(self.heart_center_mm, tuple(mm + 5 for mm in self.heart_mm))
        hu[self.heart] = FAT
        hu[self.ellipsoid(self.heart_center_mm, self.heart_mm)] = BLOOD
        hu[self.ellipsoid((0, 42, 22), (1e6, 13, 13))] = BLOOD  # descending aorta
        hu[self.ellipsoid((0, 70, 0), (1e6, 18, 20))] = BONE
        hu[self.ellipsoid((0, -97, 0), (1e6, 6, 22))] = BONE
        for left_mm in (-148, 148):
            hu[self.ellipsoid((0, 0, left_mm), (1e6, 8, 6))] = BONE
        for at in self.plaques:
            hu[self.ellipsoid(at, (4, 3.5, 3.5))] = 400
        hu[:, -3:] = BONE  # a table, below the back
        self.hu = hu

    def left_mm(self) -> NDArray[np.float64]:
        return np.asarray((np.arange(self.shape[2]) - (self.shape[2] - 1) / 2) * self.spacing_mm[2], np.float64)

    def ellipsoid(self, center_mm: tuple[float, ...], half_mm: tuple[float, ...], power: int = 2) -> NDArray[np.bool_]:
        inside = np.zeros(self.shape)
        for axis, (n, mm, c, h) in enumerate(zip(self.shape, self.spacing_mm, center_mm, half_mm, strict=True)):
            along = ((np.arange(n) - (n - 1) / 2) * mm - c) / h
            inside = inside + np.expand_dims(np.abs(along) ** power, [a for a in range(3) if a != axis])
        return inside <= 1

    def volume(self, *, noise_hu: float = 0.0, smooth_px: float = 0.0) -> Volume:
        """Return the scan, with noise of this standard deviation, which is grainy if ``smooth_px`` is above 0."""
        from scipy import ndimage

        hu = self.hu.astype(np.float64)
        if noise_hu:
            noise = np.random.default_rng(0).normal(size=hu.shape)
            noise = ndimage.gaussian_filter(noise, (0, smooth_px, smooth_px)) if smooth_px else noise
            hu += noise * (noise_hu / noise.std())
        return Volume(np.rint(hu).astype(np.int16), Geometry.from_spacing(self.shape, self.spacing_mm))


def whole_body(chest: Thorax, *, legs: int = 20, abdomen: int = 40, head: int = 30, air: int = 6) -> Volume:
    """Return the chest of a patient scanned from the legs to the air above the head; the numbers are of slices.

    The last slices of each part fade into the next: a patient does not change at once.
    """
    nothing = np.full_like(chest.hu[0], AIR)
    parts = [(_legs(chest), legs), (_abdomen(chest), abdomen), (chest.hu[0], 0)]
    above = [(chest.hu[-1], FADE), (_head(chest), head), (nothing, air)]
    hu = np.concatenate([_faded(parts), chest.hu, _faded(above)])
    hu[:, -3:] = BONE
    hu += np.random.default_rng(2).integers(0, 3, hu.shape, np.int16)  # no slice is a copy of the next
    first_mm = -chest.spacing_mm[0] * (legs + abdomen)
    return Volume(hu, Geometry.from_spacing((len(hu), *chest.shape[1:]), chest.spacing_mm, (0.0, 0.0, first_mm)))


def _faded(parts: Sequence[tuple[NDArray[np.int16], int]]) -> NDArray[np.int16]:
    slices = []
    for (plane, count), (following, _) in zip(parts, [*parts[1:], parts[-1]], strict=True):
        shares = np.clip(np.arange(count) - (count - FADE), 0, None) / FADE
        slices += [plane + share * (following.astype(np.float32) - plane) for share in shares]
    return np.rint(slices).astype(np.int16)


def _legs(chest: Thorax) -> NDArray[np.int16]:
    return _discs(chest, ((0, 80, 75, 75, SOFT), (0, -80, 75, 75, SOFT), (0, 80, 16, 16, BONE), (0, -80, 16, 16, BONE)))


def _abdomen(chest: Thorax) -> NDArray[np.int16]:
    """Return a slice with gas in the bowel, on both sides."""
    gas = ((-40, 60, 25, 45, AIR), (-40, -60, 25, 45, AIR))
    return _discs(chest, ((0, 0, 110, 170, SOFT), *gas, (70, 0, 18, 20, BONE)))


def _head(chest: Thorax) -> NDArray[np.int16]:
    return _discs(chest, ((0, 0, 95, 75, BONE), (0, 0, 88, 68, SOFT), (-75, 0, 8, 15, AIR)))


def _discs(chest: Thorax, discs: Sequence[tuple[float, float, float, float, int]]) -> NDArray[np.int16]:
    """Draw (back, left, half rows, half columns, HU), in mm about the middle, over each other."""
    hu = np.full(chest.shape[1:], AIR, np.int16)
    for back, left, half_rows, half_columns, value in discs:
        hu[chest.ellipsoid((0, back, left), (1e6, half_rows, half_columns))[0]] = value
    return hu


def real_scan(folder: Path) -> Volume:
    (study,) = read_studies([folder]).studies
    return read_volume(study.series[0])[0]
