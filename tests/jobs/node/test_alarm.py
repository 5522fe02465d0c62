"""What is an alarm, and when it is told: once, again after a time, when it is over, and never too often."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ctacal.jobs.node import wishes
from ctacal.jobs.node.alarm import (
    OVER_S,
    Alarm,
    Cause,
    Memory,
    Message,
    Stillness,
    alarms_of,
    due,
    memory_from,
    memory_json,
)
from ctacal.jobs.node.life import PartLife
from ctacal.jobs.node.overview import DiskSpace, overview
from tests.web.node_scene import Scene, scene

HELD = Alarm(cause=Cause.HELD, about="PACS", text="Results are held.")
DISK = Alarm(cause=Cause.DISK, text="The disk is low.")
DAY_S = 86400.0


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Scene]:
    there = scene(tmp_path)
    yield there
    there.close()


class Person:
    """Somebody who is told of alarms."""

    def __init__(self, most_per_hour: int = 6) -> None:
        self.memory, self.now, self.most_per_hour = Memory(), 1e9, most_per_hour

    def look(self, *alarms: Alarm, after_s: float = 10.0, arrives: bool = True) -> Message | None:
        self.now += after_s
        message, unsent, sent = due(alarms, self.memory, now=self.now, again_s=DAY_S, most_per_hour=self.most_per_hour)
        self.memory = memory_from(json.loads(json.dumps(memory_json(sent if arrives else unsent))))
        return message if arrives else None


def test_an_alarm_is_told_once_then_again_after_a_day_then_that_it_is_over() -> None:
    person = Person()
    first = person.look(HELD)
    assert first
    assert (first.new, first.still, first.over) == (("Results are held.",), (), ())
    assert first.subject == "ctacal node: Results are held"
    for _ in range(100):
        assert person.look(HELD, after_s=600) is None
    again = person.look(HELD, after_s=DAY_S)
    assert again
    assert (again.new, again.still) == ((), ("Results are held.",))
    assert person.look(after_s=OVER_S - 1) is None
    over = person.look(after_s=2)
    assert over
    assert (over.over, over.subject) == (("Results are held.",), "ctacal node: all clear")
    assert person.look() is None


def test_what_comes_and_goes_is_told_once() -> None:
    person = Person()
    assert person.look(DISK)
    for _ in range(50):
        assert person.look() is None
        assert person.look(DISK) is None


def test_a_message_that_was_not_sent_stays_due() -> None:
    person = Person()
    for _ in range(3):
        assert person.look(HELD, arrives=False) is None
    message = person.look(HELD, DISK)
    assert message
    assert message.new == ("Results are held.", "The disk is low.")


def test_never_more_than_so_many_an_hour_and_what_is_late_comes_in_one_message() -> None:
    person = Person(most_per_hour=3)
    alarms: list[Alarm] = []
    told = []
    for number in range(20):
        alarms.append(Alarm(cause=Cause.HELD, about=f"PACS {number}", text=f"{number}"))
        told.append(person.look(*alarms, after_s=60))
    assert [bool(message) for message in told] == [True] * 3 + [False] * 17
    late = person.look(*alarms, after_s=3600)
    assert late
    assert late.new == tuple(str(number) for number in range(3, 20))
    assert "(and 16 more)" in late.subject


def test_each_new_study_in_quarantine_is_news_but_not_each_new_held_item() -> None:
    person = Person()
    one = Alarm(cause=Cause.QUARANTINED, text="1 study", subjects=frozenset(("1.2",)))
    assert person.look(one)
    assert person.look(replace(one, text="again")) is None
    two = person.look(replace(one, text="2 studies", subjects=frozenset(("1.2", "1.3"))))
    assert two
    assert two.new == ("2 studies",)
    assert person.look(HELD)
    assert person.look(replace(one, subjects=frozenset(("1.2", "1.3"))), replace(HELD, text="9 are held.")) is None


def test_objects_set_aside_are_not_told_again_every_day() -> None:
    person = Person()
    aside = Alarm(cause=Cause.ASIDE, text="set aside", subjects=frozenset(("1.2",)), reminds=False)
    assert person.look(aside)
    assert person.look(aside, after_s=10 * DAY_S) is None


def test_a_clock_that_is_set_back_does_not_silence_the_alarms() -> None:
    person = Person(most_per_hour=2)
    assert person.look(HELD)
    assert person.look(HELD, DISK)
    assert person.look(HELD, DISK, after_s=-365 * DAY_S) is None
    new = Alarm(cause=Cause.DEAD, about="sender", text="dead")
    assert person.look(HELD, DISK, new, after_s=1) is None  # two in this hour already, as far as anybody can tell
    message = person.look(HELD, DISK, new, after_s=3600)
    assert message
    assert message.new == ("dead",)
    assert person.look(HELD, DISK, new, after_s=DAY_S)


def test_a_quiet_node_raises_none(node: Scene) -> None:
    node.live()
    node.score(1)
    node.deliver()
    assert alarms_of(overview(node.ledger, node.config, node.health.parts()), node.config, {}) == []


def test_what_is_wrong_with_a_node(node: Scene) -> None:
    node.score(1)
    node.score(2)
    node.hold("refused: A900", most=3)
    node.quarantine(3)
    node.set_aside(4)
    seen = overview(node.ledger, node.config, (
        PartLife(name="sender", alive=False, silent_s=61, restarts=0),
        PartLife(name="receiver", alive=False, silent_s=30, restarts=0),
        PartLife(name="scorer-1", alive=True, silent_s=0, restarts=4),
        PartLife(name="keeper", alive=True, silent_s=0, restarts=1),
    ))  # fmt: skip
    seen = replace(seen, disk=DiskSpace(free_bytes=10**9, total_bytes=10**12, reserve_bytes=2 * 10**9))
    found = alarms_of(seen, node.config, {"": 4000.0, "PACS": 90000.0, "archive": 5.0})
    assert [alarm.name for alarm in found] == [
        "dead: sender", "dying: scorer-1", "disk", "not scoring", "not delivering: PACS", "held: PACS", "quarantined",
        "aside",
    ]  # fmt: skip
    text = "\n".join(alarm.text for alarm in found)
    assert "1.0 GB are free, the reserve is 2.0 GB" in text
    assert "none was delivered for 1 day" in text
    assert "3 results are held: PACS refuses them" in text
    assert node.uid(3) not in text  # messages leave the hospital
    assert node.uid(4) not in text


def test_results_for_a_destination_that_is_gone_are_one_alarm_that_says_what_to_do(tmp_path: Path) -> None:
    """They are not "tried again by themselves"."""
    before = scene(tmp_path)
    before.score(1)
    before.hold("refused", most=1)
    before.close()
    renamed = {"name": "new", "kind": "folder", "folder": str(tmp_path)}
    node = scene(tmp_path, destination=[renamed], alarm={"after_s": 1.0, "commitment_s": 1e-9})
    found = alarms_of(overview(node.ledger, node.config), node.config, {"PACS": 1e6, "new": 1e6})
    assert [alarm.name for alarm in found] == ["not delivering: new", "destination gone: PACS"]
    assert "2 results are for PACS, which the configuration does not hold any more" in found[1].text
    assert "themselves" not in found[1].text
    assert wishes.give_up(node.ledger, node.config, destination="PACS", to="new", by="test") == 2
    assert alarms_of(overview(node.ledger, node.config), node.config, {}) == []
    node.close()


def test_what_the_configuration_does_not_want_to_hear_of(tmp_path: Path) -> None:
    node = scene(tmp_path, alarm={"held": False, "low_disk": False, "after_s": 0.0})
    node.quarantine(1)
    seen = replace(
        overview(node.ledger, node.config), disk=DiskSpace(free_bytes=0, total_bytes=10**12, reserve_bytes=10**9)
    )
    assert alarms_of(seen, node.config, {"": 1e6}) == []
    node.close()


def test_queues_that_stand_still(node: Scene) -> None:
    now = [0.0]
    stillness = Stillness(clock=lambda: now[0])

    def look(after_s: float = 100.0) -> dict[str, float]:
        now[0] += after_s
        return stillness.look(overview(node.ledger, node.config))

    assert look() == {}
    node.score(1)
    assert look() == {"PACS": 0.0}
    assert look() == {"PACS": 100.0}
    claim = node.ledger.claim_delivery("sender", "PACS")
    assert claim
    node.ledger.done(claim)
    assert look() == {"PACS": 0.0}  # it moves
    node.settle(2)
    assert look() == {"": 0.0, "PACS": 100.0}
    assert look() == {"": 100.0, "PACS": 200.0}
    node.deliver()
    assert look() == {"": 200.0}


def test_the_text_of_a_message() -> None:
    message = Message(new=("a. b.",), still=(), over=("c",))
    assert message.text("https://node") == "New:\n- a. b.\n\nOver:\n- c\n\nSee https://node\n"
    assert message.text("") == "New:\n- a. b.\n\nOver:\n- c\n"
