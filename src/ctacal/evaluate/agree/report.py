"""The whole publication of ``ctacal agree``."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, count
from typing import Any

from ctacal.categories import CATEGORIES, CUTS, FIVE_CATEGORIES
from ctacal.evaluate.agree.comparison import CATEGORY_CUTS, Comparison, Pair, compare_pair
from ctacal.evaluate.agree.config import AgreeConfig
from ctacal.evaluate.agree.figures import pair_charts
from ctacal.evaluate.agree.lesions import PairLesions, compare_lesions, studies_with_labels
from ctacal.evaluate.agree.raters import Rater, Raters, shared_grade
from ctacal.evaluate.agree.reader_tables import lesion_tables, repeats_table, several_tables
from ctacal.evaluate.agree.several import Repeats, SeveralReaders, compare_readers, compare_repeats
from ctacal.evaluate.agree.tables import cell, models_table, pair_tables, summary_table, with_signs
from ctacal.evaluate.columns_read import columns_table
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
from ctacal.evaluate.readings.mixed_units import mixed_doubt, mixed_ratio_doubt
from ctacal.evaluate.readings.plausible import scale_doubt, score_doubts
from ctacal.evaluate.readings.spoiled import ceiling_doubt, pair_doubts, rows_doubt
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
    "and Bowker."
)
METHODS_SCORES = (
    "Scores were compared by Spearman's and Pearson's correlation, Lin's concordance correlation, ICC(2,1) "
    "and ICC(3,1), of the score and of log(score + 1); by Bland-Altman limits of agreement of the difference, of the "
    "ratio of (score + 1), and by regression because the spread grows with the score; and by Passing-Bablok, Deming "
    "and weighted Deming regression. "
)
METHODS_INTERVALS = "All intervals are 95 % intervals. No p value was corrected for multiple testing."


METHODS_SEVERAL = (
    "All readers were compared together by ICC(1,1), ICC(2,1) and ICC(3,1) (Shrout 1979, McGraw 1996); by the "
    "reproducibility coefficient, 1.96 √2 standard deviations of different readers' readings of one study, with an "
    "interval by chi-square with Satterthwaite's degrees of freedom; by Fleiss' kappa (Fleiss 1971; interval by Gwet "
    "2008), Light's kappa, the mean of Cohen's kappa of all pairs of readers (Light 1971), and Krippendorff's ordinal "
    "alpha, with intervals from the same bootstrap."
)
METHODS_MODELS = (
    " Means of a model's agreement with each reader have intervals for readers and studies both taken as random "
    "(Obuchowski and Rockette 1995, Hillis 2014), with covariances by the jackknife."
)
METHODS_REPEATS = (
    "Repeat readings were compared by kappa, ICC(1,1) and Bland-Altman limits, and by the repeatability coefficient, "
    "1.96 √2 standard deviations within a study (Bland 1999), with an interval by chi-square (Barnhart 2009)."
)
METHODS_LESIONS = (
    "Label maps were compared lesion by lesion: a lesion is coronary calcium connected by 26 neighbours, of the vessel "
    "of most of its voxels, and is found if the other marks one of its voxels as coronary calcium. Intervals are from "
    "a bootstrap of studies, so that lesions of one study stay together. No threshold was applied to the label maps."
)


def agreement_report(raters: Raters, config: AgreeConfig, *, seed: int = 0, bar: Bar = no_bar) -> Publication:
    r"""Compare all raters and return the whole publication of ``ctacal agree``.

    Args:
        raters: Scores of readers and models (``read_raters``), in Agatston units.
        config: The comparison.
        seed: Seed of the bootstrap.
        bar: Shows progress.

    Returns:
        What ``write_publication`` writes: every number, table and figure.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from ctacal.evaluate.agree import read_raters
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     table = Path(folder, "readings.csv")
        ...     _ = table.write_text("study,anna,ben\nS-1,120,130\nS-2,0,0\nS-3,40,35\nS-4,900,820\n")
        ...     config = AgreeConfig(table=table, readers=["anna", "ben"])
        ...     report = agreement_report(read_raters(config), config)
        >>> isinstance(report, Publication), report.command
        (True, 'ctacal agree')
    """
    total = _steps(raters)
    with bar("comparing", total) as progress:
        done = count(1)
        return _report(raters, config, seed, lambda: progress(next(done), total))


def _steps(raters: Raters) -> int:
    """Return the steps of the progress bar: comparisons, label maps read, and resamples in hundreds."""
    pairs = sum(1 for _ in raters.pairs())
    return pairs + len(studies_with_labels(raters)) + len(_model_pairs(raters)) * (RESAMPLES // 100)


@dataclass(frozen=True, eq=False, slots=True)
class _Beyond:
    """What goes beyond pairs; each part is empty if the table has no data for it."""

    several: SeveralReaders | None
    repeats: tuple[Repeats, ...]
    lesions: tuple[PairLesions, ...]


def _report(raters: Raters, config: AgreeConfig, seed: int, advance: Callable[[], None]) -> Publication:
    comparisons: list[Pair] = []
    sections: list[Section] = []
    for (reference, other), stem in zip(raters.pairs(), _stems(raters), strict=True):
        rows = raters.scored_by((reference, other))
        both = reference.at(rows), other.at(rows)
        found = compare_pair(*both, patients=raters.patients_of(rows), seed=seed)
        comparisons.append(found)
        sections.append(_section(found, pair_tables(found, stem), pair_charts(found, *both, stem)))
        advance()
    contests = [(names, _contest(raters, *names, seed, advance)) for names in _model_pairs(raters)]
    beyond = _Beyond(
        compare_readers(raters, seed=seed),
        compare_repeats(raters, seed=seed),
        compare_lesions(raters, seed=seed, advance=advance),
    )
    return Publication(
        title=f"Agreement: {_title(raters)}",
        lead=tuple(_lead(raters)),
        sections=(
            Section("Summary", (summary_table(comparisons), *_with_refused(raters, comparisons))),
            *_several_section(beyond),
            *_repeats_section(raters, beyond),
            *_lesions_section(beyond),
            *sections,
            *_models_section(raters, contests),
            Section("What was read", (columns_table(raters.columns),)),
            Section("Statistical methods", tuple(_methods(raters, beyond))),
        ),
        numbers=_numbers(raters, comparisons, contests) | _beyond_numbers(beyond),
        command="ctacal agree",
        seed=seed,
        options=_options(raters, config),
        packages=("numpy", "scipy", "pandas", "matplotlib"),
        checklists=_checklists(raters, beyond),
    )


def _several_section(beyond: _Beyond) -> tuple[Section, ...]:
    return (Section("All readers together", tuple(several_tables(beyond.several))),) if beyond.several else ()


def _repeats_section(raters: Raters, beyond: _Beyond) -> tuple[Section, ...]:
    if not beyond.repeats:
        return ()
    charts: list[Chart] = []
    for rater, own in zip((rater for rater in raters.all if rater.read_twice.any()), beyond.repeats, strict=True):
        drawn = pair_charts(own.comparison, *rater.readings(), file_stem(f"{own.reader} repeat"))
        charts += [drawn[name] for name in ("matrix", "bland_altman") if name in drawn]
    return (Section("Repeat readings", (repeats_table(beyond.repeats), *charts)),)


def _lesions_section(beyond: _Beyond) -> tuple[Section, ...]:
    tables: list[Table] = []
    for own in beyond.lesions:
        tables += lesion_tables(own, file_stem(f"{own.other} against {own.reference}"))
    return (Section("Lesions", tuple(tables)),) if tables else ()


def _methods(raters: Raters, beyond: _Beyond) -> Iterator[str]:
    """Yield the paragraphs on statistical methods."""
    scored = any(shared_grade(pair) == "scores" for pair in raters.pairs())
    methods = METHODS.format(resamples=RESAMPLES, drawn=_drawn(raters))
    yield f"{methods} {METHODS_SCORES if scored else ''}{METHODS_INTERVALS}"
    if beyond.several:
        yield METHODS_SEVERAL + (METHODS_MODELS if beyond.several.models else "")
    if beyond.repeats:
        yield METHODS_REPEATS
    if beyond.lesions:
        yield METHODS_LESIONS


def _beyond_numbers(beyond: _Beyond) -> dict[str, Any]:
    parts = {"readers_together": beyond.several, "repeats": list(beyond.repeats), "lesions": list(beyond.lesions)}
    return {name: found for name, found in parts.items() if found}


SHOWN = (
    "four", "five", "matrix", "kappa", "detection", "scores", "scatter", "lines", "bland_altman", "limits", "vessels",
)  # fmt: skip
"""Tables and charts of a comparison, in order."""


def _section(found: Pair, tables: dict[str, Table], charts: dict[str, Chart]) -> Section:
    content: dict[str, Table | Chart] = {**tables, **charts}
    only = (
        "Of one of the two only categories are known, so that nothing is said of scores."
        if not isinstance(found, Comparison)
        else ""
    )
    parts = tuple(content[name] for name in SHOWN if name in content)
    return Section(f"{found.other} against {found.reference}", (*((only,) if only else ()), *parts))


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
    """Return the pairs of models that scored studies of the first reader."""
    first, pairs = raters.of("reader")[0], combinations(raters.of("model"), 2)
    return [(one.name, other.name) for one, other in pairs if raters.scored_by((first, one, other)).any()]


def _contest(raters: Raters, model: str, other: str, seed: int, advance: Callable[[], None]) -> tuple[Compared, ...]:
    """Compare two models against the first reader; ``advance`` is called for each hundred resamples."""
    done = 0

    def report(resamples: int) -> None:
        nonlocal done
        for _ in range((done + resamples) // 100 - done // 100):
            advance()
        done += resamples

    named = {rater.name: rater for rater in raters.all}
    three: list[Rater] = [raters.of("reader")[0], named[model], named[other]]
    rows = raters.scored_by(three)
    scores = (rater.scores[rows] for rater in three)
    found = compare_models(*scores, patients=raters.patients_of(rows), seed=seed, advance=report)
    if shared_grade(three) == "scores":
        return found
    known = ("kappa", "exact", "within", *(cut.name for cut in CATEGORY_CUTS))
    return tuple(compared for compared in found if compared.name.startswith(known))


def _title(raters: Raters) -> str:
    readers, models = ([rater.name for rater in raters.of(kind)] for kind in ("reader", "model"))
    return f"{' and '.join(models)} against {' and '.join(readers)}" if models else " and ".join(readers)


def _doubts(raters: Raters) -> Iterator[str]:
    """Yield what the reader must check of the scores."""
    if cut := rows_doubt(raters.readings.rows_read):
        yield cut
    for rater in raters.all:
        if rater.grade == "scores":
            found = *score_doubts(rater.scores), mixed_doubt(rater.scores), ceiling_doubt(rater.scores)
            yield from (f"{rater.name} {doubt}" for doubt in found if doubt)
            yield from _more_than_whole(rater)
    for reference, other in raters.pairs():
        if (reference.grade, other.grade) == ("scores", "scores"):
            both = [judge(other.scores, reference.scores) for judge in (scale_doubt, mixed_ratio_doubt)]
            yield from (f"{other.name} against {reference.name}: {other.name} {doubt}" for doubt in both if doubt)
            yield from pair_doubts(other.name, other.scores, reference.name, reference.scores)


def _lead(raters: Raters) -> Iterator[str]:
    readers, models = (", ".join(rater.name for rater in raters.of(kind)) for kind in ("reader", "model"))
    patients = f" of {len(set(raters.patients)):,} patients" if raters.patients else ""
    names = f"readers: {readers}" + (f"; models: {models}" if models else "")
    yield f"{raters.n:,} studies{patients} ({names}). {raters.readings.summary}"
    if parts := list(_read_in_part(raters)):
        yield (
            f"Not everybody scored every study: {listed(parts)}. Each pair is compared on the studies that both scored."
        )
    for name, number in raters.refused.items():
        if number:
            yield f"{name} refused {_studies(number, 'further ')}, which this report leaves out."
    yield from raters.readings.told
    yield from _doubts(raters)
    if raters.identifier is None and raters.patients is None:
        yield f"No identifier column was found, so duplicate studies could not be detected{_equal_rows(raters)}."
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


def _more_than_whole(rater: Rater) -> Iterator[str]:
    """Yield a sentence on scores of one vessel that are larger than the score of all."""
    for vessel, scores in rater.vessels.items():
        if more := int((scores > 1.01 * rater.scores + 1).sum()):
            yield f"{rater.name}: the score of the {vessel} is larger than that of all vessels in {_studies(more)}."


def _equal_rows(raters: Raters) -> str:
    """Return how many rows with calcium equal another one, if several columns were read."""
    table = raters.readings.table
    equal = int((table.duplicated() & (table.select_dtypes("number") > 0).any(axis=1)).sum())
    return f"; {equal:,} rows with calcium equal another in all columns that were read" if equal else ""


def _read_in_part(raters: Raters) -> Iterator[str]:
    """Yield all raters with their numbers of studies, if one of them scored only a part."""
    counts = {rater.name: int(raters.scored_by([rater]).sum()) for rater in raters.all}
    if min(counts.values()) < raters.n:
        yield from (f"{name} {number:,}" for name, number in counts.items())


def _studies(number: int, which: str = "") -> str:
    return f"{number:,} {which}stud{'y' if number == 1 else 'ies'}"


def _with_refused(raters: Raters, comparisons: Sequence[Pair]) -> Iterator[str]:
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


def _numbers(raters: Raters, comparisons: Sequence[Pair], contests: _Contests) -> dict[str, Any]:
    return {
        "studies": raters.n,
        "patients": len(set(raters.patients)) if raters.patients else None,
        "rows_read": raters.readings.rows_read,
        "rows_dropped": raters.readings.dropped_by_kind,
        "refused_by_model": raters.refused,
        "told": raters.readings.told,
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
        **({"labels": config.labels.name} if config.labels else {}),
        **({"incomplete": True} if config.incomplete else {}),
        **({"categories": list(config.categories)} if config.categories else {}),
    }


def _checklists(raters: Raters, beyond: _Beyond) -> tuple[Checklist, ...]:
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
    shown = [f"Comparison of {readers} readers in this report."] if readers > 1 else []
    shown += [f"Repeat readings by {listed([own.reader for own in beyond.repeats])}."] if beyond.repeats else []
    variability = {"18": " ".join(shown)} if shown else {}
    refused = sum(raters.refused.values())
    flow = f"{rows} Refused by a model: {refused:,}. The authors must describe the flow before the table."
    stard = {"12a": cuts, "12b": cuts, "14": methods, "16": missing, "19": flow, "23": tables, "24": precision}
    claim = {"12": missing, "21": size, "23": software, "28": methods, "29": methods, "35": flow, "38": precision}
    tripod = {"10": size, "11": missing, "12e": methods, "15": cuts, "23a": precision}
    return fill(STARD_AI, stard), fill(CLAIM_2024, claim | variability), fill(TRIPOD_AI, tripod)
