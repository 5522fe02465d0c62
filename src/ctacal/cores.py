"""How many cores and processes a program may use: by affinity, limits of its container, memory, and OMP_NUM_THREADS."""

import math
import os
from pathlib import Path

THREADS = "OMP_NUM_THREADS"
"""The variable by which OpenMP, OpenBLAS and schedulers say how many threads a process may start."""
_QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""Where a container tells its limit: microseconds of processor time, and of time (Linux, cgroups(7))."""
_MEMORY, _MEMORY_OF_CONTAINER = Path("/proc/meminfo"), Path("/sys/fs/cgroup/memory.max")
"""Where Linux tells what memory is left, and a container its limit."""


def cores() -> int:
    """Return the number of cores that this process may use, at least one."""
    return max(1, min(_affinity(), _of_container(), _asked()))


def limit_cores(number: int) -> None:
    """Let this process use so many cores. Call it before numpy is imported, which reads it once."""
    os.environ[THREADS] = str(number)


def processes(memory_mb: int) -> int:
    """Return how many processes of so much memory can work side by side: one for each core, if the memory suffices."""
    free_mb = min(_free_mb(), _mb_of_container())
    return max(1, int(min(cores(), free_mb / memory_mb)))


def _free_mb() -> float:
    try:
        lines = _MEMORY.read_text(encoding="ascii").splitlines()
        return int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1]) / 1024
    except (OSError, ValueError, LookupError, StopIteration):  # no Linux
        return math.inf


def _mb_of_container() -> float:
    try:
        return int(_MEMORY_OF_CONTAINER.read_text(encoding="ascii")) / 2**20
    except (OSError, ValueError):  # no container, or no limit ("max")
        return math.inf


def _affinity() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _of_container() -> int:
    try:
        quota_us, period_us = _QUOTA.read_text(encoding="ascii").split()
        return round(int(quota_us) / int(period_us))
    except (OSError, ValueError, ZeroDivisionError):  # no Linux, no container, or no limit ("max")
        return _affinity()


def _asked() -> int:
    try:
        return int(os.environ[THREADS])
    except (LookupError, ValueError):
        return _affinity()
