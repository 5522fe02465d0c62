"""A node without its processes: a store and a ledger in every state, and the pages over them without a network."""

import asyncio
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from ctacal.fields import from_fields
from ctacal.jobs.node.arrivals import Arrivals
from ctacal.jobs.node.config import NodeConfig
from ctacal.jobs.node.ledger import Ledger, NewDelivery, ScoredOutcome, StudyState, open_ledger
from ctacal.jobs.node.life import PARTS, Pulse, Watch, alive_folder
from ctacal.jobs.node.sign_in import Seal, http_token
from ctacal.jobs.node.store import Store
from ctacal.web.health import Health
from ctacal.web.node_serve import guarded, node_site
from ctacal.web.node_site import NodeSite

HOST = "127.0.0.1:8080"
OWN = {"X-Ctacal": "1", "Sec-Fetch-Site": "same-origin", "Content-Type": "application/json"}
SR_CLASS = "1.2.840.10008.5.1.4.1.1.88.33"
SEG_CLASS = "1.2.840.10008.5.1.4.1.1.66.4"
PATIENT = "Canary^Carla"
"""Name of the patient in results that name one."""


@dataclass
class Scene:
    """A node's store and ledger, and its site."""

    config: NodeConfig
    store: Store
    ledger: Ledger
    site: NodeSite
    health: Health
    arrivals: Arrivals
    pulses: list[Pulse] = field(default_factory=list)

    def uid(self, number: int) -> str:
        """Study Instance UID of a number."""
        return f"1.2.826.0.1.3680043.8.498.{10**30 + number}"

    def arrive(self, number: int, objects: int = 64, source: str = "CAMERA@10.1.2.3") -> str:
        """Let objects of a study come in."""
        self.ledger.arrived(self.uid(number), objects=objects, source=source)
        return self.uid(number)

    def settle(self, number: int) -> str:
        """Let a study be whole."""
        uid = self.arrive(number)
        activity = next(one.activity for one in self.ledger.receiving() if one.study_uid == uid)
        assert self.ledger.settle(uid, activity)
        return uid

    def score(
        self, number: int, agatston: float = 234.5, *, kinds: Sequence[str] = ("seg", "sr"), phi: bool = False
    ) -> str:
        """Let a study be scored; its results wait to be sent."""
        uid = self.settle(number)
        claim = self.ledger.claim_study("scorer-1")
        assert claim and claim.study_uid == uid
        folder = write_result(self.store.results(uid, claim.revision), uid, agatston, phi=phi)
        outcome = ScoredOutcome(
            state=StudyState.SCORED, agatston=agatston, category="101-400" if agatston > 100 else "1-100",
            result=str(folder.relative_to(self.store.folder)),
        )  # fmt: skip
        assert self.ledger.scored(claim, outcome, self._deliveries(uid, claim.revision, kinds))
        return uid

    def refuse(self, number: int, code: str = "MISSING_SLICE", reason: str = "slices missing: 1") -> str:
        """Let a study be refused."""
        uid = self.settle(number)
        claim = self.ledger.claim_study("scorer-1")
        assert claim
        outcome = ScoredOutcome(state=StudyState.REFUSED, reason_code=code, reason=reason, result="")
        assert self.ledger.scored(claim, outcome, ())
        return uid

    def quarantine(self, number: int, reason: str = "its process was killed: memory") -> str:
        """Let a study kill its scorer."""
        uid = self.settle(number)
        claim = self.ledger.claim_study("scorer-1")
        assert claim
        assert self.ledger.scoring_failed(claim, reason, most_attempts=1)
        return uid

    def deliver(self, destination: str = "PACS") -> None:
        """Let everything that waits be delivered."""
        while claim := self.ledger.claim_delivery("sender", destination):
            assert self.ledger.done(claim)

    def hold(self, reason: str, destination: str = "PACS", most: int = 1000) -> int:
        """Let a destination refuse what waits for it; returns how many."""
        held = 0
        while held < most and (claim := self.ledger.claim_delivery("sender", destination)):
            assert self.ledger.hold(claim, reason)
            held += 1
        return held

    def set_aside(self, number: int) -> None:
        """Let other bytes come under a known UID."""
        folder = self.store.folder / "aside" / self.uid(number)
        folder.mkdir(parents=True)
        (folder / f"{self.uid(number)}.1.{'ab' * 8}.dcm").write_bytes(b"x")

    def live(self) -> None:
        """Let all processes beat, and be seen to."""
        for _ in range(2):
            for part in PARTS:
                Pulse(alive_folder(self.store.folder, self.config.receive.port), part).beat()
                path = alive_folder(self.store.folder, self.config.receive.port) / part
                path.write_text(path.read_text().split(" ")[0] + f" {self._beat()}\n")
            self.health.look()
        self.health.ask()
        self.site.overviews.forget()

    def _beat(self) -> int:
        self.pulses.append(Pulse(self.store.folder, "x"))
        return len(self.pulses)

    def _deliveries(self, uid: str, revision: int, kinds: Sequence[str]) -> list[NewDelivery]:
        classes = {"sr": SR_CLASS, "seg": SEG_CLASS}
        return [
            NewDelivery(
                destination="PACS", kind=kind, path=f"results/{uid}/{revision}/{kind}.dcm",
                sop_class_uid=classes.get(kind, SR_CLASS), sop_instance_uid=f"{uid}.{revision}.{place}",
            )
            for place, kind in enumerate(kinds)
        ]  # fmt: skip

    def close(self) -> None:
        self.health.close()
        self.ledger.close()


def scene(folder: Path, **settings: Any) -> Scene:
    """A node whose store lies in a folder; ``settings`` are those of the configuration."""
    fields = {
        "store": str(folder / "store"),
        "destination": [{"name": "PACS", "kind": "dicom", "ae_title": "PACS", "host": "pacs", "port": 104}],
        "disk": {"reserve_mb": 0, "reserve_percent": 0.0},
    }
    config = from_fields(NodeConfig, fields | settings)
    store = Store(config.store)
    ledger = open_ledger(config.ledger, store.id)
    health = Health(Watch(alive_folder(config.store, config.receive.port)), ledger.newest_scored, config.store)
    arrivals = Arrivals(store, lambda: open_ledger(config.ledger, store.id), config.settle, tell_s=0.05)
    site = node_site(config, store, ledger, health, Seal(http_token(config)), arrivals)
    return Scene(config, store, ledger, site, health, arrivals)


def write_result(folder: Path, uid: str, agatston: float, *, phi: bool) -> Path:
    """Write the files of a result, as scoring does; with ``phi`` they name the patient."""
    folder.mkdir(parents=True)
    name = PATIENT if phi else None
    content = {
        "status": "scored_with_warnings",
        "reasons": [{"code": "HIGH_NOISE", "message": "noise of 41 HU: false lesions are likely"}],
        "study": {"study_uid": uid, "why": "is described as attenuation-correction CT",
                  "acquisition": {"manufacturer": "MAKER", "model": "Camera 5", "slices": 64}},
        "patient": {"sex": "F", "age_years": 74, "name": name, "patient_id": "4711" if phi else None,
                    "accession_number": None},
        "agatston": {"total": agatston, "per_vessel": {"LM": 0.0, "LAD": agatston, "LCX": 0.0, "RCA": 0.0}},
        "category": "101-400" if agatston > 100 else "1-100",
        "cac_drs": "A2/N1",
        "model": {"name": "networks", "version": "0.5.0"},
    }  # fmt: skip
    (folder / "report.html").write_text(f"<!doctype html><style>p {{ color: red }}</style><p>Report of {name}</p>")
    (folder / "montage.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "result.json").write_text(json.dumps(content))
    return folder


class Visitor:
    """Sends requests as a browser or a program would, with the cookies that it was given."""

    def __init__(self, scene: Scene, address: str = "127.0.0.1", headers: Mapping[str, str] | None = None) -> None:
        self.scene, self.address = scene, address
        self.app = guarded(scene.site)
        self.headers = dict(headers or {})
        self.cookies: dict[str, str] = {}

    def send(self, method: str, path: str, headers: Mapping[str, str] | None = None, **options: Any) -> httpx.Response:
        return asyncio.run(self._send(method, path, headers={**self.headers, **(headers or {})}, **options))

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.send("GET", path, headers)

    def press(self, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """Post as a button of a page does."""
        return self.send("POST", path, OWN if headers is None else headers, content=json.dumps(body or {}))

    def sign_in(self) -> "Visitor":
        answer = self.get(f"/start?token={self.scene.site.seal.link('anna')}")
        assert answer.status_code == 303
        self.cookies = dict(answer.cookies)
        return self

    def with_token(self) -> "Visitor":
        self.headers["Authorization"] = f"Bearer {self.scene.site.seal.token}"
        return self

    async def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        transport = httpx.ASGITransport(self.app, client=(self.address, 50000), raise_app_exceptions=False)
        base = f"http://{HOST}"
        async with httpx.AsyncClient(transport=transport, base_url=base, cookies=self.cookies) as client:
            return await client.request(method, path, **options)


def texts(page: str) -> str:
    """The text of a page, without its marks."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))


def remove_results(scene: Scene) -> None:
    """Delete what scoring wrote, as retention does."""
    shutil.rmtree(scene.store.folder / "results")
