"""Diaphragm domes and what lies below: liver, stomach, spleen, kidneys, bowel. All figures: own choice."""

import numpy as np

from ctacal.simulate.anatomy.canvas import Canvas, Floats
from ctacal.simulate.anatomy.chest import Chest
from ctacal.simulate.anatomy.compiled import fill_below
from ctacal.simulate.anatomy.structures import Structure
from ctacal.simulate.materials import Tissue

_FAT = (Tissue.FAT,)
_BELOW = (Structure.ABDOMEN,)


def dome_mm(chest: Chest, ys: Floats, xs: Floats) -> Floats:
    """(rows, columns): height of the diaphragm: two domes with a saddle, falling steeply along the chest wall."""
    y, x = ys[:, None], xs[None, :]
    patient, top = chest.patient, chest.dome_top_mm
    radius = chest.cavity_mm(-120 * chest.scale, np.rad2deg(np.arctan2(x, -y)))
    edge = np.clip(np.hypot(x, y) / radius, 0, 1.2)
    wide, deep = patient.chest_half_width_mm, patient.chest_half_depth_mm
    domes = []
    for side, lower in ((-1, 0.0), (1, patient.left_dome_lower_mm)):
        far = np.hypot((x - side * 0.50 * wide) / (0.62 * wide), (y + 0.05 * deep) / (0.95 * deep))
        domes.append(top - lower - 34 * far**2.2 - 48 * edge**7 - 22 * np.clip(y / deep, 0, 1) ** 2)
    sharp = 0.07
    return np.asarray(np.logaddexp(domes[0] * sharp, domes[1] * sharp) / sharp)


def paint_abdomen(canvas: Canvas, chest: Chest) -> None:
    """Everything that bulges into the cavity from below."""
    heights = dome_mm(chest, canvas.ys, canvas.xs)
    texture = canvas.coarse
    if canvas.zs[0] > heights.max() + 10:
        return
    fill_below(canvas.tissue, canvas.structure, *canvas.axes, heights, texture.values, texture.step_mm, texture.origin)
    _paint_bowel(canvas, chest)
    _paint_kidneys(canvas, chest)
    _paint_spleen(canvas, chest)
    _paint_liver(canvas, chest)
    _paint_stomach(canvas, chest)


def _paint_liver(canvas: Canvas, chest: Chest) -> None:
    patient, top = chest.patient, chest.dome_top_mm
    wide, deep = patient.chest_half_width_mm, patient.chest_half_depth_mm
    right = np.array([-0.50 * wide, 0.02 * deep, top - 72])
    left = np.array([0.08 * wide, -0.38 * deep, top - 38])
    canvas.ellipsoids(
        right, (0.60 * wide, 1.02 * deep, 90), Tissue.LIVER, Structure.LIVER, over=_FAT, within=_BELOW, warp=0.05
    )
    canvas.ellipsoids(
        left, (0.58 * wide, 0.50 * deep, 40), Tissue.LIVER, Structure.LIVER, over=_FAT, within=_BELOW, warp=0.08
    )
    rng = np.random.default_rng([patient.seed, 7])
    clefts = right + (0.35 * wide, 0.05 * deep, -28) + rng.normal(0, 6, (5, 3))
    canvas.ellipsoids(clefts, rng.uniform(4, 14, (5, 3)), Tissue.FAT, Structure.ABDOMEN, over=[Tissue.LIVER], warp=0.3)


def _paint_stomach(canvas: Canvas, chest: Chest) -> None:
    patient, top = chest.patient, chest.dome_top_mm - chest.patient.left_dome_lower_mm
    wide, deep = patient.chest_half_width_mm, patient.chest_half_depth_mm
    centres = np.array([[0.50 * wide, 0.05 * deep, top - 42], [0.38 * wide, -0.35 * deep, top - 80]])
    sizes = np.array([[0.27 * wide, 0.40 * deep, 36], [0.26 * wide, 0.32 * deep, 42]])
    over = (Tissue.FAT, Tissue.LIVER)
    canvas.ellipsoids(
        centres, sizes, Tissue.SOFT, Structure.STOMACH, over=over, within=(*_BELOW, Structure.LIVER), warp=0.10
    )
    canvas.ellipsoids(centres, sizes - 4, Tissue.WATER, Structure.STOMACH, over=[Tissue.SOFT], warp=0.10)
    front = centres[:, 1].min() - 0.3 * deep
    level = front + patient.stomach_air_share * 0.9 * deep
    air = (canvas.structure == Structure.STOMACH) & (canvas.tissue == Tissue.WATER)
    air &= (canvas.ys < level)[None, :, None]
    canvas.tissue[air] = Tissue.AIR


def _paint_spleen(canvas: Canvas, chest: Chest) -> None:
    patient = chest.patient
    wide, deep = patient.chest_half_width_mm, patient.chest_half_depth_mm
    centre = np.array([0.68 * wide, 0.48 * deep, chest.dome_top_mm - patient.left_dome_lower_mm - 68])
    turn = np.deg2rad(35)
    axes = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1.0]])
    canvas.ellipsoids(
        centre, (22, 44, 46), Tissue.LIVER, Structure.SPLEEN, axes=axes, over=_FAT, within=_BELOW, warp=0.08
    )


def _paint_kidneys(canvas: Canvas, chest: Chest) -> None:
    z = chest.dome_top_mm - 128
    for side, lower in ((-1, 12.0), (1, 0.0)):
        centre = np.array([side * 52.0, float(chest.spine_front_mm(z)) + 20, z - lower])
        canvas.ellipsoids(centre, (27, 25, 55), Tissue.MUSCLE, Structure.KIDNEY, over=_FAT, within=_BELOW, warp=0.05)
        canvas.ellipsoids(centre + (-side * 9, -4, 0), (11, 8, 28), Tissue.FAT, Structure.KIDNEY, over=[Tissue.MUSCLE])


def _paint_bowel(canvas: Canvas, chest: Chest) -> None:
    patient, rng = chest.patient, np.random.default_rng([chest.patient.seed, 8])
    n = 34
    where = rng.uniform((-0.55, -0.75, 0), (0.75, 0.15, 1), (n, 3))
    where *= (patient.chest_half_width_mm, patient.chest_half_depth_mm, 110)
    where[:, 2] += chest.dome_top_mm - 205
    sizes = rng.uniform(9, 22, (n, 3)) * (1.1 - 0.4 * patient.visceral_fat)
    canvas.ellipsoids(where, sizes, Tissue.SOFT, Structure.ABDOMEN, over=_FAT, within=_BELOW, warp=0.2)
    gas = rng.random(n) < 0.3
    canvas.ellipsoids(where[gas], sizes[gas] * 0.6, Tissue.AIR, Structure.ABDOMEN, over=[Tissue.SOFT], warp=0.2)
