/**
 * Requests to the server of this page, and what can go wrong with them.
 * @module
 */

/** @typedef {Record<string, any>} Json */

/** The server answered that it cannot do what was asked. */
export class Declined extends Error {
  /**
   * @param {number} status
   * @param {Json} error
   */
  constructor(status, error) {
    super(error.message);
    this.status = status;
    /** @type {string} */
    this.code = error.code;
    this.error = error;
  }
}

/** The server gave no answer: it is stopped, or the network is. */
export class Away extends Error {}

/**
 * @param {string} path
 * @param {RequestInit} options
 */
async function answer(path, options) {
  let response;
  try {
    response = await fetch(path, { ...options, credentials: "same-origin", cache: "no-store" });
    if (response.ok) return response;
  } catch (problem) {
    throw new Away(String(problem));
  }
  throw new Declined(response.status, await errorOf(response));
}

/** @param {Response} response */
async function errorOf(response) {
  try {
    const body = await response.json();
    return { ...body, ...body.error };
  } catch {
    return { code: "INTERNAL", message: `The server answered ${response.status} without a reason.` };
  }
}

/**
 * @param {string} path
 * @returns {Promise<any>}
 */
export async function get(path) {
  return readJson(await answer(path, {}));
}

/**
 * @param {string} path
 * @param {Json} body
 * @param {{keepalive?: boolean}} [options] keepalive: sent even if the tab is closed now
 * @returns {Promise<any>}
 */
export async function post(path, body, options = {}) {
  const headers = { "Content-Type": "application/json", "X-Ctacal": "1" };
  return readJson(await answer(path, { method: "POST", headers, body: JSON.stringify(body), ...options }));
}

/** @param {string} path */
export async function bytes(path) {
  const response = await answer(path, {});
  try {
    return await response.arrayBuffer();
  } catch (problem) {
    throw new Away(String(problem));
  }
}

/** @param {Response} response */
async function readJson(response) {
  try {
    return await response.json();
  } catch (problem) {
    throw new Away(String(problem));
  }
}
