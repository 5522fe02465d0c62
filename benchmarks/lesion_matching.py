"""How many lesions two scans of one patient match rightly, when the patient lies elsewhere; and how long it takes.

python benchmarks/lesion_matching.py [--patients 2] [--seed 82] [--centres spect_ct_16slice ...]

Simulated patients (``simulate.training.rescans``) are scanned twice with the same calcium: other position, heartbeat,
breath and noise. The second scan is then moved by up to 20 mm and turned by up to 10 degrees about any axis, and both
are scored by the shipped model. The truth of a lesion are the deposits that lie in it. A lesion is matched rightly if
every lesion that it is matched with shares a deposit with it, and if it is new or gone only where the other scan shows
no lesion of its deposits. Needs the simulator: ``pip install 'ctacal[simulate]'``.
"""

import argparse
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from ctacal.arrays import Floats
from ctacal.compare.matching import Kind, LesionMatch, PlacedLesion, match_lesions, place_lesions
from ctacal.compare.registration import RigidTransform, register
from ctacal.geometry import Geometry
from ctacal.heart import HeartMask
from ctacal.nn.predict import Model, load_model
from ctacal.scores import SCCT_2016, ScoringRule, score_label_map
from ctacal.simulate.anatomy.calcium import CalciumDescription
from ctacal.simulate.anatomy.calcium import Kind as DepositKind
from ctacal.simulate.anatomy.description import Patient
from ctacal.simulate.anatomy.sites import Anatomy
from ctacal.simulate.scanner.protocol import load_protocol
from ctacal.simulate.training.anatomy_cache import AnatomyCache
from ctacal.simulate.training.rescans import RESCANNED, describe_rescan, draw_rescanned_anatomy, rescan
from ctacal.volume import Volume

SHIFT_MM, TURN_DEG = 20.0, 10.0
PHASES = np.arange(6) / 12
"""Phases of the heart cycle at which deposits are looked for: from rest to the end of systole."""

REACH_MM = 3.0
"""A deposit no further than this beyond the rim of a lesion's component lies in it: blur and breath."""


@dataclass(frozen=True)
class Seen:
    """A scored scan."""

    volume: Volume
    heart: HeartMask
    lesions: tuple[PlacedLesion, ...]
    seconds: float


@dataclass(frozen=True)
class Compared:
    """Two scans, and how well their lesions were matched."""

    centre: str
    lesions: int
    right: int
    registration_mm: float
    """Largest error of the registration over the lesions' places, without breath and beat."""
    fit: float
    kinds: Counter[str]
    scoring_s: float
    matching_s: float


def scored(volume: Volume, model: Model, rule: ScoringRule) -> Seen:
    begin = time.perf_counter()
    prediction = model(volume, rule)
    lesions, _ = score_label_map(volume, prediction.labels, rule)
    assert prediction.heart is not None
    return Seen(volume, prediction.heart, place_lesions(lesions, rule), time.perf_counter() - begin)


def drawn_movement(rng: np.random.Generator, volume: Volume) -> RigidTransform:
    """Draw a shift of 5 to ``SHIFT_MM`` in any direction, and a turn of 2 to ``TURN_DEG`` about any axis."""
    shift, axis = (vector / np.linalg.norm(vector) for vector in rng.normal(size=(2, 3)))
    rotation = Rotation.from_rotvec(axis * rng.uniform(2, TURN_DEG), degrees=True).as_matrix()
    middle = volume.geometry.to_patient_mm((np.array(volume.geometry.shape) - 1) / 2)
    return RigidTransform(np.asarray(rotation), shift * rng.uniform(5, SHIFT_MM), middle, 1.0)


def moved(volume: Volume, by: RigidTransform) -> Volume:
    back, affine = by.inverse(), np.eye(4)
    affine[:3, :3], affine[:3, 3] = back.rotation, back.apply(np.zeros(3))
    grid = Geometry(volume.geometry.shape, affine @ volume.geometry.affine)
    hu = np.clip(np.rint(volume.resample(grid).hu), -1024, 3071).astype(np.int16)
    return Volume(hu, volume.geometry)


def deposit_points(patient: Patient, calcium: CalciumDescription) -> tuple[cKDTree, Floats]:
    """Return the places of the plaques over the beat, and the number of the plaque of each."""
    points, numbers = [], []
    for phase in PHASES:
        anatomy = Anatomy.of(patient, phase=phase)
        for number, deposit in enumerate(calcium.deposits):
            if deposit.kind is DepositKind.CORONARY:
                balls = anatomy.balls(deposit).centres
                points.append(balls)
                numbers.append(np.full(len(balls), number))
    return cKDTree(np.vstack(points)), np.concatenate(numbers)


def deposits_in(lesion: PlacedLesion, points: tuple[cKDTree, Floats], breath_mm: float) -> frozenset[int]:
    """Return the plaques of a lesion, whose places are those of the patient at rest but for the breath."""
    tree, numbers = points
    found: set[int] = set()
    for place, radius in zip(lesion.points_mm, lesion.radius_mm, strict=True):
        for shift in np.linspace(0, breath_mm, 4):
            near = tree.query_ball_point(place + (0, 0, shift), float(radius) + REACH_MM)
            found |= set(numbers[near].tolist())
    return frozenset(found)


def rightly(
    matches: Sequence[LesionMatch], a: Sequence[PlacedLesion], b: Sequence[PlacedLesion],
    deposits_a: Sequence[frozenset[int]], deposits_b: Sequence[frozenset[int]],
) -> int:  # fmt: skip
    """Return the number of lesions, of both scans, that are matched rightly."""
    of = {id(one.scored): held for lesions, deposits in ((a, deposits_a), (b, deposits_b))
          for one, held in zip(lesions, deposits, strict=True)}  # fmt: skip
    everything = [frozenset().union(*deposits) for deposits in (deposits_a, deposits_b)]
    right = 0
    for match in matches:
        for own, others, elsewhere in ((match.a, match.b, everything[1]), (match.b, match.a, everything[0])):
            for lesion in own:
                held = of[id(lesion)]
                right += all(held & of[id(other)] for other in others) if others else not held & elsewhere
    return right


def compared(
    cache: AnatomyCache, draw: int, centre: str, model: Model, rng: np.random.Generator, seed: int
) -> Compared | None:
    """Scan, move, score and match; None if neither scan shows a lesion."""
    protocol = load_protocol(centre)
    rule = SCCT_2016.at_kvp(protocol.kvp)
    described = [describe_rescan(cache, protocol, deposits=draw, scan_seed=seed + k) for k in range(2)]
    first, second = (rescan(cache, description) for description in described)
    by = drawn_movement(rng, second)
    a, b = scored(first, model, rule), scored(moved(second, by), model, rule)
    if not (a.lesions or b.lesions):
        return None
    begin = time.perf_counter()
    transform = register(a.volume, a.heart, b.volume, b.heart)
    matches = match_lesions(a.lesions, b.lesions, transform)
    seconds = time.perf_counter() - begin
    points = deposit_points(cache.patient, cache.calcium[draw])
    back = by.inverse()
    at_rest = [PlacedLesion(one.scored, back.apply(one.points_mm), one.radius_mm, one.pixels) for one in b.lesions]
    deposits = [
        [deposits_in(one, points, description.breathing_mm) for one in lesions]
        for lesions, description in zip((a.lesions, at_rest), described, strict=True)
    ]
    places = np.vstack([one.centre_mm for one in a.lesions] or [a.volume.geometry.to_patient_mm((0, 0, 0))])
    error_mm = float(np.linalg.norm(transform.apply(places) - by.apply(places), axis=1).max())
    right = rightly(matches, a.lesions, b.lesions, deposits[0], deposits[1])
    return Compared(
        centre, len(a.lesions) + len(b.lesions), right, error_mm, transform.fit,
        Counter(match.kind.value for match in matches), a.seconds + b.seconds, seconds,
    )  # fmt: skip


def all_compared(arguments: argparse.Namespace) -> Iterator[Compared]:
    model, rng = load_model(), np.random.default_rng(arguments.seed)
    for number in range(arguments.patients):
        patient_seed = arguments.seed * 1_000_000 + number
        cache = draw_rescanned_anatomy(patient_seed)
        for draw in range(1, len(RESCANNED)):
            for place, centre in enumerate(arguments.centres):
                seed = patient_seed * 1000 + place * 100 + draw * 10
                if found := compared(cache, draw, centre, model, rng, seed):
                    print(f"{centre}: {found}", flush=True)
                    yield found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=2)
    parser.add_argument("--seed", type=int, default=82)
    parser.add_argument("--centres", nargs="+", default=["spect_ct_16slice", "hawkeye_slow", "pet_ct_100kvp"])
    found = list(all_compared(parser.parse_args()))
    kinds = sum((one.kinds for one in found), Counter[str]())
    lesions, right = sum(one.lesions for one in found), sum(one.right for one in found)
    print(f"\n{len(found)} pairs of scans, {lesions} lesions: {right} matched rightly ({right / lesions:.1%})")
    print(f"matches: {', '.join(f'{kinds[kind]} {kind}' for kind in map(str, Kind))}")
    errors, fits = (np.array([getattr(one, name) for one in found]) for name in ("registration_mm", "fit"))
    print(f"registration: error {np.median(errors):.1f} mm, at most {errors.max():.1f}; fit {fits.min():.2f} at least")
    for name, what in (("scoring_s", "scoring both scans"), ("matching_s", "registration and matching")):
        seconds = np.array([getattr(one, name) for one in found])
        print(f"{what}: {np.median(seconds):.2f} s, at most {seconds.max():.2f}")


if __name__ == "__main__":
    main()
