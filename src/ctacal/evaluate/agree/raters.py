"""The readers and models of one table, with their scores of the same studies."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from ctacal.arrays import Floats, Mask
from ctacal.evaluate.columns_read import ColumnRead
from ctacal.evaluate.readings import Readings

Grade = Literal["scores", "five", "four"]
"""What is known of a rater's studies: scores, or only one of five categories, or of four."""

STANDING_FOR = {"four": (0.0, 50.0, 200.0, 900.0), "five": (0.0, 5.0, 50.0, 200.0, 900.0)}
"""A score in each category, which stands for it where only categories are known."""

VESSELS = ("LM", "LAD", "LCX", "RCA")
"""Vessels whose scores are compared: the column SCORE_lad holds the part of the column SCORE in the LAD."""


@dataclass(frozen=True, eq=False, slots=True)
class Rater:
    """A reader or a model, and its scores."""

    name: str
    kind: Literal["reader", "model"]
    scores: Floats
    """(n,) Agatston scores, or ``STANDING_FOR`` the category; NaN of studies without a score, which are allowed only
    where asked for."""
    vessels: Mapping[str, Floats]
    """(n,) Agatston scores by vessel; NaN if a study has none."""
    second: Floats | None = None
    """(n,) Agatston scores of the second reading; NaN of studies that were read once. None if there are none."""
    labels: tuple[Path | None, ...] = ()
    """(n,) file of the label map; empty if no study has one."""
    grade: Grade = "scores"

    def at(self, rows: Mask) -> "Rater":
        """Return the rater with some of the studies (n,)."""
        return replace(
            self,
            scores=self.scores[rows],
            vessels={name: scores[rows] for name, scores in self.vessels.items()},
            second=None if self.second is None else self.second[rows],
            labels=tuple(file for file, kept in zip(self.labels, rows, strict=True) if kept) if self.labels else (),
        )

    @property
    def read_twice(self) -> Mask:
        """(n,): whether the study was read twice."""
        known = np.isfinite(self.scores)
        return np.zeros(len(known), bool) if self.second is None else known & np.isfinite(self.second)

    def readings(self) -> tuple["Rater", "Rater"]:
        """Return the first and the second reading of the studies that were read twice, each as a rater."""
        twice, second = self.read_twice, self.scores if self.second is None else self.second
        return (
            Rater(f"{self.name} (first)", self.kind, self.scores[twice], {}, grade=self.grade),
            Rater(f"{self.name} (second)", self.kind, second[twice], {}, grade=self.grade),
        )


def shared_grade(raters: Sequence[Rater]) -> Grade:
    """Return what is known of all of them."""
    order: tuple[Grade, ...] = ("scores", "five", "four")
    return max((rater.grade for rater in raters), key=order.index)


@dataclass(frozen=True, eq=False, slots=True)
class Raters:
    """All raters, with scores of the same studies."""

    all: tuple[Rater, ...]
    patients: tuple[str, ...] | None
    readings: Readings
    identifier: str | None
    refused: dict[str, int]
    """Number of read studies that a model refused to score, by model."""
    columns: tuple[ColumnRead, ...] = ()
    """The raters' columns with their ranges."""

    @property
    def n(self) -> int:
        """Number of studies."""
        return len(self.readings.table)

    def of(self, kind: Literal["reader", "model"]) -> list[Rater]:
        """Return the readers, or the models, in order."""
        return [rater for rater in self.all if rater.kind == kind]

    def pairs(self) -> Iterator[tuple[Rater, Rater]]:
        """Yield reference and other: each model against each reader, then each reader against those before it.

        Pairs without a study that both scored are left out.
        """
        readers = self.of("reader")
        models = [(reader, model) for reader in readers for model in self.of("model")]
        among = [(earlier, reader) for number, reader in enumerate(readers) for earlier in readers[:number]]
        yield from (pair for pair in (*models, *among) if self.scored_by(pair).any())

    def scored_by(self, raters: Sequence[Rater]) -> Mask:
        """Return (n,): whether each of the raters scored the study."""
        return np.asarray(np.isfinite([rater.scores for rater in raters]).all(axis=0), bool)

    def patients_of(self, rows: Mask) -> tuple[str, ...] | None:
        """Return the patients of some of the studies (n,); None if patients are not known."""
        if self.patients is None:
            return None
        return tuple(name for name, kept in zip(self.patients, rows, strict=True) if kept)
