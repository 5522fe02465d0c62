"""A node whose clock jumps by days, forth and back, while it works: nothing waits for a time that does not come."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from ctacal.jobs.node.ledger import DeliveryState
from tests.node.cameras import Got, pacs
from tests.node.running import NodeFolder, free_port, wait_until
from tests.node.studies import small_study, write

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

PACS = """
[[destination]]
name = "PACS"
kind = "dicom"
ae_title = "PACS"
host = "127.0.0.1"
port = {pacs}
retry_s = 0.5
longest_retry_s = 2.0
"""


JUMPING = """
import datetime, time
from pathlib import Path

true_ns, file = time.time_ns, Path({file!r})
time.time_ns = lambda: true_ns() + int(file.read_text()) * 10**9
time.time = lambda: time.time_ns() / 1e9

class Jumping(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(time.time(), tz)

datetime.datetime = Jumping
"""
"""What Python runs before a program. (libfaketime makes ``time.sleep`` fail.)"""


@dataclass(frozen=True)
class Clock:
    """The wall clock of the nodes that a test starts; their monotonic clock goes on, as on a real machine."""

    file: Path

    def set(self, days: int) -> None:
        """Set it to the true time and so many days."""
        new = self.file.with_suffix(".new")
        new.write_text(f"{days * 86400}\n")
        new.replace(self.file)


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock that can jump."""
    clock = Clock(tmp_path / "clock")
    clock.set(0)
    (tmp_path / "jumping").mkdir()
    (tmp_path / "jumping" / "sitecustomize.py").write_text(JUMPING.format(file=str(clock.file)))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "jumping"))
    return clock


def sent(node: NodeFolder, folder: Path, number: int) -> str:
    """Send a study; returns its UID."""
    study_uid = f"1.2.826.0.1.3680043.8.498.9.{number}"
    images = small_study(study_uid)
    files = [write(image, folder / study_uid / f"{image.InstanceNumber}.dcm") for image in images]
    assert node.send(files).returncode == 0
    return study_uid


def test_studies_come_through_whatever_the_clock_does(tmp_path: Path, clock: Clock) -> None:
    got = Got()
    with pacs(got) as peer:
        node = NodeFolder.made(tmp_path / "node", PACS.replace("{pacs}", str(peer.port)))
        with node.started() as running:
            for number, offset_days in enumerate((0, 1, -1, 400, -400)):
                study_uid = sent(node, tmp_path / "export", number)
                clock.set(offset_days)
                study = node.finished(study_uid)
                assert study.state == "SCORED"
                assert len(got.objects[study_uid]) == 2
            assert running.stop() == 0
        with node.ledger() as ledger:
            ledger.check()
            days = {study.scored_at[:10] for study in ledger.studies()}
    assert len(days) == 5, "the clock did not jump"


def test_what_waits_for_a_pacs_does_not_wait_for_a_clock_that_was_set_back(tmp_path: Path, clock: Clock) -> None:
    got, port = Got(), free_port()
    node = NodeFolder.made(tmp_path / "node", PACS.replace("{pacs}", str(port)))
    clock.set(1)
    with node.started(), node.ledger() as ledger:
        study_uid = sent(node, tmp_path / "export", 1)
        wait_until(lambda: "no connection" in str(ledger.deliveries(study_uid)), "a failed attempt")
        clock.set(-1)
        with pacs(got, port=port):
            node.finished(study_uid)
            assert {one.state for one in ledger.deliveries(study_uid)} == {DeliveryState.DONE}
    assert len(got.objects[study_uid]) == 2
