"""A whole node whose disk becomes full, at any point of a study's way, and free again."""

from pathlib import Path

import pytest

from tests.node.cameras import Got
from tests.node.disks import full, small_disk
from tests.node.running import FOLDER, NODE, NodeFolder, wait_until
from tests.node.studies import small_study, write

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def files_of(folder: Path, number: int) -> tuple[str, list[Path]]:
    study_uid = f"1.2.826.0.1.3680043.8.498.11.{number}"
    images = small_study(study_uid)
    return study_uid, [write(image, folder / study_uid / f"{image.InstanceNumber}.dcm") for image in images]


def test_a_full_disk_delays_and_loses_nothing(tmp_path: Path) -> None:
    """The ledger and the results lie on the disk that is full."""
    (first, images), (second, others) = (files_of(tmp_path / "export", number) for number in (1, 2))
    node = NodeFolder.made(tmp_path / "node", FOLDER, NODE.replace("quiet_s = 0.5", "quiet_s = 2.0"))
    with small_disk(node.config.store, "16m") as disk:
        with node.started() as running:
            assert node.send(images).returncode == 0
            with full(disk):
                assert node.send(others).returncode != 0, "no room, and yet taken"
                wait_until(lambda: " waits " in running.text(), "trouble")
            assert node.finished(first).state == "SCORED"
            assert node.send(others).returncode == 0
            assert node.finished(second).state == "SCORED"
            assert running.stop() == 0
        with node.ledger() as ledger:
            ledger.check()
    out = Got.in_folder(node.folder / "out")
    assert {uid: len(objects) for uid, objects in out.objects.items()} == {first: 2, second: 2}
    assert "Traceback" not in running.text()
