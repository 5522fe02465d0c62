"""Image quality of a CT: noise and its power spectrum, resolution, inserts of a phantom.

All functions take a ``Volume`` and a region; none depends on whether the scan is simulated or real.
"""

from dataclasses import dataclass

import numpy as np

from ctacal.arrays import Floats, Ints, Mask
from ctacal.labels import Calcium, LabelMap
from ctacal.scores import SCCT_2016, ScoringRule, score_label_map
from ctacal.volume import Volume

PATCH_MM = 20.0
"""Side of the squares on which noise is measured: many noise grains wide, narrower than a ventricle (own choice)."""

LOUD = 1.25
"""Patches whose SD exceeds this multiple of the median SD hold more than noise: a vessel, a border (own choice)."""

EDGE_BIN = 0.1
"""Width of the bins of an edge profile, in pixels (Richard S et al., Med Phys 2012;39:4115-4122: about a tenth)."""

EDGE_REACH_MM = 8.0
"""Half-width of an edge response: it reaches beyond the overshoot of sharp kernels (own choice)."""


@dataclass(frozen=True, eq=False, slots=True)
class EdgeResponse:
    """The profile across an edge, and the resolution that follows from the Fourier transform of its derivative."""

    distance_mm: Floats
    """Distance from the edge, positive outwards."""
    profile_hu: Floats

    @property
    def spread(self) -> Floats:
        """The line spread function: the derivative with tapered ends, with the sign that makes its sum positive."""
        spread = np.gradient(self.profile_hu, self.distance_mm)
        centre = np.average(self.distance_mm, weights=np.abs(spread))
        reach = min(centre - self.distance_mm[0], self.distance_mm[-1] - centre)
        share = np.abs(self.distance_mm - centre) / reach
        taper = np.where(share < 0.5, 1.0, np.cos(np.pi * (np.minimum(share, 1) - 0.5)) ** 2)
        return np.asarray(spread * taper * np.sign(self.profile_hu[-1] - self.profile_hu[0]))

    @property
    def width_mm(self) -> float:
        """Full width at half maximum of the line spread's peak."""
        spread = self.spread
        peak = int(spread.argmax())
        half = spread[peak] / 2
        before = int(np.flatnonzero(spread[:peak] < half)[-1])
        after = peak + int(np.argmax(spread[peak:] < half))
        first = np.interp(half, spread[[before, before + 1]], self.distance_mm[[before, before + 1]])
        last = np.interp(half, spread[[after, after - 1]], self.distance_mm[[after, after - 1]])
        return float(last - first)

    def transfer(self) -> tuple[Floats, Floats]:
        """Return frequencies (per mm) and the modulation transfer, which is 1 at frequency 0."""
        padded = 8 * len(self.distance_mm)
        step_mm = float(self.distance_mm[1] - self.distance_mm[0])
        transfer = np.abs(np.fft.rfft(self.spread, padded))
        return np.asarray(np.fft.rfftfreq(padded, step_mm)), np.asarray(transfer / transfer[0])

    @property
    def mtf50_per_mm(self) -> float:
        """Frequency at which the modulation transfer first falls to one half."""
        frequency, transfer = self.transfer()
        below = int(np.argmax(transfer < 0.5))
        return float(np.interp(0.5, transfer[[below, below - 1]], frequency[[below, below - 1]]))


def patches_in(volume: Volume, mask: Mask, side_mm: float = PATCH_MM) -> tuple[Floats, Ints]:
    """Return the (n, side, side) squares in the mask, half overlapping, each less its own plane, and their corners.

    Subtracting the plane keeps shading out of the noise; the scale makes up for the noise that goes with it.
    """
    side = max(5, round(side_mm / volume.geometry.spacing_mm[1]))
    windows = np.lib.stride_tricks.sliding_window_view(mask, (side, side), (1, 2))
    step = max(1, side // 2)
    corner = np.argwhere(windows[:, ::step, ::step].all(axis=(3, 4))) * (1, step, step)
    squares = [volume.hu[k, r : r + side, c : c + side] for k, r, c in corner.tolist()]
    return detrended(np.asarray(squares, float).reshape(-1, side, side)), corner


def detrended(patches: Floats) -> Floats:
    """Subtract the least-squares plane from each (rows, columns) patch, and scale so that noise keeps its variance."""
    rows, columns = patches.shape[1:]
    down, across = np.mgrid[:rows, :columns].astype(float)
    plane = np.stack([np.ones(rows * columns), (down - (rows - 1) / 2).ravel(), (across - (columns - 1) / 2).ravel()])
    plane /= np.linalg.norm(plane, axis=1, keepdims=True)
    flat = patches.reshape(len(patches), rows * columns)
    rest = flat - (flat @ plane.T) @ plane
    return np.asarray(rest.reshape(patches.shape) * np.sqrt(flat.shape[1] / (flat.shape[1] - 3)))


def quiet(patches: Floats) -> Floats:
    """Return the detrended patches that hold noise alone: those with no more than the usual SD."""
    sd = patches.std(axis=(1, 2))
    return patches[sd <= LOUD * np.median(sd)] if len(patches) else patches


def noise_sd_hu(volume: Volume, mask: Mask, side_mm: float = PATCH_MM) -> float:
    """Return the noise in plane: the root mean square of the quiet patches in the mask; NaN if there is no patch."""
    patches = quiet(patches_in(volume, mask, side_mm)[0])
    return float(np.sqrt((patches**2).mean())) if len(patches) else float("nan")


def noise_power_spectrum(patches: Floats, pixel_mm: float) -> tuple[Floats, Floats]:
    """Return frequencies (per mm) and the noise power (HU2 mm2) of detrended patches, averaged over directions.

    The integral of the power over the plane of frequencies is the variance (Siewerdsen JH et al., Med Phys
    2002;29:2655-2671; ICRU 87). Rings are one frequency step wide, up to the Nyquist frequency; the first ring lacks
    the power that was subtracted with the plane. ``patches`` are (n, side, side).
    """
    side = patches.shape[1]
    power = (np.abs(np.fft.fft2(patches)) ** 2).mean(axis=0) * (pixel_mm / side) ** 2
    frequency = np.fft.fftfreq(side, pixel_mm)
    radius = np.hypot(frequency[:, None], frequency)
    ring = np.rint(radius * side * pixel_mm).astype(int).ravel()
    count = np.bincount(ring)[1 : side // 2 + 1]
    means = [np.bincount(ring, values.ravel())[1 : side // 2 + 1] / count for values in (radius, power)]
    return means[0], means[1]


def mean_frequency_per_mm(frequency_per_mm: Floats, power: Floats) -> float:
    """Return the mean frequency of the noise power over the plane of frequencies: rings count by circumference."""
    return float(np.average(frequency_per_mm, weights=power * frequency_per_mm))


def slice_correlation(volume: Volume, mask: Mask, side_mm: float = PATCH_MM) -> float:
    """Return the correlation of the noise between neighbouring slices; NaN if no patch lies in both."""
    patches, corner = patches_in(volume, mask, side_mm)
    place = {tuple(at): index for index, at in enumerate(corner.tolist())}
    pairs = [(i, place.get((k + 1, r, c))) for (k, r, c), i in place.items()]
    sd = patches.std(axis=(1, 2))
    loud = LOUD * np.median(sd) if len(sd) else 0.0
    kept = [(i, j) for i, j in pairs if j is not None and max(sd[i], sd[j]) <= loud]
    if not kept:
        return float("nan")
    lower, upper = (patches[list(index)] for index in zip(*kept, strict=True))
    return float((lower * upper).mean() / np.sqrt((lower**2).mean() * (upper**2).mean()))


def disc_centre(volume: Volume, centre: tuple[float, float], radius_mm: float, slices: slice) -> tuple[float, float]:
    """Return the (row, column) of the middle of a disc to a fraction of a pixel.

    It is the centre of gravity of the contrast to the surroundings. ``centre`` is a first guess, within a quarter of
    the radius.
    """
    picture = volume.hu[slices].mean(axis=0, dtype=np.float64)
    for _ in range(3):
        distance_mm = _distance_mm(volume, centre)
        inside, around = distance_mm < radius_mm / 2, (distance_mm > 1.3 * radius_mm) & (distance_mm < 1.6 * radius_mm)
        outside_hu = np.median(picture[around])
        share = np.clip((picture - outside_hu) / (np.median(picture[inside]) - outside_hu), 0, 1)
        share *= distance_mm < 1.3 * radius_mm
        rows, columns = np.indices(picture.shape)
        centre = float(np.average(rows, weights=share)), float(np.average(columns, weights=share))
    return centre


def edge_response(
    volume: Volume,
    centre: tuple[float, float],
    radius_mm: float,
    slices: slice,
    *,
    reach_mm: float = EDGE_REACH_MM,
) -> EdgeResponse:
    """Measure the edge of a disc (a rod across the slices) at ``centre`` (row, column), in all directions together.

    The circular edge method: pixels are sorted by their distance from the centre (Richard 2012). ``slices`` are
    averaged. Raises ``ValueError`` if the circle and its surroundings do not lie in the image.
    """
    picture = volume.hu[slices].mean(axis=0, dtype=np.float64)
    reach_mm = min(reach_mm, 0.8 * radius_mm)
    pixel_mm = volume.geometry.spacing_mm[1]
    margin = (radius_mm + reach_mm) / pixel_mm
    if min(*centre, picture.shape[0] - 1 - centre[0], picture.shape[1] - 1 - centre[1]) < margin:
        raise ValueError(f"a circle of {radius_mm} mm at {centre} exceeds the image of {picture.shape} pixels")
    outwards_mm = _distance_mm(volume, centre).ravel() - radius_mm
    near = np.abs(outwards_mm) < reach_mm
    return binned_edge(outwards_mm[near], picture.ravel()[near], EDGE_BIN * pixel_mm)


def binned_edge(distance_mm: Floats, hu: Floats, step_mm: float) -> EdgeResponse:
    """Average scattered samples across an edge in bins of equal width; empty bins are interpolated."""
    bins = np.floor((distance_mm - distance_mm.min()) / step_mm).astype(int)
    count = np.bincount(bins)
    full = count > 0
    at = np.bincount(bins, distance_mm)[full] / count[full]
    mean_hu = np.bincount(bins, hu)[full] / count[full]
    even = np.arange(at[0], at[-1], step_mm)
    return EdgeResponse(even, np.interp(even, at, mean_hu))


def _distance_mm(volume: Volume, centre: tuple[float, float]) -> Floats:
    """Return the distance of each pixel, (rows, columns), from a (row, column)."""
    _, row_mm, column_mm = volume.geometry.spacing_mm
    rows, columns = np.indices(volume.hu.shape[1:])
    return np.asarray(np.hypot((rows - centre[0]) * row_mm, (columns - centre[1]) * column_mm))


def disc_hu(volume: Volume, centre: tuple[float, float], radius_mm: float, slices: slice) -> Floats:
    """Return the values in a cylinder across the slices: a circular region of interest."""
    return np.asarray(volume.hu[slices][:, _distance_mm(volume, centre) <= radius_mm], np.float64).ravel()


@dataclass(frozen=True, slots=True)
class Insert:
    """Measurements of a calcium insert of a phantom."""

    mean_hu: float
    """Mean of the voxels at or above the threshold."""
    peak_hu: float
    area_mm2: float
    """Area at or above the threshold, in the slice with the largest area."""
    volume_mm3: float
    agatston: float


def measure_insert(
    volume: Volume, centre: tuple[float, float], reach_mm: float, slices: slice, rule: ScoringRule = SCCT_2016
) -> Insert:
    """Score the square around a (row, column) whose half side is ``reach_mm``."""
    _, row_mm, column_mm = volume.geometry.spacing_mm
    labels = np.zeros(volume.hu.shape, np.uint8)
    rows, columns = (
        slice(max(0, round(at - reach_mm / mm)), round(at + reach_mm / mm) + 1)
        for at, mm in zip(centre, (row_mm, column_mm), strict=True)
    )
    labels[slices, rows, columns] = Calcium.CORONARY
    lesions, scores = score_label_map(volume, LabelMap(labels, volume.geometry), rule)
    pixels = lesions.pixels
    return Insert(
        mean_hu=float(np.average(lesions.mean_hu, weights=pixels)) if len(lesions) else float("nan"),
        peak_hu=float(volume.hu[slices, rows, columns].max()),
        area_mm2=float(np.bincount(lesions.slice_index, lesions.area_mm2).max()) if len(lesions) else 0.0,
        volume_mm3=scores.volume_mm3.total,
        agatston=scores.agatston.total,
    )
