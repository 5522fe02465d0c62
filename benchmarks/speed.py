"""How fast, how large: prints a table of every step of scoring one study of 64 slices of 512 x 512, uncompressed.

    python benchmarks/speed.py [--runs 5]

Medians of whole runs; the machine's own floor (reading the same bytes) stands beside. A drawn phantom is scored with
the threshold baseline, so no network is in these numbers.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ctacal.dicom.series import read_studies
from ctacal.labels import LabelMap
from ctacal.scores import score_label_map
from ctacal.simulate.phantom import draw_thorax
from ctacal.simulate.series_writer import write_series
from ctacal.study import predict_threshold, score_study
from ctacal.volume import Volume

SHAPE, SPACING_MM = (64, 512, 512), (3.0, 0.8, 0.8)
_WEIGH = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, capture_output=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
CTACAL = [str(Path(sys.executable).with_name("ctacal"))]


def median_s(action: Callable[[], object], runs: int) -> float:
    """Median seconds of ``runs`` calls after one that warms up."""
    action()
    seconds = []
    for _ in range(runs):
        begin = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds)


def command_s(arguments: list[str], runs: int) -> tuple[float, float]:
    """Median seconds and peak memory (MB) of a whole command, each in a fresh process."""

    def run() -> None:
        subprocess.run([*CTACAL, *arguments], check=True, capture_output=True)

    # A small process starts the command to weigh it: a child's peak counts what it shared with its parent before exec.
    weighed = subprocess.run([sys.executable, "-c", _WEIGH, *CTACAL, *arguments], check=True, capture_output=True)
    return median_s(run, runs), int(weighed.stdout) / 1024


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


def main() -> None:
    """Draw the phantom, time each step, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    phantom = draw_thorax(SHAPE, SPACING_MM, seed=1)
    with tempfile.TemporaryDirectory() as temporary:
        folder, out = Path(temporary, "ct"), Path(temporary, "out")
        write_series(phantom.volume, folder)
        study = read_studies([folder]).studies[0]
        crop, whole = heart_crop(phantom.volume), phantom.volume
        crop_labels, whole_labels = label_everything(crop), label_everything(whole)
        cold_s, peak_mb = command_s(["score", str(folder), "-o", str(out)], runs)
        rows = [
            ("floor: read the bytes of the folder", median_s(lambda: read_all(folder), runs), None),
            ("read headers (64 files)", median_s(lambda: read_studies([folder]), runs), None),
            (
                "score_study (choose, decode, threshold, score)",
                median_s(lambda: score_study(study, predict_threshold), runs),
                None,
            ),
            (
                "warm: folder to result",
                median_s(lambda: score_study(read_studies([folder]).studies[0], predict_threshold), runs),
                0.6,
            ),
            ("cold: ctacal score, result.json and montage.png", cold_s, 1.5),
            ("ctacal --help", command_s(["--help"], runs)[0], 0.3),
            (
                "lesions and scores, heart crop 40x160x160, all labelled",
                median_s(lambda: score_label_map(crop, crop_labels), runs),
                0.010,
            ),
            (
                "lesions and scores, whole 64x512x512, true labels",
                median_s(lambda: score_label_map(whole, phantom.labels), runs),
                0.060,
            ),
            (
                "lesions and scores, whole 64x512x512, all labelled",
                median_s(lambda: score_label_map(whole, whole_labels), runs),
                0.060,
            ),
        ]
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, numpy {np.__version__}, median of {runs} runs")
    for name, seconds, goal in rows:
        print(f"{name:58s} {seconds * 1000:8.1f} ms" + (f"   goal {goal * 1000:.0f}" if goal else ""))
    print(f"{'peak memory of the cold command':58s} {peak_mb:8.0f} MB   goal 600")


if __name__ == "__main__":
    main()
