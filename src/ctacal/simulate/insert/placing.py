"""``place``: drawn deposits in a real chest: in the coronaries, the aortic wall, and lymph nodes by the trachea."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ctacal.arrays import Floats
from ctacal.labels import Calcium
from ctacal.simulate.anatomy.calcium import Deposit, Kind
from ctacal.simulate.anatomy.chest import Chest
from ctacal.simulate.anatomy.sites import Anatomy, Balls
from ctacal.simulate.anatomy.structures import CoronarySegment, Points
from ctacal.simulate.anatomy.vessels import Courses
from ctacal.simulate.insert.deposits import Artery, Placed
from ctacal.simulate.insert.heart_fit import FittedHeart
from ctacal.simulate.insert.landmarks import Tube
from ctacal.simulate.insert.tissue import Tissue
from ctacal.simulate.streams import Stream, generator

PHASES = 8
"""Number of phases of the heart cycle (own choice, as in ``study``)."""

ABOVE_MM = 150.0
"""Distance along the aorta of ``Anatomy`` at which its descending part begins; the scan is not searched above it."""

DESCENDING_MM = 170.0
"""Length of the descending aorta of ``Anatomy``."""

PIECE = 12
"""Number of balls of an artery that are drawn together (own choice)."""

MOSTLY = 0.97
"""Smallest share of a deposit that must lie in usable tissue."""

TRIES = 40
"""Number of positions that are tried before a deposit is left out (own choice)."""

MOTION_SHARE = (0.3, 1.5)
"""Smallest and largest ratio of the measured motion to that of the model: the border says little of motion along it."""

KINDS = (Kind.CORONARY, Kind.AORTIC_WALL, Kind.AORTIC_VALVE, Kind.MITRAL_ANNULUS, Kind.LYMPH_NODE)
"""Kinds of calcium that are inserted; the scan is not searched for sites of the others (pericardium, pleura, hilum,
metal)."""


@dataclass(frozen=True, eq=False, slots=True)
class RealAnatomy:
    """The sites of a real scan in which calcium can lie."""

    fitted: FittedHeart
    coronaries: tuple[CoronarySegment, ...]
    aorta: Tube | None
    windpipe: Tube | None
    own_lines: bool = False
    """Whether ``coronaries`` are the user's."""

    def missing(self, deposit: Deposit) -> str | None:
        """Return the site of the deposit if the scan does not show it, else None."""
        if deposit.kind is Kind.AORTIC_WALL:
            return None if self.aorta and deposit.site == "descending" else f"{deposit.site} aorta"
        if deposit.kind is Kind.LYMPH_NODE:
            return None if self.windpipe else "windpipe"
        return None if deposit.kind in KINDS else deposit.kind.value

    def sites(self, kind: Kind) -> Anatomy:
        """Return the courses for deposits of a kind: those found in the scan, else those of the fitted heart."""
        chest, heart = Chest(self.fitted.patient), self.fitted.at_phase()
        courses = Courses.of(chest, self.fitted.unmoved())
        aorta, radius_mm = courses.aorta + self.fitted.offset_mm, courses.aorta_radius_mm
        if self.aorta and kind is Kind.AORTIC_WALL:
            aorta, radius_mm = _descending(self.aorta, _along_mm(courses.aorta))
        courses = replace(courses, aorta=aorta, aorta_radius_mm=radius_mm)
        if self.windpipe:
            carina = self.windpipe.points[-1:]
            courses = replace(courses, trachea=self.windpipe.points, bronchi=(carina, carina))
        return Anatomy(chest, heart, courses, self.coronaries)

    def elsewhere(self, deposit: Deposit, rng: np.random.Generator) -> Iterator[Deposit]:
        """Yield the deposit as drawn, then at other positions of its kind, from near to far."""
        if deposit.kind is Kind.AORTIC_WALL and self.aorta:
            length_mm = float(np.ptp(self.aorta.points[:, 2]))
            deposit = replace(deposit, along=deposit.along * min(1.0, length_mm / DESCENDING_MM))
        names = [segment.name for segment in self.coronaries]
        if deposit.kind is Kind.CORONARY and deposit.site not in names:
            deposit = replace(deposit, site=str(rng.choice(names)))
        yield deposit
        for n in range(1, TRIES):
            along = float(np.clip(deposit.along + rng.normal(0, 0.5 * n / TRIES), 0, 1))
            angle, seed = (deposit.angle_deg + rng.normal(0, 180 * n / TRIES)) % 360, int(rng.integers(2**31))
            yield replace(deposit, along=along, angle_deg=float(angle), seed=seed)


def _descending(aorta: Tube, model_mm: Floats) -> tuple[Points, Floats]:
    """Return points and radii at distances along the model's aorta: the real aorta from ``ABOVE_MM``, straight ends."""
    up, down = np.array([[0.0, 0.0, ABOVE_MM]]), np.array([[0.0, 0.0, model_mm[-1]]])
    points = np.vstack([aorta.points[:1] + up, aorta.points, aorta.points[-1:] - down])
    radius_mm = np.pad(aorta.radius_mm, 1, mode="edge")
    own_mm = _along_mm(points)
    path = np.stack([np.interp(model_mm, own_mm, column) for column in points.T], axis=1)
    return path, np.interp(model_mm, own_mm, radius_mm)


def _along_mm(path: Points) -> Floats:
    return np.append(0, np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1)))


def place(
    deposits: tuple[Deposit, ...], anatomy: RealAnatomy, tissue: Tissue, motion_mm: float | None, seed: int
) -> tuple[tuple[Placed, ...], tuple[str, ...]]:
    """Place the deposits in the scan; return them, and a note for each deposit that is left out."""
    rng = generator(seed, Stream.PLACING)
    share = motion_share(anatomy, motion_mm)
    placed, notes = [], []
    for deposit in deposits:
        what = deposit.kind.value + (f" ({deposit.site})" if deposit.site else "")
        if absent := anatomy.missing(deposit):
            notes.append(f"{what} left out: {absent} is not looked for or not found in the scan")
        elif found := _laid(deposit, anatomy, tissue, share, rng):
            placed.append(found)
        else:
            notes.append(f"{what} left out: no place for it within the scan, outside of lung and bone")
    return tuple(placed), tuple(notes)


def draw_arteries(anatomy: RealAnatomy, tissue: Tissue, motion_mm: float | None) -> tuple[Artery, ...]:
    """Return arteries with the calibre of the simulated segments; none on lines of the user: the scan shows them."""
    share = motion_share(anatomy, motion_mm)
    found = []
    for segment in () if anatomy.own_lines else anatomy.coronaries:
        kept = tissue.usable(segment.points)
        points, radius_mm = segment.points[kept][::2], segment.radius_mm[kept][::2]
        for start in range(0, len(points), PIECE):
            part = slice(start, start + PIECE)
            beat = _through_the_beat(anatomy.fitted, points[part])
            found.append(Artery(Balls(points[part], radius_mm[part]), share * (beat - beat.mean(axis=0))))
    return tuple(found)


def _laid(
    deposit: Deposit, anatomy: RealAnatomy, tissue: Tissue, share: float, rng: np.random.Generator
) -> Placed | None:
    sites = anatomy.sites(deposit.kind)
    for tried in anatomy.elsewhere(deposit, rng):
        balls = sites.balls(tried)
        if _fits(tried.kind, balls, anatomy, tissue):
            break
    else:
        return None
    vessel, label = tried.site, Calcium.OTHER
    if tried.kind is Kind.CORONARY:
        vessel = sites.segment(tried.site).vessel.name
        label = Calcium[vessel]
    sway_mm = np.zeros((1, 3))
    if tried.kind not in (Kind.AORTIC_WALL, Kind.LYMPH_NODE):
        sway_mm = share * _sway_mm(anatomy.fitted, balls)
    return Placed(tried.kind, vessel, label, balls, tried.density_mg_cm3, sway_mm)


def _fits(kind: Kind, balls: Balls, anatomy: RealAnatomy, tissue: Tissue) -> bool:
    """Whether a deposit lies in usable tissue and, on a fitted course, beside fat."""
    if tissue.usable(balls.centres).mean() < MOSTLY:
        return False
    return kind is not Kind.CORONARY or anatomy.own_lines or bool(tissue.beside_fat(balls.centres).mean() >= MOSTLY)


def _sway_mm(fitted: FittedHeart, balls: Balls) -> Points:
    """Return the displacement of the deposit by the heart about its mean position, (phases, 3)."""
    at = _through_the_beat(fitted, balls.centres.mean(axis=0)[None])[:, 0]
    return np.asarray(at - at.mean(axis=0))


def _through_the_beat(fitted: FittedHeart, points: Points) -> Floats:
    """Return the positions of points of the resting heart in each phase, (phases, n, 3)."""
    rest = fitted.at_phase()
    local = rest.to_local(points - rest.origin)
    return np.stack([fitted.at_phase(k / PHASES).to_patient(local) for k in range(PHASES)])


def motion_share(anatomy: RealAnatomy, motion_mm: float | None) -> float:
    """Return the ratio of the motion of the real heart to the model, across the border; 1 if it was not measured."""
    if motion_mm is None:
        return 1.0
    points = np.vstack([segment.points[::8] for segment in anatomy.coronaries])
    outward = points - points.mean(axis=0)
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    moved = (_through_the_beat(anatomy.fitted, points) * outward).sum(axis=2)
    return float(np.clip(motion_mm / np.sqrt(moved.var(axis=0).mean()), *MOTION_SHARE))
