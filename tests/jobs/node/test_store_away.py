"""A disk that goes between the look at the store and the write: nothing is made where it was mounted."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from ctacal.errors import UsageError
from ctacal.jobs.node.commitments import CommitmentRequest, remember
from ctacal.jobs.node.config import NodeConfig, Receive
from ctacal.jobs.node.ledger import ledger_of
from ctacal.jobs.node.occupancy import write_processes
from ctacal.jobs.node.store import Store

REQUEST = CommitmentRequest(transaction_uid="1.2.3", peer="CAMERA", references=(("1.2.840", "1.2.3.4"),))


def _open_ledger(store: Store) -> None:
    config = NodeConfig(store=store.folder, receive=Receive(any_peer=True))
    with closing(ledger_of(config, store)):
        pass


def _take(store: Store) -> None:
    with store.incoming() as incoming:
        incoming.write_bytes(b"an object")
        store.keep(incoming, "1.2.3", "1.2.3.4")


@pytest.mark.parametrize(
    "write",
    [
        _open_ledger,
        _take,
        lambda store: remember(store, REQUEST),
        lambda store: write_processes(store.folder, {"supervisor": 1}),
    ],
    ids=["ledger", "object", "commitment", "processes"],
)
def test_nothing_takes_the_place_of_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Store], None]
) -> None:
    store = Store(tmp_path / "store")
    write(store)  # while the disk is there, it works
    monkeypatch.setattr(Store, "require", lambda _: None)  # it was still there then
    store.folder.rename(tmp_path / "away")
    with pytest.raises((OSError, UsageError)):
        write(store)
    assert not store.folder.exists()
