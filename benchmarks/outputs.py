"""What the outputs of one study cost beside its score: time and memory of each kind, cold and warm.

python benchmarks/outputs.py [SCAN]        (a DICOM folder; default: the sample)

Cold is the first study of a process, with the import of the libraries that write it; warm is each study after it. Peak
memory is what the process needs beyond the scored study. Goal: all default outputs under 1.0 s and 300 MB on 2 cores.
"""

import multiprocessing
import resource
import sys
import tempfile
import time
from importlib.resources import files
from pathlib import Path

from ctacal.dicom.series import read_studies
from ctacal.nn.predict import load_model
from ctacal.report.outputs import DEFAULT_WRITERS, WRITERS, write_outputs
from ctacal.study import score_study

Figures = tuple[float, float, float]
"""Seconds cold, seconds warm, MB."""


def measured(scan: Path, writers: tuple[str, ...]) -> Figures:
    """In a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measure, (scan, writers))


def _measure(scan: Path, writers: tuple[str, ...]) -> Figures:
    (study,) = read_studies([scan]).studies
    result = score_study(study, load_model())
    assert result.scores is not None, result.reasons
    before = _peak_mb()
    with tempfile.TemporaryDirectory() as folder:
        cold = _seconds(lambda: write_outputs(result, Path(folder), writers))
        warm = min(_seconds(lambda: write_outputs(result, Path(folder), writers)) for _ in range(5))
    return cold, warm, _peak_mb() - before


def _seconds(work: object) -> float:
    begin = time.perf_counter()
    assert callable(work)
    work()
    return time.perf_counter() - begin


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    scan = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(str(files("ctacal") / "sample"))
    print(f"{'outputs':24} {'cold, s':>8} {'warm, s':>8} {'peak, MB':>9}")
    for name in (*WRITERS, ",".join(DEFAULT_WRITERS)):
        cold, warm, mb = measured(scan, tuple(name.split(",")))
        print(f"{name:24} {cold:8.2f} {warm:8.2f} {mb:9.0f}")


if __name__ == "__main__":
    main()
