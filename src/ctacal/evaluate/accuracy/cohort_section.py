"""The section of the model card on one cohort: tables of figures, categories, centres and other calcium."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from ctacal.categories import CATEGORIES
from ctacal.evaluate.accuracy.contenders import Cohort
from ctacal.evaluate.accuracy.figures import (
    FIGURES,
    Figure,
    KindFound,
    Reference,
    Scored,
    difference,
    kind_found,
    scored,
)
from ctacal.evaluate.accuracy.goals import GOAL_KINDS, KIND_GOAL, REFERENCE_WORDS, own_answer
from ctacal.evaluate.accuracy.markdown import estimate_cell, kind_name, table
from ctacal.evaluate.accuracy.results import NO_DEPOSIT, Row
from ctacal.statistics.agreement import bootstrap_kappa
from ctacal.statistics.bootstrap import RESAMPLES

KNOWN_DISEASE = {"stent", "bypass_clip"}
"""Signs of known coronary disease; patients with it were not in the published cohorts (Miller 2023)."""

TRUE_LABELS = "true label map"
"""Title of the column that shows what perfect labelling of the CTAC would reach."""


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
    kind = {
        "simulated": "**Simulated** scans with simulated calcium.",
        "inserted": "**Artificial plaques inserted into real scans**; reported separately, without goals.",
    }[cohort.kind]
    return (
        f"## Cohort `{cohort.name}`\n\n{kind} {len(rows)} studies of {len(patients)} patients. Studies that share a "
        f"patient's anatomy are not independent, so the interval of kappa comes from resampling patients "
        f"({RESAMPLES:,} resamples). Centres: {', '.join(sorted(centres))}.\n"
    )


def _side_by_side(cohort: Cohort, reference: Reference) -> Iterator[str]:
    """Yield the table of all figures, a column for each contender, and the paired differences."""
    found = {title: scored(rows, reference) for title, rows in cohort.lines.items() if rows}
    addition, own = own_answer(cohort.studies, reference)
    ours = next(iter(found)) + addition
    found = {ours: own} | found
    if reference == "gated":
        found[TRUE_LABELS] = scored(cohort.studies, "gated", "true")
    goals = cohort.has_goals
    head = ("figure (95 % interval)", *(["goal"] if goals else []), *found, "others, on other data")
    rows = [_figure_line(figure, reference, found, ours, goals=goals) for figure in FIGURES]
    counts = [("studies scored", [str(answer.model.size) for answer in found.values()])]
    counts += [("refused or failed", [str(answer.missed) for answer in found.values()])]
    yield f"### {REFERENCE_WORDS[reference].capitalize()}\n"
    yield from table(head, [(name, *([""] if goals else []), *cells, "") for name, cells in counts] + rows)
    yield ""
    for title, rows_of_other in list(cohort.lines.items())[1:]:
        if rows_of_other:
            yield _compared(cohort.studies, title, rows_of_other, reference)
    yield ""


def _figure_line(
    figure: Figure, reference: Reference, found: Mapping[str, Scored], ours: str, *, goals: bool
) -> tuple[str, ...]:
    goal = figure.goals.get(reference)
    estimates = {title: figure.of(answer) for title, answer in found.items()}
    cells = [estimate_cell(estimate) for estimate in estimates.values()]
    if goals and goal is not None:
        reached = estimates[ours].estimate
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
    """Yield the table of kappa at each centre, and in all patients without known coronary disease."""
    yield f"### By centre: linear weighted kappa {REFERENCE_WORDS[reference]}\n"
    lines = [_kappa_line(cohort, reference, name, belongs) for name, belongs in _groups(cohort).items()]
    added = (TRUE_LABELS,) if reference == "gated" else ()
    yield from table(("centre", "studies", *cohort.lines, *added), lines)
    yield ""


def _groups(cohort: Cohort) -> dict[str, Callable[[Row], bool]]:
    """Return whether a row belongs to each group: the centres, and patients without known coronary disease."""

    def is_from(centre: str) -> Callable[[Row], bool]:
        return lambda row: bool(row["centre"] == centre)

    groups = {centre: is_from(centre) for centre in sorted({row["centre"] for row in cohort.studies if row["centre"]})}
    if not all(map(_is_untreated, cohort.studies)):
        groups["all, without stents and bypass clips (no known coronary disease, as in Miller 2023)"] = _is_untreated
    return groups


def _is_untreated(row: Row) -> bool:
    return not KNOWN_DISEASE & set(row["kinds_present"].split())


def _kappa_line(cohort: Cohort, reference: Reference, name: str, belongs: Callable[[Row], bool]) -> tuple[str, ...]:
    here = {title: [row for row in rows if belongs(row)] for title, rows in cohort.lines.items()}
    ours = next(iter(here.values()))
    found = {title: scored(rows, reference) for title, rows in here.items()}
    if reference == "gated":
        found[TRUE_LABELS] = scored(ours, "gated", "true")
    kappas = [estimate_cell(bootstrap_kappa(*answer.classes, patients=answer.patients)) for answer in found.values()]
    return (name, str(len(ours)), *kappas)


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
    goal = kind in GOAL_KINDS and cohort.has_goals
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
