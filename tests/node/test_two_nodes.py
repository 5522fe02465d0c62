"""Two whole nodes, each with a store of its own, on one PostgreSQL: neither touches the other's work, whatever dies."""

import signal
from pathlib import Path

import pytest

from tests.node.cameras import Got
from tests.node.running import FOLDER, NODE, NodeFolder, wait_until
from tests.node.studies import small_study, write
from tests.postgres import new_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def study_files(folder: Path, number: int) -> tuple[str, list[Path]]:
    """Return a study of its own, as files."""
    study_uid = f"1.2.826.0.1.3680043.8.498.8.{number}"
    images = small_study(study_uid)
    return study_uid, [write(image, folder / study_uid / f"{image.InstanceNumber}.dcm") for image in images]


def node_on(url: str, folder: Path) -> NodeFolder:
    quick = "retry_s = 0.2\nlongest_retry_s = 1.0\n"
    return NodeFolder.made(folder, FOLDER + quick, NODE.replace("[receive]", f'database = "{url}"\n[receive]', 1))


def check_once(node: NodeFolder, study_uids: list[str]) -> None:
    """Check that a node has scored and delivered exactly these studies, each once."""
    out = Got.in_folder(node.folder / "out")
    with node.ledger() as ledger:
        assert sorted(study.study_uid for study in ledger.studies()) == sorted(study_uids)
        for study_uid in study_uids:
            scored = [one for one in ledger.audit.records(study_uid=study_uid) if one.content["what"] == "scored"]
            deliveries = ledger.deliveries(study_uid)
            assert len(scored) == 1
            assert sorted((one.kind, one.state.value) for one in deliveries) == [("seg", "DONE"), ("sr", "DONE")]
            assert out.objects[study_uid].keys() == {one.sop_instance_uid for one in deliveries}
        assert not ledger.claims()
        ledger.check()
    assert sorted(out.objects) == sorted(study_uids)


def test_one_goes_on_while_the_other_is_dead_and_while_the_database_was_away(tmp_path: Path) -> None:
    studies = [study_files(tmp_path / "export", number) for number in range(5)]
    uids = [study_uid for study_uid, _ in studies]
    with new_server() as database:
        first, second = node_on(database.url, tmp_path / "first"), node_on(database.url, tmp_path / "second")
        with second.starting() as living:
            with first.started() as dying:  # both make the tables, at the same time
                second.wait_for_port()
                assert first.send(studies[0][1]).returncode == 0
                with first.ledger() as ledger:
                    wait_until(ledger.claims, "a claim of the first node")
                    dying.kill("supervisor")
                assert second.send(studies[0][1]).returncode == 0  # the same study: it is another in another store
            second.finished(uids[0])
            check_once(second, uids[:1])
            assert first.send(studies[1][1]).returncode != 0
            with first.started():
                first.finished(uids[0])
                database.stop(signal.SIGQUIT)
                assert first.send(studies[1][1]).returncode == 0  # kept, though the ledger is away
                assert second.send(studies[2][1]).returncode == 0
                database.start()
                for node, study_uid in ((first, uids[1]), (second, uids[2])):
                    with node.ledger() as ledger:
                        wait_until(lambda ledger=ledger, uid=study_uid: ledger.study(uid), "news")  # type: ignore[misc]
                    assert node.finished(study_uid).state == "SCORED"
            assert living.stop() == 0
        check_once(first, uids[:2])
        check_once(second, [uids[0], uids[2]])
