"""A network trained on the toys, and the model made from it: both take long, so all tests share them."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ctacal.nn.export import export
from ctacal.nn.train import fit
from tests.nn.random_networks import HEART, checkpoint
from tests.nn.toys import recipe, toys


def train_toy(folder: Path) -> None:
    """Train on the toys, in ``folder``."""
    torch.set_num_threads(1)
    fit(recipe(steps=110, sequences=3, log_every=10), toys(), toys(), folder)


def export_toy(trained: Path, folder: Path) -> None:
    """Make a model folder: the trained network, and a heart network with random weights."""
    heart = checkpoint(HEART, folder.with_suffix(".pt"))
    export(heart, trained / "best.pt", folder, name="toy", version="3", facts={"licence": "Apache-2.0"})


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """Return a folder that ``make`` fills; the processes of pytest-xdist share it, and the first process makes it."""
    root = factory.getbasetemp()
    root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root
    folder, done = root / name, root / f"{name}.done"
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            make(folder)
            done.touch()
    return folder
