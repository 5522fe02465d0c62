"""Pictures of a comparison as data URIs: slices in reading windows, histograms, noise, edges. Needs matplotlib."""

import base64
from collections.abc import Callable, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from ctacal.arrays import Bytes
from ctacal.heart import find_heart
from ctacal.simulate.realism.comparison import Comparison
from ctacal.simulate.realism.figures import HISTOGRAM_STEP_HU, NOISE_IN
from ctacal.simulate.realism.water import WaterScan
from ctacal.volume import Volume

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WINDOWS = (("soft tissue", 40, 400), ("calcium", 150, 500), ("lung", -500, 1500))
"""Name, level and width of the reading windows, in HU (usual values)."""

PLACES = (0.1, 0.4, 0.7, 1.0)
"""Positions of the slices shown, from the lowest slice of the heart (0) to its highest (1)."""

SIDE_MM, TILE = 400.0, 300
"""Side of the part of a slice that is shown, in mm and in pixels."""


# --- slices -----------------------------------------------------------------------------------------------------------


def window_tiles(comparison: Comparison, level: float, width: float) -> str:
    """Return slices of the real scan, and below them slices of the simulated scan at the same heights of the heart."""
    rows = []
    for volume in (comparison.scan.volume, comparison.picture):
        heart = find_heart(volume)
        slices, down, across = heart.bounding_box
        middle = (down.start + down.stop) / 2, (across.start + across.stop) / 2
        indices = [round(slices.start + place * (slices.stop - 1 - slices.start)) for place in PLACES]
        rows.append(np.hstack([_tile(volume, index, middle, level, width) for index in indices]))
    file = BytesIO()
    Image.fromarray(np.vstack(rows)).save(file, "PNG", optimize=True)
    return _data_uri(file.getvalue())


def _tile(volume: Volume, index: int, middle: tuple[float, float], level: float, width: float) -> Bytes:
    """Return a square of a slice about the heart, windowed to grey levels."""
    pixel_mm = volume.geometry.spacing_mm[1]
    half = round(SIDE_MM / 2 / pixel_mm)
    padded = np.pad(volume.hu[index], half, constant_values=-1024)
    # the heart lies left of the body's middle, and to the front
    row, column = round(middle[0] + 25 / pixel_mm), round(middle[1] - 15 / pixel_mm)
    shown = padded[row : row + 2 * half, column : column + 2 * half].astype(np.float32)
    grey = np.clip((shown - (level - width / 2)) / width, 0, 1) * 255
    return np.asarray(Image.fromarray(grey.astype(np.uint8)).resize((TILE, TILE), Image.Resampling.BICUBIC))


def _data_uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


# --- plots ------------------------------------------------------------------------------------------------------------


def histogram_plots(comparison: Comparison) -> str:
    """Return the histogram of each tissue."""
    return _plot(lambda axes: _histograms(comparison, axes), rows=2, columns=4)


def curve_plots(comparison: Comparison) -> str:
    """Return the noise power spectra and the edge profiles."""
    return _plot(lambda axes: _curves(comparison, axes), rows=1, columns=5)


def spectrum_plot(scans: Sequence[WaterScan]) -> str:
    """Return the noise power spectrum of a water cylinder for each number of views."""
    return _plot(lambda axes: _spectra(scans, axes[0]), rows=1, columns=1)


def _plot(draw: Callable[[Any], None], *, rows: int, columns: int) -> str:
    """Draw on a grid of axes; without pyplot, which would look for a screen."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.2 * columns, 2.6 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    draw(figure.subplots(rows, columns, squeeze=False).ravel())
    file = BytesIO()
    figure.savefig(file, format="png", dpi=90)
    return _data_uri(file.getvalue())


def _histograms(comparison: Comparison, axes: "Sequence[Axes]") -> None:
    for tissue, ax in zip(HISTOGRAM_STEP_HU, axes, strict=False):
        name = f"{tissue}: histogram"
        _overlay(comparison, name, ax)
        curves = [scan.curves[name] for scan in (comparison.real, *comparison.simulated) if name in scan.curves]
        common = [x[y > y.max() / 100] for x, y in curves]  # a single odd voxel must not widen the axis
        ax.set_visible(bool(common))
        if common:
            ax.set_xlim(min(x[0] for x in common), max(x[-1] for x in common))
        ax.set_title(tissue, fontsize=10)
        ax.set_xlabel("HU", fontsize=8)
        ax.set_yticks([])
    _legend(axes[0])


def _curves(comparison: Comparison, axes: "Sequence[Axes]") -> None:
    names = [f"{tissue}: noise power" for tissue in NOISE_IN]
    names += [f"{border}: edge" for border in ("skin", "lung to heart", "lung to chest wall")]
    for name, ax in zip(names, axes, strict=True):
        _overlay(comparison, name, ax)
        ax.set_title(name, fontsize=10)
        ax.set_xlabel("1/mm" if "noise" in name else "mm", fontsize=8)
        if "noise" in name:
            ax.set_ylabel("HU² mm²", fontsize=8)
    _legend(axes[-1])


def _overlay(comparison: Comparison, name: str, ax: "Axes") -> None:
    """Draw the real curve over the simulated curves."""
    for number, simulated in enumerate(comparison.simulated):
        if name in simulated.curves:
            ax.plot(*simulated.curves[name], color="tab:orange", lw=0.9, label="simulated" if number == 0 else None)
    if name in comparison.real.curves:
        ax.plot(*comparison.real.curves[name], color="black", lw=1.3, label="real")
    ax.tick_params(labelsize=7)


def _legend(ax: "Axes") -> None:
    if ax.get_legend_handles_labels()[0]:
        ax.legend(fontsize=7, frameon=False)


def _spectra(scans: Sequence[WaterScan], ax: "Axes") -> None:
    for scan in scans:
        ax.plot(*scan.spectrum, lw=1, label=f"{scan.views} views")
    ax.set_xlabel("1/mm", fontsize=8)
    ax.set_ylabel("HU² mm²", fontsize=8)
    ax.tick_params(labelsize=7)
    ax.legend(fontsize=7, frameon=False)
