// @ts-check
// Figures of load tests. All are drawn at once, not when they come near: the page is also a document that is printed.
import { plotly, themed } from "ops/history";

const holder = /** @type {HTMLElement | null} */ (document.querySelector("[data-figures]"));

const PAPER_WIDTH = 690; // CSS pixels between the margins of A4 (load-tests.css)

/** @type {Record<string, any>} */
let figures = {};
/** @type {any} */
let Plotly;
let onPaper = false;

function draw() {
  for (const chart of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-figure]"))) {
    const figure = figures[chart.dataset.figure ?? ""];
    if (!figure?.data.length) {
      chart.replaceChildren(state("Nothing to draw", "None of the runs holds this series."));
      continue;
    }
    if (!chart.classList.contains("js-plotly-plot")) chart.replaceChildren();
    const { data, layout } = themed(figure);
    if (onPaper) layout.width = PAPER_WIDTH; // the screen's width is too wide for paper, or too narrow
    for (const trace of data) trace.marker = { color: trace.line.color, size: 5 };
    Plotly.react(chart, data, layout, { responsive: true, displayModeBar: false, locale: "en" });
  }
}

/** @param {string} title @param {string} text */
function state(title, text) {
  const box = document.createElement("div");
  box.className = "state";
  const [head, body] = [document.createElement("p"), document.createElement("p")];
  [head.className, body.className] = ["state__title", "state__text"];
  [head.textContent, body.textContent] = [title, text];
  box.append(head, body);
  return box;
}

async function load() {
  if (!holder || !document.querySelector("[data-figure]")) return;
  try {
    const answer = await fetch(holder.dataset.figures ?? "");
    if (!answer.ok) throw new Error(`the portal answered ${answer.status}`);
    [figures, Plotly] = await Promise.all([answer.json(), plotly(holder.dataset.plotly ?? "")]);
    draw();
    holder.dataset.drawn = "";
  } catch (problem) {
    const text = `${/** @type {Error} */ (problem).message}. Load the page again; the figures in the tables are not affected.`;
    for (const chart of document.querySelectorAll("[data-figure]")) chart.replaceChildren(state("The figure cannot be shown", text));
  }
}

// Paper is white, whatever the theme.
const root = document.documentElement;
let shown = "";
addEventListener("beforeprint", () => {
  shown = root.dataset.bsTheme ?? "light";
  root.dataset.bsTheme = "light";
  onPaper = true;
  if (Plotly) draw();
});
addEventListener("afterprint", () => {
  root.dataset.bsTheme = shown;
  onPaper = false;
  if (Plotly) draw();
});
document.addEventListener("ops:theme", () => { if (Plotly) draw(); });
document.querySelector("[data-print]")?.addEventListener("click", () => print());
load();
