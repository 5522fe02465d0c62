"""``measure_scan``: figures that describe the appearance of a chest CT, real or simulated."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ctacal.arrays import Floats, Floats32, Mask
from ctacal.components import parts
from ctacal.morphology import grown
from ctacal.simulate.measure import (
    EdgeResponse,
    binned_edge,
    mean_frequency_per_mm,
    noise_power_spectrum,
    patches_in,
    quiet,
    slice_correlation,
)
from ctacal.simulate.realism.regions import Regions, find_regions
from ctacal.volume import Volume

Curve = tuple[Floats, Floats]

HISTOGRAM_STEP_HU: Mapping[str, float] = {
    "air": 5, "lung": 10, "subcutaneous fat": 4, "muscle": 4, "blood pool": 4, "liver": 4, "trabecular bone": 20,
    "cortical bone": 20,
}  # fmt: skip
"""Bin width of the histogram of each tissue of ``find_regions`` (own choice)."""

NOISE_IN = ("blood pool", "liver")
"""Tissues in which noise is measured: they are homogeneous."""

LEAST_VOXELS = 1000
"""Smallest number of voxels from which a tissue is measured (own choice)."""

CALCIUM_HU = 130
"""Threshold of the Agatston score: in or near a heart without calcium, brighter voxels are false positive."""

NEAR_HEART_MM = 10.0
"""Distance in plane beyond the outline of the heart that a loose heart mask would include (own choice)."""

TEXTURE_MM = 6.0
"""Side of the squares on which texture is measured as SD (own choice)."""

PROFILE_MM, PROFILE_STEP_MM = 12.0, 0.25
"""Half-length of the profiles across borders, and their step (own choice)."""

MOST_PROFILES = 2000
"""Largest number of profiles, spread evenly over the border (own choice: more change widths by less than 1 %)."""

LEAST_PROFILES = 50
"""Smallest number of profiles from which a border is measured (own choice)."""

LEVEL = 0.35
"""Slope of the diaphragm below which slices cut it squarely (own choice)."""

LUNG_STEP_HU = 600.0
"""Smallest step from lung to liver; a smaller step is not the diaphragm (own choice)."""


@dataclass(frozen=True, eq=False, slots=True)
class Figures:
    """Measurements of a scan."""

    values: Mapping[str, float]
    """Values by name, which ends in the unit; NaN if the scan does not show the tissue or border."""
    curves: Mapping[str, Curve]
    """Histograms (HU, share per HU), noise power spectra (per mm, HU2 mm2) and edges (mm, HU)."""


def measure_scan(volume: Volume) -> Figures:
    """Measure a canonical chest CT; raises ``Refusal`` if no heart is found."""
    regions = find_regions(volume)
    values: dict[str, float] = {}
    curves: dict[str, Curve] = {}
    for tissue, mask in regions.tissues.items():
        _tissue(volume, tissue, mask, values, curves)
    for tissue in NOISE_IN:
        _noise(volume, tissue, regions.tissues[tissue], values, curves)
    for border, edge in _edges(volume, regions).items():
        values[f"{border}: edge width mm"] = edge.width_mm if edge else float("nan")
        if edge:
            curves[f"{border}: edge"] = (edge.distance_mm, edge.profile_hu)
    values["diaphragm: steepest step between slices, share"] = _steepest_dome(volume, regions)
    values |= _texture(volume, regions) | _bright_parts(volume, regions)
    return Figures(values, curves)


def _tissue(volume: Volume, tissue: str, mask: Mask, values: dict[str, float], curves: dict[str, Curve]) -> None:
    hu = volume.hu[mask]
    shown = len(hu) >= LEAST_VOXELS
    low, middle, high = np.percentile(hu, (5, 50, 95)) if shown else (float("nan"),) * 3
    values[f"{tissue}: median HU"] = float(middle)
    values[f"{tissue}: 5th percentile HU"] = float(low)
    values[f"{tissue}: 95th percentile HU"] = float(high)
    if shown:
        step = HISTOGRAM_STEP_HU[tissue]
        edges = np.arange(np.floor(hu.min() / step), np.ceil(hu.max() / step) + 2) * step
        share, _ = np.histogram(hu, edges, density=True)
        curves[f"{tissue}: histogram"] = (edges[:-1] + step / 2, share)


def _noise(volume: Volume, tissue: str, mask: Mask, values: dict[str, float], curves: dict[str, Curve]) -> None:
    patches = quiet(patches_in(volume, mask)[0])
    if not len(patches):
        values |= dict.fromkeys(_noise_names(tissue), float("nan"))
        return
    spectrum = noise_power_spectrum(patches, volume.geometry.spacing_mm[1])
    found = (patches.std(), mean_frequency_per_mm(*spectrum), slice_correlation(volume, mask))
    values |= dict(zip(_noise_names(tissue), map(float, found), strict=True))
    curves[f"{tissue}: noise power"] = spectrum


def _noise_names(tissue: str) -> tuple[str, str, str]:
    return (
        f"{tissue}: noise SD HU",
        f"{tissue}: noise mean frequency per mm",
        f"{tissue}: noise correlation of slices",
    )


# --- edges ------------------------------------------------------------------------------------------------------------


def _edges(volume: Volume, regions: Regions) -> dict[str, EdgeResponse | None]:
    lungs, heart = regions.lungs, regions.heart
    pixel_mm = volume.geometry.spacing_mm[1]
    rows = np.flatnonzero(regions.body.any(axis=(0, 2)))
    front = regions.body & (np.arange(volume.hu.shape[1])[:, None] < rows.mean())
    beside_heart = _rim(lungs) & grown(heart, 4.0, pixel_mm)
    return {
        "skin": edge_across(volume, _rim(regions.body) & front),
        "lung to heart": edge_across(volume, beside_heart),
        "lung to chest wall": edge_across(volume, _rim(lungs) & ~grown(heart, 15.0, pixel_mm) & front),
    }


def _rim(mask: Mask) -> Mask:
    """Return the voxels of the mask that have a neighbour in plane outside it."""
    return mask & grown(~mask, 1.0, 1.0)


def edge_across(volume: Volume, rim: Mask) -> EdgeResponse | None:
    """Return the mean profile across a border in plane, from dark to bright; None if the border is too short.

    ``rim`` are voxels on the border. Each profile runs along the gradient of the smoothed image, and is aligned where
    it crosses the middle between the levels of its ends.
    """
    pixel_mm = volume.geometry.spacing_mm[1]
    at = np.argwhere(rim)
    at = at[:: max(1, len(at) // MOST_PROFILES)]
    steps = np.arange(-PROFILE_MM, PROFILE_MM + PROFILE_STEP_MM / 2, PROFILE_STEP_MM)
    profiles = []
    for k in np.unique(at[:, 0]):
        plane = volume.hu[k].astype(np.float32)
        slopes = np.stack([ndimage.gaussian_filter(plane, 2.0 / pixel_mm, order=o) for o in ((1, 0), (0, 1))])
        points = at[at[:, 0] == k, 1:]
        normal = slopes[:, points[:, 0], points[:, 1]]
        normal /= np.maximum(np.linalg.norm(normal, axis=0), 1e-6)
        samples = points.T[:, :, None] + normal[:, :, None] * steps / pixel_mm
        profiles.append(ndimage.map_coordinates(plane, samples, order=3, mode="nearest"))
    return _aligned(np.concatenate(profiles).astype(float), steps.astype(float)) if profiles else None


def _steepest_dome(volume: Volume, regions: Regions) -> float:
    """Return the largest step between neighbouring slices at the level dome of the diaphragm right of the heart.

    The median over the dome, as a share of the whole step from lung to liver: 1 if a slice ends exactly at a motionless
    diaphragm, less for thick and overlapping slices, and with breathing.
    """
    slice_mm, pixel_mm, _ = volume.geometry.spacing_mm
    lungs = regions.lungs
    right = np.flatnonzero(regions.heart.any(axis=(0, 1)))[0]
    lowest = np.where(lungs.any(axis=0), lungs.argmax(axis=0), -1)
    slope = np.hypot(*np.gradient(ndimage.gaussian_filter(lowest * slice_mm, 2.0 / pixel_mm), pixel_mm))
    reach = int(np.ceil(PROFILE_MM / slice_mm))
    level = (lowest >= reach) & (lowest < len(lungs) - reach) & (slope < LEVEL)
    level[:, right:] = False
    rows, columns = np.nonzero(level)
    profiles = volume.hu[lowest[level][:, None] + np.arange(-reach, reach + 1), rows[:, None], columns[:, None]]
    whole = profiles[:, 0].astype(float) - profiles[:, -1]
    kept = whole > LUNG_STEP_HU
    if np.count_nonzero(kept) < LEAST_PROFILES:
        return float("nan")
    steps = -np.diff(profiles[kept].astype(float), axis=1)
    return float(np.median(steps.max(axis=1) / whole[kept]))


def _aligned(profiles: Floats, steps_mm: Floats) -> EdgeResponse | None:
    """Return the mean of profiles from dark to bright, each aligned where it crosses the middle of its levels."""
    third = len(steps_mm) // 3
    dark, bright = (np.median(part, axis=1) for part in (profiles[:, :third], profiles[:, -third:]))
    usual = np.median(bright - dark)
    kept = (bright - dark > 0.6 * usual) & (bright - dark < 1.6 * usual)
    profiles, level = profiles[kept], ((dark + bright) / 2)[kept, None]
    crosses = (profiles[:, :-1] < level) & (profiles[:, 1:] >= level)
    once = crosses.sum(axis=1) == 1
    if np.count_nonzero(once) < LEAST_PROFILES:
        return None
    profiles, level, first = profiles[once], level[once, 0], crosses[once].argmax(axis=1)
    row = np.arange(len(profiles))
    before, after = profiles[row, first], profiles[row, first + 1]
    step_mm = steps_mm[1] - steps_mm[0]
    crossing = steps_mm[first] + (level - before) / (after - before) * step_mm
    distance = steps_mm - crossing[:, None]
    near = np.abs(distance) < steps_mm[-1] * 0.75
    return binned_edge(distance[near], profiles[near], PROFILE_STEP_MM)


# --- texture ----------------------------------------------------------------------------------------------------------


def _texture(volume: Volume, regions: Regions) -> dict[str, float]:
    values = {}
    for tissue in ("lung", "muscle", "subcutaneous fat"):
        patches, _ = patches_in(volume, regions.tissues[tissue], TEXTURE_MM)
        sd = patches.std(axis=(1, 2)) if len(patches) else np.array([np.nan])
        for percent in (50, 90):
            values[f"{tissue}: local SD, {percent}th percentile HU"] = float(np.percentile(sd, percent))
    slopes = _gradient_hu_mm(volume, regions.heart)
    for percent in (50, 90, 99):
        values[f"heart: gradient, {percent}th percentile HU per mm"] = float(np.percentile(slopes, percent))
    lung = volume.hu[regions.tissues["lung"]]
    values["lung: vessels above -600 HU, share"] = float((lung > -600).mean())
    heart = volume.hu[regions.heart]
    values["heart: fat below -20 HU, share"] = float(((heart < -20) & (heart > -200)).mean())
    return values


def _gradient_hu_mm(volume: Volume, mask: Mask) -> Floats32:
    pixel_mm = volume.geometry.spacing_mm[1]
    sd = 2.0 / pixel_mm
    soft = volume.hu.astype(np.float32)
    slopes = [ndimage.gaussian_filter(soft, (0, sd, sd), order=(0, *o)) for o in ((1, 0), (0, 1))]
    return np.asarray(np.hypot(*slopes)[mask] / pixel_mm)


def _bright_parts(volume: Volume, regions: Regions) -> dict[str, float]:
    """Return the false positive voxels in a heart without calcium, and just outside it."""
    near = grown(regions.heart, NEAR_HEART_MM, volume.geometry.spacing_mm[1]) & ~regions.heart
    values = {}
    for place, mask in (("heart", regions.heart), ("near heart", near)):
        per_100_ml = 100_000 / (mask.sum() * volume.geometry.voxel_volume_mm3)
        found = parts(mask & (volume.hu >= CALCIUM_HU), neighbours=6)
        size_mm3 = found.sizes * volume.geometry.voxel_volume_mm3
        values[f"{place}: parts above 130 HU per 100 ml"] = found.count * per_100_ml
        values[f"{place}: volume above 130 HU, mm3 per 100 ml"] = float(size_mm3.sum()) * per_100_ml
        values[f"{place}: largest part above 130 HU, mm3"] = float(size_mm3.max(initial=0))
    return values
