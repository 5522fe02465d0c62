"""Cox models of patients, and their results for the report; a model that cannot be fitted gives the reason."""

import numpy as np

from ctacal.arrays import Floats
from ctacal.evaluate.outcomes.patients import Patients
from ctacal.statistics.estimate import Estimate
from ctacal.statistics.hypothesis import HypothesisTest, undefined
from ctacal.statistics.survival.cox_model import CoxModel, NoModel, compare, cox

Columns = tuple[tuple[str, ...], Floats]
"""Names (p,) and values (n, p)."""

Fit = CoxModel | NoModel


def together(*parts: Columns) -> Columns:
    """Return several groups of columns side by side."""
    return tuple(name for names, _ in parts for name in names), np.column_stack([columns for _, columns in parts])


def fit(patients: Patients, columns: Columns) -> Fit:
    """Fit a Cox model with Efron's method for ties."""
    names, x = columns
    if not names:
        return NoModel(
            "there is nothing to compare: no column varies", "Cox model", patients.data.n, patients.data.events
        )
    return cox(patients.data, x, names)


def ratio(model: Fit, name: str) -> Estimate:
    """Return the hazard ratio of a column; if the model has none, an estimate with the reason."""
    if isinstance(model, NoModel):
        return Estimate(None, None, None, f"hazard ratio, {model.method}", model.n, model.reason)
    return model.hazard_ratio(name)


def wald(model: Fit, name: str) -> HypothesisTest:
    """Return the Wald test of one column."""
    if isinstance(model, NoModel):
        return undefined("Wald test", model.n, model.reason)
    place = model.place(name)
    return HypothesisTest(float(model.z[place] ** 2), 1, float(model.p[place]), "Wald test", model.n)


def gain(smaller: Fit, larger: Fit) -> HypothesisTest:
    """Return the likelihood-ratio test of two nested models."""
    for model in (smaller, larger):
        if isinstance(model, NoModel):
            return undefined("likelihood-ratio test of nested Cox models", model.n, model.reason)
    assert isinstance(smaller, CoxModel)
    assert isinstance(larger, CoxModel)
    return compare(smaller, larger)


def coefficients(model: Fit) -> dict[str, object]:
    """Return the whole fit, for ``numbers.json``."""
    if isinstance(model, NoModel):
        return {"reason": model.reason, "method": model.method, "n": model.n, "events": model.events}
    return {
        "names": model.names, "coefficient": model.coefficient, "error": model.error, "p": model.p,
        "covariance": model.covariance, "log_likelihood": model.log_likelihood,
        "log_likelihood_null": model.log_likelihood_null, "aic": model.aic, "method": model.method, "n": model.n,
        "events": model.events,
    }  # fmt: skip


def one_column(name: str, values: Floats) -> Columns:
    """Return a single column."""
    return (name,), values[:, None]
