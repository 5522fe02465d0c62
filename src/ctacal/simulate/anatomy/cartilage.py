"""Costal cartilage and the forms in which it calcifies. All numbers: own choice unless a source is named."""

import numpy as np

from ctacal.arrays import Floats
from ctacal.simulate.anatomy.canvas import Canvas, curve
from ctacal.simulate.anatomy.chest import Chest
from ctacal.simulate.anatomy.structures import Points, Structure
from ctacal.simulate.materials import Tissue
from ctacal.simulate.streams import Stream, generator

FORMS = ("rim", "core", "spots", "plate")
"""Along the edges (mostly in men); a central tongue (mostly in women); scattered; nearly all of it (first rib)."""

_FORM_SHARES = {"M": (0.55, 0.10, 0.30, 0.05), "F": (0.12, 0.50, 0.35, 0.03)}
"""Peripheral in men, central in women (Navani S et al., AJR 1970;108:771-774); shares assumed."""

_HALF_HEIGHT_MM, _HALF_THICKNESS_MM = 7.0, 5.0


def cartilage_path(chest: Chest, rib: Points, number: int, side: int, sternum_y_mm: float, z: float) -> Points:
    """Return the centre line from the end of the bony rib to the sternum, or to the cartilage above."""
    x = side * float(np.interp(number, (1, 2, 6, 7, 10), (24, 17, 15, 16, 42)))
    sternum = np.array([x, sternum_y_mm + 1, z])
    bow = np.array([0, -7.0, -10.0 if number > 4 else -2.0]) * (number > 1)
    return curve([rib[-6], rib[-1], (rib[-1] + sternum) / 2 + bow, sternum], 1.5)


def paint_cartilage(canvas: Canvas, chest: Chest, path: Points, axes: Floats, number: int) -> None:
    """Paint one cartilage; ``axes``: frames of unit vectors along it, outwards and across."""
    sizes = (2.5, _HALF_THICKNESS_MM, _HALF_HEIGHT_MM)
    canvas.ellipsoids(path, sizes, Tissue.CARTILAGE, Structure.COSTAL_CARTILAGE, axes=axes, warp=0.08)
    patient = chest.patient
    rng = generator(patient.seed, Stream.COSTAL_CARTILAGE, number, int(path[0, 0] > 0))
    share = patient.cartilage_calcification
    if rng.random() > 3.2 * share + 0.35 * (number == 1):
        return
    form = "plate" if number == 1 and rng.random() < 0.7 else str(rng.choice(FORMS, p=_FORM_SHARES[patient.sex]))
    extent = float(np.clip(rng.normal(1.7 * share + 0.2, 0.2), 0.1, 1))
    begin = rng.choice((0.0, (1 - extent) * rng.random(), 1 - extent))  # at the rib, in between, or at the sternum
    first = int(begin * len(path))
    part = slice(first, max(first + 2, int((begin + extent) * len(path))))
    _calcify(canvas, path[part], axes[part], form, rng)


def _calcify(canvas: Canvas, path: Points, axes: Floats, form: str, rng: np.random.Generator) -> None:
    n = len(path)
    across, outward = axes[:, 2], axes[:, 1]
    if form == "rim":
        around = np.linspace(0, 2 * np.pi, 10, endpoint=False) + rng.uniform(0, 0.6)
        for turn in around[rng.random(10) < rng.uniform(0.4, 0.95)]:
            away = 0.86 * np.sin(turn) * _HALF_HEIGHT_MM * across + 0.84 * np.cos(turn) * _HALF_THICKNESS_MM * outward
            _grains(canvas, path + away, rng.uniform(1.0, 1.6), rng.uniform(0.6, 1.0), rng)
    elif form == "core":
        wander = np.cumsum(rng.normal(0, 0.35, n))
        line = path + np.clip(wander - wander.mean(), -2.5, 2.5)[:, None] * across
        _grains(canvas, line, rng.uniform(1.2, 3.0), rng.uniform(0.6, 1.0), rng)
    elif form == "plate":
        where = path + rng.uniform(-0.7, 0.7, (n, 1)) * _HALF_HEIGHT_MM * across
        where = where + rng.uniform(-0.7, 0.7, (n, 1)) * _HALF_THICKNESS_MM * outward
        _grains(canvas, np.vstack([path, where]), 2.2, 0.9, rng)
    else:
        where = path + rng.uniform(-0.9, 0.9, (n, 1)) * _HALF_HEIGHT_MM * across
        where = where + rng.uniform(-0.8, 0.8, (n, 1)) * _HALF_THICKNESS_MM * outward
        _grains(canvas, np.vstack([where, path]), 1.3, 0.4, rng)


def _grains(canvas: Canvas, where: Points, radius_mm: float, share: float, rng: np.random.Generator) -> None:
    """Paint grains of calcium in runs with gaps; each run has its own density."""
    runs = rng.random(len(where) // 4 + 1).repeat(4)[: len(where)] < share
    dense = rng.random(len(where) // 6 + 1).repeat(6)[: len(where)] < 0.6
    for tissue, chosen in ((Tissue.BONE_THIN, runs & dense), (Tissue.BONE_TRABECULAR_DENSER, runs & ~dense)):
        if chosen.any():
            sizes = radius_mm * rng.uniform(0.6, 1.4, (int(chosen.sum()), 3))
            over = [Tissue.CARTILAGE, Tissue.MUSCLE, Tissue.BONE_TRABECULAR_DENSER]
            canvas.ellipsoids(where[chosen], sizes, tissue, Structure.COSTAL_CARTILAGE, over=over)
