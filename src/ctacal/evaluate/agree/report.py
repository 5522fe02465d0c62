"""Everything about the agreement of the raters of one table, as a ``Publication``."""

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations, count
from typing import Any

from ctacal.evaluate.agree.comparison import Comparison, compare
from ctacal.evaluate.agree.config import AgreeConfig
from ctacal.evaluate.agree.figures import pair_charts
from ctacal.evaluate.agree.raters import Raters
from ctacal.evaluate.agree.tables import cell, models_table, pair_tables, summary_table
from ctacal.evaluate.publication import CLAIM_2024, STARD_AI, TRIPOD_AI, Chart, Publication, Section, Table, fill
from ctacal.evaluate.publication.content import file_stem
from ctacal.progress import Bar, no_bar
from ctacal.statistics.agreement import Compared, compare_models
from ctacal.statistics.bootstrap import RESAMPLES
from ctacal.statistics.estimate import LEVEL, proportion

FEW = 30
"""Studies: with fewer, intervals by formula are rough (own choice)."""

METHODS = (
    "Scores were put into the categories 0, 1-100, 101-400 and >400, and 0, 1-10, 11-100, 101-400 and >400, without "
    "rounding. Agreement of categories was measured by Cohen's kappa with linear, quadratic and no weights; its "
    "interval is asymptotic (Fleiss 1969) and by a percentile bootstrap of {resamples:,} resamples{drawn}. Shares have "
    "Wilson intervals. Shifts between the margins were tested by Stuart-Maxwell and Bowker. Scores were compared by "
    "Spearman's and Pearson's correlation, Lin's concordance correlation, ICC(2,1) and ICC(3,1), on the raw scale and "
    "of log(score + 1), by Bland-Altman limits of the difference, of the ratio of (score + 1), and by regression where "
    "the spread grows, and by Passing-Bablok, Deming and weighted Deming lines. All intervals are 95 %. No p value was "
    "corrected for multiple testing."
)


def agreement_report(raters: Raters, config: AgreeConfig, *, seed: int = 0, bar: Bar = no_bar) -> Publication:
    """Compare all raters and return the whole publication of ``ctacal agree``."""
    total = _steps(raters)
    with bar("comparing", total) as progress:
        done = count(1)
        return _report(raters, config, seed, lambda: progress(next(done), total))


def _steps(raters: Raters) -> int:
    """Steps for a progress bar: comparisons, and resamples in hundreds."""
    return sum(1 for _ in raters.pairs()) + len(_model_pairs(raters)) * (RESAMPLES // 100)


def _report(raters: Raters, config: AgreeConfig, seed: int, advance: Callable[[], None]) -> Publication:
    comparisons: list[Comparison] = []
    sections: list[Section] = []
    for (reference, other), stem in zip(raters.pairs(), _stems(raters), strict=True):
        found = compare(reference, other, patients=raters.patients, seed=seed)
        comparisons.append(found)
        sections.append(_section(found, pair_tables(found, stem), pair_charts(found, reference, other, stem)))
        advance()
    contests = [(one, _contest(raters, *one, seed, advance)) for one in _model_pairs(raters)]
    reader = raters.of("reader")[0].name
    between = [
        models_table(reader, one, other, found, f"models_{number}")
        for number, ((one, other), found) in enumerate(contests, start=1)
    ]
    sections = [
        Section("In short", (summary_table(comparisons), *_refused_told(raters, comparisons))),
        *sections,
        *([Section("Models against each other", tuple(between))] if between else []),
        Section("Statistical methods", (METHODS.format(resamples=RESAMPLES, drawn=_drawn(raters)),)),
    ]
    return Publication(
        title=f"Agreement: {_listed(raters)}",
        lead=tuple(_lead(raters, config)),
        sections=tuple(sections),
        numbers=_numbers(raters, comparisons, contests),
        command="ctacal agree",
        seed=seed,
        options=_options(raters, config),
        packages=("numpy", "scipy", "pandas", "matplotlib"),
        checklists=_checklists(raters, config),
    )


def _section(found: Comparison, tables: dict[str, Table], charts: dict[str, Chart]) -> Section:
    content = (
        tables["four"], tables["five"], charts["matrix"], tables["kappa"], tables["detection"], tables["scores"],
        charts["scatter"], tables["lines"], charts["bland_altman"], tables["limits"],
    )  # fmt: skip
    vessels = (tables["vessels"],) if "vessels" in tables else ()
    return Section(f"{found.other} against {found.reference}", (*content, *vessels))


def _stems(raters: Raters) -> list[str]:
    """File names of the comparisons, each its own."""
    stems: list[str] = []
    for reference, other in raters.pairs():
        stem = file_stem(f"{other.name} against {reference.name}")
        stems.append(stem if stem not in stems else f"{stem}_{len(stems) + 1}")
    return stems


def _model_pairs(raters: Raters) -> list[tuple[str, str]]:
    return list(combinations([one.name for one in raters.of("model")], 2))


def _contest(raters: Raters, one: str, other: str, seed: int, advance: Callable[[], None]) -> tuple[Compared, ...]:
    """Two models against the first reader; a step of progress for each hundred resamples."""
    done = 0

    def tell(resamples: int) -> None:
        nonlocal done
        for _ in range((done + resamples) // 100 - done // 100):
            advance()
        done += resamples

    scores = {rater.name: rater.scores for rater in raters.all}
    reader = raters.of("reader")[0].scores
    return compare_models(reader, scores[one], scores[other], patients=raters.patients, seed=seed, advance=tell)


def _listed(raters: Raters) -> str:
    readers, models = ([one.name for one in raters.of(kind)] for kind in ("reader", "model"))
    return f"{' and '.join(models)} against {' and '.join(readers)}" if models else " and ".join(readers)


def _lead(raters: Raters, config: AgreeConfig) -> Iterator[str]:
    readers, models = (", ".join(one.name for one in raters.of(kind)) for kind in ("reader", "model"))
    patients = f" of {len(set(raters.patients)):,} patients" if raters.patients else ""
    who = f"readers: {readers}" + (f"; models: {models}" if models else "")
    yield f"{raters.n:,} studies{patients} ({who}). {raters.readings.told}"
    for name, number in raters.refused.items():
        if number:
            yield f"{number:,} further studies were refused by {name} and are in no figure below."
    if raters.identifier is None:
        yield "The table names no identifier: whether a study is in it twice could not be checked."
    if raters.patients is None:
        yield "Studies are taken for independent; where a patient has several, --patient has whole patients drawn."
    if raters.n < FEW:
        yield f"Only {raters.n} studies: intervals by formula are rough here, those by a bootstrap too narrow."
    yield (
        "Agreement on the same scan and agreement with a gated scan are two different things; which of them this is, "
        "the authors must say."
    )


def _refused_told(raters: Raters, comparisons: Sequence[Comparison]) -> Iterator[str]:
    for found in comparisons:
        if refused := raters.refused.get(found.other, 0):
            whole = proportion(int(found.four.table.trace()), found.n + refused)
            yield (
                f"With the {refused:,} studies that {found.other} refused counted as wrong, exact agreement with "
                f"{found.reference} is {cell(whole)}."
            )


def _drawn(raters: Raters) -> str:
    return ", whole patients drawn" if raters.patients else ""


def _numbers(
    raters: Raters, comparisons: Sequence[Comparison], contests: Sequence[tuple[tuple[str, str], Any]]
) -> dict[str, Any]:
    return {
        "studies": raters.n,
        "patients": len(set(raters.patients)) if raters.patients else None,
        "rows_read": raters.readings.rows_read,
        "rows_dropped": raters.readings.dropped_by_kind,
        "refused_by_model": raters.refused,
        "level": LEVEL,
        "resamples": RESAMPLES,
        "comparisons": list(comparisons),
        "models": [{"model": one, "other": other, "statistics": found} for (one, other), found in contests],
    }


def _options(raters: Raters, config: AgreeConfig) -> dict[str, Any]:
    return {
        "table": config.table.name,
        "results": [path.name for path in config.results],
        "readers": [one.name for one in raters.of("reader")],
        "models": [one.name for one in raters.of("model")],
        "identifier": raters.identifier,
        "patient": config.patient,
        "drop": sorted(config.drop),
    }


def _checklists(raters: Raters, config: AgreeConfig) -> tuple[Any, ...]:
    told = raters.readings.told
    missing = f"Rows with missing, non-numeric or negative scores: {told}"
    tables = "Cross tables of this report, counts and percent."
    precision = "All tables of this report, 95 % intervals."
    methods = "Section Statistical methods of this report."
    software = "How this was made, numbers.json (versions, seed, options)."
    cuts = "CAC > 0, ≥ 100, > 400; categories 0, 1-100, 101-400, >400: in use before this study."
    size = f"n = {raters.n:,}; how it was arrived at is for the authors."
    readers = len(raters.of("reader"))
    variability = {"18": f"Comparison of {readers} readers in this report."} if readers > 1 else {}
    refused = sum(raters.refused.values())
    flow = f"{told} Refused by a model: {refused:,}. Flow before the table is for the authors."
    stard = {"12a": cuts, "12b": cuts, "14": methods, "16": missing, "19": flow, "23": tables, "24": precision}
    claim = {"12": missing, "21": size, "23": software, "28": methods, "29": methods, "35": flow, "38": precision}
    tripod = {"10": size, "11": missing, "12e": methods, "15": cuts, "23a": precision}
    return fill(STARD_AI, stard), fill(CLAIM_2024, claim | variability), fill(TRIPOD_AI, tripod)
