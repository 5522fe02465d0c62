"""What a report says of a result, in plain words; the pages only arrange it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from ctacal import __version__
from ctacal.categories import CATEGORIES
from ctacal.errors import Code, Reason
from ctacal.labels import Calcium
from ctacal.prediction import Uncertainty
from ctacal.report.percentile import SOURCE, mesa_reference
from ctacal.report.subject import Subject
from ctacal.report.vessels import FULL_NAMES
from ctacal.result import Acquisition, ScoredStudy, StudyResult
from ctacal.scores import AGATSTON_1990, SCCT_2016, Scores, Tally

TITLE = "Coronary artery calcium"
SUBTITLE = "on the CT for attenuation correction (CTAC)"
RESEARCH_ONLY = "Research use only. Not a medical device."
NOT_GIVEN = "not given"
"""For what the headers leave empty."""

MESA_RULES = (SCCT_2016, AGATSTON_1990)
"""The rules that the MESA percentiles hold for: Agatston's thresholds, whatever the slices' weight."""

FIVE_WORDS: Mapping[str, str] = MappingProxyType(
    {"0": "no calcium", "1-100": "mild", "101-400": "moderate", ">400": "extensive"}
)
"""How the four categories are commonly called."""

INTENDED_USE = (
    "For research: made by software that no authority has cleared and that was not validated in patients. Do not base "
    "the care of a patient on it. A physician must look at the pictures; what they show outranks the number."
)
WHAT_IT_IS = (
    "The score was read on a non-gated, low-dose CT that was acquired to correct an emission scan for attenuation. "
    "Heartbeat, breathing, noise and thick slices blur calcium: small plaques vanish and scores come out lower than on "
    "a gated calcium scan, or higher where motion doubles a plaque. It does not equal a gated calcium score, and a 0 "
    "does not exclude calcium."
)

FLAG_TITLES: Mapping[Code, str] = MappingProxyType(
    {
        Code.INTERNAL_ERROR: "Part of the output is missing",
        Code.OUTPUT_NOT_WRITTEN: "Part of the output is missing",
        Code.NOT_MARKED_CTAC: "Not marked as a CT for attenuation correction",
        Code.SEVERAL_CANDIDATES: "Several series fit",
        Code.GATED_CALCIUM_SCAN: "A dedicated calcium scan",
        Code.SLICES_INTERPOLATED: "Missing slices were interpolated",
        Code.TILT_RESAMPLED: "A gantry tilt was resampled away",
        Code.DUPLICATES_DROPPED: "Duplicate slices were dropped",
        Code.LOCALIZERS_DROPPED: "Localizer images were left out",
        Code.SERIES_SPLIT: "The series held several reconstructions",
        Code.RESCALE_ASSUMED: "CT values were assumed",
        Code.KVP_NOT_120: "Tube voltage is not 120 kVp",
        Code.THICK_SLICES: "Thick slices",
        Code.HIGH_NOISE: "Noisy scan",
        Code.SHARP_KERNEL: "Sharp reconstruction kernel",
        Code.HEART_CUT_OFF: "Part of the heart lies outside the scan",
        Code.CONTRAST_SEEN: "Contrast medium seen",
        Code.METAL_SEEN: "Metal in or beside the heart",
        Code.MOTION_SEEN: "Motion",
        Code.NOISE_UNLIKE_TRAINING: "Noise unlike the networks' training scans",
        Code.KERNEL_UNLIKE_TRAINING: "Kernel unlike the networks' training scans",
        Code.SLICES_UNLIKE_TRAINING: "Slices unlike the networks' training scans",
        Code.PIXELS_UNLIKE_TRAINING: "Pixel size unlike the networks' training scans",
        Code.FIELD_UNLIKE_TRAINING: "Field of view unlike the networks' training scans",
        Code.BLOOD_UNLIKE_TRAINING: "CT values of blood unlike the networks' training scans",
        Code.SERIES_UNREADABLE: "Some files could not be read",
    }
)
"""Each warning in a few words; its message says more."""

Pairs = tuple[tuple[str, str], ...]


def pictures_title(result: ScoredStudy) -> str:
    """What the key slices show."""
    return "Where the calcium lies" if _shows_calcium(result) else "The heart"


def montage_title(result: ScoredStudy) -> str:
    """What the montage shows: no more than twenty slices, those that score most."""
    return (
        "The slices that score most, head first" if _shows_calcium(result) else "Slices through the heart, head first"
    )


def _shows_calcium(result: ScoredStudy) -> bool:
    agatston = result.scores.agatston
    return agatston.total + agatston.other > 0


@dataclass(frozen=True, slots=True)
class VesselLine:
    """A line of the table of vessels."""

    label: Calcium | None
    """None: the total."""
    name: str
    agatston: str
    volume: str
    mass: str
    lesions: str


def flag(reason: Reason) -> tuple[str, str]:
    """A reason as a title and a sentence."""
    title = FLAG_TITLES.get(reason.code, str(reason.code).replace("_", " ").capitalize())
    return title, reason.message[:1].upper() + reason.message[1:] + "."


def number(value: float) -> str:
    """A score to a whole number; below 10 to a tenth, so that a little is not none.

    >>> number(0.0), number(0.04), number(6.26), number(314.03), number(1234.5)
    ('0', '<0.1', '6.3', '314', '1,234')
    """
    if value == 0:
        return "0"
    if value < 0.05:
        return "<0.1"
    return f"{value:.1f}" if value < 9.95 else f"{value:,.0f}"


def vessel_lines(result: ScoredStudy) -> list[VesselLine]:
    """The named vessels, what names none where there is some, the total, and other calcium."""
    scores = result.scores
    lesions = _lesions_by_label(result)
    shown = [
        label
        for label in Calcium
        if label.is_coronary and (label is not Calcium.CORONARY or scores.agatston.per_vessel[label.name] > 0)
    ]
    if _names_no_vessel(scores):
        shown = [Calcium.CORONARY]
    lines = [_vessel_line(result, scores, label, lesions[label.name]) for label in shown]
    counted = sum(count for name, count in lesions.items() if name != Calcium.OTHER.name)
    total = VesselLine(
        None, "Total", number(scores.agatston.total), number(scores.volume_mm3.total), _mass(result, None), str(counted)
    )
    return [*lines, total, _vessel_line(result, scores, Calcium.OTHER, lesions[Calcium.OTHER.name])]


def _names_no_vessel(scores: Scores) -> bool:
    """Whether all coronary calcium there is has no vessel: then lines of 0 for the vessels would be untrue."""
    return scores.agatston.total > 0 and scores.agatston.per_vessel[Calcium.CORONARY.name] == scores.agatston.total


def _lesions_by_label(result: ScoredStudy) -> Counter[str]:
    return Counter(lesion.vessel.name for lesion in result.lesions)


def _vessel_line(result: ScoredStudy, scores: Scores, label: Calcium, lesions: int) -> VesselLine:
    agatston, volume = _of(scores.agatston, label), _of(scores.volume_mm3, label)
    told = "–" if label is Calcium.OTHER else number(agatston)
    return VesselLine(label, FULL_NAMES[label], told, number(volume), _mass(result, label), str(lesions))


def _mass(result: ScoredStudy, label: Calcium | None) -> str:
    """By calibration if a factor was given, else as the predictor estimates it; of a vessel, or (None) of all."""
    if result.scores.mass_mg:
        return number(_of(result.scores.mass_mg, label) if label else result.scores.mass_mg.total)
    estimated = _estimated_mass_mg(result)
    if label is None:
        return number(sum(estimated.values())) if estimated else "–"
    return number(estimated[label.name]) if label.name in estimated else "–"


def _estimated_mass_mg(result: ScoredStudy) -> Mapping[str, float]:
    return result.uncertainty.excess_mass_mg if result.uncertainty else {}


def mass_note(result: ScoredStudy) -> str:
    """Where the masses come from."""
    if result.scores.mass_mg:
        return "Mass by the calibration factor given."
    if _estimated_mass_mg(result):
        return "Mass estimated from what calcium adds to each voxel; noise adds to it too."
    return "No mass without a calibration factor."


def _of(tally: Tally, label: Calcium) -> float:
    return tally.other if label is Calcium.OTHER else tally.per_vessel[label.name]


def percentile_lines(result: ScoredStudy, subject: Subject) -> tuple[str, ...]:
    """Where the score lies among people of the same age and sex, or why there is no percentile; then the caveat."""
    agatston = result.scores.agatston.total
    if not any(result.rule.scores_like(rule) for rule in MESA_RULES):
        names = " and ".join(rule.name for rule in MESA_RULES)
        return (f"No percentile: the MESA reference holds for the rules {names}, not for {result.rule.name}.",)
    try:
        reference = mesa_reference(agatston, subject.sex, subject.age_years)
    except ValueError as problem:
        return (f"No percentile for age and sex: {problem}.",)
    if agatston == 0:
        place = _place_of_zero(reference.zero_shares, reference.people)
    else:
        place = f"{reference.overall} percentile of {reference.people} in MESA".capitalize().replace("mesa", "MESA")
        by_group = "; ".join(f"{group} {band}" for group, band in reference.by_group.items())
        place += f" (by MESA's groups: {by_group})."
    return (
        place,
        "The reference was derived on gated CT, in people without known heart disease; a non-gated, low-dose scan "
        "tends to score lower. DICOM headers do not give race or ethnicity, so all four groups of MESA are shown. "
        f"{SOURCE}.",
    )


def _place_of_zero(shares: Sequence[int], people: str) -> str:
    """Score 0 has no percentile of its own: say how many share it."""
    if min(shares) == 0:
        return f"Score 0: in some of MESA's groups fewer than a quarter of {people} had no calcium."
    return f"Score 0: in each of MESA's groups at least {min(shares)} % of {people} had no calcium either."


def probabilities(result: ScoredStudy) -> list[tuple[str, float]]:
    """The predictor's probability of each category; empty if it gives none under this rule."""
    known = result.uncertainty.category_probabilities if result.uncertainty else None
    return list(zip(CATEGORIES, known, strict=True)) if known else []


def probabilities_title(result: ScoredStudy) -> str:
    """What stands above the probabilities."""
    return f"Probability of each category on this scan ({_calibrated_rule(result)}):"


def uncertainty_lines(result: ScoredStudy) -> list[str]:
    """Interval and gated equivalent, or why there are none."""
    uncertainty, lines = result.uncertainty, []
    if uncertainty is None:
        return ["No uncertainty is estimated for this score."]
    if interval := uncertainty.interval:
        low, high = number(interval.low), number(interval.high)
        lines.append(f"{interval.coverage:.0%} interval of the score on this scan: {low} to {high}.")
    if uncertainty.gated_equivalent_agatston is not None:
        lines.append(
            f"A gated scan would score about {number(uncertainty.gated_equivalent_agatston)} "
            f"({_calibrated_rule(result)}), estimated from the mass of calcium, and no less than this scan; a rough "
            "estimate, made on simulated scans."
        )
    if not lines and not uncertainty.category_probabilities:
        return [_why_not_sure(result, uncertainty)]
    return lines


def _calibrated_rule(result: ScoredStudy) -> str:
    rule = result.uncertainty.rule if result.uncertainty else None
    return f"rule {(rule or result.rule).name}"


def _why_not_sure(result: ScoredStudy, uncertainty: Uncertainty) -> str:
    if uncertainty.rule is None or uncertainty.rule.scores_like(result.rule):
        return "No uncertainty is estimated for this score."
    return (
        f"Probabilities and the gated equivalent were calibrated under the rule {uncertainty.rule.name} and are not "
        f"given under {result.rule.name}."
    )


def acquisition(result: ScoredStudy) -> Pairs:
    """How the scan was made, from its headers."""
    scan, chosen = result.chosen.acquisition, result.chosen
    spacing_mm = scan.pixel_spacing_mm
    rows = (
        ("Scanner", _scanner(scan)),
        ("Series", chosen.series.header.series_description or ""),
        ("Tube voltage", _with_unit(scan.kvp, "kVp")),
        ("Exposure", _with_unit(scan.exposure_mas, "mAs")),
        ("Kernel", scan.kernel or ""),
        ("Slices", f"{scan.slices}, {_with_unit(scan.slice_spacing_mm, 'mm apart')}"),
        ("Slice thickness", _with_unit(scan.slice_thickness_mm, "mm")),
        ("Pixels", f"{spacing_mm[1]:.2f} x {spacing_mm[0]:.2f} mm" if spacing_mm else ""),
        ("Noise in the heart", _with_unit(result.noise_sd_hu, "HU (SD)")),
        ("Chosen because", chosen.why or ""),
    )
    return tuple((name, value or NOT_GIVEN) for name, value in rows)


def _scanner(acquisition: Acquisition) -> str:
    return " ".join(filter(None, (acquisition.manufacturer, acquisition.model)))


def _with_unit(value: float | None, unit: str) -> str:
    return "" if value is None else f"{value:.3g} {unit}"


def method(result: ScoredStudy) -> Pairs:
    """What found the calcium, and the rule that scored it."""
    model, rule = result.model, result.rule
    steps = ", ".join(f"{step:g}" for step in rule.density_steps_hu)
    threshold = f"{rule.threshold_hu:g} HU; density steps {steps} HU; lesions of at least {rule.min_area_mm2:g} mm²"
    return (
        ("Scoring rule", f"{rule.name}: {rule.source}"),
        ("Threshold", threshold),
        ("Slice weight", "spacing / 3 mm" if rule.slice_weight == "spacing_over_3mm" else "none"),
        ("Calcium found by", f"{_FINDERS.get(model.name, 'networks')} ({model.name} {model.version})"),
        ("Model digest", f"SHA-256 {model.digest}"),
        ("Software", f"ctacal {__version__}"),
    )


_FINDERS: Mapping[str, str] = MappingProxyType(
    {"threshold": "a threshold, no network", "labels": "a label file, drawn or edited by a reader"}
)


def facts(result: StudyResult, subject: Subject) -> Pairs:
    """What stands at the head of a page."""
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


def percent(share: float) -> str:
    """A probability in whole percent, never 0 or 100 where it is neither.

    >>> percent(0.42), percent(0.001), percent(0.999)
    ('42 %', '<1 %', '>99 %')
    """
    if 0 < share < 0.005:
        return "<1 %"
    return ">99 %" if 0.995 <= share < 1 else f"{share:.0%}".replace("%", " %")
