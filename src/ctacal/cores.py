"""How many cores this process may use: by its affinity, the limit of its container, and OMP_NUM_THREADS."""

import os
from pathlib import Path

THREADS = "OMP_NUM_THREADS"
"""The variable by which OpenMP, OpenBLAS and schedulers say how many threads a process may start."""
_QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""Where a container tells its limit: microseconds of processor time, and of time (Linux, cgroups(7))."""


def cores() -> int:
    """Return the number of cores that this process may use, at least one."""
    return max(1, min(_affinity(), _of_container(), _asked()))


def limit_cores(number: int) -> None:
    """Let this process use so many cores. Call it before numpy is imported, which reads it once."""
    os.environ[THREADS] = str(number)


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
