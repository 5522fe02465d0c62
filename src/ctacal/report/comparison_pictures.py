"""The pictures of a comparison: the same place in both scans, side by side, and a pair of slices for each height."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image

from ctacal.arrays import Floats
from ctacal.compare.registration import RigidTransform
from ctacal.labels import CORONARY_LABELS, Calcium
from ctacal.report.montage import shown_labels
from ctacal.report.pictures import HEART_MM, KEY_MM, Picture, best_component, square
from ctacal.report.vessels import FULL_NAMES
from ctacal.result import Scan, ScoredStudy

GAP_PIXELS = 8
"""Between two pictures that are joined."""
MOST_HEIGHTS = 40
"""Largest number of heights in the web page: about a megabyte of pictures."""


@dataclass(frozen=True, eq=False, slots=True)
class PicturePair:
    """The same place in the earlier and in the later scan."""

    before: Picture
    after: Picture
    caption: str

    @property
    def beside(self) -> Picture:
        """Both in one picture, the earlier on the left."""
        left, right = self.before.image, self.after.image
        both = Image.new("RGB", (left.width + GAP_PIXELS + right.width, max(left.height, right.height)), "white")
        both.paste(left, (0, 0))
        both.paste(right, (left.width + GAP_PIXELS, 0))
        return Picture(both, f"{self.caption}: before, {self.before.caption}; after, {self.after.caption}")


@dataclass(frozen=True, eq=False)
class ComparisonPictures:
    """The pictures of two scored scans, each drawn once, at its first use."""

    a: ScoredStudy
    b: ScoredStudy
    transform: RigidTransform | None
    """From the earlier scan's patient frame to that of the later one; None: the hearts' middles are laid together."""

    @cached_property
    def key_slices(self) -> tuple[PicturePair, ...]:
        """For each vessel with calcium in either scan, the place of most of it; without calcium, the heart's middle."""
        found = [self._key_pair(label) for label in CORONARY_LABELS]
        return tuple(pair for pair in found if pair) or (self._middle(),)

    @cached_property
    def heights(self) -> tuple[PicturePair, ...]:
        """Slices through the heart from head to feet: each of the earlier scan beside that of the later scan there."""
        scan = self.a.scan
        span = scan.heart.bounding_box[0] if scan.heart else slice(0, scan.volume.geometry.shape[0])
        slices = np.unique(np.linspace(span.start, span.stop - 1, MOST_HEIGHTS).round().astype(int))[::-1]
        _, row, column = _middle_voxel(scan)
        return tuple(self._pair_at_a((int(k), row, column), HEART_MM, "") for k in slices)

    def _key_pair(self, label: Calcium) -> PicturePair | None:
        name = FULL_NAMES[label]
        for result, at in ((self.b, self._pair_at_b), (self.a, self._pair_at_a)):
            best = best_component(result.scan, result, label)
            if best is not None:
                return at(_voxel(result.scan.lesions.centroid[best]), KEY_MM, name)
        return None

    def _middle(self) -> PicturePair:
        return self._pair_at_a(_middle_voxel(self.a.scan), HEART_MM, "No calcium scored: the heart")

    def _pair_at_a(self, voxel: tuple[int, int, int], side_mm: float, caption: str) -> PicturePair:
        there = self._to_b(self.a.scan.volume.geometry.to_patient_mm(voxel))
        return self._pair(voxel, _voxel_at(self.b.scan, there), side_mm, caption)

    def _pair_at_b(self, voxel: tuple[int, int, int], side_mm: float, caption: str) -> PicturePair:
        there = self._to_a(self.b.scan.volume.geometry.to_patient_mm(voxel))
        return self._pair(_voxel_at(self.a.scan, there), voxel, side_mm, caption)

    def _pair(
        self, in_a: tuple[int, int, int], in_b: tuple[int, int, int], side_mm: float, caption: str
    ) -> PicturePair:
        return PicturePair(_picture(self.a, in_a, side_mm), _picture(self.b, in_b, side_mm), caption)

    def _to_b(self, point_mm: Floats) -> Floats:
        if self.transform:
            return self.transform.apply(point_mm)
        return point_mm + _middle_mm(self.b.scan) - _middle_mm(self.a.scan)

    def _to_a(self, point_mm: Floats) -> Floats:
        if self.transform:
            return self.transform.inverse().apply(point_mm)
        return point_mm + _middle_mm(self.a.scan) - _middle_mm(self.b.scan)


def _picture(result: ScoredStudy, voxel: tuple[int, int, int], side_mm: float) -> Picture:
    scan = result.scan
    picture = square(scan, shown_labels(scan, result.rule, voxel[0]), voxel, side_mm)
    return Picture(picture, f"slice {scan.stack.first + voxel[0] + 1} of {result.chosen.acquisition.slices}")


def _voxel_at(scan: Scan, point_mm: Floats) -> tuple[int, int, int]:
    """Return the voxel at a point; beyond the scan, the nearest one."""
    geometry = scan.volume.geometry
    index = np.linalg.solve(geometry.affine[:3, :3], point_mm - geometry.affine[:3, 3])
    return _voxel(np.clip(index, 0, np.array(geometry.shape) - 1))


def _voxel(index: Floats) -> tuple[int, int, int]:
    k, row, column = (int(n) for n in np.rint(index))
    return k, row, column


def _middle_mm(scan: Scan) -> Floats:
    return scan.volume.geometry.to_patient_mm(_middle_voxel(scan))


def _middle_voxel(scan: Scan) -> tuple[int, int, int]:
    """Return the middle of the heart's box, or of the scan if no heart was found."""
    box = scan.heart.bounding_box if scan.heart else [slice(0, n) for n in scan.volume.geometry.shape]
    return _voxel(np.array([(span.start + span.stop - 1) / 2 for span in box]))
