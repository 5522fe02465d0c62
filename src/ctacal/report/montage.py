"""The overlay montage: axial slices of the heart in a calcium window, lesions coloured by vessel.

Radiological convention: the patient's left is on the right of each picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ctacal.arrays import Bytes, Floats
from ctacal.islands import Islands
from ctacal.labels import Calcium
from ctacal.report.vessels import (
    FADED,
    FADED_COLOUR,
    FADED_NAME,
    UNCOUNTED,
    UNCOUNTED_COLOUR,
    UNCOUNTED_NAME,
    VESSEL_COLOURS,
    VESSEL_NAMES,
    Colour,
)
from ctacal.result import NOTICE, Scan, ScoredStudy
from ctacal.scores import ScoringRule, component_agatston
from ctacal.uncounted import TakenFor

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

CALCIUM_WINDOW_HU = (-160.0, 440.0)
"""Display window in HU (level 140, width 600): soft tissue is mid-grey, calcium is bright but not clipped at 130 HU."""

MAX_TILES, MIN_TILES = 20, 10
TILE_PIXELS = 260
COLUMNS = 5
HEADER_PIXELS = 118
MAX_ASPECT = 4.0
"""Largest ratio of height to width of a picture; a wrong pixel spacing would otherwise make one of gigabytes."""
MARGIN_MM = 12.0
FILL_OPACITY = 0.45
_DARKENED = [value // 3 for value in range(256)] * 3
BACKGROUND: Colour = (16, 16, 20)
INK: Colour = (235, 235, 235)
FAINT: Colour = (150, 150, 160)


@dataclass(frozen=True, slots=True)
class _Window:
    """The part of the slices that is shown: first and last row and column, in voxels."""

    rows: tuple[int, int]
    columns: tuple[int, int]


def montage(result: ScoredStudy, tiles: Image.Image | None = None) -> Image.Image:
    """Draw the montage of a scored study; ``tiles`` is what ``tile_sheet`` returns, if it is drawn already."""
    tiles = tile_sheet(result) if tiles is None else tiles
    sheet = Image.new("RGB", (max(tiles.width, 3 * TILE_PIXELS), HEADER_PIXELS + tiles.height), BACKGROUND)
    _write_header(sheet, result)
    sheet.paste(tiles, (0, HEADER_PIXELS))
    return sheet


def tile_sheet(result: ScoredStudy) -> Image.Image:
    """Draw the slices of the montage, without its header."""
    scan, scores = result.scan, result.scores
    weights = _slice_agatston(scan, scores.rule)
    window, shown = _window(scan), slices_shown(scan, scores.rule)
    columns = min(COLUMNS, len(shown))
    tile_height = _tile_height(scan, window)
    sheet = Image.new("RGB", (columns * TILE_PIXELS, -(-len(shown) // columns) * tile_height), BACKGROUND)
    for position, index in enumerate(shown):
        tile = _tile(scan, result, window, index, tile_height, weights[index])
        sheet.paste(tile, (position % columns * TILE_PIXELS, position // columns * tile_height))
    return sheet


def _slice_agatston(scan: Scan, rule: ScoringRule, *, coronary: bool = True) -> Floats:
    """Return the Agatston score of each slice, from coronary or from other calcium."""
    lesions = scan.lesions
    agatston = component_agatston(lesions, rule) * ((lesions.label != Calcium.OTHER) == coronary)
    return np.bincount(lesions.slice_index, agatston, minlength=scan.volume.geometry.shape[0]).astype(np.float64)


def slices_shown(scan: Scan, rule: ScoringRule) -> list[int]:
    """Return the slices shown, from head to feet: highest scores first, then other calcium, then what may be coronary
    and was not counted, then through the heart."""
    shown: dict[int, None] = {}
    for coronary in (True, False):
        weights = _slice_agatston(scan, rule, coronary=coronary)
        by_weight = np.argsort(-weights, kind="stable")
        shown |= dict.fromkeys(int(index) for index in by_weight[: np.count_nonzero(weights)])
    shown |= dict.fromkeys(_doubtful_slices(scan))
    span = scan.heart.bounding_box[0] if scan.heart else slice(0, scan.volume.geometry.shape[0])
    spread = np.linspace(span.start, span.stop - 1, MIN_TILES).round().astype(int)
    missing = max(MIN_TILES - len(shown), 0)
    context = [int(index) for index in np.unique(spread) if int(index) not in shown]
    shown |= dict.fromkeys(context[:: max(1, len(context) // missing)][:missing] if missing else [])
    return sorted(list(shown)[:MAX_TILES], reverse=True)


def _doubtful_slices(scan: Scan) -> list[int]:
    """Return the slices with possible coronary calcium that was not counted, those with most of it first."""
    if scan.uncounted is None:
        return []
    doubtful = np.array([name is TakenFor.DOUBTFUL for name in scan.uncounted.taken_for], bool)
    counts = np.bincount(scan.uncounted.islands.of(doubtful).voxel // scan.volume.hu[0].size)
    return [int(index) for index in np.argsort(-counts, kind="stable") if counts[index]]


def _window(scan: Scan) -> _Window:
    """Return the heart and all scored calcium with a margin; the whole slice if no heart was found."""
    geometry = scan.volume.geometry
    if scan.heart is None:
        return _Window((0, geometry.shape[1]), (0, geometry.shape[2]))
    spans = []
    for axis in (1, 2):
        box = scan.heart.bounding_box[axis]
        centres = scan.lesions.centroid[scan.lesions.label != Calcium.OTHER, axis]
        margin = round(MARGIN_MM / geometry.spacing_mm[axis])
        low = int(min([box.start, *centres])) - margin
        high = int(max([box.stop, *centres])) + margin + 1
        spans.append((max(low, 0), min(high, geometry.shape[axis])))
    return _Window(spans[0], spans[1])


def _tile_height(scan: Scan, window: _Window) -> int:
    _, row_mm, column_mm = scan.volume.geometry.spacing_mm
    height_mm, width_mm = np.ptp(window.rows) * row_mm, np.ptp(window.columns) * column_mm
    if not 1 / MAX_ASPECT <= height_mm / width_mm <= MAX_ASPECT:
        raise ValueError(f"a window of {width_mm:.0f} x {height_mm:.0f} mm makes no picture")
    return round(TILE_PIXELS * float(height_mm / width_mm))


def _tile(scan: Scan, result: ScoredStudy, window: _Window, index: int, height: int, agatston: float) -> Image.Image:
    part = (index, slice(*window.rows), slice(*window.columns))
    hu = scan.volume.hu[part].astype(np.float32)
    low, high = CALCIUM_WINDOW_HU
    grey = np.clip((hu - low) / (high - low) * 255, 0, 255).astype(np.uint8)
    size = (TILE_PIXELS, height)
    tile = Image.fromarray(grey).resize(size, Image.Resampling.BICUBIC).convert("RGB")
    labels = shown_labels(scan, result.rule, index)[part[1:]]
    enlarged = np.asarray(Image.fromarray(labels).resize(size, Image.Resampling.NEAREST))
    tile = Image.fromarray(tinted(np.array(tile), enlarged))
    number = f"{scan.stack.first + index + 1}/{result.chosen.acquisition.slices}"
    pixels_per_mm = TILE_PIXELS / (np.ptp(window.columns) * scan.volume.geometry.spacing_mm[2])
    _annotate(tile, f"{number}   z {_height_mm(scan, index):.1f} mm", agatston, pixels_per_mm)
    return tile


def shown_labels(scan: Scan, rule: ScoringRule, index: int) -> Bytes:
    """Return (rows, columns): what is drawn on a slice: labels that reach the threshold, and what was not counted."""
    hu = scan.volume.hu[index]
    shown = np.where(hu >= rule.threshold_hu, scan.labels.labels[index], np.uint8(0))
    if scan.uncounted:
        _mark(shown, scan.uncounted.islands, index, UNCOUNTED)
        if scan.uncounted.faded:
            _mark(shown, scan.uncounted.faded.islands, index, FADED)
    return shown


def _mark(shown: Bytes, islands: Islands, index: int, value: int) -> None:
    """Write the value where islands lie in a slice and nothing is drawn yet."""
    first, stop = np.searchsorted(islands.voxel, [index * shown.size, (index + 1) * shown.size])
    place = islands.voxel[first:stop] - index * shown.size
    shown.reshape(-1)[place[shown.ravel()[place] == 0]] = value


def tinted(picture: Bytes, labels: Bytes) -> Bytes:
    """Fill each label with its colour, half transparent, and draw its outline; of what is not counted, only that."""
    inner = labels.copy()
    for axis, step in ((0, 1), (0, -1), (1, 1), (1, -1)):
        inner[labels != np.roll(labels, step, axis)] = 0
    for value, colour_of in ((FADED, FADED_COLOUR), (UNCOUNTED, UNCOUNTED_COLOUR)):
        picture[(labels == value) & (inner == 0)] = colour_of
    for label in (Calcium(value) for value in np.unique(labels[(labels > 0) & (labels < UNCOUNTED)])):
        colour = np.array(VESSEL_COLOURS[label])
        body, edge = inner == label, (labels == label) & (inner == 0)
        picture[body] = (picture[body] * (1 - FILL_OPACITY) + colour * FILL_OPACITY).astype(np.uint8)
        picture[edge] = colour
    return picture


def _height_mm(scan: Scan, index: int) -> float:
    return float(scan.volume.geometry.to_patient_mm((index, 0, 0))[2])


def _annotate(tile: Image.Image, place: str, agatston: float, pixels_per_mm: float) -> None:
    """Write the slice's place, its score, the patient's sides and a 20 mm bar on a darkened background."""
    width, height = tile.size
    for box in ((0, 0, width, 21), (0, height - 25, round(12 + 20 * pixels_per_mm), height)):
        tile.paste(tile.crop(box).point(_DARKENED), box)
    draw = ImageDraw.Draw(tile)
    draw.rectangle((0, 0, width - 1, height - 1), outline=BACKGROUND)
    draw.text((5, 3), place, INK, font(13))
    if agatston > 0:
        draw.text((width - 5, 3), f"{agatston:.1f}", INK, font(13), anchor="ra")
    draw.text((5, height / 2), "R", INK, font(13), anchor="lm")
    draw.text((width - 5, height / 2), "L", INK, font(13), anchor="rm")
    draw.line((6, height - 7, 6 + 20 * pixels_per_mm, height - 7), INK, 2)
    draw.text((6, height - 10), "20 mm", INK, font(10), anchor="ld")


def _write_header(sheet: Image.Image, result: ScoredStudy) -> None:
    scores, model, rule = result.scores, result.model, result.rule
    draw = ImageDraw.Draw(sheet)
    draw.text((10, 6), f"Agatston {scores.agatston.total:.1f}   category {scores.category}", INK, font(26))
    threshold = f"rule {rule.name} (>= {rule.threshold_hu:g} HU)"
    details = f"volume {scores.volume_mm3.total:.0f} mm3   {threshold}   {model.name} {model.version}"
    draw.text((10, 42), details, INK, font(14))
    codes = ", ".join(dict.fromkeys(str(reason.code) for reason in result.reasons))
    draw.text((10, 62), f"Warnings: {codes}" if codes else "No warnings", FAINT, font(13))
    _write_legend(draw, result, 82)
    draw.text((10, 101), NOTICE, FAINT, font(11))


def _write_legend(draw: ImageDraw.ImageDraw, result: ScoredStudy, top: int) -> None:
    agatston, at = result.scores.agatston, 10.0
    amounts = {
        label: agatston.other if label is Calcium.OTHER else agatston.per_vessel[label.name] for label in Calcium
    }
    named: Sequence[Calcium] = [label for label in Calcium if amounts[label] > 0]
    for label in named:
        text = f"{VESSEL_NAMES[label]} {amounts[label]:.1f}"
        draw.rectangle((at, top + 2, at + 11, top + 13), fill=VESSEL_COLOURS[label])
        draw.text((at + 16, top), text, INK, font(13))
        at += 34 + draw.textlength(text, font(13))
    if not named:
        draw.text((at, top), "no calcium found", FAINT, font(13))
        at += 18 + draw.textlength("no calcium found", font(13))
    found = result.uncounted
    for count, name, colour in () if found is None else (
        (found.weighed_count, UNCOUNTED_NAME, UNCOUNTED_COLOUR), (found.faded_count, FADED_NAME, FADED_COLOUR),
    ):  # fmt: skip
        if count:
            draw.rectangle((at, top + 2, at + 11, top + 13), outline=colour)
            draw.text((at + 16, top), text := f"{name}: {count}", INK, font(13))
            at += 34 + draw.textlength(text, font(13))


@cache
def font(size: int) -> "FreeTypeFont | ImageFont.ImageFont":
    """Return Pillow's own font, so that the picture does not depend on the machine's fonts."""
    return ImageFont.load_default(size)
