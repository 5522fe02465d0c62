"""A day of a node in shortened form: its load, 300 studies an hour per two cores, sent back to back.

    python benchmarks/node_day.py [--studies 7200] [--minutes 60]

The studies are small and the predictor is the threshold, so that what the node itself does for a study (receive,
settle, claim, write, send, remember) happens as often as in a day, only faster. Printed are the rate, and at the
beginning and the end: memory of each process, open files, bytes of the ledger and of the store per study. Whatever grew
with the number of studies beside ledger and store would show.
"""

import argparse
import json
import math
import os
import platform
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from installed import with_bytecode
from node_speed import Pacs, memory_mb, new_study, running, send

from ctacal.simulate.output.series import write_series
from ctacal.simulate.phantom.thorax import draw_thorax

SHAPE, SPACING_MM = (16, 64, 64), (12.0, 6.4, 6.4)
A_DAY = 24 * 300 * (os.cpu_count() or 2) // 2
WARM = 20
"""Studies after which each process has loaded all that it needs."""
AT_ONCE = 10
"""Studies that may be unfinished."""


@dataclass(frozen=True, slots=True)
class Size:
    """What a node takes."""

    memory_mb: dict[str, float]
    files: dict[str, int]
    ledger_bytes: int
    store_bytes: int


def size(store: Path) -> Size:
    """Measure a node that runs."""
    numbers: dict[str, int] = json.loads((store / "processes.json").read_text())
    files = {name: len(list(Path(f"/proc/{number}/fd").iterdir())) for name, number in numbers.items()}
    stored = sum(path.stat().st_size for part in ("received", "results") for path in (store / part).rglob("*.*"))
    return Size(memory_mb(store), files, (store / "ledger.sqlite").stat().st_size, stored)


def send_all(
    port: int, pacs: Pacs, pattern: Path, folder: Path, numbers: range, most_s: float = math.inf
) -> tuple[int, float]:
    """Send studies back to back, for at most so long; returns how many, and the seconds until their last report."""
    began, open_studies, sent = time.monotonic(), list[str](), 0
    for number in numbers:
        sent += 1
        export = folder / "export" / str(number)
        open_studies.append(new_study(pattern, export, number))
        send(port, export)
        for file in export.iterdir():
            file.unlink()
        if len(open_studies) >= AT_ONCE:
            pacs.wait_for({open_studies.pop(0)})
        if time.monotonic() - began > most_s:
            break
    pacs.wait_for(set(open_studies))
    return sent, time.monotonic() - began


def table(before: Size, after: Size, studies: int) -> None:
    """Print what grew."""
    print(f"{'':14s} {'MB before':>10s} {'after':>8s} {'files before':>13s} {'after':>6s}")
    for name, megabytes in before.memory_mb.items():
        line = f"{name:14s} {megabytes:10.0f} {after.memory_mb.get(name, 0.0):8.0f}"
        print(line + f" {before.files.get(name, 0):13d} {after.files.get(name, 0):6d}")
    for what, first, last in (
        ("ledger", before.ledger_bytes, after.ledger_bytes),
        ("store", before.store_bytes, after.store_bytes),
    ):
        print(f"{what}: {last / 1e6:.2f} MB, {(last - first) / studies / 1000:.1f} kB a study")


def main() -> None:
    """Run the node for so many studies and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--studies", type=int, default=A_DAY)
    parser.add_argument("--minutes", type=float, default=math.inf, help="send nothing more after so long")
    options = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as name:
        folder, pacs = Path(name), Pacs()
        with_bytecode(folder / "bytecode")
        write_series(draw_thorax(SHAPE, SPACING_MM, seed=1).volume, folder / "pattern")
        with running(folder, pacs, "threshold") as port:
            send_all(port, pacs, folder / "pattern", folder, range(WARM))
            before = size(folder / "store")
            numbers = range(WARM, WARM + options.studies)
            studies, seconds = send_all(port, pacs, folder / "pattern", folder, numbers, 60 * options.minutes)
            after = size(folder / "store")
        pacs.server.shutdown()
    print(f"{studies} studies in {seconds:.0f} s, {3600 * studies / seconds:.0f} an hour")
    table(before, after, studies)


if __name__ == "__main__":
    main()
