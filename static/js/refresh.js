// @ts-check
// Pages that the server draws and a live view keeps current: on news the page is asked again, and what changed is replaced.
import { live } from "ops/live";

const SOONEST_MS = 1500;
let last = 0;
let timer = 0;
let running = false;

function soon() {
  if (document.hidden || timer) return;
  timer = window.setTimeout(refresh, Math.max(0, last + SOONEST_MS - Date.now()));
}

async function refresh() {
  timer = 0;
  if (running) return;
  running = true;
  try {
    const answer = await fetch(location.href, { headers: { "X-Refresh": "1" } });
    if (!answer.ok || answer.redirected) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (fresh.querySelectorAll("[data-refresh]").length !== document.querySelectorAll("[data-refresh]").length) {
      const main = fresh.querySelector("main");
      if (main) document.querySelector("main")?.replaceChildren(...main.childNodes);
    } else for (const part of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-refresh][id]"))) replace(part, fresh);
    const sentence = document.querySelector("[data-verdict-sentence]");
    const said = fresh.querySelector("[data-verdict-sentence]");
    if (sentence && said && sentence.textContent !== said.textContent) sentence.textContent = said.textContent;
    if (fresh.title && document.title !== fresh.title) document.title = fresh.title;
  } finally {
    last = Date.now();
    running = false;
  }
}

/** @param {HTMLElement} part @param {Document} fresh */
function replace(part, fresh) {
  const other = fresh.getElementById(part.id);
  if (!other || part.contains(document.activeElement)) return;
  if (other.innerHTML !== part.dataset.was) {
    part.dataset.was = other.innerHTML;
    const open = [...part.querySelectorAll("details[open][id]")].map((fold) => fold.id);
    part.innerHTML = other.innerHTML;
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  }
  if (other.dataset.state !== undefined) part.dataset.state = other.dataset.state;
}

for (const marker of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-refresh-view]"))) {
  live.subscribe(marker.dataset.refreshView ?? "", JSON.parse(marker.dataset.refreshParams ?? "{}"), {
    onDelta: soon,
    onSnapshot: (table) => {
      // What came between the drawing of the page and this socket has been heard by nobody.
      const missed = marker.dataset.refreshAt && (table.ts ?? 0) > Number(marker.dataset.refreshAt);
      if (last || missed) soon();
      else last = Date.now();
    },
    onState: (state) => { if (state.state === "stale" && state.why !== "socket") soon(); },
  });
}
