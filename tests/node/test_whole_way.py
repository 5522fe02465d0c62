"""The whole way: a camera sends, the node settles and scores, the results are there once, whatever dies between."""

import json
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread

from ctacal.jobs.node.aside import Decision, decide, shown_aside
from ctacal.jobs.node.ledger import DeliveryState
from ctacal.jobs.node.store import Store
from tests.node.orthanc import need_dicomweb, orthanc
from tests.node.running import NodeFolder, wait_until
from tests.node.studies import PHANTOM_AGATSTON, in_order, phantom, study_uid_of
from tests.tools import dciodvfy_errors

pytestmark = pytest.mark.slow


@pytest.fixture
def export(tmp_path: Path) -> list[Path]:
    """A study of 48 slices, in the order of their numbers."""
    return in_order(phantom(tmp_path / "export"))


@pytest.fixture
def node(tmp_path: Path) -> NodeFolder:
    return NodeFolder.made(tmp_path / "node")


def reports(folder: Path, modality: str) -> list[Path]:
    """Return the delivered objects of a modality, the oldest first."""
    found = [file for file in folder.rglob("*.dcm") if dcmread(file, stop_before_pixels=True).Modality == modality]
    return sorted(found, key=lambda file: file.stat().st_mtime_ns)


def test_a_study_from_the_camera_to_a_folder(node: NodeFolder, export: list[Path]) -> None:
    study_uid = study_uid_of(export)
    with node.started() as running:
        assert node.send(export).returncode == 0
        study = node.finished(study_uid)
        assert (study.state, study.objects, study.sources) == ("SCORED", 48, ("CAM@127.0.0.1",))
        assert study.agatston == pytest.approx(PHANTOM_AGATSTON, rel=0.2)
        (seg,), (report,) = reports(node.folder / "out", "SEG"), reports(node.folder / "out", "SR")
        assert dcmread(report).StudyInstanceUID == study_uid
        assert dcmread(report).PatientName == dcmread(export[0]).PatientName
        assert not dciodvfy_errors(seg) and not dciodvfy_errors(report)
        assert running.stop() == 0
    assert "Traceback" not in running.text()
    assert "alarm" not in running.text().replace("started=alarms", "")
    assert str(dcmread(export[0]).PatientName) not in running.text()


def test_late_slices_lead_to_a_new_result_that_names_the_first(node: NodeFolder, export: list[Path]) -> None:
    study_uid = study_uid_of(export)
    with node.started():
        assert node.send(export[:44]).returncode == 0
        assert node.finished(study_uid).state == "SCORED"
        assert node.send(export[44:]).returncode == 0
        assert node.finished(study_uid, revision=2).objects == 48
    first, second = (dcmread(file) for file in reports(node.folder / "out", "SR"))
    assert first.SOPInstanceUID != second.SOPInstanceUID
    (study,) = second.PredecessorDocumentsSequence
    ((named,),) = (series.ReferencedSOPSequence for series in study.ReferencedSeriesSequence)
    assert named.ReferencedSOPInstanceUID == first.SOPInstanceUID
    assert len(reports(node.folder / "out", "SEG")) == 2


def test_an_object_set_aside_can_take_the_place_of_the_first(node: NodeFolder, export: list[Path]) -> None:
    """The study is scored again, from the new object, and its report names the one before."""
    study_uid = study_uid_of(export)
    changed = dcmread(export[20])
    changed.decompress(generate_instance_uid=False)
    changed.PixelData = changed.pixel_array.clip(max=1000).tobytes()
    changed.save_as(other := export[0].parent / "changed.dcm")
    with node.started(), node.ledger() as ledger:
        assert node.send(export).returncode == 0
        node.finished(study_uid)
        node.send([other])
        store = Store(node.config.store)
        (aside,) = shown_aside(store, ledger)
        assert (aside.study_uid, aside.sop_instance_uid) == (study_uid, changed.SOPInstanceUID)
        key = (aside.study_uid, aside.sop_instance_uid, aside.digest)
        assert "scored again" in decide(store, ledger, key, Decision.TAKE, by="anna")
        node.finished(study_uid, revision=2)
        assert shown_aside(store, ledger) == ()
    first, second = (dcmread(file) for file in reports(node.folder / "out", "SR"))
    (study,) = second.PredecessorDocumentsSequence
    ((named,),) = (series.ReferencedSOPSequence for series in study.ReferencedSeriesSequence)
    assert named.ReferencedSOPInstanceUID == first.SOPInstanceUID
    assert dcmread(store.path(study_uid, changed.SOPInstanceUID)).PixelData == changed.PixelData


def test_the_same_study_again_changes_nothing(node: NodeFolder, export: list[Path]) -> None:
    study_uid = study_uid_of(export)
    with node.started():
        assert node.send(export).returncode == 0
        before = node.finished(study_uid)
        assert node.send(export).returncode == 0
        assert node.finished(study_uid) == before
    assert len(reports(node.folder / "out", "SR")) == 1


def test_a_study_with_a_gap_waits_unless_somebody_asks(node: NodeFolder, export: list[Path]) -> None:
    study_uid = study_uid_of(export)
    with node.started() as running, node.ledger() as ledger:
        assert node.send(export[:20] + export[21:]).returncode == 0
        wait_until(lambda: ledger.objects(study_uid) == 47, "arrival of all objects")
        assert [study.study_uid for study in ledger.receiving()] == [study_uid]
        assert ledger.score_now(study_uid)
        study = node.finished(study_uid)
        assert (study.state, study.reason_code) == ("REFUSED", "MISSING_SLICE")
        assert "refused" in running.text()


@pytest.mark.parametrize(
    "part",
    ["receiver", "supervisor", *(pytest.param(part, marks=pytest.mark.ci) for part in ("keeper", "scorer", "sender"))],
)
def test_whatever_is_killed_the_study_comes_through_once(node: NodeFolder, export: list[Path], part: str) -> None:
    study_uid = study_uid_of(export)
    with node.started() as running:
        assert node.send(export[:24]).returncode == 0
        running.kill(part)
        if part != "supervisor":
            node.wait_for_port()
            assert sent_at_last(node, export[24:])
            finished_once(node, study_uid)
            return
    with node.started():
        assert sent_at_last(node, export[24:])
        finished_once(node, study_uid)


def sent_at_last(node: NodeFolder, files: list[Path]) -> bool:
    """Send as a camera does that tries again: what was acknowledged before is known."""
    return wait_until(lambda: node.send(files).returncode == 0, "a receiver that takes all")


def finished_once(node: NodeFolder, study_uid: str) -> None:
    """Wait for the result of all 48 slices, and check that nothing is there twice."""
    with node.ledger() as ledger:
        wait_until(lambda: ledger.objects(study_uid) == 48, "all objects")
        wait_until(lambda: node.finished(study_uid).objects == 48, "a result of all slices")
        study = node.finished(study_uid)
        assert study.state == "SCORED"
        deliveries = [one for one in ledger.deliveries(study_uid) if one.state is DeliveryState.DONE]
    files = [dcmread(file).SOPInstanceUID for file in (node.folder / "out").rglob("*.dcm")]
    assert sorted(files) == sorted(one.sop_instance_uid for one in deliveries)
    newest = [one for one in deliveries if one.revision == study.revision]
    assert sorted(one.kind for one in newest) == ["seg", "sr"]


def test_a_node_that_was_killed_while_it_scored_goes_on_where_it_was(node: NodeFolder, export: list[Path]) -> None:
    study_uid = study_uid_of(export)
    with node.started() as running, node.ledger() as ledger:
        assert node.send(export).returncode == 0
        wait_until(ledger.claims, "a claim")
        running.kill("supervisor")
    with node.started():
        assert node.finished(study_uid).state == "SCORED"
    assert len(reports(node.folder / "out", "SR")) == 1


def test_results_reach_a_pacs_that_was_away(tmp_path: Path, export: list[Path]) -> None:
    study_uid = study_uid_of(export)
    web = need_dicomweb()
    with orthanc(tmp_path / "pacs") as pacs:
        port = pacs.dicom_port
    destination = f"""
[[destination]]
name = "pacs"
kind = "dicom"
ae_title = "PACS"
host = "127.0.0.1"
port = {port}
retry_s = 0.5
longest_retry_s = 1.0
timeout_s = 10.0
"""
    node = NodeFolder.made(tmp_path / "node", more=destination)
    with node.started() as running, node.ledger() as ledger:
        assert node.send(export).returncode == 0
        wait_until(lambda: "no connection" in str(ledger.deliveries(study_uid)), "a failed attempt")
        with orthanc(tmp_path / "pacs", Plugins=[web], DicomWeb={"Enable": True}) as pacs:
            assert node.finished(study_uid).state == "SCORED"
            found = pacs.json(f"/dicom-web/studies/{study_uid}/series")  # QIDO-RS
            assert sorted(series["00080060"]["Value"][0] for series in found) == ["SEG", "SR"]
            (report,) = pacs.instances(study_uid, "SR")
            stored = ledger.study(study_uid)
            assert stored is not None
            written = dcmread(node.config.store / stored.result / "sr.dcm")
            assert dcmread(BytesIO(pacs.content(report))) == written  # their file meta information differs
        assert running.stop() == 0


def test_the_log_is_json_if_that_is_wanted(tmp_path: Path) -> None:
    node = NodeFolder.made(tmp_path / "node", more='[log]\nformat = "json"\n')
    with node.started() as running:
        assert running.stop() == 0
    lines = [json.loads(line) for line in running.text().splitlines()]
    assert {"node starts", "part starts", "receiver listens", "node stopped"} <= {line["event"] for line in lines}
    assert all({"time", "part", "level"} <= set(line) for line in lines)
