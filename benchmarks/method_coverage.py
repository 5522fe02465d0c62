"""Whether intervals of other methods hold 95 % of the truth: sparse categories, effects over time, given risks, gaps.

python benchmarks/method_coverage.py [--cohorts 400] [--first 0] [--sizes 400 2271] [--only sparse corrected]

Cohorts of 400 and 2,271 patients are simulated as in ``interval_coverage``, analysed as a report does, and the
intervals are held against the truth. One line per method and size: share of intervals that hold it, and in brackets
their number. Tests: share of cohorts without effect in which p is below 0.05.
"""

import argparse
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import cache

import imputed_scenes
import interval_coverage as scenes
import numpy as np

from ctacal.arrays import Floats, Ints
from ctacal.statistics.estimate import Estimate
from ctacal.statistics.survival import (
    ChangingEffect,
    CoxModel,
    FirthModel,
    NoModel,
    SurvivalData,
    auc_at,
    auc_difference,
    brier_difference,
    brier_score,
    calibration_intercept,
    calibration_slope,
    changing_effect,
    cox,
    firth_cox,
    gray_test,
    harrell_c,
    harrell_c_difference,
    imputed_reclassification,
    net_benefit,
    net_benefit_difference,
    observed_expected,
    pooled_test,
    prediction_accuracy,
    restricted_mean_difference,
    stratified_cox,
    uno_c,
)

SIZES = scenes.SIZES
RATIOS = np.array([1.0, 2.2, 4.58, 5.92])
"""Hazard ratios of the categories at one year; those of the tests are all 1."""

CHANGE = np.array([0.0, -0.1, -0.2, -0.3])
"""Change of the log hazard ratio per unit of log(years) where the effect changes."""

SPLIT_YEARS, HORIZON_YEARS = 0.5, 3.0
Held = dict[str, list[bool]]


def _holds(estimate: Estimate, true: float) -> list[bool]:
    return [] if estimate.low is None or estimate.high is None else [estimate.low <= true <= estimate.high]


def _observed(rng: np.random.Generator, event_years: Floats) -> SurvivalData:
    """End follow-up after 1 to 5 years; times in whole days, so that some are tied."""
    end = rng.uniform(1, 5, len(event_years))
    days = np.ceil(np.minimum(event_years, end) * 365.25)
    return SurvivalData(days / 365.25, event_years <= end)


def _patients(rng: np.random.Generator, n: int) -> tuple[Floats, Ints]:
    x = rng.normal(size=n)
    return x, np.searchsorted(scenes.EDGES, 0.4 * x + np.sqrt(0.84) * rng.normal(size=n))


def _over_time(rng: np.random.Generator, n: int, held: Held) -> None:
    """Draw hazards 0.04 exp(0.5 x) RATIOS t^CHANGE, whose cumulative hazard is a power of time."""
    x, group = _patients(rng, n)
    power = 1 + CHANGE[group]
    event = (rng.exponential(size=n) * power / (0.04 * np.exp(0.5 * x) * RATIOS[group])) ** (1 / power)
    data = _observed(rng, event)
    model = changing_effect(data, group, x)
    if isinstance(model, ChangingEffect):
        for years in (0.5, 3.0):
            true = RATIOS[3] * years ** CHANGE[3]
            held[f"hazard ratio at {years:g} years, changing with log(time)"] += _holds(
                model.hazard_ratio(3, years), true
            )


def _around(rng: np.random.Generator, n: int, held: Held) -> None:
    """Draw hazards whose ratio is RATIOS until the split and its root after it; event-free time of the same."""
    x, group = _patients(rng, n)
    early, late = (0.06 * np.exp(0.5 * x) * ratio for ratio in (RATIOS[group], np.sqrt(RATIOS[group])))
    unit = rng.exponential(size=n)
    first = unit / early
    data = _observed(rng, np.where(first <= SPLIT_YEARS, first, SPLIT_YEARS + (unit - early * SPLIT_YEARS) / late))
    model = changing_effect(data, group, x, split=SPLIT_YEARS)
    if isinstance(model, ChangingEffect):
        held["hazard ratio until the split"] += _holds(model.hazard_ratio(3, SPLIT_YEARS), RATIOS[3])
        held["hazard ratio after the split"] += _holds(model.hazard_ratio(3, 9.0), np.sqrt(RATIOS[3]))
    difference, _ = restricted_mean_difference(data.take(group == 3), data.take(group == 0), HORIZON_YEARS)
    held["difference of event-free time"] += _holds(difference, _true_difference())


@cache
def _true_difference() -> float:
    """Return the difference of restricted means of very many patients without censoring (``_around``)."""
    rng = np.random.default_rng(5)
    x, group = _patients(rng, 4_000_000)
    early, late = (0.06 * np.exp(0.5 * x) * ratio for ratio in (RATIOS[group], np.sqrt(RATIOS[group])))
    unit = rng.exponential(size=len(x))
    first = unit / early
    event = np.where(first <= SPLIT_YEARS, first, SPLIT_YEARS + (unit - early * SPLIT_YEARS) / late)
    free = np.minimum(np.ceil(event * 365.25) / 365.25, HORIZON_YEARS)
    return float(free[group == 3].mean() - free[group == 0].mean())


def _sparse(rng: np.random.Generator, n: int, held: Held) -> None:
    """Draw few events, so that a category often has none; the penalised model of each cohort."""
    x, group = _patients(rng, n)
    ratios = np.array([1.0, 1.0, 0.5, 3.0])
    data = _observed(rng, rng.exponential(1 / (8 / n * np.exp(0.5 * x) * ratios[group])))
    columns = np.column_stack([group[:, None] == np.arange(1, 4), x]).astype(float)
    plain = cox(data, columns)
    separated = isinstance(plain, NoModel) and plain.separated
    model = firth_cox(data, columns)
    if isinstance(model, FirthModel):
        for k in (1, 2):
            name = f"hazard ratio {ratios[k + 1]:g}"
            found = _holds(model.hazard_ratio(f"x{k + 1}"), ratios[k + 1])
            held[f"Firth, {name}, all cohorts"] += found
            if separated:
                held[f"Firth, {name}, cohorts with a category without events"] += found
            printed = _holds(plain.hazard_ratio(f"x{k + 1}"), ratios[k + 1]) if isinstance(plain, CoxModel) else found
            held[f"{name}, as printed: Firth's only where the plain model has none"] += printed


def _tests(rng: np.random.Generator, n: int, held: Held) -> None:
    """Draw proportional hazards with strata; and competing events that do not change the incidence of interest."""
    x, group = _patients(rng, n)
    sex = rng.integers(0, 2, n)
    power = np.where(sex == 0, 1.0, 1.4)
    hazard = 0.06 * np.exp(0.5 * x) * RATIOS[group]
    data = _observed(rng, (rng.exponential(size=n) / hazard) ** (1 / power))
    columns = np.column_stack([group[:, None] == np.arange(1, 4), x]).astype(float)
    stratified = stratified_cox(data, columns, sex)
    if not isinstance(stratified, NoModel):
        held["hazard ratio, stratified"] += _holds(stratified.hazard_ratio("x3"), RATIOS[3])
    plain = _observed(rng, rng.exponential(size=n) / hazard)
    model = changing_effect(plain, group, x)
    if isinstance(model, ChangingEffect):
        held["test of a change with log(time): p below 0.05"].append((model.test.p or 0.0) < 0.05)
    event = rng.exponential(8, n)
    cause = np.where(rng.random(n) < 0.6, 1, 2)
    followed = _observed(rng, event)
    test = gray_test(followed.time, np.where(followed.event, cause, 0), group)
    held["Gray's test: p below 0.05"].append((test.p or 0.0) < 0.05)


def _given(rng: np.random.Generator, n: int, held: Held) -> None:
    """Draw a cohort whose risks are given: those of models that were fitted to very many others."""
    drawn = scenes.draw(rng, n, "real")
    for name, estimate in _measured(drawn.data, scenes.risks_of(_given_models(), drawn)).items():
        held[f"given risk: {name}"] += _holds(estimate, _given_truth()[name])


@cache
def _given_models() -> dict[str, CoxModel]:
    return scenes.fits(scenes.draw(np.random.default_rng(3), scenes.MANY, "real"))


@cache
def _given_truth() -> dict[str, float]:
    many = scenes.many("real")
    found = _measured(many.data, scenes.risks_of(_given_models(), many))
    return {name: one.estimate or 0.0 for name, one in found.items()}


def _measured(data: SurvivalData, risks: dict[str, Floats]) -> dict[str, Estimate]:
    new, old = risks["model"], risks["reference"]
    return {
        "Harrell's C": harrell_c(data, new),
        "Uno's C": uno_c(data, new, HORIZON_YEARS),
        "AUC": auc_at(data, new, HORIZON_YEARS),
        "Brier score": brier_score(data, new, HORIZON_YEARS),
        "index of prediction accuracy": prediction_accuracy(data, new, HORIZON_YEARS),
        "observed / expected": observed_expected(data, new, HORIZON_YEARS),
        "intercept": calibration_intercept(data, new, HORIZON_YEARS),
        "slope": calibration_slope(data, new, HORIZON_YEARS),
        "net benefit at 10 %": net_benefit(data, new, HORIZON_YEARS, 0.1),
        "net benefit at 20 %": net_benefit(data, new, HORIZON_YEARS, 0.2),
        "difference of C": harrell_c_difference(data, new, old),
        "difference of AUC": auc_difference(data, new, old, HORIZON_YEARS),
        "difference of Brier score": brier_difference(data, new, old, HORIZON_YEARS),
        "difference of net benefit at 10 %": net_benefit_difference(data, new, old, HORIZON_YEARS, 0.1),
        "difference of net benefit at 20 %": net_benefit_difference(data, new, old, HORIZON_YEARS, 0.2),
    }


def _reclassified(rng: np.random.Generator, n: int, held: Held, seed: int) -> None:
    """Draw a cohort with a covariate that three in ten lack, more of them among patients with much calcium."""
    drawn = scenes.draw(rng, n, "real")
    data, sets = drawn.data, imputed_scenes.filled(drawn, rng, seed)
    fits = [{name: cox(data, x) for name, x in one.items()} for one in sets]
    if any(not isinstance(model, CoxModel) for one in fits for model in one.values()):
        return
    models = [{name: model for name, model in one.items() if isinstance(model, CoxModel)} for one in fits]
    tests = {
        name: pooled_test(
            [one[name].coefficient[:3] for one in models], [one[name].covariance[:3, :3] for one in models]
        )
        for name in ("model", "reader")
    }
    study = imputed_reclassification(
        data, sets, tests, horizon=HORIZON_YEARS, cutoffs=scenes.CUTOFFS, resamples=300, seed=seed
    )
    for kind, estimator in scenes.MEASURES:
        expected = scenes.truth("real")[kind]
        held[f"imputed: {kind}"] += _holds(study.find("model", kind, estimator).total, expected[0])
        apart = study.find("model - reader", kind, estimator).total
        held[f"imputed: {kind}, model - reader"] += _holds(apart, expected[0] - expected[1])


IMPUTED = {
    "hazard-ratios": imputed_scenes.hazard_ratios,
    "fine-gray": imputed_scenes.sub_hazard_ratio,
    "corrected": imputed_scenes.corrected,
}
"""Scenes of imputed tables, each of which yields names, estimates and truths."""

SCENES: dict[str, Callable[[np.random.Generator, int, Held], None]] = {
    "over-time": _over_time,
    "around": _around,
    "sparse": _sparse,
    "tests": _tests,
    "given": _given,
}
ALL = (*SCENES, "reclassification", *IMPUTED)


def found(n: int, seeds: range, only: Sequence[str]) -> dict[str, list[bool]]:
    """Return by name what the intervals of each cohort hold."""
    held: Held = defaultdict(list)
    for seed in seeds:
        for place, (name, scene) in enumerate(SCENES.items()):
            if name in only:
                scene(np.random.default_rng([6, place, seed, n]), n, held)
        if "reclassification" in only:
            _reclassified(np.random.default_rng([7, seed, n]), n, held, seed)
        for place, (name, yields) in enumerate(IMPUTED.items()):
            if name in only:
                for what, estimate, true in yields(np.random.default_rng([8, place, seed, n]), n, seed):
                    held[what] += _holds(estimate, true)
    return held


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohorts", type=int, default=400, help="cohorts of each size")
    parser.add_argument("--first", type=int, default=0, help="first seed, to add cohorts to those of another run")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="patients in a cohort")
    parser.add_argument("--only", nargs="+", choices=ALL, default=ALL, help="some of the methods")
    options = parser.parse_args()
    sizes, seeds = options.sizes, range(options.first, options.first + options.cohorts)
    rows = {n: found(n, seeds, options.only) for n in sizes}
    print("\n| | " + " | ".join(f"{n:,}" for n in sizes) + " |\n| --- |" + " ---: |" * len(sizes))
    for name in dict.fromkeys(name for own in rows.values() for name in own):
        shares = [rows[n].get(name, []) for n in sizes]
        cells = [f"{100 * np.mean(own):.1f} % ({len(own):,})" if own else "-" for own in shares]
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
