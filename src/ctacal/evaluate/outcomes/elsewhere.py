"""Models fitted at some centres and tested at others: each centre in turn, or the centres named for the test."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ctacal.evaluate.outcomes.figures import ForestRow, draw_forest
from ctacal.evaluate.outcomes.part import Footnotes, Part
from ctacal.evaluate.outcomes.patients import Patients
from ctacal.evaluate.outcomes.performance import Family
from ctacal.evaluate.publication import COLOURS, GREY, Cell, Chart, Section, Table, listed, percent
from ctacal.progress import Progress, no_progress
from ctacal.statistics.estimate import Estimate
from ctacal.statistics.meta_analysis import Combined, combine_estimates
from ctacal.statistics.survival.held_out import HeldOut, internal_external, measure_held_out

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = ("Tested at", "n", "Events", "Harrell's C", "AUC", "Brier score", "O/E", "Slope", "Gain in C", "Gain in AUC")

EXPLAINED = (
    "C: Harrell's. O/E: observed (Kaplan-Meier) over expected events; above 1 the models predict too few events there. "
    "Slope: below 1 their risks are too extreme there. Gain: against the model without calcium, paired."
)

IN_TURN = (
    "Internal-external validation: each centre in turn is left out, the models are fitted to all others and tested "
    "there. No patient has a part in the model that predicts his or her risk."
)


def elsewhere_part(patients: Patients, found: Sequence[Family | str], progress: Progress = no_progress) -> Part:
    """Return models tested at centres where they were not fitted, of patients with all covariates."""
    known = [family for family in found if isinstance(family, Family)]
    centre, title = patients.centre, "Other centres"
    if centre is None or len(np.unique(centre.group)) < 2 or not known:
        reason = "No test at other centres: it needs patients with all covariates at two centres or more, and models."
        return Part(Section(title, (reason,)), {"reason": reason})
    family, horizon = known[-1], patients.config.analysis.horizon_years
    models = {model.name: model.columns[1] for model in family.all}
    named = patients.config.centre.test if patients.config.centre else ()
    if named:
        test = np.isin(np.array(centre.labels)[centre.group], named)
        one = measure_held_out(patients.data, models, test, horizon=horizon)
        return _at_named(patients, family, one, listed(list(named)))
    by_place = internal_external(patients.data, models, centre.group, horizon=horizon, progress=progress)
    return _in_turn(patients, family, {centre.labels[int(str(place))]: one for place, one in by_place.items()})


def _at_named(patients: Patients, family: Family, one: HeldOut, where: str) -> Part:
    words = (
        f"The models were fitted to the {one.fitted_to:,} patients of the other centres and tested in the {one.n:,} of "
        f"{where}, who had no part in them. All other parts of this report use the patients of all centres."
    )
    notes = Footnotes(f"{EXPLAINED} Adjusted for {family.reference.name}.")
    rows = [row for name in _names(family) for row in _rows(name, {where: one}, notes)]
    title = f"Models of other centres tested at {where} (95 % CI)"
    table = Table(title, COLUMNS, tuple(rows), notes.all, name="external_test")
    return Part(Section("Other centres", (words, table)), {"test": where, "found": _numbers(one)})


def _in_turn(patients: Patients, family: Family, found: Mapping[str, HeldOut]) -> Part:
    notes = Footnotes(
        f"{EXPLAINED} Adjusted for {family.reference.name}. Average: random effects (REML), Hartung-Knapp interval. "
        "I²: share of the differences between centres that is not chance; that of O/E is too high where centres are "
        "few, because each of them is also part of the others' models."
    )
    rows: list[tuple[Cell, ...]] = []
    numbers: dict[str, Any] = {"centres": {label: _numbers(one) for label, one in found.items()}, "average": {}}
    for name in _names(family):
        rows += _rows(name, found, notes)
        averages = _averages(name, found)
        numbers["average"][name] = averages
        rows.append(
            ("  Average", "", "", *(notes.figure(one.average, 3) for one in averages.values()), *_fill(averages))
        )
        rows.append(("  I²", "", "", *(_share(one, notes) for one in averages.values()), *_fill(averages)))
    table = Table("Each centre left out in turn (95 % CI)", COLUMNS, tuple(rows), notes.all, name="centres_in_turn")
    return Part(Section("Other centres", (IN_TURN, table, _chart(family, found, numbers["average"]))), numbers)


def _names(family: Family) -> list[str]:
    return [model.name for model in family.all]


def _rows(name: str, found: Mapping[str, HeldOut], notes: Footnotes) -> list[tuple[Cell, ...]]:
    """Return a heading for the model, and its measures at each place."""
    rows: list[tuple[Cell, ...]] = [(name,)]
    for label, one in found.items():
        measures = _measures(name, one)
        if not measures:
            rows.append((f"  {label}", one.n, one.events, notes.dash(one.reason), *[""] * (len(COLUMNS) - 4)))
            continue
        cells = [notes.figure(own, 3) for own in measures.values()]
        rows.append((f"  {label}", one.n, one.events, *cells, *_fill(measures)))
    return rows


def _measures(name: str, one: HeldOut) -> dict[str, Estimate]:
    """Return the measures of a model in the order of the columns; those of the reference have no gains."""
    if one.reason:
        return {}
    gains = one.gains.get(name, {})
    own: dict[str, Estimate] = dict(one.measures[name].items())
    return own | {f"gain {key}": gains[key] for key in ("harrell_c", "auc") if key in gains}


def _fill(cells: Mapping[str, object]) -> list[str]:
    return [""] * (len(COLUMNS) - 3 - len(cells))


def _averages(name: str, found: Mapping[str, HeldOut]) -> dict[str, Combined]:
    measured = [_measures(name, one) for one in found.values() if not one.reason]
    keys = list(measured[0]) if measured else []
    return {key: combine_estimates([own[key] for own in measured], ratios=key == "observed_expected") for key in keys}


def _share(found: Combined, notes: Footnotes) -> str:
    return notes.dash(found.test.reason) if found.share is None else percent(found.share, 0)


def _numbers(one: HeldOut) -> dict[str, Any]:
    return {
        "n": one.n, "events": one.events, "fitted_to": one.fitted_to, "measures": one.measures, "gains": one.gains,
        "reason": one.reason,
    }  # fmt: skip


def _chart(family: Family, found: Mapping[str, HeldOut], averages: Mapping[str, Mapping[str, Combined]]) -> Chart:
    names = _names(family)
    series = ("without calcium", *names[1:])
    rows = [
        ForestRow(
            f"{label} ({one.events:,} of {one.n:,})", tuple(_measures(name, one).get("harrell_c") for name in names)
        )
        for label, one in found.items()
    ]
    rows.append(
        ForestRow("Average", tuple(averages[name]["harrell_c"].average if averages[name] else None for name in names))
    )

    def draw(figure: "Figure") -> None:
        draw_forest(figure, rows, series, "Harrell's C", ratios=False, colours=(GREY, *COLOURS))

    caption = (
        "Harrell's C at each centre (events of patients) of models fitted to all other centres: "
        f"{family.reference.name} without and with calcium categories, with 95 % intervals, and the average by random "
        "effects."
    )
    return Chart("C at each centre left out", caption, draw, "double", 26 + 8 * len(rows))
