"""Prognosis: a table of patients and its TOML -> survival statistics -> a ``Publication``.

``config`` says what the columns mean, ``read`` and ``follow_up`` read the table, ``patients`` holds its patients. Each
part of the report is a module: ``baseline``, ``survival``, ``hazards``, ``missing``, ``performance``,
``reclassification``, ``competing``, ``subgroups``; they share ``part``, ``models``, ``differences`` and ``figures``.
``report`` puts the publication together, ``paper`` sets the published figures beside it, ``published_cohort``
simulates a cohort from them, and ``example`` makes a table to try it on::

    patients = read_patients(Path("cohort.csv"), read_config(Path("outcomes.toml")))
    write_publication(outcomes_report(patients), Path("OUT"))

The names are imported on first use, so that what needs no statistics does not wait for them.
"""

from typing import TYPE_CHECKING

from ctacal.public_names import imported_on_use

if TYPE_CHECKING:
    from ctacal.evaluate.outcomes.config import OutcomesConfig, read_config
    from ctacal.evaluate.outcomes.example import example_csv, example_toml
    from ctacal.evaluate.outcomes.paper import MARK, PaperRecipe, paper_page, paper_report, read_recipe
    from ctacal.evaluate.outcomes.patients import Patients
    from ctacal.evaluate.outcomes.published_cohort import SIMULATED, SimulatedCohort, cohort_csv, simulate_cohort
    from ctacal.evaluate.outcomes.read import read_patients
    from ctacal.evaluate.outcomes.report import outcomes_report

__all__ = [
    "MARK",
    "SIMULATED",
    "OutcomesConfig",
    "PaperRecipe",
    "Patients",
    "SimulatedCohort",
    "cohort_csv",
    "example_csv",
    "example_toml",
    "outcomes_report",
    "paper_page",
    "paper_report",
    "read_config",
    "read_patients",
    "read_recipe",
    "simulate_cohort",
]

_NAMES = {
    "config": ("OutcomesConfig", "read_config"),
    "example": ("example_csv", "example_toml"),
    "paper": ("MARK", "PaperRecipe", "paper_page", "paper_report", "read_recipe"),
    "patients": ("Patients",),
    "published_cohort": ("SIMULATED", "SimulatedCohort", "cohort_csv", "simulate_cohort"),
    "read": ("read_patients",),
    "report": ("outcomes_report",),
}
"""Public names of each module."""

__getattr__ = imported_on_use(__name__, _NAMES)
