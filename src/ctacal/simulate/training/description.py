"""``CropDescription``: how a crop is scanned, drawn from a seed; equal descriptions give equal crops."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctacal.labels import Calcium
from ctacal.simulate.scanner.kernel import ramp_response
from ctacal.simulate.scanner.protocol import ScannerProtocol, load_protocol, protocol_names
from ctacal.simulate.streams import Stream, generator
from ctacal.simulate.training.anatomy_cache import AnatomyCache
from ctacal.simulate.training.deposits import Deposits
from ctacal.simulate.training.projections import STEP_MM
from ctacal.simulate.vital_signs import TRAINING, draw_breath_s, draw_breathing_mm, draw_heart_rate, draw_irregularity

SHAPE = (36, 160, 160)
"""(slices, rows, columns) of a crop."""

WHOLE_MM = (5.0, 4.0)
"""Slice thickness and pixel size of whole scans."""

END_MM = 12.0
"""Distance from the ends of the built range within which slices and breath may miss a deposit."""

BEYOND_MM = 10.0
"""Length of the patient above and below the heart, where scoring searches too (own choice)."""

KVPS = (80.0, 100.0, 110.0, 120.0, 130.0, 140.0)
"""Tube voltages drawn besides the presets' own; only a few, because each needs tables."""

THICKNESS_MM = (2.5, 3.0, 3.27, 3.75, 4.0, 4.25, 5.0, 5.0, 6.0, 8.0, 10.0)
"""Usual slice thicknesses of CTACs, and the thicker ones of old SPECT/CT."""


PHANTOM_PROTOCOLS = ("canon_aquilion_one",)
"""Presets for scans of a phantom, not for CTACs of patients; drawn only if named."""


class Focus(StrEnum):
    """Content of a crop; networks need all of them, though they are not equally frequent in patients."""

    CORONARY = "coronary"
    """It contains coronary calcium."""
    OTHER = "other"
    """It contains calcium or metal outside of the coronary arteries, which must not be counted."""
    NEGATIVE = "negative"
    """A heart without coronary calcium, perhaps with other calcium."""
    CLEAN = "clean"
    """Neither calcium nor metal: everything bright is noise, motion or bone."""


FOCUS_SHARES = {Focus.CORONARY: 0.45, Focus.OTHER: 0.25, Focus.NEGATIVE: 0.2, Focus.CLEAN: 0.1}
"""Frequency of each content (own choice)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CropDescription:
    """A crop: scanner, state of the patient, and place."""

    seed: int
    """Seed of noise, heartbeat and the moment at which the scan begins."""
    focus: Focus
    protocol: ScannerProtocol
    """Its field of view and matrix define the pixels; the crop is a part of that image plane."""
    deposits: int | None
    """Number of the anatomy's draw of calcium; None: no calcium."""
    heart_rate_bpm: float
    irregularity: float
    """SD of the RR intervals over their mean."""
    breathing_mm: float
    breathing_s: float
    middle_mm: tuple[float, float]
    """(row, column) of the crop's centre from the isocentre."""
    bottom_mm: float
    """Centre of the lowest slice along the patient, 0 at the carina."""
    shape: tuple[int, int, int] = SHAPE


def draw_description(
    cache: AnatomyCache, seed: int, focus: Focus, protocols: Sequence[str] | None = None
) -> CropDescription:
    """Draw how a crop of this anatomy is scanned; without any calcium that fits ``focus``, the crop is clean.

    ``protocols`` are the presets to draw from, as ``draw_protocol`` has them.
    """
    rng = generator(seed, Stream.CROP)
    fitting = [n for n, deposits in enumerate(cache.deposits) if _fits(cache, deposits, focus)]
    chosen = int(rng.choice(fitting)) if fitting else None
    protocol = draw_protocol(rng, cache, protocols)
    middle_mm, bottom_mm = _place(rng, cache, protocol, _target_mm(rng, cache, chosen, focus))
    return CropDescription(
        seed=seed,
        focus=focus if fitting else Focus.CLEAN,
        protocol=protocol,
        deposits=chosen,
        middle_mm=middle_mm,
        bottom_mm=bottom_mm,
        **_motion(rng),
    )


def draw_heart_description(
    cache: AnatomyCache,
    seed: int,
    deposits: int | None,
    protocols: Sequence[str] | None = None,
    margin_mm: float = 26.0,
    *,
    hard: bool = False,
) -> CropDescription:
    """Draw a scan of the whole heart, with or without one of the anatomy's draws of calcium.

    The crop extends ``margin_mm`` around the heart in plane and ``BEYOND_MM`` beyond it at both ends, as far as it was
    built; ``protocols`` and ``hard`` as for ``draw_protocol``. Raises ``ValueError`` if there is no such draw.
    """
    if deposits is not None and not 0 <= deposits < len(cache.deposits):
        raise ValueError(f"there are {len(cache.deposits)} draws of calcium, got number {deposits}")
    rng = generator(seed, Stream.HEART_SCAN)
    protocol, motion = draw_protocol(rng, cache, protocols, hard=hard), _motion(rng)
    bottom_mm, slices = _heart_slices(cache, protocol, motion["breathing_mm"])
    left, posterior = cache.heart_mm[:, :2].mean(axis=0) - cache.projections.isocentre_mm
    wide_mm, deep_mm = np.ptp(cache.heart_mm[:, :2], axis=0) + 2 * margin_mm
    rows, columns = (int(np.ceil(mm / protocol.pixel_mm)) for mm in (deep_mm, wide_mm))
    return CropDescription(
        seed=seed, focus=_focus_of(cache, deposits), protocol=protocol, deposits=deposits, bottom_mm=bottom_mm,
        middle_mm=(round(float(posterior), 2), round(float(left), 2)), shape=(slices, rows, columns), **motion,
    )  # fmt: skip


def _heart_slices(cache: AnatomyCache, protocol: ScannerProtocol, breathing_mm: float) -> tuple[float, int]:
    """Return the centre of the lowest slice and the number of slices; a breath moves the heart towards the feet."""
    low, high = _range_mm(cache)
    half_mm = protocol.thickness_mm / 2
    bottom_mm = max(float(cache.heart_mm[0, 2]) - breathing_mm - BEYOND_MM, low + half_mm)
    top_mm = min(float(cache.heart_mm[1, 2]) + BEYOND_MM, high - half_mm - breathing_mm)
    bottom_mm = float(np.ceil(bottom_mm * 100) / 100)
    return bottom_mm, max(1, int((top_mm - bottom_mm) / protocol.spacing_mm) + 1)


def _focus_of(cache: AnatomyCache, deposits: int | None) -> Focus:
    """Return the content of a scan of the whole heart."""
    if deposits is None:
        return Focus.CLEAN
    return Focus.CORONARY if (cache.deposits[deposits].calcium != Calcium.OTHER).any() else Focus.NEGATIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeRange:
    """How whole scans lie about the heart, and how wide they are."""

    length_mm: tuple[float, float]
    heart_at: tuple[float, float]
    """Where a slice of the heart lies in the scan, from 0 at its lower to 1 at its upper end."""
    off_mm: float
    """SD of the distance of the image's middle from the isocentre, along rows and columns."""
    pixels: tuple[int, int]
    """Fewest and most rows and columns."""


USUAL_WHOLE = WholeRange(length_mm=(150, 450), heart_at=(0.2, 0.8), off_mm=12, pixels=(128, 128))
HARD_WHOLE = WholeRange(length_mm=(90, 460), heart_at=(0.03, 0.97), off_mm=20, pixels=(76, 172))
"""Whole scans for training, and those that are short, cut off in the heart, off centre, narrow (300 mm) or wide
(690 mm) too (own choice)."""


def draw_whole_description(cache: AnatomyCache, seed: int, *, hard: bool = False) -> CropDescription:
    """Draw a whole scan in voxels of 5 x 4 x 4 mm, of an anatomy built with ``COARSE``.

    It always holds a part of the heart. ``hard`` draws from ``HARD_WHOLE``, and one of the anatomy's draws of calcium,
    or none.
    """
    rng, kept = generator(seed, Stream.WHOLE_SCAN), HARD_WHOLE if hard else USUAL_WHOLE
    protocol = replace(
        draw_protocol(rng, cache, hard=hard), thickness_mm=WHOLE_MM[0], spacing_mm=WHOLE_MM[0], matrix=128,
        fov_mm=128 * WHOLE_MM[1],
        kernel="hann", mtf50_per_mm=0.1, blur_mm=0.0,
    )  # fmt: skip
    low, high = _range_mm(cache)
    length_mm = min(float(rng.uniform(*kept.length_mm)), high - low - WHOLE_MM[0])
    heart = float(rng.uniform(*cache.heart_mm[:, 2]))
    bottom_mm = float(np.clip(heart - rng.uniform(*kept.heart_at) * length_mm, low, high - length_mm))
    middle_mm = round(float(rng.normal(0, kept.off_mm)), 2), round(float(rng.normal(0, kept.off_mm)), 2)
    motion, pixels, deposits = _motion(rng), 128, None
    if hard:
        pixels = _whole_pixels(rng, kept)
        deposits = int(rng.integers(len(cache.deposits))) if cache.deposits and rng.random() < 0.8 else None
    return CropDescription(
        seed=seed, focus=Focus.CLEAN, protocol=protocol, deposits=deposits,
        bottom_mm=round(bottom_mm + WHOLE_MM[0] / 2, 2), middle_mm=middle_mm,
        shape=(int(length_mm / WHOLE_MM[0]), pixels, pixels), **motion,
    )  # fmt: skip


def _whole_pixels(rng: np.random.Generator, kept: WholeRange) -> int:
    """Draw the number of rows and columns: that of 512 mm in six of ten scans, a multiple of four."""
    return 128 if rng.random() < 0.6 else 4 * int(rng.integers(kept.pixels[0] // 4, kept.pixels[1] // 4 + 1))


def _motion(rng: np.random.Generator) -> dict[str, Any]:
    """Draw heartbeat and breathing."""
    rate_bpm, fibrillates = draw_heart_rate(rng, TRAINING)
    return {
        "heart_rate_bpm": round(rate_bpm, 1),
        "irregularity": round(draw_irregularity(rng, fibrillates), 3),
        "breathing_mm": round(draw_breathing_mm(rng, TRAINING), 1),
        "breathing_s": round(draw_breath_s(rng, TRAINING), 1),
    }


def draw_protocol(
    rng: np.random.Generator, cache: AnatomyCache, protocols: Sequence[str] | None = None, *, hard: bool = False
) -> ScannerProtocol:
    """Draw a preset and vary voltage, dose, kernel, slices, pixels, rotation time and electronic noise (own choice).

    ``protocols`` names the presets that may be drawn, by default all but ``PHANTOM_PROTOCOLS``. ``hard`` lets some
    draws leave the usual range (``_unusual``). Raises ``UsageError`` if there is no such preset.
    benchmarks/training_crops.py prints the resulting noise in the heart.
    """
    names = (
        [name for name in protocol_names() if name not in PHANTOM_PROTOCOLS] if protocols is None else list(protocols)
    )
    preset = load_protocol(names[int(rng.integers(len(names)))])
    kvp = preset.kvp if rng.random() < 0.6 else KVPS[int(rng.integers(len(KVPS)))]
    thickness_mm = preset.thickness_mm if rng.random() < 0.4 else THICKNESS_MM[int(rng.integers(len(THICKNESS_MM)))]
    spacing_mm = preset.spacing_mm if thickness_mm == preset.thickness_mm else thickness_mm
    if rng.random() < 0.2:
        spacing_mm *= rng.uniform(0.6, 1.0)
    brighter = (kvp / preset.kvp) ** -2.5  # dose at the detector rises with about that power of the voltage
    usual = replace(
        preset,
        kvp=kvp,
        tube_current_ma=preset.tube_current_ma * brighter * float(rng.lognormal(0, 0.4)),
        rotation_s=preset.rotation_s * float(rng.uniform(0.8, 1.25)),
        thickness_mm=thickness_mm,
        spacing_mm=max(2.5, round(float(spacing_mm), 2)),
        kernel=("hann", "cosine", "gauss", "enhanced")[int(rng.choice(4, p=(0.45, 0.25, 0.18, 0.12)))],
        mtf50_per_mm=round(float(np.clip(preset.mtf50_per_mm * rng.uniform(0.75, 1.4), 0.16, 0.4)), 2),
        electronic_noise_kev=preset.electronic_noise_kev * float(rng.lognormal(0, 0.3)),
        matrix=512,
        fov_mm=512 * round(float(rng.uniform(0.7, 1.4)), 3),
        scan_field_mm=cache.projections.detectors * cache.projections.detector_mm,
        views=cache.projections.views,
        detector_mm=cache.projections.detector_mm,
    )
    return _unusual(rng, preset, usual, _heart_over_water(cache)) if hard else usual


PIXELS_MM = (0.5, 2.0)
"""Smallest and largest pixels: reconstructions of the heart alone, and wide ones of 256 x 256 pixels."""

WIDEST_MM = 700.0
"""Largest field of view of 512 x 512 pixels."""

UNUSUAL_THICKNESS_MM = (1.5, 1.5, 2.0, 2.5, 7.0, 8.0, 10.0)
"""Thin slices of diagnostic scans, no thinner than those of the projections, and thick ones."""

Kernels = tuple[tuple[str, tuple[float, float]], ...]
"""Families of kernels, each with its lowest and highest MTF50."""

SHARP_KERNELS: Kernels = (("lung", (0.42, 0.55)), ("enhanced", (0.3, 0.45)), ("hann", (0.32, 0.5)))
"""Kernels that enhance edges, such as Siemens B70f, Philips L, GE LUNG, and other sharp ones."""

SMOOTH_KERNELS: Kernels = (("gauss", (0.11, 0.17)), ("body", (0.14, 0.28)))
"""Kernels smoother than those of CTACs."""

NOISE_HU = (5.0, 70.0)
"""Smallest and largest noise in the heart, about, evenly over its logarithm."""

SHARP_NOISE_HU = (20.0, 75.0)
"""The same with ``SHARP_KERNELS``, which make any usual dose noisy."""

WATER_MM, WATER_PER_MM = 320.0, 0.0193
"""Diameter of the water in which presets state their noise, and attenuation of water at 70 keV (NIST XCOM)."""


def _unusual(
    rng: np.random.Generator, preset: ScannerProtocol, usual: ScannerProtocol, heart_over_water: float
) -> ScannerProtocol:
    """Replace pixels, slices, kernel and noise by unusual ones, each in some of the draws (shares: own choice).

    A sharp kernel and other slices always get a noise of their own: with the usual dose it would be beyond any scan.
    """
    drawn, drawn_as = usual, rng.random(4)
    if drawn_as[0] < 0.35:
        pixel_mm = float(np.exp(rng.uniform(*np.log(PIXELS_MM))))
        matrix = 512 if 512 * pixel_mm <= WIDEST_MM else 256
        drawn = replace(drawn, matrix=matrix, fov_mm=round(matrix * pixel_mm, 1))
    if sliced := bool(drawn_as[1] < 0.25):
        drawn = replace(drawn, **_unusual_slices(rng))
    if sharp := bool(drawn_as[2] < 0.2):
        drawn = replace(drawn, **_kernel(rng, SHARP_KERNELS))
    elif drawn_as[2] < 0.28:
        drawn = replace(drawn, **_kernel(rng, SMOOTH_KERNELS))
    if sliced or sharp or drawn_as[3] < 0.15:
        wanted_hu = float(np.exp(rng.uniform(*np.log(SHARP_NOISE_HU if sharp else NOISE_HU))))
        expected_hu = preset.noise_target_hu * heart_over_water * _relative_noise(drawn) / _relative_noise(preset)
        drawn = replace(drawn, tube_current_ma=drawn.tube_current_ma * (expected_hu / wanted_hu) ** 2)
    return drawn


def _heart_over_water(cache: AnatomyCache) -> float:
    """Return the quantum noise in the middle of the heart over that of ``WATER_MM``: by the rays' attenuation alone."""
    kept = cache.projections
    above_mm = cache.heart_mm[:, 2].mean() - cache.geometry.to_patient_mm((0, 0, 0))[2]
    middle = round(float(above_mm / cache.geometry.slice_spacing_mm))
    near = slice(kept.detectors // 2 - kept.detectors // 20, kept.detectors // 2 + kept.detectors // 20)
    path_mm = (
        kept.rest[:, :, middle, near].sum(axis=0) * STEP_MM
    )  # of water and hydroxyapatite, which differ little here
    return float(np.sqrt(np.mean(np.exp(WATER_PER_MM * (path_mm - WATER_MM)))))


def _unusual_slices(rng: np.random.Generator) -> dict[str, Any]:
    """Draw thin or thick slices, which overlap in three of ten draws."""
    thickness_mm = UNUSUAL_THICKNESS_MM[int(rng.integers(len(UNUSUAL_THICKNESS_MM)))]
    overlap = rng.uniform(0.6, 1.0) if rng.random() < 0.3 else 1.0
    spacing_mm = max(UNUSUAL_THICKNESS_MM[0], round(float(thickness_mm * overlap), 2))
    return {"thickness_mm": thickness_mm, "spacing_mm": spacing_mm}


def _kernel(rng: np.random.Generator, kernels: Kernels) -> dict[str, Any]:
    family, mtf50_per_mm = kernels[int(rng.integers(len(kernels)))]
    return {"kernel": family, "mtf50_per_mm": round(float(rng.uniform(*mtf50_per_mm)), 2)}


def _relative_noise(protocol: ScannerProtocol) -> float:
    """Return a figure in proportion to the quantum noise: from the dose, and the power that the kernel lets pass."""
    detectors = int(protocol.scan_field_mm / protocol.detector_mm)
    response = ramp_response(detectors, protocol.detector_mm, protocol.kernel, protocol.mtf50_per_mm, protocol.blur_mm)
    passed = float(np.mean(response**2)) / protocol.detector_mm
    return float(np.sqrt(passed / (protocol.mas * protocol.thickness_mm * protocol.kvp**2.5)))


def _fits(cache: AnatomyCache, deposits: Deposits, focus: Focus) -> bool:
    if focus in (Focus.CORONARY, Focus.OTHER):
        return bool(len(_shown(cache, deposits, focus)))
    return focus is Focus.NEGATIVE and bool((deposits.calcium == Calcium.OTHER).all())


def _shown(cache: AnatomyCache, deposits: Deposits, focus: Focus) -> NDArray[np.float64]:
    """Return (voxels, 3): positions (S, P, L) of what fits the focus, away from the ends of the built range."""
    low, high = _range_mm(cache)
    at = deposits.points_mm(cache.geometry)[:, ::-1]
    inner = (at[:, 0] > low + END_MM) & (at[:, 0] < high - END_MM)
    return np.asarray(at[inner & ((deposits.calcium == Calcium.OTHER) == (focus is Focus.OTHER))], np.float64)


def _target_mm(
    rng: np.random.Generator, cache: AnatomyCache, chosen: int | None, focus: Focus
) -> NDArray[np.float64] | None:
    """Return a point (S, P, L) that the crop must contain: a voxel that fits the focus, if it needs one."""
    if chosen is None or focus not in (Focus.CORONARY, Focus.OTHER):
        return None
    shown = _shown(cache, cache.deposits[chosen], focus)
    return np.asarray(shown[int(rng.integers(len(shown)))])


def _place(
    rng: np.random.Generator, cache: AnatomyCache, protocol: ScannerProtocol, target_mm: NDArray[np.float64] | None
) -> tuple[tuple[float, float], float]:
    """Return ``middle_mm`` and ``bottom_mm``: anywhere around the heart such that the crop contains the target."""
    size_mm = np.array(SHAPE) * (protocol.spacing_mm, protocol.pixel_mm, protocol.pixel_mm)
    heart = (cache.heart_mm.mean(axis=0) + rng.normal(0, (12, 10, 15)))[::-1]
    if target_mm is not None:
        room = np.maximum(size_mm / 2 - (2 * protocol.thickness_mm, 12, 12), 0)
        heart = np.clip(heart, target_mm - room, target_mm + room)
    low, high = _range_mm(cache)
    middle = np.clip(heart[0], *sorted((low + size_mm[0] / 2, high - size_mm[0] / 2)))
    left, posterior = cache.projections.isocentre_mm
    in_plane = round(float(heart[1] - posterior), 2), round(float(heart[2] - left), 2)
    return in_plane, round(float(middle - (SHAPE[0] - 1) / 2 * protocol.spacing_mm), 2)


def _range_mm(cache: AnatomyCache) -> tuple[float, float]:
    """Return the ends of the built range along the patient."""
    low, high = (cache.geometry.to_patient_mm((edge, 0, 0))[2] for edge in (-0.5, cache.geometry.shape[0] - 0.5))
    return float(low), float(high)
