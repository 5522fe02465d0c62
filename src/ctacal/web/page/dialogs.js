/**
 * Help, questions and messages.
 * @module
 */

import { byId, make } from "./dom.js";
import { GROUPS, MOUSE } from "./keys.js";
import { counted } from "./words.js";

/** @param {string} id */
function dialog(id) {
  return /** @type {HTMLDialogElement} */ (byId(id));
}

/** Show or hide keys and mouse. */
export function toggleHelp() {
  const help = dialog("help");
  if (help.open) return help.close();
  if (!help.childElementCount) help.append(...helpParts());
  return help.showModal();
}

function helpParts() {
  const row = (/** @type {string} */ keys, /** @type {string} */ words) =>
    make("tr", {}, [make("th", {}, make("kbd", {}, keys)), make("td", {}, words)]);
  const groups = GROUPS.map(({ title, keys }) =>
    make("section", {}, [
      make("h2", {}, title),
      make(
        "table",
        {},
        keys.map((key) => row(key.shown, key.does)),
      ),
    ]),
  );
  const mouse = make("section", {}, [
    make("h2", {}, "Mouse"),
    make(
      "table",
      {},
      MOUSE.map(([button, does]) => row(button, does)),
    ),
  ]);
  groups[1].append(...mouse.childNodes);
  const close = make("button", { click: () => dialog("help").close() }, ["Close", make("kbd", {}, "Esc")]);
  return [make("header", {}, [make("h1", {}, "Keys and mouse"), close]), make("div.columns", {}, groups)];
}

/**
 * Ask for a reason; null if the reader thinks better of it.
 * @param {{title: string, words: string, action: string}} question
 * @returns {Promise<string | null>}
 */
export function askReason({ title, words, action }) {
  const box = dialog("ask");
  const text = /** @type {HTMLTextAreaElement} */ (make("textarea", { rows: 3, "aria-label": title, required: true }));
  return new Promise((resolve) => {
    const answer = () => {
      if (text.value.trim()) [box.returnValue] = [text.value.trim()];
      if (text.value.trim()) box.close(text.value.trim());
    };
    const buttons = [
      make("button", { click: () => box.close("") }, "Cancel"),
      make("button.primary", { click: answer }, action),
    ];
    box.replaceChildren(make("h1", {}, title), make("p", {}, words), text, make("div.pair.right", {}, buttons));
    box.returnValue = "";
    box.addEventListener("close", () => resolve(box.returnValue || null), { once: true });
    box.showModal();
    text.focus();
  });
}

export function isDialogOpen() {
  return dialog("help").open || dialog("ask").open;
}

/**
 * Show a message above the images until it is closed or replaced.
 * @param {string} words
 * @param {"error" | "waiting" | "information"} kind
 * @param {{words: string, does: () => void}} [action]
 */
export function showBanner(words, kind, action) {
  const banner = byId("banner");
  const close = kind === "waiting" ? null : make("button.plain", { title: "Close (Esc)", click: hideBanner }, "✕");
  const offer = action ? make("button", { click: action.does }, action.words) : null;
  banner.className = kind;
  banner.replaceChildren(make("span", {}, words), make("span.gap"), ...[offer, close].filter((part) => part !== null));
  banner.hidden = false;
}

export function hideBanner() {
  byId("banner").hidden = true;
}

/**
 * Say whether what was clicked is stored.
 * @param {{status: string, waiting: number}} outbox
 */
export function showSaved({ status, waiting }) {
  const saved = byId("saved");
  saved.className = status;
  saved.textContent = { saved: "Saved", saving: "Saving", away: "Server away", full: "Not stored" }[status] ?? "";
  const marks = counted(waiting, "mark");
  const banner = byId("banner");
  if (status === "away") {
    showBanner(
      `The server does not answer. Nothing is lost: ${marks} ${waiting === 1 ? "waits" : "wait"} in this browser and will be stored as soon as it answers. You can go on marking.`,
      "waiting",
    );
  } else if (status === "full") {
    showBanner(
      `The server could not store ${marks}: its disk may be full, or your link has run out. Nothing is lost: they wait in this browser, and the page tries again. If it lasts, free space on the server or open the link again.`,
      "waiting",
    );
  } else if (status === "saved" && banner.className === "waiting") hideBanner();
}
