"""The page that sets simulated beside real: one HTML file with its pictures in it. Needs matplotlib."""

import base64
from collections.abc import Callable, Sequence
from html import escape
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ctacal.heart import find_heart
from ctacal.simulate.realism.comparison import Comparison
from ctacal.simulate.realism.figures import HISTOGRAM_STEP_HU, NOISE_IN
from ctacal.simulate.realism.water import WaterScan
from ctacal.volume import Volume

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WINDOWS = (("soft tissue", 40, 400), ("calcium", 150, 500), ("lung", -500, 1500))
"""Name, centre and width in HU (usual reading windows)."""

PLACES = (0.1, 0.4, 0.7, 1.0)
"""Slices that are shown, from the heart's lowest (0) to its highest (1)."""

SIDE_MM, TILE = 400.0, 300
"""What is shown of a slice, in mm and pixels."""

_STYLE = """
body{font:15px/1.45 system-ui,sans-serif;max-width:1280px;margin:1.5em auto;padding:0 1em;color:#222}
h2{border-top:1px solid #ccc;padding-top:.8em} img{max-width:100%} table{border-collapse:collapse;font-size:13px}
td,th{padding:2px 10px;text-align:right;border-bottom:1px solid #e4e4e4} td:first-child,th:first-child{text-align:left}
.differs{background:#f8d0cc}.near{background:#fbeec2}.alike{background:#d8efd6} p.credit{color:#666;font-size:13px}
"""


def page_of(
    comparisons: Sequence[Comparison],
    water: Sequence[WaterScan],
    phantom: Sequence[tuple[str, float, float]],
    notes: Sequence[str],
) -> str:
    """The whole page; ``phantom`` are (name, real, simulated) of the QRM phantom, ``notes`` say what is missing."""
    parts = [
        "<!doctype html><html lang='en'><meta charset='utf-8'><title>Simulated beside real CT</title>",
        f"<style>{_STYLE}</style><h1>Simulated beside real CT</h1>",
        "<p>Both are measured by the same rules. <b>alike</b>: the real figure lies within what the "
        "simulated patients show, or as near to it as two patients on two scanners may differ; <b>near</b>: within "
        "twice that; <b>differs</b>: beyond. Research use only.</p>",
        *(f"<p><b>{escape(note)}</b></p>" for note in notes),
        *(_section(comparison) for comparison in comparisons),
        _phantom(phantom) if phantom else "",
        _water(water) if water else "",
        "</html>",
    ]
    return "\n".join(parts)


def _section(comparison: Comparison) -> str:
    patients = ", ".join(
        f"{d.patient.sex} {d.patient.age_years:.0f} y BMI {d.patient.bmi:.1f}" for d in comparison.descriptions
    )
    return "\n".join(
        [
            f"<h2>{escape(comparison.scan.name)} and {escape(comparison.protocol.name)}</h2>",
            f"<p>Simulated patients: {escape(patients)}. {_count(comparison)}</p>",
            f"<p class='credit'>{escape(comparison.scan.credit)}</p>",
            *(
                f"<h3>{name} window: above real, below simulated</h3>{_png(_tiles(comparison, centre, width))}"
                for name, centre, width in WINDOWS
            ),
            "<h3>HU of each tissue</h3>" + _plot(_histograms, comparison, rows=2, columns=4),
            "<h3>Noise and edges</h3>" + _plot(_curves, comparison, rows=1, columns=5),
            _table(comparison),
        ]
    )


def _count(comparison: Comparison) -> str:
    verdicts = [row.verdict for row in comparison.rows()]
    return ", ".join(f"{verdicts.count(name)} {name}" for name in ("alike", "near", "differs")) + "."


def _table(comparison: Comparison) -> str:
    rows = "".join(
        f"<tr class='{row.verdict}'><td>{escape(row.name)}</td><td>{_number(row.real)}</td><td>{_number(row.mean)}</td>"
        f"<td>{_number(row.least)} to {_number(row.most)}</td><td>{row.verdict}</td></tr>"
        for row in comparison.rows()
    )
    head = "<tr><th>figure</th><th>real</th><th>simulated</th><th>range</th><th>verdict</th></tr>"
    return f"<h3>Figures</h3><table>{head}{rows}</table>"


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.3g}"


# --- pictures ---------------------------------------------------------------------------------------------------------


def _tiles(comparison: Comparison, centre: float, width: float) -> NDArray[np.uint8]:
    """Rows of slices: the real scan's, then the simulated one's at the same heights of the heart."""
    rows = []
    for volume in (comparison.scan.volume, comparison.picture):
        heart = find_heart(volume)
        slices, down, across = heart.bounding_box
        middle = (down.start + down.stop) / 2, (across.start + across.stop) / 2
        indices = [round(slices.start + place * (slices.stop - 1 - slices.start)) for place in PLACES]
        rows.append(np.hstack([_tile(volume, index, middle, centre, width) for index in indices]))
    return np.vstack(rows)


def _tile(volume: Volume, index: int, middle: tuple[float, float], centre: float, width: float) -> NDArray[np.uint8]:
    """A square of a slice about the heart, windowed to grey levels."""
    pixel_mm = volume.geometry.spacing_mm[1]
    half = round(SIDE_MM / 2 / pixel_mm)
    padded = np.pad(volume.hu[index], half, constant_values=-1024)
    # the heart lies left of the body's middle, and to the front
    row, column = round(middle[0] + 25 / pixel_mm), round(middle[1] - 15 / pixel_mm)
    shown = padded[row : row + 2 * half, column : column + 2 * half].astype(np.float32)
    grey = np.clip((shown - (centre - width / 2)) / width, 0, 1) * 255
    return np.asarray(Image.fromarray(grey.astype(np.uint8)).resize((TILE, TILE), Image.Resampling.BICUBIC))


def _png(picture: NDArray[np.uint8]) -> str:
    file = BytesIO()
    Image.fromarray(picture).save(file, "PNG", optimize=True)
    return _embedded(file.getvalue())


def _embedded(png: bytes) -> str:
    return f"<img alt='' src='data:image/png;base64,{base64.b64encode(png).decode()}'>"


def _plot(draw: Callable[[Comparison, Any], None], comparison: Comparison, *, rows: int, columns: int) -> str:
    return _figure(lambda axes: draw(comparison, axes), rows, columns)


def _figure(draw: Callable[[Any], None], rows: int, columns: int) -> str:
    """A grid of axes, drawn on and embedded; without pyplot, which would choose a screen."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.2 * columns, 2.6 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    draw(figure.subplots(rows, columns, squeeze=False).ravel())
    file = BytesIO()
    figure.savefig(file, format="png", dpi=90)
    return _embedded(file.getvalue())


def _histograms(comparison: Comparison, axes: "Sequence[Axes]") -> None:
    for tissue, ax in zip(HISTOGRAM_STEP_HU, axes, strict=False):
        name = f"{tissue}: histogram"
        _overlay(comparison, name, ax)
        shown = [one.curves[name] for one in (comparison.real, *comparison.simulated) if name in one.curves]
        common = [x[y > y.max() / 100] for x, y in shown]  # a single odd voxel must not widen the axis
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
    """The real curve over the simulated ones."""
    for number, one in enumerate(comparison.simulated):
        if name in one.curves:
            ax.plot(*one.curves[name], color="tab:orange", lw=0.9, label="simulated" if number == 0 else None)
    if name in comparison.real.curves:
        ax.plot(*comparison.real.curves[name], color="black", lw=1.3, label="real")
    ax.tick_params(labelsize=7)


def _legend(ax: "Axes") -> None:
    if ax.get_legend_handles_labels()[0]:
        ax.legend(fontsize=7, frameon=False)


# --- phantoms ---------------------------------------------------------------------------------------------------------


def _phantom(rows: Sequence[tuple[str, float, float]]) -> str:
    lines = "".join(
        f"<tr><td>{escape(name)}</td><td>{_number(real)}</td><td>{_number(simulated)}</td>"
        f"<td>{100 * (simulated / real - 1):+.1f} %</td></tr>"
        for name, real, simulated in rows
    )
    head = "<tr><th>figure</th><th>real</th><th>simulated</th><th>difference</th></tr>"
    return f"<h2>QRM phantom</h2><table>{head}{lines}</table>"


def _water(scans: Sequence[WaterScan]) -> str:
    lines = "".join(
        f"<tr><td>{one.views}</td><td>{one.middle_hu:.1f}</td><td>{one.rim_hu:.1f}</td><td>{one.noise_sd_hu:.2f}</td>"
        f"<td>{one.mean_frequency_per_mm:.3f}</td><td>{one.outside_sd_hu:.1f}</td></tr>"
        for one in scans
    )
    head = (
        "<tr><th>views over half a turn</th><th>middle HU</th><th>rim HU</th><th>noise SD HU</th>"
        "<th>mean frequency per mm</th><th>SD in the air beside, HU</th></tr>"
    )
    return (
        "<h2>Water cylinder of 320 mm, simulated: noise against the number of views, at one dose</h2>"
        f"<table>{head}{lines}</table>" + _figure(lambda axes: _spectra(scans, axes[0]), 1, 1)
    )


def _spectra(scans: Sequence[WaterScan], ax: "Axes") -> None:
    for one in scans:
        ax.plot(*one.spectrum, lw=1, label=f"{one.views} views")
    ax.set_xlabel("1/mm", fontsize=8)
    ax.set_ylabel("HU² mm²", fontsize=8)
    ax.tick_params(labelsize=7)
    ax.legend(fontsize=7, frameon=False)
