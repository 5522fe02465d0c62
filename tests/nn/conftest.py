"""A network that has learned the toys, and the model made of it: once for all tests, since both take long."""

from pathlib import Path

import pytest
import torch

from ctacal.nn.export import export
from ctacal.nn.train import fit
from tests.nn.random_networks import HEART, checkpoint
from tests.nn.toys import recipe, toys


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run on the toys."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("trained")
    fit(recipe(steps=110, sequences=3, log_every=10), toys(), toys(), folder)
    return folder


@pytest.fixture(scope="session")
def exported(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder: the trained network, and a heart network of random weights."""
    folder = tmp_path_factory.mktemp("model")
    heart = checkpoint(HEART, folder / "heart.pt")
    card = export(
        heart, trained / "best.pt", folder / "model", name="toy", version="3", facts={"licence": "Apache-2.0"}
    )
    return card.parent
