"""Coronary artery calcium from the CT acquired for attenuation correction (CTAC).

Research use only: not a medical device. ``score_study`` is the entry point. Public names are imported when they are
first used, so that ``import ctacal`` stays fast.
"""

from typing import TYPE_CHECKING

from ctacal.public_names import imported_on_use

if TYPE_CHECKING:
    from ctacal.result import RefusedStudy, ScoredStudy, StudyResult
    from ctacal.study import score_study

__version__ = "0.2.0"
__all__ = ["RefusedStudy", "ScoredStudy", "StudyResult", "__version__", "score_study"]

_NAMES = {"result": ("RefusedStudy", "ScoredStudy", "StudyResult"), "study": ("score_study",)}
"""Public names of each module."""

__getattr__ = imported_on_use(__name__, _NAMES)
