"""Small crops made by hand: bright blobs whose position determines the vessel, and noise of the same brightness."""

from dataclasses import replace

import numpy as np

from ctacal.anatomy import Anatomy
from ctacal.labels import Calcium
from ctacal.nn.config import (
    AugmentationConfig,
    LossConfig,
    NetworkConfig,
    Recipe,
    SamplingConfig,
    TrainConfig,
)
from ctacal.nn.samples import Sample

SIDE = 40
PLACES = {Calcium.LAD: (14, 30), Calcium.RCA: (20, 12), Calcium.OTHER: (36, 24)}
"""Row and column of each blob: to the patient's left is a higher column."""

NO_AUGMENTATION = AugmentationConfig(
    shift_mm=0.0, rotation_degrees=0.0, scale=(1.0, 1.0), noise_sd_hu=(0.0, 0.0), blur_pixels=(0.0, 0.0),
    sharpen_share=0.0, thick_share=0.0, contrast=(1.0, 1.0), offset_hu=0.0,
    heart_shift_mm=0.0, heart_grow_mm=(0.0, 0.0),
)  # fmt: skip

TINY = NetworkConfig(widths=(8, 16), lstm_channels=4)

TINY_ANATOMY = NetworkConfig(
    kind="anatomy", widths=(8, 16), lstm_channels=4, pixel_mm=1.0, slice_mm=3.0,
    position=False, neighbours=False, mass_head=False,
)  # fmt: skip


def toy(seed: int, *vessels: Calcium, slices: int = 8) -> Sample:
    """Blobs of 4 x 4 pixels and 3 slices at 300 HU, in a heart at 40 HU, and single bright pixels that are noise."""
    random = np.random.default_rng(seed)
    hu = random.normal(40.0, 8.0, (slices, SIDE, SIDE))
    labels = np.zeros(hu.shape, np.uint8)
    mass_mg = np.zeros((slices, 4), np.float32)
    for vessel in vessels:
        row, column = np.array(PLACES[vessel]) + random.integers(-2, 3, 2)
        at = (slice(2, 5), slice(row, row + 4), slice(column, column + 4))
        hu[at], labels[at] = 300.0, vessel
        if vessel <= Calcium.RCA:
            mass_mg[2:5, vessel - 1] = 20.0
    for _ in range(12):
        at_noise = tuple(random.integers((0, 8, 8), (slices, SIDE - 8, SIDE - 8)))
        if not labels[at_noise]:
            hu[at_noise] = 200.0
    heart = np.zeros(hu.shape, bool)
    heart[:, 6:-6, 6:-6] = True
    hu[~heart] = -800.0
    return Sample(f"toy-{seed}", np.rint(hu).astype(np.int16), labels, heart, mass_mg, (3.0, 1.0, 1.0))


def toys() -> list[Sample]:
    """Crops with no vessel, one or two vessels, and with other calcium only."""
    return [
        toy(1),
        toy(2, Calcium.LAD),
        toy(3, Calcium.RCA),
        toy(4, Calcium.OTHER),
        toy(5, Calcium.LAD, Calcium.RCA),
        toy(6, Calcium.RCA, Calcium.OTHER),
    ]


def with_anatomy(sample: Sample) -> Sample:
    """Return a sample with anatomy: the heart is the left ventricle in front and the left atrium behind, in lung."""
    anatomy = np.full(sample.hu.shape, Anatomy.LUNG, np.uint8)
    anatomy[sample.heart] = Anatomy.LEFT_ATRIUM
    front = sample.heart.copy()
    front[:, SIDE // 2 :] = False
    anatomy[front] = Anatomy.LEFT_VENTRICLE
    return replace(sample, anatomy=anatomy)


def recipe(network: NetworkConfig = TINY, *, steps: int, **train: object) -> Recipe:
    options: dict[str, object] = {"learning_rate": 1e-2, "warm_up_steps": 5, "ema": 0.9, "sequences": 2}
    return Recipe(
        name="toy",
        network=network,
        sampling=SamplingConfig(slices=6, rows=SIDE, columns=SIDE),
        augmentation=NO_AUGMENTATION,
        loss=LossConfig(),
        train=TrainConfig(steps=steps, **{"validate_every": steps, **options, **train}),  # type: ignore[arg-type]
    )
