"""The choices of ``ctacal outcomes``: the meaning of the columns and every option of the analysis, read from a TOML."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ctacal.fields import read_toml

DAYS_PER = {"days": 1.0, "weeks": 7.0, "months": 365.25 / 12, "years": 365.25}
"""Days in each unit of time; a year has 365.25 days."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """A kind of event."""

    name: str
    event: str
    """Column: 1 if it happened, 0 if it did not."""
    time: str = ""
    """Column: time from the scan to this event; by default the time of the outcome."""
    in_outcome: bool = True
    """false: not part of the outcome, only competes with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeConfig:
    """The event and the follow-up of each patient."""

    time: str
    """Column: from the scan to the event, or to the end of follow-up."""
    name: str = "MACE"
    unit: Literal["days", "weeks", "months", "years"] = "days"
    """Unit of every time column."""
    event: str = ""
    """Column: 1 or 0. Or give ``component``s, of which the first event counts."""
    component: tuple[Component, ...] = ()
    competing: str = ""
    """The component that competes with the others (usually death)."""
    revascularisation: str = ""
    """The component to which the early window applies."""
    early_days: float = 90.0
    """Length of the early window after the scan, in days."""
    early: Literal["count", "ignore", "exclude"] = "count"
    """What a revascularisation within ``early_days`` does: it counts like any other; it does not count and follow-up
    continues; or the patient is excluded, because the scan itself may have led to it. The published rule is not
    known."""

    def __post_init__(self) -> None:
        names = [component.name for component in self.component]
        _require(bool(self.event) != bool(names), "event", "give either event or one or more component")
        _require(len(set(names)) == len(names), "component.name", "two components have the same name")
        for key in ("competing", "revascularisation"):
            known = f"is {getattr(self, key)!r}, expected one of: {', '.join(names) or 'no component is given'}"
            _require(getattr(self, key) in ("", *names), key, known)
        idle = [part.name for part in self.component if not part.in_outcome and part.name != self.competing]
        _require(not idle, "component", f"{', '.join(idle)} is neither in_outcome nor competing")
        _require(not names or any(part.in_outcome for part in self.component), "component", "none is in_outcome")
        _require(self.early == "count" or bool(self.revascularisation), "early", "also name revascularisation")
        _require(self.early_days > 0, "early_days", "expected a positive number")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingConfig:
    """The calcium score of one reader or model."""

    name: str
    score: str = ""
    """Column: Agatston score."""
    category: str = ""
    """Column: 0, 1-100, 101-400, >400, or 0 to 3; by default derived from the score."""

    def __post_init__(self) -> None:
        _require(bool(self.score or self.category), "score", f"name the column of {self.name}: score or category")


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureConfig:
    """Perfusion: a covariate with a normal and an abnormal range."""

    column: str
    abnormal_from: float
    """The smallest abnormal value; 1 if the column holds 0 and 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubgroupConfig:
    """A split of the patients by one column."""

    name: str
    column: str
    cut: float | None = None
    """Makes two groups: below the cut, and equal to it or above. Without a cut each value is a group (at most 6)."""
    labels: dict[str, str] = field(default_factory=dict)
    """Names of the values (or of "below" and "from")."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisConfig:
    """Options of the analysis."""

    horizon_years: float = 3.0
    """Time horizon of risks, areas under the curve, calibration, net benefit and reclassification."""
    follow_up_years: tuple[float, ...] = (1.0, 2.0, 3.0, 4.0, 5.0)
    """Times at which survival and time-dependent areas are reported, as far as follow-up goes."""
    nri_reference: tuple[str, ...] = ()
    """Covariates of the reference model of reclassification; by default perfusion alone."""
    nri_cutoffs: tuple[float, ...] = (0.1, 0.2)
    """Cut-offs of the risk at the horizon (own choice: the published cut-offs are not known)."""
    thresholds: tuple[float, float] = (0.02, 0.40)
    """Lowest and highest threshold of the decision curve."""
    knots: Literal[3, 4, 5] = 4
    """Number of knots of the restricted cubic spline of log(CAC + 1)."""
    resamples: int = 1000
    """Number of bootstrap resamples."""
    imputations: int = 10
    """Number of imputed data sets."""
    missing: Literal["impute", "complete"] = "impute"
    """How missing covariates are handled: multiple imputation beside complete cases, or complete cases alone."""
    validation: Literal["bootstrap", "cross-validation"] = "bootstrap"
    """How performance is corrected for optimism: by resamples in which models are fitted again, or by 10 folds."""
    validation_resamples: int = 200
    """Resamples of that bootstrap, at most ``resamples``; fewer in very large cohorts."""
    seed: int = 0

    def __post_init__(self) -> None:
        _require(self.horizon_years > 0, "horizon_years", "expected a positive number")
        _require(all(year > 0 for year in self.follow_up_years), "follow_up_years", "expected positive numbers")
        cuts = self.nri_cutoffs
        _require(list(cuts) == sorted(set(cuts)), "nri_cutoffs", "expected increasing numbers")
        _require(all(0 < cut < 1 for cut in cuts), "nri_cutoffs", "expected risks between 0 and 1")
        _require(0 < self.thresholds[0] < self.thresholds[1] < 1, "thresholds", "expected 0 < low < high < 1")
        _require(self.resamples >= 50, "resamples", "expected 50 or more")
        _require(self.validation_resamples >= 10, "validation_resamples", "expected 10 or more")
        _require(self.imputations >= 2, "imputations", "expected 2 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomesConfig:
    """The analysis of one table."""

    outcome: OutcomeConfig
    model: ReadingConfig
    title: str = "Calcium score and outcomes"
    cohort: str = ""
    """Description of the cohort: the first line of the report."""
    identifier: str = ""
    """Column of the patient's identifier; each patient has one row."""
    reader: ReadingConfig | None = None
    covariates: tuple[str, ...] = ()
    """Columns that the multivariable models adjust for, in addition to perfusion and ejection fraction."""
    categorical: tuple[str, ...] = ()
    """Covariates that are categories: all columns of text, and numbers that are codes."""
    labels: dict[str, str] = field(default_factory=dict)
    """Names of columns in tables and figures."""
    per: dict[str, float] = field(default_factory=dict)
    """Difference in a column for which its hazard ratio is reported; 1 by default."""
    perfusion: MeasureConfig | None = None
    ejection_fraction: str = ""
    subgroup: tuple[SubgroupConfig, ...] = ()
    """By default perfusion, sex and age, as far as they are named."""
    sex: str = ""
    """Column for the subgroups; name it in ``covariates`` to adjust for it too."""
    age: str = ""
    age_cut: float = 65.0
    analysis: AnalysisConfig = field(default_factory=AnalysisConfig)

    def __post_init__(self) -> None:
        unknown = set(self.analysis.nri_reference) - set(self.adjusted)
        _require(not unknown, "analysis.nri_reference", f"{', '.join(sorted(unknown))}: not among the covariates")
        scaled = set(self.per) - set(self.adjusted)
        _require(not scaled, "per", f"{', '.join(sorted(scaled))}: not among the covariates")
        _require(all(size > 0 for size in self.per.values()), "per", "expected positive numbers")
        strange = set(self.categorical) - set(self.adjusted)
        _require(not strange, "categorical", f"{', '.join(sorted(strange))}: not among the covariates")

    @property
    def adjusted(self) -> tuple[str, ...]:
        """Columns of the multivariable models besides calcium."""
        perfusion = (self.perfusion.column,) if self.perfusion else ()
        function = (self.ejection_fraction,) if self.ejection_fraction else ()
        return tuple(dict.fromkeys((*self.covariates, *perfusion, *function)))

    @property
    def reference(self) -> tuple[str, ...]:
        """Columns of the reference model of reclassification."""
        if self.analysis.nri_reference:
            return self.analysis.nri_reference
        return (self.perfusion.column,) if self.perfusion else self.adjusted

    def label(self, column: str) -> str:
        """Return the name of a column in tables and figures."""
        return self.labels.get(column, column.replace("_", " ").capitalize() if column.islower() else column)

    def subgroups(self) -> tuple[SubgroupConfig, ...]:
        """Return the subgroups named, or those of perfusion, sex and age as far as they are named."""
        if self.subgroup:
            return self.subgroup
        found = []
        if self.perfusion:
            words = {"below": "Normal", "from": "Abnormal"}
            cut = self.perfusion.abnormal_from
            found.append(SubgroupConfig(name="Perfusion", column=self.perfusion.column, cut=cut, labels=words))
        if self.sex:
            found.append(SubgroupConfig(name=self.label(self.sex), column=self.sex))
        if self.age:
            found.append(SubgroupConfig(name="Age", column=self.age, cut=self.age_cut))
        return tuple(found)

    def columns(self) -> dict[str, str]:
        """Return every column that is needed, with the field that names it."""
        named = {self.outcome.time: "outcome.time", self.outcome.event: "outcome.event"}
        for part in self.outcome.component:
            named |= {
                part.event: f"outcome.component {part.name}: event",
                part.time: f"outcome.component {part.name}: time",
            }
        for place, reading in (("model", self.model), ("reader", self.reader)):
            if reading:
                named |= {reading.score: f"{place}.score", reading.category: f"{place}.category"}
        named |= dict.fromkeys(self.covariates, "covariates")
        named |= {self.perfusion.column: "perfusion.column"} if self.perfusion else {}
        named |= {self.ejection_fraction: "ejection_fraction", self.sex: "sex", self.age: "age"}
        named |= {split.column: f"subgroup {split.name}: column" for split in self.subgroup}
        named |= {self.identifier: "identifier"}
        return {column: field_name for column, field_name in named.items() if column}

    def to_json(self) -> dict[str, Any]:
        """Return every option, for ``numbers.json``."""
        return dataclasses.asdict(self)


def read_config(path: Path) -> OutcomesConfig:
    """Read a TOML. Raises ``UsageError`` naming the file and the field that is unknown, missing or invalid."""
    return read_toml(OutcomesConfig, path)


def _require(holds: bool, name: str, problem: str) -> None:
    if not holds:
        raise ValueError(f"{name}: {problem}")
