"""A model whose networks lie as planes, as in an installed wheel."""

from pathlib import Path

import pytest

from ctacal.errors import UsageError
from ctacal.nn.card import onnx_bytes
from ctacal.nn.planes import from_planes, to_planes
from ctacal.nn.predict import load_model
from tests.nn.hand_model import write_hand_model


@pytest.mark.parametrize("length", range(10))
def test_bytes_come_back(length: int) -> None:
    content = bytes(range(length))
    assert from_planes(to_planes(content)) == content


def as_planes(folder: Path) -> Path:
    for network in folder.glob("*.onnx"):
        network.with_name(f"{network.name}.planes").write_bytes(to_planes(network.read_bytes()))
        network.unlink()
    return folder


def test_a_model_in_planes_is_the_same_model(tmp_path: Path) -> None:
    plain, packed = write_hand_model(tmp_path / "plain"), as_planes(write_hand_model(tmp_path / "packed"))
    assert load_model(packed, threads=1).info == load_model(plain, threads=1).info
    assert onnx_bytes(packed, "heart") == (plain / "heart.onnx").read_bytes()


def test_planes_that_are_damaged(tmp_path: Path) -> None:
    folder = as_planes(write_hand_model(tmp_path))
    content = bytearray((folder / "calcium.onnx.planes").read_bytes())
    content[7] ^= 1
    (folder / "calcium.onnx.planes").write_bytes(content)
    with pytest.raises(UsageError, match=r"calcium\.onnx is not the file"):
        load_model(folder)
    (folder / "calcium.onnx.planes").unlink()
    with pytest.raises(UsageError, match=r"calcium\.onnx: No such file"):
        load_model(folder)
