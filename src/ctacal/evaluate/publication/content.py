"""The frozen values that make up a publication."""

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, Any, Literal

from ctacal.evaluate.publication.checklists import Checklist

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Cell = str | int | float | None
"""Text to be shown unchanged, a count, a number, or nothing."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table. A row of one cell is a heading across it; leading spaces in a row's first cell indent the cell.

    Raises ``ValueError`` if a row has another length than ``columns``, or a cell is NaN or infinite.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    footnotes: tuple[str, ...] = ()
    groups: tuple[tuple[str, int], ...] = ()
    """Headings above the columns, from left to right: text ("" for none) and number of columns."""
    name: str = ""
    """Stem of its files' names; by default made from the title."""

    def __post_init__(self) -> None:
        for number, row in enumerate(self.rows, start=1):
            if len(row) not in (1, len(self.columns)):
                raise ValueError(f"{self.title}, row {number}: {len(row)} cells for {len(self.columns)} columns")
            for cell in row:
                if isinstance(cell, float) and not isfinite(cell):
                    raise ValueError(f"{self.title}, row {number} ({row[0]}): a cell is {cell}")
        if self.groups and sum(span for _, span in self.groups) != len(self.columns):
            raise ValueError(f"{self.title}: expected groups that span {len(self.columns)} columns")

    @property
    def stem(self) -> str:
        """The file name without its extension."""
        return self.name or file_stem(self.title)


@dataclass(frozen=True, slots=True)
class Chart:
    """A figure. ``draw`` receives a matplotlib ``Figure`` of the printed size, in the style of a journal."""

    title: str
    caption: str
    draw: "Callable[[Figure], None]"
    width: Literal["single", "double"] = "single"
    """One journal column (85 mm) or two (175 mm)."""
    height_mm: float = 75.0
    name: str = ""
    """Stem of its files' names; by default made from the title."""

    @property
    def stem(self) -> str:
        """The file name without its extension."""
        return self.name or file_stem(self.title)


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with paragraphs (text), tables and charts, in reading order."""

    title: str
    content: tuple[str | Table | Chart, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """Everything that ``write_publication`` writes."""

    title: str
    lead: tuple[str, ...]
    """First paragraphs of the report: what the cohort is, which rows were dropped."""
    sections: tuple[Section, ...]
    numbers: Mapping[str, Any]
    """Every number at full precision: nested mappings, sequences, frozen results, numpy arrays, None."""
    command: str
    """The command of ctacal that made it."""
    seed: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    packages: tuple[str, ...] = ("numpy", "scipy", "matplotlib")
    """Packages whose versions are listed."""
    checklists: tuple[Checklist, ...] = ()
    mark: str = ""
    """Words at the head of every page, such as "Simulated cohort" (``marked``)."""
    links: tuple[tuple[str, str], ...] = ()
    """Text and address of other pages, below the first paragraphs."""

    @property
    def tables(self) -> tuple[Table, ...]:
        """All tables, in order."""
        return tuple(item for section in self.sections for item in section.content if isinstance(item, Table))

    @property
    def charts(self) -> tuple[Chart, ...]:
        """All charts, in order."""
        return tuple(item for section in self.sections for item in section.content if isinstance(item, Chart))


def file_stem(title: str) -> str:
    """Return a title as a file name.

    >>> file_stem("Bland-Altman, log(x + 1): Modèle A")
    'bland_altman_log_x_1_modele_a'
    """
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[:80].strip("_") or "untitled"
