"""The public names: they can be imported, are listed, are documented with an example, and cost nothing before use."""

import ast
import doctest
import importlib
import inspect
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
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
DOCUMENTED = sorted(file.stem for file in (places.DOCS / "api").glob("*.md"))
"""The packages with a page of their own."""
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


@pytest.mark.parametrize("name", DOCUMENTED)
def test_public_functions_say_all_that_a_caller_needs(name: str) -> None:
    package = _package(name)
    functions = [value for public in package.__all__ if inspect.isfunction(value := getattr(package, public))]
    assert functions
    assert [f"{function.__name__}: {lack}" for function in functions for lack in _lacks(function)] == []


@pytest.mark.parametrize("name", DOCUMENTED)
def test_public_names_have_an_example_or_stand_in_one(name: str) -> None:
    package = _package(name)
    used = set(re.findall(r"\w+", _examples(package)))
    others = {public: getattr(package, public) for public in package.__all__ if public != "__version__"}
    without = [public for public, value in others.items() if ">>>" not in (inspect.getdoc(value) or "")]
    assert used
    assert [public for public in without if public not in used] == []


def _lacks(function: Callable[..., object]) -> Iterator[str]:
    """Yield what the docstring does not say: a parameter, what comes back, an error raised here, an example."""
    text, signature = inspect.getdoc(function) or "", inspect.signature(function)
    if "Example:" not in text or ">>>" not in text:
        yield "Example"
    if signature.return_annotation not in (None, "None") and not re.search(r"^(Returns|Yields):$", text, re.M):
        yield "Returns"
    yield from (name for name in signature.parameters if not re.search(rf"^    {name}: \S", text, re.M))
    yield from (error for error in sorted(set(_raised(function))) if not re.search(rf"^    {error}: \S", text, re.M))


def _raised(function: Callable[..., object]) -> Iterator[str]:
    """Yield the errors that stand in the function's own code; a call that makes the error is not looked into."""
    for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(function)))):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and isinstance(node.exc.func, ast.Name):
            yield from [node.exc.func.id] if node.exc.func.id[0].isupper() else []


def _examples(package: ModuleType) -> str:
    """Return the lines of code of all examples in the package's modules."""
    lines = []
    for file in Path(package.__file__ or "").parent.rglob("*.py"):
        if ">>>" not in (source := file.read_text("utf-8")):
            continue
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and (text := ast.get_docstring(node)):
                lines += [example.source for example in doctest.DocTestParser().get_examples(text)]
    return "".join(lines)


def test_what_a_docstring_lacks_is_told() -> None:
    assert list(_lacks(_silent)) == ["Example", "Returns", "score", "ValueError"]


def _silent(score: float) -> float:
    raise ValueError(score)


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
