"""Fine-tuning: it continues from a model's ONNX file, gains on the site's studies, and is refused if it forgets."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ctacal.errors import UsageError
from ctacal.labels import Calcium
from ctacal.nn.finetune import Outcome, Plan, finetune
from ctacal.nn.predict import load_model
from ctacal.nn.samples import Sample, write_sample
from ctacal.nn.validate import Validation
from tests.commands import run
from tests.nn.toys import toys

pytestmark = pytest.mark.slow

STEPS, LEARNING_RATE = 40, 5e-3


def misread(sample: Sample) -> Sample:
    """Return the sample as read at a site whose readers label as valve what the network has learnt as RCA."""
    labels = np.where(sample.labels == Calcium.RCA, np.uint8(Calcium.OTHER), sample.labels)
    return replace(sample, labels=labels, mass_mg=np.full_like(sample.mass_mg, np.nan))


def folder_of(samples: list[Sample], folder: Path) -> Path:
    for sample in samples:
        write_sample(folder, sample)
    return folder


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    for split in ("training", "validation"):
        folder_of([misread(sample) for sample in toys()], folder / split)
    return folder


@pytest.fixture(scope="module")
def guard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The samples on which the network was trained."""
    return folder_of(toys(), tmp_path_factory.mktemp("guard"))


@pytest.mark.slow
def test_a_model_that_forgot_is_refused_unless_it_is_forced(
    exported: Path, site: Path, guard: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    arguments = ("finetune", site, "-o", tmp_path, "--model", exported, "--guard", guard)
    options = ("--steps", STEPS, "--learning-rate", LEARNING_RATE)
    assert run(*arguments, *options, monkeypatch=monkeypatch) == 1
    printed = capsys.readouterr().out
    assert "the guard set, simulated: kappa 1.000" in printed
    assert "REFUSED: kappa on the guard set fell by 0." in printed
    assert not (tmp_path / "model").exists()
    assert run(*arguments, *options, "--force", monkeypatch=monkeypatch) == 0, "trained already, so judged at once"
    assert "FORCED" in capsys.readouterr().out
    tuned, base = load_model(tmp_path / "model", threads=1), load_model(exported, threads=1)
    assert tuned.info.digest != base.info.digest
    facts = tuned.card["facts"]
    assert facts["fine_tuned_from"]["digest"] == base.info.digest
    assert facts["guard"]["before"]["kappa"] - facts["guard"]["after"]["kappa"] > 0.02
    assert facts["site"]["after"]["dice"] > facts["site"]["before"]["dice"]
    assert facts["licence"] == "Apache-2.0"
    assert str(tmp_path) not in json.dumps(tuned.card)


@pytest.mark.slow
def test_what_the_guard_knows_too_is_kept(exported: Path, site: Path, tmp_path: Path) -> None:
    plan = Plan(model=exported, sources=[site], guard=[site / "validation"], steps=STEPS, learning_rate=LEARNING_RATE)
    outcome = finetune(plan, tmp_path, report=lambda *_: None, complain=lambda _: None)
    assert outcome.gained
    assert outcome.fall < 0
    assert not outcome.forgot


@pytest.mark.slow
def test_what_gains_nothing_is_refused(
    exported: Path, guard: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two steps with far too high a learning rate, on samples that the network has learnt already."""
    for split in ("training", "validation"):
        folder_of(toys(), tmp_path / "known" / split)
    arguments = ("finetune", tmp_path / "known", "-o", tmp_path, "--model", exported, "--no-guard")
    assert run(*arguments, "--steps", 2, "--learning-rate", 10.0, monkeypatch=monkeypatch) == 1
    assert "REFUSED: nothing was gained" in capsys.readouterr().out


def test_the_commands_defaults_are_those_of_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plans: list[Plan] = []

    def noted(plan: Plan, *_: object, **__: object) -> None:
        plans.append(plan)
        raise UsageError("far enough")

    monkeypatch.setattr("ctacal.jobs.finetune.finetune", noted)
    assert run("finetune", "a", "-o", tmp_path, "--model", "b", "--no-guard", monkeypatch=monkeypatch) == 2
    assert plans == [Plan(model=Path("b"), sources=[Path("a")], guard=())]


@pytest.mark.parametrize(("fall", "forgot"), [(-0.1, False), (0.019, False), (0.021, True)])
def test_as_much_may_be_forgotten_as_is_stated(fall: float, forgot: bool) -> None:
    before = Validation(0.9, 0.9, 0.9, 0.9, 0.9, ())
    pair = (before, replace(before, kappa=before.kappa - fall))
    assert Outcome(Path("best.pt"), True, pair, pair, 0.02).forgot == forgot


@pytest.mark.slow
def test_a_guard_of_one_category_says_nothing(exported: Path, site: Path, tmp_path: Path) -> None:
    folder_of(toys()[:1], tmp_path / "guard")
    plan = Plan(model=exported, sources=[site], guard=[tmp_path / "guard"], steps=1)
    with pytest.raises(UsageError, match="one risk category"):
        finetune(plan, tmp_path / "out", report=lambda *_: None, complain=lambda _: None)


@pytest.mark.slow
def test_a_guard_set_is_required(
    exported: Path, site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("finetune", site, "-o", tmp_path / "out", "--model", exported, monkeypatch=monkeypatch) == 2
    assert "--no-guard" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
