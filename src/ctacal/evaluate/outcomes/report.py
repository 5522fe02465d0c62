"""The whole publication of ``ctacal outcomes``."""

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from ctacal.evaluate.outcomes.baseline import baseline_part, cohort_part
from ctacal.evaluate.outcomes.centres import centres_part
from ctacal.evaluate.outcomes.columns import columns_part
from ctacal.evaluate.outcomes.competing import competing_part
from ctacal.evaluate.outcomes.early_window import early_window_part
from ctacal.evaluate.outcomes.elsewhere import elsewhere_part
from ctacal.evaluate.outcomes.endpoints import endpoints_part
from ctacal.evaluate.outcomes.flow import flow_part
from ctacal.evaluate.outcomes.given_risks import given_risks_part
from ctacal.evaluate.outcomes.hazards import hazards_part
from ctacal.evaluate.outcomes.missing import imputations_of, missing_part
from ctacal.evaluate.outcomes.over_time import over_time_part
from ctacal.evaluate.outcomes.part import Part
from ctacal.evaluate.outcomes.patients import Patients
from ctacal.evaluate.outcomes.performance import families, performance_part
from ctacal.evaluate.outcomes.perfusion import perfusion_part
from ctacal.evaluate.outcomes.reclassification import reclassification_part
from ctacal.evaluate.outcomes.scales import scales_part
from ctacal.evaluate.outcomes.study_size import study_size_part
from ctacal.evaluate.outcomes.subgroups import subgroups_part
from ctacal.evaluate.outcomes.survival import curves_part, rates_part
from ctacal.evaluate.outcomes.unmeasured import unmeasured_part
from ctacal.evaluate.outcomes.validation import validation_part
from ctacal.evaluate.outcomes.zero_calcium import zero_part
from ctacal.evaluate.publication import TRIPOD_AI, Checklist, Publication, fill, listed
from ctacal.progress import Bar, no_bar

PACKAGES = ("numpy", "scipy", "pandas", "numba", "matplotlib")
"""Packages whose versions the report lists."""


MANY_EVENTS = 0.5
"""Share of patients with the event from which on the report asks whether that is right (own choice)."""


def outcomes_report(given: Patients, bar: Bar = no_bar, title: str = "", first: tuple[str, ...] = ()) -> Publication:
    r"""Return the whole publication of ``ctacal outcomes``.

    ``first`` are paragraphs before all others; ``bar`` is opened for each part in turn.

    Args:
        given: The patients of a table (``read_patients``); times in the unit of their configuration.
        bar: Shows progress.
        title: Title of the report; empty: that of the configuration.
        first: Paragraphs before all others.

    Returns:
        What ``write_publication`` writes: every number, table and figure.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from ctacal.evaluate.outcomes import read_config, read_patients
        >>> columns = ('[outcome]\ntime = "days"\nevent = "mace"\n[model]\nname = "Model"\nscore = "agatston"\n'
        ...     "[analysis]\nresamples = 50\n")
        >>> rows = ["100,1,900", "300,0,0", "500,1,40", "700,0,0", "900,0,120", "1100,0,3"]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     config, table = Path(folder, "cohort.toml"), Path(folder, "cohort.csv")
        ...     _ = config.write_text(columns), table.write_text("\n".join(["days,mace,agatston", *rows]))
        ...     report = outcomes_report(read_patients(table, read_config(config)))
        >>> report.command, report.sections[0].title
        ('ctacal outcomes', 'Flow of patients')
    """
    patients, config = given.by_time(), given.config
    complete = patients.take(patients.complete)
    parts = dict(_parts(patients, complete, bar))
    return Publication(
        title=title or config.title,
        lead=(*first, *_lead(patients, complete)),
        sections=tuple(part.section for part in parts.values()),
        numbers={name: part.numbers for name, part in parts.items()},
        command="ctacal outcomes",
        seed=config.analysis.seed,
        options=config.to_json(),
        packages=PACKAGES,
        checklists=(_tripod(patients, complete),),
    )


def _parts(patients: Patients, complete: Patients, bar: Bar) -> Iterator[tuple[str, Part]]:
    """Yield the parts in the order of the report."""
    analysis = patients.config.analysis
    simple: dict[str, Callable[[Patients], Part]] = {
        "flow": flow_part, "cohort": cohort_part, "columns": columns_part, "baseline": baseline_part,
        "rates": rates_part, "kaplan_meier": curves_part, "cox": hazards_part, "e_values": unmeasured_part,
        "over_time": over_time_part,
    }  # fmt: skip
    for name, part in simple.items():
        with bar(name, 1):
            yield name, part(patients)
    with bar("scales", 1):
        yield "scales", scales_part(patients)
    if patients.endpoints or patients.config.adjustment:
        with bar("endpoints", 1):
            yield "endpoints", endpoints_part(patients)
    if patients.windows:
        with bar("early window", 1):
            yield "early_window", early_window_part(patients)
    with bar("CAC 0", 1):
        yield "zero_calcium", zero_part(patients)
    if patients.config.perfusion:
        with bar("perfusion", 1):
            yield "perfusion", perfusion_part(patients)
    with bar("performance", 1):
        found = families(complete) if complete.data.n else ["No patient has all covariates."]
        yield "performance", performance_part(complete, found)
    with bar("size of the study", 1):
        yield "study_size", study_size_part(complete, found)
    with bar("validating", analysis.validation_resamples) as progress:
        yield "validation", validation_part(complete, found, progress)
    if patients.risks:
        with bar("given risks", 1):
            yield "given_risks", given_risks_part(patients)
    with bar("resampling", analysis.resamples) as progress:
        yield "reclassification", reclassification_part(complete, found[0], progress)
    with bar("imputing", imputations_of(patients)) as progress:
        yield "missing", missing_part(patients, progress)
    for name, part in {"competing": competing_part, "subgroups": subgroups_part}.items():
        with bar(name, 1):
            yield name, part(patients)
    if patients.centre is not None:
        with bar("centres", 1):
            yield "centres", centres_part(patients)
        with bar("testing elsewhere", len(patients.centre.labels)) as progress:
            yield "elsewhere", elsewhere_part(complete, found, progress)


def _lead(patients: Patients, complete: Patients) -> tuple[str, ...]:
    config, data = patients.config, patients.data
    own = (config.cohort,) if config.cohort else ()
    size = (
        f"{data.n:,} patients, {data.events:,} with {config.outcome.name}, {data.time.sum():,.0f} person-years; "
        f"followed for {float(np.median(data.time)):.2g} years (median), at most {float(data.time.max()):.2g}."
    )
    number = data.n - complete.data.n
    missing = (
        f"{number:,} patients with a missing covariate are excluded from multivariable models, performance, "
        "reclassification and subgroups."
    )
    imputed = " Section Missing covariates reports multiple imputation." if config.analysis.missing == "impute" else ""
    return (*own, size, *((f"{missing}{imputed}",) if number else ()), *_doubts(patients))


def _doubts(patients: Patients) -> Iterator[str]:
    """Yield what the reader must check: identifiers, the unit of follow-up, the coding of the event."""
    yield from patients.doubts
    outcome, horizon = patients.config.outcome, patients.config.analysis.horizon_years
    if (longest := float(patients.data.time.max(initial=0))) < horizon:
        yield (
            f"The longest follow-up is {longest:.2g} years, shorter than the horizon of {horizon:g} years: check that "
            f"{outcome.follow_up} is in {outcome.unit}."
        )
    name, share = patients.config.outcome.name, patients.data.events / max(patients.data.n, 1)
    if share == 0:
        yield f"No patient has {name}. If that is not so, the coding of the event is wrong."
    elif share == 1:
        yield f"Every patient has {name}. If that is not so, the coding of the event is wrong, or rows were lost."
    elif share > MANY_EVENTS:
        yield f"{share:.0%} of the patients have {name}: check that the coding of the event is not the other way round."


def _tripod(patients: Patients, complete: Patients) -> Checklist:
    """Return the guideline's items, with those answered that the data answer."""
    return fill(TRIPOD_AI, _answers(patients, complete))


def _answers(patients: Patients, complete: Patients) -> Mapping[str, str]:
    config, data, analysis = patients.config, patients.data, patients.config.analysis
    outcome = config.outcome
    events = listed(list(patients.kinds)) if outcome.component else outcome.name
    labels = listed([covariate.label for covariate in patients.covariates])
    fitted = len(complete.adjusted(config.adjusted)[0]) + len(patients.model.present) - 1
    return {
        "8a": f"{outcome.name}: first of {events}; risks at {analysis.horizon_years:g} years. Assessment: OPEN.",
        "9b": f"Calcium by {listed([reading.name for reading in patients.readings])}; {labels}. Measurement: OPEN.",
        "10": f"{data.n:,} patients, {data.events:,} events; {complete.data.events:,} of them in complete cases, for "
        f"{fitted} coefficients; patients needed by Riley's criteria: see Size of the study. Rationale: OPEN.",
        "11": _missing_answer(patients),
        "12b": "Calcium as four categories, as log(CAC + 1) and as its restricted cubic spline; others linearly.",
        "12c": "Cox models, Efron's method for ties, no selection of covariates; performance apparent, and corrected "
        f"for optimism by {'the bootstrap' if analysis.validation == 'bootstrap' else 'cross-validation'}.",
        "12e": "C (Harrell, Uno), time-dependent AUC, Brier score and IPA, calibration, decision curve, NRI, IDI.",
        "15": f"Risk at {analysis.horizon_years:g} years; cut-offs {', '.join(map(str, analysis.nri_cutoffs))}.",
        "18f": "All results come from the open-source program ctacal; see its version and options.",
        "20a": f"{' '.join(patients.notes)} See Flow of patients and the table of cohort and follow-up.",
        "20b": "See the baseline table.",
        "21": "Numbers of patients and events are given in each table.",
        "22": "Coefficients and covariances are in numbers.json.",
        "23a": "See Performance, Reclassification and Subgroups; all with 95 % intervals.",
    }


def _missing_answer(patients: Patients) -> str:
    if not any(covariate.missing for covariate in patients.covariates):
        return "No covariate is missing."
    if patients.config.analysis.missing == "complete":
        return "Complete cases only."
    return (
        f"Multiple imputation ({imputations_of(patients)} sets, chained equations, Rubin's rules) of the multivariable "
        "models (also by endpoint, subgroup, cause and centre), performance, apparent and corrected, calibration, "
        "decision curve and reclassification, with complete cases beside it; complete cases in the tests of the "
        "other sections."
    )
