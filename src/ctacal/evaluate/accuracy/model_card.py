"""``write_card``: the model card, from the lines of ``ctacal accuracy`` and the model's own facts; nothing by hand."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from ctacal.atomic import write_text
from ctacal.categories import CATEGORIES
from ctacal.errors import UsageError
from ctacal.evaluate.accuracy.figures import (
    FIGURES,
    GOAL_KINDS,
    KIND_GOAL,
    Figure,
    KindFound,
    Reference,
    Scored,
    difference,
    kind_found,
    scored,
)
from ctacal.evaluate.accuracy.real_scans import RealScan
from ctacal.evaluate.accuracy.reliability import FEWEST, draw_reliability, reliability
from ctacal.evaluate.accuracy.results import NO_DEPOSIT, Row
from ctacal.statistics.agreement import bootstrap_kappa
from ctacal.statistics.bootstrap import RESAMPLES
from ctacal.statistics.estimate import Estimate
from ctacal.study import ModelInfo

DIAGRAM = "images/reliability.svg"
"""Beside the card."""

EQUIVALENT = ": gated equivalent"
"""Of a title: the score of a gated scan as the model estimates it, not the score of the CTAC."""

REFERENCE_WORDS: Mapping[Reference, str] = {
    "true": "against the true label map on the same scan",
    "gated": "against the gated reference score",
}

INTENDED_USE = """## Intended use

Research only: estimating coronary artery calcium on the low-dose, non-gated CT of SPECT/CT and PET/CT (CTAC), and
comparing methods. **Not a medical device**; no figure here may guide the care of a patient. The score of a non-gated,
low-dose CT is not equal to a gated calcium score.
"""

LIMITS = """## Limits

- *Simulated* means: the scans were computed from drawn anatomies and a physical model of the scanner. They test whether
  the network reads such scans; they are no evidence of its accuracy in patients. No cohort of patients with expert
  readings has been scored.
- Plaques inserted into real scans carry real noise, motion and anatomy, but the plaques are drawn.
- Motion and partial volume hide small plaques: even the true label map on a CTAC does not give the gated score (its
  column in the gated table is what a perfect labelling comes to).
- The thresholds hold for 120 kVp; the rule is SCCT 2016 unless another is asked for. Stents are not counted.
- Scans after contrast agent are refused where the header tells.
- Intervals of kappa are drawn patient by patient; all other intervals take studies for independent, which they are
  not where several share an anatomy: they are too narrow.
"""

LICENCE = """## Licence

The weights are Apache-2.0, as the code. Simulated training data are ctacal's own. Real scans that were used are named
above with their licences.
"""

COMMANDS = """## How this page was made

```sh
ctacal accuracy COHORT -o OUT --model MODEL --model PUBLISHED    # once a cohort; --kind inserted for inserted plaques
ctacal score SCANS -o REAL --series each                         # the real scans, once a model
ctacal accuracy -o OUT --model MODEL --model PUBLISHED --real recipes/real_scans.toml --card docs/model-card.md
```
"""


@dataclass(frozen=True, eq=False, slots=True)
class Contender:
    """A column of the tables; the first is the model that the card is of."""

    title: str
    info: ModelInfo
    model: Mapping[str, Any] | None
    """The content of its model.json; None for a predictor without weights."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One goal and what became of it."""

    figure: str
    goal: str
    reached: str
    met: bool


@dataclass(frozen=True, eq=False, slots=True)
class Cohort:
    """The lines of one cohort, by the contender's title."""

    name: str
    kind: str
    lines: Mapping[str, Sequence[Row]]

    @property
    def studies(self) -> Sequence[Row]:
        """The card's own model's lines: one a study."""
        return next(iter(self.lines.values()))


def write_card(path: Path, contenders: Sequence[Contender], rows: Sequence[Row], scans: Sequence[RealScan]) -> None:
    """Write the card and, where the model tells probabilities, its reliability diagram beside it.

    Lines of other weights than the contenders' are left out. Raises ``UsageError`` where the first has none.
    """
    cohorts = list(_cohorts(contenders, rows))
    if not cohorts:
        ours = contenders[0].info
        raise UsageError(f"the results hold no line of {ours.name} ({ours.digest[:12]}); score a COHORT with it first")
    parts = [
        _head(contenders[0], cohorts),
        _summary(contenders, cohorts),
        INTENDED_USE,
        _made(contenders),
        *(_cohort_section(cohort, contenders) for cohort in cohorts),
        _calibration(cohorts, path),
        _real(scans, contenders),
        LIMITS,
        LICENCE,
        COMMANDS,
    ]
    write_text(path, "\n".join(parts))


def _cohorts(contenders: Sequence[Contender], rows: Sequence[Row]) -> Iterator[Cohort]:
    """Simulated ones first; only those that the first contender has lines of."""
    names = sorted({(row["cohort_kind"] != "simulated", row["cohort"], row["cohort_kind"]) for row in rows})
    for _, name, kind in names:
        here = [row for row in rows if (row["cohort"], row["cohort_kind"]) == (name, kind)]
        lines = {one.title: [row for row in here if row["model_digest"] == one.info.digest] for one in contenders}
        if lines[contenders[0].title]:
            yield Cohort(name, kind, lines)


def _head(ours: Contender, cohorts: Sequence[Cohort]) -> str:
    versions = sorted({row["ctacal"] for cohort in cohorts for row in cohort.studies})
    return (
        f"# Model card: {ours.info.name} {ours.info.version}\n\n"
        f"Written by `ctacal accuracy --card` (ctacal {', '.join(versions)}) from measured results, not edited by "
        f"hand. Weights: SHA-256 `{ours.info.digest[:16]}`.\n"
    )


def _summary(contenders: Sequence[Contender], cohorts: Sequence[Cohort]) -> str:
    """How many goals are met, and each that is missed."""
    verdicts = [one for cohort in cohorts for one in _verdicts(cohort, contenders[0].title)]
    missed = [one for one in verdicts if not one.met]
    lines = [f"- **missed**: {one.figure}: {one.reached}, goal {one.goal}" for one in missed]
    told = f"{len(verdicts) - len(missed)} of {len(verdicts)} goals met" if verdicts else "No goal could be measured"
    where = "on simulated scans; a goal is held against the figure itself, not against its interval."
    studies = [row for cohort in cohorts for row in cohort.studies]
    unscored = sum(row["status"] != "scored" for row in studies)
    left_out = f"{unscored} of {len(studies)} studies were refused or failed and are in no figure."
    return "\n".join(["## In short\n", f"{told}, {where} {left_out}", "", *lines, ""])


def _verdicts(cohort: Cohort, title: str) -> Iterator[Verdict]:
    if cohort.kind != "simulated":  # inserted plaques are stated apart, without goals
        return
    rows = cohort.lines[title]
    for reference in REFERENCE_WORDS:
        found = _own_answer(rows, reference)[1]
        for figure in FIGURES:
            goal = figure.goals.get(reference)
            if goal is not None and found.reference.size + found.missed:
                estimate = figure.of(found)
                met = estimate.estimate is not None and estimate.estimate >= goal
                name = f"{figure.name}, {REFERENCE_WORDS[reference]}"
                yield Verdict(name, f">= {goal:.2f}", _cell(estimate), met)
    for kind in GOAL_KINDS:
        share = kind_found(rows, kind).share
        if share.estimate is not None:
            met = share.estimate < KIND_GOAL
            yield Verdict(f"{_words(kind)} counted as coronary", f"< {KIND_GOAL:.0%}", f"{share.estimate:.1%}", met)


def _own_answer(rows: Sequence[Row], reference: Reference) -> tuple[str, Scored]:
    """What the model itself sets against that reference, and what its title then ends with.

    Against the gated score that is the equivalent of a gated score, where the model tells it.
    """
    equivalent = scored(rows, "gated", "gated_equivalent")
    if reference == "gated" and equivalent.model.size:
        return EQUIVALENT, equivalent
    return "", scored(rows, reference)


def _made(contenders: Sequence[Contender]) -> str:
    """Training facts out of each model.json."""
    parts = ["## How the networks were made\n"]
    for one in contenders:
        if one.model is None:
            continue
        rows = [_stage_line(name, stage) for name, stage in one.model["stages"].items()]
        head = ("stage", "recipe", "kind", "parameters", "steps", "training data, SHA-256", "trained with ctacal")
        facts = [f"- {name.replace('_', ' ')}: {_plain(value)}" for name, value in one.model.get("facts", {}).items()]
        parts += [f"### {one.title}: {one.info.name} {one.info.version}\n", *_markdown(head, rows), "", *facts, ""]
    return "\n".join(parts)


def _stage_line(name: str, stage: Mapping[str, Any]) -> tuple[str, ...]:
    recipe = stage["recipe"]
    return (
        name, recipe["name"], recipe["network"]["kind"], f"{stage['parameters']:,}", f"{stage['step']:,}",
        f"`{stage['data_sha256'][:16]}`", stage["trained_with"],
    )  # fmt: skip


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _cohort_section(cohort: Cohort, contenders: Sequence[Contender]) -> str:
    parts = [_described(cohort)]
    for reference in REFERENCE_WORDS:
        if any(row[f"{reference}_agatston"] is not None for row in cohort.studies):
            parts += [*_side_by_side(cohort, reference), *_four_by_four(cohort, reference)]
            parts += _by_centre(cohort, reference)
    parts += _confounders(cohort)
    return "\n".join(parts)


def _described(cohort: Cohort) -> str:
    rows = cohort.studies
    patients, centres = ({row[name] for row in rows if row[name]} for name in ("patient", "centre"))
    what = {
        "simulated": "**Simulated**, scans and calcium both.",
        "inserted": "**Drawn plaques inserted into real scans**; stated apart, without goals.",
    }[cohort.kind]
    return (
        f"## Cohort `{cohort.name}`\n\n{what} {len(rows)} studies of {len(patients)} patients: studies that share a "
        f"patient's anatomy are not independent, so kappa's interval is drawn by patient ({RESAMPLES:,} resamples). "
        f"Centres: {', '.join(sorted(centres))}.\n"
    )


def _side_by_side(cohort: Cohort, reference: Reference) -> Iterator[str]:
    found = {title: scored(rows, reference) for title, rows in cohort.lines.items() if rows}
    added, own = _own_answer(cohort.studies, reference)
    ours = next(iter(found)) + added
    found = {ours: own} | found
    if reference == "gated":
        found["true label map"] = scored(cohort.studies, "gated", "true")
    goals = cohort.kind == "simulated"
    head = ("figure (95 % interval)", *(["goal"] if goals else []), *found, "others, on other data")
    rows = [_figure_line(figure, reference, found, ours, goals=goals) for figure in FIGURES]
    counts = [("studies scored", [str(one.model.size) for one in found.values()])]
    counts += [("refused or failed", [str(one.missed) for one in found.values()])]
    yield f"### {REFERENCE_WORDS[reference].capitalize()}\n"
    yield from _markdown(head, [(name, *([""] if goals else []), *cells, "") for name, cells in counts] + rows)
    yield ""
    for title, rows_of_other in list(cohort.lines.items())[1:]:
        if rows_of_other:
            yield _compared(cohort.studies, title, rows_of_other, reference)
    yield ""


def _figure_line(
    figure: Figure, reference: Reference, found: Mapping[str, Scored], ours: str, *, goals: bool
) -> tuple[str, ...]:
    goal = figure.goals.get(reference)
    estimates = {title: figure.of(one) for title, one in found.items()}
    cells = [_cell(one) for one in estimates.values()]
    if goals and goal is not None:
        reached = estimates[ours].estimate
        cells[0] += " met" if reached is not None and reached >= goal else " **missed**"
    goal_cell = [f"≥ {goal:.2f}" if goal is not None else ""] if goals else []
    return (figure.name, *goal_cell, *cells, figure.elsewhere.get(reference, ""))


def _compared(ours: Sequence[Row], title: str, other: Sequence[Row], reference: Reference) -> str:
    """Whether ours wins, on the studies that both scored."""
    found = difference(ours, other, reference)
    if found.low is None or found.high is None:
        verdict = "not measurable"
    elif found.low > 0:
        verdict = "ours is better"
    else:
        verdict = "**ours is worse**" if found.high < 0 else "not decided: the interval holds 0"
    return f"- Linear weighted kappa, ours less {title}: {_cell(found)} on {found.n} studies; {verdict}."


def _four_by_four(cohort: Cohort, reference: Reference) -> Iterator[str]:
    rows_are = "true label map" if reference == "true" else "gated reference"
    for title, rows in cohort.lines.items():
        found = scored(rows, reference)
        if found.model.size:
            table = found.table
            yield f"Categories, {rows_are} in rows, {title} in columns:\n"
            head = ("", *CATEGORIES, "all")
            lines = [(name, *map(str, row), str(row.sum())) for name, row in zip(CATEGORIES, table, strict=True)]
            yield from _markdown(head, [*lines, ("all", *map(str, table.sum(axis=0)), str(table.sum()))])
            yield ""


KNOWN_DISEASE = {"stent", "bypass_clip"}
"""Who has these is known to have coronary disease: such patients were not in the published cohorts (Miller 2023)."""


def _by_centre(cohort: Cohort, reference: Reference) -> Iterator[str]:
    """Kappa at each centre, and in those without known coronary disease."""
    parts: dict[str, Callable[[Row], bool]] = {
        centre: partial(_is_from, centre)
        for centre in sorted({row["centre"] for row in cohort.studies if row["centre"]})
    }
    if any(KNOWN_DISEASE & set(row["kinds_present"].split()) for row in cohort.studies):
        parts["all, without stents and bypass clips (no known coronary disease, as in Miller 2023)"] = _is_untreated
    yield f"### By centre: linear weighted kappa {REFERENCE_WORDS[reference]}\n"
    lines = []
    for name, belongs in parts.items():
        here = {title: [row for row in rows if belongs(row)] for title, rows in cohort.lines.items()}
        found = {title: scored(rows, reference) for title, rows in here.items()}
        if reference == "gated":
            found["true label map"] = scored(next(iter(here.values())), "gated", "true")
        kappas = [_cell(bootstrap_kappa(*one.classes, patients=one.patients)) for one in found.values()]
        lines.append((name, str(len(next(iter(here.values())))), *kappas))
    added = ("true label map",) if reference == "gated" else ()
    yield from _markdown(("centre", "studies", *cohort.lines, *added), lines)
    yield ""


def _is_from(centre: str, row: Row) -> bool:
    return bool(row["centre"] == centre)


def _is_untreated(row: Row) -> bool:
    return not KNOWN_DISEASE & set(row["kinds_present"].split())


def _confounders(cohort: Cohort) -> Iterator[str]:
    """Other calcium and metal counted as coronary."""
    yield "### Other calcium and metal counted as coronary\n"
    kinds = sorted({kind for row in cohort.studies for kind in row["kinds_visible"].split()})
    if not kinds:
        yield "Not known of these studies.\n"
        return
    yield (
        "Studies where any voxel of the kind, at or above the threshold, adds to the score, of the studies that show "
        "it at or above the threshold (95 % interval) [the median Agatston score that it adds there].\n"
    )
    ours = next(iter(cohort.lines))
    lines = []
    for kind in sorted(kinds, key=lambda name: (name not in GOAL_KINDS, name)):
        found = {title: kind_found(rows, kind) for title, rows in cohort.lines.items()}
        cells = [_kind_cell(one) for one in found.values()]
        goal = kind in GOAL_KINDS and cohort.kind == "simulated"
        share = found[ours].share.estimate
        if goal and share is not None:
            cells[0] += " met" if share < KIND_GOAL else " **missed**"
        lines.append((_words(kind), f"< {KIND_GOAL:.0%}" if goal else "", *cells))
    nothing = [_kind_cell(kind_found(rows, NO_DEPOSIT, everywhere=True)) for rows in cohort.lines.values()]
    lines.append(("neither calcium nor metal: noise, bone, motion, rims of plaques", "", *nothing))
    yield from _markdown(("kind", "goal", *cohort.lines), lines)
    yield ""


def _kind_cell(found: KindFound) -> str:
    if found.share.estimate is None:
        return f"– ({found.share.reason})"
    added = f" [{found.median_agatston:.1f}]" if found.median_agatston is not None else ""
    interval = f"({found.share.low:.1%} to {found.share.high:.1%})"
    return f"{found.wrong}/{found.share.n} = {found.share.estimate:.1%} {interval}{added}"


def _calibration(cohorts: Sequence[Cohort], path: Path) -> str:
    head = "## Probability of each category\n"
    found = reliability([row for cohort in cohorts if cohort.kind == "simulated" for row in cohort.studies])
    if found is None:
        return f"{head}\nThis model tells no probabilities.\n"
    draw_reliability(found, path.parent / DIAGRAM)
    return (
        f"{head}\nSimulated cohorts, {found.n} studies, against the category of the true label map: Brier score "
        f"{found.brier:.3f} (0 best, 2 worst), mean calibration error {found.calibration_error:.3f}. "
        f"Points of fewer than {FEWEST} studies are not drawn.\n\n"
        f"![Reliability diagram: observed share over predicted probability, by category]({DIAGRAM})\n"
    )


def _real(scans: Sequence[RealScan], contenders: Sequence[Contender]) -> str:
    if not scans:
        return "## Real scans\n\nNo real scan was scored.\n"
    head = ("scan", "source, licence", "expected", *(one.title for one in contenders))
    lines = [
        (
            scan.name,
            f"{scan.source}; {scan.licence}; used for {scan.used_for}",
            f"{scan.expected or '?'} ({scan.known_by or 'not known'})",
            *(_real_cell(scan, one) for one in contenders),
        )
        for scan in scans
    ]
    return "\n".join(["## Real scans\n", *_markdown(head, lines), "", *_kernels(scans, contenders), ""])


def _real_cell(scan: RealScan, one: Contender) -> str:
    line = scan.results.get(one.info.digest)
    if line is None:
        return "not run"
    if line["status"] == "refused":
        return f"refused: {line['reason_codes']}"
    wrong = " **differs**" if scan.expected and line["category"] != scan.expected else ""
    told = f"; {line['reason_codes']}" if line["reason_codes"] else ""
    return f"{line['category']} (Agatston {float(line['agatston']):.1f}{told}){wrong}"


def _kernels(scans: Sequence[RealScan], contenders: Sequence[Contender]) -> Iterator[str]:
    """Whether all series of one patient come to one category."""
    for patient, group in groupby(sorted(scans, key=lambda scan: scan.patient), key=lambda scan: scan.patient):
        series = list(group)
        for one in contenders:
            found = [scan.results[one.info.digest]["category"] for scan in series if one.info.digest in scan.results]
            if len(found) > 1:
                told = "agree" if len(set(found)) == 1 else "**do not agree**"
                yield f"- {patient}, {one.title}: its {len(found)} series {told} ({', '.join(found)})."


def _cell(found: Estimate) -> str:
    if found.estimate is None:
        return f"– ({found.reason})"
    if found.low is None or found.high is None:
        return f"{found.estimate:.3f} ({found.reason})"
    return f"{found.estimate:.3f} ({found.low:.3f} to {found.high:.3f})"


def _words(kind: str) -> str:
    return kind.replace("_", " ")


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The lines of a table."""
    yield _line(head)
    yield _line(["---"] * len(head))
    for row in rows:
        yield _line(row)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"
