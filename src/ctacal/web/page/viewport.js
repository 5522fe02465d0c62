/**
 * `Viewport`: one canvas that shows a plane of the scan with the marks on it.
 *
 * It holds zoom, pan and what was painted last; everything else it asks of the scene at each drawing.
 * @module
 */

import { flatIndex, lut, paint, projection, sheet } from "./blocks.js";
import { eachPixel } from "./regions.js";

/** @typedef {import("./blocks.js").Plane} Plane */
/** @typedef {import("./reading.js").Reading} Reading */
/**
 * What all viewports show.
 * @typedef {{reading: Reading | null, position: number[], level: number, width: number, isSmooth: boolean,
 *   areMarksShown: boolean, isNoiseShown: boolean, focus: number, hover: number, colours: string[]}} Scene
 */
/** @typedef {(context: CanvasRenderingContext2D, viewport: Viewport) => void} Layer drawn on top */

/** Class of a candidate voxel without a label, beside the labels 1 to 6. */
const UNLABELLED = 7;

/** Space around the heart when a case is opened, as a share of its box. */
const MARGIN = 1.12;

const INK = "#d7dade";
const FAINT = "rgba(215, 218, 222, 0.35)";

export class Viewport {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {Plane} plane
   * @param {Scene} scene
   * @param {{projects?: boolean}} [options] projects: the brightest voxel of all slices
   */
  constructor(canvas, plane, scene, options = {}) {
    this.canvas = canvas;
    this.context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", { alpha: false }));
    this.plane = plane;
    this.scene = scene;
    this.projects = options.projects ?? false;
    /** Marks to show instead of the reader's own. @type {Uint8Array | null} */
    this.otherLabels = null;
    this.painted = document.createElement("canvas");
    this.paintedKey = "";
    /** @type {import("./blocks.js").HuBlock | null} */
    this.projectedBlock = null;
    this.projected = { data: new Float32Array(0), width: 0, height: 0 };
    this.pixelsPerMm = 1;
    /** Point of the plane in the middle of the canvas, in voxels of the scan. */
    this.middle = [0, 0];
    /** @type {Layer | null} */
    this.layer = null;
    this.isWaiting = false;
  }

  get spacing() {
    const { reading } = this.scene;
    const mm = reading ? reading.case.volume.spacing_mm : [1, 1, 1];
    return [mm[this.plane.across], mm[this.plane.down]];
  }

  /** Index through the plane that is shown. */
  get at() {
    return this.scene.position[this.plane.through];
  }

  /** Size in CSS pixels. */
  get size() {
    return [this.canvas.clientWidth, this.canvas.clientHeight];
  }

  /** Show the whole heart. */
  fit() {
    const heart = /** @type {Reading} */ (this.scene.reading).heart;
    const [across, down] = [this.plane.across, this.plane.down];
    const [width, height] = this.size;
    const [mmU, mmV] = this.spacing;
    this.middle = [across, down].map((axis) => heart.start[axis] + (heart.shape[axis] - 1) / 2);
    this.pixelsPerMm = Math.min(width / (heart.shape[across] * mmU), height / (heart.shape[down] * mmV)) / MARGIN;
  }

  /**
   * The point of the canvas, in CSS pixels, where a point of the plane is shown.
   * @param {number[]} point (across, down) in voxels
   */
  toCanvas([u, v]) {
    const [mmU, mmV] = this.spacing;
    const [width, height] = this.size;
    const sign = this.plane.flipped ? -1 : 1;
    return [
      width / 2 + (u - this.middle[0]) * mmU * this.pixelsPerMm,
      height / 2 + sign * (v - this.middle[1]) * mmV * this.pixelsPerMm,
    ];
  }

  /**
   * The point of the plane, in voxels, at a point of the canvas.
   * @param {number[]} point in CSS pixels
   */
  toPlane([x, y]) {
    const [mmU, mmV] = this.spacing;
    const [width, height] = this.size;
    const sign = this.plane.flipped ? -1 : 1;
    return [
      this.middle[0] + (x - width / 2) / (mmU * this.pixelsPerMm),
      this.middle[1] + (sign * (y - height / 2)) / (mmV * this.pixelsPerMm),
    ];
  }

  /**
   * The voxel [slice, row, column] at a point of the plane.
   * @param {number[]} point
   */
  voxelAt([u, v]) {
    const at = [...this.scene.position];
    at[this.plane.across] = Math.round(u);
    at[this.plane.down] = Math.round(v);
    return at;
  }

  /**
   * The same; in a projection, the brightest voxel along the ray.
   * @param {number[]} point
   */
  brightestAt(point) {
    const at = this.voxelAt(point);
    const { reading } = this.scene;
    if (!this.projects || !reading) return at;
    let brightest = -Infinity;
    const { start, shape } = reading.heart;
    const { through } = this.plane;
    for (let w = start[through]; w < start[through] + shape[through]; w++) {
      const along = at.map((value, axis) => (axis === through ? w : value));
      const index = flatIndex(reading.heart, along);
      if (index < 0 || reading.heart.data[index] <= brightest) continue;
      [brightest, at[through]] = [reading.heart.data[index], w];
    }
    return at;
  }

  /**
   * Zoom so that the point under the mouse stays where it is.
   * @param {number} factor
   * @param {number[]} point of the canvas
   */
  zoom(factor, point) {
    const before = this.toPlane(point);
    this.pixelsPerMm = Math.max(0.3, Math.min(60, this.pixelsPerMm * factor));
    const after = this.toPlane(point);
    this.middle = [this.middle[0] + before[0] - after[0], this.middle[1] + before[1] - after[1]];
    this.invalidate();
  }

  /**
   * @param {number} dx in CSS pixels
   * @param {number} dy
   */
  pan(dx, dy) {
    const [width, height] = this.size;
    this.middle = this.toPlane([width / 2 - dx, height / 2 - dy]);
    this.invalidate();
  }

  /**
   * Move a point of the plane into view if it is outside.
   * @param {number[]} point
   */
  reveal(point) {
    const [x, y] = this.toCanvas(point);
    const [width, height] = this.size;
    if (x < width * 0.08 || y < height * 0.08 || x > width * 0.92 || y > height * 0.92) this.middle = [...point];
  }

  /** Draw at the next frame; many changes make one drawing. */
  invalidate() {
    if (this.isWaiting) return;
    this.isWaiting = true;
    requestAnimationFrame(() => {
      this.isWaiting = false;
      this.draw();
    });
  }

  draw() {
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = this.size.map((side) => Math.max(1, Math.round(side * ratio)));
    if (this.canvas.width !== width || this.canvas.height !== height)
      [this.canvas.width, this.canvas.height] = [width, height];
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.context.fillStyle = "#000";
    this.context.fillRect(0, 0, this.canvas.clientWidth, this.canvas.clientHeight);
    const { reading } = this.scene;
    if (!reading) return;
    this.drawImage(reading);
    if (this.scene.areMarksShown) this.drawMarks(reading);
    this.drawCrosshair();
    this.layer?.(this.context, this);
    this.drawLetters();
  }

  /** @param {Reading} reading */
  drawImage(reading) {
    const block = this.projects ? reading.heart : reading.image;
    if (!this.repaint(block)) return;
    const [left, top] = this.corner(block);
    const [mmU, mmV] = this.spacing;
    this.context.imageSmoothingEnabled = this.scene.isSmooth;
    this.context.imageSmoothingQuality = "high";
    const [width, height] = [this.painted.width * mmU, this.painted.height * mmV];
    this.context.drawImage(this.painted, left, top, width * this.pixelsPerMm, height * this.pixelsPerMm);
  }

  /**
   * Where the upper left corner of a block is shown.
   * @param {import("./blocks.js").Block<any>} block
   */
  corner(block) {
    const { across, down, flipped } = this.plane;
    const edge = flipped ? block.start[down] + block.shape[down] - 0.5 : block.start[down] - 0.5;
    return this.toCanvas([block.start[across] - 0.5, edge]);
  }

  /**
   * Paint the grey levels, unless they are painted already. False outside of the block.
   * @param {import("./blocks.js").HuBlock} block
   */
  repaint(block) {
    const { level, width, reading } = this.scene;
    const at = this.projects ? block.start[this.plane.through] : this.at;
    const from = sheet(block, this.plane, at);
    if (!from) return false;
    const key = [reading?.id, block.data.length, at, level, width].join();
    if (key === this.paintedKey) return true;
    this.paintedKey = key;
    [this.painted.width, this.painted.height] = [from.width, from.height];
    const context = /** @type {CanvasRenderingContext2D} */ (this.painted.getContext("2d"));
    const image = context.createImageData(from.width, from.height);
    const pixels = new Uint32Array(image.data.buffer);
    if (this.projects) paintRays(pixels, this.rays(block), lut(level, width));
    else paint(pixels, block.data, from, lut(level, width));
    context.putImageData(image, 0, 0);
    return true;
  }

  /**
   * The projection of a block, computed once.
   * @param {import("./blocks.js").HuBlock} block
   */
  rays(block) {
    if (this.projectedBlock !== block) [this.projectedBlock, this.projected] = [block, projection(block, this.plane)];
    return this.projected;
  }

  /**
   * Outline candidates and marks.
   * @param {Reading} reading
   */
  drawMarks(reading) {
    const { classes, left, top, width, height } = this.projects
      ? this.projectedMarks(reading)
      : this.planeMarks(reading);
    const paths = outlines(classes, width, height);
    const sign = this.plane.flipped ? -1 : 1;
    const [x, y] = this.toCanvas([left - 0.5, top - sign * 0.5]);
    const [stepX, stepY] = this.spacing.map((mm) => mm * this.pixelsPerMm);
    this.context.save();
    this.context.translate(x, y);
    const scaling = new DOMMatrix([stepX, 0, 0, stepY, 0, 0]);
    for (const [mark, { edges, body }] of paths)
      this.drawClass(mark, scaledPath(edges, scaling), scaledPath(body, scaling));
    this.context.restore();
  }

  /**
   * @param {number} mark
   * @param {Path2D} edges
   * @param {Path2D} body
   */
  drawClass(mark, edges, body) {
    const colour = mark === UNLABELLED ? "#ffffff" : this.scene.colours[mark];
    this.context.lineJoin = "round";
    this.context.globalAlpha = mark === UNLABELLED ? 0 : 0.22;
    this.context.fillStyle = colour;
    this.context.fill(body);
    this.context.globalAlpha = mark === UNLABELLED ? 0.8 : 1;
    this.context.strokeStyle = colour;
    this.context.lineWidth = mark === UNLABELLED ? 1 : 1.75;
    this.context.stroke(edges);
    this.context.globalAlpha = 1;
  }

  /**
   * The class of each voxel of the part of the plane that holds marks: its label, or UNLABELLED.
   * @param {Reading} reading
   */
  planeMarks(reading) {
    const { across, down } = this.plane;
    const part = reading.markedPart([across, down]);
    const [left, right] = part[0];
    const [low, high] = part[1];
    const [width, height] = [right - left + 1, high - low + 1];
    const classes = new Uint8Array(Math.max(0, width * height));
    const top = this.plane.flipped ? high : low;
    const visit = (/** @type {number} */ index, /** @type {number} */ u, /** @type {number} */ v) => {
      classes[Math.abs(v - top) * width + u - left] = this.classOf(reading, index);
    };
    eachPixel(reading.grid, this.plane, this.at, visit, { across: [left, right], down: [low, high] });
    return { classes, left, top, width, height };
  }

  /**
   * @param {Reading} reading
   * @param {number} index
   */
  classOf(reading, index) {
    const label = (this.otherLabels ?? reading.labels)[index];
    if (label) return label;
    const number = reading.pieces[index];
    if (!number) return 0;
    return this.scene.isNoiseShown || !reading.candidates.get(number)?.hidden ? UNLABELLED : 0;
  }

  /**
   * The classes of all marks along each ray; calcium of a vessel lies over other calcium.
   * @param {Reading} reading
   */
  projectedMarks(reading) {
    const { across, down, flipped } = this.plane;
    const [width, height] = [reading.heart.shape[across], reading.heart.shape[down]];
    const [left, low] = [reading.heart.start[across], reading.heart.start[down]];
    const top = flipped ? low + height - 1 : low;
    const classes = new Uint8Array(width * height);
    for (const index of reading.labelled) {
      const at = reading.position(index);
      const [u, v] = [at[across] - left, Math.abs(at[down] - top)];
      if (u < 0 || u >= width || at[down] < low || v >= height) continue;
      const [pixel, label] = [v * width + u, reading.labels[index]];
      if (!classes[pixel] || label < classes[pixel]) classes[pixel] = label;
    }
    return { classes, left, top, width, height };
  }

  drawCrosshair() {
    const { position } = this.scene;
    const [x, y] = this.toCanvas([position[this.plane.across], position[this.plane.down]]);
    const [width, height] = this.size;
    const gap = this.plane.through === 0 && !this.projects ? 26 : 10;
    const isMain = this.plane.through === 0 && !this.projects;
    this.context.strokeStyle = isMain ? "rgba(120, 170, 220, 0.28)" : "rgba(120, 170, 220, 0.55)";
    this.context.lineWidth = 1;
    this.context.beginPath();
    for (const [from, to] of [
      [0, x - gap],
      [x + gap, width],
    ])
      this.line(from, crisp(y), to, crisp(y));
    for (const [from, to] of [
      [0, y - gap],
      [y + gap, height],
    ])
      this.line(crisp(x), from, crisp(x), to);
    this.context.stroke();
  }

  /**
   * @param {number} x0
   * @param {number} y0
   * @param {number} x1
   * @param {number} y1
   */
  line(x0, y0, x1, y1) {
    this.context.moveTo(x0, y0);
    this.context.lineTo(x1, y1);
  }

  drawLetters() {
    const [width, height] = this.size;
    const [left, right, top, bottom] = this.plane.letters;
    const big = width > 380;
    const inset = big ? 14 : 10;
    this.text(left, inset, height / 2, { size: big ? 15 : 12, align: "center" });
    this.text(right, width - inset, height / 2, { size: big ? 15 : 12, align: "center" });
    this.text(top, width / 2, inset + 2, { size: big ? 15 : 12, align: "center" });
    this.text(bottom, width / 2, height - inset, { size: big ? 15 : 12, align: "center" });
  }

  /**
   * Text that can be read on bright and dark ground.
   * @param {string} words
   * @param {number} x
   * @param {number} y
   * @param {{size?: number, align?: CanvasTextAlign, colour?: string, baseline?: CanvasTextBaseline}} [style]
   */
  text(words, x, y, { size = 12, align = "left", colour = INK, baseline = "middle" } = {}) {
    this.context.font = `${size}px ${getComputedStyle(this.canvas).fontFamily}`;
    this.context.textAlign = align;
    this.context.textBaseline = baseline;
    this.context.lineWidth = 3;
    this.context.strokeStyle = "rgba(0, 0, 0, 0.75)";
    this.context.strokeText(words, x, y);
    this.context.fillStyle = colour;
    this.context.fillText(words, x, y);
  }

  /** A ruler of whole centimetres at the right border. */
  drawRuler() {
    const [width, height] = this.size;
    const cm = Math.max(1, Math.min(10, Math.floor((height * 0.45) / (10 * this.pixelsPerMm))));
    const length = cm * 10 * this.pixelsPerMm;
    const [x, top] = [crisp(width - 30), crisp(height / 2 - length / 2)];
    this.context.strokeStyle = FAINT;
    this.context.lineWidth = 1;
    this.context.beginPath();
    this.line(x, top, x, top + length);
    for (let tick = 0; tick <= cm; tick++) {
      const y = crisp(top + tick * 10 * this.pixelsPerMm);
      this.line(x - (tick % 5 ? 5 : 9), y, x, y);
    }
    this.context.stroke();
    this.text(`${cm} cm`, x - 2, top + length + 11, { size: 11, align: "right", colour: "#aab0b7" });
  }
}

/**
 * @param {Uint32Array} pixels
 * @param {{data: Float32Array, width: number, height: number}} rays
 * @param {Uint32Array} table
 */
function paintRays(pixels, { data, width, height }, table) {
  paint(pixels, data, { width, height, first: 0, stepU: 1, stepV: width, depth: 1, stepW: 0 }, table);
}

/**
 * The outline and the body of each class of a map, in pixels of the map.
 * @param {Uint8Array} classes
 * @param {number} width
 * @param {number} height
 * @returns {Map<number, {edges: Path2D, body: Path2D}>}
 */
function outlines(classes, width, height) {
  /** @type {Map<number, {edges: Path2D, body: Path2D}>} */
  const paths = new Map();
  for (let i = 0; i < classes.length; i++) {
    const mark = classes[i];
    if (!mark) continue;
    if (!paths.has(mark)) paths.set(mark, { edges: new Path2D(), body: new Path2D() });
    const { edges, body } = /** @type {{edges: Path2D, body: Path2D}} */ (paths.get(mark));
    const [x, y] = [i % width, Math.floor(i / width)];
    body.rect(x, y, 1, 1);
    if (x === 0 || classes[i - 1] !== mark) segment(edges, x, y, x, y + 1);
    if (x === width - 1 || classes[i + 1] !== mark) segment(edges, x + 1, y, x + 1, y + 1);
    if (y === 0 || classes[i - width] !== mark) segment(edges, x, y, x + 1, y);
    if (y === height - 1 || classes[i + width] !== mark) segment(edges, x, y + 1, x + 1, y + 1);
  }
  return paths;
}

/**
 * @param {Path2D} path
 * @param {number} x0
 * @param {number} y0
 * @param {number} x1
 * @param {number} y1
 */
function segment(path, x0, y0, x1, y1) {
  path.moveTo(x0, y0);
  path.lineTo(x1, y1);
}

/**
 * @param {Path2D} path
 * @param {DOMMatrix} matrix
 */
function scaledPath(path, matrix) {
  const scaled = new Path2D();
  scaled.addPath(path, matrix);
  return scaled;
}

/** The middle of a pixel, so that a line of one pixel is sharp. @param {number} x */
export function crisp(x) {
  return Math.round(x) + 0.5;
}
