"""One convention for what a package exports, and no dependence of agreement and survival on each other."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import ctacal

ROOT = Path(ctacal.__file__).parent
PACKAGES = (
    "statistics",
    "statistics.agreement",
    "statistics.survival",
    "evaluate",
    "evaluate.accuracy",
    "evaluate.agree",
    "evaluate.outcomes",
)


def imported_names(tree: ast.Module) -> set[str]:
    """Return the names that a package takes from its modules, also those for type checkers only."""
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    names = {alias.name for node in imports if str(node.module).startswith("ctacal") for alias in node.names}
    return names - {"imported_on_use"}


@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_exports_what_it_lists(name: str) -> None:
    package = importlib.import_module(f"ctacal.{name}")
    source = Path(str(package.__file__)).read_text(encoding="utf-8")
    assert imported_names(ast.parse(source)) == set(package.__all__)
    assert len(package.__all__) == len(set(package.__all__)) > 3
    for exported in package.__all__:
        found = getattr(package, exported)
        assert not isinstance(found, ModuleType), exported
        assert getattr(found, "__module__", "") != package.__name__, f"{exported} is defined in a module of its own"
    assert "\n\n" in str(package.__doc__), "the docstring says what is there"


@pytest.mark.parametrize("name", PACKAGES)
def test_no_module_has_the_name_of_an_exported_function(name: str) -> None:
    """Whether the name means the module or the function would then depend on what was imported before."""
    package = importlib.import_module(f"ctacal.{name}")
    modules = {file.stem for file in Path(str(package.__file__)).parent.glob("*.py")}
    assert not modules & set(package.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    survival = importlib.import_module("ctacal.statistics.survival")
    with pytest.raises(AttributeError, match="no attribute 'coxx'"):
        _ = survival.coxx


@pytest.mark.slow
def test_numba_is_imported_only_when_a_statistic_needs_it() -> None:
    code = (
        "import sys, ctacal.statistics.survival, ctacal.statistics.agreement, ctacal.evaluate.accuracy\n"
        "assert not {'numba', 'pandas', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(("package", "other"), [("agreement", "survival"), ("survival", "agreement")])
def test_agreement_and_survival_do_not_use_each_other(package: str, other: str) -> None:
    for file in (ROOT / "statistics" / package).glob("*.py"):
        assert f"ctacal.statistics.{other}" not in file.read_text(encoding="utf-8"), file
