/**
 * `Outbox`: events of a reading on their way to the server, one after the other, each until it is stored.
 *
 * What is not stored yet is kept in the browser as well, so that a closed tab loses nothing.
 * @module
 */

import { Away, Declined, post } from "./server.js";

/** @typedef {Record<string, any>} Json */
/** @typedef {"saved" | "saving" | "away" | "full"} Status full: the server answers, and cannot store */
/** @typedef {{event: Json, expected: {score: import("./scoring.js").Score, digest: Promise<string>} | null, done: (answer: Json | null) => void}} Item */
/**
 * What is told about events. `isNext`: the answer is about this event; false: the server had it already, and more since.
 * @typedef {{answered: (item: Item, answer: Json, isNext: boolean) => void, declined: (problem: Declined, dropped: Item[]) => void,
 *   status: (status: Status, waiting: number) => void}} Listener
 */

/** Waiting times between attempts, in ms. */
const PAUSES_MS = [250, 500, 1000, 2000, 4000, 8000];

/** Errors after which the same event may be stored later. */
const LATER = ["DISK", "INTERNAL", "UNAUTHENTICATED"];

export class Outbox {
  /**
   * @param {string} id of the reading
   * @param {number} seq of the next event
   * @param {Listener} listener
   */
  constructor(id, seq, listener) {
    this.id = id;
    this.seq = seq;
    this.listener = listener;
    /** @type {Item[]} */
    this.queue = [];
    this.isSending = false;
    this.isClosed = false;
    /** @type {Status} */
    this.status = "saved";
  }

  /** @param {Status} status */
  say(status) {
    this.status = status;
    this.listener.status(status, this.queue.length);
  }

  /**
   * Send an event after those before it; the promise brings the server's answer, or null if it will not take the event.
   * @param {Json} event
   * @param {Item["expected"]} [expected] what this page computed for it
   * @returns {Promise<Json | null>}
   */
  send(event, expected = null) {
    return new Promise((done) => {
      this.queue.push({ event: { event_id: uuid(), ...event }, expected, done });
      this.keep();
      if (this.status === "away" || this.status === "full") this.say(this.status);
      void this.pump();
    });
  }

  /** Resolves when everything is stored. */
  async empty() {
    while (this.queue.length && !this.isClosed) await new Promise((resolve) => setTimeout(resolve, 20));
  }

  async pump() {
    if (this.isSending) return;
    this.isSending = true;
    for (let attempt = 0; this.queue.length && !this.isClosed;) {
      if (attempt === 0) this.say("saving");
      attempt = (await this.attempt(this.queue[0])) ? 0 : attempt + 1;
      if (attempt)
        await new Promise((resolve) => setTimeout(resolve, PAUSES_MS[Math.min(attempt, PAUSES_MS.length) - 1]));
    }
    this.isSending = false;
    if (!this.queue.length) this.say("saved");
  }

  /**
   * Try to send an event; true if it is done with.
   * @param {Item} item
   */
  async attempt(item) {
    try {
      const event = { ...item.event, seq: this.seq };
      this.answered(
        item,
        await post(`/api/readings/${this.id}/events`, event, { keepalive: item.event.kind === "time" }),
      );
      return true;
    } catch (problem) {
      if (problem instanceof Away) this.say("away");
      else if (problem instanceof Declined && LATER.includes(problem.code)) this.say("full");
      else if (problem instanceof Declined) return this.drop(problem);
      else throw problem;
      return false;
    }
  }

  /**
   * @param {Item} item
   * @param {Json} answer
   */
  answered(item, answer) {
    const isNext = answer.seq === this.seq + 1;
    this.seq = answer.seq;
    this.queue.shift();
    this.keep();
    this.listener.answered(item, answer, isNext);
    item.done(answer);
  }

  /**
   * Give up what the server will never take: the case was changed elsewhere, or is signed.
   * @param {Declined} problem
   */
  drop(problem) {
    const dropped = this.queue.splice(0);
    this.keep();
    this.listener.declined(problem, dropped);
    dropped.forEach((item) => item.done(null));
    return true;
  }

  /** Keep what is not stored yet in the browser. */
  keep() {
    const events = this.queue.map((item, i) => ({ ...item.event, seq: this.seq + i }));
    try {
      if (events.length) localStorage.setItem(storageKey(this.id), JSON.stringify(events));
      else localStorage.removeItem(storageKey(this.id));
    } catch {
      // The browser's store is full or switched off: the events are still in memory.
    }
  }

  close() {
    this.isClosed = true;
  }
}

/**
 * Send what an earlier tab could not: the server stores each event once.
 * @param {string} id of the reading
 * @returns {Promise<number>} how many events were sent
 */
export async function sendLeftOver(id) {
  const events = JSON.parse(localStorage.getItem(storageKey(id)) ?? "[]");
  for (const [i, event] of events.entries()) {
    try {
      await post(`/api/readings/${id}/events`, event);
    } catch (problem) {
      if (!(problem instanceof Declined) || LATER.includes(problem.code)) throw problem;
      localStorage.removeItem(storageKey(id));
      return i;
    }
  }
  localStorage.removeItem(storageKey(id));
  return events.length;
}

/** @param {string} id */
function storageKey(id) {
  return `ctacal.unsent.${id}`;
}

/** A random identifier; `crypto.randomUUID` exists in secure contexts only. */
function uuid() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const hex = [...crypto.getRandomValues(new Uint8Array(16))]
    .map((byte) => byte.toString(16).padStart(2, "0"))
    .join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
