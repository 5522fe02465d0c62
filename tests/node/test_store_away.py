"""A whole node whose store goes away, as a disk that is unmounted, and comes back: all waits, and nothing is lost."""

import json
import os
import signal
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.node.cameras import Got
from tests.node.running import FOLDER, NODE, NodeFolder, free_port, wait_until
from tests.node.studies import small_study, write

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
STUDY = "1.2.826.0.1.3680043.8.498.12.1"


def problems(port: int) -> list[str]:
    """Return what /healthz says is wrong."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=10) as answer:
            content = answer.read()
    except urllib.error.HTTPError as problem:
        content = problem.read()
    except urllib.error.URLError:
        return ["nobody listens yet"]
    found: list[str] = json.loads(content)["problems"]
    return found


def test_a_store_that_goes_and_comes_back(tmp_path: Path) -> None:
    http_port = free_port()
    text = NODE.replace("quiet_s = 0.5", "quiet_s = 60.0").replace("port = 0", f"port = {http_port}")
    node = NodeFolder.made(tmp_path / "node", FOLDER, text)
    store, away = node.config.store, tmp_path / "away"
    files = [write(image, tmp_path / "export" / f"{image.InstanceNumber}.dcm") for image in small_study(STUDY)]
    with node.started() as running, node.ledger() as ledger:
        assert node.send(files[:8]).returncode == 0
        wait_until(lambda: not problems(http_port), "a healthy node")
        store.rename(away)
        assert "Association Rejected" in node.send(files).stderr
        wait_until(lambda: "keeper waits" in running.text(), "the keeper")
        wait_until(lambda: any("the store" in one for one in problems(http_port)), "what health says")
        os.kill(json.loads((away / "processes.json").read_text())["keeper"], signal.SIGKILL)
        wait_until(lambda: "cannot work" in running.text(), "a part that finds no store")
        assert not store.exists(), "somebody made a new store in its place"
        away.rename(store)
        wait_until(lambda: node.send(files).returncode == 0, "a receiver that takes all")
        wait_until(lambda: ledger.objects(STUDY) == len(files), "all objects")
        assert ledger.score_now(STUDY)
        assert node.finished(STUDY).state == "SCORED"
        assert running.stop() == 0
    assert len(Got.in_folder(node.folder / "out").objects[STUDY]) == 2
    assert "Traceback" not in running.text()
