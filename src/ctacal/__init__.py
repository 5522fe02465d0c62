"""Coronary artery calcium from the CT acquired for attenuation correction (CTAC).

Research use only: not a medical device. ``score_study`` is the one door; public names are imported at their first use,
so that ``import ctacal`` stays fast.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ctacal.result import RefusedStudy, ScoredStudy, StudyResult
    from ctacal.study import score_study

__version__ = "0.1.0"
__all__ = ["RefusedStudy", "ScoredStudy", "StudyResult", "__version__", "score_study"]

_HOMES = {
    "RefusedStudy": "ctacal.result",
    "ScoredStudy": "ctacal.result",
    "StudyResult": "ctacal.result",
    "score_study": "ctacal.study",
}
"""The module of each public name."""


def __getattr__(name: str) -> Any:
    """Import a public name at its first use (PEP 562)."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'ctacal' has no attribute {name!r}")
