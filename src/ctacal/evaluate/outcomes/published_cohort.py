"""A cohort simulated from the figures of Miller RJH et al., J Nucl Med 2023;64:652-658, to test the estimators.

Published and reproduced: n 2,271; the deep-learning categories 908, 596, 354, 413 exactly; linear weighted kappa 0.80
with the expert; multivariable hazard ratios 2.20, 4.58, 5.92 against category 0. All else is assumed: the number of
events (about 435), covariates and their effects, follow-up, the expert's margins (higher than the model's, so that a
swapped sign shows), the kind of the first event. No estimate from this cohort says anything about patients.
"""

import csv
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from ctacal.arrays import Floats, Ints
from ctacal.statistics.agreement import cross_table, weighted_kappa

SIMULATED = (
    "This cohort is simulated from the published figures and tests the estimator only: that the program, given "
    "patients with these margins, this agreement and these hazard ratios, finds them again. It says nothing about "
    "patients."
)
"""The first paragraph of every report on such a cohort."""


MARGINS = (908, 596, 354, 413)
"""Number of patients in each deep-learning category, in the order of ``categories.CATEGORIES``."""

READER_MARGINS = (840, 628, 372, 431)
"""Number of patients in each of the expert's categories; not published."""

HAZARD_RATIOS = (1.0, 2.20, 4.58, 5.92)
"""Multivariable hazard ratios against category 0."""

KAPPA = 0.80
"""Linear weighted kappa of deep learning and the expert."""

EVENTS = 435.0
"""Expected number of events; not published. It gives standard errors near those of the published hazard ratios."""

KINDS = {"death": 0.35, "myocardial_infarction": 0.15, "unstable_angina": 0.10, "revascularisation": 0.40}
"""Proportion of first events of each kind; not published."""

CENTRES = ("A", "B", "C")
"""Centres of the patients, one half, three tenths and one fifth of them; not published."""

CENTRE_STREAM = 1
"""Second part of the seed of the centres: drawn apart, so that the other columns stay those of earlier versions."""

EFFECTS = {
    "age": 0.035, "male": 0.15, "hypertension": 0.15, "diabetes": 0.35, "dyslipidaemia": 0.0, "smoking": 0.25,
    "family_history": 0.0, "perfusion_defect": 0.04, "ejection_fraction": -0.025,
}  # fmt: skip
"""Log hazard ratio per unit of each covariate; not published."""

CALCIUM_BY_COVARIATES = 0.35
"""Proportion of the variance of latent calcium that the covariates explain; not published."""


@dataclass(frozen=True, slots=True)
class SimulatedCohort:
    """A simulated cohort: one row for each patient, every column (n,)."""

    patient: Ints
    covariates: dict[str, Floats]
    """Covariates of ``EFFECTS`` by name: age in years, perfusion defect and ejection fraction in %, others 0 or 1."""
    model_category: Ints
    """0 to 3."""
    reader_category: Ints
    model_agatston: Floats
    reader_agatston: Floats
    follow_up_days: Floats
    """Time to the first event or the end of follow-up, in whole days, so that times are tied as in real tables."""
    first_event: Ints
    """0 for no event, otherwise the position in ``KINDS``, from 1."""
    centre: NDArray[np.str_]
    """One of ``CENTRES``, by chance: centres differ in nothing else."""

    @property
    def clinical_risk(self) -> Floats:
        """Return (n,) a risk at 3 years of age, sex, diabetes and smoking alone, invented and half as high again."""
        own = self.covariates
        log_hazard = 0.04 * (own["age"] - 64) + 0.3 * own["male"] + 0.4 * own["diabetes"] + 0.3 * own["smoking"] - 1.5
        return np.asarray((-np.expm1(-np.exp(log_hazard))).round(4))

    @property
    def event(self) -> NDArray[np.bool_]:
        """Whether each patient had an event."""
        return self.first_event > 0

    def columns(self) -> dict[str, Floats | Ints | list[str]]:
        """Return the table: the columns that ``recipes/paper.toml`` names."""
        kinds = {kind: (self.first_event == place).astype(np.int64) for place, kind in enumerate(KINDS, start=1)}
        return {
            "patient": [f"P{number:07d}" for number in self.patient],
            **self.covariates,
            "model_agatston": self.model_agatston,
            "reader_agatston": self.reader_agatston,
            "centre": self.centre.tolist(),
            "clinical_risk": self.clinical_risk,
            "follow_up_days": self.follow_up_days,
            **kinds,
        }


def simulate_cohort(seed: int, n: int = sum(MARGINS), *, events: float = EVENTS) -> SimulatedCohort:
    """Return the cohort of a seed; for another ``n`` the margins and ``events`` are scaled in proportion.

    Raises ``ValueError`` if n is below 40, because a category would be almost empty.
    """
    if n < 40:
        raise ValueError(f"n: expected 40 or more, got {n}")
    rng = np.random.default_rng(seed)
    margins = _margins(n, MARGINS), _margins(n, READER_MARGINS)
    covariates, calcium = _patients(rng, n)
    noise = rng.normal(size=(2, n))
    spread = _reading_noise(calcium, noise, margins)
    read = calcium + spread * noise
    model, reader = (_by_rank(values, own) for values, own in zip(read, margins, strict=True))
    days, event = _follow_up(rng, covariates, model, events * n / sum(MARGINS))
    kind = 1 + rng.choice(len(KINDS), size=n, p=list(KINDS.values()))
    centres = np.random.default_rng([seed, CENTRE_STREAM]).choice(list(CENTRES), n, p=[0.5, 0.3, 0.2])
    return SimulatedCohort(
        np.arange(1, n + 1), covariates, model, reader, _agatston(read[0], model), _agatston(read[1], reader),
        days, np.where(event, kind, 0), centres,
    )  # fmt: skip


def cohort_csv(cohort: SimulatedCohort) -> str:
    """Return the cohort as the text of a CSV."""
    columns = cohort.columns()
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(_cells(column) for column in columns.values()), strict=True))
    return text.getvalue()


def _cells(column: Any) -> list[str]:
    return [cell if isinstance(cell, str) else f"{cell:g}" for cell in column]


def _margins(n: int, whole: tuple[int, ...]) -> Ints:
    """Return the margins of the whole cohort scaled to n, by largest remainder."""
    share = np.array(whole) * n / sum(whole)
    margins = np.floor(share).astype(np.int64)
    margins[np.argsort(margins - share, kind="stable")[: n - margins.sum()]] += 1
    return margins


def _patients(rng: np.random.Generator, n: int) -> tuple[dict[str, Floats], Floats]:
    """Return covariates, and the latent calcium (mean 0, variance 1)."""
    age = np.clip(rng.normal(64, 11.5, n), 25, 95).round(1)
    older = (age - 64) / 11.5
    male = _flag(rng, np.full(n, 0.05))
    hypertension = _flag(rng, 0.1 + 0.35 * older)
    diabetes = _flag(rng, -0.8 + 0.1 * older + 0.25 * (hypertension - 0.5))
    dyslipidaemia = _flag(rng, 0.2 * older)
    smoking, family = _flag(rng, np.full(n, -0.9)), _flag(rng, np.full(n, -0.5))
    risk = 0.55 * older + 0.7 * male + 0.25 * diabetes + 0.15 * hypertension + 0.2 * dyslipidaemia + 0.2 * smoking
    shared = (risk - risk.mean()) / risk.std()
    calcium = np.sqrt(CALCIUM_BY_COVARIATES) * shared + np.sqrt(1 - CALCIUM_BY_COVARIATES) * rng.normal(size=n)
    defect = np.clip(np.exp(rng.normal(0.9, 1.0, n) + 0.25 * calcium) - 0.8, 0, 60).round(1)
    ejection = np.clip(rng.normal(64, 9, n) - 0.6 * np.maximum(defect - 5, 0) - male, 15, 85).round()
    columns = age, male, hypertension, diabetes, dyslipidaemia, smoking, family, defect, ejection
    return dict(zip(EFFECTS, columns, strict=True)), calcium


def _flag(rng: np.random.Generator, liability: Floats) -> Floats:
    """Return 1 if a standard normal number is below the liability, otherwise 0."""
    return np.asarray(rng.normal(size=len(liability)) < liability, np.float64)


def _reading_noise(calcium: Floats, noise: Floats, margins: tuple[Ints, Ints]) -> float:
    """Return the noise of each reading that gives the published kappa (bisection with fixed noise)."""

    def above(spread: float) -> float:
        model, reader = (_by_rank(calcium + spread * own, each) for own, each in zip(noise, margins, strict=True))
        return float(weighted_kappa(cross_table(model, reader)).estimate or 0.0) - KAPPA

    return float(optimize.bisect(above, 0.01, 3.0, xtol=1e-4))


def _by_rank(values: Floats, margins: Ints) -> Ints:
    """Return (n,): categories with exactly these margins, in the order of the values."""
    category = np.empty(len(values), np.int64)
    category[np.argsort(values, kind="stable")] = np.repeat(np.arange(len(margins)), margins)
    return category


def _agatston(values: Floats, category: Ints) -> Floats:
    """Return a score in the category's range that increases with the values (shape not published)."""
    score = np.zeros(len(values))
    for place, (low, high, bend) in enumerate(((0.5, 100, 1.0), (100.1, 400, 1.0), (400.1, 4000, 1.6)), start=1):
        rows = np.flatnonzero(category == place)
        share = (stats.rankdata(values[rows]) - 0.5) / max(len(rows), 1)
        score[rows] = low * (high / low) ** (share**bend)
    return score.round(1)


def _follow_up(
    rng: np.random.Generator, covariates: dict[str, Floats], category: Ints, events: float
) -> tuple[Floats, NDArray[np.bool_]]:
    """Return days and events: exponential times, follow-up of 1 to 5 years with 2 % lost per year."""
    n = len(category)
    risk = np.log(HAZARD_RATIOS)[category] + sum(
        EFFECTS[name] * (values - values.mean()) for name, values in covariates.items()
    )
    observed = np.minimum(rng.uniform(1, 5, n), rng.exponential(50, n))
    exposure = np.exp(risk) * observed
    base = optimize.brentq(lambda log_rate: -np.expm1(-np.exp(log_rate) * exposure).sum() - events, -15, 5)
    years = rng.exponential(size=n) / np.exp(base + risk)
    days = np.maximum(np.ceil(np.minimum(years, observed) * 365.25), 1.0)
    return days, years <= observed
