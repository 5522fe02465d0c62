"""An Orthanc whose stable studies are fetched: its list of changes says which, by numbers that only grow.

Only CT, NM and PT are fetched, of studies that hold a CT. What the store has already is not fetched again, so that the
results that come back into the same Orthanc cause no second round.
"""

import json
import threading
from collections.abc import Iterator
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
from ctacal.jobs.node.intake import Limits, Refused, Why, keep_object
from ctacal.jobs.node.store import Store

_CHANGES_AT_ONCE = 100
_MODALITIES = {"CT", "NM", "PT"}
_TIMEOUT_S = 30.0
_PLACES = "orthanc"
"""Folder of the store that says how far each Orthanc has been read."""


class NotNow(CtacalError):
    """A study cannot be taken at the moment; it is tried again."""


@dataclass(eq=False)
class PolledOrthanc:
    """One Orthanc, and how far its list of changes has been read."""

    orthanc: Orthanc
    store: Store
    limits: Limits
    arrivals: Arrivals
    client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self._place = self.store.folder / _PLACES / f"{self.orthanc.name}.json"
        self._place.parent.mkdir(exist_ok=True)
        self.client = orthanc_client(self.orthanc)

    def run(self, stopping: threading.Event) -> None:
        """Ask again and again until ``stopping`` is set."""
        told = ""
        while not stopping.is_set():
            try:
                while self.poll() and not stopping.is_set():
                    pass
                told = ""
            except (httpx.HTTPError, OSError, ValueError, LookupError, NotNow) as problem:
                said = f"{type(problem).__name__}: {problem}"
                if said != told:
                    tell("orthanc cannot be read", level=WARNING, orthanc=self.orthanc.name, reason=said)
                told = said
            stopping.wait(self.orthanc.poll_s)
        self.client.close()

    def poll(self) -> bool:
        """Fetch what became stable since the last time; returns whether there is more.

        Raises ``httpx.HTTPError``, ``ValueError``, ``LookupError`` or ``NotNow``; the next call then goes on from the
        same change.
        """
        since = self._since()
        answer = self._get("/changes", since=since, limit=_CHANGES_AT_ONCE)
        if int(answer["Last"]) < since:  # a new or emptied Orthanc, which counts from the beginning
            self._go_to(0)
            return True
        for change in answer["Changes"]:
            if change["ChangeType"] == "StableStudy":
                self._fetch_study(change["ID"])
            self._go_to(int(change["Seq"]))
        return not answer["Done"]

    def _since(self) -> int:
        """Return the number of the last change that was read; at first, that of the newest, or 0 with ``backlog``."""
        try:
            return int(json.loads(self._place.read_text(encoding="utf-8"))["last"])
        except (OSError, ValueError, LookupError):
            last = 0 if self.orthanc.backlog else int(self._get("/changes", last=None)["Last"])
            self._go_to(last)
            return last

    def _go_to(self, last: int) -> None:
        write_text(self._place, json.dumps({"last": last}) + "\n", make=False)

    def _fetch_study(self, study: str) -> None:
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
        with self.arrivals.sending(f"orthanc {self.orthanc.name}") as sending:
            for instance in self._missing(wanted, study_uid):
                self._fetch(instance, sending)

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
