"use strict";
/* Keeps a page fresh without flicker: the page is fetched again, and only the parts that changed are put in place.
   Buttons post what they ask for; the header proves that the request comes from this page. */
const REFRESH_MS = 5000, SAID_MS = 6000, LATE_MS = 20000;
const offline = document.getElementById("offline"), said = document.getElementById("said");
let last = Date.now(), busy = false, timer = 0;

function say(text) {
  said.textContent = text;
  said.hidden = false;
  clearTimeout(say.timer);
  say.timer = setTimeout(() => { said.hidden = true; }, SAID_MS);
}

function reading() { /* somebody selects or types: the page waits */
  const chosen = document.getSelection();
  return (chosen && !chosen.isCollapsed) || document.activeElement?.matches("input");
}

function put(fresh) {
  for (const part of document.querySelectorAll("[data-live]")) {
    const next = fresh.getElementById(part.id);
    if (!next || next.outerHTML === part.outerHTML) continue;
    const held = part.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    part.replaceWith(document.importNode(next, true));
    if (held) document.querySelector(`[data-key="${CSS.escape(held)}"]`)?.focus();
  }
  document.title = fresh.title;
}

async function refresh(forced) {
  clearTimeout(timer);
  if (!busy && (forced || (!document.hidden && !reading()))) {
    busy = true;
    try {
      const answer = await fetch(location.href, { headers: { "X-Ctacal": "1" }, cache: "no-store", signal: AbortSignal.timeout(LATE_MS) });
      if (answer.status === 401) { location.assign("/sign-in"); return; }
      if (!answer.ok) throw new Error(String(answer.status));
      put(new DOMParser().parseFromString(await answer.text(), "text/html"));
      last = Date.now();
      offline.hidden = true;
    } catch {
      offline.textContent = `No answer from the node since ${new Date(last).toLocaleTimeString()}. What is shown is old.`;
      offline.hidden = false;
    } finally {
      busy = false;
    }
  }
  timer = setTimeout(refresh, REFRESH_MS);
}

async function post(path, content) {
  return fetch(path, { method: "POST", headers: { "X-Ctacal": "1", "Content-Type": "application/json" }, body: JSON.stringify(content) });
}

async function press(button) {
  if (button.dataset.ask && !confirm(button.dataset.ask)) return;
  button.disabled = true;
  try {
    const answer = await post(button.dataset.post, JSON.parse(button.dataset.body || "{}"));
    const content = await answer.json();
    if (answer.ok && content.go) { location.assign(content.go); return; }
    say(answer.ok ? content.message : content.error.message);
  } catch {
    say("The node does not answer. Nothing was done.");
  } finally {
    button.disabled = false;
  }
  await refresh(true);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-post]");
  if (button) press(button);
});

const signIn = document.getElementById("sign-in");
if (signIn) {
  signIn.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      const answer = await post("/sign-in", { token: document.getElementById("token").value.trim() });
      if (answer.ok) location.assign("/");
      else say((await answer.json()).error.message);
    } catch {
      say("The node does not answer.");
    }
  });
} else {
  document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
  timer = setTimeout(refresh, REFRESH_MS);
}
