"""``AnatomyCache``: a patient, projected once, with several draws of calcium; in memory or on disk."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctacal.geometry import Geometry
from ctacal.npz import write_npz
from ctacal.simulate.anatomy.body import build_body, coronaries_of, heart_region
from ctacal.simulate.anatomy.calcium import (
    BRANCHED,
    CLINICAL,
    CONFOUNDED,
    RADIUS_MM,
    CalciumDescription,
    Kind,
    Prevalence,
    draw_calcium,
)
from ctacal.simulate.anatomy.description import Patient, draw_patient
from ctacal.simulate.anatomy.heart import SYSTOLE
from ctacal.simulate.anatomy.structures import HEART, AnatomyMaps
from ctacal.simulate.anatomy.varied import draw_varied_patient
from ctacal.simulate.materials import Tissue
from ctacal.simulate.scanner.attenuation import beam
from ctacal.simulate.streams import Stream, generator
from ctacal.simulate.training.deposits import Deposits
from ctacal.simulate.training.projections import Projections

BEAM = (120.0, 7.0)
"""kVp and mm Al of the beam whose basis materials bodies are projected in; other beams differ by less than 1 HU."""

ROUND_RAYS = 40
"""The number of detectors is a multiple of this, so that many patients share a few tables."""

LAYOUT = 2
"""Version of the stored arrays; other versions are refused."""

MOST_TRIES = 2000
"""Largest number of draws until one is as wanted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Resolution at which an anatomy is built and projected, and the part that is built."""

    slice_mm: float = 1.5
    pixel_mm: float = 0.9
    views: int = 360
    detector_mm: float = 1.0
    states: int = 4
    """Number of states of the heart from end-diastole to end-systole (own choice: finer in systole than 8 phases)."""
    margin_mm: tuple[float, float] = (30.0, 55.0)
    """Margin below and above the coronary arteries: apex and diaphragm, aortic arch."""


FINE = Sampling()
"""Sampling for crops of the heart."""

COARSE = Sampling(
    slice_mm=5.0, pixel_mm=2.0, views=240, detector_mm=2.0, states=1, margin_mm=(140.0, 220.0)
)  # fmt: skip
"""Sampling for whole scans in large voxels, from the kidneys to the chin."""

LOWEST_MM, HIGHEST_MM = -250.0, 190.0
"""Range that ``build_body`` can build."""


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class AnatomyCache:
    """Everything that crops are drawn from; ``save`` and ``load`` store it on disk."""

    patient: Patient
    geometry: Geometry
    """The body's grid."""
    structure: NDArray[np.uint8]
    """(slices, rows, columns) of ``Structure`` with the heart half contracted, on ``structure_grid``."""
    structure_grid: Geometry
    projections: Projections
    calcium: tuple[CalciumDescription, ...]
    deposits: tuple[Deposits, ...]
    """The voxels of each description."""
    heart_mm: NDArray[np.float64]
    """(2, 3): lowest and highest (L, P, S) of the heart."""

    @classmethod
    def of(
        cls, patient: Patient, calcium: Sequence[CalciumDescription] = (), sampling: Sampling = FINE
    ) -> "AnatomyCache":
        """Build and project a patient; takes half a minute of one core, and briefly 1.3 GB."""
        phases = _phases(sampling.states)
        basis = beam(*BEAM).basis
        rest = build_body(patient, _grid(patient, sampling))
        region = heart_region(patient, rest.body.geometry)
        states = [rest_part(rest, region), *(build_body(patient, region, phase=phase) for phase in phases[1:])]
        isocentre_mm = _isocentre_mm(patient)
        projections = Projections.of(
            rest.body, [state.body for state in states[1:]], basis, views=sampling.views,
            detector_mm=sampling.detector_mm, detectors=_detectors(rest, isocentre_mm, sampling.detector_mm),
            isocentre_mm=isocentre_mm,
        )  # fmt: skip
        deposits = tuple(Deposits.of(patient, drawn, rest, states, phases, basis) for drawn in calcium)
        structure, grid = _structures(rest, states[len(states) // 2])
        return cls(
            patient=patient, geometry=rest.body.geometry, structure=structure, structure_grid=grid,
            projections=projections, calcium=tuple(calcium), deposits=deposits, heart_mm=_extent_mm(states[0]),
        )  # fmt: skip

    @property
    def nbytes(self) -> int:
        """Approximate memory of its arrays."""
        voxels = sum(array.nbytes for deposits in self.deposits for _, array in deposits.items())
        return self.projections.nbytes + self.structure.nbytes + voxels

    def save(self, path: Path) -> None:
        """Write it as NPZ, whole or not at all."""
        arrays: dict[str, NDArray[Any]] = {}
        for n, deposits in enumerate(self.deposits):
            arrays |= {f"deposits_{n}_{name}": array for name, array in deposits.items()}
        stored = {field.name: getattr(self.projections, field.name) for field in fields(Projections)}
        text = [self.patient.to_json(), *(drawn.to_json() for drawn in self.calcium)]
        arrays |= {f"projections_{name}": np.asarray(value) for name, value in stored.items()}
        arrays |= {"text": np.array(text), "shape": np.array(self.geometry.shape), "affine": self.geometry.affine}
        arrays |= {"structure": self.structure, "structure_affine": self.structure_grid.affine}
        arrays |= {"layout": np.array(LAYOUT), "heart_mm": self.heart_mm}
        write_npz(path, arrays)

    @classmethod
    def load(cls, path: Path) -> "AnatomyCache":
        """Read what ``save`` wrote; raise ``ValueError`` if the file is something else."""
        with np.load(path, allow_pickle=False) as stored:
            if "projections_rest" not in stored:
                raise ValueError(f"{path} is not a stored anatomy")
            if "layout" not in stored or stored["layout"] != LAYOUT:
                raise ValueError(f"{path} was stored by an earlier version: draw the anatomy again")
            return _loaded(stored)


def draw_anatomy(seed: int, sampling: Sampling = FINE) -> AnatomyCache:
    """Draw a patient and, for crops of the heart, the calcium of ``WANTED``, and build the cache."""
    patient = draw_patient(seed)
    return AnatomyCache.of(patient, draw_variants(patient, seed) if sampling.states > 1 else (), sampling)


def draw_hard_anatomy(seed: int, sampling: Sampling = FINE) -> AnatomyCache:
    """Draw a patient who differs from most, and calcium and devices with many confounders, and build the cache.

    Crops of the heart have the calcium of ``HARD_WANTED``; whole scans ``WHOLE_DRAWS`` draws without a condition.
    """
    patient = draw_varied_patient(seed)
    if sampling.states > 1:
        return AnatomyCache.of(patient, draw_variants(patient, seed, HARD_WANTED, BRANCHED), sampling)
    drawn = [draw_calcium(patient, seed * 1000 + k, CONFOUNDED) for k in range(WHOLE_DRAWS)]
    return AnatomyCache.of(patient, drawn, sampling)


WHOLE_DRAWS = 2
"""Draws of calcium and devices in an anatomy for whole scans (own choice)."""


Condition = Callable[[CalciumDescription], bool]
"""A condition that a draw of calcium must meet."""


def anything(_: CalciumDescription) -> bool:
    """Accept every draw: a ``Condition`` that asks for nothing."""
    return True


def _other(calcium: CalciumDescription) -> bool:
    return any(deposit.kind is not Kind.CORONARY for deposit in calcium.deposits)


def _coronary_metal(calcium: CalciumDescription) -> bool:
    return any(deposit.kind in (Kind.STENT, Kind.BYPASS_CLIP) for deposit in calcium.deposits)


def _beside_left_main(calcium: CalciumDescription) -> bool:
    return any(
        deposit.kind is Kind.AORTIC_VALVE or (deposit.kind is Kind.AORTIC_WALL and deposit.site == "root")
        for deposit in calcium.deposits
    )


def _plaque_in(*sites: str) -> Condition:
    return lambda calcium: any(deposit.kind is Kind.CORONARY and deposit.site in sites for deposit in calcium.deposits)


_left_main, _branch = _plaque_in("LM"), _plaque_in("D1", "D2", "OM1", "OM2")


def _ascending(calcium: CalciumDescription) -> bool:
    """Tell whether the aorta is much calcified beside the left main: the sum of the deposits' lengths."""
    beside = [deposit for deposit in calcium.deposits if deposit.site in ("root", "ascending")]
    return sum(deposit.length_mm for deposit in beside if deposit.kind is Kind.AORTIC_WALL) > MUCH_MM


MUCH_MM = 15.0
"""Length of all deposits in the wall of root and ascending aorta that counts as much (own choice)."""


def _has(*kinds: Kind) -> Condition:
    return lambda calcium: any(deposit.kind in kinds for deposit in calcium.deposits)


def _both(first: Condition, second: Condition) -> Condition:
    return lambda calcium: first(calcium) and second(calcium)


Wanted = tuple[tuple[float, float, Condition], ...]
"""Draws of calcium: lowest and highest coronary volume (``coronary_mm3``), and a condition."""

WANTED: Wanted = (
    (0, 0, _other), (0.1, 40, anything), (40, 160, _left_main), (160, 5000, anything),
    (0, 0, _coronary_metal), (0.1, 40, _beside_left_main), (40, 160, _coronary_metal), (160, 5000, _beside_left_main),
)  # fmt: skip
"""The draws of calcium: lowest and highest coronary volume (``coronary_mm3``), and a condition. Two each have none,
little, some and much; what is most often confused is more frequent than in patients (own choice, docs/log.md)."""

_HILUM, _HEART = (Kind.HILAR, Kind.LYMPH_NODE), (Kind.MITRAL_ANNULUS, Kind.PERICARDIUM, Kind.MYOCARDIAL_SCAR)

HARD_WANTED: Wanted = (
    (0, 0, _both(_ascending, _has(Kind.AORTIC_VALVE))), (0.1, 40, _branch), (40, 160, _both(_ascending, _left_main)),
    (0, 0, _both(_has(*_HILUM), _has(*_HEART))), (160, 5000, _both(_beside_left_main, _left_main)),
    (0, 0, _has(Kind.PERICARDIUM, Kind.MYOCARDIAL_SCAR)), (0.1, 40, _both(_beside_left_main, _left_main)),
    (0, 0, _coronary_metal), (40, 160, _both(_branch, _has(*_HEART))), (160, 5000, _both(_branch, _coronary_metal)),
)  # fmt: skip
"""The draws of calcium of ``draw_hard_anatomy``: four of ten have none (own choice)."""


PLAQUES_WANTED: Wanted = (
    (0, 0, _coronary_metal), (40, 160, _left_main), (160, 5000, _both(_beside_left_main, _left_main)),
    (0, 0, _both(_ascending, _has(Kind.AORTIC_VALVE))), (0.1, 40, _coronary_metal),
    (40, 160, _both(_branch, _ascending)), (160, 5000, _coronary_metal), (0, 0, _both(_has(*_HILUM), _has(*_HEART))),
    (0.1, 40, _both(_ascending, _left_main)), (40, 160, _coronary_metal), (160, 5000, _both(_branch, _ascending)),
    (0, 0, _ascending), (0.1, 40, _branch), (40, 160, _both(_ascending, _left_main)), (160, 5000, anything),
    (0.1, 40, _both(_beside_left_main, _has(*_HEART))),
)  # fmt: skip
"""The draws of whole scans that show many plaques, and what is taken for plaques (``ctacal samples plaques``): four
each have none, little, some and much coronary calcium (own choice)."""

RARE_PLAQUES_WANTED: Wanted = (
    (0, 0, _has(Kind.STENT)), (160, 5000, _left_main), (0.1, 40, _has(Kind.STENT)), (40, 160, _has(Kind.STENT)),
    (0.1, 40, anything), (160, 5000, _has(Kind.STENT)), (0, 0, _ascending), (40, 160, _both(_ascending, _left_main)),
)  # fmt: skip
"""The same for what is rare in patients and decides a category: half of the draws have a stent (own choice)."""


def draw_variants(
    patient: Patient, seed: int, wanted: Wanted = WANTED, prevalence: Prevalence = CLINICAL
) -> tuple[CalciumDescription, ...]:
    """Draw the calcium that is wanted, without a condition that this patient hardly ever meets."""
    rng = generator(seed, Stream.CALCIUM_VARIANTS)
    found = [
        _drawn(rng, patient, prevalence, (low, high), condition)
        or _drawn(rng, patient, prevalence, (low, high), anything)
        for low, high, condition in wanted
    ]
    return tuple(drawn for drawn in found if drawn is not None)


def _drawn(
    rng: np.random.Generator,
    patient: Patient,
    prevalence: Prevalence,
    volume_mm3: tuple[float, float],
    condition: Condition,
) -> CalciumDescription | None:
    low, high = volume_mm3
    for _ in range(MOST_TRIES):
        drawn = draw_calcium(patient, int(rng.integers(2**31)), prevalence)
        if low <= coronary_mm3(drawn) <= high and condition(drawn):
            return drawn
    return None


def coronary_mm3(calcium: CalciumDescription) -> float:
    """Return the volume of the coronary plaques from their measures, ignoring overlap and tapering."""
    return sum(
        deposit.length_mm * deposit.thickness_mm * float(np.deg2rad(deposit.arc_deg)) * RADIUS_MM
        for deposit in calcium.deposits
        if deposit.kind is Kind.CORONARY
    )


def rest_part(maps: AnatomyMaps, region: Geometry) -> AnatomyMaps:
    """Return the part of a body that a region covers."""
    start = np.rint((region.affine[:3, 3] - maps.body.geometry.affine[:3, 3])[::-1] / region.spacing_mm).astype(int)
    part = tuple(slice(a, a + n) for a, n in zip(start.tolist(), region.shape, strict=True))
    body = type(maps.body)(maps.body.tissue[part], maps.body.hydroxyapatite_mg_cm3[part], region)
    return replace(maps, body=body, structure=maps.structure[part])


def _phases(states: int) -> tuple[float, ...]:
    """Return phases with evenly increasing contraction, starting at rest (the inverse of ``heart.contraction``)."""
    contracted = np.linspace(0, 1, states) if states > 1 else np.zeros(1)
    return tuple((2 / np.pi * SYSTOLE * np.arcsin(np.sqrt(contracted))).tolist())


def _grid(patient: Patient, sampling: Sampling) -> Geometry:
    """Return a grid around the coronary arteries, as far as the body can be built."""
    z_mm = np.concatenate([segment.points[:, 2] for segment in coronaries_of(patient)])
    low = max(float(z_mm.min()) - sampling.margin_mm[0], LOWEST_MM)
    high = min(float(z_mm.max()) + sampling.margin_mm[1], HIGHEST_MM)
    across = round(560 / sampling.pixel_mm)
    shape = round((high - low) / sampling.slice_mm), round(420 / sampling.pixel_mm), across
    return Geometry.from_spacing(
        shape, (sampling.slice_mm, sampling.pixel_mm, sampling.pixel_mm), (-280.0, -210.0, low + sampling.slice_mm / 2)
    )


def _extent_mm(maps: AnatomyMaps) -> NDArray[np.float64]:
    index = np.argwhere(np.isin(maps.structure, HEART))
    return np.stack([maps.body.geometry.to_patient_mm(corner) for corner in (index.min(axis=0), index.max(axis=0))])


def _isocentre_mm(patient: Patient) -> tuple[float, float]:
    """Draw the isocentre, (left, posterior) of the carina: patients do not lie centred (as in ``study.draw_study``)."""
    rng = generator(patient.seed, Stream.TRAINING_ISOCENTRE)
    return round(float(rng.normal(0, 8)), 2), round(float(rng.normal(10, 14)), 2)


def _detectors(rest: AnatomyMaps, isocentre_mm: tuple[float, float], detector_mm: float) -> int:
    """Return the number of detectors that covers the whole body."""
    filled = (rest.body.tissue != Tissue.AIR).any(axis=0)
    index = np.argwhere(filled) * rest.body.geometry.spacing_mm[2]
    corner = rest.body.geometry.affine[[1, 0], 3] - np.array(isocentre_mm)[::-1]
    radius_mm = float(np.linalg.norm(index + corner, axis=1).max())
    return int(np.ceil((2 * radius_mm / detector_mm + 4) / ROUND_RAYS)) * ROUND_RAYS


def _structures(rest: AnatomyMaps, half: AnatomyMaps) -> tuple[NDArray[np.uint8], Geometry]:
    """Return the body's structures with the heart half contracted, cropped to the body."""
    structure, geometry = rest.structure.copy(), rest.body.geometry
    start = np.rint((half.body.geometry.affine[:3, 3] - geometry.affine[:3, 3])[::-1] / geometry.spacing_mm)
    part = tuple(slice(int(a), int(a) + n) for a, n in zip(start, half.structure.shape, strict=True))
    structure[part] = half.structure
    rows, columns = (np.flatnonzero(structure.any(axis=axes)) for axes in ((0, 2), (0, 1)))
    box = slice(0, len(structure)), slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
    return np.ascontiguousarray(structure[box]), geometry.crop(box)


def _loaded(stored: Any) -> AnatomyCache:
    patient, *calcium = (str(text) for text in stored["text"])
    kept = {field.name: stored[f"projections_{field.name}"] for field in fields(Projections)}
    kept |= {
        "first_slice": int(kept["first_slice"]), "detector_mm": float(kept["detector_mm"]),
        "isocentre_mm": tuple(kept["isocentre_mm"].tolist()),
    }  # fmt: skip
    names = [field.name for field in fields(Deposits)]
    shape, structure = tuple(int(n) for n in stored["shape"]), stored["structure"]
    return AnatomyCache(
        patient=Patient.from_json(patient),
        geometry=Geometry((shape[0], shape[1], shape[2]), stored["affine"]),
        structure=structure,
        structure_grid=Geometry(structure.shape, stored["structure_affine"]),
        projections=Projections(**kept),
        calcium=tuple(CalciumDescription.from_json(text) for text in calcium),
        deposits=tuple(
            Deposits(**{name: stored[f"deposits_{n}_{name}"] for name in names}) for n in range(len(calcium))
        ),
        heart_mm=stored["heart_mm"],
    )
