"""The job of ``ctacal cohort``: scored studies and the clinical table in, one table of patients out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ctacal.errors import UsageError
from ctacal.evaluate.linkage import LeftOut, Linked, Rules, link, read_results
from ctacal.evaluate.readings import ENDINGS_WRITTEN, save_table
from ctacal.evaluate.readings.locale import in_locale_of
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
    told: tuple[str, ...]
    """Sentences on how the clinical table was read and the new one is written."""


def join_cohort(results: Sequence[Path], clinical: Path, out: Path, rules: Rules) -> JoinedCohort:
    r"""Join scored studies with the clinical table, one row for each patient, and write the table to ``out``.

    Args:
        results: The results.csv of one or several runs of ``ctacal score``, or their folders.
        clinical: The clinical table.
        out: The table to write: .csv, .tsv, .xlsx or .parquet.
        rules: How studies are linked with rows.

    Returns:
        The tables written, the number of patients, and each study or row that was left out.

    Raises:
        UsageError: A table has a fault, or ``out`` is of a kind that cannot be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     results, clinical = Path(folder, "results.csv"), Path(folder, "clinical.csv")
        ...     _ = results.write_text("study_uid,status,agatston\n1.2,scored,120.5\n1.3,scored,0\n")
        ...     _ = clinical.write_text("study_uid,age_years\n1.2,64\n")
        ...     joined = join_cohort([results], clinical, Path(folder, "cohort.csv"), Rules())
        ...     joined.patients, [left.identifier for left in joined.left_out]
        (1, ['1.3'])
    """
    if out.suffix.lower() not in ENDINGS_WRITTEN:
        raise UsageError(f"{out}: name a table of {', '.join(ENDINGS_WRITTEN)}")
    linked = link(read_results(results), clinical, rules)
    told = _save(linked, out, rules)
    beside = out.with_name(f"{out.stem}.left_out.csv")
    columns = ("side", "identifier", "row", "why")
    write_table(beside, columns, ({name: getattr(left, name) for name in columns} for left in linked.left_out))
    return JoinedCohort(out, len(linked.table), tuple(linked.left_out), beside, told)


def _save(linked: Linked, out: Path, rules: Rules) -> tuple[str, ...]:
    """Write the table with the cells of the clinical table unchanged, and numbers of the results as these are written.

    Returns what to tell.
    """
    theirs = set(linked.raw.cells.columns)
    ours = [name for name in linked.table.columns if name not in theirs]
    table, decimal = in_locale_of(linked.raw, linked.table, ours, rules.form)
    separator = ";" if decimal == "," or linked.raw.separator == ";" else ","
    save_table(table, out, separator=separator, decimal=decimal)
    how = "Numbers of the results were written with decimal commas, like those of the clinical table."
    return (*linked.raw.told, *((how,) if decimal == "," else ()), *_renamed(ours))


def _renamed(ours: Sequence[str]) -> tuple[str, ...]:
    """Return a sentence on columns of the results that the clinical table has as well."""
    both = [name for name in ours if name.endswith("_ctacal")]
    if not both:
        return ()
    names = ", ".join(name.removesuffix("_ctacal") for name in both)
    return (f"Both tables have {names}: those of the results are named {', '.join(both)}.",)
