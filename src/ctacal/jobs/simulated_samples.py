"""Training samples and test studies out of the simulator: where ``simulate`` and ``nn`` meet.

A patient is projected once and scanned several times (``simulate.training``): whole scans in large voxels for the heart
network, whole hearts for the calcium network, whole fields of view for the test cohort. Calcium inserted into real
scans makes a test cohort of its own.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ctacal.heart import HeartMask
from ctacal.labels import Calcium
from ctacal.nn.config import NetworkConfig
from ctacal.nn.inputs import MASS_VESSELS
from ctacal.nn.known_study import StudyFacts, write_test_study
from ctacal.nn.samples import Sample, make_sample, write_sample
from ctacal.scores import Scores
from ctacal.simulate.anatomy.calcium import Kind, draw_calcium
from ctacal.simulate.anatomy.description import draw_patient
from ctacal.simulate.insert.study import insert_study
from ctacal.simulate.training.anatomy_cache import COARSE, draw_anatomy
from ctacal.simulate.training.clinical import describe_picture, draw_clinical_anatomy, reference_scores
from ctacal.simulate.training.crop import Crop, draw_whole, simulate_crop
from ctacal.simulate.training.description import draw_heart_description
from ctacal.simulate.truth import KIND_LABELS, VESSEL_LABELS
from ctacal.volume import Volume
from ctacal.workers import Failure, ordered

HELD_OUT = ("spect_ct_16slice", "hawkeye_slow", "pet_ct_100kvp")
"""Presets of the test cohort: no network is trained on them. The second is slow and noisy."""

MOST_PATIENTS = 1_000_000
"""Patient k of seed s is drawn from s times this, plus k, so that sets of different seeds share no patient."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleSet:
    """Which samples: ``count`` patients of a seed, each scanned ``each`` times at varied ``protocols``."""

    out: Path
    network: NetworkConfig
    count: int
    each: int
    seed: int
    protocols: tuple[str, ...]

    def names(self, patient_seed: int) -> list[str]:
        """Of one patient's samples."""
        return [f"simulated-{patient_seed}-{k:02d}" for k in range(self.each)]


def make_samples(wanted: SampleSet, *, workers: int = 1) -> Iterator[str]:
    """Make what is not there yet, patient by patient; yields what went wrong with each, or an empty string."""
    patients = [wanted.seed * MOST_PATIENTS + k for k in range(wanted.count)]
    for result in ordered(partial(_make_patient, wanted), patients, workers=workers):
        yield result.reason if isinstance(result, Failure) else ""


def _make_patient(wanted: SampleSet, patient_seed: int) -> None:
    names = wanted.names(patient_seed)
    missing = [k for k, name in enumerate(names) if not (wanted.out / f"{name}.npz").exists()]
    if not missing:
        return
    make = _heart_crops if wanted.network.kind == "heart" else _calcium_crops
    scanned = make(wanted, patient_seed)
    for k in missing:
        write_sample(wanted.out, sample_of(names[k], scanned(k), wanted.network))


def _heart_crops(_wanted: SampleSet, patient_seed: int) -> Callable[[int], Crop]:
    cache = draw_anatomy(patient_seed, COARSE)
    return lambda k: draw_whole(cache, _scan_seed(patient_seed, k))


def _calcium_crops(wanted: SampleSet, patient_seed: int) -> Callable[[int], Crop]:
    """Each draw of calcium in turn, each patient beginning with another: four show none, little, some and much."""
    cache = draw_anatomy(patient_seed)

    def scanned(k: int) -> Crop:
        seed, draws = _scan_seed(patient_seed, k), len(cache.deposits)
        return simulate_crop(
            cache,
            draw_heart_description(
                cache, seed, (patient_seed + k) % draws if draws else None, protocols=wanted.protocols
            ),
        )

    return scanned


def _scan_seed(patient_seed: int, k: int) -> int:
    return patient_seed * 1000 + k


def sample_of(name: str, crop: Crop, network: NetworkConfig) -> Sample:
    """A crop as a training sample, without the slices that were not measured."""
    seen = np.flatnonzero(crop.measured)
    part = (slice(int(seen[0]), int(seen[-1]) + 1), slice(0, crop.hu.shape[1]), slice(0, crop.hu.shape[2]))
    geometry = crop.geometry.crop(part)
    columns = [int(vessel) - int(Calcium.LM) for vessel in MASS_VESSELS]
    mass_mg = crop.mass_mg[part[0]][:, columns].astype(np.float32)
    heart = HeartMask(crop.heart[part], geometry)
    return make_sample(name, Volume(crop.hu[part], geometry), crop.labels[part], heart, network, mass_mg)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownSet:
    """Which whole studies: ``count`` patients of a seed, ``each`` draws of calcium, each scanned with one protocol."""

    out: Path
    count: int
    each: int
    seed: int
    protocols: tuple[str, ...]
    varied: bool = False
    """Whether the protocols are varied, as in training: for validation; a test takes them as they are."""


def make_test_studies(wanted: KnownSet, *, workers: int = 1) -> Iterator[str]:
    """As ``make_samples``, for ``ctacal accuracy``."""
    patients = [wanted.seed * MOST_PATIENTS + k for k in range(wanted.count)]
    for result in ordered(partial(_make_tests, wanted), patients, workers=workers):
        yield result.reason if isinstance(result, Failure) else ""


def _make_tests(wanted: KnownSet, patient_seed: int) -> None:
    paths = [wanted.out / f"known-{patient_seed}-{k:02d}.npz" for k in range(wanted.each)]
    missing = [k for k, path in enumerate(paths) if not path.exists()]
    if not missing:
        return
    cache = draw_clinical_anatomy(patient_seed, wanted.each)
    reference = reference_scores(cache)
    for k in missing:
        told = describe_picture(cache, _scan_seed(patient_seed, k), k, wanted.protocols, varied=wanted.varied)
        crop = simulate_crop(cache, told)
        deposit_labels = np.where(crop.structures >= min(VESSEL_LABELS.values()), crop.structures, 0).astype(np.uint8)
        facts = _facts(patient_seed, deposit_labels, crop, reference[k])
        write_test_study(paths[k], Volume(crop.hu, crop.geometry), crop.labels, deposit_labels, facts)


@dataclass(frozen=True, slots=True, kw_only=True)
class InsertedSet:
    """Which studies of real scans with drawn calcium: ``count`` in all, the scans taking turns."""

    out: Path
    scans: tuple[Path, ...]
    count: int
    seed: int
    allow_calcium: bool = False


def make_inserted_studies(wanted: InsertedSet, *, workers: int = 1) -> Iterator[str]:
    """As ``make_test_studies``, with calcium as patients have it, none too, inserted into real scans."""
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
        seed=number % len(wanted.scans),  # the anatomy that studies share is the scan's
        centre=f"{study.series.header.manufacturer} {study.series.header.model}".strip() or "unknown",
        reference_agatston=scored.total,
        reference_per_vessel={vessel.name: scored.per_vessel[vessel.name] for vessel in MASS_VESSELS},
        deposit_kinds=tuple(sorted({row.kind.value for row in study.table if row.kind is not Kind.CORONARY})),
        mass_mg={one.name: sum(row.mass_mg for row in study.table if row.vessel == one.name) for one in MASS_VESSELS},
    )
    write_test_study(path, study.volume, study.labels.labels, None, facts)


def _facts(patient_seed: int, deposit_labels: NDArray[np.uint8], crop: Crop, reference: Scores) -> StudyFacts:
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
