"""Clues from a series' texts, scanner and acquisition, and from the emission scan, that it is the CTAC of its study."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from ctacal.dicom.derived import doubt_about
from ctacal.dicom.header import SeriesHeader
from ctacal.dicom.headers.contrast import contrast_of
from ctacal.dicom.headers.contrast_words import Said, said_of_series
from ctacal.dicom.headers.words import any_of, plain, plain_texts
from ctacal.dicom.series import Series, Study

_CTAC_WORDS = re.compile(
    r"\bctac|ctac\b|\bct ?attn|\battn|\batt?enu|\battencorr|\bla[gv]dos|absorptionskor|schwa(e)?chungskor|\b"
    + any_of("""
    acct ct_ac ac_ct ct_for_ac acqct ac_qct myocor aten atten atn transmission ldct ld_ct lowdose low_dose niedrigdosis
    faible_dose basse_dose baja_dosis dosis_baja bassa_dose baixa_dose lage_dosis
    """)
    + r"\b|衰减校正|吸収補正|減弱補正|감쇠 ?보정|低剂量|低線量"
)
_AC = re.compile(r"\bac\b")
_CT = re.compile(r"\bct\b")
_HYBRID_WORDS = re.compile(r"\b(pet|spect|nm|tep|temp) ?(ct|tc|tdm|scan)\b|\bct ?(pet|spect)\b")
_HYBRID_SCANNERS = re.compile(
    r"\b"
    + any_of("""
    biograph* mct symbia* intevo* hawkeye* hawk_eye* infinia* millennium millenium brightview* xct precedence gemini*
    ingenuity_tf vereos celesteion cartesion aquiduo umi u_mi uexplorer omni any_scan anyscan starguide star_guide
    veriton reveal nm_ct pet_ct spect_ct optima_nm optima_640
    """)
    + r"\b|\bdiscovery (ls|st|ste|rx|vct|iq|mi|me|nm|vh|5[37]0|6[0179]0|710)\b"
)
"""Scanners with an emission part, by Manufacturer's Model Name (vendors' product names). Discovery CT750, Discovery RT,
Ingenuity CT and the like are CTs alone. A diagnostic CT may come from a hybrid scanner too."""

_CALCIUM_WORDS = re.compile(
    r"\bca ?sc(ores?|oring)?\b|calcium|kalzium|calcique|\bcalcio\b|agatston|\bcacs?\b|\bcac ?score|\bheart ?scan"
)
_SHARP_KERNELS = re.compile(
    r"^[BHJUDTFQ]?[a-z]?([5-9]\d)[fhsm]?\b|^(BONE|LUNG|EDGE|DETAIL|ULTRA|CHEST)|^FC(3|5|8)\d|^(C|D|E|L|Y[BCDE])$",
    re.IGNORECASE,
)
"""Sharp kernels: Siemens B/Br/I 50 and above, GE and Canon names, Philips C, D, E, L, YB.. (vendors' kernel lists)."""


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
    """Whether the description, or the protocol of a series not described as CTAC, calls it a calcium-score CT."""
    described = plain(header.series_description)
    if _CTAC_WORDS.search(described) or (_AC.search(described) and _CT.search(described)):
        return bool(_CALCIUM_WORDS.search(described))
    return bool(_CALCIUM_WORDS.search(plain_texts(header.series_description, header.protocol_name)))


def _described_as_ctac(series: Series, study: Study) -> bool:
    return _means_ctac(series.header.series_description, series, study)


def _scanned_as_ctac(series: Series, study: Study) -> bool:
    """Whether protocol or study say it, which often name several series, and the series description does not."""
    texts = series.header.protocol_name, series.header.study_description
    return not _described_as_ctac(series, study) and any(_means_ctac(text, series, study) for text in texts)


def _means_ctac(text: str, series: Series, study: Study) -> bool:
    """Whether a text says attenuation correction or low dose; ``AC`` alone means more than that, and needs support."""
    said = plain(text)
    if not _AC.search(said):
        return bool(_CTAC_WORDS.search(said))
    supports = _CT.search(said), _has_emission(series, study), _says_hybrid(series, study), is_from_hybrid(series)
    return any(supports) or bool(_CTAC_WORDS.search(said))


def _says_hybrid(series: Series, _: Study) -> bool:
    header = series.header
    return bool(
        _HYBRID_WORDS.search(plain_texts(header.series_description, header.protocol_name, header.study_description))
    )


def _hybrid_by_model(series: Series, study: Study) -> bool:
    return is_from_hybrid(series) and not _says_hybrid(series, study)


def is_from_hybrid(series: Series) -> bool:
    """Whether Manufacturer's Model Name is that of a PET/CT or SPECT/CT scanner."""
    return bool(_HYBRID_SCANNERS.search(plain(series.header.model)))


def _has_emission(_: Series, study: Study) -> bool:
    return any(other.header.modality in ("NM", "PT") for other in study.series)


def _ctac_kvp(series: Series, _: Study) -> bool:
    return 80 <= (series.header.kvp or 0) <= 140


def _ctac_thickness(series: Series, _: Study) -> bool:
    return 2 <= (series.slices[0].thickness_mm or 0) <= 10


def _low_dose(series: Series, _: Study) -> bool:
    return 0 < (series.slices[len(series.slices) // 2].exposure_mas or 0) <= 60


def _described_with_contrast(series: Series, _: Study) -> bool:
    return said_of_series(series.header.series_description) is Said.GIVEN


def _contrast_given(series: Series, _: Study) -> bool:
    """Whether a contrast tag says so, which refuses the series unless it is allowed."""
    return contrast_of(series.header.contrast, Said.GIVEN) is not None


CLUES: tuple[Clue, ...] = (
    Clue(4, has_emission_frame, "shares the frame of reference of the emission scan"),
    Clue(3, _described_as_ctac, "is described as attenuation-correction CT"),
    Clue(2, _scanned_as_ctac, "is part of a protocol or study described as attenuation-correction CT"),
    Clue(2, _says_hybrid, "is described as part of a PET/CT or SPECT/CT"),
    Clue(2, _hybrid_by_model, "comes from a PET/CT or SPECT/CT scanner"),
    Clue(1, _has_emission, "lies beside an emission scan"),
    Clue(1, _low_dose, "low dose (mAs up to 60)"),
    Clue(1, _ctac_kvp, "80-140 kVp"),
    Clue(1, _ctac_thickness, "2-10 mm slices"),
    Clue(-1, lambda series, _: is_sharp_kernel(series.header.kernel), "but a sharp kernel"),
    Clue(-1, lambda series, _: "DERIVED" in series.header.image_type, "but derived images"),
    Clue(-1, lambda series, _: "SECONDARY" in series.header.image_type, "but secondary images"),
    Clue(-2, _described_with_contrast, "but described as with contrast medium"),
    Clue(-4, lambda series, _: bool(doubt_about(series.header)), "but computed images"),
    Clue(-8, _contrast_given, "but contrast medium was given"),
    Clue(-4, lambda series, _: is_calcium_scan(series.header), "but a dedicated calcium-score CT"),
)
"""The clues with their weights (own judgement, to be extended with the descriptions of more sites)."""

_ACQUISITION_CLUES = (_low_dose, _ctac_kvp, _ctac_thickness)


def is_marked_ctac(series: Series, study: Study) -> bool:
    """Whether the emission scan's frame, a text or the scanner marks it as a CTAC, and the acquisition agrees.

    A hybrid scanner alone marks only a CT of low dose: it makes diagnostic CTs too.
    """
    acquired_alike = sum(clue(series, study) for clue in _ACQUISITION_CLUES) >= 2
    marks = (has_emission_frame, _described_as_ctac, _scanned_as_ctac, _says_hybrid)
    low_dose_of_hybrid = is_from_hybrid(series) and _low_dose(series, study)
    return acquired_alike and (low_dose_of_hybrid or any(mark(series, study) for mark in marks))
