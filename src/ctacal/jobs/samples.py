"""Training samples and test studies: which to make, and making those that are missing.

The simulator is imported only when it runs.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ctacal.errors import UsageError
from ctacal.nn.config import NetworkConfig, read_recipe
from ctacal.progress import Progress, no_progress

HELD_OUT = ("spect_ct_16slice", "hawkeye_slow", "pet_ct_100kvp")
"""Protocols of the test cohort: no network is trained on them. The second is slow and noisy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleSet:
    """Training samples: ``count`` patients of a seed, each scanned ``each`` times with varied ``protocols``."""

    out: Path
    network: NetworkConfig
    count: int
    each: int
    seed: int
    protocols: tuple[str, ...]
    hard: bool = False
    """Whether patients differ more than in a cohort, with many confounders, and protocols leave the usual range."""

    def names(self, patient_seed: int) -> list[str]:
        """Return the names of one patient's samples."""
        return [f"{'hard' if self.hard else 'simulated'}-{patient_seed}-{k:02d}" for k in range(self.each)]


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownSet:
    """Whole studies with their truth: ``count`` patients of a seed, ``each`` draws of calcium, one protocol each."""

    out: Path
    count: int
    each: int
    seed: int
    protocols: tuple[str, ...]
    varied: bool = False
    """Whether the protocols are varied as in training (validation); for a test they are used as they are."""
    hard: bool = False
    """Whether the patients, drawn as in a cohort, have many confounders; varied protocols leave the usual range."""

    def path(self, patient_seed: int, k: int) -> Path:
        """Return the file of one study."""
        return self.out / f"{'hard' if self.hard else 'known'}-{patient_seed}-{k:02d}.npz"

    def missing(self, patient_seed: int) -> dict[int, Path]:
        """Return the files of one patient that do not exist, by the number of the study."""
        return _missing(self.path(patient_seed, k) for k in range(self.each))


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaqueSet:
    """Samples of the plaque network: the islands of ``count`` patients of a seed, each with ``each`` draws of calcium.

    The studies show many plaques, and much of what is taken for plaques.
    """

    out: Path
    count: int
    each: int
    seed: int
    protocols: tuple[str, ...]
    hard: bool = False
    """Whether protocols leave the usual range."""
    rare: bool = False
    """Whether the studies show what is rare in patients: stents, plaques of the left main, slow tubes."""
    model: Path | None = None
    """Folder of the model that finds the islands; None: the model that ships."""

    def path(self, patient_seed: int, k: int) -> Path:
        """Return the file of the islands of one study."""
        return self.out / f"plaques-{patient_seed}-{k:02d}.npz"

    def missing(self, patient_seed: int) -> dict[int, Path]:
        """Return the files of one patient that do not exist, by the number of the study."""
        return _missing(self.path(patient_seed, k) for k in range(self.each))


def _missing(paths: Iterable[Path]) -> dict[int, Path]:
    return {k: path for k, path in enumerate(paths) if not path.exists()}


@dataclass(frozen=True, slots=True, kw_only=True)
class InsertedSet:
    """Real scans with drawn calcium: ``count`` studies in all, made from the scans in turn."""

    out: Path
    scans: tuple[Path, ...]
    count: int
    seed: int
    allow_calcium: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteSet:
    """A site's own annotated studies."""

    out: Path
    table: Path
    """CSV with the columns study, labels, split."""
    network: NetworkConfig


@dataclass(frozen=True, slots=True)
class Made:
    """The outcome of making a set."""

    files: int
    """Samples or studies that the folder now holds, those of earlier runs included."""
    failed: int
    """Patients or studies that could not be made."""


def make(
    wanted: SampleSet | KnownSet | PlaqueSet | InsertedSet | SiteSet,
    *,
    workers: int = 1,
    progress: Progress = no_progress,
    complain: Callable[[str], object] = lambda _: None,
) -> Made:
    """Make what the folder lacks; ``complain`` is called with each failure, and the other samples are still made."""
    if isinstance(wanted, SiteSet):
        return _make_from_site(wanted, complain)
    results = _results(wanted, workers)
    wanted.out.mkdir(parents=True, exist_ok=True)
    failed = 0
    progress(0, wanted.count)
    for number, problem in enumerate(results):
        if problem:
            failed += 1
            complain(f"patient {number}: {problem}")
        progress(number + 1, wanted.count)
    return Made(sum(1 for _ in wanted.out.glob("[!.]*.npz")), failed)


def _results(wanted: SampleSet | KnownSet | PlaqueSet | InsertedSet, workers: int) -> Iterator[str]:
    """Yield for each patient what went wrong, or an empty string."""
    from ctacal.jobs.plaque_samples import make_plaques
    from ctacal.jobs.simulated_samples import make_inserted_studies, make_samples, make_test_studies

    if isinstance(wanted, PlaqueSet):
        return make_plaques(wanted, workers=workers)

    if isinstance(wanted, SampleSet):
        return make_samples(wanted, workers=workers)
    if isinstance(wanted, KnownSet):
        return make_test_studies(wanted, workers=workers)
    return make_inserted_studies(wanted, workers=workers)


def _make_from_site(wanted: SiteSet, complain: Callable[[str], object]) -> Made:
    from ctacal.nn.annotated import cache_annotated
    from ctacal.nn.locate import locate
    from ctacal.nn.predict import load_model

    heart = load_model().heart
    problems = cache_annotated(wanted.table, wanted.out, wanted.network, locate=lambda scan: locate(scan, heart))
    for problem in problems:
        complain(problem)
    return Made(sum(1 for _ in wanted.out.rglob("[!.]*.npz")), len(problems))


def training_protocols() -> tuple[str, ...]:
    """Return the protocols that networks are trained on: all but those of phantoms and of the test cohort."""
    from ctacal.simulate.scanner.protocol import protocol_names
    from ctacal.simulate.training.description import PHANTOM_PROTOCOLS

    return tuple(name for name in protocol_names() if name not in (*HELD_OUT, *PHANTOM_PROTOCOLS))


def checked_protocols(protocols: Sequence[str]) -> tuple[str, ...]:
    """Return the names as they are. Raises ``UsageError`` now, not in a worker, if a protocol cannot be read."""
    from ctacal.simulate.scanner.protocol import load_protocol

    for name in protocols:
        load_protocol(name)
    return tuple(protocols)


def network_of(recipe: Path | None, what: str) -> NetworkConfig:
    """Return the network whose pixels the samples get: a recipe's, or the default of heart, anatomy or calcium.

    Raises ``UsageError`` if the recipe is not of the right stage.
    """
    if recipe is None:
        return {"heart": NetworkConfig.heart, "anatomy": NetworkConfig.anatomy, "calcium": NetworkConfig}[what]()
    network = read_recipe(recipe).network
    wanted = network.kind if network.sees_whole_scan else "calcium"
    if wanted != what:
        raise UsageError(f"{recipe} is no recipe for {what} samples")
    return network
