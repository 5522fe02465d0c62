"""Hazard ratios of the other sections over the imputations: endpoints, subgroups, competing risks, centres."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ctacal.evaluate.outcomes.centres import ratios_allowing, ratios_at_each
from ctacal.evaluate.outcomes.competing import both_models, sub_ratio
from ctacal.evaluate.outcomes.endpoints import adjustments, by_endpoint, category_ratios
from ctacal.evaluate.outcomes.models import ratio
from ctacal.evaluate.outcomes.part import LABELS, Footnotes
from ctacal.evaluate.outcomes.patients import Patients
from ctacal.evaluate.outcomes.subgroups import STEP, step_model
from ctacal.evaluate.publication import Cell, Table
from ctacal.statistics.estimate import Estimate
from ctacal.statistics.survival.pooling import pool_estimates

Ratios = dict[tuple[str, str], dict[str, Estimate]]
"""By heading and label of a row, its hazard ratios by column."""

HOW = (
    "Averages of log hazard ratios over {count} imputations, with intervals by Rubin's rules. Models as in section "
    "{section}, whose tests and averages are of complete cases. A subgroup holds those of whom it is known."
)


def imputed_models(sets: Sequence[Patients]) -> tuple[list[Table], dict[str, Any]]:
    """Return tables of the hazard ratios that the other sections give for complete cases, and their numbers."""
    first = sets[0]
    wanted: list[tuple[str, str, Callable[[Patients], Ratios]]] = []
    if first.endpoints or first.config.adjustment:
        wanted.append(("Endpoints and adjustment", "endpoints", _of_endpoints))
    if first.subgroups:
        wanted.append(("Subgroups", "subgroups", _of_subgroups))
    if first.config.outcome.competing:
        wanted.append(("Competing risks", "competing", _of_causes))
    if first.centre is not None and len(first.centre.labels) > 1:
        wanted.append(("Centres", "centres", _of_centres))
    pooled = {name: (title, _pooled(sets, of)) for title, name, of in wanted}
    tables = [_table(title, name, found, len(sets)) for name, (title, found) in pooled.items()]
    return tables, {name: _as_numbers(found) for name, (_, found) in pooled.items()}


def _of_endpoints(patients: Patients) -> Ratios:
    found: Ratios = {}
    for endpoint, own in by_endpoint(patients):
        for label, columns in adjustments(patients):
            heading = f"{endpoint} ({own.data.events:,} of {own.data.n:,}), {label.lower()}"
            for reading in own.readings:
                for key, one in category_ratios(own, reading, columns).items():
                    name = "Per category" if key == STEP else LABELS[int(key)]
                    found.setdefault((heading, name), {})[reading.name] = one
    return found


def _of_subgroups(patients: Patients) -> Ratios:
    found: Ratios = {}
    for subgroup in patients.subgroups:
        for place, label in enumerate(subgroup.labels):
            own = patients.take(subgroup.group == place)
            heading = (f"{subgroup.name}, per category", f"{label} ({own.data.events:,} of {own.data.n:,})")
            found[heading] = {reading.name: ratio(step_model(own, reading), STEP) for reading in own.readings}
    return found


def _of_causes(patients: Patients) -> Ratios:
    found: Ratios = {}
    for reading in patients.readings:
        sub, specific = both_models(patients, reading)
        names = reading.by_category()[0]
        for k, place in enumerate(reading.present[1:]):
            both = {"Fine-Gray": sub_ratio(sub, k), "Cause-specific": ratio(specific, names[k])}
            found[reading.name, LABELS[place]] = both
    return found


def _of_centres(patients: Patients) -> Ratios:
    found: Ratios = {}
    for reading in patients.readings:
        allowing = ratios_allowing(patients, reading)
        for place, own in zip(reading.present[1:], allowing.values(), strict=True):
            found[reading.name, LABELS[place]] = {name.capitalize(): one for name, one in own.items()}
        for label, one in ratios_at_each(patients, reading).items():
            found[f"{reading.name}, per category at each centre", label] = {"Together": one}
    return found


def _pooled(sets: Sequence[Patients], of: Callable[[Patients], Ratios]) -> Ratios:
    each = [of(own) for own in sets]
    degrees = max(sets[0].data.events - 1, 1)
    return {
        row: {
            column: pool_estimates(
                [found[row][column] for found in each], scale="log", complete_degrees_of_freedom=degrees
            )
            for column in columns
        }
        for row, columns in each[0].items()
    }


def _table(title: str, name: str, found: Ratios, count: int) -> Table:
    notes = Footnotes(HOW.format(count=count, section=title))
    columns = tuple(dict.fromkeys(column for own in found.values() for column in own))
    rows: list[tuple[Cell, ...]] = []
    above = ""
    for (heading, label), own in found.items():
        if heading != above:
            rows.append((heading,))
        above = heading
        rows.append((f"  {label}", *(notes.figure(own.get(column)) for column in columns)))
    heads = ("", *(f"{column}: HR (95 % CI)" for column in columns))
    return Table(f"{title}, imputed", heads, tuple(rows), notes.all, name=f"imputed_{name}")


def _as_numbers(found: Ratios) -> Mapping[str, Mapping[str, Any]]:
    numbers: dict[str, dict[str, Any]] = {}
    for (heading, label), own in found.items():
        numbers.setdefault(heading, {})[label] = own
    return numbers
