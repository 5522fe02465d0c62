"""Objects are kept as they came, or refused with the true reason; whatever a sender claims, nothing lies elsewhere."""

import io
import os
import subprocess
import zlib
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from ctacal.dicom.files import archive
from ctacal.dicom.pixel_data.transfer_syntaxes import TRANSFER_SYNTAXES
from ctacal.jobs.node.intake import (
    IncomingObject,
    Limits,
    Refused,
    Request,
    Taken,
    Why,
    is_storage,
    keep_object,
    transfer_syntaxes,
)
from ctacal.jobs.node.store import Placed, Store
from tests.dicom_series import ct_series, emission_image, enhanced_ct

LIMITS = Limits(largest_object_mb=10, reserve_mb=0, reserve_percent=0)
STUDY = "1.2.826.0.1.99"
CT, SECOND, *_ = ct_series(StudyInstanceUID=STUDY)
HOSTILE = ["../../1.2", "1.2/3", "1.2.abc", "1.2\0003", "1." + "2" * 63, "1.2 3", "..", "01"]
CT_SYNTAXES = transfer_syntaxes(CT.SOPClassUID)


def encoded(image: Dataset, syntax: str = ExplicitVRLittleEndian) -> bytes:
    """The data set as it travels; pixels of compressed syntaxes stay as they are, because nothing decodes them here."""
    uid = UID(syntax)
    known = uid.is_transfer_syntax and not uid.is_private
    buffer = DicomBytesIO()
    buffer.is_implicit_VR = known and uid.is_implicit_VR
    buffer.is_little_endian = not known or uid.is_little_endian
    write_dataset(buffer, image)
    content = buffer.getvalue()
    return deflated(content) if uid == DeflatedExplicitVRLittleEndian else content


def deflated(content: bytes) -> bytes:
    deflater = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    return deflater.compress(content) + deflater.flush()


def with_uid(content: bytes, begin: bytes, uid: str) -> bytes:
    """The data set with another UID in an element, which pydicom would not write."""
    at = content.index(begin) + len(begin)
    end = at + 2 + int.from_bytes(content[at : at + 2], "little")
    value = uid.encode() + b"\0" * (len(uid) % 2)
    return content[:at] + len(value).to_bytes(2, "little") + value + content[end:]


def request_for(image: Dataset, syntax: str = ExplicitVRLittleEndian) -> Request:
    return Request(
        sop_class_uid=str(image.SOPClassUID), sop_instance_uid=str(image.SOPInstanceUID), transfer_syntax_uid=syntax
    )


def receive(store: Store, request: Request, content: bytes, limits: Limits = LIMITS) -> Taken | Refused:
    with IncomingObject(store, limits, request) as incoming:
        for start in range(0, len(content), 1000):
            incoming.write(content[start : start + 1000])
        return incoming.finish()


def in_file(image: Dataset, **meta: object) -> bytes:
    """A DICOM file as another program writes it."""
    image = deepcopy(image)
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID, image.file_meta.ImplementationClassUID = ExplicitVRLittleEndian, UID("1.2.3")
    image.file_meta.SourceApplicationEntityTitle = "CAMERA"
    image.preamble = b"II*\0" + bytes(124)  # as TIFF
    for keyword, value in meta.items():
        setattr(image.file_meta, keyword, value)
    buffer = io.BytesIO()
    image.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def files(store: Store) -> list[str]:
    found = [path for path in store.folder.parent.rglob("*") if path.is_file()]
    return sorted(str(path.relative_to(store.folder)) for path in found if path.name != "id")


def unread(path: Path) -> list[int]:
    """Return what only changes if a file is written, linked or replaced; to compare it with another is to read it."""
    found = path.stat()
    return [found.st_ino, found.st_nlink, found.st_size, found.st_mtime_ns, found.st_ctime_ns]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "around" / "store")


@pytest.mark.parametrize("syntax", CT_SYNTAXES)
def test_a_ct_is_kept_byte_by_byte_in_every_transfer_syntax_that_is_read(store: Store, syntax: str) -> None:
    content = encoded(CT, syntax)
    taken = receive(store, request_for(CT, syntax), content)
    assert taken == Taken(
        placed=Placed.KEPT,
        study_uid=STUDY,
        sop_class_uid=CT.SOPClassUID,
        sop_instance_uid=CT.SOPInstanceUID,
    )
    (path,) = store.received(STUDY)
    assert path.read_bytes().endswith(content)
    image = dcmread(path)
    assert image.file_meta.TransferSyntaxUID == syntax
    assert image.file_meta.MediaStorageSOPInstanceUID == image.SOPInstanceUID == CT.SOPInstanceUID
    assert image.PixelData == CT.PixelData


def test_every_class_that_a_study_may_hold_is_kept(store: Store) -> None:
    images = [CT, SECOND, enhanced_ct(ct_series()), emission_image("NM"), emission_image("PT", name="pet")]
    for number, sop_class in enumerate(("1.2.840.10008.5.1.4.1.1.7", "1.3.12.2.1107.5.9.1")):
        other = deepcopy(CT)
        other.SOPClassUID, other.SOPInstanceUID = sop_class, f"1.2.3.{number}"
        images.append(other)
    for image in images:
        image.StudyInstanceUID = STUDY
        assert isinstance(receive(store, request_for(image), encoded(image)), Taken)
    assert len(store.received(STUDY)) == len(images)


@pytest.mark.parametrize("by_file", [False, True])
def test_the_same_object_by_another_way_changes_nothing(store: Store, by_file: bool) -> None:
    receive(store, request_for(CT), encoded(CT))
    before = unread(store.received(STUDY)[0])
    taken = keep_object(store, LIMITS, io.BytesIO(in_file(CT))) if by_file else receive(
        store, request_for(CT), encoded(CT)
    )  # fmt: skip
    assert isinstance(taken, Taken)
    assert taken.placed is Placed.KNOWN
    assert unread(store.received(STUDY)[0]) == before


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_other_bytes_or_another_syntax_under_a_known_uid_are_set_aside(store: Store, syntax: str) -> None:
    receive(store, request_for(CT), encoded(CT))
    other = deepcopy(CT)
    if syntax == ExplicitVRLittleEndian:
        other.PatientName = "Other^Name"
    taken = receive(store, request_for(CT, syntax), encoded(other, syntax))
    assert isinstance(taken, Taken)
    assert taken.placed is Placed.ASIDE
    assert dcmread(store.received(STUDY)[0]).PatientName == CT.PatientName
    assert len(files(store)) == 2


def refusals() -> Iterator[tuple[str, Request, bytes, Why, str]]:
    usual = request_for(CT), encoded(CT)
    for uid in HOSTILE:
        hostile = with_uid(usual[1], b"\x08\0\x18\0UI", uid)
        yield f"request {uid!r}", replace(usual[0], sop_instance_uid=uid), usual[1], Why.INVALID_UID, "SOP Instance UID"
        study = with_uid(usual[1], b"\x20\0\x0d\0UI", uid)
        yield f"study {uid!r}", usual[0], study, Why.INVALID_UID, "Study Instance UID"
        yield f"both {uid!r}", replace(usual[0], sop_instance_uid=uid), hostile, Why.INVALID_UID, "SOP Instance UID"
    without = deepcopy(CT)
    del without.StudyInstanceUID
    yield "no study", usual[0], encoded(without), Why.INVALID_UID, "Study Instance UID is missing"
    yield "instance", replace(usual[0], sop_instance_uid="1.2.3"), usual[1], Why.OTHER_INSTANCE, "another SOP Instance"
    nm = str(emission_image("NM").SOPClassUID)
    yield "class", replace(usual[0], sop_class_uid=nm), usual[1], Why.OTHER_CLASS, "another SOP class"
    echo = replace(usual[0], sop_class_uid="1.2.840.10008.1.1")
    yield "echo", echo, usual[1], Why.NOT_STORED, "Verification SOP Class is no object"
    for syntax in ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.110", "1.2.3", ""):
        yield f"syntax {syntax}", replace(usual[0], transfer_syntax_uid=syntax), usual[1], Why.SYNTAX, "is not read"
    yield "nothing", usual[0], b"", Why.INVALID_UID, "is missing"
    yield "noise", usual[0], os.urandom(5000), Why.INVALID_UID, ""
    yield "large", usual[0], usual[1] + bytes(11 * 10**6), Why.TOO_LARGE, "larger than 10 MB"
    not_deflated = replace(usual[0], transfer_syntax_uid=str(DeflatedExplicitVRLittleEndian))
    yield "not deflated", not_deflated, b"\xff" * 500, Why.UNREADABLE, "cannot be read"
    long_uid = b"\x08\0\x18\0" + (2**31).to_bytes(4, "little") + bytes(100)
    implicit = replace(usual[0], transfer_syntax_uid=str(ImplicitVRLittleEndian))
    yield "length", implicit, long_uid, Why.UNREADABLE, "cannot be read"
    deep = (b"\x08\0\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff") * 20000
    yield "deep", usual[0], deep, Why.UNREADABLE, "cannot be read"


@pytest.mark.parametrize(
    ("request_", "content", "why", "words"), [pytest.param(*rest, id=name) for name, *rest in refusals()]
)
def test_what_is_wrong_is_refused_and_leaves_nothing(
    store: Store, request_: Request, content: bytes, why: Why, words: str
) -> None:
    refused = receive(store, request_, content)
    assert isinstance(refused, Refused)
    assert refused.why in (why, Why.UNREADABLE) if not words else refused.why is why
    assert words in refused.message
    assert files(store) == []
    assert list((store.folder / "incoming").iterdir()) == []


def test_a_deflated_bomb_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small data set that inflates to more than is allowed, with a good header."""
    monkeypatch.setattr(archive, "MAX_INFLATED_BYTES", 20 * 2**20)
    bomb = deflated(encoded(CT) + bytes(20 * 2**20))
    assert len(bomb) < 10**5
    refused = receive(store, request_for(CT, DeflatedExplicitVRLittleEndian), bomb)
    assert isinstance(refused, Refused)
    assert refused.why is Why.TOO_LARGE
    assert "inflates to more than" in refused.message
    assert files(store) == []


def test_below_the_reserve_nothing_is_kept_until_there_is_room(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    room = [True]
    monkeypatch.setattr(Store, "has_room", lambda *_, **__: room[0])
    with IncomingObject(store, LIMITS, request_for(CT)) as incoming:
        incoming.write(encoded(CT))
        room[0] = False
        incoming.write(b"more")
        refused = incoming.finish()
    assert isinstance(refused, Refused)
    assert refused.why is Why.NO_ROOM
    assert isinstance(receive(store, request_for(CT), encoded(CT)), Refused)
    assert files(store) == []
    room[0] = True
    assert isinstance(receive(store, request_for(CT), encoded(CT)), Taken)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="mounts a file system, which needs root")
def test_a_full_disk_refuses_for_the_moment(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", disk], check=False)
    if mounted.returncode:
        pytest.skip("mounts are not allowed here")
    try:
        store = Store(disk / "store")
        filling = disk / "filling"
        filling.write_bytes(bytes(2**20 - len(encoded(CT)) // 2 - 8 * 4096))
        with IncomingObject(store, LIMITS, request_for(CT)) as incoming:
            for _ in range(100):
                incoming.write(encoded(CT))
            refused = incoming.finish()
        assert isinstance(refused, Refused)
        assert refused.why is Why.NO_ROOM
        assert "No space left on device" in refused.message
        assert store.studies() == ()
        filling.unlink()
        assert isinstance(receive(store, request_for(CT), encoded(CT)), Taken)
    finally:
        subprocess.run(["umount", disk], check=True)


def test_an_object_that_breaks_off_leaves_nothing(store: Store) -> None:
    with IncomingObject(store, LIMITS, request_for(CT)) as incoming:
        incoming.write(encoded(CT)[:2000])
    assert list((store.folder / "incoming").iterdir()) == []
    assert store.studies() == ()


def test_a_file_is_kept_without_what_its_writer_put_around_the_data_set(store: Store) -> None:
    taken = keep_object(store, LIMITS, io.BytesIO(in_file(CT, PrivateInformationCreatorUID="1.2.3")))
    assert isinstance(taken, Taken)
    (path,) = store.received(STUDY)
    assert path.read_bytes().endswith(encoded(CT))
    assert path.read_bytes()[:132] == bytes(128) + b"DICM"
    assert "SourceApplicationEntityTitle" not in dcmread(path).file_meta


@pytest.mark.parametrize(
    ("content", "why", "words"),
    [
        (b"", Why.UNREADABLE, "not a DICOM file"),
        (b"%PDF-1.7" * 100, Why.UNREADABLE, "not a DICOM file"),
        (bytes(128) + b"DICM", Why.SYNTAX, "names no transfer syntax"),
        (bytes(128) + b"DICM\2\0\2\1OB\0\0\xff\xff\xff\xff" + bytes(100), Why.UNREADABLE, "is damaged"),
        (in_file(CT)[:520], Why.INVALID_UID, "is missing"),
        (in_file(CT).replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.4\0"), Why.SYNTAX, "none of DICOM"),
    ],
)
def test_a_file_that_cannot_be_kept(store: Store, content: bytes, why: Why, words: str) -> None:
    refused = keep_object(store, LIMITS, io.BytesIO(content))
    assert isinstance(refused, Refused)
    assert refused.why is why
    assert words in refused.message
    assert files(store) == []


def test_big_endian_is_the_last_choice_and_lossy_never_the_first() -> None:
    assert CT_SYNTAXES[:2] == (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
    assert set(CT_SYNTAXES) == {uid for uid, syntax in TRANSFER_SYNTAXES.items() if syntax.holds_ct}
    assert CT_SYNTAXES.index(ExplicitVRBigEndian) > CT_SYNTAXES.index("1.2.840.10008.1.2.4.90")
    assert "1.2.840.10008.1.2.4.50" in transfer_syntaxes("1.2.840.10008.5.1.4.1.1.7")
    assert not is_storage("1.2.840.10008.1.20.1")
    assert not is_storage("1.2.840.10008.1.3.10")
