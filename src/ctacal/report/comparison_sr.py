"""A comparison as a Comprehensive 3D SR (PS3.16 TID 1500), filed with the later study, that refers to both.

The totals of each scan make a group with its time point (TID 1502); one more group has the changes of the totals, the
verdict and its reasons; each vessel with calcium has one for its change. The earlier study's images are named in the
Pertinent Other Evidence Sequence (PS3.3 C.17.2).
"""

import hashlib
import json
from typing import TYPE_CHECKING

from pydicom import Dataset
from pydicom.uid import UID

from ctacal.compare.comparison import Comparison, Verdict
from ctacal.compare.comparison_json import NOTICE, comparison_json
from ctacal.compare.measures import Change
from ctacal.dicom.objects.codes import ABNORMAL, AGATSTON_SCORE, CALCIFICATION, REGIONS, Concept
from ctacal.dicom.objects.origin import derived_uid, finish
from ctacal.errors import Code, Refusal
from ctacal.labels import Calcium
from ctacal.report.comparison_words import flag, verdict_line
from ctacal.report.filing import SOFTWARE, Filing
from ctacal.report.sr import (
    ANALYSIS,
    COMMENT,
    MASS,
    MAX_COMMENT,
    METHODS,
    PRIVATE_SCHEME,
    PROCEDURE,
    REPORT,
    UNITS,
    VOLUME,
    acquisition,
    algorithm,
    category,
    evaluation,
    observer,
    sources,
    totals,
)

if TYPE_CHECKING:
    from highdicom import sr

SERIES_NUMBER = 7005

_QUANTITIES = {"agatston": AGATSTON_SCORE, "volume_mm3": VOLUME, "mass_mg": MASS}
_PERCENT = Concept("%", "percent", "UCUM")
_NO_UNIT = Concept("1", "no units", "UCUM")
_VERDICT = Concept("VERDICT", "Change against the limits of repeatability", PRIVATE_SCHEME)
_VERDICTS = {
    Verdict.WITHIN: Concept("WITHIN", "Within the limits of repeatability", PRIVATE_SCHEME),
    Verdict.BEYOND: Concept("BEYOND", "Beyond the limits of repeatability", PRIVATE_SCHEME),
    Verdict.NOT_COMPARABLE: Concept("NOT_COMPARABLE", "Not comparable", PRIVATE_SCHEME),
}
_CHANGE = Concept("CHANGE", "Change from the earlier scan", PRIVATE_SCHEME)
_PER_CENT_CHANGE = Concept("CHANGE_PERCENT", "Change in per cent of the earlier scan", PRIVATE_SCHEME)
_ROOT_CHANGE = Concept("CHANGE_ROOT", "Difference of the square roots", PRIVATE_SCHEME)
_ANNUAL_CHANGE = Concept("CHANGE_YEAR", "Change a year", PRIVATE_SCHEME)
_BASELINE = Concept("121079", "Baseline", "DCM")


def comparison_report(comparison: Comparison, a: Filing, b: Filing) -> Dataset:
    """Return the SR; ``a`` and ``b`` file the earlier and the later scan.

    Raises ``Refusal`` (``OUTPUT_NOT_WRITTEN``) if an image of both scans has the same UID.
    """
    from highdicom import sr
    from highdicom.coding_schemes import CodingSchemeIdentificationItem

    if {image.SOPInstanceUID for image in a.images} & {image.SOPInstanceUID for image in b.images}:
        raise Refusal(Code.OUTPUT_NOT_WRITTEN, "both scans hold the same images, so an SR cannot tell them apart")
    scheme = CodingSchemeIdentificationItem(
        PRIVATE_SCHEME, name="Private codes of ctacal", responsible_organization="ctacal"
    )
    report = sr.Comprehensive3DSR(
        evidence=[*b.images, *a.images],
        content=_content(comparison, a, b),
        series_instance_uid=_uid(comparison, a, b, "series"),
        series_number=SERIES_NUMBER,
        sop_instance_uid=_uid(comparison, a, b, "instance"),
        instance_number=1,
        manufacturer="ctacal",
        manufacturer_model_name="ctacal",
        software_versions=SOFTWARE,
        device_serial_number="0",
        series_description="Coronary calcium, compared with an earlier CTAC",
        is_complete=True,
        performed_procedure_codes=[ANALYSIS.coded()],
        coding_schemes=[scheme],
    )
    finish(report, b.first)
    return report


def _uid(comparison: Comparison, a: Filing, b: Filing, what: str) -> UID:
    """Return a UID that is the same for the same comparison."""
    content = hashlib.sha256(json.dumps(comparison_json(comparison), sort_keys=True).encode()).hexdigest()
    return derived_uid("comparison", what, a.identity, b.identity, content)


def _content(comparison: Comparison, a: Filing, b: Filing) -> "sr.MeasurementReport":
    from highdicom import sr

    vessels = comparison.changes["agatston"].per_vessel
    held = [name for name, change in vessels.items() if change.before or change.after]
    return sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=observer(b)),
        procedure_reported=[PROCEDURE.coded()],
        imaging_measurements=[
            _scan_group(comparison, a, 1),
            _scan_group(comparison, b, 2),
            _change_group(comparison, b),
            *(_vessel_group(comparison, b, name) for name in held),
        ],
        title=REPORT.coded(),
    )


def _scan_group(comparison: Comparison, filing: Filing, order: int) -> "sr.MeasurementsAndQualitativeEvaluations":
    """Return the totals of one scan at its time point (TID 1501, 1502)."""
    from highdicom import sr

    result = filing.result
    scan = (comparison.a, comparison.b)[order - 1]
    name = ("earlier scan", "later scan")[order - 1]
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=filing.tracking_uid("total"), identifier="TOTAL"),
        finding_category=ABNORMAL.coded(),
        finding_type=CALCIFICATION.coded(),
        algorithm_id=algorithm(result),
        finding_sites=[sr.FindingSite(REGIONS[Calcium.CORONARY].coded())],
        time_point_context=sr.TimePointContext(
            time_point=f"{name} {scan.day.isoformat()}" if scan.day else name,
            time_point_type=_BASELINE.coded() if order == 1 else None,
            time_point_order=order,
        ),
        measurements=totals(result),
        qualitative_evaluations=[*acquisition(result), category(result.scores.category)],
        source_images=sources(filing),
    )


def _change_group(comparison: Comparison, b: Filing) -> "sr.MeasurementsAndQualitativeEvaluations":
    """Return the changes of the totals, with the verdict, and the reasons as comments."""
    from highdicom import sr

    measurements = []
    for name, concept in _QUANTITIES.items():
        if change := comparison.changes.get(name):
            measurements += _changes(concept, change.total)
    group = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=b.uid("comparison", "change"), identifier="CHANGE"),
        finding_category=ABNORMAL.coded(),
        finding_type=CALCIFICATION.coded(),
        finding_sites=[sr.FindingSite(REGIONS[Calcium.CORONARY].coded())],
        measurements=measurements,
        qualitative_evaluations=[evaluation(_VERDICT, _VERDICTS[comparison.verdict])],
    )
    sentences = [verdict_line(comparison), *(": ".join(flag(reason)) for reason in comparison.reasons), NOTICE]
    for sentence in sentences:
        item = sr.TextContentItem(COMMENT.coded(), sentence[:MAX_COMMENT], relationship_type="CONTAINS")
        group[0].ContentSequence.append(item)
    return group


def _vessel_group(comparison: Comparison, b: Filing, name: str) -> "sr.MeasurementsAndQualitativeEvaluations":
    from highdicom import sr

    changes = [
        measurement
        for quantity, concept in _QUANTITIES.items()
        if quantity in comparison.changes and name in comparison.changes[quantity].per_vessel
        for measurement in _changes(concept, comparison.changes[quantity].per_vessel[name])
    ]
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=b.uid("comparison", name), identifier=f"CHANGE {name}"),
        finding_category=ABNORMAL.coded(),
        finding_type=CALCIFICATION.coded(),
        finding_sites=[sr.FindingSite(REGIONS[Calcium[name]].coded())],
        measurements=changes,
    )


def _changes(name: Concept, change: Change) -> "list[sr.Measurement]":
    """Return the measures of one quantity's change that are known."""
    from highdicom.sr import Measurement

    method = METHODS.get(name)
    measures = (
        (_CHANGE, change.absolute, UNITS[name]),
        (_ANNUAL_CHANGE, change.per_year, UNITS[name]),
        (_PER_CENT_CHANGE, change.percent, _PERCENT),
        (_ROOT_CHANGE, change.square_root, _NO_UNIT),
    )
    return [
        Measurement(
            name=name.coded(),
            value=float(value),
            unit=unit.coded(),
            derivation=derivation.coded(),
            method=method.coded() if method else None,
        )
        for derivation, value, unit in measures
        if value is not None
    ]
