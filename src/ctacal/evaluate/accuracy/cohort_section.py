"""The section of the model card on one cohort: tables of figures, categories, centres and other calcium."""

from collections.abc import Iterator, Mapping, Sequence

from ctacal.categories import CATEGORIES
from ctacal.evaluate.accuracy.columns import TRUE_LABELS, Column, columns_of
from ctacal.evaluate.accuracy.contenders import HARD, INSERTED, SIMULATED, Cohort
from ctacal.evaluate.accuracy.figures import FIGURES, Figure, KindFound, Reference, difference, kind_found, scored
from ctacal.evaluate.accuracy.goals import GOAL_KINDS, KIND_GOAL, REFERENCE_WORDS, has_goals
from ctacal.evaluate.accuracy.markdown import estimate_cell, kind_name, table
from ctacal.evaluate.accuracy.results import NO_DEPOSIT, Row
from ctacal.statistics.agreement import bootstrap_kappa
from ctacal.statistics.bootstrap import RESAMPLES

KIND_WORDS: Mapping[str, str] = {
    SIMULATED: "**Simulated** scans with simulated calcium, as frequent as in patients.",
    HARD: "**Simulated** scans, rich in what is confused with coronary calcium; reported separately, own goal.",
    INSERTED: "**Artificial plaques inserted into real scans**; reported separately, without goals.",
}
"""What a cohort of each kind is."""


def cohort_section(cohort: Cohort) -> str:
    """Return the section on a cohort, with all its tables."""
    parts = [_described(cohort)]
    for reference in REFERENCE_WORDS:
        if any(row[f"{reference}_agatston"] is not None for row in cohort.studies):
            parts += [*_side_by_side(cohort, reference), *_four_by_four(cohort, reference)]
            parts += _by_centre(cohort, reference)
    parts += _other_calcium(cohort)
    return "\n".join(parts)


def _described(cohort: Cohort) -> str:
    rows = cohort.studies
    patients, centres = ({row[name] for row in rows if row[name]} for name in ("patient", "centre"))
    return (
        f"## Cohort {cohort.title}\n\n{KIND_WORDS[cohort.kind]} {len(rows)} studies of {len(patients)} patients. "
        f"Studies that share a patient's anatomy are not independent, so the interval of kappa comes from resampling "
        f"patients ({RESAMPLES:,} resamples). Centres: {', '.join(sorted(centres))}.\n"
    )


def _side_by_side(cohort: Cohort, reference: Reference) -> Iterator[str]:
    """Yield the table of all figures, a column for each contender, and the paired differences."""
    columns, goals = columns_of(cohort, reference), has_goals(cohort)
    head = ("figure (95 % interval)", *(["goal"] if goals else []), *(column.title for column in columns))
    everybody = [column.scored(cohort, reference, lambda row: True) for column in columns]
    counts = [("studies scored", [str(answer.model.size) for answer in everybody])]
    counts += [("refused or failed", [str(answer.missed) for answer in everybody])]
    rows = [_figure_line(figure, cohort, reference, columns, goals=goals) for figure in FIGURES]
    yield f"### {REFERENCE_WORDS[reference].capitalize()}\n"
    yield from table(
        (*head, "others, on other data"),
        [(name, *([""] if goals else []), *cells, "") for name, cells in counts] + rows,
    )
    yield ""
    for title, rows_of_other in list(cohort.lines.items())[1:]:
        yield _compared(cohort.studies, title, rows_of_other, reference)
    yield ""


def _figure_line(
    figure: Figure, cohort: Cohort, reference: Reference, columns: Sequence[Column], *, goals: bool
) -> tuple[str, ...]:
    goal = figure.goals.get((cohort.kind, reference))
    estimates = [figure.of(column.scored(cohort, reference, figure.among)) for column in columns]
    cells = [estimate_cell(estimate) for estimate in estimates]
    if goal is not None:
        reached = estimates[0].estimate
        cells[0] += " met" if reached is not None and reached >= goal else " **missed**"
    goal_cell = [f"≥ {goal:.2f}" if goal is not None else ""] if goals else []
    return (figure.name, *goal_cell, *cells, figure.elsewhere.get(reference, ""))


def _compared(ours: Sequence[Row], title: str, other: Sequence[Row], reference: Reference) -> str:
    """Return a line on the difference of kappas, on the studies that both scored."""
    found = difference(ours, other, reference)
    if found.low is None or found.high is None:
        verdict = "not measurable"
    elif found.low > 0:
        verdict = "ours is better"
    else:
        verdict = "**ours is worse**" if found.high < 0 else "undecided: the interval contains 0"
    return f"- Linear weighted kappa, ours minus {title}: {estimate_cell(found)} on {found.n} studies; {verdict}."


def _four_by_four(cohort: Cohort, reference: Reference) -> Iterator[str]:
    """Yield a table of categories for each contender."""
    rows_are = TRUE_LABELS if reference == "true" else "gated reference"
    for title, rows in cohort.lines.items():
        found = scored(rows, reference)
        if found.model.size:
            counts = found.table
            yield f"Categories, {rows_are} in rows, {title} in columns:\n"
            head = ("", *CATEGORIES, "all")
            lines = [(name, *map(str, row), str(row.sum())) for name, row in zip(CATEGORIES, counts, strict=True)]
            yield from table(head, [*lines, ("all", *map(str, counts.sum(axis=0)), str(counts.sum()))])
            yield ""


def _by_centre(cohort: Cohort, reference: Reference) -> Iterator[str]:
    """Yield the table of kappa at each centre."""
    columns = columns_of(cohort, reference)
    yield f"### By centre: linear weighted kappa {REFERENCE_WORDS[reference]}\n"
    centres = sorted({row["centre"] for row in cohort.studies if row["centre"]})
    yield from table(
        ("centre", "studies", *(column.title for column in columns)),
        [_centre_line(cohort, reference, columns, centre) for centre in centres],
    )
    yield ""


def _centre_line(cohort: Cohort, reference: Reference, columns: Sequence[Column], centre: str) -> tuple[str, ...]:
    def is_here(row: Row) -> bool:
        return bool(row["centre"] == centre)

    found = [column.scored(cohort, reference, is_here) for column in columns]
    kappas = [estimate_cell(bootstrap_kappa(*answer.classes, patients=answer.patients)) for answer in found]
    return (centre, str(sum(map(is_here, cohort.studies))), *kappas)


def _other_calcium(cohort: Cohort) -> Iterator[str]:
    """Yield the table of other calcium and metal counted as coronary."""
    yield "### Other calcium and metal counted as coronary\n"
    kinds = sorted({kind for row in cohort.studies for kind in row["kinds_visible"].split()})
    if not kinds:
        yield "Not known for these studies.\n"
        return
    yield (
        "Number of studies in which any voxel of the kind, at or above the threshold, adds to the score, out of the "
        "studies that show the kind at or above the threshold (95 % interval) [median Agatston score that it adds in "
        "those studies].\n"
    )
    lines = [_kind_line(cohort, kind) for kind in sorted(kinds, key=lambda name: (name not in GOAL_KINDS, name))]
    nothing = [_kind_cell(kind_found(rows, NO_DEPOSIT, everywhere=True)) for rows in cohort.lines.values()]
    lines.append(("neither calcium nor metal: noise, bone, motion, rims of plaques", "", *nothing))
    yield from table(("kind", "goal", *cohort.lines), lines)
    yield ""


def _kind_line(cohort: Cohort, kind: str) -> tuple[str, ...]:
    found = [kind_found(rows, kind) for rows in cohort.lines.values()]
    cells = [_kind_cell(answer) for answer in found]
    goal = kind in GOAL_KINDS and cohort.kind == SIMULATED
    share = found[0].share.estimate
    if goal and share is not None:
        cells[0] += " met" if share < KIND_GOAL else " **missed**"
    return (kind_name(kind), f"< {KIND_GOAL:.0%}" if goal else "", *cells)


def _kind_cell(found: KindFound) -> str:
    if found.share.estimate is None:
        return f"– ({found.share.reason})"
    added = f" [{found.median_agatston:.1f}]" if found.median_agatston is not None else ""
    interval = f"({found.share.low:.1%} to {found.share.high:.1%})"
    return f"{found.wrong}/{found.share.n} = {found.share.estimate:.1%} {interval}{added}"
