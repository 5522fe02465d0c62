"""Random number streams have numbers of their own, and all generators of simulations are started by name."""

import ast
from itertools import groupby
from pathlib import Path

import pytest

import ctacal
from ctacal.simulate.streams import Stream, generator

ROOT = Path(ctacal.__file__).parent
SHARED = (
    {"SCAN_MOTION", "PATIENT"},
    {"DETECTOR_GAIN", "DENSITIES", "SUBCUTANEOUS_FAT"},
    {"FAT_PADS", "CALCIUM_VARIANTS"},
    {"TRAINING_ISOCENTRE", "INSERTION_START"},
    {"HEART_SCAN", "TEST_SCAN"},
)
"""Streams that had the same number before these were gathered: kept, so that existing seeds give the same studies."""


def test_no_further_streams_share_a_number() -> None:
    members = sorted(Stream.__members__, key=lambda name: Stream[name].value)
    groups = [set(names) for _, names in groupby(members, key=lambda name: Stream[name].value)]
    assert sorted(map(sorted, (group for group in groups if len(group) > 1))) == sorted(map(sorted, SHARED))


def test_each_stream_is_described() -> None:
    lines = (ROOT / "simulate" / "streams.py").read_text(encoding="utf-8").splitlines()
    for name in Stream.__members__:
        number = next(n for n, line in enumerate(lines) if line.startswith(f"    {name} = "))
        assert lines[number + 1].startswith('    """'), name


def calls_of_default_rng(file: Path) -> list[ast.Call]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return [
        node for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "default_rng"
    ]  # fmt: skip


@pytest.mark.slow
def test_no_generator_is_started_with_the_number_of_a_stream() -> None:
    """Elsewhere, seeds of several parts may hold no literal number; in simulations, only ``generator`` makes them."""
    wrong = []
    for file in ROOT.rglob("*.py"):
        name = file.relative_to(ROOT).as_posix()
        for call in calls_of_default_rng(file):
            parts = call.args[0].elts if isinstance(call.args[0], ast.List | ast.Tuple) else []
            literal = any(isinstance(part, ast.Constant) for part in parts)
            simulated = name.startswith("simulate/") or name == "jobs/simulated_samples.py"
            if literal or (parts and simulated and name != "simulate/streams.py"):
                wrong.append(f"{name}:{call.lineno}")
    assert not wrong


def test_streams_of_a_seed_differ_and_repeat() -> None:
    first = [generator(5, stream).random() for stream in Stream]
    assert len(set(first)) == len(Stream)
    assert first == [generator(5, stream).random() for stream in Stream]
    assert generator(5, Stream.RIBS, 1).random() != generator(5, Stream.RIBS, 2).random()
