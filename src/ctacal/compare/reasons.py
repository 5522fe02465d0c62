"""``Doubt``: why two scans cannot be compared, or only with care."""

from dataclasses import dataclass
from enum import StrEnum


class Doubt(StrEnum):
    """Stable, machine-readable codes; the text below each says when it is given."""

    OTHER_PATIENT = "OTHER_PATIENT"
    """Patient ID, birth date or sex differ between the scans: they seem to show two patients."""
    ANATOMY_DIFFERS = "ANATOMY_DIFFERS"
    """Lungs and chest do not fit upon each other as those of one patient do: look at both scans."""
    PATIENT_UNSURE = "PATIENT_UNSURE"
    """Headers or images do not prove that both scans show one patient: the identity was removed, the names differ, or
    too little of the chest is seen."""
    SAME_SCAN = "SAME_SCAN"
    """Both are the same scan, or two reconstructions of one acquisition: nothing can have changed."""
    NOT_SCORED = "NOT_SCORED"
    """One of the scans was refused; its own reason follows."""
    MODEL_DIFFERS = "MODEL_DIFFERS"
    """The scans were scored by different models: score both anew with one."""
    RULE_DIFFERS = "RULE_DIFFERS"
    """The scans were scored by different rules: score both anew with one."""
    KVP_DIFFERS = "KVP_DIFFERS"
    """The tube voltages differ."""
    THICKNESS_DIFFERS = "THICKNESS_DIFFERS"
    """The slice thicknesses differ by more than a fifth."""
    SPACING_DIFFERS = "SPACING_DIFFERS"
    """The slice spacings differ by more than a fifth."""
    KERNEL_DIFFERS = "KERNEL_DIFFERS"
    """One scan has a smooth kernel, the other a sharp one."""
    SCANNER_DIFFERS = "SCANNER_DIFFERS"
    """The scans come from different manufacturers or models of scanner."""
    GATING_DIFFERS = "GATING_DIFFERS"
    """One of the scans is a dedicated (gated) calcium-score CT, the other is not."""
    COVERAGE_CUT_OFF = "COVERAGE_CUT_OFF"
    """Part of the heart may lie outside one of the scans, or slices of it are missing."""
    CONTRAST = "CONTRAST"
    """Contrast medium was given for, or is seen in, one of the scans."""
    METAL = "METAL"
    """There is metal (a stent, a lead, a valve, clips) in or near the heart: it can count as calcium or hide it."""
    NO_LIMITS = "NO_LIMITS"
    """No limits of repeatability hold for these scans: neither the site's own, nor simulated ones of a like scanner."""
    LIMITS_DO_NOT_FIT = "LIMITS_DO_NOT_FIT"
    """The limits that were given are of another scanner, protocol, model or rule."""
    BEYOND_THE_PAIRS = "BEYOND_THE_PAIRS"
    """The scores are higher than in any pair that the limits were made from."""
    QUANTITY_UNKNOWN = "QUANTITY_UNKNOWN"
    """The quantity by which the limits judge is not known of both scans."""

    # These do not stand in the way of a verdict.
    DATES_SWAPPED = "DATES_SWAPPED"
    """The scan that was named first is the later one; the comparison goes from the earlier to the later."""
    NO_DATE = "NO_DATE"
    """The date of a scan is not known: no annual change, and the order is as given."""
    SHORT_INTERVAL = "SHORT_INTERVAL"
    """Less than 180 days lie between the scans: no annual change."""
    IMAGE_QUALITY = "IMAGE_QUALITY"
    """One of the scans was scored with a warning about its noise, motion or likeness to the training scans."""
    LIMITS_UNCHECKED = "LIMITS_UNCHECKED"
    """The limits do not say of which scanner and protocol they are: nobody can tell whether they hold."""
    LIMITS_SIMULATED = "LIMITS_SIMULATED"
    """The limits come from simulated scans, not from patients of this site."""
    SCORED_EARLIER = "SCORED_EARLIER"
    """The scores were taken from a table or from results; they were not made anew."""
    LESIONS_NOT_MATCHED = "LESIONS_NOT_MATCHED"
    """The lesions of the scans could not be matched."""


@dataclass(frozen=True, slots=True)
class ComparisonReason:
    """A doubt about a comparison."""

    code: Doubt
    message: str
    blocks: bool = True
    """Whether there is no verdict because of it."""

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"
