/**
 * What the mouse does in the views, by the conventions of reading rooms: the wheel goes through the slices, the right
 * button sets the window, the middle one moves the image; the left one is the chosen tool.
 * @module
 */

import { inside, nearest, polygon, stroke } from "./regions.js";

/** @typedef {import("./workstation.js").Workstation} Workstation */
/** @typedef {import("./viewport.js").Viewport} Viewport */
/** @typedef {import("./reading.js").Reading} Reading */
/**
 * What is being drawn: the points of its line in the plane, in voxels (across, down).
 * @typedef {{tool: string, line: number[][]}} Drawing
 */
/** @typedef {(event: PointerEvent) => void} Drag */

/** A click this far from a candidate, in CSS pixels, still means it. */
const REACH = 6;
/** A turn of the wheel by a notch is at least this many pixels; touchpads send many smaller ones, which add up. */
const NOTCH = 80;
const LINE = 40;
const ZOOM_PER_STEP = 1.15;
/** HU per pixel of a drag. */
const WINDOW_SPEED = 2;
const WHITE = "#ffffff";

export class Mouse {
  /** @param {Workstation} station */
  constructor(station) {
    this.station = station;
    /** @type {Drawing | null} */
    this.drawing = null;
    /** Pixels of the wheel that make no step yet. */
    this.turned = 0;
    /** Where the mouse is over the axial view, in the plane. @type {number[] | null} */
    this.at = null;
    station.axial.layer = (context) => this.drawAxial(context);
    for (const view of station.viewports) this.listen(view);
  }

  /** @param {Viewport} view */
  listen(view) {
    const { canvas } = view;
    /** @type {Drag | null} */
    let drag = null;
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("wheel", (event) => this.wheel(view, event), { passive: false });
    canvas.addEventListener("pointerdown", (event) => {
      if (!this.station.reading) return;
      event.preventDefault();
      canvas.setPointerCapture(event.pointerId);
      drag = this.pressed(view, event);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (drag) drag(event);
      if (view === this.station.axial) this.hover(event);
    });
    canvas.addEventListener("pointerup", (event) => {
      drag = null;
      if (event.button === 0) this.finish();
    });
    canvas.addEventListener("pointerleave", () => this.hover(null));
    canvas.addEventListener("dblclick", () => this.doubled(view));
  }

  /**
   * @param {Viewport} view
   * @param {WheelEvent} event
   */
  wheel(view, event) {
    event.preventDefault();
    if (event.ctrlKey)
      return view.zoom(event.deltaY < 0 ? ZOOM_PER_STEP : 1 / ZOOM_PER_STEP, [event.offsetX, event.offsetY]);
    const pixels = event.deltaY * (event.deltaMode === WheelEvent.DOM_DELTA_LINE ? LINE : 1);
    if (Math.abs(pixels) >= NOTCH) this.turned = Math.sign(pixels) * NOTCH;
    else this.turned += pixels;
    const steps = Math.trunc(this.turned / NOTCH);
    this.turned -= steps * NOTCH;
    if (steps) this.station.move(view.plane.through, -steps);
    return undefined;
  }

  /**
   * @param {Viewport} view
   * @param {PointerEvent} event
   * @returns {Drag | null} what a drag does
   */
  pressed(view, event) {
    if (event.button === 2) return windowing(this.station, event);
    if (event.button === 1 || (event.button === 0 && event.shiftKey)) return panning(view, event);
    if (event.button !== 0) return null;
    return view === this.station.axial ? this.begin(event) : navigating(this.station, view, event);
  }

  /**
   * Begin what the left button does in the axial view.
   * @param {PointerEvent} event
   */
  begin(event) {
    const { tool } = this.station;
    const point = this.station.axial.toPlane([event.offsetX, event.offsetY]);
    if (tool === "click") {
      this.clickAt(point);
      return null;
    }
    this.drawing = { tool, line: [point] };
    this.station.axial.invalidate();
    return (/** @type {PointerEvent} */ moved) => this.extend([moved.offsetX, moved.offsetY]);
  }

  /** @param {number[]} offset */
  extend(offset) {
    const { drawing } = this;
    if (!drawing) return;
    const point = this.station.axial.toPlane(offset);
    if (drawing.tool === "cut" || drawing.tool === "measure") drawing.line = [drawing.line[0], point];
    else drawing.line.push(point);
    this.station.axial.invalidate();
  }

  /** Do what was drawn. */
  finish() {
    const { drawing, station } = this;
    this.drawing = null;
    if (!drawing || !station.reading) return;
    const [first, last] = [drawing.line[0], drawing.line[drawing.line.length - 1]];
    if (drawing.tool === "measure") this.keepMeasurement(first, last);
    else if (drawing.tool === "cut") void station.cut([first[1], first[0]], [last[1], last[0]]);
    else
      void station.paint(
        /** @type {any} */ (drawing.tool),
        this.drawn(drawing),
        drawing.tool === "eraser" ? 0 : station.label,
      );
    station.axial.invalidate();
  }

  cancel() {
    this.drawing = null;
    this.station.axial.invalidate();
  }

  /**
   * The voxels that a drawing means.
   * @param {Drawing} drawing
   */
  drawn(drawing) {
    const { station } = this;
    const reading = /** @type {Reading} */ (station.reading);
    const aspect = station.axial.spacing[1] / station.axial.spacing[0];
    const isLasso = drawing.tool === "lasso";
    const outline = isLasso ? polygon(drawing.line) : stroke(drawing.line, this.brushRadius, aspect);
    const passes =
      drawing.tool === "eraser"
        ? (/** @type {number} */ i) => reading.labels[i] > 0
        : isLasso
          ? this.isVisible(reading)
          : this.isBright(reading);
    const [slice, depth, last] = [station.scene.position[0], station.depth ?? 0, reading.shape[0] - 1];
    return inside(
      reading.grid,
      station.axial.plane,
      [Math.max(0, slice - depth), Math.min(last, slice + depth)],
      outline,
      passes,
    );
  }

  /** In voxels across. */
  get brushRadius() {
    return this.station.brushMm / 2 / this.station.axial.spacing[0];
  }

  /** @param {Reading} reading */
  isBright(reading) {
    return (/** @type {number} */ index) => reading.hu(index) >= reading.case.rule.threshold_hu;
  }

  /**
   * Bright, and not hidden as noise.
   * @param {Reading} reading
   */
  isVisible(reading) {
    const isBright = this.isBright(reading);
    const { scene } = this.station;
    return (/** @type {number} */ index) =>
      isBright(index) &&
      (scene.isNoiseShown || !reading.candidates.get(reading.pieces[index])?.hidden || reading.labels[index] > 0);
  }

  /**
   * The voxel that a click at a point of the axial plane means; -1: none.
   * @param {number[]} point
   */
  hit(point) {
    const { axial, reading } = this.station;
    if (!reading) return -1;
    const reach = REACH / (axial.pixelsPerMm * axial.spacing[0]);
    const aspect = axial.spacing[1] / axial.spacing[0];
    return nearest(reading.grid, axial.plane, axial.at, point, { reach, wanted: this.isVisible(reading), aspect });
  }

  /** @param {number[]} point */
  clickAt(point) {
    const index = this.hit(point);
    this.station.dropFocus();
    this.station.goTo(this.station.axial.voxelAt(point));
    if (index >= 0) void this.station.click(index, this.station.label);
  }

  /** @param {PointerEvent | null} event */
  hover(event) {
    const { station } = this;
    this.at = event && station.reading ? station.axial.toPlane([event.offsetX, event.offsetY]) : null;
    const index = this.at && station.tool === "click" ? this.hit(this.at) : -1;
    const number = index >= 0 ? (station.reading?.pieces[index] ?? 0) : 0;
    const isChanged = number !== station.scene.hover;
    station.scene.hover = number;
    if (isChanged || ["brush", "eraser"].includes(station.tool)) station.axial.invalidate();
    station.tell("cursor", this.at);
  }

  /** @param {Viewport} view */
  doubled(view) {
    if (view === this.station.axial) return;
    view.fit();
    view.invalidate();
  }

  /**
   * @param {number[]} first
   * @param {number[]} last
   */
  keepMeasurement(first, last) {
    const { station } = this;
    const line = { slice: station.scene.position[0], from: [first[1], first[0]], to: [last[1], last[0]] };
    if (lengthMm(station.axial, first, last) >= 0.5) station.measurements.push(line);
  }

  // ---- what is drawn over the axial view ----------------------------------------------------------------------

  /** @param {CanvasRenderingContext2D} context */
  drawAxial(context) {
    const { station } = this;
    station.axial.drawRuler();
    if (station.scene.areMarksShown) this.drawCandidate(context);
    for (const { slice, from, to } of station.measurements) {
      if (slice === station.scene.position[0])
        drawMeasurement(context, station.axial, [from[1], from[0]], [to[1], to[0]]);
    }
    if (this.drawing) this.drawLine(context, this.drawing);
    else if (this.at && ["brush", "eraser"].includes(station.tool)) this.drawBrush(context, this.at);
  }

  /**
   * Frame the candidate that was chosen, or that lies under the mouse.
   * @param {CanvasRenderingContext2D} context
   */
  drawCandidate(context) {
    const { scene, axial, reading } = this.station;
    const candidate = reading?.candidates.get(scene.focus || scene.hover);
    const box = candidate && reading && boxInSlice(candidate.runs, scene.position[0], reading.shape);
    if (!box) return;
    const [x0, y0] = axial.toCanvas([box.left - 0.5, box.top - 0.5]);
    const [x1, y1] = axial.toCanvas([box.right + 0.5, box.bottom + 0.5]);
    context.strokeStyle = WHITE;
    context.lineWidth = scene.focus ? 1.5 : 1;
    drawTicks(context, x0 - 6, y0 - 6, x1 + 6, y1 + 6);
    const volume =
      Number(candidate.volume_mm3) < 10 ? Number(candidate.volume_mm3).toFixed(1) : Math.round(candidate.volume_mm3);
    axial.text(`${Math.round(candidate.peak_hu)} HU   ${volume} mm³`, x1 + 12, y0 - 2, { size: 12 });
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {Drawing} drawing
   */
  drawLine(context, { tool, line }) {
    const { axial, label, scene } = this.station;
    if (tool === "measure") return drawMeasurement(context, axial, line[0], line[line.length - 1]);
    const isBrush = tool === "brush" || tool === "eraser";
    context.strokeStyle = tool === "eraser" || tool === "cut" || !label ? WHITE : scene.colours[label];
    context.globalAlpha = isBrush ? 0.45 : 1;
    context.lineWidth = isBrush ? 2 * this.brushRadius * axial.spacing[0] * axial.pixelsPerMm : 1.5;
    [context.lineCap, context.lineJoin] = ["round", "round"];
    context.setLineDash(tool === "cut" ? [6, 4] : []);
    context.beginPath();
    line.forEach((point, i) =>
      i ? context.lineTo(...pair(axial.toCanvas(point))) : context.moveTo(...pair(axial.toCanvas(point))),
    );
    if (line.length === 1) context.lineTo(...pair(axial.toCanvas(line[0])));
    if (tool === "lasso") context.closePath();
    context.stroke();
    context.setLineDash([]);
    context.globalAlpha = 1;
    return undefined;
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {number[]} at
   */
  drawBrush(context, at) {
    const { axial, label, scene, tool } = this.station;
    const [x, y] = axial.toCanvas(at);
    context.strokeStyle = tool === "eraser" || !label ? WHITE : scene.colours[label];
    context.lineWidth = 1.25;
    context.beginPath();
    context.arc(x, y, this.brushRadius * axial.spacing[0] * axial.pixelsPerMm, 0, 2 * Math.PI);
    context.stroke();
  }
}

/**
 * Right button: across is the width, up and down the level.
 * @param {Workstation} station
 * @param {PointerEvent} start
 * @returns {Drag}
 */
function windowing(station, start) {
  const { level, width } = station.scene;
  const speed = (WINDOW_SPEED * width) / 600;
  return (event) =>
    station.setWindow(
      level + (event.clientY - start.clientY) * speed,
      Math.max(10, width + (event.clientX - start.clientX) * speed),
    );
}

/**
 * @param {Viewport} view
 * @param {PointerEvent} start
 * @returns {Drag}
 */
function panning(view, start) {
  let [x, y] = [start.clientX, start.clientY];
  return (event) => {
    view.pan(event.clientX - x, event.clientY - y);
    [x, y] = [event.clientX, event.clientY];
  };
}

/**
 * The left button in a small view goes to the point under the mouse.
 * @param {Workstation} station
 * @param {Viewport} view
 * @param {PointerEvent} start
 * @returns {Drag}
 */
function navigating(station, view, start) {
  /** @type {Drag} */
  const go = (event) => {
    station.dropFocus();
    station.goTo(view.brightestAt(view.toPlane([event.offsetX, event.offsetY])));
  };
  go(start);
  return go;
}

/** @param {number[]} point @returns {[number, number]} */
function pair(point) {
  return [point[0], point[1]];
}

/**
 * @param {Viewport} view
 * @param {number[]} first
 * @param {number[]} last
 */
function lengthMm(view, first, last) {
  return Math.hypot(...[0, 1].map((axis) => (last[axis] - first[axis]) * view.spacing[axis]));
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Viewport} view
 * @param {number[]} first
 * @param {number[]} last
 */
function drawMeasurement(context, view, first, last) {
  const [[x0, y0], [x1, y1]] = [view.toCanvas(first), view.toCanvas(last)];
  const length = Math.hypot(x1 - x0, y1 - y0) || 1;
  const [nx, ny] = [(-5 * (y1 - y0)) / length, (5 * (x1 - x0)) / length];
  context.strokeStyle = "#ffe58a";
  context.lineWidth = 1.25;
  context.beginPath();
  for (const [a, b, c, d] of [
    [x0, y0, x1, y1],
    [x0 - nx, y0 - ny, x0 + nx, y0 + ny],
    [x1 - nx, y1 - ny, x1 + nx, y1 + ny],
  ]) {
    context.moveTo(a, b);
    context.lineTo(c, d);
  }
  context.stroke();
  view.text(`${lengthMm(view, first, last).toFixed(1)} mm`, Math.max(x0, x1) + 8, y1, { size: 13, colour: "#ffe58a" });
}

/**
 * The four corners of a frame.
 * @param {CanvasRenderingContext2D} context
 * @param {number} x0
 * @param {number} y0
 * @param {number} x1
 * @param {number} y1
 */
function drawTicks(context, x0, y0, x1, y1) {
  const tick = Math.min(9, (x1 - x0) / 3, (y1 - y0) / 3);
  context.beginPath();
  for (const [x, y, dx, dy] of [
    [x0, y0, tick, tick],
    [x1, y0, -tick, tick],
    [x0, y1, tick, -tick],
    [x1, y1, -tick, -tick],
  ]) {
    context.moveTo(x + dx, y);
    context.lineTo(x, y);
    context.lineTo(x, y + dy);
  }
  context.stroke();
}

/**
 * The box of a candidate in a slice; null if it does not reach it.
 * @param {number[]} runs
 * @param {number} slice
 * @param {number[]} shape
 */
function boxInSlice(runs, slice, [, rows, columns]) {
  let [left, right, top, bottom] = [Infinity, -1, Infinity, -1];
  for (let i = 0; i < runs.length; i += 2) {
    const row = Math.floor(runs[i] / columns);
    if (Math.floor(row / rows) !== slice) continue;
    const column = runs[i] % columns;
    [left, right] = [Math.min(left, column), Math.max(right, column + runs[i + 1] - 1)];
    [top, bottom] = [Math.min(top, row % rows), Math.max(bottom, row % rows)];
  }
  return right < 0 ? null : { left, right, top, bottom };
}
