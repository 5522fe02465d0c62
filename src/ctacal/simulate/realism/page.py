"""The HTML page that shows simulated beside real CT: one file with its pictures in it. Needs matplotlib."""

from collections.abc import Sequence
from typing import Any

from ctacal.simulate.realism.comparison import Comparison
from ctacal.simulate.realism.pictures import (
    WINDOWS,
    curve_plots,
    histogram_plots,
    spectrum_plot,
    window_tiles,
)
from ctacal.simulate.realism.water import WaterScan
from ctacal.templates import render


def page_of(
    comparisons: Sequence[Comparison],
    water: Sequence[WaterScan],
    phantom: Sequence[tuple[str, float, float]],
    notes: Sequence[str],
) -> str:
    """Return the page; ``phantom`` has (name, real, simulated) of the QRM phantom, ``notes`` name what is missing."""
    return render(
        "ctacal.simulate.realism",
        "page.html.j2",
        notes=notes,
        sections=[_section(comparison) for comparison in comparisons],
        phantom=phantom,
        water=water,
        water_spectra=spectrum_plot(water) if water else "",
        number=_number,
    )


def _section(comparison: Comparison) -> dict[str, Any]:
    """Return the values that the template shows of a comparison."""
    rows = comparison.rows()
    verdicts = [row.verdict for row in rows]
    patients = [description.patient for description in comparison.descriptions]
    return {
        "scan": comparison.scan.name,
        "protocol": comparison.protocol.name,
        "patients": ", ".join(f"{p.sex} {p.age_years:.0f} y BMI {p.bmi:.1f}" for p in patients),
        "verdicts": ", ".join(f"{verdicts.count(name)} {name}" for name in ("alike", "near", "differs")),
        "credit": comparison.scan.credit,
        "windows": [(name, window_tiles(comparison, level, width)) for name, level, width in WINDOWS],
        "histograms": histogram_plots(comparison),
        "curves": curve_plots(comparison),
        "rows": rows,
    }


def _number(value: float) -> str:
    """Return a measured value with about three significant digits."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.3g}"
