"""``Sample``: the crop of a study with its true labels; and folders of samples.

A training set is any sequence of samples: a folder of .npz files, or a simulator that makes each sample on demand.
No torch here.
"""

import hashlib
import json
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from ctacal.arrays import Bytes, Floats32, Mask
from ctacal.atomic import write_text
from ctacal.categories import risk_category
from ctacal.errors import UsageError
from ctacal.geometry import Geometry
from ctacal.heart import HeartMask
from ctacal.labels import CORONARY_LABELS, Calcium, LabelMap
from ctacal.nn.classes import NOT_CORONARY
from ctacal.nn.config import NetworkConfig
from ctacal.nn.grids import crop_grid, index_map, nearest, network_view, resampled, whole_grid
from ctacal.nn.inputs import MASS_VESSELS
from ctacal.npz import write_npz
from ctacal.scores import score_label_map
from ctacal.volume import Volume

TRAINING_MARGIN_MM = 24.0
"""Margin around the heart in stored crops: room for shifts and rotations (own choice)."""

BRIGHT_HU = 130
"""Lowest HU of background that the network has to distinguish from calcium (Agatston 1990)."""

CACHED_SAMPLES = 512
"""Number of samples of a folder that are kept in memory, about 5 MB each (own choice)."""

SPACING_TOLERANCE = 0.02
"""Largest relative difference between a sample's pixels and the network's (own choice)."""


@dataclass(frozen=True, eq=False, slots=True)
class Sample:
    """A crop around the heart (calcium) or a whole scan (heart, anatomy), canonical, at the network's pixel spacing.

    Example:
        >>> hu, calcium = np.zeros((8, 64, 64), np.int16), np.zeros((8, 64, 64), np.uint8)
        >>> hu[4, 30:34, 30:34], calcium[4, 30:34, 30:34] = 300, Calcium.LAD
        >>> sample = Sample("one", hu, calcium, calcium > 0, np.zeros((8, 4), np.float32), (3.0, 1.0, 1.0))
        >>> round(sample.agatston, 1)  # 16 mm2 with a weight of 3
        48.0
    """

    name: str
    hu: NDArray[np.int16]
    """(slices, rows, columns)."""
    labels: Bytes
    """``Calcium`` values, or ``classes.NOT_CORONARY`` if other calcium was not drawn; same shape."""
    heart: Mask
    """Same shape."""
    mass_mg: Floats32
    """(slices, 4): true calcium mass of LM, LAD, LCX, RCA in each slice; NaN if not known."""
    spacing_mm: tuple[float, float, float]
    """Between slices, rows, columns."""
    anatomy: Bytes | None = None
    """``Anatomy`` values of the same shape, for an anatomy network; None if not known."""

    def __post_init__(self) -> None:
        if not self.hu.shape == self.labels.shape == self.heart.shape:
            raise ValueError(
                f"{self.name}: hu, labels, heart differ: {self.hu.shape}, {self.labels.shape}, {self.heart.shape}"
            )
        if self.anatomy is not None and self.anatomy.shape != self.hu.shape:
            raise ValueError(f"{self.name}: hu, anatomy differ: {self.hu.shape}, {self.anatomy.shape}")
        if self.mass_mg.shape != (len(self.hu), len(MASS_VESSELS)):
            raise ValueError(
                f"{self.name}: mass_mg must be {(len(self.hu), len(MASS_VESSELS))}, got {self.mass_mg.shape}"
            )

    @property
    def agatston(self) -> float:
        """Score of the true labels on this crop."""
        return agatston_of(self.hu, self.labels, self.spacing_mm)


Samples = Sequence[Sample]


@dataclass(frozen=True, slots=True)
class Contents:
    """Which slices of a sample hold what."""

    slices: int
    category: str
    coronary: tuple[int, ...]
    """Slices with coronary calcium."""
    other: tuple[int, ...]
    bright: tuple[int, ...]
    """Slices with background at or above 130 HU in the heart."""

    @classmethod
    def of(cls, sample: Sample) -> "Contents":
        """Find the contents of a sample."""
        bright = sample.hu >= BRIGHT_HU
        return cls(
            len(sample.hu),
            risk_category(sample.agatston),
            _slices(bright & np.isin(sample.labels, CORONARY_LABELS)),
            _slices(sample.labels == Calcium.OTHER),
            _slices(bright & sample.heart & np.isin(sample.labels, (0, NOT_CORONARY))),
        )


def agatston_of(hu: NDArray[np.int16], labels: Bytes, spacing_mm: tuple[float, float, float]) -> float:
    """Return the Agatston score (scct2016) of the coronary labels of a crop."""
    geometry = Geometry.from_spacing((hu.shape[0], hu.shape[1], hu.shape[2]), spacing_mm)
    scored = np.where(labels == NOT_CORONARY, 0, labels).astype(np.uint8)
    return score_label_map(Volume(hu, geometry), LabelMap(scored, geometry))[1].agatston.total


def _slices(mask: Mask) -> tuple[int, ...]:
    return tuple(np.flatnonzero(mask.any(axis=(1, 2))).tolist())


def make_sample(
    name: str,
    volume: Volume,
    labels: Bytes,
    heart: HeartMask,
    network: NetworkConfig,
    mass_mg: Floats32 | None = None,
    anatomy: Bytes | None = None,
) -> Sample:
    """Resample a scan and its truth to the network's grid; ``labels``, ``anatomy`` and ``mass_mg`` (slices, 4) are on
    the scan's.

    Labels come from the nearest voxel and are never interpolated. A heart network's grid has other slices, so no mass.

    Args:
        name: Name of the sample, and of its file.
        volume: The scan in HU, canonical.
        labels: (slices, rows, columns) ``Calcium`` values on the scan's grid.
        heart: The heart, on the scan's grid.
        network: The network that will be trained: its spacing in mm is that of the sample.
        mass_mg: (slices, 4) true mass of calcium in LM, LAD, LCX and RCA; None if not known.
        anatomy: (slices, rows, columns) ``Anatomy`` values; None if not known.

    Returns:
        The crop around the heart, or the whole scan for a network with slices of its own.

    Example:
        >>> scan = Volume(np.zeros((8, 64, 64), np.int16), Geometry.from_spacing((8, 64, 64), (3.0, 0.8, 0.8)))
        >>> heart = np.zeros(scan.hu.shape, bool)
        >>> heart[2:6, 20:44, 20:44] = True
        >>> labels = np.zeros(scan.hu.shape, np.uint8)
        >>> sample = make_sample("one", scan, labels, HeartMask(heart, scan.geometry), NetworkConfig(pixel_mm=1.0))
        >>> [round(mm, 3) for mm in sample.spacing_mm]  # slices stay, pixels are the network's
        [3.0, 1.0, 1.0]
    """
    if network.slice_mm:
        grid = whole_grid(volume.geometry, (network.slice_mm, network.pixel_mm, network.pixel_mm), network.multiple)
    else:
        grid = crop_grid(heart, network.pixel_mm, network.multiple, margin_mm=TRAINING_MARGIN_MM)
    hu = network_view(volume, grid) if network.slice_mm else resampled(volume.hu, volume.geometry, grid, fill=None)
    inside = resampled(heart.mask, volume.geometry, grid, fill=0.0) >= 0.5
    return Sample(
        name,
        np.rint(hu).astype(np.int16),
        nearest(labels, volume.geometry, grid),
        inside,
        _mass_on(grid, volume.geometry, None if network.slice_mm else mass_mg),
        grid.spacing_mm,
        None if anatomy is None else nearest(anatomy, volume.geometry, grid),
    )


def _mass_on(grid: Geometry, scan: Geometry, mass_mg: Floats32 | None) -> Floats32:
    if mass_mg is None:
        return np.full((grid.shape[0], len(MASS_VESSELS)), np.nan, np.float32)
    first = round(float(index_map(scan, grid)[0][0]))
    return mass_mg[first : first + grid.shape[0]].astype(np.float32)


def write_sample(folder: Path, sample: Sample) -> Path:
    """Write ``NAME.npz``, whole or not at all.

    Args:
        folder: An existing folder.
        sample: The sample.

    Returns:
        The path of the file.

    Example:
        >>> import tempfile
        >>> empty, mass_mg = np.zeros((8, 64, 64), np.uint8), np.zeros((8, 4), np.float32)
        >>> sample = Sample("one", empty.astype(np.int16), empty, empty > 0, mass_mg, (3.0, 1.0, 1.0))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_sample(Path(folder), sample).name
        'one.npz'
    """
    path = folder / f"{sample.name}.npz"
    arrays: dict[str, Any] = {
        "hu": sample.hu, "labels": sample.labels, "heart": sample.heart, "mass_mg": sample.mass_mg,
        "spacing_mm": np.asarray(sample.spacing_mm),
    }  # fmt: skip
    if sample.anatomy is not None:
        arrays["anatomy"] = sample.anatomy
    write_npz(path, arrays)
    return path


def read_sample(path: Path) -> Sample:
    """Read a file of ``write_sample``.

    Args:
        path: An .npz file.

    Returns:
        The sample, whose name is that of the file.

    Raises:
        UsageError: The file is something else.

    Example:
        >>> import tempfile
        >>> empty, mass_mg = np.zeros((8, 64, 64), np.uint8), np.zeros((8, 4), np.float32)
        >>> sample = Sample("one", empty.astype(np.int16), empty, empty > 0, mass_mg, (3.0, 1.0, 1.0))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     read_sample(write_sample(Path(folder), sample)).spacing_mm
        (3.0, 1.0, 1.0)
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            slices, rows, columns = (float(mm) for mm in arrays["spacing_mm"])
            return Sample(
                path.stem,
                arrays["hu"].astype(np.int16, copy=False),
                arrays["labels"].astype(np.uint8, copy=False),
                arrays["heart"].astype(bool, copy=False),
                arrays["mass_mg"].astype(np.float32, copy=False),
                (slices, rows, columns),
                arrays["anatomy"].astype(np.uint8, copy=False) if "anatomy" in arrays else None,
            )
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as problem:
        raise UsageError(f"{path}: not a training sample ({problem})") from problem


class SampleFolder(Samples):
    """The .npz files of some folders, in the order of their names; ``contents.json`` caches the contents of each."""

    def __init__(self, folders: Iterable[Path]) -> None:
        """Raises ``UsageError`` if a folder holds no sample."""
        self.paths: list[Path] = []
        self.contents: list[Contents] = []
        digests = []
        for folder in folders:
            for path, digest, contents in _noted(folder):
                self.paths.append(path)
                self.contents.append(contents)
                digests.append(f"{path.stem} {digest}")
        self.digest = hashlib.sha256("\n".join(digests).encode()).hexdigest()
        """SHA-256 of names and files."""
        self._read = lru_cache(CACHED_SAMPLES)(read_sample)

    def __len__(self) -> int:
        return len(self.paths)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> list[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | list[Sample]:
        if isinstance(index, slice):
            return [self._read(path) for path in self.paths[index]]
        return self._read(self.paths[index])


def _noted(folder: Path) -> Iterator[tuple[Path, str, Contents]]:
    """Yield each file with its digest and contents; only new or changed files are read."""
    paths = sorted(folder.glob("[!.]*.npz"))  # without files that are being written
    if not paths:
        raise UsageError(f"{folder}: no training samples (.npz) there")
    note = folder / "contents.json"
    known = json.loads(note.read_text(encoding="utf-8")) if note.exists() else {}
    now = {}
    for path in paths:
        stat = path.stat()
        entry = known.get(path.name)
        if entry is None or entry["size"] != stat.st_size or entry["modified_ns"] != stat.st_mtime_ns:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            entry = {"size": stat.st_size, "modified_ns": stat.st_mtime_ns, "sha256": digest}
            entry |= asdict(Contents.of(read_sample(path)))
        now[path.name] = entry
        slices = (tuple(entry[name]) for name in ("coronary", "other", "bright"))
        yield path, entry["sha256"], Contents(entry["slices"], entry["category"], *slices)
    if now != known:
        write_text(note, json.dumps(now))


def contents_of(samples: Samples) -> list[Contents]:
    """Return the contents of each sample; a folder has them cached."""
    return samples.contents if isinstance(samples, SampleFolder) else [Contents.of(sample) for sample in samples]


def digest_of(samples: Samples) -> str:
    """Return the SHA-256 of the data: of a folder's files, or of the arrays."""
    if isinstance(samples, SampleFolder):
        return samples.digest
    digest = hashlib.sha256()
    for sample in samples:
        for array in (sample.hu, sample.labels, sample.heart, sample.mass_mg, *_optional(sample)):
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _optional(sample: Sample) -> tuple[Bytes, ...]:
    return () if sample.anatomy is None else (sample.anatomy,)


def require_pixels(samples: Samples, network: NetworkConfig) -> None:
    """Raise ``UsageError`` if the first sample's pixels are not the network's, or it lacks the anatomy to be learnt."""
    found = samples[0].spacing_mm
    wanted = (network.slice_mm or found[0], network.pixel_mm, network.pixel_mm)
    if not np.allclose(found, wanted, rtol=SPACING_TOLERANCE):
        raise UsageError(f"sample {samples[0].name} has a spacing of {found} mm, the network wants {wanted}")
    if network.kind == "anatomy" and samples[0].anatomy is None:
        raise UsageError(f"sample {samples[0].name} holds no anatomy; make it by `ctacal samples anatomy`")
