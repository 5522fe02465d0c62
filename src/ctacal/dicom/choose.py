"""Choose the series of a study that is the CTAC, and say why.

Text alone does not decide, because people type the descriptions. A series must first be an axial CT on a regular grid.
Then clues from its texts, its acquisition and the emission scan of the study are added up.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ctacal.dicom.header import SeriesHeader
from ctacal.dicom.series import Series, Study
from ctacal.dicom.stack import Stack
from ctacal.errors import Code, Reason, Refusal

_CTAC_WORDS = re.compile(
    r"\bct[ _-]?ac\b|\bac[ _-]?ct\b|\bac\b|\batt?e?n|\bct for ac\b|\bld[ _-]?ct\b|low[ _-]?dose|\bmyocor\b|\bacqct\b"
)
_HYBRID_WORDS = re.compile(r"\b(pet|spect)[ _/-]?ct\b")
_MU_MAP_WORDS = re.compile(r"\b(mu|µ|u)[ _-]?map|\batt?e?n(uation)?[ _-]?(map|cor)|\bac[ _-]?map\b|\battmap\b")
_CALCIUM_WORDS = re.compile(r"\bca[ _-]?sc|calcium|agatston|\bcac\b|\bcacs\b|heart ?scan")
_NO_CONTRAST = re.compile(r"^(none|no|without|w/?o|nil|n|null|non.?contrast|0|ohne|sans)\b.*|^$", re.IGNORECASE)
_SHARP_KERNELS = re.compile(
    r"^[BHJUDTFQ]?[a-z]?([5-9]\d)[fhsm]?\b|^(BONE|LUNG|EDGE|DETAIL|ULTRA|CHEST)|^FC(3|5|8)\d|^(C|D|E|L|Y[BCDE])$",
    re.IGNORECASE,
)
"""Sharp kernels: Siemens B/Br/I 50 and above, GE and Canon names, Philips C, D, E, L, YB.. (vendors' kernel lists)."""

_MU_UNITS = {"1/cm", "cm-1", "cm^-1", "1cm", "cml"}


@dataclass(frozen=True, slots=True)
class Clue:
    """A property that speaks for a series (points above 0) or against it."""

    points: int
    holds: Callable[[Series, Study], bool]
    words: str


def is_sharp_kernel(kernel: str) -> bool:
    """Whether the kernel enhances edges, and noise with them.

    >>> [is_sharp_kernel(k) for k in ("B70f", "Br40d", "FC12", "FC51", "LUNG", "SOFT", "B", "L")]
    [True, False, False, True, True, False, False, True]
    """
    return bool(_SHARP_KERNELS.match(kernel.split("/")[0]))


def has_emission_frame(series: Series, study: Study) -> bool:
    """Whether a NM or PT series of the study shares this series' frame of reference."""
    frame = series.header.frame_of_reference_uid
    return bool(frame) and any(
        other.header.modality in ("NM", "PT") and other.header.frame_of_reference_uid == frame for other in study.series
    )


def is_calcium_scan(header: SeriesHeader) -> bool:
    """Whether description or protocol name call it a dedicated calcium-score CT."""
    return bool(_CALCIUM_WORDS.search(f"{header.series_description} | {header.protocol_name}".lower()))


def _says_ctac(series: Series, _: Study) -> bool:
    return bool(_CTAC_WORDS.search(series.header.text))


def _says_hybrid(series: Series, _: Study) -> bool:
    return bool(_HYBRID_WORDS.search(series.header.text))


def _has_emission(_: Series, study: Study) -> bool:
    return any(other.header.modality in ("NM", "PT") for other in study.series)


def _ctac_kvp(series: Series, _: Study) -> bool:
    return 80 <= (series.header.kvp or 0) <= 140


def _ctac_thickness(series: Series, _: Study) -> bool:
    return 2 <= (series.slices[0].thickness_mm or 0) <= 10


def _low_dose(series: Series, _: Study) -> bool:
    return 0 < (series.slices[len(series.slices) // 2].exposure_mas or 0) <= 60


CLUES: tuple[Clue, ...] = (
    Clue(4, has_emission_frame, "shares the frame of reference of the emission scan"),
    Clue(3, _says_ctac, "is described as attenuation-correction CT"),
    Clue(2, _says_hybrid, "is described as part of a PET/CT or SPECT/CT"),
    Clue(1, _has_emission, "lies beside an emission scan"),
    Clue(1, _low_dose, "low dose (mAs up to 60)"),
    Clue(1, _ctac_kvp, "80-140 kVp"),
    Clue(1, _ctac_thickness, "2-10 mm slices"),
    Clue(-1, lambda series, _: is_sharp_kernel(series.header.kernel), "but a sharp kernel"),
    Clue(-1, lambda series, _: "DERIVED" in series.header.image_type, "but derived images"),
    Clue(-4, lambda series, _: is_calcium_scan(series.header), "but a dedicated calcium-score CT"),
)
"""The clues with their weights (own judgement, to be extended with the descriptions of more sites)."""

_ACQUISITION_CLUES = (_low_dose, _ctac_kvp, _ctac_thickness)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A series with the clues that speak for it, and its stack or the reason why it has none."""

    series: Series
    points: int
    why: str
    stack: Stack | None
    """None exactly if the series is unfit."""
    unfit: Reason | None


@dataclass(frozen=True, slots=True)
class Choice:
    """The series to score, why it was chosen, and all candidates."""

    series: Series
    stack: Stack
    why: str
    notes: tuple[Reason, ...]
    candidates: tuple[Candidate, ...]


def candidates(study: Study, *, fill_gaps: bool = False, untilt: bool = False) -> tuple[Candidate, ...]:
    """Rank the series of the study: the likeliest CTAC first, unfit series last."""
    found = [_candidate(series, study, fill_gaps=fill_gaps, untilt=untilt) for series in study.series]
    return tuple(sorted(found, key=_preference))


def choose_series(
    study: Study, wanted_uid: str | None = None, *, fill_gaps: bool = False, untilt: bool = False
) -> Choice:
    """Choose the series to score: the likeliest CTAC, or the one with ``wanted_uid`` (SeriesInstanceUID).

    Raises ``Refusal`` if the study mixes patients, has no CT, or none that can be scored.
    """
    return choose_among(candidates(study, fill_gaps=fill_gaps, untilt=untilt), study, wanted_uid)


def choose_among(ranked: tuple[Candidate, ...], study: Study, wanted_uid: str | None = None) -> Choice:
    """Choose among the study's ranked ``candidates``, as ``choose_series`` does."""
    patients = {slice_.header.patient_id for series in study.series for slice_ in series.slices} - {""}
    if len(patients) > 1:
        message = f"images with {len(patients)} different patient IDs share this study's UID; separate them"
        raise Refusal(Code.MIXED_PATIENTS, message)
    wanted = ranked if wanted_uid is None else _only(ranked, wanted_uid)
    fit = [(candidate, candidate.stack) for candidate in wanted if candidate.stack is not None]
    if not fit:
        raise _nothing_fits(wanted)
    best, stack = fit[0]
    why = f"requested; {best.why}" if wanted_uid else best.why
    return Choice(best.series, stack, why, _notes(best, [candidate for candidate, _ in fit], study), ranked)


def _only(ranked: Sequence[Candidate], wanted_uid: str) -> tuple[Candidate, ...]:
    wanted = tuple(candidate for candidate in ranked if candidate.series.uid == wanted_uid)
    if not wanted:
        message = f"series {wanted_uid} is not in this study; `ctacal info PATH` lists its series"
        raise Refusal(Code.SERIES_NOT_FOUND, message)
    return wanted


def _candidate(series: Series, study: Study, *, fill_gaps: bool, untilt: bool) -> Candidate:
    held = [clue for clue in CLUES if clue.holds(series, study)]
    why = ", ".join(clue.words for clue in held) or "an axial CT"
    stack, unfit = _stack_or_reason(series, fill_gaps=fill_gaps, untilt=untilt)
    return Candidate(series, sum(clue.points for clue in held), why, stack, unfit)


def _stack_or_reason(series: Series, *, fill_gaps: bool, untilt: bool) -> tuple[Stack | None, Reason | None]:
    """The series' stack, or the reason why the series cannot be scored."""
    if unfit := _unfit_by_header(series):
        return None, unfit
    try:
        return Stack.of(series.slices, fill_gaps=fill_gaps, untilt=untilt), None
    except Refusal as refusal:
        return None, refusal.reason


def _preference(candidate: Candidate) -> tuple[object, ...]:
    """Sort key: fit before unfit, then more points, more slices, the lower series number."""
    number = candidate.series.header.series_number
    ties = (-len(candidate.series.slices), 10**9 if number is None else number, candidate.series.uid)
    return (candidate.unfit is not None, -candidate.points, *ties)


def _unfit_by_header(series: Series) -> Reason | None:
    """Why the headers alone make the series unfit; None if they do not."""
    header = series.header
    if header.rescale_type.lower() in _MU_UNITS or (header.modality != "CT" and _MU_MAP_WORDS.search(header.text)):
        return Reason(Code.MU_MAP, "an attenuation map (cm-1), not a CT in Hounsfield units; send the CT itself")
    if header.modality != "CT":
        return Reason(Code.NOT_CT, f"modality is {header.modality or 'missing'}")
    if series.is_localizer:
        return Reason(Code.LOCALIZER, "a localizer")
    if header.samples_per_pixel != 1 or (header.bits_allocated or 0) < 12 or "SECONDARY" in header.image_type:
        return Reason(Code.SECONDARY_CAPTURE, "colour, 8-bit or secondary images, not CT values")
    agents = {slice_.header.contrast_agent for slice_ in series.slices}
    if given := [agent for agent in agents if not _NO_CONTRAST.match(agent)]:
        return Reason(Code.CONTRAST_GIVEN, f"contrast agent {given[0]!r}: enhanced blood reads as calcium")
    return None


def _nothing_fits(ranked: Sequence[Candidate]) -> Refusal:
    """Return the reason of the only CT, or a list of the reasons of several."""
    relevant = [c for c in ranked if c.unfit and c.unfit.code is not Code.NOT_CT]
    if not relevant:
        held = sorted({candidate.series.header.modality for candidate in ranked})
        return Refusal(Code.NO_CT_SERIES, f"no CT images in this study, only {', '.join(held)}")
    if len(relevant) == 1 and relevant[0].unfit:
        return Refusal(relevant[0].unfit.code, f"{relevant[0].series.name}: {relevant[0].unfit.message}")
    listed = "; ".join(f"{candidate.series.name}: {candidate.unfit}" for candidate in relevant)
    return Refusal(Code.NO_SCORABLE_SERIES, listed)


def _notes(best: Candidate, fit: Sequence[Candidate], study: Study) -> tuple[Reason, ...]:
    notes = []
    equals = [other.series.name for other in fit[1:] if other.points == best.points]
    if equals:
        message = f"chose {best.series.name}; equally likely: {', '.join(equals)} (--series selects one)"
        notes.append(Reason(Code.SEVERAL_CANDIDATES, message))
    if is_calcium_scan(best.series.header):
        notes.append(Reason(Code.GATED_CALCIUM_SCAN, "a dedicated calcium-score CT, not a CTAC"))
    elif not _is_marked_ctac(best.series, study):
        notes.append(
            Reason(Code.NOT_MARKED_CTAC, "nothing in the headers says that this CT is for attenuation correction")
        )
    return tuple(notes)


def _is_marked_ctac(series: Series, study: Study) -> bool:
    """Whether the emission scan's frame or a text marks the series as a CTAC, and the acquisition agrees."""
    acquired_alike = sum(clue(series, study) for clue in _ACQUISITION_CLUES) >= 2
    marks = (has_emission_frame, _says_ctac, _says_hybrid)
    return acquired_alike and any(mark(series, study) for mark in marks)
