"""A scored study's numbers as Comprehensive 3D SR (PS3.16 TID 1500); the object is that which highdicom makes.

A group for each vessel with calcium, tied to its segment in the SEG (TID 1411), and one for the total (TID 1501). Every
group says what kind of scan its numbers come from. Unverified and preliminary: a reader signs in the PACS.
"""

from pydicom import Dataset
from pydicom.uid import Comprehensive3DSRStorage

from ctacal.dicom.codes import ABNORMAL, CALCIFICATION, REGIONS, Concept
from ctacal.dicom.origin import Identity, derived_object, reference_to
from ctacal.errors import Code
from ctacal.labels import Calcium
from ctacal.report import sr_items as item
from ctacal.report.filing import SERIES_NUMBERS, SOFTWARE, Filing
from ctacal.report.montage import slices_shown
from ctacal.report.seg import labels_held
from ctacal.report.sr_items import dcm
from ctacal.result import NOTICE, ScoredStudy
from ctacal.scores import Tally

PRIVATE_SCHEME = "99CTACAL"

AGATSTON = Concept("450360000", "Coronary artery calcium score")
VOLUME = dcm("122660", "Calcium Volume")
MASS = dcm("122661", "Calcium Mass")
THRESHOLD = dcm("122657", "Agatston Score Threshold")
_METHODS = {
    AGATSTON: dcm("112055", "Agatston scoring method"),
    VOLUME: dcm("112056", "Volume scoring method"),
    MASS: dcm("112057", "Mass scoring method"),
}
_UNITS = {
    AGATSTON: Concept("1", "no units", "UCUM"),
    VOLUME: Concept("mm3", "cubic millimeter", "UCUM"),
    MASS: Concept("mg", "milligram", "UCUM"),
    THRESHOLD: Concept("[hnsf'U]", "Hounsfield unit", "UCUM"),
}
"""No LOINC code for a quantitative Agatston score is known."""

_COMMENT = dcm("121106", "Comment")
_PURPOSE = Concept("PURPOSE", "Purpose of the CT", PRIVATE_SCHEME)
_FOR_CORRECTION = dcm("122403", "For Attenuation Correction")
_ACQUISITION = Concept("ACQUISITION", "Acquisition", PRIVATE_SCHEME)
_NON_GATED = Concept("NON_GATED", "Non-gated low-dose CTAC: not equal to a gated score", PRIVATE_SCHEME)
_GATED = Concept("CALCIUM_SCAN", "Dedicated calcium-score CT, not a CTAC", PRIVATE_SCHEME)
_UNKNOWN = Concept("NOT_MARKED", "CT of untold purpose, taken for non-gated", PRIVATE_SCHEME)
_CATEGORY = Concept("CATEGORY", "Calcium category", PRIVATE_SCHEME)


def measurement_report(filing: Filing, segmentation: Dataset) -> Dataset:
    """The SR of a scored study whose SEG is ``segmentation``."""
    report = derived_object(
        filing.first,
        Identity(
            sop_class=Comprehensive3DSRStorage,
            modality="SR",
            instance_uid=filing.uid("sr", "instance"),
            series_uid=filing.uid("sr", "series"),
            series_number=SERIES_NUMBERS["sr"],
            description="Coronary calcium score, non-gated low-dose CTAC",
            software=SOFTWARE,
        ),
    )
    report.CompletionFlag, report.PreliminaryFlag, report.VerificationFlag = "COMPLETE", "PRELIMINARY", "UNVERIFIED"
    report.ReferencedPerformedProcedureStepSequence = []
    report.PerformedProcedureCodeSequence = [dcm("122603", "Calcium Scoring Analysis").coded()]
    report.CurrentRequestedProcedureEvidenceSequence = [item.evidence([*filing.images, segmentation])]
    scheme = Dataset()
    scheme.CodingSchemeDesignator, scheme.CodingSchemeName = PRIVATE_SCHEME, "Private codes of ctacal"
    scheme.CodingSchemeResponsibleOrganization = "ctacal"
    report.CodingSchemeIdentificationSequence = [scheme]
    report.update(_content(filing, segmentation))
    return report


def _content(filing: Filing, segmentation: Dataset) -> Dataset:
    """TID 1500 with the language (TID 1204), the observer (TID 1002) and the groups."""
    language = Concept("en-US", "English (United States)", "RFC5646")
    procedure = Concept("25045-6", "CT unspecified body region", "LN")
    groups = [
        _vessel_group(filing, segmentation, n, label)
        for n, label in enumerate(labels_held(filing), 1)
        if holds_calcium(filing)
    ]
    items = [
        item.coded(dcm("121049", "Language of Content Item and Descendants"), language, "HAS CONCEPT MOD"),
        *_observer(filing),
        item.coded(dcm("121058", "Procedure reported"), procedure, "HAS CONCEPT MOD"),
        item.container(dcm("126010", "Imaging Measurements"), [*groups, _total_group(filing)]),
    ]
    return item.container(dcm("126000", "Imaging Measurement Report"), items, relationship=None, template="1500")


def holds_calcium(filing: Filing) -> bool:
    """Whether the SEG shows anything: without calcium its one frame is empty."""
    return bool(filing.result.scan.labels.labels.any())


def _observer(filing: Filing) -> list[Dataset]:
    """The program as a device (TID 1004)."""
    model = filing.result.model
    return [
        item.coded(dcm("121005", "Observer Type"), dcm("121007", "Device"), "HAS OBS CONTEXT"),
        item.uid(dcm("121012", "Device Observer UID"), filing.uid("device"), "HAS OBS CONTEXT"),
        item.text(dcm("121013", "Device Observer Name"), "ctacal", "HAS OBS CONTEXT"),
        item.text(dcm("121014", "Device Observer Manufacturer"), "ctacal", "HAS OBS CONTEXT"),
        item.text(dcm("121015", "Device Observer Model Name"), f"{model.name} {model.version}"[:64], "HAS OBS CONTEXT"),
        item.text(dcm("121016", "Device Observer Serial Number"), model.digest, "HAS OBS CONTEXT"),
    ]


def _vessel_group(filing: Filing, segmentation: Dataset, number: int, label: Calcium) -> Dataset:
    """TID 1411."""
    scores = filing.result.scores
    quantities = [(AGATSTON, scores.agatston), (VOLUME, scores.volume_mm3), (MASS, scores.mass_mg)]
    if label is Calcium.OTHER:
        quantities = quantities[1:]  # an Agatston score is one of coronary calcium
    segment = reference_to(segmentation)
    segment.ReferencedSegmentNumber = number
    items = [
        *_finding(filing, label.name, label),
        *(_measurement(name, _of(tally, label)) for name, tally in quantities if tally),
        *_acquisition(filing.result),
        item.image(dcm("121191", "Referenced Segment"), segment),
        item.uid(dcm("121232", "Source Series for Segmentation"), filing.first.SeriesInstanceUID),
    ]
    return item.container(_GROUP, items, template="1411")


def _total_group(filing: Filing) -> Dataset:
    """TID 1501."""
    result = filing.result
    scores = result.scores
    measurements = [_measurement(AGATSTON, scores.agatston.total), _measurement(VOLUME, scores.volume_mm3.total)]
    if scores.mass_mg:
        measurements.append(_measurement(MASS, scores.mass_mg.total))
    measurements.append(_measurement(THRESHOLD, scores.rule.threshold_hu))
    items = [
        *_finding(filing, "total", Calcium.CORONARY),
        *_algorithm(result),
        *measurements,
        *_acquisition(result),
        _category(scores.category),
        *_sources(filing),
        *(item.text(_COMMENT, comment[:1024]) for comment in (NOTICE, *map(str, result.reasons))),
    ]
    return item.container(_GROUP, items, template="1501")


_GROUP = dcm("125007", "Measurement Group")


def _finding(filing: Filing, name: str, label: Calcium) -> list[Dataset]:
    """What a group measures, and where that lies."""
    return [
        item.text(dcm("112039", "Tracking Identifier"), name.upper(), "HAS OBS CONTEXT"),
        item.uid(dcm("112040", "Tracking Unique Identifier"), filing.tracking_uid(name), "HAS OBS CONTEXT"),
        item.coded(Concept("276214006", "Finding category"), ABNORMAL),
        item.coded(dcm("121071", "Finding"), CALCIFICATION),
        item.coded(Concept("363698007", "Finding Site"), REGIONS[label], "HAS CONCEPT MOD"),
    ]


def _sources(filing: Filing) -> list[Dataset]:
    """The slices of the montage: those that score, or some of the heart."""
    scan, scores = filing.result.scan, filing.result.scores
    slices = [one for k in sorted(slices_shown(scan, scores.rule)) if (one := filing.stack.slices[k])]
    if "NumberOfFrames" in filing.first:
        reference = reference_to(filing.first)
        reference.ReferencedFrameNumber = [one.frame + 1 for one in slices]
        return [item.image(_SOURCE, reference)]
    images = {image.SOPInstanceUID: image for image in filing.images}
    return [item.image(_SOURCE, reference_to(images[one.sop_instance_uid])) for one in slices]


_SOURCE = dcm("121112", "Source of Measurement")


def _of(tally: Tally, label: Calcium) -> float:
    return tally.other if label is Calcium.OTHER else tally.per_vessel[label.name]


def _measurement(name: Concept, value: float) -> Dataset:
    return item.number(name, value, _UNITS[name], _METHODS.get(name))


def _algorithm(result: ScoredStudy) -> list[Dataset]:
    """TID 4019."""
    model, rule = result.model, result.rule
    told = [
        (dcm("111001", "Algorithm Name"), model.name),
        (dcm("111003", "Algorithm Version"), model.version),
        (dcm("111002", "Algorithm Parameters"), f"scoring rule {rule.name}"),
        (dcm("111002", "Algorithm Parameters"), f"model digest SHA-256 {model.digest}"),
    ]
    return [item.text(name, value, "HAS CONCEPT MOD") for name, value in told]


def _acquisition(result: ScoredStudy) -> list[Dataset]:
    """What kind of scan the numbers come from, in each group, so that none is taken for a gated score."""
    codes = {reason.code for reason in result.reasons}
    if Code.GATED_CALCIUM_SCAN in codes:
        return [item.coded(_ACQUISITION, _GATED)]
    if Code.NOT_MARKED_CTAC in codes:
        return [item.coded(_ACQUISITION, _UNKNOWN)]
    return [item.coded(_PURPOSE, _FOR_CORRECTION), item.coded(_ACQUISITION, _NON_GATED)]


def _category(category: str) -> Dataset:
    return item.coded(_CATEGORY, Concept(category, f"Agatston score {category}", PRIVATE_SCHEME))
