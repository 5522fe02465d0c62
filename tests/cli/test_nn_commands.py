"""``ctacal train`` and ``ctacal export`` as typed."""

import csv
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from ctacal.nn.checkpoint import read_checkpoint
from ctacal.nn.config import NetworkConfig
from ctacal.nn.samples import write_sample
from tests.commands import run
from tests.nn.random_networks import HEART, checkpoint
from tests.nn.toys import toys


def recipe_file(folder: Path, *, steps: int, log_every: int = 1, validate_every: int = 500) -> Path:
    """A recipe with the toys beside it."""
    for sample in toys():
        write_sample(folder / "data", sample)
    path = folder / "recipe.toml"
    path.write_text(
        'name = "toy"\n[network]\nwidths = [4, 8]\nlstm_channels = 2\n'
        '[data]\ntraining = ["data"]\nvalidation = ["data"]\n'
        "[sampling]\nslices = 4\nrows = 40\ncolumns = 40\n"
        f"[train]\nsteps = {steps}\nsequences = 1\nlog_every = {log_every}\nvalidate_every = {validate_every}\n"
    )
    return path


def steps_logged(out: Path) -> list[int]:
    with (out / "log.csv").open(newline="") as file:
        return [int(row["step"]) for row in csv.DictReader(file)]


@pytest.mark.slow
def test_train_prints_validation_and_the_best_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = recipe_file(tmp_path, steps=2)
    for _ in range(2):  # again: it is done already
        assert run("train", path, "-o", tmp_path / "out", monkeypatch=monkeypatch) == 0
        printed = capsys.readouterr()
        assert printed.out.strip() == str(tmp_path / "out" / "best.pt")
        assert read_checkpoint(tmp_path / "out" / "best.pt").recipe.name == "toy"
    again = recipe_file(tmp_path, steps=3, log_every=20, validate_every=2)
    assert run("train", again, "-o", tmp_path / "new", monkeypatch=monkeypatch) == 0
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("  loss ")[0] for line in lines] == ["step 2", "step 3"]
    assert all("  dice 0." in line for line in lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "No such file"),
        ('name = "x"\n[train]\nstep = 1', "train.step: unknown"),
        ('name = "x"\n[data]\ntraining = ["none"]', "no training samples"),
        ('name = "x"', "names no training or no validation samples"),
    ],
)
def test_what_cannot_be_trained_is_one_line_and_status_2(
    text: str | None,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if text is not None:
        (tmp_path / "recipe.toml").write_text(text)
    assert run("train", tmp_path / "recipe.toml", "-o", tmp_path / "out", monkeypatch=monkeypatch) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_without_torch_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ctacal.jobs.train.find_spec", lambda name: None if name == "torch" else name)
    assert run("train", tmp_path / "recipe.toml", monkeypatch=monkeypatch) == 2
    assert "needs torch: pip install 'ctacal[train]'" in capsys.readouterr().err


@pytest.mark.slow
def test_ctrl_c_leaves_what_the_same_command_goes_on_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, out = recipe_file(tmp_path, steps=40), tmp_path / "out"
    command = [sys.executable, "-m", "ctacal", "train", str(path), "-o", str(out)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as training:
        while training.poll() is None and (not (out / "log.csv").exists() or len(steps_logged(out)) < 2):
            time.sleep(0.02)
        training.send_signal(signal.SIGINT)
        _, message = training.communicate(timeout=120)
    assert training.returncode == 130, message
    assert "the same command resumes" in message
    stopped_at = read_checkpoint(out / "last.pt").step
    assert 2 <= stopped_at < 40
    assert steps_logged(out) == list(range(1, stopped_at + 1))
    assert run(*command[3:], monkeypatch=monkeypatch) == 0
    assert steps_logged(out) == list(range(1, 41))


@pytest.mark.slow
def test_two_processes_by_torchrun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes that train together give other weights than a single process."""
    path = recipe_file(tmp_path, steps=3)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "ctacal"]
    done = subprocess.run([*launch, "train", path, "-o", tmp_path / "two"], capture_output=True, text=True, timeout=480)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(tmp_path / "two" / "best.pt"), "printed once"
    assert run("train", path, "-o", tmp_path / "one", monkeypatch=monkeypatch) == 0
    two, one = (read_checkpoint(tmp_path / name / "last.pt").weights for name in ("two", "one"))
    assert two.keys() == one.keys()
    assert not all(torch.equal(two[name], one[name]) for name in one)


@pytest.mark.slow
def test_export_prints_size_and_parity(
    exported: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The graphs are copied from an earlier export, since making them takes long; the comparison is done."""

    def copied(_: nn.Module, config: NetworkConfig, path: Path) -> None:
        path.parent.mkdir(exist_ok=True)
        shutil.copyfile(exported / f"{config.kind}.onnx", path)

    monkeypatch.setattr("ctacal.nn.export.write_onnx", copied)
    heart = checkpoint(HEART, tmp_path / "heart.pt")
    names = ("--name", "mine", "--version", "7")
    arguments = ("export", "--heart", heart, "-o", tmp_path / "out", *names, "--calcium")
    assert run(*arguments, trained / "best.pt", monkeypatch=monkeypatch) == 0
    message = capsys.readouterr().out
    assert "heart: 0.0" in message
    assert "(24 slices)" in message
    assert "mine 7 in" in message
    assert json.loads((tmp_path / "out" / "model.json").read_text())["version"] == "7"
    assert run(*arguments, heart, monkeypatch=monkeypatch) == 2
    assert "expected a calcium network" in capsys.readouterr().err
    capsys.readouterr()
    assert run("export", "--again", tmp_path / "mine", "-o", tmp_path / "same", monkeypatch=monkeypatch) == 2
    assert "holds no model" in capsys.readouterr().err
    assert run("export", "-o", tmp_path / "none", monkeypatch=monkeypatch) == 2
    assert "name what to export" in capsys.readouterr().err
