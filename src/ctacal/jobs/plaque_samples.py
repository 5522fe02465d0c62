"""Samples of the plaque network from the simulator: a model finds the islands of a drawn study; only they are kept."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np

from ctacal.arrays import Bytes
from ctacal.errors import Refusal, UsageError
from ctacal.jobs.samples import PlaqueSet
from ctacal.jobs.simulated_samples import by_patient, deposit_labels_of, scan_seed
from ctacal.labels import Calcium
from ctacal.nn.classes import PLAQUE_CLASSES
from ctacal.nn.plaque_samples import PlaqueSample, plaque_sample, write_plaques
from ctacal.nn.predict import WEIGHTS, Model, load_model
from ctacal.simulate.anatomy.calcium import METAL, Kind
from ctacal.simulate.training.clinical import describe_picture, draw_plaque_anatomy
from ctacal.simulate.training.crop import Crop, simulate_crop
from ctacal.simulate.truth import KIND_LABELS
from ctacal.volume import Volume

NAMES = [kind.name for kind in PLAQUE_CLASSES]

CLASS_OF_KIND = {
    Kind.AORTIC_WALL: "aortic wall",
    Kind.AORTIC_VALVE: "valve or annulus",
    Kind.MITRAL_ANNULUS: "valve or annulus",
    **dict.fromkeys(METAL, "other metal"),
    Kind.STENT: "stent",
}
"""The class of each kind of deposit; kinds that are not named are other calcium."""


def make_plaques(wanted: PlaqueSet, *, workers: int = 1) -> Iterator[str]:
    """Make what is missing, patient by patient; yields for each what went wrong, or an empty string."""
    return by_patient(wanted, _make_patient, workers=workers)


def _make_patient(wanted: PlaqueSet, patient_seed: int) -> None:
    missing = wanted.missing(patient_seed)
    if not missing:
        return
    anatomy, model = draw_plaque_anatomy(patient_seed, wanted.each, rare=wanted.rare), _model(wanted.model or WEIGHTS)
    for k, path in missing.items():
        description = describe_picture(
            anatomy, scan_seed(patient_seed, k), k % len(anatomy.calcium), wanted.protocols, varied=True,
            hard=wanted.hard, slow=wanted.rare,
        )  # fmt: skip
        write_plaques(path, islands_of(simulate_crop(anatomy, description), model))


@cache
def _model(folder: Path) -> Model:
    model = load_model(folder, threads=1)
    if model.heart.config.kind != "anatomy":
        raise UsageError(f"{folder}: a plaque network needs an anatomy network; this model finds the heart alone")
    return model


def islands_of(crop: Crop, model: Model) -> PlaqueSample | None:
    """Return the islands of a simulated scan; None if there are none, or the model finds no heart in it."""
    volume = Volume(np.rint(crop.hu).astype(np.int16), crop.geometry)
    try:
        return plaque_sample(volume, plaque_kinds(crop.labels, deposit_labels_of(crop)), model, model.rule)
    except Refusal:
        return None


def plaque_kinds(labels: Bytes, deposit_labels: Bytes) -> Bytes:
    """Return the number of the ``PLAQUE_CLASSES`` of each voxel.

    ``labels`` are ``Calcium`` values; where they are ``OTHER``, ``deposit_labels`` tell the deposit
    (``simulate.truth.KIND_LABELS``).
    """
    of_label = np.zeros(256, np.uint8)
    for vessel in PLAQUE_CLASSES:
        of_label[vessel.label] = NAMES.index(vessel.name)
    of_deposit = np.full(256, NAMES.index("other calcium"), np.uint8)
    for kind, name in CLASS_OF_KIND.items():
        of_deposit[KIND_LABELS[kind]] = NAMES.index(name)
    return np.asarray(np.where(labels == Calcium.OTHER, of_deposit[deposit_labels], of_label[labels]), np.uint8)
