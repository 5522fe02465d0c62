"""A real Orthanc of this machine, with its DICOM port, as the PACS of a test."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.node.running import free_port, wait_until
from tests.tools import need

DICOMWEB = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
"""Where Debian puts the plug-in for DICOMweb."""
USER, PASSWORD = "node", "secret-of-the-test"


@dataclass
class Pacs:
    """An Orthanc that runs."""

    http_port: int
    dicom_port: int
    client: httpx.Client

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    def destination(self, name: str = "PACS", **fields: Any) -> dict[str, object]:
        """Return its entry in a configuration, by C-STORE."""
        address = {"kind": "dicom", "ae_title": "PACS", "host": "127.0.0.1", "port": self.dicom_port}
        return {"name": name, **address, **fields}

    def json(self, path: str) -> Any:
        return self.client.get(path).raise_for_status().json()

    def store(self, file: Path) -> None:
        self.client.post("/instances", content=file.read_bytes()).raise_for_status()

    def modalities(self, study_uid: str) -> list[str]:
        """Return the modality of each series of a study, in alphabetical order; empty if it has no such study."""
        found = self.client.post("/tools/lookup", content=study_uid).raise_for_status().json()
        series = [one for study in found if study["Type"] == "Study" for one in self.json(f"{study['Path']}/series")]
        return sorted(one["MainDicomTags"]["Modality"] for one in series)

    def instances(self, study_uid: str, modality: str) -> list[str]:
        """Return Orthanc's identifiers of the objects of one modality."""
        found = self.client.post("/tools/lookup", content=study_uid).raise_for_status().json()
        series = [one for study in found for one in self.json(f"{study['Path']}/series")]
        return [uid for one in series if one["MainDicomTags"]["Modality"] == modality for uid in one["Instances"]]

    def content(self, instance: str) -> bytes:
        return self.client.get(f"/instances/{instance}/file").raise_for_status().content


def need_dicomweb() -> str:
    """Return the path of the plug-in for DICOMweb; skips the test if it is not installed."""
    if not DICOMWEB.exists():
        pytest.skip("the plug-in for DICOMweb is not installed (Debian: orthanc-dicomweb)")
    return str(DICOMWEB)


@contextmanager
def orthanc(folder: Path, ae_title: str = "PACS", **settings: Any) -> Iterator[Pacs]:
    """Run an Orthanc with its files in a folder; the same folder and ports make the same PACS again."""
    program = need("Orthanc")
    folder.mkdir(parents=True, exist_ok=True)
    ports = _ports(folder)
    (folder / "orthanc.json").write_text(
        json.dumps(
            {
                "Name": "ctacal-tests", "StorageDirectory": str(folder / "store"),
                "IndexDirectory": str(folder / "store"), "HttpPort": ports["http"], "DicomPort": ports["dicom"],
                "DicomAet": ae_title, "RemoteAccessAllowed": True, "AuthenticationEnabled": True,
                "RegisteredUsers": {USER: PASSWORD}, "StableAge": 1, "Plugins": [], "DicomAlwaysAllowStore": True,
                **settings,
            }
        )
    )  # fmt: skip
    with (folder / "log").open("a") as log:
        running = subprocess.Popen([program, folder / "orthanc.json"], stdout=log, stderr=log)
        client = httpx.Client(base_url=f"http://127.0.0.1:{ports['http']}", auth=(USER, PASSWORD), timeout=30)
        try:
            wait_until(lambda: _answers(client), "answer of Orthanc")
            yield Pacs(ports["http"], ports["dicom"], client)
        finally:
            client.close()
            running.terminate()
            running.wait(30)


def _ports(folder: Path) -> Mapping[str, int]:
    kept = folder / "ports.json"
    if not kept.exists():
        kept.write_text(json.dumps({"http": free_port(), "dicom": free_port()}))
    ports: Mapping[str, int] = json.loads(kept.read_text())
    return ports


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/system").is_success
    except httpx.HTTPError:
        return False
