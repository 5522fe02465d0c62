"""``Settings``: how a batch scores, as the plan states it, and the ``ScoreJob`` that they make."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ctacal import __version__
from ctacal.errors import UsageError
from ctacal.fields import from_fields
from ctacal.jobs.finders import Finder, Runtime, baseline, networks, ships_weights
from ctacal.jobs.score import BEST, Limits, Privacy, ScoreJob
from ctacal.report.outputs import DEFAULT_WRITERS, known_writers
from ctacal.report.pseudonyms import Pseudonymiser
from ctacal.result_json import SCHEMA_VERSION
from ctacal.scores import named_rule

PREDICTORS = ("networks", "threshold")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How each study is scored, and which files are written; the plan holds them, so that all machines do the same."""

    predictor: str | None = None
    """``networks`` or ``threshold``; None: the networks, if this installation has any."""
    model: Path | None = None
    runtime: Runtime | None = None
    rule: str = "scct2016"
    mass_calibration: float | None = None
    series: str = BEST
    fill_gaps: bool = False
    untilt: bool = False
    allow_contrast: bool = False
    write: str = ",".join(DEFAULT_WRITERS)
    phi: bool = False
    pseudonymise: Path | None = None
    """File with the key; the plan holds its path only."""

    def to_json(self) -> dict[str, Any]:
        """Return the settings that are not the defaults, paths as absolute paths."""
        values = {name: _plain(value) for name, value in asdict(self).items()}
        default = asdict(Settings())
        return {name: value for name, value in values.items() if value != default[name]}

    def score_job(self) -> ScoreJob:
        """Return the job, with its model loaded. Raises ``UsageError`` if an option is impossible here.

        Results hold no times, so that a study that is scored twice gives the same bytes.
        """
        key = self.pseudonymise
        return ScoreJob(
            finder=self._finder(),
            rule=named_rule(self.rule),
            outputs=self.outputs,
            privacy=Privacy(phi=self.phi, pseudonymiser=Pseudonymiser.from_file(key) if key else None),
            limits=Limits(fill_gaps=self.fill_gaps, untilt=self.untilt, allow_contrast=self.allow_contrast),
            series=self.series,
            mass_calibration=self.mass_calibration,
            timed=False,
        )

    @property
    def outputs(self) -> tuple[str, ...]:
        """Kinds of output; ``json`` is always among them, because a result is what makes a study done."""
        names = known_writers(self.write)
        return names if "json" in names else (*names, "json")

    def _finder(self) -> Finder:
        if self.predictor not in (None, *PREDICTORS):
            raise UsageError(f"no predictor is called {self.predictor!r}; known: {', '.join(PREDICTORS)}")
        if self.predictor == "threshold" and self.model:
            raise UsageError("--model is for --predictor networks; threshold has no weights")
        without = self.predictor is None and self.model is None and not ships_weights()
        return baseline() if without or self.predictor == "threshold" else networks(self.model, self.runtime)


def settings_from(content: Mapping[str, Any]) -> Settings:
    """Return settings from what ``to_json`` made of them. Raises ``UsageError``."""
    return from_fields(Settings, content)


def identity(job: ScoreJob) -> dict[str, Any]:
    """Return all that results depend on beside the images, as JSON holds it; the machines of one run must agree on it.

    The model names its runtime, because another one rounds otherwise.
    """
    key = job.privacy.pseudonymiser
    content: dict[str, Any] = {
        "ctacal": __version__,
        "schema": SCHEMA_VERSION,
        "model": asdict(job.finder.model),
        "rule": job.rule.to_json(),
        "mass_calibration": job.mass_calibration,
        "limits": asdict(job.limits),
        "series": job.series,
        "outputs": sorted(job.outputs),
        "phi": job.privacy.phi,
        "pseudonyms": key.digest("settings") if key else None,
    }
    return dict(json.loads(json.dumps(content)))


def _plain(value: Any) -> Any:
    return str(value.absolute()) if isinstance(value, Path) else value
