"""The import rule: stages import only from stages above them; the parts beside them never import each other."""

import ast
from functools import cache
from pathlib import Path

import pytest

from tests import places

ROOT = places.SOURCE
STAGES = (
    "errors",
    "names",
    "loopback",
    "public_names",
    "spreadsheets",
    "arrays",
    "progress",
    "fields",
    "atomic",
    "npz",
    "templates",
    "cores",
    "workers",
    "watched",
    "watched_pool",
    "categories",
    "geometry",
    "components",
    "volume",
    "labels",
    "anatomy",
    "dicom",
    "morphology",
    "heart",
    "whole_body",
    "noise",
    "blood",
    "threshold",
    "lesion",
    "islands",
    "scores",
    "uncounted",
    "percentile",
    "subject",
    "prediction",
    "result",
    "result_json",
    "study",
    "results_table",
    "readings",
    "statistics",
    "compare",
)
"""The modules in the order of the data flow: each imports only from those before it."""
BESIDE = ("nn", "simulate", "report")
"""Parts that use the stages, never each other."""
ABOVE = ("evaluate", "jobs")
"""Parts that use the stages. ``jobs`` also combines ``BESIDE``; ``evaluate`` makes reports from tables."""
FACES = ("web", "node", "batch", "cli")
"""Interfaces, which are thin: they use ``jobs`` and the stages, never each other."""
STARTED_BY_CLI = ("web", "node", "batch")
"""Servers and clusters that a command starts: ``cli`` alone may import them."""
MAY_BE_HEAVY = {"statistics", "evaluate", "nn", "simulate", "workers", "web", "node", "batch"}
"""Parts with heavy imports; scoring uses only those of their modules that import nothing heavy."""
NEVER_SCORING = ("jobs/batch/parquet.py",)
"""Modules of light parts that may be heavy, because no scoring imports them."""
HEAVY = {
    "torch",
    "pynetdicom",
    "fastapi",
    "ray",
    "onnx",
    "pandas",
    "matplotlib",
    "numba",
    "spekpy",
    "xraylib",
    "lifelines",
    "openpyxl",
    "pyarrow",
    "statsmodels",
    "tableone",
    "docx",
}
"""Packages that scoring never imports."""


@cache
def modules_imported(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            names |= (
                {f"{node.module}.{alias.name}" for alias in node.names}
                if node.module == "ctacal" or str(node.module).split(".")[0] == "tests"
                else {str(node.module)}
            )
    return names


def part_of(file: Path) -> str:
    return file.relative_to(ROOT).parts[0].removesuffix(".py")


def may_import(part: str) -> set[str]:
    if part in STAGES:
        return set(STAGES[: STAGES.index(part) + 1])
    if part in BESIDE:
        return {*STAGES, part}
    if part == "evaluate":
        return {*STAGES, part}
    if part == "jobs":
        return {*STAGES, *BESIDE, *ABOVE}
    if part == "cli":
        return {*STAGES, *BESIDE, *ABOVE, part, *STARTED_BY_CLI}
    if part in FACES:
        return {*STAGES, *BESIDE, *ABOVE, part}
    return {*STAGES, *BESIDE, *ABOVE, *FACES, part}


def test_every_part_has_its_place() -> None:
    parts = {part_of(file) for file in ROOT.rglob("*.py")}
    assert parts <= {*STAGES, *BESIDE, *ABOVE, *FACES, "__init__", "__main__", "sample"}


@pytest.mark.slow
def test_imports_go_only_upward() -> None:
    wrong = []
    for file in ROOT.rglob("*.py"):
        part = part_of(file)
        for name in modules_imported(file):
            target = name.split(".")[1] if name.startswith("ctacal.") else ""
            if target and target not in may_import(part) | {"__version__"}:
                wrong.append(f"{file.relative_to(ROOT)} imports {name}")
    assert not wrong


def test_scoring_needs_nothing_heavy() -> None:
    wrong = [
        f"{file.relative_to(ROOT)} imports {name}"
        for file in ROOT.rglob("*.py")
        if part_of(file) in {*STAGES, *FACES, "report", "jobs"} - MAY_BE_HEAVY
        and file.relative_to(ROOT).as_posix() not in NEVER_SCORING
        for name in modules_imported(file)
        if name.split(".")[0] in HEAVY
    ]
    assert not wrong


def imported_at_once(file: Path) -> set[str]:
    """Return what a module imports when it is imported, without the imports inside its functions."""
    names: set[str] = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(str(node.module).split(".")[0])
    return names


def test_what_writes_reports_is_imported_when_one_is_written() -> None:
    """ReportLab takes 0.1 s: outside of ``report`` it stays inside functions. So does Jinja2 (0.06 s), everywhere."""
    wrong = [
        f"{file.relative_to(ROOT)} imports {name}"
        for file in ROOT.rglob("*.py")
        for name in imported_at_once(file) & {"jinja2", "reportlab"}
        if not (name == "reportlab" and part_of(file) == "report")
    ]
    assert not wrong


def test_highdicom_is_imported_when_a_dicom_object_is_written() -> None:
    """It takes 0.2 s: it stays inside functions everywhere."""
    assert not [file for file in ROOT.rglob("*.py") if "highdicom" in imported_at_once(file)]


def test_the_rule_sees_a_breach() -> None:
    """The checks above can fail: a stage may not import from a stage below it."""
    assert "study" not in may_import("dicom")
    assert "report" not in may_import("study")
    assert "simulate" not in may_import("report")
    assert "cli" not in may_import("web")
    assert {"errors", "geometry"} <= may_import("dicom")


def test_no_test_file_is_imported() -> None:
    """Code that several test files use belongs in a helper module beside them."""
    tests = places.ROOT / "tests"
    wrong = [
        f"{file.relative_to(tests)} imports {name}"
        for file in tests.rglob("*.py")
        for name in modules_imported(file)
        if name.startswith("tests") and ({"conftest"} & set(name.split(".")) or ".test_" in name)
    ]
    assert not wrong
