// @ts-check
// Rows of the board that a person has chosen with x: their names to copy, their figures to export.
import { toast } from "ops/shell";

/**
 * @param {HTMLElement} panel holds [data-selection]
 * @param {() => import("ops/virtual-rows").VirtualRows} rows
 * @param {(key: string) => string} nameOf
 */
export function startSelection(panel, rows, nameOf) {
  const bar = /** @type {HTMLElement} */ (panel.querySelector("[data-selection]"));
  const text = /** @type {HTMLElement} */ (bar.querySelector("[data-selection-text]"));
  const link = /** @type {HTMLAnchorElement} */ (bar.querySelector("[data-selection-export]"));
  /** @type {Set<string>} */
  const chosen = new Set();

  function show() {
    bar.hidden = !chosen.size;
    text.textContent = `${chosen.size} selected`;
    link.search = new URLSearchParams([...chosen].map((key) => ["id", key])).toString();
    for (const [key, element] of rows().shown) mark(key, element);
  }

  /** @param {string} key @param {HTMLElement} element */
  function mark(key, element) {
    if (chosen.has(key) === element.classList.contains("is-selected")) return;
    element.classList.toggle("is-selected", chosen.has(key));
    if (chosen.has(key)) element.setAttribute("aria-selected", "true");
    else element.removeAttribute("aria-selected");
  }

  function clear() {
    chosen.clear();
    show();
  }
  bar.querySelector("[data-selection-clear]")?.addEventListener("click", clear);
  bar.querySelector("[data-selection-copy]")?.addEventListener("click", () => {
    navigator.clipboard?.writeText([...chosen].map(nameOf).join("\n")).then(() => toast(`${chosen.size} names copied`));
  });

  return {
    mark,
    clear,
    /** Choose the row of that index, or leave it. @param {number} index */
    toggle(index) {
      const key = rows().keys[index];
      if (key === undefined) return;
      if (!chosen.delete(key)) chosen.add(key);
      show();
    },
  };
}
