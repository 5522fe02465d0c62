"""Textures: grades of density in lung, liver, muscle and bone, painted last.

Smooth fields of the position choose every grade, so that a part of a body equals the same part of the whole body.
"""

import numpy as np

from ctacal.arrays import Floats, Ints
from ctacal.simulate.anatomy.canvas import Canvas
from ctacal.simulate.anatomy.chest import Chest
from ctacal.simulate.anatomy.structures import CODES, Structure
from ctacal.simulate.anatomy.texture_kernels import BONE_FAMILY, LIVER_FAMILY, LUNG_FAMILY, MUSCLE_FAMILY, grade_tissues
from ctacal.simulate.materials import Tissue

GRADES = (
    (Tissue.LUNG_INFLATED_MOST, Tissue.LUNG_INFLATED_MORE, Tissue.LUNG_INFLATED, Tissue.LUNG, Tissue.LUNG_DEPENDENT,
     Tissue.LUNG_DENSE, Tissue.LUNG_DENSER),
    (Tissue.LIVER_FATTIEST, Tissue.LIVER_FATTIER, Tissue.LIVER_FATTY, Tissue.LIVER, Tissue.LIVER_DENSE),
    (Tissue.MUSCLE_FATTIER, Tissue.MUSCLE_FATTY, Tissue.MUSCLE),
    (Tissue.MARROW, Tissue.BONE_POROTIC, Tissue.BONE_TRABECULAR, Tissue.BONE_TRABECULAR_DENSE,
     Tissue.BONE_TRABECULAR_DENSER),
)  # fmt: skip
"""Tissues in order of rising density; their HU are in ``GRADE_HU``."""

GRADE_HU = (
    (-940, -880, -821, -741, -661, -582, -502),
    (7, 26, 41, 54, 64),
    (7, 35, 53),
    (-46, 56, 175, 258, 390),
)
"""HU of ``GRADES`` at 120 kVp, by the scanner's tables (a test compares them)."""

BONE_SHARE = {
    Structure.VERTEBRA: 1.0, Structure.RIB: 0.55, Structure.STERNUM: 0.6, Structure.CLAVICLE: 0.9,
    Structure.SCAPULA: 0.8, Structure.HUMERUS: 0.8,
}  # fmt: skip
"""Density of the trabecular bone over that of the vertebrae (own choice, compared with two real CTs)."""

LUNG_SLOPE_HU_PER_MM = 0.42
"""Rise of the lung's density towards the back in supine patients. Between the front and the back quarter of the lungs,
some 140 mm apart, it was 27-77 HU (mean 53) in the PET/CT scan and 18-71 (mean 49) in the other (own measurement)."""


def paint_textures(canvas: Canvas, chest: Chest) -> None:
    """Replace lung, liver, muscle and trabecular bone by their grades, and paint the fissures of the lungs."""
    patient, coarse, fine = chest.patient, canvas.coarse, canvas.fine
    means = np.zeros(CODES)
    means[list(Structure)] = patient.muscle_hu
    for structure, share in BONE_SHARE.items():
        means[structure] = patient.trabecular_hu * share
    means[Structure.LIVER] = patient.liver_hu
    means[Structure.LUNG] = patient.lung_hu
    lung = np.array([
        LUNG_SLOPE_HU_PER_MM, chest.patient.emphysema, chest.patient.atelectasis_mm,
        chest.patient.chest_half_depth_mm, chest.scale,
    ])  # fmt: skip
    cavity = np.ascontiguousarray(chest.cavity_mm(canvas.zs[:, None], np.arange(360.0)[None, :]))
    grade_tissues(
        canvas.tissue, canvas.structure, *canvas.axes, *_tables(), means, lung, cavity,
        coarse.values, coarse.step_mm, fine.values, fine.step_mm, coarse.origin,
    )  # fmt: skip


def _tables() -> tuple[Ints, Floats, Ints]:
    """Return grades and their HU (families, 8), padded, and the family of each tissue, -1 for none."""
    grades, hu = np.zeros((len(GRADES), 8), np.int64), np.full((len(GRADES), 8), np.inf)
    family = np.full(CODES, -1, np.int64)
    for n, (tissues, values) in enumerate(zip(GRADES, GRADE_HU, strict=True)):
        grades[n, : len(tissues)], hu[n, : len(values)] = tissues, values
    family[[Tissue.LUNG, Tissue.LIVER, Tissue.MUSCLE, Tissue.BONE_TRABECULAR]] = (
        LUNG_FAMILY, LIVER_FAMILY, MUSCLE_FAMILY, BONE_FAMILY
    )  # fmt: skip
    return grades, hu, family
