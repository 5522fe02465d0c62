"""Presets, and the user's own files."""

import tomllib
from pathlib import Path

import pytest

from ctacal.errors import UsageError
from ctacal.simulate.scanner.protocol import PROTOCOLS, load_protocol, protocol_names

OWN = """
kvp = 120
tube_current_ma = 30.0
rotation_s = 0.5
thickness_mm = 3.0
spacing_mm = 3.0
matrix = 512
fov_mm = 500.0
kernel = "hann"
mtf50_per_mm = 0.25
noise_target_hu = 20.0
collimation_mm = 20.0
"""


def own(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "mine.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_there_are_at_least_six() -> None:
    assert len(protocol_names()) >= 6
    assert len({load_protocol(name) for name in protocol_names()}) == len(protocol_names())


def test_each_number_names_its_source() -> None:
    for file in PROTOCOLS.glob("*.toml"):
        for line in file.read_text(encoding="utf-8").splitlines():
            assert not line or line.startswith(("#", "notes")) or " # " in line, f"{file.name}: {line}"


def test_presets_cover_what_is_in_use() -> None:
    protocols = [load_protocol(name) for name in protocol_names()]
    assert {protocol.kvp for protocol in protocols} >= {80.0, 100.0, 120.0, 130.0, 140.0}
    assert {protocol.matrix for protocol in protocols} == {256, 512}
    assert max(protocol.rotation_s for protocol in protocols) > 10
    assert {protocol.thickness_mm for protocol in protocols} >= {3.0, 5.0, 10.0}
    assert max(protocol.collimation_mm for protocol in protocols) > 100, "a cone beam"


def test_a_file_of_the_user(tmp_path: Path) -> None:
    protocol = load_protocol(own(tmp_path, OWN))
    assert (protocol.name, protocol.kvp, protocol.mas) == ("mine", 120.0, 15.0)
    assert protocol.pixel_mm == pytest.approx(500 / 512)


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("tube_current_ma = 30.0", "tube_current_ma = -30.0", "tube_current_ma is -30.0, expected above 0"),
        ("tube_current_ma = 30.0", "", "tube_current_ma: missing"),
        ("kvp = 120", "kvp = 12", "kvp is 12.0, expected 60 to 150"),
        ("kvp = 120", 'kvp = "high"', "kvp: expected a number, got 'high'"),
        ("kvp = 120", "kvp = nan", "kvp is nan"),
        ("kvp = 120", "kvp = true", "kvp: expected a number, got True"),
        ("spacing_mm = 3.0", "spacing_mm = 0.0", "spacing_mm is 0.0, expected above 0"),
        ("thickness_mm = 3.0", "thickness_mm = nan", "thickness_mm is nan"),
        ("kvp = 120", "kvp = 120\ngain_error = -0.1", "gain_error is -0.1, expected 0 or more"),
        ("kvp = 120", "kvp = 120\nscatter_corrected = 3.0", "scatter_corrected is 3.0, expected 0 to 2"),
        ("rotation_s = 0.5", "rotation_s = inf", "rotation_s is inf"),
        ("matrix = 512", "matrix = 512.5", "matrix: expected a whole number, got 512.5"),
        ("matrix = 512", "matrix = 0", "matrix is 0, expected 16 to 1024"),
        ('kernel = "hann"', 'kernel = "B30"', "kernel is 'B30', expected one of hann"),
        ("kvp = 120", "kvp = 120\ncolour = 1", "colour: unknown"),
        ("kvp = 120", "kvp = 120\nhelical = false\npitch = 1.5", "pitch is 1.5"),
        ("kvp = 120", "kvp = ", "mine.toml: Invalid value"),
    ],
)
def test_what_cannot_be_is_named(tmp_path: Path, old: str, new: str, named: str) -> None:
    with pytest.raises(UsageError, match=named):
        load_protocol(own(tmp_path, OWN.replace(old, new)))


def test_an_unknown_protocol_names_those_that_are_known() -> None:
    with pytest.raises(UsageError, match="spect_ct_2slice"):
        load_protocol("nowhere")


def test_presets_are_plain_toml() -> None:
    for file in PROTOCOLS.glob("*.toml"):
        assert tomllib.loads(file.read_text(encoding="utf-8"))
