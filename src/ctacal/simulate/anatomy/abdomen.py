"""Domes of the diaphragm, and the organs below: liver, stomach, spleen, kidneys, bowel. All numbers: own choice."""

import numpy as np

from ctacal.arrays import Floats
from ctacal.simulate.anatomy.canvas import Canvas, curve
from ctacal.simulate.anatomy.chest import Chest
from ctacal.simulate.anatomy.compiled import fill_below
from ctacal.simulate.anatomy.lung_kernels import grown_tree
from ctacal.simulate.anatomy.structures import Structure
from ctacal.simulate.materials import Tissue
from ctacal.simulate.streams import Stream, generator

_FAT = (Tissue.FAT,)
_BELOW = (Structure.ABDOMEN,)
_SOLID = (Structure.ABDOMEN, Structure.LIVER)


def dome_mm(chest: Chest, ys: Floats, xs: Floats) -> Floats:
    """Return the height of the diaphragm (rows, columns)."""
    return dome_at_mm(chest, xs[None, :], ys[:, None])


def dome_at_mm(chest: Chest, x: Floats, y: Floats) -> Floats:
    """Return the height of the diaphragm: two domes with a saddle, falling steeply along the chest wall."""
    patient, top = chest.patient, chest.dome_top_mm
    radius = chest.cavity_mm(-120 * chest.scale, np.rad2deg(np.arctan2(x, -y)))
    edge = np.clip(np.hypot(x, y) / radius, 0, 1.2)
    wide, deep = patient.chest_half_width_mm, patient.chest_half_depth_mm
    domes = []
    for side, lower in ((-1, 0.0), (1, patient.left_dome_lower_mm)):
        far = np.hypot((x - side * 0.50 * wide) / (0.62 * wide), (y + 0.05 * deep) / (0.95 * deep))
        wall = 48 * edge**7 * (1 - 0.7 * np.clip(-y / deep, 0, 1))
        domes.append(top - lower - 34 * far**2.2 - wall - 22 * np.clip(y / deep, 0, 1) ** 2)
    sharp = 0.07
    return np.asarray(np.logaddexp(domes[0] * sharp, domes[1] * sharp) / sharp)


def paint_abdomen(canvas: Canvas, chest: Chest) -> None:
    """Paint everything below the diaphragm."""
    heights = dome_mm(chest, canvas.ys, canvas.xs)
    texture = canvas.coarse
    if canvas.zs[0] > heights.max() + 10:
        return
    fill_below(canvas.tissue, canvas.structure, *canvas.axes, heights, texture.values, texture.step_mm, texture.origin)
    _paint_bowel(canvas, chest)
    _paint_behind(canvas, chest)
    _paint_spleen(canvas, chest)
    _paint_liver(canvas, chest)
    _paint_stomach(canvas, chest)
    _paint_colon(canvas, chest)


def _sizes_mm(chest: Chest) -> tuple[float, float, float]:
    """Return half the width and half the depth of the cavity, and the height of the right dome."""
    return chest.patient.chest_half_width_mm, chest.patient.chest_half_depth_mm, chest.dome_top_mm


def _paint_liver(canvas: Canvas, chest: Chest) -> None:
    wide, deep, top = _sizes_mm(chest)
    rng = generator(chest.patient.seed, Stream.LIVER)
    reach = rng.uniform(0.85, 1.15)  # length of the left lobe
    right = np.array([-0.50 * wide, 0.02 * deep, top - 72])
    left = np.array([0.08 * wide * reach, -0.38 * deep, top - 38])
    canvas.ellipsoids(
        right, (0.66 * wide, 1.08 * deep, 104), Tissue.LIVER, Structure.LIVER, over=_FAT, within=_BELOW, warp=0.05
    )
    size = (0.58 * wide * reach, 0.50 * deep, 46)
    canvas.ellipsoids(left, size, Tissue.LIVER, Structure.LIVER, over=_FAT, within=_BELOW, warp=0.08)
    porta = right + (0.40 * wide, 0.05 * deep, -28)
    clefts, liver = porta + rng.normal(0, 6, (5, 3)), [Tissue.LIVER]
    canvas.ellipsoids(clefts, rng.uniform(4, 12, (5, 3)), Tissue.FAT, Structure.ABDOMEN, over=liver, warp=0.3)
    ligament = left + np.array([-0.30 * wide, 0, 0]) + np.outer(np.linspace(-1, 1, 24), (2, 0.42 * deep, -24))
    canvas.ellipsoids(ligament, (2.2, 6, 9), Tissue.FAT, Structure.ABDOMEN, over=liver, warp=0.2)
    for root, radius in ((right + (0.34 * wide, 0.30 * deep, 36), 4.5), (porta, 5.0)):  # hepatic veins, portal vein
        ends = right + rng.uniform(-1, 1, (150, 3)) * (0.5 * wide, 0.85 * deep, 62)
        balls = grown_tree(root, radius, ends, rng)
        thick = balls[balls[:, 3] > 0.9]
        canvas.tube(thick[:, :3], thick[:, 3], Tissue.BLOOD, Structure.LIVER, over=liver)
    bladder = porta + (0.02 * wide, -0.38 * deep, -34)
    over = [*liver, Tissue.FAT, Tissue.SOFT]
    canvas.ellipsoids(bladder, (14, 17, 24), Tissue.SOFT, Structure.ABDOMEN, over=over, within=_SOLID)
    canvas.ellipsoids(bladder, (12.4, 15.4, 22), Tissue.WATER, Structure.ABDOMEN, over=[Tissue.SOFT])


def _paint_stomach(canvas: Canvas, chest: Chest) -> None:
    patient, (wide, deep, top) = chest.patient, _sizes_mm(chest)
    top, rng = top - patient.left_dome_lower_mm, generator(patient.seed, Stream.STOMACH)
    full = rng.uniform(0.75, 1.1)
    centres = np.array([[0.50 * wide, 0.05 * deep, top - 42], [0.42 * wide, -0.20 * deep, top - 62]])
    centres = np.vstack([centres, [0.34 * wide, -0.38 * deep, top - 86]])
    sizes = np.array([[0.30 * wide, 0.46 * deep, 42], [0.25 * wide, 0.34 * deep, 38], [0.26 * wide, 0.28 * deep, 38]])
    sizes *= full
    over, within = (Tissue.FAT, Tissue.LIVER), (*_BELOW, Structure.LIVER)
    canvas.ellipsoids(centres, sizes, Tissue.SOFT, Structure.STOMACH, over=over, within=within, warp=0.10)
    canvas.ellipsoids(centres, sizes - 4, Tissue.WATER, Structure.STOMACH, over=[Tissue.SOFT], warp=0.10)
    front = centres[:, 1].min() - 0.3 * deep
    level = front + patient.stomach_air_share * 0.9 * deep
    inside = [Structure.STOMACH]
    if rng.random() < 0.6:  # a meal
        n = int(rng.integers(20, 120))
        lumps = centres[rng.integers(0, 3, n)] + rng.normal(0, 0.33, (n, 3)) * sizes[0]
        size = rng.uniform(3, 11, (n, 3))
        canvas.ellipsoids(lumps, size, Tissue.SOFT, Structure.STOMACH, over=[Tissue.WATER], within=inside, warp=0.3)
        bubbles = rng.random(n) < 0.4
        small = size[bubbles] * 0.35
        canvas.ellipsoids(lumps[bubbles], small, Tissue.AIR, Structure.STOMACH, over=[Tissue.SOFT], within=inside)
    air = canvas.ys < level
    part = canvas.tissue[:, air]
    part[(canvas.structure[:, air] == Structure.STOMACH) & (part == Tissue.WATER)] = Tissue.AIR
    canvas.tissue[:, air] = part


def _paint_spleen(canvas: Canvas, chest: Chest) -> None:
    wide, deep, top = _sizes_mm(chest)
    centre = np.array([0.68 * wide, 0.48 * deep, top - chest.patient.left_dome_lower_mm - 62])
    turn = np.deg2rad(35)
    axes = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1.0]])
    canvas.ellipsoids(
        centre, (25, 46, 52), Tissue.SPLEEN, Structure.SPLEEN, axes=axes, over=_FAT, within=_BELOW, warp=0.08
    )


def _paint_behind(canvas: Canvas, chest: Chest) -> None:
    """Paint kidneys with the fat of their sinus, psoas, crura of the diaphragm, and adrenal glands."""
    z, rng = chest.dome_top_mm - 128, generator(chest.patient.seed, Stream.RETROPERITONEUM)
    for side, lower in ((-1, 12.0), (1, 0.0)):
        spine = float(chest.spine_front_mm(z))
        centre = np.array([side * 54.0, spine + 18, z - lower])
        size = np.array((27, 25, 55)) * rng.uniform(0.88, 1.08)
        canvas.ellipsoids(centre, size, Tissue.KIDNEY, Structure.KIDNEY, over=_FAT, within=_BELOW, warp=0.05)
        sinus = centre + np.outer((-1, 0, 1), (0, 0, 13)) - (side * 11, 5, 0)
        canvas.ellipsoids(sinus, (11, 7, 10), Tissue.FAT, Structure.KIDNEY, over=[Tissue.KIDNEY], warp=0.3)
        psoas = curve(
            [(side * 24, spine + 14, z - 10), (side * 34, spine + 16, z - 90), (side * 44, spine, z - 200)], 3.0
        )
        thick = np.linspace(6, 19, len(psoas))
        canvas.tube(psoas, thick, Tissue.MUSCLE, Structure.ABDOMEN, over=_FAT, within=_BELOW, warp=0.08)
        crus = curve(
            [(side * 20, spine - 20, z + 70), (side * 17, spine - 6, z + 30), (side * 13, spine - 3, z - 60)], 1.5
        )
        canvas.ellipsoids(crus, (3.2, 7, 3), Tissue.MUSCLE, Structure.DIAPHRAGM, over=_FAT, within=_BELOW, warp=0.15)
        gland = centre + (-side * 22, -14, 34)
        limbs = curve([gland + (0, -11, 4), gland, gland + (-side * 5, 13, -4)], 1.2)
        canvas.ellipsoids(limbs, (2.2, 2.5, 7), Tissue.SOFT, Structure.ABDOMEN, over=_FAT, within=_BELOW, warp=0.2)


def _paint_bowel(canvas: Canvas, chest: Chest) -> None:
    """Paint loops of small bowel, and the pancreas."""
    patient, rng = chest.patient, generator(chest.patient.seed, Stream.BOWEL)
    wide, deep, top = _sizes_mm(chest)
    n = 34
    where = rng.uniform((-0.55, -0.75, 0), (0.75, 0.15, 1), (n, 3)) * (wide, deep, 110)
    where[:, 2] += top - 225
    sizes = rng.uniform(9, 22, (n, 3)) * (1.1 - 0.4 * patient.visceral_fat)
    canvas.ellipsoids(where, sizes, Tissue.SOFT, Structure.ABDOMEN, over=_FAT, within=_BELOW, warp=0.2)
    gas = rng.random(n) < 0.2
    canvas.ellipsoids(where[gas], sizes[gas] * 0.6, Tissue.AIR, Structure.ABDOMEN, over=[Tissue.SOFT], warp=0.2)
    spine = float(chest.spine_front_mm(top - 120))
    pancreas = curve([(-38, spine - 38, top - 145), (5, spine - 46, top - 128), (62, spine - 12, top - 105)], 4.0)
    where = pancreas + rng.normal(0, 3, pancreas.shape)
    canvas.ellipsoids(where, (7, 8, 9), Tissue.SOFT, Structure.ABDOMEN, over=_FAT, within=_BELOW, warp=0.3)


def _paint_colon(canvas: Canvas, chest: Chest) -> None:
    """Paint transverse and descending colon, with the splenic flexure under the left dome: wall, gas or stool."""
    patient, (wide, deep, top) = chest.patient, _sizes_mm(chest)
    rng = generator(patient.seed, Stream.COLON)
    high = top - patient.left_dome_lower_mm - rng.uniform(22, 70)
    knots = [(-0.4 * wide, -0.72 * deep, top - 150), (0.15 * wide, -0.78 * deep, top - 130)]
    knots += [(0.60 * wide, -0.52 * deep, high - 15), (0.74 * wide, -0.18 * deep, high)]
    knots += [(0.82 * wide, 0.22 * deep, high - 35), (0.80 * wide, 0.30 * deep, high - 190)]
    path = curve(knots, 9.0)
    sizes = rng.uniform(0.8, 1.15, (len(path), 1)) * np.array([15.0, 15.0, 13.0])
    over, within = (Tissue.FAT, Tissue.SOFT), _BELOW
    canvas.ellipsoids(path, sizes, Tissue.SOFT, Structure.ABDOMEN, over=over, within=within, warp=0.15)
    gas = rng.random(len(path) // 4 + 1).repeat(4)[: len(path)] < rng.uniform(0.2, 0.9)
    canvas.ellipsoids(path[gas], sizes[gas] - 2.2, Tissue.AIR, Structure.ABDOMEN, over=[Tissue.SOFT], within=within)
    stool = np.repeat(path[~gas], 7, axis=0)
    stool = stool + rng.normal(0, 5, stool.shape)
    small = rng.uniform(0.8, 2.4, stool.shape)
    canvas.ellipsoids(stool, small, Tissue.AIR, Structure.ABDOMEN, over=[Tissue.SOFT], within=within)
