"""One claim becomes a result on the disk, and what is to be sent of it; what cannot be scored has its reason."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from ctacal.errors import UsageError
from ctacal.jobs.node.config import Destination, NodeConfig, Score
from ctacal.jobs.node.ledger import StudyClaim, StudyState
from ctacal.jobs.node.scoring import score_job, score_received
from ctacal.jobs.node.store import Store
from ctacal.jobs.score import score_into
from tests.dicom_series import emission_image
from tests.node.studies import PHANTOM_AGATSTON, keep, phantom, write


def node(tmp_path: Path, **score: object) -> NodeConfig:
    pacs = Destination(name="pacs", kind="dicom", ae_title="PACS", host="pacs", port=104, refusals=("dicompdf",))
    settings = Score(predictor="threshold", write=("json",), **score)  # type: ignore[arg-type]
    return NodeConfig(store=tmp_path / "store", score=settings, destination=(pacs,))


def claim(study_uid: str, revision: int = 1, predecessor: str = "") -> StudyClaim:
    return StudyClaim(
        study_uid=study_uid, token="t", revision=revision, activity=1, attempts=1, predecessor=predecessor
    )


@pytest.mark.slow
def test_a_study_is_scored_sent_and_kept_if_it_is_claimed_again(tmp_path: Path) -> None:
    config = node(tmp_path)
    store, job = Store(config.store), score_job(config)
    study_uid = keep(store, phantom(tmp_path / "export"))
    scored = score_received(claim(study_uid), store, config, job)
    assert scored.outcome.state is StudyState.SCORED
    assert scored.outcome.agatston == pytest.approx(PHANTOM_AGATSTON, rel=0.2)
    assert scored.outcome.result == f"results/{study_uid}/1"
    assert [one.kind for one in scored.deliveries] == ["seg", "sr"]
    report = dcmread(store.folder / scored.deliveries[1].path)
    assert report.SOPInstanceUID == scored.deliveries[1].sop_instance_uid
    assert report.StudyInstanceUID == study_uid

    written = (store.results(study_uid, 1) / "result.json").stat().st_mtime_ns
    again = score_received(claim(study_uid), store, config, job)
    assert again.deliveries == scored.deliveries
    assert (store.results(study_uid, 1) / "result.json").stat().st_mtime_ns == written

    later = score_received(claim(study_uid, 2, scored.deliveries[1].path), store, config, job)
    assert {one.path.split("/")[2] for one in later.deliveries} == {"2"}
    assert later.deliveries[0].sop_instance_uid == scored.deliveries[0].sop_instance_uid  # the content is the same


@pytest.mark.slow
def test_a_store_that_goes_away_is_no_fault_of_the_study_and_no_other_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = node(tmp_path)
    store, job = Store(config.store), score_job(config)
    study_uid = keep(store, phantom(tmp_path / "export"))

    def goes(*arguments: Any, **options: Any) -> Any:
        content = score_into(*arguments, **options)
        store.folder.rename(tmp_path / "away")
        return content if kept else score_into(*arguments, **options)

    monkeypatch.setattr("ctacal.jobs.node.scoring.score_into", goes)
    for kept in (True, False):  # the results are in the store, or where it was
        with pytest.raises(FileNotFoundError, match="is its disk mounted"):
            score_received(claim(study_uid, revision=1 + kept), store, config, job)
        assert not store.folder.exists()
        (tmp_path / "away").rename(store.folder)


def test_a_study_without_a_ct_is_refused_and_told_if_it_is_wanted(tmp_path: Path) -> None:
    config = node(tmp_path)
    store = Store(config.store)
    study_uid = keep(store, [write(emission_image(), tmp_path / "nm.dcm")])
    scored = score_received(claim(study_uid), store, config, score_job(config))
    assert scored.outcome.state is StudyState.REFUSED
    assert scored.outcome.reason_code == "NO_CT_SERIES"
    assert scored.outcome.reason
    assert (store.folder / scored.outcome.result / "result.json").is_file()
    assert [one.kind for one in scored.deliveries] == ["dicompdf"]


def test_objects_that_are_no_images_are_refused_without_a_result(tmp_path: Path) -> None:
    config = node(tmp_path)
    store = Store(config.store)
    report = emission_image()
    report.SOPClassUID, report.Modality = "1.2.840.10008.5.1.4.1.1.88.11", "SR"
    del report.PixelData, report.Rows, report.Columns
    study_uid = keep(store, [write(report, tmp_path / "sr.dcm")])
    scored = score_received(claim(study_uid), store, config, score_job(config))
    assert (scored.outcome.state, scored.outcome.reason_code) == (StudyState.REFUSED, "NO_CT_SERIES")
    assert scored.deliveries == ()


def test_a_predecessor_that_is_gone_costs_no_score(tmp_path: Path) -> None:
    config = node(tmp_path)
    store = Store(config.store)
    study_uid = keep(store, [write(emission_image(), tmp_path / "nm.dcm")])
    scored = score_received(claim(study_uid, 2, "results/1.2/1/sr.dcm"), store, config, score_job(config))
    assert scored.outcome.reason_code == "NO_CT_SERIES"


def test_a_model_that_is_missing_is_told_at_once(tmp_path: Path) -> None:
    config = node(tmp_path)
    missing = replace(config, score=Score(model=tmp_path / "none"))
    with pytest.raises(UsageError, match="none"):
        score_job(missing)
