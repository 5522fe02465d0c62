"""How long ``ctacal outcomes`` takes, part by part, on a cohort simulated from the published figures.

python benchmarks/outcomes.py [-n 2271] [--resamples 1000]
"""

import argparse
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from ctacal.evaluate.outcomes.config import OutcomesConfig
from ctacal.evaluate.outcomes.paper import read_recipe
from ctacal.evaluate.outcomes.published_cohort import simulate_cohort
from ctacal.evaluate.outcomes.read import read_patients
from ctacal.evaluate.outcomes.report import outcomes_report
from ctacal.evaluate.publication import write_publication

RECIPE = Path(__file__).parents[1] / "recipes" / "paper.toml"


@contextmanager
def timed(what: str, total: int) -> Iterator[Any]:
    """A line for what is done within it: wall and processor seconds, memory at its peak so far."""
    wall, processor = time.perf_counter(), time.process_time()
    yield lambda done, total: None
    print(
        f"{what:16} {time.perf_counter() - wall:8.1f} {time.process_time() - processor:8.1f} {_peak_gb():8.2f}",
        flush=True,
    )


def _peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2


def run(n: int, resamples: int) -> None:
    recipe = read_recipe(RECIPE).outcomes
    config: OutcomesConfig = replace(recipe, analysis=replace(recipe.analysis, resamples=resamples))
    print(f"{n:,} patients, {resamples:,} resamples\n{'':16} {'wall s':>8} {'CPU s':>8} {'peak GB':>8}")
    with TemporaryDirectory() as folder:
        table = Path(folder) / "cohort.parquet"
        pd.DataFrame(simulate_cohort(0, n).columns()).to_parquet(table)
        with timed("whole", 1):
            with timed("reading", 1):
                patients = read_patients(table, config)
            publication = outcomes_report(patients, timed)
            with timed("writing", 1):
                write_publication(publication, Path(folder) / "out")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=2271)
    parser.add_argument("--resamples", type=int, default=1000)
    chosen = parser.parse_args()
    run(chosen.n, chosen.resamples)
