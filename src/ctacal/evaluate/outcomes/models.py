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
    "Firth's penalised likelihood, with the interval of the profile and the penalised likelihood-ratio test (Heinze "
    "and Schemper 2001), because without the penalty a hazard ratio would be 0 or infinite: "
)
"""Remark on the hazard ratios of a penalised model, before the reason."""


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
    return found if isinstance(penalised, NoModel) else replace(penalised, remark=_because(found, patients, columns))


def _because(plain: NoModel, patients: Patients, columns: Columns) -> str:
    """Return why the model is penalised: the flags without an event, or without a patient who has none."""
    names, x = columns
    died, without = patients.data.event, []
    for name, column in zip(names, x.T, strict=True):
        if np.isin(column, (0.0, 1.0)).all():
            without += [name] * (not (died & (column == 1)).any()) + [f"other than {name}"] * (
                not died[column == 0].any()
            )
    why = f"no events in {', '.join(without)}" if without else plain.reason
    return PENALISED + why


def missing_maximum(model: Fit) -> str:
    """Return why a model is no plain Cox model, "" if it is one."""
    if isinstance(model, FirthModel):
        why = model.remark.removeprefix(PENALISED)
        return f"without Firth's penalty a hazard ratio of the model would be 0 or infinite ({why})"
    return model.reason if isinstance(model, NoModel) else ""


def ratio(model: Fit, name: str) -> Estimate:
    """Return the hazard ratio of a column; if the model has none, an estimate with the reason."""
    if isinstance(model, NoModel):
        return Estimate(None, None, None, f"hazard ratio, {model.method}", model.n, model.reason)
    return model.hazard_ratio(name)


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
