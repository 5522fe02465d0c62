"""A recipe: all settings of a network and of its training, as frozen dataclasses with a TOML and a JSON form."""

import dataclasses
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Self

from ctacal.anatomy import Anatomy
from ctacal.fields import read_toml

UniformRange = tuple[float, float]
"""Lowest and highest value of a uniform random draw."""


MOST_BITS = 23
"""Bits of the fraction of a float32, besides the first, which is always 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkConfig:
    """The architecture of a network. The defaults are our calcium network; see also ``heart()``, ``anatomy()``
    and ``published()``.

    Example:
        >>> NetworkConfig(widths=(16, 32, 64)).multiple, NetworkConfig.heart().slice_mm  # pixels, mm
        (8, 5.0)
        >>> NetworkConfig(pixel_mm=0)
        Traceback (most recent call last):
        ValueError: pixel_mm: expected a positive number, got 0
    """

    kind: Literal["heart", "anatomy", "calcium", "published", "plaque"] = "calcium"
    pixel_mm: float = 1.0
    """In-plane spacing of the network's input: close to that of 512 pixels over 500 mm (own choice)."""
    slice_mm: float = 0.0
    """Slice spacing of the network's input; 0: that of the scan."""
    widths: tuple[int, ...] = (32, 64, 96, 128)
    """Channels of each level, the finest first; each level halves rows and columns."""
    lstm_channels: int = 48
    """Hidden channels of the ConvLSTM, in each direction, at the coarsest level."""
    mid_lstm_channels: int = 0
    """Hidden channels of a second ConvLSTM, one level finer; 0: none."""
    decoder_convolutions: Literal[1, 2] = 1
    """Convolutions at each level of the decoder; the encoder has two."""
    unshuffle: Literal[1, 2] = 2
    """2: the finest level holds 2 x 2 pixels in its channels (space to depth); 1: it has full resolution."""
    refine_channels: int = 0
    """Channels of a last convolution at full resolution that gets the HU again; 0: none."""
    position: bool = True
    """Whether the input holds each voxel's position from the heart's centre: it distinguishes the vessels."""
    neighbours: bool = True
    """Whether the input holds the slices below and above at full resolution: lesions continue there, noise does not."""
    structures: bool = False
    """Whether the input also holds the structures that stage 1 finds (``inputs.STRUCTURES``): where calcium lies."""
    members: int = 1
    """Networks of a plaque network, trained on different islands, whose answers are averaged."""
    mass_head: bool = True
    """Whether the network also estimates the true calcium mass of each slice and vessel."""

    def __post_init__(self) -> None:
        _require(len(self.widths) >= 2 and min(self.widths) > 0, "widths", self.widths, "two or more positive numbers")
        _require(self.pixel_mm > 0, "pixel_mm", self.pixel_mm, "a positive number")
        _require(self.slice_mm >= 0, "slice_mm", self.slice_mm, "0 or a positive number")
        _require(self.members > 0, "members", self.members, "a positive number")
        _require(self.members == 1 or self.kind == "plaque", "members", self.members, f"1 for kind = {self.kind!r}")
        _require(self.lstm_channels > 0, "lstm_channels", self.lstm_channels, "a positive number")
        for name in ("mid_lstm_channels", "refine_channels"):
            _require(getattr(self, name) >= 0, name, getattr(self, name), "0 or a positive number")
        if self.kind != "calcium":
            named = "position, neighbours, structures, mass_head"
            extra = self.position or self.neighbours or self.structures or self.mass_head
            _require(not extra, named, True, f"false for {self.kind!r}")
        _require(self.unshuffle == 2 or not self.structures, "unshuffle", self.unshuffle, "2 for structures = true")
        if self.sees_whole_scan:
            _require(self.slice_mm > 0, "slice_mm", self.slice_mm, f"a positive number for kind = {self.kind!r}")

    @classmethod
    def heart(cls) -> Self:
        """Return the network of stage 1: S-s2d of speed.md on the whole scan, at 5 x 4 x 4 mm."""
        return cls(
            kind="heart", pixel_mm=4.0, slice_mm=5.0, widths=(24, 40, 64, 64), lstm_channels=24,
            position=False, neighbours=False, mass_head=False,
        )  # fmt: skip

    @classmethod
    def anatomy(cls) -> Self:
        """Return the anatomy network: the network of stage 1 with a class for each structure."""
        return replace(cls.heart(), kind="anatomy")

    @classmethod
    def plaque(cls) -> Self:
        """Return the network of stage 3, on pictures of 3 x 1 x 1 mm around each island."""
        return cls(
            kind="plaque", pixel_mm=1.0, slice_mm=3.0, widths=(32, 48, 64, 96), members=3, position=False,
            neighbours=False, mass_head=False,
        )  # fmt: skip

    @classmethod
    def published(cls) -> Self:
        """Return the published system, on the same crops; its architecture is fixed (``published.py``)."""
        return cls(kind="published", position=False, neighbours=False, mass_head=False)

    @property
    def sees_whole_scan(self) -> bool:
        """Whether the input is the whole scan on a coarse grid, not a crop around the heart."""
        return self.kind in ("heart", "anatomy")

    @property
    def stage(self) -> str:
        """The stage of a model that the network is (``card.STAGES``)."""
        return "heart" if self.sees_whole_scan else "plaque" if self.kind == "plaque" else "calcium"

    @property
    def multiple(self) -> int:
        """Number of which rows and columns must be a multiple."""
        return 8 if self.kind == "published" else self.unshuffle * 2 ** (len(self.widths) - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class LossConfig:
    """The weights of the loss, ``losses.py``; all are our own choice (experiments: docs/log.md)."""

    focal_gamma: float = 1.5
    """Exponent of (1 - p) in the focal cross-entropy (Lin 2017 takes 2); 0: plain cross-entropy."""
    candidate_hu: float = 130.0
    """Lowest HU of a voxel that can score (Agatston 1990)."""
    asked_hu: float = 50.0
    """Lowest HU of the voxels in and beside the heart that are trained on; darker ones cannot score."""
    near_hu: float = 100.0
    """Lowest HU of voxels that noise or another kernel may lift to ``candidate_hu``."""
    candidate_weight: float = 20.0
    """Weight of a voxel at or above ``candidate_hu``; all others weigh 1."""
    near_weight: float = 5.0
    """Weight of a voxel at or above ``near_hu``."""
    calcium_weight: float = 20.0
    """Added to the weight of a voxel that is calcium."""
    top_share: float = 0.01
    """Share of the voxels with the highest loss, whose mean is added to the loss: hard negatives."""
    top_weight: float = 0.2
    """Weight of that mean."""
    overlap_weight: float = 0.5
    """Weight of the Tversky loss of coronary calcium over the candidates."""
    tversky_miss: float = 0.6
    """Cost of a missed voxel; a false one costs 1 minus this (Salehi 2017: 0.7; 0.5 is Dice)."""
    vessel_weight: float = 0.25
    """Weight of the Dice loss of each vessel over the candidates."""
    mass_weight: float = 0.1
    """Weight of the loss of the calcium mass."""
    heart_weight: float = 1.0
    """Weight of the heart's cross-entropy and Dice, in the published system."""
    anatomy_weights: tuple[float, ...] = ()
    """Weight of each ``Anatomy`` class in the cross-entropy of an anatomy network; empty: all weigh 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingConfig:
    """Size of a training sequence, and which slices it is drawn around; shares need not sum to 1 (own choice)."""

    slices: int = 8
    rows: int = 160
    columns: int = 160
    coronary: float = 0.5
    """Share of slices with coronary calcium; the category (1-100, 101-400, >400) is drawn evenly."""
    other: float = 0.15
    """Share of slices with other calcium."""
    bright: float = 0.15
    """Share of slices with background at or above 130 HU in the heart: noise, streaks, contrast medium, cartilage."""
    anywhere: float = 0.2
    """Share of slices drawn from all."""

    def __post_init__(self) -> None:
        _require(min(self.slices, self.rows, self.columns) > 0, "slices, rows, columns", 0, "positive numbers")
        shares = (self.coronary, self.other, self.bright, self.anywhere)
        _require(min(shares) >= 0 < self.anywhere, "coronary, other, bright, anywhere", shares, "shares, anywhere > 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentationConfig:
    """Augmentation, drawn for each sequence (own choice). Nothing is flipped: a mirrored chest has another anatomy."""

    shift_mm: float = 12.0
    """Largest shift of the crop in plane, in either direction."""
    rotation_degrees: float = 8.0
    scale: UniformRange = (0.9, 1.1)
    noise_sd_hu: UniformRange = (0.0, 15.0)
    noise_grain_pixels: UniformRange = (0.0, 1.0)
    """SD of the Gaussian that gives the added noise its grain."""
    blur_pixels: UniformRange = (0.0, 0.7)
    blur_slices: UniformRange = (0.0, 0.0)
    """SD along the patient, in slices, of the Gaussian that stands for thicker slices."""
    sharpen: UniformRange = (0.0, 0.5)
    """Share of the unsharp mask that is added, as for a sharper kernel."""
    sharpen_share: float = 0.25
    """Share of sequences that are sharpened; the others are blurred."""
    thick_share: float = 0.15
    """Share of sequences whose slices are averaged in pairs."""
    contrast: UniformRange = (0.96, 1.04)
    offset_hu: float = 8.0
    heart_shift_mm: float = 4.0
    """Shift of the heart mask alone: stage 1 errs too."""
    heart_shift_along_mm: float = 9.0
    """Shift of the heart mask along the patient: stage 1 errs most at the heart's ends."""
    heart_grow_mm: UniformRange = (-3.0, 5.0)
    anatomy_shift_mm: float = 4.0
    """Largest shift of the structures alone, along each axis: stage 1 errs by about one of its voxels."""
    anatomy_blur_mm: UniformRange = (2.0, 6.0)
    """SD of the Gaussian that makes true structures as soft as the probabilities of stage 1."""
    anatomy_doubt: float = 0.7
    """SD of the log odds by which stage 1 prefers or misses each structure."""
    anatomy_hidden_share: float = 0.1
    """Share of sequences without the structures, so that the network does not rely on them alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig:
    """Folders of samples (``samples.py``), relative to the recipe."""

    training: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()
    guard: tuple[str, ...] = ()
    """Guard set of fine-tuning: samples of the former training, scored before and after (``guard.json``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """Settings of the optimisation."""

    steps: int = 4000
    sequences: int = 4
    """Sequences of slices per step and process."""
    learning_rate: float = 2e-3
    """Highest learning rate of AdamW; 2e-3 trained the network of the feasibility study."""
    warm_up_steps: int = 100
    weight_decay: float = 1e-4
    clip_norm: float = 1.0
    ema: float = 0.998
    """Decay of the averaged weights, which are validated and exported."""
    bf16: bool = False
    """Mixed precision, for machines that multiply bfloat16 in hardware; a CPU that emulates it is 100 times slower."""
    seed: int = 0
    loaders: int = 0
    """Processes that prepare samples; 0: the training process itself."""
    log_every: int = 20
    validate_every: int = 500
    checkpoint_every: int = 100
    initial: str = ""
    """A checkpoint, or the folder of a model, with whose weights training starts; it is validated first. The trunk must
    be the same; a head of other classes starts from random weights, and new layers without effect."""

    def __post_init__(self) -> None:
        for name in ("steps", "sequences", "log_every", "validate_every", "checkpoint_every"):
            _require(getattr(self, name) > 0, name, getattr(self, name), "a positive number")
        _require(0 <= self.ema < 1, "ema", self.ema, "at least 0 and below 1")
        _require(self.learning_rate > 0, "learning_rate", self.learning_rate, "a positive number")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """All that determines a trained network except the data."""

    name: str
    network: NetworkConfig = field(default_factory=NetworkConfig)
    data: DataConfig = field(default_factory=DataConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    train: TrainConfig = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        side = self.network.multiple
        crop = (self.sampling.rows, self.sampling.columns)
        _require(not any(n % side for n in crop), "sampling.rows, columns", crop, f"multiples of {side}")
        weights, classes = len(self.loss.anatomy_weights), len(Anatomy)
        _require(weights in (0, classes), "loss.anatomy_weights", weights, f"a weight for each of {classes} classes")

    def to_json(self) -> dict[str, Any]:
        """Return all settings, for checkpoints and model cards."""
        return dataclasses.asdict(self)


def read_recipe(path: Path) -> Recipe:
    """Read a recipe (TOML). Raises ``UsageError`` naming the file and the field that is unknown or impossible."""
    return read_toml(Recipe, path)


def _require(holds: bool, name: str, got: object, expected: str) -> None:
    if not holds:
        raise ValueError(f"{name}: expected {expected}, got {got}")
