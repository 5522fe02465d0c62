"""Scans whose calcium is known exactly: drawn phantoms, simulated CTAC studies, real scans with inserted calcium.

``anatomy`` builds a patient, ``scanner`` scans it, ``study`` joins the two and adds the truth, ``output`` writes the
files, ``cohort`` makes many studies. ``training`` makes crops for the networks, ``insert`` puts calcium into real
scans, ``phantom`` is drawn without physics, ``realism`` compares simulated with real scans.

The names need the extra ``simulate`` (numba, spekpy, xraylib), and are imported on first use. Other packages of this
part import nothing: import names from their modules.
"""

from typing import TYPE_CHECKING

from ctacal.public_names import imported_on_use

if TYPE_CHECKING:
    from ctacal.simulate.cohort import CohortPlan, make_cohort, stream_studies
    from ctacal.simulate.insert.study import InsertedStudy, insert_study
    from ctacal.simulate.output.simulated import write_study
    from ctacal.simulate.scanner.protocol import ScannerProtocol, load_protocol, protocol_names
    from ctacal.simulate.study import SimulatedStudy, StudyDescription, draw_study, simulate_study
    from ctacal.simulate.truth import Truth

__all__ = [
    "CohortPlan",
    "InsertedStudy",
    "ScannerProtocol",
    "SimulatedStudy",
    "StudyDescription",
    "Truth",
    "draw_study",
    "insert_study",
    "load_protocol",
    "make_cohort",
    "protocol_names",
    "simulate_study",
    "stream_studies",
    "write_study",
]

_NAMES = {
    "study": (
        "SimulatedStudy",
        "StudyDescription",
        "draw_study",
        "simulate_study",
    ),
    "truth": ("Truth",),
    "scanner.protocol": (
        "ScannerProtocol",
        "load_protocol",
        "protocol_names",
    ),
    "cohort": (
        "CohortPlan",
        "make_cohort",
        "stream_studies",
    ),
    "output.simulated": ("write_study",),
    "insert.study": (
        "InsertedStudy",
        "insert_study",
    ),
}
"""Public names of each module."""

__getattr__ = imported_on_use(__name__, _NAMES, "simulate")


def __dir__() -> list[str]:
    return list(__all__)
