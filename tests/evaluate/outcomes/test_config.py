"""Every mistake in a TOML ends in one line that names the field."""

from pathlib import Path
from typing import Any

import pytest

from ctacal.errors import UsageError
from ctacal.evaluate.outcomes.config import read_config
from tests.evaluate.outcomes.tables import config

TEXT = """
covariates = ["age"]
[outcome]
time = "days"
event = "mace"
[model]
name = "Model"
score = "model"
"""


def read(folder: Path, text: str) -> Any:
    file = folder / "outcomes.toml"
    file.write_text(text, encoding="utf-8")
    return read_config(file)


def test_a_small_file_has_documented_defaults(tmp_path: Path) -> None:
    chosen = read(tmp_path, TEXT)
    assert (chosen.outcome.name, chosen.outcome.unit, chosen.outcome.early) == ("MACE", "days", "count")
    assert (chosen.analysis.horizon_years, chosen.analysis.resamples, chosen.analysis.missing) == (3.0, 1000, "impute")
    assert chosen.columns() == {
        "days": "outcome.time", "mace": "outcome.event", "model": "model.score", "age": "covariates"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("added", "message"),
    [
        ('colour = "red"', "colour: unknown; known are outcome, model, title"),
        ("[analysis]\nresample = 5", "analysis.resample: unknown; known are horizon_years"),
        ("[analysis]\nresamples = 5", "analysis.resamples: expected 50 or more"),
        ('[analysis]\nhorizon_years = "three"', "analysis.horizon_years: expected a number, got 'three'"),
        ("[analysis]\nnri_cutoffs = [0.2, 0.1]", "analysis.nri_cutoffs: expected increasing numbers"),
        ('[analysis]\nnri_reference = ["weight"]', "analysis.nri_reference: weight: not among the covariates"),
        ('[reader]\nname = "Expert"', "reader.score: name the column of Expert: score or category"),
        ("not toml", "outcomes.toml"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, added: str, message: str) -> None:
    text = added + TEXT if not added.startswith("[") else TEXT + added
    with pytest.raises(UsageError) as caught:
        read(tmp_path, text)
    assert message in str(caught.value)
    assert str(tmp_path / "outcomes.toml") in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("outcome", "message"),
    [
        ({"event": "mace"}, "outcome.time: give either time, or start and end (dates)"),
        ({"time": "days"}, "outcome.event: give either event or one or more component"),
        ({"time": "days", "event": "mace", "component": [{"name": "death", "event": "death"}]}, "outcome.event"),
        ({"time": "days", "event": "mace", "unit": "hours"}, "outcome.unit: expected"),
        ({"time": "days", "event": "mace", "early": "ignore"}, "outcome.early: also name revascularisation"),
        (
            {"time": "days", "component": [{"name": "death", "event": "death"}], "competing": "stroke"},
            "outcome.competing: is 'stroke', expected one of: death",
        ),
        (
            {
                "time": "days",
                "component": [{"name": "a", "event": "a"}, {"name": "b", "event": "b", "in_outcome": False}],
            },
            "outcome.component: b is neither in_outcome nor competing",
        ),
    ],
)
def test_impossible_outcomes_are_named(outcome: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        config(outcome=outcome)
    assert message in str(caught.value)


def test_reference_of_reclassification_is_perfusion_by_default() -> None:
    assert config().reference == ("defect",)
    assert config(analysis={"nri_reference": ["age"]}).reference == ("age",)
    assert config(perfusion={"column": "age", "abnormal_from": 1.0}).adjusted == ("age", "sex")
