"""Write docs/licences.md: the licence of everything that a wheel of ctacal holds, or that pip installs with it.

    python docs/write_licences.py

The licences are those in the metadata of the packages of this environment, with those that they need in turn. It takes
one with all extras, and stops if a package that an extra names is not there:

    pip install '.[train,simulate,evaluate,web,node,web-team,batch,ray,openvino,pseudonymise]'
"""

import re
import tomllib
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from packaging.requirements import Requirement

from ctacal.jobs.installation import licence_of

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "licences.md"
NOT_FOR_USERS = {"dev", "docs", "release"}
HEAD = """# Licences

Written by `docs/write_licences.py` from the metadata of the installed packages. `ctacal info --licences`
prints those of your installation.

## What a wheel holds

| what | licence |
| --- | --- |
| ctacal: code, pages, recipes of protocols | Apache-2.0 |
| weights, trained on simulated scans alone | Apache-2.0 |
| samples, drawn and simulated | Apache-2.0 |
| Open Sans, embedded in PDF reports | Apache-2.0 (`ctacal/report/fonts`) |

No code of others is copied. Packages under the GPL are never imported; tests may start programs that are.

"""


def named(requirement: str) -> str:
    """Return the name of a required package, as packages are compared: lower case, with hyphens."""
    return re.sub(r"[-_.]+", "-", Requirement(requirement).name).lower()


def with_what_they_need(names: list[str]) -> list[str]:
    """Return the installed packages among these and among all that they need in turn."""
    found: dict[str, None] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        try:
            needed = requires(name) or []
        except PackageNotFoundError:  # for another platform, or an alternative
            continue
        found[name] = None
        waiting += [named(line) for line in needed if _applies(line)]
    return sorted(found)


def _applies(line: str) -> bool:
    marker = Requirement(line).marker
    return marker is None or marker.evaluate({"extra": ""})


def page() -> str:
    """Return the page."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = {"with `pip install ctacal`": project["dependencies"]}
    groups |= {
        f"with `ctacal[{name}]`": lines
        for name, lines in project["optional-dependencies"].items()
        if name not in NOT_FOR_USERS
    }
    base = with_what_they_need([named(line) for line in project["dependencies"]])
    parts = []
    for title, lines in groups.items():
        wanted = [named(line) for line in lines]
        names = with_what_they_need(wanted)
        if missing := set(wanted) - set(names):
            raise SystemExit(f"not installed here: {', '.join(sorted(missing))}")
        shown = names if lines is project["dependencies"] else [name for name in names if name not in base]
        rows = "\n".join(f"| {name} | {' '.join(licence_of(name).split())[:80]} |" for name in shown)
        parts.append(f"## What pip installs {title}\n\n| package | licence |\n| --- | --- |\n{rows}\n")
    return HEAD + "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
