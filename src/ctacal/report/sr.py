"""A scored study's numbers as a Comprehensive 3D SR (PS3.16 TID 1500), made by highdicom.

Each vessel with calcium has a group that refers to its segment in the SEG (TID 1411); one more group has the total
(TID 1501). Every group names the kind of scan that its numbers come from. The report is unverified and preliminary: a
reader signs it in the PACS. The report of a reader who signed in the reading room is verified and final.
"""

from datetime import UTC
from typing import TYPE_CHECKING, Any

from pydicom import Dataset
from pydicom.uid import UID

from ctacal.dicom.objects.codes import ABNORMAL, AGATSTON_SCORE, CALCIFICATION, REGIONS, Concept
from ctacal.dicom.objects.origin import finish
from ctacal.errors import Code
from ctacal.labels import Calcium
from ctacal.report.filing import SOFTWARE, Filing
from ctacal.report.montage import slices_shown
from ctacal.report.predecessor import Predecessor
from ctacal.report.readers import SR_NUMBER, ReaderOf
from ctacal.report.seg import labels_held
from ctacal.result import NOTICE, ScoredStudy
from ctacal.scores import Tally

if TYPE_CHECKING:
    from highdicom import sr

PRIVATE_SCHEME = "99CTACAL"
SERIES_NUMBER = 7002


def _dcm(code: str, meaning: str) -> Concept:
    """Return a concept of DICOM's own scheme (PS3.16 annex D)."""
    return Concept(code, meaning, "DCM")


"""SNOMED CT; no LOINC code for a quantitative Agatston score is known."""
VOLUME = _dcm("122660", "Calcium Volume")
MASS = _dcm("122661", "Calcium Mass")
THRESHOLD = _dcm("122657", "Agatston Score Threshold")
METHODS = {
    AGATSTON_SCORE: _dcm("112055", "Agatston scoring method"),
    VOLUME: _dcm("112056", "Volume scoring method"),
    MASS: _dcm("112057", "Mass scoring method"),
}
UNITS = {
    AGATSTON_SCORE: Concept("1", "no units", "UCUM"),
    VOLUME: Concept("mm3", "cubic millimeter", "UCUM"),
    MASS: Concept("mg", "milligram", "UCUM"),
    THRESHOLD: Concept("[hnsf'U]", "Hounsfield unit", "UCUM"),
}
REPORT = _dcm("126000", "Imaging Measurement Report")
PROCEDURE = Concept("25045-6", "CT unspecified body region", "LN")
ANALYSIS = _dcm("122603", "Calcium Scoring Analysis")
_DEVICE = _dcm("121007", "Device")
_PERSON = _dcm("121006", "Person")
COMMENT = _dcm("121106", "Comment")
_PURPOSE = Concept("PURPOSE", "Purpose of the CT", PRIVATE_SCHEME)
_FOR_CORRECTION = _dcm("122403", "For Attenuation Correction")
_ACQUISITION = Concept("ACQUISITION", "Acquisition", PRIVATE_SCHEME)
_NON_GATED = Concept("NON_GATED", "Non-gated low-dose CTAC: not equal to a gated score", PRIVATE_SCHEME)
_GATED = Concept("CALCIUM_SCAN", "Dedicated calcium-score CT, not a CTAC", PRIVATE_SCHEME)
_UNKNOWN = Concept("NOT_MARKED", "CT of unknown purpose, assumed to be non-gated", PRIVATE_SCHEME)
_CATEGORY = Concept("CATEGORY", "Calcium category", PRIVATE_SCHEME)

MAX_COMMENT = 1024
"""Longest comment, in characters."""


def measurement_report(
    filing: Filing, segmentation: Dataset, reader: ReaderOf | None = None, *, predecessor: Predecessor | None = None
) -> Dataset:
    """Return the SR of a scored study whose SEG is ``segmentation``; ``reader`` is who drew it, if a person did.

    ``predecessor`` is the SR of this study that was sent last. If the new one would be equal to it, it is that one
    again, under the same UID.
    """
    from highdicom import sr
    from highdicom.coding_schemes import CodingSchemeIdentificationItem

    if predecessor and _uid(filing, "instance", predecessor.before) == predecessor.sop_instance_uid:
        predecessor = predecessor.before
    scheme = CodingSchemeIdentificationItem(
        PRIVATE_SCHEME, name="Private codes of ctacal", responsible_organization="ctacal"
    )
    report = sr.Comprehensive3DSR(
        evidence=[*filing.images, segmentation],
        content=_content(filing, segmentation, reader),
        series_instance_uid=_uid(filing, "series", predecessor),
        series_number=SR_NUMBER if reader else SERIES_NUMBER,
        sop_instance_uid=_uid(filing, "instance", predecessor),
        instance_number=1,
        manufacturer="ctacal",
        manufacturer_model_name="ctacal",
        software_versions=SOFTWARE,
        device_serial_number="0",
        series_description=f"Coronary calcium score, non-gated low-dose CTAC{reader.suffix if reader else ''}"[:64],
        is_complete=True,
        **_verification(reader),
        performed_procedure_codes=[ANALYSIS.coded()],
        coding_schemes=[scheme],
        previous_versions=[predecessor.reference()] if predecessor else None,
    )
    finish(report, filing.first)
    if reader and reader.signed:
        verifier = report.VerifyingObserverSequence[0]
        verifier.VerificationDateTime = reader.signed.astimezone(UTC).strftime("%Y%m%d%H%M%S+0000")
    return report


def _uid(filing: Filing, what: str, predecessor: Predecessor | None) -> UID:
    """Return the UID of the SR or of its series; a report that names another predecessor is another report."""
    return filing.uid("sr", what, *([predecessor.sop_instance_uid] if predecessor else []))


def _verification(reader: ReaderOf | None) -> dict[str, Any]:
    """Return what says that a person stands by the report (PS3.3 C.17.2); nothing if nobody signed."""
    if reader is None or reader.signed is None:
        return {}
    return {
        "is_verified": True,
        "is_final": True,
        "verifying_observer_name": reader.name,
        "verifying_organization": reader.organisation,
    }


def _content(filing: Filing, segmentation: Dataset, reader: ReaderOf | None) -> "sr.MeasurementReport":
    """Return the content tree (TID 1500)."""
    from highdicom import sr

    vessels = list(enumerate(labels_held(filing), 1)) if holds_calcium(filing) else []
    groups = [_vessel_group(filing, segmentation, number, label) for number, label in vessels]
    return sr.MeasurementReport(
        observation_context=sr.ObservationContext(
            observer_person_context=_person(reader) if reader else None, observer_device_context=observer(filing)
        ),
        procedure_reported=[PROCEDURE.coded()],
        imaging_measurements=[*groups, _total_group(filing)],
        title=REPORT.coded(),
    )


def holds_calcium(filing: Filing) -> bool:
    """Whether the SEG shows any calcium; if not, its one frame is empty."""
    return bool(filing.result.scan.labels.labels.any())


def observer(filing: Filing) -> "sr.ObserverContext":
    """Return the program as a device (TID 1004)."""
    from highdicom import sr

    model = filing.result.model
    return sr.ObserverContext(
        observer_type=sr.CodedConcept.from_code(_DEVICE.coded()),
        observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
            uid=filing.uid("device"),
            name="ctacal",
            manufacturer_name="ctacal",
            model_name=f"{model.name} {model.version}"[:64],
            serial_number=model.digest,
        ),
    )


def _person(reader: ReaderOf) -> "sr.ObserverContext":
    """Return the reader as a person (TID 1003)."""
    from highdicom import sr

    return sr.ObserverContext(
        observer_type=sr.CodedConcept.from_code(_PERSON.coded()),
        observer_identifying_attributes=sr.PersonObserverIdentifyingAttributes(name=reader.name),
    )


def _vessel_group(
    filing: Filing, segmentation: Dataset, number: int, label: Calcium
) -> "sr.VolumetricROIMeasurementsAndQualitativeEvaluations":
    """Return the measurements of a vessel, tied to segment ``number`` of the SEG (TID 1411)."""
    from highdicom import sr

    scores = filing.result.scores
    quantities = [(AGATSTON_SCORE, scores.agatston), (VOLUME, scores.volume_mm3), (MASS, scores.mass_mg)]
    if label is Calcium.OTHER:
        quantities = quantities[1:]  # the Agatston score is defined for coronary calcium only
    return sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=filing.tracking_uid(label.name), identifier=label.name),
        referenced_segment=sr.ReferencedSegment(
            sop_class_uid=segmentation.SOPClassUID,
            sop_instance_uid=segmentation.SOPInstanceUID,
            segment_number=number,
            source_series=sr.SourceSeriesForSegmentation(filing.first.SeriesInstanceUID),
        ),
        finding_category=ABNORMAL.coded(),
        finding_type=CALCIFICATION.coded(),
        finding_sites=[sr.FindingSite(REGIONS[label].coded())],
        measurements=[_measurement(name, _of(tally, label)) for name, tally in quantities if tally],
        qualitative_evaluations=acquisition(filing.result),
    )


def _total_group(filing: Filing) -> "sr.MeasurementsAndQualitativeEvaluations":
    """Return the measurements in total (TID 1501)."""
    from highdicom import sr

    result = filing.result
    group = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=filing.tracking_uid("total"), identifier="TOTAL"),
        finding_category=ABNORMAL.coded(),
        finding_type=CALCIFICATION.coded(),
        algorithm_id=algorithm(result),
        finding_sites=[sr.FindingSite(REGIONS[Calcium.CORONARY].coded())],
        measurements=totals(result),
        qualitative_evaluations=[*acquisition(result), category(result.scores.category)],
        source_images=sources(filing),
    )
    for comment in (NOTICE, *map(str, result.reasons)):
        item = sr.TextContentItem(COMMENT.coded(), comment[:MAX_COMMENT], relationship_type="CONTAINS")
        group[0].ContentSequence.append(item)
    return group


def totals(result: ScoredStudy) -> "list[sr.Measurement]":
    """Return the coronary totals, and the threshold that they were measured with."""
    scores = result.scores
    found = {AGATSTON_SCORE: scores.agatston.total, VOLUME: scores.volume_mm3.total}
    if scores.mass_mg:
        found[MASS] = scores.mass_mg.total
    found[THRESHOLD] = scores.rule.threshold_hu
    return [_measurement(name, value) for name, value in found.items()]


def sources(filing: Filing) -> "list[sr.SourceImageForMeasurementGroup]":
    """Return the slices of the montage as sources; all slices of a scan would take highdicom a second."""
    from highdicom.sr import SourceImageForMeasurementGroup as Source

    scan, first = filing.result.scan, filing.first
    shown = [filing.stack.slices[k] for k in sorted(slices_shown(scan, filing.result.scores.rule))]
    slices = [image for image in shown if image]
    if "NumberOfFrames" in first:
        return [Source(first.SOPClassUID, first.SOPInstanceUID, [image.frame + 1 for image in slices])]
    return [Source(first.SOPClassUID, image.sop_instance_uid) for image in slices]


def _of(tally: Tally, label: Calcium) -> float:
    return tally.other if label is Calcium.OTHER else tally.per_vessel[label.name]


def _measurement(name: Concept, value: float) -> "sr.Measurement":
    from highdicom.sr import Measurement

    method = METHODS.get(name)
    return Measurement(
        name=name.coded(), value=float(value), unit=UNITS[name].coded(), method=method.coded() if method else None
    )


def algorithm(result: ScoredStudy) -> "sr.AlgorithmIdentification":
    """Return the model and the rule (TID 4019)."""
    from highdicom.sr import AlgorithmIdentification

    model = result.model
    parameters = [f"scoring rule {result.rule.name}", f"model digest SHA-256 {model.digest}"]
    return AlgorithmIdentification(name=model.name, version=model.version, parameters=parameters)


def acquisition(result: ScoredStudy) -> "list[sr.QualitativeEvaluation]":
    """Return the kind of scan; each group has it, so that no number is taken for a gated score."""
    codes = {reason.code for reason in result.reasons}
    if Code.GATED_CALCIUM_SCAN in codes:
        return [evaluation(_ACQUISITION, _GATED)]
    if Code.NOT_MARKED_CTAC in codes:
        return [evaluation(_ACQUISITION, _UNKNOWN)]
    return [evaluation(_PURPOSE, _FOR_CORRECTION), evaluation(_ACQUISITION, _NON_GATED)]


def category(name: str) -> "sr.QualitativeEvaluation":
    """Return the category of the score."""
    return evaluation(_CATEGORY, Concept(name, f"Agatston score {name}", PRIVATE_SCHEME))


def evaluation(name: Concept, value: Concept) -> "sr.QualitativeEvaluation":
    """Return a coded finding with its coded value."""
    from highdicom.sr import QualitativeEvaluation

    return QualitativeEvaluation(name.coded(), value.coded())
