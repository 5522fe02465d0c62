"""Alarms as they are sent: to a mail server and a webhook that are real, absent, or refuse."""

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from socket import socket
from threading import Event, Thread
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from ctacal.jobs.node.alarm import Alarm, Cause, Message
from ctacal.jobs.node.config import Mail
from ctacal.jobs.node.life import Watch
from ctacal.node.alarms import Alarms, Channel, channels, post, run, send_mail
from tests.web.node_scene import PATIENT, Scene, scene

HELD = Alarm(cause=Cause.HELD, about="PACS", text="3 results are held: PACS refuses them.")
MESSAGE = Message(new=(HELD.text,), still=(), over=("The disk is low.",))


class Webhook(HTTPServer):
    """Takes what is posted, or answers an error."""

    def __init__(self) -> None:
        self.status, self.posted, self.came = 200, list[dict[str, Any]](), Event()
        super().__init__(("127.0.0.1", 0), _Answer)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hooks/secret-4711"


class _Answer(BaseHTTPRequestHandler):
    server: Webhook

    def do_POST(self) -> None:
        content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.server.status == 200:
            self.server.posted.append(content)
            self.server.came.set()
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Letters:
    """What a mail server got."""

    def __init__(self) -> None:
        self.got: list[Envelope] = []
        self.refuses = False

    async def handle_DATA(self, _: SMTP, __: Session, envelope: Envelope) -> str:  # noqa: N802 (aiosmtpd's name)
        if self.refuses:
            return "451 try again later"
        self.got.append(envelope)
        return "250 OK"


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    server = Webhook()
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def mail() -> Iterator[tuple[Letters, Mail]]:
    letters = Letters()
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Controller(letters, hostname="127.0.0.1", port=port)
    server.start()
    yield letters, Mail(to=("a@hospital.example", "b@hospital.example"), sender="node@hospital.example",
                        host="127.0.0.1", port=port)  # fmt: skip
    server.stop()


def channel(folder: Path, webhook: Webhook, clock: list[float]) -> Channel:
    return Channel(
        name="webhook", send=lambda message: post(webhook.url, message, "https://node"), file=folder / "webhook.json",
        again_s=86400.0, most_per_hour=6, clock=lambda: clock[0],
    )  # fmt: skip


def test_a_letter(mail: tuple[Letters, Mail]) -> None:
    letters, settings = mail
    send_mail(settings, MESSAGE, "https://node.example")
    (letter,) = letters.got
    assert letter.rcpt_tos == ["a@hospital.example", "b@hospital.example"]
    content = (letter.content or b"").decode() if isinstance(letter.content, bytes) else str(letter.content)
    assert "Subject: ctacal node: 3 results are held: PACS refuses them\r\n" in content
    assert "Auto-Submitted: auto-generated" in content
    assert "Over:\r\n- The disk is low." in content
    assert "See https://node.example" in content


def test_a_server_without_tls_gets_no_letter_where_tls_is_demanded(mail: tuple[Letters, Mail]) -> None:
    letters, settings = mail
    with pytest.raises(Exception, match="STARTTLS"):
        send_mail(replace(settings, security="starttls"), MESSAGE, "")
    assert not letters.got


def test_a_webhook(webhook: Webhook) -> None:
    post(webhook.url, MESSAGE, "https://node")
    (content,) = webhook.posted
    assert content["new"] == [HELD.text]
    assert content["text"].startswith("ctacal node: 3 results are held")
    assert content["over"] == ["The disk is low."]


def test_what_could_not_be_sent_is_logged_and_sent_later(
    tmp_path: Path, webhook: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    clock = [1e9]
    there = channel(tmp_path, webhook, clock)
    webhook.status = 503
    assert there.tell([HELD]) is None
    assert there.tell([HELD]) is None  # not before its time
    assert [record.getMessage() for record in caplog.records] == ["alarm not sent"]
    assert "503" in caplog.records[0].facts["reason"]  # type: ignore[attr-defined]
    assert "secret-4711" not in str(caplog.records[0].__dict__)  # the address of a webhook is a secret
    webhook.status = 200
    clock[0] += 61
    assert there.tell([HELD])
    assert len(webhook.posted) == 1
    assert there.tell([HELD]) is None


def test_a_node_that_starts_again_does_not_tell_the_same_again(tmp_path: Path, webhook: Webhook) -> None:
    clock = [1e9]
    assert channel(tmp_path, webhook, clock).tell([HELD])
    clock[0] += 100
    assert channel(tmp_path, webhook, clock).tell([HELD]) is None
    clock[0] += 100
    after = channel(tmp_path, webhook, clock)
    assert after.tell([]) is None
    clock[0] += 301
    assert after.tell([])
    assert webhook.posted[-1]["over"] == [HELD.text]


def test_a_damaged_memory_tells_again(tmp_path: Path, webhook: Webhook, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "webhook.json").write_text('{"told": 5}')
    assert channel(tmp_path, webhook, [1e9]).tell([HELD])
    assert "what was told cannot be read" in caplog.text


def test_one_way_that_fails_does_not_hold_up_the_other(
    tmp_path: Path, webhook: Webhook, mail: tuple[Letters, Mail]
) -> None:
    letters, settings = mail
    node = scene(tmp_path, alarm={"webhook": webhook.url, "mail": _fields(settings)})
    node.quarantine(1)
    webhook.status = 500
    alarms = Alarms(node.config, channels(node.config), Watch(tmp_path / "alive", ()))
    alarms.tell(alarms.look())
    alarms.tell(alarms.look())
    assert (len(letters.got), webhook.posted) == (1, [])
    told = [record.content for record in node.ledger.audit.records() if record.content["what"] == "alarm"]
    assert [(content["channel"], "quarantine" in content["subject"]) for content in told] == [("mail", True)]
    alarms.close()
    node.close()


def test_no_message_names_a_patient_or_a_study(tmp_path: Path, webhook: Webhook) -> None:
    node = scene(tmp_path, alarm={"webhook": webhook.url})
    node.score(1, phi=True)
    node.hold(f"refused: {PATIENT} is unknown")
    node.quarantine(2, reason=f"{PATIENT}: killed")
    node.set_aside(3)
    alarms = Alarms(node.config, channels(node.config), Watch(tmp_path / "alive", ("sender",)))
    alarms.tell(alarms.look())
    (content,) = webhook.posted
    assert len(content["new"]) == 3
    assert "Canary" not in str(content)
    assert "1.2.826" not in str(content)
    alarms.close()
    node.close()


def test_a_ledger_that_does_not_answer_is_an_alarm(tmp_path: Path, node_without_ledger: Scene) -> None:
    alarms = Alarms(node_without_ledger.config, (), Watch(tmp_path / "alive", ()))
    (alarm,) = alarms.look()
    assert alarm.cause is Cause.LEDGER


@pytest.fixture
def node_without_ledger(tmp_path: Path) -> Iterator[Scene]:
    node = scene(tmp_path)
    node.close()
    (node.config.store / "ledger.sqlite").write_bytes(b"no database at all" * 100)
    yield node


def test_the_process_tells_and_stops(tmp_path: Path, webhook: Webhook, caplog: pytest.LogCaptureFixture) -> None:
    node = scene(tmp_path, alarm={"webhook": webhook.url}, http={"port": 0})
    node.quarantine(1)
    stopping = Event()
    caplog.set_level(logging.WARNING)
    process = Thread(target=run, args=(node.config, stopping))
    process.start()
    assert webhook.came.wait(60)
    stopping.set()
    process.join(60)
    assert not process.is_alive()
    assert (node.config.store / "alarms" / "webhook.json").is_file()
    assert "alarm" in [record.getMessage() for record in caplog.records]  # the log is told too
    assert list((node.config.store / "alive").glob("*/alarms"))  # it showed that it lives
    node.close()


def _fields(mail: Mail) -> dict[str, Any]:
    return {"to": list(mail.to), "sender": mail.sender, "host": mail.host, "port": mail.port}
