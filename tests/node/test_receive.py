"""What real senders send lies in the store as they sent it; what cannot be kept is answered with its status."""

import io
import os
import socket
import time
from pathlib import Path

import pytest
import raw_peer
from pydicom import Dataset, dcmread
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)
from pynetdicom.dimse_primitives import C_STORE
from raw_peer import RawPeer

from ctacal.jobs.node.intake import transfer_syntaxes
from ctacal.node.receiver import DUPLICATE
from tests.dicom_series import emission_image, encoded, enhanced_ct, write_files
from tests.node.receiving import (
    EXPLICIT,
    STUDY,
    Receiving,
    associated,
    call,
    receiving,
    said,
    same_data_sets,
    send,
    study,
    study_folder,
    wait_until,
)

pytestmark = pytest.mark.slow
CT = "1.2.840.10008.5.1.4.1.1.2"


def store_request(image: Dataset, content: bytes | None = None, **uids: str) -> C_STORE:
    """A C-STORE whose parts need not agree."""
    request = C_STORE()
    request.MessageID, request.Priority = 1, 2
    request.AffectedSOPClassUID = UID(uids.get("sop_class", image.SOPClassUID))
    request._affected_sop_instance_uid = UID(uids.get("sop_instance", image.SOPInstanceUID))
    request.DataSet = io.BytesIO(data_set(image) if content is None else content)
    return request


def data_set(image: Dataset, syntax: str = EXPLICIT) -> bytes:
    content = encoded(image, syntax)
    return content[144 + int.from_bytes(content[140:144], "little") :]


def test_a_study_from_storescu_lies_in_the_store_byte_by_byte(tmp_path: Path) -> None:
    images = study()
    sent = study_folder(tmp_path / "sent", images)
    with receiving(tmp_path / "store") as node:
        done = call("storescu", node.port, sent)
        assert done.returncode == 0, said(done)
        assert same_data_sets(sent, node.store)  # at once: they were acknowledged
        stored = {image.SOPInstanceUID: image for image in map(dcmread, node.store.received(STUDY))}
        assert all(stored[image.SOPInstanceUID] == image for image in images)
        node.await_audit("association")
        assert node.ledger.objects(STUDY) == len(images)
    (record,) = node.audited("association")
    assert record["source"] == "STORESCU@127.0.0.1"
    assert record["outcome"] == "released"
    assert record["objects"] == {"kept": len(images)}
    assert record["studies"] == [STUDY]


def test_a_study_that_comes_again_changes_nothing(tmp_path: Path) -> None:
    sent = study_folder(tmp_path / "sent", study())
    with receiving(tmp_path / "store") as node:
        call("storescu", node.port, sent)
        before = [(path, path.stat().st_ino, path.stat().st_mtime_ns) for path in node.store.received(STUDY)]
        assert call("storescu", node.port, sent).returncode == 0
        after = [(path, path.stat().st_ino, path.stat().st_mtime_ns) for path in node.store.received(STUDY)]
        assert after == before
        assert node.await_audit("association", 2)[1]["objects"] == {"known": 8}
        assert node.ledger.objects(STUDY) == 8


def test_other_bytes_under_a_known_uid_are_answered_as_a_failure_and_alarm(tmp_path: Path) -> None:
    first, *_ = study()
    with receiving(tmp_path / "store") as node:
        call("storescu", node.port, study_folder(tmp_path / "first", [first]))
        first.PatientID = "other"
        done = call("storescu", node.port, "-d", study_folder(tmp_path / "second", [first]))
        assert f"0x{DUPLICATE:04x}" in said(done)
        assert "other content is stored under this SOP Instance UID" in said(done)
        (stored,) = node.store.received(STUDY)
        assert dcmread(stored).PatientID != "other"
        (aside,) = (node.store.folder / "aside" / STUDY).iterdir()
        assert dcmread(aside).PatientID == "other"
        (alarm,) = node.await_audit("object set aside")
        assert (alarm["study_uid"], alarm["sop_instance_uid"]) == (STUDY, first.SOPInstanceUID)
        assert "other" not in str(alarm.values())


@pytest.mark.parametrize(
    "syntax",
    [
        DeflatedExplicitVRLittleEndian,
        RLELossless,
        JPEGLosslessSV1,
        JPEGLSLossless,
        JPEG2000Lossless,
    ],
)
def test_dcmsend_sends_files_as_they_are_compressed(tmp_path: Path, syntax: str) -> None:
    images = study(3)
    sent = study_folder(tmp_path / "sent", images, syntax)
    with receiving(tmp_path / "store") as node:
        done = call("dcmsend", node.port, "--decompress-never", sent)
        assert done.returncode == 0, said(done)
        stored = [dcmread(path) for path in node.store.received(STUDY)]
        assert {image.file_meta.TransferSyntaxUID for image in stored} == {syntax}
        if syntax != DeflatedExplicitVRLittleEndian:  # which DCMTK packs itself
            assert same_data_sets(sent, node.store)
        by_uid = {image.SOPInstanceUID: image for image in stored}
        assert all((by_uid[image.SOPInstanceUID].pixel_array == image_pixels(image)).all() for image in images)


def image_pixels(image: Dataset) -> object:
    return dcmread(io.BytesIO(encoded(image))).pixel_array


@pytest.mark.parametrize("syntax", transfer_syntaxes(CT))
def test_every_transfer_syntax_in_which_a_ct_is_read_is_accepted(tmp_path: Path, syntax: str) -> None:
    """Also those that DCMTK does not know; the pixels stay as they are, because nothing decodes them here."""
    image = study(1)[0]
    usual = syntax if syntax in (ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian) else ""
    content = data_set(image, usual or EXPLICIT)
    with receiving(tmp_path / "store") as node:
        with associated(node.port, (CT, syntax)) as association:
            assert send(association, store_request(image, content)) == 0x0000
        (stored,) = node.store.received(STUDY)
        assert stored.read_bytes().endswith(content)
        assert dcmread(stored).file_meta.TransferSyntaxUID == syntax


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.110", "1.2.3.4"])
def test_a_transfer_syntax_in_which_no_ct_is_read_is_not(tmp_path: Path, syntax: str) -> None:
    with (
        receiving(tmp_path / "store") as node,
        associated(node.port, (CT, syntax), ("1.2.840.10008.1.1", EXPLICIT)) as association,
    ):
        assert [context.result for context in association.rejected_contexts] == [4]


def test_all_that_such_a_study_holds_is_kept(tmp_path: Path) -> None:
    images = [*study(2), enhanced_ct(study(3)), emission_image("NM"), emission_image("PT", name="pet")]
    for number, sop_class in enumerate(("1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.88.22")):
        other = study(1)[0]
        other.SOPClassUID, other.SOPInstanceUID = sop_class, f"1.2.3.{number}"
        images.append(other)
    for image in images:
        image.StudyInstanceUID = STUDY
    sent = write_files(tmp_path / "sent", map(encoded, images))
    with receiving(tmp_path / "store") as node:
        done = call("dcmsend", node.port, sent)
        assert done.returncode == 0, said(done)
        assert same_data_sets(sent, node.store)


def test_a_private_class_is_kept(tmp_path: Path) -> None:
    image = study(1)[0]
    image.SOPClassUID = "1.3.12.2.1107.5.9.1"
    with receiving(tmp_path / "store") as node:
        with associated(node.port, (image.SOPClassUID, EXPLICIT)) as association:
            assert send(association, store_request(image)) == 0x0000
        assert len(node.store.received(STUDY)) == 1


@pytest.mark.filterwarnings("ignore:.* UI:UserWarning")  # pydicom warns of such UIDs
def test_uids_whose_components_begin_with_zero_are_taken_as_they_are(tmp_path: Path) -> None:
    images = study(2, study_uid="1.2.0840.07")
    for number, image in enumerate(images):
        image.SOPInstanceUID = f"1.2.003.0{number}"
    sent = study_folder(tmp_path / "sent", images)
    with receiving(tmp_path / "store") as node:
        assert call("storescu", node.port, sent).returncode == 0
        assert same_data_sets(sent, node.store, "1.2.0840.07")
        assert node.store.studies() == ("1.2.0840.07",)
        wait_until(lambda: node.ledger.objects("1.2.0840.07") == 2, "the ledger")


def test_echo(tmp_path: Path) -> None:
    with receiving(tmp_path / "store") as node:
        assert call("echoscu", node.port).returncode == 0
        assert node.await_audit("association")[0]["objects"] == {"echo": 1}


@pytest.mark.filterwarnings("ignore:.* UI:UserWarning")  # pydicom warns of such UIDs
@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"sop_instance": "../../../1.2.3"}, 0x0117),
        ({"sop_instance": "1.2/3"}, 0x0117),
        ({"sop_instance": "1.2\0003"}, 0x0117),
        ({"sop_instance": "1.2.abc"}, 0x0117),
        ({"sop_instance": "1." + "2" * 63}, -1),  # pynetdicom ends the association
        ({"sop_instance": "1.2."}, 0x0117),
        ({"sop_instance": "1.2.3"}, 0xC118),
        ({"sop_class": "1.2.840.10008.5.1.4.1.1.20"}, 0xA900),
        ({"content": os.urandom(2000)}, None),
        ({"content": data_set(study(1)[0])[:300]}, 0x0117),
        ({"content": data_set(study(1)[0]).replace(STUDY.encode(), b"../../../1.2.3\0")}, 0x0117),
    ],
)
def test_what_is_wrong_is_answered_with_its_status_and_lies_nowhere(
    tmp_path: Path, changes: dict[str, object], status: int | None
) -> None:
    image = study(1)[0]
    (tmp_path / "around").mkdir()
    with receiving(tmp_path / "around" / "store") as node:
        with associated(node.port, (CT, EXPLICIT)) as association:
            answer = send(association, store_request(image, **changes))  # type: ignore[arg-type]
        assert answer == status if status is not None else answer in (0x0117, 0xC000)
        node.await_audit("association")
        assert_nothing_lies_in(node, tmp_path)


def test_an_object_that_is_too_large_is_refused_for_good(tmp_path: Path) -> None:
    image = study(1, side=512)[0]
    with receiving(tmp_path / "store", largest_object_mb=0.5) as node:
        with associated(node.port, (CT, EXPLICIT)) as association:
            assert send(association, store_request(image)) == 0xC113
            assert send(association, store_request(study(1, name="small")[0])) == 0x0000
        assert len(node.store.received(STUDY)) == 1


def test_a_deflated_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctacal.dicom.files.archive.MAX_INFLATED_BYTES", 10 * 2**20)
    image = study(1)[0]
    image.PixelData = bytes(11 * 2**20)
    bomb = data_set(image, DeflatedExplicitVRLittleEndian)
    assert len(bomb) < 10**5
    with receiving(tmp_path / "store") as node:
        with associated(node.port, (CT, DeflatedExplicitVRLittleEndian)) as association:
            assert send(association, store_request(image, bomb)) == 0xC113
        assert_nothing_lies_in(node, tmp_path)


def assert_nothing_lies_in(node: Receiving, folder: Path) -> None:
    found = {path.name for path in folder.rglob("*") if path.is_file()}
    assert found <= {"id", "ledger.sqlite", "ledger.sqlite-journal"}
    assert list((node.store.folder / "incoming").iterdir()) == []


def test_a_clock_that_jumps_ends_no_association(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither ours nor those of pynetdicom: all waiting is measured by the monotonic clock, or not at all."""
    real, images = time.time, study(3)
    with receiving(tmp_path / "store") as node:
        with RawPeer(node.port, CT) as peer:
            for image, hours in zip(images, (0, 100, -100), strict=True):
                monkeypatch.setattr(time, "time", lambda hours=hours: real() + 3600 * hours)
                time.sleep(0.6)  # two turns of whoever watches
                assert peer.status(raw_peer.store_request(1, CT, image.SOPInstanceUID, data_set(image))) == 0x0000
            monkeypatch.undo()
        assert node.await_audit("association")[0]["outcome"] == "released"


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="needs IPv6")
def test_all_addresses_of_both_families(tmp_path: Path) -> None:
    with receiving(tmp_path / "store", host="::") as node:
        assert call("echoscu", node.port).returncode == 0
        assert node.await_audit("association")[0]["source"] == "ECHOSCU@127.0.0.1"
