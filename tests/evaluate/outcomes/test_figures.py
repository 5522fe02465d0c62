"""Figures that stay legible: patients at risk never overlap, whatever the follow-up and the number of patients."""

from itertools import pairwise

import numpy as np
import pytest

from ctacal.evaluate.outcomes.figures import RiskRow, Step, draw_steps, year_ticks
from ctacal.evaluate.publication import Chart
from ctacal.evaluate.publication.figures import drawn


@pytest.mark.parametrize("patients", [20, 2_271, 100_000, 12_345_678])
@pytest.mark.parametrize("years", [0.02, 0.9, 4.9, 7.4, 29.0, 27_000.0])
def test_patients_at_risk_never_overlap(patients: int, years: float) -> None:
    ticks = year_ticks(np.array([years]))
    rows = [RiskRow(f"CAC {place}", "#0072B2", tuple(patients for _ in ticks)) for place in range(4)]
    times = np.array([0.0, years])
    step = Step("CAC 0", "#0072B2", times, times * 0, times * 0, times * 0)

    def draw(figure: object) -> None:
        draw_steps(figure, [step], rows, ticks, "Patients (%)")  # type: ignore[arg-type]

    with drawn(Chart("t", "", draw, height_mm=95)) as figure:
        below = figure.axes[1]
        counts = [text for text in below.texts if text.get_text() == f"{patients:,}"]
        assert len(counts) >= 2 * len(rows)
        first = [text.get_window_extent() for text in counts[: len(counts) // len(rows)]]
        assert all(left.x1 < right.x0 for left, right in pairwise(first))
