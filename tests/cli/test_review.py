"""``ctacal review`` and ``annotate``: the server starts, prints its link, and stops; wrong usage is told."""

import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ctacal.cli.app import app
from tests import places


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent otherwise there")
def test_annotate_serves_until_it_is_stopped(tmp_path: Path) -> None:
    sample = places.SAMPLE / "thorax_phantom.zip"
    words = ["annotate", str(sample), "--readings", str(tmp_path), "--no-browser", "--reader", "anna"]
    command = [sys.executable, "-m", "ctacal", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        link = re.fullmatch(r"anna: (http://127\.0\.0\.1:\d+/start\?token=\S+)\n", server.stdout.readline())
        assert link is not None
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        with opener.open(link[1]) as answer:
            assert answer.geturl().endswith("/")
        with opener.open(link[1].partition("/start")[0] + "/api/worklist") as answer:
            assert b'"total":1' in answer.read()
        server.send_signal(signal.SIGINT)
        _, errors = server.communicate(timeout=60)
    assert server.returncode == 0
    assert "back up this folder" in errors
    assert "Traceback" not in errors
    assert (tmp_path / "README.txt").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["review", "nowhere"], "no such folder"),
        (["review", "."], "holds no results"),
        (["annotate", "nowhere"], "nowhere"),
        (["annotate", ".", "--reader", "an na"], "use up to 32 letters"),
        (["annotate", ".", "--host", "0.0.0.0"], "needs TLS"),
        (["annotate", ".", "--proxy", "10.0.0.2"], "--proxy-secret"),
        (["annotate", ".", "--plan", "nowhere.toml"], "nowhere.toml"),
    ],
)
def test_wrong_usage(words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, [*words, "--no-browser"])
    assert message in f"{done.output}{done.exception}"
    assert done.exit_code != 0


def test_what_cannot_be_read_is_told_and_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cut.zip").write_bytes((places.SAMPLE / "thorax_phantom.zip").read_bytes()[:3000])
    done = CliRunner().invoke(app, ["annotate", "cut.zip", "--no-browser"])
    assert "FILE_UNREADABLE: damaged or cut off" in done.output
    assert "no study was found under" in f"{done.output}{done.exception}"
    assert not (tmp_path / "ctacal-readings").exists()


def test_an_empty_folder_holds_nothing_to_read(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    words = ["annotate", str(tmp_path / "images"), "--readings", str(tmp_path / "r"), "--no-browser"]
    assert "no study was found" in str(CliRunner().invoke(app, words).exception)
