"""Spine, ribs and their cartilage, sternum, clavicles, shoulder blades. All figures: own choice beside real CTs."""

import itertools

import numpy as np

from ctacal.simulate.anatomy.canvas import Canvas, Floats, curve
from ctacal.simulate.anatomy.chest import Chest
from ctacal.simulate.anatomy.structures import Points, Structure
from ctacal.simulate.materials import Tissue

Z_OF_T1_MM = 92.0
"""Height of the first thoracic vertebra above the carina, in a patient of 172 cm."""


def vertebra_heights(scale: float) -> list[tuple[float, float]]:
    """(middle, distance to the next below) of the vertebrae from C3 to L4, from the top."""
    pitch = [15.0] * 5 + list(np.linspace(18, 27, 12)) + [33.0] * 4
    middle = np.cumsum([0, *((a + b) / 2 for a, b in itertools.pairwise(pitch))])
    return [(float((Z_OF_T1_MM - m + middle[5]) * scale), p * scale) for m, p in zip(middle, pitch, strict=True)]


def paint_spine(canvas: Canvas, chest: Chest) -> None:
    """Bodies with cortex and end plates, discs, pedicles, laminae, facets, transverse and spinous processes, canal."""
    for z, pitch in vertebra_heights(chest.scale):
        if canvas.zs[0] - 60 < z < canvas.zs[-1] + 60:
            _paint_vertebra(canvas, chest, z, pitch)


def _paint_vertebra(canvas: Canvas, chest: Chest, z: float, pitch: float) -> None:
    deep = float(np.interp(pitch / chest.scale, (15, 18, 27, 33), (8, 11, 16, 17)))
    wide = float(np.interp(pitch / chest.scale, (15, 18, 27, 33), (11, 15, 20, 23)))
    x, y = float(chest.spine_x_mm(z)), float(chest.spine_front_mm(z)) + deep
    bone, marrow, cortex = Structure.VERTEBRA, Tissue.BONE_TRABECULAR, Tissue.BONE_CORTICAL
    disc = np.array([x, y, z - pitch / 2])
    canvas.ellipsoids(disc, (wide, deep, pitch * 0.28), Tissue.CARTILAGE, Structure.DISC, flat=True)
    canal = y + deep + 7
    for shrink, tissue in ((0.0, cortex), (1.6, marrow)):
        _arch(canvas, np.array([x, canal, z]), pitch, wide, shrink, tissue)
    canvas.ellipsoids((x, y, z), (wide, deep, pitch * 0.40), cortex, bone, flat=True, warp=0.03)
    canvas.ellipsoids((x, y, z), (wide - 1.1, deep - 1.1, pitch * 0.40 - 1.2), marrow, bone, flat=True, warp=0.03)
    heights = np.arange(z - pitch / 2, z + pitch / 2, 1.0)
    centres = np.stack([np.full_like(heights, x), np.full_like(heights, canal), heights], axis=1)
    canvas.ellipsoids(centres, (9.5, 7.5, 1.5), Tissue.FAT, bone)
    canvas.ellipsoids(centres, (8.0, 6.0, 1.5), Tissue.WATER, bone)
    canvas.ellipsoids(centres, (5.5, 4.0, 1.5), Tissue.SOFT, bone)


def _arch(canvas: Canvas, canal: Floats, pitch: float, wide: float, shrink: float, tissue: Tissue) -> None:
    bone = Structure.VERTEBRA
    for side in (-1, 1):
        pedicle = curve(canal + [(side * 0.65 * wide, -9, 2), (side * 13, 0, 2), (side * 9, 9, -1), (0, 13, -5)], 1.0)
        canvas.tube(pedicle, 4.2 - shrink, tissue, bone)
        tip = np.array([side * (wide + 17), 10, 2.0])
        canvas.tube(curve(canal + [(side * 11, 3, 2), tip * (0.65, 0.8, 1), tip], 1.0), 4.6 - shrink, tissue, bone)
        facet = canal + (side * 13, 8, -pitch * 0.35)
        canvas.ellipsoids(facet, np.array([4.5, 4.0, 0.35 * pitch]) - shrink, tissue, bone)
    spinous = curve(canal + [(0, 11, -3), (0, 22, -0.35 * pitch), (0, 33, -0.75 * pitch)], 1.0)
    canvas.ellipsoids(spinous, np.array([2.9, 3.5, 6.0]) - shrink * 0.9, tissue, bone)


def rib_path(chest: Chest, number: int) -> Points:
    """Middle line of the bony right rib, from the spine to the cartilage; mirrored it is the left one."""
    z0 = vertebra_heights(chest.scale)[min(4 + number, 20)][0] + 4
    end = np.interp(number, (1, 2, 5, 8, 10, 11, 12), (32, 30, 28, 45, 68, 105, 125))
    drop = np.interp(number, (1, 2, 4, 7, 10, 12), (30, 50, 78, 112, 115, 80)) * chest.scale
    angle = np.linspace(163, end, 90)
    share = (163 - angle) / (163 - 28)
    z = z0 - drop * (0.35 * share + 0.65 * share**1.5)
    radius = chest.cavity_mm(z, angle) + 4.6
    inward = np.interp(number, (1, 2, 3), (10, 4, 0)) * np.sin(np.pi * share)
    turn = np.deg2rad(angle)
    path = np.stack([-(radius - inward) * np.sin(turn), -(radius - inward) * np.cos(turn), z], axis=1)
    start = float(chest.spine_front_mm(z0))
    return curve([(-13, start + 20, z0), (-26, start + 30, z0 + 1), *path[6::6], path[-1]], 1.5)


def _ribbon_axes(path: Points) -> Floats:
    """Frames along a rib: along it, outwards from the patient's axis, and across."""
    along = np.gradient(path, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    outward = path * (1, 1, 0) / np.maximum(1, np.linalg.norm(path[:, :2], axis=1, keepdims=True))
    outward -= along * (along * outward).sum(axis=1, keepdims=True)
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    return np.stack([along, outward, np.cross(along, outward)], axis=1)


def sternum_y_mm(chest: Chest, z: float | Floats) -> Floats:
    """y of the middle of the sternum: as far to the front as the cavity."""
    return np.asarray(-chest.cavity_mm(z, 0.0) - 5)


def paint_ribs(canvas: Canvas, chest: Chest) -> None:
    """Ribs of both sides, each of cortex and marrow, and the cartilages of the upper ten, calcified in places."""
    rng = np.random.default_rng([chest.patient.seed, 4])
    for number in range(1, chest.patient.ribs + 1):
        path = rib_path(chest, min(number, 12))
        tall = float(np.interp(number, (1, 2, 5, 12), (6.5, 6.5, 7.0, 5.5)))
        for side in (-1, 1):
            mirrored = path * (-side, 1, 1) + (0, 0, rng.normal(0, 1.5))
            axes = _ribbon_axes(mirrored)
            for less, tissue in ((0.0, Tissue.BONE_CORTICAL), (1.3, Tissue.BONE_TRABECULAR)):
                sizes = (2.5, 3.9 - less, tall - less)
                canvas.ellipsoids(mirrored, sizes, tissue, Structure.RIB, axes=axes)
            if number <= 10:
                _paint_cartilage(canvas, chest, mirrored, number, side, rng)


def _paint_cartilage(
    canvas: Canvas, chest: Chest, rib: Points, number: int, side: int, rng: np.random.Generator
) -> None:
    z = float(np.interp(number, (1, 2, 7, 10), (52, 34, -92, -112))) * chest.scale
    x = side * float(np.interp(number, (1, 2, 6, 7, 10), (24, 17, 15, 16, 42)))
    sternum = np.array([x, float(sternum_y_mm(chest, z)) + 1, z])
    middle = (rib[-1] + sternum) / 2
    bow = np.array([0, -7.0, -10.0 if number > 4 else -2.0]) * (number > 1)
    path = curve([rib[-6], rib[-1], middle + bow, sternum], 1.5)
    axes = _ribbon_axes(path)
    canvas.ellipsoids(path, (2.5, 4.2, 6.5), Tissue.CARTILAGE, Structure.COSTAL_CARTILAGE, axes=axes, warp=0.08)
    share = chest.patient.cartilage_calcification
    spots = path[rng.random(len(path)) < 0.6 * share]
    if len(spots):  # mostly under its surface, as real cartilage calcifies
        spots = spots + rng.normal(0, 1, spots.shape) * (1.5, 1.5, 3.0)
        sizes = rng.uniform(0.5, 2.2, spots.shape)
        canvas.ellipsoids(
            spots, sizes, Tissue.BONE_TRABECULAR, Structure.COSTAL_CARTILAGE, over=[Tissue.CARTILAGE, Tissue.MUSCLE]
        )


def paint_front(canvas: Canvas, chest: Chest) -> None:
    """Sternum with manubrium and xiphoid, clavicles, shoulder blades."""
    heights = np.arange(-128, 58, 1.5)
    wide = np.interp(heights, (-128, -108, -95, -60, 20, 32, 54, 58), (3, 6, 15, 17, 13, 20, 29, 18))
    z = heights * chest.scale
    middle = np.stack([np.zeros_like(z), sternum_y_mm(chest, z), z], axis=1)
    for less, tissue in ((0.0, Tissue.BONE_CORTICAL), (1.4, Tissue.BONE_TRABECULAR)):
        sizes = np.stack([wide - less, np.full_like(z, 5.6 - less), np.full_like(z, 2.0)], axis=1)
        canvas.ellipsoids(middle, np.maximum(sizes, 1.0), tissue, Structure.STERNUM, warp=0.05)
    for side in (-1, 1):
        _paint_clavicle(canvas, chest, side)
        _paint_scapula(canvas, chest, side)


def _paint_clavicle(canvas: Canvas, chest: Chest, side: int) -> None:
    inner = np.array([22.0, float(sternum_y_mm(chest, 56.0)) - 2, 58 * chest.scale])
    outer = np.array([chest.patient.chest_half_width_mm + 8, 20.0, 98 * chest.scale])
    bow = (inner + outer) / 2
    path = curve([inner, bow + (-18, -14, 2), bow + (18, 6, 3), outer], 1.5) * (side, 1, 1)
    canvas.tube(path, np.linspace(8, 5.5, len(path)), Tissue.BONE_CORTICAL, Structure.CLAVICLE)
    canvas.tube(path, np.linspace(6.2, 3.6, len(path)), Tissue.BONE_TRABECULAR, Structure.CLAVICLE)


def _paint_scapula(canvas: Canvas, chest: Chest, side: int) -> None:
    """A bent blade behind the ribs, with its spine and the glenoid."""
    raised = 14.0 if chest.patient.arms_up else 0.0
    for t in np.arange(-70, 72, 1.5):
        z = (t + raised * 0.5) * chest.scale
        inner = float(np.interp(t, (-70, -20, 60, 72), (141, 147, 150, 148))) - raised
        outer = float(np.interp(t, (-70, -20, 30, 72), (134, 118, 104, 102))) - raised
        angle = np.arange(outer, inner, 0.6)
        radius = chest.cavity_mm(z, angle) + 22 + 6 * np.sin(np.pi * (angle - outer) / (inner - outer))
        turn = np.deg2rad(angle)
        line = np.stack([side * radius * np.sin(turn), -radius * np.cos(turn), np.full_like(turn, z)], axis=1)
        thick = np.interp(angle, (outer, outer + 5, inner - 4, inner), (5.5, 2.0, 1.7, 3.2))
        canvas.tube(line, thick, Tissue.BONE_CORTICAL, Structure.SCAPULA)
        canvas.tube(line[:8], thick[:8] - 1.4, Tissue.BONE_TRABECULAR, Structure.SCAPULA)
        if t == 50:
            _paint_scapular_spine(canvas, chest, line, side)


def _paint_scapular_spine(canvas: Canvas, chest: Chest, line: Points, side: int) -> None:
    acromion = np.array([side * (chest.patient.chest_half_width_mm + 18), 34.0, 96 * chest.scale])
    middle = line[len(line) // 2] + np.array([side * 6, 20.0, 12.0])
    path = curve([line[-4], middle, acromion], 1.5)
    canvas.tube(path, np.linspace(4, 7, len(path)), Tissue.BONE_CORTICAL, Structure.SCAPULA)
    canvas.tube(path, np.linspace(2.6, 5.4, len(path)), Tissue.BONE_TRABECULAR, Structure.SCAPULA)
    glenoid = line[0] + np.array([side * 4, -4.0, 10.0])
    canvas.ellipsoids(glenoid, (8, 12, 17), Tissue.BONE_CORTICAL, Structure.SCAPULA)
    canvas.ellipsoids(glenoid, (6.6, 10.6, 15.6), Tissue.BONE_TRABECULAR, Structure.SCAPULA)
