// @ts-check
// A history chart: the server builds the Plotly figure, the page colours it. Plotly comes when the chart comes near.

/** @type {Promise<any> | undefined} */
let library;

/** @param {string} address */
export function plotly(address) {
  library ??= new Promise((resolve, reject) => {
    // Tells Plotly that its rules come from our style sheet: the content policy allows no style element.
    const marker = document.createElement("i");
    marker.id = "plotly.js-style-global";
    marker.className = "no-inline-styles";
    marker.hidden = true;
    document.body.append(marker);
    const script = document.createElement("script");
    script.src = address;
    script.onload = () => resolve(/** @type {any} */ (window).Plotly);
    script.onerror = () => reject(new Error("the chart library did not load"));
    document.head.append(script);
  });
  return library;
}

/** @param {string} name */
function colour(name) {
  const probe = document.createElement("i");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

/** The figure in the theme's colours: layout.meta and trace.meta name tokens, never colours. @param {any} figure */
export function themed(figure) {
  const ink = colour("--text-muted");
  const grid = colour("--chart-grid");
  const copy = structuredClone(figure);
  Object.assign(copy.layout, { paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { family: "system-ui, sans-serif", size: 11, color: ink } });
  copy.layout.hoverlabel = { bgcolor: colour("--surface-raised"), bordercolor: colour("--line-strong"), font: { color: colour("--text") } };
  for (const [name, axis] of Object.entries(copy.layout)) if (/^[xy]axis/.test(name)) Object.assign(axis, { gridcolor: grid, linecolor: grid, zerolinecolor: grid });
  for (const shape of copy.layout.shapes ?? []) if (shape.name) { shape.line.color = colour(shape.name); if (shape.fillcolor) shape.fillcolor = colour(shape.name); }
  for (const trace of copy.data) {
    if (!trace.meta?.token) continue;
    const found = colour(trace.meta.token);
    trace.line = { ...trace.line, color: found };
    if (trace.fill) trace.fillcolor = found.replace("rgb(", "rgba(").replace(")", ", 0.1)");
  }
  return copy;
}

/** @param {HTMLElement} holder has data-history (address of the figure) and data-plotly (address of the library) */
export function showHistory(holder) {
  const buttons = /** @type {NodeListOf<HTMLButtonElement>} */ (document.querySelectorAll("[data-range]"));
  let range = new URLSearchParams(location.search).get("range") ?? "6h";
  /** @type {any} */
  let figure = null;
  let near = false;

  async function draw() {
    if (!figure) return;
    const Plotly = await plotly(holder.dataset.plotly ?? "");
    if (!holder.classList.contains("js-plotly-plot")) holder.replaceChildren();
    const { data, layout } = themed(figure);
    await Plotly.react(holder, data, layout, { responsive: true, displayModeBar: false, locale: "en" });
  }

  async function load() {
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.range === range));
    holder.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(`${holder.dataset.history}?range=${encodeURIComponent(range)}`);
      if (!answer.ok) throw new Error(`the portal answered ${answer.status}, request ${answer.headers.get("X-Request-ID") ?? "without id"}`);
      figure = await answer.json();
      if (!figure.data.length) return say("Nothing was stored in this range", "Samples are kept from the first reading on; choose a longer range or wait a minute.");
      await draw();
    } catch (problem) {
      say("The history cannot be shown", `${/** @type {Error} */ (problem).message}. The live figures are not affected.`);
    } finally {
      holder.removeAttribute("aria-busy");
    }
  }

  /** @param {string} title @param {string} text */
  function say(title, text) {
    if (holder.classList.contains("js-plotly-plot")) /** @type {any} */ (window).Plotly?.purge(holder);
    const state = document.createElement("div");
    state.className = "state";
    const [head, body] = [document.createElement("p"), document.createElement("p")];
    head.className = "state__title";
    head.textContent = title;
    body.className = "state__text";
    body.textContent = text;
    state.append(head, body);
    holder.classList.remove("js-plotly-plot");
    holder.replaceChildren(state);
  }

  for (const button of buttons) {
    button.addEventListener("click", () => {
      range = button.dataset.range ?? "6h";
      const address = new URL(location.href);
      address.searchParams.set("range", range);
      history.replaceState(null, "", address);
      load();
    });
  }
  document.addEventListener("ops:theme", draw);
  new IntersectionObserver((entries, observer) => {
    if (near || !entries.some((entry) => entry.isIntersecting)) return;
    near = true;
    observer.disconnect();
    load();
  }, { rootMargin: "400px" }).observe(holder);
}
