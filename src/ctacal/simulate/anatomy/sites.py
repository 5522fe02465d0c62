"""Place and shape of a deposit in the patient: a cloud of balls that follows heartbeat and breath."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ctacal.arrays import Floats
from ctacal.simulate.anatomy.bones import sternum_y_mm
from ctacal.simulate.anatomy.calcium import Deposit, Kind
from ctacal.simulate.anatomy.canvas import curve
from ctacal.simulate.anatomy.chest import Chest
from ctacal.simulate.anatomy.coronaries import coronary_tree
from ctacal.simulate.anatomy.description import Patient
from ctacal.simulate.anatomy.heart import Heart
from ctacal.simulate.anatomy.heart_kernels import LV_INSIDE, LV_OUTSIDE
from ctacal.simulate.anatomy.structures import CoronarySegment, Points, Structure
from ctacal.simulate.anatomy.vessels import Courses
from ctacal.simulate.anatomy.wall import wall_layers
from ctacal.simulate.anatomy.wall_kernels import MUSCLE_EDGE, SKIN_EDGE

GRAIN_MM = 0.35
"""Distance between the balls of a deposit (own choice)."""


AORTIC_PARTS_MM = {"root": (8, 24), "ascending": (24, 75), "arch": (75, 150), "descending": (150, 320)}
"""Begin and end of each part of the aorta along its centre line (own choice)."""


@dataclass(frozen=True, eq=False, slots=True)
class Balls:
    """A shape that is the union of balls."""

    centres: Points
    radii_mm: Floats


@dataclass(frozen=True, eq=False)
class Anatomy:
    """Anatomical courses along which deposits lie, at one phase and breath."""

    chest: Chest
    heart: Heart
    courses: Courses
    coronaries: tuple[CoronarySegment, ...]

    @classmethod
    def of(cls, patient: Patient, *, phase: float = 0.0, breath_mm: float = 0.0) -> "Anatomy":
        """Return the courses without building a body; cached for the next deposits."""
        return _anatomy(patient, float(phase), breath_mm)

    def segment(self, name: str) -> CoronarySegment:
        """Return the coronary segment with this name or, if the patient has none, the artery it would branch from."""
        found = {segment.name: segment for segment in self.coronaries}
        return found.get(name) or found[{"D": "LAD", "O": "LCX"}.get(name[0], "RCA")]

    def balls(self, deposit: Deposit) -> Balls:
        """Return the deposit's shape; cached, because the body, its truth and the reference score all need it."""
        return _balls(self, deposit)

    def shaped(self, deposit: Deposit) -> Balls:  # noqa: C901 (a case for each kind)
        """Return the deposit's shape, computed again."""
        rng = np.random.default_rng(deposit.seed)
        match deposit.kind:
            case Kind.CORONARY | Kind.STENT:
                return self._on_coronary(deposit, rng)
            case Kind.BYPASS_CLIP:
                return self._clip(deposit, rng)
            case Kind.AORTIC_WALL:
                return self._on_aorta(deposit, rng)
            case Kind.AORTIC_VALVE | Kind.VALVE_PROSTHESIS:
                return self._at_aortic_valve(deposit, rng)
            case Kind.MITRAL_ANNULUS:
                return self._on_mitral_ring(deposit, rng)
            case Kind.PERICARDIUM:
                return self._on_pericardium(deposit, rng)
            case Kind.PLEURA:
                return self._on_pleura(deposit, rng)
            case Kind.STERNAL_WIRE:
                return self._wire(deposit)
            case Kind.LEAD:
                return _even(self._lead_path(deposit.site), deposit.thickness_mm)
            case Kind.SHOCK_COIL:
                return self._coil(deposit)
            case Kind.PACEMAKER:
                return self._housing(deposit)
            case Kind.CONTRAST:
                return self._contrast(deposit)
            case Kind.MYOCARDIAL_SCAR:
                return self._in_scar(deposit, rng)
            case _:
                return self._in_node(deposit, rng)

    def _on_coronary(self, deposit: Deposit, rng: np.random.Generator) -> Balls:
        segment = self.segment(deposit.site)
        middle = deposit.along * segment.length_mm
        along = _along_mm(segment.points)
        return _along_wall(segment.points, along, segment.radius_mm, middle, deposit, self.heart.origin, rng)

    def _clip(self, deposit: Deposit, rng: np.random.Generator) -> Balls:
        path = self._mammary_graft(deposit.site)
        at = path[int(deposit.along * (len(path) - 1))] + rng.normal(0, 2, 3)
        half = _unit(rng.normal(size=3)) * deposit.length_mm / 2
        return _even(curve([at - half, at + half], GRAIN_MM), deposit.thickness_mm)

    def _mammary_graft(self, site: str) -> Points:
        """Return the left internal mammary artery, from behind the second rib to the middle of a coronary artery."""
        z, angle = np.array([55.0, 30.0, 5.0]) * self.chest.scale, 14.0
        radius, turn = self.chest.cavity_mm(z, angle), np.deg2rad(angle)
        behind_ribs = np.stack([radius * np.sin(turn), -radius * np.cos(turn), z], axis=1)
        grafted = self.segment(site).points
        return curve([*behind_ribs, grafted[int(0.55 * len(grafted))]], GRAIN_MM)

    def _on_aorta(self, deposit: Deposit, rng: np.random.Generator) -> Balls:
        low, high = AORTIC_PARTS_MM[deposit.site]
        middle = low + deposit.along * (high - low)
        towards = self.chest.spine_x_mm(0.0) * np.array([1.0, 0, 0])
        resting = Anatomy.of(self.chest.patient, breath_mm=self.chest.breath_mm)
        at_rest = _along_mm(resting.courses.aorta)  # the same spot of the wall at any phase
        courses = self.courses
        return _along_wall(courses.aorta, at_rest, courses.aorta_radius_mm, middle, deposit, towards, rng)

    def _at_aortic_valve(self, deposit: Deposit, rng: np.random.Generator) -> Balls:
        path, radius = self.courses.aorta, float(self.courses.aorta_radius_mm[2])
        axis = _unit(path[6] - path[2])
        side = _unit(np.cross(axis, (0.0, 0.0, 1.0)))
        turn = np.deg2rad(deposit.angle_deg)
        plane = np.array([side, np.cross(axis, side)])
        if deposit.kind is Kind.VALVE_PROSTHESIS:
            angles = np.linspace(0, 2 * np.pi, 200)
            ring = path[4] + 0.95 * radius * np.stack([np.cos(angles), np.sin(angles)], axis=1) @ plane
            return _even(ring, deposit.thickness_mm)
        at = path[4] + (0.25 + 0.6 * deposit.along) * radius * np.array([np.cos(turn), np.sin(turn)]) @ plane
        return _clump(at, (deposit.length_mm, deposit.length_mm * 0.6, deposit.thickness_mm), rng)

    def _on_mitral_ring(self, deposit: Deposit, rng: np.random.Generator) -> Balls:
        size = 16 * self.heart.scale
        half = deposit.length_mm / 2 / size
        middle = np.deg2rad(180 + 0.45 * (deposit.angle_deg - 180))  # at the free wall, rarely next to the aorta
        angles = np.linspace(middle - half, middle + half, max(2, int(deposit.length_mm / GRAIN_MM)))
        ring = np.stack([np.full_like(angles, -3.0), size * np.cos(angles), size * np.sin(angles)], axis=1)
        return _bumpy(self.heart.to_patient(ring), deposit.thickness_mm / 2, rng)

    def _on_pericardium(self, deposit: Deposit, rng: np.random.Generator) -> Balls:
        along = np.arange(-0.5, 0.5, GRAIN_MM / deposit.length_mm) * deposit.length_mm + 40 * deposit.along
        turn = np.deg2rad(deposit.angle_deg) + 0.012 * (along - along.mean()) * rng.normal()
        points = []
        for d, angle in zip(along[:: max(1, len(along) // 16)], turn[:: max(1, len(along) // 16)], strict=True):
            outwards, start = np.array([0.0, np.cos(angle), np.sin(angle)]), np.array([d, 8.0, 0.0])
            points.append(start + outwards * self.heart.surface_mm(start, outwards, 2.0 + self.heart.fat_mm))
        return _bumpy(curve(self.heart.to_patient(np.array(points)), GRAIN_MM), deposit.thickness_mm / 2, rng)

    def _on_pleura(self, deposit: Deposit, rng: np.random.Generator) -> Balls:
        side = 1 if deposit.seed % 2 else -1
        z0 = (-110 + 110 * deposit.along) * self.chest.scale
        angle0 = 60 + 85 * deposit.angle_deg / 360
        n = max(3, int(deposit.length_mm / 1.2))
        u, v = np.meshgrid(np.linspace(-0.5, 0.5, n), np.linspace(-0.5, 0.5, n))
        keep = u**2 + v**2 < 0.25 * (1 + 0.4 * np.sin(3 * np.arctan2(v, u) + rng.uniform(0, 6)))
        z, angle = z0 + u[keep] * deposit.length_mm, angle0 + v[keep] * deposit.length_mm / 2
        radius, turn = self.chest.cavity_mm(z, angle) - 0.5, np.deg2rad(angle)
        points = np.stack([side * radius * np.sin(turn), -radius * np.cos(turn), z], axis=1)
        return Balls(points, np.full(len(points), max(1.0, deposit.thickness_mm / 2)))

    def _in_node(self, deposit: Deposit, rng: np.random.Generator) -> Balls:
        size_mm = (deposit.length_mm, deposit.thickness_mm, deposit.thickness_mm)
        if deposit.site == "window":
            return _clump(self._below_arch(deposit, rng), size_mm, rng)
        if deposit.kind is Kind.HILAR:
            line = self.courses.bronchi[deposit.seed % 2][-12:]
        else:
            line = np.vstack([self.courses.trachea[-24:], *(path[:20] for path in self.courses.bronchi)])
        away = rng.normal(size=3) * (1, 1, 0.5)
        at = line[int(deposit.along * (len(line) - 1))] + _unit(away) * rng.uniform(11, 16)
        return _clump(at, size_mm, rng)

    def _below_arch(self, deposit: Deposit, rng: np.random.Generator) -> Floats:
        """Return a point in the aorto-pulmonary window: between the arch and the left pulmonary artery (own choice)."""
        aorta, radius_mm = self.courses.aorta, self.courses.aorta_radius_mm
        arteries = [path for path, _, what in self.courses.others if what is Structure.PULMONARY_ARTERY]
        at = int(np.argmax(aorta[:, 2])) + round(4 * deposit.along)  # the points are 2 mm apart
        way = arteries[2] - aorta[at]  # the left one
        nearest = way[np.linalg.norm(way, axis=1).argmin()]
        return np.asarray(aorta[at] + _unit(nearest) * (radius_mm[at] + deposit.thickness_mm / 2 + rng.uniform(0, 3)))

    def _in_scar(self, deposit: Deposit, rng: np.random.Generator) -> Balls:
        """Return an irregular sheet in the wall of the left ventricle, where the LAD or the RCA feeds it.

        Own choice: its middle lies 15 to 70 degrees from the apex, within 70 degrees of straight below; a third to two
        thirds deep.
        """
        from_apex, turn = np.deg2rad(15 + 55 * deposit.along), np.deg2rad(-90 + 0.39 * (deposit.angle_deg - 180))
        outside, inside = self.heart.shapes[LV_OUTSIDE, :6], self.heart.shapes[LV_INSIDE, :6]
        depth = rng.uniform(0.33, 0.67)
        middle, radii = np.split(inside + (outside - inside) * (1 - depth), 2)
        long_deg, wide_deg = np.rad2deg(deposit.length_mm / radii[0]), deposit.arc_deg
        n = max(3, int(deposit.length_mm / 1.2))
        u, v = np.meshgrid(np.linspace(-0.5, 0.5, n), np.linspace(-0.5, 0.5, n))
        keep = u**2 + v**2 < 0.25 * (1 + 0.4 * np.sin(3 * np.arctan2(v, u) + rng.uniform(0, 6)))
        t, angle = from_apex + np.deg2rad(long_deg) * u[keep], turn + np.deg2rad(wide_deg) * v[keep]
        unit = np.stack([np.cos(t), np.sin(t) * np.cos(angle), np.sin(t) * np.sin(angle)], axis=1)
        sheet = middle + unit[rng.random(len(unit)) < 0.85] * radii  # with holes
        wall = self.heart.within_lv_wall(sheet)  # sternum and ribs flatten the apex
        centres = self.heart.to_patient(wall if len(wall) else sheet)
        return Balls(centres, deposit.thickness_mm / 2 * rng.uniform(0.7, 1.1, len(centres)))

    def _wire(self, deposit: Deposit) -> Balls:
        z = (-85 + 128 * deposit.along) * self.chest.scale
        angles = np.linspace(0, 2 * np.pi, 220)
        ring = np.stack([19 * np.cos(angles), 7.5 * np.sin(angles), 3 * np.sin(2 * angles)], axis=1)
        return _even(ring + (0, float(sternum_y_mm(self.chest, z)), z), deposit.thickness_mm)

    def _lead_path(self, site: str) -> Points:
        """Return the lead from the housing through the left brachiocephalic vein to the right ventricle or atrium."""
        veins = [path for path, _, structure in self.courses.others if structure is Structure.SUPERIOR_VENA_CAVA]
        pocket, _ = self._pocket()
        entry = [pocket + (-18, 6, 20), *veins[2][:8:-12], *veins[0][-4::-12]]
        atrium = self.heart.to_patient(self.heart.to_local(np.array([-46.0, -12, -2]) * self.heart.scale))[0]
        tip = np.array([[0.78 * self.heart.length_mm, 22.0, -6.0]]) if site == "RV" else np.array([[-22.0, 42, 12]])
        across = self.heart.to_patient(np.array([[8.0, 40.0, -18.0]]))
        path = [*entry, atrium, *(across if site == "RV" else ()), *self.heart.to_patient(tip)]
        beside = (0.0, 0.0, 0.0) if site == "RV" else (2.1, 0.0, 0.0)
        return curve(path, GRAIN_MM) + beside

    def _coil(self, deposit: Deposit) -> Balls:
        """Return a coil on the lead to the right ventricle: near its tip, or in the superior vena cava."""
        path = self._lead_path("RV")
        ends = 12.0 if deposit.site == "RV" else 130.0
        along = _along_mm(path)
        before_tip = along[-1] - along
        return _even(path[(before_tip > ends) & (before_tip < ends + deposit.length_mm)], deposit.thickness_mm)

    def _pocket(self) -> tuple[Floats, Floats]:
        """Return the centre of the housing on the left pectoralis major; the axes of its width, height, thickness."""
        z, angles = 22.0 * self.chest.scale, np.arange(32, 53)
        layers = wall_layers(self.chest, np.array([z]))[0][:, angles]
        reach, turn = np.minimum(layers[MUSCLE_EDGE] + 4.0, layers[SKIN_EDGE] - 16.0), np.deg2rad(angles)
        surface = np.stack([reach * np.sin(turn), -reach * np.cos(turn), np.full(len(turn), z)], axis=1)
        across = _unit(surface[-1] - surface[0])
        axes = np.array([across, [0.0, 0.0, 1.0], [across[1], -across[0], 0.0]])
        return surface.mean(axis=0), axes

    def _housing(self, deposit: Deposit) -> Balls:
        """Return a flat box with rounded edges, nine tenths as wide as high."""
        middle, axes = self._pocket()
        radius = deposit.thickness_mm / 2
        high = deposit.length_mm / 2 - radius
        u, v = np.meshgrid(np.linspace(-1, 1, 24) * (high - 0.05 * deposit.length_mm), np.linspace(-1, 1, 24) * high)
        tilt = np.deg2rad(deposit.angle_deg / 12 - 15)
        u, v = np.cos(tilt) * u - np.sin(tilt) * v, np.sin(tilt) * u + np.cos(tilt) * v
        return Balls(middle + u.reshape(-1, 1) * axes[0] + v.reshape(-1, 1) * axes[1], np.full(u.size, radius))

    def _contrast(self, deposit: Deposit) -> Balls:
        match deposit.site:
            case "myocardium":
                return self._in_myocardium(deposit)
            case "stomach":
                return self._in_stomach(deposit)
            case "vein":
                veins = [
                    path for path, _, structure in self.courses.others if structure is Structure.SUPERIOR_VENA_CAVA
                ]
                path = np.vstack([veins[2][::-1], veins[0][::-1]])
            case _:
                path = self.courses.oesophagus
        along = _along_mm(path)
        apart = np.abs(along - (0.2 + 0.6 * deposit.along) * along[-1])
        return _even(path[apart < max(3.0, deposit.length_mm / 2)], deposit.thickness_mm)

    def _in_myocardium(self, deposit: Deposit) -> Balls:
        """Return the whole wall of the left ventricle, as balls on a lattice."""
        step, length = deposit.thickness_mm, self.heart.length_mm
        axes = (np.arange(0, 1.05 * length, step), np.arange(-45, 46, step), np.arange(-45, 46, step))
        lattice = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
        wall = self.heart.within_lv_wall(lattice)
        return Balls(self.heart.to_patient(wall), np.full(len(wall), 0.62 * step))

    def _in_stomach(self, deposit: Deposit) -> Balls:
        """Return a layer in the fundus, the lowest part of the stomach in a supine patient."""
        patient = self.chest.patient
        top = self.chest.dome_top_mm - patient.left_dome_lower_mm
        middle = np.array([0.50 * patient.chest_half_width_mm, 0.12 * patient.chest_half_depth_mm, top - 44])
        half = 0.5 * np.array([deposit.thickness_mm, 0.4 * deposit.thickness_mm, deposit.length_mm])
        steps = [np.arange(-size, size + 0.1, 4.0) for size in half]
        lattice = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 3)
        inside = lattice[((lattice / half) ** 2).sum(axis=1) <= 1.0]
        return Balls(middle + inside, np.full(len(inside), 3.5))


@lru_cache(maxsize=16)
def _anatomy(patient: Patient, phase: float, breath_mm: float) -> Anatomy:
    chest = Chest(patient, breath_mm)
    heart = Heart.of(chest, phase)
    return Anatomy(chest, heart, Courses.of(chest, heart), coronary_tree(chest, heart))


@lru_cache(maxsize=1024)
def _balls(anatomy: Anatomy, deposit: Deposit) -> Balls:
    return anatomy.shaped(deposit)


def _unit(vector: Floats) -> Floats:
    return np.asarray(vector / np.linalg.norm(vector))


def _even(path: Points, diameter_mm: float) -> Balls:
    return Balls(path, np.full(len(path), diameter_mm / 2))


def _bumpy(path: Points, radius_mm: float, rng: np.random.Generator) -> Balls:
    taper = np.sqrt(np.sin(np.linspace(0.15, np.pi - 0.15, len(path))))
    return Balls(path, np.maximum(0.25, radius_mm * taper * rng.uniform(0.6, 1.1, len(path))))


def _clump(at: Floats, size_mm: tuple[float, float, float], rng: np.random.Generator) -> Balls:
    n = 12
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    spread = rng.uniform(-0.33, 0.33, (n, 3)) * np.array(size_mm)
    radius = max(0.3, 0.24 * float(np.mean(size_mm)))
    return Balls(at + spread @ turn, radius * rng.uniform(0.6, 1.2, n))


def _along_mm(path: Points) -> Floats:
    return np.append(0, np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1)))


def _along_wall(
    path: Points, along: Floats, radius_mm: Floats, middle_mm: float, deposit: Deposit, inward: Floats,
    rng: np.random.Generator,
) -> Balls:  # fmt: skip
    """Return an eccentric sheet in the wall of a tube; its angle is measured from the side opposite to ``inward``."""
    half = deposit.length_mm / 2
    middle_mm = float(np.clip(middle_mm, half, max(half, along[-1] - half)))
    stations = np.linspace(middle_mm - half, middle_mm + half, max(2, int(deposit.length_mm / GRAIN_MM) + 1))
    centres = np.stack([np.interp(stations, along, column) for column in path.T], axis=1)
    radius = np.interp(stations, along, radius_mm)
    tangent = np.stack([np.interp(stations, along, column) for column in np.gradient(path, axis=0).T], axis=1)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    outward = centres - inward
    outward -= tangent * (outward * tangent).sum(axis=1, keepdims=True)
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    across = np.cross(tangent, outward)
    taper = np.sqrt(np.maximum(0.05, 1 - ((stations - middle_mm) / (half + 0.3)) ** 2))
    rows, sizes = [], []
    for n in range(len(stations)):
        arc = np.deg2rad(deposit.arc_deg) * taper[n] * rng.uniform(0.8, 1.05)
        angles = np.deg2rad(deposit.angle_deg) + np.linspace(-arc / 2, arc / 2, max(2, int(arc * radius[n] / GRAIN_MM)))
        ring = np.cos(angles)[:, None] * outward[n] + np.sin(angles)[:, None] * across[n]
        thick = deposit.thickness_mm / 2 * np.sqrt(taper[n]) * rng.uniform(0.75, 1.1, len(angles))
        rows.append(centres[n] + ring * radius[n])
        sizes.append(thick)
    return Balls(np.vstack(rows), np.concatenate(sizes))
