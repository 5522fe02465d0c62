"""``Triage``: reads the headers of one study after the other in a process of its own, which is watched from outside.

A study that ends this process, or takes too much memory or time, counts as not whole. It waits longer than others,
and scoring, which is watched too, then says what is wrong with it. The keeper goes on with all others.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from ctacal.errors import CtacalError
from ctacal.jobs.node.config import NodeConfig
from ctacal.jobs.node.events import start_logging, tell
from ctacal.jobs.node.ledger import Arriving
from ctacal.jobs.node.settling import ctac_is_whole
from ctacal.jobs.node.store import Store
from ctacal.watched import Duty, Failed, Limits, Watched, Why

TIME_S = 60.0
"""A study whose headers take longer to read counts as not whole; real ones take a second (own choice)."""
_LOOK_S = 0.2
"""How long the keeper waits for an answer, before it sees to other studies."""
_MOST_ANSWERS = 1000


@dataclass(eq=False)
class Triage:
    """Asks the process about one study at a time, and remembers the answers until they are fetched."""

    begin: Callable[[], Duty[str, bool]]
    limits: Limits
    _worker: Watched[str, bool] | None = field(default=None, init=False)
    _asked: Arriving | None = field(default=None, init=False)
    _answers: dict[Arriving, bool] = field(default_factory=dict, init=False)

    @classmethod
    def of(cls, config: NodeConfig) -> "Triage":
        """Return the triage of a node; its process starts with the first study."""
        return cls(partial(begin_triage, config), Limits(config.score.memory_mb, TIME_S))

    def is_whole(self, study: Arriving) -> bool | None:
        """Whether the CTAC is there without gaps; None: it is not known yet, ask again."""
        if self._asked:
            self._look(self._asked, _LOOK_S if self._asked == study else 0.0)
        if study not in self._answers and not self._asked:
            self._ask(study)
        return self._answers.pop(study, None)

    def end(self) -> None:
        """End the process."""
        if self._worker:
            self._worker.end()
            self._worker = None

    def _ask(self, study: Arriving) -> None:
        try:
            if self._worker and not self._worker.is_fit():
                self.end()
            self._worker = self._worker or Watched.started(self.begin, self.limits, threads=1, name="triage")
        except OSError as problem:  # no memory, no process number
            self._note(study, Failed(Why.SYSTEM, str(problem)))
            return
        self._worker.give(study.study_uid)
        self._asked = study
        self._look(study, _LOOK_S)

    def _look(self, study: Arriving, wait_s: float) -> None:
        """Note what came of a study, if it is known by now."""
        assert self._worker
        try:
            answer = self._worker.answer(wait_s)
        except CtacalError as problem:  # the process cannot begin
            self._worker = None
            answer = Failed(Why.SYSTEM, str(problem))
        if answer is not None:
            self._asked = None
            self._note(study, answer)

    def _note(self, study: Arriving, answer: bool | Failed) -> None:
        if isinstance(answer, Failed):
            tell("triage failed; the study waits longer", level=logging.WARNING, study_uid=study.study_uid,
                 reason=answer.reason)  # fmt: skip
        if len(self._answers) >= _MOST_ANSWERS:  # of studies that settled otherwise
            self._answers.clear()
        self._answers[study] = answer is True


def begin_triage(config: NodeConfig) -> Duty[str, bool]:
    """Run in the process of the triage: return how the headers of a study are judged."""
    start_logging(config.log, "triage")
    store = Store(config.store)
    return Duty(lambda study_uid: ctac_is_whole(store.received(study_uid), config.score))
