/**
 * The work list: the reader's cases in their order, filters, progress, and what needs a decision.
 * @module
 */

import { byId, make } from "./dom.js";
import { get } from "./server.js";
import { counted, scoreWords, timeWords } from "./words.js";

/** @typedef {Record<string, any>} Json */

const PAGE = 100;
const STATES = { all: "All", open: "Open", started: "Begun", signed: "Signed", refused: "Refused" };
const STATE_WORDS = { open: "open", started: "begun", signed: "signed", refused: "cannot be read" };

export class WorkList {
  /**
   * @param {Json} session
   * @param {(id: string) => void} open
   */
  constructor(session, open) {
    this.session = session;
    this.open = open;
    /** Which cases are listed: a state, or "decide". */
    this.state = session.study && !session.roles.includes("reader") ? "decide" : "all";
    this.search = "";
    this.current = "";
    /** @type {Json[]} */
    this.items = [];
    this.total = 0;
    this.asked = 0;
    this.build();
  }

  build() {
    this.tabs = make("div.tabs", { role: "tablist" });
    this.input = make("input", {
      type: "search",
      placeholder: "Search",
      "aria-label": "Search",
      input: () => this.searched(),
    });
    this.rows = make("ol.rows");
    this.more = make("div.scroll", { scroll: () => void this.loadMore() }, this.rows);
    this.report = make("p.faint");
    byId("worklist").replaceChildren(this.tabs, this.input, this.more, this.report);
  }

  /** Load the list anew. */
  async refresh() {
    this.asked += 1;
    const mine = this.asked;
    const page = this.state === "decide" ? await adjudications() : await this.page(0);
    if (mine !== this.asked) return;
    [this.items, this.total] = [page.items, page.total];
    if (page.counts) this.showProgress(page.counts);
    this.showTabs();
    this.showRows();
  }

  /** Whether this reader settles disagreements of others. */
  get mayDecide() {
    return this.session.study !== null && this.session.roles.includes("adjudicator");
  }

  /** @param {number} offset @returns {Promise<Json>} */
  page(offset) {
    const query = new URLSearchParams({
      offset: String(offset),
      limit: String(PAGE),
      state: this.state,
      text: this.search,
    });
    return get(`/api/worklist?${query}`);
  }

  async loadMore() {
    const box = /** @type {HTMLElement} */ (this.more);
    if (this.isLoading || this.state === "decide" || this.items.length >= this.total) return;
    if (box.scrollTop + box.clientHeight < box.scrollHeight - 200) return;
    this.isLoading = true;
    const { items } = await this.page(this.items.length).finally(() => (this.isLoading = false));
    this.items.push(...items);
    this.showRows();
  }

  searched() {
    clearTimeout(this.typing);
    this.typing = setTimeout(() => {
      this.search = /** @type {HTMLInputElement} */ (this.input).value.trim();
      void this.refresh();
    }, 200);
  }

  /** @param {Json} counts */
  showProgress(counts) {
    this.counts = counts;
    const done = counts.signed + counts.refused;
    byId("progress-done").style.width = `${counts.all ? (100 * done) / counts.all : 0}%`;
    byId("progress-words").textContent =
      `${counts.signed.toLocaleString("en")} of ${counts.all.toLocaleString("en")} signed`;
    byId("progress").hidden = counts.all === 0;
  }

  showTabs() {
    const number = (/** @type {string} */ state) => (this.counts ? ` ${this.counts[state].toLocaleString("en")}` : "");
    const tabs = Object.entries(STATES).map(([state, name]) => this.tab(state, `${name}${number(state)}`));
    if (this.mayDecide) tabs.push(this.tab("decide", "To decide"));
    this.tabs?.replaceChildren(...tabs);
  }

  /**
   * @param {string} state
   * @param {string} words
   */
  tab(state, words) {
    const choose = () => {
      this.state = state;
      void this.refresh();
    };
    return make("button", { role: "tab", "aria-selected": state === this.state, click: choose }, words);
  }

  /** @param {string} id */
  mark(id) {
    this.current = id;
    this.showRows();
    this.rows?.querySelector(".current")?.scrollIntoView({ block: "nearest" });
  }

  showRows() {
    const rows = this.items.map((item) => this.row(item));
    this.rows?.replaceChildren(...(rows.length ? rows : [make("li.none.faint", {}, "No case here.")]));
  }

  /** @param {Json} item */
  row(item) {
    const isOpenable = item.id && item.state !== "refused" && !item.available_from;
    const title = item.title || (item.why ?? "CT");
    const parts = [
      make("b", {}, `${item.number}`),
      make("span.name", { title: item.refusal ?? title }, [
        item.patient ?? title,
        item.date ? make("small", {}, item.date) : null,
      ]),
      make(
        "span.result",
        {},
        item.category
          ? `${scoreWords(item.agatston)}`
          : item.model
            ? make("i", { title: "model" }, scoreWords(item.model.agatston))
            : "",
      ),
      make(`span.state.${item.state}`, {}, rowState(item)),
    ];
    const classes = `${item.id === this.current ? ".current" : ""}${isOpenable ? "" : ".closed"}`;
    return make(`li${classes}`, { click: () => isOpenable && this.open(item.id) }, parts);
  }

  /** The reader's own times, below the list. */
  async showReport() {
    const { readers } = await get("/api/report");
    const own = readers.find((/** @type {Json} */ entry) => entry.reader === this.session.reader);
    if (!own?.signed || !this.report) return;
    const quartiles = `quartiles ${timeWords(own.quartile_1_s)}–${timeWords(own.quartile_3_s)}`;
    this.report.textContent = `${counted(own.signed, "case")} signed, median ${timeWords(own.median_s)} (${quartiles}), ${own.median_edits} edits`;
  }
}

/** @param {Json} item */
function rowState(item) {
  if (item.available_from) return `from ${item.available_from}`;
  if (item.readings) return item.readings.map((/** @type {Json} */ reading) => reading.category).join(" | ");
  const time =
    item.state === "signed" || item.state === "started"
      ? ` ${timeWords(item.active_s ?? 0)}, ${counted(item.edits ?? 0, "edit")}`
      : "";
  return `${STATE_WORDS[/** @type {keyof typeof STATE_WORDS} */ (item.state)] ?? item.state}${time}${item.warnings ? `, ${counted(item.warnings, "warning")}` : ""}`;
}

/** @returns {Promise<Json>} */
async function adjudications() {
  const { items } = await get("/api/adjudications");
  return { items, total: items.length };
}
