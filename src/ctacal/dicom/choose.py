"""Choose the series of a study that is the CTAC, and say why.

Text alone does not decide, because people type the descriptions. A series must first be an axial CT on a regular grid.
Then clues from its texts, its acquisition and the emission scan of the study are added up.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pydicom.uid import SecondaryCaptureImageStorage

from ctacal.dicom.clues import CLUES, is_calcium_scan, is_marked_ctac
from ctacal.dicom.derived import doubt_about, why_no_ct
from ctacal.dicom.header import SeriesHeader, Slice
from ctacal.dicom.headers.contrast import contrast_of
from ctacal.dicom.headers.contrast_words import Said, said_of_series
from ctacal.dicom.headers.words import plain_texts
from ctacal.dicom.scans.concatenation import missing_parts
from ctacal.dicom.scans.grouping import is_lossy
from ctacal.dicom.scans.mixed_scans import mixed_scans, require_one_examination
from ctacal.dicom.scans.patient import patient_notes
from ctacal.dicom.scans.promises import require_every_slice
from ctacal.dicom.series import Series, Study
from ctacal.dicom.stack import Stack
from ctacal.errors import Code, Reason, Refusal

_MU_MAP_WORDS = re.compile(r"\b(mu|u|μ) ?map|\batt?e?n(uation)? ?map|\bac ?map\b")
_MU_UNITS = {"1/cm", "cm-1", "cm^-1", "1cm", "cml"}


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


def candidates(
    study: Study, *, fill_gaps: bool = False, untilt: bool = False, allow_contrast: bool = False
) -> tuple[Candidate, ...]:
    """Rank the series of the study: the likeliest CTAC first, unfit series last.

    Args:
        study: A study of ``read_studies``.
        fill_gaps: Whether single missing slices may be interpolated; otherwise such a series is unfit.
        untilt: Whether a gantry tilt may be resampled away; otherwise such a series is unfit.
        allow_contrast: Whether a series with contrast medium may be chosen.

    Returns:
        A ``Candidate`` for each series. Its ``points`` count the clues, which ``why`` names; ``unfit`` says why it
        cannot be scored.

    Example:
        >>> from pathlib import Path
        >>> import ctacal
        >>> from ctacal.dicom import read_studies
        >>> [study] = read_studies([Path(ctacal.__file__).parent / "sample" / "thorax_phantom.zip"]).studies
        >>> [best] = candidates(study)
        >>> isinstance(best, Candidate), best.series.name, best.points, best.why[:43]
        (True, "series 1 'CTAC'", 8, 'is described as attenuation-correction CT, ')
    """
    found = [
        _candidate(series, study, fill_gaps=fill_gaps, untilt=untilt, allow_contrast=allow_contrast)
        for series in study.series
    ]
    return tuple(sorted(found, key=_preference))


def choose_series(
    study: Study,
    wanted_uid: str | None = None,
    *,
    fill_gaps: bool = False,
    untilt: bool = False,
    allow_contrast: bool = False,
) -> Choice:
    """Choose the series to score: the likeliest CTAC, or the one with ``wanted_uid`` (SeriesInstanceUID).

    Raises ``Refusal`` if the study mixes patients, has no CT, or none that can be scored.
    """
    ranked = candidates(study, fill_gaps=fill_gaps, untilt=untilt, allow_contrast=allow_contrast)
    return choose_among(ranked, study, wanted_uid)


def choose_among(ranked: tuple[Candidate, ...], study: Study, wanted_uid: str | None = None) -> Choice:
    """Choose among the study's ranked ``candidates``, as ``choose_series`` does.

    Args:
        ranked: The study's ``candidates``, the likeliest first.
        study: The study, for notes on its patient and its other series.
        wanted_uid: SeriesInstanceUID of the only series that may be chosen; None: the likeliest one.

    Returns:
        The series, its stack of slices, why it was chosen, and notes that are warnings of the result.

    Raises:
        Refusal: No series is fit, or several examinations share the study.

    Example:
        >>> from pathlib import Path
        >>> import ctacal
        >>> from ctacal.dicom import read_studies
        >>> [study] = read_studies([Path(ctacal.__file__).parent / "sample" / "thorax_phantom.zip"]).studies
        >>> choice = choose_among(candidates(study), study)
        >>> isinstance(choice, Choice), choice.series.header.kvp, choice.notes
        (True, 120.0, ())
    """
    patient = patient_notes(slice_.header for slice_ in study.slices)
    wanted = ranked if wanted_uid is None else _only(ranked, wanted_uid)
    fit = [(candidate, candidate.stack) for candidate in wanted if candidate.stack is not None]
    if not fit:
        raise _nothing_fits(wanted)
    if wanted_uid is None:
        require_one_examination([candidate.series.slices for candidate, _ in fit])
    best, stack = fit[0]
    why = f"requested; {best.why}" if wanted_uid else best.why
    notes = (*patient, *_notes(best, [candidate for candidate, _ in fit], study))
    return Choice(best.series, stack, why, notes, ranked)


def _only(ranked: Sequence[Candidate], wanted_uid: str) -> tuple[Candidate, ...]:
    wanted = tuple(candidate for candidate in ranked if wanted_uid in candidate.series.uids)
    if not wanted:
        message = f"series {wanted_uid} is not in this study; `ctacal info PATH` lists its series"
        raise Refusal(Code.SERIES_NOT_FOUND, message)
    return wanted


def _candidate(series: Series, study: Study, *, fill_gaps: bool, untilt: bool, allow_contrast: bool) -> Candidate:
    held = [clue for clue in CLUES if clue.holds(series, study)]
    why = ", ".join(clue.words for clue in held) or "an axial CT"
    unfit = _unfit_by_header(series, allow_contrast=allow_contrast)
    stack, unfit = (None, unfit) if unfit else _stack_or_reason(series, study, fill_gaps=fill_gaps, untilt=untilt)
    return Candidate(series, sum(clue.points for clue in held), why, stack, unfit)


def _stack_or_reason(
    series: Series, study: Study, *, fill_gaps: bool, untilt: bool
) -> tuple[Stack | None, Reason | None]:
    """The series' stack, or the reason why the series cannot be scored."""
    if unfit := mixed_scans(series.slices, _same_uid(series, study)) or series.fault:
        return None, unfit
    try:
        stack = Stack.of(series.slices, fill_gaps=fill_gaps, untilt=untilt)
        return replace(stack, notes=(*stack.notes, *require_every_slice(stack, study.slices))), None
    except Refusal as refusal:
        return None, refusal.reason


def _same_uid(series: Series, study: Study) -> list[Slice]:
    """The images of all parts of the series' UID, without localizers: these may be of another day's planning."""
    uids = series.uids
    parts = [part for part in study.series if part.uid in uids and not part.is_localizer]
    return [slice_ for part in parts for slice_ in part.slices]


def _preference(candidate: Candidate) -> tuple[object, ...]:
    """Sort key: fit before unfit, then more points, more slices, no loss by compression, the lower series number."""
    number = candidate.series.header.series_number
    ties = (
        -len(candidate.series.slices),
        is_lossy(candidate.series.slices[0]),
        10**9 if number is None else number,
        candidate.series.uid,
    )
    return (candidate.unfit is not None, -candidate.points, *ties)


def _unfit_by_header(series: Series, *, allow_contrast: bool) -> Reason | None:
    """Why the headers alone make the series unfit; None if they do not."""
    header = series.header
    if header.rescale_type.lower() in _MU_UNITS or (header.modality != "CT" and _is_named_mu_map(header)):
        return Reason(Code.MU_MAP, "an attenuation map (cm-1), not a CT in Hounsfield units; send the CT itself")
    if header.modality != "CT":
        return Reason(Code.NOT_CT, f"modality is {header.modality or 'missing'}")
    if series.is_localizer:
        return Reason(Code.LOCALIZER, "a localizer")
    if header.bits_allocated is None:
        return Reason(Code.PIXELS_UNREADABLE, "Bits Allocated is missing; send the images as the scanner made them")
    is_capture = f"{header.sop_class_uid}.".startswith(f"{SecondaryCaptureImageStorage}.")  # or of its multi-frame kin
    in_colour = header.samples_per_pixel != 1 or header.photometric == "PALETTE COLOR"
    if in_colour or header.bits_allocated < 12 or is_capture:
        return Reason(Code.SECONDARY_CAPTURE, "colour or 8-bit images or saved screens, not CT values")
    headers = _headers(series)
    if computed := why_no_ct(headers):
        return computed
    if (given := _contrast(headers, Said.GIVEN)) and not allow_contrast:
        message = f"contrast medium was given ({given}): enhanced blood counts as calcium"
        return Reason(
            Code.CONTRAST_GIVEN, f"{message}; score a CT without it, or this one all the same: --allow-contrast"
        )
    return missing_parts(series.slices)


def _headers(series: Series) -> tuple[SeriesHeader, ...]:
    """Return the different headers of the images of a series, mostly a single one."""
    return tuple({id(slice_.header): slice_.header for slice_ in series.slices}.values())


def _contrast(headers: Sequence[SeriesHeader], wanted: Said) -> str | None:
    return contrast_of((agent for header in headers for agent in header.contrast), wanted)


def _is_named_mu_map(header: SeriesHeader) -> bool:
    return bool(_MU_MAP_WORDS.search(plain_texts(header.series_description, header.protocol_name)))


def _nothing_fits(ranked: Sequence[Candidate]) -> Refusal:
    """Return the reason of the only CT, or the one that all share, or a list of the reasons of several."""
    relevant = [c for c in ranked if c.unfit and c.unfit.code is not Code.NOT_CT]
    if not relevant:
        held = sorted({candidate.series.header.modality for candidate in ranked})
        return Refusal(Code.NO_CT_SERIES, f"no CT images in this study, only {', '.join(held)}")
    first = relevant[0]
    if first.unfit and len({candidate.unfit.code for candidate in relevant if candidate.unfit}) == 1:
        others = f" (and {len(relevant) - 1} other series likewise)" if len(relevant) > 1 else ""
        return Refusal(first.unfit.code, f"{first.series.name}: {first.unfit.message}{others}")
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
    elif not is_marked_ctac(best.series, study):
        notes.append(
            Reason(Code.NOT_MARKED_CTAC, "nothing in the headers says that this CT is for attenuation correction")
        )
    doubt = next(filter(None, map(doubt_about, _headers(best.series))), None)
    return (*notes, *filter(None, (doubt, _contrast_note(best.series))))


def _contrast_note(series: Series) -> Reason | None:
    """Return a warning if tags or descriptions speak of contrast medium; the narrower text outweighs the wider."""
    headers = _headers(series)
    if given := _contrast(headers, Said.GIVEN):  # and allowed
        return Reason(Code.CONTRAST_GIVEN, f"contrast medium was given ({given}): enhanced blood counts as calcium")
    if enteral := _contrast(headers, Said.ENTERAL):
        message = f"contrast medium by mouth or rectum ({enteral}) does not enhance blood, but can lie beside the heart"
        return Reason(Code.CONTRAST_MENTIONED, message)
    if named := _contrast(headers, Said.OPEN):
        message = f"the header does not say whether contrast medium was given ({named})"
        return Reason(Code.CONTRAST_MENTIONED, message)
    if _contrast(headers, Said.NOT_GIVEN):
        return None
    header = headers[0]
    for name, texts in {
        "series": (header.series_description, header.protocol_name),
        "study or request": (header.study_description, *header.request.split(" | ")),
    }.items():
        said = said_of_series(*texts)
        if said is Said.GIVEN:
            message = f"the description of the {name} speaks of contrast medium, no contrast tag does"
            return Reason(Code.CONTRAST_MENTIONED, message)
        if said is Said.NOT_GIVEN:
            break
    return None
