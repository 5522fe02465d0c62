"""The tables of several readers, repeat readings and lesions, at journal precision."""

from collections.abc import Iterator, Sequence

from ctacal.evaluate.agree.comparison import Comparison
from ctacal.evaluate.agree.lesions import PairLesions
from ctacal.evaluate.agree.several import ModelAndReaders, Repeats, SeveralCategories, SeveralIcc, SeveralReaders
from ctacal.evaluate.agree.tables import ONLY_CATEGORIES, cell, limit_cells
from ctacal.evaluate.publication import Cell, Table, listed
from ctacal.labels import CORONARY_LABELS
from ctacal.statistics.agreement import LimitsOfAgreement, Spread, VesselLesions
from ctacal.statistics.estimate import Estimate


def several_tables(found: SeveralReaders) -> Iterator[Table]:
    """Yield the tables of all readers together, and of the models against them."""
    if found.raw and found.logarithmic and found.spread:
        yield _scores(found, (found.raw, found.logarithmic), found.spread)
    yield _kappas(found)
    if found.models:
        yield _models(found)


def _scores(found: SeveralReaders, scales: tuple[SeveralIcc, SeveralIcc], spread: Spread) -> Table:
    rows = (
        ("ICC(2,1), absolute agreement", *(cell(scale.agreement) for scale in scales)),
        ("ICC(3,1), consistency", *(cell(scale.consistency) for scale in scales)),
        ("ICC(1,1), one-way", *(cell(scale.one_way) for scale in scales)),
        ("Reproducibility coefficient", cell(spread.coefficient, 1), cell(spread.factor, 2)),
    )
    notes = (
        f"{found.n:,} studies that all of {listed(found.readers)} scored. Value (95 % interval). ICC(2,1) and the "
        "reproducibility coefficient take the readers for a sample of all readers, ICC(3,1) for the only ones. "
        f"Reproducibility coefficient, of two readings by different readers: {_below()}",
    )
    title = f"Scores of {len(found.readers)} readers"
    return Table(title, ("", "Agatston score", "log(score + 1)"), rows, notes, name="readers_scores")


def _below() -> str:
    return (
        "the difference that 95 % of pairs stay below (Bland 1999); for log(score + 1), the factor of (score + 1). "
        "Its interval takes differences for normal and of one spread at all scores, which holds better for logarithms."
    )


def _kappas(found: SeveralReaders) -> Table:
    both = (found.four, *([found.five] if found.five else []))

    def row(text: str, figures: Iterator[Estimate]) -> tuple[str, ...]:
        return (text, *(cell(figure) for figure in figures))

    rows: list[tuple[Cell, ...]] = [
        ("Fleiss' kappa",),
        row("  asymptotic interval", (own.fleiss for own in both)),
        row("  bootstrap interval", (own.fleiss_bootstrap for own in both)),
        ("Light's kappa, mean of the pairs",),
        *_lights(both),
        row("Krippendorff's alpha, ordinal", (own.alpha for own in both)),
        row("All readers in the same category", (own.all_agree for own in both)),
    ]
    drawn = found.four.fleiss_bootstrap.method.split(", ", 1)[-1]
    more = found.four.alpha.n - found.n
    notes = [
        f"{found.n:,} studies that all readers scored. Value (95 % interval): Fleiss asymptotic by Gwet 2008, "
        f"agreement by Wilson, all others by {drawn}. Fleiss' kappa has no weights: if readers are often one category "
        "apart, weighted kappa and alpha say more."
    ]
    if more:
        notes.append(f"Alpha also has the {more:,} studies that two readers or more scored, but not all.")
    title = f"Categories of {len(found.readers)} readers"
    columns = ("", "Four categories", "Five categories")[: 1 + len(both)]
    return Table(title, columns, tuple(rows), tuple(notes), name="readers_kappa")


def _lights(both: Sequence[SeveralCategories]) -> Iterator[tuple[str, ...]]:
    for weights in both[0].light:
        words = weights if weights == "unweighted" else f"{weights} weights"
        yield (f"  {words}", *(cell(own.light[weights]) for own in both))


def _models(found: SeveralReaders) -> Table:
    columns = ("", "n", "Kappa, linear", "Exact", "Sensitivity", "Specificity", "Kappa beyond readers")
    rows = tuple(_model_row(model) for model in found.models)
    note = (
        f"Means over the {len(found.readers)} readers, four categories; sensitivity and specificity for a score above "
        "0. Value (95 % interval), for other readers and other studies like these (Obuchowski 1995, jackknife; not cut "
        "at 1). Kappa beyond readers: the model's mean kappa with the readers, minus that of the readers with each "
        "other, with a bootstrap interval for these readers. If its lower end lies above a margin that was set "
        "beforehand, the model agrees with readers no less than they agree with each other."
    )
    return Table("Models against all readers", columns, rows, (note,), name="models_readers")


def _model_row(model: ModelAndReaders) -> tuple[Cell, ...]:
    means = (model.linear_kappa, model.exact, model.sensitivity, model.specificity, model.beyond_readers)
    return (model.model, model.n, *(cell(mean) for mean in means))


def repeats_table(repeats: Sequence[Repeats]) -> Table:
    """Return the repeat readings, a column for each reader."""
    found = [own.comparison for own in repeats]
    rows: list[tuple[Cell, ...]] = [
        ("Studies read twice", *(own.n for own in found)),
        ("Kappa, linear weights", *(cell(own.four.kappas["linear"].bootstrap) for own in found)),
        ("Kappa, unweighted", *(cell(own.four.kappas["unweighted"].bootstrap) for own in found)),
        ("Same category", *(cell(own.four.exact) for own in found)),
        ("ICC(1,1), Agatston score", *(_scored(own.raw) for own in repeats)),
        ("ICC(1,1), log(score + 1)", *(_scored(own.logarithmic) for own in repeats)),
        ("Repeatability coefficient", *(_scored(own.spread.coefficient if own.spread else None, 1) for own in repeats)),
        ("  as a factor of (score + 1)", *(_scored(own.spread.factor if own.spread else None, 2) for own in repeats)),
        ("Bland-Altman, difference of scores",),
        *_limit_rows([own.limits if isinstance(own, Comparison) else None for own in found], 1),
        ("Bland-Altman, ratio of (score + 1)",),
        *_limit_rows([own.ratio_limits if isinstance(own, Comparison) else None for own in found], 2),
    ]
    note = (
        "Second reading against the first, four categories. Value (95 % interval): kappa by bootstrap, proportions by "
        f"Wilson, repeatability by chi-square. Repeatability coefficient: {_below()} A study "
        "that scores 0 in only one of its readings makes the factor large."
    )
    return Table("Repeat readings", ("", *(own.reader for own in repeats)), tuple(rows), (note,), name="repeats")


def _scored(estimate: Estimate | None, places: int = 3) -> str:
    return ONLY_CATEGORIES if estimate is None else cell(estimate, places)


def _limit_rows(limits: Sequence[LimitsOfAgreement | None], places: int) -> Iterator[tuple[str, ...]]:
    cells = [limit_cells(own, places) if own else (ONLY_CATEGORIES, "–", "–") for own in limits]
    for text, row in zip(("bias", "lower limit", "upper limit"), zip(*cells, strict=True), strict=True):
        yield (f"  {text}", *row)


def lesion_tables(lesions: PairLesions, stem: str) -> tuple[Table, Table]:
    """Return detection and Dice by vessel, and which vessel each lesion was given."""
    return _detection(lesions, stem), _vessels(lesions, stem)


def _detection(lesions: PairLesions, stem: str) -> Table:
    found = lesions.found
    columns = ("", "Lesions", "Found", "In the same vessel", "False per scan", "Dice")
    rows = (_lesion_row("All coronary", found.all), *(_lesion_row(name, own) for name, own in found.vessels.items()))
    note = (
        f"{found.studies:,} studies with label maps of both. Lesions of {lesions.reference}, found by {lesions.other}; "
        "a lesion is calcium that is connected (26 neighbours), found if one of its voxels is marked, and false if the "
        "reference marks none of it. Its vessel is that of most voxels. In the same vessel: of the lesions that both "
        "mark and name. Dice: twice the volume that both mark, divided by the sum of their volumes, of all studies "
        "together. False lesions and Dice of a vessel: of the studies without calcium of unknown vessel. Mean Dice of "
        f"the studies with calcium: {cell(found.mean_dice)}. Value (95 % interval) by "
        f"{found.all.false_per_scan.method.split(', ', 1)[-1]}: lesions of one study are drawn together."
    )
    return Table(
        f"Lesions, {lesions.other} against {lesions.reference}", columns, rows, (note,), name=f"{stem}_lesions"
    )


def _lesion_row(name: str, own: VesselLesions) -> tuple[Cell, ...]:
    shares = (own.found, own.same_vessel)
    return (name, own.lesions, *(cell(share) for share in shares), cell(own.false_per_scan, 2), cell(own.dice))


def _vessels(lesions: PairLesions, stem: str) -> Table:
    names = [label.name for label in CORONARY_LABELS]
    table = lesions.found.lesions
    rows: list[tuple[Cell, ...]] = [
        (name, *(int(count) for count in (*row[1:], row[0])), int(row.sum()))
        for name, row in zip(names, table[1:], strict=True)
    ]
    rows.append(("Not marked", *(int(count) for count in table[0, 1:]), "–", int(table[0].sum())))
    note = "Number of lesions. CORONARY: a coronary artery of unknown name."
    return Table(
        f"Vessels of the lesions, {lesions.other} against {lesions.reference}",
        (lesions.reference, *names, "Not marked", "All"),
        tuple(rows),
        (note,),
        groups=(("", 1), (lesions.other, len(names) + 1), ("", 1)),
        name=f"{stem}_lesion_vessels",
    )
