/**
 * `Workstation`: the case that is open, the views of it, and everything a reader can do with it.
 *
 * Keys, mouse and buttons call its actions; it computes at once, sends the event, and compares the server's answer.
 * @module
 */

import { PLANES, voxelsFrom } from "./blocks.js";
import { Ahead, neighbour } from "./cases.js";
import { Clock } from "./clock.js";
import { byId } from "./dom.js";
import { Outbox, sendLeftOver } from "./outbox.js";
import { Reading, firstPosition } from "./reading.js";
import { runsOf } from "./runs.js";
import { difference } from "./scoring.js";
import { Declined, bytes, get, post } from "./server.js";
import { Viewport } from "./viewport.js";

/** @typedef {Record<string, any>} Json */
/** @typedef {import("./blocks.js").HuBlock} HuBlock */
/** @typedef {"click" | "lasso" | "brush" | "eraser" | "cut" | "measure"} Tool */

/**
 * Level and width in HU. Calcium: as in the reports (ctacal.report.montage); the others are the usual ones of a chest CT.
 * @type {Record<string, {name: string, level: number, width: number}>}
 */
export const WINDOWS = {
  calcium: { name: "Calcium", level: 140, width: 600 },
  soft: { name: "Soft tissue", level: 40, width: 400 },
  lung: { name: "Lung", level: -600, width: 1500 },
};

const DEEPEST = 5;

export class Workstation extends EventTarget {
  /** @param {Json} session */
  constructor(session) {
    super();
    this.session = session;
    this.clock = new Clock();
    /** @type {Reading | null} */
    this.reading = null;
    /** @type {Outbox | null} */
    this.outbox = null;
    /** What the page or, before it can, the server computed last. @type {Json | null} */
    this.score = null;
    /** @type {Tool} */
    this.tool = "click";
    this.label = 2;
    /** Slices on both sides that a click may reach; null: no limit. @type {number | null} */
    this.depth = null;
    this.brushMm = 4;
    /** @type {{slice: number, from: number[], to: number[]}[]} lines in [row, column] */
    this.measurements = [];
    /** The last action that must not overtake another. @type {Promise<any>} */
    this.turn = Promise.resolve();
    this.ahead = new Ahead();
    /** Comparisons with the server that go on. @type {Set<Promise<void>>} */
    this.comparisons = new Set();
    /** @type {import("./viewport.js").Scene} */
    this.scene = {
      reading: null,
      position: [0, 0, 0],
      ...{ level: WINDOWS.calcium.level, width: WINDOWS.calcium.width },
      isSmooth: true,
      areMarksShown: true,
      isNoiseShown: false,
      focus: 0,
      hover: 0,
      colours: coloursOf(session.labels),
    };
    this.axial = new Viewport(canvasOf("axial"), PLANES.axial, this.scene);
    this.small = [
      new Viewport(canvasOf("coronal"), PLANES.coronal, this.scene),
      new Viewport(canvasOf("sagittal"), PLANES.sagittal, this.scene),
      new Viewport(canvasOf("projection"), PLANES.axial, this.scene, { projects: true }),
    ];
    new ResizeObserver(() => this.resized()).observe(byId("views"));
    /** When the reader pressed the key or the button that is being answered, for the measures of speed. */
    this.pressedAt = 0;
    const note = (/** @type {Event} */ event) => (this.pressedAt = event.timeStamp);
    for (const sign of ["pointerdown", "pointerup", "keydown", "wheel"])
      addEventListener(sign, note, { capture: true, passive: true });
  }

  get viewports() {
    return [this.axial, ...this.small];
  }

  /** Tell the page's other parts what changed: "case", "marks", "view", "tool", "saved", "problem". */
  /** @param {string} what @param {any} [detail] */
  tell(what, detail) {
    this.dispatchEvent(new CustomEvent(what, { detail }));
  }

  // ---- cases ---------------------------------------------------------------------------------------------------

  /**
   * Open a case and show it; what is not stored of the case before is stored first.
   * @param {string} id
   */
  async open(id) {
    const begin = this.pressedAt;
    await this.leave();
    await sendLeftOver(id);
    const [opened, heart] = await Promise.all([post(`/api/readings/${id}/open`, {}), this.ahead.take(id)]);
    const reading = this.show(opened, heart);
    await measured("case", begin);
    void this.loadScan(reading);
    void this.ahead.look(reading);
  }

  /** Store what is open, before another case is shown. */
  async leave() {
    if (!this.outbox || !this.reading) return;
    this.storeTime();
    this.clock.stop();
    await this.outbox.empty();
    this.outbox.close();
  }

  /**
   * @param {{case: Json, state: Json, candidates: Json}} opened
   * @param {ArrayBuffer} buffer
   */
  show(opened, buffer) {
    const { heart, dtype } = opened.case.volume;
    const block = { data: voxelsFrom(buffer, dtype), shape: heart.shape, start: heart.origin };
    const reading = new Reading(opened, block);
    this.reading = reading;
    this.outbox = new Outbox(reading.id, opened.state.seq, this.listener(reading));
    this.measurements = [];
    this.score = reading.isScorable ? reading.score() : opened.state.score;
    Object.assign(this.scene, { reading, focus: 0, hover: 0, position: firstPosition(reading) });
    this.clock.start(opened.state.active_s);
    this.resized();
    this.tell("case");
    if (reading.isScorable) this.check(reading, { score: reading.score(), digest: reading.digest() }, opened.state);
    return reading;
  }

  /**
   * Load the whole scan, the surroundings of the heart.
   * @param {Reading} reading
   */
  async loadScan(reading) {
    try {
      const buffer = await bytes(`/api/readings/${reading.id}/volume?part=all`);
      reading.image = { data: voxelsFrom(buffer, reading.case.volume.dtype), shape: reading.shape, start: [0, 0, 0] };
      if (reading === this.reading) this.draw();
    } catch (problem) {
      // The heart is shown already; the surroundings come with the next case or the next opening.
      console.info("the whole scan could not be loaded", problem);
    }
  }

  async nextCase() {
    const id = await neighbour(this.reading, "next");
    if (id) await this.open(id);
    else this.tell("finished");
  }

  async previousCase() {
    const id = await neighbour(this.reading, "previous");
    if (id) await this.open(id);
  }

  /** Store the seconds of this case, also when the tab is being closed. */
  storeTime() {
    if (!this.outbox || !this.reading || this.reading.state.locked) return;
    const seconds = this.clock.take();
    if (seconds >= 0.5) void this.outbox.send({ kind: "time", active_s: seconds });
  }

  // ---- marks ---------------------------------------------------------------------------------------------------

  /**
   * @param {Reading} reading
   * @returns {import("./outbox.js").Listener}
   */
  listener(reading) {
    return {
      answered: (item, answer, isNext) => {
        reading.state = { ...reading.state, ...answer };
        if (isNext && item.expected) this.check(reading, item.expected, answer);
        // another tab of this reader has sent it, and perhaps more
        if (!isNext && !this.outbox?.queue.length) void this.inTurn(() => this.reload(reading));
      },
      declined: (problem, dropped) => void this.inTurn(() => this.declined(reading, problem, dropped.length)),
      status: (status, waiting) => this.tell("saved", { status, waiting }),
    };
  }

  /**
   * Compare in the background.
   * @param {Reading} reading
   * @param {{score: Json, digest: Promise<string>}} own
   * @param {Json} answer
   */
  check(reading, own, answer) {
    const comparison = this.compare(reading, own, answer).finally(() => this.comparisons.delete(comparison));
    this.comparisons.add(comparison);
  }

  /**
   * The page and the server must agree to the last digit; if not, that is logged and shown.
   * @param {Reading} reading
   * @param {{score: Json, digest: Promise<string>}} own
   * @param {Json} answer
   */
  async compare(reading, own, answer) {
    const digest = await own.digest;
    const differs = difference(own.score, answer.score) ?? (digest === answer.digest ? null : "the marked voxels");
    if (!differs) return;
    this.tell("problem", {
      words: `This page and the server disagree about ${differs}. The server's result is shown, and the error is in its log; please report it.`,
    });
    void this.outbox?.send({
      kind: "mismatch",
      active_s: 0,
      page: { differs, score: own.score, digest, at_seq: answer.seq },
    });
    void this.inTurn(() => this.reload(reading));
  }

  /**
   * The server will not take some events: take over its state.
   * @param {Reading} reading
   * @param {Declined} problem
   * @param {number} count
   */
  async declined(reading, problem, count) {
    const lost = count > 1 ? ` ${count} marks were not taken over.` : "";
    this.tell("problem", { words: `${problem.message}${lost}` });
    await this.reload(reading);
  }

  /** @param {Reading} reading */
  async reload(reading) {
    const [{ state }, candidates] = await Promise.all([
      get(`/api/readings/${reading.id}`),
      get(`/api/readings/${reading.id}/candidates`),
    ]);
    if (reading !== this.reading) return;
    reading.removeCandidates([...reading.candidates.values()].map((item) => item.id));
    reading.addCandidates(candidates.items);
    reading.take(state);
    if (this.outbox?.id === reading.id) this.outbox.seq = state.seq;
    this.score = state.score;
    this.changed();
  }

  /** Whether marks may change now; tells the reader if not. */
  get mayMark() {
    if (!this.reading) return false;
    if (!this.reading.state.locked) return true;
    this.tell("problem", {
      words: "This reading is signed. To change it, amend it first (button on the right): a new version with a reason.",
    });
    return false;
  }

  /**
   * Do something after all that was begun before it.
   * @param {() => any} action
   */
  inTurn(action) {
    this.turn = this.turn
      .then(action)
      .catch((problem) => this.tell("problem", { words: String(problem.message ?? problem) }));
    return this.turn;
  }

  /**
   * Label the candidate at a voxel with the active label; the server finds what lies outside of all candidates.
   * @param {number} index
   * @param {number} label
   */
  click(index, label) {
    return this.inTurn(() => {
      const reading = this.reading;
      if (!reading || !this.mayMark) return undefined;
      const event = { kind: "click", voxel: reading.position(index), label, depth: this.depth };
      if (!reading.pieces[index]) return this.ask(event);
      return this.edit(event, reading.region(index, this.depth), label);
    });
  }

  /**
   * @param {"lasso" | "brush" | "eraser"} tool
   * @param {Int32Array} marked
   * @param {number} label
   */
  paint(tool, marked, label) {
    return this.inTurn(() => {
      if (!this.reading || !marked.length || !this.mayMark) return;
      this.edit({ kind: "paint", tool, label, runs: runsOf(marked, this.reading.shape[2]) }, marked, label);
    });
  }

  /**
   * @param {Json} event
   * @param {Int32Array} marked
   * @param {number} label
   */
  edit(event, marked, label) {
    if (/** @type {Reading} */ (this.reading).edit(marked, label)) this.commit(event);
  }

  /**
   * Show what an edit made of the score, and send it.
   * @param {Json} event
   */
  commit(event) {
    const reading = /** @type {Reading} */ (this.reading);
    const expected = reading.isScorable ? { score: reading.score(), digest: reading.digest() } : null;
    const sent = /** @type {Outbox} */ (this.outbox).send({ ...event, active_s: this.clock.take() }, expected);
    if (expected) this.score = expected.score;
    else void sent.then((answer) => answer && this.showScore(reading, answer));
    this.changed();
    void measured("score", this.pressedAt);
  }

  /**
   * Send an event whose outcome only the server knows, and wait for it.
   * @param {Json} event
   */
  async ask(event) {
    const reading = /** @type {Reading} */ (this.reading);
    const answer = await /** @type {Outbox} */ (this.outbox).send({ ...event, active_s: this.clock.take() });
    if (!answer) return;
    reading.accept(answer);
    this.showScore(reading, answer);
    this.changed();
  }

  /**
   * @param {Reading} reading
   * @param {Json} answer
   */
  showScore(reading, answer) {
    this.score = reading.isScorable ? reading.score() : answer.score;
    this.tell("marks");
  }

  undo() {
    return this.inTurn(() => {
      if (!this.reading?.undo || !this.mayMark) return undefined;
      return this.reading.undoEdit() ? this.commit({ kind: "undo" }) : this.ask({ kind: "undo" });
    });
  }

  redo() {
    return this.inTurn(() => {
      if (!this.reading?.redo || !this.mayMark) return undefined;
      return this.reading.redoEdit() ? this.commit({ kind: "redo" }) : this.ask({ kind: "redo" });
    });
  }

  /**
   * Part the candidate under a line.
   * @param {number[]} from [row, column]
   * @param {number[]} to
   */
  cut(from, to) {
    return this.inTurn(() => {
      const reading = this.reading;
      if (!reading || !this.mayMark) return undefined;
      const candidate = this.candidateUnder(from, to);
      if (!candidate)
        return this.tell("problem", {
          words: "The line crosses no candidate in this slice. Draw it across the plaque.",
        });
      return this.ask({
        kind: "cut",
        candidate: candidate.id,
        slice: this.scene.position[0],
        from,
        to,
        depth: this.depth,
      });
    });
  }

  /**
   * The candidate that most of a line in this slice lies on.
   * @param {number[]} from [row, column]
   * @param {number[]} to
   */
  candidateUnder(from, to) {
    const reading = /** @type {Reading} */ (this.reading);
    /** @type {Map<number, number>} */
    const votes = new Map();
    for (let step = 0; step <= 100; step++) {
      const [row, column] = from.map((value, axis) => Math.round(value + ((to[axis] - value) * step) / 100));
      const number = reading.pieces[(this.scene.position[0] * reading.shape[1] + row) * reading.shape[2] + column];
      if (number) votes.set(number, (votes.get(number) ?? 0) + 1);
    }
    const [best] = [...votes].sort((a, b) => b[1] - a[1])[0] ?? [0];
    return reading.candidates.get(best) ?? null;
  }

  /** @param {string} reader whose labels the adjudicator takes over */
  takeOver(reader) {
    return this.inTurn(() => (this.mayMark ? this.ask({ kind: "take", reader }) : undefined));
  }

  /** @param {number} label */
  chooseLabel(label) {
    this.label = label;
    const chosen = this.reading?.candidates.get(this.scene.focus);
    if (chosen) void this.click(this.indexOf(chosen.peak_voxel), label);
    this.tell("tool");
  }

  /** @param {number[]} at */
  indexOf([slice, row, column]) {
    const [, rows, columns] = /** @type {Reading} */ (this.reading).shape;
    return (slice * rows + row) * columns + column;
  }

  // ---- signing -------------------------------------------------------------------------------------------------

  /** @param {{all_marked: boolean, verdict: string, comment: string}} statement */
  sign(statement) {
    return this.inTurn(async () => {
      if (!this.reading || !this.mayMark) return;
      const answer = await this.settle({ kind: "sign", ...statement });
      if (!answer) return;
      this.tell("signed", answer);
      const next = answer.next_id ?? this.ahead.id;
      this.clock.stop();
      if (next) await this.open(next);
      else this.tell("finished");
    });
  }

  /** @param {string} reason */
  amend(reason) {
    return this.inTurn(async () => {
      if (!this.reading || !(await this.settle({ kind: "amend", reason }))) return;
      await this.reload(this.reading);
      this.tell("case");
    });
  }

  /**
   * Send an event that changes no mark; null if the server will not take it.
   * @param {Json} event
   */
  async settle(event) {
    return /** @type {Outbox} */ (this.outbox).send({ ...event, active_s: this.clock.take() });
  }

  // ---- looking -------------------------------------------------------------------------------------------------

  /** Candidates that n and p go through. */
  get listed() {
    const { isNoiseShown } = this.scene;
    return this.reading ? this.reading.inOrder.filter((candidate) => isNoiseShown || !candidate.hidden) : [];
  }

  /** @param {1 | -1} step */
  stepCandidate(step) {
    const { listed } = this;
    if (!listed.length) return;
    const at = listed.findIndex((candidate) => candidate.number === this.scene.focus);
    const next = at < 0 ? (step > 0 ? 0 : listed.length - 1) : (at + step + listed.length) % listed.length;
    this.choose(listed[next]);
  }

  /** @param {Json} candidate */
  choose(candidate) {
    this.scene.focus = candidate.number;
    this.scene.position = [...candidate.peak_voxel];
    for (const view of this.viewports)
      view.reveal([this.scene.position[view.plane.across], this.scene.position[view.plane.down]]);
    this.draw();
    this.tell("marks");
  }

  dropFocus() {
    if (!this.scene.focus) return;
    this.scene.focus = 0;
    this.tell("marks");
    this.draw();
  }

  /**
   * @param {number} axis 0 slice, 1 row, 2 column
   * @param {number} steps
   */
  move(axis, steps) {
    if (!this.reading) return;
    const last = this.reading.shape[axis] - 1;
    this.scene.position[axis] = Math.max(0, Math.min(last, this.scene.position[axis] + steps));
    this.draw();
    void measured("slice", this.pressedAt);
  }

  /** @param {number[]} at [slice, row, column] */
  goTo(at) {
    if (!this.reading) return;
    this.scene.position = at.map((value, axis) =>
      Math.max(0, Math.min(/** @type {Reading} */ (this.reading).shape[axis] - 1, value)),
    );
    this.draw();
  }

  /**
   * @param {number} level
   * @param {number} width
   */
  setWindow(level, width) {
    Object.assign(this.scene, { level: Math.round(level), width: Math.max(1, Math.round(width)) });
    this.draw();
    this.tell("tool");
  }

  /** @param {1 | -1} step */
  changeDepth(step) {
    const next = (this.depth ?? DEEPEST + 1) + step;
    this.depth = next > DEEPEST ? null : Math.max(0, next);
    this.tell("tool");
  }

  /** @param {number} factor */
  changeBrush(factor) {
    this.brushMm = Math.max(1, Math.min(40, this.brushMm * factor));
    this.draw();
    this.tell("tool");
  }

  /** @param {Tool} tool */
  chooseTool(tool) {
    this.tool = tool;
    this.draw();
    this.tell("tool");
  }

  /**
   * @param {"isSmooth" | "isNoiseShown" | "areMarksShown"} what
   * @param {boolean} [to]
   */
  toggle(what, to) {
    this.scene[what] = to ?? !this.scene[what];
    this.draw();
    this.tell("marks");
  }

  fit() {
    if (!this.reading) return;
    for (const view of this.viewports) view.fit();
    this.draw();
  }

  resized() {
    if (this.reading) this.fit();
  }

  changed() {
    this.draw();
    this.tell("marks");
  }

  draw() {
    for (const view of this.viewports) view.invalidate();
    this.tell("view");
  }
}

/** @param {string} id */
function canvasOf(id) {
  return /** @type {HTMLCanvasElement} */ (byId(id).querySelector("canvas"));
}

/** @param {Json[]} labels */
function coloursOf(labels) {
  /** @type {string[]} */
  const colours = [];
  for (const label of labels) colours[label.value] = label.colour;
  return colours;
}

/**
 * Note how long it took from a key or a button to the frame that answers it; `performance.getEntriesByName` tells.
 * @param {string} what
 * @param {number} start
 */
async function measured(what, start) {
  await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
  performance.measure(`ctacal:${what}`, { start });
}
