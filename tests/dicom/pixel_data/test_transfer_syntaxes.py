"""Every transfer syntax of the registry: a small CT series in it is read, or refused with a reason that names it.

``tests/data/code_streams.zip`` holds what no encoder of the test environment writes: the slices of
``ct_series(Grid(slices=9))``, encoded by OpenJPH 0.26 (High-Throughput JPEG 2000, reversible and not), libjpeg-turbo
3.1 (JPEG of 12 bits, quality 100) and libjxl 0.11 (JPEG XL), all through imagecodecs 2026.3.6.
"""

import io
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import jpeg_ls  # type: ignore[import-untyped]
import numpy as np
import pytest
from openjpeg.utils import encode_array
from pydicom import Dataset, dcmread
from pydicom._uid_dict import UID_dictionary
from pydicom.encaps import get_frame
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from ctacal.dicom.pixel_data.transfer_syntaxes import DEFLATED, GE_PRIVATE, JPEG_BASELINE, TRANSFER_SYNTAXES, name_of
from ctacal.dicom.volume import read_volume
from ctacal.errors import Code, Refusal
from tests import places
from tests.dicom_series import (
    Grid,
    chest_hu,
    ct_series,
    encoded,
    in_fragments,
    relabelled,
    study_of,
    values_of,
    volume_of,
    write_files,
)

GRID = Grid(slices=9)
ALL_HU = chest_hu(GRID)
DICOM = "1.2.840.10008.1.2"


def stored_stream(kind: str, index: int) -> bytes:
    with zipfile.ZipFile(places.DATA / "code_streams.zip") as archive:
        return archive.read(f"{kind}/{index}")


def deflated(content: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    packed = packer.compress(content) + packer.flush()
    return packed + bytes(len(packed) % 2)


def jpeg_ls_frame(image: Dataset, error: int) -> bytes:
    size = {"rows": image.Rows, "columns": image.Columns, "samples_per_pixel": 1, "bits_stored": 12}
    return bytes(jpeg_ls.encode_pixel_data(image.PixelData, lossy_error=error, interleave_mode=0, **size))


def jpeg_2000_frame(image: Dataset) -> bytes:
    return bytes(encode_array(values_of(image), bits_stored=12, photometric_interpretation=2, compression_ratios=[1.5]))


def ge_private(image: Dataset) -> bytes:
    """Implicit VR in little endian, but big endian pixels."""
    swapped = values_of(image).byteswap().tobytes()
    return relabelled(encoded(image, ImplicitVRLittleEndian), GE_PRIVATE).replace(image.PixelData, swapped)


def by_gdcm_lossless(image: Dataset) -> bytes:
    """Process 14 with selection value 1 is one of Process 14."""
    return relabelled(encoded(image, f"{DICOM}.4.70"), f"{DICOM}.4.57")


Encoder = Callable[[Dataset, int], bytes]


def by_libraries(syntax: str) -> Encoder:
    return lambda image, _: encoded(image, syntax)


def stored(kind: str, syntax: str) -> Encoder:
    return lambda image, index: in_fragments(image, stored_stream(kind, index), syntax)


ENCODERS: dict[str, Encoder] = {
    **{
        syntax: by_libraries(syntax)
        for syntax in (
            DICOM, f"{DICOM}.1", f"{DICOM}.1.99", f"{DICOM}.2", f"{DICOM}.5", f"{DICOM}.4.70", f"{DICOM}.4.80",
            f"{DICOM}.4.90",
        )
    },
    f"{DICOM}.1.98": lambda image, _: in_fragments(image, image.PixelData, f"{DICOM}.1.98"),
    "1.2.840.10008.1.20": lambda image, _: relabelled(encoded(image, ImplicitVRLittleEndian), "1.2.840.10008.1.20"),
    GE_PRIVATE: lambda image, _: ge_private(image),
    f"{DICOM}.8.1": lambda image, _: in_fragments(image, deflated(image.PixelData), f"{DICOM}.8.1"),
    f"{DICOM}.4.57": lambda image, _: by_gdcm_lossless(image),
    f"{DICOM}.4.81": lambda image, _: in_fragments(image, jpeg_ls_frame(image, 2), f"{DICOM}.4.81"),
    f"{DICOM}.4.91": lambda image, _: in_fragments(image, jpeg_2000_frame(image), f"{DICOM}.4.91"),
    **{
        f"{DICOM}.4.{number}": stored(kind, f"{DICOM}.4.{number}")
        for number, kind in ((51, "jpeg_12_bit"), (201, "htj2k_lossless"), (202, "htj2k_lossless"), (203, "htj2k"))
    },
}  # fmt: skip
"""A file in each transfer syntax that is read, of an image and its index."""

LOSS_HU = {f"{DICOM}.4.51": 2, f"{DICOM}.4.81": 2, f"{DICOM}.4.91": 40, f"{DICOM}.4.203": 50}
"""Largest error of the codecs with loss; the marker is a hard test for wavelets."""

READ = [uid for uid, syntax in TRANSFER_SYNTAXES.items() if syntax.holds_ct]
NOT_READ = [uid for uid in TRANSFER_SYNTAXES if uid not in READ and uid != JPEG_BASELINE]


def test_the_table_holds_the_whole_registry() -> None:
    registry = {uid for uid, (_, kind, *_) in UID_dictionary.items() if kind == "Transfer Syntax"}
    newer = {f"{DICOM}.8.1", f"{DICOM}.4.110", f"{DICOM}.4.111", f"{DICOM}.4.112"}
    assert set(TRANSFER_SYNTAXES) == registry | newer | {GE_PRIVATE}
    assert set(READ) == set(ENCODERS)


@pytest.mark.parametrize("syntax", READ)
def test_a_series_in_each_transfer_syntax_that_is_read(tmp_path: Path, syntax: str) -> None:
    folder = write_files(tmp_path, (ENCODERS[syntax](image, index) for index, image in enumerate(ct_series(GRID))))
    volume, notes = volume_of(folder)
    assert np.abs(volume.hu.astype(int) - ALL_HU).max() <= LOSS_HU.get(syntax, 0)
    assert notes == ([Code.LOSSY_COMPRESSION] if syntax in LOSS_HU else [])


def test_errors_within_jpeg_ls_that_calls_itself_lossless_are_told(tmp_path: Path) -> None:
    files = (in_fragments(image, jpeg_ls_frame(image, 2), f"{DICOM}.4.80") for image in ct_series(GRID))
    assert volume_of(write_files(tmp_path, files))[1] == [Code.LOSSY_COMPRESSION]


def refusal_in(folder: Path) -> Refusal:
    with pytest.raises(Refusal) as caught:
        read_volume(study_of(folder).series[0])
    return caught.value


@pytest.mark.parametrize("syntax", NOT_READ)
def test_a_series_in_each_other_transfer_syntax_is_refused_by_name(tmp_path: Path, syntax: str) -> None:
    def file(image: Dataset) -> bytes:
        if "JPIP" not in name_of(syntax):
            return in_fragments(image, b"pixels of a codec that nobody knows", syntax)
        del image.PixelData
        content = relabelled(encoded(image), syntax)
        return with_dataset_deflated(content) if syntax in DEFLATED else content

    reason = refusal_in(write_files(tmp_path, map(file, ct_series(GRID)))).reason
    assert reason.code is Code.SYNTAX_UNSUPPORTED
    assert name_of(syntax) in reason.message
    assert "export the study uncompressed" in reason.message


def with_dataset_deflated(content: bytes) -> bytes:
    start = 144 + int.from_bytes(content[140:144], "little")
    return content[:start] + deflated(content[start:])


def test_jpeg_baseline_cannot_hold_a_ct(tmp_path: Path) -> None:
    """Its 8 bits would make 16 HU of each step; written by libjpeg (Pillow)."""
    from PIL import Image

    def file(image: Dataset) -> bytes:
        stream = io.BytesIO()
        Image.fromarray((values_of(image) >> 4).astype(np.uint8)).save(stream, "JPEG")
        return in_fragments(image, stream.getvalue(), JPEG_BASELINE)

    reason = refusal_in(write_files(tmp_path, map(file, ct_series(GRID)))).reason
    assert reason.code is Code.SYNTAX_UNSUPPORTED
    assert "8 bits" in reason.message


def test_the_pixels_tell_a_codec_that_is_not_read(tmp_path: Path) -> None:
    frame = stored_stream("jpeg_xl", 0)
    folder = write_files(tmp_path, (in_fragments(image, frame, JPEG2000Lossless) for image in ct_series(GRID)))
    reason = refusal_in(folder).reason
    assert reason.code is Code.SYNTAX_UNSUPPORTED
    assert "the pixels are JPEG XL" in reason.message


PROGRESSIVE = bytes.fromhex("ffd8 ffc2 000b 0c 0030 0028 01 001100 ffc4 0004 0000 ffda 0002") + bytes(40)


def test_a_jpeg_process_that_is_not_read_is_named(tmp_path: Path) -> None:
    folder = write_files(tmp_path, (in_fragments(image, PROGRESSIVE, f"{DICOM}.4.51") for image in ct_series(GRID)))
    reason = refusal_in(folder).reason
    assert reason.code is Code.SYNTAX_UNSUPPORTED
    assert "FFC2" in reason.message


LABELS = [ExplicitVRLittleEndian, ExplicitVRBigEndian, f"{DICOM}.1.99", JPEG2000Lossless, f"{DICOM}.4.95", "1.2.3.4.5"]
CONTENTS = [
    ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian, RLELossless,
    JPEG2000Lossless, JPEGLSLossless, f"{DICOM}.4.70",
]  # fmt: skip


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("content", CONTENTS)
def test_the_transfer_syntax_may_be_any_other(tmp_path: Path, content: str, label: str) -> None:
    """What the file holds decides; the note says so where the codec is another."""
    files = (relabelled(encoded(image, content), label) for image in ct_series(GRID))
    volume, notes = volume_of(write_files(tmp_path, files))
    np.testing.assert_array_equal(volume.hu, ALL_HU)
    known = TRANSFER_SYNTAXES.get(label)
    same_codec = known is not None and known.codec is TRANSFER_SYNTAXES[content].codec
    assert notes == ([] if same_codec else [Code.PIXELS_UNLIKE_HEADER])


def boxed(stream: bytes, last_length: int | None) -> bytes:
    """A JP2 file (ITU-T T.800 annex I); the last box may give its length as 0, to the end, or in 64 bits."""

    def box(kind: bytes, content: bytes) -> bytes:
        return (8 + len(content)).to_bytes(4, "big") + kind + content

    head = box(b"jP  ", b"\r\n\x87\n") + box(b"ftyp", b"jp2 \0\0\0\0jp2 ") + box(b"jp2h", box(b"ihdr", bytes(14)))
    if last_length is None:
        return head + box(b"jp2c", stream)
    if last_length == 0:
        return head + bytes(4) + b"jp2c" + stream
    return head + (1).to_bytes(4, "big") + b"jp2c" + (16 + len(stream)).to_bytes(8, "big") + stream


@pytest.mark.parametrize("last_length", [None, 0, 1], ids=["32 bits", "to the end", "64 bits"])
def test_jpeg_2000_is_found_inside_the_boxes_of_a_file(tmp_path: Path, last_length: int | None) -> None:
    frames = (encode_array(values_of(image), bits_stored=12, photometric_interpretation=2) for image in ct_series(GRID))
    files = (
        in_fragments(image, boxed(bytes(frame), last_length), JPEG2000Lossless)
        for image, frame in zip(ct_series(GRID), frames, strict=True)
    )
    volume, notes = volume_of(write_files(tmp_path, files))
    np.testing.assert_array_equal(volume.hu, ALL_HU)
    assert notes == []


@pytest.mark.parametrize("broken", [b"", b"\0\0\0\x07jp2c", b"\0\0\0\xffabcd"], ids=["none", "length 7", "too long"])
def test_boxes_without_a_code_stream_are_refused(tmp_path: Path, broken: bytes) -> None:
    frame = b"\0\0\0\x0cjP  \r\n\x87\n" + broken
    folder = write_files(tmp_path, (in_fragments(image, frame, JPEG2000Lossless) for image in ct_series(GRID)))
    assert refusal_in(folder).reason.code is Code.PIXELS_UNREADABLE


def test_jpeg_of_16_bits_that_gdcm_writes(tmp_path: Path) -> None:
    """GDCM writes JPEG Extended with a precision that the standard does not have, and shifts its values."""
    files = (encoded(image, f"{DICOM}.4.51") for image in ct_series(GRID))
    volume, notes = volume_of(write_files(tmp_path, files))
    assert np.abs(volume.hu.astype(int) - ALL_HU).max() <= 2
    assert notes == [Code.LOSSY_COMPRESSION]


@pytest.mark.parametrize("syntax", [f"{DICOM}.4.70", f"{DICOM}.4.51"])
def test_remarks_inside_a_jpeg_do_no_harm(tmp_path: Path, syntax: str) -> None:
    """GDCM ends the whole process if the image names an unknown version of JFIF."""
    remark = bytes.fromhex("ffe0 0010 4a46494600 8101 00 0001 0001 0000")

    def file(image: Dataset, index: int) -> bytes:
        frame = bytes(get_frame(dcmread(io.BytesIO(ENCODERS[syntax](image, index))).PixelData, 0, number_of_frames=1))
        return in_fragments(image, frame[:2] + remark + frame[2:], syntax)

    folder = write_files(tmp_path, (file(image, index) for index, image in enumerate(ct_series(GRID))))
    assert np.abs(volume_of(folder)[0].hu.astype(int) - ALL_HU).max() <= LOSS_HU.get(syntax, 0)


def test_a_jpeg_that_ends_its_decoder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_files(tmp_path, (ENCODERS[f"{DICOM}.4.51"](image, i) for i, image in enumerate(ct_series(GRID))))
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert refusal_in(folder).reason.code is Code.PIXELS_UNREADABLE


def test_nothing_is_printed_by_a_decoder(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    files = (ENCODERS[f"{DICOM}.4.51"](image, index) for index, image in enumerate(ct_series(GRID)))
    volume_of(write_files(tmp_path, files))
    assert capfd.readouterr() == ("", "")


def test_loss_in_the_past_needs_no_note(tmp_path: Path) -> None:
    """Lossy Image Compression is 01 in many archives whose images show none of it."""
    files = (encoded(image) for image in ct_series(GRID, LossyImageCompression="01"))
    assert volume_of(write_files(tmp_path, files))[1] == []


@pytest.mark.parametrize(
    ("keyword", "content", "words"),
    [("FloatPixelData", bytes(48 * 40 * 4), "Float Pixel Data"), ("PixelData", b"", "no Pixel Data")],
)
def test_pixels_of_another_kind_are_named(tmp_path: Path, keyword: str, content: bytes, words: str) -> None:
    series = ct_series(GRID, BitsAllocated=32)
    for image in series:
        del image.PixelData
        setattr(image, keyword, content)
    reason = refusal_in(write_files(tmp_path, map(encoded, series))).reason
    assert reason.code is Code.PIXELS_UNREADABLE
    assert words in reason.message
