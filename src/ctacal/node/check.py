"""``checks``: whether a node can work as it is configured, asked of the machine and of every destination.

Nothing is received, sent or changed; each check says what it found, or what is wrong and what to do.
"""

import os
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
from pydicom.uid import (
    EncapsulatedPDFStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from ctacal.errors import CtacalError, UsageError, system_message
from ctacal.jobs.database import is_postgres, network_file_system
from ctacal.jobs.node.config import Destination, NodeConfig, Orthanc, Tls, Watch
from ctacal.jobs.node.deliveries import Answer
from ctacal.jobs.node.ledger import UNDELIVERED, open_ledger
from ctacal.jobs.node.occupancy import node_runs
from ctacal.jobs.node.scoring import score_job
from ctacal.jobs.node.sign_in import http_token, page_address, read_secret
from ctacal.jobs.node.store import Store
from ctacal.node.certificates import expiry, expiry_of_authorities
from ctacal.node.orthanc import orthanc_client
from ctacal.node.outgoing import opened
from ctacal.node.outgoing_tls import tls_context

SOP_CLASSES = {
    "seg": SegmentationStorage,
    "labelmap": "1.2.840.10008.5.1.4.1.1.66.7",
    "sr": "1.2.840.10008.5.1.4.1.1.88.34",
    "dicompdf": EncapsulatedPDFStorage,
    "sc": SecondaryCaptureImageStorage,
}
"""SOP class of each kind of output that is a DICOM object (PS3.4 table B.5-1)."""

_VERIFICATION = "1.2.840.10008.1.1"
_COMMITMENT = "1.2.840.10008.1.20.1"
_EXPIRES_SOON = timedelta(days=30)
_REACH_S = 10.0
_FILES_BESIDE = 200
"""Open files that the receiver needs beside its connections."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    what: str
    found: str
    """What was found, or what is wrong and what to do."""
    is_ok: bool
    is_warning: bool = False
    """Whether it works, and somebody should know of it."""


def checks(config: NodeConfig) -> Iterator[Check]:
    """Yield each check as soon as it is done, the store first: without it nothing else can work."""
    yield _checked("store", lambda: _store(config))
    yield _checked("database", lambda: _database(config))
    yield _checked("who may send", lambda: _peers(config))
    yield from _commitment_checks(config)
    yield _checked("DICOM port", lambda: _port(config, config.receive.host, config.receive.port, "receive.port"))
    if config.http.port:
        yield _checked("HTTP port", lambda: _port(config, config.http.host, config.http.port, "http.port"))
        yield _checked("secrets of the pages", lambda: _secrets(config))
    yield _checked("open files", lambda: _open_files(config))
    for name, tls, is_server in _all_tls(config):
        yield _checked(f"certificates of {name}", lambda tls=tls, is_server=is_server: _certificates(tls, is_server))  # type: ignore[misc]
    for destination in config.destination:
        yield _checked(f"destination {destination.name}", lambda one=destination: _destination(config, one))  # type: ignore[misc]
    yield _checked("results that wait", lambda: _waiting(config))
    if not config.destination:
        yield Check("destinations", "none: results stay in the store, and nobody is sent any", True)
    for watch in config.watch:
        yield _checked(f"folder {watch.folder}", lambda one=watch: _watched(one))  # type: ignore[misc]
    for orthanc in config.orthanc:
        yield _checked(f"orthanc {orthanc.name}", lambda one=orthanc: _orthanc(one))  # type: ignore[misc]
    if config.alarm.webhook or config.alarm.mail:
        yield _checked("alarms", lambda: _alarms(config))
    yield _checked("model", lambda: _model(config))


def _checked(what: str, look: Callable[[], str]) -> Check:
    try:
        return Check(what, look(), True)
    except CtacalError as problem:
        return Check(what, str(problem), False)
    except OSError as problem:
        name = f"{problem.filename}: " if problem.filename else ""
        return Check(what, name + system_message(problem), False)


def _store(config: NodeConfig) -> str:
    store = Store(config.store)  # makes folders and a file, flushes and links it: all that receiving needs
    free_mb, reserve_mb = store.free_bytes() / 10**6, config.disk.reserve_mb
    if not store.has_room(reserve_mb=reserve_mb, reserve_percent=config.disk.reserve_percent):
        raise UsageError(
            f"{config.store}: {free_mb:,.0f} MB are free, less than the reserve (disk.reserve_mb, "
            "disk.reserve_percent): nothing would be received; free the disk or lower the reserve"
        )
    return f"{config.store}, {free_mb:,.0f} MB free"


def _database(config: NodeConfig) -> str:
    store = Store(config.store)
    with closing(open_ledger(config.ledger, store.id, wait_s=5.0)) as ledger:
        newest = ledger.check()
        where = ledger.database.name
    kind = network_file_system(config.store)
    if kind and not is_postgres(config.ledger):
        raise UsageError(f"{config.store} lies on a network file system ({kind}); use a local disk, or PostgreSQL")
    return f"{where}, {newest.n + 1} events, the newest {newest.digest}" if newest else f"{where}, no events"


def _commitment_checks(config: NodeConfig) -> Iterator[Check]:
    what, days = "storage commitment", config.retention.days_of_originals
    if not config.receive.commitment:
        if named := [peer.ae_title for peer in config.peer if peer.host]:
            found = f"is not answered, though host is given for {', '.join(named)}; if they ask, set receive.commitment"
            yield Check(what, found, True, is_warning=True)
    elif not days:
        yield Check(what, "is answered, and images are kept", True)
    else:
        found = (
            f"is answered, and images are deleted after {days:g} days: a camera that deletes what we promise to keep "
            "leaves no other copy; set retention.originals_days = 0, unless the PACS has the images too"
        )
        yield Check(what, found, True, is_warning=True)


def _waiting(config: NodeConfig) -> str:
    with closing(open_ledger(config.ledger, Store(config.store).id, wait_s=5.0)) as ledger:
        counts = ledger.delivery_counts()
    waiting = {name: sum(by_state[state] for state in UNDELIVERED) for name, by_state in counts.items()}
    gone = [f"{items} for {name}" for name, items in waiting.items() if items and not config.destination_named(name)]
    if gone:
        raise UsageError(
            f"{', '.join(gone)}, which the configuration does not hold any more: enter the destination again, or give "
            "them up or send them elsewhere (ctacal node give-up)"
        )
    return f"{sum(waiting.values())}, all for destinations of the configuration"


def _peers(config: NodeConfig) -> str:
    if config.receive.any_peer:
        return "anybody (receive.any_peer)"
    if not config.peer and not (config.http.stow and config.http.port) and not config.watch and not config.orthanc:
        raise UsageError("nobody: name the cameras and PACS under [[peer]], or set receive.any_peer = true")
    return ", ".join(f"{peer.ae_title} ({', '.join(peer.addresses) or 'any address'})" for peer in config.peer) or (
        "nobody by DICOM"
    )


def _port(config: NodeConfig, host: str, port: int, name: str) -> str:
    if node_runs(config.store):
        return f"{host}:{port}, not tried: a node is running on this store"
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except PermissionError as problem:
        raise UsageError(f"{name}: {port} needs the right CAP_NET_BIND_SERVICE, or take one above 1023") from problem
    except OSError as problem:
        raise UsageError(f"{name}: {host}:{port}: {problem.strerror}; another program may use it") from problem
    return f"{host}:{port} is free"


def _secrets(config: NodeConfig) -> str:
    http_token(config)
    if config.http.proxy_secret_file:
        read_secret(config.http.proxy_secret_file, "http.proxy_secret_file")
    return f"they are there; the pages are at {page_address(config)}"


def _alarms(config: NodeConfig) -> str:
    """Reach the servers that alarms go to; nothing is sent."""
    alarm, reached = config.alarm, []
    if alarm.mail:
        reached.append((alarm.mail.host, alarm.mail.port, "alarm.mail"))
    if alarm.webhook:
        url = httpx.URL(alarm.webhook)
        reached.append((url.host, url.port or (443 if url.scheme == "https" else 80), "alarm.webhook"))
    for host, port, name in reached:
        try:
            socket.create_connection((host, port), _REACH_S).close()
        except OSError as problem:
            raise UsageError(f"{name}: {host}:{port}: no connection: {system_message(problem)}") from problem
    return f"{', '.join(f'{host}:{port}' for host, port, _ in reached)} can be reached"


def _open_files(config: NodeConfig) -> str:
    try:
        import resource
    except ImportError:  # not on this system
        return "no limit is known"
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 2 * config.receive.most_associations + _FILES_BESIDE
    if most != resource.RLIM_INFINITY and most < needed:
        raise UsageError(f"{most} are allowed, {needed} may be needed; raise the limit (LimitNOFILE, ulimit -n)")
    return f"{most} are allowed"


def _all_tls(config: NodeConfig) -> Iterator[tuple[str, Tls, bool]]:
    sites = [("receive", config.receive.tls, True), ("http", config.http.tls, True)]
    sites += [(destination.name, destination.tls, False) for destination in config.destination]
    yield from ((name, tls, is_server) for name, tls, is_server in sites if tls.used or tls.authority)


def _certificates(tls: Tls, is_server: bool) -> str:
    found = []
    if tls.certificate and tls.key:
        ends = expiry(tls.certificate, tls.key)
        _require_valid(tls.certificate, ends)
        found.append(f"{tls.certificate} until {ends:%Y-%m-%d}")
    if tls.authority:
        ends = expiry_of_authorities(tls.authority)
        _require_valid(tls.authority, ends)
        found.append(f"{tls.authority} until {ends:%Y-%m-%d}")
    if is_server and not tls.authority:
        found.append("clients need no certificate")
    return "; ".join(found)


def _require_valid(path: Path, ends: datetime) -> None:
    left = ends - datetime.now(UTC)
    if left < timedelta(0):
        raise UsageError(f"{path}: expired on {ends:%Y-%m-%d}; renew it")
    if left < _EXPIRES_SOON:
        raise UsageError(f"{path}: expires on {ends:%Y-%m-%d}, in {left.days} days; renew it")


def _destination(config: NodeConfig, destination: Destination) -> str:
    if destination.kind == "dicom":
        return _dicom(config, destination)
    if destination.kind == "stow":
        return _stow(destination)
    assert destination.folder is not None
    return _writable(destination.folder)


def _dicom(config: NodeConfig, destination: Destination) -> str:
    """C-ECHO, and which of the objects that are to be sent the destination would take."""
    calling = destination.calling_ae_title or config.receive.ae_title
    wanted = {kind: SOP_CLASSES[kind] for kind in sorted(destination.kinds)}
    also = [_COMMITMENT] if destination.commitment else []
    with opened(destination, calling, [_VERIFICATION, *wanted.values(), *also], lambda _: 0) as outgoing:
        if isinstance(outgoing, Answer):
            raise UsageError(outgoing.reason)
        if outgoing.accepts(_VERIFICATION):
            with outgoing.within(destination.timeout_s), suppress(RuntimeError):
                outgoing.association.send_c_echo()
        taken = {kind for kind, uid in wanted.items() if outgoing.accepts(uid)}
        if destination.commitment and not outgoing.accepts(_COMMITMENT):
            raise UsageError("it offers no storage commitment; enable that there, or set commitment = false")
    if lost := [
        kind for kind in (*destination.send, *destination.refusals) if not _gets_through(kind, taken, destination)
    ]:
        raise UsageError(f"it takes no {', '.join(lost)}; let it take them, or name other kinds under fallback")
    instead = [f"{kind} instead of {old}" for old, kind in destination.fallback.items() if old not in taken]
    return f"{destination.ae_title} at {destination.host}:{destination.port} answers, takes " + ", ".join(
        [*sorted(taken), *instead]
    )


def _gets_through(kind: str, taken: set[str], destination: Destination) -> bool:
    while kind and kind not in taken:
        kind = destination.fallback.get(kind, "")
    return bool(kind)


def _stow(destination: Destination) -> str:
    """Ask the service for one study: who may ask may usually store."""
    url = f"{destination.url.rstrip('/')}/studies"
    headers = {"Accept": "application/dicom+json"}
    if destination.token_file:
        headers["Authorization"] = f"Bearer {destination.token_file.read_text(encoding='utf-8').strip()}"
    auth = None
    if destination.password_file:
        auth = httpx.BasicAuth(destination.user, destination.password_file.read_text(encoding="utf-8").strip("\r\n"))
    verify: ssl.SSLContext | bool = tls_context(destination) if url.startswith("https:") else True
    try:
        answer = httpx.get(
            url, params={"limit": 1}, headers=headers, auth=auth, verify=verify, timeout=destination.timeout_s,
            trust_env=False,
        )  # fmt: skip
    except httpx.HTTPError as problem:
        raise UsageError(f"{url}: no answer: {problem or type(problem).__name__}") from problem
    if answer.status_code in (401, 403, 407):
        raise UsageError(f"{url}: status {answer.status_code}; correct the token, or user and password")
    if answer.status_code == 404 or answer.status_code >= 500:
        raise UsageError(f"{url}: status {answer.status_code}; is this the address of a DICOMweb service?")
    return f"{url} answers"


def _writable(folder: Path) -> str:
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder; make it, with the right to write for this user")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"{folder}: this user may not write there")
    return f"{folder} is there"


def _watched(watch: Watch) -> str:
    if watch.then == "remove":
        return _writable(watch.folder)
    if not watch.folder.is_dir() or not os.access(watch.folder, os.R_OK | os.X_OK):
        raise UsageError("no such folder, or this user may not read it")
    return "is there"


def _orthanc(orthanc: Orthanc) -> str:
    try:
        with orthanc_client(orthanc) as client:
            answer = client.get("/system").raise_for_status().json()
    except (httpx.HTTPError, ValueError) as problem:
        raise UsageError(f"{orthanc.url}: {problem or type(problem).__name__}") from problem
    return f"{orthanc.url} answers, version {answer.get('Version', 'unknown')}"


def _model(config: NodeConfig) -> str:
    job = score_job(config)
    return f"{job.finder.model.name} {job.finder.model.version} is loaded, rule {job.rule.name}"
