"""What can go wrong, and the reasons why a study is refused or scored with a warning.

The exception tree::

    CtacalError
     +- UsageError          the caller's request is impossible (exit status 2)
     +- Refusal             this study, series or file cannot be scored; carries a Reason (exit status 1)
     +- NotPossible         a reader's request that cannot be done as things stand; carries a Problem

A refused study is a *result with a reason*, never a crash: :func:`ctacal.study.score_study` turns a ``Refusal`` into a
``StudyResult`` of status ``refused``.
"""

import errno
from dataclasses import dataclass
from enum import StrEnum
from traceback import format_tb


class Code(StrEnum):
    """Stable, machine-readable reason codes; the text below each says when it is given."""

    # The input cannot be read.
    FILE_UNREADABLE = "FILE_UNREADABLE"
    """A file that claims to be DICOM is corrupt or truncated, or an archive or folder cannot be opened."""
    TOO_LARGE = "TOO_LARGE"
    """The images, a compressed stream or their scoring would need more memory than is allowed."""
    PIXELS_UNREADABLE = "PIXELS_UNREADABLE"
    """The pixel data are missing, truncated or damaged, or do not fit the header."""
    SYNTAX_UNSUPPORTED = "SYNTAX_UNSUPPORTED"
    """The pixels are stored in a transfer syntax that ctacal does not read; export the study uncompressed."""
    TOO_SLOW = "TOO_SLOW"
    """Scoring took longer than is allowed."""
    PROCESS_ENDED = "PROCESS_ENDED"
    """The process that scored the study ended each time: a library crashed, or the system ended it because memory ran
    out."""
    INTERNAL_ERROR = "INTERNAL_ERROR"
    """A defect in ctacal itself; the traceback is in the log."""

    # The study holds nothing that can be scored.
    NO_CT_SERIES = "NO_CT_SERIES"
    """The study has no CT image series."""
    NO_SCORABLE_SERIES = "NO_SCORABLE_SERIES"
    """The study has CT series, but each of them is unfit for a reason of its own."""
    SERIES_NOT_FOUND = "SERIES_NOT_FOUND"
    """The requested series is not in the study."""
    MIXED_PATIENTS = "MIXED_PATIENTS"
    """Images of several patients share a StudyInstanceUID."""
    TWO_SCANS = "TWO_SCANS"
    """Images of several scans, of one person or of several, share a SeriesInstanceUID."""

    # A series is not an axial CT in Hounsfield units.
    NOT_CT = "NOT_CT"
    """The series' modality is not CT."""
    LOCALIZER = "LOCALIZER"
    """The series is a localizer (scout, topogram, surview)."""
    NOT_AXIAL = "NOT_AXIAL"
    """The slices are tilted by more than 30 degrees from the axial plane."""
    SECONDARY_CAPTURE = "SECONDARY_CAPTURE"
    """The images are in colour, 8-bit or saved screens, not CT values."""
    MU_MAP = "MU_MAP"
    """The series is an attenuation map (cm-1), not a CT in Hounsfield units."""
    DERIVED_IMAGE = "DERIVED_IMAGE"
    """The images were computed from others (virtual non-contrast, iodine, one photon energy, projection, difference):
    they are not a CT at a tube voltage, and calcium has other values in them."""
    NO_RESCALE = "NO_RESCALE"
    """Rescale Slope / Intercept are missing or not numbers, and the values do not look like Hounsfield units."""
    NOT_HU = "NOT_HU"
    """The rescaled values contain no air or no soft tissue in the usual ranges of Hounsfield units."""
    HU_OUT_OF_RANGE = "HU_OUT_OF_RANGE"
    """Values lie far above any metal, or beyond Bits Stored: the header declares padding, bits or sign wrongly."""
    CONTRAST_GIVEN = "CONTRAST_GIVEN"
    """The header says that contrast medium was given: enhanced blood would count as calcium. A warning
    with --allow-contrast."""

    # The slices do not make one regular volume.
    NO_GEOMETRY = "NO_GEOMETRY"
    """Image Position (Patient), Image Orientation (Patient) or Pixel Spacing is missing or meaningless."""
    TOO_FEW_SLICES = "TOO_FEW_SLICES"
    """There are fewer slices than a volume needs."""
    MISSING_SLICE = "MISSING_SLICE"
    """One or more slices are missing."""
    MIXED_SPACING = "MIXED_SPACING"
    """The distance between slices changes along the series."""
    MIXED_ORIENTATION = "MIXED_ORIENTATION"
    """Some slices of the series are turned or mirrored against the others."""
    SHIFTED_SLICE = "SHIFTED_SLICE"
    """A slice is shifted in plane against its neighbours."""
    GANTRY_TILT = "GANTRY_TILT"
    """The stack is sheared by a gantry tilt."""
    SCAN_IN_PARTS = "SCAN_IN_PARTS"
    """The series holds a scan in parts that cannot be scored as one: kernel, matrix or orientation change."""
    SEVERAL_PHASES = "SEVERAL_PHASES"
    """One image or series holds several phases or repeated scans, whose slices overlap or interleave."""
    DUPLICATE_SLICE = "DUPLICATE_SLICE"
    """Two different images lie at the same position."""
    INCONSISTENT_SLICE = "INCONSISTENT_SLICE"
    """The content of a slice does not fit its neighbours: its pixel data are corrupted."""

    # The given labels do not fit.
    LABELS_UNREADABLE = "LABELS_UNREADABLE"
    """The label map cannot be read, or holds values that are not calcium labels."""
    LABELS_MISMATCH = "LABELS_MISMATCH"
    """The label map's grid is not the scan's grid."""

    # The score cannot be computed.
    HEART_NOT_FOUND = "HEART_NOT_FOUND"
    """No heart was found between two lungs."""
    KVP_UNKNOWN = "KVP_UNKNOWN"
    """The scoring rule depends on the tube voltage, and the header has no usable KVP."""

    # Two scans cannot be compared lesion by lesion.
    SCANS_NOT_ALIGNED = "SCANS_NOT_ALIGNED"
    """The hearts of two scans do not fit upon each other by shift and turn: their lesions are not matched."""

    # Scored, with a warning.
    STUDY_IN_SEVERAL_ROWS = "STUDY_IN_SEVERAL_ROWS"
    """Several rows of a batch hold different images of the study, and each was scored with what it holds alone."""
    NOT_MARKED_CTAC = "NOT_MARKED_CTAC"
    """Nothing in the headers says that this CT was acquired for attenuation correction."""
    SEVERAL_CANDIDATES = "SEVERAL_CANDIDATES"
    """Several series fit equally well; the message names the chosen series and the others."""
    SECOND_CTAC = "SECOND_CTAC"
    """The study holds another CTAC, as of rest and stress: its score is told beside the one that counts."""
    GATED_CALCIUM_SCAN = "GATED_CALCIUM_SCAN"
    """The series is a dedicated (gated) calcium-score CT, not a CTAC."""
    INCOMPLETE_SERIES = "INCOMPLETE_SERIES"
    """The headers promise more images than are here: part of the scan may be missing."""
    SLICES_APART = "SLICES_APART"
    """The slices are thinner than the distance between them: calcium between them is not seen."""
    CONTENT_JUMP = "CONTENT_JUMP"
    """The image changes abruptly between two slices: the patient moved, or slices are missing between them."""
    PATIENT_DATA_DIFFER = "PATIENT_DATA_DIFFER"
    """The patient's data are written differently in the images of the study, which seem to show one patient."""
    UID_LEADING_ZERO = "UID_LEADING_ZERO"
    """UIDs have components that begin with zero, against the standard. They are kept as they are; a strict PACS may
    refuse results that refer to them."""
    COMPUTED_IMAGE = "COMPUTED_IMAGE"
    """The headers call the images an average, a blend or otherwise computed: calcium may have other values in them."""
    CONTRAST_MENTIONED = "CONTRAST_MENTIONED"
    """A description or a contrast tag speaks of contrast medium without saying that the blood holds it."""
    SLICES_INTERPOLATED = "SLICES_INTERPOLATED"
    """Missing slices were interpolated, on request."""
    TILT_RESAMPLED = "TILT_RESAMPLED"
    """The gantry tilt was resampled away, on request."""
    POSITIONS_ROUNDED = "POSITIONS_ROUNDED"
    """The positions of the slices are rounded coarsely; the spacing comes from a line through all of them."""
    DUPLICATES_DROPPED = "DUPLICATES_DROPPED"
    """Some images were present more than once; one copy of each was used."""
    LOSSY_COPIES_DROPPED = "LOSSY_COPIES_DROPPED"
    """Lossy copies of the images were left out; the lossless images beside them were used."""
    SCAN_JOINED = "SCAN_JOINED"
    """Images of several passes, series, studies or frames of reference make one regular grid, scored as one scan."""
    SCAN_GOES_ON = "SCAN_GOES_ON"
    """Other images of the study go on where the scored ones end: part of the heart may lie there."""
    LOCALIZERS_DROPPED = "LOCALIZERS_DROPPED"
    """Localizer images inside the series were left out."""
    SERIES_SPLIT = "SERIES_SPLIT"
    """One SeriesInstanceUID held several reconstructions, by matrix, kernel, orientation, image type or acquisition."""
    RESCALE_ASSUMED = "RESCALE_ASSUMED"
    """Rescale Slope / Intercept are missing, but air and soft tissue show that the values are Hounsfield units."""
    LOSSY_COMPRESSION = "LOSSY_COMPRESSION"
    """The pixels are stored with loss, by transfer syntax or code stream: small lesions may have changed."""
    HU_GAP = "HU_GAP"
    """Values between soft tissue and bright bone are missing, which no scanner makes: the CT values were altered."""
    RESCALE_VARIES = "RESCALE_VARIES"
    """Rescale Slope or Intercept differ between slices, which is unusual in CT: one of them may be wrong."""
    PIXELS_UNLIKE_HEADER = "PIXELS_UNLIKE_HEADER"
    """The pixels are not as the header says (transfer syntax, bits, sign, padding), and were read as stated."""
    KVP_NOT_120 = "KVP_NOT_120"
    """The rule's thresholds hold for 120 kVp; calcium is brighter at a lower and darker at a higher tube voltage."""
    THICK_SLICES = "THICK_SLICES"
    """The slices are thicker than 5 mm: small lesions may be missed."""
    HIGH_NOISE = "HIGH_NOISE"
    """Noise reaches the calcium threshold: false lesions are likely."""
    SHARP_KERNEL = "SHARP_KERNEL"
    """The kernel enhances edges: noise and edges can exceed the threshold."""
    HEART_CUT_OFF = "HEART_CUT_OFF"
    """The heart reaches the first or the last slice: part of it may lie outside the scan."""
    CONTRAST_SEEN = "CONTRAST_SEEN"
    """The inside of the heart is brighter than unenhanced blood can be: contrast medium counts as calcium. Such a scan
    is refused, or scored with this warning on request."""
    METAL_SEEN = "METAL_SEEN"
    """There is metal in or near the heart: the metal and its streaks can count as calcium or hide it."""
    MOTION_SEEN = "MOTION_SEEN"
    """The heart's border is more blurred or doubled than in the training scans: lesions may be missed or doubled."""
    NOISE_UNLIKE_TRAINING = "NOISE_UNLIKE_TRAINING"
    """The noise lies outside the range of the training scans."""
    KERNEL_UNLIKE_TRAINING = "KERNEL_UNLIKE_TRAINING"
    """The texture of the noise, which depends on the kernel, lies outside the range of the training scans."""
    SLICES_UNLIKE_TRAINING = "SLICES_UNLIKE_TRAINING"
    """The slice spacing, or the overlap of slices, lies outside the range of the training scans."""
    PIXELS_UNLIKE_TRAINING = "PIXELS_UNLIKE_TRAINING"
    """The pixel size lies outside the range of the training scans."""
    FIELD_UNLIKE_TRAINING = "FIELD_UNLIKE_TRAINING"
    """The field of view lies outside the range of the training scans."""
    BLOOD_UNLIKE_TRAINING = "BLOOD_UNLIKE_TRAINING"
    """The inside of the heart is darker or brighter than in the training scans: the CT values may be wrong."""
    OUTPUT_NOT_WRITTEN = "OUTPUT_NOT_WRITTEN"
    """The score is valid, but a requested output could not be made from the values in the headers."""
    SERIES_UNREADABLE = "SERIES_UNREADABLE"
    """Files in the study's folder could not be read; they may belong to the scored series."""
    FILES_MISSING = "FILES_MISSING"
    """A DICOMDIR lists CT images of the study that are not there."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a study was refused or needs care: a stable code, and a line for people to read.

    >>> str(Reason(Code.MISSING_SLICE, "no slice between z = 12.0 and 18.0 mm"))
    'MISSING_SLICE: no slice between z = 12.0 and 18.0 mm'
    """

    code: Code
    message: str

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class CtacalError(Exception):
    """The root of all errors that ctacal raises on purpose."""


class UsageError(CtacalError):
    """The caller's request is impossible: an unknown rule, a path that does not exist."""


class Refusal(CtacalError):
    """A study, series or file that cannot be scored, with the reason."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.reason = Reason(code, message)


class Problem(StrEnum):
    """Why a reader's request cannot be done; the page acts on it, and shows the message."""

    NOT_FOUND = "NOT_FOUND"
    """There is no such reading for this reader."""
    INVALID = "INVALID"
    """A field of the request is missing or impossible."""
    STALE = "STALE"
    """The reading has gone on in another tab or program."""
    LOCKED = "LOCKED"
    """The reading is signed."""
    WASHOUT = "WASHOUT"
    """The plan does not let this reader read the study yet."""
    FORBIDDEN = "FORBIDDEN"
    """The reader's role does not allow it."""
    DISK = "DISK"
    """The event could not be stored; nothing has changed."""
    DAMAGED = "DAMAGED"
    """The file of the reading was altered or damaged."""


class NotPossible(CtacalError):
    """A reader's request that cannot be done as things stand."""

    def __init__(self, problem: Problem, message: str) -> None:
        super().__init__(message)
        self.problem = problem


_SYSTEM_ADVICE = {
    "ask for the right to use it": ("EACCES", "EPERM"),
    "free the disk or choose another folder": ("ENOSPC", "EDQUOT", "EFBIG"),
    "choose another folder": ("EROFS", "EEXIST", "ENOTDIR", "EISDIR"),
    "the disk or the network failed, try again": ("EIO", "ESTALE", "ETIMEDOUT", "ECONNRESET", "EHOSTDOWN", "ENOTCONN"),
    "give it a shorter name": ("ENAMETOOLONG",),
    "raise the limit of open files (ulimit -n)": ("EMFILE", "ENFILE"),
    "its links lead in a circle": ("ELOOP",),
}
"""What to do, by the names of the system's errors (errno.h)."""


def system_message(problem: OSError) -> str:
    """Return what the system says of a file or folder, and what to do; the name of the file is left to the caller.

    >>> system_message(PermissionError(13, "Permission denied", "/x"))
    'Permission denied; ask for the right to use it'
    """
    said = problem.strerror or str(problem) or type(problem).__name__
    name = errno.errorcode.get(problem.errno or 0, "")
    advice = next((advice for advice, names in _SYSTEM_ADVICE.items() if name in names), "")
    return f"{said}; {advice}" if advice else said


def trace(problem: BaseException) -> str:
    """Return where a defect lies, without its message: that may quote a header, and a header may name the patient."""
    return f"{''.join(format_tb(problem.__traceback__))}{type(problem).__name__}"
