"""The card shows the results: made-up rows with known figures."""

import csv
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from ctacal.categories import CATEGORY_KEYS
from ctacal.cli import accuracy
from ctacal.cli.app import app
from ctacal.errors import UsageError
from ctacal.evaluate.accuracy import card_text
from ctacal.evaluate.accuracy.contenders import Contender
from ctacal.evaluate.accuracy.figures import FIGURES, difference, kind_found, scored
from ctacal.evaluate.accuracy.model_card import write_card
from ctacal.evaluate.accuracy.real_scans import RealScan, read_real_scans
from ctacal.evaluate.accuracy.reliability_diagram import draw_reliability, reliability
from ctacal.evaluate.accuracy.results import COLUMNS, NO_DEPOSIT, NUMBERS, VESSELS, Row, read_results, write_results
from ctacal.prediction import ModelInfo
from ctacal.statistics.agreement import bootstrap_kappa, risk_categories
from ctacal.statistics.estimate import proportion
from tests import places

RECIPES = places.RECIPES


def model_json(kind: str) -> dict[str, Any]:
    stage = {
        "recipe": {"name": f"recipe-{kind}", "network": {"kind": kind}}, "parameters": 1234567, "step": 6000,
        "data_sha256": "d" * 64, "trained_with": "0.1",
    }  # fmt: skip
    heart = {**stage, "recipe": {"name": "heart", "network": {"kind": "heart"}}}
    return {"stages": {"heart": heart, "calcium": stage}, "facts": {"training_data": "9,000 simulated crops"}}


OURS = Contender("ours", ModelInfo("ours", "1", "a" * 64), model_json("calcium"))
PUBLISHED = Contender("published network", ModelInfo("published", "1", "b" * 64), model_json("published"))
BASELINE = Contender("threshold baseline", ModelInfo("threshold", "1", "c" * 64), None)
ALL = (OURS, PUBLISHED, BASELINE)


def line(contender: Contender, number: int, true: float, found: float | None, **more: Any) -> Row:
    """Return a row of study ``number``; four studies a patient, two centres; calcium in the LAD; refused if None."""
    row: Row = dict.fromkeys(COLUMNS, "") | dict.fromkeys(NUMBERS)
    row |= {
        "cohort": "test", "cohort_kind": "simulated", "study": f"s{number:03d}", "study_digest": "x",
        "patient": str(number // 4), "centre": ("quick", "slow")[number % 2], "predictor": contender.info.name,
        "model_digest": contender.info.digest, "ctacal": "0.1.0", "status": "refused" if found is None else "scored",
        "reason": "HEART_NOT_FOUND: x" if found is None else "", "true_agatston": true, "gated_agatston": 1.3 * true,
        **{f"{prefix}_{vessel}": 0.0 for prefix in ("true", "gated") for vessel in VESSELS},
        "true_lad": true, "gated_lad": 1.3 * true,
    }  # fmt: skip
    if found is not None:
        named = contender is OURS
        row |= {
            "agatston": found,
            **{f"agatston_{vessel}": 0.0 for vessel in VESSELS},
            "agatston_lad": found if named else 0.0,
            "agatston_coronary": 0.0 if named else found,
        }
    return {**row, **more}


def made_up() -> list[Row]:
    """120 studies. Ours is nearly right; the published network misses little calcium; the baseline is poor, and
    refuses every tenth. Every third shows a wire, which the baseline counts half of the time."""
    rng, rows = np.random.default_rng(5), []
    for number in range(120):
        true = float([0, 0, 30 * rng.uniform(0.1, 3), 250 * rng.uniform(0.5, 1.5), 900][number % 5])
        wire = {"kinds_present": "lead sternal_wire", "kinds_visible": "sternal_wire"} if number % 3 == 0 else {}
        counted = {"kinds_counted": f"sternal_wire:{number + 1}.0 {NO_DEPOSIT}:1.5"} if number % 6 == 0 else {}
        guess = np.full(4, 0.04)
        guess[risk_categories([true])[0]] = 0.88
        probabilities = dict(zip(CATEGORY_KEYS, guess.tolist(), strict=True))
        rows += [
            line(OURS, number, true, true * 1.02, **wire, **probabilities),
            line(PUBLISHED, number, true, 0.0 if true < 60 else true * 0.9, **wire),
            line(BASELINE, number, true, None if number % 10 == 0 else true + 80 * (number % 7), **{**wire, **counted}),
        ]
    return rows


ROWS = made_up()


def of(contender: Contender, rows: list[Row] = ROWS) -> list[Row]:
    return [row for row in rows if row["model_digest"] == contender.info.digest]


def card_of(tmp_path: Path, rows: list[Row] = ROWS, scans: tuple[RealScan, ...] = ()) -> str:
    write_card(tmp_path / "card.md", ALL, rows, scans)
    return (tmp_path / "card.md").read_text(encoding="utf-8")


def cells(card: str, start: str, nth: int = 0) -> list[str]:
    """Return the cells of the nth table line that begins with ``start``."""
    return [line for line in card.splitlines() if line.startswith(f"| {start} |")][nth].strip("| ").split(" | ")


def test_results_come_back_as_they_were(tmp_path: Path) -> None:
    write_results(tmp_path / "results.csv", ROWS)
    assert read_results(tmp_path / "results.csv") == ROWS
    assert read_results(tmp_path / "none.csv") == []


@pytest.mark.slow
def test_kappa_is_that_of_the_lines(tmp_path: Path) -> None:
    card = card_of(tmp_path)
    found = cells(card, "kappa, linear weights")
    for cell, contender in zip(found[2:5], ALL, strict=True):
        rows = [row for row in of(contender) if row["status"] == "scored"]
        true, model = (risk_categories([row[name] for row in rows]) for name in ("true_agatston", "agatston"))
        kappa = bootstrap_kappa(true, model, patients=[row["patient"] for row in rows])
        assert cell.startswith(f"{kappa.estimate:.3f} ({kappa.low:.3f} to {kappa.high:.3f})")
    assert "30 patients" in kappa.method
    assert cells(card, "studies scored")[2:5] == ["120", "120", "108"]
    assert cells(card, "refused or failed")[2:5] == ["0", "0", "12"]
    assert "120 studies of 30 patients" in card
    exact, of_all = cells(card, "exact agreement"), cells(card, "exact agreement, refused or failed counted as wrong")
    assert exact[2].split(" ")[0] == of_all[2].split(" ")[0]
    right = int(scored(of(BASELINE), "true").table.trace())
    assert exact[4].startswith(f"{right / 108:.3f}")
    assert of_all[4].startswith(f"{right / 120:.3f}")
    assert "**Simulated**" in card


@pytest.mark.slow
def test_a_gated_equivalent_is_what_the_gated_goal_judges(tmp_path: Path) -> None:
    """The CTAC's own score is far off here, the equivalent right: its column comes first and meets the goal."""
    rows = [{**row, "gated_agatston": 5 * row["true_agatston"]} for row in ROWS]
    rows = [
        {**row, "gated_equivalent_agatston": row["gated_agatston"]}
        if row["model_digest"] == OURS.info.digest else row
        for row in rows
    ]  # fmt: skip
    plain, judged = (cells(card_of(tmp_path, some), "kappa, linear weights", 1) for some in (ROWS, rows))
    assert len(judged) == len(plain) + 1
    assert judged[2].startswith("1.000") and judged[2].endswith(" met")
    assert float(judged[3].split(" ")[0]) < 0.9 and "met" not in judged[3]


@pytest.mark.slow
def test_goals_are_held_against_the_first_model(tmp_path: Path) -> None:
    """Ours is 2 % off: every goal on the same scan is met; rows of the published network are not judged."""
    card = card_of(tmp_path)
    assert cells(card, "kappa, linear weights")[1] == "≥ 0.93"
    assert cells(card, "kappa, linear weights")[2].endswith(" met")
    assert "met" not in cells(card, "kappa, linear weights")[3]
    worse = [row if row["model_digest"] != OURS.info.digest else {**row, "agatston": 0.0} for row in ROWS]
    missed = card_of(tmp_path, worse)
    assert cells(missed, "CAC > 0: sensitivity")[2].endswith("**missed**")
    assert cells(missed, "CAC > 0: specificity")[2].endswith(" met")
    assert "- **missed** in `test`: CAC > 0: sensitivity, against the true label map on the same scan: 0.000" in missed
    refused = card_of(tmp_path, [{**row, "status": "refused"} for row in ROWS])
    assert "0 of 12 goals met" in refused, "a model that refuses everything meets nothing"
    assert "120 of 120 studies were refused" in refused


def test_summary_counts_the_goals(tmp_path: Path) -> None:
    """Met: 7 goals on the same scan and the LAD's, kappa with the gated score, ahead of two others, one kind (wire).

    LM, LCX and RCA are without calcium."""
    (counts,) = re.findall(r"(\d+) of (\d+) goals met", card_of(tmp_path))
    assert counts == ("12", "15")


def test_a_network_without_vessels_is_not_judged_by_them(tmp_path: Path) -> None:
    found = cells(card_of(tmp_path), "LAD, ICC(2,1)")
    assert found[2].startswith("1.000")
    assert found[3:5] == ["– (names no vessels)"] * 2


@pytest.mark.slow
def test_gated_table_has_its_ceiling(tmp_path: Path) -> None:
    card = card_of(tmp_path)
    gated = card.split("### Against the gated reference score")[1].split("\n### ")[0]
    assert "| threshold baseline | true label map |" in gated
    assert cells(gated, "kappa, linear weights")[1] == "≥ 0.80"
    ceiling = scored(of(OURS), "gated", "true")
    assert cells(gated, "kappa, linear weights")[5].startswith(f"{FIGURES[0].of(ceiling).estimate:.3f}")
    without = [{**row, "gated_agatston": None} for row in ROWS]
    assert "Against the gated" not in card_of(tmp_path, without)


def test_four_by_four_counts_every_study(tmp_path: Path) -> None:
    card = card_of(tmp_path)
    table = scored(of(PUBLISHED), "true").table
    section = card.split("Categories, true label map in rows, published network in columns:")[1]
    for name, row in zip(("0", "1-100", "101-400", ">400"), table, strict=True):
        assert cells(section, name)[1:5] == [str(count) for count in row]
    assert cells(section, "all")[-1] == "120"


@pytest.mark.slow
def test_paired_difference_is_on_common_studies(tmp_path: Path) -> None:
    card = card_of(tmp_path)
    assert difference(of(OURS), of(BASELINE), "true").n == 108
    assert re.search(r"ours minus published network: 0\.\d+ .* on 120 studies; ours is better", card)
    same = [{**row, "agatston": row["true_agatston"] * 1.02} if row["status"] == "scored" else row for row in ROWS]
    assert "undecided: the interval contains 0" in card_of(tmp_path, same)
    swapped = difference(of(PUBLISHED), of(OURS), "true")
    assert swapped.high is not None
    assert swapped.high < 0


def test_centres_stand_apart(tmp_path: Path) -> None:
    card = card_of(tmp_path).split("### By centre")[1]
    assert cells(card, "quick")[1] == cells(card, "slow")[1] == "60"
    quick = scored([row for row in of(PUBLISHED) if row["centre"] == "quick"], "true")
    assert cells(card, "quick")[3].startswith(f"{FIGURES[0].of(quick).estimate:.3f}")


def test_those_without_known_disease_stand_apart(tmp_path: Path) -> None:
    """Every third patient has a stent, and only these are wrong: the figures without them are perfect."""
    rows = [
        {**row, "kinds_present": "stent lead", "agatston": 0.0} if int(row["patient"]) % 3 == 0 else row for row in ROWS
    ]
    card = card_of(tmp_path, rows)
    left = [row for row in rows if row["model_digest"] == OURS.info.digest and int(row["patient"]) % 3]
    assert len(left) == 80
    kappa = FIGURES[0].of(scored(left, "true")).estimate
    assert cells(card, "kappa, linear weights, without stents and bypass clips")[1:3] == [
        "≥ 0.96", f"{kappa:.3f} ({kappa:.3f} to {kappa:.3f}) met"
    ]  # fmt: skip
    assert cells(card, "exact agreement, without stents and bypass clips")[2].startswith("1.000 ")
    assert cells(card, "exact agreement")[2].endswith("**missed**")


@pytest.mark.slow
def test_cohorts_stand_apart_with_their_own_goals(tmp_path: Path) -> None:
    """In the hard cohort kappa alone has a goal, which ours misses by finding nothing there."""
    hard = [{**row, "cohort": "old_patients", "cohort_kind": "hard"} for row in ROWS]
    hard = [{**row, "agatston": 0.0} if row["model_digest"] == OURS.info.digest else row for row in hard]
    card = card_of(tmp_path, hard + ROWS)
    test, apart = card.split("## Cohort `old_patients` (hard)")
    assert "## Cohort `test`" in test
    assert cells(apart, "kappa, linear weights")[1] == "≥ 0.85"
    assert cells(apart, "kappa, linear weights")[2].endswith("**missed**")
    assert cells(apart, "exact agreement")[1] == ""
    assert cells(apart, "sternal wire")[1] == ""
    assert "12 of 16 goals met" in card
    assert "- **missed** in `old_patients` (hard): kappa, linear weights, against the true label map" in card
    assert "ours is worse" in apart


def test_confounders_by_hand(tmp_path: Path) -> None:
    """40 studies show the wire; the baseline refused 4 of them and counts it in 16 of 36 (numbers 6, 12, ..)."""
    found = kind_found(of(BASELINE), "sternal_wire")
    assert (found.share, found.wrong) == (proportion(16, 36), 16)
    assert found.median_agatston == np.median([n + 1 for n in range(0, 120, 6) if n % 10])
    card = card_of(tmp_path).split("### Other calcium and metal")[1]
    assert cells(card, "sternal wire")[1:3] == ["< 3%", "0/40 = 0.0% (0.0% to 8.8%) met"]
    assert cells(card, "sternal wire")[4] == f"16/36 = 44.4% (29.5% to 60.4%) [{found.median_agatston:.1f}]"
    assert "| lead |" not in card, "present, but below the threshold everywhere"
    assert (
        cells(card, "neither calcium nor metal: noise, bone, motion, rims of plaques")[4]
        == "16/108 = 14.8% (9.3% to 22.7%) [1.5]"
    )


@pytest.mark.slow
def test_reliability_by_hand(tmp_path: Path) -> None:
    """The probability is 0.88 and the answer right each time: error 0.12 where true, 0.04 elsewhere."""
    found = reliability(of(OURS))
    assert found is not None
    assert found.brier == pytest.approx(0.12**2 + 3 * 0.04**2)
    assert found.calibration_error == pytest.approx((0.12 + 3 * 0.04) / 4)
    assert sum(point.observed.n for point in found.bins) == 4 * 120
    assert reliability(of(PUBLISHED)) is None
    draw_reliability(found, tmp_path / "a.svg")
    draw_reliability(found, tmp_path / "b.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert "](images/reliability.svg)" in card_of(tmp_path)
    assert (tmp_path / "images" / "reliability.svg").exists()


def test_card_without_probabilities_says_so(tmp_path: Path) -> None:
    assert "gives no probabilities" in card_of(tmp_path, [{**row, "p_0": None} for row in ROWS])
    assert not (tmp_path / "images").exists()


@pytest.mark.slow
def test_inserted_plaques_stand_apart_without_goals(tmp_path: Path) -> None:
    inserted = [{**row, "cohort": "inserted", "cohort_kind": "inserted"} for row in ROWS]
    card = card_of(tmp_path, inserted + ROWS)
    simulated, apart = card.split("## Cohort `inserted`")
    assert "## Cohort `test`" in simulated
    assert "Artificial plaques inserted into real scans" in apart
    assert "missed" not in apart.split("## Limits")[0]
    assert len(re.findall(r"goals met", card)) == 1
    assert "12 of 15 goals met" in card


def test_training_facts_come_from_the_model(tmp_path: Path) -> None:
    card = card_of(tmp_path)
    assert cells(card, "calcium | recipe-calcium")[3:5] == ["1,234,567", "6,000"]
    assert "- training data: 9,000 simulated crops" in card
    assert "Not a medical device" in card
    assert "Apache-2.0" in card


def test_the_published_card_has_the_current_wording() -> None:
    """Its numbers come from results that are not in the repository; its fixed text must follow the code."""
    card = (places.ROOT / "docs" / "model-card.md").read_text(encoding="utf-8")
    for paragraph in (card_text.INTENDED_USE, card_text.LIMITS, card_text.LICENCE, card_text.COMMANDS):
        assert paragraph in card
    for figure in FIGURES:
        assert f"| {figure.name} |" in card


@pytest.mark.slow
def test_no_figure_is_nan(tmp_path: Path) -> None:
    """Also for a cohort without calcium, for a single study, and if all studies are refused."""
    for rows in ([{**row, "true_agatston": 0.0} for row in ROWS], ROWS[:3], of(OURS)[:1],
                 [{**row, "status": "refused"} for row in ROWS]):  # fmt: skip
        card = card_of(tmp_path, list(rows))
        assert not re.search(r"\bnan\b|None", card), card


SCAN = RealScan(
    series_uid="1.2", name="smooth", source="a set", licence="CC BY 4.0", patient="P", expected="0", known_by="a reader"
)


def said(category: str, agatston: str, status: str = "scored") -> dict[str, str]:
    return {"status": status, "category": category, "agatston": agatston, "reason_codes": "HIGH_NOISE"}


def test_real_scans(tmp_path: Path) -> None:
    scans = (
        replace(SCAN, results={OURS.info.digest: said("0", "0"), PUBLISHED.info.digest: said("1-100", "12.25")}),
        replace(SCAN, series_uid="1.3", name="sharp", results={
            OURS.info.digest: said("0", "0"), PUBLISHED.info.digest: said("0", "0"),
            BASELINE.info.digest: said("", "", "refused"),
        }),
    )  # fmt: skip
    card = card_of(tmp_path, scans=scans)
    assert cells(card, "smooth")[1:] == [
        "a set; CC BY 4.0; used for nothing but this table", "0 (a reader)", "0 (Agatston 0.0; HIGH_NOISE)",
        "1-100 (Agatston 12.2; HIGH_NOISE) **differs**", "not run",
    ]  # fmt: skip
    assert cells(card, "sharp")[5] == "refused: HIGH_NOISE **differs**"
    assert "- P, ours: the 2 series agree (0, 0)." in card
    assert "- P, published network: the 2 series **do not agree** (1-100, 0)." in card


def test_a_scan_that_must_be_refused(tmp_path: Path) -> None:
    results = {OURS.info.digest: said("", "", "refused"), PUBLISHED.info.digest: said("1-100", "20")}
    card = card_of(tmp_path, scans=(replace(SCAN, expected="refused", results=results),))
    assert cells(card, "smooth")[3:5] == ["refused: HIGH_NOISE", "1-100 (Agatston 20.0; HIGH_NOISE) **differs**"]
    wrong = card_of(tmp_path, scans=(replace(SCAN, results=results),))
    assert cells(wrong, "smooth")[3] == "refused: HIGH_NOISE **differs**"


def test_real_scans_are_read(tmp_path: Path) -> None:
    with (tmp_path / "results.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, ["series_uid", "model_digest", "status", "category", "agatston", "reason_codes"])
        table.writeheader()
        table.writerow({"series_uid": "1.2", "model_digest": "a" * 64, **said("0", "0")})
        table.writerow({"series_uid": "9.9", "model_digest": "a" * 64, **said(">400", "900")})
    scan = 'series_uid="1.2"\nname="n"\nsource="s"\nlicence="l"\npatient="p"\nexpected="0"\n'
    (tmp_path / "scans.toml").write_text(f'results = ["results.csv"]\n[[scan]]\n{scan}')
    (found,) = read_real_scans(tmp_path / "scans.toml")
    assert found.results["a" * 64]["category"] == "0"
    refused = tmp_path / "refused.csv"
    refused.write_text("series_uid,model_digest,status,reason_codes\n1.2,,refused,HEART_NOT_FOUND\n")
    (found,) = read_real_scans(tmp_path / "scans.toml", {"b" * 64: refused})
    assert found.results["b" * 64]["reason_codes"] == "HEART_NOT_FOUND", "a refused study names no model"
    assert found.results["a" * 64]["category"] == "0"
    (tmp_path / "scans.toml").write_text(f'results = ["results.csv"]\n[[scan]]\n{scan}colour="red"\n')
    with pytest.raises(UsageError, match="colour"):
        read_real_scans(tmp_path / "scans.toml")


def test_the_real_scans_of_the_repository_are_described() -> None:
    scans = read_real_scans(RECIPES / "real_scans.toml")
    assert len({scan.series_uid for scan in scans}) == len(scans) == 6
    assert all(scan.licence.startswith("CC BY") and scan.expected in ("0", "refused") for scan in scans)


def test_the_command_writes_the_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Loaded:
        def __init__(self, folder: Path) -> None:
            contender = {"ours": OURS, "published": PUBLISHED}[folder.name]
            self.info, self.card = contender.info, contender.model

    monkeypatch.setattr(accuracy, "load_model", Loaded)
    monkeypatch.setattr(accuracy, "WEIGHTS", Path("ours"))
    typed = ["accuracy", "-o", str(tmp_path), "--card", str(tmp_path / "card.md")]
    with pytest.raises(UsageError, match="score a COHORT with it first"):
        CliRunner().invoke(app, typed, catch_exceptions=False)
    write_results(tmp_path / "results.csv", ROWS)
    done = CliRunner().invoke(app, [*typed, "--compare", "published"], catch_exceptions=False)
    assert done.exit_code == 0
    card = (tmp_path / "card.md").read_text(encoding="utf-8")
    assert card.startswith("# Model card: ours 1")
    assert "published network, rebuilt (published)" in card
    with pytest.raises(UsageError, match="different names"):
        CliRunner().invoke(app, [*typed, "--compare", "ours"], catch_exceptions=False)
