/**
 * `Reading`: the marks of one reader on one case as this page knows them. It computes; it neither draws nor sends.
 * @module
 */

import { position } from "./blocks.js";
import { grown, sorted } from "./regions.js";
import { eachLabelled, voxelsOf } from "./runs.js";
import { score } from "./scoring.js";

/** @typedef {import("./blocks.js").HuBlock} HuBlock */
/** @typedef {Record<string, any>} Json */
/** @typedef {{voxels: Int32Array, before: Uint8Array, after: Uint8Array}} Change */

export class Reading {
  /**
   * @param {{case: Json, state: Json, candidates: Json}} opened the server's answer
   * @param {HuBlock} heart
   */
  constructor(opened, heart) {
    this.case = opened.case;
    this.id = String(opened.case.id);
    /** @type {number[]} */
    this.shape = opened.case.volume.shape;
    const count = this.shape[0] * this.shape[1] * this.shape[2];
    /** The part of the scan that is shown: the heart at first, the whole scan later. @type {HuBlock} */
    this.image = heart;
    this.heart = heart;
    this.labels = new Uint8Array(count);
    this.pieces = new Int32Array(count);
    /** @type {{data: Int32Array, shape: number[], start: number[]}} */
    this.grid = { data: this.pieces, shape: this.shape, start: [0, 0, 0] };
    /** @type {Set<number>} */
    this.labelled = new Set();
    /** @type {Map<number, Json>} candidates by their number in `pieces` */
    this.candidates = new Map();
    this.nextNumber = 1;
    /** The box that holds all candidates and marks. */
    this.lowest = [...heart.start];
    this.highest = heart.start.map((start, axis) => start + heart.shape[axis] - 1);
    /** @type {Json} */
    this.state = opened.state;
    this.addCandidates(opened.candidates.items);
    this.take(opened.state);
  }

  /**
   * Take over the server's state, whole.
   * @param {Json} state
   */
  take(state) {
    this.state = state;
    this.labelled.forEach((index) => (this.labels[index] = 0));
    this.labelled.clear();
    eachLabelled(state.labels, (index, label) => this.setLabel(index, label));
    /** What this page can undo and redo by itself. @type {Change[]} */
    this.done = [];
    /** @type {Change[]} */
    this.undone = [];
    /** How many edits can be undone and redone, also by the server. @type {number} */
    this.undo = state.undo;
    /** @type {number} */
    this.redo = state.redo;
  }

  /** @param {Json[]} items */
  addCandidates(items) {
    for (const item of items) {
      const number = this.nextNumber++;
      this.candidates.set(number, { ...item, number });
      for (const index of voxelsOf(item.runs)) {
        this.pieces[index] = number;
        this.widen(this.position(index));
      }
    }
  }

  /** @param {number[]} ids */
  removeCandidates(ids) {
    for (const [number, item] of [...this.candidates]) {
      if (!ids.includes(item.id)) continue;
      voxelsOf(item.runs).forEach((index) => (this.pieces[index] = 0));
      this.candidates.delete(number);
    }
  }

  /** Candidates in the order in which they should be read. */
  get inOrder() {
    return [...this.candidates.values()].sort((a, b) => a.hidden - b.hidden || a.number - b.number);
  }

  /**
   * @param {number} index
   * @param {number} label
   */
  setLabel(index, label) {
    this.labels[index] = label;
    if (label) this.labelled.add(index);
    else this.labelled.delete(index);
    if (label) this.widen(this.position(index));
  }

  /** @param {number[]} at a voxel that holds a mark */
  widen(at) {
    at.forEach((value, axis) => {
      this.lowest[axis] = Math.min(this.lowest[axis], value);
      this.highest[axis] = Math.max(this.highest[axis], value);
    });
  }

  /**
   * First and last index of all candidates and marks along some axes.
   * @param {number[]} axes
   * @returns {[number, number][]}
   */
  markedPart(axes) {
    return axes.map((axis) => [this.lowest[axis], this.highest[axis]]);
  }

  /**
   * [slice, row, column] of a flat index.
   * @param {number} index
   */
  position(index) {
    return position(this.grid, index);
  }

  /**
   * The CT value of a voxel; NaN where the scan is not loaded yet.
   * @param {number} index
   */
  hu(index) {
    const { data, shape, start } = this.image;
    if (this.isWhole) return data[index];
    const row = Math.floor(index / this.shape[2]);
    const r = (row % this.shape[1]) - start[1];
    const s = Math.floor(row / this.shape[1]) - start[0];
    const c = (index % this.shape[2]) - start[2];
    const inside = s >= 0 && r >= 0 && c >= 0 && s < shape[0] && r < shape[1] && c < shape[2];
    return inside ? data[(s * shape[1] + r) * shape[2] + c] : NaN;
  }

  /** Whether the surroundings of the heart are loaded too. */
  get isWhole() {
    return this.image.data.length === this.labels.length;
  }

  /** Whether the CT value of every labelled voxel is known, so that the page can score by itself. */
  get isScorable() {
    for (const index of this.labelled) if (Number.isNaN(this.hu(index))) return false;
    return true;
  }

  /** @returns {import("./scoring.js").Score} */
  score() {
    const marks = {
      voxels: sorted(this.labelled),
      labels: this.labels,
      hu: (/** @type {number} */ index) => this.hu(index),
      shape: this.shape,
    };
    return score(marks, this.case.rule, this.case.scoring);
  }

  /** The digest that the server computes as well: of index and label of each labelled voxel, in scan order. */
  digest() {
    const voxels = sorted(this.labelled);
    const bytes = new DataView(new ArrayBuffer(voxels.length * 5));
    voxels.forEach((index, i) => {
      bytes.setUint32(i * 5, index, true);
      bytes.setUint8(i * 5 + 4, this.labels[index]);
    });
    return crypto.subtle
      .digest("SHA-256", bytes.buffer)
      .then((hash) => [...new Uint8Array(hash)].map((byte) => byte.toString(16).padStart(2, "0")).join(""));
  }

  /**
   * The voxels that a click means: the candidate around a voxel, as far as the depth limit allows.
   * @param {number} index
   * @param {number | null} depth
   */
  region(index, depth) {
    const number = this.pieces[index];
    const slice = this.slice(index);
    /** @type {[number, number]} */
    const range =
      depth === null
        ? [0, this.shape[0] - 1]
        : [Math.max(0, slice - depth), Math.min(this.shape[0] - 1, slice + depth)];
    return grown(this.shape, index, range, (next) => this.pieces[next] === number);
  }

  /** @param {number} index */
  slice(index) {
    return Math.floor(index / (this.shape[1] * this.shape[2]));
  }

  /**
   * Set voxels to a label. Returns false if nothing changes.
   * @param {Int32Array} voxels
   * @param {number} label
   */
  edit(voxels, label) {
    const changed = voxels.filter((index) => this.labels[index] !== label);
    if (!changed.length) return false;
    const before = Uint8Array.from(changed, (index) => this.labels[index]);
    const change = { voxels: changed, before, after: new Uint8Array(changed.length).fill(label) };
    this.apply(change.voxels, change.after);
    this.done.push(change);
    this.undone = [];
    this.undo += 1;
    this.redo = 0;
    return true;
  }

  /** Undo the last edit. Returns false if only the server knows it. */
  undoEdit() {
    const change = this.done.pop();
    if (!change) return false;
    this.apply(change.voxels, change.before);
    this.undone.push(change);
    this.undo -= 1;
    this.redo += 1;
    return true;
  }

  /** Redo the edit that was undone last. Returns false if only the server knows it. */
  redoEdit() {
    const change = this.undone.pop();
    if (!change) return false;
    this.apply(change.voxels, change.after);
    this.done.push(change);
    this.undo += 1;
    this.redo -= 1;
    return true;
  }

  /**
   * @param {Int32Array} voxels
   * @param {Uint8Array} labels
   */
  apply(voxels, labels) {
    voxels.forEach((index, i) => this.setLabel(index, labels[i]));
  }

  /**
   * Take over what the server answered to an event that the page could not compute itself.
   * @param {Json} answer
   */
  accept(answer) {
    eachLabelled(answer.changes, (index, label) => this.setLabel(index, label));
    if (answer.candidates) {
      this.removeCandidates(answer.candidates.removed);
      this.addCandidates(answer.candidates.added);
    }
    this.done = [];
    this.undone = [];
    this.undo = answer.undo;
    this.redo = answer.redo;
  }

  /** @param {Json} candidate */
  labelOf(candidate) {
    return this.majority(this.labels, candidate);
  }

  /**
   * The label of most labelled voxels of a candidate; 0: none is labelled.
   * @param {Uint8Array} labels
   * @param {Json} candidate
   */
  majority(labels, candidate) {
    const votes = new Array(7).fill(0);
    for (const index of voxelsOf(candidate.runs)) if (labels[index]) votes[labels[index]] += 1;
    return Math.max(...votes) ? votes.indexOf(Math.max(...votes)) : 0;
  }
}

/**
 * Where reading begins: at the candidate that matters most if a model has spoken, else at the top of the heart.
 * @param {Reading} reading
 */
export function firstPosition(reading) {
  const [first] = reading.inOrder;
  const { start, shape } = reading.heart;
  if (reading.labelled.size && first && !first.hidden) return [...first.peak_voxel];
  return [start[0] + shape[0] - 1, ...[1, 2].map((axis) => start[axis] + Math.floor(shape[axis] / 2))];
}
