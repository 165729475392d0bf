// @ts-check
// The page of one group: figures, partitions and charts go on by push.
import uPlot from "uplot";
import { showAge } from "ops/ages";
import { bound, figure, patch, piece, seconds, TONES, unknown, verdictPill, words } from "ops/cells";
import { compact, duration, exact } from "ops/format";
import { live } from "ops/live";
import { showHistory } from "ops/history";
import { VirtualRows } from "ops/virtual-rows";
import { clockTime } from "ops/zones";

const page = /** @type {HTMLElement} */ (document.querySelector("[data-group]"));
const { cluster = "", path = "", apiUrl = "" } = page.dataset;
const TAIL_SECONDS = 900;

/** @typedef {Record<string, any>} Row */
/** @type {Map<string, Row>} */
const partitions = new Map();

// --- Figures ------------------------------------------------------------------------------------------------------------
/** @type {Record<string, string>} */
const METHODS = { caught_up: "caught up", knots: "from own readings", timestamp: "from record time", lower_bound: "at least" };
/** @typedef {import("ops/cells").Piece} Piece */
/** @type {Record<string, (row: Row) => Piece>} */
const FIELDS = {
  lag_records: (row) => figure(row.lag_records, "", row.reason),
  lag_records_max: (row) => figure(row.lag_records_max, "", row.reason),
  lag_seconds: (row) => seconds(row.lag_seconds, row.reason),
  lag_seconds_bound: (row) => bound(row.lag_seconds_bound),
  lag_seconds_method: (row) => METHODS[row.lag_seconds_method] ?? "",
  produce_rate: (row) => figure(row.produce_rate, "/s", "not known, or the topic is shared"),
  consume_rate: (row) => figure(row.consume_rate, "/s", row.reason),
  trend: (row) => figure(row.trend, "/s", row.reason),
  catch_up_seconds: (row) =>
    row.catch_up_seconds === null
      ? piece("span", { class: "unknown", title: "not converging, or not known" }, "no estimate")
      : row.catch_up_seconds === 0 ? piece("span", { class: "faint" }, "done") : seconds(row.catch_up_seconds),
  members: (row) => figure(row.members, "", row.reason),
  worst_topic: (row) => row.worst_topic ?? "",
  reason: (row) => row.reason ?? "",
  rule: (row) => words(row.rule) || "none",
  state: (row) => words(row.state),
};
const TICKING = new Set(["lag_records", "lag_seconds", "produce_rate", "consume_rate", "catch_up_seconds", "members"]);

/** @param {Row} row */
function showSummary(row) {
  for (const [name, pieceOf] of Object.entries(FIELDS)) {
    for (const field of /** @type {NodeListOf<HTMLElement>} */ (page.querySelectorAll(`[data-field="${name}"]`))) patch(field, [pieceOf(row)], TICKING.has(name));
  }
  patch(/** @type {HTMLElement} */ (page.querySelector("[data-pill]")), [verdictPill(row.verdict, row.rule ?? "")], false);
  const name = page.dataset.name ?? "";
  const title = `${TONES[row.verdict] === "critical" ? "(1) " : ""}${name} · Ops Portal`;
  if (document.title !== title) document.title = title;
}

// --- Partitions -----------------------------------------------------------------------------------------------------------
const scroller = /** @type {HTMLElement|null} */ (page.querySelector("[data-partitions]"));
const heat = /** @type {HTMLElement|null} */ (page.querySelector("[data-heat].heat"));
const body = scroller && /** @type {HTMLTableElement} */ (scroller.querySelector("table")).tBodies[0];
const virtual = body && new VirtualRows(body, (key, element) => drawPartition(key, element, false), scroller);
const END = [false, false, true, true, true, true, true, false];

/** @type {((row: Row) => Piece[])[]} */
const CELLS = [
  (row) => [piece("span", { class: "truncate" }, `${row.topic} `, piece("span", { class: "faint" }, "/"), ` ${row.partition}`)],
  (row) => [verdictPill(row.verdict, flags(row))],
  (row) => [offset(row.committed, "no commit")],
  (row) => [offset(row.end, "not known, or the topic is shared")],
  (row) => [offset(row.start, "not known, or the topic is shared")],
  (row) => [figure(row.lag_records, "", flags(row) || "no commit")],
  (row) => [seconds(row.lag_seconds, flags(row) || "no commit"), bound(row.lag_seconds_bound)],
  (row) => [piece("span", { class: "truncate", title: row.member ?? "" }, row.host ?? "")],
];
const flags = (/** @type {Row} */ row) => (row.flags ?? []).map(words).join(", ");
const offset = (/** @type {number|null} */ value, /** @type {string} */ why) =>
  value === null ? unknown(why) : piece("data", { class: "num", value: String(value) }, exact(value));

/** @param {string} key @param {HTMLTableRowElement} element @param {boolean} glow */
function drawPartition(key, element, glow) {
  const row = partitions.get(key);
  if (!row) return;
  if (!element.cells.length) {
    CELLS.forEach((_, index) => {
      const cell = document.createElement(index ? "td" : "th");
      cell.setAttribute("role", index ? "cell" : "rowheader");
      if (END[index]) cell.className = "end";
      element.append(cell);
    });
  }
  CELLS.forEach((pieces, index) => patch(element.cells[index], pieces(row), glow && (index === 5 || index === 6)));
}

/** @param {Row} row */
function warmth(row) {
  if (row.lag_records === null || row.verdict === "unknown") return "x";
  const late = row.lag_seconds;
  if (row.lag_records === 0 || (late !== null && late < 1)) return "0";
  if (late === null || late < 10) return "1";
  return late < 30 ? "2" : late < 300 ? "3" : "4";
}

function drawHeat() {
  if (!heat) return;
  const keys = [...partitions.keys()];
  while (heat.children.length > keys.length) heat.lastElementChild?.remove();
  let worst = "";
  let most = 0;
  for (const [key, row] of partitions) if ((row.lag_records ?? 0) > most) [worst, most] = [key, row.lag_records];
  keys.forEach((key, index) => {
    const row = /** @type {Row} */ (partitions.get(key));
    let cell = /** @type {HTMLElement|undefined} */ (heat.children[index]);
    if (!cell) {
      cell = document.createElement("button");
      cell.className = "heat__cell";
      /** @type {HTMLButtonElement} */ (cell).type = "button";
      heat.append(cell);
    }
    const warm = warmth(row);
    if (cell.dataset.heat !== warm) cell.dataset.heat = warm;
    if (cell.dataset.key !== key) cell.dataset.key = key;
    cell.toggleAttribute("data-worst", key === worst);
    const unread = row.lag_records === null ? "unknown" : `${compact(row.lag_records)} unread`;
    const label = `${key}: ${unread}${row.lag_seconds ? `, ${duration(row.lag_seconds)} behind` : ""}, ${words(row.verdict)}`;
    if (cell.title !== label) {
      cell.title = label;
      cell.setAttribute("aria-label", label);
    }
  });
}
heat?.addEventListener("click", (event) => {
  const key = /** @type {HTMLElement|null} */ (/** @type {Element} */ (event.target).closest("[data-key]"))?.dataset.key;
  const index = virtual ? virtual.keys.indexOf(key ?? "") : -1;
  if (index >= 0 && scroller && virtual) scroller.scrollTo({ top: Math.max(0, (index - 3) * virtual.rowHeight), behavior: "smooth" });
});

// --- Charts: three plots, one crosshair ----------------------------------------------------------------------------------------
/** times, unread, behind, written, read. @type {(number|null)[][]} */
const data = [[], [], [], [], []];
/** @type {{plot: uPlot, of: () => any, value: HTMLElement, text: (index: number) => string}[]} */
const plots = [];
const css = (/** @type {string} */ name) => {
  const probe = document.createElement("i");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const colour = getComputedStyle(probe).color;
  probe.remove();
  return colour;
};
const axisTime = (/** @type {number} */ value) =>
  value < 120 ? `${compact(value)} s` : value < 7200 ? `${compact(value / 60)} min` : `${compact(value / 3600)} h`;
const text = (/** @type {number|null|undefined} */ value, /** @type {(v: number) => string} */ format) =>
  value === null || value === undefined ? "unknown" : format(value);

function buildCharts() {
  for (const { plot } of plots.splice(0)) plot.destroy();
  const [ink, grid] = [css("--text-muted"), css("--chart-grid")];
  const specs = [
    { name: "lag_records", series: [1], format: compact, unit: "" },
    { name: "lag_seconds", series: [2], format: duration, axis: axisTime, unit: "" },
    { name: "rates", series: [3, 4], format: compact, unit: "/s" },
  ];
  for (const spec of specs) {
    const holder = /** @type {HTMLElement} */ (page.querySelector(`[data-chart="${spec.name}"]`));
    const value = /** @type {HTMLElement} */ (holder.querySelector("[data-value]"));
    const colours = [css("--series-1"), css("--series-2")];
    const of = () => [data[0], ...spec.series.map((index) => data[index])];
    const says = (/** @type {number} */ index) => spec.series.map((at) => text(data[at][index], spec.format) + (data[at][index] == null ? "" : spec.unit)).join(" in, ") + (spec.series.length > 1 ? " out" : "");
    const plot = new uPlot({
      width: Math.max(200, holder.clientWidth),
      height: 118,
      cursor: { sync: { key: "group", setSeries: false }, points: { size: 6 }, y: false },
      legend: { show: false },
      scales: { x: { range: (_, from, to) => [Math.max(from, to - TAIL_SECONDS), to] }, y: { range: (_, from, to) => [0, Math.max(1, (to ?? 1) * 1.1)] } },
      axes: [
        { stroke: ink, grid: { stroke: grid, width: 1 }, ticks: { show: false }, size: 24, font: "11px system-ui", values: (_, times) => times.map((at) => clockTime(at * 1000)) },
        { stroke: ink, grid: { stroke: grid, width: 1 }, ticks: { show: false }, size: 58, font: "11px system-ui", values: (_, values) => values.map((one) => (spec.axis ?? spec.format)(one)) },
      ],
      series: [{}, ...spec.series.map((_, index) => ({ stroke: colours[index], width: 1.5, dash: index ? [4, 3] : undefined, fill: spec.series.length === 1 ? colours[0].replace("rgb(", "rgba(").replace(")", ", 0.08)") : undefined, spanGaps: false, points: { show: false } }))],
      hooks: { setCursor: [(/** @type {uPlot} */ u) => { const index = u.cursor.idx ?? data[0].length - 1; if (index >= 0) value.textContent = says(index); }] },
    }, of(), holder);
    plots.push({ plot, of, value, text: says });
  }
}

function drawCharts() {
  if (document.hidden) return;
  for (const { plot, of, value, text: says } of plots) {
    plot.setData(of());
    if (plot.cursor.idx == null && data[0].length) value.textContent = says(data[0].length - 1);
  }
}

/** @param {number} at @param {Row} row */
function addPoint(at, row) {
  const last = /** @type {number|undefined} */ (data[0].at(-1));
  if (last !== undefined && at <= last) return;
  [at, row.lag_records, row.lag_seconds, row.produce_rate, row.consume_rate].forEach((value, index) => data[index].push(value ?? null));
  while (data[0].length && /** @type {number} */ (data[0][0]) < at - TAIL_SECONDS) for (const column of data) column.shift();
}

async function loadTail() {
  const answer = await fetch(`${apiUrl}/history?from=-15m&step=5`).catch(() => null);
  if (!answer?.ok) return;
  const history = await answer.json();
  const at = (/** @type {string} */ name) => history.columns.indexOf(name);
  const first = /** @type {number} */ (data[0][0] ?? Infinity);
  const older = history.points.map((/** @type {any[]} */ point) => [Date.parse(point[at("at")]) / 1000, point[at("lag_records")], point[at("lag_seconds")], point[at("produce_rate")], point[at("consume_rate")]]).filter((/** @type {any[]} */ point) => point[0] < first);
  data.forEach((column, index) => column.unshift(...older.map((/** @type {any[]} */ point) => point[index])));
  drawCharts();
}

buildCharts();
loadTail();
new ResizeObserver(() => {
  for (const { plot } of plots) {
    const width = Math.max(200, plot.root.parentElement?.clientWidth ?? 0);
    if (width !== plot.width) plot.setSize({ width, height: plot.height });
  }
}).observe(/** @type {Element} */ (page.querySelector("[data-live-charts]")));
for (const name of ["ops:theme", "ops:zone"]) document.addEventListener(name, () => { buildCharts(); drawCharts(); });

// --- Events on a time axis --------------------------------------------------------------------------------------------------------
function drawAxis() {
  const axis = /** @type {SVGElement|null} */ (page.querySelector("[data-event-axis]"));
  if (!axis) return;
  const width = Math.max(240, axis.clientWidth);
  const to = live.now();
  const from = to - 3600;
  const x = (/** @type {number} */ at) => Math.round(((at - from) / 3600) * (width - 24) + 12);
  let html = `<line x1="0" x2="${width}" y1="26" y2="26"/>`;
  for (const minutes of [60, 45, 30, 15, 0]) html += `<text x="${x(to - minutes * 60)}" y="42" text-anchor="${minutes === 60 ? "start" : minutes ? "middle" : "end"}">${minutes ? `-${minutes} min` : "now"}</text>`;
  for (const item of /** @type {NodeListOf<HTMLElement>} */ (page.querySelectorAll(".event-list__item"))) {
    const at = Number(item.dataset.at);
    if (at >= from) html += `<line class="tick tick--${item.dataset.tone}" x1="${x(at)}" x2="${x(at)}" y1="${item.dataset.tone === "neutral" ? 16 : 8}" y2="26"/>`;
  }
  axis.setAttribute("viewBox", `0 0 ${width} 46`);
  axis.innerHTML = html;
}
drawAxis();
setInterval(drawAxis, 30000);

// --- Live ---------------------------------------------------------------------------------------------------------------------------
/** @param {import("ops/live").Table} view */
function take(view, /** @type {Map<string, number>|null} */ changed) {
  const named = (/** @type {any[]} */ values) => Object.fromEntries(view.columns.map((name, index) => [name, values[index]]));
  const summary = view.rows.get("");
  if (summary) {
    const row = named(summary);
    showSummary(row);
    addPoint(view.ts ?? live.now(), row);
    drawCharts();
  }
  if (!changed) partitions.clear();
  for (const [key, values] of view.rows) if (key && (!changed || changed.has(key))) partitions.set(key, named(values));
  for (const key of partitions.keys()) if (!view.rows.has(key)) partitions.delete(key);
  if (virtual && (virtual.keys.length !== partitions.size || !changed)) {
    virtual.set([...partitions.keys()].sort((a, b) => byPartition(a, b)));
  }
  if (virtual) for (const [key, element] of virtual.shown) if (!changed || changed.has(key)) drawPartition(key, element, Boolean(changed));
  drawHeat();
  showAge("lag.group", view.ts);
}

function byPartition(/** @type {string} */ a, /** @type {string} */ b) {
  const [x, y] = [/** @type {Row} */ (partitions.get(a)), /** @type {Row} */ (partitions.get(b))];
  return x.topic === y.topic ? x.partition - y.partition : x.topic < y.topic ? -1 : 1;
}

live.subscribe("lag.group", { cluster, group: path }, {
  onSnapshot: (view) => take(view, null),
  onDelta: (view, changed) => take(view, changed),
  onState(state) {
    const stale = state.state === "stale" || state.state === "over";
    for (const panel of page.querySelectorAll(".panel")) /** @type {HTMLElement} */ (panel).dataset.state = stale ? "stale" : "live";
    showAge("lag.group", undefined, state);
  },
}).focus();

showHistory(/** @type {HTMLElement} */ (document.querySelector("[data-history]")));
