"""The pictures of a report: the key slice of each vessel, two locator planes, and the montage."""

import io
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ctacal.arrays import Bytes
from ctacal.labels import Calcium
from ctacal.report.montage import BACKGROUND, CALCIUM_WINDOW_HU, INK, MAX_ASPECT, font, shown_labels, tile_sheet, tinted
from ctacal.report.vessels import VESSEL_NAMES
from ctacal.result import Scan, ScoredStudy
from ctacal.scores import component_agatston

KEY_PIXELS = 320
KEY_MM = 70.0
"""Side of the square around the calcium in a key slice, in mm."""
HEART_MM = 140.0
"""Side of the square if there is no calcium, in mm: large enough for the whole heart."""
LOCATOR_PIXELS, LOCATOR_MM = 400, 200.0
"""Width of the locator planes, in pixels and in mm."""
JPEG_QUALITY = 88


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture and its caption."""

    image: Image.Image
    caption: str

    @cached_property
    def jpeg(self) -> bytes:
        """The picture as JPEG, encoded once; without chroma subsampling, so that outlines stay sharp."""
        content = io.BytesIO()
        self.image.save(content, format="JPEG", quality=JPEG_QUALITY, subsampling=0)
        return content.getvalue()

    @property
    def data_uri(self) -> str:
        """The JPEG as the source of an HTML image."""
        return f"data:image/jpeg;base64,{b64encode(self.jpeg).decode()}"


@dataclass(frozen=True, eq=False)
class Pictures:
    """The pictures of one scored study, each drawn once, at its first use."""

    result: ScoredStudy

    @cached_property
    def tiles(self) -> Image.Image:
        """The slices of the montage, without its header."""
        return tile_sheet(self.result)

    @cached_property
    def montage(self) -> Picture:
        """The slices of the montage and their caption."""
        found = self.result.uncounted
        return Picture(
            self.tiles,
            "The patient's right is on the left. Number at the top right: the slice's part of the Agatston score."
            + (" Grey outline: weighed, not counted." if found else "")
            + (" Brown: bright in the scan, too faint once smoothed." if found and found.faded_count else ""),
        )

    @cached_property
    def key_slices(self) -> list[Picture]:
        """The slice with the highest score in each vessel; without calcium, the middle of the heart."""
        scan = self.result.scan
        found = [_key_slice(self.result, scan, label) for label in Calcium]
        return [picture for picture in found if picture] or [_middle(self.result, scan)]

    @cached_property
    def counted(self) -> Bytes:
        """Labels of the voxels that reach the threshold, so that only what is scored is drawn."""
        scan, threshold_hu = self.result.scan, self.result.rule.threshold_hu
        counted = np.zeros(scan.volume.hu.shape, np.uint8)
        for index in scan.labels.held_slices:
            counted[index] = np.where(scan.volume.hu[index] >= threshold_hu, scan.labels.labels[index], 0)
        return counted

    @cached_property
    def locators(self) -> list[Picture]:
        """Coronal and sagittal planes through the calcium or the heart; lines mark the key slices."""
        scan = self.result.scan
        slices = [index for label in Calcium if (index := best_component(scan, self.result, label)) is not None]
        heights = [int(scan.lesions.slice_index[index]) for index in slices]
        return [_locator(scan, self.counted, axis, heights) for axis in (1, 2)]


def best_component(scan: Scan, result: ScoredStudy, label: Calcium) -> int | None:
    """Return the index of the slice component with the highest score; None if the label scores nothing."""
    agatston = component_agatston(scan.lesions, result.scores.rule) * (scan.lesions.label == label)
    return int(agatston.argmax()) if agatston.any() else None


def _key_slice(result: ScoredStudy, scan: Scan, label: Calcium) -> Picture | None:
    best = best_component(scan, result, label)
    if best is None:
        return None
    lesions = scan.lesions
    index, row, column = (int(n) for n in np.rint(lesions.centroid[best]))
    picture = square(scan, shown_labels(scan, result.rule, index), (index, row, column))
    name = VESSEL_NAMES[label]
    caption = f"{name[0].upper()}{name[1:]}: slice {scan.stack.first + index + 1}, peak {lesions.peak_hu[best]:.0f} HU"
    return Picture(picture, caption)


def _middle(result: ScoredStudy, scan: Scan) -> Picture:
    index, row, column = _centre(scan)
    return Picture(
        square(scan, shown_labels(scan, result.rule, index), (index, row, column), HEART_MM),
        f"No calcium scored: slice {scan.stack.first + index + 1}",
    )


def _centre(scan: Scan) -> tuple[int, int, int]:
    """Return the voxel at the centre of the coronary calcium, else of the heart, else of the scan."""
    coronary = scan.lesions.label != Calcium.OTHER
    if coronary.any():
        middle = np.average(scan.lesions.centroid[coronary], axis=0, weights=scan.lesions.pixels[coronary])
    elif scan.heart is not None:
        middle = np.array([(span.start + span.stop - 1) / 2 for span in scan.heart.bounding_box])
    else:
        middle = (np.array(scan.volume.geometry.shape) - 1) / 2
    index, row, column = np.rint(middle).astype(int).tolist()
    return index, row, column


def square(scan: Scan, shown: Bytes, centre: tuple[int, int, int], side_mm: float = KEY_MM) -> Image.Image:
    """Draw a square around a voxel, black outside the scan; ``shown`` are the labels of its slice."""
    index, *middle = centre
    spacing_mm = scan.volume.geometry.spacing_mm[1:]
    half = [max(2, round(side_mm / 2 / mm)) for mm in spacing_mm]
    hu = _cut(scan.volume.hu[index], middle, half, CALCIUM_WINDOW_HU[0])
    labels = _cut(shown, middle, half, 0)
    picture = _drawn(hu, labels, (KEY_PIXELS, KEY_PIXELS))
    draw = ImageDraw.Draw(picture)
    _write(draw, (8, KEY_PIXELS / 2), "R", 15, "lm")
    _write(draw, (KEY_PIXELS - 8, KEY_PIXELS / 2), "L", 15, "rm")
    bar = 20 * KEY_PIXELS / side_mm
    draw.line((10, KEY_PIXELS - 10, 10 + bar, KEY_PIXELS - 10), INK, 2)
    _write(draw, (10, KEY_PIXELS - 14), "20 mm", 12, "ld")
    return picture


def _cut(plane: NDArray[Any], middle: Sequence[int], half: Sequence[int], fill: float) -> NDArray[Any]:
    """Return the part of a slice around a point, with ``fill`` outside the slice."""
    rows, columns = plane.shape
    whole = np.full((2 * half[0] + 1, 2 * half[1] + 1), fill, plane.dtype)
    first = [at - by for at, by in zip(middle, half, strict=True)]
    inside = [
        slice(max(0, start), min(n, start + size))
        for start, n, size in zip(first, (rows, columns), whole.shape, strict=True)
    ]
    target = tuple(slice(part.start - start, part.stop - start) for part, start in zip(inside, first, strict=True))
    whole[target] = plane[inside[0], inside[1]]
    return whole


def _drawn(hu: NDArray[Any], labels: Bytes, size: tuple[int, int]) -> Image.Image:
    low, high = CALCIUM_WINDOW_HU
    grey = np.clip((hu.astype(np.float32) - low) / (high - low) * 255, 0, 255).astype(np.uint8)
    picture = Image.fromarray(grey).resize(size, Image.Resampling.BICUBIC).convert("RGB")
    enlarged = np.asarray(Image.fromarray(labels).resize(size, Image.Resampling.NEAREST))
    return Image.fromarray(tinted(np.array(picture), enlarged))


def _locator(scan: Scan, counted: Bytes, axis: int, heights: Sequence[int]) -> Picture:
    """Draw the plane across ``axis`` (1: coronal, 2: sagittal), head up, with all calcium projected onto it."""
    geometry = scan.volume.geometry
    centre, across = _centre(scan), 3 - axis
    half = round(LOCATOR_MM / 2 / geometry.spacing_mm[across])
    span = slice(max(0, centre[across] - half), centre[across] + half)
    hu = np.take(scan.volume.hu, centre[axis], axis=axis)[::-1, span]
    labels = counted.max(axis=axis)[::-1, span]
    tall, wide = hu.shape[0] * geometry.spacing_mm[0], hu.shape[1] * geometry.spacing_mm[across]
    height = round(LOCATOR_PIXELS * min(max(tall / wide, 1 / MAX_ASPECT), MAX_ASPECT))
    picture = _drawn(hu, labels, (LOCATOR_PIXELS, height))
    draw = ImageDraw.Draw(picture)
    for index in heights:
        y = (len(hu) - index - 0.5) / len(hu) * height
        draw.line((0, y, LOCATOR_PIXELS * 0.05, y), INK, 2)
        draw.line((LOCATOR_PIXELS * 0.95, y, LOCATOR_PIXELS, y), INK, 2)
    ends = ("R", "L") if axis == 1 else ("A", "P")
    _write(draw, (8, height - 8), ends[0], 18, "ld")
    _write(draw, (LOCATOR_PIXELS - 8, height - 8), ends[1], 18, "rd")
    plane = "Coronal" if axis == 1 else "Sagittal"
    return Picture(picture, f"{plane} plane with all calcium projected onto it")


def _write(draw: ImageDraw.ImageDraw, at: tuple[float, float], text: str, size: int, anchor: str) -> None:
    """Write light text with a dark outline, readable on bone and on air."""
    draw.text(at, text, INK, font(size), anchor=anchor, stroke_width=2, stroke_fill=BACKGROUND)
