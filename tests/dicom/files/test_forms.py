"""DICOM without the preamble, the prefix or the file meta information is read, or named; never passed over."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless

from ctacal.dicom.files.kinds import counted, kind_of
from ctacal.errors import Code
from tests.dicom_series import Grid, assert_truth, chest_hu, ct_series, emission_image, encoded, intake_of, volume_of

ALL_HU = chest_hu(Grid())
GROUP_8_BIG = b"\x00\x08\x00\x05"


def elements(content: bytes, first: bytes = b"\x08\x00\x05\x00") -> bytes:
    """The dataset of a file, from the first element on."""
    return content[content.index(first, 132) :]


def with_group_length(content: bytes) -> bytes:
    """As ACR-NEMA and early DICOM begin (PS3.5 section 7.2)."""
    return b"\x08\x00\x00\x00\x04\x00\x00\x00\x40\x01\x00\x00" + content


def with_long_image_type(content: bytes) -> bytes:
    value = b"ORIGINAL\\PRIMARY\\AXIAL\\CT_SOM5 SPI\\HEADER_CORRECTED\\NONE\\PARALLEL\\RESAMPLED "
    return (
        b"\x08\x00\x08\x00"
        + len(value).to_bytes(4, "little")
        + value
        + content[content.index(b"\x08\x00\x16\x00\x1a\x00\x00\x00") :]
    )


FORMS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "prefix first": (ExplicitVRLittleEndian, lambda content: content[128:]),
    "prefix first, implicit": (ImplicitVRLittleEndian, lambda content: content[128:]),
    "prefix first, big endian": (ExplicitVRBigEndian, lambda content: content[128:]),
    "prefix first, compressed": (JPEG2000Lossless, lambda content: content[128:]),
    "file meta information first": (ExplicitVRLittleEndian, lambda content: content[132:]),
    "explicit elements": (ExplicitVRLittleEndian, elements),
    "implicit elements": (ImplicitVRLittleEndian, elements),
    "big-endian elements": (ExplicitVRBigEndian, lambda content: elements(content, GROUP_8_BIG)),
    "group length": (ImplicitVRLittleEndian, lambda content: with_group_length(elements(content))),
    "long first element": (ImplicitVRLittleEndian, lambda content: with_long_image_type(elements(content))),
    "no prefix": (ExplicitVRLittleEndian, lambda content: bytes(128) + elements(content)),
    "no prefix, implicit": (ImplicitVRLittleEndian, lambda content: bytes(128) + elements(content)),
    "a TIFF in the preamble": (ExplicitVRLittleEndian, lambda content: b"II*\0\x08\0\0\0" + content[8:]),
    "a zip in the preamble": (ExplicitVRLittleEndian, lambda content: b"PK\x03\x04" + content[4:]),
    "text in the preamble": (ExplicitVRLittleEndian, lambda content: b"x" * 128 + content[128:]),
}


@pytest.mark.parametrize("form", FORMS)
def test_dicom_in_another_form_is_read(tmp_path: Path, form: str) -> None:
    syntax, change = FORMS[form]
    for index, image in enumerate(ct_series()):
        (tmp_path / f"{index}").write_bytes(change(encoded(image, syntax)))
    volume, notes = volume_of(tmp_path)
    np.testing.assert_array_equal(volume.hu, ALL_HU)
    assert_truth(volume)
    assert notes == []


NOT_READ: dict[str, Callable[[bytes], bytes]] = {
    "file meta information alone": lambda content: content[:300],
    "an answer of a web server": lambda content: (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/dicom\r\n\r\n" + content
    ),
    "a header of macOS": lambda content: b"\0\x08IM000001" + bytes(118) + content,
    "a preamble cut short": lambda content: content[60:],
    "implicit big-endian elements": lambda _: (
        b"\0\x08\0\x05\0\0\0\x0aISO_IR 100\0\x08\0\x08\0\0\0\x10ORIGINAL\\PRIMARY"
    ),
    "elements cut short": lambda content: elements(content)[:200],
}


@pytest.mark.parametrize("form", NOT_READ)
def test_dicom_that_cannot_be_read_is_named(tmp_path: Path, form: str) -> None:
    path = tmp_path / "IM1"
    path.write_bytes(NOT_READ[form](encoded(ct_series()[0])))
    intake = intake_of(tmp_path)
    assert [(file.name, file.reason.code) for file in intake.skipped] == [(str(path), Code.FILE_UNREADABLE)]
    assert intake.others == {}


KINDS = {
    b"%PDF-1.4": "PDF file",
    b"\xff\xd8\xff\xe0": "picture",
    b"": "empty file",
    bytes(40): "file of zeros",
    b"<html><body>": "web page",
    "Müller, 12".encode("latin-1"): "text file",
    bytes(344) + b"n+1\0": "NIfTI file",
    b"NRRD0004\n": "NRRD file",
    b"ObjectType = Image\n": "MetaImage file",
    b"MZ\x90": "program",
    b"\x01\x02\x03\xff": "unknown file",
}


@pytest.mark.parametrize("head", KINDS)
def test_other_files_are_told_apart(head: bytes) -> None:
    assert kind_of(head) == KINDS[head]


@pytest.mark.parametrize(
    ("sop_class", "kind"),
    [
        ("1.2.840.10008.5.1.4.1.1.88.33", "DICOM structured report"),
        ("1.2.840.10008.5.1.4.1.1.88.67", "DICOM structured report"),
        ("1.2.840.10008.5.1.4.1.1.66.4", "DICOM segmentation"),
        ("1.2.840.10008.5.1.4.1.1.66.7", "DICOM segmentation"),
        ("1.2.840.10008.5.1.4.1.1.11.1", "DICOM presentation state"),
        ("1.2.840.10008.5.1.4.1.1.88.59", "DICOM key object selection"),
        ("1.2.840.10008.5.1.4.1.1.104.1", "DICOM document"),
        ("1.2.840.10008.5.1.4.1.1.481.3", "DICOM radiotherapy object"),
        ("1.2.840.10008.5.1.4.1.1.66", "DICOM raw data object"),
        ("1.2.840.10008.5.1.4.1.1.66.1", "DICOM registration"),
        ("1.2.840.10008.5.1.4.1.1.9.1.1", "DICOM waveform"),
        ("1.3.12.2.1107.5.9.1", "DICOM object"),
    ],
)
@pytest.mark.parametrize("preamble", [True, False])
def test_objects_without_an_image_are_told_apart(tmp_path: Path, sop_class: str, kind: str, preamble: bool) -> None:
    """Put aside without a note; their kind is told if nothing else lies there."""
    other = emission_image(SOPClassUID=sop_class)
    for keyword in ("Rows", "Columns", "PixelData"):
        delattr(other, keyword)
    (tmp_path / "object").write_bytes(encoded(other, preamble=preamble))
    intake = intake_of(tmp_path)
    assert intake.skipped == ()
    assert intake.others == {kind: 1}
    assert intake.empty == (f"{tmp_path}: no DICOM image series there; found 1 {kind}",)


def test_kinds_are_counted_in_words() -> None:
    kinds = {"file of zeros": 2, "DICOMDIR": 1, "DICOM key object selection": 3, "picture": 1200}
    assert counted(kinds) == "1,200 pictures, 3 DICOM key object selections, 2 files of zeros, 1 DICOMDIR"
