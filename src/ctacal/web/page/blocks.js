/**
 * Blocks of voxels and the planes through them.
 *
 * Positions are [slice, row, column] in the whole scan: slices run to the head, rows to posterior, columns to the left.
 * @module
 */

/**
 * A part of the scan: its voxels in the order (slice, row, column), and where it begins in the scan.
 * @template T
 * @typedef {{data: T, shape: number[], start: number[]}} Block
 */

/** @typedef {Block<Int16Array | Float32Array>} HuBlock */

/**
 * How a plane shows a block: `across`, `down` and `through` are axes (0 slice, 1 row, 2 column). `flipped`: the first
 * slice lies at the bottom, so that the head is up.
 * @typedef {{name: string, across: number, down: number, through: number, flipped: boolean, letters: string[]}} Plane
 */

/**
 * The three planes; letters of orientation at the left, right, top and bottom.
 * @type {Record<string, Plane>}
 */
export const PLANES = {
  axial: { name: "Axial", across: 2, down: 1, through: 0, flipped: false, letters: ["R", "L", "A", "P"] },
  coronal: { name: "Coronal", across: 2, down: 0, through: 1, flipped: true, letters: ["R", "L", "H", "F"] },
  sagittal: { name: "Sagittal", across: 1, down: 0, through: 2, flipped: true, letters: ["A", "P", "H", "F"] },
};

/**
 * The flat index of a voxel in a block, or -1 outside of it.
 * @param {Block<any>} block
 * @param {number[]} at [slice, row, column] in the scan
 */
export function flatIndex(block, at) {
  const [s, r, c] = at.map((value, axis) => value - block.start[axis]);
  const [slices, rows, columns] = block.shape;
  const inside = s >= 0 && r >= 0 && c >= 0 && s < slices && r < rows && c < columns;
  return inside ? (s * rows + r) * columns + c : -1;
}

/**
 * The position in the scan of a flat index.
 * @param {Block<any>} block
 * @param {number} index
 */
export function position(block, index) {
  const [, rows, columns] = block.shape;
  const row = Math.floor(index / columns);
  return [Math.floor(row / rows) + block.start[0], (row % rows) + block.start[1], (index % columns) + block.start[2]];
}

/**
 * A slice of a block as strides: the pixel (u, v) has the flat index `first + u * stepU + v * stepV`.
 * @typedef {{width: number, height: number, first: number, stepU: number, stepV: number, depth: number, stepW: number}} Sheet
 */

/**
 * The sheet of a block at a position through the plane; null outside of the block.
 * @param {Block<any>} block
 * @param {Plane} plane
 * @param {number} at index in the scan along the plane's `through` axis
 * @returns {Sheet | null}
 */
export function sheet(block, plane, at) {
  const steps = [block.shape[1] * block.shape[2], block.shape[2], 1];
  const through = at - block.start[plane.through];
  const depth = block.shape[plane.through];
  if (through < 0 || through >= depth) return null;
  const height = block.shape[plane.down];
  const first = through * steps[plane.through] + (plane.flipped ? (height - 1) * steps[plane.down] : 0);
  const stepV = plane.flipped ? -steps[plane.down] : steps[plane.down];
  const width = block.shape[plane.across];
  return { width, height, first, stepU: steps[plane.across], stepV, depth, stepW: steps[plane.through] };
}

/**
 * The brightest value along each ray through the block.
 * @param {HuBlock} block
 * @param {Plane} plane
 */
export function projection(block, plane) {
  const from = /** @type {Sheet} */ (sheet(block, plane, block.start[plane.through]));
  const brightest = new Float32Array(from.width * from.height).fill(-32768);
  for (let w = 0; w < from.depth; w++) {
    for (let v = 0, i = 0; v < from.height; v++) {
      let at = from.first + w * from.stepW + v * from.stepV;
      for (let u = 0; u < from.width; u++, i++, at += from.stepU) {
        if (block.data[at] > brightest[i]) brightest[i] = block.data[at];
      }
    }
  }
  return { data: brightest, width: from.width, height: from.height };
}

/**
 * Grey levels of a window: `lut[hu + LOWEST]` is an opaque pixel.
 * @param {number} level
 * @param {number} width
 */
export function lut(level, width) {
  const table = new Uint32Array(HIGHEST_HU - LOWEST_HU + 1);
  const low = level - width / 2;
  for (let i = 0; i < table.length; i++) {
    const grey = Math.max(0, Math.min(255, Math.round(((i + LOWEST_HU - low) / width) * 255)));
    table[i] = 0xff000000 | (grey << 16) | (grey << 8) | grey;
  }
  return table;
}

export const LOWEST_HU = -1500;
export const HIGHEST_HU = 4500;

/**
 * Fill an image with the grey levels of a sheet.
 * @param {Uint32Array} pixels
 * @param {ArrayLike<number>} hu
 * @param {Sheet} from
 * @param {Uint32Array} table
 */
export function paint(pixels, hu, from, table) {
  const last = table.length - 1;
  for (let v = 0, i = 0; v < from.height; v++) {
    let at = from.first + v * from.stepV;
    for (let u = 0; u < from.width; u++, i++, at += from.stepU) {
      const entry = (hu[at] - LOWEST_HU) | 0;
      pixels[i] = table[entry < 0 ? 0 : entry > last ? last : entry];
    }
  }
}

/**
 * CT values as the server sends them: little-endian, as this and nearly every computer holds them.
 * @param {ArrayBuffer} buffer
 * @param {string} dtype
 */
export function voxelsFrom(buffer, dtype) {
  return dtype === "float32" ? new Float32Array(buffer) : new Int16Array(buffer);
}
