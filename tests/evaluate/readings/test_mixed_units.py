"""Columns of two units: told where the values show it, and never said of ordinary columns."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ctacal.arrays import Floats
from ctacal.errors import UsageError
from ctacal.evaluate.agree import AgreeConfig, read_raters
from ctacal.evaluate.agree.report import agreement_report
from ctacal.evaluate.outcomes.read import read_patients
from ctacal.evaluate.readings.mixed_units import clusters
from tests.evaluate.outcomes.tables import PLAIN, config, table

N = 240
Draw = Callable[[np.random.Generator, int], Floats]


def calcium(rng: np.random.Generator, n: int) -> Floats:
    return np.where(rng.random(n) < 0.4, 0, np.exp(rng.uniform(0, 8, n))).round(1)


def follow_up(rng: np.random.Generator, n: int) -> Floats:
    return np.ceil(np.minimum(rng.exponential(4000, n), rng.uniform(300, 1800, n)))


def weight(rng: np.random.Generator, n: int) -> Floats:
    return rng.normal(82, 14, n).clip(45).round(1)


ORDINARY: dict[str, Draw] = {
    "calcium": calcium,
    "calcium, log-normal": lambda rng, n: np.where(rng.random(n) < 0.4, 0, np.exp(rng.normal(4.3, 1.8, n))).round(),
    "skewed risk": lambda rng, n: rng.beta(2, 18, n).round(4),
    "risk from 0.001 to 0.9": lambda rng, n: 1 / (1 + np.exp(-rng.normal(-2.5, 1.5, n))),
    "percent from 0.3 to 60": lambda rng, n: (100 * rng.beta(1, 9, n)).clip(0.3, 60).round(1),
    "perfusion": lambda rng, n: np.where(rng.random(n) < 0.3, 0, np.exp(rng.normal(1, 1, n))).round(1),
    "follow-up": follow_up,
    "weight": weight,
    "height of two sexes": lambda rng, n: np.where(rng.random(n) < 0.5, rng.normal(178, 7, n), rng.normal(164, 6, n)),
    "natriuretic peptide": lambda rng, n: np.exp(rng.normal(5.3, 1.4, n)).round(),
    "troponin with a floor": lambda rng, n: np.maximum(5, np.exp(rng.normal(1.8, 1.2, n))).round(),
    "counts": lambda rng, n: 1 + rng.poisson(3, n).astype(np.float64),
    "rare counts": lambda rng, n: rng.geometric(0.35, n).astype(np.float64),
    "whole years": lambda rng, n: rng.integers(1, 16, n).astype(np.float64),
    "any from 1 to 100": lambda rng, n: rng.uniform(1, 100, n),
}


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_columns_are_not_asked_about(name: str) -> None:
    found = [clusters(ORDINARY[name](np.random.default_rng(seed), n)) for seed in range(20) for n in (120, 2271)]
    assert sum(own is not None for own in found) == 0


@pytest.mark.parametrize(
    ("name", "factor"),
    [("skewed risk", 100), ("follow-up", 1 / 365.25), ("follow-up", 12 / 365.25), ("weight", 0.01),
     ("height of two sexes", 1 / 2.54)],
)  # fmt: skip
def test_a_second_unit_is_found(name: str, factor: float) -> None:
    for seed in range(10):
        rng = np.random.default_rng(seed)
        values = ORDINARY[name](rng, N)
        other = rng.random(N) < 0.3
        found = clusters(np.where(other, factor * values, values))
        assert found is not None
        small = found.upper if factor > 1 else found.lower
        assert abs(len(small) - int((other & (values > 0)).sum())) < 0.1 * N


def doubts(path: Path, frame: pd.DataFrame, **fields: Any) -> str:
    frame.to_csv(path, index=False)
    return " ".join(read_patients(path, config({"identifier": "id", **PLAIN, **fields})).doubts)


def test_units_of_measurements_and_follow_up_are_asked_about(tmp_path: Path) -> None:
    frame, third, path = table(N, seed=3), np.arange(N) % 3 == 0, tmp_path / "t.csv"
    body = weight(np.random.default_rng(1), N) * 0.9
    assert doubts(path, frame.assign(weight=body), covariates=["weight"]) == ""
    asked = doubts(path, frame.assign(height=(body + 90) * np.where(third, 0.01, 1)), covariates=["height"])
    assert re.search(r"Column height holds .* in 160 rows \(67 %\), and .* in 80, about \d+ times less: two", asked)
    months = frame.assign(days=np.where(third, (frame["days"] / 30.4).round().clip(1), frame["days"]))
    assert "Column days, of patients without an event, holds" in doubts(path, months)
    pounds = frame.assign(weight=np.where(third, 2.2046, 1) * body, site=np.where(third, "Boston", "Bern"))
    asked = doubts(path, pounds, covariates=["weight"], centre={"column": "site"})
    assert "Column weight has a median of" in asked and "in Boston and of" in asked


def test_fractions_among_percentages_are_told(tmp_path: Path) -> None:
    frame, third, path = table(N, seed=3), np.arange(N) % 3 == 0, tmp_path / "t.csv"
    fraction = 1 - 0.9 ** np.exp(np.random.default_rng(2).normal(0, 1.2, N))
    mixed = frame.assign(risk=np.where(third, fraction, 100 * fraction))
    with pytest.raises(UsageError, match=r"or percent = true\. \d+ of 240 values are above 0 and at most 1: fractions"):
        doubts(path, mixed, risk=[{"name": "R", "column": "risk"}])
    whole = [{"name": "R", "column": "risk", "percent": True}]
    assert "times as many as their risks say: are these fractions of 1 among" in doubts(path, mixed, risk=whole)
    assert "The given risk" not in doubts(path, frame.assign(risk=100 * fraction), risk=whole)
    notes = read_patients(path, config({"identifier": "id", **PLAIN, "risk": whole})).notes
    below = int((100 * fraction < 1).sum())
    assert below > 0
    assert f"Risk R: {below} of 240 values lie between 0 and 1 and were read as less than 1 %." in notes


def test_a_model_in_another_scale_in_some_rows_is_asked_about(tmp_path: Path) -> None:
    frame, path = table(N, seed=3), tmp_path / "t.csv"
    tenfold = frame.assign(model=np.where(np.arange(N) % 2, 10, 1) * frame["model"])
    reader = {"name": "Reader", "score": "reader"}
    assert "times the other score in" not in doubts(path, frame, reader=reader)
    assert re.search(r"Model is [\d.]+ times the other score in \d+ of", doubts(path, tenfold, reader=reader))
    tenfold[["id", "model", "reader"]].to_csv(path, index=False)
    chosen = AgreeConfig(table=path)
    assert "model against reader: model is" in " ".join(agreement_report(read_raters(chosen), chosen).lead)
