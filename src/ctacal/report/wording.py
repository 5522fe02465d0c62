"""What a report says of a result, in plain words; the pages only arrange it."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ctacal import __version__
from ctacal.errors import Code, Reason
from ctacal.labels import Calcium
from ctacal.report.percentile import SOURCE, age_group_thresholds, mesa_reference
from ctacal.report.subject import Subject
from ctacal.report.vessels import FULL_NAMES
from ctacal.scores import SCCT_2016, Scores, Tally
from ctacal.study import StudyResult

TITLE = "Coronary artery calcium"
SUBTITLE = "on the CT for attenuation correction (CTAC)"
RESEARCH_ONLY = "Research use only. Not a medical device."

CATEGORIES = ("0", "1-100", "101-400", ">400")
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


def pictures_title(result: StudyResult) -> str:
    """What the key slices show."""
    return "Where the calcium lies" if _shows_calcium(result) else "The heart"


def montage_title(result: StudyResult) -> str:
    """What the montage shows: no more than twenty slices, those that score most."""
    return (
        "The slices that score most, head first" if _shows_calcium(result) else "Slices through the heart, head first"
    )


def _shows_calcium(result: StudyResult) -> bool:
    scores = result.scores
    return scores is not None and scores.agatston.total + scores.agatston.other > 0


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


def vessel_lines(result: StudyResult) -> list[VesselLine]:
    """The named vessels, what names none where there is some, the total, and other calcium."""
    scores = result.scores
    assert scores is not None
    lesions = _lesions_by_label(result)
    shown = [
        label
        for label in Calcium
        if label.is_coronary and (label is not Calcium.CORONARY or scores.agatston.per_vessel[label.name] > 0)
    ]
    if _names_no_vessel(scores):
        shown = [Calcium.CORONARY]
    lines = [_vessel_line(result, scores, label, lesions.get(label.name, 0)) for label in shown]
    counted = sum(count for name, count in lesions.items() if name != Calcium.OTHER.name)
    total = VesselLine(
        None, "Total", number(scores.agatston.total), number(scores.volume_mm3.total), _mass(result, None), str(counted)
    )
    return [*lines, total, _vessel_line(result, scores, Calcium.OTHER, lesions.get(Calcium.OTHER.name, 0))]


def _names_no_vessel(scores: Scores) -> bool:
    """Whether all coronary calcium there is has no vessel: then lines of 0 for the vessels would be untrue."""
    return scores.agatston.total > 0 and scores.agatston.per_vessel[Calcium.CORONARY.name] == scores.agatston.total


def _lesions_by_label(result: StudyResult) -> dict[str, int]:
    count: dict[str, int] = {}
    for lesion in result.to_json()["lesions"]:
        count[lesion["vessel"]] = count.get(lesion["vessel"], 0) + 1
    return count


def _vessel_line(result: StudyResult, scores: Scores, label: Calcium, lesions: int) -> VesselLine:
    agatston, volume = _of(scores.agatston, label), _of(scores.volume_mm3, label)
    told = "–" if label is Calcium.OTHER else number(agatston)
    return VesselLine(label, FULL_NAMES[label], told, number(volume), _mass(result, label), str(lesions))


def _mass(result: StudyResult, label: Calcium | None) -> str:
    """By calibration where one was given, else as the predictor estimates it; of a vessel, or (None) of all."""
    if (scores := result.scores) and scores.mass_mg:
        return number(_of(scores.mass_mg, label) if label else scores.mass_mg.total)
    told = result.uncertainty or {}
    estimated = [mg for name, mg in told.items() if name.startswith(_EXCESS_MASS)]
    if label is None:
        return number(sum(estimated)) if estimated else "–"
    return number(told[_EXCESS_MASS + label.name]) if _EXCESS_MASS + label.name in told else "–"


_EXCESS_MASS = "excess_mass_mg_"


def mass_note(result: StudyResult) -> str:
    """Where the masses come from."""
    if result.scores and result.scores.mass_mg:
        return "Mass by the calibration factor given."
    if any(name.startswith(_EXCESS_MASS) for name in result.uncertainty or {}):
        return "Mass estimated from what calcium adds to each voxel; noise adds to it too."
    return "No mass without a calibration factor."


def _of(tally: Tally, label: Calcium) -> float:
    return tally.other if label is Calcium.OTHER else tally.per_vessel[label.name]


def percentile_lines(result: StudyResult, subject: Subject) -> tuple[str, ...]:
    """Where the score lies among people of that age and sex, or why that cannot be told; then the reservation."""
    scores = result.scores
    assert scores is not None
    try:
        reference = mesa_reference(scores.agatston.total, subject.sex, subject.age_years)
    except ValueError as problem:
        return (f"No percentile for age and sex: {problem}.",)
    if scores.agatston.total == 0:
        place = _place_of_zero(subject, reference.people)
    else:
        place = f"{reference.overall} percentile of {reference.people} in MESA".capitalize().replace("mesa", "MESA")
        by_group = "; ".join(f"{group} {band}" for group, band in reference.by_group.items())
        place += f" (by MESA's groups: {by_group})."
    return (
        place,
        "The reference was derived on gated CT, in people without known heart disease; a non-gated, low-dose scan "
        f"tends to score lower. No DICOM header tells race/ethnicity, so all four groups are told. {SOURCE}.",
    )


def _place_of_zero(subject: Subject, people: str) -> str:
    """Score 0 has no place of its own: how many share it, by the percentiles that are 0."""
    assert subject.age_years is not None
    thresholds = age_group_thresholds(subject.sex, subject.age_years).values()
    shares = [
        max((p for p, value in zip((25, 50, 75, 90), own, strict=True) if value == 0), default=0) for own in thresholds
    ]
    if min(shares) == 0:
        return f"Score 0: in some of MESA's groups fewer than a quarter of {people} had no calcium."
    return f"Score 0: in each of MESA's groups at least {min(shares)} % of {people} had no calcium either."


def probabilities(result: StudyResult) -> list[tuple[str, float]]:
    """The predictor's probability of each category; nothing where it gives none."""
    told = result.uncertainty or {}
    names = {"0": "p_0", "1-100": "p_1_100", "101-400": "p_101_400", ">400": "p_400"}
    return [(category, told[name]) for category, name in names.items()] if set(names.values()) <= set(told) else []


def uncertainty_lines(result: StudyResult) -> list[str]:
    """Interval and gated equivalent, where the predictor tells them."""
    told, lines = result.uncertainty or {}, []
    if {"agatston_low", "agatston_high", "coverage"} <= set(told):
        low, high = number(told["agatston_low"]), number(told["agatston_high"])
        lines.append(f"{told['coverage']:.0%} interval of the score on this scan: {low} to {high}.")
    if "gated_equivalent_agatston" in told:
        lines.append(
            f"A gated scan would score about {number(told['gated_equivalent_agatston'])}, judged by the mass of "
            "calcium, and no less than this scan; a rough estimate, made on simulated scans."
        )
    return lines


def acquisition(result: StudyResult) -> Pairs:
    """How the scan was made, from its headers."""
    study = result.to_json()["study"]
    told = study["acquisition"] or {}
    spacing = told.get("pixel_spacing_mm")
    rows = (
        ("Scanner", " ".join(filter(None, (told.get("manufacturer"), told.get("model"))))),
        ("Series", study["series_description"] or ""),
        ("Tube voltage", _with_unit(told.get("kvp"), "kVp")),
        ("Exposure", _with_unit(told.get("exposure_mas"), "mAs")),
        ("Kernel", told.get("kernel") or ""),
        ("Slices", f"{told.get('slices', '')}, {_with_unit(told.get('slice_spacing_mm'), 'mm apart')}"),
        ("Slice thickness", _with_unit(told.get("slice_thickness_mm"), "mm")),
        ("Pixels", f"{spacing[1]:.2f} x {spacing[0]:.2f} mm" if spacing else ""),
        ("Noise in the heart", _with_unit(result.noise_sd_hu, "HU (SD)")),
        ("Chosen because", study["why"] or ""),
    )
    return tuple((name, value or "not told") for name, value in rows)


def _with_unit(value: float | None, unit: str) -> str:
    return "" if value is None else f"{value:.3g} {unit}"


def method(result: StudyResult) -> Pairs:
    """Who scored by which rule."""
    model, rule = result.model, result.rule or SCCT_2016
    steps = ", ".join(f"{step:g}" for step in rule.density_steps_hu)
    named = f"{model.name} {model.version}" if model else "none"
    return (
        ("Scoring rule", f"{rule.name}: {rule.source}"),
        ("Threshold", f"{rule.threshold_hu:g} HU; density steps {steps} HU; lesions from {rule.min_area_mm2:g} mm² on"),
        ("Slice weight", "spacing / 3 mm" if rule.slice_weight == "spacing_over_3mm" else "none"),
        ("Calcium found by", _FINDERS.get(model.name, "networks") + f" ({named})" if model else "nobody"),
        ("Model digest", f"SHA-256 {model.digest}" if model else ""),
        ("Software", f"ctacal {__version__}"),
    )


_FINDERS: Mapping[str, str] = MappingProxyType(
    {"threshold": "a threshold, no network", "labels": "a label file, drawn or edited by a reader"}
)


def facts(result: StudyResult, subject: Subject) -> Pairs:
    """What a page is headed by."""
    told = result.to_json()["study"]["acquisition"] or {}
    rows = (
        ("Patient", subject.name),
        ("Patient ID", subject.patient_id),
        ("Born", subject.birth_date),
        ("Accession", subject.accession_number),
        ("Age and sex", subject.age_and_sex),
        ("Study date", subject.study_date or "not told"),
        ("Scanner", " ".join(filter(None, (told.get("manufacturer"), told.get("model")))) or "not told"),
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
