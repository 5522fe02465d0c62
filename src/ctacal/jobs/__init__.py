"""Jobs: the work behind the command line, and later behind a DICOM node, a reader's page and a batch.

``score`` scores studies and writes their files; ``finders`` are its predictors, and ``resume`` decides which results
are kept. ``accuracy``, ``calibrate``, ``samples``, ``train``, ``export`` and ``finetune`` make and measure networks;
``agree``, ``cohort``, ``outcomes`` and ``paper`` evaluate tables; ``simulate`` makes studies; ``installation``
describes the installation.

A job is a frozen value and a function that returns a value. It reports progress through a function that the caller
passes, and it never prints. The names below are imported on first use; other names are imported from the modules: each
imports only what its own job needs.
"""

from typing import TYPE_CHECKING

from ctacal.public_names import imported_on_use

if TYPE_CHECKING:
    from ctacal.jobs.agree import write_agreement
    from ctacal.jobs.cohort import join_cohort
    from ctacal.jobs.finders import Finder, baseline, networks, reader_labels
    from ctacal.jobs.outcomes import write_outcomes
    from ctacal.jobs.score import Limits, Privacy, ScoreJob, score_intake

__all__ = [
    "Finder",
    "Limits",
    "Privacy",
    "ScoreJob",
    "baseline",
    "join_cohort",
    "networks",
    "reader_labels",
    "score_intake",
    "write_agreement",
    "write_outcomes",
]

_NAMES = {
    "agree": ("write_agreement",),
    "cohort": ("join_cohort",),
    "finders": ("Finder", "baseline", "networks", "reader_labels"),
    "outcomes": ("write_outcomes",),
    "score": ("Limits", "Privacy", "ScoreJob", "score_intake"),
}
"""Public names of each module."""

__getattr__ = imported_on_use(__name__, _NAMES)


def __dir__() -> list[str]:
    return list(__all__)
