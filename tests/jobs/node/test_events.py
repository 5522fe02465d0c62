"""What the node prints: events with facts, in two forms, and nothing that a header may hold."""

import json
import logging
from collections.abc import Iterator

import pytest

from ctacal.jobs.node.config import Log
from ctacal.jobs.node.events import start_logging, tell


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root, own = logging.getLogger(), logging.getLogger("ctacal")
    before = root.handlers[:], root.level, own.level
    yield
    root.handlers[:], root.level, own.level = before[0], before[1], before[2]


def test_an_event_is_a_line_of_words_and_facts(capsys: pytest.CaptureFixture[str]) -> None:
    start_logging(Log(), "keeper")
    tell("study settled", study_uid="1.2", objects=64, reason='no "gap" here', nothing="")
    tell("too much", level=logging.DEBUG)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.split(" ", 1)[1] == (
        'keeper INFO study settled study_uid=1.2 objects=64 reason="no \\"gap\\" here" nothing=""'
    )


def test_an_event_is_a_json_object_if_that_is_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    start_logging(Log(format="json", level="warning"), "sender")
    tell("too little")
    tell("held", level=logging.WARNING, destination="pacs", reason="line\nbreak")
    (line,) = map(json.loads, capsys.readouterr().err.splitlines())
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "part": "sender", "level": "warning", "event": "held", "destination": "pacs", "reason": "line\nbreak",
    }  # fmt: skip


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_defect_tells_its_place_and_not_what_it_quotes(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    start_logging(Log(format=form), "scorer")  # type: ignore[arg-type]
    header = "Doe^Jane"
    try:
        raise ValueError(header)
    except ValueError:
        logging.getLogger("ctacal").exception("study %s", "1.2.3")
    printed = capsys.readouterr().err
    assert "study 1.2.3" in printed
    assert "test_events.py" in printed and "ValueError" in printed
    assert "Doe" not in printed


def test_libraries_print_errors_only(capsys: pytest.CaptureFixture[str]) -> None:
    start_logging(Log(level="debug"), "receiver")
    logging.getLogger("pynetdicom").warning("(0010,0010) Doe^Jane")
    logging.getLogger("highdicom").info("copy attributes")
    assert capsys.readouterr().err == ""
