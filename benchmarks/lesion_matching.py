"""How many lesions two scans of one patient match rightly, when the patient lies elsewhere; and how long it takes.

python benchmarks/lesion_matching.py [--studies FOLDER] [--patients 1] [--seed 82] [--centres spect_ct_16slice ...]

Scans are moved by up to 20 mm and turned by up to 10 degrees about any axis. With ``--studies`` (a folder of ``ctacal
samples test``), each study is matched with itself after it was moved and got new noise; the true labels are scored, and
the network finds the heart ("moved alone"). Otherwise simulated patients (``simulate.training.rescans``) are scanned
twice with the same calcium, at another position, with other heartbeat, breath and noise; the second scan is moved too,
and both are scored by the shipped model ("scanned again").

The truth of a lesion are the pieces of calcium that lie in it: 8 mm of a plaque, or of a connected part of the true
labels. A lesion is matched rightly if every lesion that it is matched with lies in the same plaque or part, and if it
is new or gone only where the other scan shows no lesion with one of its pieces. Needs the simulator
(``ctacal[simulate]``).
"""

import argparse
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from ctacal.arrays import Bytes, Floats, Ints
from ctacal.compare.matching import Kind, LesionMatch, PlacedLesion, match_lesions, place_lesions
from ctacal.compare.registration import RigidTransform, best_fit, register
from ctacal.errors import Refusal
from ctacal.geometry import Geometry
from ctacal.heart import HeartMask
from ctacal.labels import NAMED_VESSELS, LabelMap
from ctacal.nn.known_study import KnownStudy, read_test_study
from ctacal.nn.locate import locate
from ctacal.nn.predict import Model, load_locator, load_model
from ctacal.nn.runtime import Stage
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

PIECE_MM = 8.0
"""Length of the pieces that a plaque is cut into: they show when it falls apart into several lesions."""

REACH_MM = 2.0
"""A piece no further than this beyond the rim of a lesion's component lies in it: blur and breath."""


@dataclass(frozen=True)
class Seen:
    """A scored scan."""

    volume: Volume
    heart: HeartMask
    lesions: tuple[PlacedLesion, ...]
    seconds: float


@dataclass(frozen=True)
class Calcium:
    """The true calcium: points, the piece of each, and the plaque or part of each piece."""

    tree: cKDTree
    piece: Ints
    whole: Ints

    def wholes(self, pieces: frozenset[int]) -> set[int]:
        return set(self.whole[list(pieces)].tolist())


@dataclass(frozen=True)
class Compared:
    """Two scans, and how well their lesions were matched."""

    second: str
    """Scanned again, or moved alone."""
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
    begin = time.process_time()
    prediction = model(volume, rule)
    lesions, _ = score_label_map(volume, prediction.labels, rule)
    assert prediction.heart is not None
    return Seen(volume, prediction.heart, place_lesions(lesions, rule), time.process_time() - begin)


def drawn_movement(rng: np.random.Generator, volume: Volume) -> RigidTransform:
    """Draw a shift of 5 to ``SHIFT_MM`` in any direction, and a turn of 2 to ``TURN_DEG`` about any axis."""
    shift, axis = (vector / np.linalg.norm(vector) for vector in rng.normal(size=(2, 3)))
    rotation = Rotation.from_rotvec(axis * rng.uniform(2, TURN_DEG), degrees=True).as_matrix()
    middle = volume.geometry.to_patient_mm((np.array(volume.geometry.shape) - 1) / 2)
    return RigidTransform(np.asarray(rotation), shift * rng.uniform(5, SHIFT_MM), middle, 1.0)


def grid_before(geometry: Geometry, by: RigidTransform) -> Geometry:
    """Return where the voxels of a scan of the moved patient lie in the patient before."""
    back, affine = by.inverse(), np.eye(4)
    affine[:3, :3], affine[:3, 3] = back.rotation, back.apply(np.zeros(3))
    return Geometry(geometry.shape, affine @ geometry.affine)


def moved(volume: Volume, by: RigidTransform, noise: Floats | float = 0.0) -> Volume:
    """Return the scan of the patient after the movement, on the same grid."""
    hu = volume.resample(grid_before(volume.geometry, by)).hu + noise
    return Volume(np.clip(np.rint(hu), -1024, 3071).astype(np.int16), volume.geometry)


def calcium_over_the_beat(patient: Patient, calcium: CalciumDescription) -> Calcium:
    """Return the places of the plaques over the beat."""
    points: list[Floats] = []
    pieces: list[Ints] = []
    wholes: list[int] = []
    anatomies = [Anatomy.of(patient, phase=phase) for phase in PHASES]
    for number, deposit in enumerate(deposit for deposit in calcium.deposits if deposit.kind is DepositKind.CORONARY):
        balls = [anatomy.balls(deposit).centres for anatomy in anatomies]
        axis = np.linalg.svd(balls[0] - balls[0].mean(axis=0), full_matrices=False)[2][0]
        along = [((places - places.min(axis=0)) @ axis) for places in balls]
        found = [np.floor((mm - mm.min()) / PIECE_MM).astype(int) for mm in along]
        points += balls
        pieces += [len(wholes) + piece for piece in found]
        wholes += [number] * (1 + int(max(piece.max() for piece in found)))
    return Calcium(cKDTree(np.vstack(points)), np.concatenate(pieces), np.array(wholes))


def pieces_in(lesion: PlacedLesion, calcium: Calcium, breath_mm: float) -> frozenset[int]:
    """Return the pieces of calcium in a lesion, whose places are those of the patient at rest but for the breath."""
    found: set[int] = set()
    for place, radius in zip(lesion.points_mm, lesion.radius_mm, strict=True):
        for shift in np.linspace(0, breath_mm, 4):
            near = calcium.tree.query_ball_point(place + (0, 0, shift), float(radius) + REACH_MM)
            found |= set(calcium.piece[near].tolist())
    return frozenset(found)


def rightly(
    matches: Sequence[LesionMatch], a: Sequence[PlacedLesion], b: Sequence[PlacedLesion],
    held: tuple[list[frozenset[int]], list[frozenset[int]]], calcium: Calcium,
) -> int:  # fmt: skip
    """Return the number of lesions, of both scans, that are matched rightly."""
    of = {
        id(one.scored): pieces
        for lesions, held_by_scan in zip((a, b), held, strict=True)
        for one, pieces in zip(lesions, held_by_scan, strict=True)
    }
    everything = [frozenset().union(*by_scan) for by_scan in held]
    right = 0
    for match in matches:
        for own, others, elsewhere in ((match.a, match.b, everything[1]), (match.b, match.a, everything[0])):
            for pieces in (of[id(lesion)] for lesion in own):
                wholes = calcium.wholes(pieces)
                same = all(wholes & calcium.wholes(of[id(other)]) for other in others)
                right += same if others else not pieces & elsewhere
    return right


def compared(
    cache: AnatomyCache, draw: int, centre: str, model: Model, rng: np.random.Generator, seed: int
) -> Compared | None:
    """Scan twice, move the second scan, score and match; None if neither scan shows a lesion."""
    protocol = load_protocol(centre)
    rule = SCCT_2016.at_kvp(protocol.kvp)
    described = [describe_rescan(cache, protocol, deposits=draw, scan_seed=seed + k) for k in range(2)]
    first, second = (rescan(cache, description) for description in described)
    by = drawn_movement(rng, second)
    a, b = scored(first, model, rule), scored(moved(second, by), model, rule)
    calcium = calcium_over_the_beat(cache.patient, cache.calcium[draw])
    breath_mm = [description.breathing_mm for description in described]
    return matched(AGAIN, centre, a, b, by, calcium, breath_mm) if a.lesions or b.lesions else None


def held_by(
    a: Seen, b: Seen, by: RigidTransform, calcium: Calcium, breath_mm: Sequence[float]
) -> tuple[list[frozenset[int]], list[frozenset[int]]]:
    """Return the pieces in each lesion of both scans; those of the second are moved back first."""
    back = by.inverse()
    at_rest = [replace(one, points_mm=back.apply(one.points_mm)) for one in b.lesions]
    first, second = (
        [pieces_in(one, calcium, mm) for one in lesions]
        for lesions, mm in zip((a.lesions, at_rest), breath_mm, strict=True)
    )
    return first, second


def moved_alone(study: KnownStudy, stage: Stage, rng: np.random.Generator) -> Compared | None:
    """Match a study with itself, moved, with new noise; None if it shows no lesion."""
    volume, by = study.volume, drawn_movement(rng, study.volume)
    again = moved(volume, by, noise=rng.normal(0, NOISE_HU, volume.hu.shape))
    labels = LabelMap(moved_labels(study.labels.labels, volume.geometry, by), volume.geometry)
    a, b = (of_labels(*scan, stage) for scan in ((volume, study.labels), (again, labels)))
    parts, _ = ndimage.label(np.isin(study.labels.labels, NAMED_VESSELS), np.ones((3, 3, 3)))
    at = np.argwhere(parts)
    places = at @ volume.geometry.affine[:3, :3].T + volume.geometry.affine[:3, 3]
    part = parts[tuple(at.T)]
    cells, piece = np.unique(np.column_stack([part, places // PIECE_MM]), axis=0, return_inverse=True)
    calcium = Calcium(cKDTree(places), piece.ravel(), cells[:, 0].astype(int))
    return matched(ALONE, study.facts.centre, a, b, by, calcium) if a.lesions or b.lesions else None


NOISE_HU = 12.0
"""Noise that is added to a scan that was moved: interpolation took about as much away."""


def of_labels(volume: Volume, labels: LabelMap, stage: Stage) -> Seen:
    begin = time.process_time()
    lesions, _ = score_label_map(volume, labels, SCCT_2016)
    heart = locate(volume, stage).heart
    return Seen(volume, heart, place_lesions(lesions, SCCT_2016), time.process_time() - begin)


def moved_labels(labels: Bytes, geometry: Geometry, by: RigidTransform) -> Bytes:
    found = Volume(labels.astype(np.float32), geometry).resample(grid_before(geometry, by), order=0, fill_hu=0).hu
    return np.asarray(np.rint(found), np.uint8)


AGAIN, ALONE = "scanned again", "moved alone"


def matched(
    second: str, centre: str, a: Seen, b: Seen, by: RigidTransform, calcium: Calcium,
    breath_mm: Sequence[float] = (0.0, 0.0),
) -> Compared:  # fmt: skip
    """Register and match two scans, and hold the matches against the truth."""
    begin = time.process_time()
    transform = register(a.volume, a.heart, b.volume, b.heart)
    matches = match_lesions(a.lesions, b.lesions, transform)
    seconds = time.process_time() - begin
    places = np.vstack([one.centre_mm for one in a.lesions] or [a.volume.geometry.to_patient_mm((0, 0, 0))])
    error_mm = float(np.linalg.norm(transform.apply(places) - by.apply(places), axis=1).max())
    right = rightly(matches, a.lesions, b.lesions, held_by(a, b, by, calcium, breath_mm), calcium)
    return Compared(
        second, centre, len(a.lesions) + len(b.lesions), right, error_mm, transform.fit,
        Counter(match.kind.value for match in matches), a.seconds + b.seconds, seconds,
    )  # fmt: skip


def all_again(arguments: argparse.Namespace) -> Iterator[Compared]:
    model, rng = load_model(), np.random.default_rng(arguments.seed)
    for number in range(arguments.patients):
        patient_seed = arguments.seed * 1_000_000 + number
        cache = draw_rescanned_anatomy(patient_seed)
        for draw in range(1, len(RESCANNED)):
            for place, centre in enumerate(arguments.centres):
                seed = patient_seed * 1000 + place * 100 + draw * 10
                try:
                    found = compared(cache, draw, centre, model, rng, seed)
                except Refusal as refusal:
                    print(f"draw {draw}, {centre}: left out, {refusal}", flush=True)
                    continue
                if found:
                    print(f"draw {draw}, {centre}: {found.right} of {found.lesions} lesions", flush=True)
                    yield found


def all_alone(arguments: argparse.Namespace) -> Iterator[Compared]:
    stage, rng = load_locator(), np.random.default_rng(arguments.seed)
    before: KnownStudy | None = None
    for path in sorted(arguments.studies.glob("[!.]*.npz")):
        study = read_test_study(path)
        if before and before.facts.seed != study.facts.seed:
            print(f"another patient's heart: fit {fit_of_others(before, study, stage):.2f}", flush=True)
        before = study
        if found := moved_alone(study, stage, rng):
            print(f"{path.stem}: {found.right} of {found.lesions} lesions", flush=True)
            yield found


def fit_of_others(a: KnownStudy, b: KnownStudy, stage: Stage) -> float:
    """Return how well the hearts of two patients fit upon each other, accepted or not."""
    hearts = [locate(study.volume, stage).heart for study in (a, b)]
    return best_fit(a.volume, hearts[0], b.volume, hearts[1]).fit


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=Path)
    parser.add_argument("--patients", type=int, default=1)
    parser.add_argument("--seed", type=int, default=82)
    parser.add_argument("--centres", nargs="+", default=["spect_ct_16slice", "hawkeye_slow", "pet_ct_100kvp"])
    arguments = parser.parse_args()
    report(list(all_alone(arguments) if arguments.studies else all_again(arguments)))


def report(found: Sequence[Compared]) -> None:
    kinds = sum((one.kinds for one in found), Counter[str]())
    lesions, right = sum(one.lesions for one in found), sum(one.right for one in found)
    print(
        f"\n{found[0].second}: {len(found)} pairs, {lesions} lesions, {right} matched rightly ({right / lesions:.1%})"
    )
    print(f"matches: {', '.join(f'{kinds[kind]} {kind}' for kind in map(str, Kind))}")
    errors, fits = (np.array([getattr(one, name) for one in found]) for name in ("registration_mm", "fit"))
    print(f"registration: error {np.median(errors):.1f} mm, at most {errors.max():.1f}; fit {fits.min():.2f} at least")
    for name, what in (("scoring_s", "CPU, scoring both"), ("matching_s", "CPU, registration and matching")):
        seconds = np.array([getattr(one, name) for one in found])
        print(f"{what}: {np.median(seconds):.2f} s, at most {seconds.max():.2f}")


if __name__ == "__main__":
    main()
