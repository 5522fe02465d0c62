"""What cannot be computed is a statement in the report: no crash, and no NaN (which a publication refuses)."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from ctacal.evaluate.outcomes.models import fit, ratio
from ctacal.evaluate.outcomes.report import outcomes_report
from ctacal.evaluate.publication import Publication, write_publication
from ctacal.evaluate.publication.numbers import plain
from ctacal.statistics.survival.firth import FirthModel, firth_cox
from ctacal.statistics.survival.survival_data import SurvivalData
from tests.evaluate.outcomes.tables import FULL, PLAIN, config, patients, table


def published(folder: Path, frame: pd.DataFrame, fields: dict[str, Any] | None = None) -> Publication:
    return outcomes_report(patients(folder, frame, config(fields)))


def words(publication: Publication) -> str:
    """All that is read: paragraphs, cells, footnotes."""
    found: list[str] = list(publication.lead)
    for section in publication.sections:
        for item in section.content:
            found += [item] if isinstance(item, str) else [item.title]
    for shown in publication.tables:
        found += [*shown.footnotes, *(str(cell) for row in shown.rows for cell in row)]
    return "\n".join(found)


def drawn(publication: Publication) -> Any:
    """Every figure is drawn (not saved: that takes seconds); the numbers, which hold no NaN."""
    for chart in publication.charts:
        chart.draw(Figure())
    return plain(publication.numbers)


@pytest.mark.slow
def test_no_events(tmp_path: Path) -> None:
    publication = published(tmp_path, table(60, mace=0))
    text = words(publication)
    assert "60 patients, 0 with MACE" in text
    assert "no events" in text
    assert drawn(publication)["rates"]["all"]["rate_per_year"]["estimate"] == 0
    write_publication(publication, tmp_path / "out")


@pytest.mark.slow
def test_three_patients(tmp_path: Path) -> None:
    publication = published(
        tmp_path, table(3, model=[0, 50, 500], mace=[0, 1, 1], age=[50, 60, 70], sex=["F", "M", "F"])
    )
    text = words(publication)
    assert "3 patients, 2 with MACE" in text
    assert "cannot be fitted" in text
    drawn(publication)


def test_everybody_in_one_category(tmp_path: Path) -> None:
    publication = published(tmp_path, table(80, model=0.0, reader=0.0))
    text = words(publication)
    assert "Model: all patients are in the category CAC 0: nothing to compare." in text
    assert "all of them in one calcium category" in text
    drawn(publication)


@pytest.mark.slow
def test_a_category_is_empty(tmp_path: Path) -> None:
    frame = table(300, seed=2)
    publication = published(tmp_path, frame[frame["model"] <= 400])
    hazard = next(shown for shown in publication.tables if shown.stem == "hazard_ratios")
    labels = [row[0] for row in hazard.rows[:4]]
    assert labels == ["Model", "  CAC 0", "  CAC 1-100", "  CAC 101-400"]


def test_all_scores_equal_and_all_covariates_equal(tmp_path: Path) -> None:
    publication = published(tmp_path, table(50, model=20.0, reader=20.0, age=60, sex="F", defect=2.0))
    text = words(publication)
    assert "nothing to compare" in text
    assert "Age: does not differ among patients at risk when events happen" in text
    drawn(publication)


def test_complete_separation(tmp_path: Path) -> None:
    """Nobody without calcium has the event: without a penalty the hazard ratio against them is infinite."""
    frame = table(200, seed=3)
    frame["mace"] = ((frame["model"] > 0) & (np.arange(200) % 2 == 0)).astype(int)
    publication = published(tmp_path, frame)
    hazard = next(shown for shown in publication.tables if shown.stem == "hazard_ratios")
    row = next(row for row in hazard.rows if row[0] == "  CAC 1-100")
    penalised = firth_cox(*arrays(tmp_path, frame))
    assert isinstance(penalised, FirthModel)
    ratio = penalised.hazard_ratio("x1")
    assert ratio.low is not None and ratio.high is not None
    assert str(row[3]).startswith(f"{ratio.estimate:.2f} ({ratio.low:.2f} to {ratio.high:,.2f})")
    assert any("Firth" in note and "separated" in note for note in hazard.footnotes)
    assert any("interval of the profile" in note and "92 to 97 %" in note for note in hazard.footnotes)
    assert "without Firth's penalty a hazard ratio of the model" in words(publication)
    drawn(publication)


def test_a_category_without_events(tmp_path: Path) -> None:
    """The case e50: seven events, none of them in one of the categories, and nine covariates."""
    frame = table(90, seed=4)
    within = (frame["model"] > 100) & (frame["model"] <= 400)
    frame["mace"] = (~within & (np.arange(90) % 8 == 0)).astype(int)
    publication = published(tmp_path, frame)
    hazard = next(shown for shown in publication.tables if shown.stem == "hazard_ratios")
    ratios = {str(row[0]).strip(): (row[3], row[5]) for row in hazard.rows if len(row) > 1}
    for category in ("CAC 1-100", "CAC 101-400", "CAC >400"):
        assert all(re.match(r"[\d.,]+ \([\d.,]+ to [\d.,]+\)", str(cell)) for cell in ratios[category])
    assert any("because" in note and "no events in Model 101-400" in note for note in hazard.footnotes)
    numbers = drawn(publication)["cox"]["Model"]["multivariable"]
    place = numbers["names"].index("Model 101-400")
    assert numbers["low"][place] < numbers["coefficient"][place] < numbers["high"][place]
    assert "Firth" in numbers["method"]
    assert re.search(r"events for 6 coefficients .*: \d\.\d events per coefficient", words(publication))


def test_the_footnote_says_which_interval_of_the_penalised_model_was_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a large cohort only flags with few events have a profile; the limit stands at the category without events."""
    monkeypatch.setattr("ctacal.statistics.survival.firth.LARGE", 100)
    monkeypatch.setattr("ctacal.statistics.survival.firth.FEW_EVENTS", 1)
    frame = table(400, seed=4)
    within = (frame["model"] > 100) & (frame["model"] <= 400)
    frame["mace"] = (~within & (np.arange(400) % 8 == 0)).astype(int)
    cohort = patients(tmp_path, frame, config(PLAIN)).by_time()
    model = fit(cohort, cohort.model.by_category())
    first, sparse = (ratio(model, name).reason for name in ("Model 1-100", "Model 101-400"))
    assert "Wald's interval" in first and "profile and" not in first and "92 to 97 %" not in first
    assert "interval of the profile and" in sparse and "92 to 97 %" in sparse


def arrays(folder: Path, frame: pd.DataFrame) -> tuple[SurvivalData, Any]:
    """Follow-up and flags of the model's categories."""
    own = patients(folder, frame, config(PLAIN)).by_time()
    return own.data, own.model.by_category()[1]


def test_a_covariate_missing_in_everybody_and_another_in_most(tmp_path: Path) -> None:
    gaps = np.where(np.arange(120) % 3 == 0, 60.0, np.nan)
    publication = published(tmp_path, table(120, defect=np.nan, age=gaps))
    text = words(publication)
    assert "No patient has all covariates" in text
    assert "Nothing to impute from: Defect is missing in every patient" in text
    drawn(publication)


def test_without_reader_covariates_scores_or_competing_event(tmp_path: Path) -> None:
    frame = table(120, kind=["0", "1-100", "101-400", ">400"] * 30)
    publication = published(tmp_path, frame, {**PLAIN, "model": {"name": "Model", "category": "kind"}})
    text = words(publication)
    for statement in (
        "No covariates are named", "there is no spline", "No competing event is named", "No subgroups are named",
    ):  # fmt: skip
        assert statement in text
    drawn(publication)


def test_horizon_after_the_end_of_follow_up(tmp_path: Path) -> None:
    publication = published(
        tmp_path, table(150, seed=4), {**FULL, "analysis": {"resamples": 50, "horizon_years": 50.0}}
    )
    assert "follow-up ends" in words(publication)
    drawn(publication)


def test_the_check_sees_a_nan() -> None:
    from ctacal.evaluate.publication import Table

    with pytest.raises(ValueError, match="nan"):
        Table("T", ("", "x"), (("row", float("nan")),))


def test_cross_validation_where_it_is_chosen(tmp_path: Path) -> None:
    analysis = {"resamples": 50, "imputations": 3, "horizon_years": 2.0, "validation": "cross-validation"}
    publication = published(tmp_path, table(150, seed=8), {**FULL, "analysis": analysis})
    assert "Corrected by cross-validation" in words(publication)
    study = drawn(publication)["validation"]["Defect"]
    assert "10-fold" in study["method"]
    figures = [
        one["corrected"] for own in (study["models"], study["differences"]) for few in own.values() for one in few
    ]
    assert all(one["estimate"] is not None and one["low"] is None for one in figures)
    assert all("Bates 2024" in one["reason"] for one in figures)
