"""``ScanQuality``: a real scan's resolution, noise and heart motion, measured on the scan itself."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ctacal.arrays import Floats, Ints, Mask
from ctacal.errors import Code, Refusal
from ctacal.geometry import Geometry
from ctacal.heart import HeartMask
from ctacal.morphology import grown
from ctacal.noise import blood_pool_noise_hu
from ctacal.simulate.measure import noise_power_spectrum, patches_in, quiet, slice_correlation
from ctacal.simulate.scanner.attenuation import beam_of, hydroxyapatite_hu
from ctacal.simulate.scanner.kernel import FAMILIES
from ctacal.simulate.scanner.protocol import ScannerProtocol
from ctacal.volume import Volume

REACH_MM = 8.0
"""Half-length of the profile across an edge (own choice: beyond the overshoot of sharp kernels)."""

PLATEAU_MM = 3.5
"""Distance from the edge at which a profile is flat on both sides (own choice)."""

STEP_MM = 0.1
"""Step of the profiles; they are sums of thousands, each with its edge at another position between the pixels."""

EDGE_HU = -450.0
"""Halfway between lung and soft tissue."""

DARK_HU = (-960.0, -700.0)
"""Mean of the dark plateau: lung. Air outside the body is used only if there is too little lung, because skin over fat
is not a clean edge."""

LIGHT_HU = (-130.0, 130.0)
"""Mean of the bright plateau: fat to muscle, no bone."""

RIPPLE_HU = 60.0
"""Largest SD of either plateau beyond the noise of the scan; more is a vessel or a rib (own choice)."""

OBLIQUE = 0.15
"""Largest slope of a surface along z (gradient along z over that in plane); the slice thickness blurs steeper ones."""

MIN_EDGES = 300
"""Smallest number of edge points for an estimate (own choice)."""

BORDER_MM = 6.0
"""Distance from the heart mask within which edges move with the heart (own choice)."""

SOFT_HU = (10.0, 90.0)
"""HU of the tissue in which noise is measured: blood, muscle, liver."""

ROTATION_S = 0.75
"""Rotation time if the header has none (assumed; 0.5-1 s is usual)."""

ROTATIONS_S = (0.2, 5.0)
"""Plausible rotation times in a header: a longer time may be the exposure of the whole scan (own choice)."""

MOST_MOTION_MM = 5.0
"""Largest SD of the position of the heart's border within a rotation (own choice)."""

RAYS = 36
"""Number of rays through the heart along which the water path is measured."""

_SIGMA_PER_WIDTH = 1 / 1.6832
"""SD of a Gaussian blur over the distance in which an edge rises from 20 to 80 %."""


@dataclass(frozen=True, slots=True)
class ScanQuality:
    """Resolution, noise and motion of a scan, and how bright calcium is in it."""

    protocol: ScannerProtocol
    """The acquisition: kVp, slice profile, pixels, kernel family and MTF50 as measured. Tube current and what follows
    from it are not known and not used: the scan keeps its own noise."""
    noise_hu: float
    """SD in plane, in the heart if it was found."""
    noise_power: tuple[tuple[float, float], ...]
    """(frequency per mm, HU2 mm2) of the noise in plane, averaged over directions."""
    slice_correlation: float
    """Correlation of the noise between neighbouring slices."""
    border_motion_mm: float | None
    """SD of the position of the heart's border, from its blur beyond that of edges at rest; None if there are too few
    edges."""
    calcium_hu_per_mg_cm3: float
    """HU that hydroxyapatite adds behind the water around the heart, from the physics of the beam. A site that has
    measured its own value sets it with ``dataclasses.replace``."""
    edges: int
    """Number of edge points on which the resolution was measured."""


def estimate_quality(
    volume: Volume, heart: HeartMask | None, *, kvp: float | None, thickness_mm: float | None,
    rotation_s: float | None = None, helical: bool = True,
) -> ScanQuality:  # fmt: skip
    """Measure a canonical volume; the arguments are values from the header that an image does not show.

    ``rotation_s`` is assumed if it is missing or not in ``ROTATIONS_S``. Without ``heart`` (a phantom) all soft tissue
    is measured, and no motion. Raises ``Refusal``: ``KVP_UNKNOWN``; ``NOT_HU`` if the scan has no edge between lung and
    soft tissue or no homogeneous tissue.
    """
    if not kvp:
        raise Refusal(
            Code.KVP_UNKNOWN, "the header has no usable tube voltage: how bright calcium would be is not known"
        )
    tissue = soft_tissue(volume, heart)
    patches = quiet(patches_in(volume, tissue)[0])
    if not len(patches):
        raise Refusal(Code.NOT_HU, "no homogeneous soft tissue: the scan's noise cannot be measured")
    noise_hu = (blood_pool_noise_hu(volume, heart) if heart else None) or float(np.sqrt((patches**2).mean()))
    edges = _Edges.of(volume, noise_hu)
    at_rest, moving = _split(edges, heart)
    if len(at_rest.profiles) < MIN_EDGES:
        raise Refusal(Code.NOT_HU, f"{len(at_rest.profiles)} edges of lung or air: too few to measure the resolution")
    kernel, mtf50_per_mm = fitted_kernel(at_rest)
    frequency, power = noise_power_spectrum(patches, volume.geometry.spacing_mm[1])
    correlation = slice_correlation(volume, tissue)
    water_mm = water_path_mm(volume, heart)
    protocol = _protocol(
        volume.geometry, kernel, mtf50_per_mm, noise_hu,
        kvp=kvp, thickness_mm=thickness_mm, rotation_s=rotation_s, helical=helical,
    )  # fmt: skip
    return ScanQuality(
        protocol=protocol,
        noise_hu=noise_hu,
        noise_power=tuple(zip(frequency.tolist(), power.tolist(), strict=True)),
        slice_correlation=0.0 if np.isnan(correlation) else correlation,
        border_motion_mm=_motion_mm(at_rest, moving),
        calcium_hu_per_mg_cm3=hydroxyapatite_hu(beam_of(protocol), water_mm) / 1000,
        edges=len(at_rest.profiles),
    )


def _protocol(
    grid: Geometry, kernel: str, mtf50_per_mm: float, noise_hu: float, *,
    kvp: float, thickness_mm: float | None, rotation_s: float | None, helical: bool,
) -> ScannerProtocol:  # fmt: skip
    """Return the scan as an acquisition, from what was measured and from the header."""
    spacing_mm, _, pixel_mm = grid.spacing_mm
    return ScannerProtocol(
        name="scan",
        notes="measured on a real scan; tube current, collimation and pitch assumed",
        kvp=kvp,
        tube_current_ma=100.0,
        rotation_s=rotation_s if rotation_s and ROTATIONS_S[0] <= rotation_s <= ROTATIONS_S[1] else ROTATION_S,
        thickness_mm=thickness_mm or spacing_mm,
        spacing_mm=spacing_mm,
        matrix=grid.shape[2],
        fov_mm=pixel_mm * grid.shape[2],
        kernel=kernel,
        mtf50_per_mm=mtf50_per_mm,
        noise_target_hu=noise_hu,
        collimation_mm=max(20.0, spacing_mm),
        helical=helical,
    )


def water_path_mm(volume: Volume, heart: HeartMask | None) -> float:
    """Return the water path through the middle of the heart (or of the image), averaged over all directions."""
    slices, rows, columns = heart.bounding_box if heart else tuple(slice(0, n) for n in volume.hu.shape)
    water = np.maximum(volume.hu[(slices.start + slices.stop) // 2].astype(np.float32) / 1000 + 1, 0)
    row_mm, column_mm = volume.geometry.spacing_mm[1:]
    middle = (rows.start + rows.stop) / 2, (columns.start + columns.stop) / 2
    steps_mm = np.arange(-500.0, 500.0)
    angle = np.linspace(0, np.pi, RAYS, endpoint=False)[:, None]
    at = np.stack([middle[0] + steps_mm * np.sin(angle) / row_mm, middle[1] + steps_mm * np.cos(angle) / column_mm])
    return float(ndimage.map_coordinates(water, at, order=1, cval=0.0).sum(axis=1).mean())


def soft_tissue(volume: Volume, heart: HeartMask | None) -> Mask:
    """Return the homogeneous tissue in the slices of the heart (all slices without a heart), to measure noise."""
    pixel_mm = volume.geometry.spacing_mm[1]
    slices = heart.bounding_box[0] if heart else slice(0, volume.geometry.shape[0])
    smooth = ndimage.gaussian_filter(volume.hu[slices].astype(np.float32), (0, 4 / pixel_mm, 4 / pixel_mm))
    mask = np.zeros(volume.geometry.shape, bool)
    mask[slices] = (smooth > SOFT_HU[0]) & (smooth < SOFT_HU[1])
    return mask


@dataclass(frozen=True, eq=False, slots=True)
class _Edges:
    """Profiles across edges, 0 on the dark side and 1 on the bright side, aligned where they cross one half."""

    distance_mm: Floats
    profiles: Floats
    place: Ints
    """(n, 3): (slice, row, column)."""

    @classmethod
    def of(cls, volume: Volume, noise_hu: float) -> "_Edges":
        """Find the edges of lung, or of any air if there are too few."""
        distance_mm, hu, place = _crossings(volume)
        dark, light = hu[:, distance_mm < -PLATEAU_MM], hu[:, distance_mm > PLATEAU_MM]
        ripple = np.hypot(RIPPLE_HU, noise_hu)
        flat = (dark.std(axis=1) < ripple) & (light.std(axis=1) < ripple) & (dark.std(axis=1) > 1)  # 0: padding
        flat &= (light.mean(axis=1) > LIGHT_HU[0]) & (light.mean(axis=1) < LIGHT_HU[1])
        lung = flat & (dark.mean(axis=1) > DARK_HU[0]) & (dark.mean(axis=1) < DARK_HU[1])
        kept = lung if np.count_nonzero(lung) >= MIN_EDGES else flat & (dark.mean(axis=1) < DARK_HU[1])
        return cls(distance_mm, hu[kept], place[kept])._aligned()

    def _aligned(self) -> "_Edges":
        if not len(self.profiles):
            return self
        dark, light = (
            np.median(self.profiles[:, part], axis=1)[:, None]
            for part in (self.distance_mm < -PLATEAU_MM, self.distance_mm > PLATEAU_MM)
        )
        share = (self.profiles - dark) / (light - dark)
        after = np.maximum(1, np.argmax(share > 0.5, axis=1))
        rows = np.arange(len(share))
        low, high = share[rows, after - 1], share[rows, after]
        offset = self.distance_mm[after - 1] + (0.5 - low) / (high - low) * STEP_MM
        near = np.abs(offset) < REACH_MM - 5.5
        even = np.arange(-5.0, 5.0 + STEP_MM / 2, STEP_MM)
        moved = [np.interp(even + by, self.distance_mm, row) for by, row in zip(offset[near], share[near], strict=True)]
        return _Edges(even, np.asarray(moved).reshape(-1, len(even)), self.place[near])

    def only(self, kept: Mask) -> "_Edges":
        """Return the selected edges."""
        return _Edges(self.distance_mm, self.profiles[kept], self.place[kept])


def _crossings(volume: Volume) -> tuple[Floats, Floats, Ints]:
    """Return distances, HU along the normals of all upright borders of lung and air, and their positions."""
    pixel_mm = volume.geometry.spacing_mm[1]
    distance_mm = np.arange(-REACH_MM, REACH_MM + STEP_MM / 2, STEP_MM)
    smooth = ndimage.gaussian_filter(volume.hu.astype(np.float32), (0, 1.5 / pixel_mm, 1.5 / pixel_mm))
    along_z = np.gradient(smooth, volume.geometry.spacing_mm[0], axis=0) if len(smooth) > 1 else np.zeros_like(smooth)
    rim = round(REACH_MM / pixel_mm) + 2
    found, place = [np.zeros((0, len(distance_mm)))], [np.zeros((0, 3), np.int64)]
    for index, plane in enumerate(smooth):
        bright = plane > EDGE_HU
        border = np.zeros_like(bright)
        border[rim:-rim, rim:-rim] = (bright & ~ndimage.binary_erosion(bright))[rim:-rim, rim:-rim]
        row, column = np.nonzero(border)
        down, across = (part[row, column] for part in np.gradient(plane, pixel_mm))
        steep = np.hypot(down, across)
        kept = (steep > 60) & (np.abs(along_z[index, row, column]) < OBLIQUE * steep)
        row, column, normal = row[kept], column[kept], np.stack([down, across])[:, kept] / steep[kept] / pixel_mm
        at = np.stack([row, column])[:, :, None] + normal[:, :, None] * distance_mm
        found.append(ndimage.map_coordinates(volume.hu[index].astype(np.float32), at, order=3, mode="nearest"))
        place.append(np.stack([np.full(len(row), index), row, column], axis=1))
    return distance_mm, np.vstack(found), np.vstack(place)


def _split(edges: _Edges, heart: HeartMask | None) -> tuple[_Edges, _Edges]:
    """Return edges at rest, and the border of the heart. Of the other edges, only the sharper half counts as at rest:
    the rest may move with breathing."""
    if heart is None:
        return edges, edges.only(np.zeros(len(edges.profiles), bool))
    near = np.stack([grown(plane, BORDER_MM, heart.geometry.spacing_mm[1]) for plane in heart.mask])
    moving = near[tuple(edges.place.T)]
    others = edges.only(~moving)
    width_mm = _width_mm(others)
    return others.only(width_mm <= np.median(width_mm)) if len(width_mm) else others, edges.only(moving)


def fitted_kernel(edges: _Edges) -> tuple[str, float]:
    """Return the kernel family and its MTF50 (per mm) whose edge is most like the median profile."""
    median = np.median(edges.profiles, axis=0)
    near = np.abs(edges.distance_mm) < PLATEAU_MM
    wanted = median[near]

    def misfit(kernel: str, mtf50_per_mm: float) -> float:
        return float(np.mean((edge_spread(kernel, mtf50_per_mm, edges.distance_mm[near]) - wanted) ** 2))

    tried = [(misfit(kernel, f), kernel, float(f)) for kernel in FAMILIES for f in np.arange(0.10, 1.0, 0.005)]
    _, kernel, mtf50_per_mm = min(tried)
    return kernel, round(mtf50_per_mm, 4)


def edge_spread(kernel: str, mtf50_per_mm: float, distance_mm: Floats) -> Floats:
    """Return a sharp edge from 0 to 1 as a kernel shows it."""
    step = 0.01
    frequency = np.arange(step / 2, 4 * mtf50_per_mm, step)
    transfer = FAMILIES[kernel](frequency / mtf50_per_mm)
    waves = np.sin(2 * np.pi * frequency * distance_mm[:, None]) / (np.pi * frequency)
    return np.asarray(0.5 + waves @ transfer * step)


def _motion_mm(at_rest: _Edges, moving: _Edges) -> float | None:
    """Return the SD of the motion: it adds its variance to the blur (medians of the widths from 20 to 80 %)."""
    if len(moving.profiles) < MIN_EDGES:
        return None
    rest, moved = (float(np.median(_width_mm(edges))) for edges in (at_rest, moving))
    return min(float(np.sqrt(max(moved**2 - rest**2, 0.0))) * _SIGMA_PER_WIDTH, MOST_MOTION_MM)


def _width_mm(edges: _Edges) -> Floats:
    first, last = (np.argmax(edges.profiles > level, axis=1) for level in (0.2, 0.8))
    return np.asarray(np.abs(last - first) * STEP_MM, np.float64)
