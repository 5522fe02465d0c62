"""The heart's shapes, compiled by numba: distances to its chambers, and their painting."""

import math
from typing import Any

from ctacal.simulate.anatomy.compiled import compiled, sampled, span


@compiled
def ellipsoid_mm(shape: Any, d: float, r: float, u: float) -> float:
    """Distance to an ellipsoid (15 numbers: centre, radii, axes), to first order, negative inside."""
    d, r, u = d - shape[0], r - shape[1], u - shape[2]
    level = slope = 0.0
    for axis in range(3):
        at = 6 + 3 * axis
        part = (shape[at] * d + shape[at + 1] * r + shape[at + 2] * u) / shape[3 + axis]
        level += part * part
        slope += (part / shape[3 + axis]) ** 2
    level = math.sqrt(level)
    return level * (level - 1.0) / (math.sqrt(slope) + 1e-9)


@compiled
def blended(a: float, b: float, reach: float) -> float:
    """The lower of two distances, the crease between filled over ``reach`` mm."""
    h = max(reach - abs(a - b), 0.0) / reach
    return min(a, b) - h * h * reach * 0.25


@compiled
def right_ventricle_mm(shapes: Any, d: float, r: float, u: float) -> float:
    """Body and outflow tract."""
    body = max(ellipsoid_mm(shapes[2], d, r, u), -(d + 12.0 + 0.35 * u))
    return blended(body, ellipsoid_mm(shapes[3], d, r, u), 14.0)


@compiled
def left_ventricle_mm(shapes: Any, d: float, r: float, u: float) -> float:
    """Its outside, cut off at the base."""
    return max(ellipsoid_mm(shapes[0], d, r, u), -(d + 7.0))


@compiled
def left_atrium_mm(shapes: Any, d: float, r: float, u: float) -> float:
    """With its appendage, cut off at the mitral ring."""
    body = blended(ellipsoid_mm(shapes[5], d, r, u), ellipsoid_mm(shapes[6], d, r, u), 6.0)
    return max(body, d + 3.0 - 0.25 * max(0.0, u - 22.0))


@compiled
def right_atrium_mm(shapes: Any, d: float, r: float, u: float) -> float:
    """With its appendage, cut off at the tricuspid ring."""
    body = blended(ellipsoid_mm(shapes[4], d, r, u), ellipsoid_mm(shapes[7], d, r, u), 18.0)
    return max(body, d + 7.0)


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
    d0, r0, u0 = d, r, u
    for _ in range(4):
        shrink = 1.0 - 0.05 * squeeze * min(max((d0 + 15.0) / 30.0, 0.0), 1.0)
        r0, u0 = r / shrink, u / shrink
        side = min(max(r0 / 45.0, 0.0), 1.0)
        excursion = motion[1] + (motion[2] - motion[1]) * side * side * (3 - 2 * side)
        fade = 1.0 - d0 / length if d0 > 0 else 1.0 + d0 / 55.0
        d0 = d - squeeze * excursion * min(max(fade, 0.0), 1.0)
    return d0, r0, u0


@compiled
def chamber_label(shapes: Any, motion: Any, d: float, r: float, u: float) -> int:
    """The structure at a point inside of the heart; 0 between the chambers. Odd is blood, even is wall."""
    lv, rv = left_ventricle_mm(shapes, d, r, u), right_ventricle_mm(shapes, d, r, u)
    la, ra = left_atrium_mm(shapes, d, r, u), right_atrium_mm(shapes, d, r, u)
    if lv < 0:
        narrow = 1.0 - motion[3] * motion[0]
        inner = shapes[1]
        cavity = ellipsoid_mm(inner, inner[0] + (d - inner[0]) / (1 - 0.05 * motion[0]), r / narrow, u / narrow)
        muscle = math.hypot(r + 9.0, u - 10.0) < 5.5 or math.hypot(r + 6.0, u + 12.0) < 5.0
        if cavity < 0 and not (muscle and 0.30 * motion[4] < d < 0.62 * motion[4]):
            return 33 if d > -5.5 or math.hypot(r, u) < 15 else 32
        return 32
    if rv < 0 and rv <= ra + 2:
        wall = 3.0 + 1.2 * motion[0]
        return 35 if rv < -wall or (d < -4 and ra < 4) else 34
    if la < 0 and la <= ra:
        return 37 if la < -2.0 or (lv < 4 and math.hypot(r, u) < 15) else 36
    if ra < 0:
        return 39 if ra < -2.0 or (rv < 4 and d > -12) else 38
    return 0


@compiled
def sac_mm(shapes: Any, d: float, r: float, u: float, fat_mm: float, grain: float) -> float:
    """Distance to the pericardium: the chambers with their creases filled, and fat, thickest over the grooves."""
    lv, rv = left_ventricle_mm(shapes, d, r, u), right_ventricle_mm(shapes, d, r, u)
    la, ra = left_atrium_mm(shapes, d, r, u), right_atrium_mm(shapes, d, r, u)
    sac = blended(blended(lv, rv, 24.0), blended(la, ra, 20.0), 28.0)
    over_rv = 1.0 if rv < lv else 0.45
    return sac - 1.5 - fat_mm * over_rv * max(0.15, 0.75 + 0.55 * grain)


@compiled
def paint_chambers(
    tissue: Any, structure: Any, zs: Any, ys: Any, xs: Any, origin: Any, axes: Any, shapes: Any, motion: Any,
    fat_mm: float, field: Any, step_mm: float, corner: Any,
) -> None:  # fmt: skip
    """Paint the heart over all that is not bone or chest wall."""
    k0, k1 = span(zs, origin[2] - 125, origin[2] + 125)
    j0, j1 = span(ys, origin[1] - 125, origin[1] + 125)
    i0, i1 = span(xs, origin[0] - 125, origin[0] + 125)
    for k in range(k0, k1):
        for j in range(j0, j1):
            for i in range(i0, i1):
                if structure[k, j, i] < 4 or 7 <= structure[k, j, i] <= 14:
                    continue
                x, y, z = xs[i] - origin[0], ys[j] - origin[1], zs[k] - origin[2]
                d, r, u = unmoved(
                    motion,
                    axes[0, 0] * x + axes[0, 1] * y + axes[0, 2] * z,
                    axes[1, 0] * x + axes[1, 1] * y + axes[1, 2] * z,
                    axes[2, 0] * x + axes[2, 1] * y + axes[2, 2] * z,
                )
                grain = sampled(field, step_mm, corner, xs[i], ys[j], zs[k])
                sac = sac_mm(shapes, d, r, u, fat_mm, grain)
                if sac > 1.2:
                    continue
                label = chamber_label(shapes, motion, d, r, u)
                if label:
                    tissue[k, j, i] = 5 if label % 2 else 6
                elif sac > 0:
                    label = 30
                    tissue[k, j, i] = 7
                else:
                    label = 31
                    tissue[k, j, i] = 2
                structure[k, j, i] = label
