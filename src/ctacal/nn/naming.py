"""What islands that do not count are taken for: by their class probabilities, and by the structures that they touch."""

from collections.abc import Callable, Sequence
from itertools import product

import numpy as np

from ctacal.anatomy import Anatomy
from ctacal.arrays import Floats, Floats32, Ints
from ctacal.geometry import Geometry
from ctacal.islands import Islands
from ctacal.labels import Calcium
from ctacal.nn.anatomy_stage import AnatomyMap
from ctacal.nn.classes import PLAQUE_CLASSES, is_coronary
from ctacal.nn.fitness import METAL_ABOVE_HU
from ctacal.nn.grids import index_map
from ctacal.uncounted import TakenFor

TOUCHES = 0.5
"""An island touches a structure if this is the structure's probability beside it, in the mean over the island (own
choice)."""

METALS = {"stent": TakenFor.STENT, "other metal": TakenFor.METAL}
"""Names of the plaque network's classes of metal."""

NOT_CORONARY_KINDS = np.array([not is_coronary(kind.label) for kind in PLAQUE_CLASSES])

Surroundings = tuple[Floats, Floats]
"""(``Anatomy`` classes,) twice: the mean probability of each structure in an island, and the mean of the highest within
one voxel of the coarse grid, 4 to 5 mm, around it."""


def taken_for(
    islands: Islands,
    probability: Floats,
    classes: Sequence[int],
    anatomy: AnatomyMap | None,
    kinds: Floats32 | None = None,
) -> tuple[TakenFor, ...]:
    """Return what each island is taken for; ``probability`` is (islands, classes). Without anatomy names are few.

    ``kinds`` are those of ``Weighed``: they tell stents and other metal.
    """
    peak_hu = np.full(islands.count, -np.inf)
    np.maximum.at(peak_hu, islands.number, islands.hu)
    by_class = [_by_class(row, classes) for row in probability]
    if kinds is not None:
        by_class = [_by_kind(name, row) for name, row in zip(by_class, kinds, strict=True)]
    names = [TakenFor.METAL if hu > METAL_ABOVE_HU else name for hu, name in zip(peak_hu, by_class, strict=True)]
    if anatomy is None or not names:
        return tuple(names)
    inside, beside = surroundings(islands, anatomy)
    return tuple(_by_place(name, around) for name, around in zip(names, zip(inside, beside, strict=True), strict=True))


def _by_class(probability: Floats, classes: Sequence[int]) -> TakenFor:
    """Return the name by class probabilities alone."""
    none = float(probability[list(classes).index(0)])
    other = sum(float(p) for p, label in zip(probability, classes, strict=True) if label == Calcium.OTHER)
    if float(probability.sum()) - none - other > max(none, other):
        return TakenFor.DOUBTFUL
    return TakenFor.OTHER_CALCIUM if other > none else TakenFor.NO_CALCIUM


def _by_kind(name: TakenFor, kinds: Floats32) -> TakenFor:
    """Return the name of other calcium that the plaque network takes for metal; every other name stays."""
    likeliest = PLAQUE_CLASSES[int(np.where(NOT_CORONARY_KINDS, kinds, 0.0).argmax())].name
    return METALS.get(likeliest, name) if name is TakenFor.OTHER_CALCIUM else name


def surroundings(islands: Islands, anatomy: AnatomyMap) -> tuple[Floats, Floats]:
    """Return the ``Surroundings`` of all islands: (islands, ``Anatomy`` classes) twice."""
    place = _coarse_places(islands, anatomy.geometry)  # (3, voxels)
    last = np.asarray(anatomy.geometry.shape)[:, None] - 1
    highest = np.zeros((place.shape[1], len(Anatomy)), np.float32)
    for step in product((-1, 0, 1), repeat=3):
        at = np.clip(place + np.asarray(step)[:, None], 0, last)
        np.maximum(highest, anatomy.probability[at[0], :, at[1], at[2]], out=highest)
    own = anatomy.probability[place[0], :, place[1], place[2]]
    voxels = islands.voxels[:, None]
    return islands.summed(own) / voxels, islands.summed(highest) / voxels


def _coarse_places(islands: Islands, grid: Geometry) -> Ints:
    """Return (3, voxels): the nearest voxel of the coarse grid."""
    start, step = index_map(islands.geometry, grid)
    index = np.stack(np.unravel_index(islands.voxel, islands.geometry.shape))
    places = np.rint((index - start[:, None]) / step[:, None]).astype(np.int64)
    return np.asarray(np.clip(places, 0, np.asarray(grid.shape)[:, None] - 1), np.int64)


def _touches(*structures: Anatomy) -> Callable[[Floats, Floats], bool]:
    """Whether an island touches all of these structures."""
    return lambda _, beside: bool((beside[list(structures)] >= TOUCHES).all())


def _lies_in(*structures: Anatomy) -> Callable[[Floats, Floats], bool]:
    """Whether one of these structures is the likeliest where the island lies."""
    return lambda inside, _: int(inside.argmax()) in structures


WITHOUT_CALCIUM = (
    (TakenFor.BONE, _lies_in(Anatomy.BONE)),
    (TakenFor.LUNG, _lies_in(Anatomy.LUNG)),
    (TakenFor.AIRWAY, _lies_in(Anatomy.AIRWAY)),
    (TakenFor.ABDOMEN, _lies_in(Anatomy.ABDOMEN)),
)
"""Names of islands outside of heart and vessels, calcium or not; the first that fits."""

OF_CALCIUM = (
    *WITHOUT_CALCIUM,
    (TakenFor.AORTIC_VALVE, _touches(Anatomy.ASCENDING_AORTA, Anatomy.LEFT_VENTRICLE)),
    (TakenFor.MITRAL_ANNULUS, _touches(Anatomy.LEFT_ATRIUM, Anatomy.LEFT_VENTRICLE)),
    (TakenFor.TRICUSPID_ANNULUS, _touches(Anatomy.RIGHT_ATRIUM, Anatomy.RIGHT_VENTRICLE)),
    (TakenFor.ASCENDING_AORTA, _touches(Anatomy.ASCENDING_AORTA)),
    (TakenFor.AORTA, _touches(Anatomy.AORTA)),
    (TakenFor.PULMONARY_ARTERY, _touches(Anatomy.PULMONARY_ARTERY)),
    (TakenFor.AIRWAY, _touches(Anatomy.AIRWAY)),
    (TakenFor.VEIN, _touches(Anatomy.VEIN)),
    (TakenFor.MYOCARDIUM, _lies_in(Anatomy.LEFT_VENTRICLE, Anatomy.RIGHT_VENTRICLE)),
    (TakenFor.PERICARDIUM, _lies_in(Anatomy.PERICARDIAL_SPACE)),
)
"""Names of calcium that does not count; the first that fits."""


def _by_place(name: TakenFor, around: Surroundings) -> TakenFor:
    """Return the name by the structures around an island, where they say more than its class does."""
    known = {TakenFor.NO_CALCIUM: WITHOUT_CALCIUM, TakenFor.OTHER_CALCIUM: OF_CALCIUM}.get(name, ())
    return next((place for place, fits in known if fits(*around)), name)
