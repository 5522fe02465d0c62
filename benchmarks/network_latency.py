"""How long the networks take on this machine: medians, interleaved in one process, random weights.

    python benchmarks/network_latency.py [--threads 2] [--rounds 7] [--only heart calcium]

Prints, for each network and number of slices: seconds, CPU seconds, operations, and the share of the machine's matrix
peak (the best of many float32 matrix products with the same number of threads). Latency does not depend on the weights.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import nn

from ctacal.nn.config import NetworkConfig
from ctacal.nn.export import write_onnx
from ctacal.nn.inputs import channels_of
from ctacal.nn.networks import build, parameters_of

CASES: dict[str, tuple[NetworkConfig, tuple[tuple[int, int, int], ...]]] = {
    "heart": (NetworkConfig.heart(), ((48, 128, 128),)),
    "calcium": (NetworkConfig(), ((40, 160, 160), (60, 160, 160), (40, 144, 128))),
    "calcium, deeper decoder": (NetworkConfig(decoder_convolutions=2), ((40, 160, 160),)),
    "calcium, smaller": (NetworkConfig(widths=(24, 40, 64, 64), lstm_channels=24), ((40, 160, 160),)),
    "calcium, full resolution": (
        NetworkConfig(widths=(16, 32, 48, 64), lstm_channels=24, unshuffle=1),
        ((40, 160, 160),),
    ),
    "calcium, refined at full resolution": (NetworkConfig(refine_channels=8), ((40, 160, 160),)),
    "calcium, two ConvLSTMs": (replace(NetworkConfig(), mid_lstm_channels=24), ((40, 160, 160),)),
    "published, both networks": (NetworkConfig.published(), ((40, 160, 160),)),
}


@dataclass(frozen=True, slots=True)
class Timed:
    """One network on one input."""

    name: str
    shape: tuple[int, int, int]
    run: Callable[[], object]
    giga_operations: float
    parameters: int


def main() -> None:
    parser = argparse.ArgumentParser(description="How long the networks take")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", nargs="*", default=list(CASES), choices=list(CASES), help="some of the networks")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        cases = [one for name in options.only for one in prepared(name, Path(folder), options.threads)]
    wall: list[list[float]] = [[] for _ in cases]
    cpu: list[list[float]] = [[] for _ in cases]
    peaks = [matrix_peak()]
    for _ in range(options.rounds):
        for index, case in enumerate(cases):
            began, cpu_began = time.perf_counter(), time.process_time()
            case.run()
            wall[index].append(time.perf_counter() - began)
            cpu[index].append(time.process_time() - cpu_began)
        peaks.append(matrix_peak())
    peak = max(peaks)
    print(f"matrix peak {peak:.0f} GFLOP/s with {options.threads} threads\n")
    print("| network | parameters | input | GFLOP | median s | CPU s | of the peak |\n| - | - | - | - | - | - | - |")
    for case, seconds, cpu_seconds in zip(cases, wall, cpu, strict=True):
        median = statistics.median(seconds)
        size = " x ".join(str(n) for n in case.shape)
        print(
            f"| {case.name} | {case.parameters / 1e6:.2f} M | {size} | {case.giga_operations:.1f} | {median:.3f} "
            f"| {statistics.median(cpu_seconds):.3f} | {case.giga_operations / median / peak:.0%} |"
        )


def prepared(name: str, folder: Path, threads: int) -> list[Timed]:
    """The network exported and loaded, once for all its inputs."""
    config, shapes = CASES[name]
    network = build(config).eval()
    channels = channels_of(config)
    path = folder / f"{len(list(folder.iterdir()))}.onnx"
    write_onnx(network, config, path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    made = []
    for shape in shapes:
        x = np.random.default_rng(0).normal(size=(shape[0], channels, *shape[1:])).astype(np.float32)

        def run(x: np.ndarray = x) -> object:
            return session.run(None, {"x": x})

        run()
        operations = operations_of(network, channels, shape)
        made.append(Timed(name, shape, run, operations, parameters_of(network)))
    return made


@torch.no_grad()
def operations_of(network: nn.Module, channels: int, shape: tuple[int, int, int]) -> float:
    """Giga floating-point operations of all convolutions; 2 per multiplication and addition. They grow with slices."""
    from torch.utils.flop_counter import FlopCounterMode

    slices = 2
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(slices, channels, *shape[1:]), 1)
    return float(counter.get_total_flops()) / 1e9 * shape[0] / slices


def matrix_peak(side: int = 1536, times: int = 5) -> float:
    """GFLOP/s of the fastest of some square float32 products."""
    one, other = torch.randn(side, side), torch.randn(side, side)
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        one @ other
        seconds.append(time.perf_counter() - began)
    return 2 * side**3 / min(seconds) / 1e9


if __name__ == "__main__":
    main()
