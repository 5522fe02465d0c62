"""Cohorts of studies put together by hand."""

import time
from pathlib import Path
from typing import Any

from ctacal.simulate.cohort import CohortPlan, Row, make_cohort
from ctacal.simulate.study import SimulatedStudy, StudyDescription
from tests.simulate.studies import drawn_by_hand, tiny_protocol

PROTOCOLS = (tiny_protocol("a"), tiny_protocol("b"))


def slow(description: StudyDescription) -> SimulatedStudy:
    time.sleep(1.0)
    return drawn_by_hand(description)


def descriptions(count: int, **options: Any) -> list[StudyDescription]:
    plan = CohortPlan(protocols=PROTOCOLS, count=count, **options)
    return [plan.description(k) for k in range(count)]


def made(out: Path, count: int, *, seed: int = 0, **options: Any) -> list[Row]:
    return list(
        make_cohort(
            descriptions(count, seed=seed), out, **{"writers": ("nifti",), "simulate": drawn_by_hand, **options}
        )
    )
