/**
 * Elements of the page.
 * @module
 */

/** @typedef {Node | string | number | null | undefined | false} Child */

/**
 * Make an element; properties that are functions listen to the event of their name.
 * @param {string} tag with classes: "td.number"
 * @param {Record<string, any>} [properties]
 * @param {Child | Child[]} [children]
 * @returns {HTMLElement}
 */
export function make(tag, properties = {}, children = []) {
  const [name, ...classes] = tag.split(".");
  const element = document.createElement(name);
  element.classList.add(...classes);
  for (const [key, value] of Object.entries(properties)) {
    if (typeof value === "function") element.addEventListener(key, value);
    else if (key in element && typeof value !== "string") /** @type {any} */ (element)[key] = value;
    else if (value !== null && value !== undefined) element.setAttribute(key, String(value));
  }
  element.append(
    ...[children]
      .flat()
      .filter(isShown)
      .map((child) => (child instanceof Node ? child : String(child))),
  );
  return element;
}

/**
 * @param {Child} child
 * @returns {child is Node | string | number}
 */
function isShown(child) {
  return child !== null && child !== undefined && child !== false;
}

/**
 * The element with an id; it must exist.
 * @param {string} id
 * @returns {HTMLElement}
 */
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`the page has no element #${id}`);
  return element;
}

/**
 * A patch of a label's colour.
 * @param {string | undefined} colour undefined: no label
 */
export function chip(colour) {
  const patch = make(colour ? "i.chip" : "i.chip.none");
  if (colour) patch.style.background = colour;
  return patch;
}
