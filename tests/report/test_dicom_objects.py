"""SEG and SR of a scored study: valid, linked to each other, repeatable, and read back to the same numbers."""

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom import Dataset

from ctacal.dicom.objects.codes import REGIONS
from ctacal.dicom.objects.labels import read_label_map
from ctacal.dicom.objects.seg_writer import save
from ctacal.dicom.objects.sr import MeasuredGroup, read_measurements
from ctacal.dicom.series import read_studies
from ctacal.dicom.uids import is_uid
from ctacal.errors import Code, Refusal
from ctacal.labels import Calcium
from ctacal.report.filing import Filing
from ctacal.report.montage import slices_shown
from ctacal.report.outputs import WRITERS, write_outputs
from ctacal.report.seg import result_segmentation
from ctacal.report.sr import measurement_report
from ctacal.result import ScoredStudy
from ctacal.scores import SCCT_2016
from ctacal.study import predict_from_file, score_study
from tests import places
from tests.dicom_series import Grid, ct_series, enhanced_ct, in_file_format, study_of, write
from tests.dicom_text import elements
from tests.report.results import ALL_LABELS, LOW_RULE, as_scored, drawing, scored, scored_series
from tests.tools import dciodvfy_errors, dsr2html, pixelmed_errors

GRIDS = {
    "supine": Grid(),
    "prone": Grid(orientation=(-1, 0, 0, 0, -1, 0)),
    "turned": Grid(orientation=(0, 1, 0, -1, 0, 0)),
    "oblique": Grid(orientation=(0.98, 0.0, 0.198997487, 0.0, 1.0, 0.0)),
}


def objects(result: ScoredStudy) -> tuple[Dataset, Dataset]:
    filing = Filing.of(result)
    segmentation = result_segmentation(filing)
    return segmentation, measurement_report(filing, segmentation)


def stored(result: ScoredStudy, folder: Path) -> tuple[Path, Path]:
    paths = folder / "seg.dcm", folder / "sr.dcm"
    for image, path in zip(objects(result), paths, strict=True):
        save(image, path)
    return paths


def rescored(result: ScoredStudy, folder: Path, labels: Path, **options: Any) -> ScoredStudy:
    return as_scored(score_study(study_of(folder), predict_from_file(labels), rule=LOW_RULE, **options))


def by_label(groups: tuple[MeasuredGroup, ...]) -> dict[str, MeasuredGroup]:
    sites = {concept.code: label.name for label, concept in REGIONS.items()}
    return {"total" if group.segment is None else sites[group.site]: group for group in groups}


@pytest.mark.slow
@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_the_seg_scores_as_what_it_was_made_of(tmp_path: Path, grid: Grid) -> None:
    shuffled = [ct_series(grid)[k] for k in np.random.default_rng(3).permutation(14)]
    result = scored_series(shuffled, tmp_path / "ct")
    seg, _ = stored(result, tmp_path)
    assert np.array_equal(read_label_map(seg, result.scan.volume).labels, result.scan.labels.labels)
    again = rescored(result, tmp_path / "ct", seg)
    assert again.scores == result.scores
    assert min(result.scores.agatston.per_vessel.values()) > 0


def test_the_sr_has_the_same_numbers(tmp_path: Path) -> None:
    result = scored_series(ct_series(), tmp_path / "ct", mass_calibration=0.77)
    _, sr = stored(result, tmp_path)
    groups, scores = by_label(read_measurements(sr)), result.scores
    assert scores.mass_mg is not None
    assert dict(groups["total"].values) == {
        "agatston": scores.agatston.total, "volume_mm3": scores.volume_mm3.total, "mass_mg": scores.mass_mg.total,
        "threshold_hu": 30.0,
    }  # fmt: skip
    for label in Calcium:
        values = groups[label.name].values
        tallies = {"agatston": scores.agatston, "volume_mm3": scores.volume_mm3, "mass_mg": scores.mass_mg}
        if label is Calcium.OTHER:
            assert values == {"volume_mm3": scores.volume_mm3.other, "mass_mg": scores.mass_mg.other}
        else:
            assert values == {name: tally.per_vessel[label.name] for name, tally in tallies.items()}


def test_each_measurement_is_tied_to_its_segment(tmp_path: Path) -> None:
    segmentation, report = objects(scored(tmp_path))
    save(report, tmp_path / "sr.dcm")
    segments = {int(segment.SegmentNumber): segment for segment in segmentation.SegmentSequence}
    groups = [group for group in read_measurements(tmp_path / "sr.dcm") if group.segment is not None]
    assert {group.segment for group in groups} == set(segments)
    for group in groups:
        assert group.segment is not None
        assert segments[group.segment].TrackingUID == group.tracking_uid
        assert segments[group.segment].AnatomicRegionSequence[0].CodeValue == group.site
    referenced = {
        item.ReferencedSOPInstanceUID
        for study in report.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    assert segmentation.SOPInstanceUID in referenced
    assert len(referenced) == 15


@pytest.fixture(scope="module")
def phantom() -> ScoredStudy:
    """The sample phantom, scored from its labels."""
    study = read_studies([places.SAMPLE / "thorax_phantom.zip"]).studies[0]
    return as_scored(score_study(study, predict_from_file(places.SAMPLE / "thorax_phantom_labels.nii.gz")))


def test_the_elements_are_those_of_writers_that_followed_the_standard_by_hand(
    phantom: ScoredStudy, tmp_path: Path
) -> None:
    """tests/data/dicom/README.md says where the stored elements come from."""
    for path in stored(phantom, tmp_path):
        golden = (places.DATA / "dicom" / f"phantom_{path.stem}.txt").read_text(encoding="utf-8")
        assert elements(pydicom.dcmread(path)) == golden.splitlines()


@pytest.mark.parametrize("labels", [ALL_LABELS, ALL_LABELS[1:3], ()], ids=["all", "two", "none"])
def test_the_sr_of_a_multi_frame_image_refers_to_its_frames(tmp_path: Path, labels: Sequence[Calcium]) -> None:
    result = scored_series([enhanced_ct(ct_series())], tmp_path, drawing(labels), mass_calibration=0.77)
    segmentation, report = objects(result)
    groups = next(item for item in report.ContentSequence if "126010" in code_value(item)).ContentSequence
    assert len(groups) == len(labels) + 1
    source = next(item for item in groups[-1].ContentSequence if code_value(item) == "121112").ReferencedSOPSequence[0]
    assert source.ReferencedSOPInstanceUID == Filing.of(result).first.SOPInstanceUID
    shown = sorted(slices_shown(result.scan, result.rule))
    frames = [image.frame + 1 for image in (result.scan.stack.slices[k] for k in shown) if image]
    assert list(source.ReferencedFrameNumber) == frames
    save(report, tmp_path / "sr.dcm")
    numbers = [group.segment for group in read_measurements(tmp_path / "sr.dcm")]
    assert numbers == [*range(1, len(labels) + 1), None]
    assert len(segmentation.SegmentSequence) == max(len(labels), 1)


def code_value(item: Dataset) -> str:
    return str(item.ConceptNameCodeSequence[0].CodeValue)


def test_highdicom_reads_both_alike(tmp_path: Path) -> None:
    import highdicom

    result = scored(tmp_path)
    seg, sr = stored(result, tmp_path)
    image = highdicom.seg.segread(seg)
    assert [image.get_segment_description(n).segment_label for n in image.segment_numbers] == [
        "LM", "LAD", "LCX", "RCA", "Coronary calcium", "Non-coronary calcium",
    ]  # fmt: skip
    volume = image.get_volume(combine_segments=True)
    slices = [k for k in range(14) if result.scan.labels.labels[k].any()]
    mine = result.scan.labels.labels[slices[0] : slices[-1] + 1]
    matched = volume.match_geometry(
        highdicom.VolumeGeometry(
            result.scan.volume.geometry.crop((slice(slices[0], slices[-1] + 1), slice(None), slice(None))).affine,
            mine.shape,
            "PATIENT",
        )
    )
    assert np.array_equal(matched.array, mine)
    report: Any = highdicom.sr.srread(sr).content
    assert len(report.get_volumetric_roi_measurement_groups()) == 6
    assert len(report.get_image_measurement_groups()) == 1
    (total,) = report.get_image_measurement_groups()[0].get_measurements(name=_coded("450360000", "SCT"))
    assert total.value == result.scores.agatston.total
    assert total.unit.value == "1"


def _coded(value: str, scheme: str) -> Any:
    from pydicom.sr.coding import Code as CodedEntry

    return CodedEntry(value, scheme, "as there")


@pytest.mark.slow
def test_scored_twice_gives_the_same_bytes_and_any_difference_other_uids(tmp_path: Path) -> None:
    result = scored(tmp_path / "ct")
    first, again = stored(result, tmp_path / "a"), stored(scored(tmp_path / "ct"), tmp_path / "b")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]
    assert result.model is not None
    others = {
        "model": replace(result, model=replace(result.model, digest="0" * 64)),
        "rule": scored_series(ct_series(), tmp_path / "ct", rule=replace(LOW_RULE, min_area_mm2=0.5)),
        "labels": scored_series(ct_series(), tmp_path / "ct", drawing(seed=6)),
        "series": scored(tmp_path / "other", name="other"),
    }
    for name, other in others.items():
        pairs = zip(objects(other), objects(result), strict=True)
        assert all(a.SOPInstanceUID != b.SOPInstanceUID for a, b in pairs), name


def test_no_calcium_is_a_valid_answer_too(tmp_path: Path) -> None:
    result = scored_series(ct_series(), tmp_path / "ct", drawing(()), rule=SCCT_2016)
    seg, sr = stored(result, tmp_path)
    again = rescored(result, tmp_path / "ct", seg)
    assert again.scores is not None
    assert again.scores.agatston.total == 0
    (group,) = read_measurements(sr)
    assert group.values == {"agatston": 0.0, "volume_mm3": 0.0, "threshold_hu": 130.0}
    assert not dciodvfy_errors(seg) + dciodvfy_errors(sr)


def test_an_enhanced_image_is_referred_to_frame_by_frame(tmp_path: Path) -> None:
    result = scored_series([enhanced_ct(ct_series())], tmp_path / "ct")
    seg, sr = stored(result, tmp_path)
    assert rescored(result, tmp_path / "ct", seg).scores == result.scores
    group = pydicom.dcmread(seg).PerFrameFunctionalGroupsSequence[0]
    assert group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedFrameNumber >= 1
    assert not dciodvfy_errors(seg) + dciodvfy_errors(sr)


@pytest.mark.slow
def test_interpolated_slices_and_untilted_scans_have_their_place(tmp_path: Path) -> None:
    series = ct_series()
    del series[6]
    result = scored_series(series, tmp_path / "gap", fill_gaps=True)
    assert result.scan.labels.labels[6].any()
    seg, _ = stored(result, tmp_path)
    assert rescored(result, tmp_path / "gap", seg, fill_gaps=True).scores == result.scores
    tilted = scored_series(ct_series(Grid(step_mm=(0.0, 0.5, 3.0))), tmp_path / "tilt", untilt=True)
    seg, _ = stored(tilted, tmp_path)
    assert rescored(tilted, tmp_path / "tilt", seg, untilt=True).scores == tilted.scores


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_the_validators_find_no_error(tmp_path: Path, grid: Grid) -> None:
    seg, sr = stored(scored(tmp_path / "ct", grid), tmp_path)
    assert not dciodvfy_errors(seg)
    assert not dciodvfy_errors(sr)


@pytest.mark.slow
def test_pixelmed_finds_the_template_kept(tmp_path: Path) -> None:
    """It expects all groups to be like the first, and so misses items of TID 1411 in the total's group (TID 1501)."""
    without = scored_series(ct_series(), tmp_path / "none", drawing(()), rule=SCCT_2016)
    assert not pixelmed_errors(stored(without, tmp_path)[1])
    vessels = scored_series(ct_series(), tmp_path / "some", drawing((Calcium.LAD, Calcium.RCA)))
    errors = pixelmed_errors(stored(vessels, tmp_path)[1])
    assert all("Template 1411" in error and "Missing conditional content item" in error for error in errors), errors
    assert len(errors) == 3
    assert all("within 1.9.3:" in error for error in errors), "the third group is the total"


def test_dcmtk_renders_every_number_with_what_kind_of_scan_it_comes_from(tmp_path: Path) -> None:
    result = scored(tmp_path / "ct")
    page = dsr2html(stored(result, tmp_path)[1])
    assert page.count("Non-gated low-dose CTAC") >= len(Calcium) + 1
    for vessel, agatston in result.scores.agatston.per_vessel.items():
        assert f"{agatston:.6g}"[:5] in page, vessel
    assert "Research use only" in page


def test_a_gated_scan_is_not_called_a_ctac(tmp_path: Path) -> None:
    result = scored(tmp_path / "ct", SeriesDescription="CaScore 3.0")
    assert Code.GATED_CALCIUM_SCAN in {reason.code for reason in result.reasons}
    assert "Non-gated low-dose" not in dsr2html(stored(result, tmp_path)[1]).replace("Scored on a", "").replace(
        "score, non-gated", ""
    )


@pytest.mark.slow
def test_a_drawing_by_hand_is_not_called_automatic(tmp_path: Path) -> None:
    result = scored(tmp_path / "ct")
    segmentation, _ = objects(result)
    assert {segment.SegmentAlgorithmType for segment in segmentation.SegmentSequence} == {"AUTOMATIC"}
    seg, _ = stored(result, tmp_path)
    by_hand, _ = objects(rescored(result, tmp_path / "ct", seg))
    assert {segment.SegmentAlgorithmType for segment in by_hand.SegmentSequence} == {"SEMIAUTOMATIC"}


@pytest.mark.parametrize("keyword", ["SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"])
def test_an_invalid_uid_is_refused(tmp_path: Path, keyword: str) -> None:
    series = ct_series()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the invalid UID
        for k, image in enumerate(series):
            setattr(image, keyword, f"../../x{k if keyword == 'SOPInstanceUID' else ''}")
        study = study_of(write(tmp_path, series))
    result = as_scored(score_study(study, drawing(), rule=LOW_RULE))
    with pytest.raises(Refusal, match=f"{keyword}.*is not a valid UID"):
        objects(result)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*VR UI:UserWarning")  # pydicom warns of such UIDs
def test_images_with_zeros_in_their_uids_are_referred_to_as_they_are(tmp_path: Path) -> None:
    images = ct_series(StudyInstanceUID="1.2.0840.1", SeriesInstanceUID="1.2.0840.2", FrameOfReferenceUID="1.2.0840.3")
    for number, image in enumerate(images):
        image.SOPInstanceUID = f"1.2.0840.4.{number:04}"
    result = as_scored(score_study(study_of(write(tmp_path / "ct", images)), drawing(), rule=LOW_RULE))
    assert [reason.code for reason in result.reasons].count(Code.UID_LEADING_ZERO) == 1
    write_outputs(result, tmp_path / "out", ["seg", "sr"])
    sent = {image.SOPInstanceUID for image in images}
    for name in ("seg.dcm", "sr.dcm"):
        made = pydicom.dcmread(tmp_path / "out" / name)
        assert made.StudyInstanceUID == "1.2.0840.1"
        assert is_uid(made.SOPInstanceUID) and is_uid(made.SeriesInstanceUID)
        named = {item.value for item in made.iterall() if item.keyword == "ReferencedSOPInstanceUID"}
        assert {uid for uid in named if not is_uid(uid)} <= sent and named & sent
        errors = [error for error in dciodvfy_errors(tmp_path / "out" / name) if "Leading zeroes" not in error]
        assert errors in ([], ["Error - Dicom dataset contains invalid data values for Value Representations"])


@pytest.mark.slow
def test_the_series_numbers_differ(tmp_path: Path) -> None:
    write_outputs(scored(tmp_path / "ct"), tmp_path / "out", WRITERS)
    numbers = [pydicom.dcmread(file).SeriesNumber for file in (tmp_path / "out").glob("*.dcm")]
    assert len(numbers) == len(set(numbers)) == 5
    assert min(numbers) > 7000


def test_a_private_kind_of_image_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"SOPClassUID '1\.2\.840\.113619\.4\.30' is not one of DICOM's"):
        objects(scored(tmp_path, SOPClassUID="1.2.840.113619.4.30"))


def test_a_ct_image_is_not_read_as_a_report(tmp_path: Path) -> None:
    image = in_file_format(ct_series()[0])
    image.save_as(tmp_path / "ct.dcm")
    with pytest.raises(ValueError, match="modality CT, not a structured report"):
        read_measurements(tmp_path / "ct.dcm")
