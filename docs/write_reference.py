"""Write cli.md, reasons.md, transfer-syntaxes.md, api/ and the list of modules in architecture.md from the code.

``tests/test_docs.py`` fails if they are out of date.

python docs/write_reference.py
"""

import ast
import os
import re
from functools import partial
from importlib import import_module
from pathlib import Path

import typer
from typer.testing import CliRunner

import ctacal
from ctacal import errors
from ctacal.cli.app import app
from ctacal.dicom.pixel_data.transfer_syntaxes import TRANSFER_SYNTAXES

DOCS = Path(__file__).parent
SOURCE = Path(ctacal.__file__).parent


def cli_reference() -> str:
    """Return the --help of every command as the program prints it at 80 columns, which a page has."""
    os.environ["COLUMNS"] = "80"
    names = [[], *([name] for name in sorted(typer.main.get_command(app).commands))]  # type: ignore[attr-defined]
    pages = []
    for name in names:
        printed = CliRunner().invoke(app, [*name, "--help"], prog_name="ctacal", terminal_width=80).output
        pages.append(f"## {' '.join(['ctacal', *name])}\n\n```text\n{printed.strip()}\n```\n")
    return (
        "# Command line\n\nWritten by `docs/write_reference.py` from the program itself.\n\n" + "\n".join(pages) + _EXIT
    )


_REASONS_HEAD = """# Reason codes

Written by `docs/write_reference.py` from `ctacal.errors.Code`.

| code | meaning |
| --- | --- |
"""
_SYNTAXES_HEAD = """# Transfer syntaxes

Written by `docs/write_reference.py` from `ctacal.dicom.pixel_data.transfer_syntaxes`, and proven row by row by
`tests/dicom/pixel_data/test_transfer_syntaxes.py`: a small CT series is made in each.

A study in a transfer syntax that is not read is refused, with a line in `results.csv` that names it. Export such a
study uncompressed (Explicit VR Little Endian).

The pixel data themselves tell the codec. Where the transfer syntax says something else, the pixels are read as what
they are, with the note `PIXELS_UNLIKE_HEADER`. So are uncompressed pixels under a UID that DICOM does not define. A
JPEG 2000 code stream may lie in the boxes of a JP2 file.

| transfer syntax | UID | CT is read | by |
| --- | --- | --- | --- |
"""

_DECODED_BY = {
    "uncompressed": "ctacal",
    "Deflate": "Python",
    "RLE": "pylibjpeg-rle",
    "JPEG": "GDCM; of 12 bits",
    "JPEG Lossless": "GDCM",
    "JPEG-LS": "CharLS (pyjpegls)",
    "JPEG 2000": "OpenJPEG (pylibjpeg-openjpeg)",
}


def syntaxes_reference() -> str:
    """Return the table of transfer syntaxes, and which of them are read."""
    rows = []
    for syntax in TRANSFER_SYNTAXES.values():
        by = _DECODED_BY[syntax.codec] if syntax.codec and syntax.holds_ct else ""
        if syntax.codec and not syntax.holds_ct:
            by = "8 bits cannot hold CT values"
        rows.append(f"| {syntax.name} | `{syntax.uid}` | {'yes' if syntax.holds_ct else 'no'} | {by} |")
    return _SYNTAXES_HEAD + "\n".join(rows) + "\n"


_EXIT = """
Exit status: 0 all studies scored or made, 1 some refused or failed (or nothing found), 2 wrong usage.
"""


def reasons_reference() -> str:
    """Return the table of reason codes with their meanings, from ``errors.Code``."""
    tree = ast.parse(Path(errors.__file__).read_text(encoding="utf-8"))
    body = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Code").body[1:]
    rows = [
        f"| `{assigned.targets[0].id}` | {' '.join(text.value.value.split())} |"  # type: ignore[union-attr]
        for assigned, text in zip(body[::2], body[1::2], strict=True)
        if isinstance(assigned, ast.Assign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
    ]
    return _REASONS_HEAD + "\n".join(rows) + "\n"


_MODULES = "## Modules"
"""The heading in docs/architecture.md below which everything is written by this program."""
_MODULES_HEAD = """

The first lines of their docstrings, written by `docs/write_reference.py`.
"""


def architecture() -> str:
    """Return docs/architecture.md as it is, with the list of modules renewed."""
    page = (DOCS / "architecture.md").read_text(encoding="utf-8")
    packages = sorted(file.parent for file in SOURCE.rglob("__init__.py") if list(file.parent.glob("[!_]*.py")))
    return page.partition(_MODULES)[0] + _MODULES + _MODULES_HEAD + "".join(map(_package, packages))


def _package(folder: Path) -> str:
    name = "ctacal" if folder == SOURCE else f"{folder.relative_to(SOURCE).as_posix()}/"
    modules = [f"- `{file.name}`: {_summary(file)}\n" for file in sorted(folder.glob("[!_]*.py"))]
    return f"\n**`{name}`**: {_summary(folder / '__init__.py')}\n\n{''.join(modules)}"


def _summary(file: Path) -> str:
    """Return the first paragraph of a module's docstring, with `code` as Markdown writes it."""
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return re.sub(r"``([^`]+)``", r"`\1`", " ".join(text.partition("\n\n")[0].split()))


PUBLIC = (
    "ctacal",
    "ctacal.dicom",
    "ctacal.nn",
    "ctacal.simulate",
    "ctacal.report",
    "ctacal.compare",
    "ctacal.jobs",
    "ctacal.evaluate",
    "ctacal.statistics",
    "ctacal.statistics.agreement",
    "ctacal.statistics.survival",
)
"""Packages with public names. Anything that is not listed by one of them is private: it may change in any version."""


def api_page(package: str) -> str:
    """Return the page of a package: its docstring, and each of its public names for mkdocstrings to fill in."""
    module = import_module(package)
    names = [name for name in module.__all__ if not name.startswith("__")]
    about = re.sub(r"``([^`]+)``", r"`\1`", (module.__doc__ or "").strip())
    listed = "\n".join(f"- [`{name}`][{package}.{name}]{_first_line(getattr(module, name))}" for name in names)
    entries = "\n".join(f"::: {package}.{name}\n" for name in names)
    return f"# {package}\n\n{about}\n\n{listed}\n\n{entries}"


def _first_line(value: object) -> str:
    """Return what a class or function says of itself first; nothing for other values."""
    if (
        not (isinstance(value, type) or callable(value))
        or not value.__doc__
        or value.__doc__.startswith(value.__name__)
    ):
        return ""
    first = " ".join(value.__doc__.partition("\n\n")[0].split())
    return ": " + re.sub(r"``([^`]+)``", r"`\1`", first.partition(". ")[0].rstrip("."))


PAGES = {
    **{f"api/{package}.md": partial(api_page, package) for package in PUBLIC},
    "cli.md": cli_reference,
    "reasons.md": reasons_reference,
    "transfer-syntaxes.md": syntaxes_reference,
    "architecture.md": architecture,
}


if __name__ == "__main__":
    (DOCS / "api").mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")
