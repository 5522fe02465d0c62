/**
 * Which case comes next, and its images, loaded ahead while this one is read.
 * @module
 */

import { bytes, get, post } from "./server.js";

/** @typedef {Record<string, any>} Json */
/** @typedef {import("./reading.js").Reading} Reading */
/** @typedef {"next" | "previous"} Direction */

/**
 * The case to read after the one that is open, or the one before it; null if there is none.
 * @param {Reading | null} reading
 * @param {Direction} direction
 * @returns {Promise<string | null>}
 */
export async function neighbour(reading, direction) {
  const own = reading?.id ?? "";
  if (reading?.case.mode === "adjudication") return toDecide(own, direction);
  const query = direction === "next" ? `next?after=${own}` : `previous?before=${own}`;
  return (await get(`/api/worklist/${query}`)).id;
}

/**
 * The case to decide after another one, or before it.
 * @param {string} own
 * @param {Direction} direction
 * @returns {Promise<string | null>}
 */
export async function toDecide(own, direction) {
  const { items } = await get("/api/adjudications");
  const at = items.findIndex((/** @type {Json} */ item) => item.id === own);
  if (direction === "previous") return items[at - 1]?.id ?? null;
  const open = items.filter((/** @type {Json} */ item, /** @type {number} */ i) => i !== at && item.state !== "signed");
  return (open.find((/** @type {Json} */ item) => items.indexOf(item) > at) ?? open[0])?.id ?? null;
}

/** The next case: its name, and its heart as soon as it is there. */
export class Ahead {
  constructor() {
    /** @type {string | null} */
    this.id = null;
    /** @type {Promise<ArrayBuffer | null>} */
    this.heart = Promise.resolve(null);
  }

  /**
   * Find the case after the one that is open, and load its heart.
   * @param {Reading} reading
   */
  async look(reading) {
    this.id = null;
    try {
      this.id = await neighbour(reading, "next");
      if (!this.id) return;
      await post(`/api/readings/${this.id}/prefetch`, {});
      this.heart = heartOf(this.id).catch(() => null);
    } catch (problem) {
      console.info("the next case is not loaded ahead", problem);
    }
  }

  /**
   * The heart of a case, loaded ahead if it is the next one.
   * @param {string} id
   */
  async take(id) {
    return (id === this.id ? await this.heart : null) ?? heartOf(id);
  }
}

/** @param {string} id */
function heartOf(id) {
  return bytes(`/api/readings/${id}/volume?part=heart`);
}
