"""What ``ctacal agree`` compares: the table, its columns, and the rows to leave out."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreeConfig:
    """What is to be compared; columns that are not named are found by their usual names."""

    table: Path
    readers: Sequence[str] = ()
    models: Sequence[str] = ()
    results: Sequence[Path] = ()
    identifier: str | None = None
    patient: str | None = None
    drop: Collection[str] = ()
