"""A ledger that was lost or damaged is made again from the store."""

import json
from pathlib import Path

import pytest

from ctacal.jobs.database import DatabaseDamaged
from ctacal.jobs.node.ledger import Ledger, StudyState, open_ledger
from ctacal.jobs.node.ledger_rebuild import Rebuilt, rebuild
from ctacal.jobs.node.store import Store
from tests.jobs.node.ledgers import Ledgers, claimed, outcome, report, scored


def keep(store: Store, study_uid: str, objects: int) -> None:
    for number in range(objects):
        with store.incoming() as file:
            file.write_bytes(bytes([number]))
            store.keep(file, study_uid, f"{study_uid}.{number}")


def write_result(store: Store, study_uid: str, revision: int, content: object) -> None:
    folder = store.results(study_uid, revision)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "result.json").write_text(json.dumps(content))
    (folder / "sr.dcm").touch()


SCORED = {"status": "scored", "reasons": [], "agatston": {"total": 12.5}, "category": "1-100"}
REFUSED = {
    "status": "refused", "reasons": [{"code": "NO_CT_SERIES", "message": "none"}], "agatston": None, "category": None,
}  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "store")
    keep(store, "1.2", 3)
    keep(store, "1.3", 2)
    for revision in (2, 10):
        write_result(store, "1.3", revision, SCORED)
    write_result(store, "1.4", 1, SCORED)
    write_result(store, "1.5", 1, REFUSED)
    write_result(store, "1.6", 4, {"status": "scored"})
    return store


def states(ledger: Ledger) -> dict[str, tuple[StudyState, int, int]]:
    return {row.study_uid: (row.state, row.revision, row.objects) for row in ledger.studies()}


def test_an_empty_ledger_is_made_from_the_store(ledgers: Ledgers, store: Store) -> None:
    ledger = ledgers()
    assert rebuild(ledger, store) == Rebuilt(to_score=2, finished=3)
    assert states(ledger) == {
        "1.2": (StudyState.RECEIVING, 1, 3),
        "1.3": (StudyState.RECEIVING, 11, 2),
        "1.4": (StudyState.SCORED, 1, 0),
        "1.5": (StudyState.REFUSED, 1, 0),
        "1.6": (StudyState.QUARANTINED, 4, 0),
    }
    four, five = ledger.study("1.4"), ledger.study("1.5")
    assert four is not None and (four.agatston, four.category, four.result) == (12.5, "1-100", "results/1.4/1")
    assert five is not None and (five.reason_code, five.reason) == ("NO_CT_SERIES", "none")
    assert rebuild(ledger, store) == Rebuilt(to_score=0, finished=0)


def test_the_newest_report_counts_as_sent(ledgers: Ledgers, store: Store) -> None:
    """A new report names it, or, of the same content, has its UID again."""
    ledger = ledgers()
    rebuild(ledger, store)
    ledger.arrived("1.4", objects=1, source="")
    for arriving in ledger.receiving():
        ledger.settle(arriving.study_uid, arriving.activity)
    claims = {claim.study_uid: claim for claim in (claimed(ledger) for _ in range(3))}
    assert {uid: claim.predecessor for uid, claim in claims.items()} == {
        "1.2": "", "1.3": "results/1.3/10/sr.dcm", "1.4": "results/1.4/1/sr.dcm",
    }  # fmt: skip
    assert claims["1.4"].revision == 2
    assert ledger.scored(claims["1.3"], outcome(), [report("new")])
    assert ledger.rescore("1.3")
    assert claimed(ledger).predecessor == "results/1.3/10/sr.dcm"  # the new one was not sent
    sent = ledger.claim_delivery("sender", "pacs")
    assert sent is None  # as long as a newer result is coming


@pytest.mark.parametrize("meanwhile", [False, True])
def test_objects_that_come_first_do_not_overwrite_results(
    ledgers: Ledgers, store: Store, monkeypatch: pytest.MonkeyPatch, meanwhile: bool
) -> None:
    ledger, listed = ledgers(), store.scored_studies()

    def results() -> dict[str, int]:
        if meanwhile:
            ledger.arrived("1.3", objects=2, source="CAM@10.0.0.1")
        return listed

    monkeypatch.setattr(store, "scored_studies", results)
    if not meanwhile:
        ledger.arrived("1.3", objects=2, source="CAM@10.0.0.1")
    rebuild(ledger, store)
    for arriving in ledger.receiving():
        ledger.settle(arriving.study_uid, arriving.activity)
    (claim,) = [claim for claim in (claimed(ledger), claimed(ledger)) if claim.study_uid == "1.3"]
    assert (claim.revision, claim.predecessor) == (11, "results/1.3/10/sr.dcm")


def test_what_the_ledger_knows_stays(ledgers: Ledgers, store: Store) -> None:
    ledger = ledgers()
    scored(ledger, "1.2", report("sr"))  # of three objects
    scored(ledger, "1.3")  # of three objects: there are two
    before = ledger.study("1.2")
    assert rebuild(ledger, store) == Rebuilt(to_score=0, finished=3)
    write_result(store, "1.2", 1, SCORED)
    assert rebuild(ledger, store) == Rebuilt(to_score=0, finished=0)
    assert ledger.study("1.2") == before
    assert (ledger.objects("1.2"), ledger.objects("1.3")) == (3, 2)


def test_objects_that_a_killed_process_only_said_to_delete_count_again(ledgers: Ledgers, store: Store) -> None:
    ledger = ledgers()
    scored(ledger, "1.2")
    (study,) = ledger.removable(last_before="2028")
    assert ledger.originals_deleted(study)
    rebuild(ledger, store)
    assert (ledger.objects("1.2"), [one.study_uid for one in ledger.receiving()]) == (3, ["1.2", "1.3"])


def test_a_finished_study_of_a_new_ledger_is_not_replaced_by_one_late_object(ledgers: Ledgers, store: Store) -> None:
    write_result(store, "1.4", 1, SCORED | {"study": {"acquisition": {"slices": 40}}})
    ledger = ledgers()
    rebuild(ledger, store)
    ledger.arrived("1.4", objects=39, source="PACS@10.0.0.2")
    assert states(ledger)["1.4"] == (StudyState.SCORED, 1, 39)
    ledger.arrived("1.4", objects=1, source="PACS@10.0.0.2")
    assert states(ledger)["1.4"] == (StudyState.RECEIVING, 2, 40)


def test_a_damaged_ledger_says_how_it_is_made_again(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "ledger.sqlite"
    ledger = open_ledger(path, store.id)
    for number in range(100):
        ledger.audit.append("association accepted", source="CAM@10.0.0.1", number=number)
    ledger.close()
    content = bytearray(path.read_bytes())
    content[len(content) // 2 :] = b"\xa5" * (len(content) - len(content) // 2)
    path.write_bytes(content)
    with pytest.raises(DatabaseDamaged, match=r"ledger\.sqlite: .*move this file away and start the node again"):
        open_ledger(path, store.id).check()
    path.rename(tmp_path / "damaged")
    again = open_ledger(path, store.id)
    assert str(rebuild(again, store)).startswith("2 studies in the store were not in the ledger (they are scored")
    again.check()
    again.close()


def test_a_file_that_is_no_ledger(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").write_bytes(b"x" * 5000)
    with pytest.raises(DatabaseDamaged, match=r"not a database; stop the node"):
        open_ledger(tmp_path / "ledger.sqlite", "store")


def test_a_ledger_on_a_network_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctacal.jobs.node.ledger.network_file_system", lambda path: "nfs4")
    with pytest.raises(Exception, match=r"ledger\.sqlite: SQLite cannot be used on a network file system \(nfs4\)"):
        open_ledger(tmp_path / "ledger.sqlite", "store")
