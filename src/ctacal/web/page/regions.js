/**
 * Which voxels a click, a lasso or a brush means.
 * @module
 */

import { sheet } from "./blocks.js";

/** @typedef {import("./blocks.js").Plane} Plane */
/** @typedef {[number, number]} Range first and last index, inclusive */
/** @typedef {(index: number) => boolean} Test of a voxel */

/**
 * The voxels that pass a test and are connected with `seed` (26 neighbours) within a range of slices, in scan order.
 * @param {number[]} shape
 * @param {number} seed
 * @param {Range} slices
 * @param {Test} passes
 */
export function grown([, rows, columns], seed, [low, high], passes) {
  const size = rows * columns;
  const seen = new Set([seed]);
  const stack = [seed];
  while (stack.length) {
    const at = /** @type {number} */ (stack.pop());
    const [s, r, c] = [Math.floor(at / size), Math.floor(at / columns) % rows, at % columns];
    for (let ds = s > low ? -1 : 0; ds <= (s < high ? 1 : 0); ds++) {
      for (let dr = r ? -1 : 0; dr <= (r < rows - 1 ? 1 : 0); dr++) {
        for (let dc = c ? -1 : 0; dc <= (c < columns - 1 ? 1 : 0); dc++) {
          const next = at + ds * size + dr * columns + dc;
          if (seen.has(next) || !passes(next)) continue;
          seen.add(next);
          stack.push(next);
        }
      }
    }
  }
  return sorted(seen);
}

/** @param {Iterable<number>} voxels */
export function sorted(voxels) {
  return Int32Array.from(voxels).sort();
}

/**
 * Call `visit(flat index, across, down)` for each voxel of a plane, or of a part of it.
 * @param {import("./blocks.js").Block<any>} block
 * @param {Plane} plane
 * @param {number} at
 * @param {(index: number, u: number, v: number) => void} visit
 * @param {{across: Range, down: Range}} [part]
 */
export function eachPixel(block, plane, at, visit, part) {
  const from = sheet(block, plane, at);
  if (!from) return;
  const [startU, startV] = [block.start[plane.across], block.start[plane.down]];
  const [low, high] = clipped(part?.down, startV, from.height);
  const [left, right] = clipped(part?.across, startU, from.width);
  for (let down = low; down <= high; down++) {
    const v = plane.flipped ? from.height - 1 - (down - startV) : down - startV;
    let index = from.first + v * from.stepV + (left - startU) * from.stepU;
    for (let u = left; u <= right; u++, index += from.stepU) visit(index, u, down);
  }
}

/**
 * @param {Range | undefined} range
 * @param {number} start
 * @param {number} length
 */
function clipped(range, start, length) {
  if (!range) return [start, start + length - 1];
  return [Math.max(start, Math.floor(range[0])), Math.min(start + length - 1, Math.ceil(range[1]))];
}

/**
 * The voxel whose square lies nearest to a point of a plane; -1 if none lies within `reach`.
 * @param {import("./blocks.js").Block<any>} block
 * @param {Plane} plane
 * @param {number} at index through the plane
 * @param {number[]} point (across, down); a voxel's centre lies at its index
 * @param {{reach: number, wanted: Test, aspect: number}} options reach in voxels across; aspect: mm down per mm across
 */
export function nearest(block, plane, at, [u0, v0], { reach, wanted, aspect }) {
  let best = -1;
  let least = Infinity;
  const part = /** @type {{across: Range, down: Range}} */ ({
    across: [u0 - reach - 1, u0 + reach + 1],
    down: [v0 - reach / aspect - 1, v0 + reach / aspect + 1],
  });
  const visit = (/** @type {number} */ index, /** @type {number} */ u, /** @type {number} */ v) => {
    if (!wanted(index)) return;
    const distance = Math.hypot(Math.max(0, Math.abs(u - u0) - 0.5), Math.max(0, Math.abs(v - v0) - 0.5) * aspect);
    if (distance <= reach && distance < least) [best, least] = [index, distance];
  };
  eachPixel(block, plane, at, visit, part);
  return best;
}

/**
 * The voxels that pass a test, and whose centres lie inside an outline, in scan order.
 * @param {import("./blocks.js").Block<any>} block
 * @param {Plane} plane
 * @param {Range} range through the plane
 * @param {Outline} outline
 * @param {Test} passes
 */
export function inside(block, plane, range, outline, passes) {
  /** @type {number[]} */
  const found = [];
  for (let at = range[0]; at <= range[1]; at++) {
    const visit = (/** @type {number} */ index, /** @type {number} */ u, /** @type {number} */ v) => {
      if (passes(index) && outline.holds(u, v)) found.push(index);
    };
    eachPixel(block, plane, at, visit, outline.part);
  }
  return sorted(found);
}

/** @typedef {{holds: (u: number, v: number) => boolean, part: {across: Range, down: Range}}} Outline */

/**
 * A closed line, whose inside is found by crossings.
 * @param {number[][]} corners
 * @returns {Outline}
 */
export function polygon(corners) {
  const holds = (/** @type {number} */ u, /** @type {number} */ v) => {
    let odd = false;
    for (let i = 0, j = corners.length - 1; i < corners.length; j = i++) {
      const [[ui, vi], [uj, vj]] = [corners[i], corners[j]];
      if (vi > v !== vj > v && u < ((uj - ui) * (v - vi)) / (vj - vi) + ui) odd = !odd;
    }
    return odd;
  };
  return { holds, part: extent(corners, 0, 1) };
}

/**
 * All within `radius` of a line of points.
 * @param {number[][]} line
 * @param {number} radius in voxels across
 * @param {number} aspect mm down per mm across
 * @returns {Outline}
 */
export function stroke(line, radius, aspect) {
  const scaled = line.map(([u, v]) => [u, v * aspect]);
  const holds = (/** @type {number} */ u, /** @type {number} */ v) =>
    scaled.some((to, i) => distance([u, v * aspect], scaled[Math.max(0, i - 1)], to) <= radius);
  return { holds, part: extent(line, radius, aspect) };
}

/**
 * @param {number[][]} points
 * @param {number} margin
 * @param {number} aspect
 * @returns {{across: Range, down: Range}}
 */
function extent(points, margin, aspect) {
  const us = points.map(([u]) => u);
  const vs = points.map(([, v]) => v);
  return {
    across: [Math.min(...us) - margin, Math.max(...us) + margin],
    down: [Math.min(...vs) - margin / aspect, Math.max(...vs) + margin / aspect],
  };
}

/**
 * The distance of a point from a stretch of a line.
 * @param {number[]} point
 * @param {number[]} from
 * @param {number[]} to
 */
function distance(point, from, to) {
  const [du, dv] = [to[0] - from[0], to[1] - from[1]];
  const length = du * du + dv * dv;
  const along = length ? ((point[0] - from[0]) * du + (point[1] - from[1]) * dv) / length : 0;
  const t = Math.max(0, Math.min(1, along));
  return Math.hypot(point[0] - from[0] - t * du, point[1] - from[1] - t * dv);
}
