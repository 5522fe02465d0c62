"""The frozen values that a publication is made of."""

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
"""Text as it is to be shown, a count, a number, or nothing."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table; a row of one cell is a heading across it, leading spaces of a row's first cell indent it.

    Raises ``ValueError`` where a row has another length than ``columns``, or a cell is NaN or infinite.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    footnotes: tuple[str, ...] = ()
    groups: tuple[tuple[str, int], ...] = ()
    """Headings above the columns: text ("" for none) and how many columns each spans, from left to right; or none."""
    name: str = ""
    """Of its files; by default made of the title."""

    def __post_init__(self) -> None:
        for number, row in enumerate(self.rows, start=1):
            if len(row) not in (1, len(self.columns)):
                raise ValueError(f"{self.title}, row {number}: {len(row)} cells for {len(self.columns)} columns")
            for cell in row:
                if isinstance(cell, float) and not isfinite(cell):
                    raise ValueError(f"{self.title}, row {number} ({row[0]}): a cell is {cell}")
        if self.groups and sum(span for _, span in self.groups) != len(self.columns):
            raise ValueError(f"{self.title}: the groups span other than {len(self.columns)} columns")

    @property
    def stem(self) -> str:
        """The file name without its ending."""
        return self.name or file_stem(self.title)


@dataclass(frozen=True, slots=True)
class Chart:
    """A figure: ``draw`` is given a matplotlib ``Figure`` of its printed size, in the style of the journal."""

    title: str
    caption: str
    draw: "Callable[[Figure], None]"
    width: Literal["single", "double"] = "single"
    """One column of a journal (85 mm) or two (175 mm)."""
    height_mm: float = 75.0
    name: str = ""
    """Of its files; by default made of the title."""

    @property
    def stem(self) -> str:
        """The file name without its ending."""
        return self.name or file_stem(self.title)


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with paragraphs (text), tables and charts in the order in which they are read."""

    title: str
    content: tuple[str | Table | Chart, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """All that ``write_publication`` writes."""

    title: str
    lead: tuple[str, ...]
    """The first lines of the report: what the cohort is, what was dropped."""
    sections: tuple[Section, ...]
    numbers: Mapping[str, Any]
    """Every figure at full precision: nested mappings, sequences, frozen results, numpy arrays, None."""
    command: str
    """Which command of ctacal made it."""
    seed: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    packages: tuple[str, ...] = ("numpy", "scipy", "matplotlib")
    """Whose versions are told."""
    checklists: tuple[Checklist, ...] = ()

    @property
    def tables(self) -> tuple[Table, ...]:
        """All tables, in order."""
        return tuple(one for section in self.sections for one in section.content if isinstance(one, Table))

    @property
    def charts(self) -> tuple[Chart, ...]:
        """All charts, in order."""
        return tuple(one for section in self.sections for one in section.content if isinstance(one, Chart))


def file_stem(title: str) -> str:
    """A title as a file name.

    >>> file_stem("Bland-Altman, log(x + 1): Modèle A")
    'bland_altman_log_x_1_modele_a'
    """
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[:80].strip("_") or "untitled"
