"""The words of a study's report. The HTML page and the PDF only arrange them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from ctacal import __version__
from ctacal.categories import CATEGORIES
from ctacal.errors import Code, Reason
from ctacal.labels import Calcium
from ctacal.percentile import MESA_RULES, SOURCE, mesa_reference
from ctacal.prediction import Uncertainty
from ctacal.report.vessels import FULL_NAMES
from ctacal.result import Acquisition, ScoredStudy, StudyResult
from ctacal.scores import Scores, Tally
from ctacal.subject import Subject
from ctacal.uncounted import Rest, TakenFor, UncountedIsland

TITLE = "Coronary artery calcium"
SUBTITLE = "measured on CT for attenuation correction (CTAC)"
RESEARCH_ONLY = "Research use only. Not a medical device."
NOT_GATED = "Non-gated, low-dose CTAC: not equal to a gated calcium score."
NOT_GIVEN = "not recorded"
"""Shown for what the headers leave empty."""

PERCENTILE_TITLE = "Compared with people of the same age and sex"
UNCERTAINTY_TITLE = "Uncertainty"
UNCOUNTED_TITLE = "Weighed and not counted"
FLAGS_TITLE = "Before you rely on this score"
SCAN_TITLE = "Scan"
METHOD_TITLE = "Method"
MEANING_TITLE = "What the score means"
INTENDED_USE_TITLE = "Intended use"
REFUSED_TITLE = "Not scored"
VESSEL_COLUMNS = ("Vessel", "Agatston", "Volume, mm³", "Mass, mg", "Lesions")
NOTHING_UNUSUAL = "No warnings."

CATEGORY_WORDS: Mapping[str, str] = MappingProxyType(
    {"0": "no calcium", "1-100": "mild", "101-400": "moderate", ">400": "extensive"}
)
"""The usual word for each category."""

INTENDED_USE = (
    "For research only. No regulatory authority has cleared this software, and it has not been validated in patients. "
    "Do not base patient care on this report. A physician must review the images; if images and score disagree, "
    "trust the images."
)
MEANING = (
    "The score was measured on a non-gated, low-dose CT that was acquired for attenuation correction of an emission "
    "scan. Heartbeat, breathing, noise and thick slices blur calcium. Small plaques can vanish, which makes the score "
    "lower than on a gated calcium scan; motion can show a plaque twice, which makes it higher. The score does not "
    "equal a gated calcium score, and a score of 0 does not exclude coronary calcium."
)

FLAG_TITLES: Mapping[Code, str] = MappingProxyType(
    {
        Code.INTERNAL_ERROR: "Part of the output is missing",
        Code.OUTPUT_NOT_WRITTEN: "Part of the output is missing",
        Code.NOT_MARKED_CTAC: "Not marked as a CT for attenuation correction",
        Code.SEVERAL_CANDIDATES: "Several series could be scored",
        Code.SECOND_CTAC: "A second CTAC in this study",
        Code.GATED_CALCIUM_SCAN: "A dedicated calcium-score scan",
        Code.SLICES_INTERPOLATED: "Missing slices were interpolated",
        Code.TILT_RESAMPLED: "Gantry tilt was removed by resampling",
        Code.DUPLICATES_DROPPED: "Duplicate slices were left out",
        Code.LOCALIZERS_DROPPED: "Localizer images were left out",
        Code.SERIES_SPLIT: "The series contained several reconstructions",
        Code.RESCALE_ASSUMED: "CT values were assumed",
        Code.LOSSY_COMPRESSION: "The images were compressed with loss",
        Code.HU_GAP: "CT values were altered",
        Code.RESCALE_VARIES: "The scaling of CT values differs between slices",
        Code.PIXELS_UNLIKE_HEADER: "The pixels differ from what their header says",
        Code.KVP_NOT_120: "Tube voltage is not 120 kVp",
        Code.THICK_SLICES: "Thick slices",
        Code.HIGH_NOISE: "Noisy scan",
        Code.SHARP_KERNEL: "Sharp reconstruction kernel",
        Code.HEART_CUT_OFF: "Part of the heart lies outside the scan",
        Code.CONTRAST_GIVEN: "Contrast medium",
        Code.CONTRAST_SEEN: "Contrast medium",
        Code.METAL_SEEN: "Metal in or near the heart",
        Code.MOTION_SEEN: "Motion",
        Code.NOISE_UNLIKE_TRAINING: "Noise differs from the training scans",
        Code.KERNEL_UNLIKE_TRAINING: "Reconstruction kernel differs from the training scans",
        Code.SLICES_UNLIKE_TRAINING: "Slices differ from the training scans",
        Code.PIXELS_UNLIKE_TRAINING: "Pixel size differs from the training scans",
        Code.FIELD_UNLIKE_TRAINING: "Field of view differs from the training scans",
        Code.BLOOD_UNLIKE_TRAINING: "CT values of blood differ from the training scans",
        Code.INCOMPLETE_SERIES: "Images may be missing",
        Code.SLICES_APART: "Gaps between the slices",
        Code.CONTENT_JUMP: "The image jumps between two slices",
        Code.PATIENT_DATA_DIFFER: "The patient's data differ between images",
        Code.UID_LEADING_ZERO: "UIDs against the standard",
        Code.POSITIONS_ROUNDED: "Slice positions are rounded",
        Code.LOSSY_COPIES_DROPPED: "Lossy copies were left out",
        Code.SCAN_JOINED: "The scan was put together from parts",
        Code.SCAN_GOES_ON: "The scan goes on in other images",
        Code.FILES_MISSING: "Files are missing",
        Code.COMPUTED_IMAGE: "The images may be computed from others",
        Code.CONTRAST_MENTIONED: "Contrast medium is mentioned",
        Code.SERIES_UNREADABLE: "Some files could not be read",
    }
)
"""Title of each warning; the reason's message follows it."""

Pairs = tuple[tuple[str, str], ...]


def pictures_title(result: ScoredStudy) -> str:
    """Return the heading above the key slices."""
    return "Location of the calcium" if _shows_calcium(result) else "The heart"


def montage_title(result: ScoredStudy) -> str:
    """Return the heading above the montage, which shows the twenty slices that score most."""
    if _shows_calcium(result):
        return "Slices with the highest scores, from head to feet"
    return "Slices through the heart, from head to feet"


def _shows_calcium(result: ScoredStudy) -> bool:
    agatston = result.scores.agatston
    return agatston.total + agatston.other > 0


@dataclass(frozen=True, slots=True)
class VesselLine:
    """A row of the table of vessels."""

    label: Calcium | None
    """None: the total."""
    name: str
    agatston: str
    volume: str
    mass: str
    lesions: str


def flag(reason: Reason) -> tuple[str, str]:
    """Return the title and the sentence of a reason."""
    title = FLAG_TITLES.get(reason.code, str(reason.code).replace("_", " ").capitalize())
    return title, reason.message[:1].upper() + reason.message[1:] + "."


def number(value: float) -> str:
    """Return a score as text: a whole number, or one decimal below 10, so that a little calcium is not shown as 0.

    >>> number(0.0), number(0.04), number(6.26), number(314.03), number(1234.5)
    ('0', '<0.1', '6.3', '314', '1,234')
    """
    if value == 0:
        return "0"
    if value < 0.05:
        return "<0.1"
    return f"{value:.1f}" if value < 9.95 else f"{value:,.0f}"


def vessel_lines(result: ScoredStudy) -> list[VesselLine]:
    """Return the rows for the vessels, for coronary calcium without a vessel if any, the total, and other calcium."""
    scores = result.scores
    lesions = _lesions_by_label(result)
    shown = [
        label
        for label in Calcium
        if label.is_coronary and (label is not Calcium.CORONARY or scores.agatston.per_vessel[label.name] > 0)
    ]
    if _has_no_vessels(scores):
        shown = [Calcium.CORONARY]
    lines = [_vessel_line(result, scores, label, lesions[label.name]) for label in shown]
    counted = sum(count for name, count in lesions.items() if name != Calcium.OTHER.name)
    total = VesselLine(
        None, "Total", number(scores.agatston.total), number(scores.volume_mm3.total), _mass(result, None), str(counted)
    )
    return [*lines, total, _vessel_line(result, scores, Calcium.OTHER, lesions[Calcium.OTHER.name])]


def _has_no_vessels(scores: Scores) -> bool:
    """Whether no coronary calcium is assigned to a vessel: rows of 0 for the vessels would then be wrong."""
    return scores.agatston.total > 0 and scores.agatston.per_vessel[Calcium.CORONARY.name] == scores.agatston.total


def _lesions_by_label(result: ScoredStudy) -> Counter[str]:
    return Counter(lesion.vessel.name for lesion in result.lesions)


def _vessel_line(result: ScoredStudy, scores: Scores, label: Calcium, lesions: int) -> VesselLine:
    agatston, volume = _of(scores.agatston, label), _of(scores.volume_mm3, label)
    shown = "–" if label is Calcium.OTHER else number(agatston)
    return VesselLine(label, FULL_NAMES[label], shown, number(volume), _mass(result, label), str(lesions))


def _mass(result: ScoredStudy, label: Calcium | None) -> str:
    """Return the mass of a vessel, or in total (None): by the calibration factor if given, else by the predictor."""
    if result.scores.mass_mg:
        return number(_of(result.scores.mass_mg, label) if label else result.scores.mass_mg.total)
    estimated = _estimated_mass_mg(result)
    if label is None:
        return number(sum(estimated.values())) if estimated else "–"
    return number(estimated[label.name]) if label.name in estimated else "–"


def _estimated_mass_mg(result: ScoredStudy) -> Mapping[str, float]:
    return result.uncertainty.excess_mass_mg if result.uncertainty else {}


def mass_note(result: ScoredStudy) -> str:
    """Return how the masses were obtained."""
    if result.scores.mass_mg:
        return "Mass from the calibration factor given."
    if _estimated_mass_mg(result):
        return "Mass estimated from how much calcium raises CT values; noise increases it."
    return "Mass needs a calibration factor; none was given."


def _of(tally: Tally, label: Calcium) -> float:
    return tally.other if label is Calcium.OTHER else tally.per_vessel[label.name]


def percentile_lines(result: ScoredStudy, subject: Subject) -> tuple[str, ...]:
    """Return the MESA percentile and its limits, or why there is none."""
    agatston = result.scores.agatston.total
    if not any(result.rule.scores_like(rule) for rule in MESA_RULES):
        names = " and ".join(rule.name for rule in MESA_RULES)
        return (f"No percentile: the MESA reference is valid for the rules {names}, not for {result.rule.name}.",)
    try:
        reference = mesa_reference(agatston, subject.sex, subject.age_years)
    except ValueError as problem:
        return (f"No percentile for age and sex: {problem}.",)
    if agatston == 0:
        place = _place_of_zero(reference.zero_shares, reference.people)
    else:
        place = f"{reference.overall} percentile of {reference.people} in MESA".capitalize().replace("mesa", "MESA")
        by_group = "; ".join(f"{group} {band}" for group, band in reference.by_group.items())
        place += f" (by MESA group: {by_group})."
    return (
        place,
        f"Valid for scores by the rule {result.rule.name}. The reference was measured on gated CT in people without "
        "known heart disease; a non-gated, low-dose scan tends to score lower. DICOM headers do not record race or "
        f"ethnicity, so all four MESA groups are shown. {SOURCE}.",
    )


def _place_of_zero(shares: Sequence[int], people: str) -> str:
    """Return how many people share a score of 0, which has no percentile of its own."""
    if min(shares) == 0:
        return f"Score 0: in at least one MESA group, fewer than 25 % of {people} had no calcium."
    return f"Score 0: in every MESA group, at least {min(shares)} % of {people} also had no calcium."


def probabilities(result: ScoredStudy) -> list[tuple[str, float]]:
    """Return the predictor's probability of each category; empty if it gives none under this rule."""
    known = result.uncertainty.category_probabilities if result.uncertainty else None
    return list(zip(CATEGORIES, known, strict=True)) if known else []


def probabilities_title(result: ScoredStudy) -> str:
    """Return the line above the probabilities."""
    return f"Probability of each category on this scan ({_calibrated_rule(result)}):"


def uncounted_lines(result: ScoredStudy) -> list[str]:
    """Return what was not counted, by what it is taken for; empty if the predictor weighs no islands."""
    found = result.uncounted
    if found is None:
        return []
    shares = [_uncounted_kind(name, found.islands) for name in TakenFor]
    rest = f"{found.rest.islands} more, small ({number(found.rest.agatston)})" if found.rest.islands else ""
    listed = ", ".join(filter(None, (*shares, rest)))
    lines = [
        f"By what it was taken for, with the score that it would have added: {listed}. result.json gives the places."
    ]
    if not listed:
        lines = [] if found.faded.islands else ["Nothing else in or beside the heart reaches the threshold."]
    return [*lines, *_faded_line(found.faded)]


def _faded_line(faded: Rest) -> list[str]:
    if not faded.islands:
        return []
    return [
        f"Never weighed: {faded.islands} islands that are bright in the scan, but not once thin slices are averaged or "
        f"a sharp kernel is smoothed: noise and rims of bone (they would add {number(faded.agatston)}). A speck of "
        f"calcium can be among them; those nearest to the threshold stand above as {TakenFor.FADED}."
    ]


def _uncounted_kind(name: TakenFor, islands: Sequence[UncountedIsland]) -> str:
    """Return the number of islands taken for something, and their score if they counted; empty if there are none."""
    own = [island for island in islands if island.taken_for is name]
    return f"{len(own)} × {name} ({number(sum(each.island.agatston for each in own))})" if own else ""


def uncertainty_lines(result: ScoredStudy) -> list[str]:
    """Return the interval and the gated equivalent, or why there are none."""
    uncertainty, lines = result.uncertainty, []
    if uncertainty is None:
        return ["No uncertainty was estimated for this score."]
    if interval := uncertainty.interval:
        low, high = number(interval.low), number(interval.high)
        lines.append(f"{interval.coverage:.0%} interval of the score on this scan: {low} to {high}.")
    if uncertainty.gated_equivalent_agatston is not None:
        lines.append(
            f"Estimated score on a gated scan: about {number(uncertainty.gated_equivalent_agatston)} "
            f"({_calibrated_rule(result)}). This is a rough estimate from the mass of calcium, derived from simulated "
            "scans; it is never below the score of this scan."
        )
    if not lines and not uncertainty.category_probabilities:
        return [_why_no_uncertainty(result, uncertainty)]
    return lines


def _calibrated_rule(result: ScoredStudy) -> str:
    rule = result.uncertainty.rule if result.uncertainty else None
    return f"rule {(rule or result.rule).name}"


def _why_no_uncertainty(result: ScoredStudy, uncertainty: Uncertainty) -> str:
    if uncertainty.rule is None or uncertainty.rule.scores_like(result.rule):
        return "No uncertainty was estimated for this score."
    return (
        f"Probabilities and the gated equivalent were calibrated under the rule {uncertainty.rule.name} and are not "
        f"given under {result.rule.name}."
    )


def acquisition(result: ScoredStudy) -> Pairs:
    """Return how the scan was acquired, from its headers."""
    scan, chosen = result.chosen.acquisition, result.chosen
    spacing_mm = scan.pixel_spacing_mm
    rows = (
        ("Scanner", _scanner(scan)),
        ("Series", chosen.series.header.series_description or ""),
        ("Tube voltage", _with_unit(scan.kvp, "kVp")),
        ("Exposure", _with_unit(scan.exposure_mas, "mAs")),
        ("Kernel", scan.kernel or ""),
        ("Slices", _slices(scan)),
        ("Slice thickness", _with_unit(scan.slice_thickness_mm, "mm")),
        ("Pixels", f"{spacing_mm[1]:.2f} x {spacing_mm[0]:.2f} mm" if spacing_mm else ""),
        ("Noise in the heart", _with_unit(result.noise_sd_hu, "HU (SD)")),
        ("Why this series", chosen.why or ""),
    )
    return tuple((name, value or NOT_GIVEN) for name, value in rows)


def _slices(acquisition: Acquisition) -> str:
    text = f"{acquisition.slices}, {_with_unit(acquisition.slice_spacing_mm, 'mm apart')}"
    if acquisition.scored_slices is None:
        return text
    first, last = acquisition.scored_slices
    return f"{text}; slices {first + 1} to {last + 1}, with the heart, were scored"


def _scanner(acquisition: Acquisition) -> str:
    return " ".join(filter(None, (acquisition.manufacturer, acquisition.model)))


def _with_unit(value: float | None, unit: str) -> str:
    return "" if value is None else f"{value:.3g} {unit}"


def method(result: ScoredStudy) -> Pairs:
    """Return the scoring rule, and the model that found the calcium."""
    model, rule = result.model, result.rule
    steps = ", ".join(f"{step:g}" for step in rule.density_steps_hu)
    threshold = f"{rule.threshold_hu:g} HU; density steps at {steps} HU; smallest lesion {rule.min_area_mm2:g} mm²"
    return (
        ("Scoring rule", f"{rule.name}: {rule.source}"),
        ("Threshold", threshold),
        ("Slice weight", "spacing / 3 mm" if rule.slice_weight == "spacing_over_3mm" else "none"),
        ("Calcium found by", f"{_FINDERS.get(model.name, 'networks')} ({model.name} {model.version})"),
        ("Model digest", f"SHA-256 {model.digest}"),
        ("Software", f"ctacal {__version__}"),
    )


_FINDERS: Mapping[str, str] = MappingProxyType(
    {"threshold": "a threshold alone, without a network", "labels": "a label file, drawn or edited by a reader"}
)


def facts(result: StudyResult, subject: Subject) -> Pairs:
    """Return the facts at the top of the report; empty ones are left out."""
    scanner = _scanner(result.chosen.acquisition) if result.chosen else ""
    rows = (
        ("Patient", subject.name),
        ("Patient ID", subject.patient_id),
        ("Born", subject.birth_date),
        ("Accession", subject.accession_number),
        ("Age and sex", subject.age_and_sex),
        ("Study date", subject.study_date or NOT_GIVEN),
        ("Scanner", scanner or NOT_GIVEN),
    )
    return tuple((name, value) for name, value in rows if value)


def document_title(subject: Subject) -> str:
    """Return the title of the document."""
    return f"{TITLE} {subject.study_date}".strip()


def footer(result: StudyResult) -> str:
    """Return the line at the foot of each page."""
    return f"ctacal {__version__} · study {result.study_uid} · {RESEARCH_ONLY}"


def percent(share: float) -> str:
    """Return a probability in whole percent; only exact 0 and 1 are shown as 0 and 100.

    >>> percent(0.42), percent(0.001), percent(0.999)
    ('42 %', '<1 %', '>99 %')
    """
    if 0 < share < 0.005:
        return "<1 %"
    return ">99 %" if 0.995 <= share < 1 else f"{share:.0%}".replace("%", " %")
