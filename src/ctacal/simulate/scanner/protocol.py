"""``ScannerProtocol``: a scanner and its CTAC protocol, from a preset or from a user's own TOML file."""

from dataclasses import dataclass
from math import inf
from pathlib import Path

from ctacal.errors import UsageError
from ctacal.fields import read_toml
from ctacal.simulate.scanner.kernel import FAMILIES

PROTOCOLS = Path(__file__).parent / "protocols"
"""The presets; the source of each number is the comment behind it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScannerProtocol:
    """A scanner and its protocol. Defaults are the same in all presets, and assumed unless a source is named.

    Raises ``UsageError``, which names the field, if a value is impossible.

    Example:
        >>> from dataclasses import replace
        >>> replace(load_protocol("spect_ct_16slice"), name="ours", kvp=100.0).kvp
        100.0
        >>> replace(load_protocol("spect_ct_16slice"), spacing_mm=-1.0)
        Traceback (most recent call last):
        ctacal.errors.UsageError: protocol 'spect_ct_16slice': spacing_mm is -1.0, expected above 0
    """

    name: str
    notes: str = ""
    kvp: float
    tube_current_ma: float
    rotation_s: float
    thickness_mm: float
    """Width of the slice-sensitivity profile at half its height."""
    spacing_mm: float
    matrix: int
    fov_mm: float
    """Width of the image."""
    kernel: str
    """A family of ``kernel.FAMILIES``."""
    mtf50_per_mm: float
    """Resolution of scanner and kernel: the frequency at which the modulation transfer is one half."""
    noise_target_hu: float
    """SD in the centre of 320 mm of water; the tests check it, but nothing is scaled by it."""
    collimation_mm: float
    """Width of the beam along z at the isocentre: slices within it are acquired at the same time."""
    helical: bool = True
    """Helical, with a rounded slice profile (slopes half as wide as the slice), or step and shoot."""
    pitch: float = 1.0
    """Table travel per rotation over the collimation; 1 for step and shoot."""
    step_s: float = 1.0
    """Step and shoot: time from the end of a rotation to the next."""
    filter_mm_al: float = 7.0
    """Inherent and flat filters, and the middle of the bow tie, as aluminium (assumed, as in kvp_factors.py)."""
    filter_mm_cu: float = 0.0
    bow_tie: float = 0.45
    """Share of the path missing towards the edge of a 320 mm cylinder that the bow-tie filter compensates for."""
    scan_field_mm: float = 500.0
    """Diameter that the detector covers; beyond it, data are extrapolated."""
    focus_mm: float = 570.0
    """Distance from focus to isocentre: about that of most diagnostic scanners."""
    views: int = 720
    """Number of views over half a rotation."""
    detector_mm: float = 0.8
    """Spacing of the rays at the isocentre."""
    blur_mm: float = 0.9
    """Focal spot and detector aperture at the isocentre, FWHM; the kernel compensates for it as far as it can."""
    dose_efficiency: float = 0.75
    """Share of photons within the profile that hit active detector: septa, grid, penumbra."""
    electronic_noise_kev: float = 150.0
    """SD of the electronic noise of one ray in one view."""
    gain_error: float = 0.0
    """SD of the differences between detector elements after calibration, over the signal: rings."""
    current_modulation: float = 0.0
    """0: constant current; 1: current in proportion to attenuation; 0.5 is usual with modulation."""
    scatter: float = 0.05
    """Scatter over primary signal in the centre behind a 320 mm water cylinder; some 2-10 % with a grid, more in
    beams many centimetres wide."""
    scatter_corrected: float = 0.9
    """Scatter that the scanner subtracts, over the true scatter (assumed: accurate to within a tenth)."""

    def __post_init__(self) -> None:
        for name in _POSITIVE:
            self._require(0 < getattr(self, name) < inf, name, "above 0")
        for name in _NOT_NEGATIVE:
            self._require(0 <= getattr(self, name) < inf, name, "0 or more")
        for name, low, high in _RANGES:
            self._require(low <= getattr(self, name) <= high, name, f"{low:g} to {high:g}")
        self._require(self.kernel in FAMILIES, "kernel", f"one of {', '.join(FAMILIES)}")
        self._require(self.helical or self.pitch == 1, "pitch", "1 for step and shoot")

    def _require(self, right: bool, field: str, wanted: str) -> None:
        if not right:
            raise UsageError(f"protocol {self.name!r}: {field} is {getattr(self, field)!r}, expected {wanted}")

    @property
    def mas(self) -> float:
        """Effective mAs, which a slice receives."""
        return self.tube_current_ma * self.rotation_s / self.pitch

    @property
    def pixel_mm(self) -> float:
        """Width of a pixel."""
        return self.fov_mm / self.matrix


_POSITIVE = ("tube_current_ma", "rotation_s", "thickness_mm", "spacing_mm", "noise_target_hu", "collimation_mm")
_NOT_NEGATIVE = ("step_s", "filter_mm_al", "filter_mm_cu", "blur_mm", "electronic_noise_kev", "gain_error")
_RANGES = (
    ("kvp", 60, 150),
    ("matrix", 16, 1024),
    ("fov_mm", 50, 900),
    ("scan_field_mm", 50, 900),
    ("mtf50_per_mm", 0.05, 1.5),
    ("pitch", 0.1, 3),
    ("bow_tie", 0, 1),
    ("focus_mm", 200, 1500),
    ("views", 16, 4000),
    ("detector_mm", 0.1, 5),
    ("dose_efficiency", 0.01, 1),
    ("current_modulation", 0, 1),
    ("scatter", 0, 0.5),
    ("scatter_corrected", 0, 2),
)


def protocol_names() -> tuple[str, ...]:
    """The presets that come with ctacal.

    Returns:
        Names that ``load_protocol`` takes, sorted.

    Example:
        >>> protocol_names()[-3:]
        ('spect_ct_16slice', 'spect_ct_2slice', 'spect_ct_flat_panel')
    """
    return tuple(sorted(file.stem for file in PROTOCOLS.glob("*.toml")))


def load_protocol(name: str | Path) -> ScannerProtocol:
    """Load a preset by its name, or a user's own TOML file by its path.

    Args:
        name: Name of a preset (``protocol_names``), or path of a TOML file.

    Returns:
        The protocol; units stand in the names of its fields.

    Raises:
        UsageError: There is no such preset or file, or a field is missing, unknown or impossible.

    Example:
        >>> protocol = load_protocol("spect_ct_16slice")
        >>> isinstance(protocol, ScannerProtocol), protocol.kvp, protocol.spacing_mm
        (True, 120.0, 3.27)
    """
    if str(name) in protocol_names():
        return read_toml(ScannerProtocol, PROTOCOLS / f"{name}.toml", name=str(name))
    file = Path(name)
    if not file.exists():
        raise UsageError(f"no protocol {str(name)!r}: expected one of {', '.join(protocol_names())}, or a TOML file")
    return read_toml(ScannerProtocol, file, name=file.stem)
