"""``NodeConfig``: everything that the owner of a DICOM node decides, from one TOML file."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from typing import Literal, TypeAlias

from ctacal.fields import read_toml
from ctacal.jobs.finders import Runtime
from ctacal.loopback import is_loopback
from ctacal.report.outputs import WRITERS

DICOM_KINDS = ("seg", "sr", "dicompdf", "sc", "labelmap")
"""Kinds of output that are DICOM objects, and so can be sent to a PACS."""

REFUSAL_KINDS = ("dicompdf", "sc", "pdf", "html", "json")
"""Kinds of output that a study without a score has."""

Kinds: TypeAlias = tuple[str, ...]
"""Names of ``report.outputs.WRITERS``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """Certificates (PEM) that an end of a connection shows, and by which it knows the other end."""

    certificate: Path | None = None
    """Own certificate, followed by those of the authorities between; empty: none is shown."""
    key: Path | None = None
    """Key of ``certificate``, without a pass phrase."""
    authority: Path | None = None
    """Certificates of the authorities that the other end's certificate must come from. A server with it asks every
    client for a certificate; a client without it takes the authorities of the system."""

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key: give both or neither")

    @property
    def used(self) -> bool:
        """Whether a server speaks TLS."""
        return self.certificate is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Receive:
    """How objects are received by C-STORE."""

    ae_title: str = "CTACAL"
    """AE title that a peer must call."""
    host: str = "0.0.0.0"
    """Address to listen at."""
    port: int = 11112
    """Port to listen at; 104 needs a right of its own (see docs/node.md)."""
    any_peer: bool = False
    """Whether anyone may send, not only the peers of the list."""
    tls: Tls = field(default_factory=Tls)
    """With a certificate the port speaks TLS only; with an authority too, every peer must show a certificate."""
    most_associations: int = 64
    """Connections in all; further ones are refused for the moment."""
    most_per_address: int = 16
    """Connections from one address; further ones are refused for the moment."""
    association_s: float = 10.0
    """Time that a connection has to ask for an association."""
    idle_s: float = 60.0
    """Time after which a silent association is ended."""
    least_bytes_per_s: float = 1000.0
    """A peer that sends an object more slowly than this is cut off after ``idle_s``."""
    largest_object_mb: int = 2048
    """Larger objects are refused."""
    commitment: bool = False
    """Whether storage commitment is answered (PS3.4 annex J): a camera may then delete its images. With it,
    ``retention.originals_days`` must be given."""

    def __post_init__(self) -> None:
        _check_ae_title("ae_title", self.ae_title)
        _check_port("port", self.port)
        _check_positive(
            most_associations=self.most_associations,
            most_per_address=self.most_per_address,
            association_s=self.association_s,
            idle_s=self.idle_s,
            largest_object_mb=self.largest_object_mb,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Who may send: a camera, a PACS or a router."""

    ae_title: str
    """AE title by which it calls."""
    addresses: tuple[str, ...] = ()
    """IP addresses or networks that it calls from, such as ``10.1.2.3`` or ``10.2.0.0/16``; empty: from anywhere."""
    tls_subject: str = ""
    """Common name or DNS name that its certificate must hold; empty: any certificate of the authority."""
    host: str = ""
    """Host to which storage commitment is answered; empty: it is answered on the association that asked."""
    port: int = 0
    """Port of ``host``."""

    def __post_init__(self) -> None:
        _check_ae_title("ae_title", self.ae_title)
        for address in self.addresses:
            try:
                ip_network(address, strict=False)
            except ValueError as problem:
                raise ValueError(f"addresses: {problem}; give such as 10.1.2.3 or 10.2.0.0/16") from problem
        if self.host:
            _check_port("port", self.port)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settle:
    """When a study is whole: DICOM has no sign for it, so it must have been quiet for a time."""

    quiet_s: float = 10.0
    """Time of silence after which a study is scored whose CTAC is there without gaps."""
    wait_s: float = 120.0
    """Time of silence after which any other study is scored: the CTAC has gaps, or none has come."""

    def __post_init__(self) -> None:
        _check_positive(quiet_s=self.quiet_s, wait_s=self.wait_s)
        if self.wait_s < self.quiet_s:
            raise ValueError(f"wait_s must not be below quiet_s, got {self.wait_s} and {self.quiet_s}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How studies are scored, and what each scoring process may use."""

    processes: int = 0
    """Number of scoring processes; 0: one for each two cores."""
    predictor: Literal["networks", "threshold"] = "networks"
    """What finds the calcium."""
    model: Path | None = None
    """Model folder; empty: the model that ships with ctacal."""
    runtime: Runtime | None = None
    """What runs the networks; empty: the fastest that is installed."""
    rule: str = "scct2016"
    """Scoring rule, or a TOML file of one."""
    mass_calibration: float | None = None
    """Calibration factor in mg of hydroxyapatite per cm3 and HU."""
    write: Kinds = ("json", "html", "seg", "sr")
    """Kinds of output that are written for every study, beside those that a destination is sent."""
    fill_gaps: bool = False
    """Whether single missing slices are interpolated, with a warning."""
    untilt: bool = False
    """Whether a gantry tilt is resampled away, with a warning."""
    allow_contrast: bool = False
    """Whether a CT with contrast medium is scored, with a warning."""
    phi: bool = True
    """Whether reports name the patient. They go back into the patient's record, so they should."""
    memory_mb: int = 4096
    """Memory of a scoring process beyond which it is killed."""
    time_s: float = 600.0
    """Time for one study, after which its scoring process is killed."""
    most_attempts: int = 3
    """A study that has killed its scoring process this often is put aside (quarantined)."""

    def __post_init__(self) -> None:
        _check_kinds("write", self.write, tuple(WRITERS))
        _check_positive(memory_mb=self.memory_mb, time_s=self.time_s, most_attempts=self.most_attempts)
        if self.processes < 0:
            raise ValueError(f"processes must not be negative, got {self.processes}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where results go: a DICOM node (C-STORE), a DICOMweb server (STOW-RS) or a folder."""

    name: str
    """Own name for it, in pages and logs."""
    kind: Literal["dicom", "stow", "folder"]
    """How it is reached."""
    ae_title: str = ""
    """dicom: AE title that is called."""
    calling_ae_title: str = ""
    """dicom: own AE title; empty: that of ``receive``."""
    host: str = ""
    """dicom: host name or address."""
    port: int = 0
    """dicom: port."""
    use_tls: bool = False
    """dicom: whether the connection is TLS."""
    tls_name: str = ""
    """dicom, stow: name in the destination's certificate; empty: ``host``, or the host of ``url``."""
    url: str = ""
    """stow: address of the DICOMweb service, such as ``https://pacs/dicom-web``."""
    user: str = ""
    """stow: user name for HTTP Basic authentication, with the password in ``password_file``."""
    password_file: Path | None = None
    """stow: file that holds the password only."""
    token_file: Path | None = None
    """stow: file that holds the bearer token only."""
    tls: Tls = field(default_factory=Tls)
    """dicom, stow: certificate to show and authority to trust."""
    folder: Path | None = None
    """folder: where files are written, as StudyInstanceUID/SOPInstanceUID.dcm."""
    send: Kinds = ("seg", "sr")
    """Kinds of output that are sent."""
    refusals: Kinds = ()
    """Kinds of output that are sent for a study without a score, such as ``dicompdf``; empty: nothing."""
    fallback: dict[str, str] = field(default_factory=dict)
    """Kind that is sent instead of another that the destination takes under no circumstances, such as
    ``{seg = "sc", sr = "dicompdf"}``."""
    commitment: bool = False
    """dicom: whether an object counts as delivered only when storage commitment says so."""
    commitment_s: float = 3600.0
    """dicom: time after which an answer that has not come is asked for again."""
    timeout_s: float = 30.0
    """Time without an answer after which an attempt has failed."""
    retry_s: float = 30.0
    """Time to the second attempt; each further one waits longer, up to ``longest_retry_s``, without end."""
    longest_retry_s: float = 3600.0
    """Longest time between two attempts."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[\w .-]{1,64}", self.name):
            raise ValueError(f"name must be 1-64 letters, digits, spaces, dots, hyphens, got {self.name!r}")
        known = tuple(WRITERS) if self.kind == "folder" else DICOM_KINDS
        _check_kinds("send", self.send, known)
        _check_kinds("refusals", self.refusals, tuple(kind for kind in REFUSAL_KINDS if kind in known))
        _check_kinds("fallback", (*self.fallback, *self.fallback.values()), known)
        _check_ends("fallback", self.fallback)
        _check_positive(
            commitment_s=self.commitment_s,
            timeout_s=self.timeout_s,
            retry_s=self.retry_s,
            longest_retry_s=self.longest_retry_s,
        )
        self._check_address()

    def _check_address(self) -> None:
        if self.kind == "dicom":
            _check_ae_title("ae_title", self.ae_title)
            if self.calling_ae_title:
                _check_ae_title("calling_ae_title", self.calling_ae_title)
            if not self.host:
                raise ValueError("host: missing")
            _check_port("port", self.port)
        elif self.kind == "stow" and not self.url.startswith(("http://", "https://")):
            raise ValueError(f"url must begin with https:// or http://, got {self.url!r}")
        elif self.kind == "folder" and self.folder is None:
            raise ValueError("folder: missing")
        if self.commitment and self.kind != "dicom":
            raise ValueError("commitment is for kind dicom only")

    @property
    def kinds(self) -> frozenset[str]:
        """Kinds of output that may be sent here."""
        return frozenset((*self.send, *self.refusals, *self.fallback.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Http:
    """The pages, the REST interface and STOW-RS."""

    host: str = "127.0.0.1"
    """Address to listen at."""
    port: int = 8080
    """Port to listen at; 0: no HTTP at all."""
    names: tuple[str, ...] = ()
    """Names by which browsers may call this machine, beside ``host``."""
    tls: Tls = field(default_factory=Tls)
    """Certificate of the pages; without one, only 127.0.0.1 and a proxy may be served."""
    token_file: Path | None = None
    """File that holds the token that REST, STOW-RS and the pages ask for; empty: STORE/http-token, made at start."""
    stow: bool = True
    """Whether objects are taken by STOW-RS."""
    largest_request_mb: int = 2048
    """Larger requests are refused."""
    patients: bool = False
    """Whether the pages may name patients and show reports that do. By default they show UIDs and scores only."""
    proxy: tuple[str, ...] = ()
    """IP addresses of a reverse proxy that signs users in; then the pages believe its ``user_header``."""
    proxy_secret_file: Path | None = None
    """File that holds the secret that the proxy sends with each request, as ``X-Ctacal-Proxy-Secret``."""
    user_header: str = "x-remote-user"
    """Header in which the proxy names the user."""

    def __post_init__(self) -> None:
        if self.port:
            _check_port("port", self.port)
        _check_positive(largest_request_mb=self.largest_request_mb)
        if self.proxy and self.proxy_secret_file is None:
            raise ValueError("proxy_secret_file: missing; the proxy must prove that it is the proxy")
        if self.is_loopback:
            return
        if not self.tls.used and not self.proxy:
            raise ValueError(
                f"host {self.host}: away from this machine the pages need TLS (tls.certificate, tls.key) or a reverse "
                "proxy that signs users in (proxy)"
            )
        if not self.names:
            raise ValueError(f"names: missing; say by which names browsers call {self.host}")

    @property
    def is_loopback(self) -> bool:
        """Whether only programs of this machine reach the pages."""
        return is_loopback(self.host)


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """A folder that files are taken from."""

    folder: Path
    """The folder; files at any depth are taken."""
    quiet_s: float = 10.0
    """Time for which a file must not have changed."""
    then: Literal["keep", "remove"] = "keep"
    """What happens to a file that is safe in the store."""

    def __post_init__(self) -> None:
        _check_positive(quiet_s=self.quiet_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Orthanc:
    """An Orthanc whose stable studies are fetched and scored."""

    name: str = "orthanc"
    """Own name for it, in pages and logs; where it has got to is kept by this name."""
    url: str
    """Address of its REST interface, such as ``http://127.0.0.1:8042``."""
    user: str = ""
    """User name."""
    password_file: Path | None = None
    """File that holds the password only."""
    poll_s: float = 10.0
    """Time between two questions."""
    backlog: bool = False
    """Whether at the first start all studies are fetched that it has; by default only those that come later."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[\w-]{1,64}", self.name):
            raise ValueError(f"name must be 1-64 letters, digits, hyphens, got {self.name!r}")
        if not self.url.startswith(("http://", "https://")):
            raise ValueError(f"url must begin with https:// or http://, got {self.url!r}")
        _check_positive(poll_s=self.poll_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """Space that stays free: below the larger of both, nothing is received until there is room again."""

    reserve_mb: int = 5000
    """Least free space."""
    reserve_percent: float = 5.0
    """Least free share of the file system."""

    def __post_init__(self) -> None:
        if self.reserve_mb < 0 or not 0 <= self.reserve_percent < 100:
            raise ValueError("reserve_mb must not be negative, and reserve_percent from 0 to below 100")


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long files stay. Nothing goes before all its results are delivered."""

    originals_days: float | None = None
    """Age, from the last arrival, at which the received images of a delivered study are deleted; 0: never; empty: 7."""
    results_days: float = 0.0
    """Age, from scoring, at which the results of a delivered study are deleted; 0: never."""

    def __post_init__(self) -> None:
        if self.days_of_originals < 0 or self.results_days < 0:
            raise ValueError("originals_days and results_days must not be negative; 0 means never")

    @property
    def days_of_originals(self) -> float:
        """``originals_days``, or what counts if it is not given."""
        return 7.0 if self.originals_days is None else self.originals_days


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """Alarms by e-mail."""

    to: tuple[str, ...]
    """Who gets them."""
    sender: str
    """Address that they come from."""
    host: str = "localhost"
    """SMTP server."""
    port: int = 25
    """Port of the SMTP server."""
    security: Literal["none", "starttls", "tls"] = "none"
    """How the connection is encrypted."""
    user: str = ""
    """User name; empty: no sign-in."""
    password_file: Path | None = None
    """File that holds the password only."""

    def __post_init__(self) -> None:
        if not self.to:
            raise ValueError("to: give at least one address")
        _check_port("port", self.port)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """Where alarms go when a person must act: results held, studies quarantined, disk low, queues that stand still."""

    webhook: str = ""
    """URL that gets a POST with JSON."""
    mail: Mail | None = None
    """E-mail."""
    held: bool = True
    """Whether held results, quarantined studies and objects set aside raise an alarm."""
    low_disk: bool = True
    """Whether too little free space raises an alarm."""
    after_s: float = 3600.0
    """Time without a study scored while studies wait, or without a delivery while results wait for a destination, that
    raises an alarm; 0: none does."""
    commitment_s: float = 86400.0
    """Time without a report on storage commitment after which results that were sent raise an alarm; 0: none do."""
    again_s: float = 86400.0
    """Time after which an alarm that still holds is sent again."""
    most_per_hour: int = 6
    """Most messages in any hour, by mail and by webhook each; further alarms are gathered in one message."""

    def __post_init__(self) -> None:
        _check_positive(again_s=self.again_s, most_per_hour=self.most_per_hour)
        for name, seconds in (("after_s", self.after_s), ("commitment_s", self.commitment_s)):
            if seconds < 0:
                raise ValueError(f"{name} must not be negative, got {seconds:g}")
        if self.webhook and not self.webhook.startswith(("http://", "https://")):
            raise ValueError("webhook must begin with https:// or http://")


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """What the processes print to standard error. No line names a patient."""

    format: Literal["text", "json"] = "text"
    """Plain lines, or a JSON object a line."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe events that are printed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeConfig:
    """All settings of a node."""

    store: Path
    """Folder for everything that is received and made; on a local disk."""
    database: str = ""
    """PostgreSQL URL; empty: STORE/ledger.sqlite. Passwords belong into ~/.pgpass or PGPASSWORD."""
    receive: Receive = field(default_factory=Receive)
    peer: tuple[Peer, ...] = ()
    settle: Settle = field(default_factory=Settle)
    score: Score = field(default_factory=Score)
    destination: tuple[Destination, ...] = ()
    http: Http = field(default_factory=Http)
    watch: tuple[Watch, ...] = ()
    orthanc: tuple[Orthanc, ...] = ()
    disk: Disk = field(default_factory=Disk)
    retention: Retention = field(default_factory=Retention)
    alarm: Alarm = field(default_factory=Alarm)
    log: Log = field(default_factory=Log)

    def __post_init__(self) -> None:
        if not self.store.is_absolute():
            raise ValueError(f"store must be an absolute path, got {self.store}")
        _check_different("destination.name", [destination.name for destination in self.destination])
        _check_different("orthanc.name", [orthanc.name for orthanc in self.orthanc])
        _check_different("peer.ae_title", [peer.ae_title for peer in self.peer])
        if self.receive.commitment and self.retention.originals_days is None:
            raise ValueError(
                "receive.commitment promises that images stay, so say for how long: retention.originals_days = 0 keeps "
                "them; a number of days deletes what may be the only copy"
            )
        if self.http.port and self.http.port == self.receive.port:
            raise ValueError(f"http.port and receive.port are the same, {self.http.port}")

    @property
    def ledger(self) -> str:
        """Where the ledger is: a PostgreSQL URL, or the path of an SQLite file."""
        return self.database or str(self.store / "ledger.sqlite")

    @property
    def outputs(self) -> Kinds:
        """Kinds of output to write for a study: those of ``score.write`` and all that any destination may be sent."""
        wanted = {"json", *self.score.write}.union(*(destination.kinds for destination in self.destination))
        return tuple(kind for kind in WRITERS if kind in wanted)

    def destination_named(self, name: str) -> Destination | None:
        """Return the destination of that name; None if the configuration no longer holds it."""
        return next((destination for destination in self.destination if destination.name == name), None)


def read_config(path: Path) -> NodeConfig:
    """Read the configuration of a node. Raises ``UsageError`` naming the file and the field."""
    return read_toml(NodeConfig, path)


def _check_ae_title(name: str, title: str) -> None:
    """Raise ``ValueError`` unless the text is an AE title (PS3.5 section 6.2): 1-16 printable ASCII characters."""
    if not re.fullmatch(r"[ -\[\]-~]{1,16}", title) or title != title.strip():
        raise ValueError(f"{name} must be 1-16 ASCII characters without backslash or outer spaces, got {title!r}")


def _check_port(name: str, port: int) -> None:
    if not 1 <= port <= 65535:
        raise ValueError(f"{name} must be from 1 to 65535, got {port}")


def _check_positive(**values: float) -> None:
    for name, value in values.items():
        if not value > 0:
            raise ValueError(f"{name} must be above 0, got {value:g}")


def _check_kinds(name: str, kinds: Kinds, known: Kinds) -> None:
    for kind in kinds:
        if kind not in known:
            raise ValueError(f"{name}: {kind!r} is unknown here; known are {', '.join(known)}")


def _check_ends(name: str, instead: Mapping[str, str]) -> None:
    for first in instead:
        kind, seen = first, {first}
        while kind := instead.get(kind, ""):
            if kind in seen:
                raise ValueError(f"{name}: {first!r} leads back to {kind!r}, so nothing would ever be sent")
            seen.add(kind)


def _check_different(name: str, values: list[str]) -> None:
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"{name}: {value!r} is given twice")
