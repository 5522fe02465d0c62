"""The readers and models of one table, with their scores of the same studies."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from ctacal.arrays import Floats
from ctacal.evaluate.readings import Readings

VESSELS = ("LM", "LAD", "LCX", "RCA")
"""Vessels whose scores are compared: the column SCORE_lad holds the part of the column SCORE in the LAD."""


@dataclass(frozen=True, eq=False, slots=True)
class Rater:
    """A reader or a model, and its scores."""

    name: str
    kind: Literal["reader", "model"]
    scores: Floats
    """(n,) Agatston scores."""
    vessels: Mapping[str, Floats]
    """(n,) Agatston scores by vessel; NaN if a study has none."""


@dataclass(frozen=True, eq=False, slots=True)
class Raters:
    """All raters, with scores of the same studies."""

    all: tuple[Rater, ...]
    patients: tuple[str, ...] | None
    readings: Readings
    identifier: str | None
    refused: dict[str, int]
    """Number of read studies that a model refused to score, by model."""

    @property
    def n(self) -> int:
        """Number of studies."""
        return len(self.readings.table)

    def of(self, kind: Literal["reader", "model"]) -> list[Rater]:
        """Return the readers, or the models, in order."""
        return [rater for rater in self.all if rater.kind == kind]

    def pairs(self) -> Iterator[tuple[Rater, Rater]]:
        """Yield reference and other: each model against each reader, then each reader against those before it."""
        readers = self.of("reader")
        for reader in readers:
            yield from ((reader, model) for model in self.of("model"))
        for number, reader in enumerate(readers):
            yield from ((earlier, reader) for earlier in readers[:number])
