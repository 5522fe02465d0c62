"""SEG and SR refer to each image by its UIDs: if a UID does not say which image it means, neither is written."""

import json
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from ctacal.dicom.series import read_studies
from ctacal.errors import Code
from ctacal.jobs.finders import Finder
from ctacal.jobs.score import ScoreJob, score_intake
from ctacal.report.outputs import write_outputs
from ctacal.result import ScoredStudy
from ctacal.study import model_without_file, score_study
from tests.dicom_series import ct_series, enhanced_ct, study_of, uid, write
from tests.report.results import LOW_RULE, as_scored, drawing, scored_series

REFERRING, STANDING_ALONE = ("seg", "labelmap", "sr"), ("sc", "dicompdf", "json")


def written(result: ScoredStudy, out: Path, *kinds: str) -> tuple[set[str], list[str]]:
    """Return the names of the files, and why others were not written."""
    reasons = as_scored(write_outputs(result, out, kinds)).reasons
    refused = [reason.message for reason in reasons if reason.code is Code.OUTPUT_NOT_WRITTEN]
    assert Code.INTERNAL_ERROR not in {reason.code for reason in reasons}
    return {file.name for file in out.iterdir()}, refused


def with_one_uid(images: list[Dataset], which: range) -> list[Dataset]:
    for k in which:
        images[k].SOPInstanceUID = uid("one")
    return images


@pytest.mark.parametrize("which", [range(14), range(4, 6)], ids=["all", "two"])
def test_images_that_share_a_uid_are_scored_without_objects_that_refer_to_them(tmp_path: Path, which: range) -> None:
    result = scored_series(with_one_uid(ct_series(), which), tmp_path / "ct")
    assert result.scores == scored_series(ct_series(), tmp_path / "plain").scores
    files, refused = written(result, tmp_path / "out", *REFERRING, *STANDING_ALONE)
    assert files == {"montage.dcm", "report_pdf.dcm", "result.json"}, "these refer to no image"
    assert len(refused) == len(REFERRING)
    assert all("several images have the SOPInstanceUID" in message for message in refused)
    assert pydicom.dcmread(tmp_path / "out" / "report_pdf.dcm").StudyInstanceUID == result.study_uid


def test_copies_of_an_image_share_its_uid_by_right(tmp_path: Path) -> None:
    images = ct_series()
    files, refused = written(scored_series([*images, images[3]], tmp_path / "ct"), tmp_path / "out", "seg")
    assert (files, refused) == ({"seg.dcm"}, [])


def test_an_image_of_another_series_with_the_same_uid(tmp_path: Path) -> None:
    other = with_one_uid(ct_series(name="other", SeriesDescription="Thorax 5.0 B70f"), range(2, 3))
    result = scored_series([*with_one_uid(ct_series(), range(5, 6)), *other], tmp_path / "ct")
    assert "several images" in "".join(written(result, tmp_path / "out", "seg")[1])


def spoiled(attribute: str, value: str) -> list[Dataset]:
    images = ct_series()
    setattr(images[6], attribute, value)
    return images


def test_a_private_class_of_one_image_is_enough_to_refuse_the_objects(tmp_path: Path) -> None:
    result = scored_series(spoiled("SOPClassUID", "1.2.840.113619.4.30"), tmp_path / "ct")
    assert "is not one of DICOM's" in "".join(written(result, tmp_path / "out", "seg")[1])


def test_an_image_without_a_uid(tmp_path: Path) -> None:
    file = write(tmp_path / "ct", ct_series()) / "IM0006"
    image = pydicom.dcmread(file)
    del image.SOPInstanceUID, image.file_meta.MediaStorageSOPInstanceUID
    image.save_as(file)
    result = as_scored(score_study(study_of(tmp_path / "ct"), drawing(), rule=LOW_RULE))
    assert "SOPInstanceUID is missing" in "".join(written(result, tmp_path / "out", "seg")[1])


def test_each_image_is_referred_to_by_its_own_class(tmp_path: Path) -> None:
    result = scored_series(spoiled("SOPClassUID", SecondaryCaptureImageStorage), tmp_path / "ct")
    assert written(result, tmp_path / "out", "sr")[1] == []
    (study,) = pydicom.dcmread(tmp_path / "out" / "sr.dcm").CurrentRequestedProcedureEvidenceSequence
    images = [image for series in study.ReferencedSeriesSequence for image in series.ReferencedSOPSequence]
    assert [image.ReferencedSOPClassUID for image in images].count(SecondaryCaptureImageStorage) == 1


def test_a_multi_frame_image_for_each_slice(tmp_path: Path) -> None:
    images = [enhanced_ct([image]) for image in ct_series()]
    for k, image in enumerate(images):
        image.SOPInstanceUID = uid("frame", k)
    (refused,) = written(scored_series(images, tmp_path / "ct"), tmp_path / "out", "seg")[1]
    assert "multi-frame image, or spans several" in refused


def test_frames_of_one_image_share_its_uid_by_right(tmp_path: Path) -> None:
    result = scored_series([enhanced_ct(ct_series())], tmp_path / "ct")
    assert written(result, tmp_path / "out", "seg", "sr") == ({"seg.dcm", "sr.dcm"}, [])


def test_two_multi_frame_images_with_one_uid(tmp_path: Path) -> None:
    halves = [enhanced_ct(ct_series()[:7]), enhanced_ct(ct_series()[7:])]
    result = scored_series(halves, tmp_path / "ct")
    assert len(written(result, tmp_path / "out", "seg", "sr")[1]) == 2


def test_a_resumed_run_does_not_score_again_for_objects_that_cannot_be_made(tmp_path: Path) -> None:
    write(tmp_path / "ct", with_one_uid(ct_series(), range(14)))
    calls: list[int] = []

    def counting(volume: Any, rule: Any) -> Any:
        calls.append(1)
        return drawing()(volume, rule)

    finder = Finder(counting, model_without_file("drawing"))
    for outputs in (("json", "seg", "sr"), ("json", "seg", "sr"), ("json", "png")):
        job = ScoreJob(finder=finder, rule=LOW_RULE, outputs=outputs, resume=True)
        (row,) = score_intake(read_studies([tmp_path / "ct"]), tmp_path / "out", job).rows
        assert row["agatston"] > 0
    assert len(calls) == 2, "once, and once more for the picture"
    (content,) = (json.loads(file.read_text()) for file in (tmp_path / "out").rglob("result.json"))
    assert "OUTPUT_NOT_WRITTEN" not in {reason["code"] for reason in content["reasons"]}
