"""The job of ``ctacal cohort``: scored studies and the clinical table in, one table of patients out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ctacal.errors import UsageError
from ctacal.evaluate.linkage import LeftOut, Rules, link, read_results
from ctacal.evaluate.readings import ENDINGS_WRITTEN, save_table
from ctacal.results_table import write_table


@dataclass(frozen=True, slots=True)
class JoinedCohort:
    """The two tables that were written."""

    table: Path
    patients: int
    """Rows of ``table``."""
    left_out: tuple[LeftOut, ...]
    left_out_table: Path
    """Lists each that is left out, with the reason."""


def join_cohort(results: Sequence[Path], clinical: Path, out: Path, rules: Rules) -> JoinedCohort:
    """Join scored studies with the clinical table, one row for each patient, and write the table to ``out``.

    Raises ``UsageError`` if a table has a fault or ``out`` is of a kind that cannot be written.
    """
    if out.suffix.lower() not in ENDINGS_WRITTEN:
        raise UsageError(f"{out}: name a table of {', '.join(ENDINGS_WRITTEN)}")
    linked = link(read_results(results), clinical, rules)
    save_table(linked.table, out)
    beside = out.with_name(f"{out.stem}.left_out.csv")
    columns = ("side", "identifier", "row", "why")
    write_table(beside, columns, ({name: getattr(left, name) for name in columns} for left in linked.left_out))
    return JoinedCohort(out, len(linked.table), tuple(linked.left_out), beside)
