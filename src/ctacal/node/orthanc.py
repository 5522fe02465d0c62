"""An Orthanc whose stable studies are fetched: its list of changes says which, by numbers that only grow.

Only CT, NM and PT are fetched, of studies that hold a CT. What the store has already is not fetched again, so that the
results that come back into the same Orthanc cause no second round.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from logging import WARNING
from tempfile import TemporaryFile
from typing import Any

import httpx

from ctacal.atomic import write_text
from ctacal.errors import CtacalError
from ctacal.jobs.node.arrivals import Arrivals, Sending
from ctacal.jobs.node.config import Orthanc
from ctacal.jobs.node.events import tell
from ctacal.jobs.node.inputs import Trouble, input_name
from ctacal.jobs.node.intake import Limits, Refused, Why, keep_object
from ctacal.jobs.node.store import Store

_CHANGES_AT_ONCE = 100
_MODALITIES = {"CT", "NM", "PT"}
_TIMEOUT_S = 30.0
_PLACES = "orthanc"
"""Folder of the store that says how far each Orthanc has been read, and which studies are to be tried again."""
_LONGEST_RETRY_S = 3600.0
"""Longest time between two attempts to fetch a study; the first is ``poll_s``, each further one twice as long."""


class NotNow(CtacalError):
    """A study cannot be taken at the moment; it is tried again."""


@dataclass(slots=True)
class _Again:
    """A study that could not be fetched, though its Orthanc answers."""

    attempts: int = 0
    due_at: float = float("-inf")


@dataclass(eq=False)
class PolledOrthanc:
    """One Orthanc, and how far its list of changes has been read."""

    orthanc: Orthanc
    store: Store
    limits: Limits
    arrivals: Arrivals
    clock: Callable[[], float] = time.monotonic
    client: httpx.Client = field(init=False)
    _again: dict[str, _Again] = field(default_factory=dict, init=False)
    """Studies that are to be tried again, by their identifiers in Orthanc."""

    def __post_init__(self) -> None:
        self._place = self.store.folder / _PLACES / f"{self.orthanc.name}.json"
        self._place.parent.mkdir(exist_ok=True)
        self._again = {study: _Again() for study in self._remembered().get("again", ())}
        self.client = orthanc_client(self.orthanc)

    def run(self, stopping: threading.Event, trouble: Trouble) -> None:
        """Ask again and again until ``stopping`` is set; ``trouble`` notes each problem."""
        told = ""
        while not stopping.is_set():
            try:
                while self.poll() and not stopping.is_set():
                    pass
                told = ""
                trouble.note(self.problem)
            except (httpx.HTTPError, OSError, ValueError, LookupError, NotNow) as problem:
                said = f"{type(problem).__name__}: {problem}"
                if said != told:
                    tell("orthanc cannot be read", level=WARNING, orthanc=self.orthanc.name, reason=said)
                told = said
                trouble.note(str(problem) if isinstance(problem, NotNow) else f"{type(problem).__name__}")
            stopping.wait(self.orthanc.poll_s)
        self.client.close()

    @property
    def problem(self) -> str:
        """What could not be fetched, in words without names; empty: nothing."""
        return f"{len(self._again)} of its studies cannot be fetched" if self._again else ""

    def poll(self) -> bool:
        """Fetch what became stable since the last time; returns whether there is more.

        A study that cannot be fetched from an Orthanc that answers is tried again later, and holds up no other. Raises
        ``httpx.HTTPError``, ``ValueError``, ``LookupError`` or ``NotNow``; the next call then goes on from the same
        change.
        """
        for study in [study for study, again in self._again.items() if self.clock() >= again.due_at]:
            self._try_study(study)
        since = self._since()
        answer = self._get("/changes", since=since, limit=_CHANGES_AT_ONCE)
        if int(answer["Last"]) < since:  # a new or emptied Orthanc, which counts from the beginning
            self._go_to(0)
            return True
        for change in answer["Changes"]:
            if change["ChangeType"] == "StableStudy":
                self._try_study(change["ID"])
            self._go_to(int(change["Seq"]))
        return not answer["Done"]

    def _since(self) -> int:
        """Return the number of the last change that was read; at first, that of the newest, or 0 with ``backlog``."""
        try:
            return int(self._remembered()["last"])
        except (ValueError, LookupError):
            last = 0 if self.orthanc.backlog else int(self._get("/changes", last=None)["Last"])
            self._go_to(last)
            return last

    def _remembered(self) -> dict[str, Any]:
        """Return what was written of this Orthanc; nothing at first."""
        try:
            content = json.loads(self._place.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    def _go_to(self, last: int) -> None:
        content = {"last": last, "again": list(self._again)}
        write_text(self._place, json.dumps(content) + "\n", make=False)

    def _try_study(self, study: str) -> None:
        """Fetch a study, or note that it is to be tried again. Raises if Orthanc is away, or nothing can be stored."""
        try:
            self._fetch_study(study)
        except (NotNow, OSError):
            raise
        except Exception as problem:  # whatever is wrong with one study must not hold up all that come after it
            self._get("/system")  # raises if it is not the study, but all of Orthanc
            again = self._again.setdefault(study, _Again())
            again.attempts += 1
            wait_s = min(self.orthanc.poll_s * 2.0 ** min(again.attempts, 20), _LONGEST_RETRY_S)
            again.due_at = self.clock() + wait_s
            tell("study is not fetched", level=WARNING, orthanc=self.orthanc.name, study=study, again_in_s=wait_s,
                 reason=f"{type(problem).__name__}: {problem}")  # fmt: skip
        else:
            if self._again.pop(study, None):
                self._go_to(self._since())

    def _fetch_study(self, study: str) -> None:
        """Fetch what is missing of a study. Raises if any of it could not be fetched, after all others."""
        try:
            series = self._get(f"/studies/{study}/series")
        except httpx.HTTPStatusError as problem:
            if problem.response.status_code == httpx.codes.NOT_FOUND:  # it was deleted
                return
            raise
        wanted = [one for one in series if one["MainDicomTags"].get("Modality") in _MODALITIES]
        if not any(one["MainDicomTags"]["Modality"] == "CT" for one in wanted):
            return
        study_uid = self._get(f"/studies/{study}")["MainDicomTags"]["StudyInstanceUID"]
        failed: httpx.HTTPStatusError | None = None
        with self.arrivals.sending(input_name(self.orthanc)) as sending:
            for instance in self._missing(wanted, study_uid):
                try:
                    self._fetch(instance, sending)
                except httpx.HTTPStatusError as problem:
                    failed = problem
        if failed:
            raise failed

    def _missing(self, series: list[dict[str, Any]], study_uid: str) -> Iterator[str]:
        for one in series:
            for instance in self._get(f"/series/{one['ID']}/instances"):
                try:
                    path = self.store.path(study_uid, instance["MainDicomTags"]["SOPInstanceUID"])
                except ValueError as problem:
                    tell("object is not taken", level=WARNING, orthanc=self.orthanc.name, reason=problem)
                    continue
                if not path.exists():
                    yield instance["ID"]

    def _fetch(self, instance: str, sending: Sending) -> None:
        with TemporaryFile(dir=self.store.folder) as file:
            with self.client.stream("GET", f"/instances/{instance}/file") as answer:
                if answer.status_code == httpx.codes.NOT_FOUND:
                    return
                answer.raise_for_status()
                for chunk in answer.iter_bytes():
                    file.write(chunk)
                    if file.tell() > self.limits.largest_object_mb * 10**6:
                        tell("object is not taken", level=WARNING, orthanc=self.orthanc.name, reason="too large")
                        return
            file.seek(0)
            outcome = keep_object(self.store, self.limits, file)
        sending.note(outcome)
        if isinstance(outcome, Refused):
            if outcome.why is Why.NO_ROOM:
                raise NotNow(outcome.message)
            tell("object is not taken", level=WARNING, orthanc=self.orthanc.name, reason=outcome.message)

    def _get(self, path: str, **query: int | None) -> Any:
        return self.client.get(path, params=query).raise_for_status().json()


def orthanc_client(orthanc: Orthanc) -> httpx.Client:
    """Return a client with the credentials of an Orthanc. Raises ``OSError`` if its password cannot be read."""
    auth = None
    if orthanc.user:
        password = orthanc.password_file.read_text(encoding="utf-8").strip() if orthanc.password_file else ""
        auth = httpx.BasicAuth(orthanc.user, password)
    return httpx.Client(base_url=orthanc.url.rstrip("/"), auth=auth, timeout=_TIMEOUT_S)
