"""Shoulders and upper arms, raised or hanging, with their bone.

All numbers: own choice, compared with two real CTs.
"""

import numpy as np

from ctacal.arrays import Floats
from ctacal.simulate.anatomy.canvas import Canvas, curve
from ctacal.simulate.anatomy.chest import Chest
from ctacal.simulate.anatomy.structures import Points, Structure
from ctacal.simulate.materials import Tissue
from ctacal.simulate.streams import Stream, generator


def shoulder_joint_mm(chest: Chest) -> Floats:
    """Return the centre of the head of the left humerus."""
    patient = chest.patient
    out = 2.0 if patient.arms_up else 24.0 + 0.3 * patient.fat_mm
    return np.array([patient.chest_half_width_mm + out, 26.0, (84 if patient.arms_up else 66) * chest.scale])


def paint_arms(canvas: Canvas, chest: Chest) -> None:
    """Paint both arms: skin, fat, muscles with fat between them, cortex and marrow of the bone."""
    joint = shoulder_joint_mm(chest)
    if chest.patient.arms_up:
        knots = np.array([joint - [50, 4, 26], joint, joint + [10, 2, 50], joint + [6, -6, 210]])
    else:
        knots = np.array([joint - [40, 0, -6], joint + [6, 0, 0], joint + [26, 4, -50], joint + [44, 0, -330]])
    for side in (-1, 1):
        _paint_arm(canvas, chest, curve(knots * (side, 1, 1), 4.0), side)


def _paint_arm(canvas: Canvas, chest: Chest, path: Points, side: int) -> None:
    patient = chest.patient
    grow = np.interp(np.linspace(0, 1, len(path)), (0, 0.15, 0.4, 1), (1.1, 1.3, 1.05, 0.85))
    grow = grow * (34 + 8 * patient.muscle_factor)
    fat = 2 + 0.5 * patient.fat_mm
    covered = [Tissue.AIR, Tissue.SKIN]
    canvas.tube(path, grow + fat + 1.8, Tissue.SKIN, Structure.ARM, over=[Tissue.AIR], warp=0.04)
    canvas.tube(path, grow + fat, Tissue.FAT, Structure.ARM, over=covered, warp=0.04)
    beneath = [Tissue.FAT, *covered]
    rng = generator(patient.seed, Stream.ARM_MUSCLES, side + 1)
    start = rng.uniform(0, 90)
    for turn in start + np.array([0.0, 95.0, 170.0, 265.0]):  # deltoid or biceps, triceps, brachialis
        away = np.array([np.cos(np.deg2rad(turn)), np.sin(np.deg2rad(turn)), 0.0])
        bundle = path + away * (grow * rng.uniform(0.30, 0.42))[:, None]
        size = grow * rng.uniform(0.52, 0.66)
        canvas.tube(bundle, size, Tissue.MUSCLE, Structure.ARM, over=beneath, warp=0.10)
    _paint_humerus(canvas, path[len(path) // 8 :])


def _paint_humerus(canvas: Canvas, path: Points) -> None:
    fine = curve(path[:: max(1, len(path) // 12)], 1.5)
    along = np.linspace(0, 1, len(fine))
    radius = np.interp(along, (0, 0.05, 0.18, 0.3, 1), (18, 23, 16, 11.5, 10.5))
    shell = np.interp(along, (0, 0.15, 0.3), (1.3, 1.6, 3.6))
    head = along < 0.2
    canvas.tube(fine, radius, Tissue.BONE_CORTICAL, Structure.HUMERUS)
    canvas.tube(fine[head], radius[head], Tissue.BONE_THIN, Structure.HUMERUS)
    canvas.tube(fine, radius - shell, Tissue.FAT, Structure.HUMERUS)
    canvas.tube(fine[head], (radius - shell)[head], Tissue.BONE_TRABECULAR, Structure.HUMERUS)
