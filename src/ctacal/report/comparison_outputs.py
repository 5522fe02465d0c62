"""``write_comparison``: the files of one comparison, of the kinds chosen."""

import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

from ctacal.atomic import whole_file, write_text
from ctacal.compare.comparison import Comparison
from ctacal.compare.comparison_json import comparison_json
from ctacal.dicom.header import quiet_pydicom
from ctacal.dicom.objects.seg_writer import save
from ctacal.errors import Code, Reason, Refusal, UsageError
from ctacal.report.comparison_pictures import ComparisonPictures
from ctacal.report.outputs import ScoredShared, Shared
from ctacal.result_json import write_result

_log = logging.getLogger("ctacal")


@dataclass(frozen=True, eq=False)
class _Sources:
    """What the files of a comparison are made from; what several need is made once."""

    comparison: Comparison
    a: Shared
    b: Shared

    @cached_property
    def pictures(self) -> ComparisonPictures | None:
        """None if a scan was not scored."""
        if isinstance(self.a, ScoredShared) and isinstance(self.b, ScoredShared):
            return ComparisonPictures(self.a.result, self.b.result, self.comparison.transform)
        return None


def _write_json(sources: _Sources, folder: Path) -> None:
    content = comparison_json(sources.comparison)
    write_text(folder / "comparison.json", json.dumps(content, indent=2, allow_nan=False) + "\n")


def _write_html(sources: _Sources, folder: Path) -> None:
    from ctacal.report.comparison_html import comparison_html

    page = comparison_html(sources.comparison, sources.b.subject, sources.pictures)
    write_text(folder / "comparison.html", page)


def _write_pdf(sources: _Sources, folder: Path) -> None:
    from ctacal.report.comparison_pdf import comparison_pdf

    with whole_file(folder / "comparison.pdf") as temporary:
        temporary.write_bytes(comparison_pdf(sources.comparison, sources.b.subject, sources.pictures))


def _write_sr(sources: _Sources, folder: Path) -> None:
    from ctacal.report.comparison_sr import comparison_report

    if isinstance(sources.a, ScoredShared) and isinstance(sources.b, ScoredShared):
        report = comparison_report(sources.comparison, sources.a.filing, sources.b.filing)
        save(report, folder / "comparison_sr.dcm")


def _write_results(sources: _Sources, folder: Path) -> None:
    for name, shared in (("before", sources.a), ("after", sources.b)):
        write_result(replace(shared.result, subject=shared.subject), folder / f"{name}.json")


KINDS: Mapping[str, tuple[tuple[str, ...], Callable[[_Sources, Path], None]]] = MappingProxyType(
    {
        "results": (("before.json", "after.json"), _write_results),
        "sr": (("comparison_sr.dcm",), _write_sr),
        "html": (("comparison.html",), _write_html),
        "pdf": (("comparison.pdf",), _write_pdf),
        "json": (("comparison.json",), _write_json),
    }
)
"""The kinds of output with the names of their files, in the order in which they are written; comparison.json is last,
so that its presence means that all other files are whole."""

DEFAULT_KINDS = ("json", "html", "pdf", "sr", "results")


def known_kinds(text: str) -> tuple[str, ...]:
    """Return the names in a list such as ``json,pdf``; raises ``UsageError`` if one is not in ``KINDS``."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in names:
        if name not in KINDS:
            raise UsageError(f"--write {name}: known are {', '.join(KINDS)}")
    return names


def write_comparison(
    comparison: Comparison, shared: Sequence[Shared], folder: Path, kinds: Iterable[str] = DEFAULT_KINDS
) -> tuple[Reason, ...]:
    """Write the files of a comparison; return a reason for each that could not be made.

    ``shared`` is of the earlier and of the later scan. Files of an earlier run are removed first. Raises ``OSError`` if
    the disk fails.
    """
    for names, _ in KINDS.values():
        for name in names:
            (folder / name).unlink(missing_ok=True)
    sources, chosen = _Sources(comparison, shared[0], shared[1]), set(kinds)
    problems = [_problem(name, sources, folder) for name in KINDS if name in chosen]
    return tuple(problem for problem in problems if problem)


def _problem(name: str, sources: _Sources, folder: Path) -> Reason | None:
    try:
        with quiet_pydicom():
            KINDS[name][1](sources, folder)
    except OSError:  # the disk fails, so later files would fail too
        raise
    except Refusal as refusal:
        return replace(refusal.reason, message=f"no {name}: {refusal.reason.message}")
    except Exception as problem:
        _log.exception("comparison of study %s: %s", sources.comparison.b.study_uid, name)
        message = f"no {name} could be written, {type(problem).__name__}: {problem}; please report this"
        return Reason(Code.INTERNAL_ERROR, message)
    return None
