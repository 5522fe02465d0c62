"""Samples of the simulator: they store what was scanned, nothing is made twice, wrong usage is refused."""

from dataclasses import replace
from functools import partial
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

import ctacal
from ctacal.anatomy import Anatomy
from ctacal.cli import samples
from ctacal.errors import UsageError
from ctacal.jobs import simulated_samples
from ctacal.jobs.samples import HELD_OUT, KnownSet, Made, SampleSet, checked_protocols, make, network_of
from ctacal.jobs.simulated_samples import make_samples, make_test_studies, sample_of
from ctacal.labels import Calcium
from ctacal.nn.classes import NOT_CORONARY
from ctacal.nn.config import NetworkConfig, read_recipe
from ctacal.nn.known_study import read_test_study
from ctacal.nn.samples import read_sample
from ctacal.scores import score_label_map
from ctacal.simulate.anatomy.calcium import CalciumDescription, Deposit, Kind
from ctacal.simulate.anatomy.description import draw_patient
from ctacal.simulate.scanner.protocol import load_protocol
from ctacal.simulate.training import clinical
from ctacal.simulate.training.anatomy_cache import AnatomyCache, Sampling
from ctacal.simulate.training.crop import Crop, simulate_crop
from ctacal.simulate.training.description import draw_heart_description
from tests import places

CRUDE = Sampling(slice_mm=5.0, pixel_mm=2.5, views=60, detector_mm=2.5, states=2, margin_mm=(20.0, 50.0))
CALCIUM = CalciumDescription(
    (
        Deposit(Kind.CORONARY, "LAD", 0.3, 0.0, 30.0, 3.0, 300.0, 1500.0, 1),
        Deposit(Kind.LYMPH_NODE, "", 0.4, 40.0, 12.0, 10.0, 360.0, 900.0, 2),
    )
)


@pytest.fixture(scope="module")
def cache() -> AnatomyCache:
    return AnatomyCache.of(draw_patient(3), [CALCIUM], CRUDE)


@pytest.fixture(scope="module")
def crop(cache: AnatomyCache) -> Crop:
    return simulate_crop(cache, draw_heart_description(cache, 5, 0, protocols=["pet_ct_140kvp"]))


@pytest.fixture
def one_patient(cache: AnatomyCache, monkeypatch: pytest.MonkeyPatch) -> AnatomyCache:
    """Make every patient the same, built coarsely."""
    monkeypatch.setattr(simulated_samples, "draw_anatomy", lambda _seed, _sampling=None: cache)
    monkeypatch.setattr(simulated_samples, "draw_hard_anatomy", lambda _seed, _sampling=None: cache)
    monkeypatch.setattr(simulated_samples, "draw_clinical_anatomy", lambda _seed, _draws, hard: cache)
    return cache


def calcium_set(out: Path, each: int = 2) -> SampleSet:
    return SampleSet(out=out, network=NetworkConfig(), count=1, each=each, seed=3, protocols=("pet_ct_140kvp",))


@pytest.mark.slow
def test_a_sample_holds_the_whole_heart_its_calcium_and_mass(crop: Crop) -> None:
    sample = sample_of("a", crop, NetworkConfig())
    assert sample.spacing_mm[1:] == pytest.approx((1.0, 1.0))
    heart_ml = sample.heart.sum() * np.prod(sample.spacing_mm) / 1000
    whole_ml = crop.heart[crop.measured].sum() * crop.geometry.voxel_volume_mm3 / 1000
    assert heart_ml == pytest.approx(whole_ml, rel=0.03)
    assert sample.mass_mg[:, 1].sum() == pytest.approx(crop.mass_mg[:, Calcium.LAD - Calcium.LM].sum(), rel=0.02)
    assert sample.mass_mg[:, [0, 2, 3]].sum() == 0
    assert set(np.unique(sample.labels)) >= {0, Calcium.LAD}
    lad_mm3 = (sample.labels == Calcium.LAD).sum() * np.prod(sample.spacing_mm)
    assert lad_mm3 == pytest.approx((crop.labels == Calcium.LAD).sum() * crop.geometry.voxel_volume_mm3, rel=0.1)


@pytest.mark.slow
def test_slices_beyond_the_anatomy_are_left_out(crop: Crop) -> None:
    measured = crop.measured.copy()
    measured[:3] = False
    whole, part = (sample_of("a", shown, NetworkConfig()) for shown in (crop, replace(crop, measured=measured)))
    assert len(part.hu) == len(whole.hu) - max(0, 3 - (len(crop.hu) - len(whole.hu)))


@pytest.mark.slow
def test_samples_are_made_once(
    one_patient: AnatomyCache, crop: Crop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every scan gives the same crop, for speed."""
    monkeypatch.setattr(simulated_samples, "simulate_crop", lambda _cache, _description: crop)
    assert list(make_samples(calcium_set(tmp_path))) == [""]
    paths = sorted(tmp_path.glob("*.npz"))
    assert [path.name for path in paths] == ["simulated-3000000-00.npz", "simulated-3000000-01.npz"]
    assert (read_sample(paths[0]).labels == Calcium.LAD).any()
    first = paths[0].read_bytes()
    paths[1].unlink()
    assert list(make_samples(calcium_set(tmp_path))) == [""]
    assert paths[0].read_bytes() == first and paths[1].exists()
    monkeypatch.setattr(simulated_samples, "draw_anatomy", None)  # would fail if anything were made
    assert list(make_samples(calcium_set(tmp_path))) == [""]


@pytest.mark.slow
def test_hard_samples_have_names_of_their_own(
    one_patient: AnatomyCache, crop: Crop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one folder with others of the same seed, nothing is taken for what is there already."""
    drawn: list[bool] = []
    monkeypatch.setattr(simulated_samples, "simulate_crop", lambda _cache, _description: crop)
    monkeypatch.setattr(simulated_samples, "draw_heart_description", lambda *_, hard, protocols: drawn.append(hard))
    for hard in (False, True):
        assert list(make_samples(replace(calcium_set(tmp_path, 1), hard=hard))) == [""]
    assert [path.name for path in sorted(tmp_path.glob("*.npz"))] == [
        "hard-3000000-00.npz", "simulated-3000000-00.npz",
    ]  # fmt: skip
    assert drawn == [False, True]


@pytest.mark.slow
def test_anatomy_samples_have_no_holes_in_the_heart(crop: Crop) -> None:
    patient = draw_patient(3)
    network = replace(NetworkConfig.anatomy(), slice_mm=crop.geometry.spacing_mm[0], pixel_mm=1.0)
    sample = sample_of("a", crop, network, patient)
    assert sample.anatomy is not None and sample.anatomy.shape == sample.hu.shape
    assert {Anatomy.LEFT_VENTRICLE, Anatomy.ASCENDING_AORTA, Anatomy.LUNG} <= set(np.unique(sample.anatomy).tolist())
    calcium = sample.labels == Calcium.LAD
    assert calcium.any() and sample.heart[calcium].mean() > 0.7, "what its blur adds may lie in lung"
    with_holes = sample_of("a", crop, network)
    assert with_holes.anatomy is None and with_holes.heart[calcium].mean() < 0.1


def test_anatomy_samples_follow_the_recipe_of_their_kind() -> None:
    assert network_of(None, "anatomy") == read_recipe(places.RECIPES / "anatomy.toml").network
    with pytest.raises(UsageError, match=r"anatomy\.toml is no recipe for heart samples"):
        network_of(places.RECIPES / "anatomy.toml", "heart")


def test_a_patient_that_fails_is_reported_and_the_next_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(seed: int, _sampling: Sampling) -> AnatomyCache:
        raise ValueError(f"no room in {seed}")

    monkeypatch.setattr(simulated_samples, "draw_anatomy", fails)
    reported: list[str] = []
    steps: list[tuple[int, int]] = []
    made = make(
        replace(calcium_set(tmp_path), count=2),
        complain=reported.append,
        progress=lambda done, total: steps.append((done, total)),
    )
    assert reported == ["patient 0: ValueError: no room in 3000000", "patient 1: ValueError: no room in 3000001"]
    assert made == Made(files=0, failed=2)
    assert steps == [(0, 2), (1, 2), (2, 2)]


@pytest.mark.slow
def test_a_test_study_knows_its_truth(one_patient: AnatomyCache, tmp_path: Path) -> None:
    wanted = KnownSet(out=tmp_path, count=1, each=1, seed=9, protocols=HELD_OUT)
    assert list(make_test_studies(wanted)) == [""]
    study = read_test_study(tmp_path / "known-9000000-00.npz")
    assert study.facts.centre in HELD_OUT
    assert study.facts.reference_agatston is not None and study.facts.reference_agatston > 100
    assert study.facts.reference_per_vessel is not None
    assert study.facts.reference_per_vessel["LAD"] == study.facts.reference_agatston
    assert study.facts.deposit_kinds == ("lymph_node",)
    assert study.facts.mass_mg is not None and study.facts.mass_mg["LAD"] > 20
    assert study.deposit_labels is not None
    assert ((study.labels.labels > 0) == (study.deposit_labels > 0)).mean() > 0.999


@pytest.mark.slow
def test_the_hard_test_cohort_has_names_and_calcium_of_its_own(
    cache: AnatomyCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its patients are clinical and its protocols those never trained on; only calcium and devices differ."""
    drawn: list[bool] = []

    def draw(_seed: int, _draws: int, *, hard: bool) -> AnatomyCache:
        drawn.append(hard)
        return cache

    monkeypatch.setattr(simulated_samples, "draw_clinical_anatomy", draw)
    wanted = KnownSet(out=tmp_path, count=1, each=1, seed=9, protocols=("hawkeye_slow",), hard=True)
    assert list(make_test_studies(wanted)) == list(make_test_studies(wanted)) == [""]
    assert drawn == [True], "the second run makes nothing again"
    assert read_test_study(tmp_path / "hard-9000000-00.npz").facts.centre == "hawkeye_slow"


def test_hard_test_patients_have_more_that_is_confused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted before a body is built."""
    monkeypatch.setattr(AnatomyCache, "of", lambda _patient, calcium: calcium)

    def others(hard: bool) -> float:
        drawn = [d for seed in range(20) for d in clinical.draw_clinical_anatomy(seed, 4, hard=hard)]  # type: ignore[attr-defined]
        return float(np.mean([sum(d.kind is not Kind.CORONARY for d in calcium.deposits) for calcium in drawn]))

    assert others(True) > 2 * others(False)


@pytest.mark.slow
def test_pictures_lie_within_what_was_built(cache: AnatomyCache) -> None:
    for seed in range(20):
        for varied in (False, True):
            picture = clinical.describe_picture(cache, seed, 0, HELD_OUT, varied=varied)
            half_mm = picture.protocol.thickness_mm / 2
            top_mm = picture.bottom_mm + (picture.shape[0] - 1) * picture.protocol.spacing_mm + half_mm
            top_mm += picture.breathing_mm
            low, high = (cache.geometry.to_patient_mm((k, 0, 0))[2] for k in (-0.5, cache.geometry.shape[0] - 0.5))
            assert picture.bottom_mm - half_mm >= low and top_mm <= high


def test_a_protocol_of_your_own_stays_a_file(tmp_path: Path) -> None:
    """The name in it is no preset: the workers read the file again."""
    own = tmp_path / "ours.toml"
    preset = files("ctacal.simulate.scanner.protocols") / "hawkeye_slow.toml"
    own.write_text(preset.read_text(encoding="utf-8"), encoding="utf-8")
    (known,) = checked_protocols([str(own)])
    assert load_protocol(known).mtf50_per_mm == load_protocol("hawkeye_slow").mtf50_per_mm


@pytest.mark.ci
@pytest.mark.reference
def test_calcium_inserted_into_a_real_scan_is_a_test_study(reference_data: Path, tmp_path: Path) -> None:
    scan = reference_data / "acrin_flt_breast_001_ctac"
    options = samples.Options(what="inserted", out=tmp_path, count=2, seed=3, scans=[scan])
    assert samples.run(options) == 0
    scored = []
    for path in sorted(tmp_path.glob("*.npz")):
        study = read_test_study(path)
        assert study.facts.reference_agatston is not None and study.facts.mass_mg is not None
        assert study.deposit_labels is None
        scored.append(
            (score_label_map(study.volume, study.labels)[1].agatston.total, sum(study.facts.mass_mg.values()))
        )
    assert len(scored) == 2
    assert all(mass_mg > 0 for agatston, mass_mg in scored if agatston > 0)


@pytest.mark.slow
def test_a_sites_own_studies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The sample stands for a site's study; a row that fails is reported, and the others are made."""
    sample = Path(ctacal.__file__).parent / "sample"
    scan, labels = sample / "thorax_phantom.zip", sample / "thorax_phantom_labels.nii.gz"
    table = tmp_path / "studies.csv"
    table.write_text(f"study,labels,split\n{scan},{labels},training\nnone.zip,none.nii,validation\n")
    assert samples.run(samples.Options(what="site", out=tmp_path / "out", table=table)) == 1
    assert "none.zip" in capsys.readouterr().err
    (made,) = (tmp_path / "out").rglob("*.npz")
    assert made.parent.name == "training"
    assert {Calcium.LAD, Calcium.RCA, NOT_CORONARY} <= set(np.unique(read_sample(made).labels).tolist())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (partial(samples.Options, what="calcium", count=0), "-n is 0"),
        (partial(samples.Options, what="calcium", each=-1), "--each is -1"),
        (partial(samples.Options, what="heart", seed=-1), "--seed is -1"),
        (partial(samples.Options, what="heart", workers=0), "--workers is 0"),
        (partial(samples.Options, what="test", protocols=("nowhere",)), "nowhere"),
        (partial(samples.Options, what="inserted"), "--scan"),
        (partial(samples.Options, what="inserted", scans=[Path("no-such-scan")]), "no-such-scan"),
        (partial(samples.Options, what="site"), "--table"),
        (partial(samples.Options, what="site", hard=True), "--hard holds for simulated patients, not for site"),
    ],
)
def test_wrong_usage(options: partial[samples.Options], message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        samples.run(options(out=tmp_path / "out"))
