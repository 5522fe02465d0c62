"""How many patients a prediction model of a time to an event needs (Riley 2019, 2020), and what shrinkage to expect."""

from dataclasses import dataclass
from math import ceil, exp, expm1, log, log1p

from ctacal.statistics.estimate import Z

SHRINKAGE, OPTIMISM, MARGIN = 0.9, 0.05, 0.05
"""Targets: shrinkage, difference of apparent and adjusted R² (share of the largest), margin of the overall risk."""


@dataclass(frozen=True, slots=True)
class SampleSize:
    """Number of patients that each criterion asks for."""

    parameters: int
    r2: float
    """Cox-Snell's R², adjusted for optimism, that the model is expected to reach."""
    largest_r2: float
    """The largest that Cox-Snell's R² can be with this share of events."""
    shrinkage: int
    """Patients for an expected shrinkage of at most 10 %."""
    optimism: int
    """Patients for an optimism of Nagelkerke's R² of at most 0.05."""
    overall_risk: int
    """Patients to know the overall risk at the horizon to 0.05."""
    events_per_patient: float

    @property
    def patients(self) -> int:
        """The largest of the three."""
        return max(self.shrinkage, self.optimism, self.overall_risk)

    @property
    def events(self) -> float:
        """Events among them."""
        return self.patients * self.events_per_patient

    @property
    def events_per_parameter(self) -> float:
        """Events for each coefficient of the model."""
        return self.events / self.parameters


def largest_r2(events_per_patient: float) -> float:
    """Return the largest Cox-Snell R² of a survival model: 1 - exp(2 (f log f - f)), f events per patient.

    Riley RD et al., Stat Med 2019;38:1276-1296 (equation 23).
    """
    return -expm1(2 * (events_per_patient * log(events_per_patient) - events_per_patient))


def required_sample_size(parameters: int, r2: float, rate: float, mean_follow_up: float, horizon: float) -> SampleSize:
    """Return the patients needed to develop a model with ``parameters`` coefficients.

    ``rate`` is events per unit of time, ``mean_follow_up`` and ``horizon`` are in that unit. Criteria of Riley RD et
    al., Stat Med 2019;38:1276-1296 and BMJ 2020;368:m441: shrinkage 0.9, optimism of R² 0.05, overall risk at the
    horizon (constant rate) known to 0.05 on the wider side. As R's pmsampsize, which rounds on its way. Raises
    ``ValueError`` if ``r2`` is not between 0 and its largest value, or another value is not above 0.

    Args:
        parameters: Number of coefficients.
        r2: Cox-Snell's R² to expect, adjusted for optimism.
        rate: Events per unit of time.
        mean_follow_up: In that unit.
        horizon: In that unit.

    Returns:
        The patients that each criterion asks for.

    Raises:
        ValueError: ``r2`` is not between 0 and its largest value, or another value is not above 0.

    Example:
        >>> isinstance(required_sample_size(30, 0.051, 0.065, 2.07, 2), SampleSize)
        True
        >>> required_sample_size(30, 0.051, 0.065, 2.07, 2).patients
        5143
    """
    if min(parameters, rate, mean_follow_up, horizon) <= 0:
        raise ValueError("expected parameters, rate, mean_follow_up and horizon above 0")
    share = rate * mean_follow_up
    most = largest_r2(share)
    if not 0 < r2 < most:
        raise ValueError(f"r2: expected a value between 0 and {most:.3g}, the largest with this rate, got {r2:.3g}")
    shrinkage = ceil(_for_shrinkage(parameters, r2, SHRINKAGE))
    optimism = ceil(_for_shrinkage(parameters, r2, r2 / (r2 + OPTIMISM * most)))
    error = log1p(MARGIN * exp(rate * horizon)) / horizon
    risk = ceil((Z / error) ** 2 * rate / mean_follow_up)
    return SampleSize(parameters, r2, most, shrinkage, optimism, risk, share)


def _for_shrinkage(parameters: int, r2: float, shrinkage: float) -> float:
    return parameters / ((shrinkage - 1) * log1p(-r2 / shrinkage))


@dataclass(frozen=True, slots=True)
class FittedStrength:
    """Strength of a fitted model, and the shrinkage to expect of it in new patients."""

    r2: float
    """Cox-Snell's R², apparent: 1 - exp(-likelihood ratio / n)."""
    shrinkage: float
    """1 - coefficients / likelihood ratio (van Houwelingen HC, le Cessie S, Stat Med 1990;9:1303-1325)."""

    @property
    def adjusted_r2(self) -> float:
        """Cox-Snell's R², adjusted for optimism (Riley 2019)."""
        return self.shrinkage * self.r2


def fitted_strength(parameters: int, likelihood_ratio: float, n: int) -> FittedStrength:
    """Return R² and expected shrinkage of a model from its likelihood-ratio chi-square against the empty model.

    Args:
        parameters: Number of coefficients.
        likelihood_ratio: Chi-square of the likelihood-ratio test.
        n: Number of patients.

    Returns:
        R² and shrinkage.

    Example:
        >>> isinstance(fitted_strength(10, 100.0, 1000), FittedStrength)
        True
        >>> fitted_strength(10, 100.0, 1000).shrinkage
        0.9
    """
    shrinkage = 1 - parameters / likelihood_ratio if likelihood_ratio > 0 else 0.0
    return FittedStrength(-expm1(-likelihood_ratio / n), max(shrinkage, 0.0))
