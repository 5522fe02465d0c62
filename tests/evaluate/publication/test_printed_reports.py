"""The reports of the examples, printed: no page but the last is less than half full."""

from pathlib import Path

import pytest

from ctacal.evaluate.agree import AgreeConfig
from ctacal.jobs import agree, outcomes
from tests.printed_pages import filled

HALF = 0.5


@pytest.mark.slow
def test_the_report_on_outcomes(tmp_path: Path) -> None:
    """700 patients and few resamples show all kinds of tables and figures."""
    toml = outcomes.write_example(tmp_path / "cohort.csv")
    lines = (tmp_path / "cohort.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "cohort.csv").write_text("".join(lines[:701]), encoding="utf-8")
    text = toml.read_text(encoding="utf-8")
    assert text.count("resamples = ") == 1
    few = "imputations = 2\nvalidation_resamples = 10\nresamples = 50 # "
    toml.write_text(text.replace("resamples = ", few), encoding="utf-8")
    outcomes.write_outcomes(tmp_path / "cohort.csv", toml, tmp_path / "OUT")
    used = filled(tmp_path / "OUT" / "report.html", tmp_path)
    assert len(used) >= 15
    assert min(used[:-1]) >= HALF


@pytest.mark.slow
def test_the_report_on_agreement(tmp_path: Path) -> None:
    agree.write_example(tmp_path / "readings.csv")
    config = AgreeConfig(table=tmp_path / "readings.csv", readers=["reader_1", "reader_2"], models=["model_a"])
    agree.write_agreement(config, tmp_path / "OUT")
    used = filled(tmp_path / "OUT" / "report.html", tmp_path)
    assert len(used) >= 8
    assert min(used[:-1]) >= HALF
