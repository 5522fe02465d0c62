"""``read_label_map``: a reader's drawing (NIfTI or DICOM SEG) -> a ``LabelMap`` on the voxels of the scan.

``read_label_maps`` reads several drawings of one scan without the scan, to compare them.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctacal.arrays import Floats
from ctacal.dicom.objects.codes import SNOMED_CODES
from ctacal.dicom.objects.seg import SegmentationImage, is_dicom, read_segmentation
from ctacal.errors import Code, Refusal
from ctacal.geometry import CANONICAL_DIRECTIONS, GRID_TOLERANCE_MM, Geometry
from ctacal.labels import Calcium, LabelMap
from ctacal.volume import Volume, load_nifti, reoriented, reoriented_view, require_same_grid

SEGMENT_NAMES: Mapping[str, Calcium] = MappingProxyType(
    {
        "lm": Calcium.LM,
        "lmca": Calcium.LM,
        "left main": Calcium.LM,
        "lad": Calcium.LAD,
        "left anterior descending": Calcium.LAD,
        "lcx": Calcium.LCX,
        "cx": Calcium.LCX,
        "left circumflex": Calcium.LCX,
        "rca": Calcium.RCA,
        "right coronary": Calcium.RCA,
        "right coronary artery": Calcium.RCA,
        "coronary": Calcium.CORONARY,
        "coronary calcium": Calcium.CORONARY,
        "coronary artery calcium": Calcium.CORONARY,
        "other": Calcium.OTHER,
        "other calcium": Calcium.OTHER,
        "non-coronary": Calcium.OTHER,
        "non-coronary calcium": Calcium.OTHER,
    }
)
"""Segment labels (lower case) that are understood if a segment has no anatomic code."""


def read_label_map(path: Path, volume: Volume) -> LabelMap:
    """Read a label map (NIfTI or DICOM SEG) onto the voxels of ``volume``; flips and axis order are undone exactly.

    It is never interpolated. If the volume is a part of the scan, the file may hold the whole scan's slices, of which
    those beyond the part are empty. Raises ``Refusal`` (``LABELS_UNREADABLE``, ``LABELS_MISMATCH``) if it does not fit.
    """
    try:
        if is_dicom(path):
            array, geometry = _from_segmentation(read_segmentation(path), volume.geometry)
        else:
            array, geometry = load_nifti(path)
    except ValueError as problem:
        raise Refusal(Code.LABELS_UNREADABLE, f"{problem}; give a NIfTI or a DICOM SEG file") from problem
    array, geometry = _on_slices_of(volume.geometry, *reoriented_view(array, geometry, CANONICAL_DIRECTIONS))
    require_same_grid(volume, geometry, str(path))
    return LabelMap(_checked_values(array, path), volume.geometry)


_Read = SegmentationImage | tuple[NDArray[Any], Geometry]
"""A label file: the segments of a SEG, or the canonical array of a NIfTI with its grid."""


def read_label_maps(paths: Sequence[Path]) -> list[LabelMap]:
    """Read label files (NIfTI or DICOM SEG, also mixed) of one scan onto one grid, without the scan.

    The grid is that of the NIfTI with the fewest slices, else of the slices between the first and the last frame of the
    SEGs. Nothing is interpolated. Raises ``Refusal`` (``LABELS_UNREADABLE``, ``LABELS_MISMATCH``) if the files do not
    show the same voxels.
    """
    try:
        read = [_read(path) for path in paths]
        grids = [part[1] for part in read if isinstance(part, tuple)]
        grid = min(grids, key=lambda grid: grid.shape[0]) if grids else _grid_of(read)
        return [LabelMap(_on_grid(part, grid, path), grid) for part, path in zip(read, paths, strict=True)]
    except ValueError as problem:
        raise Refusal(Code.LABELS_UNREADABLE, f"{problem}; give a NIfTI or a DICOM SEG file") from problem


def _read(path: Path) -> _Read:
    return read_segmentation(path) if is_dicom(path) else reoriented_view(*load_nifti(path), CANONICAL_DIRECTIONS)


def _on_grid(read: _Read, grid: Geometry, path: Path) -> NDArray[np.uint8]:
    if isinstance(read, SegmentationImage):
        return _from_segmentation(read, grid)[0]
    array, geometry = _on_slices_of(grid, *read)
    if not grid.same_grid(geometry):
        raise Refusal(
            Code.LABELS_MISMATCH,
            f"{path}: its grid {geometry.shape} is not that of the other label maps of the study {grid.shape}, or lies "
            "elsewhere; draw all of them on one series",
        )
    return _checked_values(array, path)


def _grid_of(images: Sequence[_Read]) -> Geometry:
    """Return the grid of all slices between the first and the last frame of SEGs; one voxel if none has a frame."""
    held = [image for image in images if isinstance(image, SegmentationImage)]
    frames = [frame for image in held for segment in image.segments for frame in segment.frames]
    planes = [reoriented_view(frame.mask, frame.geometry, CANONICAL_DIRECTIONS)[1] for frame in frames]
    if not planes:
        return Geometry.from_spacing((1, 1, 1), (1.0, 1.0, 1.0))
    spacing_mm = next((image.slice_spacing_mm for image in held if image.slice_spacing_mm), None)
    affine = planes[0].affine.copy()
    normal = affine[:3, 0] / np.linalg.norm(affine[:3, 0])
    heights_mm = np.array([(plane.affine - affine)[:3, 3] @ normal for plane in planes])
    if spacing_mm is None and np.ptp(heights_mm) > GRID_TOLERANCE_MM:
        raise ValueError(f"{held[0].name}: no SpacingBetweenSlices, so that its slices have no place")
    step = normal * (spacing_mm or 1.0)
    low, high = np.rint(np.array([heights_mm.min(), heights_mm.max()]) / (spacing_mm or 1.0)).astype(int)
    affine[:3, 0], affine[:3, 3] = step, affine[:3, 3] + low * step
    return Geometry((int(high - low) + 1, *planes[0].shape[1:]), affine)


def labelled_slices(path: Path, volume: Volume) -> slice:
    """Return the slices of a canonical volume, which may be coarse, that hold all labels of a file; empty if none.

    Raises ``Refusal`` (``LABELS_UNREADABLE``).
    """
    try:
        places_mm = np.reshape(list(_labelled_places_mm(path)), (-1, 3))
    except ValueError as problem:
        raise Refusal(Code.LABELS_UNREADABLE, f"{problem}; give a NIfTI or a DICOM SEG file") from problem
    if not len(places_mm):
        return slice(0, 0)
    to_index = np.linalg.inv(volume.geometry.affine)
    index = places_mm @ to_index[0, :3] + to_index[0, 3]
    last = volume.geometry.shape[0] - 1
    low, high = np.clip([np.floor(index.min()), np.ceil(index.max())], 0, last).astype(int)
    return slice(int(low), int(high) + 1)


def _labelled_places_mm(path: Path) -> Iterator[Floats]:
    """Yield the position of a voxel of each slice that holds a label."""
    if is_dicom(path):
        for segment in read_segmentation(path).segments:
            for frame in segment.frames:
                yield frame.geometry.to_patient_mm((0, 0, 0))
        return
    array, geometry = reoriented_view(*load_nifti(path), CANONICAL_DIRECTIONS)
    for index, plane in enumerate(array):
        if plane.any():
            yield geometry.to_patient_mm((index, 0, 0))


def _on_slices_of(grid: Geometry, array: NDArray[Any], geometry: Geometry) -> tuple[NDArray[Any], Geometry]:
    """Return the slices of a longer label map that are the grid's, unless others hold labels."""
    first = round(float((np.linalg.inv(geometry.affine) @ grid.affine[:, 3])[0]))
    stop = first + grid.shape[0]
    if first >= 0 and stop <= len(array) and not array[:first].any() and not array[stop:].any():
        part = (slice(first, stop), slice(None), slice(None))
        return array[part], geometry.crop(part)
    return array, geometry


def _checked_values(array: NDArray[Any], path: Path) -> NDArray[np.uint8]:
    with np.errstate(invalid="ignore"):  # NaN and infinity differ from their cast
        labels = array.astype(np.uint8)
    unknown = np.unique(array[(labels != array) | (labels > max(Calcium))])
    if unknown.size:
        names = ", ".join(f"{label.value} {label.name}" for label in Calcium)
        raise Refusal(
            Code.LABELS_UNREADABLE, f"{path}: value {unknown[0]:g} is not a calcium label (0 background, {names})"
        )
    return labels


def _from_segmentation(image: SegmentationImage, grid: Geometry) -> tuple[NDArray[np.uint8], Geometry]:
    """Paint the segments of a SEG onto their slices; slices without a frame hold no calcium."""
    labels = np.zeros(grid.shape, np.uint8)
    for segment in image.segments:
        label = SNOMED_CODES.get(segment.anatomic_code) or SEGMENT_NAMES.get(segment.name.strip().lower())
        if label is None:
            raise ValueError(
                f"{image.name}: segment {segment.number} ({segment.name!r}) names no coronary artery; "
                f"use a CID 3015 code or one of: {', '.join(sorted(SEGMENT_NAMES))}"
            )
        for frame in segment.frames:
            _paint(labels, grid, frame.mask, frame.geometry, label, image.name)
    return labels, grid


def _paint(
    labels: NDArray[np.uint8], grid: Geometry, mask: NDArray[np.bool_], plane: Geometry, label: Calcium, name: str
) -> None:
    turned, plane = reoriented(mask, plane, CANONICAL_DIRECTIONS)
    index = int(np.rint(np.linalg.inv(grid.affine) @ [*plane.affine[:3, 3], 1.0])[0])
    if not 0 <= index < grid.shape[0]:
        outside = np.round(plane.affine[:3, 3], 1)
        raise Refusal(Code.LABELS_MISMATCH, f"{name}: a segment lies outside the scan, at {outside} mm")
    target = grid.crop((slice(index, index + 1), slice(None), slice(None)))
    if not target.same_grid(plane):
        raise Refusal(Code.LABELS_MISMATCH, f"{name}: segment frame at slice {index} is not on the scan's pixels")
    painted = labels[index][turned[0]]
    if other := set(painted.tolist()) - {0, label}:
        names = f"{Calcium(other.pop()).name} and {label.name}"
        raise ValueError(f"{name}: segments of {names} overlap at slice {index}; a voxel belongs to one vessel")
    labels[index][turned[0]] = label
