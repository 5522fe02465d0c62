"""A real PACS stores the objects and returns them bit for bit."""

import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest

from ctacal.report.outputs import write_outputs
from tests.dicom_series import ct_series, write
from tests.report.results import scored_series
from tests.tools import need

pytestmark = pytest.mark.slow

OBJECTS = {"seg.dcm": "SEG", "sr.dcm": "SR", "report_pdf.dcm": "DOC", "montage.dcm": "OT", "labelmap.dcm": "SEG"}
PATIENCE_S = 60


class Server:
    """An Orthanc that the tests start."""

    def __init__(self, address: str) -> None:
        self.address = address

    def ask(self, path: str, content: bytes | None = None) -> bytes:
        request = urllib.request.Request(f"{self.address}{path}", data=content)
        with urllib.request.urlopen(request, timeout=30) as answer:
            reply: bytes = answer.read()
            return reply

    def json(self, path: str, content: bytes | None = None) -> Any:
        return json.loads(self.ask(path, content))


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Started on a free port, with its files in a temporary folder."""
    program, folder = need("Orthanc"), tmp_path_factory.mktemp("orthanc")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    settings = {
        "Name": "ctacal-tests", "StorageDirectory": str(folder / "store"), "IndexDirectory": str(folder / "store"),
        "HttpPort": port, "DicomServerEnabled": False, "RemoteAccessAllowed": False, "AuthenticationEnabled": False,
        "Plugins": [],
    }  # fmt: skip
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (folder / "log").open("w") as log:
        running = subprocess.Popen([program, folder / "orthanc.json"], stdout=log, stderr=log)
        try:
            server = Server(f"http://127.0.0.1:{port}")
            _wait_for(server, running, folder / "log")
            yield server
        finally:
            running.terminate()
            running.wait(30)


def _wait_for(server: Server, running: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        assert running.poll() is None, log.read_text()
        try:
            server.ask("/system")
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"Orthanc did not answer within {PATIENCE_S} s\n{log.read_text()}")


def test_objects_come_back_bit_for_bit_and_file_beside_their_scan(orthanc: Server, tmp_path: Path) -> None:
    scan = write(tmp_path / "ct", ct_series())
    result = scored_series(ct_series(), tmp_path / "in", mass_calibration=0.77)
    written = write_outputs(result, tmp_path / "out", ["seg", "sr", "dicompdf", "sc", "labelmap"])
    assert written.reasons == result.reasons
    for file in scan.iterdir():
        assert orthanc.json("/instances", file.read_bytes())["Status"] == "Success"
    for name in OBJECTS:
        sent = (tmp_path / "out" / name).read_bytes()
        stored = orthanc.json("/instances", sent)
        assert stored["Status"] == "Success"
        assert orthanc.ask(f"/instances/{stored['ID']}/file") == sent
    (study,) = orthanc.json("/studies")
    series = [orthanc.json(f"/series/{uid}")["MainDicomTags"] for uid in orthanc.json(f"/studies/{study}")["Series"]]
    assert sorted(tags["Modality"] for tags in series) == sorted(["CT", *OBJECTS.values()])
    seg = pydicom.dcmread(tmp_path / "out" / "seg.dcm")
    assert seg.StudyInstanceUID == orthanc.json(f"/studies/{study}")["MainDicomTags"]["StudyInstanceUID"]


def test_the_same_study_scored_twice_is_stored_once(orthanc: Server, tmp_path: Path) -> None:
    answers = []
    for name in ("first", "again"):
        result = scored_series(ct_series(name="twice"), tmp_path / "ct")
        write_outputs(result, tmp_path / name, ["seg", "sr"])
        answers += [orthanc.json("/instances", (tmp_path / name / file).read_bytes()) for file in ("seg.dcm", "sr.dcm")]
    assert [answer["Status"] for answer in answers] == ["Success", "Success", "AlreadyStored", "AlreadyStored"]
    assert [answer["ID"] for answer in answers[:2]] == [answer["ID"] for answer in answers[2:]]
