"""The style of figures: the size of a journal's column, legible in print and to colour-blind readers."""

from collections.abc import Mapping
from typing import Any

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe M, Ito K, Color Universal Design (2008), without the yellow, which is too pale for lines."""

CATEGORY_COLOURS = ("#56B4E9", "#009E73", "#E69F00", "#D55E00")
"""Colours of the four calcium categories, lowest first (Okabe and Ito); they differ in lightness, so also in grey."""

GREY = "#767676"
"""Colour of the background: lines of identity, intervals, grids."""

WIDTH_MM: Mapping[str, float] = {"single": 85.0, "double": 175.0}
"""Width of one and two journal columns, in mm (J Nucl Med, Radiology: 82 to 90 and 170 to 180 mm)."""

DPI = 300
"""Resolution of the PNG."""

STYLE: Mapping[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # part of matplotlib: the same figure everywhere
    "font.size": 7.5,
    "axes.titlesize": 8.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "lines.linewidth": 1.3,
    "lines.markersize": 3.5,
    "axes.unicode_minus": True,
    "svg.fonttype": "path",
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}
