"""Corrupted copies of the sample: no traceback, no INTERNAL_ERROR, no hang, no other score without a note."""

import pytest

from tests.fuzz import TRUE_AGATSTON, corrupted_study, verdicts

FAULTS = ("silent", "internal", "crash", "hang")


@pytest.mark.ci
def test_corrupted_studies_end_in_a_score_with_a_note_or_a_refusal() -> None:
    """``python -m tests.fuzz --studies 2000`` is the long run; its last outcome stands in docs/dicom-input.md."""
    found = list(verdicts(0, 60, seed=3))
    assert len(found) == 60
    assert {verdict.outcome for verdict in found} >= {"scored", "refused"}
    assert not [verdict for verdict in found if verdict.outcome in FAULTS]


def test_a_study_is_corrupted_in_the_same_way_each_time() -> None:
    once, again = corrupted_study(1, 4), corrupted_study(1, 4)
    assert once == again
    assert once != corrupted_study(1, 10)
    assert TRUE_AGATSTON > 0
