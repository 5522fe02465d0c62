"""The wheel as a stranger installs it: for each tutorial an environment with what the page tells to install, no more.

    python tests/fresh_install.py [--python PYTHON] [--sdist] [PAGE ...]

A dependency that is missing in pyproject.toml shows only here: every other test runs in an environment that has all.
Takes a quarter of an hour; ``make fresh`` runs it.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
INSTALL = re.compile(r"^pip install '?(ctacal(?:\[[\w,-]+\])?)'?$", re.MULTILINE)


def built(folder: Path, *, sdist: bool) -> Path:
    """Return a wheel or an sdist of this checkout."""
    kind = "--sdist" if sdist else "--wheel"
    subprocess.run(
        [sys.executable, "-m", "build", kind, "--outdir", folder, ROOT], check=True, stdout=subprocess.DEVNULL
    )
    return next(folder.glob("*.tar.gz" if sdist else "*.whl"))


def environment(python: str, package: Path, wanted: str, folder: Path) -> Path:
    """Install what a page names (``ctacal[web]``) in a new environment; returns its Python."""
    subprocess.run([python, "-m", "venv", folder], check=True)
    extra = wanted.removeprefix("ctacal")
    install: list[str | Path] = [
        folder / "bin" / "python",
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]
    subprocess.run([*install, "--constraint", ROOT / "constraints.txt", f"{package}{extra}"], check=True)
    return folder / "bin" / "python"


def followed(python: Path, page: Path, folder: Path) -> bool:
    """Follow a page with that Python in an empty folder, without this checkout; say what fails."""
    folder.mkdir()
    bare = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    command = [python, ROOT / "tests" / "tutorial.py", page, folder]
    done = subprocess.run(command, cwd=folder, env=bare, capture_output=True, text=True, check=False)
    print(f"{page.name}: {'as it says' if done.returncode == 0 else 'FAILED'}", flush=True)
    if done.returncode:
        print(done.stdout[-2000:] + done.stderr[-4000:], flush=True)
    return done.returncode == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="*", type=Path, default=PAGES, metavar="PAGE")
    parser.add_argument("--python", default=sys.executable, help="Python of the environments")
    parser.add_argument("--sdist", action="store_true", help="install from the sdist instead of the wheel")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        package = built(folder, sdist=options.sdist)
        print(f"{package.name}, {subprocess.check_output([options.python, '--version'], text=True).strip()}")
        pythons: dict[str, Path] = {}
        fine = []
        for page in options.pages:
            wanted = INSTALL.findall(page.read_text(encoding="utf-8"))[0]
            if wanted not in pythons:
                pythons[wanted] = environment(options.python, package, wanted, folder / f"venv{len(pythons)}")
            fine.append(followed(pythons[wanted], page.resolve(), folder / page.stem))
    sys.exit(not all(fine))


if __name__ == "__main__":
    main()
