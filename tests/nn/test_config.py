"""Recipes: read, written, and refused by the name of the field."""

from pathlib import Path

import pytest

from ctacal.errors import UsageError
from ctacal.fields import from_fields
from ctacal.nn.config import NetworkConfig, Recipe, read_recipe
from tests import places

FOLDER = places.RECIPES
NO_TRAINING = {"real_scans", "other_centre", "paper"}
RECIPES = sorted(path for path in FOLDER.glob("*.toml") if path.stem not in NO_TRAINING)


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_toml_to_recipe(tmp_path: Path) -> None:
    recipe = read_recipe(
        written(
            tmp_path,
            'name = "mine"\n[network]\nwidths = [8, 16]\nlstm_channels = 4\n[augmentation]\nscale = [1, 1.2]\n'
            '[data]\ntraining = ["a", "b"]\n[train]\nsteps = 7\n',
        )
    )
    assert recipe.network.widths == (8, 16)
    assert recipe.augmentation.scale == (1.0, 1.2)
    assert recipe.data.training == ("a", "b")
    assert recipe.train.steps == 7
    assert recipe.loss == Recipe(name="x").loss


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('name = "x"\nspeed = 1', "speed: unknown"),
        ('name = "x"\n[train]\nstep = 1', "train.step: unknown"),
        ('name = "x"\n[train]\nsteps = "many"', "train.steps: expected a whole number"),
        ('name = "x"\n[train]\nsteps = true', "train.steps: expected a whole number"),
        ('name = "x"\n[train]\nsteps = 0', "train.steps"),
        ('name = "x"\n[network]\nkind = "liver"', "network.kind"),
        ('name = "x"\n[network]\nwidths = [8]', "network.widths"),
        ('name = "x"\n[network]\nwidths = [8, "a"]', "network.widths"),
        ('name = "x"\n[augmentation]\nscale = [1, 2, 3]', "augmentation.scale"),
        ('name = "x"\n[sampling]\nrows = 100', "sampling.rows"),
        ('name = "x"\n[loss]\nanatomy_weights = [1, 2]', "loss.anatomy_weights: expected a weight for each of 14"),
        ("[train]\nsteps = 5", "name"),
        ("name = ", "Invalid value"),
    ],
)
def test_what_cannot_be_is_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_recipe(written(tmp_path, text))


def test_json_form_makes_the_same_recipe() -> None:
    recipe = Recipe(name="x", network=NetworkConfig(widths=(8, 16, 32), mid_lstm_channels=3))
    assert from_fields(Recipe, recipe.to_json()) == recipe


def test_there_are_recipes() -> None:
    assert {path.stem for path in RECIPES} >= {"heart", "anatomy", "calcium", "published"}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_the_recipes_of_the_repository_are_recipes(path: Path) -> None:
    recipe = read_recipe(path)
    assert recipe.data.training
    assert recipe.data.validation
