"""What the package's docstring and ``docs/prognosis.md`` promise is there and runs."""

import importlib
import re
from pathlib import Path

import pytest

import ctacal.statistics.survival
from tests import places

PAGE = (places.ROOT / "docs" / "prognosis.md").read_text(encoding="utf-8")


def test_every_function_in_the_docstring_exists() -> None:
    sections = re.findall(r"``(\w+)\.py``\n((?:    .*\n)+)", str(ctacal.statistics.survival.__doc__))
    promised = {(module, name) for module, text in sections for name in re.findall(r"(?<![.\w])([a-z]\w+)\(", text)}
    promised -= {("nri", "progress")}  # a parameter
    assert len(promised) > 45
    packages = {"hypothesis": "ctacal.statistics"}
    assert not [
        (module, name)
        for module, name in promised
        if not callable(
            getattr(
                importlib.import_module(f"{packages.get(module, 'ctacal.statistics.survival')}.{module}"), name, None
            )
        )
    ]


def test_every_function_in_the_page_exists() -> None:
    folder = Path(str(ctacal.statistics.survival.__file__)).parent
    names = [file.stem for file in folder.glob("*.py") if file.stem != "__init__"]
    modules = [importlib.import_module(f"ctacal.statistics.survival.{name}") for name in names]
    modules += [importlib.import_module(f"ctacal.statistics.{name}") for name in ("estimate", "hypothesis")]
    table = [line.split("|")[2] for line in PAGE.splitlines() if line.startswith("| ") and "`" in line.split("|")[2]]
    named = {name for cell in table for name in re.findall(r"`(\w+)`", cell)}
    assert len(named) > 25
    assert not [name for name in named if not any(hasattr(module, name) for module in modules)]


def test_example_of_the_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(example, "docs/prognosis.md", "exec"), {})
    printed = capsys.readouterr().out.splitlines()
    assert [line.partition(" ")[0] for line in printed] == ["hazard", "age", "change", "mean", "NRI"]
    assert re.search(r"calcium \d\.\d+ \(\d\.\d+ to \d\.\d+\)", printed[0])
