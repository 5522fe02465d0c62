"""``Prediction``: the answer of a predictor (a network, the baseline, a reader's file) for one volume."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ctacal.errors import Reason
from ctacal.heart import HeartMask
from ctacal.labels import LabelMap
from ctacal.scores import ScoringRule
from ctacal.uncounted import Uncounted
from ctacal.volume import Volume


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What labelled the voxels: it stands in every result.

    >>> ModelInfo("mine", "1.0", digest="").runtime
    'none'
    """

    name: str
    version: str
    digest: str
    """SHA-256 of the weights or of the label file; of the name and version if there is no file."""
    runtime: str = "none"
    """What ran the networks (``nn.runtime.RuntimeName``); none if there were no networks."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An interval of the Agatston score."""

    low: float
    high: float
    coverage: float
    """Share of validation studies whose true score lies in their interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Uncertainty:
    """How sure a predictor is of its answer, and what it estimates beside the labels. None: not estimated.

    Probabilities, interval and gated equivalent were calibrated under one scoring rule and are None under any other.
    """

    rule: ScoringRule | None = None
    """The rule that probabilities, interval and gated equivalent hold for."""
    category_probabilities: tuple[float, ...] | None = None
    """In the order of ``categories.CATEGORIES``."""
    interval: Interval | None = None
    gated_equivalent_agatston: float | None = None
    """The score that a gated scan of the same calcium would give, estimated from the calcium mass."""
    coronary_certainty: float | None = None
    """Mean probability of being coronary, over the voxels labelled so."""
    excess_mass_mg: Mapping[str, float] = field(default_factory=dict)
    """Calcium mass by vessel (``Calcium`` name), from what calcium adds to each voxel, corrected for blur where the
    predictor can; empty if not estimated."""


@dataclass(frozen=True, slots=True)
class ScanFigures:
    """Image quality of a scan, as a predictor measured it. None: the scan does not allow the measurement."""

    noise_sd_hu: float | None
    """Standard deviation of the in-plane noise, in blood and myocardium."""
    noise_grain_mm: float | None
    """In-plane distance over which the noise's autocorrelation halves: small for sharp kernels, large for smooth."""
    slice_correlation: float | None
    """Correlation of the noise in neighbouring slices: 0 for contiguous slices, more if they overlap."""
    slice_spacing_mm: float
    pixel_mm: float
    field_mm: float
    """Shorter side of the image."""
    blood_hu: float | None
    """Median inside the heart: blood and myocardium."""
    border_blur_mm: float | None
    """How much wider the heart's border is than that of the chest wall, which does not move."""
    metal_mm3: float
    """Volume of metal in or beside the heart."""


@dataclass(frozen=True, eq=False, slots=True)
class Prediction:
    """A predictor's answer for one volume. Only labels and model are needed.

    Example:
        >>> import numpy as np
        >>> def nothing(volume: Volume, rule: ScoringRule) -> Prediction:
        ...     labels = LabelMap(np.zeros(volume.geometry.shape, np.uint8), volume.geometry)
        ...     return Prediction(labels, ModelInfo("nothing", "1.0", digest=""))
    """

    labels: LabelMap
    """On the grid of the volume; voxels below the rule's threshold do not count."""
    model: ModelInfo
    heart: HeartMask | None = None
    """None if the predictor does not look for the heart."""
    uncertainty: Uncertainty | None = None
    reasons: tuple[Reason, ...] = ()
    """Warnings: how the scan differs from the predictor's training scans."""
    figures: ScanFigures | None = None
    uncounted: Uncounted | None = None
    """What was weighed and not counted; None if the predictor weighs no islands."""


Predictor = Callable[[Volume, ScoringRule], Prediction]
"""Labels the calcium of a canonical volume; the rule, at the scan's tube voltage, gives the threshold in HU."""
