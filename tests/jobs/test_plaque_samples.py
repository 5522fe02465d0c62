"""Samples of the plaque network: many plaques, and what is taken for them, with the kind of each voxel."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from ctacal.cli import samples
from ctacal.cli.app import app
from ctacal.errors import Code, Refusal, UsageError
from ctacal.jobs import plaque_samples
from ctacal.jobs.plaque_samples import NAMES, islands_of, make_plaques, plaque_kinds
from ctacal.jobs.samples import HELD_OUT, PlaqueSet, training_protocols
from ctacal.labels import Calcium
from ctacal.nn.config import NetworkConfig
from ctacal.nn.plaque_samples import read_plaques
from ctacal.nn.predict import Model, load_model
from ctacal.simulate.anatomy.calcium import CalciumDescription, Kind
from ctacal.simulate.scanner.protocol import load_protocol
from ctacal.simulate.training import clinical
from ctacal.simulate.training.anatomy_cache import PLAQUES_WANTED, AnatomyCache, coronary_mm3
from ctacal.simulate.training.crop import Crop
from ctacal.simulate.truth import KIND_LABELS, VESSEL_LABELS


def test_each_voxel_has_the_class_of_what_it_is() -> None:
    labels = np.array([0, Calcium.LM, Calcium.RCA, *[Calcium.OTHER] * 6], np.uint8)
    kinds = (Kind.AORTIC_WALL, Kind.MITRAL_ANNULUS, Kind.STENT, Kind.BYPASS_CLIP, Kind.LYMPH_NODE, Kind.CONTRAST)
    deposits = np.array(
        [0, VESSEL_LABELS["LM"], VESSEL_LABELS["RCA"], *(KIND_LABELS[kind] for kind in kinds)], np.uint8
    )
    assert [NAMES[number] for number in plaque_kinds(labels, deposits)] == [
        "no calcium", "LM", "RCA", "aortic wall", "valve or annulus", "stent", "other metal", "other calcium",
        "other calcium",
    ]  # fmt: skip


def drawn(seed: int, draws: int, monkeypatch: pytest.MonkeyPatch, *, rare: bool = False) -> list[CalciumDescription]:
    """Return the draws of calcium of a patient, before a body is built."""
    monkeypatch.setattr(AnatomyCache, "of", lambda _patient, calcium: list(calcium))
    return clinical.draw_plaque_anatomy(seed, draws, rare=rare)  # type: ignore[return-value]


def test_patients_begin_at_different_places_of_what_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two patients of eight draws hold all sixteen: four each without, with little, some and much calcium."""
    found = [calcium for seed in (4, 5) for calcium in drawn(seed, 8, monkeypatch)]
    volumes = sorted(coronary_mm3(calcium) for calcium in found)
    assert len(found) == len(PLAQUES_WANTED) == 16
    assert volumes[3] == 0 < volumes[4] and volumes[7] <= 40 < volumes[8] and volumes[11] <= 160 < volumes[12]
    with_metal = [any(d.kind in (Kind.STENT, Kind.BYPASS_CLIP) for d in calcium.deposits) for calcium in found]
    assert sum(with_metal) >= 4


def test_half_of_the_rare_draws_have_a_stent(monkeypatch: pytest.MonkeyPatch) -> None:
    found = drawn(4, 8, monkeypatch, rare=True)
    sites = [{(d.kind, d.site) for d in calcium.deposits} for calcium in found]
    assert sum(any(kind is Kind.STENT for kind, _ in has) for has in sites) >= 4
    assert sum((Kind.CORONARY, "LM") in has for has in sites) >= 2


def test_slow_tubes_turn_for_seconds_at_the_same_dose() -> None:
    protocol = load_protocol("spect_ct_2slice")
    slow = [clinical._slow(np.random.default_rng(seed), protocol) for seed in range(20)]
    assert all(low <= one.rotation_s <= high for one in slow for low, high in [clinical.SLOW_S])
    assert max(one.rotation_s for one in slow) > 15
    assert [one.mas for one in slow] == pytest.approx([protocol.mas * protocol.pitch] * 20)
    assert not any(one.helical for one in slow)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Draw every patient without a body, and keep the numbers of the draws that are scanned."""
    scanned: list[int] = []

    class Drawn:
        calcium = (CalciumDescription(()),) * 3

    def describe(
        _anatomy: Drawn, _seed: int, number: int, _protocols: object, *, varied: bool, hard: bool, slow: bool
    ) -> int:
        assert varied and not hard and not slow
        scanned.append(number)
        return number

    monkeypatch.setattr(plaque_samples, "draw_plaque_anatomy", lambda _seed, _draws, rare: Drawn())
    monkeypatch.setattr(plaque_samples, "describe_picture", describe)
    monkeypatch.setattr(plaque_samples, "simulate_crop", lambda _anatomy, description: description)
    monkeypatch.setattr(plaque_samples, "islands_of", lambda _crop, _model: None)
    return scanned


def test_only_what_is_missing_is_made(patient: list[int], tmp_path: Path) -> None:
    """Where a patient has fewer draws than studies, the draws come again."""
    wanted = PlaqueSet(out=tmp_path, count=1, each=4, seed=9, protocols=training_protocols())
    (tmp_path / "plaques-9000000-01.npz").write_bytes(b"made")
    assert list(make_plaques(wanted)) == [""] and patient == [0, 2, 0]
    assert list(make_plaques(wanted)) == [""] and len(patient) == 3


def test_a_scan_without_a_heart_gives_no_islands() -> None:
    class Blind(Model):
        def raw_output(self, *_: object) -> object:  # type: ignore[override]
            raise Refusal(Code.HEART_NOT_FOUND, "none")

    model = load_model(threads=1)
    blind = Blind(model.info, model.heart, model.calcium, model.card)

    class Empty:
        hu = np.zeros((2, 4, 4), np.float32)
        labels = structures = np.zeros((2, 4, 4), np.uint8)
        geometry = None

    crop: Crop = Empty()  # type: ignore[assignment]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(plaque_samples, "Volume", lambda *_: None)
        assert islands_of(crop, blind) is None


def test_the_command_asks_for_training_protocols(patient: list[int], tmp_path: Path) -> None:
    options = samples.Options(what="plaques", out=tmp_path, each=2, seed=9)
    assert samples.run(options) == 0 and patient == [0, 1]
    wanted = samples._simulated(options)
    assert isinstance(wanted, PlaqueSet) and not set(wanted.protocols) & set(HELD_OUT)


def test_the_command_passes_the_model_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[samples.Options] = []

    def run(options: samples.Options) -> int:
        asked.append(options)
        return 0

    monkeypatch.setattr(samples, "run", run)
    arguments = ["samples", "plaques", "-o", str(tmp_path), "--model", str(tmp_path / "mine")]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert asked[0].model == tmp_path / "mine"


def test_a_model_that_knows_no_structures_is_refused(tmp_path: Path) -> None:
    """Its samples would all be empty."""
    model = load_model(threads=1)
    blind = replace(model, heart=replace(model.heart, config=NetworkConfig.heart()))
    with pytest.MonkeyPatch.context() as patched, pytest.raises(UsageError, match="needs an anatomy network"):
        patched.setattr(plaque_samples, "load_model", lambda _folder, threads: blind)
        plaque_samples._model(tmp_path)


def test_a_model_is_for_plaques_alone(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--model holds for plaques, not for test"):
        samples.run(samples.Options(what="test", out=tmp_path, model=tmp_path))


def test_rare_holds_for_plaques_alone_and_reaches_the_job(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--rare holds for plaques, not for validation"):
        samples.run(samples.Options(what="validation", out=tmp_path, rare=True))
    wanted = samples._simulated(samples.Options(what="plaques", out=tmp_path, rare=True))
    assert isinstance(wanted, PlaqueSet) and wanted.rare


@pytest.mark.ci
def test_one_study_from_the_simulator_to_islands(tmp_path: Path) -> None:
    """The whole way with the model that ships: a patient with much calcium shows plaques of known vessels."""
    wanted = PlaqueSet(out=tmp_path, count=1, each=3, seed=9, protocols=("pet_ct_140kvp",))
    assert list(make_plaques(wanted)) == [""]
    plaques = read_plaques([tmp_path])
    coronary = plaques.truth[:, 1:5].sum(axis=1)
    assert (coronary > 0.5).any() and (plaques.agatston > 0).all()
    bright = [(hu[own > 0] >= 100).mean() for hu, own in zip(plaques.hu, plaques.own, strict=True) if own.any()]
    assert np.median(bright) > 0.6
