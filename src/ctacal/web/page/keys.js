/**
 * Every key and what it does: the one table behind the keyboard and the help.
 * @module
 */

/** @typedef {{keys: string[], shown: string, does: string, action: string}} Key */

/** @type {{title: string, keys: Key[]}[]} */
export const GROUPS = [
  {
    title: "Marking",
    keys: [
      {
        keys: ["0", "1", "2", "3", "4", "5", "6"],
        shown: "1 – 6, 0",
        does: "label of the next click; a candidate chosen with N or P gets it at once",
        action: "label",
      },
      { keys: ["v"], shown: "V", does: "click: label a whole candidate", action: "tool:click" },
      { keys: ["a"], shown: "A", does: "lasso: label what lies inside", action: "tool:lasso" },
      { keys: ["b"], shown: "B", does: "brush, bound to the threshold", action: "tool:brush" },
      { keys: ["e"], shown: "E", does: "eraser", action: "tool:eraser" },
      { keys: ["x"], shown: "X", does: "cut: a line parts a plaque from what it touches", action: "tool:cut" },
      {
        keys: ["["],
        shown: "[",
        does: "depth limit of click, lasso, brush and cut: fewer slices",
        action: "shallower",
      },
      { keys: ["]"], shown: "]", does: "more slices, at last without limit", action: "deeper" },
      { keys: ["-", "_"], shown: "−", does: "smaller brush", action: "smaller" },
      { keys: ["+", "="], shown: "+", does: "larger brush", action: "larger" },
      { keys: ["z", "Control+z", "Meta+z"], shown: "Z", does: "undo, as far back as you like", action: "undo" },
      { keys: ["Z", "Control+Z", "Meta+Z", "Control+y"], shown: "Shift + Z", does: "redo", action: "redo" },
    ],
  },
  {
    title: "Candidates and cases",
    keys: [
      { keys: ["n"], shown: "N", does: "next candidate", action: "nextCandidate" },
      { keys: ["p"], shown: "P", does: "previous candidate", action: "previousCandidate" },
      { keys: ["k"], shown: "K", does: "show or hide noise below the rule's floor", action: "noise" },
      { keys: ["Enter"], shown: "Enter", does: "sign, and open the next case", action: "sign" },
      { keys: ["N"], shown: "Shift + N", does: "next case without signing", action: "nextCase" },
      { keys: ["P"], shown: "Shift + P", does: "previous case", action: "previousCase" },
      { keys: ["l"], shown: "L", does: "work list", action: "list" },
      { keys: ["?"], shown: "?", does: "this help", action: "help" },
      {
        keys: ["Escape"],
        shown: "Esc",
        does: "drop the line being drawn, the chosen candidate, a measurement",
        action: "escape",
      },
    ],
  },
  {
    title: "Looking",
    keys: [
      { keys: ["ArrowUp", "PageUp"], shown: "↑", does: "slice towards the head (also wheel)", action: "up" },
      { keys: ["ArrowDown", "PageDown"], shown: "↓", does: "slice towards the feet", action: "down" },
      { keys: ["Home"], shown: "Home", does: "top of the heart", action: "top" },
      { keys: ["End"], shown: "End", does: "bottom of the heart", action: "bottom" },
      { keys: ["7"], shown: "7", does: "calcium window", action: "window:calcium" },
      { keys: ["8"], shown: "8", does: "soft tissue window", action: "window:soft" },
      { keys: ["9"], shown: "9", does: "lung window", action: "window:lung" },
      { keys: ["h"], shown: "H (hold)", does: "hide all marks", action: "hide" },
      { keys: ["m"], shown: "M", does: "measure a distance in mm", action: "tool:measure" },
      { keys: ["i"], shown: "I", does: "pixels smooth or as they are", action: "smooth" },
      { keys: ["f"], shown: "F", does: "fit the heart into the window", action: "fit" },
    ],
  },
];

/** What the mouse does. */
export const MOUSE = [
  ["Left", "the chosen tool; in the small views: go to this point"],
  ["Wheel", "through the slices"],
  ["Right, drag", "window: across is width, up and down is level"],
  ["Middle, drag", "move the image (also Shift + left)"],
  ["Ctrl + wheel", "zoom"],
  ["Double click", "fit a small view"],
];

const BY_KEY = new Map(
  GROUPS.flatMap(({ keys }) => keys).flatMap((entry) => entry.keys.map((key) => [key, entry.action])),
);

/**
 * The action of a pressed key; undefined if it has none.
 * @param {KeyboardEvent} event
 * @returns {string | undefined}
 */
export function actionOf(event) {
  if (event.altKey) return undefined;
  const chord = event.ctrlKey || event.metaKey;
  return BY_KEY.get(chord ? `${event.ctrlKey ? "Control" : "Meta"}+${event.key}` : event.key);
}
