"""``ctacal score``, ``info`` and ``demo`` with networks: the shipped model, another model, no model."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ctacal.labels import Calcium
from ctacal.nn.runtime import RUNTIMES
from tests.commands import SAMPLE, results, run, table
from tests.nn.hand_model import write_hand_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_hand_model(tmp_path_factory.mktemp("hand") / "model")


@pytest.fixture
def shipped(model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let this model be the one that ships with the package."""
    monkeypatch.setattr("ctacal.nn.predict.WEIGHTS", model)
    return model


@pytest.fixture
def none_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctacal.nn.predict.WEIGHTS", tmp_path / "weights")


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--predictor", "networks")])
@pytest.mark.usefixtures("shipped")
def test_the_networks_that_ship_score(
    options: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("score", SAMPLE, "-o", tmp_path, *options, monkeypatch=monkeypatch) == 0
    (result,), (row,) = results(tmp_path), table(tmp_path)
    assert result["model"]["name"] == row["model"] == "by hand"
    assert result["model"]["version"] == "1.2"
    assert len(result["model"]["digest"]) == 64
    assert result["agatston"]["per_vessel"]["LAD"] == result["agatston"]["total"] > 0
    assert "threshold" not in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.usefixtures("shipped")
def test_the_baseline_on_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("score", SAMPLE, "-o", tmp_path, "--predictor", "threshold", monkeypatch=monkeypatch) == 0
    assert results(tmp_path)[0]["model"]["name"] == "threshold"


@pytest.mark.slow
@pytest.mark.usefixtures("none_shipped")
def test_without_weights_the_baseline_scores_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("score", SAMPLE, "-o", tmp_path / "out", monkeypatch=monkeypatch) == 0
    assert results(tmp_path / "out")[0]["model"]["name"] == "threshold"
    assert "this ctacal ships no weights: scored with the threshold baseline" in capsys.readouterr().err
    assert run("score", SAMPLE, "-o", tmp_path / "x", "--predictor", "networks", monkeypatch=monkeypatch) == 2
    assert "holds no model" in capsys.readouterr().err


@pytest.mark.slow
def test_another_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = write_hand_model(tmp_path / "other", "mine", Calcium.RCA)
    assert run("score", SAMPLE, "-o", tmp_path / "out", "--model", other, monkeypatch=monkeypatch) == 0
    (result,) = results(tmp_path / "out")
    assert result["model"]["name"] == "mine"
    assert result["agatston"]["per_vessel"]["RCA"] == result["agatston"]["total"] > 0


@pytest.mark.slow
def test_resume_scores_again_with_other_weights(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Name and version are the same, the digest differs."""
    other = write_hand_model(tmp_path / "other", vessel=Calcium.RCA)
    arguments = ("score", SAMPLE, "-o", tmp_path / "out", "--resume", "--model")
    vessels, seconds = [], []
    for folder in (model, model, other):
        assert run(*arguments, folder, monkeypatch=monkeypatch) == 0
        (result,) = results(tmp_path / "out")
        vessels.append([name for name, score in result["agatston"]["per_vessel"].items() if score])
        seconds.append(result["timing_s"])
    assert vessels == [["LAD"], ["LAD"], ["RCA"]]
    assert seconds[0] == seconds[1], "kept"


def test_a_runtime_that_is_not_there(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ctacal.jobs.finders.find_spec", lambda name: None if name == "openvino" else name)
    arguments = ("score", SAMPLE, "-o", tmp_path, "--model", model, "--runtime", "openvino")
    assert run(*arguments, monkeypatch=monkeypatch) == 2
    assert "pip install openvino" in capsys.readouterr().err


def test_openvino_scores_alike(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino", reason="OpenVINO is optional")
    found = []
    for runtime in RUNTIMES:
        arguments = ("score", SAMPLE, "-o", tmp_path / runtime, "--model", model, "--runtime", runtime)
        assert run(*arguments, monkeypatch=monkeypatch) == 0
        (result,) = results(tmp_path / runtime)
        assert result["model"]["runtime"] == runtime
        found.append(result["agatston"])
    assert found[0] == found[1] == found[2]


def test_the_result_says_what_ran(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctacal.nn.predict.fastest_runtime", lambda: "onnxruntime")
    assert run("score", SAMPLE, "-o", tmp_path / "a", "--model", model, monkeypatch=monkeypatch) == 0
    assert run("score", SAMPLE, "-o", tmp_path / "b", "--predictor", "threshold", monkeypatch=monkeypatch) == 0
    assert [results(tmp_path / name)[0]["model"]["runtime"] for name in "ab"] == ["onnxruntime", "none"]


@pytest.mark.slow
def test_scoring_imports_no_torch(model: Path, tmp_path: Path) -> None:
    """The whole command, in a process of its own."""
    code = (
        "import sys\nfrom ctacal.cli.app import main\n"
        "try:\n    main()\n"
        "finally:\n"
        "    heavy = {'torch', 'onnx', 'onnxscript', 'openvino', 'scipy.ndimage', 'numba'} & set(sys.modules)\n"
        "    assert 'onnxruntime' in sys.modules and not heavy, heavy\n"
    )
    arguments = ["score", SAMPLE, "-o", tmp_path, "--model", model]
    done = subprocess.run([sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert results(tmp_path)[0]["model"]["name"] == "by hand"


def test_info_of_the_model(
    shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def networks_entry() -> dict[str, str]:
        assert run("info", "--json", monkeypatch=monkeypatch) == 0
        found = json.loads(capsys.readouterr().out)
        assert "CPUExecutionProvider" in found["runtimes"]["onnxruntime"]
        networks: dict[str, str] = found["predictors"]["networks"]
        return networks

    networks = networks_entry()
    assert (networks["name"], networks["version"]) == ("by hand", "1.2")
    assert networks["digest"].startswith("ok, ")
    broken = write_hand_model(tmp_path / "broken")
    (broken / "heart.onnx").write_bytes((shipped / "calcium.onnx").read_bytes())
    monkeypatch.setattr("ctacal.nn.predict.WEIGHTS", broken)
    assert "differs" in networks_entry()["digest"]
    assert "heart.onnx" in networks_entry()["digest"]


@pytest.mark.usefixtures("none_shipped")
def test_info_without_a_model(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("info", monkeypatch=monkeypatch) == 0
    assert "networks: none ships with this version" in capsys.readouterr().out


@pytest.mark.usefixtures("shipped")
@pytest.mark.slow
def test_demo_shows_the_networks_beside_truth_and_baseline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("demo", "-o", tmp_path, monkeypatch=monkeypatch) == 0
    folder = tmp_path / "thorax_phantom"
    names = {way.name: results(way)[0]["model"]["name"] for way in folder.iterdir()}
    assert names.pop("true-labels") == "labels"
    assert names == {"networks": "by hand", "threshold": "threshold"}
    assert capsys.readouterr().out.count("Agatston") == 8, "truth and three ways, of two samples"
