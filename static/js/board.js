// @ts-check
// The lag board: the first groups of what is asked for by push, the others read now and then; filtered, sorted and counted here.
import { addressOf, comparison, decisive, filterOf, isFiltered, readQuery, viewParams } from "ops/board-query";
import { boardCells, END, SHOWN, SPARK } from "ops/board-cells";
import { sentenceOf } from "ops/board-sentence";
import { patch, TONES, VERDICTS } from "ops/cells";
import { exact, THIN } from "ops/format";
import { hasColumn, live } from "ops/live";
import { showAge } from "ops/ages";
import { startSelection } from "ops/selection";
import { Tails } from "ops/spark";
import { VirtualRows } from "ops/virtual-rows";

/** @typedef {import("ops/board-query").Row} Row */
/** @typedef {import("ops/live").Table} Table */

const REST_EVERY_MS = 10000;
const REST_AFTER_TICK_MS = 2000; // between two ticks: what is read then slows neither
const TAIL_TURNS = 4;

const panel = /** @type {HTMLElement} */ (document.querySelector("[data-board]"));
const form = /** @type {HTMLFormElement} */ (document.querySelector("[data-board-filter]"));
const held = /** @type {HTMLElement} */ (panel.querySelector("[data-held]"));
const limit = /** @type {HTMLElement} */ (panel.querySelector("[data-limit]"));
const empty = /** @type {HTMLElement} */ (panel.querySelector("[data-empty]"));
const table = /** @type {HTMLTableElement} */ (panel.querySelector("table"));
const sentence = /** @type {HTMLElement} */ (document.querySelector("[data-verdict-sentence]"));
const chips = /** @type {HTMLAnchorElement[]} */ ([...form.querySelectorAll("[data-verdict]")]);
const cluster = panel.dataset.cluster ?? "";
const LIVE_ROWS = Number(panel.dataset.liveRows);
const query = readQuery(new URLSearchParams(location.search));

/** Rows of the live view (its very arrays), and those beyond it. @type {Map<string, Row>} */
const rows = new Map();
/** Keys that came by HTTP, beyond the live ones. @type {Set<string>} */
const beyond = new Set();
/** @type {string[]} */
let columns = [];
/** @type {Record<string, number>} */
let at = {};
/** @type {ReturnType<typeof boardCells>} */
let cells = {};
/** All keys as last sorted: the next sorting finds them nearly in order. @type {string[]} */
let order = [];
const tails = new Tails();
const virtual = new VirtualRows(/** @type {HTMLTableSectionElement} */ (table.tBodies[0]), fill);
let pointerInside = false;
let loaded = false;
let stale = false;
let now = Date.now() / 1000;
let turn = 0;

// --- Order ----------------------------------------------------------------------------------------------------------------
function ordered() {
  /** @type {[string, Row][]} */ const found = [];
  const known = new Set(order);
  for (const key of order) if (rows.has(key)) found.push([key, /** @type {Row} */ (rows.get(key))]);
  for (const [key, row] of rows) if (!known.has(key)) found.push([key, row]);
  found.sort(comparison(query.sort, at));
  order = found.map(([key]) => key);
  const matches = filterOf(query, at);
  return found.filter(([, row]) => matches(row)).map(([key]) => key);
}

/** Show rows in their order, unless the pointer rests on them: then say how many wait. @param {boolean} [now] */
function arrange(now = false) {
  const wanted = ordered();
  const shown = virtual.keys;
  const same = wanted.length === shown.length && wanted.every((key, index) => key === shown[index]);
  if (!same && pointerInside && !now) {
    const here = new Set(wanted);
    const kept = shown.filter((key) => here.has(key));
    const moved = wanted.reduce((count, key, index) => count + Number(key !== shown[index]), 0);
    if (kept.length !== shown.length) virtual.set(kept);
    held.hidden = false;
    /** @type {HTMLElement} */ (held.querySelector("[data-held-text]")).textContent = `${moved} row${moved === 1 ? "" : "s"} re-sorted`;
  } else if (!same || now) {
    held.hidden = true;
    virtual.set(wanted);
  }
  table.setAttribute("aria-rowcount", String(wanted.length + 1));
  empty.hidden = wanted.length > 0;
  if (!empty.hidden && loaded) sayEmpty();
  count();
  wantTails();
}

function sayEmpty() {
  const filtered = isFiltered(query);
  const title = empty.querySelector(".state__title");
  const text = empty.querySelector(".state__text");
  if (title) title.textContent = filtered ? "No group matches this filter" : "No consumer groups";
  if (text) text.textContent = filtered
    ? "Clear the filter, or wait: a group that turns up is listed by itself."
    : "No group has committed or joined on this cluster. The board fills by itself.";
}

// --- Counts, sentence, title -------------------------------------------------------------------------------------------------
function count() {
  if (!loaded) return;
  /** @type {Record<string, number>} */ const here = {};
  /** @type {Record<string, number>} */ const all = {};
  let worst = /** @type {Row|null} */ (null);
  const matches = filterOf(query, at, true);
  for (const row of rows.values()) {
    const verdict = row[at.verdict];
    all[verdict] = (all[verdict] ?? 0) + 1;
    if (matches(row)) here[verdict] = (here[verdict] ?? 0) + 1;
    if (row[at.lag_seconds] !== null && (worst === null || row[at.lag_seconds] > worst[at.lag_seconds])) worst = row;
  }
  for (const chip of chips) {
    const verdict = chip.dataset.verdict ?? "";
    const number = here[verdict] ?? 0;
    const chosen = query.verdict.has(verdict);
    chip.hidden = !number && !chosen;
    if (chosen) chip.setAttribute("aria-current", "true");
    else chip.removeAttribute("aria-current");
    const text = /** @type {HTMLElement} */ (chip.querySelector("[data-count]"));
    if (text.textContent !== String(number)) text.textContent = String(number);
  }
  const said = sentenceOf(all, worst && { group: worst[at.group], lag_seconds: worst[at.lag_seconds] });
  if (sentence.textContent !== said) sentence.textContent = said;
  const red = VERDICTS.reduce((sum, verdict) => sum + (TONES[verdict] === "critical" ? (all[verdict] ?? 0) : 0), 0);
  const title = `${red ? `(${red}) ` : ""}Lag · ${cluster} · Ops Portal`;
  if (document.title !== title) document.title = title;
  limit.hidden = !beyond.size;
  if (beyond.size) limit.textContent = `The first ${LIVE_ROWS} of ${exact(rows.size)} groups move by push, in this order and with this filter. The others are read every ${REST_EVERY_MS / 1000}${THIN}s.`;
}

// --- Cells --------------------------------------------------------------------------------------------------------------------
/** @param {string} key @param {HTMLTableRowElement} element */
function fill(key, element) {
  if (!element.cells.length) {
    for (const name of SHOWN) {
      const cell = document.createElement(name === "group" ? "th" : "td");
      cell.className = `col-${name}${END.has(name) ? " end" : ""}`;
      cell.setAttribute("role", name === "group" ? "rowheader" : "cell");
      if (name === "group") cell.setAttribute("scope", "row");
      element.append(cell);
    }
  }
  draw(key, element, false);
}

/** @param {string} key @param {HTMLTableRowElement} element @param {boolean} glow */
function draw(key, element, glow) {
  const row = rows.get(key);
  if (!row) return;
  SHOWN.forEach((name, index) => patch(element.cells[index], cells[name](row, key), glow && index !== SPARK));
  element.classList.toggle("is-stale", stale || row[at.verdict] === "unknown");
  selection.mark(key, element);
}

// --- Live -----------------------------------------------------------------------------------------------------------------------
const view = live.subscribe("lag.board", { cluster, limit: LIVE_ROWS }, {
  onSnapshot(view) {
    now = live.now();
    setColumns(view.columns);
    const part = view.rows.size >= LIVE_ROWS || beyond.size > 0 || JSON.stringify(asking) !== "{}";
    for (const key of rows.keys()) if (!view.rows.has(key)) part ? beyond.add(key) : rows.delete(key);
    for (const [key, row] of view.rows) {
      rows.set(key, row);
      beyond.delete(key);
    }
    loaded = true;
    showAge("lag.board", view.ts);
    noteShown();
    for (const [key, element] of virtual.shown) draw(key, element, false);
    arrange();
    if (part) startRest();
  },
  onDelta(view, changed, deleted) {
    now = live.now();
    showAge("lag.board", view.ts);
    for (const key of deleted) restStarted ? beyond.add(key) : rows.delete(key);
    let moved = deleted.length > 0;
    let told = false;
    const decides = decisive(query).map((name) => columns.indexOf(name)).filter((index) => index >= 0);
    for (const [key, mask] of changed) {
      const row = view.rows.get(key);
      if (!mask || !row) continue;
      const known = rows.has(key);
      rows.set(key, row);
      beyond.delete(key);
      moved ||= !known || decides.some((index) => hasColumn(mask, index));
      told = true;
    }
    noteShown();
    redraw(changed);
    if (moved) arrange();
    else if (told) count();
    if (restStarted && !restPlaced && restDue - performance.now() < REST_EVERY_MS / 2) {
      restPlaced = true;
      restIn(REST_AFTER_TICK_MS);
    }
  },
  onState(state) {
    stale = state.state === "stale" || state.state === "over";
    panel.dataset.state = stale ? "stale" : "live";
    showAge("lag.board", undefined, state);
  },
});

/** @param {string[]} names */
function setColumns(names) {
  if (columns.length) return;
  columns = names;
  at = Object.fromEntries(names.map((name, index) => [name, index]));
  cells = boardCells(at, panel.dataset.groupUrl ?? "", (key, tone) => tails.svg(key, now, tone));
}

function noteShown() {
  for (const key of virtual.shown.keys()) {
    const row = rows.get(key);
    if (row) tails.add(key, row[at.observed_at] ? Date.parse(row[at.observed_at]) / 1000 : now, row[at.lag_records]);
  }
}

/**
 * Only what is on the screen, only what changed. The tail of a row that rests moves two pixels in 15 s: it waits for its turn.
 * @param {Map<string, number>} changed @param {boolean} [everyTail]
 */
function redraw(changed, everyTail = false) {
  turn = (turn + 1) % TAIL_TURNS;
  requestAnimationFrame(() => {
    let index = 0;
    for (const [key, element] of virtual.shown) {
      index += 1;
      const row = rows.get(key);
      if (!row) continue;
      if (changed.get(key)) draw(key, element, true);
      else if ((everyTail || index % TAIL_TURNS === turn) && tails.has(key)) patch(element.cells[SPARK], cells.spark(row, key), false);
    }
  });
}

// --- Beyond the live rows: read by HTTP now and then; what is asked for is what is live --------------------------------------------
let restStarted = false;
let restAt = "";
let restTimer = 0;
let restDue = 0;
let restPlaced = false;
/** What the live view is asked for beside the cluster. @type {Record<string, any>} */
let asking = {};
let followTimer = 0;

function startRest() {
  if (restStarted) return;
  restStarted = true;
  follow();
  loadRest();
}

/** @param {number} ms */
function restIn(ms) {
  clearTimeout(restTimer);
  restTimer = window.setTimeout(loadRest, ms);
}

/** Push the first rows of the present filter and order: with few groups all are live anyway. */
function follow() {
  if (!restStarted) return;
  clearTimeout(followTimer);
  followTimer = window.setTimeout(() => {
    const wanted = viewParams(query);
    if (JSON.stringify(wanted) === JSON.stringify(asking) || (wanted.sort === "severity" && !isFiltered(query) && !("sort" in asking))) return;
    asking = wanted;
    view.change({ cluster, limit: LIVE_ROWS, ...wanted });
  }, 300);
}

async function loadRest() {
  try {
    if (document.hidden) return;
    const answer = await fetch(`${panel.dataset.rowsUrl}?have=${encodeURIComponent(restAt)}`).catch(() => null);
    if (answer?.status !== 200) return;
    takeRest(await answer.json());
  } finally {
    restDue = performance.now() + REST_EVERY_MS;
    restPlaced = false;
    restIn(REST_EVERY_MS + REST_AFTER_TICK_MS);
  }
}

/** @param {{at: string, keys: string[], rows: Row[]}} found rows in the columns of the live view */
function takeRest(found) {
  restAt = found.at;
  const pushed = view.table.rows;
  const decides = decisive(query).map((name) => columns.indexOf(name)).filter((index) => index >= 0);
  /** @type {Map<string, number>} */ const changed = new Map();
  let moved = false;
  found.keys.forEach((key, index) => {
    if (pushed.has(key)) return;
    const [row, old] = [found.rows[index], rows.get(key)];
    moved ||= !old || decides.some((column) => row[column] !== old[column]);
    rows.set(key, row);
    beyond.add(key);
    if (virtual.shown.has(key)) changed.set(key, 1);
  });
  const here = new Set(found.keys);
  for (const key of beyond) if (!here.has(key) && !pushed.has(key)) { rows.delete(key); beyond.delete(key); moved = true; }
  redraw(changed);
  if (moved) arrange();
  else count();
}

// --- Tails before this page was opened -------------------------------------------------------------------------------------------
/** @type {Set<string>} */
const askedTails = new Set();
let tailTimer = 0;

function wantTails() {
  clearTimeout(tailTimer);
  tailTimer = window.setTimeout(async () => {
    const shown = virtual.shown;
    for (const key of askedTails) if (!shown.has(key)) askedTails.delete(key); // asked for again when it comes back
    tails.keep((key) => shown.has(key));
    const keys = [...shown.keys()].filter((key) => !askedTails.has(key)).slice(0, 100);
    if (!keys.length) return;
    for (const key of keys) askedTails.add(key);
    const answer = await fetch(`${panel.dataset.sparkUrl}?${keys.map((key) => `id=${key}`).join("&")}`).catch(() => null);
    if (!answer?.ok) return;
    for (const [key, points] of Object.entries(await answer.json())) tails.prepend(key, points);
    redraw(new Map(), true);
    wantTails(); // a large window shows more rows than one question may name
  }, 150);
}
addEventListener("scroll", wantTails, { passive: true });

// --- People ---------------------------------------------------------------------------------------------------------------------
const selection = startSelection(panel, () => virtual, (key) => rows.get(key)?.[at.group] ?? "");

function asked() {
  history.replaceState(null, "", location.pathname + addressOf(query));
  for (const link of /** @type {NodeListOf<HTMLAnchorElement>} */ (document.querySelectorAll("[data-export]"))) link.search = addressOf(query);
  /** @type {HTMLElement} */ (form.querySelector("[data-clear]")).hidden = !isFiltered(query);
  for (const head of table.tHead?.rows[0].cells ?? []) {
    const link = /** @type {HTMLElement|null} */ (head.querySelector("[data-sort-key]"));
    if (!link) continue;
    const here = query.sort.replace("-", "") === link.dataset.sortKey;
    head.setAttribute("aria-sort", here ? (query.sort.startsWith("-") ? "descending" : "ascending") : "none");
  }
  if (!loaded) return;
  arrange(true);
  follow();
}

table.tBodies[0].addEventListener("pointerenter", () => { pointerInside = true; });
table.tBodies[0].addEventListener("pointerleave", () => { pointerInside = false; if (!held.hidden) arrange(true); });
held.addEventListener("click", () => arrange(true));
table.tHead?.addEventListener("click", (event) => {
  const link = /** @type {HTMLElement|null} */ (/** @type {Element} */ (event.target).closest("[data-sort-key]"));
  if (!link || event.ctrlKey || event.metaKey || !loaded) return;
  event.preventDefault();
  const key = link.dataset.sortKey ?? "severity";
  const here = query.sort.replace("-", "") === key;
  const first = END.has(key) && key !== "catch_up_seconds" ? `-${key}` : key;
  query.sort = here ? (query.sort.startsWith("-") ? key : `-${key}`) : first;
  asked();
});
form.addEventListener("click", (event) => {
  const target = /** @type {Element} */ (event.target);
  const chip = /** @type {HTMLElement|null} */ (target.closest("[data-verdict]"));
  const clear = target.closest("[data-clear]");
  if ((!chip && !clear) || !loaded || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  if (chip) {
    const verdict = chip.dataset.verdict ?? "";
    if (!query.verdict.delete(verdict)) query.verdict.add(verdict);
  } else {
    Object.assign(query, { q: "", verdict: new Set(), client: "", state: "" });
    form.querySelectorAll("input[type=search], select").forEach((field) => { /** @type {HTMLInputElement} */ (field).value = ""; });
  }
  asked();
});
form.addEventListener("input", () => {
  const data = new FormData(form);
  query.q = String(data.get("q") ?? "").trim();
  query.client = String(data.get("client") ?? "");
  query.state = String(data.get("state") ?? "");
  asked();
});
form.addEventListener("submit", (event) => loaded && event.preventDefault());
document.addEventListener("keydown", (event) => {
  const target = /** @type {HTMLElement} */ (event.target);
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape" && target.matches("[data-page-filter]")) return target.blur();
  if (target.closest("input, textarea, select, dialog[open]")) return;
  if (event.key === "j") virtual.focus(virtual.focused() + 1);
  else if (event.key === "k") virtual.focus(Math.max(0, virtual.focused() - 1));
  else if (event.key === "x") selection.toggle(virtual.focused());
  else if (event.key === "Escape") selection.clear();
});
