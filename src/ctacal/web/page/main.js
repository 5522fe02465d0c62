/**
 * The reader's page: joins work list, views, tools and panel, and opens the first case.
 * @module
 */

import { hideReadings, showReadings } from "./adjudication.js";
import { toDecide } from "./cases.js";
import { askReason, hideBanner, isDialogOpen, showBanner, showSaved, toggleHelp } from "./dialogs.js";
import { byId, chip, make } from "./dom.js";
import { actionOf } from "./keys.js";
import { Mouse } from "./mouse.js";
import { Panel, showClock } from "./panel.js";
import { Away, Declined, get } from "./server.js";
import { measure, problemWords, shortName } from "./words.js";
import { WINDOWS, Workstation } from "./workstation.js";
import { WorkList } from "./worklist.js";

/** @typedef {Record<string, any>} Json */
/** @typedef {import("./workstation.js").Tool} Tool */

/** Name and key of each tool. @type {[Tool, string, string, string][]} */
const TOOLS = [
  ["click", "Click", "V", "Click labels a whole candidate"],
  ["lasso", "Lasso", "A", "Draw around calcium"],
  ["brush", "Brush", "B", "Paint; only voxels at or above the threshold"],
  ["eraser", "Erase", "E", "Take labels away"],
  ["cut", "Cut", "X", "Draw a line that parts a plaque from what it touches"],
  ["measure", "mm", "M", "Measure a distance"],
];

/** Waiting time before the page asks the server again, in ms. */
const RETRY_MS = 2000;

class Page {
  /** @param {Json} session */
  constructor(session) {
    this.station = new Workstation(session);
    this.usualViews = this.station.small;
    this.mouse = new Mouse(this.station);
    this.panel = new Panel(this.station, {
      sign: () => this.sign("read"),
      amend: () => this.amend(),
      unreadable: () => this.sign("unreadable"),
    });
    this.list = new WorkList(session, (id) => void this.open(id));
    this.actions = this.actionTable();
    this.buildTools();
    this.listen();
  }

  // ---- what is joined ------------------------------------------------------------------------------------------

  listen() {
    const { station } = this;
    const on = (/** @type {string} */ what, /** @type {(detail: any) => void} */ does) =>
      station.addEventListener(what, (event) => does(/** @type {CustomEvent} */ (event).detail));
    on("case", () => void this.caseShown());
    on("marks", () => this.panel.showMarks());
    on("view", () => this.showCorners());
    on("tool", () => this.showTools());
    on("cursor", (at) => this.showCursor(at));
    on("saved", showSaved);
    on("problem", ({ words }) => showBanner(words, "error"));
    on("signed", () => void this.list.refresh());
    on("finished", () => void this.finished());
    addEventListener("keydown", (event) => this.pressed(event));
    addEventListener("keyup", (event) => event.key === "h" && station.toggle("areMarksShown", true));
    addEventListener("blur", () => station.scene.areMarksShown || station.toggle("areMarksShown", true));
    document.addEventListener("visibilitychange", () => document.hidden && station.storeTime());
    addEventListener("hashchange", () => this.openFromAddress());
    setInterval(() => showClock(station.clock.seconds), 250);
    for (const [id, action] of [
      ["list-button", "list"],
      ["previous-case", "previousCase"],
      ["next-case", "nextCase"],
      ["help-button", "help"],
    ]) {
      byId(id).addEventListener("click", () => this.actions[action]());
    }
  }

  /** @returns {Record<string, () => void>} */
  actionTable() {
    const { station } = this;
    /** @type {Record<string, () => void>} */
    const table = {
      undo: () => void station.undo(),
      redo: () => void station.redo(),
      nextCandidate: () => station.stepCandidate(1),
      previousCandidate: () => station.stepCandidate(-1),
      shallower: () => station.changeDepth(-1),
      deeper: () => station.changeDepth(1),
      smaller: () => station.changeBrush(1 / 1.25),
      larger: () => station.changeBrush(1.25),
      noise: () => station.toggle("isNoiseShown"),
      smooth: () => station.toggle("isSmooth"),
      hide: () => station.toggle("areMarksShown", false),
      fit: () => station.fit(),
      up: () => station.move(0, 1),
      down: () => station.move(0, -1),
      top: () => this.toEnd(1),
      bottom: () => this.toEnd(0),
      sign: () => this.sign("read"),
      nextCase: () => this.tried(() => station.nextCase()),
      previousCase: () => this.tried(() => station.previousCase()),
      list: () => this.toggleList(),
      help: toggleHelp,
      escape: () => this.escape(),
    };
    for (const [tool] of TOOLS) table[`tool:${tool}`] = () => station.chooseTool(tool);
    for (const [name, { level, width }] of Object.entries(WINDOWS))
      table[`window:${name}`] = () => station.setWindow(level, width);
    return table;
  }

  /** @param {KeyboardEvent} event */
  pressed(event) {
    const isTyping = event.target instanceof HTMLElement && event.target.matches("input[type=search], textarea");
    if (isTyping || (isDialogOpen() && event.key !== "?")) return;
    const action = actionOf(event);
    if (!action || (event.repeat && ["sign", "hide"].includes(action))) return;
    const isButton = event.key === "Enter" && event.target instanceof HTMLButtonElement;
    if (isButton) /** @type {HTMLElement} */ (event.target).blur();
    event.preventDefault();
    if (action === "label") this.station.chooseLabel(Number(event.key));
    else this.actions[action]();
  }

  // ---- cases ---------------------------------------------------------------------------------------------------

  /** @param {string} id */
  async open(id) {
    await this.tried(() => this.station.open(id));
  }

  /**
   * Do something that needs the server; while it does not answer, say so and try again.
   * @param {() => Promise<any>} action
   */
  async tried(action) {
    try {
      await action();
      if (byId("banner").className === "waiting") hideBanner();
    } catch (problem) {
      if (problem instanceof Away) {
        showBanner(
          "The server does not answer. Nothing is lost: what you marked is stored. This page tries again by itself.",
          "waiting",
        );
        setTimeout(() => void this.tried(action), RETRY_MS);
      } else showBanner(problemWords(problem), "error");
    }
  }

  async openFromAddress() {
    const id = caseOfAddress();
    if (id && id !== this.station.reading?.id) await this.open(id);
  }

  /**
   * Open the case of the address, else the first that is to be read.
   * @param {string | null} first
   */
  async start(first) {
    const id = caseOfAddress() || first || (this.list.mayDecide ? await toDecide("", "next") : null);
    if (id) await this.open(id);
    else await this.finished();
    void this.tried(() => this.list.refresh());
    void this.list.showReport().catch(() => undefined);
  }

  async caseShown() {
    const { station } = this;
    const reading = /** @type {import("./reading.js").Reading} */ (station.reading);
    hideReadings(station, this.usualViews);
    byId("empty").hidden = true;
    history.replaceState(null, "", `#${encodeURIComponent(reading.id)}`);
    this.showTitle(reading.case);
    this.panel.showCase();
    this.showTools();
    this.list.mark(reading.id);
    if (byId("banner").className !== "waiting") hideBanner();
    if (reading.case.mode === "adjudication") {
      this.panel.columns = await showReadings(station);
      this.panel.showMarks();
      for (const view of station.small) this.mouse.listen(view);
    }
  }

  /** @param {Json} shown */
  showTitle(shown) {
    const modes = {
      blind: "blind",
      aided: "model shown",
      sequential: shown.stage ?? "sequential",
      scratch: "from scratch",
    };
    const mode = modes[/** @type {keyof typeof modes} */ (shown.mode)] ?? shown.mode;
    const session = this.station.session.study && shown.mode !== "adjudication" ? `session ${shown.session}, ` : "";
    byId("case-title").replaceChildren(
      make("b", {}, `Case ${shown.number}`),
      make("span.tag", {}, `${session}${mode}`),
    );
    document.title = `Case ${shown.number} – ctacal`;
  }

  async finished() {
    this.station.clock.stop();
    await this.tried(() => this.list.refresh());
    const { counts } = this.list;
    const left = counts ? counts.open + counts.started : 0;
    byId("empty").replaceChildren(
      make(
        "h1",
        {},
        left ? "No further case to read now" : counts?.all === 0 ? "Nothing to decide now" : "All cases are signed",
      ),
      make(
        "p",
        {},
        "Readings lie in the folder that the command named when it started. Choose a case of the work list to look at it again.",
      ),
      make("button.primary", { click: () => this.toggleList(true) }, "Work list"),
    );
    byId("empty").hidden = false;
    void this.list.showReport().catch(() => undefined);
  }

  /** @param {"read" | "unreadable"} verdict */
  async sign(verdict) {
    if (!this.station.reading || !byId("empty").hidden) return;
    if (this.station.reading.state.locked) return void this.tried(() => this.station.nextCase());
    const question = { title: "Sign as unreadable", words: "Why can this scan not be read?", action: "Sign" };
    const comment = verdict === "unreadable" ? await askReason(question) : "";
    if (comment === null) return undefined;
    return void this.tried(() => this.station.sign({ all_marked: this.panel.allMarked ?? false, verdict, comment }));
  }

  async amend() {
    const question = {
      title: "Amend this reading",
      words: "The signed version is kept. Why is it changed?",
      action: "Amend",
    };
    const reason = await askReason(question);
    if (reason) await this.tried(() => this.station.amend(reason));
  }

  escape() {
    this.mouse.cancel();
    this.station.measurements = [];
    this.station.dropFocus();
    if (byId("banner").className === "error") hideBanner();
    this.station.draw();
  }

  /** @param {0 | 1} end of the heart: 0 bottom, 1 top */
  toEnd(end) {
    const heart = this.station.reading?.heart;
    if (!heart) return;
    this.station.move(0, heart.start[0] + end * (heart.shape[0] - 1) - this.station.scene.position[0]);
  }

  // ---- what is shown -------------------------------------------------------------------------------------------

  /** @param {boolean} [to] */
  toggleList(to) {
    const list = byId("worklist");
    list.hidden = !(to ?? list.hidden);
    byId("list-button").setAttribute("aria-expanded", String(!list.hidden));
    if (list.hidden) return;
    void this.tried(() => this.list.refresh());
    void this.list.showReport().catch(() => undefined);
  }

  buildTools() {
    const { station } = this;
    const button = (/** @type {Json} */ { group, value, name, key, title, does, mark }) =>
      make("button", { "data-group": group, "data-value": value, title: `${title} (${key})`, click: does }, [
        mark,
        name,
        make("kbd", {}, key),
      ]);
    const labels = [
      ...station.session.labels,
      { value: 0, key: "0", name: "None", title: "no calcium: take the label away" },
    ];
    byId("labels").append(
      ...labels.map(({ value, key, name, title, colour }) =>
        button({
          group: "label",
          value,
          key,
          title,
          mark: chip(colour),
          name: shortName(value, name),
          does: () => station.chooseLabel(value),
        }),
      ),
    );
    byId("modes").append(
      ...TOOLS.map(([tool, name, key, title]) =>
        button({ group: "tool", value: tool, name, key, title, does: () => station.chooseTool(tool) }),
      ),
    );
    byId("windows").append(
      ...Object.entries(WINDOWS).map(([value, { name, level, width }], i) =>
        button({
          group: "window",
          value,
          name,
          key: String(7 + i),
          title: `${name} window: level ${level}, width ${width} HU`,
          does: this.actions[`window:${value}`],
        }),
      ),
    );
    this.buildLimits();
  }

  buildLimits() {
    const step = (/** @type {string} */ words, /** @type {string} */ action, /** @type {string} */ title) =>
      make("button.step", { click: () => this.actions[action](), title }, words);
    byId("limits").append(
      make("span.faint", {}, "Depth"),
      step("[", "shallower", "Fewer slices for a click ( [ )"),
      make("output", { id: "depth", title: "Slices on both sides that a click, lasso, brush or cut may reach" }),
      step("]", "deeper", "More slices ( ] )"),
    );
    byId("history").append(
      make("button", { id: "undo", click: () => this.actions.undo(), title: "Undo, as far back as you like" }, [
        "Undo",
        make("kbd", {}, "Z"),
      ]),
      make("button", { id: "redo", click: () => this.actions.redo(), title: "Redo" }, ["Redo", make("kbd", {}, "⇧ Z")]),
    );
  }

  showTools() {
    const { station } = this;
    const { level, width } = station.scene;
    const [shown] = Object.entries(WINDOWS).find(([, preset]) => preset.level === level && preset.width === width) ?? [
      "",
    ];
    const chosen = /** @type {Record<string, string>} */ ({
      label: String(station.label),
      tool: station.tool,
      window: shown,
    });
    for (const button of document.querySelectorAll("#tools button[data-group]")) {
      const { group, value } = /** @type {HTMLElement} */ (button).dataset;
      button.classList.toggle("on", chosen[group ?? ""] === value);
    }
    const painted = station.tool === "lasso" || station.tool === "brush" || station.tool === "eraser";
    const every = painted ? "this slice" : "all slices";
    byId("depth").textContent =
      station.depth === null ? every : station.depth === 0 ? "this slice" : `± ${station.depth}`;
    this.showUndo();
    this.showCorners();
  }

  showUndo() {
    const { reading } = this.station;
    /** @type {HTMLButtonElement} */ (byId("undo")).disabled = !reading?.undo;
    /** @type {HTMLButtonElement} */ (byId("redo")).disabled = !reading?.redo;
  }

  /** The texts in the corners of the views. */
  showCorners() {
    const { reading, scene, axial } = this.station;
    if (!reading) return;
    const { title, date, patient, acquisition: scan } = reading.case;
    lines("axial-name", [
      patient?.name,
      patient && [patient.id, patient.sex, patient.age].filter(Boolean).join(" · "),
      title,
      date,
    ]);
    const tube = [
      scan.kvp && measure(scan.kvp, 0, "kVp"),
      scan.exposure_mas && measure(scan.exposure_mas, 0, "mAs"),
      scan.kernel,
    ]
      .filter(Boolean)
      .join(" · ");
    lines("axial-scan", [
      scan.model || scan.manufacturer,
      tube,
      `${measure(scan.slice_thickness_mm, 1, "mm")} / ${measure(scan.slice_spacing_mm, 1, "mm")}`,
    ]);
    lines("axial-place", [this.underCursor ?? "", `Slice ${scene.position[0] + 1} / ${reading.shape[0]}`]);
    lines("axial-window", [`Zoom ${axial.pixelsPerMm.toFixed(1)} px/mm`, `W ${scene.width}  L ${scene.level}`]);
    ["Coronal", "Sagittal", "Maximum"].forEach((name, i) => lines([["coronal", "sagittal", "projection"][i]], [name]));
    this.showUndo();
  }

  /** @param {number[] | null} at */
  showCursor(at) {
    const { reading, axial } = this.station;
    if (!reading) return;
    const [s, r, c] = at ? axial.voxelAt(at) : [-1, -1, -1];
    const isInside = r >= 0 && c >= 0 && r < reading.shape[1] && c < reading.shape[2];
    const hu = isInside && s >= 0 ? reading.hu((s * reading.shape[1] + r) * reading.shape[2] + c) : NaN;
    this.underCursor = Number.isNaN(hu) ? "" : `${Math.round(hu)} HU`;
    lines("axial-place", [this.underCursor, `Slice ${this.station.scene.position[0] + 1} / ${reading.shape[0]}`]);
  }
}

/**
 * Write lines into a corner of a view; an array names the view whose corner it is.
 * @param {string | string[]} where
 * @param {(string | null | undefined | false)[]} words
 */
function lines(where, words) {
  const corner =
    typeof where === "string" ? byId(where) : /** @type {HTMLElement} */ (byId(where[0]).querySelector(".corner"));
  const text = words.filter(Boolean).join("\n");
  if (corner.textContent !== text) corner.textContent = text;
}

/** The case that the address names. */
function caseOfAddress() {
  return decodeURIComponent(location.hash.slice(1));
}

/** Start the page; without a valid link, say what to do. */
async function begin() {
  try {
    const [session, first] = await Promise.all([get("/api/session"), get("/api/worklist/next?after=")]);
    const page = new Page(session);
    Object.assign(window, { ctacal: page }); // for the console and the tests
    await page.start(first.id);
  } catch (problem) {
    const isUnknown = problem instanceof Declined && problem.status === 401;
    if (problem instanceof Away) return void setTimeout(begin, RETRY_MS);
    showBanner(
      isUnknown
        ? "This page is open only with the link that the command printed. Copy the newest link into the address bar, or start the command again."
        : problemWords(problem),
      "error",
    );
  }
  return undefined;
}

void begin();
