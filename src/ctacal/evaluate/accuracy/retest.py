"""The section of the model card on patients who were scanned again: how much scores change by themselves."""

from collections.abc import Iterator, Sequence

import numpy as np

from ctacal.compare.rescanned import RescanPairs, Spread, spread_of
from ctacal.evaluate.accuracy.markdown import estimate_cell, table
from ctacal.statistics.agreement import bootstrap_kappa, cross_table, exact_agreement, risk_categories

AT = (100.0, 400.0)
"""Agatston scores at which the limits are printed."""

HEAD = ("centre", "patients", "pairs", "kappa, linear weights", "same category", *(f"after {at:g}" for at in AT))

_TEXT = (
    "**Simulated** patients, scanned several times with the same calcium at presets that are used as they are: other "
    "position, heartbeat, breath and noise (`ctacal rescan`). Kappa compares the categories of two scans of one "
    "patient; its interval comes from resampling patients. The last columns: scores of a second scan that are within "
    "the limits of an unchanged patient, after a first scan of 100 or 400 (`ctacal compare`)."
)


def retest_section(pairs: RescanPairs | None) -> str:
    """Return the section: a table with a line for each centre. Without pairs it says so."""
    head = "## Two scans of one patient\n"
    if pairs is None or not len(pairs.first):
        return f"{head}\nNo patient was scanned twice.\n"
    spread = spread_of(pairs)
    return "\n".join([head, _TEXT, "", *table(HEAD, list(_lines(pairs, spread))), ""])


def _lines(pairs: RescanPairs, spread: Spread) -> Iterator[Sequence[str]]:
    for centre in pairs.centres:
        own = pairs.of_centre(centre)
        kappa = bootstrap_kappa(risk_categories(own.first), risk_categories(own.second), "linear", patients=own.patient)
        same = exact_agreement(cross_table(risk_categories(own.first), risk_categories(own.second)))
        after = [_within(spread, centre, at) for at in AT]
        yield centre, str(len(set(own.patient))), str(len(own.first)), estimate_cell(kappa), estimate_cell(same), *after


def _within(spread: Spread, centre: str, before: float) -> str:
    """Return the lowest and the highest second score within the limits after a first one."""
    roots = np.arange(0, 4 * np.sqrt(before), 0.02)
    limit = spread.limit(centre, (roots + np.sqrt(before)) / 2)
    within = roots[np.abs(roots - np.sqrt(before)) <= limit]
    return f"{within[0] ** 2:.0f} to {within[-1] ** 2:.0f}"
