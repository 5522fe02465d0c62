"""``ScanProtocol``: scanner and protocol of a scan, as far as two scans must be alike to be compared."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ctacal.compare.reasons import Doubt
from ctacal.dicom.clues import is_sharp_kernel
from ctacal.scores import KVP_TOLERANCE

MOST_RATIO = 1.2
"""Slices whose thickness or spacing differ by more than this factor are of another class: 3 and 3.27 mm are of one, 3
and 3.75 mm are not (own choice)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanProtocol:
    """Scanner and protocol. Empty or None: not known, and then not compared."""

    manufacturer: str = ""
    model: str = ""
    kvp: float | None = None
    slice_thickness_mm: float | None = None
    slice_spacing_mm: float | None = None
    kernel: str = ""
    """Name of the kernel, or of its class: smooth, sharp."""

    @property
    def kernel_class(self) -> str:
        """``smooth`` or ``sharp``; empty if the kernel is not known."""
        if self.kernel in ("", "smooth", "sharp"):
            return self.kernel
        return "sharp" if is_sharp_kernel(self.kernel) else "smooth"

    @property
    def in_words(self) -> str:
        """The protocol on one line, as far as it is known."""
        parts = [
            " ".join(part for part in (self.manufacturer, self.model) if part),
            f"{self.kvp:g} kVp" if self.kvp is not None else "",
            f"{self.slice_thickness_mm:g} mm slices" if self.slice_thickness_mm is not None else "",
            f"{self.slice_spacing_mm:.4g} mm apart" if self.slice_spacing_mm is not None else "",
            f"kernel {self.kernel}" if self.kernel else "",
        ]
        return ", ".join(part for part in parts if part) or "nothing known"


def protocol_differences(a: ScanProtocol, b: ScanProtocol) -> Iterator[tuple[Doubt, str]]:
    """Yield in what two protocols differ so much that noise and score differ too, each with its words.

    What one of them does not know is not compared.
    """
    if a.kvp is not None and b.kvp is not None and abs(a.kvp - b.kvp) > KVP_TOLERANCE:
        yield Doubt.KVP_DIFFERS, f"{a.kvp:g} and {b.kvp:g} kVp: calcium is brighter at the lower tube voltage"
    for doubt, what, one, other in (
        (Doubt.THICKNESS_DIFFERS, "thick", a.slice_thickness_mm, b.slice_thickness_mm),
        (Doubt.SPACING_DIFFERS, "apart", a.slice_spacing_mm, b.slice_spacing_mm),
    ):
        if one and other and max(one, other) > MOST_RATIO * min(one, other):
            yield doubt, f"slices {one:.4g} and {other:.4g} mm {what}: thicker slices blur small lesions away"
    if a.kernel_class and b.kernel_class and a.kernel_class != b.kernel_class:
        yield Doubt.KERNEL_DIFFERS, f"kernels {a.kernel} ({a.kernel_class}) and {b.kernel} ({b.kernel_class})"
    if _other_scanner(a, b):
        named = [f"{one.manufacturer} {one.model}".strip() for one in (a, b)]
        yield Doubt.SCANNER_DIFFERS, f"scanners {named[0]} and {named[1]}"


def _other_scanner(a: ScanProtocol, b: ScanProtocol) -> bool:
    """Whether the models differ, or else the makers; makers change their names, models do not.

    >>> siemens, renamed = (ScanProtocol(manufacturer=name) for name in ("SIEMENS", "Siemens Healthineers"))
    >>> _other_scanner(siemens, renamed), _other_scanner(siemens, ScanProtocol(manufacturer="Philips"))
    (False, True)
    """
    if a.model and b.model:
        return _differ(a.model, b.model)
    return _differ(a.manufacturer.partition(" ")[0], b.manufacturer.partition(" ")[0])


def _differ(a: str, b: str) -> bool:
    """Whether both names are known, and are not one name written in two ways.

    >>> _differ("GE MEDICAL SYSTEMS", "GE Medical Systems"), _differ("Symbia T16", "Symbia Intevo"), _differ("", "x")
    (False, True, False)
    """
    one, other = (re.sub(r"[\W_]", "", name.casefold()) for name in (a, b))
    return bool(one and other) and one != other
