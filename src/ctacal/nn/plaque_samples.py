"""Samples of the plaque network: the islands of a study whose truth is known, one .npz file per study. No torch.

Arrays of the file: those of ``PlaqueInputs``, the first three as int16, uint8 and uint8 (255 is 1); ``agatston``
(islands,); ``truth`` (islands, ``PLAQUE_CLASSES``).
"""

import hashlib
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from ctacal.arrays import Bytes, Floats32, Ints
from ctacal.errors import UsageError
from ctacal.islands import Islands
from ctacal.nn.classes import PLAQUE_CLASSES
from ctacal.nn.plaque_inputs import FACTS, PlaqueInputs, looked_at, plaque_inputs
from ctacal.nn.predict import Model
from ctacal.npz import write_npz
from ctacal.scores import ScoringRule
from ctacal.volume import Volume


@dataclass(frozen=True, eq=False, slots=True)
class PlaqueSample:
    """Islands with their truth."""

    inputs: PlaqueInputs
    agatston: Floats32
    """(islands,): score of each if it counts."""
    truth: Floats32
    """(islands, ``PLAQUE_CLASSES``): share of the island's voxels."""


def plaque_sample(volume: Volume, kinds: Bytes, model: Model, rule: ScoringRule) -> PlaqueSample | None:
    """Return the islands of a scan that the plaque network would be asked; None if there are none.

    ``kinds`` is (slices, rows, columns): the number of the ``PLAQUE_CLASSES`` that each voxel truly is. The model's
    heart and calcium networks find and weigh the islands. Raises ``Refusal`` if the model finds no heart.
    """
    raw = model.raw_output(volume, rule)
    weighed = model.weighed_by_voxels(raw)
    chosen = looked_at(weighed)
    if not chosen.size or raw.anatomy is None:
        return None
    inputs = plaque_inputs(weighed, raw.probability, chosen, raw.view.volume, raw.anatomy, raw.figures)
    truth = _shares(weighed.islands, kinds)[chosen]
    return PlaqueSample(inputs, weighed.agatston[chosen].astype(np.float32), truth)


def _shares(islands: Islands, kinds: Bytes) -> Floats32:
    """Return (islands, ``PLAQUE_CLASSES``): share of the voxels of each kind."""
    kind = kinds.ravel()[islands.voxel]
    counts = np.zeros((islands.count, len(PLAQUE_CLASSES)))
    np.add.at(counts, (islands.number, kind), 1.0)
    return np.asarray(counts / islands.voxels[:, None], np.float32)


def write_plaques(path: Path, sample: PlaqueSample | None) -> None:
    """Write the islands of a study, whole or not at all; a study without any gives a file without any."""
    if sample is None:
        write_npz(path, {"agatston": np.zeros(0, np.float32)})
        return
    inputs = sample.inputs
    write_npz(path, {
        "hu": np.rint(inputs.hu.clip(-1024, 3071)).astype(np.int16),
        "own": inputs.own.astype(np.uint8),
        "structures": np.rint(255 * inputs.structures).astype(np.uint8),
        "facts": inputs.facts,
        "probability": inputs.probability,
        "agatston": sample.agatston,
        "truth": sample.truth,
    })  # fmt: skip


@dataclass(frozen=True, eq=False, slots=True)
class Plaques:
    """The islands of many studies, as small as they are stored: see ``PlaqueInputs``."""

    hu: np.ndarray[tuple[int, ...], np.dtype[np.int16]]
    own: Bytes
    structures: Bytes
    facts: Floats32
    probability: Floats32
    agatston: Floats32
    truth: Floats32
    study: Ints
    """(islands,): number of the file that each comes from."""

    def __len__(self) -> int:
        """Return the number of islands."""
        return len(self.agatston)

    @property
    def digest(self) -> str:
        """SHA-256 of the arrays."""
        digest = hashlib.sha256()
        for field in fields(self):
            digest.update(np.ascontiguousarray(getattr(self, field.name)).tobytes())
        return digest.hexdigest()


def read_plaques(folders: Sequence[Path]) -> Plaques:
    """Read all islands of some folders. Raises ``UsageError`` if there are none, or a file is something else."""
    paths = [path for folder in folders for path in sorted(folder.glob("[!.]*.npz"))]
    read = [(number, arrays) for number, path in enumerate(paths) for arrays in _arrays_of(path)]
    if not read:
        raise UsageError(f"{', '.join(map(str, folders))}: no samples of plaques (ctacal samples plaques)")
    names = [name for name in Plaques.__slots__ if name != "study"]
    joined = {name: np.concatenate([arrays[name] for _, arrays in read]) for name in names}
    study = np.concatenate([np.full(len(arrays["agatston"]), number, np.int64) for number, arrays in read])
    return Plaques(**joined, study=study)


def _arrays_of(path: Path) -> Iterator[dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]]]:
    """Yield the arrays of a file, if it holds islands."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        if not len(arrays["agatston"]):
            return
        if arrays["facts"].shape[1] != FACTS or arrays["truth"].shape[1] != len(PLAQUE_CLASSES):
            raise ValueError("made by another version of ctacal: make it again")
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as problem:
        raise UsageError(f"{path}: no samples of plaques ({problem})") from problem
    yield arrays
