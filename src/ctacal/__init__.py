"""Coronary artery calcium from the CT acquired for attenuation correction (CTAC).

Research use only: not a medical device. ``score_study`` is the entry point. Public names are imported when they are
first used, so that ``import ctacal`` stays fast.
"""

from typing import TYPE_CHECKING

from ctacal.public_names import imported_on_use

if TYPE_CHECKING:
    from ctacal.dicom import read_studies
    from ctacal.evaluate import AgreeConfig
    from ctacal.jobs import write_agreement, write_outcomes
    from ctacal.labels import Calcium, LabelMap
    from ctacal.nn import load_model
    from ctacal.prediction import ModelInfo, Prediction
    from ctacal.result import RefusedStudy, ScoredStudy, StudyResult
    from ctacal.results_table import write_results
    from ctacal.scores import ScoringRule, named_rule
    from ctacal.simulate import draw_study, simulate_study
    from ctacal.study import score_study
    from ctacal.volume import Volume

__version__ = "0.3.0"

__all__ = [
    "AgreeConfig",
    "Calcium",
    "LabelMap",
    "ModelInfo",
    "Prediction",
    "RefusedStudy",
    "ScoredStudy",
    "ScoringRule",
    "StudyResult",
    "Volume",
    "__version__",
    "draw_study",
    "load_model",
    "named_rule",
    "read_studies",
    "score_study",
    "simulate_study",
    "write_agreement",
    "write_outcomes",
    "write_results",
]

_NAMES = {
    "dicom": ("read_studies",),
    "study": ("score_study",),
    "nn": ("load_model",),
    "result": (
        "ScoredStudy",
        "RefusedStudy",
        "StudyResult",
    ),
    "results_table": ("write_results",),
    "scores": (
        "ScoringRule",
        "named_rule",
    ),
    "volume": ("Volume",),
    "labels": (
        "Calcium",
        "LabelMap",
    ),
    "prediction": (
        "ModelInfo",
        "Prediction",
    ),
    "simulate": (
        "draw_study",
        "simulate_study",
    ),
    "evaluate": ("AgreeConfig",),
    "jobs": (
        "write_agreement",
        "write_outcomes",
    ),
}
"""Public names of each module."""

__getattr__ = imported_on_use(__name__, _NAMES)


def __dir__() -> list[str]:
    return list(__all__)
