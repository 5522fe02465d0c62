"""Accuracy on test studies: toy predictors on drawn scans whose truth is known; the command ``ctacal accuracy``."""

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import ctacal
from ctacal.cli import accuracy as command
from ctacal.cli.accuracy import Options
from ctacal.cli.app import app
from ctacal.dicom.series import read_studies
from ctacal.errors import Code, Refusal, UsageError
from ctacal.evaluate.accuracy.results import COLUMNS, NO_DEPOSIT, counted_kinds, read_results
from ctacal.geometry import Geometry
from ctacal.jobs import accuracy
from ctacal.jobs.accuracy import NamedPredictor, score_file, score_known_study
from ctacal.labels import Calcium, LabelMap
from ctacal.nn.known_study import KnownStudy, StudyFacts, read_test_study, write_test_study
from ctacal.prediction import ModelInfo, Prediction, Predictor, Uncertainty
from ctacal.scores import SCCT_2016, ScoringRule
from ctacal.simulate.anatomy.calcium import Kind
from ctacal.simulate.truth import KIND_LABELS, VESSEL_LABELS
from ctacal.volume import Volume

SAMPLE = Path(ctacal.__file__).parent / "sample" / "simulated_ctac.zip"

TOY_CARD: dict[str, Any] = {"stages": {"calcium": {"recipe": {"name": "toy", "network": {"kind": "calcium"}},
                            "parameters": 1, "step": 1, "data_sha256": "d", "trained_with": "0"}}}  # fmt: skip

GRID = Geometry.from_spacing((4, 30, 30), (3.0, 1.0, 1.0))
PLAQUE, WALL, WIRE, FAINT, NOISE = (np.s_[1, 2:4, 2:5], np.s_[2, 10:14, 10:12], np.s_[1, 25, 20:23],
                                    np.s_[3, 5:8, 20:23], np.s_[0, 20:22, 3:5])  # fmt: skip
FACTS = StudyFacts(
    11, "slow", 9.0, {"LM": 0.0, "LAD": 9.0, "LCX": 0.0, "RCA": 0.0},
    ("aortic_wall", "sternal_wire", "lymph_node"), {"LM": 0.0, "LAD": 2.0, "LCX": 0.0, "RCA": 0.0},
)  # fmt: skip


def drawn(path: Path, facts: StudyFacts = FACTS, *, with_kinds: bool = True) -> Path:
    """A plaque of 6 mm2 at 250 HU in the LAD (Agatston 12), wall of 8 mm2 at 350, wire of 3 mm2 at 900, a node under
    the threshold, and noise of 4 mm2 at 150."""
    hu = np.full(GRID.shape, 40, np.int16)
    labels, deposits = np.zeros(GRID.shape, np.uint8), np.zeros(GRID.shape, np.uint8)
    for place, value, label, deposit in (
        (PLAQUE, 250, Calcium.LAD, VESSEL_LABELS["LAD"]),
        (WALL, 350, Calcium.OTHER, KIND_LABELS[Kind.AORTIC_WALL]),
        (WIRE, 900, Calcium.OTHER, KIND_LABELS[Kind.STERNAL_WIRE]),
        (FAINT, 120, Calcium.OTHER, KIND_LABELS[Kind.LYMPH_NODE]),
        (NOISE, 150, 0, 0),
    ):
        hu[place], labels[place], deposits[place] = value, label, deposit
    write_test_study(path, Volume(hu, GRID), labels, deposits if with_kinds else None, facts)
    return path


def study(tmp_path: Path) -> KnownStudy:
    return read_test_study(drawn(tmp_path / "one.npz"))


def says(*places: Any, label: Calcium = Calcium.LAD, uncertainty: Uncertainty | None = None) -> Predictor:
    """A predictor that labels these places in every scan."""

    def predict(volume: Volume, _: ScoringRule) -> Prediction:
        labels = np.zeros(volume.geometry.shape, np.uint8)
        for place in places:
            labels[place] = label
        return Prediction(LabelMap(labels, volume.geometry), ModelInfo("toy", "1", "a"), None, uncertainty)

    return predict


def refuses(volume: Volume, rule: ScoringRule) -> Prediction:
    raise Refusal(Code.HEART_NOT_FOUND, "no heart here")


def breaks(volume: Volume, rule: ScoringRule) -> Prediction:
    raise RuntimeError("a defect")


def named(name: str, predict: Predictor) -> NamedPredictor:
    return NamedPredictor(ModelInfo(name, "1", f"digest of {name}"), predict)


def test_scores_by_hand(tmp_path: Path) -> None:
    row = score_known_study(study(tmp_path), says(PLAQUE))
    assert (row["status"], row["reason"], row["patient"], row["centre"]) == ("scored", "", "11", "slow")
    assert row["true_agatston"] == row["true_lad"] == row["agatston"] == row["agatston_lad"] == pytest.approx(12)
    assert (row["agatston_rca"], row["agatston_coronary"]) == (0, 0)
    assert (row["gated_agatston"], row["gated_lad"], row["true_mass_mg_lad"]) == (9, 9, 2)
    assert row["kinds_present"] == "aortic_wall lymph_node sternal_wire"
    assert row["kinds_visible"] == "aortic_wall sternal_wire"
    assert row["kinds_counted"] == ""
    assert set(row) <= set(COLUMNS)


def test_false_positives_by_kind(tmp_path: Path) -> None:
    """Wall 8 mm2 x 3; wire 3 x 4; noise 4 x 1; a faint node adds nothing."""
    row = score_known_study(study(tmp_path), says(PLAQUE, WALL, WIRE, FAINT, NOISE, label=Calcium.CORONARY))
    counted = counted_kinds(row)
    assert counted == pytest.approx({"aortic_wall": 24, "sternal_wire": 12, NO_DEPOSIT: 4})
    assert row["agatston"] == row["agatston_coronary"] == pytest.approx(12 + sum(counted.values()))


def test_other_calcium_called_other_is_right(tmp_path: Path) -> None:
    row = score_known_study(study(tmp_path), says(WALL, WIRE, label=Calcium.OTHER))
    assert (row["agatston"], row["kinds_counted"]) == (0, "")


def test_a_speck_below_the_floor_adds_nothing(tmp_path: Path) -> None:
    """A single voxel of the wall scores 1 mm2; a voxel of half the size would not count."""
    rule = ScoringRule(name="mine", source="here", min_area_mm2=2.0)
    assert score_known_study(study(tmp_path), says(np.s_[2, 10, 10]), rule)["kinds_counted"] == ""
    assert counted_kinds(score_known_study(study(tmp_path), says(np.s_[2, 10, 10]), SCCT_2016)) == {"aortic_wall": 3}


def test_kinds_may_be_unknown(tmp_path: Path) -> None:
    row = score_known_study(read_test_study(drawn(tmp_path / "one.npz", with_kinds=False)), says(WALL))
    assert (row["kinds_visible"], row["kinds_counted"]) == ("", "")


def test_uncertainty_of_the_predictor_is_written_through(tmp_path: Path) -> None:
    uncertainty = Uncertainty(
        category_probabilities=(0.1, 0.7, 0.15, 0.05),
        gated_equivalent_agatston=7.5,
        coronary_certainty=0.9,
        excess_mass_mg={"LAD": 1.5},
    )
    row = score_known_study(study(tmp_path), says(PLAQUE, uncertainty=uncertainty))
    assert (row["certainty"], row["mass_mg_lad"], row["mass_mg_rca"]) == (0.9, 1.5, None)
    assert row["gated_equivalent_agatston"] == 7.5
    assert [row[name] for name in ("p_0", "p_1_100", "p_101_400", "p_400")] == [0.1, 0.7, 0.15, 0.05]


def test_refusal_and_defect_are_lines(tmp_path: Path) -> None:
    assert score_known_study(study(tmp_path), refuses)["reason"] == "HEART_NOT_FOUND: no heart here"
    row = score_known_study(study(tmp_path), breaks)
    assert (row["status"], row["reason"]) == ("failed", "RuntimeError: a defect")
    assert row["true_agatston"] == pytest.approx(12)
    assert "agatston" not in row


def test_known_lines_are_kept_and_failed_ones_done_again(tmp_path: Path) -> None:
    path = drawn(tmp_path / "one.npz")
    cohort = {"cohort": "c", "cohort_kind": "simulated", "ctacal": "0"}
    predictors = [named("good", says(PLAQUE)), named("bad", breaks)]
    first = {
        (r["cohort"], r["study"], r["model_digest"]): r for r in score_file(path, predictors, known={}, cohort=cohort)
    }
    again = [named("good", breaks), named("bad", says(WALL))]
    good, bad = score_file(path, again, known=first, cohort=cohort)
    assert good is first["c", "one", "digest of good"]
    assert (bad["status"], bad["agatston"]) == ("scored", pytest.approx(24))
    drawn(path, StudyFacts(12, "fast"))
    good, _ = score_file(path, again, known=first, cohort=cohort)
    assert good["status"] == "failed", "another file of the same name is scored anew"


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    folder = tmp_path / "cohort"
    folder.mkdir()
    for number in range(3):
        drawn(folder / f"study-{number}.npz", StudyFacts(number // 2, "slow"))
    (folder / "study-1a.npz").write_bytes(b"nothing")
    return folder


@pytest.fixture
def toy_model(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Make the model that ships a predictor that records when it runs."""
    runs: list[str] = []

    class Toy:
        info = ModelInfo("toy", "1", "toy-digest")
        card = TOY_CARD
        heart_slices = None

        def __call__(self, volume: Volume, rule: ScoringRule) -> Prediction:
            runs.append("run")
            return replace(says(PLAQUE)(volume, rule), model=self.info)

    monkeypatch.setattr(command, "load_model", lambda folder: Toy())
    monkeypatch.setattr(command, "ships_weights", lambda: True)
    return runs


def test_a_cohort_by_the_command(tmp_path: Path, cohort: Path, toy_model: list[str]) -> None:
    """One file is broken, the baseline finds no heart: lines with reasons; a second run scores nothing again."""
    typed = ["accuracy", str(cohort), "-o", str(tmp_path / "out")]
    done = CliRunner().invoke(app, typed)
    assert done.exit_code == 1, done.output
    assert "3 scored, 5 not" in done.output
    rows = read_results(tmp_path / "out" / "results.csv")
    assert [(row["study"], row["predictor"], row["status"]) for row in rows] == [
        ("study-0", "toy", "scored"), ("study-0", "threshold", "refused"),
        ("study-1", "toy", "scored"), ("study-1", "threshold", "refused"),
        ("study-1a", "toy", "failed"), ("study-1a", "threshold", "failed"),
        ("study-2", "toy", "scored"), ("study-2", "threshold", "refused"),
    ]  # fmt: skip
    assert all(row["agatston"] == pytest.approx(12) for row in rows if row["status"] == "scored")
    assert "HEART_NOT_FOUND" in rows[1]["reason"]
    assert "not a test study" in rows[4]["reason"]
    assert len(toy_model) == 3
    assert CliRunner().invoke(app, typed).exit_code == 1
    assert len(toy_model) == 3
    assert read_results(tmp_path / "out" / "results.csv") == rows


def test_a_cut_leaves_what_was_done(
    tmp_path: Path, cohort: Path, toy_model: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(volume: Volume, rule: ScoringRule) -> Prediction:
        if len(toy_model) == 2:
            raise KeyboardInterrupt
        return refuses(volume, rule)

    monkeypatch.setattr(accuracy, "predict_threshold", cut)
    options = Options(cohorts=[cohort], out=tmp_path)
    with pytest.raises(KeyboardInterrupt):
        command.run(options)
    assert [row["study"] for row in read_results(tmp_path / "results.csv")] == ["study-0", "study-0"]
    monkeypatch.setattr(accuracy, "predict_threshold", refuses)
    assert command.run(options) == 1
    assert len(read_results(tmp_path / "results.csv")) == 8
    assert len(toy_model) == 4


def test_other_cohorts_in_the_same_folder_are_kept(tmp_path: Path, cohort: Path, toy_model: list[str]) -> None:
    command.run(Options(cohorts=[cohort], out=tmp_path / "out"))
    other = cohort.rename(tmp_path / "other")
    command.run(Options(cohorts=[], inserted=[other], out=tmp_path / "out"))
    rows = read_results(tmp_path / "out" / "results.csv")
    assert [(row["cohort"], row["cohort_kind"]) for row in rows] == [("cohort", "simulated")] * 8 + [
        ("other", "inserted")
    ] * 8


def test_another_calibration_or_version_is_scored_again(
    tmp_path: Path, cohort: Path, toy_model: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The weights are the same, but another threshold of probability, or another program, may score otherwise."""
    options = Options(cohorts=[cohort], out=tmp_path / "out")
    command.run(options)
    monkeypatch.setitem(TOY_CARD, "least_coronary", 0.7)
    command.run(options)
    assert len(toy_model) == 6
    command.run(options)
    assert len(toy_model) == 6
    monkeypatch.setattr(accuracy, "__version__", "9.9")
    command.run(options)
    assert len(toy_model) == 9


def test_one_command_writes_the_card_of_the_cohorts_it_names(
    tmp_path: Path, cohort: Path, toy_model: list[str]
) -> None:
    """Three cohorts apart, and real scans, here the sample that ships; an older cohort of OUT is not on the card."""
    folders = [cohort, *(shutil.copytree(cohort, tmp_path / name) for name in ("rich", "drawn", "older"))]
    card, real = tmp_path / "card.md", tmp_path / "real.toml"
    (sample,) = read_studies([SAMPLE]).studies
    real.write_text(
        f'[[scan]]\nseries_uid="{sample.series[0].uid}"\nname="the sample"\nsource="s"\nlicence="l"\n'
        'patient="p"\nexpected=">400"\n'
    )
    command.run(Options(cohorts=folders[3:], out=tmp_path / "out"))
    command.run(
        Options(cohorts=folders[:1], hard=folders[1:2], inserted=folders[2:3], out=tmp_path / "out", card=card,
                real=real, scans=[SAMPLE])
    )  # fmt: skip
    text = card.read_text(encoding="utf-8")
    assert re.findall(r"## Cohort (.*)", text) == ["`cohort`", "`rich` (hard)", "`drawn` (inserted)"]
    (line,) = [line for line in text.splitlines() if line.startswith("| the sample |")]
    toy, threshold = line.strip("| ").split(" | ")[-2:]
    assert toy.startswith("0 (Agatston 0.0"), "the toy labels a corner of every scan, of air here"
    assert toy.endswith("**differs**")
    assert threshold.startswith(">400 (Agatston ") and "differs" not in threshold
    assert (tmp_path / "out" / "real" / "toy" / "results.csv").exists()


def test_wrong_usage(tmp_path: Path, cohort: Path, toy_model: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(match: str, **options: Any) -> None:
        with pytest.raises(UsageError, match=match):
            command.run(Options(**{"cohorts": [], "out": tmp_path, **options}))

    refused("give a COHORT")
    refused("no test studies", cohorts=[tmp_path])
    refused("different names, got: cohort, cohort", cohorts=[cohort], hard=[cohort])
    refused("different names, got: toy, toy", cohorts=[cohort], compare=[Path("toy")])
    refused("--real is for --card", cohorts=[cohort], real=tmp_path / "real.toml")
    refused("--scans needs --real", cohorts=[cohort], card=tmp_path / "card.md", scans=[tmp_path])
    refused("there is no .*nowhere", card=tmp_path / "card.md", real=tmp_path / "r", scans=[tmp_path / "nowhere"])
    (tmp_path / "results.csv").write_text("study,agatston\na,1\n")
    refused("choose another folder", cohorts=[cohort])
    monkeypatch.setattr(command, "ships_weights", lambda: False)
    refused("ships no weights", cohorts=[cohort])
    assert not toy_model
