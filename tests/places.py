"""Where the tests find what lies in the repository."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
DATA = ROOT / "tests" / "data"
RECIPES = ROOT / "recipes"
SAMPLE = ROOT / "src" / "ctacal" / "sample"
