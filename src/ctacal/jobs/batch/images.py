"""``images_of``: where the images of a run lie that have a result, so that ``ctacal review RUN`` finds them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ctacal.errors import UsageError
from ctacal.jobs.batch.ledger import done_of
from ctacal.jobs.batch.places import FolderPlace, is_address
from ctacal.jobs.batch.plan import PLAN, Plan, load_plan, rows_of_shard
from ctacal.names import printable


@dataclass(frozen=True, slots=True)
class RunImages:
    """Where the images of a run's results lie."""

    paths: tuple[Path, ...]
    problems: tuple[str, ...] = ()
    """What is not among the paths, in sentences."""


def is_run(folder: Path) -> bool:
    """Whether a folder is the run of a batch."""
    return (folder / PLAN).is_file()


def images_of(run: Path) -> RunImages:
    """Return the sources of the rows that gave results, as far as they are here.

    Raises ``UsageError`` if nothing is scored yet, or if the results are pseudonymised: they do not tell their images.
    """
    place = FolderPlace(run.absolute())
    plan = load_plan(place)
    if plan.settings.pseudonymise:
        raise UsageError(
            f"{place.text}: the results of this batch are pseudonymised, and do not tell their images; read the images "
            "by themselves (ctacal annotate PATH)"
        )
    sources = tuple(_sources(plan, place))
    if not sources:
        raise UsageError(f"{place.text}: nothing is scored there yet (ctacal batch run {place.text})")
    remote = sum(map(is_address, sources))
    here = [Path(source) for source in sources if not is_address(source)]
    gone = [path for path in here if not path.exists()]
    return RunImages(tuple(path for path in here if path.exists()), tuple(_problems(remote, gone)))


def _sources(plan: Plan, place: FolderPlace) -> Iterator[str]:
    for shard in range(len(plan.rows)):
        scored = done_of(shard, place).scored
        for row in rows_of_shard(plan, place, shard) if scored else ():
            if row.id in scored:
                yield from row.sources


def _problems(remote: int, gone: list[Path]) -> Iterator[str]:
    where = "copy them to a disk, and name the place: --images PATH"
    if remote:
        yield f"the images of {remote:,} sources lie in a bucket, which a review does not read; {where}"
    if gone:
        others = f" and {len(gone) - 1:,} other sources" if len(gone) > 1 else ""
        yield f"{printable(gone[0])}{others}: gone; say where the images lie now: --images PATH"
