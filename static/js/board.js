// @ts-check
// The lag board: one live view of the worst groups, the rest by HTTP, filtered, sorted and counted here.
import { bound, escape, figure, patch, seconds, TONES, unknown, VERDICTS, verdictPill, words } from "ops/cells";
import { duration, THIN } from "ops/format";
import { hasColumn, live } from "ops/live";
import { showAge } from "ops/ages";
import { Tails } from "ops/spark";
import { VirtualRows } from "ops/virtual-rows";

/** @typedef {Record<string, any>} Row a group: the columns of the view lag.board */

const LIVE_ROWS = 500;
const REST_EVERY_MS = 10000;
const SHOWN = ["verdict", "group", "client", "state", "members", "worst_topic", "lag_records", "lag_seconds", "produce_rate", "consume_rate", "spark", "catch_up_seconds"];
const SPARK = SHOWN.indexOf("spark");
const TAIL_TURNS = 4;
const END = new Set(["members", "lag_records", "lag_seconds", "produce_rate", "consume_rate", "catch_up_seconds"]);
const TEXT = new Set(["group", "client"]);

const panel = /** @type {HTMLElement} */ (document.querySelector("[data-board]"));
const form = /** @type {HTMLFormElement} */ (document.querySelector("[data-board-filter]"));
const held = /** @type {HTMLElement} */ (panel.querySelector("[data-held]"));
const empty = /** @type {HTMLElement} */ (panel.querySelector("[data-empty]"));
const table = /** @type {HTMLTableElement} */ (panel.querySelector("table"));
const cluster = panel.dataset.cluster ?? "";

/** @type {Map<string, Row>} */
const rows = new Map();
/** Keys that came by HTTP, beyond the live ones. @type {Set<string>} */
const beyond = new Set();
const tails = new Tails();
const virtual = new VirtualRows(/** @type {HTMLTableSectionElement} */ (table.tBodies[0]), fill);
let pointerInside = false;
let loaded = false;
let stale = false;
let now = Date.now() / 1000;
let turn = 0;

// --- What is asked for: lives in the address --------------------------------------------------------------------------
const query = read(new URLSearchParams(location.search));

/** @param {URLSearchParams} params */
function read(params) {
  return {
    q: params.get("q") ?? "",
    verdict: new Set(params.getAll("verdict")),
    client: params.get("client") ?? "",
    state: params.get("state") ?? "",
    sort: params.get("sort") ?? "severity",
  };
}

function search() {
  const params = new URLSearchParams();
  if (query.q) params.set("q", query.q);
  for (const verdict of VERDICTS) if (query.verdict.has(verdict)) params.append("verdict", verdict);
  if (query.client) params.set("client", query.client);
  if (query.state) params.set("state", query.state);
  if (query.sort !== "severity") params.set("sort", query.sort);
  const text = params.toString();
  return text ? `?${text}` : "";
}

function asked() {
  history.replaceState(null, "", location.pathname + search());
  for (const link of /** @type {NodeListOf<HTMLAnchorElement>} */ (document.querySelectorAll("[data-export]"))) link.search = search();
  const clear = /** @type {HTMLElement} */ (form.querySelector("[data-clear]"));
  clear.hidden = !(query.q || query.verdict.size || query.client || query.state);
  for (const head of table.tHead?.rows[0].cells ?? []) {
    const link = /** @type {HTMLElement|null} */ (head.querySelector("[data-sort-key]"));
    if (!link) continue;
    const here = query.sort.replace("-", "") === link.dataset.sortKey;
    head.setAttribute("aria-sort", here ? (query.sort.startsWith("-") ? "descending" : "ascending") : "none");
  }
  if (loaded) arrange(true);
}

// --- Order ----------------------------------------------------------------------------------------------------------------
/** @param {Row} row */
const matches = (row) =>
  (!query.verdict.size || query.verdict.has(row.verdict)) &&
  (!query.client || row.client === query.client) &&
  (!query.state || row.state === query.state) &&
  (!query.q || row.group.toLowerCase().includes(query.q.toLowerCase()));

const severity = Object.fromEntries(VERDICTS.map((verdict, rank) => [verdict, rank]));
const byText = (/** @type {string} */ a, /** @type {string} */ b) => (a < b ? -1 : a > b ? 1 : 0);

/** Rows as the server sorts them: unknown last, ties by name. @returns {string[]} */
function ordered() {
  const name = query.sort.replace("-", "");
  const turn = query.sort.startsWith("-") ? -1 : 1;
  const value = (/** @type {Row} */ row) => (name === "severity" ? severity[row.verdict] : row[name]);
  const found = [...rows.entries()].filter(([, row]) => matches(row));
  found.sort(([, a], [, b]) => {
    const [x, y] = [value(a) ?? null, value(b) ?? null];
    if (x === y) return byText(a.group, b.group);
    if (x === null || y === null) return x === null ? 1 : -1;
    return (TEXT.has(name) ? byText(x, y) : x - y) * turn || byText(a.group, b.group);
  });
  return found.map(([key]) => key);
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
  const filtered = query.q || query.verdict.size || query.client || query.state;
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
  /** @type {Record<string, number>} */ const chips = {};
  /** @type {Record<string, number>} */ const all = {};
  let worst = /** @type {Row|null} */ (null);
  const wanted = query.verdict;
  query.verdict = new Set();
  for (const row of rows.values()) {
    all[row.verdict] = (all[row.verdict] ?? 0) + 1;
    if (matches(row)) chips[row.verdict] = (chips[row.verdict] ?? 0) + 1;
    if (row.lag_seconds !== null && (worst === null || row.lag_seconds > worst.lag_seconds)) worst = row;
  }
  query.verdict = wanted;
  for (const chip of /** @type {NodeListOf<HTMLAnchorElement>} */ (form.querySelectorAll("[data-verdict]"))) {
    const verdict = chip.dataset.verdict ?? "";
    const number = chips[verdict] ?? 0;
    chip.hidden = !number && !wanted.has(verdict);
    if (wanted.has(verdict)) chip.setAttribute("aria-current", "true");
    else chip.removeAttribute("aria-current");
    const text = /** @type {HTMLElement} */ (chip.querySelector("[data-count]"));
    if (text.textContent !== String(number)) text.textContent = String(number);
  }
  const sentence = /** @type {HTMLElement} */ (document.querySelector("[data-verdict-sentence]"));
  const said = say(all, worst);
  if (sentence.textContent !== said) sentence.textContent = said;
  const red = VERDICTS.reduce((sum, verdict) => sum + (TONES[verdict] === "critical" ? (all[verdict] ?? 0) : 0), 0);
  const title = `${red ? `(${red}) ` : ""}Lag · ${cluster} · Ops Portal`;
  if (document.title !== title) document.title = title;
}

/** The sentence of lag/sentences.py. @param {Record<string, number>} counts @param {Row | null} worst */
export function say(counts, worst) {
  const total = Object.values(counts).reduce((sum, one) => sum + one, 0);
  const groups = `${total}${THIN}group${total === 1 ? "" : "s"}`;
  if (!total) return "No consumer groups yet.";
  const troubled = VERDICTS.filter((verdict) => !["ok", "catching_up", "unknown"].includes(verdict) && counts[verdict]);
  if (troubled.length) {
    const number = troubled.reduce((sum, verdict) => sum + counts[verdict], 0);
    const list = troubled.map((verdict) => `${counts[verdict]} ${words(verdict)}`).join(", ");
    const tail = worst && worst.lag_seconds > 0 ? `; worst ${worst.group}, ${duration(worst.lag_seconds)} behind` : "";
    return `${number} of ${groups} ${number === 1 ? "needs" : "need"} attention: ${list}${tail}.`;
  }
  if (counts.unknown) return `${counts.unknown} of ${groups} ${counts.unknown === 1 ? "is" : "are"} unknown.`;
  if (counts.catching_up) return `${counts.catching_up} of ${groups} ${counts.catching_up === 1 ? "is" : "are"} catching up, the others keep up.`;
  return total === 1 ? "The only group keeps up." : `All ${groups} keep up.`;
}

// --- Cells --------------------------------------------------------------------------------------------------------------------
/** @param {string} group @param {string} key */
function address(group, key) {
  const plain = group && !group.includes("/") && group !== "." && group !== ".." && !group.startsWith("~");
  return (panel.dataset.groupUrl ?? "").replace("GROUP", plain ? encodeURIComponent(group) : `~${key}`);
}

/** @type {Record<string, (row: Row, key: string) => string>} */
const CELLS = {
  verdict: (row) => verdictPill(row.verdict, row.reason),
  group: (row, key) => `<a class="truncate" href="${escape(address(row.group, key))}" title="${escape(row.group)}">${escape(row.group)}</a>`,
  client: (row) => `<span class="truncate">${escape(row.client)}</span>`,
  state: (row) => words(row.state),
  members: (row) => figure(row.members, "", row.reason),
  worst_topic: (row) => `<span class="truncate" title="${escape(row.worst_topic)}">${escape(row.worst_topic)}</span>`,
  lag_records: (row) => figure(row.lag_records, "", row.reason),
  lag_seconds: (row) => seconds(row.lag_seconds, row.reason) + bound(row.bound),
  produce_rate: (row) => figure(row.produce_rate, "/s", "not known, or the topic is shared"),
  consume_rate: (row) => figure(row.consume_rate, "/s", row.reason),
  spark: (row, key) => tails.svg(key, now, TONES[row.verdict] === "critical" ? "critical" : ""),
  catch_up_seconds: (row) =>
    row.catch_up_seconds === null || row.catch_up_seconds === undefined
      ? row.lag_records === null ? unknown(row.reason) : '<span class="faint" title="not converging, or not known">no estimate</span>'
      : row.catch_up_seconds === 0 ? '<span class="faint">caught up</span>' : seconds(row.catch_up_seconds),
};

/** @param {string} key @param {HTMLTableRowElement} element */
function fill(key, element) {
  const row = rows.get(key);
  if (!row) return;
  if (!element.cells.length) {
    for (const name of SHOWN) {
      const cell = document.createElement(name === "group" ? "th" : "td");
      cell.className = `col-${name}${END.has(name) ? " end" : ""}`;
      cell.setAttribute("role", name === "group" ? "rowheader" : "cell");
      if (name === "group") cell.setAttribute("scope", "row");
      element.append(cell);
    }
  }
  draw(key, row, element, false);
}

/** @param {string} key @param {Row} row @param {HTMLTableRowElement} element @param {boolean} glow */
function draw(key, row, element, glow) {
  SHOWN.forEach((name, index) => patch(element.cells[index], CELLS[name](row, key), glow && name !== "spark"));
  element.classList.toggle("is-stale", stale || row.verdict === "unknown");
}

// --- Live -----------------------------------------------------------------------------------------------------------------------
/** @param {string[]} columns @param {any[]} values @returns {Row} */
const named = (columns, values) => Object.fromEntries(columns.map((name, index) => [name, values[index]]));
const parsed = (/** @type {string} */ at) => (at ? Date.parse(at) / 1000 : now);

live.subscribe("lag.board", { cluster, limit: LIVE_ROWS }, {
  onSnapshot(view) {
    now = live.now();
    if (!beyond.size) rows.clear();
    for (const [key, values] of view.rows) {
      rows.set(key, named(view.columns, values));
      beyond.delete(key);
      note(key);
    }
    loaded = true;
    showAge("lag.board", view.ts);
    for (const [key, element] of virtual.shown) if (rows.has(key)) draw(key, /** @type {Row} */ (rows.get(key)), element, false);
    arrange();
    if (view.rows.size >= LIVE_ROWS) loadRest();
  },
  onDelta(view, changed, deleted) {
    now = live.now();
    showAge("lag.board", view.ts);
    for (const key of deleted) if (view.rows.size < LIVE_ROWS) rows.delete(key);
    let moved = deleted.length > 0;
    let told = false;
    const sort = query.sort.replace("-", "");
    const decides = ["group", "client", "state", "verdict", sort].map((name) => view.columns.indexOf(name)).filter((index) => index >= 0);
    for (const [key, mask] of changed) {
      const values = view.rows.get(key);
      if (!values) continue;
      const row = rows.get(key);
      if (row) view.columns.forEach((name, index) => { if (hasColumn(mask, index)) row[name] = values[index]; });
      else rows.set(key, named(view.columns, values));
      if (row) row.observed_at = values[view.columns.indexOf("observed_at")];
      moved ||= !row || decides.some((index) => hasColumn(mask, index));
      told ||= mask > 0;
    }
    for (const key of view.rows.keys()) note(key);
    redraw(changed);
    if (moved) arrange();
    else if (told) count();
  },
  onState(state) {
    stale = state.state === "stale" || state.state === "over";
    panel.dataset.state = stale ? "stale" : "live";
    showAge("lag.board", undefined, state);
  },
});

function note(/** @type {string} */ key) {
  const row = rows.get(key);
  if (row) tails.add(key, parsed(row.observed_at), row.lag_records);
}

/**
 * Only what is on the screen, only what changed. The tail of a row that rests moves a pixel in 7.5 s: it waits for its turn.
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
      if (changed.has(key) && /** @type {number} */ (changed.get(key)) > 0) draw(key, row, element, true);
      else if ((everyTail || index % TAIL_TURNS === turn) && tails.has(key)) patch(element.cells[SPARK], CELLS.spark(row, key), false);
    }
  });
}

// --- Beyond the live rows: read by HTTP now and then ---------------------------------------------------------------------------
let loadingRest = false;

async function loadRest() {
  if (loadingRest) return;
  loadingRest = true;
  try {
    let cursor = "";
    const found = new Set();
    do {
      const answer = await fetch(`${panel.dataset.apiUrl}?limit=500${cursor && `&cursor=${encodeURIComponent(cursor)}`}`);
      if (!answer.ok) break;
      const page = await answer.json();
      for (const item of page.items) {
        const key = String(item.id);
        found.add(key);
        if (rows.has(key) && !beyond.has(key)) continue;
        rows.set(key, { ...item, bound: item.lag_seconds_bound });
        beyond.add(key);
      }
      cursor = page.next_cursor;
    } while (cursor);
    if (!cursor) for (const key of beyond) if (!found.has(key)) { rows.delete(key); beyond.delete(key); }
    redraw(new Map([...beyond].map((key) => [key, 1])));
    arrange();
  } finally {
    loadingRest = false;
    setTimeout(loadRest, REST_EVERY_MS);
  }
}

// --- Tails before this page was opened -------------------------------------------------------------------------------------------
/** @type {Set<string>} */
const askedTails = new Set();
let tailTimer = 0;

function wantTails() {
  clearTimeout(tailTimer);
  tailTimer = window.setTimeout(async () => {
    const keys = [...virtual.shown.keys()].filter((key) => !askedTails.has(key)).slice(0, 100);
    if (!keys.length) return;
    for (const key of keys) askedTails.add(key);
    const answer = await fetch(`${panel.dataset.sparkUrl}?${keys.map((key) => `id=${key}`).join("&")}`).catch(() => null);
    if (!answer?.ok) return;
    for (const [key, points] of Object.entries(await answer.json())) tails.prepend(key, points);
    redraw(new Map(), true);
  }, 150);
}
addEventListener("scroll", wantTails, { passive: true });

// --- People ---------------------------------------------------------------------------------------------------------------------
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
});
