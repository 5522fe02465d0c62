"""Two scans of one patient: what has changed, and how much of it is noise.

``compare_scans`` gives the ``Comparison`` of two ``ComparedScan``, which ``scan_of_result`` makes from result.json::

    scans = [scan_of_result(json.loads(Path(name).read_text())) for name in ("2022.json", "2025.json")]
    comparison = compare_scans(*scans, Terms(limits=read_limits(Path("ours.json"))))
    comparison.verdict, comparison.changes["agatston"].total.per_year
"""

from typing import TYPE_CHECKING

from ctacal.public_names import imported_on_use

if TYPE_CHECKING:
    from ctacal.compare.comparison import Comparison, Terms, Verdict, compare_scans
    from ctacal.compare.limits import Limits, read_limits, write_limits
    from ctacal.compare.matching import match_lesions
    from ctacal.compare.registration import register
    from ctacal.compare.repeatability import limits_of_pairs
    from ctacal.compare.scan import ComparedScan, scan_of_result

__all__ = [
    "ComparedScan",
    "Comparison",
    "Limits",
    "Terms",
    "Verdict",
    "compare_scans",
    "limits_of_pairs",
    "match_lesions",
    "read_limits",
    "register",
    "scan_of_result",
    "write_limits",
]

_NAMES = {
    "comparison": ("Comparison", "Terms", "Verdict", "compare_scans"),
    "limits": ("Limits", "read_limits", "write_limits"),
    "matching": ("match_lesions",),
    "registration": ("register",),
    "repeatability": ("limits_of_pairs",),
    "scan": ("ComparedScan", "scan_of_result"),
}
"""Public names of each module."""

__getattr__ = imported_on_use(__name__, _NAMES)
