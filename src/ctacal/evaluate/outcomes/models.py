"""Cox models of patients, and their results for the report; a model that cannot be fitted gives the reason."""

from dataclasses import replace

import numpy as np

from ctacal.arrays import Floats
from ctacal.evaluate.outcomes.patients import Patients
from ctacal.statistics.estimate import Estimate
from ctacal.statistics.hypothesis import HypothesisTest, undefined
from ctacal.statistics.survival.cox_model import CoxModel, NoModel, compare, cox
from ctacal.statistics.survival.firth import FirthModel, firth_cox

Columns = tuple[tuple[str, ...], Floats]
"""Names (p,) and values (n, p)."""

Fit = CoxModel | FirthModel | NoModel

PENALISED = (
    "Firth's penalised likelihood (Heinze and Schemper 2001), because without the penalty a hazard ratio would be 0 or "
    "infinite: "
)
"""Remark on the hazard ratios of a penalised model, before the reason."""

SPARSE = (
    "; where a category has no event, intervals like this one held the truth in 92 to 97 % of simulated cohorts "
    "(python benchmarks/method_coverage.py)"
)
"""Remark on a hazard ratio of a category without events."""


def together(*parts: Columns) -> Columns:
    """Return several groups of columns side by side."""
    return tuple(name for names, _ in parts for name in names), np.column_stack([columns for _, columns in parts])


def fit(patients: Patients, columns: Columns) -> Fit:
    """Fit a Cox model with Efron's method for ties; with Firth's penalty if a hazard ratio would be infinite."""
    names, x = columns
    if not names:
        return NoModel(
            "there is nothing to compare: no column varies", "Cox model", patients.data.n, patients.data.events
        )
    found = cox(patients.data, x, names)
    if not (isinstance(found, NoModel) and found.separated):
        return found
    penalised = firth_cox(patients.data, x, names)
    if isinstance(penalised, NoModel):
        return found
    without = _without_events(patients, columns)
    words = [name if value else f"other than {name}" for name, value in without]
    why = f"no events in {', '.join(words)}" if words else found.reason
    separated = [name for name, _ in without] or found.reason.split(":")[0].split(", ")
    return replace(penalised, remark=why, sparse=frozenset(separated))


def _without_events(patients: Patients, columns: Columns) -> list[tuple[str, int]]:
    """Return the flags that have no event at one of their values, 1 or 0, with that value."""
    names, x = columns
    flags = [(name, column) for name, column in zip(names, x.T, strict=True) if np.isin(column, (0.0, 1.0)).all()]
    died = patients.data.event
    return [(name, value) for name, column in flags for value in (1, 0) if not (died & (column == value)).any()]


def missing_maximum(model: Fit) -> str:
    """Return why a model is no plain Cox model, "" if it is one."""
    if isinstance(model, FirthModel):
        return f"without Firth's penalty a hazard ratio of the model would be 0 or infinite ({model.remark})"
    return model.reason if isinstance(model, NoModel) else ""


def ratio(model: Fit, name: str) -> Estimate:
    """Return the hazard ratio of a column; if the model has none, an estimate with the reason."""
    if isinstance(model, NoModel):
        return Estimate(None, None, None, f"hazard ratio, {model.method}", model.n, model.reason)
    found = model.hazard_ratio(name)
    if isinstance(model, CoxModel) or found.reason:
        return found
    kind = (
        "interval of the profile and penalised likelihood-ratio test"
        if model.profiled[model.place(name)]
        else "Wald's interval and test, which are the same as those of the profile in so large a cohort"
    )
    return replace(found, reason=f"{PENALISED}{model.remark}; {kind}{SPARSE if name in model.sparse else ''}")


def wald(model: Fit, name: str) -> HypothesisTest:
    """Return the Wald test of one column; of a penalised model, its likelihood-ratio test."""
    if isinstance(model, NoModel):
        return undefined("Wald test", model.n, model.reason)
    if isinstance(model, FirthModel):
        return model.single_test(name)
    place = model.place(name)
    return HypothesisTest(float(model.z[place] ** 2), 1, float(model.p[place]), "Wald test", model.n)


def gain(smaller: Fit, larger: Fit) -> HypothesisTest:
    """Return the likelihood-ratio test of two nested models; the penalised one if the larger is penalised."""
    for model in (smaller, larger):
        if isinstance(model, NoModel):
            return undefined("likelihood-ratio test of nested Cox models", model.n, model.reason)
    if isinstance(larger, FirthModel):
        assert not isinstance(smaller, NoModel)
        return larger.test([name for name in larger.names if name not in smaller.names])
    if isinstance(smaller, FirthModel):
        return undefined("likelihood-ratio test of nested Cox models", smaller.n, missing_maximum(smaller))
    assert isinstance(smaller, CoxModel) and isinstance(larger, CoxModel)
    return compare(smaller, larger)


def coefficients(model: Fit) -> dict[str, object]:
    """Return the whole fit, for ``numbers.json``."""
    if isinstance(model, NoModel):
        return {"reason": model.reason, "method": model.method, "n": model.n, "events": model.events}
    if isinstance(model, FirthModel):
        return {
            "names": model.names, "coefficient": model.coefficient, "error": model.error,
            "low": [_finite(model.interval(name)[0]) for name in model.names],
            "high": [_finite(model.interval(name)[1]) for name in model.names],
            "p": [model.single_test(name).p for name in model.names], "method": model.method, "n": model.n,
            "events": model.events, "remark": model.remark,
        }  # fmt: skip
    return {
        "names": model.names, "coefficient": model.coefficient, "error": model.error, "p": model.p,
        "covariance": model.covariance, "log_likelihood": model.log_likelihood,
        "log_likelihood_null": model.log_likelihood_null, "aic": model.aic, "method": model.method, "n": model.n,
        "events": model.events,
    }  # fmt: skip


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def one_column(name: str, values: Floats) -> Columns:
    """Return a single column."""
    return (name,), values[:, None]
