"""Training samples and test studies from the simulator: what ``jobs.samples`` does for ``simulate`` and ``nn``.

A patient is projected once and scanned several times (``simulate.training``): whole scans in large voxels for the heart
and anatomy networks, whole hearts for the calcium network, whole fields of view for the test cohort. Calcium inserted
into real scans makes a test cohort of its own.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

import numpy as np

from ctacal.anatomy import HEART
from ctacal.arrays import Bytes
from ctacal.atomic import sweep
from ctacal.heart import HeartMask
from ctacal.jobs.samples import InsertedSet, KnownSet, PlaqueSet, SampleSet
from ctacal.labels import Calcium
from ctacal.nn.config import NetworkConfig
from ctacal.nn.inputs import MASS_VESSELS
from ctacal.nn.known_study import StudyFacts, write_test_study
from ctacal.nn.samples import Sample, make_sample, write_sample
from ctacal.scores import Scores
from ctacal.simulate.anatomy.calcium import Kind, draw_calcium
from ctacal.simulate.anatomy.description import Patient, draw_patient
from ctacal.simulate.insert.study import insert_study
from ctacal.simulate.training.anatomy_cache import COARSE, FINE, AnatomyCache, draw_anatomy, draw_hard_anatomy
from ctacal.simulate.training.anatomy_truth import anatomy_of
from ctacal.simulate.training.clinical import describe_picture, draw_clinical_anatomy, reference_scores
from ctacal.simulate.training.crop import Crop, draw_whole, simulate_crop
from ctacal.simulate.training.description import draw_heart_description
from ctacal.simulate.truth import KIND_LABELS, VESSEL_LABELS
from ctacal.volume import Volume
from ctacal.workers import Failure, ordered

MOST_PATIENTS = 1_000_000
"""Patient k of seed s has the seed s times this, plus k, so that sets of different seeds share no patient."""


Wanted = TypeVar("Wanted", SampleSet, KnownSet, PlaqueSet)


def by_patient(wanted: Wanted, make: Callable[[Wanted, int], None], *, workers: int = 1) -> Iterator[str]:
    """Call ``make`` with each patient's seed; yields for each what went wrong, or an empty string."""
    sweep(wanted.out, depth=0)
    patients = [wanted.seed * MOST_PATIENTS + k for k in range(wanted.count)]
    for result in ordered(partial(make, wanted), patients, workers=workers):
        yield result.reason if isinstance(result, Failure) else ""


def make_samples(wanted: SampleSet, *, workers: int = 1) -> Iterator[str]:
    """Make what is missing, patient by patient; yields for each what went wrong, or an empty string."""
    return by_patient(wanted, _make_patient, workers=workers)


def _make_patient(wanted: SampleSet, patient_seed: int) -> None:
    names = wanted.names(patient_seed)
    missing = [k for k, name in enumerate(names) if not (wanted.out / f"{name}.npz").exists()]
    if not missing:
        return
    whole = wanted.network.sees_whole_scan
    draw = draw_hard_anatomy if wanted.hard else draw_anatomy
    cache = draw(patient_seed, COARSE if whole else FINE)
    for k in missing:
        crop = _whole_scan(wanted, cache, patient_seed, k) if whole else _heart_scan(wanted, cache, patient_seed, k)
        write_sample(wanted.out, sample_of(names[k], crop, wanted.network, cache.patient))


def _whole_scan(wanted: SampleSet, cache: AnatomyCache, patient_seed: int, k: int) -> Crop:
    return draw_whole(cache, scan_seed(patient_seed, k), hard=wanted.hard)


def _heart_scan(wanted: SampleSet, cache: AnatomyCache, patient_seed: int, k: int) -> Crop:
    """Scan the draws of calcium in turn, each patient starting with another: four have none, little, some and much."""
    seed, draws = scan_seed(patient_seed, k), len(cache.deposits)
    number = (patient_seed + k) % draws if draws else None
    return simulate_crop(
        cache, draw_heart_description(cache, seed, number, protocols=wanted.protocols, hard=wanted.hard)
    )


def scan_seed(patient_seed: int, k: int) -> int:
    """Return the seed of one of a patient's scans."""
    return patient_seed * 1000 + k


def sample_of(name: str, crop: Crop, network: NetworkConfig, patient: Patient | None = None) -> Sample:
    """Return a crop as a training sample, without the slices that were not measured.

    With the ``patient``, whose aorta tells where its ascending part ends, the sample holds the anatomy too, and its
    heart has no holes where deposits lie.
    """
    seen = np.flatnonzero(crop.measured)
    part = (slice(int(seen[0]), int(seen[-1]) + 1), slice(0, crop.hu.shape[1]), slice(0, crop.hu.shape[2]))
    geometry = crop.geometry.crop(part)
    columns = [int(vessel) - int(Calcium.LM) for vessel in MASS_VESSELS]
    mass_mg = crop.mass_mg[part[0]][:, columns].astype(np.float32)
    anatomy = None if patient is None else anatomy_of(crop.structures[part], geometry, patient)
    heart = HeartMask(crop.heart[part] if anatomy is None else np.isin(anatomy, HEART), geometry)
    return make_sample(name, Volume(crop.hu[part], geometry), crop.labels[part], heart, network, mass_mg, anatomy)


def make_test_studies(wanted: KnownSet, *, workers: int = 1) -> Iterator[str]:
    """Make test studies for ``ctacal accuracy``; otherwise as ``make_samples``."""
    return by_patient(wanted, _make_tests, workers=workers)


def _make_tests(wanted: KnownSet, patient_seed: int) -> None:
    missing = wanted.missing(patient_seed)
    if not missing:
        return
    cache = draw_clinical_anatomy(patient_seed, wanted.each, hard=wanted.hard)
    reference = reference_scores(cache)
    for k, path in missing.items():
        description = describe_picture(
            cache, scan_seed(patient_seed, k), k, wanted.protocols, varied=wanted.varied, hard=wanted.hard
        )
        crop = simulate_crop(cache, description)
        deposit_labels = deposit_labels_of(crop)
        facts = _facts(patient_seed, deposit_labels, crop, reference[k])
        write_test_study(path, Volume(crop.hu, crop.geometry), crop.labels, deposit_labels, facts)


def deposit_labels_of(crop: Crop) -> Bytes:
    """Return (slices, rows, columns): which deposit each voxel belongs to (``KnownStudy.deposit_labels``)."""
    return np.where(crop.structures >= min(VESSEL_LABELS.values()), crop.structures, 0).astype(np.uint8)


def make_inserted_studies(wanted: InsertedSet, *, workers: int = 1) -> Iterator[str]:
    """Make test studies by inserting calcium as patients have it, or none, into real scans."""
    sweep(wanted.out, depth=0)
    for result in ordered(partial(_make_inserted, wanted), range(wanted.count), workers=workers):
        yield result.reason if isinstance(result, Failure) else ""


def _make_inserted(wanted: InsertedSet, number: int) -> None:
    path, seed = wanted.out / f"inserted-{wanted.seed}-{number:03d}.npz", wanted.seed * MOST_PATIENTS + number
    if path.exists():
        return
    scan = wanted.scans[number % len(wanted.scans)]
    calcium = draw_calcium(draw_patient(seed), seed)
    study = insert_study([scan], seed=seed, calcium=calcium, allow_calcium=wanted.allow_calcium)
    scored = study.reference_score.agatston
    facts = StudyFacts(
        seed=number % len(wanted.scans),  # studies of one scan share its anatomy
        centre=f"{study.series.header.manufacturer} {study.series.header.model}".strip() or "unknown",
        reference_agatston=scored.total,
        reference_per_vessel={vessel.name: scored.per_vessel[vessel.name] for vessel in MASS_VESSELS},
        deposit_kinds=tuple(sorted({row.kind.value for row in study.table if row.kind is not Kind.CORONARY})),
        mass_mg={
            vessel.name: sum(row.mass_mg for row in study.table if row.vessel == vessel.name) for vessel in MASS_VESSELS
        },
    )
    write_test_study(path, study.volume, study.labels.labels, None, facts)


def _facts(patient_seed: int, deposit_labels: Bytes, crop: Crop, reference: Scores) -> StudyFacts:
    shown = set(np.unique(deposit_labels).tolist())
    mass_mg = crop.mass_mg.sum(axis=0)
    others = {kind.value: label for kind, label in KIND_LABELS.items() if kind is not Kind.CORONARY}
    return StudyFacts(
        seed=patient_seed,
        centre=crop.description.protocol.name,
        reference_agatston=reference.agatston.total,
        reference_per_vessel={vessel.name: reference.agatston.per_vessel[vessel.name] for vessel in MASS_VESSELS},
        deposit_kinds=tuple(kind for kind, label in others.items() if label in shown),
        mass_mg={vessel.name: float(mass_mg[int(vessel) - int(Calcium.LM)]) for vessel in MASS_VESSELS},
    )
