"""A comparison of two scored studies of one synthetic patient, for the tests of its outputs."""

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from ctacal.compare.comparison import Comparison, Terms, compare_scans
from ctacal.compare.limits import Band, Limits
from ctacal.compare.protocol import ScanProtocol
from ctacal.compare.scan import scan_of_result
from ctacal.report.outputs import ScoredShared, shared_by
from ctacal.result import ScoredStudy
from ctacal.result_json import result_json
from ctacal.study import score_study
from tests.dicom_series import ct_series, emission_image, study_of, uid, write
from tests.report.results import LOW_RULE, PLAIN, as_scored, drawing

LIMITS = Limits(
    name="ours",
    origin="site",
    bands={"agatston": Band(mean_sqrt=(0.0, 200.0), low=(-1.0, -1.0), high=(1.0, 1.0))},
    pairs=40,
    patients=38,
    protocol=ScanProtocol(kvp=120.0, slice_spacing_mm=3.0),
    rule="low",
    notes=("40 pairs give limits that are themselves unsure",),
)
IDENTITY = {"PatientID": "4711", "PatientName": "Doe^Jane", "PatientBirthDate": "19500102", "PatientSex": "F"}


def scored_scan(folder: Path, name: str, *, seed: int, **attributes: Any) -> ScoredStudy:
    """Return a scored study of its own; its calcium is drawn at random."""
    series = ct_series(PLAIN, name=name, StudyInstanceUID=uid(name, "study"), **{**IDENTITY, **attributes})
    same = {"StudyInstanceUID": uid(name, "study"), **IDENTITY, **attributes}
    study = study_of(write(folder, [*series, emission_image(**same)]))
    return as_scored(score_study(study, drawing(seed=seed), rule=LOW_RULE))


def two_scans(folder: Path, **later: Any) -> tuple[ScoredStudy, ScoredStudy]:
    """Return two scored studies of one patient, two years apart, with other calcium."""
    first = scored_scan(folder / "a", "first", seed=5, StudyDate="20200301")
    return first, scored_scan(folder / "b", "second", seed=6, **{"StudyDate": "20220301"} | later)


def compared(
    folder: Path, *, phi: bool = False, terms: Terms | None = None
) -> tuple[Comparison, tuple[ScoredShared, ScoredShared]]:
    """Return the comparison of ``two_scans``, and what its outputs share."""
    results = two_scans(folder)
    shared = [shared_by(result, phi=phi) for result in results]
    a, b = (
        replace(scan_of_result(result_json(result)), day=date(year, 3, 1))
        for result, year in zip(results, (2020, 2022), strict=True)
    )
    one, other = shared
    assert isinstance(one, ScoredShared)
    assert isinstance(other, ScoredShared)
    return compare_scans(a, b, terms or Terms(limits=LIMITS)), (one, other)
