"""``draw_thorax``: a thorax with known calcium, drawn from analytic shapes, blur and noise; no scanner physics.

Points are (z, y, x) in mm: z to the head, y to the back, x to the patient's left; (0, 0, 0) is the middle of the scan,
at the base of the heart. Sizes are rounded values of an adult chest with the arms up; HU are those of unenhanced tissue
at 120 kVp.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from ctacal.arrays import Bytes
from ctacal.geometry import Geometry
from ctacal.labels import Calcium, LabelMap
from ctacal.simulate.phantom.shapes import Both, Canvas, Column, Ellipsoid, HalfSpace, Layer, Shape, Slabs, Vector, tube
from ctacal.volume import Volume

Point = tuple[float, float, float]
Part = tuple[Shape, float]
"""A shape and its HU."""

BLUR_FWHM_MM = 2.0
"""Blur in plane, full width at half maximum: a CTAC with a smooth kernel."""

CALCIUM_HU = 130
"""Threshold of a calcium label, on the scan without noise (Agatston 1990)."""

PLAQUE_SAMPLES = 8
"""Number of heights within a slice at which a plaque is sampled: it may be thinner than the slice."""

AIR_HU, LUNG_HU, FAT_HU, BLOOD_HU, MUSCLE_HU, LIVER_HU = -1000, -865, -100, 40, 52, 60

NOISE_DEPTH_MM = 50.0
"""Depth under the skin from which the noise has the chosen SD; it falls to half at the skin."""

HU_RANGE = (-1024, 3071)
"""Range of 12 bits with a rescale intercept of -1024."""


@dataclass(frozen=True, eq=False, slots=True)
class Phantom:
    """A drawn scan and its true calcium, on the same voxels."""

    volume: Volume
    labels: LabelMap


@dataclass(frozen=True, slots=True)
class Plaque:
    """An ellipsoid of calcium, its radii along (z, y, x)."""

    label: Calcium
    centre: Point
    """(z, y, x) in mm."""
    radii_mm: Point
    hu: float
    """HU before the blur, which lowers the peak of a small plaque by half or more."""


# --- the heart's own frame --------------------------------------------------------------------------------------------

_BASE = np.array([-2.0, -12.0, 4.0])
"""Middle of the atrioventricular plane."""
_TO_APEX = np.array([-0.553, -0.553, 0.623])
_ANTERIOR = np.array([0.367, -0.833, -0.414])
_RIGHT_INFERIOR = np.array([-0.664, 0.0, -0.748])
_HEART_AXES = np.array([_TO_APEX, _ANTERIOR, _RIGHT_INFERIOR])
_HEART_AXES /= np.linalg.norm(_HEART_AXES, axis=1, keepdims=True)
_WIDEST_MM, _HALF_LENGTH_MM, _HALF_WIDTH_MM = 30.0, 58.0, 43.0
"""The ventricles: a half-ellipsoid; distance of its widest part from the base, half length, half width."""
_GROOVE_MM = 4.5
"""Distance of a coronary artery from the muscle."""


def _groove(from_base_mm: float, angle_deg: float, above_mm: float = _GROOVE_MM) -> Point:
    """Return a point above the surface of the ventricles; the angle runs from anterior over right-inferior to 180."""
    along = (from_base_mm - _WIDEST_MM) / _HALF_LENGTH_MM
    radius_mm = _HALF_WIDTH_MM * np.sqrt(1 - along**2) + above_mm
    turn = np.deg2rad(angle_deg)
    point = _BASE + np.array([from_base_mm, radius_mm * np.cos(turn), radius_mm * np.sin(turn)]) @ _HEART_AXES
    return float(point[0]), float(point[1]), float(point[2])


_LEFT_OSTIUM: Point = (29, -14, 18)
_BIFURCATION = _groove(-2, 287)

ARTERIES: Mapping[Calcium, tuple[Point, ...]] = MappingProxyType(
    {
        Calcium.LM: (_LEFT_OSTIUM, (30, -18, 24), _BIFURCATION),
        Calcium.LAD: (_BIFURCATION, *(_groove(mm, 287 + 0.35 * mm) for mm in (8, 20, 35, 50, 65, 78))),
        Calcium.LCX: (_BIFURCATION, *(_groove(-2, angle) for angle in (270, 250, 230, 210, 195))),
        Calcium.RCA: ((22, -30, -4), *(_groove(-2, angle) for angle in (30, 50, 75, 100, 125, 150, 165))),
    }
)
"""Courses of the coronary arteries: in the fat of the grooves between atria and ventricles, and between these."""


def artery_path(vessel: Calcium, points: int = 60) -> Vector:
    """Return the centre line of the artery, (points, 3), evenly spaced from its origin."""
    return _smooth(ARTERIES[vessel], points)


def _smooth(way: Sequence[Point], points: int) -> Vector:
    """Return a smooth curve through the points (Catmull-Rom), (points, 3), evenly spaced along it."""
    knots = np.array([2 * np.array(way[0]) - way[1], *way, 2 * np.array(way[-1]) - way[-2]], float)
    length = np.append(0, np.cumsum(np.linalg.norm(np.diff(knots[1:-1], axis=0), axis=1)))
    at = np.interp(np.linspace(0, length[-1], points), length, np.arange(len(way)))
    span = np.minimum(at.astype(int), len(way) - 2)
    t = (at - span)[:, None]
    a, b, c, d = (knots[span + k] for k in range(4))
    return np.asarray(b + t / 2 * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * b - a - 3 * c + d))))


def _on_artery(vessel: Calcium, share: float, radii_mm: Point, hu: float) -> Plaque:
    """Return a plaque at that share of the length of the artery."""
    z, y, x = artery_path(vessel, 101)[round(100 * share)].tolist()
    return Plaque(vessel, (z, y, x), radii_mm, hu)


_NODE: Point = (40, 25, -2)
"""A lymph node under the tracheal bifurcation."""

DEFAULT_PLAQUES: tuple[Plaque, ...] = (
    _on_artery(Calcium.LM, 0.6, (1.5, 1.5, 2.2), 460),
    _on_artery(Calcium.LAD, 0.12, (2.2, 2.0, 1.9), 850),
    _on_artery(Calcium.LAD, 0.36, (2.0, 1.8, 1.6), 700),
    _on_artery(Calcium.LCX, 0.35, (2.0, 1.8, 1.6), 620),
    _on_artery(Calcium.RCA, 0.25, (2.0, 1.8, 2.0), 560),
    _on_artery(Calcium.RCA, 0.58, (2.5, 2.0, 2.0), 640),
    Plaque(Calcium.OTHER, (70, 38, 38.5), (5.0, 5.0, 1.5), 850),  # wall of the aortic arch
    Plaque(Calcium.OTHER, _NODE, (3.5, 3.2, 3.0), 750),
)


# --- anatomy, painted from the skin inwards ---------------------------------------------------------------------------

_BODY = Column(
    (
        (-110, -4, 0, 112, 160),
        (-40, -4, 0, 114, 166),
        (30, -4, 0, 113, 170),
        (70, -1, 0, 108, 172),
        (110, 2, 0, 100, 172),
    ),
    power=2.4,
)
_TRUNK = Column(
    ((-110, -3, 0, 99, 146), (-40, -2, 0, 99, 150), (30, 0, 0, 98, 153), (70, 2, 0, 95, 153), (110, 5, 0, 89, 150)),
    power=2.3,
)
"""Inside of the fat under the skin."""
_CAGE = Column(
    ((-110, -2, 0, 86, 129), (-40, -4, 0, 83, 131), (30, -2, 0, 80, 128), (70, 2, 0, 73, 118), (110, 6, 0, 62, 102)),
    power=2.3,
)
"""Inside of the ribs."""


def _chest_wall() -> Iterator[Part]:
    table, below = Column(((-110, 20, 0, 98, 215), (110, 20, 0, 98, 215))), HalfSpace.behind(y=92)
    for inner_mm, outer_mm, hu in ((0, 26, -940), (0, 3, 90), (23, 26, 60)):
        yield Both(Layer(table, inner_mm, outer_mm), below), hu
    yield _BODY, 0
    yield _BODY.grown(-2), FAT_HU
    yield _TRUNK, MUSCLE_HU
    yield Layer(_CAGE, 10, 13), -70
    for side in (-1, 1):
        yield Ellipsoid.at((85, -86, side * 68), (60, 7, 48)), MUSCLE_HU
        yield Ellipsoid.at((70, 12, side * 144), (70, 40, 8)), MUSCLE_HU
    yield _CAGE, LUNG_HU


def _bones() -> Iterator[Part]:
    bony = HalfSpace.behind(y=-60)
    for inner_mm, outer_mm, half_mm, hu, cartilage_hu in ((1, 9, 6.5, 480, 130), (3, 7, 4, 190, 100)):
        ribs = Both(Layer(_CAGE, inner_mm, outer_mm), Slabs(27, half_mm, rise=0.5, fall=0.45))
        yield ribs, cartilage_hu
        yield Both(ribs, bony), hu
    sternum = Column(((-60, -91, 0, 6, 14), (20, -91, 0, 6, 18), (60, -86, 0, 7, 22), (110, -76, 0, 8, 30)))
    yield sternum, 380
    yield sternum.grown(-2.5), 120
    for side in (-1, 1):
        turn = np.array([[1, 0, 0], [0, 0.85, 0.53 * side], [0, -0.53 * side, 0.85]])
        for mm, hu in ((0, 450), (-2, 200)):
            yield Ellipsoid.at((85, 66, side * 104), (62 + mm, 5 + mm, 36 + mm), turn), hu


def _spine() -> Iterator[Part]:
    bed = Column(((-110, 76, 0, 34, 36), (110, 72, 0, 34, 34)))
    body = Column(((-110, 56, 0, 16, 20), (110, 52, 0, 14, 17)), power=2.4)
    canal = Column(((-110, 80, 0, 9, 10), (110, 76, 0, 9, 10)))
    spinous = Column(((-110, 98, 0, 11, 4), (110, 92, 0, 11, 4)))
    transverse = Column(((-110, 79, 0, 6, 36), (110, 75, 0, 6, 36)), power=3)
    yield bed, MUSCLE_HU
    yield Both(transverse, Slabs(27, 6)), 380
    yield Both(transverse.grown(-2.5), Slabs(27, 4)), 180
    yield Both(spinous, Slabs(27, 8, rise=-0.4)), 420
    yield body, 430
    yield body.grown(-2), 170
    yield Both(body, Slabs(27, 4.5)), 300
    yield Both(body, Slabs(27, 3)), 85
    yield canal.grown(4), 430
    yield canal, 20


def _abdomen() -> Iterator[Part]:
    """Yield the organs that bulge into the cage from below: liver, stomach and spleen under the diaphragm."""
    cage = _CAGE.grown(-3)
    domes = ((-122, 4, -52, 88, 102, 92), (-128, 8, 58, 78, 98, 84))
    for z, y, x, *radii in domes:
        yield Both(_CAGE, Ellipsoid.at((z, y, x), radii)), MUSCLE_HU
    right, left = (Ellipsoid.at((z, y, x), (rz - 4, ry - 4, rx - 4)) for z, y, x, rz, ry, rx in domes)
    yield Both(cage, left), FAT_HU
    yield Both(cage, right), LIVER_HU
    yield Both(Both(cage, left), Ellipsoid.at((-118, 46, 84), (52, 34, 42))), 48
    stomach = Ellipsoid.at((-112, -20, 54), (56, 58, 54))
    yield Both(cage, stomach), 45
    inside = Ellipsoid.at((-112, -20, 54), (51, 53, 49))
    yield Both(cage, inside), 15
    yield Both(inside, HalfSpace(np.array([0, -40, 0]), np.array([0, 1, 0]))), -950


_MEDIASTINUM = Column(
    ((-110, 10, 4, 72, 44), (-50, 6, 4, 80, 34), (20, 0, 2, 84, 30), (60, 4, 2, 80, 32), (110, 4, 0, 70, 36)), power=2.6
)


def _mediastinum() -> Iterator[Part]:
    """Yield its fat, which separates the lungs, oesophagus, a lymph node, trachea and bronchi."""
    yield _MEDIASTINUM, FAT_HU
    oesophagus = _smooth(((112, 32, 4), (50, 35, 6), (0, 38, 10), (-50, 36, 16), (-110, 20, 24)), 24)
    for part in tube(oesophagus, 7):
        yield part, 38
    yield Ellipsoid.at(_NODE, (7, 6, 8)), 35
    trachea = _smooth(((112, 16, 0), (80, 18, 2), (56, 20, 2)), 10)
    bronchi = [_smooth(((56, 20, 2), (40, 18, side * 26), (28, 16, side * 48)), 10) for side in (-1, 1)]
    for wall_mm, hu in ((1.5, 35), (0, AIR_HU)):
        for part in tube(trachea, 8.5 + wall_mm):
            yield part, hu
        for path in bronchi:
            for part in tube(path, 6.5 + wall_mm, 4 + wall_mm):
                yield part, hu


def _heart() -> Iterator[Part]:
    """Yield ventricles and atria in fat, which fills the groove between them except for the valves in its middle."""
    middle = _BASE + _WIDEST_MM * _HEART_AXES[0]
    length_mm, width_mm = _HALF_LENGTH_MM, _HALF_WIDTH_MM
    sac = Ellipsoid.at(middle - 8 * _HEART_AXES[0], (length_mm + 14, width_mm + 9, width_mm + 9), _HEART_AXES)
    ventricles = Ellipsoid.at(middle, (length_mm, width_mm, width_mm), _HEART_AXES)
    atria = Ellipsoid.at((2, -14, -28), (32, 26, 22)), Ellipsoid.at((14, 16, 8), (22, 17, 34))
    yield sac, FAT_HU + 8
    yield Ellipsoid.at((2, -14, -28), (38, 31, 27)), FAT_HU + 8
    behind = HalfSpace(_BASE - 8 * _HEART_AXES[0], _HEART_AXES[0])
    for atrium in atria:
        yield Both(atrium, behind), BLOOD_HU
    before = HalfSpace(_BASE + 4 * _HEART_AXES[0], -_HEART_AXES[0])
    yield Both(ventricles, before), BLOOD_HU + 3
    yield Ellipsoid.at(_BASE, (12, 26, 26), _HEART_AXES), BLOOD_HU
    yield Ellipsoid.at(_groove(30, 305, -1), (5, 3.5, 4)), FAT_HU + 8


_VESSELS: tuple[tuple[tuple[Point, ...], float, float], ...] = (
    (((12, -14, 4), (32, -20, -6), (56, -20, -12), (78, -8, -2), (84, 14, 16), (70, 36, 26)), 16, 13.5),
    (((70, 36, 26), (30, 40, 28), (-40, 42, 24), (-112, 44, 10)), 13, 12),
    (((8, -42, 16), (28, -44, 16), (46, -30, 20), (54, -6, 36)), 13, 12),
    (((50, -18, 24), (44, 4, 2), (40, 6, -40)), 9.5, 9),
    (((52, -10, 30), (46, 12, 52)), 10, 9),
    (((112, -6, -22), (60, -6, -28), (14, -8, -32)), 9, 9),
    (((-20, 8, -28), (-60, 12, -26), (-112, 14, -24)), 12, 12),
    (((112, -30, 10), (96, -26, -14), (80, -16, -26)), 7, 7),
    (((112, -6, 2), (84, -4, 4)), 5, 5),
    (((112, 10, 18), (88, 8, 14)), 5, 5),
)
"""Course, first and last radius of each vessel: ascending aorta and arch, descending aorta; pulmonary trunk, its right
and left artery; superior and inferior vena cava; brachiocephalic vein; left carotid and subclavian artery."""


def _great_vessels() -> Iterator[Part]:
    for way, radius_mm, end_radius_mm in _VESSELS:
        for part in tube(_smooth(way, 20), radius_mm, end_radius_mm):
            yield part, BLOOD_HU + 3


def _arteries() -> Iterator[Part]:
    for vessel in ARTERIES:
        for part in tube(artery_path(vessel), 2.0, 1.3):
            yield part, BLOOD_HU


def _lung_vessels(rng: np.random.Generator) -> Iterator[Part]:
    """Yield trees that spread from the two hila; the mediastinum and the diaphragm cover their roots and tips."""
    for side in (-1, 1):
        outwards = np.array([0.1, 0.1, side])
        for _ in range(30):
            trunk = _twig(np.array([rng.uniform(-30, 40), 8, side * 34]), outwards, rng.uniform(40, 85), 1.3, rng)
            yield from _vessel(trunk, 3.2)
            for fork in rng.integers(1, len(trunk), 5):
                twig = _twig(trunk[fork], trunk[-1] - trunk[0], rng.uniform(20, 45), 1.0, rng)
                yield from _vessel(twig, 1.6)


def _twig(start: Vector, towards: Vector, length_mm: float, spread: float, rng: np.random.Generator) -> Vector:
    """Return a bent line from ``start`` roughly ``towards`` a direction, (4, 3)."""
    way = towards / np.linalg.norm(towards) + spread * rng.uniform(-1, 1, 3)
    bend = 0.25 * rng.uniform(-1, 1, 3)
    steps = np.linspace(0, 1, 4)[:, None]
    return np.asarray(start + (way / np.linalg.norm(way) * steps + bend * steps**2) * length_mm)


def _vessel(path: Vector, radius_mm: float) -> Iterator[Part]:
    for part in tube(path, radius_mm, 0.5 * radius_mm):
        yield part, BLOOD_HU


# --- drawing ----------------------------------------------------------------------------------------------------------


def draw_thorax(
    shape: tuple[int, int, int] = (48, 256, 256),
    spacing_mm: tuple[float, float, float] = (4.0, 1.6, 1.6),
    *,
    seed: int = 0,
    noise_sd_hu: float = 20.0,
    plaques: Sequence[Plaque] = DEFAULT_PLAQUES,
) -> Phantom:
    """Draw a thorax of int16 HU, (slices, rows, columns), and label its calcium.

    Each voxel near a plaque that reaches 130 HU in the scan without noise has the label of the plaque. The seed
    determines lung vessels and noise; the noise has the SD ``noise_sd_hu`` from 5 cm under the skin inwards.
    """
    corner_mm = [-(n - 1) / 2 * spacing for n, spacing in zip(shape[::-1], spacing_mm[::-1], strict=True)]
    canvas = Canvas(Geometry.from_spacing(shape, spacing_mm, corner_mm), AIR_HU)
    rng = np.random.default_rng(seed)
    for part, hu in _anatomy(rng):
        canvas.paint(part, hu)
    for plaque in plaques:
        canvas.paint(_region(plaque), plaque.hu, samples=PLAQUE_SAMPLES)
    _blur(canvas)
    labels = _label(canvas, plaques)
    _add_noise(canvas, noise_sd_hu, rng)
    stored = np.clip(np.rint(canvas.hu), *HU_RANGE).astype(np.int16)
    return Phantom(Volume(stored, canvas.geometry), LabelMap(labels, canvas.geometry))


def _anatomy(rng: np.random.Generator) -> Iterator[Part]:
    yield from _chest_wall()
    yield from _lung_vessels(rng)
    yield from _mediastinum()
    yield from _heart()
    yield from _great_vessels()
    yield from _arteries()
    yield from _abdomen()
    yield from _spine()
    yield from _bones()


def _region(plaque: Plaque, margin_mm: Point = (0.0, 0.0, 0.0)) -> Ellipsoid:
    return Ellipsoid.at(plaque.centre, np.add(plaque.radii_mm, margin_mm).tolist())


def _blur_pixels(canvas: Canvas) -> tuple[float, float, float]:
    """Return the SD of the blur along (slice, row, column), in voxels."""
    _, row_mm, column_mm = canvas.geometry.spacing_mm
    sd_mm = BLUR_FWHM_MM / float(np.sqrt(8 * np.log(2)))
    return 0.0, sd_mm / row_mm, sd_mm / column_mm


def _blur(canvas: Canvas) -> None:
    from scipy import ndimage

    ndimage.gaussian_filter(canvas.hu, _blur_pixels(canvas), output=canvas.hu, truncate=3)


def _label(canvas: Canvas, plaques: Sequence[Plaque]) -> Bytes:
    """Label the voxels of the blurred scan at or above 130 HU in a plaque dilated by the blur and half a slice."""
    labels = np.zeros(canvas.geometry.shape, np.uint8)
    margin_mm = (canvas.geometry.slice_spacing_mm / 2, BLUR_FWHM_MM, BLUR_FWHM_MM)
    for plaque in plaques:
        region = _region(plaque, margin_mm)
        box = canvas.box(region, 0)
        near = canvas.distance_mm(region, box) <= 0
        labels[box][near & (np.rint(canvas.hu[box]) >= CALCIUM_HU)] = plaque.label
    return labels


def _add_noise(canvas: Canvas, sd_hu: float, rng: np.random.Generator) -> None:
    """Add noise as coarse as the blur; its SD falls to half at the skin and outside, where less is absorbed."""
    from scipy import ndimage

    sigma = _blur_pixels(canvas)
    impulse = np.pad(np.ones((1, 1, 1)), ((0, 0), (16, 16), (16, 16)))
    gain = float(np.linalg.norm(ndimage.gaussian_filter(impulse, sigma, truncate=3)))
    noise = rng.standard_normal(canvas.geometry.shape, np.float32)
    ndimage.gaussian_filter(noise, sigma, output=noise, truncate=3)
    share = canvas.distance_mm(_BODY, (slice(None), slice(None), slice(None)))
    share *= -0.5 / NOISE_DEPTH_MM
    share += 0.5
    noise *= np.clip(share, 0.5, 1, out=share)
    noise *= sd_hu / gain
    canvas.hu += noise
