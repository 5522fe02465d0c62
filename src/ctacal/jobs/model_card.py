"""The model card: the models and the baseline side by side, on test cohorts and on real scans."""

from collections.abc import Sequence
from pathlib import Path

from ctacal.compare.rescanned import RescanPairs
from ctacal.dicom.series import read_studies
from ctacal.errors import UsageError
from ctacal.evaluate.accuracy.contenders import Contender
from ctacal.evaluate.accuracy.model_card import write_card
from ctacal.evaluate.accuracy.real_scans import RealScan, read_real_scans
from ctacal.evaluate.accuracy.results import read_results
from ctacal.jobs.accuracy import BASELINE
from ctacal.jobs.finders import Finder, baseline
from ctacal.jobs.score import EACH, RESULTS, ScoreJob, score_intake
from ctacal.nn.predict import Model
from ctacal.progress import Progress, no_progress


def contenders_of(models: Sequence[Model]) -> list[Contender]:
    """Return the columns of the card: the models and the baseline. Raises ``UsageError`` if two have the same name."""
    contenders = [Contender(_title(model), model.info, model.card) for model in models]
    contenders.append(Contender("threshold baseline", BASELINE, None))
    titles = [contender.title for contender in contenders]
    if len(set(titles)) < len(titles):
        raise UsageError(f"the models need different names, got: {', '.join(titles)}")
    return contenders


def _title(model: Model) -> str:
    published = model.card["stages"]["calcium"]["recipe"]["network"]["kind"] == "published"
    return f"published network, rebuilt ({model.info.name})" if published else model.info.name


def write_model_card(
    card: Path,
    table: Path,
    models: Sequence[Model],
    *,
    cohorts: Sequence[str] = (),
    real_scans: Sequence[RealScan] = (),
    rescans: Path | None = None,
) -> None:
    """Write the model card of the first model, compared with the others and the baseline, from a table of results.

    ``cohorts`` names those of the table that the card shows; none named: all. ``rescans`` is a folder of ``ctacal
    rescan``, of which the scans that the first model scored are shown. Raises ``UsageError`` if two models have
    the same name, or the table holds nothing of the first model.
    """
    rows = [row for row in read_results(table) if not cohorts or row["cohort"] in cohorts]
    write_card(card, contenders_of(models), rows, real_scans, _rescanned(rescans, models[0]) if rescans else None)


def _rescanned(folder: Path, model: Model) -> RescanPairs:
    """Return the pairs of scans that the model scored. Raises ``UsageError`` if the folder holds none."""
    from ctacal.jobs.rescan_limits import pairs_of, read_scans  # needs the extra `simulate`

    rows = [row for row in read_scans(folder) if row["model_digest"] == model.info.digest]
    pairs = pairs_of(rows, "agatston")
    if not len(pairs.first):
        raise UsageError(f"--rescans {folder}: no patient was scanned twice and scored by {model.info.name}")
    return pairs


def score_real_scans(
    listed: Path, scans: Sequence[Path], out: Path, models: Sequence[Model], *, progress: Progress = no_progress
) -> list[RealScan]:
    """Score each series under ``scans`` by each model and the baseline; returns the real scans of a TOML file.

    Every model gets a folder under ``out``, whose results are kept if they are still right. Without ``scans`` nothing
    is scored, and the results are those that the TOML file names. Raises ``UsageError`` if the TOML file is wrong.
    """
    read_real_scans(listed)  # it should fail before an hour of scoring
    finders = [*(Finder(model, model.info, model.heart_slices) for model in models), baseline()]
    tables = {}
    progress(0, len(finders))
    for number, finder in enumerate(finders if scans else (), start=1):
        folder = out / finder.model.name
        job = ScoreJob(finder=finder, outputs=("json",), series=EACH, resume=True)
        score_intake(read_studies(scans), folder, job)
        tables[finder.model.digest] = folder / RESULTS
        progress(number, len(finders))
    return read_real_scans(listed, tables)
