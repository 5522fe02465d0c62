"""``anatomy_of``: the true ``Anatomy`` of each voxel of a simulated scan."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from ctacal.anatomy import Anatomy
from ctacal.arrays import Bytes, Floats, Mask
from ctacal.geometry import Geometry
from ctacal.simulate.anatomy.chest import Chest
from ctacal.simulate.anatomy.description import Patient
from ctacal.simulate.anatomy.heart import Heart
from ctacal.simulate.anatomy.sites import AORTIC_PARTS_MM
from ctacal.simulate.anatomy.structures import CODES, Structure
from ctacal.simulate.anatomy.vessels import Courses

CLASS_OF: Mapping[Structure, Anatomy] = MappingProxyType({
    Structure.LUNG: Anatomy.LUNG,
    Structure.LUNG_VESSEL: Anatomy.LUNG,
    Structure.AIRWAY: Anatomy.AIRWAY,
    **dict.fromkeys(map(Structure, range(Structure.RIB, Structure.HUMERUS + 1)), Anatomy.BONE),
    **dict.fromkeys(map(Structure, range(Structure.DIAPHRAGM, Structure.ABDOMEN + 1)), Anatomy.ABDOMEN),
    Structure.PERICARDIUM: Anatomy.PERICARDIAL_SPACE,
    Structure.EPICARDIAL_FAT: Anatomy.PERICARDIAL_SPACE,
    Structure.LM: Anatomy.PERICARDIAL_SPACE,
    Structure.LAD: Anatomy.PERICARDIAL_SPACE,
    Structure.LCX: Anatomy.PERICARDIAL_SPACE,
    Structure.RCA: Anatomy.PERICARDIAL_SPACE,
    Structure.LV_WALL: Anatomy.LEFT_VENTRICLE,
    Structure.LV_BLOOD: Anatomy.LEFT_VENTRICLE,
    Structure.RV_WALL: Anatomy.RIGHT_VENTRICLE,
    Structure.RV_BLOOD: Anatomy.RIGHT_VENTRICLE,
    Structure.LA_WALL: Anatomy.LEFT_ATRIUM,
    Structure.LA_BLOOD: Anatomy.LEFT_ATRIUM,
    Structure.RA_WALL: Anatomy.RIGHT_ATRIUM,
    Structure.RA_BLOOD: Anatomy.RIGHT_ATRIUM,
    Structure.AORTA: Anatomy.AORTA,
    Structure.ARCH_BRANCH: Anatomy.AORTA,
    Structure.PULMONARY_ARTERY: Anatomy.PULMONARY_ARTERY,
    Structure.SUPERIOR_VENA_CAVA: Anatomy.VEIN,
    Structure.INFERIOR_VENA_CAVA: Anatomy.VEIN,
    Structure.PULMONARY_VEIN: Anatomy.VEIN,
})  # fmt: skip
"""The class of each structure; those that are not named are ``OTHER``. The ascending aorta is parted by its course."""

_CLASSES = np.zeros(CODES, np.uint8)
_CLASSES[list(CLASS_OF)] = list(CLASS_OF.values())


def anatomy_of(structures: Bytes, geometry: Geometry, patient: Patient) -> Bytes:
    """Return ``Anatomy`` values, (slices, rows, columns), of the structures of a scan (``Crop.structures``).

    Where a deposit lies, the class is that of the nearest voxel without one: calcium in a wall belongs to the vessel,
    and leaves no hole in the heart. Voxels of the aorta belong to its ascending part if the nearest point of its centre
    line does (``AORTIC_PARTS_MM``); breath, which moves the scan against it by some mm, is ignored.
    """
    structures = without_deposits(structures, geometry)
    classes = _CLASSES[structures]
    aorta = np.argwhere(structures == Structure.AORTA)
    if len(aorta):
        path = Courses.of(chest := Chest(patient), Heart.of(chest)).aorta
        points_mm = aorta @ geometry.affine[:3, :3].T + geometry.affine[:3, 3]
        classes[tuple(aorta[_ascends(points_mm, path)].T)] = Anatomy.ASCENDING_AORTA
    return np.asarray(classes, np.uint8)


def without_deposits(structures: Bytes, geometry: Geometry) -> Bytes:
    """Return the structures with each voxel of a deposit replaced by the nearest voxel without one."""
    deposits = structures >= CODES
    if not deposits.any() or deposits.all():
        return np.where(deposits, Structure.OUTSIDE, structures)
    nearest = ndimage.distance_transform_edt(deposits, geometry.spacing_mm, return_distances=False, return_indices=True)
    return np.asarray(structures[tuple(nearest)], np.uint8)


def _ascends(points_mm: Floats, path: Floats) -> Mask:
    """Return for each (L, P, S) whether the nearest point of the aorta's centre line lies before the arch."""
    along_mm = np.append(0, np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1)))
    return np.asarray(along_mm[cKDTree(path).query(points_mm)[1]] < AORTIC_PARTS_MM["arch"][0])
