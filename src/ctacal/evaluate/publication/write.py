"""Write a publication to a folder: all of it, or nothing."""

import json
import platform
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ctacal import __version__
from ctacal.atomic import whole_folder, write_text
from ctacal.errors import UsageError
from ctacal.evaluate.publication.checklists import OPEN, Checklist
from ctacal.evaluate.publication.content import Publication, file_stem
from ctacal.evaluate.publication.figures import draw_chart
from ctacal.evaluate.publication.latex import table_latex
from ctacal.evaluate.publication.numbers import plain
from ctacal.evaluate.publication.page import report_page
from ctacal.evaluate.publication.sheets import as_csv, csv_bytes, table_csv
from ctacal.evaluate.publication.word import tables_docx

NOTICE = "Research use only: not a medical device. No figure here may guide the care of a patient."
"""Notice in every report."""

NUMBERS = "numbers.json"
"""Also lists the files of a publication: a folder that holds any other file is never replaced."""

PACKAGES = {"matplotlib": "matplotlib", "docx": "python-docx"}
"""Packages that writing needs: name of the module, name of the package."""


def require(**modules: str) -> None:
    """Raise ``UsageError`` if a package of the extra ``evaluate`` is missing; ``modules``: module = package."""
    missing = [package for module, package in {**PACKAGES, **modules}.items() if find_spec(module) is None]
    if missing:
        raise UsageError(f"this needs {', '.join(missing)}: pip install 'ctacal[evaluate]'")


def write_publication(publication: Publication, out: Path) -> None:
    """Write report, tables, figures, numbers and checklist to ``out``: all of them, or none and ``out`` is unchanged.

    An existing ``out`` is replaced if it holds nothing but an earlier publication.

    Args:
        publication: What to write.
        out: The folder; an existing one is replaced if it holds nothing but an earlier publication.

    Raises:
        UsageError: ``out`` holds other files, or a package is missing.
        ValueError: A number is not finite, or two names are the same.

    Example:
        >>> import tempfile
        >>> report = Publication(title="Ours", lead=("60 studies.",), sections=(), numbers={"n": 60}, command="mine")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_publication(report, Path(folder, "report"))
        ...     sorted(file.name for file in Path(folder, "report").iterdir())
        ['numbers.json', 'report.html', 'tables.docx']
    """
    require()
    _names_differ(publication)
    check_replaceable(out)
    with whole_folder(out.resolve()) as folder:
        _write(publication, folder)


def write_page(publication: Publication, page: Path) -> None:
    """Write a publication as one HTML page alone, without files of its tables, figures and numbers. Raises as above."""
    require()
    _names_differ(publication)
    drawn = {chart.stem: draw_chart(chart)[0] for chart in publication.charts}
    write_text(page, report_page(publication, drawn, NOTICE, made_by(publication)))


def check_replaceable(out: Path) -> None:
    """Raise ``UsageError`` if ``out`` holds files that no publication wrote; to be called before long work."""
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file; name a new folder")
    if strange := _not_ours(out):
        raise UsageError(f"{out} holds {strange[0]}, which is not part of an earlier report; name a new folder")


def _not_ours(out: Path) -> list[str]:
    """Return the files in a folder that an earlier publication does not list."""
    try:
        ours = set(json.loads((out / NUMBERS).read_text(encoding="utf-8"))["files"])
    except (OSError, ValueError, KeyError, TypeError):
        ours = set()
    found = (file.relative_to(out).as_posix() for file in out.rglob("*") if not file.is_dir())
    return sorted(set(found) - ours)


def _names_differ(publication: Publication) -> None:
    for kind, items in (("tables", publication.tables), ("figures", publication.charts)):
        stems = Counter(item.stem for item in items)
        if twice := [stem for stem, times in stems.items() if times > 1]:
            raise ValueError(f"two {kind} are named {twice[0]}: give them different names")


def _write(publication: Publication, folder: Path) -> None:
    contents: dict[str, bytes] = {}
    drawn = {}
    for chart in publication.charts:
        drawn[chart.stem], png = draw_chart(chart)
        contents |= {f"figures/{chart.stem}.svg": drawn[chart.stem], f"figures/{chart.stem}.png": png}
    for table in publication.tables:
        contents[f"tables/{table.stem}.csv"] = csv_bytes(table_csv(table))
        contents[f"tables/{table.stem}.tex"] = table_latex(table).encode()
    contents["tables.docx"] = tables_docx(publication.tables, publication.title, NOTICE, publication.mark)
    if publication.checklists:
        contents[f"{file_stem(publication.mark)}_checklist.csv" if publication.mark else "checklist.csv"] = csv_bytes(
            _checklist_csv(publication.checklists)
        )
    contents["report.html"] = report_page(publication, drawn, NOTICE, made_by(publication)).encode()
    contents[NUMBERS] = _numbers(publication, sorted([*contents, NUMBERS]))
    for name, content in contents.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)


def _checklist_csv(checklists: Sequence[Checklist]) -> str:
    rows = [
        (checklist.name, item.number, item.topic, item.answer or OPEN)
        for checklist in checklists
        for item in checklist.items
    ]
    return as_csv(("checklist", "item", "topic", "answer"), rows)


def _numbers(publication: Publication, files: Sequence[str]) -> bytes:
    content = {
        "title": publication.title,
        **({"mark": publication.mark} if publication.mark else {}),
        "notice": NOTICE,
        "command": publication.command,
        "versions": _versions(publication),
        "seed": publication.seed,
        "options": plain(publication.options, "options"),
        "numbers": plain(publication.numbers),
        "files": files,
    }
    return (json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _versions(publication: Publication) -> dict[str, Any]:
    return {"ctacal": __version__, "python": platform.python_version()} | {
        name: _version(name) for name in publication.packages
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def made_by(publication: Publication) -> str:
    """Return the program and packages with their versions, on one line."""
    return ", ".join(f"{name} {number}" for name, number in _versions(publication).items() if number)
