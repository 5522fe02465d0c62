"""The spine: vertebrae from C1 to L4 with their discs, and the canal.

All numbers: own choice, compared with two real CTs.
"""

import itertools
from dataclasses import dataclass

import numpy as np

from ctacal.arrays import Floats
from ctacal.simulate.anatomy.bone_kernels import fill_vertebra
from ctacal.simulate.anatomy.canvas import Canvas
from ctacal.simulate.anatomy.chest import Chest

Z_OF_T1_MM = 92.0
"""Height of the first thoracic vertebra above the carina, in a patient of 172 cm."""

FIRST_THORACIC = 7
"""Index of T1, counted from C1: the number of cervical vertebrae."""


@dataclass(frozen=True)
class Vertebra:
    """Centre, half width and half depth of a vertebral body, and its distance to the next, in mm."""

    middle: Floats
    wide: float
    deep: float
    pitch: float

    @property
    def canal_mm(self) -> float:
        """Distance of the canal's centre behind that of the body."""
        return self.deep + 0.42 * self.wide + 0.5


def vertebra_heights(scale: float) -> list[tuple[float, float]]:
    """Return (height of the centre, distance to the next below) of the vertebrae from C1 to L4."""
    pitch = [15.0] * FIRST_THORACIC + list(np.linspace(18, 27, 12)) + [33.0] * 4
    middle = np.cumsum([0, *((a + b) / 2 for a, b in itertools.pairwise(pitch))])
    return [
        (float((Z_OF_T1_MM - m + middle[FIRST_THORACIC]) * scale), p * scale)
        for m, p in zip(middle, pitch, strict=True)
    ]


def vertebra(chest: Chest, number: int) -> Vertebra:
    """Return the vertebra with this number: 0 is C1, 7 is T1."""
    z, pitch = vertebra_heights(chest.scale)[number]
    size = chest.scale * (1.02 if chest.patient.sex == "M" else 0.93)
    steps = (15, 18, 22, 27, 33)
    deep = float(np.interp(pitch / chest.scale, steps, (8, 9.5, 13, 16.5, 17.5))) * size
    wide = float(np.interp(pitch / chest.scale, steps, (10.5, 15, 17.5, 21.5, 24))) * size
    middle = np.array([float(chest.spine_x_mm(z)), float(chest.spine_front_mm(z)) + deep, z])
    return Vertebra(middle, wide, deep, pitch)


def paint_spine(canvas: Canvas, chest: Chest) -> None:
    """Paint bodies with cortex and end plates, discs, arches with all processes, and the canal."""
    patient, field = chest.patient, canvas.coarse
    spurs = 2.6 * float(np.clip((patient.age_years - 45) / 35, 0, 1))
    for number in range(len(vertebra_heights(chest.scale))):
        bone = vertebra(chest, number)
        if not canvas.zs[0] - 70 < bone.middle[2] < canvas.zs[-1] + 70:
            continue
        dz = 5.0
        lean = float(chest.spine_front_mm(bone.middle[2] + dz) - chest.spine_front_mm(bone.middle[2] - dz)) / (2 * dz)
        sizes = np.array([bone.wide, bone.deep, 0.41 * bone.pitch, bone.pitch, spurs, lean])
        fill_vertebra(
            canvas.tissue, canvas.structure, *canvas.axes, bone.middle, sizes, _arch(bone, number),
            field.values, field.step_mm, field.origin,
        )  # fmt: skip


def _arch(bone: Vertebra, number: int) -> Floats:
    """Return rods (ends, radii, height over thickness) on one side, relative to the body: x aside, y back, z up."""
    p, w, c = bone.pitch, bone.wide, bone.canal_mm
    size = 0.55 + 0.45 * min(1.0, w / 15)
    out = w + (13 if number >= FIRST_THORACIC else 7) * size
    lumbar = number >= FIRST_THORACIC + 12
    tip = (
        (0, c + 31 * size, -0.25 * p) if lumbar else (0, c + (30 if number > FIRST_THORACIC else 20) * size, -0.95 * p)
    )
    rows = (
        (0.70 * w, bone.deep - 4, 0.16 * p, 10.5, c + 3, 0.10 * p, 2.9 * size, 2.9 * size, 1.8),
        (9.6, c + 4, 0, 1, c + 10.5, -0.12 * p, 2.6 * size, 2.4 * size, 2.6),
        (10.5, c + 4, 0.08 * p, out, c + (10 if not lumbar else 4), 0.14 * p, 3.4 * size, 4.4 * size, 1.2),
        (0, c + 11, -0.18 * p, *tip, 2.5 * size, 2.7 * size, 2.6 if lumbar else 1.7),
        (11.5, c + 4, 0.36 * p, 11.5, c + 5, 0.44 * p, 3.2 * size, 2.8 * size, 1.2),
        (10.5, c + 7.5, -0.34 * p, 10.5, c + 7.5, -0.46 * p, 3.0 * size, 2.6 * size, 1.2),
    )
    return np.array(rows, float)
