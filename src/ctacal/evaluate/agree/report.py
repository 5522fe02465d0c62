"""The whole publication of ``ctacal agree``."""

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations, count
from typing import Any

from ctacal.categories import CATEGORIES, CUTS, FIVE_CATEGORIES
from ctacal.evaluate.agree.comparison import Comparison, compare
from ctacal.evaluate.agree.config import AgreeConfig
from ctacal.evaluate.agree.figures import pair_charts
from ctacal.evaluate.agree.raters import Raters
from ctacal.evaluate.agree.tables import cell, models_table, pair_tables, summary_table, with_signs
from ctacal.evaluate.publication import (
    CLAIM_2024,
    STARD_AI,
    TRIPOD_AI,
    Chart,
    Checklist,
    Publication,
    Section,
    Table,
    fill,
    listed,
)
from ctacal.evaluate.publication.content import file_stem
from ctacal.progress import Bar, no_bar
from ctacal.statistics.agreement import Compared, compare_models
from ctacal.statistics.bootstrap import RESAMPLES
from ctacal.statistics.estimate import LEVEL, proportion

FEW = 30
"""Number of studies below which intervals by formula are approximate (own choice)."""

METHODS = (
    f"Scores were grouped into the categories {listed(CATEGORIES)}, and into {listed(FIVE_CATEGORIES)}, without "
    "rounding. Agreement of categories was measured by Cohen's kappa with linear, quadratic and no weights, with "
    "asymptotic intervals (Fleiss 1969) and intervals from a percentile bootstrap of {resamples:,} resamples{drawn}. "
    "Proportions have Wilson intervals. Differences between the marginal distributions were tested by Stuart-Maxwell "
    "and Bowker. Scores were compared by Spearman's and Pearson's correlation, Lin's concordance correlation, ICC(2,1) "
    "and ICC(3,1), of the score and of log(score + 1); by Bland-Altman limits of agreement of the difference, of the "
    "ratio of (score + 1), and by regression because the spread grows with the score; and by Passing-Bablok, Deming "
    "and weighted Deming regression. All intervals are 95 % intervals. No p value was corrected for multiple testing."
)


def agreement_report(raters: Raters, config: AgreeConfig, *, seed: int = 0, bar: Bar = no_bar) -> Publication:
    """Compare all raters and return the whole publication of ``ctacal agree``."""
    total = _steps(raters)
    with bar("comparing", total) as progress:
        done = count(1)
        return _report(raters, config, seed, lambda: progress(next(done), total))


def _steps(raters: Raters) -> int:
    """Return the steps of the progress bar: comparisons, and resamples in hundreds."""
    return sum(1 for _ in raters.pairs()) + len(_model_pairs(raters)) * (RESAMPLES // 100)


def _report(raters: Raters, config: AgreeConfig, seed: int, advance: Callable[[], None]) -> Publication:
    comparisons: list[Comparison] = []
    sections: list[Section] = []
    for (reference, other), stem in zip(raters.pairs(), _stems(raters), strict=True):
        found = compare(reference, other, patients=raters.patients, seed=seed)
        comparisons.append(found)
        sections.append(_section(found, pair_tables(found, stem), pair_charts(found, reference, other, stem)))
        advance()
    contests = [(names, _contest(raters, *names, seed, advance)) for names in _model_pairs(raters)]
    return Publication(
        title=f"Agreement: {_title(raters)}",
        lead=tuple(_lead(raters)),
        sections=(
            Section("Summary", (summary_table(comparisons), *_with_refused(raters, comparisons))),
            *sections,
            *_models_section(raters, contests),
            Section("Statistical methods", (METHODS.format(resamples=RESAMPLES, drawn=_drawn(raters)),)),
        ),
        numbers=_numbers(raters, comparisons, contests),
        command="ctacal agree",
        seed=seed,
        options=_options(raters, config),
        packages=("numpy", "scipy", "pandas", "matplotlib"),
        checklists=_checklists(raters),
    )


def _section(found: Comparison, tables: dict[str, Table], charts: dict[str, Chart]) -> Section:
    content = (
        tables["four"], tables["five"], charts["matrix"], tables["kappa"], tables["detection"], tables["scores"],
        charts["scatter"], tables["lines"], charts["bland_altman"], tables["limits"],
    )  # fmt: skip
    vessels = (tables["vessels"],) if "vessels" in tables else ()
    return Section(f"{found.other} against {found.reference}", (*content, *vessels))


_Contests = Sequence[tuple[tuple[str, str], tuple[Compared, ...]]]
"""The names of two models, and their statistics side by side."""


def _models_section(raters: Raters, contests: _Contests) -> tuple[Section, ...]:
    reader = raters.of("reader")[0].name
    tables = [
        models_table(reader, model, other, found, f"models_{number}")
        for number, ((model, other), found) in enumerate(contests, start=1)
    ]
    return (Section("Models against each other", tuple(tables)),) if tables else ()


def _stems(raters: Raters) -> list[str]:
    """Return a file name for each comparison, all different."""
    stems: list[str] = []
    for reference, other in raters.pairs():
        stem = file_stem(f"{other.name} against {reference.name}")
        stems.append(stem if stem not in stems else f"{stem}_{len(stems) + 1}")
    return stems


def _model_pairs(raters: Raters) -> list[tuple[str, str]]:
    return list(combinations([rater.name for rater in raters.of("model")], 2))


def _contest(raters: Raters, model: str, other: str, seed: int, advance: Callable[[], None]) -> tuple[Compared, ...]:
    """Compare two models against the first reader; ``advance`` is called for each hundred resamples."""
    done = 0

    def report(resamples: int) -> None:
        nonlocal done
        for _ in range((done + resamples) // 100 - done // 100):
            advance()
        done += resamples

    scores = {rater.name: rater.scores for rater in raters.all}
    reader = raters.of("reader")[0].scores
    return compare_models(reader, scores[model], scores[other], patients=raters.patients, seed=seed, advance=report)


def _title(raters: Raters) -> str:
    readers, models = ([rater.name for rater in raters.of(kind)] for kind in ("reader", "model"))
    return f"{' and '.join(models)} against {' and '.join(readers)}" if models else " and ".join(readers)


def _lead(raters: Raters) -> Iterator[str]:
    readers, models = (", ".join(rater.name for rater in raters.of(kind)) for kind in ("reader", "model"))
    patients = f" of {len(set(raters.patients)):,} patients" if raters.patients else ""
    names = f"readers: {readers}" + (f"; models: {models}" if models else "")
    yield f"{raters.n:,} studies{patients} ({names}). {raters.readings.summary}"
    for name, number in raters.refused.items():
        if number:
            yield f"{name} refused {_studies(number, 'further ')}, which this report leaves out."
    if raters.identifier is None:
        yield "No identifier column was found, so duplicate studies could not be detected."
    if raters.patients is None:
        yield (
            "Studies are treated as independent. If a patient has several studies, name the patient's column with "
            "--patient: the bootstrap then draws whole patients."
        )
    if raters.n < FEW:
        yield (
            f"With only {_studies(raters.n)}, intervals by formula are approximate and bootstrap intervals are too "
            "narrow."
        )
    yield (
        "Agreement on the same scan and agreement with a gated scan are two different things. The authors must state "
        "which of them this report shows."
    )


def _studies(number: int, which: str = "") -> str:
    return f"{number:,} {which}stud{'y' if number == 1 else 'ies'}"


def _with_refused(raters: Raters, comparisons: Sequence[Comparison]) -> Iterator[str]:
    """Yield the exact agreement of each model that refused studies, with these counted as wrong."""
    for found in comparisons:
        if refused := raters.refused.get(found.other, 0):
            whole = proportion(int(found.four.table.trace()), found.n + refused)
            yield (
                f"If the {_studies(refused)} that {found.other} refused {'counts' if refused == 1 else 'count'} as "
                f"wrong, its exact agreement with {found.reference} is {cell(whole)}."
            )


def _drawn(raters: Raters) -> str:
    return ", in which whole patients are drawn" if raters.patients else ""


def _numbers(raters: Raters, comparisons: Sequence[Comparison], contests: _Contests) -> dict[str, Any]:
    return {
        "studies": raters.n,
        "patients": len(set(raters.patients)) if raters.patients else None,
        "rows_read": raters.readings.rows_read,
        "rows_dropped": raters.readings.dropped_by_kind,
        "refused_by_model": raters.refused,
        "level": LEVEL,
        "resamples": RESAMPLES,
        "comparisons": list(comparisons),
        "models": [{"model": model, "other": other, "statistics": found} for (model, other), found in contests],
    }


def _options(raters: Raters, config: AgreeConfig) -> dict[str, Any]:
    return {
        "table": config.table.name,
        "results": [path.name for path in config.results],
        "readers": [rater.name for rater in raters.of("reader")],
        "models": [rater.name for rater in raters.of("model")],
        "identifier": raters.identifier,
        "patient": config.patient,
        "drop": sorted(config.drop),
    }


def _checklists(raters: Raters) -> tuple[Checklist, ...]:
    """Return the guidelines' items, with those answered that the data answer."""
    rows = raters.readings.summary
    missing = f"Rows with missing, non-numeric or negative scores: {rows}"
    tables = "Cross tables of this report, counts and percentages."
    precision = "All tables of this report, 95 % intervals."
    methods = "Section Statistical methods of this report."
    software = "How this was made, numbers.json (versions, seed, options)."
    cuts = (
        f"{', '.join(with_signs(cut.name) for cut in CUTS)}; categories {', '.join(CATEGORIES)}: in use before this "
        "study."
    )
    size = f"n = {raters.n:,}; the authors must say how it was arrived at."
    readers = len(raters.of("reader"))
    variability = {"18": f"Comparison of {readers} readers in this report."} if readers > 1 else {}
    refused = sum(raters.refused.values())
    flow = f"{rows} Refused by a model: {refused:,}. The authors must describe the flow before the table."
    stard = {"12a": cuts, "12b": cuts, "14": methods, "16": missing, "19": flow, "23": tables, "24": precision}
    claim = {"12": missing, "21": size, "23": software, "28": methods, "29": methods, "35": flow, "38": precision}
    tripod = {"10": size, "11": missing, "12e": methods, "15": cuts, "23a": precision}
    return fill(STARD_AI, stard), fill(CLAIM_2024, claim | variability), fill(TRIPOD_AI, tripod)
