"""Kernels for the heart's shapes, compiled by numba: distances to its chambers, and their painting.

Local coordinates are (d, r, u): along the long axis to the apex, to the right ventricle, and upwards.
"""

import math
from typing import Any

import numba
import numpy as np

from ctacal.simulate.anatomy.compiled import compiled, compiled_parallel, sampled, span
from ctacal.simulate.anatomy.structures import Structure
from ctacal.simulate.materials import Tissue

FAT, BLOOD, MYOCARDIUM, SOFT = int(Tissue.FAT), int(Tissue.BLOOD), int(Tissue.MYOCARDIUM), int(Tissue.SOFT)
IN_LUNG, IN_RIB, IN_HUMERUS = int(Structure.LUNG), int(Structure.RIB), int(Structure.HUMERUS)
IN_MEDIASTINUM, IN_PERICARDIUM = int(Structure.MEDIASTINUM), int(Structure.PERICARDIUM)
IN_EPICARDIAL_FAT, BETWEEN_CHAMBERS = int(Structure.EPICARDIAL_FAT), int(Structure.OUTSIDE)
IN_LV_WALL, IN_LV_BLOOD, IN_RV_WALL, IN_RV_BLOOD = (
    int(Structure.LV_WALL), int(Structure.LV_BLOOD), int(Structure.RV_WALL), int(Structure.RV_BLOOD)
)  # fmt: skip
IN_LA_WALL, IN_LA_BLOOD, IN_RA_WALL, IN_RA_BLOOD = (
    int(Structure.LA_WALL), int(Structure.LA_BLOOD), int(Structure.RA_WALL), int(Structure.RA_BLOOD)
)  # fmt: skip

(LV_OUTSIDE, LV_INSIDE, RV_BODY, RV_OUTFLOW, RIGHT_ATRIUM, LEFT_ATRIUM, LEFT_APPENDAGE, RIGHT_APPENDAGE, AORTIC_ROOT,
 CHEST_FRONT) = range(10)  # fmt: skip
"""Rows of ``Heart.shapes``: one ellipsoid each."""

CONTRACTION, MITRAL_MM, TRICUSPID_MM, NARROWING, LENGTH_MM = range(5)
"""Places in ``Heart.motion``."""

COUPLED_MM = 12.0
"""Tissue further than this from the pericardium does not move with the heart (own choice)."""

INWARDS = 0.035
"""Share by which the ventricles' outside narrows in systole (own choice: the heart loses some 8 % of its volume,
Carlsson M et al., Am J Physiol Heart Circ Physiol 2004;287:H243-H250)."""

INWARDS_RIGHT = 0.055
"""Further share at the right ventricle's free wall."""

FLATTENED_REACH_MM = 6.0
"""Width of the band in which a chamber's wall bends away from the front of the chest (own choice)."""

MOST_FAT = 0.9
"""Largest share in ``fat_over_mm``, over the right ventricle."""

GRAIN = 4.5
"""Largest absolute value of the texture, a standard normal field."""

SAC_MM = 1.2
"""Thickness of the pericardium (own choice)."""

BEHIND_BASE_MM = 55.0
"""Behind the mitral ring, the motion of the valve plane fades out over this length (own choice)."""

RIGHT_SIDE_MM = 45.0
"""Distance from the long axis to the right at which the motion is the right ventricle's (own choice)."""


@compiled
def ellipsoid_mm(shape: Any, d: float, r: float, u: float) -> float:
    """Return the distance to an ellipsoid (15 numbers: centre, radii, axes), to first order; negative inside."""
    d, r, u = d - shape[0], r - shape[1], u - shape[2]
    a = (shape[6] * d + shape[7] * r + shape[8] * u) / shape[3]
    b = (shape[9] * d + shape[10] * r + shape[11] * u) / shape[4]
    c = (shape[12] * d + shape[13] * r + shape[14] * u) / shape[5]
    level = a * a + b * b + c * c
    a, b, c = a / shape[3], b / shape[4], c / shape[5]
    return float((level - math.sqrt(level)) / (math.sqrt(a * a + b * b + c * c) + 1e-9))


@compiled
def blended(a: float, b: float, reach: float) -> float:
    """Return the lower of two distances, with the crease between the shapes filled over ``reach`` mm."""
    h = max(reach - abs(a - b), 0.0) / reach
    return min(a, b) - h * h * reach * 0.25


@compiled
def cut(a: float, b: float, reach: float = 12.0) -> float:
    """Return the higher of two distances, with the edge between the shapes rounded off."""
    return -blended(-a, -b, reach)


@compiled
def flattened(shapes: Any, chamber: float, d: float, r: float, u: float) -> float:
    """Return the distance to a chamber that is flattened by the front of the chest."""
    return cut(chamber, ellipsoid_mm(shapes[CHEST_FRONT], d, r, u), FLATTENED_REACH_MM)


@compiled
def right_ventricle_mm(shapes: Any, d: float, r: float, u: float) -> float:
    """Return the distance to the right ventricle: body and outflow tract."""
    body = cut(ellipsoid_mm(shapes[RV_BODY], d, r, u), -(d + 13.0 + 0.35 * u))
    return flattened(shapes, blended(body, ellipsoid_mm(shapes[RV_OUTFLOW], d, r, u), 14.0), d, r, u)


@compiled
def left_ventricle_mm(shapes: Any, d: float, r: float, u: float) -> float:
    """Return the distance to the outside of the left ventricle, cut off at the base."""
    return max(flattened(shapes, ellipsoid_mm(shapes[LV_OUTSIDE], d, r, u), d, r, u), -(d + 7.0))


@compiled
def mark_lv_wall(shapes: Any, points: Any, inside: Any) -> None:
    """Mark those of the (n, 3) points that lie at least 1.5 mm deep in the left ventricle's wall."""
    for n in range(len(points)):
        d, r, u = points[n]
        inside[n] = left_ventricle_mm(shapes, d, r, u) < -1.5 and ellipsoid_mm(shapes[LV_INSIDE], d, r, u) > 1.5


@compiled
def left_atrium_mm(shapes: Any, d: float, r: float, u: float) -> float:
    """Return the distance to the left atrium with its appendage, cut off at the mitral ring."""
    body = blended(ellipsoid_mm(shapes[LEFT_ATRIUM], d, r, u), ellipsoid_mm(shapes[LEFT_APPENDAGE], d, r, u), 6.0)
    return cut(body, d + 1.5 - 0.25 * max(0.0, u - 22.0))


@compiled
def right_atrium_mm(shapes: Any, d: float, r: float, u: float) -> float:
    """Return the distance to the right atrium with its appendage, cut off at the tricuspid ring."""
    body = blended(ellipsoid_mm(shapes[RIGHT_ATRIUM], d, r, u), ellipsoid_mm(shapes[RIGHT_APPENDAGE], d, r, u), 18.0)
    return flattened(shapes, cut(body, d + 5.5), d, r, u)


@compiled
def chamber_distance(shapes: Any, d: float, r: float, u: float) -> float:
    """Return the distance to the outside of the nearest chamber or of the aortic root."""
    ventricles = min(left_ventricle_mm(shapes, d, r, u), right_ventricle_mm(shapes, d, r, u))
    atria = min(left_atrium_mm(shapes, d, r, u), right_atrium_mm(shapes, d, r, u))
    return min(min(ventricles, atria), ellipsoid_mm(shapes[AORTIC_ROOT], d, r, u))


@compiled
def outermost(shapes: Any, start: Any, direction: Any, gap_mm: float) -> float:
    """Return how far from ``start`` the distance to the chambers first falls to ``gap_mm``, coming from 110 mm away."""
    at = 110.0
    while at > 0:
        d, r, u = start[0] + at * direction[0], start[1] + at * direction[1], start[2] + at * direction[2]
        rest = chamber_distance(shapes, d, r, u) - gap_mm
        if rest < 0.05:
            return at
        at -= max(0.1, 0.5 * rest)
    return 0.0


@compiled
def unmoved(motion: Any, d: float, r: float, u: float) -> tuple[float, float, float]:
    """Return where a point of this phase lay at end-diastole."""
    squeeze, length = motion[CONTRACTION], motion[LENGTH_MM]
    if squeeze == 0.0:
        return d, r, u
    d0, r0 = d, r
    narrowed = 1.0
    for _ in range(2):
        side = min(max(r0 / RIGHT_SIDE_MM, 0.0), 1.0)
        side *= side * (3 - 2 * side)
        inwards = (INWARDS + INWARDS_RIGHT * side) * squeeze * min(max((d0 + 15.0) / 30.0, 0.0), 1.0)
        narrowed = 1.0 / (1.0 - inwards)
        r0 = r * narrowed
        moved = squeeze * (motion[MITRAL_MM] + (motion[TRICUSPID_MM] - motion[MITRAL_MM]) * side)
        d0 = min((d - moved) / (1.0 - moved / length if d > moved else 1.0 + moved / BEHIND_BASE_MM), d)
        if d0 < -BEHIND_BASE_MM:
            d0 = d
    return d0, r0, u * narrowed


@compiled
def chambers_mm(shapes: Any, d: float, r: float, u: float) -> tuple[float, float, float, float]:
    """Return the distances to the outsides of the left and right ventricle and the left and right atrium."""
    ventricles = left_ventricle_mm(shapes, d, r, u), right_ventricle_mm(shapes, d, r, u)
    return ventricles[0], ventricles[1], left_atrium_mm(shapes, d, r, u), right_atrium_mm(shapes, d, r, u)


@compiled
def chamber_label(
    shapes: Any, motion: Any, d: float, r: float, u: float, lv: float, rv: float, la: float, ra: float
) -> int:
    """Return the structure at a point with these distances; ``BETWEEN_CHAMBERS`` outside of all chambers."""
    if lv < 0:
        narrow = 1.0 - motion[NARROWING] * motion[CONTRACTION]
        inner = shapes[LV_INSIDE]
        along = inner[0] + (d - inner[0]) / (1 - 0.05 * motion[CONTRACTION])
        cavity = ellipsoid_mm(inner, along, r / narrow, u / narrow)
        papillary = (r + 9.0) ** 2 + (u - 10.0) ** 2 < 5.5**2 or (r + 6.0) ** 2 + (u + 12.0) ** 2 < 5.0**2
        if cavity < 0 and not (papillary and 0.30 * motion[LENGTH_MM] < d < 0.62 * motion[LENGTH_MM]):
            return IN_LV_BLOOD if d > -5.5 or r * r + u * u < 15.0**2 else IN_LV_WALL
        return IN_LV_WALL
    if rv < 0 and rv <= ra + 2:
        wall = 2.8 + 3.0 * motion[CONTRACTION]  # trabeculae fill the cavity
        return IN_RV_BLOOD if rv < -wall or (d < -4 and ra < 4) else IN_RV_WALL
    if la < 0 and la <= ra:
        return IN_LA_BLOOD if la < -2.0 or (lv < 4 and r * r + u * u < 15.0**2) else IN_LA_WALL
    if ra < 0:
        return IN_RA_BLOOD if ra < -2.0 or (rv < 4 and d > -12) else IN_RA_WALL
    return BETWEEN_CHAMBERS


@compiled
def is_blood(chamber: int) -> bool:
    """Whether the structure from ``LV_WALL`` to ``RA_BLOOD`` is blood: these have the odd values."""
    return chamber % 2 == 1


@compiled
def gives_way_to_heart(structure: int) -> bool:
    """Whether the heart is painted over this structure: not over the outside, chest wall, breasts, arms and bones."""
    return not (structure < IN_LUNG or IN_RIB <= structure <= IN_HUMERUS)


@compiled
def bare_sac_mm(lv: float, rv: float, la: float, ra: float) -> float:
    """Return the distance to the chambers with the creases between them filled."""
    return blended(blended(lv, la, 14.0), blended(rv, ra, 28.0), 18.0) - 0.6


@compiled
def fat_over_mm(
    motion: Any, fat_mm: float, d: float, lv: float, rv: float, la: float, ra: float, grain: float
) -> float:
    """Return the thickness of fat under the pericardium.

    It is thick over the right ventricle and the apex; there is hardly any behind the left heart (own choice).
    """
    nearest = min(min(lv, rv), min(la, ra))
    left, right = math.exp((nearest - lv) / 6.0), math.exp((nearest - rv) / 6.0)
    atrium, other = math.exp((nearest - la) / 6.0), math.exp((nearest - ra) / 6.0)
    apex = min(max(4.0 * d / motion[LENGTH_MM] - 2.8, 0.0), 1.0)
    share = (left * (0.12 + 0.5 * apex) + 0.9 * right + 0.02 * atrium + 0.3 * other) / (left + right + atrium + other)
    return float(fat_mm * share * max(0.1, 0.75 + 0.6 * grain))


@compiled_parallel
def map_chambers(shapes: Any, maps: Any, step_mm: float, corner: Any) -> None:
    """Fill (d, r, u, 4) maps of ``chambers_mm`` in local coordinates at end-diastole."""
    for a in numba.prange(maps.shape[0]):
        for b in range(maps.shape[1]):
            for c in range(maps.shape[2]):
                d, r, u = corner[0] + a * step_mm, corner[1] + b * step_mm, corner[2] + c * step_mm
                lv, rv, la, ra = chambers_mm(shapes, d, r, u)
                maps[a, b, c, 0], maps[a, b, c, 1], maps[a, b, c, 2], maps[a, b, c, 3] = lv, rv, la, ra


@compiled
def mapped(maps: Any, step_mm: float, corner: Any, d: float, r: float, u: float) -> tuple[float, float, float, float]:
    """Return the values of the four maps at a point by trilinear interpolation."""
    x = min(max((d - corner[0]) / step_mm, 0.0), maps.shape[0] - 1.001)
    y = min(max((r - corner[1]) / step_mm, 0.0), maps.shape[1] - 1.001)
    z = min(max((u - corner[2]) / step_mm, 0.0), maps.shape[2] - 1.001)
    a, b, c = int(x), int(y), int(z)
    x, y, z = x - a, y - b, z - c
    lv = rv = la = ra = 0.0
    for m in range(8):
        p, q, s = m >> 2, (m >> 1) & 1, m & 1
        share = (x if p else 1 - x) * (y if q else 1 - y) * (z if s else 1 - z)
        lv += share * maps[a + p, b + q, c + s, 0]
        rv += share * maps[a + p, b + q, c + s, 1]
        la += share * maps[a + p, b + q, c + s, 2]
        ra += share * maps[a + p, b + q, c + s, 3]
    return lv, rv, la, ra


@compiled_parallel
def paint_chambers(
    tissue: Any, structure: Any, zs: Any, ys: Any, xs: Any, origin: Any, axes: Any, shapes: Any, motion: Any,
    maps: Any, maps_mm: float, maps_corner: Any, fat_mm: float, field: Any, step_mm: float, corner: Any,
) -> None:  # fmt: skip
    """Paint the heart over everything but bone and chest wall."""
    k0, k1 = span(zs, origin[2] - 125, origin[2] + 125)
    j0, j1 = span(ys, origin[1] - 125, origin[1] + 125)
    i0, i1 = span(xs, origin[0] - 125, origin[0] + 125)
    step = xs[1] - xs[0] if xs.size > 1 else 1.0
    thickest = fat_mm * (0.75 + 0.6 * GRAIN) + SAC_MM
    for k in numba.prange(k0, k1):
        for j in range(j0, j1):
            skip = 0
            for i in range(i0, i1):
                if skip > 0:
                    skip -= 1
                    continue
                if not gives_way_to_heart(structure[k, j, i]):
                    continue
                x, y, z = xs[i] - origin[0], ys[j] - origin[1], zs[k] - origin[2]
                d, r, u = unmoved(
                    motion,
                    axes[0, 0] * x + axes[0, 1] * y + axes[0, 2] * z,
                    axes[1, 0] * x + axes[1, 1] * y + axes[1, 2] * z,
                    axes[2, 0] * x + axes[2, 1] * y + axes[2, 2] * z,
                )
                lv, rv, la, ra = mapped(maps, maps_mm, maps_corner, d, r, u)
                if min(min(lv, rv), min(la, ra)) < 0:
                    label = chamber_label(shapes, motion, d, r, u, lv, rv, la, ra)
                    if label != BETWEEN_CHAMBERS:
                        tissue[k, j, i], structure[k, j, i] = BLOOD if is_blood(label) else MYOCARDIUM, label
                        continue
                bare = bare_sac_mm(lv, rv, la, ra)
                if bare > thickest:
                    skip = int(0.3 * (bare - thickest) / step)
                    continue
                grain = sampled(field, step_mm, corner, xs[i], ys[j], zs[k])
                if bare > 1.21 + fat_mm * MOST_FAT * max(0.1, 0.75 + 0.6 * grain):  # true of most, and exp is slow
                    continue
                sac = bare - fat_over_mm(motion, fat_mm, d, lv, rv, la, ra, grain)
                if sac > SAC_MM:
                    continue
                if sac > 0:
                    tissue[k, j, i], structure[k, j, i] = SOFT, IN_PERICARDIUM
                else:
                    tissue[k, j, i], structure[k, j, i] = FAT, IN_EPICARDIAL_FAT


@compiled
def reach_of(maps: Any, step_mm: float, corner: Any, origin: Any, axes: Any, margin_mm: float, box: Any) -> None:
    """Fill ``box`` with the lower and upper corner, (L, P, S), of everything within ``margin_mm`` of the chambers."""
    for a in range(maps.shape[0]):
        for b in range(maps.shape[1]):
            for c in range(maps.shape[2]):
                if bare_sac_mm(maps[a, b, c, 0], maps[a, b, c, 1], maps[a, b, c, 2], maps[a, b, c, 3]) < margin_mm:
                    d, r, u = corner[0] + a * step_mm, corner[1] + b * step_mm, corner[2] + c * step_mm
                    for axis in range(3):
                        at = origin[axis] + d * axes[0, axis] + r * axes[1, axis] + u * axes[2, axis]
                        box[0, axis], box[1, axis] = min(box[0, axis], at), max(box[1, axis], at)


@compiled_parallel
def displace_outline(
    outline: Any, displaced: Any, step_mm: float, corner: Any, origin: Any, axes: Any, motion: Any,
    maps: Any, maps_mm: float, maps_corner: Any, reach: Any,
) -> None:  # fmt: skip
    """Fill ``displaced`` with the outline (z, y, x) as the moving heart displaces it, within ``reach_of``."""
    excursion = max(motion[MITRAL_MM], motion[TRICUSPID_MM])
    furthest = motion[CONTRACTION] * (excursion + (INWARDS + INWARDS_RIGHT) * 90.0) + 2 * step_mm
    for k in numba.prange(outline.shape[0]):
        for j in range(outline.shape[1]):
            for i in range(outline.shape[2]):
                displaced[k, j, i] = outline[k, j, i]
                x, y, z = corner[0] + i * step_mm, corner[1] + j * step_mm, corner[2] + k * step_mm
                if abs(outline[k, j, i]) < furthest and (
                    reach[0, 0] < x < reach[1, 0] and reach[0, 1] < y < reach[1, 1] and reach[0, 2] < z < reach[1, 2]
                ):
                    x, y, z = position_at_rest(origin, axes, motion, maps, maps_mm, maps_corner, x, y, z)
                    displaced[k, j, i] = sampled(outline, step_mm, corner, x, y, z)


@compiled_parallel
def fill_beside(
    tissue: Any, structure: Any, zs: Any, ys: Any, xs: Any, outline: Any, step_mm: float, corner: Any
) -> None:
    """Replace lung by fat within the mediastinum's outline (negative inside)."""
    last = corner + step_mm * (np.array(outline.shape[::-1]) - 1)
    k0, k1 = span(zs, corner[2], last[2])
    j0, j1 = span(ys, corner[1], last[1])
    i0, i1 = span(xs, corner[0], last[0])
    step = xs[1] - xs[0] if xs.size > 1 else 1.0
    for k in numba.prange(k0, k1):
        for j in range(j0, j1):
            skip = 0
            for i in range(i0, i1):
                if skip > 0:
                    skip -= 1
                elif structure[k, j, i] == IN_LUNG:
                    out = sampled(outline, step_mm, corner, xs[i], ys[j], zs[k])
                    if out < 0:
                        tissue[k, j, i], structure[k, j, i] = FAT, IN_MEDIASTINUM
                    else:
                        skip = int(0.5 * out / step)


@compiled
def position_at_rest(
    origin: Any, axes: Any, motion: Any, maps: Any, maps_mm: float, maps_corner: Any, x: float, y: float, z: float
) -> tuple[float, float, float]:
    """Return where a point beside the heart lay at end-diastole."""
    px, py, pz = x - origin[0], y - origin[1], z - origin[2]
    d = axes[0, 0] * px + axes[0, 1] * py + axes[0, 2] * pz
    r = axes[1, 0] * px + axes[1, 1] * py + axes[1, 2] * pz
    u = axes[2, 0] * px + axes[2, 1] * py + axes[2, 2] * pz
    share = coupling(*mapped(maps, maps_mm, maps_corner, d, r, u))
    if share == 0:
        return x, y, z
    d0, r0, u0 = unmoved(motion, d, r, u)
    d, r, u = share * (d0 - d), share * (r0 - r), share * (u0 - u)
    x += axes[0, 0] * d + axes[1, 0] * r + axes[2, 0] * u
    y += axes[0, 1] * d + axes[1, 1] * r + axes[2, 1] * u
    z += axes[0, 2] * d + axes[1, 2] * r + axes[2, 2] * u
    return x, y, z


@compiled
def coupling(lv: float, rv: float, la: float, ra: float) -> float:
    """Return the share of the heart's motion that moves its surroundings."""
    return min(max(1.25 * (1.0 - bare_sac_mm(lv, rv, la, ra) / COUPLED_MM), 0.0), 1.0)


@compiled
def coupling_at(shapes: Any, d: float, r: float, u: float) -> float:
    """Return ``coupling`` at a point."""
    return coupling(*chambers_mm(shapes, d, r, u))
