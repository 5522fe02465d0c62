"""Time and memory of the outputs of one study, by kind, cold and warm.

python benchmarks/outputs.py [SCAN]        (a DICOM folder; default: the sample)

Cold is the first study of a process, including the import of libraries; the part that ``report.outputs.prepare`` hides
behind the networks is not subtracted. Warm is each later study. Peak memory is the most that the process held during
the first outputs, beyond what it held after scoring (Linux). Wall and processor seconds, medians of three processes.
Goals for the default outputs on 2 cores: under 1.3 s cold, 0.5 s warm, 300 MB.
"""

import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.resources import files
from pathlib import Path

from installed import with_bytecode

from ctacal.dicom.series import read_studies
from ctacal.nn.predict import load_model
from ctacal.report.outputs import DEFAULT_WRITERS, WRITERS, write_outputs
from ctacal.result import ScoredStudy
from ctacal.study import score_study

PROCESSES = 3
Figures = tuple[float, float, float, float, float]
"""Seconds cold, processor seconds cold, seconds warm, processor seconds warm, MB."""


def measured(scan: Path, writers: tuple[str, ...]) -> Figures:
    """Measure in new processes, after one that compiles the imported modules."""
    command = [sys.executable, __file__, str(scan), ",".join(writers)]
    runs = [json.loads(subprocess.check_output(command)) for _ in range(PROCESSES + 1)]
    a, b, c, d, e = (statistics.median(column) for column in zip(*runs[1:], strict=True))
    return a, b, c, d, e


def _measure(scan: Path, writers: tuple[str, ...]) -> Figures:
    (study,) = read_studies([scan]).studies
    result = score_study(study, load_model())
    assert isinstance(result, ScoredStudy), result.reasons
    with tempfile.TemporaryDirectory() as folder:
        before_mb = _forget_peak_mb()
        cold = _seconds(lambda: write_outputs(result, Path(folder), writers))
        peak_mb = _memory_mb("VmHWM") - before_mb
        warm = min(_seconds(lambda: write_outputs(result, Path(folder), writers)) for _ in range(5))
    return *cold, *warm, peak_mb


def _seconds(work: object) -> tuple[float, float]:
    begin, cpu = time.perf_counter(), time.process_time()
    assert callable(work)
    work()
    return time.perf_counter() - begin, time.process_time() - cpu


def _forget_peak_mb() -> float:
    """Return the memory held now, in MB, and reset the peak, which scoring would otherwise set (proc(5))."""
    Path("/proc/self/clear_refs").write_text("5")
    return _memory_mb("VmRSS")


def _memory_mb(what: str) -> float:
    found = re.search(rf"{what}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) / 1024


def main() -> None:
    if len(sys.argv) > 2:  # one of the processes that ``measured`` starts
        print(json.dumps(_measure(Path(sys.argv[1]), tuple(sys.argv[2].split(",")))))
        return
    scan = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(str(files("ctacal") / "sample" / "simulated_ctac.zip"))
    print(f"{'outputs':24} {'cold: wall':>11} {'processor':>10} {'warm: wall':>11} {'processor':>10} {'peak, MB':>9}")
    with tempfile.TemporaryDirectory() as bytecode:
        with_bytecode(Path(bytecode))
        for name in (*WRITERS, ",".join(DEFAULT_WRITERS)):
            cold, cold_cpu, warm, warm_cpu, mb = measured(scan, tuple(name.split(",")))
            print(f"{name:24} {cold:9.2f} s {cold_cpu:8.2f} s {warm:9.2f} s {warm_cpu:8.2f} s {mb:9.0f}")


if __name__ == "__main__":
    main()
