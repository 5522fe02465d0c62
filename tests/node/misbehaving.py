"""A scoring process that does what the UID of a study says: it works, dies, swells, hangs or fails."""

import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ctacal.errors import UsageError
from ctacal.jobs.node.config import NodeConfig
from ctacal.jobs.node.ledger import NewDelivery, ScoredOutcome, StudyClaim, StudyState
from ctacal.jobs.node.scoring import Scored
from ctacal.jobs.node.store import Store
from ctacal.node import scorers
from ctacal.node.scorers import begin_scoring as _begin_scoring
from ctacal.watched import Duty
from tests.node.running import wait_until

GOOD, DIES, SWELLS, HANGS, RAISES, NO_DISK = "1.2.1", "1.2.2", "1.2.3", "1.2.4", "1.2.5", "1.2.6"
PAIR = ("1.2.7.1", "1.2.7.2")
"""Each is finished only while the other is being scored, too."""
SWOLLEN_MB = 600


def begin_scoring(config: NodeConfig) -> Duty[StudyClaim, Scored]:
    """Take the place of ``scorers.begin_scoring`` in a new process."""
    vars(scorers).update(score_job=_job, score_received=_score)
    return _begin_scoring(config)


def _job(config: NodeConfig) -> Any:
    if (config.store / "no-model").exists():
        raise UsageError("model.json is missing")
    return SimpleNamespace(outputs=())


def _score(claim: StudyClaim, store: Store, config: NodeConfig, _: Any) -> Scored:
    if claim.study_uid == DIES:
        os.kill(os.getpid(), signal.SIGKILL)
    if claim.study_uid == SWELLS:
        swollen = bytearray(os.urandom(2**20)) * SWOLLEN_MB
        time.sleep(60)
        del swollen
    if claim.study_uid == HANGS and not (config.store / "mended").exists():
        (config.store / "hangs").touch()
        time.sleep(60)
    if claim.study_uid in PAIR:
        _meet(claim.study_uid, config.store)
    if claim.study_uid == RAISES:
        raise ValueError("something is wrong")
    if claim.study_uid == NO_DISK and not (config.store / "mended").exists():
        (config.store / "tried").touch()
        raise OSError(28, "No space left on device", "result.json")
    report = NewDelivery(
        destination="pacs", kind="sr", path="results/sr.dcm", sop_class_uid="1.2", sop_instance_uid=f"9.{os.getpid()}"
    )
    return Scored(ScoredOutcome(state=StudyState.SCORED, agatston=1.0, result=""), (report,))


def _meet(study_uid: str, store: Path) -> None:
    """Wait until the other one of the pair is being scored."""
    (store / f"begun {study_uid}").touch()
    (other,) = (uid for uid in PAIR if uid != study_uid)
    wait_until((store / f"begun {other}").exists, "the other one of the pair")
