"""Ribs with their cartilage, sternum, clavicles and shoulder blades.

All numbers: own choice, compared with two real CTs, unless a source is named.
"""

import numpy as np

from ctacal.arrays import Floats
from ctacal.simulate.anatomy.canvas import Canvas, curve
from ctacal.simulate.anatomy.cartilage import cartilage_path, paint_cartilage
from ctacal.simulate.anatomy.chest import ANGLES, BEHIND_STERNUM_MM, Chest
from ctacal.simulate.anatomy.shoulders import shoulder_joint_mm
from ctacal.simulate.anatomy.spine import FIRST_THORACIC, vertebra
from ctacal.simulate.anatomy.structures import Points, Structure
from ctacal.simulate.anatomy.wall import scapula_edges_deg, wall_layers
from ctacal.simulate.anatomy.wall_kernels import DEEP_EDGE, MIDDLE_INNER_EDGE
from ctacal.simulate.materials import Tissue
from ctacal.simulate.streams import Stream, generator

RIB_CORTEX_MM = 1.35
"""Mohr M et al., J Biomech 2007;40:3523-3529 measured 0.5-0.9 mm; here it is
thicker and less dense in proportion, because the voxels of a body are that wide."""


def rib_path(chest: Chest, number: int) -> Points:
    """Return the centre line of the bony right rib, from the spine to the cartilage; the left one mirrors it."""
    bone = vertebra(chest, min(FIRST_THORACIC - 1 + number, 22))
    z0 = float(bone.middle[2]) + 0.3 * bone.pitch
    end = np.interp(number, (1, 2, 5, 8, 10, 11, 12), (32, 30, 28, 45, 68, 105, 125))
    drop = np.interp(number, (1, 2, 4, 7, 10, 12), (30, 50, 78, 112, 115, 80)) * chest.scale
    angle = np.linspace(163, end, 90)
    share = (163 - angle) / (163 - 28)
    z = z0 - drop * (0.35 * share + 0.65 * share**1.5)
    radius = chest.cavity_mm(z, angle) + 4.2
    inward = np.interp(number, (1, 2, 3), (10, 4, 0)) * np.sin(np.pi * share)
    turn = np.deg2rad(angle)
    path = np.stack([-(radius - inward) * np.sin(turn), -(radius - inward) * np.cos(turn), z], axis=1)
    behind = float(bone.middle[1]) + bone.deep
    head, neck = (-0.9 * bone.wide, behind - 5, z0 + 1), (-(bone.wide + 9), behind + 10, z0)
    return curve([head, neck, *path[5:86:6], path[-1]], 1.2)


def _ribbon_axes(path: Points) -> Floats:
    """Return frames along a rib: unit vectors along it, outwards from the patient's axis, and across."""
    along = np.gradient(path, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    outward = path * (1, 1, 0) / np.maximum(1, np.linalg.norm(path[:, :2], axis=1, keepdims=True))
    outward -= along * (along * outward).sum(axis=1, keepdims=True)
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    return np.stack([along, outward, np.cross(along, outward)], axis=1)


def sternum_y_mm(chest: Chest, z: float | Floats) -> Floats:
    """Return y of the sternum's centre, in front of the cavity."""
    return np.asarray(-chest.cavity_mm(z, 0.0) - BEHIND_STERNUM_MM - 5)


def paint_ribs(canvas: Canvas, chest: Chest) -> None:
    """Paint the ribs of both sides, of cortex and marrow, and the cartilages of the upper ten."""
    rng = generator(chest.patient.seed, Stream.RIBS)
    thick = 3.5 if chest.patient.sex == "M" else 3.1
    for number in range(1, chest.patient.ribs + 1):
        path = rib_path(chest, min(number, 12))
        tall = float(np.interp(number, (1, 2, 5, 12), (6.5, 6.5, 6.8, 5.2))) * thick / 3.5
        for side in (-1, 1):
            mirrored = path * (-side, 1, 1) + (0, 0, rng.normal(0, 1.5))
            if not _near(canvas, mirrored):
                continue
            axes = _ribbon_axes(mirrored)
            slim = np.interp(np.arange(len(path)), (0, 6, 14), (0.75, 0.7, 1))[:, None]
            for less, tissue in ((0.0, Tissue.BONE_DENSE), (RIB_CORTEX_MM, Tissue.BONE_TRABECULAR)):
                sizes = np.array((2.2, thick - less, tall - less)) * slim
                canvas.ellipsoids(mirrored, sizes, tissue, Structure.RIB, axes=axes, warp=0.05)
            if number <= 10:
                z = float(np.interp(number, (1, 2, 7, 10), (52, 34, -92, -112))) * chest.scale
                line = cartilage_path(chest, mirrored, number, side, float(sternum_y_mm(chest, z)), z)
                paint_cartilage(canvas, chest, line, _ribbon_axes(line), number)


def _near(canvas: Canvas, path: Points) -> bool:
    """Return whether the rib or its cartilage reaches the slices."""
    return bool(path[:, 2].min() - 60 < canvas.zs[-1] and path[:, 2].max() + 60 > canvas.zs[0])


def paint_front(canvas: Canvas, chest: Chest) -> None:
    """Paint sternum with manubrium and xiphoid, clavicles and shoulder blades."""
    _paint_sternum(canvas, chest)
    for side in (-1, 1):
        _paint_clavicle(canvas, chest, side)
        _paint_scapula(canvas, chest, side)


def _paint_sternum(canvas: Canvas, chest: Chest) -> None:
    heights = np.arange(-128, 58, 1.2)
    wide = np.interp(heights, (-128, -108, -95, -60, 20, 32, 54, 58), (3, 6, 15, 17, 13, 20, 29, 18))
    wide = wide * (1.0 if chest.patient.sex == "M" else 0.9)
    z = heights * chest.scale
    middle = np.stack([np.zeros_like(z), sternum_y_mm(chest, z), z], axis=1)
    thick = np.interp(heights, (-128, -100, 20, 58), (3.0, 4.8, 5.0, 6.5))
    for less, tissue in ((0.0, Tissue.BONE_THIN), (1.3, Tissue.BONE_TRABECULAR)):
        for shift in (-0.45, 0, 0.45):  # three side by side: flat in front and behind
            sizes = np.stack([0.62 * wide - less, thick - less, np.full_like(z, 1.6)], axis=1)
            where = middle + np.outer(shift * wide, (1, 0, 0))
            canvas.ellipsoids(where, np.maximum(sizes, 1.0), tissue, Structure.STERNUM, warp=0.06)
    angle = np.abs(heights - 26) < 1.6  # joint of manubrium and body
    sizes = np.stack([wide[angle], thick[angle], np.full(int(angle.sum()), 1.0)], axis=1)
    canvas.ellipsoids(middle[angle], sizes, Tissue.BONE_THIN, Structure.STERNUM, over=[Tissue.BONE_TRABECULAR])


def _paint_clavicle(canvas: Canvas, chest: Chest, side: int) -> None:
    inner = np.array([22.0, float(sternum_y_mm(chest, 56.0)) - 2, 58 * chest.scale])
    outer = shoulder_joint_mm(chest) + (-16, -6, 16)
    bow = (inner + outer) / 2
    path = curve([inner, bow + (-18, -14, 2), bow + (18, 6, 3), outer], 1.5) * (side, 1, 1)
    size = 1.0 if chest.patient.sex == "M" else 0.87
    canvas.tube(path, np.linspace(8, 5.5, len(path)) * size, Tissue.BONE_CORTICAL, Structure.CLAVICLE)
    within = np.interp(np.linspace(0, 1, len(path)), (0, 0.2, 0.6, 1), (7.0, 5.2, 3.6, 4.6)) * size
    canvas.tube(path, within, Tissue.BONE_TRABECULAR, Structure.CLAVICLE)


def _paint_scapula(canvas: Canvas, chest: Chest, side: int) -> None:
    """Paint a bent blade between the deep and the middle muscles, with its spine and the glenoid."""
    heights = np.arange(-64, 80, 1.5)
    layers = wall_layers(chest, heights * chest.scale)
    spine_foot = np.zeros(3)
    for t, row in zip(heights, layers, strict=True):
        outer, inner = (float(edge) for edge in scapula_edges_deg(chest, float(t)))
        angle = np.arange(outer, inner, 0.6)
        depth = (row[DEEP_EDGE] + row[MIDDLE_INNER_EDGE]) / 2
        where = np.interp(np.deg2rad(side * angle % 360), np.deg2rad(np.arange(ANGLES)), depth)
        turn = np.deg2rad(angle)
        z = np.full_like(turn, t * chest.scale)
        line = np.stack([side * where * np.sin(turn), -where * np.cos(turn), z], axis=1)
        thick = np.interp(angle, (outer, outer + 5, inner - 4, inner), (4.4, 1.4, 1.2, 2.4))
        canvas.tube(line, thick, Tissue.BONE_DENSE, Structure.SCAPULA)
        canvas.tube(line[:9], thick[:9] - 1.0, Tissue.BONE_TRABECULAR, Structure.SCAPULA)
        if t == 38:
            spine_foot = line[-4]
    _paint_scapular_spine(canvas, chest, spine_foot, line[0], side)


def _paint_scapular_spine(canvas: Canvas, chest: Chest, foot: Floats, top: Floats, side: int) -> None:
    joint = shoulder_joint_mm(chest) * (side, 1, 1)
    acromion = joint + (-side * 2, 12, 24)
    path = curve([foot, (foot + acromion) / 2 + (0, 8.0, -3.0), acromion], 1.5)
    canvas.tube(path, np.linspace(3, 6, len(path)), Tissue.BONE_DENSE, Structure.SCAPULA)
    canvas.tube(path, np.linspace(1.8, 4.8, len(path)), Tissue.BONE_TRABECULAR, Structure.SCAPULA)
    glenoid = joint + (-side * 25, 3.0, -4.0)
    neck = curve([top, (top + glenoid) / 2, glenoid], 1.5)
    canvas.tube(neck, np.linspace(5, 9, len(neck)), Tissue.BONE_DENSE, Structure.SCAPULA)
    canvas.tube(neck, np.linspace(3.8, 7.8, len(neck)), Tissue.BONE_TRABECULAR, Structure.SCAPULA)
    canvas.ellipsoids(glenoid, (7, 12, 16), Tissue.BONE_DENSE, Structure.SCAPULA)
    canvas.ellipsoids(glenoid, (5.8, 10.8, 14.8), Tissue.BONE_TRABECULAR, Structure.SCAPULA)
