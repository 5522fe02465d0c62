"""Paths of the repository that tests use."""

from pathlib import Path

import ctacal

ROOT = Path(__file__).parents[1]
DATA = ROOT / "tests" / "data"
DOCS = ROOT / "docs"
RECIPES = ROOT / "recipes"
SOURCE = Path(ctacal.__file__).parent
SAMPLE = SOURCE / "sample"
