"""``run``: the process that tells people what is wrong, by the log, by e-mail and by a webhook."""

import json
import logging
import smtplib
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from pathlib import Path
from threading import Event

import httpx

from ctacal.atomic import write_text
from ctacal.errors import CtacalError, system_message
from ctacal.jobs.node.alarm import (
    Alarm,
    Memory,
    Message,
    Stillness,
    alarms_of,
    due,
    ledger_alarm,
    memory_from,
    memory_json,
    store_alarm,
)
from ctacal.jobs.node.config import Mail, NodeConfig
from ctacal.jobs.node.events import tell
from ctacal.jobs.node.ledger import Ledger, ledger_of
from ctacal.jobs.node.life import PARTS, Pulse, Watch, alive_folder
from ctacal.jobs.node.overview import overview
from ctacal.jobs.node.sign_in import page_address
from ctacal.jobs.node.store import Store

LOOK_S = 10.0
"""Time between two looks at the node."""

LEDGER_WAIT_S = 5.0
"""How long a look waits for the database."""

TIMEOUT_S = 20.0
"""Time without an answer after which a message counts as not sent."""

AGAIN_S = (60.0, 3600.0)
"""First and longest time to the next try after a message could not be sent."""

LOGGED_PER_HOUR = 1000
"""The log takes every alarm; this is no limit in practice."""

LOG = "log"
"""Name of the channel that is always there."""

FOLDER = "alarms"
"""Folder of the store with what each channel has told."""


@dataclass
class Channel:
    """A way to tell people, with its memory in a file: a node that starts again does not tell the same again."""

    name: str
    send: Callable[[Message], None]
    """Raises if the message could not be sent."""
    file: Path
    again_s: float
    most_per_hour: int
    clock: Callable[[], float] = time.time
    memory: Memory = field(default_factory=Memory)
    _failures: int = 0
    _next_try: float = 0.0

    def __post_init__(self) -> None:
        """Remember what was told before; a damaged file is as good as none."""
        try:
            self.memory = memory_from(json.loads(self.file.read_text(encoding="utf-8")))
        except FileNotFoundError:
            pass
        except (OSError, ValueError, CtacalError) as problem:
            tell("what was told cannot be read", level=logging.WARNING, file=self.file, reason=problem)

    def tell(self, alarms: Sequence[Alarm]) -> Message | None:
        """Send what is due, and return it; None if nothing is due or it could not be sent: then it stays due."""
        now = self.clock()
        message, unsent, sent = due(
            alarms, self.memory, now=now, again_s=self.again_s, most_per_hour=self.most_per_hour
        )
        self.memory = unsent
        if message is None or 0 < self._next_try - now <= AGAIN_S[1]:
            return None
        try:
            self.send(message)
        except Exception as problem:  # whatever the network does, the alarm stays due
            self._failed(problem, now)
            return None
        self._failures, self._next_try, self.memory = 0, 0.0, sent
        self._remember()
        return message

    def _failed(self, problem: Exception, now: float) -> None:
        self._failures += 1
        wait_s = min(AGAIN_S[0] * 2 ** min(self._failures - 1, 10), AGAIN_S[1])
        self._next_try = now + wait_s
        said = f"{type(problem).__name__}: {problem}"
        tell("alarm not sent", level=logging.ERROR, channel=self.name, reason=said, next_try_in_s=wait_s)

    def _remember(self) -> None:
        try:
            write_text(self.file, json.dumps(memory_json(self.memory), indent=1) + "\n", make=False)
        except OSError as problem:  # a full disk is what the alarm may be about
            tell("what was told cannot be noted", level=logging.WARNING, file=self.file, reason=problem)


class Alarms:
    """Looks at a node again and again, and tells what is wrong."""

    def __init__(self, config: NodeConfig, channels: Sequence[Channel], watch: Watch) -> None:
        self._config, self._channels, self._watch = config, channels, watch
        self._stillness = Stillness()
        self._ledger: Ledger | None = None
        self._store = Store(config.store)
        (self._store.folder / FOLDER).mkdir(exist_ok=True)

    def look(self) -> list[Alarm]:
        """Return what is wrong now."""
        parts = self._watch.look()
        try:
            if self._ledger is None:
                self._ledger = ledger_of(self._config, self._store, wait_s=LEDGER_WAIT_S)
            seen = overview(self._ledger, self._config, parts)
        except CtacalError as problem:
            return [ledger_alarm(str(problem))]
        except OSError as problem:
            return [store_alarm(system_message(problem))]
        return alarms_of(seen, self._config, self._stillness.look(seen))

    def tell(self, alarms: Sequence[Alarm]) -> None:
        """Tell through every channel what is due there; what was told goes into the audit trail."""
        for channel in self._channels:
            message = channel.tell(alarms)
            if message and self._ledger and channel.name != LOG:
                try:
                    self._ledger.audit.append("alarm", channel=channel.name, subject=message.subject)
                except CtacalError as problem:
                    tell("alarm not in the audit trail", level=logging.WARNING, reason=problem)

    def close(self) -> None:
        """Close the ledger."""
        if self._ledger:
            self._ledger.close()


def run(config: NodeConfig, stopping: Event) -> None:
    """Watch the node until ``stopping`` is set."""
    folder = alive_folder(config.store, config.receive.port)
    expected = [part for part in PARTS if part != "http" or config.http.port]
    pulse, alarms = Pulse(folder, "alarms"), Alarms(config, channels(config), Watch(folder, expected))
    looked_at = float("-inf")
    while not stopping.wait(1.0):
        pulse.beat()
        if time.monotonic() - looked_at >= LOOK_S:
            alarms.tell(alarms.look())
            looked_at = time.monotonic()
    alarms.close()


def channels(config: NodeConfig) -> list[Channel]:
    """Return the ways that the configuration names; the log is always one of them."""
    alarm, where = config.alarm, page_address(config)
    wanted: list[tuple[str, Callable[[Message], None], int]] = [(LOG, log_message, LOGGED_PER_HOUR)]
    if (mail := alarm.mail) is not None:
        wanted.append(("mail", lambda message: send_mail(mail, message, where), alarm.most_per_hour))
    if url := alarm.webhook:
        wanted.append(("webhook", lambda message: post(url, message, where), alarm.most_per_hour))
    return [
        Channel(
            name=name,
            send=send,
            file=config.store / FOLDER / f"{name}.json",
            again_s=alarm.again_s,
            most_per_hour=most_per_hour,
        )
        for name, send, most_per_hour in wanted
    ]


def log_message(message: Message) -> None:
    """Write a message to the log."""
    for text in (*message.new, *message.still):
        tell("alarm", level=logging.ERROR, text=text)
    for text in message.over:
        tell("alarm is over", level=logging.WARNING, text=text)


def send_mail(mail: Mail, message: Message, where: str) -> None:
    """Send a message by e-mail. Raises ``OSError`` or ``smtplib.SMTPException`` if the server does not take it."""
    letter = EmailMessage()
    letter["Subject"], letter["From"], letter["To"] = message.subject, mail.sender, ", ".join(mail.to)
    letter["Date"], letter["Message-ID"] = formatdate(), make_msgid(domain="ctacal")
    letter["Auto-Submitted"] = "auto-generated"  # no answer by a robot (RFC 3834)
    letter.set_content(message.text(where))
    trust = ssl.create_default_context()
    if mail.security == "tls":
        server: smtplib.SMTP = smtplib.SMTP_SSL(mail.host, mail.port, timeout=TIMEOUT_S, context=trust)
    else:
        server = smtplib.SMTP(mail.host, mail.port, timeout=TIMEOUT_S)
    with server:
        if mail.security == "starttls":
            server.starttls(context=trust)
        if mail.user:
            password = mail.password_file.read_text(encoding="utf-8").strip() if mail.password_file else ""
            server.login(mail.user, password)
        server.send_message(letter)


def post(url: str, message: Message, where: str) -> None:
    """Post a message to a webhook, as JSON: ``text`` is what chat services show; the lists are for programs.

    Raises ``httpx.HTTPError`` or ``OSError`` if it is not taken; no message holds the URL, which is a secret.
    """
    content = {
        "text": f"{message.subject}\n\n{message.text(where)}",
        "subject": message.subject,
        "new": list(message.new),
        "still": list(message.still),
        "over": list(message.over),
    }
    answer = httpx.post(url, json=content, timeout=TIMEOUT_S, follow_redirects=False)
    if not answer.is_success:
        raise OSError(f"the webhook answers {answer.status_code} {answer.reason_phrase}")
