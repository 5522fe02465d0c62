"""``build_body``: the patient's tissues on a grid, at a cardiac phase and a depth of breath."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ctacal.geometry import Geometry
from ctacal.simulate.anatomy.abdomen import paint_abdomen
from ctacal.simulate.anatomy.bones import paint_front, paint_ribs
from ctacal.simulate.anatomy.calcium import CalciumDescription
from ctacal.simulate.anatomy.canvas import Canvas
from ctacal.simulate.anatomy.chest import Chest
from ctacal.simulate.anatomy.coronaries import coronary_tree, paint_coronaries
from ctacal.simulate.anatomy.description import Patient
from ctacal.simulate.anatomy.heart import SYSTOLE, Heart
from ctacal.simulate.anatomy.lungs import lung_trees, paint_lung_trees
from ctacal.simulate.anatomy.shoulders import paint_arms
from ctacal.simulate.anatomy.spine import paint_spine
from ctacal.simulate.anatomy.structures import HEART, AnatomyMaps, CoronarySegment, Points, Structure
from ctacal.simulate.anatomy.texture import paint_textures
from ctacal.simulate.anatomy.truth import with_calcium
from ctacal.simulate.anatomy.vessels import (
    WALL_MM,
    Courses,
    paint_arteries_and_veins,
    paint_nodes,
    paint_tubes_of_air,
)  # fmt: skip
from ctacal.simulate.anatomy.wall import paint_trunk
from ctacal.simulate.materials import Body, Tissue
from ctacal.simulate.streams import Stream, generator
from ctacal.simulate.threads import both, side_by_side

_RESTS_ON = (Structure.DIAPHRAGM, Structure.COSTAL_CARTILAGE)
"""Structures that the heart rests on, without lung in between."""

COARSE_MM = 3.0
"""Voxel size of the grid for the mediastinum's outline (own choice: the outline is smoother than that)."""

BRIDGE_MM = 7.0
"""Fat fills gaps between mediastinal organs that are up to twice this wide (own choice)."""

RIM_MM = 0.5
"""Thickness of the fat around those organs (own choice)."""

AHEAD = 0.7
"""Weight of distances from front to back: lung never crosses the midline between aorta and trachea."""

JUNCTION_MM = 4.0
"""Half the width of the fat at the back of the sternum, where both lungs nearly meet (own choice)."""

_MEDIASTINAL = (
    *HEART, Structure.AIRWAY, Structure.VERTEBRA, Structure.DISC, Structure.OESOPHAGUS,
    Structure.AORTA, Structure.PULMONARY_ARTERY, Structure.SUPERIOR_VENA_CAVA, Structure.INFERIOR_VENA_CAVA,
    Structure.ARCH_BRANCH, Structure.PULMONARY_VEIN,
)  # fmt: skip


@dataclass(frozen=True, eq=False, slots=True)
class StillBody:
    """A painted body without the beating heart and everything painted over it."""

    chest: Chest
    tissue: NDArray[np.uint8]
    structure: NDArray[np.uint8]
    geometry: Geometry

    def at(self, phase: float) -> AnatomyMaps:
        """Return the whole body at a cardiac phase."""
        canvas = self.canvas()
        maps = _painted(canvas, self.chest, phase)
        paint_textures(canvas, self.chest)  # last: everything painted before relies on plain tissues
        return maps

    def canvas(self) -> Canvas:
        """Return a canvas with a copy of this body."""
        canvas = Canvas(self.geometry, self.chest.patient.seed)
        canvas.tissue, canvas.structure = self.tissue.copy(), self.structure.copy()
        return canvas

    def crop(self, box: tuple[slice, slice, slice]) -> "StillBody":
        """Return a part of this body."""
        return StillBody(self.chest, self.tissue[box], self.structure[box], self.geometry.crop(box))


def build_body(patient: Patient, geometry: Geometry, *, phase: float = 0.0, breath_mm: float = 0.0) -> AnatomyMaps:
    """Build a patient's body without any calcium.

    ``geometry`` is canonical and axial; (0, 0, 0) is at the carina, and any part from the chin (z about 190 mm) to the
    kidneys (-250 mm) can be built. ``phase`` runs from 0 (end-diastole) to 1; ``breath_mm`` lowers the diaphragm.
    Raises ``ValueError`` if the grid is tilted.
    """
    return still_body(patient, geometry, breath_mm=breath_mm).at(phase)


def still_body(patient: Patient, geometry: Geometry, *, breath_mm: float = 0.0) -> StillBody:
    """Return what all phases of ``build_body`` have in common."""
    canvas, chest = Canvas(geometry, patient.seed), Chest(patient, breath_mm)
    both(partial(_paint_still, canvas, chest), partial(_make_ready, chest))
    return StillBody(chest, canvas.tissue, canvas.structure, geometry)


def heart_region(patient: Patient, geometry: Geometry, *, breath_mm: float = 0.0) -> Geometry:
    """Return the part of a body's grid, in whole voxels, that the heartbeat changes, with calcium and devices.

    Raises ``ValueError`` if the grid does not reach the heart.
    """
    return geometry.crop(_heart_box(Chest(patient, breath_mm), geometry))


def heart_phases(body: StillBody, calcium: CalciumDescription, *, phases: int = 8, first: int = 0) -> Iterator[Body]:
    """Yield the ``heart_region`` with calcium and metal at evenly spaced phases, starting with number ``first``.

    Number 0 is end-diastole. Each region is the same as in the body that ``body.at`` and ``with_calcium`` make. Raises
    ``ValueError`` if the body does not reach the heart.
    """
    chest = body.chest
    still = body.crop(_heart_box(chest, body.geometry))
    textured = still.canvas()
    paint_textures(textured, chest)

    def at(phase: float) -> Body:
        canvas = still.canvas()
        part = _painted(canvas, chest, phase)
        np.copyto(canvas.tissue, textured.tissue, where=canvas.tissue == still.tissue)  # the heart has no texture
        return with_calcium(part, chest.patient, calcium, phase=phase, breath_mm=chest.breath_mm)[0].body

    yield from side_by_side([partial(at, n / phases) for n in range(first, phases)])


def coronaries_of(patient: Patient, *, phase: float = 0.0, breath_mm: float = 0.0) -> tuple[CoronarySegment, ...]:
    """Return the coronary tree without building the body, for instance to locate calcium at another phase."""
    chest = Chest(patient, breath_mm)
    return coronary_tree(chest, Heart.of(chest, phase))


def _make_ready(chest: Chest) -> None:
    """Compute the outline and the lung trees, which are cached."""
    _outline(chest.patient, chest.breath_mm)
    lung_trees(chest)


def _paint_still(canvas: Canvas, chest: Chest) -> None:
    """Paint everything that does not move with the heart and is not painted over it."""
    paint_trunk(canvas, chest)
    paint_arms(canvas, chest)
    paint_abdomen(canvas, chest)
    _paint_bones(canvas, chest)


def _painted(canvas: Canvas, chest: Chest, phase: float) -> AnatomyMaps:
    """Return the body without textures, with the heart and what moves with it painted over the still body."""
    heart = Heart.of(chest, phase)
    courses, segments = Courses.of(chest, heart), coronary_tree(chest, heart)
    _paint_organs(canvas, heart, courses)
    paint_coronaries(canvas, segments)
    heart.paint_fat_beside(canvas, *_outline(chest.patient, chest.breath_mm), COARSE_MM)
    _paint_fat_pads(canvas, chest)
    paint_nodes(canvas, chest, courses)
    paint_lung_trees(canvas, chest)
    calcium = np.zeros(canvas.geometry.shape, np.float32)
    return AnatomyMaps(Body(canvas.tissue, calcium, canvas.geometry), canvas.structure, segments)


def _heart_box(chest: Chest, geometry: Geometry) -> tuple[slice, slice, slice]:
    """Return the slices, rows and columns that the heartbeat changes; ``ValueError`` if the grid has none of them."""
    origin, (low, high) = geometry.to_patient_mm((0, 0, 0)), _moving_box(chest)
    spans = []
    for axis, (n, mm) in enumerate(zip(geometry.shape, geometry.spacing_mm, strict=True)):
        first, last = (low[2 - axis] - origin[2 - axis]) / mm, (high[2 - axis] - origin[2 - axis]) / mm
        spans.append(slice(max(0, int(np.floor(first))), min(n, int(np.ceil(last)) + 1)))
    if any(span.stop <= span.start for span in spans):
        raise ValueError(f"a grid of {geometry.shape} voxels does not reach the heart")
    return spans[0], spans[1], spans[2]


def _moving_box(chest: Chest) -> tuple[Points, Points]:
    """Return the lower and upper corner, (L, P, S) in mm, of what differs between end-diastole and end-systole."""
    rest, squeezed = Heart.of(chest), Heart.of(chest, SYSTOLE)
    corners = [rest.reach_mm()]
    before, after = Courses.of(chest, rest).vessels(), Courses.of(chest, squeezed).vessels()
    for (here, radius, _), (there, wider, _) in zip(before, after, strict=True):
        moves = (np.linalg.norm(here - there, axis=1) > 0.01) | (np.abs(wider - radius) > 0.01)
        reach = 1.1 * np.maximum(radius, wider)[moves, None] + WALL_MM
        if moves.any():
            corners += [np.vstack([path[moves] - reach, path[moves] + reach]) for path in (here, there)]
    every = np.vstack(corners)
    return every.min(axis=0), every.max(axis=0)


def _paint_bones(canvas: Canvas, chest: Chest) -> None:
    paint_ribs(canvas, chest)
    paint_front(canvas, chest)
    paint_spine(canvas, chest)


def _paint_fat_pads(canvas: Canvas, chest: Chest) -> None:
    """Paint fat between heart and diaphragm, beside the apex and the right atrium (sizes: own choice)."""
    rest, rng = Heart.of(chest), generator(chest.patient.seed, Stream.FAT_PADS)
    spots = []
    for along, turn in ((0.8 * rest.length_mm, -100.0), (8.0, -35.0)):
        start = np.array([along, 0.0, 0.0])
        outwards = np.array([0.0, np.cos(np.deg2rad(turn)), np.sin(np.deg2rad(turn))])
        spots.append(start + outwards * rest.surface_mm(start, outwards, 2.0))
    sizes = (12 + 16 * chest.patient.visceral_fat) * rng.uniform(0.6, 1.3, (2, 3)) * (1.2, 1.2, 0.9)
    canvas.ellipsoids(
        rest.to_patient(np.array(spots)), sizes, Tissue.FAT, Structure.MEDIASTINUM, within=[Structure.LUNG], warp=0.15
    )


def _paint_organs(canvas: Canvas, heart: Heart, courses: Courses) -> None:
    heart.paint(canvas)
    paint_arteries_and_veins(canvas, courses)
    paint_tubes_of_air(canvas, courses)


@lru_cache(maxsize=2)
def _outline(patient: Patient, breath_mm: float) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return the distance to the mediastinum's outline at end-diastole on a coarse grid, and the grid's origin.

    The distance is negative inside. The outline is the smoothed closing of the organs between the lungs: fat fills the
    gaps. The grid is always the same, so that a part of a body equals the same part of the whole body.
    """
    grid = Geometry.from_spacing((115, 90, 85), (COARSE_MM,) * 3, (-126.0, -140.0, -215.0))
    coarse, chest = Canvas(grid, patient.seed), Chest(patient, breath_mm)
    heart = Heart.of(chest)
    paint_trunk(coarse, chest)
    paint_abdomen(coarse, chest)
    _paint_bones(coarse, chest)
    _paint_organs(coarse, heart, Courses.of(chest, heart))
    reach = BRIDGE_MM * (0.8 + 0.5 * patient.visceral_fat)
    organs = _isin(coarse, _MEDIASTINAL)
    organs |= _isin(coarse, (Structure.STERNUM,)) & (np.abs(coarse.xs) < JUNCTION_MM)
    beside = _isin(coarse, _RESTS_ON)
    organs |= beside & (_distance_mm(_isin(coarse, HEART), 1.0) < 1.3 * reach)
    near = _distance_mm(organs, AHEAD) < reach
    outline = reach - RIM_MM - _distance_mm(~near, AHEAD)
    outline = ndimage.gaussian_filter(outline, 2.0 / COARSE_MM)
    return np.ascontiguousarray(outline, np.float32), np.array([coarse.xs[0], coarse.ys[0], coarse.zs[0]])


def _isin(canvas: Canvas, structures: tuple[int, ...]) -> NDArray[np.bool_]:
    return np.isin(canvas.structure, list(map(int, structures)))


def _distance_mm(mask: NDArray[np.bool_], ahead: float) -> NDArray[np.float64]:
    """Return the distance of each voxel from the mask; steps from front to back count ``ahead`` times."""
    sampling = (COARSE_MM, COARSE_MM * ahead, COARSE_MM)
    return np.asarray(ndimage.distance_transform_edt(~mask, sampling=sampling), np.float64)
