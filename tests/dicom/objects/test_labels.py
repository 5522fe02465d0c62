"""Label maps come back voxel-exact from SEG and NIfTI, or are refused: never shifted, guessed or half read."""

import gzip
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from pydicom.uid import UID, JPEG2000Lossless, RLELossless

from ctacal.dicom.objects.labels import read_label_map
from ctacal.errors import Code, Refusal
from ctacal.geometry import Geometry
from ctacal.labels import Calcium, LabelMap
from ctacal.volume import Volume, save_nifti
from tests.dicom.objects.drawn_lesions import VESSELS, canonical, lesions, stored, vessel_seg
from tests.dicom.objects.segmentations import seg, segment
from tests.dicom_series import Grid, ct_series, encoded, volume_of, write

nib: Any = nibabel

SHUFFLED = np.random.default_rng(11).permutation(14)
GRIDS = {
    "supine": Grid(),
    "prone": Grid(orientation=(-1, 0, 0, 0, -1, 0)),
    "turned": Grid(orientation=(0, 1, 0, -1, 0, 0)),
}


@pytest.fixture(params=GRIDS.values(), ids=list(GRIDS))
def grid(request: pytest.FixtureRequest) -> Grid:
    chosen: Grid = request.param
    return chosen


@pytest.fixture
def supine_volume(tmp_path: Path) -> Volume:
    return volume_of(write(tmp_path / "ct", ct_series()))[0]


def refusal_code(path: Path, volume: Volume) -> Code:
    with pytest.raises(Refusal) as caught:
        read_label_map(path, volume)
    return caught.value.reason.code


@pytest.mark.parametrize(
    ("kind", "omit_empty_frames"),
    [("BINARY", True), ("BINARY", False), ("LABELMAP", True)],
    ids=["sparse", "every frame", "label map"],
)
def test_seg_of_shuffled_source_is_voxel_exact(tmp_path: Path, grid: Grid, kind: str, omit_empty_frames: bool) -> None:
    series, labels = ct_series(grid), lesions()
    volume, _ = volume_of(write(tmp_path / "ct", series))
    shuffled = [series[index] for index in SHUFFLED]
    image = vessel_seg(shuffled, labels[SHUFFLED], kind=kind, omit_empty_frames=omit_empty_frames)
    read = read_label_map(stored(tmp_path / "seg.dcm", image), volume)
    np.testing.assert_array_equal(read.labels, canonical(labels, grid))
    assert read.geometry.same_grid(volume.geometry)


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_compressed_label_map_seg_is_voxel_exact(tmp_path: Path, supine_volume: Volume, syntax: UID) -> None:
    image = vessel_seg(ct_series(), lesions(), kind="LABELMAP", syntax=syntax)
    read = read_label_map(stored(tmp_path / "seg.dcm", image), supine_volume)
    np.testing.assert_array_equal(read.labels, lesions())


def test_a_single_slice_that_is_not_empty(tmp_path: Path, supine_volume: Volume) -> None:
    labels = np.zeros((14, 48, 40), np.uint8)
    labels[13, 20:24, 8:11] = 2
    read = read_label_map(stored(tmp_path / "seg.dcm", vessel_seg(ct_series(), labels)), supine_volume)
    np.testing.assert_array_equal(read.labels, labels)


def test_seg_of_some_slices_of_the_series(tmp_path: Path, supine_volume: Volume) -> None:
    labels, some = lesions(), [4, 5, 9, 2]
    image = vessel_seg([ct_series()[index] for index in some], labels[some])
    read = read_label_map(stored(tmp_path / "seg.dcm", image), supine_volume)
    expected = np.zeros_like(labels)
    expected[some] = labels[some]
    np.testing.assert_array_equal(read.labels, expected)


@pytest.mark.parametrize(
    ("name", "value"),
    [("LAD", 2), ("Left Anterior Descending", 2), (" right coronary artery ", 4), ("Non-coronary calcium", 6)],
)
def test_segments_without_an_anatomic_code_go_by_their_name(
    tmp_path: Path, supine_volume: Volume, name: str, value: int
) -> None:
    labels = (lesions() > 0).astype(np.uint8)
    image = seg(ct_series(), labels, [segment(1, name)])
    read = read_label_map(stored(tmp_path / "seg.dcm", image), supine_volume)
    np.testing.assert_array_equal(read.labels, labels * value)


def test_a_segment_that_names_no_coronary_is_refused(tmp_path: Path, supine_volume: Volume) -> None:
    image = seg(ct_series(), (lesions() > 0).astype(np.uint8), [segment(1, "Liver", "10200004")])
    assert refusal_code(stored(tmp_path / "seg.dcm", image), supine_volume) is Code.LABELS_UNREADABLE


def overlapping(first: tuple[str, str], second: tuple[str, str]) -> Any:
    """Two segments that share one voxel."""
    channels = np.zeros((14, 48, 40, 2), np.uint8)
    channels[5, 20, 10:14, 0] = 1
    channels[5, 20, 13:16, 1] = 1
    return seg(ct_series(), channels, [segment(1, *first), segment(2, *second)])


def test_overlapping_segments_of_different_vessels_are_refused(tmp_path: Path, supine_volume: Volume) -> None:
    image = overlapping(("LAD", "59438005"), ("LCx", "57396003"))
    assert refusal_code(stored(tmp_path / "seg.dcm", image), supine_volume) is Code.LABELS_UNREADABLE


def test_overlapping_segments_of_one_vessel_are_joined(tmp_path: Path, supine_volume: Volume) -> None:
    image = overlapping(("LAD proximal", "59438005"), ("LAD distal", "59438005"))
    read = read_label_map(stored(tmp_path / "seg.dcm", image), supine_volume)
    expected = np.zeros((14, 48, 40), np.uint8)
    expected[5, 20, 10:16] = Calcium.LAD
    np.testing.assert_array_equal(read.labels, expected)


@pytest.mark.parametrize(
    "other",
    [
        Grid(row_mm=0.91),
        Grid(slices=14, rows=48, columns=44),
        Grid(slice_mm=2.5),
        Grid(orientation=(0, 1, 0, -1, 0, 0)),
        Grid(column_mm=0.705),
    ],
    ids=["row spacing", "columns", "slice spacing", "turned", "column spacing"],
)
def test_seg_of_another_grid_is_refused(tmp_path: Path, supine_volume: Volume, other: Grid) -> None:
    labels = np.zeros((other.slices, other.rows, other.columns), np.uint8)
    labels[3:12, 10:30, 10:30] = 1
    path = stored(tmp_path / "seg.dcm", vessel_seg(ct_series(other), labels))
    assert refusal_code(path, supine_volume) is Code.LABELS_MISMATCH


@pytest.mark.parametrize("shift_mm", [(0, 0, 1.5), (0.35, 0, 0), (0, 0.9, 0), (0, 0, 0.1)])
def test_seg_beside_the_voxels_is_refused(tmp_path: Path, supine_volume: Volume, shift_mm: tuple[Any, ...]) -> None:
    series = ct_series()
    for image in series:
        image.ImagePositionPatient = [float(a + b) for a, b in zip(image.ImagePositionPatient, shift_mm, strict=True)]
    path = stored(tmp_path / "seg.dcm", vessel_seg(series, lesions()))
    assert refusal_code(path, supine_volume) is Code.LABELS_MISMATCH


def test_fractional_seg_is_refused(tmp_path: Path, supine_volume: Volume) -> None:
    image = seg(ct_series(), (lesions() > 0).astype(np.float32), [segment(1, "LAD")], kind="FRACTIONAL")
    assert refusal_code(stored(tmp_path / "seg.dcm", image), supine_volume) is Code.LABELS_UNREADABLE


def test_a_ct_image_is_no_label_map(tmp_path: Path, supine_volume: Volume) -> None:
    (tmp_path / "ct.dcm").write_bytes(encoded(ct_series()[0]))
    assert refusal_code(tmp_path / "ct.dcm", supine_volume) is Code.LABELS_UNREADABLE


@pytest.mark.parametrize(
    ("keyword", "value"), [("Rows", 60000), ("NumberOfFrames", 2**20), ("Columns", 41), ("NumberOfFrames", 3)]
)
def test_seg_with_a_lying_header_is_refused(tmp_path: Path, supine_volume: Volume, keyword: str, value: int) -> None:
    image = vessel_seg(ct_series(), lesions())
    setattr(image, keyword, value)
    path = tmp_path / "seg.dcm"
    path.write_bytes(encoded(image))
    assert refusal_code(path, supine_volume) in (Code.LABELS_UNREADABLE, Code.LABELS_MISMATCH)


def test_compressed_seg_that_claims_another_size_is_refused(tmp_path: Path, supine_volume: Volume) -> None:
    image = vessel_seg(ct_series(), lesions(), kind="LABELMAP", syntax=JPEG2000Lossless)
    content = stored(tmp_path / "seg.dcm", image).read_bytes()
    at = content.index(b"\xff\x4f\xff\x51") + 8
    (tmp_path / "seg.dcm").write_bytes(content[:at] + 2 * (60000).to_bytes(4, "big") + content[at + 8 :])
    assert refusal_code(tmp_path / "seg.dcm", supine_volume) is Code.LABELS_UNREADABLE


def test_truncated_seg_is_refused(tmp_path: Path, supine_volume: Volume) -> None:
    content = stored(tmp_path / "whole.dcm", vessel_seg(ct_series(), lesions())).read_bytes()
    for share in (0.3, 0.6, 0.9, 0.99):
        (tmp_path / "cut.dcm").write_bytes(content[: int(share * len(content))])
        assert refusal_code(tmp_path / "cut.dcm", supine_volume) is Code.LABELS_UNREADABLE


@pytest.mark.parametrize("name", ["labels.nii", "labels.nii.gz"])
def test_nifti_round_trip(tmp_path: Path, grid: Grid, name: str) -> None:
    volume, _ = volume_of(write(tmp_path / "ct", ct_series(grid)))
    labels = LabelMap(canonical(lesions((*VESSELS, Calcium.OTHER)), grid), volume.geometry)
    labels.save_nifti(tmp_path / name)
    read = read_label_map(tmp_path / name, volume)
    np.testing.assert_array_equal(read.labels, labels.labels)


@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 0, 1), (1, 2, 0), (2, 1, 0)])
@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, 1, 1), (1, -1, -1), (-1, -1, -1)])
@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float32])
def test_nifti_with_turned_axes(
    tmp_path: Path,
    reference_volume: Volume,
    axes: tuple[int, int, int],
    flips: tuple[int, int, int],
    kind: type[np.generic],
) -> None:
    labels = lesions()
    turn = (slice(None, None, flips[0]), slice(None, None, flips[1]), slice(None, None, flips[2]))
    turned = labels[turn].transpose(axes).astype(kind)
    save_nifti(tmp_path / "turned.nii", turned, reference_volume.geometry.crop(turn).transpose(axes))
    read = read_label_map(tmp_path / "turned.nii", reference_volume)
    np.testing.assert_array_equal(read.labels, labels)


@pytest.fixture(scope="module")
def reference_volume() -> Volume:
    geometry = Geometry.from_spacing((14, 48, 40), (3.0, 0.9, 0.7), (3.8, -58.5, 88.0))
    return Volume(np.zeros(geometry.shape, np.int16), geometry)


def test_nifti_places_its_voxels_as_nibabel_says(tmp_path: Path, reference_volume: Volume) -> None:
    """The marker voxel's place by nibabel's own affine (RAS), against the geometry's (LPS)."""
    labels = np.zeros((14, 48, 40), np.uint8)
    labels[8, 20, 25] = 1
    LabelMap(labels, reference_volume.geometry).save_nifti(tmp_path / "labels.nii.gz")
    image = nib.load(tmp_path / "labels.nii.gz")
    (index,) = np.argwhere(np.asarray(image.dataobj) == 1)
    right, anterior, up = (image.affine @ [*index, 1])[:3]
    np.testing.assert_allclose((-right, -anterior, up), (21.3, -40.5, 112.0), atol=1e-4)


@pytest.mark.parametrize(
    "geometry",
    [
        Geometry.from_spacing((14, 48, 40), (3.0, 0.9, 0.7), (3.8, -58.5, 89.5)),
        Geometry.from_spacing((14, 48, 40), (3.0, 0.9, 0.701), (3.8, -58.5, 88.0)),
        Geometry.from_spacing((13, 48, 40), (3.0, 0.9, 0.7), (3.8, -58.5, 88.0)),
        Geometry.from_spacing((14, 40, 48), (3.0, 0.9, 0.7), (3.8, -58.5, 88.0)),
    ],
    ids=["origin", "spacing", "slices", "rows and columns"],
)
def test_nifti_of_another_grid_is_refused(tmp_path: Path, reference_volume: Volume, geometry: Geometry) -> None:
    save_nifti(tmp_path / "other.nii", np.zeros(geometry.shape, np.uint8), geometry)
    assert refusal_code(tmp_path / "other.nii", reference_volume) is Code.LABELS_MISMATCH


@pytest.mark.parametrize(
    ("value", "kind"),
    [(7, np.uint8), (-1, np.int16), (256 + 2, np.int16), (1.5, np.float32), (np.nan, np.float32), (np.inf, np.float32)],
)
def test_nifti_with_unknown_values_is_refused(
    tmp_path: Path, reference_volume: Volume, value: float, kind: type[np.generic]
) -> None:
    labels = lesions().astype(kind)
    labels[0, 0, 0] = value
    save_nifti(tmp_path / "odd.nii", labels, reference_volume.geometry)
    assert refusal_code(tmp_path / "odd.nii", reference_volume) is Code.LABELS_UNREADABLE


def hostile_nifti(**fields: Any) -> Any:
    """A NIfTI header with the given values, and almost no voxels after it."""
    header = nib.Nifti1Header()
    header.set_data_shape((40, 48, 14))
    header.set_data_dtype(np.uint8)
    for name, value in fields.items():
        header[name] = value
    return bytes(header.binaryblock) + bytes(4) + bytes(100)


HOSTILE_NIFTI = {
    "huge": hostile_nifti(dim=[3, 32767, 32767, 32767, 1, 1, 1, 1]),
    "negative": hostile_nifti(dim=[3, -5, 48, 14, 1, 1, 1, 1]),
    "truncated": hostile_nifti(),
    "unknown type": hostile_nifti(datatype=777),
    "offset beyond the end": hostile_nifti(vox_offset=1e9),
    "no 3 dimensions": hostile_nifti(dim=[1, 4, 1, 1, 1, 1, 1, 1]),
    "header only": hostile_nifti()[:200],
    "text": b"these are no labels",
    "empty": b"",
}


@pytest.mark.parametrize("content", HOSTILE_NIFTI.values(), ids=HOSTILE_NIFTI.keys())
@pytest.mark.parametrize("packed", [False, True], ids=["nii", "nii.gz"])
@pytest.mark.filterwarnings("ignore")
def test_hostile_nifti_is_refused(tmp_path: Path, reference_volume: Volume, content: bytes, packed: bool) -> None:
    path = tmp_path / ("hostile.nii.gz" if packed else "hostile.nii")
    path.write_bytes(gzip.compress(content) if packed else content)
    assert refusal_code(path, reference_volume) is Code.LABELS_UNREADABLE


def test_nifti_that_does_not_say_where_it_lies_is_refused(tmp_path: Path, reference_volume: Volume) -> None:
    image = nib.Nifti1Image(lesions().T, None)
    image.header.set_zooms((0.7, 0.9, 3.0))
    nib.save(image, tmp_path / "nowhere.nii")
    assert refusal_code(tmp_path / "nowhere.nii", reference_volume) is Code.LABELS_MISMATCH


def test_corrupted_gzip_is_refused(tmp_path: Path, reference_volume: Volume) -> None:
    LabelMap(lesions(), reference_volume.geometry).save_nifti(tmp_path / "labels.nii.gz")
    content = bytearray((tmp_path / "labels.nii.gz").read_bytes())
    content[40:60] = b"\xff" * 20
    (tmp_path / "labels.nii.gz").write_bytes(content)
    assert refusal_code(tmp_path / "labels.nii.gz", reference_volume) is Code.LABELS_UNREADABLE


def test_colour_nifti_is_refused(tmp_path: Path, reference_volume: Volume) -> None:
    colour = np.zeros((40, 48, 14), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    nib.save(nib.Nifti1Image(colour, np.eye(4)), tmp_path / "colour.nii")
    assert refusal_code(tmp_path / "colour.nii", reference_volume) is Code.LABELS_UNREADABLE


@pytest.mark.parametrize("shape", [(40, 48), (40, 48, 14, 2)])
def test_nifti_that_is_not_3d_is_refused(tmp_path: Path, reference_volume: Volume, shape: tuple[Any, ...]) -> None:
    nib.save(nib.Nifti1Image(np.zeros(shape, np.uint8), np.eye(4)), tmp_path / "flat.nii")
    assert refusal_code(tmp_path / "flat.nii", reference_volume) is Code.LABELS_UNREADABLE
