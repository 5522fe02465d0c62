"""Cohorts with missing covariates for ``method_coverage``: hazard ratios of the imputed tables, corrected performance.

Three in ten patients lack a number, more of them with much calcium, and one in ten a category. The cohorts are analysed
by the functions of the report.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import interval_coverage as scenes
import numpy as np

from ctacal.arrays import Floats, Ints
from ctacal.evaluate.outcomes.config import OutcomesConfig
from ctacal.evaluate.outcomes.imputed_models import imputed_models
from ctacal.evaluate.outcomes.patients import Covariate, Endpoint, Patients, Reading, Subgroup
from ctacal.fields import from_fields
from ctacal.statistics.estimate import Estimate
from ctacal.statistics.survival import SurvivalData, cox, impute, kaplan_meier, validate_imputed
from ctacal.statistics.survival import imputation as filling
from ctacal.statistics.survival.cox_model import CoxModel
from ctacal.statistics.survival.validation import log_hazard

IMPUTATIONS, RESAMPLES = 10, 100
RATIO = 1.8
"""Hazard ratio of a step of the category; those of the covariates are exp(0.5) and exp(0.4)."""

CENTRES, LONGEST_YEARS = 6, 5.0
Truth = tuple[str, Estimate, float]
"""What was estimated, its estimate, and the truth."""

CONFIG = from_fields(
    OutcomesConfig,
    {
        "outcome": {
            "time": "days", "name": "MACE", "competing": "Death",
            "component": [{"name": "Death", "event": "death"}, {"name": "Infarction", "event": "infarction"}],
        },
        "model": {"name": "Model", "category": "model"}, "covariates": ["x", "smoker"], "categorical": ["smoker"],
        "endpoint": [{"name": "Infarction", "components": ["Infarction"]}], "centre": {"column": "site"},
    },
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class _Drawn:
    """Covariates of patients, whole."""

    x: Floats
    smoker: Floats
    category: Ints

    @property
    def log_ratio(self) -> Floats:
        """Log hazard ratio of each patient."""
        return np.asarray(0.5 * self.x + 0.4 * self.smoker + np.log(RATIO) * self.category)


def _draw(rng: np.random.Generator, n: int) -> _Drawn:
    x = rng.normal(size=n)
    category = np.searchsorted(scenes.EDGES, 0.4 * x + np.sqrt(0.84) * rng.normal(size=n))
    return _Drawn(x, (rng.random(n) < 0.3).astype(float), category)


def _patients(rng: np.random.Generator, drawn: _Drawn, years: Floats, cause: Ints) -> Patients:
    """Return the patients with gaps; ``years`` and ``cause`` 1 or 2 of the first event, or 0 at the end."""
    n = len(years)
    x = np.where(rng.random(n) < 0.15 + 0.1 * drawn.category, np.nan, drawn.x)
    smoker = np.where(rng.random(n) < 0.1, np.nan, drawn.smoker)
    whole = np.ones(n, np.bool_)
    return Patients(
        config=CONFIG,
        data=SurvivalData(years, cause > 0),
        cause=cause,
        kinds={},
        model=Reading("Model", drawn.category, None),
        reader=None,
        covariates=(Covariate("x", "x", x), Covariate("smoker", "smoker", smoker, ("no", "yes"))),
        subgroups=(Subgroup("sex", rng.integers(0, 2, n), ("women", "men")),),
        notes=(),
        centre=Subgroup("site", rng.integers(0, CENTRES, n), tuple(f"Site {k}" for k in range(CENTRES))),
        endpoints=(Endpoint("Infarction", SurvivalData(years, cause == 1), whole),),
    )


def _ended(rng: np.random.Generator, event: Floats, cause: Ints) -> tuple[Floats, Ints]:
    """End follow-up after 1 to 5 years; times in whole days, so that some are tied."""
    end = rng.uniform(1, LONGEST_YEARS, len(event))
    days = np.ceil(np.minimum(event, end) * 365.25)
    return days / 365.25, np.where(event <= end, cause, 0)


def _sets(patients: Patients, seed: int) -> list[Patients]:
    """Return the completed patients, imputed as the report does."""
    curve = kaplan_meier(patients.data)
    hazard = np.cumsum(curve.events / curve.at_risk)[np.searchsorted(curve.times, patients.data.time)]
    always = np.column_stack([patients.data.event, hazard, patients.model.category]).astype(float)
    columns = [filling.Covariate(own.label, own.values, bool(own.levels)) for own in patients.covariates]
    return [
        replace(
            patients,
            covariates=tuple(replace(a, values=own) for a, own in zip(patients.covariates, values, strict=True)),
        )
        for values in impute(columns, always, imputations=IMPUTATIONS, seed=seed)
    ]


def hazard_ratios(rng: np.random.Generator, n: int, seed: int) -> Iterator[Truth]:
    """Yield the hazard ratios of endpoints, subgroups, centres and of one cause, all hazards proportional."""
    drawn = _draw(rng, n)
    event = rng.exponential(1 / (0.05 * np.exp(drawn.log_ratio)))
    cause = np.where(rng.random(n) < 0.6, 1, 2)
    patients = _patients(rng, drawn, *_ended(rng, event, cause))
    found = imputed_models(_sets(patients, seed))[1]
    for heading, own in found["endpoints"].items():
        if heading.endswith("all covariates"):
            name = heading.split(" (")[0]
            yield f"imputed, endpoint {name}: >400", own["CAC >400"]["Model"], RATIO**3
            yield f"imputed, endpoint {name}: per category", own["Per category"]["Model"], RATIO
    for one in found["subgroups"]["sex, per category"].values():
        yield "imputed, subgroups: per category", one["Model"], RATIO
    for name, one in found["centres"]["Model"]["CAC >400"].items():
        yield f"imputed, centres {name.lower()}: >400", one, RATIO**3
    for one in found["centres"]["Model, per category at each centre"].values():
        yield "imputed, at each of 6 centres: per category", one["Together"], RATIO
    yield "imputed, cause-specific: >400", found["competing"]["Model"]["CAC >400"]["Cause-specific"], RATIO**3


def sub_hazard_ratio(rng: np.random.Generator, n: int, seed: int) -> Iterator[Truth]:
    """Yield the hazard ratio of Fine and Gray, whose subdistribution hazards are proportional here.

    Of patients of mean covariates 15 % have an infarction in the end (Fine JP, Gray RJ, J Am Stat Assoc 1999;94:496).
    """
    drawn, share = _draw(rng, n), 0.15
    ratio = np.exp(drawn.log_ratio - drawn.log_ratio.mean())
    ever = 1 - (1 - share) ** ratio
    first = rng.random(n) < ever
    inside = 1 - (1 - rng.random(n) * ever) ** (1 / ratio)  # share of the patients of ratio 1 with the event by then
    when = np.where(first, -2 * np.log1p(-np.minimum(inside / share, 1 - 1e-12)), rng.exponential(8, n))
    patients = _patients(rng, drawn, *_ended(rng, when, np.where(first, 1, 2)))
    alone = replace(patients, endpoints=(), subgroups=(), centre=None)
    found = imputed_models(_sets(alone, seed))[1]["competing"]["Model"]["CAC >400"]["Fine-Gray"]
    yield "imputed, Fine-Gray: >400", found, RATIO**3


def corrected(rng: np.random.Generator, n: int, seed: int) -> Iterator[Truth]:
    """Yield the performance corrected for optimism over the imputations; truth: that of the pooled models."""
    drawn = scenes.draw(rng, n, "real")
    sets = filled(drawn, rng, seed)
    fits = [{name: cox(drawn.data, x) for name, x in own.items()} for own in sets]
    models = [{name: one for name, one in own.items() if isinstance(one, CoxModel)} for own in fits]
    if any(len(own) < 3 for own in models):
        return
    study = validate_imputed(drawn.data, models, horizon=scenes.HORIZON_YEARS, resamples=RESAMPLES, seed=seed)
    true = _pooled_performance(models)
    for k, one in enumerate(study.models["model"]):
        yield f"imputed, corrected {one.measure}", one.corrected, true["model"][one.measure]
        if k < 3:
            for pair in (("model", "reference"), ("model", "reader")):
                own = study.differences[pair][k].corrected
                value = true[pair[0]][one.measure] - true[pair[1]][one.measure]
                yield f"imputed, corrected {one.measure}, {pair[0]} less {pair[1]}", own, value


def filled(drawn: scenes.Drawn, rng: np.random.Generator, seed: int) -> list[dict[str, Floats]]:
    """Return the covariates of the three models in each imputation; three in ten patients lacked the covariate."""
    data, n = drawn.data, len(drawn.covariate)
    gap = rng.random(n) < 0.15 + 0.1 * drawn.model
    curve = kaplan_meier(data)
    hazard = np.cumsum(curve.events / curve.at_risk)[np.searchsorted(curve.times, data.time)]
    always = np.column_stack([data.event, hazard, drawn.model, drawn.reader]).astype(float)
    missing = filling.Covariate("x", np.where(gap, np.nan, drawn.covariate))
    values = impute([missing], always, imputations=IMPUTATIONS, seed=seed)
    return [replace(drawn, covariate=own).columns() for (own,) in values]


def _pooled_performance(models: Sequence[dict[str, CoxModel]]) -> dict[str, dict[str, float]]:
    """Return the performance in very many new patients of the mean log hazard of the imputations' models."""
    patients, lack = scenes.new_patients("real")
    columns = patients.columns()
    risks = {
        name: -np.expm1(-np.exp(np.mean([log_hazard(own[name], x, scenes.HORIZON_YEARS) for own in models], axis=0)))
        for name, x in columns.items()
    }
    found = scenes.performance_of(risks, patients.data)
    return {name: {key: value + lack[name][key] for key, value in own.items()} for name, own in found.items()}
