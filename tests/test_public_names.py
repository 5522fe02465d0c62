"""The public names: they can be imported, are listed, are documented with an example, and cost nothing before use."""

import importlib
import inspect
import subprocess
import sys
from types import ModuleType

import pytest

import ctacal
from ctacal.public_names import imported_on_use
from tests import places

LAZY = sorted(
    ".".join(file.parent.relative_to(places.SOURCE.parent).parts)
    for file in places.SOURCE.rglob("__init__.py")
    if "imported_on_use" in file.read_text(encoding="utf-8")
)
NAMES = [name for name in ctacal.__all__ if name not in ("__version__", "StudyResult")]


def _package(name: str) -> ModuleType:
    return importlib.import_module(name)


@pytest.mark.parametrize("name", LAZY)
def test_every_public_name_can_be_imported(name: str) -> None:
    package = _package(name)
    assert [getattr(package, public) for public in package.__all__]
    assert len(set(package.__all__)) == len(package.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = package.nothing


def test_dir_lists_the_public_names() -> None:
    assert dir(ctacal) == sorted(ctacal.__all__)


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_has_an_example(name: str) -> None:
    assert ">>>" in inspect.getdoc(getattr(ctacal, name))  # type: ignore[operator]


@pytest.mark.parametrize("name", [name for name in NAMES if inspect.isfunction(getattr(ctacal, name))])
def test_a_public_function_explains_each_parameter(name: str) -> None:
    function = getattr(ctacal, name)
    text = inspect.getdoc(function) or ""
    assert "Args:" in text
    assert not [parameter for parameter in inspect.signature(function).parameters if f"    {parameter}: " not in text]


def test_import_loads_nothing_else() -> None:
    heavy = "{'numpy', 'scipy', 'pydicom'}"
    code = f"import sys, ctacal; print(sorted({heavy} & {{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    fails = ModuleType("ctacal.simulate.needs_numba")
    exec("def __getattr__(name):\n    import numba", fails.__dict__)
    monkeypatch.setitem(sys.modules, fails.__name__, fails)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'ctacal\[simulate\]'"):
        imported_on_use("ctacal.simulate", {"needs_numba": ("scan",)}, "simulate")("scan")
