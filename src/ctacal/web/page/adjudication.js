/**
 * Adjudication: two readings of a case side by side, and the adjudicator's own below or between them.
 * @module
 */

import { PLANES } from "./blocks.js";
import { byId, make } from "./dom.js";
import { columnOf } from "./panel.js";
import { get } from "./server.js";
import { Viewport } from "./viewport.js";
import { scoreWords } from "./words.js";

/** @typedef {import("./workstation.js").Workstation} Workstation */
/** @typedef {Record<string, any>} Json */

/**
 * Show both readings of the case that is open; returns their columns for the list of candidates.
 * @param {Workstation} station
 */
export async function showReadings(station) {
  const reading = /** @type {import("./reading.js").Reading} */ (station.reading);
  const { items } = await get("/api/adjudications");
  const item = items.find((/** @type {Json} */ entry) => entry.id === reading.id);
  if (!item) return [];
  const { readings } = await get(`/api/adjudications/${item.case}?session=${encodeURIComponent(item.session)}`);
  const columns = readings.map((/** @type {Json} */ other) => columnOf(other.reader, other.labels, reading));
  station.small = readings.map((/** @type {Json} */ other, /** @type {number} */ i) =>
    readerView(station, other, columns[i].labels),
  );
  byId("views").classList.add("adjudicating");
  station.resized();
  return columns;
}

/**
 * The axial view with another reader's marks; it follows the adjudicator's slices.
 * @param {Workstation} station
 * @param {Json} other
 * @param {Uint8Array} labels
 */
function readerView(station, other, labels) {
  const canvas = /** @type {HTMLCanvasElement} */ (make("canvas", { "aria-label": `Reading ${other.reader}` }));
  const { agatston, category } = other.score;
  const take = make("button", { click: () => void station.takeOver(other.reader) }, `Take over ${other.reader}`);
  const title = make("div.corner.top.left", {}, [
    make("b", {}, `Reading ${other.reader}`),
    ` ${scoreWords(agatston.total)} (${category})`,
  ]);
  byId("views").append(make("div.view.reader", {}, [canvas, title, make("div.corner.bottom.right", {}, take)]));
  const view = new Viewport(canvas, PLANES.axial, station.scene);
  view.otherLabels = labels;
  return view;
}

/** Go back to the usual views. @param {Workstation} station @param {Viewport[]} usual */
export function hideReadings(station, usual) {
  for (const element of document.querySelectorAll(".view.reader")) element.remove();
  byId("views").classList.remove("adjudicating");
  station.small = usual;
}
