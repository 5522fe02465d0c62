"""How long a simulated study takes, stage by stage.

``python benchmarks/simulate_speed.py [PROTOCOL] [--slices N] [--seed N]`` prints wall and CPU seconds of building the
body with the heart's phases, of the scan and of the truth, and the process's peak memory. A first run compiles the
kernels: run it twice. With ``NUMBA_NUM_THREADS=1`` all is done on one core.
"""

import argparse
import resource
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from ctacal.simulate import study
from ctacal.simulate.scanner.protocol import load_protocol
from ctacal.simulate.scanner.scan import scan

Result = TypeVar("Result")

MIDDLE_MM = -48.0
"""Middle of the scanned range along the patient: about the heart (own choice)."""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("protocol", nargs="?", default="spect_ct_16slice")
    parser.add_argument("--slices", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1, help="of the patient; 1 has much calcium")
    wanted = parser.parse_args()
    description = described(wanted.protocol, wanted.slices, wanted.seed)
    spent: list[tuple[float, float]] = []
    maps, deposits, motion = timed("body", spent, lambda: study._beating_body(description))
    volume = timed("scan", spent, lambda: scan(
        maps.body, description.protocol, seed=description.seed, motion=motion, isocentre_mm=description.isocentre_mm
    ))  # fmt: skip
    timed("truth", spent, lambda: study._truth(description, maps, deposits, motion, volume))
    wall_s, cpu_s = (sum(column) for column in zip(*spent, strict=True))
    print(f"{'sum':8}{wall_s:8.1f} s wall{cpu_s:8.1f} s CPU")
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{volume.hu.shape} voxels, {len(deposits.table)} deposits, peak memory {peak_mb:.0f} MB")


def described(protocol: str, slices: int, seed: int) -> study.StudyDescription:
    """Describe a study of so many slices about the heart."""
    drawn = study.draw_study(seed, load_protocol(protocol))
    height_mm = (slices + 0.01) * drawn.protocol.spacing_mm  # the body's grid is larger by a breath
    return replace(drawn, bottom_mm=MIDDLE_MM - height_mm / 2, top_mm=MIDDLE_MM + height_mm / 2)


def timed(stage: str, spent: list[tuple[float, float]], work: Callable[[], Result]) -> Result:
    """Do the work; print and append its seconds of wall and CPU time."""
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    result = work()
    spent.append((time.perf_counter() - wall_s, time.process_time() - cpu_s))
    print(f"{stage:8}{spent[-1][0]:8.1f} s wall{spent[-1][1]:8.1f} s CPU", flush=True)
    return result


if __name__ == "__main__":
    main()
