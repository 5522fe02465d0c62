"""What is released: one version everywhere, a wheel that stands alone, its bill of materials, its licences."""

import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import ctacal
from tests import places

PROJECT = tomllib.loads((places.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
MOST_BYTES = 12_000_000
"""12 MB (issue 23). Weights and samples take 9.9 million of them (November 2026)."""
COPYLEFT = re.compile(r"\b[AL]?GPL|GNU", re.IGNORECASE)
NOT_FOR_USERS = {"dev", "docs", "release"}
OPTIONAL_LGPL = {"psycopg", "psycopg-binary"}
"""Installed with web-team only, and used as they are."""


def field(name: str) -> str:
    found = re.search(rf"^{name}: (\S+)$", (places.ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)
    assert found, name
    return found[1]


def test_the_version_is_one() -> None:
    assert ctacal.__version__ == PROJECT["version"] == field("version")


def test_the_changelog_has_the_version_on_its_day() -> None:
    changelog = (places.ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    released = re.findall(r"^## \[(\d[\d.]*)\] - (\S+)$", changelog, re.MULTILINE)
    assert released[0] == (ctacal.__version__, field("date-released"))
    assert [day for _, day in released] == sorted((day for _, day in released), reverse=True)


def test_a_tag_names_the_version() -> None:
    tags = subprocess.run(
        ["git", "tag", "--points-at", "HEAD"], cwd=places.ROOT, capture_output=True, text=True, check=False
    )
    assert {tag for tag in tags.stdout.split() if tag.startswith("v")} <= {f"v{ctacal.__version__}"}


def test_the_licences_name_every_package() -> None:
    page = (places.DOCS / "licences.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^\| ([\w.-]+) \| (.+) \|$", page, re.MULTILINE))
    extras = {name: lines for name, lines in PROJECT["optional-dependencies"].items() if name not in NOT_FOR_USERS}
    lines = [*PROJECT["dependencies"], *(line for own in extras.values() for line in own)]
    names = {re.split(r"[\[<>=]", line)[0].lower() for line in lines}
    assert names <= set(listed), "run: python docs/write_licences.py"
    assert {name for name, licence in listed.items() if COPYLEFT.search(licence)} <= OPTIONAL_LGPL


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    out = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(out),
        ".",
    ]
    if subprocess.run([sys.executable, "-c", "import hatchling"], capture_output=True, check=False).returncode:
        command.remove("--no-build-isolation")
    done = subprocess.run(command, cwd=places.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    yield next(out.glob("*.whl"))


@pytest.mark.ci
def test_the_wheel_is_small_and_holds_the_package_alone(wheel: Path) -> None:
    assert wheel.stat().st_size < MOST_BYTES
    with zipfile.ZipFile(wheel) as opened:
        names = opened.namelist()
    assert {name.split("/")[0] for name in names} == {"ctacal", f"ctacal-{ctacal.__version__}.dist-info"}
    assert not [name for name in names if name.endswith((".pyc", ".nbc", ".nbi"))]
    needed = ("nn/weights/calcium.onnx.planes", "nn/weights/model.json", "sample/simulated_ctac.zip", "py.typed")
    assert {f"ctacal/{name}" for name in needed} <= set(names)
    assert not [name for name in names if name.endswith(".onnx")], "the networks lie in it twice"


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Install the wheel in a folder; returns the environment in which that is the only ctacal."""
    place = tmp_path_factory.mktemp("installed")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(place), str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    environment = {**os.environ, "PYTHONPATH": str(place)}
    found = run("-c", "import ctacal; print(ctacal.__file__)", environment=environment, folder=place)
    assert Path(found.strip()).is_relative_to(place)
    return environment


def run(*arguments: str | Path, environment: dict[str, str], folder: Path) -> str:
    """Run Python in a folder; returns what it prints."""
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.ci
@pytest.mark.timeout(900)
def test_the_wheel_stands_alone(installed: dict[str, str], tmp_path: Path) -> None:
    """Its demo runs from another folder, without the repository."""
    run("-m", "ctacal", "demo", "--out", "OUT", environment=installed, folder=tmp_path)
    assert len(list(tmp_path.glob("OUT/*/networks/results.csv"))) == 2


@pytest.mark.ci
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("page", ["first-study.md", "compare-readers.md"])
def test_tutorials_run_from_the_wheel(page: str, installed: dict[str, str], tmp_path: Path) -> None:
    """In another folder. Of the repository they need only what follows a page."""
    follow = places.ROOT / "tests" / "tutorial.py"
    run(follow, places.DOCS / "tutorials" / page, tmp_path, environment=installed, folder=tmp_path)


@pytest.mark.ci
def test_the_bill_of_materials_names_what_is_needed(tmp_path: Path) -> None:
    pytest.importorskip("cyclonedx_py")
    bill = tmp_path / "sbom.json"
    command = [sys.executable, "-m", "cyclonedx_py", "environment", "--of", "JSON", "-o", str(bill), sys.executable]
    subprocess.run(command, check=True, capture_output=True)
    components = {part["name"].lower() for part in json.loads(bill.read_text(encoding="utf-8"))["components"]}
    assert {re.split(r"[\[<>=]", line)[0].lower() for line in PROJECT["dependencies"]} <= components
