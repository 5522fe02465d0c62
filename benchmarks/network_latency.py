"""How long the networks take on this machine, ours beside other people's: medians, interleaved, random weights.

    python benchmarks/network_latency.py [--threads 2] [--rounds 5] [--only "ours: calcium" ...] [--runtime openvino]

All are exported to ONNX and run by the same runtime in one process, in turn. Two tables: what each does per second, as
a share of the machine's matrix peak (the best of many float32 matrix products with as many threads); and a study of 64
slices of 512 x 512. Peers look at whole slices, so a part of the study is timed and multiplied; ours looks at the
heart, so the same crop is given to all as well. Latency does not depend on the weights. CPU seconds over threads stand
beside the seconds: on a busy machine they are closer to those of a quiet machine.
"""

import argparse
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from peers import PlannedUNet, ResNetUNet, SwinUNETR2d
from torch import nn

from ctacal.nn.config import NetworkConfig
from ctacal.nn.export import write_onnx
from ctacal.nn.inputs import channels_of
from ctacal.nn.networks import build, parameters_of
from ctacal.nn.runtime import RUNTIMES, Run

CROP = (40, 160, 160)
"""Slices, rows and columns of a heart with its margin: what ours sees of a study."""

CONFIGS: Mapping[str, NetworkConfig] = {
    "ours: heart": NetworkConfig.heart(),
    "ours: calcium": NetworkConfig(),
    "calcium, refined at full resolution, 8": NetworkConfig(refine_channels=8),
    "calcium, refined at full resolution, 16": NetworkConfig(refine_channels=16),
    "calcium, deeper decoder": NetworkConfig(decoder_convolutions=2),
    "calcium, two ConvLSTMs": NetworkConfig(mid_lstm_channels=24),
    "calcium, wider": NetworkConfig(widths=(40, 80, 128, 160), lstm_channels=64),
    "calcium, full resolution": NetworkConfig(widths=(16, 32, 64, 96, 128), unshuffle=1),
    "published, both networks": NetworkConfig.published(),
}

PEERS: Mapping[str, Callable[[], nn.Module]] = {
    "ResNet34 U-Net, slices": ResNetUNet,
    "nnU-Net-like, windows": PlannedUNet,
    "SwinUNETR 2-D (AI-CAC), slices": SwinUNETR2d,
}


@dataclass(frozen=True, slots=True)
class Part:
    """The timed part of a study: an input, and the number of such inputs in the study."""

    of: str
    shape: tuple[int, ...]
    """Without channels: (slices, rows, columns)."""
    times: float


HEART_PART = Part("study", (40, 128, 128), 1)
"""64 slices every 3 mm and 512 mm of picture at 5 x 4 x 4 mm, none of the air left out."""

PARTS: Mapping[str, tuple[Part, ...]] = {
    "ours: heart": (HEART_PART,),
    "published, both networks": (Part("study", (2, 512, 512), 32), Part("crop", (8, 160, 160), 5)),
    "ResNet34 U-Net, slices": (Part("study", (2, 512, 512), 32), Part("crop", CROP, 1)),
    "nnU-Net-like, windows": (Part("study", (64, 128, 128), 49), Part("crop", (32, 160, 160), 40 / 32)),
    "SwinUNETR 2-D (AI-CAC), slices": (Part("study", (1, 512, 512), 64), Part("crop", (4, 160, 160), 10)),
}
"""nnU-Net's windows overlap by half: 7 x 7 of 128 x 128 over 512 x 512, all slices in each. What is not named here: the
crop alone."""

EVERYTHING = (*CONFIGS, *PEERS)
DEFAULT = ("ours: heart", "ours: calcium", "calcium, full resolution", "published, both networks", *PEERS)


@dataclass(frozen=True, slots=True)
class Timed:
    """One network on one input."""

    name: str
    part: Part
    run: Callable[[], object]
    giga_operations: float
    parameters: int
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def once(self) -> None:
        began, cpu_began = time.perf_counter(), time.process_time()
        self.run()
        self.wall.append(time.perf_counter() - began)
        self.cpu.append(time.process_time() - cpu_began)

    @property
    def seconds(self) -> float:
        return statistics.median(self.wall)

    @property
    def cpu_seconds(self) -> float:
        return statistics.median(self.cpu)


def main() -> None:
    parser = argparse.ArgumentParser(description="How long the networks take")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runtime", choices=tuple(RUNTIMES), default="onnxruntime")
    parser.add_argument("--only", nargs="*", default=DEFAULT, choices=EVERYTHING, metavar="NETWORK")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:

        def start(content: bytes) -> Run:
            return RUNTIMES[options.runtime](content, options.threads)

        cases = [case for name in options.only for case in prepared(name, Path(folder), start)]
    peaks = [matrix_peak()]
    for _ in range(options.rounds):
        for case in cases:
            case.once()
        peaks.append(matrix_peak())
    wall_peak, cpu_peak = (max(kind) for kind in zip(*peaks, strict=True))
    peak = f"matrix peak {wall_peak:.0f} GFLOP/s; by CPU seconds {cpu_peak:.0f}"
    print(f"{options.runtime}, {options.threads} threads, {peak}")
    print_speeds(cases, options.threads, cpu_peak)
    print_studies(cases, options.threads)


def print_speeds(cases: list[Timed], threads: int, peak: float) -> None:
    """Print how well each network uses the machine."""
    print("\n| network | parameters | input | GFLOP | median s | CPU s / threads | of the peak, by CPU s |")
    print("| - | - | - | - | - | - | - |")
    for case in cases:
        size, per_thread = " x ".join(str(n) for n in case.part.shape), case.cpu_seconds / threads
        print(
            f"| {case.name} | {case.parameters / 1e6:.2f} M | {size} | {case.giga_operations:.1f} | {case.seconds:.3f} "
            f"| {per_thread:.3f} | {case.giga_operations / per_thread / peak:.0%} |"
        )


def print_studies(cases: list[Timed], threads: int) -> None:
    """Print the time of each network for a study and a crop, also as a multiple of ours."""
    found = {(case.name, case.part.of): case for case in cases}
    heart, calcium = found.get(("ours: heart", "study")), found.get(("ours: calcium", "crop"))
    if heart is None or calcium is None:
        return
    rows = [("ours: heart and calcium", _both(heart, calcium, threads), _of(calcium, threads))]
    for name in (*PEERS, "published, both networks"):
        study, crop = found.get((name, "study")), found.get((name, "crop"))
        if study and crop:
            rows.append((name, _of(study, threads), _of(crop, threads)))
    ours_study, ours_crop = rows[0][1], rows[0][2]
    print("\n| network | study, s | CPU s / threads | times ours | crop, s | CPU s / threads | times ours' calcium |")
    print("| - | - | - | - | - | - | - |")
    for name, whole, part in rows:
        print(
            f"| {name} | {whole[0]:.2f} | {whole[1]:.2f} | {whole[1] / ours_study[1]:.1f} "
            f"| {part[0]:.2f} | {part[1]:.2f} | {part[1] / ours_crop[1]:.1f} |"
        )


def _of(case: Timed, threads: int) -> tuple[float, float]:
    """Return seconds, and CPU seconds over threads, of the whole study that the part represents."""
    return case.seconds * case.part.times, case.cpu_seconds / threads * case.part.times


def _both(one: Timed, other: Timed, threads: int) -> tuple[float, float]:
    pairs = zip(_of(one, threads), _of(other, threads), strict=True)
    wall, cpu = (a + b for a, b in pairs)
    return wall, cpu


def prepared(name: str, folder: Path, start: Callable[[bytes], Run]) -> list[Timed]:
    """Return the exported network, loaded once for all inputs, or for each input if its shape is fixed."""
    path = folder / "network.onnx"
    torch.manual_seed(0)
    network = (PEERS[name]() if name in PEERS else build(CONFIGS[name])).eval()
    channels = 1 if name in PEERS else channels_of(CONFIGS[name])
    made: list[Timed] = []
    for part in PARTS.get(name, (Part("crop", CROP, 1),)):
        shape = (1, 1, *part.shape) if name == "nnU-Net-like, windows" else (part.shape[0], channels, *part.shape[1:])
        x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        if name in PEERS:
            write_fixed(network, torch.from_numpy(x), path)
        elif not made:
            write_onnx(network, CONFIGS[name], path)
        run = partial(start(path.read_bytes()), x)
        run()
        made.append(Timed(name, part, run, giga_operations(network, x), parameters_of(network)))
    return made


def write_fixed(network: nn.Module, x: torch.Tensor, path: Path) -> None:
    """A peer for one shape of input, by torch's older and faster exporter."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(network, (x,), str(path), dynamo=False, opset_version=17, input_names=["x"])


@torch.no_grad()
def giga_operations(network: nn.Module, x: np.ndarray) -> float:
    """Return the GFLOP of all convolutions and products, 2 operations per multiplication and addition.

    Counted on two slices, where there are more: they grow with the slices.
    """
    from torch.utils.flop_counter import FlopCounterMode

    part = torch.from_numpy(x[:2])
    with FlopCounterMode(display=False) as counter:
        network(part)
    return float(counter.get_total_flops() / 1e9 * x.shape[0] / part.shape[0])


def matrix_peak(side: int = 1536, times: int = 5) -> tuple[float, float]:
    """GFLOP/s of the fastest of some square float32 products: by seconds, and by CPU seconds over threads."""
    one, other = torch.randn(side, side), torch.randn(side, side)
    wall, cpu = [], []
    for _ in range(times):
        began, cpu_began = time.perf_counter(), time.process_time()
        one @ other
        wall.append(time.perf_counter() - began)
        cpu.append((time.process_time() - cpu_began) / torch.get_num_threads())
    giga = 2e-9 * float(side) ** 3
    return giga / min(wall), giga / min(cpu)


if __name__ == "__main__":
    main()
