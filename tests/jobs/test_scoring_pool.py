"""Studies scored in several processes."""

from pathlib import Path

import pytest

from ctacal.jobs.finders import baseline
from ctacal.jobs.score import ScoreJob
from ctacal.jobs.scoring_pool import Scored, ScoringPool, Work
from ctacal.watched import Failed, Why
from ctacal.watched_pool import in_order
from tests.dicom_series import ct_series, uid, write
from tests.marker_study import WIDE

pytestmark = pytest.mark.slow


def test_each_work_gives_the_results_of_its_studies(tmp_path: Path) -> None:
    works = [Work(name, (tmp_path / name,), tmp_path / "out" / name) for name in ("a", "b", "none")]
    for name in ("a", "b"):
        write(tmp_path / name, ct_series(WIDE, name=name, StudyInstanceUID=uid(name)))
    job = ScoreJob(finder=baseline(), outputs=("json",))
    with ScoringPool(job, processes=2) as pool:
        a, b, none = in_order(pool.results(works))
    for work, finished in zip(works, (a, b), strict=False):
        assert finished.task.key == work.key
        assert isinstance(finished.answer, Scored)
        (outcome,) = finished.answer.outcomes
        assert (work.out / outcome.folder / "result.json").is_file()
        assert outcome.content["study"]["study_uid"] == uid(work.key)
    assert isinstance(none.answer, Failed)
    assert none.answer.why == Why.REQUEST
    assert str(tmp_path / "none") in none.answer.reason
