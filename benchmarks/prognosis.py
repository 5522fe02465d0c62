"""Print the speed of the survival statistics, compared with lifelines and statsmodels.

    python benchmarks/prognosis.py [--runs 5] [--large 1000000] [--resamples 1000]

Wall and processor seconds, medians of ``--runs``, without compilation. The cohort is simulated: nine covariates, three
of them the categories of a score, times in whole days (ties), about 17 % events in five years. No other package has a
net reclassification that refits its models; the table gives the time of as many fits, from the single fit above.
"""

import argparse
import resource
import statistics
import time
import warnings
from collections.abc import Callable

import numpy as np

from ctacal.arrays import Floats, Ints
from ctacal.statistics.survival import (
    CoxModel,
    SurvivalData,
    auc_at,
    bootstrap_reclassification,
    cox,
    harrell_c,
    kaplan_meier,
)

N = 2271
"""Patients of the published external test (Miller 2023)."""

SCORE_EFFECT = np.log([1.0, 2.2, 4.58, 5.92])
"""Published hazard ratios of the categories."""


def draw(n: int, seed: int = 1) -> tuple[SurvivalData, Floats, Ints]:
    """Simulate follow-up in days, six covariates, and the category 0..3 of the score."""
    rng = np.random.default_rng(seed)
    category = rng.choice(4, n, p=[0.4, 0.262, 0.156, 0.182])
    covariates = rng.normal(size=(n, 6))
    hazard = 0.02 * np.exp(SCORE_EFFECT[category] + covariates @ np.full(6, 0.15)) / 365.25
    event, end = rng.exponential(1 / hazard), rng.uniform(365, 5 * 365, n)
    return SurvivalData(np.ceil(np.minimum(event, end)), event <= end, "days"), covariates, category


def with_categories(covariates: Floats, category: Ints) -> Floats:
    """Return an indicator of each category above 0, and the covariates."""
    return np.column_stack([category == 1, category == 2, category == 3, covariates])


def timed(action: Callable[[], object], runs: int) -> tuple[float, float]:
    """Return the median wall and processor seconds."""
    wall, cpu = [], []
    for _ in range(runs):
        start, used = time.perf_counter(), time.process_time()
        action()
        wall.append(time.perf_counter() - start)
        cpu.append(time.process_time() - used)
    return statistics.median(wall), statistics.median(cpu)


def line(name: str, seconds: tuple[float, float], goal: str = "", note: str = "") -> None:
    wall, cpu = (f"{1000 * value:.2f} ms" if value < 0.1 else f"{value:.2f} s" for value in seconds)
    print(f"{name:58s} {wall:>11s} {cpu:>11s} {goal:>8s}  {note}", flush=True)


def lifelines_fit(data: SurvivalData, x: Floats) -> Callable[[], Floats]:
    """Return a function that fits the same model."""
    import pandas as pd
    from lifelines import CoxPHFitter

    table = pd.DataFrame(x, columns=[f"x{j}" for j in range(x.shape[1])]).assign(t=data.time, e=data.event.astype(int))
    return lambda: np.asarray(CoxPHFitter().fit(table, "t", "e").params_, np.float64)


def statsmodels_fit(data: SurvivalData, x: Floats) -> Callable[[], Floats]:
    """Return a function that fits the same model."""
    from statsmodels.duration.hazard_regression import PHReg

    status = data.event.astype(int)
    return lambda: np.asarray(PHReg(data.time, x, status=status, ties="efron").fit().params, np.float64)


def fit(data: SurvivalData, x: Floats) -> CoxModel:
    model = cox(data, x)
    if not isinstance(model, CoxModel):
        raise SystemExit(model.reason)
    return model


def small(runs: int, resamples: int) -> None:
    data, covariates, category = draw(N)
    x = with_categories(covariates, category)
    reader = np.clip(category + np.random.default_rng(2).choice([-1, 0, 1], N, p=[0.1, 0.8, 0.1]), 0, 3)
    ours = fit(data, x).coefficient
    line(f"ctacal: one Cox fit, n {N:,}, 9 covariates", timed(lambda: fit(data, x), 20 * runs), "2 ms")
    for name, make in (("lifelines", lifelines_fit), ("statsmodels", statsmodels_fit)):
        peer = make(data, x)
        apart = f"coefficients within {np.abs(peer() - ours).max():.0e}"
        seconds = timed(peer, runs)
        line(f"{name}: the same fit", seconds, note=apart)
        times = 3 * resamples
        line(f"{name}: {times:,} such fits alone", (times * seconds[0], times * seconds[1]), note="from those above")

    def study(number: int) -> Callable[[], object]:
        return lambda: bootstrap_reclassification(
            data, covariates, x, with_categories(covariates, reader), horizon=3 * 365, cutoffs=(0.03, 0.09),
            resamples=number,
        )  # fmt: skip

    study(2)()
    line(f"ctacal: NRI + IDI, {resamples:,} resamples, 3 models refitted", timed(study(resamples), 1), "3 s")


def large(n: int, peers: bool) -> None:
    data, covariates, category = draw(n)
    x = with_categories(covariates, category)
    few, _, _ = draw(n // 10)
    fit(few, x[: few.n])
    line(f"ctacal: one Cox fit, n {n:,}, 9 covariates", timed(lambda: fit(data, x), 3), "1 s")
    line(f"ctacal: Kaplan-Meier, n {n:,}", timed(lambda: kaplan_meier(data), 1))
    risk = x @ fit(data, x).coefficient
    harrell_c(few, risk[: few.n])
    line(f"ctacal: Harrell's C with interval, n {n:,}", timed(lambda: harrell_c(data, risk), 1))
    line(f"ctacal: time-dependent AUC with interval, n {n:,}", timed(lambda: auc_at(data, risk, 3 * 365), 1))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(f"{'ctacal: peak memory of all so far':58s} {peak:8.2f} GB", flush=True)
    if peers:
        line(f"lifelines: one Cox fit, n {n:,}", timed(lifelines_fit(data, x), 1))
        line(f"statsmodels: one Cox fit, n {n:,}", timed(statsmodels_fit(data, x), 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--large", type=int, default=1_000_000, help="patients of the large cohort")
    parser.add_argument(
        "--no-large-peers",
        action="store_true",
        help="leave out the other packages in the large cohort, where they take minutes",
    )
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    print(f"{'':58s} {'wall':>11s} {'processor':>11s} {'goal':>8s}")
    small(options.runs, options.resamples)
    large(options.large, not options.no_large_peers)


if __name__ == "__main__":
    main()
