"""The verdict on a fine-tuned network."""

from dataclasses import replace
from pathlib import Path

import pytest

from ctacal.jobs.finetune import Verdict, judge
from ctacal.nn.finetune import Outcome
from ctacal.nn.validate import Validation

BEFORE = Validation(0.9, 0.9, 0.9, 0.9, 0.9, ())


def outcome(fall: float, *, gained: bool = True) -> Outcome:
    pair = (BEFORE, replace(BEFORE, kappa=BEFORE.kappa - fall))
    return Outcome(Path("best.pt"), gained, pair, pair, 0.02)


@pytest.mark.parametrize(
    ("fall", "gained", "force", "verdict"),
    [
        (0.0, True, False, Verdict.KEPT),
        (0.019, True, True, Verdict.KEPT),
        (0.021, True, False, Verdict.FORGOT),
        (0.021, True, True, Verdict.FORCED),
        (0.0, False, True, Verdict.NOTHING_GAINED),
    ],
)
def test_verdict(fall: float, gained: bool, force: bool, verdict: Verdict) -> None:
    assert judge(outcome(fall, gained=gained), force=force) is verdict
