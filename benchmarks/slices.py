"""How time grows with the slices: prints a warm score, folder to result, of one thorax cut ever finer.

    python benchmarks/slices.py [--runs 3]

The shipped weights; the drawn phantom, 192 mm long, in 16 to 256 slices of 512 x 512. Medians of wall and processor
time, and what each slice more costs beyond the first line's.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from ctacal.dicom.series import read_studies
from ctacal.nn.predict import Model, load_model
from ctacal.simulate.output.series import write_series
from ctacal.simulate.phantom.thorax import draw_thorax
from ctacal.study import score_study

SLICES = (16, 32, 64, 128, 256)
LENGTH_MM = 192.0


def main() -> None:
    """Draw, score, print a line for each number of slices."""
    parser = argparse.ArgumentParser(description="Time over slices")
    parser.add_argument("--runs", type=int, default=3)
    runs = parser.parse_args().runs
    model = load_model()
    print(f"{'slices':>6s} {'wall, ms':>9s} {'processor, ms':>14s} {'ms each slice more':>19s}")
    first: tuple[int, float] | None = None
    for slices in SLICES:
        wall, cpu = measured(slices, model, runs)
        first = first or (slices, wall)
        more = f"{(wall - first[1]) / (slices - first[0]):19.1f}" if slices > first[0] else ""
        print(f"{slices:6d} {wall:9.0f} {cpu:14.0f} {more}", flush=True)


def measured(slices: int, model: Model, runs: int) -> tuple[float, float]:
    """Medians, in ms, of wall and processor time after one score that warms up."""
    with tempfile.TemporaryDirectory() as folder:
        phantom = draw_thorax((slices, 512, 512), (LENGTH_MM / slices, 0.8, 0.8), seed=1)
        write_series(phantom.volume, Path(folder) / "ct")
        del phantom
        found = []
        for _ in range(runs + 1):
            began, cpu_began = time.perf_counter(), time.process_time()
            score_study(read_studies([Path(folder) / "ct"]).studies[0], model)
            found.append((time.perf_counter() - began, time.process_time() - cpu_began))
    wall, cpu = zip(*found[1:], strict=True)
    return 1000 * statistics.median(wall), 1000 * statistics.median(cpu)


if __name__ == "__main__":
    main()
