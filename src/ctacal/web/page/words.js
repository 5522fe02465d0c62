/**
 * Numbers and messages in plain words.
 * @module
 */

/**
 * A score as reports show it: a whole number, or one decimal below 10, so that a little calcium is not shown as 0.
 * @param {number} value
 */
export function scoreWords(value) {
  if (value === 0) return "0";
  if (value < 0.05) return "<0.1";
  const text = value < 9.95 ? value.toFixed(1) : Math.round(value).toString();
  return text.replace(/\B(?=(\d{3})+$)/g, ",");
}

/** @param {number} seconds */
export function timeWords(seconds) {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/**
 * @param {number | null | undefined} value
 * @param {number} digits
 * @param {string} unit
 */
export function measure(value, digits, unit) {
  return value === null || value === undefined ? "not recorded" : `${Number(value.toFixed(digits))} ${unit}`;
}

/**
 * @param {number} count
 * @param {string} one
 * @param {string} [many]
 */
export function counted(count, one, many = `${one}s`) {
  return `${count} ${count === 1 ? one : many}`;
}

/**
 * What went wrong, in the server's words or in ours.
 * @param {unknown} problem
 */
export function problemWords(problem) {
  return problem instanceof Error && problem.message ? problem.message : String(problem);
}

/**
 * The name of a label, short enough for a button and a table.
 * @param {number} value
 * @param {string} name
 */
export function shortName(value, name) {
  return { 3: "LCx", 5: "Coronary", 6: "Other" }[value] ?? name;
}
