"""Studies that end, hang or fill the process that scores them: by the name of their source."""

import os
import signal
import time
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ctacal.jobs.batch.run import Engine, RunOptions
from ctacal.jobs.batch.scoring import Ahead, RowScored, RowTask, begin
from ctacal.jobs.score import ScoreJob
from ctacal.watched import Duty, Limits
from ctacal.watched_pool import WatchedPool

KILLS, HANGS, FILLS = "kills its process", "hangs", "20 GB"


def poisoned_engine(job: ScoreJob, options: RunOptions) -> Engine:
    """Return the engine of this machine, whose processes meet the poison."""
    limits = Limits(options.memory_mb, options.time_s)
    return WatchedPool(partial(begin_poisoned, job), processes=options.processes, limits=limits)


def begin_poisoned(job: ScoreJob) -> Duty[RowTask, RowScored]:
    duty = begin(job)
    return Duty(partial(_perform, duty), duty.fetch)


def _perform(duty: Duty[RowTask, RowScored], ahead: Ahead) -> RowScored:
    name = ahead.task.row.sources[0]
    if KILLS in name:
        os.kill(os.getpid(), signal.SIGKILL)
    if HANGS in name:
        time.sleep(1e6)
    if FILLS in name:
        _fill()
    return duty.perform(ahead)


def _fill() -> None:
    filled: list[NDArray[np.float64]] = []
    while len(filled) < 80:
        filled.append(np.ones(2**25))  # 256 MB
        time.sleep(0.1)
    raise AssertionError("nobody minded 20 GB")
