"""The choices of ``ctacal agree``: the table, its columns, and the rows to leave out."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ctacal.evaluate.readings import ANY_FORM, TableForm


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreeConfig:
    """One comparison. Columns that are not named are found by their usual names.

    >>> AgreeConfig(table=Path("readings.csv"), readers=["anna", "ben"]).incomplete
    False
    """

    table: Path
    readers: Sequence[str] = ()
    """Columns of readers' scores; the first is the reference when two models are compared."""
    models: Sequence[str] = ()
    """Columns of models' scores."""
    categories: Sequence[str] = ()
    """Those of the readers' and models' columns that hold categories, not scores."""
    words: Sequence[str] = ()
    """Their own words for the four categories (or the five), lowest first."""
    names: Mapping[str, str] = field(default_factory=dict)
    """Names of readers and models in tables and figures, by column."""
    results: Sequence[Path] = ()
    """Results of ``ctacal score`` (files or their folders) to join with the table; each adds a model."""
    identifier: Sequence[str] = ()
    """Columns that together name the study: usually one."""
    patient: str | None = None
    """Column of the patient, if a patient has several studies: the bootstrap draws whole patients."""
    labels: Path | None = None
    """Label maps: a folder (``RATER/STUDY.nii.gz``, .nii or .dcm), or a table with a column of files for each rater."""
    incomplete: bool = False
    """Whether a rater may have scored only a part of the studies; each pair is then compared on those that both did."""
    form: TableForm = ANY_FORM
    """How the table is written."""
    drop: Collection[str] = ()
    """Kinds of faulty rows (``readings.KINDS``) to leave out and count."""
