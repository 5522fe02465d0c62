/**
 * The score of a label map, computed as `ctacal.lesion` and `ctacal.scores` do, to the last digit: the same components in
 * the same order, and the same sums in the same order of operations.
 * @module
 */

export const LABELS = ["none", "LM", "LAD", "LCX", "RCA", "CORONARY", "OTHER"];
export const OTHER = 6;
export const CORONARY = [1, 2, 3, 4, 5];
const NAMED = [1, 2, 3, 4];

/** Edges of the categories (ctacal.categories): the highest score of each but the last. */
const CATEGORY_EDGES = [0, 100, 400];
export const CATEGORIES = ["0", "1-100", "101-400", ">400"];
export const CATEGORY_WORDS = ["no calcium", "mild", "moderate", "extensive"];

/**
 * @typedef {{threshold_hu: number, density_steps_hu: number[], connectivity: number, min_area_mm2: number,
 *   min_pixels: number, density_from: string, slice_weight: string, volume_of: string, vessel_of_component: string,
 *   name: string}} Rule
 * @typedef {{pixel_area_mm2: number, voxel_volume_mm3: number, slice_factor: number, area_tolerance_mm2: number}} Measures
 * @typedef {{label: number, slice: number, pixels: number, peak: number, lesion: number}} Component
 * @typedef {{total: number, per_vessel: Record<string, number>, other: number}} Tally
 * @typedef {{agatston: Tally, volume_mm3: Tally, category: string, cac_drs: string, lesions: number[]}} Score
 */

/**
 * What is scored: the labelled voxels in scan order, and how to read label and CT value of a voxel.
 * @typedef {{voxels: Int32Array, labels: Uint8Array, hu: (index: number) => number, shape: number[]}} Marks
 */

/**
 * @param {Marks} marks
 * @param {Rule} rule
 * @param {Measures} measures
 * @returns {Score} `lesions` counts those that score, by label
 */
export function score(marks, rule, measures) {
  const components = findComponents(marks, rule);
  const agatston = components.map((component) => agatstonOf(component, components, rule, measures));
  const volume = components.map((component) => volumeOf(component, rule, measures));
  const tallied = tally(components, agatston);
  return {
    agatston: tallied,
    volume_mm3: tally(components, volume),
    category: categoryOf(tallied.total),
    cac_drs: cacDrs(tallied),
    lesions: scoredLesions(components, agatston),
  };
}

/** @param {number} agatston */
export function categoryOf(agatston) {
  return CATEGORIES[CATEGORY_EDGES.filter((edge) => edge < agatston).length];
}

/**
 * The components of each slice in scan order, and the lesion that each belongs to.
 * @param {Marks} marks
 * @param {Rule} rule
 * @returns {Component[]}
 */
export function findComponents(marks, rule) {
  const bright = marks.voxels.filter((index) => marks.hu(index) >= rule.threshold_hu);
  /** @type {Map<number, number>} number of the component of each voxel */
  const number = new Map();
  bright.forEach((index) => number.set(index, -1));
  /** @type {Component[]} */
  const components = [];
  for (const seed of bright) {
    if (number.get(seed) === -1) components.push(grown(seed, components.length, number, marks, rule));
  }
  joinLesions(components, bright, number, marks.shape);
  return components;
}

/**
 * @param {number} seed
 * @param {number} own
 * @param {Map<number, number>} number
 * @param {Marks} marks
 * @param {Rule} rule
 * @returns {Component}
 */
function grown(seed, own, number, { labels, hu, shape }, rule) {
  const votes = new Array(LABELS.length).fill(0);
  const stack = [seed];
  let peak = -Infinity;
  let pixels = 0;
  number.set(seed, own);
  while (stack.length) {
    const at = /** @type {number} */ (stack.pop());
    votes[labels[at]] += 1;
    pixels += 1;
    peak = Math.max(peak, hu(at));
    for (const next of neighbours(at, shape, rule.connectivity)) {
      if (number.get(next) !== -1 || !isAlike(labels[at], labels[next], rule)) continue;
      number.set(next, own);
      stack.push(next);
    }
  }
  const slice = Math.floor(seed / (shape[1] * shape[2]));
  return { label: votes.indexOf(Math.max(...votes)), slice, pixels, peak, lesion: own };
}

/**
 * Whether two neighbours belong to one component: both coronary or both other; with split vessels, of one label.
 * @param {number} a
 * @param {number} b
 * @param {Rule} rule
 */
function isAlike(a, b, rule) {
  return rule.vessel_of_component === "split" ? a === b : (a === OTHER) === (b === OTHER);
}

/**
 * The 4 or 8 neighbours of a voxel in its slice, or those 8 and itself (9), which touch it from the next slice.
 * @param {number} at
 * @param {number[]} shape
 * @param {number} connectivity
 */
function neighbours(at, [, rows, columns], connectivity) {
  const column = at % columns;
  const row = Math.floor(at / columns) % rows;
  const found = [];
  for (let dr = row ? -1 : 0; dr <= (row < rows - 1 ? 1 : 0); dr++) {
    for (let dc = column ? -1 : 0; dc <= (column < columns - 1 ? 1 : 0); dc++) {
      if (connectivity === 4 ? !dr !== !dc : connectivity === 9 || dr || dc) found.push(at + dr * columns + dc);
    }
  }
  return found;
}

/**
 * Give components of one label that touch in neighbouring slices, also diagonally, the same lesion.
 * @param {Component[]} components
 * @param {Int32Array} voxels
 * @param {Map<number, number>} number
 * @param {number[]} shape
 */
function joinLesions(components, voxels, number, shape) {
  const root = components.map((_, own) => own);
  /** @param {number} own @returns {number} */
  const find = (own) => (root[own] === own ? own : (root[own] = find(root[own])));
  for (const at of voxels) {
    const own = /** @type {number} */ (number.get(at));
    for (const below of neighbours(at, shape, 9)) {
      const other = number.get(below + shape[1] * shape[2]);
      if (other === undefined || components[other].label !== components[own].label) continue;
      const [a, b] = [find(own), find(other)];
      root[Math.max(a, b)] = Math.min(a, b);
    }
  }
  components.forEach((component, own) => (component.lesion = find(own)));
}

/**
 * @param {Component} component
 * @param {Rule} rule
 * @param {Measures} measures
 */
function reachesFloor({ pixels }, rule, measures) {
  const enough = pixels * measures.pixel_area_mm2 >= rule.min_area_mm2 - measures.area_tolerance_mm2;
  return enough && pixels >= rule.min_pixels;
}

/**
 * @param {Component} component
 * @param {Component[]} all
 * @param {Rule} rule
 * @param {Measures} measures
 */
function agatstonOf(component, all, rule, measures) {
  if (!reachesFloor(component, rule, measures)) return 0;
  const peak = rule.density_from === "slice_component" ? component.peak : lesionPeak(component, all);
  const weight = rule.density_steps_hu.filter((step) => peak >= step).length;
  return component.pixels * measures.pixel_area_mm2 * weight * measures.slice_factor;
}

/**
 * @param {Component} component
 * @param {Component[]} all
 */
function lesionPeak(component, all) {
  return Math.max(...all.filter((other) => other.lesion === component.lesion).map((other) => other.peak));
}

/**
 * @param {Component} component
 * @param {Rule} rule
 * @param {Measures} measures
 */
function volumeOf(component, rule, measures) {
  const isCounted = rule.volume_of !== "scored_components" || reachesFloor(component, rule, measures);
  return component.pixels * measures.voxel_volume_mm3 * (isCounted ? 1 : 0);
}

/**
 * @param {Component[]} components
 * @param {number[]} quantity of each component
 * @returns {Tally}
 */
function tally(components, quantity) {
  const sums = new Array(LABELS.length).fill(0);
  components.forEach((component, i) => (sums[component.label] += quantity[i]));
  const total = CORONARY.reduce((sum, label) => sum + sums[label], 0);
  const per_vessel = Object.fromEntries(CORONARY.map((label) => [LABELS[label], sums[label]]));
  return { total, per_vessel, other: sums[OTHER] };
}

/**
 * The number of lesions of each label that score.
 * @param {Component[]} components
 * @param {number[]} agatston
 */
function scoredLesions(components, agatston) {
  const counts = new Array(LABELS.length).fill(0);
  const seen = new Set();
  components.forEach((component, i) => {
    if (!agatston[i] || seen.has(component.lesion)) return;
    seen.add(component.lesion);
    counts[component.label] += 1;
  });
  return counts;
}

/**
 * CAC-DRS (Hecht HS et al., J Cardiovasc Comput Tomogr 2018;12:185-191), as `ctacal.scores.cac_drs`.
 * @param {Tally} agatston
 */
function cacDrs(agatston) {
  const { total, per_vessel } = agatston;
  const grade = total <= 0 ? "A0" : `A${1 + [100, 300].filter((edge) => edge <= total).length}`;
  if (total <= 0 || per_vessel.CORONARY > 0) return grade;
  return `${grade}/N${NAMED.filter((label) => per_vessel[LABELS[label]] > 0).length}`;
}

/**
 * What differs between two scores, in words; null if nothing does.
 * @param {Record<string, any>} own
 * @param {Record<string, any>} other
 */
export function difference(own, other) {
  for (const quantity of ["agatston", "volume_mm3"]) {
    for (const part of ["total", "other"])
      if (own[quantity][part] !== other[quantity][part]) return `${quantity} (${part})`;
    for (const [vessel, value] of Object.entries(own[quantity].per_vessel)) {
      if (value !== other[quantity].per_vessel[vessel]) return `${quantity} of ${vessel}`;
    }
  }
  return ["category", "cac_drs"].find((name) => own[name] !== other[name]) ?? null;
}
