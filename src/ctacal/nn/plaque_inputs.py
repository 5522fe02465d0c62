"""The inputs of the plaque network: for each island a picture, the structures around it, and facts. No torch."""

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np

from ctacal.anatomy import Anatomy
from ctacal.arrays import Floats, Floats32, Ints
from ctacal.geometry import Geometry
from ctacal.islands import Islands
from ctacal.nn.anatomy_stage import AnatomyMap
from ctacal.nn.classes import BY_VESSEL
from ctacal.nn.grids import nearest, resampled
from ctacal.nn.inputs import POSITION_UNIT_MM, STRUCTURE_PIXELS, STRUCTURES
from ctacal.nn.islands import Weighed
from ctacal.nn.naming import surroundings
from ctacal.prediction import ScanFigures
from ctacal.volume import Volume

SHAPE, SPACING_MM = (9, 64, 64), (3.0, 1.0, 1.0)
"""Voxels of the picture around an island: 27 mm along the patient, 64 mm in plane. It holds a whole plaque, the root of
the aorta and the nearest groove (own choice)."""

LEAST_CHANCE = 0.05
"""Islands that are less likely to be coronary by their voxels alone are not looked at again (own choice)."""

USUAL_NOISE_HU, USUAL_GRAIN_MM = 13.0, 1.0
"""Assumed where they cannot be measured (medians of validation studies)."""

CENTRES = (
    Anatomy.LEFT_VENTRICLE, Anatomy.RIGHT_VENTRICLE, Anatomy.LEFT_ATRIUM, Anatomy.RIGHT_ATRIUM,
    Anatomy.ASCENDING_AORTA, Anatomy.PULMONARY_ARTERY, Anatomy.AORTA,
)  # fmt: skip
"""An island's place is its distance from the centres of these structures."""

LEAST_VOXELS = 20
"""A structure of fewer coarse voxels, 1.6 mL, has no centre to tell a place from (own choice)."""

FACTS = 2 * len(BY_VESSEL) + 5 + 6 + 5 + 2 * len(Anatomy) + 4 * len(CENTRES) + 4
"""Number of facts of an island, ``facts_of``."""


@dataclass(frozen=True, eq=False, slots=True)
class PlaqueInputs:
    """The inputs of the plaque network, in the order in which it takes them; the first axis is that of the islands."""

    hu: Floats32
    """(islands, slices, rows, columns) of ``SHAPE``: the scan as the calcium network sees it."""
    own: Floats32
    """The same shape: 1 where the island lies."""
    structures: Floats32
    """(islands, slices x ``STRUCTURES``, rows / 4, columns / 4): what stage 1 finds there."""
    facts: Floats32
    """(islands, facts), ``facts_of``."""
    probability: Floats32
    """(islands, classes): the mean of the voxels by the calcium network."""

    def arrays(self) -> tuple[Floats32, ...]:
        """Return the inputs as the network takes them."""
        return tuple(getattr(self, field.name) for field in fields(self))


def input_shapes() -> tuple[tuple[int, ...], ...]:
    """Return the shape of each input for one island, in the order of ``PlaqueInputs``."""
    slices, rows, columns = SHAPE
    coarse = slices * len(STRUCTURES), rows // STRUCTURE_PIXELS, columns // STRUCTURE_PIXELS
    return SHAPE, SHAPE, coarse, (FACTS,), (len(BY_VESSEL),)


def looked_at(weighed: Weighed) -> Ints:
    """Return the numbers of the islands that the plaque network decides: those that may count, and would score."""
    return np.flatnonzero((weighed.chance >= LEAST_CHANCE) & (weighed.agatston > 0))


def plaque_inputs(
    weighed: Weighed,
    of_voxels: Floats32,
    chosen: Ints,
    seen: Volume,
    anatomy: AnatomyMap,
    figures: ScanFigures,
) -> PlaqueInputs:
    """Return the inputs for the ``chosen`` islands.

    ``of_voxels`` is (voxels of the islands, classes), ``seen`` the scan as the calcium network sees it, ``figures`` the
    image quality of the scan.
    """
    islands = weighed.islands
    pictures = list(_pictures(islands, chosen, seen, anatomy))
    hu, own, structures = (np.stack(arrays) for arrays in zip(*pictures, strict=True))
    facts = facts_of(weighed, of_voxels, chosen, anatomy, figures)
    return PlaqueInputs(hu, own, structures, facts, weighed.probability[chosen].astype(np.float32))


def _pictures(
    islands: Islands, chosen: Ints, seen: Volume, anatomy: AnatomyMap
) -> Iterator[tuple[Floats32, Floats32, Floats32]]:
    """Yield for each island the HU, where it lies itself, and the structures around it."""
    number = np.zeros(islands.geometry.shape, np.int32)
    number.ravel()[islands.voxel] = islands.number + 1
    shares = np.stack(anatomy.shares(STRUCTURES), axis=-1)
    for island in chosen:
        middle_mm = islands.geometry.to_patient_mm(islands.middle[island])
        fine = grid_around(middle_mm, SHAPE, SPACING_MM)
        coarse = coarser(fine)
        hu = resampled(seen.hu, seen.geometry, fine, fill=-1000.0)
        own = nearest(number, islands.geometry, fine) == island + 1
        structures = np.moveaxis(resampled(shares, anatomy.geometry, coarse, fill=0.0), -1, 1)
        yield hu, own.astype(np.float32), structures.reshape(-1, *coarse.shape[1:])


def grid_around(middle_mm: Floats, shape: tuple[int, int, int], spacing_mm: tuple[float, float, float]) -> Geometry:
    """Return the canonical grid whose middle lies at a point (L, P, S)."""
    first = middle_mm - (np.asarray(shape[::-1]) - 1) / 2 * spacing_mm[::-1]
    return Geometry.from_spacing(shape, spacing_mm, first.tolist())


def coarser(fine: Geometry) -> Geometry:
    """Return the grid of the same extent with larger pixels, as stage 1 has them."""
    slice_mm, *pixels_mm = fine.spacing_mm
    return fine.with_spacing((slice_mm, *(STRUCTURE_PIXELS * mm for mm in pixels_mm)))


def facts_of(
    weighed: Weighed, of_voxels: Floats32, chosen: Ints, anatomy: AnatomyMap, figures: ScanFigures
) -> Floats32:
    """Return (chosen islands, facts): classes, size and brightness, shape, image quality, structures, and place."""
    kept = np.isin(np.arange(weighed.islands.count), chosen)
    islands = weighed.islands.of(kept)
    highest = np.zeros((islands.count, of_voxels.shape[1]), np.float32)
    np.maximum.at(highest, islands.number, of_voxels[kept[weighed.islands.number]])
    inside, beside = surroundings(islands, anatomy)
    columns = [
        np.log(np.maximum(weighed.probability[kept], 1e-3)), np.log(np.maximum(highest, 1e-3)),
        _size(islands, weighed.agatston[kept]), _shape(islands), _quality(islands, figures, weighed.islands.count),
        inside, beside, _place(islands, anatomy), _from_aorta(islands, anatomy),
    ]  # fmt: skip
    return np.hstack(columns).astype(np.float32)


def _size(islands: Islands, agatston: Floats) -> Floats:
    """Return (islands, 5): volume and score (logs), highest, mean and SD of HU, in units near 1."""
    volume_mm3 = islands.voxels * islands.geometry.voxel_volume_mm3
    hu = islands.hu[:, None]
    mean = islands.summed(hu) / islands.voxels[:, None]
    variance = islands.summed(hu**2) / islands.voxels[:, None] - mean**2
    highest = np.full(islands.count, -np.inf)
    np.maximum.at(highest, islands.number, islands.hu)
    return np.column_stack([
        np.log(volume_mm3) / 3, np.log1p(agatston) / 3, highest / 500, mean / 300,
        np.sqrt(np.maximum(variance, 0)) / 200,
    ])  # fmt: skip


def _shape(islands: Islands) -> Floats:
    """Return (islands, 6): SD along the principal axes, the shortest first, and the direction of the longest."""
    spacing_mm = np.asarray(islands.geometry.spacing_mm)
    index = np.stack(np.unravel_index(islands.voxel, islands.geometry.shape), axis=1)
    from_middle_mm = (index - islands.middle[islands.number]) * spacing_mm
    products = (from_middle_mm[:, :, None] * from_middle_mm[:, None, :]).reshape(-1, 9)
    spread = (islands.summed(products) / islands.voxels[:, None]).reshape(-1, 3, 3) + np.diag(spacing_mm**2 / 12)
    variances, axes = np.linalg.eigh(spread)
    return np.column_stack([np.sqrt(np.maximum(variances, 0)) / 5, np.abs(axes[:, :, 2])])


def _quality(islands: Islands, figures: ScanFigures, shown: int) -> Floats:
    """Return (islands, 5): the scan's noise and voxels, and the log of the islands ``shown``; the same for all."""
    row = [
        (figures.noise_sd_hu or USUAL_NOISE_HU) / 20, figures.noise_grain_mm or USUAL_GRAIN_MM,
        islands.geometry.slice_spacing_mm / 5, islands.geometry.spacing_mm[1], np.log(max(1, shown)) / 4,
    ]  # fmt: skip
    return np.tile(row, (islands.count, 1))


def _middles_mm(islands: Islands) -> Floats:
    """Return (islands, 3): their middles as (L, P, S)."""
    affine = islands.geometry.affine
    return np.asarray(islands.middle @ affine[:3, :3].T + affine[:3, 3])


def _place(islands: Islands, anatomy: AnatomyMap) -> Floats:
    """Return (islands, 4 for each of ``CENTRES``): (L, P, S) from its centre, and 1; all 0 if it is not in the scan."""
    middles_mm, columns = _middles_mm(islands), []
    for structure in CENTRES:
        found = np.argwhere(anatomy.likeliest == structure)
        known = len(found) >= LEAST_VOXELS
        centre_mm = anatomy.geometry.to_patient_mm(found.mean(axis=0)) if known else middles_mm
        columns += [(middles_mm - centre_mm) / POSITION_UNIT_MM, np.full((islands.count, 1), float(known))]
    return np.hstack(columns)


def _from_aorta(islands: Islands, anatomy: AnatomyMap) -> Floats:
    """Return (islands, 4): (L, P, S) from the middle of the ascending aorta in its nearest slice, and the distance from
    its wall in plane, negative inside; in units of 30 and 20 mm, 0 if it is not in the scan."""
    slices, rows, columns = np.nonzero(anatomy.likeliest == Anatomy.ASCENDING_AORTA)
    if len(slices) < LEAST_VOXELS:
        return np.zeros((islands.count, 4))
    which, held = np.unique(slices, return_inverse=True)
    pixels = np.bincount(held)
    middles = np.column_stack([which, np.bincount(held, rows) / pixels, np.bincount(held, columns) / pixels])
    affine = anatomy.geometry.affine
    middles_mm = middles @ affine[:3, :3].T + affine[:3, 3]
    radii_mm = np.sqrt(pixels * anatomy.geometry.pixel_area_mm2 / np.pi)
    places_mm = _middles_mm(islands)
    near = np.abs(places_mm[:, 2:] - middles_mm[:, 2]).argmin(axis=1)
    away_mm = places_mm - middles_mm[near]
    from_wall_mm = np.hypot(away_mm[:, 0], away_mm[:, 1]) - radii_mm[near]
    return np.column_stack([away_mm / 30, from_wall_mm / 20])
