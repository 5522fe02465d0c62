"""Coronary artery calcium from the CT acquired for attenuation correction (CTAC).

Research use only: not a medical device. ``score_study`` is the one door; it is imported lazily, so that
``import ctacal`` stays fast.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ctacal.result import StudyResult
    from ctacal.study import score_study

__version__ = "0.1.0"
__all__ = ["StudyResult", "__version__", "score_study"]


def __getattr__(name: str) -> Any:
    """Import the public names of the package on first use (PEP 562)."""
    if name in {"score_study", "StudyResult"}:
        from ctacal import study

        return getattr(study, name)
    raise AttributeError(f"module 'ctacal' has no attribute {name!r}")
