"""The table of patients' measures: what is drawn, and what it is drawn from."""

from dataclasses import fields

import numpy as np
import pytest

from ctacal.simulate.anatomy.description import Patient
from ctacal.simulate.anatomy.measures import MEASURES

VARIANTS = {"failing_ejection_fraction", "dominant_lcx_mm", "dominant_rca_mm"}


def test_measures_are_fields_of_a_patient_and_have_a_source() -> None:
    assert set(MEASURES) - VARIANTS <= {field.name for field in fields(Patient)}
    assert all(measure.source for measure in MEASURES.values())
    assert all(measure.limits[0] < measure.men[0] < measure.limits[1] for measure in MEASURES.values())


@pytest.mark.parametrize("name", ["height_cm", "lv_diameter_mm", "lad_mm"])
def test_values_follow_the_table(name: str) -> None:
    measure, rng = MEASURES[name], np.random.default_rng(1)
    for sex, (mean, sd) in (("M", measure.men), ("F", measure.women)):
        values = np.array([measure.draw(rng, sex) for _ in range(2000)])  # type: ignore[arg-type]
        assert values.mean() == pytest.approx(mean, abs=0.1 * sd)
        assert values.std() == pytest.approx(sd, rel=0.1)
    assert measure.limited(-1e9) == measure.limits[0]
