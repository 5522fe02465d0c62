"""Whole-body scans: only the part with the heart is read, and it scores as a scan of the chest alone."""

import json
import tracemalloc
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from numpy.typing import NDArray

from ctacal.dicom import overview
from ctacal.dicom.choose import choose_series
from ctacal.dicom.decode import hu_of_slices
from ctacal.dicom.header import Slice
from ctacal.dicom.objects.labels import labelled_slices, read_label_map
from ctacal.dicom.overview import decode_overview
from ctacal.dicom.series import Study, read_studies
from ctacal.dicom.stack import Stack
from ctacal.dicom.volume import decode_volume
from ctacal.errors import Code, Refusal
from ctacal.geometry import Geometry
from ctacal.labels import Calcium, LabelMap
from ctacal.report.outputs import write_outputs
from ctacal.result import ScoredStudy
from ctacal.result_json import result_json
from ctacal.simulate.output.series import write_series
from ctacal.study import locate_labels, predict_from_file, predict_threshold, score_study
from ctacal.volume import Volume
from ctacal.whole_body import MARGIN_MM, heart_slices, part_to_read
from tests.marker_study import SCHEMA
from tests.thorax import Thorax, whole_body

PLAQUES = ((0.0, -40.0, 60.0), (10.0, -50.0, 45.0))
BELOW, CHEST, SLICES = 60, Thorax().shape[0], 154


@pytest.fixture(scope="module")
def body() -> Volume:
    """A patient from the legs to the head, 77 cm in slices of 5 mm."""
    return whole_body(Thorax(plaques=PLAQUES))


@pytest.fixture(scope="module")
def study(body: Volume, tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("body") / "ct"
    write_series(body, folder)
    return read_studies([folder]).studies[0]


@pytest.fixture(autouse=True)
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the drawn patients count as large."""
    monkeypatch.setattr("ctacal.whole_body.LARGE_VOXELS", 60 * 130 * 190)


def scored(study: Study, **options: Any) -> ScoredStudy:
    result = score_study(study, predict_threshold, **options)
    assert isinstance(result, ScoredStudy), result.reasons
    return result


@pytest.fixture
def result(study: Study) -> ScoredStudy:
    return scored(study)


def stack_of(study: Study) -> Stack:
    return choose_series(study).stack


def test_the_part_holds_the_heart_and_a_margin(study: Study) -> None:
    part = part_to_read(stack_of(study), heart_slices)
    heart = np.flatnonzero(Thorax().heart.any(axis=(1, 2))) + BELOW
    low_mm, high_mm = (heart[0] - part.first) * 5.0, (part.first + len(part.slices) - 1 - heart[-1]) * 5.0
    assert min(low_mm, high_mm) >= MARGIN_MM - 20
    assert max(low_mm, high_mm) <= MARGIN_MM + 25


def test_it_scores_as_that_part_alone(body: Volume, result: ScoredStudy, tmp_path: Path) -> None:
    first = result.scan.stack.first
    part = body.crop((slice(first, first + len(result.scan.stack.slices)), slice(None), slice(None)))
    write_series(part, tmp_path / "part")
    alone = scored(read_studies([tmp_path / "part"]).studies[0])
    assert result.scores.agatston.total == alone.scores.agatston.total > 0
    np.testing.assert_array_equal(result.scan.labels.labels, alone.scan.labels.labels)
    assert result.scan.volume.geometry.same_grid(alone.scan.volume.geometry)
    assert {reason.code for reason in result.reasons} == {reason.code for reason in alone.reasons}


def test_it_scores_as_if_it_were_read_whole(study: Study, result: ScoredStudy) -> None:
    whole = scored(study, locate=None)
    assert whole.scan.stack.first == 0 and len(whole.scan.stack.slices) == SLICES
    assert result.scores.agatston.total == whole.scores.agatston.total
    assert [lesion.slices for lesion in result.lesions] == [lesion.slices for lesion in whole.lesions]
    assert result.lesions[0].centroid_mm == whole.lesions[0].centroid_mm


def test_the_result_says_what_was_scored(result: ScoredStudy) -> None:
    content = json.loads(json.dumps(result_json(result)))
    jsonschema.validate(content, SCHEMA)
    acquisition = content["study"]["acquisition"]
    first, last = acquisition["scored_slices"]
    assert (acquisition["slices"], first, last - first + 1) == (
        SLICES,
        result.scan.stack.first,
        result.scan.labels.labels.shape[0],
    )
    assert acquisition["slice_spacing_mm"] == pytest.approx(5.0)
    assert all(BELOW <= index < BELOW + CHEST for lesion in content["lesions"] for index in lesion["slices"])


@pytest.mark.parametrize("form", ["nifti", "seg"])
@pytest.mark.slow
def test_a_readers_labels_of_the_whole_scan_are_accepted(study: Study, tmp_path: Path, form: str) -> None:
    """Labels beyond the heart, here in a leg, are read too."""
    whole = scored(study, locate=None)
    labels = whole.scan.labels.labels.copy()
    labels[5, 65, 51] = Calcium.OTHER
    drawn = replace(whole, scan=replace(whole.scan, labels=LabelMap(labels, whole.scan.labels.geometry)))
    write_outputs(drawn, tmp_path, [form])
    path = tmp_path / {"nifti": "labels.nii.gz", "seg": "seg.dcm"}[form]
    read = score_study(study, predict_from_file(path), locate=locate_labels(path))
    assert isinstance(read, ScoredStudy), read.reasons
    assert read.scores.agatston.total == whole.scores.agatston.total
    first, count = read.scan.stack.first, len(read.scan.stack.slices)
    assert (first, first + count < SLICES) == (0, True)
    np.testing.assert_array_equal(read.scan.labels.labels, labels[:count])


def test_labels_beyond_the_part_are_refused(study: Study, result: ScoredStudy, tmp_path: Path) -> None:
    whole = scored(study, locate=None)
    whole.scan.labels.save_nifti(tmp_path / "labels.nii")
    np.testing.assert_array_equal(
        read_label_map(tmp_path / "labels.nii", result.scan.volume).labels, result.scan.labels.labels
    )
    labels = whole.scan.labels.labels.copy()
    labels[0, 0, 0] = Calcium.LAD
    LabelMap(labels, whole.scan.labels.geometry).save_nifti(tmp_path / "labels.nii")
    with pytest.raises(Refusal) as caught:
        read_label_map(tmp_path / "labels.nii", result.scan.volume)
    assert caught.value.reason.code is Code.LABELS_MISMATCH


@pytest.mark.parametrize("labels", [(), (0,), (0, 130)])
def test_where_labels_lie_on_a_coarse_view(tmp_path: Path, body: Volume, labels: tuple[int, ...]) -> None:
    drawn = np.zeros(body.hu.shape, np.uint8)
    drawn[list(labels), 60, 60] = Calcium.LAD
    LabelMap(drawn, body.geometry).save_nifti(tmp_path / "labels.nii")
    view = body.crop((slice(None, None, 3), slice(None, None, 2), slice(None, None, 2)))
    found = labelled_slices(tmp_path / "labels.nii", Volume(view.hu.copy(), view.geometry))
    assert found == {(): slice(0, 0), (0,): slice(0, 1), (0, 130): slice(0, 45)}[labels]


def test_a_scan_that_is_not_large_is_read_whole(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    stack = stack_of(study)
    assert part_to_read(stack, heart_slices) is stack


def test_without_a_heart_it_is_refused(tmp_path: Path) -> None:
    legs = whole_body(Thorax(), legs=62, abdomen=0, head=0, air=0).crop((slice(0, 62), slice(None), slice(None)))
    write_series(legs, tmp_path / "legs")
    refused = score_study(read_studies([tmp_path / "legs"]).studies[0], predict_threshold)
    assert refused.status == "refused"
    assert refused.reasons[-1].code is Code.HEART_NOT_FOUND


@pytest.mark.slow
def test_two_patients_above_each_other_are_refused(body: Volume, tmp_path: Path) -> None:
    """Each has a heart, and one of them would be scored without a word."""
    first, second = body, whole_body(Thorax(heart_center_mm=(0.0, -30.0, 25.0)), legs=0, abdomen=30)
    hu = np.concatenate([first.hu[: BELOW + CHEST], np.roll(second.hu, 15, axis=2)])
    grid = Geometry.from_spacing((len(hu), *hu.shape[1:]), first.geometry.spacing_mm)
    hu += np.random.default_rng(1).integers(-20, 20, hu.shape, np.int16)
    write_series(Volume(hu, grid), tmp_path / "two")
    refused = score_study(read_studies([tmp_path / "two"]).studies[0], predict_threshold)
    assert refused.status == "refused"
    assert refused.reasons[-1].code is Code.TWO_SCANS


@pytest.mark.slow
def test_a_chest_in_much_air_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So much air that the whole scan would not pass for a CT in Hounsfield units; the chest does."""
    monkeypatch.setattr("ctacal.whole_body.LARGE_VOXELS", 1)
    hu = np.full((250, 33, 48), -1000, np.int16)
    hu[100:106] = Thorax().hu[20:26, ::4, ::4][:, :33, :48]
    write_series(Volume(hu, Geometry.from_spacing(hu.shape, (5.0, 8.0, 8.0))), tmp_path / "air")
    stack = stack_of(read_studies([tmp_path / "air"]).studies[0])
    part = part_to_read(stack, lambda volume: slice(100, 106))
    assert (part.first, len(part.slices)) == (90, 26)
    with pytest.raises(Refusal):
        part_to_read(stack, heart_slices)


def test_values_that_are_not_hu_are_refused_as_such(body: Volume, tmp_path: Path) -> None:
    write_series(Volume(body.hu // 20, body.geometry), tmp_path / "scaled")
    refused = score_study(read_studies([tmp_path / "scaled"]).studies[0], predict_threshold)
    assert refused.reasons[-1].code is Code.NOT_HU


@pytest.mark.parametrize("every", [1, 3])
def test_only_what_is_needed_is_decoded(study: Study, every: int, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[int] = []

    def counted(slices: Sequence[Slice], *more: Any) -> Iterator[NDArray[Any]]:
        decoded.append(len(slices))
        return hu_of_slices(slices, *more)

    monkeypatch.setattr(overview, "hu_of_slices", counted)
    monkeypatch.setattr("ctacal.dicom.decode.hu_of_slices", counted)
    monkeypatch.setattr(overview, "OVERVIEW_SLICE_MM", 5.0 * every)
    part = scored(study).scan.stack
    assert decoded == [-(-SLICES // every), len(part.slices)]
    assert len(part.slices) < 60


def test_the_overview_lies_on_the_scan(study: Study, body: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overview, "OVERVIEW_SLICE_MM", 10.0)
    seen = decode_overview(stack_of(study))
    assert (seen.every, seen.volume.hu.shape) == (2, (77, 65, 95))
    assert seen.volume.geometry.spacing_mm == pytest.approx((10.0, 4.0, 4.0))
    np.testing.assert_allclose(seen.volume.hu[40, 30, 50], body.hu[80, 60:62, 100:102].mean())
    at_mm = body.geometry.to_patient_mm((80, 60.5, 100.5))
    np.testing.assert_allclose(seen.volume.geometry.to_patient_mm((40, 30, 50)), at_mm, atol=1e-3)


def test_memory_holds_the_coarse_view_and_the_part(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    """The coarse view takes an eighth of the scan here, and its comparison more; less of a real one."""
    monkeypatch.setattr(overview, "OVERVIEW_SLICE_MM", 20.0)
    stack, plane = stack_of(study), 130 * 190 * 2
    tracemalloc.start()
    part = part_to_read(stack, lambda volume: slice(20, 21))
    seen = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    decode_volume(part)
    read = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert seen < 0.6 * SLICES * plane
    assert read < 1.5 * len(part.slices) * plane


@pytest.mark.slow
def test_every_output_is_written(result: ScoredStudy, tmp_path: Path) -> None:
    kinds = ("json", "html", "pdf", "png", "seg", "labelmap", "sr", "sc", "nifti")
    written = write_outputs(result, tmp_path, kinds)
    assert written.reasons == result.reasons
    labels = Volume.from_nifti(tmp_path / "labels.nii.gz")
    assert labels.geometry.same_grid(result.scan.volume.geometry)
    first, last = result.scan.stack.first + 1, result.scan.stack.first + len(result.scan.stack.slices)
    assert f"{SLICES}, 5 mm apart; slices {first} to {last}" in (tmp_path / "report.html").read_text()
