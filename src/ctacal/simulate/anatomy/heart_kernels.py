"""The heart's shapes, compiled by numba: distances to its chambers, and their painting."""

import math
from typing import Any

import numba
import numpy as np

from ctacal.simulate.anatomy.compiled import compiled, compiled_parallel, sampled, span

DRAWN_MM = 12.0
"""What lies further beside the pericardium is not drawn along by the heart (own choice)."""

INWARDS = 0.035
"""Share by which the ventricles' outside narrows in systole (own choice: the heart loses some 8 % of its volume,
Carlsson M et al., Am J Physiol Heart Circ Physiol 2004;287:H243-H250)."""

INWARDS_RIGHT = 0.055
"""Further share at the right ventricle's free wall."""

FLATTENED_REACH_MM = 6.0
"""Over which a chamber's wall bends away from the chest's front (own choice)."""

MOST_FAT = 0.9
"""The largest share in ``fat_over_mm``, over the right ventricle."""

GRAIN = 4.5
"""The texture is never below minus this or above it (a standard normal field)."""


@compiled
def ellipsoid_mm(shape: Any, d: float, r: float, u: float) -> float:
    """Distance to an ellipsoid (15 numbers: centre, radii, axes), to first order, negative inside."""
    d, r, u = d - shape[0], r - shape[1], u - shape[2]
    a = (shape[6] * d + shape[7] * r + shape[8] * u) / shape[3]
    b = (shape[9] * d + shape[10] * r + shape[11] * u) / shape[4]
    c = (shape[12] * d + shape[13] * r + shape[14] * u) / shape[5]
    level = a * a + b * b + c * c
    a, b, c = a / shape[3], b / shape[4], c / shape[5]
    return float((level - math.sqrt(level)) / (math.sqrt(a * a + b * b + c * c) + 1e-9))


@compiled
def blended(a: float, b: float, reach: float) -> float:
    """The lower of two distances, the crease between filled over ``reach`` mm."""
    h = max(reach - abs(a - b), 0.0) / reach
    return min(a, b) - h * h * reach * 0.25


@compiled
def cut(a: float, b: float, reach: float = 12.0) -> float:
    """The higher of two distances, the edge between rounded off."""
    return -blended(-a, -b, reach)


@compiled
def flattened(shapes: Any, chamber: float, d: float, r: float, u: float) -> float:
    """A chamber's distance where the chest's front presses on it."""
    return cut(chamber, ellipsoid_mm(shapes[9], d, r, u), FLATTENED_REACH_MM)


@compiled
def right_ventricle_mm(shapes: Any, d: float, r: float, u: float) -> float:
    """Body and outflow tract."""
    body = cut(ellipsoid_mm(shapes[2], d, r, u), -(d + 13.0 + 0.35 * u))
    return flattened(shapes, blended(body, ellipsoid_mm(shapes[3], d, r, u), 14.0), d, r, u)


@compiled
def left_ventricle_mm(shapes: Any, d: float, r: float, u: float) -> float:
    """Its outside, cut off at the base."""
    return max(flattened(shapes, ellipsoid_mm(shapes[0], d, r, u), d, r, u), -(d + 7.0))


@compiled
def mark_lv_wall(shapes: Any, points: Any, inside: Any) -> None:
    """Mark those of the (n, 3) points that lie in the left ventricle's wall, 1.5 mm deep at least."""
    for n in range(len(points)):
        d, r, u = points[n]
        inside[n] = left_ventricle_mm(shapes, d, r, u) < -1.5 and ellipsoid_mm(shapes[1], d, r, u) > 1.5


@compiled
def left_atrium_mm(shapes: Any, d: float, r: float, u: float) -> float:
    """With its appendage, cut off at the mitral ring."""
    body = blended(ellipsoid_mm(shapes[5], d, r, u), ellipsoid_mm(shapes[6], d, r, u), 6.0)
    return cut(body, d + 1.5 - 0.25 * max(0.0, u - 22.0))


@compiled
def right_atrium_mm(shapes: Any, d: float, r: float, u: float) -> float:
    """With its appendage, cut off at the tricuspid ring."""
    body = blended(ellipsoid_mm(shapes[4], d, r, u), ellipsoid_mm(shapes[7], d, r, u), 18.0)
    return flattened(shapes, cut(body, d + 5.5), d, r, u)


@compiled
def chamber_distance(shapes: Any, d: float, r: float, u: float) -> float:
    """Distance to the nearest chamber's or the aortic root's outside."""
    ventricles = min(left_ventricle_mm(shapes, d, r, u), right_ventricle_mm(shapes, d, r, u))
    atria = min(left_atrium_mm(shapes, d, r, u), right_atrium_mm(shapes, d, r, u))
    return min(min(ventricles, atria), ellipsoid_mm(shapes[8], d, r, u))


@compiled
def outermost(shapes: Any, start: Any, way: Any, gap_mm: float) -> float:
    """From 110 mm away inwards: where the distance to the chambers first falls to ``gap_mm``."""
    at = 110.0
    while at > 0:
        rest = chamber_distance(shapes, start[0] + at * way[0], start[1] + at * way[1], start[2] + at * way[2]) - gap_mm
        if rest < 0.05:
            return at
        at -= max(0.1, 0.5 * rest)
    return 0.0


@compiled
def unmoved(motion: Any, d: float, r: float, u: float) -> tuple[float, float, float]:
    """Where a point of this phase lay at end-diastole."""
    squeeze, length = motion[0], motion[4]
    if squeeze == 0.0:
        return d, r, u
    d0, r0 = d, r
    narrowed = 1.0
    for _ in range(2):
        side = min(max(r0 / 45.0, 0.0), 1.0)
        side *= side * (3 - 2 * side)
        inwards = (INWARDS + INWARDS_RIGHT * side) * squeeze * min(max((d0 + 15.0) / 30.0, 0.0), 1.0)
        narrowed = 1.0 / (1.0 - inwards)
        r0 = r * narrowed
        way = squeeze * (motion[1] + (motion[2] - motion[1]) * side)
        d0 = min((d - way) / (1.0 - way / length if d > way else 1.0 + way / 55.0), d)
        if d0 < -55.0:
            d0 = d
    return d0, r0, u * narrowed


@compiled
def chambers_mm(shapes: Any, d: float, r: float, u: float) -> tuple[float, float, float, float]:
    """Distances to the outsides of left and right ventricle, left and right atrium."""
    ventricles = left_ventricle_mm(shapes, d, r, u), right_ventricle_mm(shapes, d, r, u)
    return ventricles[0], ventricles[1], left_atrium_mm(shapes, d, r, u), right_atrium_mm(shapes, d, r, u)


@compiled
def chamber_label(
    shapes: Any, motion: Any, d: float, r: float, u: float, lv: float, rv: float, la: float, ra: float
) -> int:
    """The structure at a point with these distances; 0 between the chambers. Odd is blood, even is wall."""
    if lv < 0:
        narrow = 1.0 - motion[3] * motion[0]
        inner = shapes[1]
        cavity = ellipsoid_mm(inner, inner[0] + (d - inner[0]) / (1 - 0.05 * motion[0]), r / narrow, u / narrow)
        muscle = (r + 9.0) ** 2 + (u - 10.0) ** 2 < 5.5**2 or (r + 6.0) ** 2 + (u + 12.0) ** 2 < 5.0**2
        if cavity < 0 and not (muscle and 0.30 * motion[4] < d < 0.62 * motion[4]):
            return 33 if d > -5.5 or r * r + u * u < 15.0**2 else 32
        return 32
    if rv < 0 and rv <= ra + 2:
        wall = 2.8 + 3.0 * motion[0]  # trabeculae fill the cavity
        return 35 if rv < -wall or (d < -4 and ra < 4) else 34
    if la < 0 and la <= ra:
        return 37 if la < -2.0 or (lv < 4 and r * r + u * u < 15.0**2) else 36
    if ra < 0:
        return 39 if ra < -2.0 or (rv < 4 and d > -12) else 38
    return 0


@compiled
def bare_sac_mm(lv: float, rv: float, la: float, ra: float) -> float:
    """Distance to the chambers with their creases filled."""
    return blended(blended(lv, la, 14.0), blended(rv, ra, 28.0), 18.0) - 0.6


@compiled
def fat_over_mm(
    motion: Any, fat_mm: float, d: float, lv: float, rv: float, la: float, ra: float, grain: float
) -> float:
    """Fat under the pericardium: thick over the right ventricle and the apex, hardly any behind the left heart."""
    nearest = min(min(lv, rv), min(la, ra))
    left, right = math.exp((nearest - lv) / 6.0), math.exp((nearest - rv) / 6.0)
    atrium, other = math.exp((nearest - la) / 6.0), math.exp((nearest - ra) / 6.0)
    apex = min(max(4.0 * d / motion[4] - 2.8, 0.0), 1.0)
    share = (left * (0.12 + 0.5 * apex) + 0.9 * right + 0.02 * atrium + 0.3 * other) / (left + right + atrium + other)
    return float(fat_mm * share * max(0.1, 0.75 + 0.6 * grain))


@compiled_parallel
def map_chambers(shapes: Any, maps: Any, step_mm: float, corner: Any) -> None:
    """Fill (d, r, u, 4) distance maps of the local coordinates at end-diastole."""
    for a in numba.prange(maps.shape[0]):
        for b in range(maps.shape[1]):
            for c in range(maps.shape[2]):
                d, r, u = corner[0] + a * step_mm, corner[1] + b * step_mm, corner[2] + c * step_mm
                lv, rv, la, ra = chambers_mm(shapes, d, r, u)
                maps[a, b, c, 0], maps[a, b, c, 1], maps[a, b, c, 2], maps[a, b, c, 3] = lv, rv, la, ra


@compiled
def mapped(maps: Any, step_mm: float, corner: Any, d: float, r: float, u: float) -> tuple[float, float, float, float]:
    """Trilinear values of the four maps."""
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
    """Paint the heart over all that is not bone or chest wall."""
    k0, k1 = span(zs, origin[2] - 125, origin[2] + 125)
    j0, j1 = span(ys, origin[1] - 125, origin[1] + 125)
    i0, i1 = span(xs, origin[0] - 125, origin[0] + 125)
    step = xs[1] - xs[0] if xs.size > 1 else 1.0
    thickest = fat_mm * (0.75 + 0.6 * GRAIN) + 1.2
    for k in numba.prange(k0, k1):
        for j in range(j0, j1):
            skip = 0
            for i in range(i0, i1):
                if skip > 0:
                    skip -= 1
                    continue
                if structure[k, j, i] < 4 or 7 <= structure[k, j, i] <= 14:
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
                    if label:
                        tissue[k, j, i], structure[k, j, i] = 5 if label % 2 else 6, label
                        continue
                bare = bare_sac_mm(lv, rv, la, ra)
                if bare > thickest:
                    skip = int(0.3 * (bare - thickest) / step)
                    continue
                grain = sampled(field, step_mm, corner, xs[i], ys[j], zs[k])
                if bare > 1.21 + fat_mm * MOST_FAT * max(0.1, 0.75 + 0.6 * grain):  # most are, and exp is slow
                    continue
                sac = bare - fat_over_mm(motion, fat_mm, d, lv, rv, la, ra, grain)
                if sac > 1.2:
                    continue
                tissue[k, j, i], structure[k, j, i] = (7, 30) if sac > 0 else (2, 31)


@compiled
def reach_of(maps: Any, step_mm: float, corner: Any, origin: Any, axes: Any, margin_mm: float, box: Any) -> None:
    """Fill ``box`` with the lower and upper corner, (L, P, S), of all that is so near to the chambers."""
    for a in range(maps.shape[0]):
        for b in range(maps.shape[1]):
            for c in range(maps.shape[2]):
                if bare_sac_mm(maps[a, b, c, 0], maps[a, b, c, 1], maps[a, b, c, 2], maps[a, b, c, 3]) < margin_mm:
                    d, r, u = corner[0] + a * step_mm, corner[1] + b * step_mm, corner[2] + c * step_mm
                    for axis in range(3):
                        at = origin[axis] + d * axes[0, axis] + r * axes[1, axis] + u * axes[2, axis]
                        box[0, axis], box[1, axis] = min(box[0, axis], at), max(box[1, axis], at)


@compiled_parallel
def draw_along(
    outline: Any, drawn: Any, step_mm: float, corner: Any, origin: Any, axes: Any, motion: Any,
    maps: Any, maps_mm: float, maps_corner: Any, reach: Any,
) -> None:  # fmt: skip
    """Fill ``drawn`` with the outline (z, y, x) as the heart draws it along, within its ``reach_of``."""
    furthest = motion[0] * (max(motion[1], motion[2]) + (INWARDS + INWARDS_RIGHT) * 90.0) + 2 * step_mm
    for k in numba.prange(outline.shape[0]):
        for j in range(outline.shape[1]):
            for i in range(outline.shape[2]):
                drawn[k, j, i] = outline[k, j, i]
                x, y, z = corner[0] + i * step_mm, corner[1] + j * step_mm, corner[2] + k * step_mm
                if abs(outline[k, j, i]) < furthest and (
                    reach[0, 0] < x < reach[1, 0] and reach[0, 1] < y < reach[1, 1] and reach[0, 2] < z < reach[1, 2]
                ):
                    x, y, z = drawn_from(origin, axes, motion, maps, maps_mm, maps_corner, x, y, z)
                    drawn[k, j, i] = sampled(outline, step_mm, corner, x, y, z)


@compiled_parallel
def fill_beside(
    tissue: Any, structure: Any, zs: Any, ys: Any, xs: Any, outline: Any, step_mm: float, corner: Any
) -> None:
    """Fat where lung lies within the mediastinum's outline (negative inside)."""
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
                elif structure[k, j, i] == 4:
                    out = sampled(outline, step_mm, corner, xs[i], ys[j], zs[k])
                    if out < 0:
                        tissue[k, j, i], structure[k, j, i] = 2, 22
                    else:
                        skip = int(0.5 * out / step)


@compiled
def drawn_from(
    origin: Any, axes: Any, motion: Any, maps: Any, maps_mm: float, maps_corner: Any, x: float, y: float, z: float
) -> tuple[float, float, float]:
    """Where a point beside the heart lay at end-diastole."""
    px, py, pz = x - origin[0], y - origin[1], z - origin[2]
    d = axes[0, 0] * px + axes[0, 1] * py + axes[0, 2] * pz
    r = axes[1, 0] * px + axes[1, 1] * py + axes[1, 2] * pz
    u = axes[2, 0] * px + axes[2, 1] * py + axes[2, 2] * pz
    share = share_drawn(*mapped(maps, maps_mm, maps_corner, d, r, u))
    if share == 0:
        return x, y, z
    d0, r0, u0 = unmoved(motion, d, r, u)
    d, r, u = share * (d0 - d), share * (r0 - r), share * (u0 - u)
    x += axes[0, 0] * d + axes[1, 0] * r + axes[2, 0] * u
    y += axes[0, 1] * d + axes[1, 1] * r + axes[2, 1] * u
    z += axes[0, 2] * d + axes[1, 2] * r + axes[2, 2] * u
    return x, y, z


@compiled
def share_drawn(lv: float, rv: float, la: float, ra: float) -> float:
    """By how much of the heart's motion its surroundings are moved."""
    return min(max(1.25 * (1.0 - bare_sac_mm(lv, rv, la, ra) / DRAWN_MM), 0.0), 1.0)


@compiled
def drawn_along(shapes: Any, d: float, r: float, u: float) -> float:
    """``share_drawn`` at a point."""
    return share_drawn(*chambers_mm(shapes, d, r, u))
