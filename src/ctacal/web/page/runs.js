/**
 * Voxels in short: runs [first, length, ...] of neighbouring flat indices, and triples [first, length, label, ...].
 * @module
 */

/**
 * @param {ArrayLike<number>} runs
 * @returns {Int32Array} the voxels
 */
export function voxelsOf(runs) {
  let count = 0;
  for (let i = 1; i < runs.length; i += 2) count += runs[i];
  const voxels = new Int32Array(count);
  for (let i = 0, k = 0; i < runs.length; i += 2) {
    for (let step = 0; step < runs[i + 1]; step++) voxels[k++] = runs[i] + step;
  }
  return voxels;
}

/**
 * @param {Int32Array} voxels in scan order
 * @param {number} columns runs end with their row
 * @returns {number[]}
 */
export function runsOf(voxels, columns) {
  /** @type {number[]} */
  const runs = [];
  for (let i = 0; i < voxels.length; i++) {
    if (i && voxels[i] === voxels[i - 1] + 1 && voxels[i] % columns) runs[runs.length - 1] += 1;
    else runs.push(voxels[i], 1);
  }
  return runs;
}

/**
 * Call `visit(flat index, label)` for each voxel of triples.
 * @param {ArrayLike<number>} triples
 * @param {(index: number, label: number) => void} visit
 */
export function eachLabelled(triples, visit) {
  for (let i = 0; i < triples.length; i += 3) {
    for (let step = 0; step < triples[i + 1]; step++) visit(triples[i] + step, triples[i + 2]);
  }
}
