"""What imputation is carried into: performance, calibration, decision curve, reclassification."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from ctacal.evaluate.outcomes import missing
from ctacal.evaluate.outcomes.competing import both_models
from ctacal.evaluate.outcomes.missing import imputations_of, missing_part
from ctacal.evaluate.outcomes.part import Part
from ctacal.evaluate.outcomes.patients import Patients
from ctacal.evaluate.publication import Chart, Table
from ctacal.evaluate.publication.numbers import plain
from ctacal.progress import no_progress
from ctacal.statistics.survival.competing import FineGray
from ctacal.statistics.survival.pooling import pool_estimates
from tests.evaluate.outcomes.tables import FULL, config, patients, table


def cohort(folder: Path, analysis: dict[str, Any] | None = None, share: int = 6, n: int = 500) -> Patients:
    made = table(n, seed=8)
    made.loc[::share, "age"] = np.nan
    made.loc[1::share, "defect"] = np.nan
    fields = {**FULL, "analysis": FULL["analysis"] if analysis is None else analysis}
    return patients(folder, made, config(fields)).by_time()


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory) -> Part:
    return missing_part(cohort(tmp_path_factory.mktemp("imputed")))


def tables(part: Part) -> dict[str, Table]:
    return {item.stem: item for item in part.section.content if isinstance(item, Table)}


def test_every_figure_is_there(part: Part) -> None:
    assert set(tables(part)) == {
        "imputed", "imputed_performance", "imputed_additions", "imputed_reclassification_test",
        "imputed_reclassification", "imputed_subgroups", "imputed_validation",
    }  # fmt: skip
    charts = [item for item in part.section.content if isinstance(item, Chart)]
    assert [item.stem for item in charts] == ["imputed_calibration", "imputed_decision_curve"]
    for item in charts:
        item.draw(Figure())
    plain(part.numbers)


def test_figures_of_all_patients_are_near_those_of_complete_cases_and_intervals_hold_more(part: Part) -> None:
    found = part.numbers["performance"]
    c = found["measures"]["Defect"]["with Model"]["harrell_c"]
    assert c.n == 500 and 0.6 < c.estimate < 0.9
    apart = found["differences"]["Defect"]["with Model"]
    for alone in (c, apart["auc"], *apart["net_benefit"].values()):
        assert (
            alone.estimate is not None and alone.low is None and "models are fitted to these patients" in alone.reason
        )
    assert "pooled over 3 imputations" in c.method
    corrected = found["validation"]["Defect"]["models"]["with Model"][0]
    assert corrected.corrected.low < corrected.corrected.estimate < corrected.corrected.high
    assert 0 < abs(corrected.optimism) < 0.02
    assert "51 resamples shared by 3 imputations" in corrected.corrected.method
    assert corrected.apparent.estimate == pytest.approx(c.estimate, abs=1e-9) and corrected.apparent.low is None
    curve = found["calibration"]["with Model"]
    assert (curve.low < curve.observed).all() and (curve.observed < curve.high).all()
    study = {(one.comparison, one.kind) for one in found["reclassification"]["study"]}
    assert ("model - reader", "IDI") in study and ("reader", "categorical") in study
    assert found["differences"]["Defect"]["with Model"]["test"].p < 0.001


def test_the_number_of_imputations_follows_what_is_missing(tmp_path: Path) -> None:
    told = str(missing_part(cohort(tmp_path)).section.content[0])
    assert "33.6 % of the patients lack a covariate, for which 34 imputations are advised" in told
    assert "the configuration asks for 3" in told
    assert imputations_of(cohort(tmp_path, {})) == 34
    assert imputations_of(cohort(tmp_path, {}, share=100)) == 10


def test_large_cohorts_take_performance_from_fewer_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(missing, "MOST_KEPT", 100)
    monkeypatch.setattr(missing, "FEWEST_KEPT", 2)
    part = missing_part(cohort(tmp_path))
    assert part.numbers["performance"]["imputations"] == 2
    assert any("Performance is of 2 of the imputations" in str(item) for item in part.section.content)


def test_what_cannot_be_computed_is_said(tmp_path: Path) -> None:
    made = table(300, seed=3)
    made["mace"] = ((made["model"] > 0) & (np.arange(300) % 2 == 0)).astype(int)
    made.loc[::9, "age"] = np.nan
    part = missing_part(patients(tmp_path, made).by_time())
    assert any("Imputed performance: " in str(item) and "Firth" in str(item) for item in part.section.content)
    plain(part.numbers)


def everything(folder: Path) -> Patients:
    """Two endpoints, a competing death, three centres; ages and defects are missing."""
    rng = np.random.default_rng(5)
    made = table(600, seed=8, site=[f"Site {k % 3}" for k in range(600)], death=rng.integers(0, 2, 600))
    made["death"] *= made["mace"]
    made["infarction"] = made["mace"] - made["death"]
    made.loc[::6, "age"] = np.nan
    fields = {
        **FULL,
        "centre": {"column": "site"},
        "outcome": {
            "time": "days", "name": "MACE", "competing": "Death",
            "component": [{"name": "Death", "event": "death"}, {"name": "Infarction", "event": "infarction"}],
        },
        "endpoint": [{"name": "Infarction alone", "components": ["Infarction"]}],
        "adjustment": [{"name": "Age", "covariates": ["age"]}],
    }  # fmt: skip
    return patients(folder, made, config(fields)).by_time()


def test_hazard_ratios_of_other_sections_are_pooled(tmp_path: Path) -> None:
    cohort = everything(tmp_path)
    part = missing_part(cohort)
    shown = tables(part)
    assert {"imputed_endpoints", "imputed_subgroups", "imputed_competing", "imputed_centres"} <= set(shown)
    found = part.numbers["models"]
    sets = missing._imputed(cohort, no_progress)[1]
    for reading, heading in zip(("Model", "Reader"), found["competing"], strict=True):
        ratios = [both_models(own, next(one for one in own.readings if one.name == reading))[0] for own in sets]
        expected = pool_estimates(
            [one.hazard_ratio(2) for one in ratios if isinstance(one, FineGray)], scale="log",
            complete_degrees_of_freedom=cohort.data.events - 1,
        )  # fmt: skip
        assert heading == reading
        assert str(found["competing"][reading]["CAC >400"]["Fine-Gray"]) == str(expected)
    alone = found["endpoints"][f"Infarction alone ({cohort.endpoints[0].data.events} of 600), age"]
    assert set(alone) == {"CAC 1-100", "CAC 101-400", "CAC >400", "Per category"}
    assert set(found["centres"]["Model, per category at each centre"]) == {"Site 0", "Site 1", "Site 2"}
    pooled = found["centres"]["Model"]["CAC >400"]
    assert set(pooled) == {"Together", "Clustered", "Stratified"}
    assert all(one.low < one.estimate < one.high and "pooled over 3" in one.method for one in pooled.values())
    women = found["subgroups"]["Sex, per category"]
    assert len(women) == 2
    plain(part.numbers)
