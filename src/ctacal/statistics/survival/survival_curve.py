"""Kaplan-Meier survival with its interval, patients at risk, restricted mean, event rate."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from ctacal.arrays import Floats, Ints
from ctacal.statistics.estimate import LEVEL, Estimate, normal_estimate
from ctacal.statistics.survival.survival_data import SurvivalData

Interval = Literal["log-log", "log", "plain"]

Z = float(stats.norm.ppf((1 + LEVEL) / 2))
"""Standard errors to each side of an estimate."""

_FLAT = 1e-9
"""Distance from a level within which a curve counts as running along it (rounding of the product)."""


NONE_YET = (
    "no event by then: the other end is exact and one-sided, with 95 % confidence, from those followed until then "
    "(about 3 in their number: the rule of three)"
)
"""Remark on the survival before the first event."""


@dataclass(frozen=True, slots=True, eq=False)
class SurvivalCurve:
    """A step function of time with its 95 % interval: one row for each distinct time, valid until the next."""

    times: Floats
    """(k,) times of events or ends of follow-up, rising, in ``unit``."""
    at_risk: Floats
    """(k,) patients just before the time."""
    events: Floats
    censored: Floats
    survival: Floats
    error: Floats
    """(k,) Greenwood's standard error of the survival."""
    low: Floats
    """(k,) lower end of the interval; once the survival is 0 there is none: ``low`` is 0, ``high`` keeps its value."""
    high: Floats
    unit: str
    method: str
    n: int

    def at(self, time: float) -> Estimate:
        """Return the survival at a time; not defined after the last follow-up unless the survival is 0 there.

        Without an event by then the lower end is the exact one-sided one, 0.05^(1 / m) of the m patients followed until
        then: about 1 - 3 / m, the rule of three (Hanley JA, Lippman-Hand A, JAMA 1983;249:1743-1745).
        """
        if not self.n:
            return Estimate(None, None, None, self.method, 0, "no patients")
        row = int(np.searchsorted(self.times, time, side="right")) - 1
        if row < 0 and time <= 0:
            return Estimate(1.0, 1.0, 1.0, self.method, self.n, "before any time: the interval has no width")
        survival = float(self.survival[row]) if row >= 0 else 1.0
        if survival == 0:
            return Estimate(0.0, None, None, self.method, self.n, "all at risk had the event: no interval")
        if time > self.times[-1]:
            return Estimate(None, None, None, self.method, self.n, f"follow-up ends at {self.times[-1]:g} {self.unit}")
        if survival == 1:
            followed = float(self.at_risk[np.searchsorted(self.times, time)])
            return Estimate(1.0, (1 - LEVEL) ** (1 / followed), 1.0, self.method, self.n, NONE_YET)
        return Estimate(survival, float(self.low[row]), float(self.high[row]), self.method, self.n)

    def median(self) -> Estimate:
        """Return the time at which survival falls to a half, with the times at which the ends of its interval do.

        If the curve runs along a half, this is the middle of that time (Brookmeyer R, Crowley J, Biometrics
        1982;38:29-41).
        """
        return self._time_until(0.5, f"median, {self.method}", "a half")

    def time_to_risk(self, risk: float) -> Estimate:
        """Return the time at which the risk of the event reaches ``risk``, with the times at which its interval does.

        This is a quantile of the time to the event, as R's quantile of a survfit. An end of the interval may be None:
        the risk that it bounds stays lower during follow-up. Raises ``ValueError`` if ``risk`` is not between 0 and 1.
        """
        if not 0 < risk < 1:
            raise ValueError(f"expected a risk between 0 and 1, got {risk}")
        return self._time_until(
            1 - risk, f"time to a risk of {100 * risk:g} %, {self.method}", f"{100 * (1 - risk):g} %"
        )

    def _time_until(self, level: float, method: str, words: str) -> Estimate:
        defined = self.survival > 0  # no interval after that
        low, high = (_falls_to(level, self.times[defined], end[defined]) for end in (self.low, self.high))
        found = _falls_to(level, self.times, self.survival)
        if found is None:
            reason = f"survival stays above {words}" if self.n else "no patients"
            return Estimate(None, None, None, method, self.n, reason)
        reason = "" if low is not None and high is not None else f"an end of the interval stays above {words}"
        return Estimate(found, low, high, method, self.n, reason)


def _falls_to(level: float, times: Floats, survival: Floats) -> float | None:
    along = np.flatnonzero(np.abs(survival - level) < _FLAT)
    below = np.flatnonzero(survival < level - _FLAT)
    if along.size and below.size:
        return float(times[along[0]] + times[below[0]]) / 2
    first = along if along.size else below
    return float(times[first[0]]) if first.size else None


def kaplan_meier(data: SurvivalData, interval: Interval = "log-log") -> SurvivalCurve:
    """Estimate S(t) = product over event times u <= t of (1 - d / n), with d events and n at risk.

    Kaplan EL, Meier P, J Am Stat Assoc 1958;53:457-481. Standard error by Greenwood: S sqrt(sum d / (n (n - d))).
    Interval with normal quantiles on the scale of log(-log S) (Kalbfleisch JD, Prentice RL, The statistical analysis of
    failure time data, 1980), of log S, or of S ("plain"), cut at 0 and 1; as R's survfit.

    Args:
        data: Follow-up.
        interval: ``log-log``, ``log`` or ``plain``.

    Returns:
        The curve, with its 95 % interval.

    Example:
        >>> data = SurvivalData([1.2, 2.5, 0.8, 3.0, 4.1, 2.2, 5.0, 3.6, 1.9, 4.4], [1, 0, 1, 0, 1, 1, 0, 0, 1, 0])
        >>> interval: Interval = "log"
        >>> print(kaplan_meier(data, interval).at(3))
        0.600 (0.362 to 0.995)
        >>> kaplan_meier(SurvivalData([1, 2, 3], [1, 0, 1])).survival.round(3).tolist()
        [0.667, 0.667, 0.0]
    """
    times, at_risk, events, leaving = life_table(data)
    with np.errstate(divide="ignore", invalid="ignore"):
        survival: Floats = np.cumprod(1 - events / at_risk, dtype=np.float64)
        log_error = np.sqrt(np.cumsum(events / (at_risk * (at_risk - events))))
    log_error[survival == 0] = 0.0  # not defined there
    low, high = interval_of_survival(survival, log_error, interval)
    error = survival * log_error
    method = f"Kaplan-Meier, {interval} interval"
    return SurvivalCurve(
        times, at_risk, events, leaving - events, survival, error, low, high, data.unit, method, data.n
    )


def last_known_risk(data: SurvivalData, horizon: float) -> float:
    """Return 1 - survival at the horizon; if follow-up ends earlier, 1 - survival then."""
    curve = kaplan_meier(data)
    return 1 - float(np.concatenate([[1.0], curve.survival])[np.searchsorted(curve.times, horizon, side="right")])


def life_table(data: SurvivalData) -> tuple[Floats, Floats, Floats, Floats]:
    """Return (k,) each: distinct times, patients at risk just before, events, and all whose follow-up ends then."""
    times, row = data.ticks
    leaving = np.bincount(row, minlength=len(times)).astype(np.float64)
    events = np.bincount(row[data.event], minlength=len(times)).astype(np.float64)
    at_risk: Floats = data.n - (np.cumsum(leaving) - leaving)
    return times, at_risk, events, leaving


def interval_of_survival(survival: Floats, log_error: Floats, interval: Interval) -> tuple[Floats, Floats]:
    """Return (k,) low and high ends from the standard error of log S; if S is 0, 0 and the last defined high end."""
    inside = (survival > 0) & (survival < 1)
    s, half = np.where(inside, survival, 0.5), Z * log_error
    if interval == "log-log":
        power = np.exp(half / np.log(s))
        low, high = s ** (1 / power), s**power
    elif interval == "log":
        low, high = s * np.exp(-half), s * np.exp(half)
    else:
        low, high = s * (1 - half), s * (1 + half)
    low, high = (np.where(inside, np.clip(end, 0, 1), survival) for end in (low, high))
    gone = survival == 0
    if gone.any():
        last = int(np.argmax(gone)) - 1
        high = np.where(gone, high[last] if last >= 0 else 1.0, high)
    return low, high


def at_risk(data: SurvivalData, ticks: ArrayLike) -> Ints:
    """Return (k,) patients still followed just before each tick, with those whose follow-up ends at it.

    Args:
        data: Follow-up.
        ticks: (k,) times in the unit of the data.

    Returns:
        (k,) numbers of patients.

    Example:
        >>> at_risk(SurvivalData([1, 2, 3], [1, 1, 0]), [0, 2, 4]).tolist()
        [3, 2, 0]
    """
    counts: Ints = data.n - np.searchsorted(np.sort(data.time), np.asarray(ticks, np.float64), side="left")
    return counts


def events_until(data: SurvivalData, ticks: ArrayLike) -> Ints:
    """Return (k,) the events up to and at each tick.

    Args:
        data: Follow-up.
        ticks: (k,) times in the unit of the data.

    Returns:
        (k,) numbers of events.

    Example:
        >>> data = SurvivalData([1.2, 2.5, 0.8, 3.0, 4.1, 2.2, 5.0, 3.6, 1.9, 4.4], [1, 0, 1, 0, 1, 1, 0, 0, 1, 0])
        >>> events_until(data, [1, 3])
        array([1, 4])
    """
    times = np.sort(data.time[data.event])
    return np.searchsorted(times, np.asarray(ticks, np.float64), side="right").astype(np.int64)


def restricted_mean(data: SurvivalData, horizon: float) -> Estimate:
    """Return the mean event-free time up to a horizon, in the data's unit: the area A under S.

    Standard error sqrt(sum over event times u of A(u, horizon)^2 d / (n (n - d))) (Irwin JO, J Hyg 1949;47:188-189;
    Klein JP, Moeschberger ML, Survival analysis, 2003, 4.5), as R's survfit. Normal interval.

    Args:
        data: Follow-up.
        horizon: A time in the unit of the data.

    Returns:
        The mean with its 95 % interval.

    Example:
        >>> data = SurvivalData([1.2, 2.5, 0.8, 3.0, 4.1, 2.2, 5.0, 3.6, 1.9, 4.4], [1, 0, 1, 0, 1, 1, 0, 0, 1, 0])
        >>> print(restricted_mean(data, horizon=3))
        2.410 (1.912 to 2.908)
    """
    method = f"restricted mean up to {horizon:g} {data.unit}, Greenwood"
    curve = kaplan_meier(data)
    if not data.n:
        return Estimate(None, None, None, method, 0, "no patients")
    if horizon > curve.times[-1] and curve.survival[-1] > 0:
        return Estimate(None, None, None, method, data.n, f"follow-up ends at {curve.times[-1]:g} {data.unit}")
    within = curve.times < horizon
    edges = np.concatenate([[0.0], curve.times[within], [horizon]])
    areas = np.diff(edges) * np.concatenate([[1.0], curve.survival[within]])
    after = areas.sum() - np.cumsum(areas)[:-1]  # from each time to the horizon
    d, n = curve.events[within], curve.at_risk[within]
    variance = np.divide(after**2 * d, n * (n - d), out=np.zeros_like(after), where=n > d).sum()
    return normal_estimate(float(areas.sum()), float(np.sqrt(variance)), method, data.n)


def median_follow_up(data: SurvivalData) -> Estimate:
    """Return the median follow-up by the reverse Kaplan-Meier curve, in which the event ends the observation.

    Schemper M, Smith TL, Control Clin Trials 1996;17:343-346.

    Args:
        data: Follow-up.

    Returns:
        The median with its 95 % interval.

    Example:
        >>> data = SurvivalData([1.2, 2.5, 0.8, 3.0, 4.1, 2.2, 5.0, 3.6, 1.9, 4.4], [1, 0, 1, 0, 1, 1, 0, 0, 1, 0])
        >>> print(median_follow_up(data))
        4.000 (no interval: an end of the interval stays above a half)
    """
    median = kaplan_meier(SurvivalData(data.time, ~data.event, data.unit)).median()
    reason = "fewer than half were followed to the end" if median.estimate is None and data.n else median.reason
    return Estimate(median.estimate, median.low, median.high, "median follow-up, reverse Kaplan-Meier", data.n, reason)


def event_rate(data: SurvivalData) -> Estimate:
    """Return events per unit of follow-up, with the exact Poisson interval (Garwood F, Biometrika 1936;28:437-442).

    With times in years, 100 times the rate is percent per year. Without events the one-sided bound, -log(0.05) over the
    follow-up, stands in the remark.

    Args:
        data: Follow-up.

    Returns:
        The rate with its 95 % interval.

    Example:
        >>> data = SurvivalData([1.2, 2.5, 0.8, 3.0, 4.1, 2.2, 5.0, 3.6, 1.9, 4.4], [1, 0, 1, 0, 1, 1, 0, 0, 1, 0])
        >>> print(event_rate(data))
        0.174 (0.057 to 0.407)
    """
    method, followed, events = (
        f"events per patient and {data.unit}, exact Poisson interval",
        data.time.sum(),
        data.events,
    )
    if followed == 0:
        return Estimate(None, None, None, method, data.n, "no follow-up" if data.n else "no patients")
    tail = (1 - LEVEL) / 2
    low = stats.chi2.ppf(tail, 2 * events) / 2 if events else 0.0
    high = stats.chi2.ppf(1 - tail, 2 * events + 2) / 2
    rate = events / followed
    below = -100 * np.log(1 - LEVEL) / followed
    remark = (
        "" if events else f"no events: with 95 % confidence below {below:.2g} per 100 person-{data.unit} (one-sided)"
    )
    return Estimate(float(rate), float(low / followed), float(high / followed), method, data.n, remark)
