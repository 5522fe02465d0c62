"""Limits of repeatability: what they say of two scores, their file, and for which scans they hold."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ctacal.compare.limits import Band, Limits, fitting, misfits, read_limits, write_limits
from ctacal.compare.protocol import ScanProtocol
from ctacal.compare.reasons import Doubt
from ctacal.compare.scan import ComparedScan
from ctacal.errors import UsageError

PROTOCOL = ScanProtocol(manufacturer="SIEMENS", model="Symbia T16", kvp=130.0, slice_thickness_mm=5.0,
                        slice_spacing_mm=5.0, kernel="B30s")  # fmt: skip
BAND = Band(mean_sqrt=(0.0, 10.0, 20.0), low=(-2.0, -4.0, -4.0), high=(2.0, 4.0, 4.0))
LIMITS = Limits(name="ours", origin="site", bands={"agatston": BAND}, pairs=40, patients=38, protocol=PROTOCOL,
                rule="scct2016", model_digest="m", first_day="2024-01-02", last_day="2024-05-31")  # fmt: skip


def test_the_limits_are_straight_between_their_points() -> None:
    assert BAND.at(0.0, 0.0) == (-2.0, 2.0)
    assert BAND.at(36.0, 16.0) == (-3.0, 3.0)  # mean of the roots 5
    assert BAND.at(400.0, 400.0) == (-4.0, 4.0)
    assert BAND.at(400.0, 401.0) is None


def test_a_file_of_limits_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_limits(LIMITS, tmp_path / "limits.json")
    assert read_limits(tmp_path / "limits.json") == LIMITS


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"form": "x"}, "is no file of limits"),
        ({"pairs": "many"}, "pairs: expected a whole number, got 'many'"),
        ({"decides": "mass_mg"}, "decides is 'mass_mg'"),
        ({"bands": {"agatston": {"mean_sqrt": [0, 1], "low": [1, 1], "high": [2, 2]}}}, "no change at all must lie"),
        ({"bands": {"agatston": {"mean_sqrt": [0, 0], "low": [-1, -1], "high": [2, 2]}}}, "mean_sqrt must rise"),
        ({"bands": {"agatston": {"mean_sqrt": [0, 1], "low": [-1], "high": [2, 2]}}}, "one length of 2 or more"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_the_field(tmp_path: Path, change: object, said: str) -> None:
    file = tmp_path / "limits.json"
    write_limits(LIMITS, file)
    assert isinstance(change, dict)
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(UsageError, match="limits.json.*" + said):
        read_limits(file)


def scan(**protocol: object) -> ComparedScan:
    return ComparedScan(protocol=replace(PROTOCOL, **protocol), rule="scct2016", model_digest="m")  # type: ignore[arg-type]


def test_limits_hold_for_like_scans_only() -> None:
    assert not misfits(LIMITS, scan(slice_spacing_mm=4.5, kernel="B31s"))
    other = replace(scan(kvp=80.0, model="Intevo", kernel="B70s"), rule="agatston1990", model_digest="n")
    assert {doubt for doubt, _ in misfits(LIMITS, other)} == {
        Doubt.KVP_DIFFERS, Doubt.SCANNER_DIFFERS, Doubt.KERNEL_DIFFERS, Doubt.RULE_DIFFERS, Doubt.MODEL_DIFFERS
    }  # fmt: skip


def test_the_nearest_limits_are_chosen_and_none_without_a_known_voltage() -> None:
    wide = replace(LIMITS, name="wide", protocol=ScanProtocol(kvp=130.0, slice_thickness_mm=5.5, slice_spacing_mm=5.5))
    assert fitting((wide, LIMITS), [scan(), scan()]) == LIMITS
    assert fitting((wide,), [scan(), scan()]) == wide
    assert fitting((wide, LIMITS), [scan(), scan(kvp=None)]) is None
    assert fitting((wide, LIMITS), [scan(), scan(kvp=80.0)]) is None
    assert fitting((wide, LIMITS), [scan(), replace(scan(), model_digest="")]) is None
    assert fitting((wide, LIMITS), [scan(), replace(scan(), rule="")]) is None
    assert fitting((), [scan(), scan()]) is None


def test_where_a_difference_is_accepted_the_limits_hold_for_one_of_the_scans() -> None:
    assert fitting((LIMITS,), [scan(), scan(kvp=80.0)], {Doubt.KVP_DIFFERS}) == LIMITS
    assert fitting((LIMITS,), [scan(kvp=80.0), scan(kvp=80.0)], {Doubt.KVP_DIFFERS}) is None
    assert fitting((LIMITS,), [scan(), scan(kvp=80.0)], {Doubt.KERNEL_DIFFERS}) is None
