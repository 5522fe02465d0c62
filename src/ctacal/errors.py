"""What can go wrong, and the reasons why a study is refused or scored with a warning.

The exception tree::

    CtacalError
     +- UsageError          the caller asked for something that cannot be (exit status 2)
     +- Refusal             this study, series or file cannot be scored; carries a Reason (exit status 1)

A refused study is a *result with a reason*, never a crash: :func:`ctacal.study.score_study` turns a ``Refusal`` into a
``StudyResult`` of status ``refused``.
"""

from dataclasses import dataclass
from enum import StrEnum


class Code(StrEnum):
    """Stable, machine-readable reason codes; the text beside each says when it is given."""

    # The input cannot be read.
    FILE_UNREADABLE = "FILE_UNREADABLE"
    """A file that claims to be DICOM is corrupt or truncated."""
    TOO_LARGE = "TOO_LARGE"
    """Rows x Columns x Frames, or a compressed stream, would need more memory than is allowed."""
    PIXELS_UNREADABLE = "PIXELS_UNREADABLE"
    """The pixel data are missing, truncated, of an unsupported transfer syntax or do not fit the header."""
    INTERNAL_ERROR = "INTERNAL_ERROR"
    """A defect in ctacal itself; the log holds the traceback."""

    # The study holds nothing that can be scored.
    NO_CT_SERIES = "NO_CT_SERIES"
    """The study has no CT image series."""
    NO_SCORABLE_SERIES = "NO_SCORABLE_SERIES"
    """The study has CT series, each unfit for its own reason."""
    SERIES_NOT_FOUND = "SERIES_NOT_FOUND"
    """The series that was asked for is not in the study."""
    MIXED_PATIENTS = "MIXED_PATIENTS"
    """One StudyInstanceUID holds images of several patients."""

    # A series is not an axial CT in Hounsfield units.
    NOT_CT = "NOT_CT"
    """The series' modality is not CT."""
    LOCALIZER = "LOCALIZER"
    """The series is a localizer (scout, topogram, surview)."""
    NOT_AXIAL = "NOT_AXIAL"
    """The slices are more than 30 degrees off the axial plane."""
    SECONDARY_CAPTURE = "SECONDARY_CAPTURE"
    """Colour, 8-bit or screen-saved images, not CT values."""
    MU_MAP = "MU_MAP"
    """An attenuation map (cm-1), not a CT in Hounsfield units."""
    NO_RESCALE = "NO_RESCALE"
    """Rescale Slope / Intercept are missing and the values do not prove to be Hounsfield units."""
    NOT_HU = "NOT_HU"
    """The rescaled values hold no air or no soft tissue where Hounsfield units have them."""
    HU_OUT_OF_RANGE = "HU_OUT_OF_RANGE"
    """Values far above any metal: the padding or the pixel sign is declared wrongly."""
    CONTRAST_GIVEN = "CONTRAST_GIVEN"
    """A contrast agent is named: enhanced blood would count as calcium."""

    # The slices do not make one regular volume.
    NO_GEOMETRY = "NO_GEOMETRY"
    """Image Position / Orientation (Patient) or Pixel Spacing is missing or meaningless."""
    TOO_FEW_SLICES = "TOO_FEW_SLICES"
    """Fewer slices than a volume needs."""
    MISSING_SLICE = "MISSING_SLICE"
    """There is a gap between slices."""
    MIXED_SPACING = "MIXED_SPACING"
    """The distance between slices changes along the series."""
    SHIFTED_SLICE = "SHIFTED_SLICE"
    """A slice is displaced in plane against its neighbours."""
    GANTRY_TILT = "GANTRY_TILT"
    """The stack is sheared by a gantry tilt."""
    DUPLICATE_SLICE = "DUPLICATE_SLICE"
    """Two different images lie at the same position."""
    INCONSISTENT_SLICE = "INCONSISTENT_SLICE"
    """A slice's content does not fit its neighbours: corrupted pixel data."""

    # The given labels do not fit.
    LABELS_UNREADABLE = "LABELS_UNREADABLE"
    """The label map cannot be read or holds values that are no calcium label."""
    LABELS_MISMATCH = "LABELS_MISMATCH"
    """The label map's grid is not the scan's grid."""

    # The score cannot be computed.
    HEART_NOT_FOUND = "HEART_NOT_FOUND"
    """No heart region between two lungs was found."""
    KVP_UNKNOWN = "KVP_UNKNOWN"
    """A tube-voltage-adapted rule was asked for, and the header has no usable KVP."""

    # Scored, with a warning.
    NOT_MARKED_CTAC = "NOT_MARKED_CTAC"
    """Nothing in the headers says that this CT was acquired for attenuation correction."""
    SEVERAL_CANDIDATES = "SEVERAL_CANDIDATES"
    """Several series fit equally well; the result names the one taken and the others."""
    GATED_CALCIUM_SCAN = "GATED_CALCIUM_SCAN"
    """A dedicated (gated) calcium-score CT, not a CTAC."""
    SLICES_INTERPOLATED = "SLICES_INTERPOLATED"
    """Missing slices were interpolated on request."""
    TILT_RESAMPLED = "TILT_RESAMPLED"
    """The gantry tilt was resampled away on request."""
    DUPLICATES_DROPPED = "DUPLICATES_DROPPED"
    """The same image was there more than once; one copy was used."""
    LOCALIZERS_DROPPED = "LOCALIZERS_DROPPED"
    """Localizer images inside the series were left out."""
    SERIES_SPLIT = "SERIES_SPLIT"
    """One SeriesInstanceUID held several reconstructions, by matrix, kernel, orientation, image type or acquisition."""
    RESCALE_ASSUMED = "RESCALE_ASSUMED"
    """No Rescale Slope / Intercept, but air and soft tissue prove that the stored values are Hounsfield units."""
    KVP_NOT_120 = "KVP_NOT_120"
    """Calcium reads brighter below and darker above 120 kVp; the thresholds of the rule are for 120 kVp."""
    THICK_SLICES = "THICK_SLICES"
    """Slices thicker than 5 mm lose small lesions."""
    HIGH_NOISE = "HIGH_NOISE"
    """Noise reaches the calcium threshold: false lesions are likely."""
    SHARP_KERNEL = "SHARP_KERNEL"
    """An edge-enhancing kernel raises noise and edges above the threshold."""
    HEART_CUT_OFF = "HEART_CUT_OFF"
    """The heart reaches the first or the last slice: part of it may lie outside the scan."""
    CONTRAST_SEEN = "CONTRAST_SEEN"
    """The heart's inside is far brighter than unenhanced blood: contrast medium counts as calcium."""
    METAL_SEEN = "METAL_SEEN"
    """There is metal in or beside the heart: it and its streaks can count as calcium or hide it."""
    MOTION_SEEN = "MOTION_SEEN"
    """The heart's border is more smeared or doubled than in the training scans: lesions may be missed or doubled."""
    NOISE_UNLIKE_TRAINING = "NOISE_UNLIKE_TRAINING"
    """The noise lies outside of what the networks were trained on."""
    KERNEL_UNLIKE_TRAINING = "KERNEL_UNLIKE_TRAINING"
    """The grain of the noise, which the kernel makes, lies outside of what the networks were trained on."""
    SLICES_UNLIKE_TRAINING = "SLICES_UNLIKE_TRAINING"
    """The spacing of the slices, or their overlap, lies outside of what the networks were trained on."""
    PIXELS_UNLIKE_TRAINING = "PIXELS_UNLIKE_TRAINING"
    """The size of the pixels lies outside of what the networks were trained on."""
    FIELD_UNLIKE_TRAINING = "FIELD_UNLIKE_TRAINING"
    """The field of view lies outside of what the networks were trained on."""
    BLOOD_UNLIKE_TRAINING = "BLOOD_UNLIKE_TRAINING"
    """The heart's inside is darker or brighter than in the training scans: the CT values may be off."""
    OUTPUT_NOT_WRITTEN = "OUTPUT_NOT_WRITTEN"
    """The score stands, but what the headers hold makes no valid object of a kind that was asked for."""
    SERIES_UNREADABLE = "SERIES_UNREADABLE"
    """Files of this study could not be read; they may belong to the series that was scored."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a study was refused or needs care: a stable code, and one line for a person.

    >>> str(Reason(Code.MISSING_SLICE, "no slice between z = 12.0 and 18.0 mm"))
    'MISSING_SLICE: no slice between z = 12.0 and 18.0 mm'
    """

    code: Code
    message: str

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class CtacalError(Exception):
    """The root of every error that ctacal raises on purpose."""


class UsageError(CtacalError):
    """The caller asked for something that cannot be: an unknown rule, a path that does not exist."""


class Refusal(CtacalError):
    """A study, series or file that cannot be scored, with the reason."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.reason = Reason(code, message)
