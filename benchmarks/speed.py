"""Print the time and memory of every step of scoring a study of 64 slices of 512 x 512.

    python benchmarks/speed.py [--runs 5] [--runtime openvino]

Medians of whole runs, and the processor seconds of this process beside them: on a busy machine the one grows, the other
hardly. The machine's own floor (reading the same bytes) stands first. A drawn phantom is scored by the baseline and by
networks with random weights: speed does not depend on them.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pydicom
from installed import with_bytecode
from pydicom.uid import JPEG2000Lossless
from random_model import write_random_model

from ctacal.dicom.series import read_studies
from ctacal.dicom.volume import read_volume
from ctacal.heart import find_heart
from ctacal.labels import LabelMap
from ctacal.nn.predict import Model, load_model
from ctacal.prediction import Predictor
from ctacal.scores import SCCT_2016, score_label_map
from ctacal.simulate.output.series import write_series
from ctacal.simulate.phantom.thorax import draw_thorax
from ctacal.study import predict_threshold, score_study
from ctacal.volume import Volume

SHAPE, SPACING_MM = (64, 512, 512), (3.0, 0.8, 0.8)
_WEIGH = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, capture_output=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_maxrss / 1024, used.ru_utime + used.ru_stime)
"""
CTACAL = [str(Path(sys.executable).with_name("ctacal"))]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    name: str
    seconds: float
    cpu_seconds: float
    goal_s: float | None = None


def timed(name: str, action: Callable[[], object], runs: int, goal_s: float | None = None) -> Row:
    """Median of ``runs`` calls after one that warms up."""
    action()
    wall, cpu = [], []
    for _ in range(runs):
        began, cpu_began = time.perf_counter(), time.process_time()
        action()
        wall.append(time.perf_counter() - began)
        cpu.append(time.process_time() - cpu_began)
    return Row(name, statistics.median(wall), statistics.median(cpu), goal_s)


def command(name: str, arguments: list[str], runs: int, goal_s: float | None = None) -> tuple[Row, float]:
    """A whole command, each time in a fresh process; its peak memory (MB) too.

    A small process starts the command to weigh it: a child's peak counts what it shared with its parent before exec.
    """
    wall, cpu, peak_mb = [], [], 0.0
    for _ in range(runs + 1):
        began = time.perf_counter()
        weighed = subprocess.run([sys.executable, "-c", _WEIGH, *CTACAL, *arguments], check=True, capture_output=True)
        wall.append(time.perf_counter() - began - STARTING_S)
        peak_mb, seconds = (float(word) for word in weighed.stdout.split())
        cpu.append(seconds)
    return Row(name, statistics.median(wall[1:]), statistics.median(cpu[1:]), goal_s), peak_mb


def starting_s() -> float:
    """Return the time of the small process itself."""
    weigh_nothing = [sys.executable, "-c", _WEIGH, "true"]
    return timed("", lambda: subprocess.run(weigh_nothing, check=True, capture_output=True), 3).seconds


STARTING_S = starting_s()


def read_all(folder: Path) -> int:
    """The floor of reading: every byte of the folder, no parsing."""
    return sum(len(file.read_bytes()) for file in folder.iterdir())


def label_everything(volume: Volume) -> LabelMap:
    """The worst case: every voxel at or above the threshold is labelled, bones and all."""
    return LabelMap(np.full(volume.hu.shape, 5, np.uint8), volume.geometry)


def heart_crop(volume: Volume) -> Volume:
    """40 slices of 160 x 160 voxels around the middle."""
    middle = [n // 2 for n in volume.hu.shape]
    spans = [slice(m - half, m + half) for m, half in zip(middle, (20, 80, 80), strict=True)]
    part = volume.crop((spans[0], spans[1], spans[2]))
    return Volume(part.hu.copy(), part.geometry)


def compressed(folder: Path, out: Path) -> Path:
    """The same series in JPEG 2000, lossless."""
    out.mkdir()
    for path in folder.iterdir():
        image = pydicom.dcmread(path)
        image.compress(JPEG2000Lossless)
        image.save_as(out / path.name)
    return out


def networks_alone(model: Model, volume: Volume) -> Callable[[], object]:
    """Return a function that runs both networks on their input for this scan, and nothing else."""
    seen: list[tuple[Callable[[np.ndarray], object], np.ndarray]] = []

    def noting(run: Callable[[np.ndarray], list[np.ndarray]]) -> Callable[[np.ndarray], list[np.ndarray]]:
        def noted(x: np.ndarray) -> list[np.ndarray]:
            seen.append((run, x))
            return run(x)

        return noted

    watched = model.watched(noting)
    watched(volume, SCCT_2016)
    assert len(seen) == 2, "both networks are asked"
    print("the networks see", " and ".join(" x ".join(map(str, x.shape)) for _, x in seen))
    return lambda: [run(x) for run, x in seen]


def main() -> None:
    """Draw the phantom, time each step, print the table."""
    parser = argparse.ArgumentParser(description="How fast, how large")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--runtime", choices=("onnxruntime", "openvino", "openvino-bf16"), default="onnxruntime")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        rows, peaks_mb = measured(Path(temporary), options.runs, options.runtime)
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, numpy {np.__version__}, {options.runtime}")
    print(f"median of {options.runs} runs; wall, processor\n")
    for row in rows:
        goal = f"   goal {row.goal_s * 1000:.0f}" if row.goal_s else ""
        print(f"{row.name:58s} {row.seconds * 1000:8.1f} ms {row.cpu_seconds * 1000:8.1f} ms{goal}")
    for name, peak_mb, goal_mb in peaks_mb:
        print(f"{'peak memory: ' + name:58s} {peak_mb:8.0f} MB                goal {goal_mb}")


def measured(
    folder: Path, runs: int, runtime: Literal["onnxruntime", "openvino", "openvino-bf16"]
) -> tuple[list[Row], list[tuple[str, float, int]]]:
    """Every line of the table, in order; and peak memory."""
    with_bytecode(folder / "bytecode")
    phantom = draw_thorax(SHAPE, SPACING_MM, seed=1)
    ct, out = folder / "ct", str(folder / "out")
    write_series(phantom.volume, ct)
    j2k = compressed(ct, folder / "j2k")
    study = read_studies([ct]).studies[0]
    whole = read_volume(study.series[0])[0]
    (folder / "model").mkdir()
    weights = write_random_model(folder / "model", whole, find_heart(whole))
    model = load_model(weights, runtime=runtime)
    crop = heart_crop(whole)
    crop_labels, whole_labels = label_everything(crop), label_everything(whole)

    def warm(folder: Path, predict: Predictor) -> Callable[[], object]:
        return lambda: score_study(read_studies([folder]).studies[0], predict)

    written = ["-o", out, "--write", "json"]  # what all outputs cost is the matter of outputs.py
    threshold, threshold_mb = command(
        "cold: ctacal score, baseline", ["score", str(ct), *written, "--predictor", "threshold"], runs, 1.5
    )
    with_networks = [*written, "--model", str(weights), "--runtime", runtime]
    networks, networks_mb = command("cold: ctacal score, networks", ["score", str(ct), *with_networks], runs, 1.2)
    with_montage, _ = command(
        "cold: ctacal score, networks, and the montage", ["score", str(ct), *with_networks, "--write", "json,png"], runs
    )
    jpeg, _ = command("cold: ctacal score, networks, JPEG 2000", ["score", str(j2k), *with_networks], runs, 2.0)
    rows = [
        timed("floor: read the bytes of the folder", lambda: read_all(ct), runs),
        timed("read headers (64 files)", lambda: read_studies([ct]), runs),
        timed("baseline, warm: folder to result", warm(ct, predict_threshold), runs, 0.6),
        threshold,
        timed("networks alone", networks_alone(model, whole), runs, 0.3),
        timed("networks and what belongs to them (predict)", lambda: model(whole, SCCT_2016), runs),
        timed("networks, warm: folder to result", warm(ct, model), runs, 0.5),
        timed("networks, warm: folder to result, JPEG 2000", warm(j2k, model), runs),
        networks,
        with_montage,
        jpeg,
        command("ctacal --help", ["--help"], runs, 0.3)[0],
        timed("lesions, heart crop, all labelled", lambda: score_label_map(crop, crop_labels), runs, 0.010),
        timed("lesions, whole, true labels", lambda: score_label_map(whole, phantom.labels), runs, 0.060),
        timed("lesions, whole, all labelled", lambda: score_label_map(whole, whole_labels), runs, 0.060),
    ]
    return rows, [("cold, baseline", threshold_mb, 600), ("cold, networks", networks_mb, 1000)]


if __name__ == "__main__":
    main()
