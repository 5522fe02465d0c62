"""The whole path, by the command: every figure of the report against the statistic called directly."""

import csv
import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from ctacal.cli.app import app
from ctacal.evaluate.outcomes.patients import Patients
from ctacal.statistics.survival.competing import FineGray, fine_gray
from ctacal.statistics.survival.cox_model import CoxModel, compare, cox, predicted_risk
from ctacal.statistics.survival.discrimination import harrell_c
from ctacal.statistics.survival.nri import bootstrap_reclassification
from ctacal.statistics.survival.survival_curve import at_risk, kaplan_meier
from ctacal.statistics.survival.validation import validate
from tests.evaluate.outcomes.tables import FULL, config, patients, table
from tests.tools import need

TOML = """
title = "A cohort"
cohort = "Drawn by chance."
identifier = "id"
covariates = ["age", "sex"]
categorical = ["sex"]
sex = "sex"
age = "age"
[outcome]
time = "days"
competing = "death"
component = [{ name = "death", event = "died" }, { name = "infarction", event = "infarction" }]
[model]
name = "Model"
score = "model"
[reader]
name = "Reader"
score = "reader"
[perfusion]
column = "defect"
abnormal_from = 5
[analysis]
resamples = 60
imputations = 4
horizon_years = 2
seed = 7
"""


def frame() -> pd.DataFrame:
    made = table(500, seed=5)
    died = (made["mace"] == 1) & (np.arange(500) % 3 == 0)
    made["died"], made["infarction"] = died.astype(int), ((made["mace"] == 1) & ~died).astype(int)
    made.loc[::25, "age"] = np.nan
    return made


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("outcomes")
    frame().to_csv(folder / "cohort.csv", index=False)
    (folder / "cohort.toml").write_text(TOML, encoding="utf-8")
    done = CliRunner().invoke(app, ["outcomes", str(folder / "cohort.csv"), "-o", str(folder / "out")])
    assert done.exit_code == 0, done.output
    return folder / "out"


@pytest.fixture(scope="module")
def numbers(out: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((out / "numbers.json").read_text(encoding="utf-8"))
    return read


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Patients:
    parts = [{"name": "death", "event": "died"}, {"name": "infarction", "event": "infarction"}]
    fields = {**FULL, "outcome": {"time": "days", "component": parts, "competing": "death"}}
    return patients(tmp_path_factory.mktemp("cohort"), frame(), config(fields)).by_time()


def rows(out: Path, name: str) -> list[list[str]]:
    return list(csv.reader((out / "tables" / f"{name}.csv").read_text(encoding="utf-8-sig").splitlines()))


@pytest.mark.slow
def test_all_files_are_there(out: Path) -> None:
    report = (out / "report.html").read_text(encoding="utf-8")
    assert report.index("Drawn by chance.") < report.index("<table")
    for name in (
        "kaplan_meier_curves_model", "forest_plot_of_hazard_ratios", "hazard_ratio_along_the_score_reader",
        "time_dependent_auc", "calibration", "decision_curve", "cumulative_incidence_model", "forest_plot_of_subgroups",
    ):  # fmt: skip
        assert (out / "figures" / f"{name}.svg").stat().st_size > 5_000
        assert (out / "figures" / f"{name}.png").stat().st_size > 5_000
    for name in (
        "cohort_and_follow_up", "baseline", "rates", "hazard_ratios", "proportional_hazards", "imputed", "performance",
        "validation", "additions", "reclassification", "cumulative_incidence", "fine_gray", "subgroups",
    ):  # fmt: skip
        assert len(rows(out, name)) > 2
        assert (out / "tables" / f"{name}.tex").exists()
    assert "TRIPOD+AI" in (out / "checklist.csv").read_text(encoding="utf-8-sig")


@pytest.mark.slow
def test_r_and_pandas_read_every_table_alike(out: Path) -> None:
    """Each has one header of distinct names, rows of its length, ASCII or a byte order mark, and no sign of print."""
    files = sorted(out.rglob("*.csv"))
    assert len(files) > 20
    code = (
        "for (f in commandArgs(TRUE)) { t <- read.csv(f, check.names = FALSE); "
        "stopifnot(!any(duplicated(names(t)))); cat(dim(t), '\\n') }"
    )
    (out.parent / "read.R").write_text("options(warn = 2)\n" + code)
    typed = [need("Rscript"), str(out.parent / "read.R"), *map(str, files)]
    done = subprocess.run(typed, capture_output=True, text=True, check=True)
    for file, line in zip(files, done.stdout.splitlines(), strict=True):
        content = file.read_bytes()
        assert content.isascii() or content.startswith(b"\xef\xbb\xbf"), file.name
        assert not set(content.decode("utf-8-sig")) & set("\u2212\u2013\u00a0\u202f\u2009"), file.name
        table = pd.read_csv(file)
        assert line.split() == [str(size) for size in table.shape], file.name


@pytest.mark.slow
def test_seed_versions_and_options_are_reported(numbers: dict[str, Any]) -> None:
    assert numbers["seed"] == 7
    assert numbers["options"]["analysis"]["resamples"] == 60
    assert {"ctacal", "numba", "scipy"} <= set(numbers["versions"])


@pytest.mark.slow
def test_multivariable_model_is_that_of_complete_cases(numbers: dict[str, Any], cohort: Patients) -> None:
    known = cohort.take(cohort.complete)
    columns = [*known.model.by_category()[1].T, *known.adjusted(known.config.adjusted)[1].T]
    model = cox(known.data, np.column_stack(columns))
    assert isinstance(model, CoxModel)
    reported = numbers["numbers"]["cox"]["Model"]["multivariable"]
    np.testing.assert_allclose(reported["coefficient"], model.coefficient, rtol=1e-12)
    assert reported["n"] == 480
    assert reported["names"][:4] == ["Model 1-100", "Model 101-400", "Model >400", "Age"]


@pytest.mark.slow
def test_curves_and_patients_at_risk(numbers: dict[str, Any], cohort: Patients, out: Path) -> None:
    mine = cohort.data.take(cohort.model.category == 3)
    reported = numbers["numbers"]["kaplan_meier"]["Model"]
    assert reported["survival"][">400"]["2"]["estimate"] == kaplan_meier(mine).at(2.0).estimate
    assert reported["at_risk"][">400"]["2"] == at_risk(mine, [2.0])[0]
    picture = (out / "figures" / "kaplan_meier_curves_model.svg").read_text(encoding="utf-8")
    assert "Patients at risk" in picture or "<path" in picture


@pytest.mark.slow
def test_reclassification_and_c_are_of_the_models_with_and_without_calcium(
    numbers: dict[str, Any], cohort: Patients
) -> None:
    known = cohort.take(cohort.complete)
    _, base = known.adjusted(("defect",))
    model, reader = (np.column_stack([reading.by_category()[1], base]) for reading in known.readings)
    study = bootstrap_reclassification(
        known.data, base, model, reader, horizon=2.0, cutoffs=(0.1, 0.2), resamples=60, seed=7
    )
    reported = {
        (row["comparison"], row["kind"], row["estimator"]): row
        for row in numbers["numbers"]["reclassification"]["study"]
    }
    for result in study.results:
        same = reported[(result.comparison, result.kind, result.estimator)]
        assert same["total"]["estimate"] == pytest.approx(result.total.estimate, rel=1e-9)
        assert (same["total"]["low"], same["event"]["high"]) == pytest.approx(
            (result.total.low, result.event.high), rel=1e-9
        )
    small, large = cox(known.data, base), cox(known.data, model)
    assert isinstance(small, CoxModel)
    assert isinstance(large, CoxModel)
    added = numbers["numbers"]["performance"]["differences"]["Defect"]["with Model"]
    assert added["likelihood_ratio"]["statistic"] == pytest.approx(compare(small, large).statistic)
    measured = numbers["numbers"]["performance"]["measures"]["Defect"]["with Model"]["harrell_c"]["estimate"]
    assert measured == pytest.approx(harrell_c(known.data, predicted_risk(large, model, 2.0)).estimate)


@pytest.mark.slow
def test_fine_gray_of_infarction_with_death_competing(numbers: dict[str, Any], cohort: Patients) -> None:
    known = cohort.take(cohort.complete)
    x = np.column_stack([known.model.by_category()[1], known.adjusted(known.config.adjusted)[1]])
    model = fine_gray(known.data.time, known.cause, x)
    assert isinstance(model, FineGray)
    reported = numbers["numbers"]["competing"]
    np.testing.assert_allclose(reported["fine_gray"]["Model"]["coefficients"], model.coefficients, rtol=1e-10)
    assert reported["events"] + reported["competing"] == cohort.data.events


@pytest.mark.slow
def test_imputation_uses_everybody_and_moves_little(numbers: dict[str, Any]) -> None:
    """4 % of ages are missing by chance: pooled and complete-case estimates agree within one standard error."""
    pooled = numbers["numbers"]["missing"]["Model"]["pooled"]
    complete = numbers["numbers"]["cox"]["Model"]["multivariable"]
    apart = np.abs(np.array(pooled["estimate"]) - complete["coefficient"]) / complete["error"]
    assert (apart < 1).all()
    assert 0 < pooled["fraction_missing"][3] < 0.2
    assert pooled["imputations"] == 4


@pytest.mark.slow
def test_interaction_is_a_test_of_the_product(numbers: dict[str, Any], cohort: Patients) -> None:
    known = cohort.take(cohort.complete)
    step = known.model.category.astype(float)
    _, adjusted = known.adjusted(known.config.adjusted)
    men = adjusted[:, 1]
    small = cox(known.data, np.column_stack([step, adjusted]))
    large = cox(known.data, np.column_stack([step, adjusted, step * men]))
    assert isinstance(small, CoxModel)
    assert isinstance(large, CoxModel)
    reported = numbers["numbers"]["subgroups"]["Sex"]["interaction"]["Model"]
    assert reported["statistic"] == pytest.approx(compare(small, large).statistic, rel=1e-6)
    groups = numbers["numbers"]["subgroups"]["Sex"]["groups"]
    assert sum(group["n"] for group in groups.values()) == 480


@pytest.mark.slow
def test_baseline_counts_and_tests(numbers: dict[str, Any], cohort: Patients, out: Path) -> None:
    from scipy import stats

    age = cohort.covariate("age").values
    groups = [age[(cohort.model.category == place) & ~np.isnan(age)] for place in range(4)]
    reported = numbers["numbers"]["baseline"]["age"]["test"]
    assert reported["p"] == pytest.approx(stats.f_oneway(*groups).pvalue, rel=1e-9)
    head, first = rows(out, "baseline")[:2]
    assert head[:3] == ["row", "All", "CAC 0"]
    assert first[1] == "500"
    sex = next(row for row in rows(out, "baseline") if row[0] == "M")
    assert sex[1].startswith(str(int((frame()["sex"] == "M").sum())))


@pytest.mark.slow
def test_performance_is_corrected_for_optimism(numbers: dict[str, Any], cohort: Patients, out: Path) -> None:
    known = cohort.take(cohort.complete)
    _, base = known.adjusted(("defect",))
    model, reader = (np.column_stack([reading.by_category()[1], base]) for reading in known.readings)
    models = {"Defect": base, "with Model": model, "with Reader": reader}
    expected = validate(known.data, models, horizon=2.0, resamples=60, seed=7).models["with Model"][0]
    reported = numbers["numbers"]["validation"]["Defect"]["models"]["with Model"][0]
    assert reported["corrected"]["estimate"] == pytest.approx(expected.corrected.estimate, rel=1e-9)
    assert reported["optimism"] == pytest.approx(expected.optimism, rel=1e-9)
    gain = numbers["numbers"]["validation"]["Defect"]["differences"]["Model less Defect"]
    assert all(one["corrected"]["low"] < one["corrected"]["estimate"] < one["corrected"]["high"] for one in gain)
    assert [row[0].strip() for row in rows(out, "validation")[1:8]] == [
        "Defect", "alone", "with Model", "with Reader", "gain with Model", "gain with Reader", "Model less Reader",
    ]  # fmt: skip
