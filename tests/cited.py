"""What the documentation and the source text cite: files of the repository, and names of the package."""

import re
from functools import cache
from pathlib import Path

from tests import places

_FILE = re.compile(r"(?<![\w/.*{}<>-])((?:[\w-]+/)+[\w-]+\.(?:py|md|toml|sh)|[\w-]+\.md)\b")
_NAME = re.compile(r"(?<![\w./-])ctacal(?:\.[A-Za-z]\w*)+")
_HISTORY = {"CHANGELOG.md", "log.md"}
"""These say what was true when it was written."""


def texts() -> list[Path]:
    """Return the pages, and the source of the package and the benchmarks."""
    root = places.ROOT
    pages = [*root.glob("*.md"), *root.glob("docs/**/*.md"), *root.glob("recipes/*.toml")]
    source = [file for part in ("src", "benchmarks", "docs") for file in (root / part).rglob("*.py")]
    return [file for file in (*pages, *source) if file.name not in _HISTORY]


def missing_files(text: str) -> list[str]:
    """Return the files that a text cites and that do not exist; the end of a path is enough to cite it."""
    return sorted({name for name in _FILE.findall(text) if not any(file.endswith(f"/{name}") for file in _files())})


@cache
def _files() -> tuple[str, ...]:
    folders = ("src", "tests", "docs", "benchmarks", "recipes")
    found = [*places.ROOT.glob("*.*"), *(file for name in folders for file in (places.ROOT / name).rglob("*.*"))]
    return tuple(file.as_posix() for file in found)


def missing_names(text: str) -> list[str]:
    """Return the modules and the names in modules that a text cites and that do not exist."""
    return sorted({name for name in _NAME.findall(text) if not _exists(name)})


def _exists(name: str) -> bool:
    """Whether a module is there, or a module that holds the name; modules are not imported."""
    place, parts = places.SOURCE, name.split(".")[1:]
    while parts and (place / parts[0]).is_dir():
        place /= parts.pop(0)
    module = place / f"{parts[0]}.py" if parts else place
    if not module.exists():  # a name that the package itself holds
        module = place / "__init__.py"
    else:
        parts = parts[1:]
    return not parts or re.search(rf"\b{parts[0]}\b", module.read_text(encoding="utf-8")) is not None
