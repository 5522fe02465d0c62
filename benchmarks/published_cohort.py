"""Whether cohorts simulated from the published figures give them back: hazard ratios, coverage, kappa.

python benchmarks/published_cohort.py [--cohorts 300]
"""

import argparse

import numpy as np

from ctacal.evaluate.outcomes.published_cohort import HAZARD_RATIOS, SimulatedCohort, simulate_cohort
from ctacal.statistics.estimate import Z
from ctacal.statistics.survival.cox_model import CoxModel, cox
from ctacal.statistics.survival.survival_data import SurvivalData

PUBLISHED = ((1.54, 3.14), (3.23, 6.48), (4.27, 8.22))
"""Published intervals of the hazard ratios."""


def estimates(cohort: SimulatedCohort) -> tuple[np.ndarray, np.ndarray]:
    """Log hazard ratios of the categories and their errors, multivariable."""
    flags = [(cohort.model_category == place).astype(float) for place in (1, 2, 3)]
    data = SurvivalData(cohort.follow_up_days, cohort.event, "days")
    model = cox(data, np.column_stack([*flags, *cohort.covariates.values()]))
    assert isinstance(model, CoxModel)
    return model.coefficient[:3], model.error[:3]


def run(cohorts: int) -> None:
    found = [estimates(simulate_cohort(seed)) for seed in range(cohorts)]
    beta, error = np.array([own for own, _ in found]), np.array([own for _, own in found])
    ratio, truth = np.exp(beta), np.log(HAZARD_RATIOS[1:])
    covered = np.abs(beta - truth) < Z * error
    inside = (ratio >= [low for low, _ in PUBLISHED]) & (ratio <= [high for _, high in PUBLISHED])
    print(f"{cohorts} cohorts")
    print("mean hazard ratios", ratio.mean(axis=0).round(2), "published", HAZARD_RATIOS[1:])
    print("95 % intervals that hold the published ones, %", (100 * covered.mean(axis=0)).round(1))
    print("cohorts with an estimate outside a published interval, %", round(100 * (~inside.all(axis=1)).mean(), 1))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cohorts", type=int, default=300)
    run(parser.parse_args().cohorts)
