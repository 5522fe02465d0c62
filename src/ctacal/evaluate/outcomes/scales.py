"""The score on other scales: per doubling, per standard deviation, in five classes; number of diseased vessels."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ctacal.arrays import Floats
from ctacal.categories import FIVE_CATEGORIES, FIVE_CATEGORY_EDGES, category_indices
from ctacal.evaluate.outcomes.models import Columns, coefficients, fit, one_column, ratio, together, wald
from ctacal.evaluate.outcomes.part import Footnotes, Part
from ctacal.evaluate.outcomes.patients import Patients
from ctacal.evaluate.publication import Cell, Section, Table
from ctacal.evaluate.publication.wording import number

MOST_VESSELS = 3
"""From this number of diseased vessels on, patients are one group."""


def scales_part(patients: Patients) -> Part:
    """Return hazard ratios of the score on other scales, univariable of all and multivariable of complete patients."""
    known = [reading for reading in patients.readings if reading.score is not None or reading.vessels is not None]
    title = "The score on other scales"
    if not known:
        reason = "The table has categories, not scores, so that there are no other scales."
        return Part(Section(title, (reason,)), {"reason": reason})
    complete = patients.take(patients.complete)
    notes = Footnotes(
        "Cox models with Efron's method for ties, univariable of all patients and adjusted for the covariates of "
        "patients who have them all. Five classes: Rumberger 1999.",
        "Per doubling: of CAC + 1. SD: standard deviation of log(CAC + 1) in all patients.",
    )
    rows: list[tuple[Cell, ...]] = []
    numbers: dict[str, Any] = {}
    for reading in known:
        rows.append((reading.name,))
        own = next(one for one in complete.readings if one.name == reading.name)
        found = numbers.setdefault(reading.name, {})
        if reading.score is not None and own.score is not None:
            rows += _numeric(patients, complete, np.log1p(reading.score), np.log1p(own.score), found, notes)
            five = [category_indices(one, FIVE_CATEGORY_EDGES) for one in (reading.score, own.score)]
            labels = [f"CAC {name}" for name in FIVE_CATEGORIES]
            rows += _classes(patients, complete, five, labels, found, notes)
        if reading.vessels is not None and own.vessels is not None:
            counts = [np.minimum(one, MOST_VESSELS).astype(np.int64) for one in (reading.vessels, own.vessels)]
            labels = ["No diseased vessel", "1 vessel", "2 vessels", "3 vessels or more"]
            rows += _classes(patients, complete, counts, labels, found, notes)
    columns = ("", "n", "Events", "Univariable HR (95 % CI)", "p", "Multivariable HR (95 % CI)", "p")
    table = Table("Hazard ratios on other scales", columns, tuple(rows), notes.all, name="scales")
    return Part(Section(title, (table,)), numbers)


def _numeric(
    patients: Patients, complete: Patients, whole: Floats, own: Floats, found: dict[str, Any], notes: Footnotes
) -> list[tuple[Cell, ...]]:
    spread = float(whole.std(ddof=1)) if len(whole) > 1 else 0.0
    scales = {"per doubling": np.log(2.0)} | ({f"per SD (of {number(spread, 2)})": spread} if spread > 0 else {})
    rows: list[tuple[Cell, ...]] = []
    for name, size in scales.items():
        columns = one_column(name, whole / size), one_column(name, own / size)
        rows += _rows(patients, complete, columns, [(f"  {name}", patients.data.n, patients.data.events)], found, notes)
    return rows


def _classes(
    patients: Patients,
    complete: Patients,
    classes: Sequence[Any],
    labels: Sequence[str],
    found: dict[str, Any],
    notes: Footnotes,
) -> list[tuple[Cell, ...]]:
    """Return a row for each class that has patients; the lowest of them is the reference."""
    present = [int(place) for place in np.unique(classes[0])]
    heads = []
    for place in present:
        mine = classes[0] == place
        heads.append((f"  {labels[place]}", int(mine.sum()), int(patients.data.event[mine].sum())))
    reference = (*heads[0], "1 (reference)", "", "1 (reference)", "")
    names = tuple(labels[place] for place in present[1:])
    whole, own = ((names, np.asarray(one[:, None] == np.array(present[1:], np.int64), np.float64)) for one in classes)
    return [reference, *_rows(patients, complete, (whole, own), heads[1:], found, notes)]


def _rows(
    patients: Patients,
    complete: Patients,
    columns: tuple[Columns, Columns],
    heads: Sequence[tuple[str, int, int]],
    found: dict[str, Any],
    notes: Footnotes,
) -> list[tuple[Cell, ...]]:
    """Return a row for each of the columns: of all patients, and of complete patients with the covariates."""
    alone = fit(patients, columns[0])
    adjusted = fit(complete, together(columns[1], complete.adjusted(complete.config.adjusted)))
    found[", ".join(columns[0][0])] = {"univariable": coefficients(alone), "multivariable": coefficients(adjusted)}

    def cells(name: str) -> Iterator[str]:
        for model in (alone, adjusted):
            yield from (notes.figure(ratio(model, name)), notes.p(wald(model, name)))

    return [(*head, *cells(name)) for head, name in zip(heads, columns[0][0], strict=True)]
