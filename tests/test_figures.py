"""The figures of the site are as new as what they show, small, and used."""

import importlib.util
import json
import re
import sys
from types import ModuleType

import pytest

from tests import places

IMAGES = places.DOCS / "images"
MOST_BYTES, MOST_IN_ALL = 500_000, 3_000_000


def figure_maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_figures", places.DOCS / "make_figures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_no_figure_is_older_than_what_it_shows() -> None:
    maker = figure_maker()
    made = json.loads((IMAGES / "figures.json").read_text(encoding="utf-8"))
    old = [name for name, figure in maker.FIGURES.items() if made.get(name) != figure.digest]
    assert not old, f"run: python docs/make_figures.py {' '.join(old)}; then look at them"
    assert all((IMAGES / name).is_file() for name in maker.FIGURES)


def test_a_changed_input_is_seen() -> None:
    maker = figure_maker()
    one = maker.FIGURES["way_of_a_study.webp"]
    assert maker.Figure(one.draw, one.inputs).digest == one.digest
    assert maker.Figure(one.draw, (*one.inputs, "LICENSE")).digest != one.digest


def test_the_pictures_are_small() -> None:
    sizes = [file.stat().st_size for file in IMAGES.iterdir()]
    assert max(sizes) < MOST_BYTES
    assert sum(sizes) < MOST_IN_ALL


@pytest.mark.parametrize("picture", sorted(file.name for file in IMAGES.iterdir() if file.suffix != ".json"))
def test_every_picture_is_shown_somewhere(picture: str) -> None:
    pages = [places.ROOT / "README.md", *places.DOCS.rglob("*.md")]
    assert [page for page in pages if re.search(rf"\]\([^)]*{re.escape(picture)}\)", page.read_text(encoding="utf-8"))]
