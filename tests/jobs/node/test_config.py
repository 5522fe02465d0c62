"""The configuration of a node: defaults, what it derives, and errors that name the field."""

from pathlib import Path

import pytest

from ctacal.errors import UsageError
from ctacal.jobs.node.config import NodeConfig, read_config

WHOLE = """
store = "/srv/ctacal"

[[peer]]
ae_title = "CAMERA"
addresses = ["10.1.2.3", "10.2.0.0/16"]

[[destination]]
name = "pacs"
kind = "dicom"
ae_title = "PACS"
host = "pacs.hospital"
port = 104
refusals = ["dicompdf"]
fallback = {seg = "sc"}

[[destination]]
name = "archive"
kind = "folder"
folder = "/srv/results"
send = ["nifti"]
"""


def config(tmp_path: Path, text: str) -> NodeConfig:
    file = tmp_path / "node.toml"
    file.write_text(text, encoding="utf-8")
    return read_config(file)


def test_a_store_is_all_that_must_be_given(tmp_path: Path) -> None:
    made = config(tmp_path, 'store = "/srv/ctacal"')
    assert (made.receive.ae_title, made.receive.port, made.settle.quiet_s) == ("CTACAL", 11112, 10)
    assert made.ledger == "/srv/ctacal/ledger.sqlite"
    assert (made.receive.commitment, made.retention.days_of_originals) == (False, 7)
    assert config(tmp_path, 'store = "/srv/ctacal"\ndatabase = "postgresql://host/node"').ledger.startswith("postgres")


def test_outputs_are_what_is_wanted_here_or_anywhere(tmp_path: Path) -> None:
    made = config(tmp_path, WHOLE)
    assert made.outputs == ("seg", "sr", "sc", "nifti", "dicompdf", "html", "json")
    assert made.destination[0].kinds == {"seg", "sr", "sc", "dicompdf"}
    assert made.destination_named("archive") is made.destination[1]
    assert made.destination_named("gone") is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"/srv/ctacal"', '"ctacal"', "store must be an absolute path, got ctacal"),
        ('ae_title = "CAMERA"', 'ae_title = "A TITLE THAT IS TOO LONG"', "peer.ae_title must be 1-16 ASCII"),
        ('ae_title = "CAMERA"', "ae_title = 'A\\B'", "peer.ae_title must be 1-16 ASCII"),
        ("10.1.2.3", "10.1.2", "peer.addresses: '10.1.2' does not appear to be an IPv4"),
        ("port = 104", "port = 70000", "destination.port must be from 1 to 65535, got 70000"),
        ("port = 104", "prot = 104", "destination.prot: unknown; known are name, kind"),
        ('host = "pacs.hospital"', "", "destination.host: missing"),
        ('kind = "dicom"', 'kind = "stow"', "destination.url must begin with https:// or http://, got ''"),
        ('folder = "/srv/results"', "", "destination.folder: missing"),
        ('seg = "sc"', 'seg = "png"', "destination.fallback: 'png' is unknown here; known are seg, sr"),
        ('refusals = ["dicompdf"]', 'refusals = ["sr"]', "destination.refusals: 'sr' is unknown here; known are dic"),
        ('name = "archive"', 'name = "pacs"', "destination.name: 'pacs' is given twice"),
        ('name = "archive"', 'name = "a/b"', "destination.name must be 1-64 letters"),
        ("[[peer]]", "[settle]\nquiet_s = 0\n[[peer]]", "settle.quiet_s must be above 0, got 0"),
        ("[[peer]]", "[settle]\nwait_s = 5\n[[peer]]", "settle.wait_s must not be below quiet_s, got 5.0 and 10.0"),
        ("[[peer]]", "[http]\nport = 11112\n[[peer]]", "http.port and receive.port are the same, 11112"),
        ("[[peer]]", "[receive.tls]\nkey = '/k'\n[[peer]]", "receive.tls.certificate and key: give both or neither"),
        ("[[peer]]", "[orthanc]\nurl = 'x'\n[[peer]]", "orthanc: expected a list"),
        ("[[peer]]", "[[orthanc]]\nurl = 'x'\n[[peer]]", "orthanc.url must begin with https:// or http://, got 'x'"),
    ],
)
def test_errors_name_the_file_and_the_field(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in WHOLE
    with pytest.raises(UsageError) as problem:
        config(tmp_path, WHOLE.replace(old, new))
    assert str(problem.value).startswith(f"{tmp_path / 'node.toml'}: ")
    assert message in str(problem.value)
