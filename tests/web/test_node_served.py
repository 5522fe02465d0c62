"""The pages of a node over real sockets: health, other programs' STOW-RS, idle connections, TLS, and a stop."""

import io
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from socket import create_connection
from threading import Event

import httpx
import pydicom
import pytest
from dicomweb_client.api import DICOMwebClient
from requests import HTTPError

from ctacal.errors import UsageError
from ctacal.jobs.node.ledger import StudyState
from ctacal.web import node_serve
from tests.tools import need
from tests.web.node_serving import Served, free_port, served, wait_until
from tests.web.stow_bodies import STUDY, image


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("served")) as there:
        yield there


def test_health_over_the_wire(there: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctacal.jobs.node.life.SILENT_S", 2.0)
    wait_until(lambda: httpx.get(f"{there.address}/healthz").status_code == 200)
    there.silent.add("sender")
    wait_until(lambda: httpx.get(f"{there.address}/healthz").status_code == 503)
    assert httpx.get(f"{there.address}/healthz").json()["problems"] == ["sender does not answer"]
    there.silent.clear()
    wait_until(lambda: httpx.get(f"{there.address}/healthz").status_code == 200)


def test_dicomweb_client_stores_a_study(there: Served) -> None:
    client = DICOMwebClient(there.address, headers=there.bearer)
    images = [pydicom.dcmread(io.BytesIO(image(number))) for number in range(1, 4)]
    answer = client.store_instances(images, study_instance_uid=STUDY)
    assert [str(item.ReferencedSOPInstanceUID) for item in answer.ReferencedSOPSequence] == [
        f"{STUDY}.1.{number}" for number in (1, 2, 3)
    ]
    assert len(there.node.store.received(STUDY)) == 3
    wait_until(lambda: there.node.ledger.objects(STUDY) == 3)
    study = there.node.ledger.study(STUDY)
    assert study
    assert study.state is StudyState.RECEIVING
    with pytest.raises(HTTPError, match="401"):
        DICOMwebClient(there.address).store_instances(images)


def test_connections_that_say_nothing_are_closed(there: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_serve, "HEAD_S", 0.3)
    silent = [create_connection(("127.0.0.1", there.port)) for _ in range(50)]
    slow = create_connection(("127.0.0.1", there.port))
    slow.sendall(b"GET / HTTP/1.1\r\nHost: ")  # the rest never comes
    assert httpx.get(f"{there.address}/sign-in").status_code == 200
    for connection in (*silent, slow):
        connection.settimeout(30)
        assert connection.recv(100) == b""
        connection.close()


def test_a_browser_is_led_to_sign_in_and_stays_signed_in(there: Served) -> None:
    with httpx.Client(follow_redirects=True) as browser:
        assert "Token of this node" in browser.get(there.address).text
        page = browser.get(there.link)
        assert (page.status_code, page.url.path) == (200, "/")
        assert "Nothing needs attention." in page.text or "alarms" in page.text
        assert "Studies" in browser.get(f"{there.address}/list").text


def test_a_port_that_is_taken_is_a_users_mistake(there: Served, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=rf"http: 127.0.0.1:{there.port}: Address already in use"):
        node_serve.run(there.node.config, Event())


def test_tls(tmp_path: Path) -> None:
    certificate, key = _certificate(tmp_path)
    port = free_port()
    http = {"port": port, "tls": {"certificate": str(certificate), "key": str(key)}}
    with served(tmp_path, http=http) as there:
        trust = ssl.create_default_context(cafile=str(certificate))
        with httpx.Client(verify=trust, follow_redirects=True) as browser:
            answer = browser.get(there.link)
            assert answer.status_code == 200
            assert answer.url.scheme == "https"
            assert "secure" in answer.history[0].headers["set-cookie"].lower()
        with pytest.raises(httpx.HTTPError):
            httpx.get(f"http://127.0.0.1:{port}/healthz")


def _certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1 that nobody signed but itself."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        [need("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate,
         "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key
