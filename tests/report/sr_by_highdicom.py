"""The SR of a scored study as highdicom makes it: what ``report/sr.py`` is compared with."""

from typing import Any

from highdicom import sr
from highdicom.coding_schemes import CodingSchemeIdentificationItem
from pydicom import Dataset
from pydicom.sr.coding import Code

from ctacal.dicom.codes import ABNORMAL, CALCIFICATION, REGIONS
from ctacal.dicom.origin import make_repeatable
from ctacal.errors import Code as ReasonCode
from ctacal.labels import Calcium
from ctacal.report.filing import SERIES_NUMBERS, SOFTWARE, Filing
from ctacal.report.montage import slices_shown
from ctacal.report.seg import labels_held
from ctacal.result import NOTICE, ScoredStudy
from ctacal.scores import Tally
from tests.by_highdicom import code

PRIVATE_SCHEME = "99CTACAL"

AGATSTON = Code("450360000", "SCT", "Coronary artery calcium score")
VOLUME = Code("122660", "DCM", "Calcium Volume")
MASS = Code("122661", "DCM", "Calcium Mass")
THRESHOLD = Code("122657", "DCM", "Agatston Score Threshold")
_METHODS = {
    AGATSTON: Code("112055", "DCM", "Agatston scoring method"),
    VOLUME: Code("112056", "DCM", "Volume scoring method"),
    MASS: Code("112057", "DCM", "Mass scoring method"),
}
_UNITS = {
    AGATSTON: Code("1", "UCUM", "no units"),
    VOLUME: Code("mm3", "UCUM", "cubic millimeter"),
    MASS: Code("mg", "UCUM", "milligram"),
    THRESHOLD: Code("[hnsf'U]", "UCUM", "Hounsfield unit"),
}
"""No LOINC code for a quantitative Agatston score is known."""

_REPORT = Code("126000", "DCM", "Imaging Measurement Report")
_PROCEDURE = Code("25045-6", "LN", "CT unspecified body region")
_ANALYSIS = Code("122603", "DCM", "Calcium Scoring Analysis")
_COMMENT = Code("121106", "DCM", "Comment")
_PURPOSE = Code("PURPOSE", PRIVATE_SCHEME, "Purpose of the CT")
_FOR_CORRECTION = Code("122403", "DCM", "For Attenuation Correction")
_ACQUISITION = Code("ACQUISITION", PRIVATE_SCHEME, "Acquisition")
_NON_GATED = Code("NON_GATED", PRIVATE_SCHEME, "Non-gated low-dose CTAC: not equal to a gated score")
_GATED = Code("CALCIUM_SCAN", PRIVATE_SCHEME, "Dedicated calcium-score CT, not a CTAC")
_UNKNOWN = Code("NOT_MARKED", PRIVATE_SCHEME, "CT of untold purpose, taken for non-gated")
_CATEGORY = Code("CATEGORY", PRIVATE_SCHEME, "Calcium category")


def measurement_report(filing: Filing, segmentation: Dataset) -> Dataset:
    """The SR of a scored study whose SEG is ``segmentation``."""
    groups = [
        _vessel_group(filing, segmentation, n, label)
        for n, label in enumerate(labels_held(filing), 1)
        if holds_calcium(filing)
    ]
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=_observer(filing)),
        procedure_reported=[_PROCEDURE],
        imaging_measurements=[*groups, _total_group(filing)],
        title=_REPORT,
    )
    report: Dataset = sr.Comprehensive3DSR(
        evidence=[*filing.images, segmentation],
        content=content,
        series_instance_uid=filing.uid("sr", "series"),
        series_number=SERIES_NUMBERS["sr"],
        sop_instance_uid=filing.uid("sr", "instance"),
        instance_number=1,
        manufacturer="ctacal",
        manufacturer_model_name="ctacal",
        software_versions=SOFTWARE,
        device_serial_number="0",
        series_description="Coronary calcium score, non-gated low-dose CTAC",
        is_complete=True,
        performed_procedure_codes=[_ANALYSIS],
        coding_schemes=[
            CodingSchemeIdentificationItem(
                PRIVATE_SCHEME, name="Private codes of ctacal", responsible_organization="ctacal"
            )
        ],
    )
    make_repeatable(report, filing.first)
    return report


def holds_calcium(filing: Filing) -> bool:
    """Whether the SEG shows anything: without calcium its one frame is empty."""
    scan = filing.result.scan
    return scan is not None and bool(scan.labels.labels.any())


def _observer(filing: Filing) -> Any:
    model = filing.result.model
    assert model is not None
    return sr.ObserverContext(
        observer_type=sr.CodedConcept("121007", "DCM", "Device"),
        observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
            uid=filing.uid("device"),
            name="ctacal",
            manufacturer_name="ctacal",
            model_name=f"{model.name} {model.version}"[:64],
            serial_number=model.digest,
        ),
    )


def _vessel_group(filing: Filing, segmentation: Dataset, number: int, label: Calcium) -> Any:
    scores = filing.result.scores
    quantities = [(AGATSTON, scores.agatston), (VOLUME, scores.volume_mm3), (MASS, scores.mass_mg)]
    if label is Calcium.OTHER:
        quantities = quantities[1:]  # an Agatston score is one of coronary calcium
    return sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=filing.tracking_uid(label.name), identifier=label.name),
        referenced_segment=sr.ReferencedSegment(
            sop_class_uid=segmentation.SOPClassUID,
            sop_instance_uid=segmentation.SOPInstanceUID,
            segment_number=number,
            source_series=sr.SourceSeriesForSegmentation(filing.first.SeriesInstanceUID),
        ),
        finding_category=code(ABNORMAL),
        finding_type=code(CALCIFICATION),
        finding_sites=[sr.FindingSite(code(REGIONS[label]))],
        measurements=[_measurement(name, _of(tally, label)) for name, tally in quantities if tally],
        qualitative_evaluations=_acquisition(filing.result),
    )


def _total_group(filing: Filing) -> Any:
    result = filing.result
    scores = result.scores
    measurements = [_measurement(AGATSTON, scores.agatston.total), _measurement(VOLUME, scores.volume_mm3.total)]
    if scores.mass_mg:
        measurements.append(_measurement(MASS, scores.mass_mg.total))
    measurements.append(_measurement(THRESHOLD, scores.rule.threshold_hu))
    group = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=filing.tracking_uid("total"), identifier="TOTAL"),
        finding_category=code(ABNORMAL),
        finding_type=code(CALCIFICATION),
        algorithm_id=_algorithm(result),
        finding_sites=[sr.FindingSite(code(REGIONS[Calcium.CORONARY]))],
        measurements=measurements,
        qualitative_evaluations=[*_acquisition(result), _category(scores.category)],
        source_images=_sources(filing),
    )
    for comment in (NOTICE, *map(str, result.reasons)):
        group[0].ContentSequence.append(
            sr.TextContentItem(name=_COMMENT, value=comment[:1024], relationship_type="CONTAINS")
        )
    return group


def _sources(filing: Filing) -> list[Any]:
    """The slices of the montage: those that score, or some of the heart. All of a scan would cost a second."""
    scan, scores = filing.result.scan, filing.result.scores
    assert scan is not None and scores is not None
    shown = sorted(slices_shown(scan, scores.rule))
    if "NumberOfFrames" in filing.first:
        frames = [one.frame + 1 for one in (filing.stack.slices[k] for k in shown) if one]
        return [sr.SourceImageForMeasurementGroup(filing.first.SOPClassUID, filing.first.SOPInstanceUID, frames)]
    uids = [one.sop_instance_uid for one in (filing.stack.slices[k] for k in shown) if one]
    return [sr.SourceImageForMeasurementGroup(filing.first.SOPClassUID, uid) for uid in uids]


def _of(tally: Tally, label: Calcium) -> float:
    return tally.other if label is Calcium.OTHER else tally.per_vessel[label.name]


def _measurement(name: Code, value: float) -> Any:
    return sr.Measurement(name=name, value=float(value), unit=_UNITS[name], method=_METHODS.get(name))


def _algorithm(result: ScoredStudy) -> Any:
    model, rule = result.model, result.rule
    assert model is not None and rule is not None
    parameters = [f"scoring rule {rule.name}", f"model digest SHA-256 {model.digest}"]
    return sr.AlgorithmIdentification(name=model.name, version=model.version, parameters=parameters)


def _acquisition(result: ScoredStudy) -> list[Any]:
    """What kind of scan the numbers come from, in each group, so that none is taken for a gated score."""
    codes = {reason.code for reason in result.reasons}
    if ReasonCode.GATED_CALCIUM_SCAN in codes:
        return [sr.QualitativeEvaluation(_ACQUISITION, _GATED)]
    if ReasonCode.NOT_MARKED_CTAC in codes:
        return [sr.QualitativeEvaluation(_ACQUISITION, _UNKNOWN)]
    return [
        sr.QualitativeEvaluation(_PURPOSE, _FOR_CORRECTION),
        sr.QualitativeEvaluation(_ACQUISITION, _NON_GATED),
    ]


def _category(category: str) -> Any:
    return sr.QualitativeEvaluation(_CATEGORY, Code(category, PRIVATE_SCHEME, f"Agatston score {category}"))
