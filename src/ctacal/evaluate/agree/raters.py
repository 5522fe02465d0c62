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
    """Who scored, a reader or a model, and the scores."""

    name: str
    kind: Literal["reader", "model"]
    scores: Floats
    """(n,) Agatston."""
    vessels: Mapping[str, Floats]
    """(n,) each, by vessel; NaN where a study has none."""


@dataclass(frozen=True, eq=False, slots=True)
class Raters:
    """The raters, all on the same studies."""

    all: tuple[Rater, ...]
    patients: tuple[str, ...] | None
    readings: Readings
    identifier: str | None
    refused: dict[str, int]
    """Studies with a reading that a model refused to score."""

    @property
    def n(self) -> int:
        """Studies."""
        return len(self.readings.table)

    def of(self, kind: Literal["reader", "model"]) -> list[Rater]:
        """The readers, or the models, in order."""
        return [one for one in self.all if one.kind == kind]

    def pairs(self) -> Iterator[tuple[Rater, Rater]]:
        """Reference and other: each model against each reader, then each reader against those before it."""
        readers = self.of("reader")
        for reader in readers:
            yield from ((reader, model) for model in self.of("model"))
        for number, reader in enumerate(readers):
            yield from ((earlier, reader) for earlier in readers[:number])
