"""The choices of ``ctacal outcomes``: the meaning of the columns and every option of the analysis, read from a TOML."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ctacal.evaluate.outcomes.formulas import RiskConfig
from ctacal.evaluate.readings.form import TableForm
from ctacal.fields import read_toml

FOLLOW_UP, EVENT_TIME = "follow-up from two dates (days)", "{} from two dates (days)"
"""Names of columns that are computed from dates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """A kind of event."""

    name: str
    event: str
    """Column: 1 if it happened, 0 if it did not, or words that ``yes`` and ``no`` explain."""
    time: str = ""
    """Column: time from the scan to this event; by default the time of the outcome."""
    date: str = ""
    """Column: date of this event, instead of ``time``; needs the outcome's ``start``."""
    yes: tuple[str, ...] = ()
    """Cells that mean that it happened; by default those of the outcome."""
    no: tuple[str, ...] = ()
    """Cells that mean that it did not."""
    in_outcome: bool = True
    """false: not part of the outcome, only competes with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeConfig:
    """The event and the follow-up of each patient."""

    time: str = ""
    """Column: from the scan to the event, or to the end of follow-up."""
    start: str = ""
    """Column: date of the scan; follow-up is then computed from dates, and ``end`` takes the place of ``time``."""
    end: str = ""
    """Column: date of the event, or of the end of follow-up."""
    name: str = "MACE"
    unit: Literal["days", "weeks", "months", "years"] = "days"
    """Unit of every time column."""
    event: str = ""
    """Column: 1 or 0. Or give ``component``s, of which the first event counts."""
    yes: tuple[str, ...] = ()
    """Cells of event columns that mean that the event happened; by default 1 and TRUE. "" is the empty cell."""
    no: tuple[str, ...] = ()
    """Cells that mean that it did not; by default 0 and FALSE."""
    component: tuple[Component, ...] = ()
    competing: str = ""
    """The component that competes with the others (usually death)."""
    revascularisation: str = ""
    """The component to which the early window applies."""
    early_days: float = 90.0
    """Length of the early window after the scan, in days."""
    early: Literal["count", "ignore", "exclude", "landmark"] = "count"
    """What a revascularisation within ``early_days`` does: it counts like any other; it does not count, and follow-up
    continues as far as the table has it; the patient is excluded, because the scan itself may have led to it; or the
    analysis starts for everybody at the end of the window, with those who are then still followed and without an event.
    The published rule is not known."""

    def __post_init__(self) -> None:
        _require(bool(self.time) != bool(self.start and self.end), "time", "give either time, or start and end (dates)")
        for part in self.component:
            _require(not part.date or bool(self.start), "component.date", "also name outcome.start, a date")
            _require(not (part.date and part.time), "component", f"{part.name}: give time or date, not both")
            _require(bool(part.yes) == bool(part.no), "component", f"{part.name}: yes and no go together")
        _require(bool(self.yes) == bool(self.no), "yes", "give yes and no together")
        _require(not (self.start and self.unit != "days"), "unit", "is days if follow-up is computed from dates")
        names = [component.name for component in self.component]
        _require(bool(self.event) != bool(names), "event", "give either event or one or more component")
        _require(len(set(names)) == len(names), "component.name", "two components have the same name")
        for key in ("competing", "revascularisation"):
            known = f"is {getattr(self, key)!r}, expected one of: {', '.join(names) or 'no component is given'}"
            _require(getattr(self, key) in ("", *names), key, known)
        idle = [part.name for part in self.component if not part.in_outcome and part.name != self.competing]
        _require(not idle, "component", f"{', '.join(idle)} is neither in_outcome nor competing")
        _require(not names or any(part.in_outcome for part in self.component), "component", "none is in_outcome")
        needs_name = self.early in ("ignore", "exclude")
        _require(not needs_name or bool(self.revascularisation), "early", "also name revascularisation")
        _require(self.early_days > 0, "early_days", "expected a positive number")

    @property
    def follow_up(self) -> str:
        """Column of follow-up, in the table or computed from dates."""
        return self.time or FOLLOW_UP

    def event_time(self, part: Component) -> str:
        """Return the column of a component's own time, in the table or computed from dates; "" if it has none."""
        return EVENT_TIME.format(part.name) if part.date else part.time


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingConfig:
    """The calcium score of one reader or model."""

    name: str
    score: str = ""
    """Column: Agatston score."""
    category: str = ""
    """Column: 0, 1-100, 101-400, >400, or 0 to 3, or scores and bounds such as >1000; by default from the score."""
    vessels: tuple[str, ...] = ()
    """Columns: the score of each vessel, of which those above 0 are diseased; or one column with their number."""
    words: tuple[str, ...] = ()
    """The column's own words for the four categories, lowest first, such as none, mild, moderate, severe."""

    def __post_init__(self) -> None:
        _require(bool(self.score or self.category), "score", f"name the column of {self.name}: score or category")
        _require(len(self.words) in (0, 4, 5), "words", "expected the words of four categories, or of five")


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureConfig:
    """Perfusion: a covariate with a normal and an abnormal range."""

    column: str
    abnormal_from: float
    """The smallest abnormal value; 1 if the column holds 0 and 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgeConfig:
    """Age computed from two dates."""

    birth: str
    """Column: date of birth."""
    at: str
    """Column: the date at which the age is meant, usually that of the scan."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointConfig:
    """A further endpoint: the first of some of the outcome's components."""

    name: str
    components: tuple[str, ...]
    """Names of the components that count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdjustmentConfig:
    """A further set of covariates to adjust for."""

    name: str
    covariates: tuple[str, ...]
    """Columns, from among those of the multivariable models."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CentreConfig:
    """The centres at which the patients were scanned."""

    column: str
    """Column: the centre of each patient, as text."""
    test: tuple[str, ...] = ()
    """Centres whose patients are kept out of the models and test them; by default each centre in turn."""


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
    split_days: float | None = None
    """Day after the scan until and after which calcium has hazard ratios of their own; by default none."""
    imputations: int | None = None
    """Number of imputed data sets; by default as many as the percentage of patients with a missing covariate, from 10
    to 100."""
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
        _require(self.split_days is None or self.split_days > 0, "split_days", "expected a positive number of days")
        _require(self.imputations is None or self.imputations >= 2, "imputations", "expected 2 or more")


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
    strata: tuple[str, ...] = ()
    """Covariates whose levels get a baseline hazard of their own, for hazard ratios beside those adjusted for them."""
    levels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Levels of a categorical column in order, the reference first. By default numbers by size, words by letters."""
    recode: dict[str, dict[str, str]] = field(default_factory=dict)
    """Words of a categorical column that mean another of its levels: ``recode.sex = { m = "M" }``."""
    age_from: AgeConfig | None = None
    """Dates from which the column ``age`` is computed, which the table then does not have."""
    table: TableForm = field(default_factory=TableForm)
    """How the table is written."""
    per: dict[str, float] = field(default_factory=dict)
    """Difference in a column for which its hazard ratio is reported; 1 by default."""
    perfusion: MeasureConfig | None = None
    ejection_fraction: str = ""
    endpoint: tuple[EndpointConfig, ...] = ()
    """Endpoints beside the outcome, for which the hazard ratios are given too."""
    adjustment: tuple[AdjustmentConfig, ...] = ()
    """Sets of covariates beside all of them, for which the hazard ratios are given too."""
    centre: CentreConfig | None = None
    risk: tuple[RiskConfig, ...] = ()
    """Risks that are given, by a column or a published formula, to be validated without fitting."""
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
        for endpoint in self.endpoint:
            absent = set(endpoint.components) - {part.name for part in self.outcome.component}
            known = f"{', '.join(sorted(absent))}: not among the components of the outcome"
            _require(
                bool(endpoint.components) and not absent, f"endpoint {endpoint.name}", known if absent else "empty"
            )
        for adjustment in self.adjustment:
            absent = set(adjustment.covariates) - set(self.adjusted)
            _require(
                not absent, f"adjustment {adjustment.name}", f"{', '.join(sorted(absent))}: not among the covariates"
            )
        names = [risk.name for risk in self.risk]
        _require(len(set(names)) == len(names), "risk.name", "two risks have the same name")
        loose = set(self.strata) - set(self.adjusted)
        _require(not loose, "strata", f"{', '.join(sorted(loose))}: not among the covariates")
        strange = set(self.categorical) - set(self.adjusted)
        _require(not strange, "categorical", f"{', '.join(sorted(strange))}: not among the covariates")
        words = {*self.categorical, *(split.column for split in self.subgroups() if split.cut is None)}
        words |= {self.centre.column} if self.centre else set()
        words |= {column for risk in self.risk for column in risk.words}
        for key, columns in (("levels", self.levels), ("recode", self.recode)):
            unknown = set(columns) - words
            _require(
                not unknown,
                key,
                f"{', '.join(sorted(unknown))}: not among the categorical columns, or those of a formula's words",
            )
        _require(not self.age_from or bool(self.age), "age_from", 'also name the column to make: age = "age"')

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
        named = {
            self.outcome.time: "outcome.time", self.outcome.start: "outcome.start", self.outcome.end: "outcome.end",
            self.outcome.event: "outcome.event",
        }  # fmt: skip
        for part in self.outcome.component:
            for key in ("event", "time", "date"):
                named |= {getattr(part, key): f"outcome.component {part.name}: {key}"}
        for place, reading in (("model", self.model), ("reader", self.reader)):
            if reading:
                named |= {reading.score: f"{place}.score", reading.category: f"{place}.category"}
                named |= dict.fromkeys(reading.vessels, f"{place}.vessels")
        named |= dict.fromkeys(self.covariates, "covariates")
        named |= {self.perfusion.column: "perfusion.column"} if self.perfusion else {}
        named |= {self.ejection_fraction: "ejection_fraction", self.sex: "sex", self.age: "age"}
        named |= {split.column: f"subgroup {split.name}: column" for split in self.subgroup}
        named |= {self.centre.column: "centre.column"} if self.centre else {}
        for risk in self.risk:
            named |= dict.fromkeys((*risk.numbers, *risk.words), f"risk {risk.name}")
        named |= {self.identifier: "identifier"}
        if self.age_from:
            named |= {self.age_from.birth: "age_from.birth", self.age_from.at: "age_from.at"}
            named.pop(self.age, None)
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
