"""``build_body``: the patient's tissues on a grid, at a cardiac phase and a depth of breath."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ctacal.geometry import Geometry
from ctacal.simulate.anatomy.abdomen import paint_abdomen
from ctacal.simulate.anatomy.bones import paint_front, paint_ribs, paint_spine
from ctacal.simulate.anatomy.canvas import Canvas
from ctacal.simulate.anatomy.chest import Chest, paint_arms, paint_trunk
from ctacal.simulate.anatomy.compiled import fill_where_low
from ctacal.simulate.anatomy.coronaries import coronary_tree, paint_coronaries
from ctacal.simulate.anatomy.description import Patient
from ctacal.simulate.anatomy.heart import Heart
from ctacal.simulate.anatomy.lungs import paint_fissures, paint_lung_trees
from ctacal.simulate.anatomy.structures import HEART, AnatomyMaps, CoronarySegment, Structure
from ctacal.simulate.anatomy.vessels import Courses, paint_arteries_and_veins, paint_nodes, paint_tubes_of_air
from ctacal.simulate.materials import Body, Tissue

_RESTS_ON = (Structure.DIAPHRAGM, Structure.COSTAL_CARTILAGE)
"""What the heart lies upon: no lung between."""

COARSE_MM = 3.0
"""Grid of the mediastinum's outline (own choice: the outline is smoother than that)."""

BRIDGE_MM = 12.0
"""Fat bridges gaps between the organs of the mediastinum up to twice this wide (own choice)."""

AHEAD = 0.55
"""Gaps from front to back count for less: lung never reaches across the mid-line between aorta and trachea."""

_MEDIASTINAL = (
    *HEART, Structure.AIRWAY, Structure.STERNUM, Structure.VERTEBRA, Structure.DISC, Structure.OESOPHAGUS,
    Structure.AORTA, Structure.PULMONARY_ARTERY, Structure.SUPERIOR_VENA_CAVA, Structure.INFERIOR_VENA_CAVA,
    Structure.ARCH_BRANCH, Structure.PULMONARY_VEIN,
)  # fmt: skip


def build_body(patient: Patient, geometry: Geometry, *, phase: float = 0.0, breath_mm: float = 0.0) -> AnatomyMaps:
    """Build a patient's body without any calcium.

    ``geometry`` is canonical and axial; (0, 0, 0) is at the carina, and any part from the chin (z about 190 mm) to the
    kidneys (-250 mm) may be asked for. ``phase`` runs from 0 (end-diastole) to 1; ``breath_mm`` lowers the diaphragm.
    Raises ``ValueError`` where the grid is tilted.
    """
    canvas, chest = Canvas(geometry, patient.seed), Chest(patient, breath_mm)
    heart = Heart.of(chest, phase)
    courses = Courses.of(chest, Heart.of(chest))
    segments = coronary_tree(chest, heart)
    paint_trunk(canvas, chest)
    paint_arms(canvas, chest)
    paint_abdomen(canvas, chest)
    _paint_bones(canvas, chest)
    _paint_mediastinum(canvas, chest, heart, courses, segments)
    paint_lung_trees(canvas, chest, courses)
    paint_fissures(canvas, chest)
    calcium = np.zeros(geometry.shape, np.float32)
    return AnatomyMaps(Body(canvas.tissue, calcium, geometry), canvas.structure, segments)


def coronaries_of(patient: Patient, *, phase: float = 0.0, breath_mm: float = 0.0) -> tuple[CoronarySegment, ...]:
    """The coronary tree alone, without building the body: where calcium lies at another phase."""
    chest = Chest(patient, breath_mm)
    return coronary_tree(chest, Heart.of(chest, phase))


def _paint_bones(canvas: Canvas, chest: Chest) -> None:
    paint_ribs(canvas, chest)
    paint_front(canvas, chest)
    paint_spine(canvas, chest)


def _paint_mediastinum(
    canvas: Canvas, chest: Chest, heart: Heart, courses: Courses, segments: tuple[CoronarySegment, ...]
) -> None:
    _paint_organs(canvas, heart, courses)
    paint_coronaries(canvas, segments)
    outline, origin = _outline(chest, heart, courses)
    fill_where_low(
        canvas.tissue, canvas.structure, *canvas.axes, outline, COARSE_MM, origin,
        int(Structure.LUNG), int(Tissue.FAT), int(Structure.MEDIASTINUM),
    )  # fmt: skip
    paint_nodes(canvas, chest, courses)


def _paint_organs(canvas: Canvas, heart: Heart, courses: Courses) -> None:
    heart.paint(canvas)
    paint_arteries_and_veins(canvas, courses)
    paint_tubes_of_air(canvas, courses)


def _outline(chest: Chest, heart: Heart, courses: Courses) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Distance to the mediastinum's outline (negative inside) on a coarse grid of its own, and that grid's origin.

    It is the closing of the organs between the lungs, smoothed: fat fills what lies between them. The grid does not
    depend on the one that is built, so that a part of a body equals the same part of the whole.
    """
    grid = Geometry.from_spacing((115, 90, 85), (COARSE_MM,) * 3, (-126.0, -140.0, -215.0))
    coarse = Canvas(grid, chest.patient.seed)
    paint_trunk(coarse, chest)
    paint_abdomen(coarse, chest)
    _paint_bones(coarse, chest)
    _paint_organs(coarse, heart, courses)
    reach = BRIDGE_MM * (0.8 + 0.5 * chest.patient.visceral_fat)
    organs = _isin(coarse, _MEDIASTINAL)
    beside = _isin(coarse, _RESTS_ON)
    organs |= beside & (_distance_mm(_isin(coarse, HEART), 1.0) < 2 * reach)
    near = _distance_mm(organs, AHEAD) < reach
    outline = reach - 2.0 - _distance_mm(~near, AHEAD)
    outline = ndimage.gaussian_filter(outline, 2.0 / COARSE_MM)
    return np.ascontiguousarray(outline, np.float32), np.array([coarse.xs[0], coarse.ys[0], coarse.zs[0]])


def _isin(canvas: Canvas, structures: tuple[int, ...]) -> NDArray[np.bool_]:
    return np.isin(canvas.structure, [int(one) for one in structures])


def _distance_mm(mask: NDArray[np.bool_], ahead: float) -> NDArray[np.float64]:
    """Of each voxel to the mask; steps from front to back count as ``ahead``."""
    sampling = (COARSE_MM, COARSE_MM * ahead, COARSE_MM)
    return np.asarray(ndimage.distance_transform_edt(~mask, sampling=sampling), np.float64)
