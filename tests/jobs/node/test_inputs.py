"""What is wrong with a watched folder or an Orthanc is told to the other processes, if it lasts."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ctacal.jobs.node.alarm import Cause, alarms_of
from ctacal.jobs.node.inputs import LASTS_S, Trouble, troubles
from ctacal.jobs.node.life import alive_folder, forget
from ctacal.jobs.node.overview import overview
from tests.web.node_scene import Scene, Visitor, scene

FOLDER, ORTHANC = "folder /srv/incoming", "orthanc old"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Scene]:
    there = scene(
        tmp_path, watch=[{"folder": "/srv/incoming"}], orthanc=[{"name": "old", "url": "http://127.0.0.1:8042"}]
    )
    there.live()
    yield there
    there.close()


class Time:
    """A clock that the test moves."""

    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def trouble(node: Scene, name: str, time: Time) -> Trouble:
    return Trouble(alive_folder(node.config.store, node.config.receive.port), name, time)


def test_what_passes_is_not_told_and_what_lasts_is_until_it_is_over(node: Scene) -> None:
    time = Time()
    folder, orthanc = trouble(node, FOLDER, time), trouble(node, ORTHANC, time)
    for problem in ("away", "", "away"):
        folder.note(problem)
        orthanc.note(problem)
        time.now_s += LASTS_S - 1
        assert troubles(node.config) == {}
    time.now_s += 1
    folder.note("another reason")
    orthanc.note("")
    assert troubles(node.config) == {FOLDER: "another reason"}
    folder.note("")
    assert troubles(node.config) == {}


def test_a_trouble_ends_with_the_process_that_had_it(node: Scene) -> None:
    """The next one has none, or finds it again."""
    time = Time()
    for end in ("next process", "next start of the node"):
        before = trouble(node, FOLDER, time)
        before.note("away")
        time.now_s += LASTS_S
        before.note("away")
        assert troubles(node.config)
        if end == "next process":
            trouble(node, FOLDER, time).note("")
        else:
            forget(alive_folder(node.config.store, node.config.receive.port))
        assert not troubles(node.config)


def test_it_is_an_alarm_and_stands_in_metrics_and_health(node: Scene) -> None:
    time = Time()
    for name in (FOLDER, ORTHANC):
        one = trouble(node, name, time)
        one.note("2 of its files cannot be taken")
        time.now_s += LASTS_S
        one.note("2 of its files cannot be taken")
    seen = overview(node.ledger, node.config, node.health.parts())
    assert [(alarm.cause, alarm.about) for alarm in alarms_of(seen, node.config, {})] == [
        (Cause.INPUT, FOLDER), (Cause.INPUT, ORTHANC),
    ]  # fmt: skip
    assert all("2 of its files cannot be taken" in alarm.text for alarm in alarms_of(seen, node.config, {}))
    visitor = Visitor(node)
    health = visitor.get("/healthz")
    assert (health.status_code, health.json()["inputs_failing"]) == (200, 2)
    assert "/srv" not in health.text
    metrics = visitor.get("/metrics").text
    assert 'ctacal_node_alarms{cause="input"} 2.0' in metrics
    assert "ctacal_node_inputs_failing 2.0" in metrics
