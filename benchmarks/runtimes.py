"""Print whether another runtime changes scores, and what it costs: each scan by each runtime, in turn.

    python benchmarks/runtimes.py SCAN... [--model MODEL] [--against onnxruntime] [--runtime openvino-bf16]

SCAN is a test study (.npz), a folder of them, or a folder or zip of DICOM. ``seconds`` is the time of the calcium
network alone: wall, and processor seconds, which are closer to those of a quiet machine. Exit status 1 if any category
changes.
"""

import argparse
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from stability import Scan, scans_of

from ctacal.arrays import Floats32
from ctacal.categories import risk_category
from ctacal.errors import Refusal
from ctacal.nn.predict import WEIGHTS, Model, load_model
from ctacal.nn.runtime import RUNTIMES, Run
from ctacal.scores import score_label_map


@dataclass(eq=False)
class Watch:
    """Times a network, and keeps its last answer."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    probability: Floats32 | None = None

    def around(self, run: Run) -> Run:
        def watched(*inputs: Floats32) -> list[Floats32]:
            began, cpu_began = time.perf_counter(), time.process_time()
            answer = run(*inputs)
            self.wall.append(time.perf_counter() - began)
            self.cpu.append(time.process_time() - cpu_began)
            self.probability = answer[0]
            return answer

        return watched


def watched(model: Model) -> tuple[Model, Watch]:
    watch = Watch()
    return replace(model, calcium=replace(model.calcium, run=watch.around(model.calcium.run))), watch


def agatston(model: Model, scan: Scan) -> float | None:
    """Return the score; None: refused."""
    try:
        return score_label_map(scan.volume, model(scan.volume, scan.rule).labels, scan.rule)[1].agatston.total
    except Refusal:
        return None


def category(score: float | None) -> str:
    return "refused" if score is None else risk_category(score)


def main() -> None:
    """Score every scan by both and print a line for each."""
    parser = argparse.ArgumentParser(description="Whether another runtime changes scores")
    parser.add_argument("scans", nargs="+", type=Path)
    parser.add_argument("--model", type=Path, default=WEIGHTS)
    parser.add_argument("--against", choices=tuple(RUNTIMES), default="onnxruntime")
    parser.add_argument("--runtime", choices=tuple(RUNTIMES), default="openvino-bf16")
    options = parser.parse_args()
    one, first = watched(load_model(options.model, runtime=options.against))
    other, second = watched(load_model(options.model, runtime=options.runtime))
    print(f"{'scan':40s} {options.against:>14s} {options.runtime:>14s} {'probability':>12s}")
    changed, moved = [], [0.0]
    for scan in (scan for path in options.scans for scan in scans_of(path)):
        first.probability = second.probability = None
        scores = agatston(one, scan), agatston(other, scan)
        same = category(scores[0]) == category(scores[1])
        changed += [] if same else [scan.name]
        moved += [abs(scores[0] - scores[1])] if scores[0] is not None and scores[1] is not None else []
        print(line(scan.name, scores, apart(first, second), same=same), flush=True)
    print(f"categories changed: {len(changed)} {' '.join(changed)}; largest change of a score: {max(moved):.2f}")
    print_times({options.against: first, options.runtime: second})
    sys.exit(int(bool(changed)))


def line(name: str, scores: tuple[float | None, float | None], apart: float, *, same: bool) -> str:
    shown = [category(score) if score is None else f"{score:.2f}" for score in scores]
    return f"{name:40s} {shown[0]:>14s} {shown[1]:>14s} {apart:12.4f}{'' if same else '  CATEGORY CHANGED'}"


def apart(one: Watch, other: Watch) -> float:
    """Return the largest difference of a probability."""
    if one.probability is None or other.probability is None:
        return 0.0
    return float(np.abs(one.probability - other.probability).max())


def print_times(watches: dict[str, Watch]) -> None:
    """Print the sum over the scans but the first, which warms up, and the first."""
    print(f"\n{'calcium network':20s} {'wall, s':>9s} {'processor, s':>13s} {'first: wall':>12s} {'processor':>10s}")
    for name, watch in watches.items():
        wall, cpu = sum(watch.wall[1:]), sum(watch.cpu[1:])
        print(f"{name:20s} {wall:9.2f} {cpu:13.2f} {watch.wall[0]:12.2f} {watch.cpu[0]:10.2f}")


if __name__ == "__main__":
    main()
