// @ts-check
// The page of a cluster: charts of signals that are opened, queries to copy, links that open the signal they lead to.
import { showHistory } from "ops/history";

const page = /** @type {HTMLElement} */ (document.querySelector("[data-health]"));

for (const signal of /** @type {NodeListOf<HTMLDetailsElement>} */ (document.querySelectorAll("details[data-signal]"))) {
  signal.addEventListener("toggle", () => {
    const chart = /** @type {HTMLElement | null} */ (signal.querySelector("[data-history]"));
    if (!signal.open || !chart || chart.dataset.plotly) return;
    chart.dataset.plotly = page.dataset.plotly;
    showHistory(chart);
  });
}

/** Open and show the signal that the address names. */
function follow() {
  const signal = location.hash.startsWith("#signal-") ? document.getElementById(location.hash.slice(1)) : null;
  if (signal instanceof HTMLDetailsElement) {
    signal.open = true;
    signal.scrollIntoView();
  }
}
addEventListener("hashchange", follow);
follow();

document.addEventListener("click", (event) => {
  const target = /** @type {Element} */ (event.target);
  const link = target.closest("a[data-open-signal]");
  if (link && link.getAttribute("href") === location.hash) follow(); // the same address again changes no hash
});

document.querySelector("[data-go-to]")?.addEventListener("change", (event) => {
  location.assign(/** @type {HTMLSelectElement} */ (event.target).value);
});
