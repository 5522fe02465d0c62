"""Whether the intervals that ``ctacal outcomes`` prints for what calcium adds hold 95 % of the truth.

python benchmarks/interval_coverage.py RESULTS.jsonl [--cohorts 200] [--minutes 10] [--sizes 400 2271] [--validation]

Cohorts of 400 and 2,271 patients are simulated without, with a small and with a real effect of calcium; each is
analysed as a report does, and its intervals are held against the truth. Every cohort is a line of RESULTS.jsonl: a run
that was interrupted, or that stopped after ``--minutes``, goes on where it ended. The table is printed at the end.

Truth of NRI and IDI: the value that the models have when they are fitted to very many patients. Truth of a corrected C,
AUC, Brier score or slope: the value that this cohort's own models have in very many new patients. It is what they have
in ``NEW`` patients, plus what the models fitted to very many have in all of 2 million less what they have in those: so
the chance of the new patients falls out. ``--validation`` leaves out NRI and IDI, and takes another file. NRI and IDI
are resampled only where a likelihood-ratio test is below 0.05, since else no interval is printed.
"""

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy import optimize

from ctacal.arrays import Floats, Ints
from ctacal.statistics.estimate import Estimate
from ctacal.statistics.survival import nri
from ctacal.statistics.survival.calibration import brier_score
from ctacal.statistics.survival.cox_model import CoxModel, compare, cox, predicted_risk
from ctacal.statistics.survival.discrimination import auc_at, harrell_c
from ctacal.statistics.survival.reclassification import Estimator, Kind, Reclassification
from ctacal.statistics.survival.survival_data import SurvivalData
from ctacal.statistics.survival.validation import Validation, validate

EFFECTS = {"none": (1.0, 1.0, 1.0, 1.0), "small": (1.0, 1.15, 1.3, 1.5), "real": (1.0, 2.20, 4.58, 5.92)}
"""Hazard ratios of the four categories of the true calcium; model and reader see it with noise."""

SIZES = (400, 2271)
HORIZON_YEARS, CUTOFFS, EVENTS = 3.0, (0.1, 0.2), 0.19
EDGES = (-0.25, 0.42, 0.92)
"""Categories of the latent calcium: about 40, 26, 16 and 18 % of the patients."""

NOISE = 0.3
"""Noise of each reading: linear weighted kappa of model and reader about 0.8."""

RESAMPLES, SIMULATED, VALIDATION_RESAMPLES = 300, 100, 100
"""Resamples and simulated cohorts for NRI and IDI, and resamples for corrected figures; a report has more."""

LEVEL_OF_TEST = 0.05
MANY, SETS, NEW = 400_000, 5, 30_000
"""Patients to whom the models of the truth are fitted, sets of so many in which they are measured; new patients."""

MEASURES: tuple[tuple[Kind, Estimator], ...] = (
    ("category-free", "kaplan-meier"),
    ("categorical", "kaplan-meier"),
    ("IDI", "ipw"),
)
"""Measures of reclassification that are held against the truth."""


@dataclass(frozen=True)
class Drawn:
    """Patients with a covariate, three readings of their calcium, the time of their event and the end of follow-up."""

    covariate: Floats
    model: Ints
    reader: Ints
    event_years: Floats
    end_years: Floats

    @property
    def data(self) -> SurvivalData:
        """Times in whole days, so that some are tied."""
        days = np.ceil(np.minimum(self.event_years, self.end_years) * 365.25)
        return SurvivalData(days / 365.25, self.event_years <= self.end_years)

    def columns(self) -> dict[str, Floats]:
        """Return the covariates of the three models."""
        x = self.covariate[:, None]
        flags = [np.asarray(one[:, None] == np.arange(1, 4), np.float64) for one in (self.model, self.reader)]
        return {"reference": x, "model": np.hstack([flags[0], x]), "reader": np.hstack([flags[1], x])}


def draw(rng: np.random.Generator, n: int, effect: str) -> Drawn:
    x, true, readings = _patients(rng, n)
    log_hazard = 0.5 * x + np.log(EFFECTS[effect])[true] + _level(effect)
    event = rng.exponential(np.exp(-log_hazard))
    return Drawn(x, readings[0], readings[1], event, np.minimum(rng.uniform(1, 5, n), rng.exponential(50, n)))


def _patients(rng: np.random.Generator, n: int) -> tuple[Floats, Ints, list[Ints]]:
    x = rng.normal(size=n)
    latent = 0.4 * x + np.sqrt(0.84) * rng.normal(size=n)
    seen = [(latent + NOISE * rng.normal(size=n)) / np.sqrt(1 + NOISE**2) for _ in range(3)]
    true, *readings = (np.searchsorted(EDGES, one) for one in seen)
    return x, true, readings


@cache
def _level(effect: str) -> float:
    """Return the log hazard at which ``EVENTS`` of the patients have the event during follow-up."""
    rng = np.random.default_rng(1)
    x, true, _ = _patients(rng, 100_000)
    end = np.minimum(rng.uniform(1, 5, len(x)), rng.exponential(50, len(x)))
    exposure = np.exp(0.5 * x + np.log(EFFECTS[effect])[true]) * end
    found = optimize.brentq(lambda level: -np.expm1(-np.exp(level) * exposure).mean() - EVENTS, -8, 2)
    return float(found)


@cache
def many(effect: str) -> Drawn:
    return draw(np.random.default_rng(2), MANY, effect)


def fits(drawn: Drawn) -> dict[str, CoxModel]:
    found = {name: cox(drawn.data, x) for name, x in drawn.columns().items()}
    return {name: model for name, model in found.items() if isinstance(model, CoxModel)}


def risks_of(models: dict[str, CoxModel], patients: Drawn) -> dict[str, Floats]:
    columns = patients.columns()
    return {name: predicted_risk(model, columns[name], HORIZON_YEARS) for name, model in models.items()}


@cache
def truth(effect: str) -> dict[str, list[float]]:
    """Return NRI and IDI of model and reader, from models fitted to many other patients."""
    if effect == "none":
        return {kind: [0.0, 0.0] for kind, _ in MEASURES}
    risks = risks_of(fits(draw(np.random.default_rng(3), MANY, effect)), many(effect))
    died = many(effect).event_years <= HORIZON_YEARS
    return {
        kind: [_measure(kind, risks["reference"], risks[name], died) for name in ("model", "reader")]
        for kind, _ in MEASURES
    }


def _measure(kind: str, old: Floats, new: Floats, died: Any) -> float:
    move = new - old
    if kind == "category-free":
        move = np.sign(move)
    elif kind == "categorical":
        move = np.sign(np.searchsorted(CUTOFFS, new, side="right") - np.searchsorted(CUTOFFS, old, side="right"))
    return float(move[died].mean() - move[~died].mean())


def performance(models: dict[str, CoxModel], patients: Drawn) -> dict[str, dict[str, float]]:
    """Return C, AUC, Brier score and slope of models in these patients, the C over the whole of their follow-up."""
    return performance_of(risks_of(models, patients), patients.data)


def performance_of(risks: dict[str, Floats], data: SurvivalData) -> dict[str, dict[str, float]]:
    """Return the same of risks."""
    found = {}
    for name, risk in risks.items():
        model = cox(data, np.log(-np.log1p(-risk)))
        assert isinstance(model, CoxModel)
        own = {"harrell_c": harrell_c(data, risk), "auc": auc_at(data, risk, HORIZON_YEARS)}
        own["brier"] = brier_score(data, risk, HORIZON_YEARS)
        found[name] = {key: one.estimate or 0.0 for key, one in own.items()} | {"slope": float(model.coefficient[0])}
    return found


@cache
def limits(effect: str) -> dict[str, dict[str, float]]:
    """Return the performance in ``SETS`` x ``MANY`` patients of the models that are fitted to others."""
    models = fits(draw(np.random.default_rng(3), MANY, effect))
    sets = [many(effect), *(draw(np.random.default_rng([88, k]), MANY, effect) for k in range(SETS - 1))]
    each = [performance(models, patients) for patients in sets]
    return {
        name: {key: float(np.mean([one[name][key] for one in each])) for key in own} for name, own in each[0].items()
    }


@cache
def new_patients(effect: str) -> tuple[Drawn, dict[str, dict[str, float]]]:
    """Return new patients, and how much worse the models of ``limits`` are there than in all."""
    patients, all_patients = draw(np.random.default_rng([5, 99]), NEW, effect), limits(effect)
    here = performance(fits(draw(np.random.default_rng(3), MANY, effect)), patients)
    return patients, {
        name: {key: all_patients[name][key] - value for key, value in own.items()} for name, own in here.items()
    }


def performance_in_new(models: dict[str, CoxModel], effect: str) -> dict[str, dict[str, float]]:
    """Return the performance of a cohort's own models in very many new patients."""
    patients, lack = new_patients(effect)
    found = performance(models, patients)
    return {name: {key: value + lack[name][key] for key, value in own.items()} for name, own in found.items()}


def analysed(effect: str, n: int, seed: int, *, reclassified: bool) -> dict[str, Any] | None:
    """Return what one cohort's intervals hold; None if a model cannot be fitted."""
    drawn = draw(np.random.default_rng([4, seed, n]), n, effect)
    models = fits(drawn)
    if len(models) < 3:
        return None
    line: dict[str, Any] = {"effect": effect, "n": n, "seed": seed}
    if reclassified:
        line |= _reclassified(drawn, models, effect, seed)
    return line | _validated(drawn, models, effect, seed)


def _reclassified(drawn: Drawn, models: dict[str, CoxModel], effect: str, seed: int) -> dict[str, Any]:
    p = [compare(models["reference"], models[name]).p or 0.0 for name in ("model", "reader")]
    if min(p) >= LEVEL_OF_TEST:
        alone = [None, None, None, None]
        return {"p": p} | {f"{kind}, {name}": alone for kind, _ in MEASURES for name in ("model", "model - reader")}
    nri.DRAWS, nri.FEWEST = 0, SIMULATED
    study = nri.bootstrap_reclassification(
        drawn.data, *models.values(), horizon=HORIZON_YEARS, cutoffs=CUTOFFS, resamples=RESAMPLES, seed=seed
    )
    return {"p": p} | reclassification_held(study.results, effect)


def reclassification_held(results: tuple[Reclassification, ...], effect: str) -> dict[str, list[float | None]]:
    """Return what the intervals of NRI and IDI hold, of the model and of model - reader."""
    expected = truth(effect)
    found = {(one.comparison, one.kind, one.estimator): one.total for one in results}
    line = {}
    for kind, estimator in MEASURES:
        model, reader = expected[kind]
        line[f"{kind}, model"] = _held(found["model", kind, estimator], model)
        line[f"{kind}, model - reader"] = _held(found["model - reader", kind, estimator], model - reader)
    return line


def _validated(drawn: Drawn, models: dict[str, CoxModel], effect: str, seed: int) -> dict[str, Any]:
    found = validate(drawn.data, models, horizon=HORIZON_YEARS, resamples=VALIDATION_RESAMPLES, seed=seed)
    return validation_held(found, performance_in_new(models, effect))


def validation_held(found: Validation, true: dict[str, dict[str, float]]) -> dict[str, list[float | None]]:
    """Return what the intervals of corrected and of apparent figures hold; a report prints only the corrected ones."""
    held: dict[str, list[float | None]] = {}
    for one in found.models["model"]:
        held[f"corrected {one.measure}"] = _held(one.corrected, true["model"][one.measure])
        held[f"apparent {one.measure}"] = _held(one.apparent, true["model"][one.measure])
    for one in found.models["reference"]:
        held[f"corrected {one.measure}, reference"] = _held(one.corrected, true["reference"][one.measure])
    for pair in (("model", "reference"), ("model", "reader")):
        for one in found.differences[pair]:
            value = true[pair[0]][one.measure] - true[pair[1]][one.measure]
            held[f"corrected {one.measure}, {pair[0]} less {pair[1]}"] = _held(one.corrected, value)
            held[f"apparent {one.measure}, {pair[0]} less {pair[1]}"] = _held(one.apparent, value)
    return held


def _held(estimate: Estimate, true: float) -> list[float | None]:
    """Return estimate, truth, and whether the interval holds the truth and excludes 0 (None without an interval)."""
    if estimate.low is None or estimate.high is None:
        return [estimate.estimate, true, None, None]
    return [
        estimate.estimate,
        true,
        float(estimate.low <= true <= estimate.high),
        float(not estimate.low <= 0 <= estimate.high),
    ]


def wanted(cohorts: int, sizes: Sequence[int], known: set[tuple[str, int, int]]) -> Iterator[tuple[str, int, int]]:
    """Yield what is still to be done; all scenarios grow together."""
    for seed in range(cohorts):
        for n in sizes:
            for effect in EFFECTS:
                if (effect, n, seed) not in known:
                    yield effect, n, seed


def tables(lines: list[dict[str, Any]]) -> None:
    groups = [(effect, n) for effect in EFFECTS for n in sorted({one["n"] for one in lines})]
    rows = {group: [one for one in lines if (one["effect"], one["n"]) == group] for group in groups}
    heads = [f"{effect}, {n:,}" for effect, n in groups]
    print("\n| | " + " | ".join(heads) + " |\n| --- |" + " ---: |" * len(heads))
    print("| cohorts | " + " | ".join(str(len(rows[group])) for group in groups) + " |")
    if "p" in lines[0]:
        _reclassification_rows(rows, groups)
    for key in [key for key in lines[0] if key.startswith(("apparent", "corrected"))]:
        _row(f"{key}: holds the truth", [_known(rows[group], key) for group in groups])


def _reclassification_rows(rows: dict[tuple[str, int], list[dict[str, Any]]], groups: list[tuple[str, int]]) -> None:
    _row("likelihood-ratio test below 0.05", [[one["p"][0] < 0.05 for one in rows[group]] for group in groups])
    for comparison in ("model", "model - reader"):
        for kind, _ in MEASURES:
            key = f"{kind}, {comparison}"
            _row(f"{key}: interval printed", [[one[key][2] is not None for one in rows[group]] for group in groups])
            _row(f"{key}: printed and excludes 0", [[one[key][3] == 1 for one in rows[group]] for group in groups])
            _row(
                f"{key}: printed and misses the truth", [[one[key][2] == 0 for one in rows[group]] for group in groups]
            )
            _row(f"{key}: printed ones hold the truth", [_known(rows[group], key) for group in groups])


def _known(rows: list[dict[str, Any]], key: str) -> list[bool]:
    return [one[key][2] == 1 for one in rows if one[key][2] is not None]


def _row(name: str, shares: list[list[bool]]) -> None:
    cells = [f"{100 * np.mean(share):.1f} % ({len(share)})" if share else "-" for share in shares]
    print(f"| {name} | " + " | ".join(cells) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--cohorts", type=int, default=200, help="cohorts of each scenario")
    parser.add_argument("--minutes", type=float, default=10.0, help="processor time of this run")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="patients in a cohort")
    parser.add_argument("--validation", action="store_true", help="only the corrected measures")
    options = parser.parse_args()
    text = options.results.read_text(encoding="utf-8") if options.results.exists() else ""
    lines = [json.loads(line) for line in text.splitlines() if line.endswith("}")]
    known = {(one["effect"], one["n"], one["seed"]) for one in lines}
    with options.results.open("a", encoding="utf-8") as file:
        if text and not text.endswith("\n"):
            file.write("\n")  # the line that an interrupted run did not finish
        for effect, n, seed in wanted(options.cohorts, options.sizes, known):
            if time.process_time() > 60 * options.minutes:
                break
            found = analysed(effect, n, seed, reclassified=not options.validation)
            if found is not None:
                lines.append(found)
                file.write(json.dumps(found) + "\n")
                file.flush()
    tables(lines)


if __name__ == "__main__":
    main()
