"""NPZ files: what was written is read, and nothing is written by half."""

from pathlib import Path

import numpy as np
import pytest

from ctacal.npz import write_npz


def test_arrays_are_read_as_they_were(tmp_path: Path) -> None:
    arrays = {
        "hu": np.arange(-20, 40, dtype=np.int16).reshape(3, 4, 5),
        "name": np.array("a"),
        "none": np.zeros((0, 2)),
    }
    write_npz(tmp_path / "a.npz", arrays)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as read:
        assert set(read) == set(arrays)
        for name, array in arrays.items():
            assert read[name].dtype == array.dtype
            np.testing.assert_array_equal(read[name], array)


def test_equal_arrays_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_npz(tmp_path / f"{name}.npz", {"hu": np.arange(600)})
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_objects_are_refused_and_leave_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="allow_pickle"):
        write_npz(tmp_path / "a.npz", {"hu": np.arange(3), "things": np.array([{}, 1], dtype=object)})
    assert not list(tmp_path.glob("*.npz"))
