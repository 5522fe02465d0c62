"""``Limits``: how far two scans of an unchanged patient differ, from a site's own pairs or from simulated ones.

Differences are those of square roots, sqrt(B) - sqrt(A), because those of scores grow with the score (Hokanson JE et
al., AJR 2004;182:1327-1332); the limits still may change along the mean of both square roots.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from math import isfinite, sqrt
from pathlib import Path
from typing import Literal

from ctacal.atomic import write_text
from ctacal.compare.protocol import ScanProtocol, protocol_differences
from ctacal.compare.reasons import Doubt
from ctacal.compare.scan import ComparedScan
from ctacal.errors import UsageError
from ctacal.fields import from_fields

FORM = "ctacal limits 1"
"""Marks a file of limits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """The limits of one quantity at points along the mean of both square roots, straight in between."""

    mean_sqrt: tuple[float, ...]
    """Rising from 0; the last is the highest mean of any pair: nothing is claimed beyond."""
    low: tuple[float, ...]
    """Lowest sqrt(B) - sqrt(A) of an unchanged patient, at each point."""
    high: tuple[float, ...]

    def __post_init__(self) -> None:
        if not 2 <= len(self.mean_sqrt) == len(self.low) == len(self.high):
            raise ValueError("mean_sqrt, low and high must have one length of 2 or more")
        if not all(map(isfinite, (*self.mean_sqrt, *self.low, *self.high))):
            raise ValueError("limits must be numbers")
        if self.mean_sqrt[0] != 0 or any(b <= a for a, b in zip(self.mean_sqrt, self.mean_sqrt[1:], strict=False)):
            raise ValueError(f"mean_sqrt must rise from 0, got {self.mean_sqrt}")
        if any(low > 0 or high < 0 or low == high for low, high in zip(self.low, self.high, strict=True)):
            raise ValueError("no change at all must lie within the limits: low <= 0 <= high, and not both 0")

    def at(self, a: float, b: float) -> tuple[float, float] | None:
        """Return the lowest and the highest sqrt(b) - sqrt(a) of an unchanged patient; None beyond the pairs.

        >>> Band(mean_sqrt=(0.0, 10.0), low=(-2.0, -4.0), high=(2.0, 6.0)).at(25.0, 25.0)
        (-3.0, 4.0)
        """
        mean = (sqrt(a) + sqrt(b)) / 2
        for left, right in zip(range(len(self.mean_sqrt)), range(1, len(self.mean_sqrt)), strict=False):
            if mean <= self.mean_sqrt[right]:
                share = (mean - self.mean_sqrt[left]) / (self.mean_sqrt[right] - self.mean_sqrt[left])
                return _between(self.low, left, share), _between(self.high, left, share)
        return None


def _between(values: tuple[float, ...], left: int, share: float) -> float:
    return values[left] + share * (values[left + 1] - values[left])


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of repeatability: 95 of 100 pairs of an unchanged patient lie within.

    Example:
        >>> limits = Limits(
        ...     name="ours", origin="site", pairs=40, patients=38, protocol=ScanProtocol(kvp=120.0), rule="scct2016",
        ...     bands={"agatston": Band(mean_sqrt=(0.0, 40.0), low=(-3.0, -3.0), high=(3.0, 3.0))},
        ... )
        >>> limits.in_words, limits.bands["agatston"].at(100.0, 144.0)  # their square roots differ by 2
        ("the site's own limits 'ours' (40 pairs of 38 patients)", (-3.0, 3.0))
    """

    name: str
    """Name of the site, or of the simulator's preset."""
    origin: Literal["site", "simulated"]
    bands: dict[str, Band]
    """By quantity, named as in results.csv: agatston, volume_mm3 ..."""
    decides: str = "agatston"
    """The one quantity that gives the verdict: judging by several would call more unchanged patients changed."""
    coverage: float = 0.95
    pairs: int
    patients: int
    first_day: str | None = None
    """Date of the first pair, in the form 2024-01-31; None if simulated or not known."""
    last_day: str | None = None
    protocol: ScanProtocol
    rule: str
    """Name of the scoring rule."""
    model_digest: str = ""
    """Digest of the model that scored the pairs; empty if readers scored them or the model is not known."""
    notes: tuple[str, ...] = ()
    """What a reader of the limits should know."""

    def __post_init__(self) -> None:
        if self.decides not in self.bands:
            raise ValueError(f"decides is {self.decides!r}, but there are limits of {', '.join(self.bands)} only")

    @property
    def in_words(self) -> str:
        """Where the limits come from, on one line."""
        days = f", {self.first_day} to {self.last_day}" if self.first_day and self.last_day else ""
        if self.origin == "site":
            return f"the site's own limits '{self.name}' ({self.pairs} pairs of {self.patients} patients{days})"
        return f"simulated limits of '{self.name}' ({self.pairs} simulated pairs of {self.patients} patients)"


def misfits(limits: Limits, scan: ComparedScan) -> tuple[tuple[Doubt, str], ...]:
    """Return in what a scan differs from those of the limits; nothing if the limits hold for it."""
    found = list(protocol_differences(limits.protocol, scan.protocol))
    if scan.rule and scan.rule != limits.rule:
        found.append((Doubt.RULE_DIFFERS, f"rules {limits.rule} and {scan.rule}"))
    if limits.model_digest and scan.model_digest and limits.model_digest != scan.model_digest:
        found.append((Doubt.MODEL_DIFFERS, "the pairs were scored by another model"))
    return tuple(found)


def fitting(known: Iterable[Limits], scans: Sequence[ComparedScan], accept: Collection[Doubt] = ()) -> Limits | None:
    """Return the limits that hold for all scans, those of the nearest slices if several do; None if none does.

    Where scans differ in what the user accepts, they need to hold for one of them. A scan without tube voltage,
    slice spacing, rule and model has none: nothing would tell whether they hold.
    """
    if not all(map(_is_told, scans)):
        return None
    found = [limits for limits in known if _hold(limits, scans, accept)]
    return min(found, key=lambda limits: sum(_distance(limits.protocol, scan.protocol) for scan in scans), default=None)


def _is_told(scan: ComparedScan) -> bool:
    protocol = scan.protocol
    return None not in (protocol.kvp, protocol.slice_spacing_mm) and bool(scan.rule and scan.model_digest)


def _hold(limits: Limits, scans: Sequence[ComparedScan], accept: Collection[Doubt]) -> bool:
    wrong = [{doubt for doubt, _ in misfits(limits, scan)} for scan in scans]
    return not all(wrong) and all(doubts <= set(accept) for doubts in wrong)


def _distance(a: ScanProtocol, b: ScanProtocol) -> float:
    thickness = abs((a.slice_thickness_mm or 0) - (b.slice_thickness_mm or 0)) if b.slice_thickness_mm else 0.0
    return abs((a.slice_spacing_mm or 0) - (b.slice_spacing_mm or 0)) + thickness


def write_limits(limits: Limits, path: Path) -> None:
    """Write the file that ``--limits`` takes.

    Args:
        limits: The limits.
        path: The file, of JSON; it appears whole or not at all.

    Example:
        >>> import tempfile
        >>> limits = simulated_limits()[0]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_limits(limits, Path(folder, "ours.json"))
        ...     read_limits(Path(folder, "ours.json")) == limits
        True
    """
    write_text(path, json.dumps({"form": FORM, **asdict(limits)}, indent=1, allow_nan=False) + "\n")


def read_limits(path: Path) -> Limits:
    """Read a file of limits.

    Args:
        path: A file of ``write_limits``.

    Returns:
        The limits.

    Raises:
        UsageError: The file cannot be read, or a field is wrong; the message names both.

    Example:
        >>> read_limits(Path("no_such.json"))
        Traceback (most recent call last):
        ctacal.errors.UsageError: --limits no_such.json: No such file or directory
    """
    try:
        return limits_from(json.loads(path.read_text(encoding="utf-8")))
    except OSError as problem:
        raise UsageError(f"--limits {path}: {problem.strerror}") from problem
    except (ValueError, UsageError) as problem:
        raise UsageError(f"--limits {path}: {problem}; make one with ctacal compare --repeatability") from problem


def limits_from(content: object) -> Limits:
    """Return the limits of a file's content. Raises ``UsageError`` naming the field that is wrong."""
    if not isinstance(content, Mapping) or content.get("form") != FORM:
        raise UsageError("is no file of limits")
    return from_fields(Limits, {name: value for name, value in content.items() if name != "form"})


@cache
def simulated_limits() -> tuple[Limits, ...]:
    """Return the limits of the simulator's presets, which ship with ctacal."""
    folder = files("ctacal.compare").joinpath("simulated")
    if not folder.is_dir():
        return ()
    found = sorted((file for file in folder.iterdir() if file.name.endswith(".json")), key=lambda file: file.name)
    return tuple(limits_from(json.loads(file.read_text(encoding="utf-8"))) for file in found)
