"""Small tables for tests, and the configurations that read them."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ctacal.evaluate.outcomes.config import OutcomesConfig
from ctacal.evaluate.outcomes.patients import Patients
from ctacal.evaluate.outcomes.read import read_patients
from ctacal.fields import from_fields

PLAIN: dict[str, Any] = {
    "outcome": {"time": "days", "event": "mace"},
    "model": {"name": "Model", "score": "model"},
    "analysis": {"resamples": 50, "imputations": 3, "horizon_years": 2.0},
}
FULL: dict[str, Any] = {
    **PLAIN,
    "reader": {"name": "Reader", "score": "reader"},
    "covariates": ["age", "sex"],
    "categorical": ["sex"],
    "perfusion": {"column": "defect", "abnormal_from": 5.0},
    "sex": "sex",
    "age": "age",
}


def table(n: int, seed: int = 0, **columns: Any) -> pd.DataFrame:
    """Patients with calcium that raises their hazard; columns given replace those made."""
    rng = np.random.default_rng(seed)
    score = np.where(rng.random(n) < 0.35, 0.0, np.exp(rng.uniform(0, 8, n))).round(1)
    reader = (score * np.exp(rng.normal(0, 0.4, n))).round(1)
    age, defect = rng.normal(65, 10, n).round(), np.exp(rng.normal(1, 1, n)).round(1)
    hazard = np.exp(0.25 * np.log1p(score) + 0.03 * (age - 65) + 0.05 * np.minimum(defect, 10)) / 3000
    when, end = rng.exponential(1 / hazard), rng.uniform(300, 1800, n)
    made = {
        "id": [f"P{k}" for k in range(n)],
        "days": np.ceil(np.minimum(when, end)),
        "mace": (when <= end).astype(int),
        "model": score,
        "reader": reader,
        "age": age,
        "sex": np.where(rng.random(n) < 0.5, "F", "M"),
        "defect": defect,
    }
    return pd.DataFrame({**made, **columns})


def config(fields: dict[str, Any] | None = None, **changes: Any) -> OutcomesConfig:
    return from_fields(OutcomesConfig, {**(fields or FULL), **changes})


def patients(
    folder: Path, frame: pd.DataFrame, chosen: OutcomesConfig | None = None, drop: tuple[str, ...] = ()
) -> Patients:
    file = folder / "table.csv"
    frame.to_csv(file, index=False)
    return read_patients(file, chosen or config(), drop=drop)
