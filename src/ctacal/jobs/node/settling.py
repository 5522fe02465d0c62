"""``Settling``: when a study is whole. DICOM has no sign for that: it must have been quiet for a time.

The time is short if our own reading of the headers finds the CTAC without gaps, and long otherwise: then slices, or the
CTAC itself, may still come. What comes later still leads to a new result.

Silence is measured by the ledger's counter of activity and the monotonic clock of this process, so that no change of
the clock can shorten or lengthen it. A process that starts anew waits anew.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ctacal.dicom.choose import Candidate, candidates, choose_among
from ctacal.dicom.clues import is_marked_ctac
from ctacal.dicom.series import Study, read_studies
from ctacal.errors import Code, CtacalError
from ctacal.jobs.node.config import Score, Settle
from ctacal.jobs.node.ledger import Arriving

_MAY_GO_ON = {Code.INCOMPLETE_SERIES, Code.SCAN_GOES_ON}
"""Notes on a series that says itself that images of its scan lie elsewhere, or have not come."""

_log = logging.getLogger("ctacal")


@dataclass(slots=True)
class _Quiet:
    """What is known of a study since something last came."""

    activity: int
    since: float
    """When this activity was first seen, by the monotonic clock."""
    is_whole: bool | None = None
    """Whether the CTAC has no gaps; None: not known yet."""


class Settling:
    """The studies that are arriving, as one process has seen them."""

    def __init__(
        self,
        settle: Settle,
        is_whole: Callable[[Arriving], bool | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``is_whole`` tells whether the CTAC of a study is there without gaps; None: it will tell when asked again."""
        self._settle, self._is_whole, self._clock = settle, is_whole, clock
        self._seen: dict[str, _Quiet] = {}

    def due(self, arriving: Sequence[Arriving]) -> Iterator[Arriving]:
        """Yield the studies that count as whole now, of all that are ``arriving``; call it every second or so."""
        now = self._clock()
        self._seen = {study.study_uid: self._quiet(study, now) for study in arriving}
        for study in arriving:
            if study.asked_now or self._is_due(study, now):
                yield study

    def _quiet(self, study: Arriving, now: float) -> _Quiet:
        seen = self._seen.get(study.study_uid)
        return seen if seen and seen.activity == study.activity else _Quiet(study.activity, now)

    def _is_due(self, study: Arriving, now: float) -> bool:
        seen = self._seen[study.study_uid]
        quiet_s = now - seen.since
        if quiet_s >= self._settle.wait_s:
            return True
        if quiet_s < self._settle.quiet_s:
            return False
        if seen.is_whole is None:
            seen.is_whole = self._is_whole(study)
        return bool(seen.is_whole)


def ctac_is_whole(files: Sequence[Path], score: Score) -> bool:
    """Whether these files hold a CTAC, marked as such, that makes a regular volume and promises no further slices.

    Gaps count as gaps here, even if scoring would fill them: the missing slices may be on their way.
    """
    if not files:
        return False
    try:
        return any(_is_whole(study, score) for study in read_studies(files).studies)
    except (CtacalError, OSError):  # whatever it is, waiting for more does no harm
        return False
    except Exception:  # a defect in reading this study must not stop the others
        _log.exception("triage failed")
        return False


def _is_whole(study: Study, score: Score) -> bool:
    ranked = candidates(study, untilt=score.untilt, allow_contrast=score.allow_contrast)
    choice = choose_among(ranked, study)
    codes = {note.code for note in (*choice.notes, *choice.stack.notes, *choice.series.notes, *study.notes)}
    return is_marked_ctac(choice.series, study) and not codes & _MAY_GO_ON and not _has_gaps(ranked)


def _has_gaps(ranked: Sequence[Candidate]) -> bool:
    """Whether a series beside the chosen one, marked as CTAC, misses slices: it may be the right one once they came."""
    return any(candidate.unfit is not None and candidate.unfit.code is Code.MISSING_SLICE for candidate in ranked)
