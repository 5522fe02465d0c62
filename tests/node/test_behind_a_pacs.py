"""The how-to *Behind a PACS*, step by step on one machine: an Orthanc is the PACS, DCMTK the camera."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import httpx
import pytest

from tests import places
from tests.node.orthanc import PASSWORD, USER, Pacs, orthanc
from tests.node.running import free_port, running, wait_until
from tests.node.studies import phantom, study_uid_of
from tests.tools import need
from tests.tutorial import Block, Terminal, terminal

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

PAGE = (places.DOCS / "how-to" / "behind-a-pacs.md").read_text(encoding="utf-8")
NODE_PAGE = (places.DOCS / "node.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"`(ctacal node [^`]+)`", PAGE)
WAIT_S = 300.0
"""The networks score the study."""


def settings(page: str, table: str) -> str:
    """Return the TOML of a page that begins with a table."""
    (found,) = re.findall(rf"^ *```toml\n( *\[\[{table}\]\]\n.*?)^ *```$", page, re.MULTILINE | re.DOTALL)
    return dedent(found)


@dataclass
class Hospital:
    """Its machine for the node, and its PACS."""

    terminal: Terminal
    pacs: Pacs
    receive: int
    http: int

    @property
    def node_toml(self) -> Path:
        return self.terminal.folder / "node.toml"

    def of_this_place(self, text: str) -> str:
        """Return settings with this hospital's addresses and folders in place of those that the pages show."""
        folder = self.terminal.folder
        (folder / "password").write_text(PASSWORD)
        here = {
            "/var/lib/ctacal": str(folder / "store"), "10.1.2.3": "127.0.0.1", "10.1.2.4": "127.0.0.1",
            "/etc/ctacal/orthanc-password": str(folder / "password"), "http://127.0.0.1:8042": self.pacs.url,
            'user = "ctacal"\npass': f'user = "{USER}"\npass', "port = 11112": f"port = {self.receive}",
            "port = 8080": f"port = {self.http}", "port = 104\n": f"port = {self.pacs.dicom_port}\n",
            "reserve_mb = 5000": "reserve_mb = 1", "reserve_percent = 5.0": "reserve_percent = 0.0",
        }  # fmt: skip
        for there, mine in here.items():
            text = text.replace(there, mine)
        return text

    def configure(self) -> None:
        """Write the sample of step 3, with the destination of step 6 for the one that the sample shows."""
        self.terminal.run(Block("sh", COMMANDS[0]))
        sample = self.node_toml.read_text(encoding="utf-8")
        before, _, after = sample.partition("[[destination]]")
        text = before + settings(PAGE, "destination") + after[after.index("\n[http]") :]
        self.node_toml.write_text(self.of_this_place(text), encoding="utf-8")

    def modalities(self, study_uid: str) -> set[str]:
        return set(self.pacs.modalities(study_uid))

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"http://127.0.0.1:{self.http}{path}", timeout=30)


@pytest.fixture
def hospital(tmp_path: Path) -> Iterator[Hospital]:
    with orthanc(tmp_path / "pacs", "RESEARCH", DicomCheckCalledAet=True) as pacs, terminal(tmp_path) as opened:
        yield Hospital(opened, pacs, free_port(), free_port())


def test_the_page_says_what_to_type() -> None:
    assert COMMANDS == ["ctacal node sample > node.toml", "ctacal node check node.toml"]


def test_a_study_of_the_camera_comes_back_as_seg_and_sr(hospital: Hospital, tmp_path: Path) -> None:
    hospital.configure()
    found = hospital.terminal.run(Block("sh", COMMANDS[1]))
    assert "destination research-pacs: " in found and "takes dicompdf, sc, seg, sr" in found
    assert found.endswith("all is well\n")
    files = phantom(tmp_path / "export")
    with running(tmp_path / "store", "-m", "ctacal", "node", hospital.node_toml):
        wait_until(lambda: answers(hospital), "a node that is well")
        camera = [need("dcmsend"), "-aet", "SPECTCT1", "-aec", "CTACAL", "127.0.0.1", str(hospital.receive)]
        hospital.terminal.run(Block("sh", " ".join([*camera, *map(str, files)])))
        uid = study_uid_of(files)
        wait_until(lambda: hospital.modalities(uid) == {"SEG", "SR"}, "SEG and SR in the PACS", WAIT_S)
        assert "ctacal_" in hospital.get("/metrics").raise_for_status().text


def test_what_lies_in_an_orthanc_is_fetched_and_comes_back(hospital: Hospital, tmp_path: Path) -> None:
    """Step 5: "Orthanc needs no rule: the node fetches", by the settings that the page links to."""
    hospital.configure()
    more = hospital.of_this_place(settings(NODE_PAGE, "orthanc"))
    hospital.node_toml.write_text(hospital.node_toml.read_text(encoding="utf-8") + "\n" + more, encoding="utf-8")
    assert "orthanc orthanc: " in hospital.terminal.run(Block("sh", COMMANDS[1]))
    files = phantom(tmp_path / "export")
    with running(tmp_path / "store", "-m", "ctacal", "node", hospital.node_toml):
        wait_until(lambda: answers(hospital), "a node that is well")
        for file in files:
            hospital.pacs.store(file)
        uid = study_uid_of(files)
        wait_until(lambda: hospital.modalities(uid) == {"CT", "SEG", "SR"}, "SEG and SR beside the CT", WAIT_S)


def answers(hospital: Hospital) -> bool:
    try:
        return hospital.get("/healthz").is_success
    except httpx.HTTPError:
        return False
