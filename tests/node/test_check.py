"""What ``ctacal node check`` finds out about destinations and certificates, asked of real ones."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ctacal.errors import UsageError
from ctacal.fields import from_fields
from ctacal.jobs.node.config import NodeConfig
from ctacal.jobs.node.ledger import open_ledger
from ctacal.jobs.node.store import Store
from ctacal.node.certificates import expiry, expiry_of_authorities
from ctacal.node.check import SOP_CLASSES, Check, checks
from tests.node.certificates import Authority, new_authority
from tests.node.orthanc import PASSWORD, USER, orthanc
from tests.node.peers import Peer
from tests.node.running import free_port

pytestmark = pytest.mark.slow


def config(folder: Path, **fields: Any) -> NodeConfig:
    settings = {"receive": {"port": free_port(), "host": "127.0.0.1", "any_peer": True}, "http": {"port": 0}}
    disk = {"reserve_mb": 1, "reserve_percent": 0}
    return from_fields(
        NodeConfig,
        {"store": str(folder / "store"), "score": {"predictor": "threshold"}, "disk": disk, **settings, **fields},
    )


def found(config: NodeConfig, what: str) -> Check:
    (check,) = [check for check in checks(config) if check.what == what]
    return check


def of_peer(folder: Path, peer: Peer, **fields: Any) -> Check:
    with peer.running():
        return found(config(folder, destination=[peer.destination(**fields)]), "destination PACS")


def test_a_pacs_that_takes_all_is_well(tmp_path: Path) -> None:
    check = of_peer(tmp_path, Peer())
    assert check.is_ok
    assert check.found.endswith("answers, takes seg, sr")


def test_an_audit_trail_that_was_altered_is_told(tmp_path: Path) -> None:
    node = config(tmp_path)
    with closing(open_ledger(node.ledger, Store(node.store).id)) as ledger:
        digest = ledger.audit.append("association accepted", source="CAM@10.0.0.1").digest
        assert found(node, "database").found.endswith(f"1 events, the newest {digest}")
        ledger.database.write(lambda rows: rows.run("UPDATE node_audit SET line = REPLACE(line, 'CAM', 'MAC')"))
    check = found(node, "database")
    assert not check.is_ok and check.found.startswith("audit trail: record 0 was altered")


def test_a_kind_that_a_pacs_does_not_take_needs_a_fallback(tmp_path: Path) -> None:
    peer = Peer(takes=[SOP_CLASSES["sr"], SOP_CLASSES["sc"]])
    check = of_peer(tmp_path, peer)
    assert not check.is_ok
    assert check.found == "it takes no seg; let it take them, or name other kinds under fallback"
    check = of_peer(tmp_path, peer, fallback={"seg": "sc"})
    assert check.is_ok
    assert check.found.endswith("takes sc, sr, sc instead of seg")
    assert not of_peer(tmp_path, peer, fallback={"seg": "labelmap"}).is_ok
    assert of_peer(tmp_path, peer, fallback={"seg": "labelmap", "labelmap": "sr"}).is_ok


def test_storage_commitment_must_be_offered_where_it_is_wanted(tmp_path: Path) -> None:
    assert of_peer(tmp_path, Peer(commitment=True), commitment=True).is_ok
    check = of_peer(tmp_path, Peer(), commitment=True)
    assert check.found == "it offers no storage commitment; enable that there, or set commitment = false"


def test_a_pacs_that_does_not_know_us_is_told(tmp_path: Path) -> None:
    with orthanc(tmp_path / "pacs", DicomCheckCalledAet=True) as pacs:
        peer = {"name": "PACS", "kind": "dicom", "host": "127.0.0.1", "port": pacs.dicom_port, "timeout_s": 10}
        assert found(config(tmp_path, destination=[peer | {"ae_title": "PACS"}]), "destination PACS").is_ok
        check = found(config(tmp_path, destination=[peer | {"ae_title": "OTHER"}]), "destination PACS")
        assert not check.is_ok
        assert "correct ae_title" in check.found

        password = tmp_path / "password"
        password.write_text(PASSWORD)
        polled = {"url": pacs.url, "user": USER, "password_file": str(password)}
        assert found(config(tmp_path, orthanc=[polled]), "orthanc orthanc").is_ok
        password.write_text("wrong")
        assert "401" in found(config(tmp_path, orthanc=[polled]), "orthanc orthanc").found
        stow = {"name": "PACS", "kind": "stow", "url": f"{pacs.url}/dicom-web"}
        check = found(config(tmp_path, destination=[stow]), "destination PACS")
        assert "status 401; correct the token, or user and password" in check.found


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    yield new_authority(tmp_path_factory.mktemp("certificates"))


def test_when_a_certificate_expires(authority: Authority, tmp_path: Path) -> None:
    tls = authority.issue("node")
    assert tls.certificate and tls.key
    in_two_days = datetime.now(UTC) + timedelta(days=2)
    for ends in (expiry(tls.certificate, tls.key), expiry_of_authorities(authority.certificate)):
        assert abs(ends - in_two_days) < timedelta(hours=1)
    files = {"certificate": str(tls.certificate), "key": str(tls.key), "authority": str(authority.certificate)}
    receive = {"port": free_port(), "host": "127.0.0.1", "any_peer": True, "tls": files}
    check = found(config(tmp_path, receive=receive), "certificates of receive")
    assert not check.is_ok
    assert "in 1 days; renew it" in check.found


def test_a_certificate_that_is_over_or_not_of_this_key_is_told(authority: Authority, tmp_path: Path) -> None:
    one, other = authority.issue("one"), authority.issue("other")
    old = authority.issue("old", days=-1)
    assert one.certificate and one.key and other.key and old.certificate and old.key
    assert expiry(old.certificate, old.key) <= datetime.now(UTC)
    for certificate, key in ((one.certificate, other.key), (one.key, one.key), (tmp_path / "none", one.key)):
        with pytest.raises(UsageError, match=str(certificate)):
            expiry(certificate, key)
    with pytest.raises(UsageError, match=r"none of its certificates is that of an authority|holds no certificate"):
        expiry_of_authorities(one.key)
