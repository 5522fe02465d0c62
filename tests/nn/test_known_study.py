from pathlib import Path

import numpy as np
import pytest

from ctacal.errors import UsageError
from ctacal.geometry import Geometry
from ctacal.nn.known_study import StudyFacts, read_test_study, write_test_study
from ctacal.volume import Volume

GRID = Geometry.from_spacing((3, 4, 5), (3.0, 0.9, 0.8), (-10.0, 5.0, 100.0))
HU = np.linspace(-1000, 3000, 60).reshape(3, 4, 5).astype(np.float32)
LABELS = (np.arange(60) % 7).reshape(3, 4, 5).astype(np.uint8)
FACTS = StudyFacts(7, "slow", 12.5, {"LAD": 12.5}, ("aortic_wall", "lead"), {"LAD": 3.0})


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_test_study(tmp_path / "a.npz", Volume(HU, GRID), LABELS, LABELS + 100, FACTS)
    study = read_test_study(tmp_path / "a.npz")
    assert (study.name, study.facts) == ("a", FACTS)
    assert study.volume.geometry.same_grid(GRID)
    assert study.volume.hu.dtype == np.int16
    np.testing.assert_array_equal(study.volume.hu, np.rint(HU))
    np.testing.assert_array_equal(study.labels.labels, LABELS)
    assert study.deposit_labels is not None
    np.testing.assert_array_equal(study.deposit_labels, LABELS + 100)


def test_kinds_may_be_unknown(tmp_path: Path) -> None:
    write_test_study(tmp_path / "a.npz", Volume(HU, GRID), LABELS, None, StudyFacts(1, "x"))
    study = read_test_study(tmp_path / "a.npz")
    assert study.deposit_labels is None
    assert study.facts == StudyFacts(1, "x", None, None, (), None)


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "cut.npz").write_bytes(b"PK\x03\x04 cut")
    np.savez(tmp_path / "bare.npz", hu=HU.astype(np.int16))
    for name in ("cut", "bare", "absent"):
        with pytest.raises(UsageError, match=f"{name}.npz: not a test study"):
            read_test_study(tmp_path / f"{name}.npz")


def test_what_does_not_fit_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="labels must be uint8 of shape"):
        write_test_study(tmp_path / "a.npz", Volume(HU, GRID), LABELS[1:], None, FACTS)
    flipped = Volume(HU, GRID).crop((slice(None, None, -1), slice(None), slice(None)))
    with pytest.raises(ValueError, match="canonical"):
        write_test_study(tmp_path / "a.npz", flipped, LABELS, None, FACTS)
    assert not list(tmp_path.iterdir())
