// @ts-check
// Cells as the server draws them, drawn again in the browser: text in, escaped HTML out.
import { compact, duration, exact, THIN } from "ops/format";

/** @type {Record<string, string>} */
export const TONES = {
  truncated: "critical", stopped: "critical", stalled: "critical", rewound: "warning", falling_behind: "warning",
  catching_up: "warning", no_commits: "warning", unknown: "unknown", ok: "ok",
};
export const VERDICTS = Object.keys(TONES);

/** @param {unknown} text */
export const escape = (text) => String(text ?? "").replace(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`);
/** @param {string | null} word */
export const words = (word) => (word ?? "").replaceAll("_", " ");
export const icon = (/** @type {string} */ name) => `<svg class="icon" aria-hidden="true"><use href="#i-${name}"></use></svg>`;

/** @param {string} reason */
export const unknown = (reason = "not measured") => `<abbr class="unknown" title="${escape(reason)}">unknown</abbr>`;

/** @param {string} verdict @param {string} reason */
export const verdictPill = (verdict, reason) =>
  `<span class="pill tone-${TONES[verdict]}" title="${escape(reason)}">${icon(TONES[verdict])}${words(verdict)}</span>`;

/** @param {number | null} value @param {string} [unit] @param {string} [reason] */
export function figure(value, unit = "", reason) {
  if (value === null || value === undefined) return unknown(reason);
  const [shown, letter = ""] = compact(value).split(THIN);
  const tail = letter + (letter && unit && !unit.startsWith("/") ? THIN : "") + unit;
  return `<data class="num" value="${value}" title="${exact(value)} ${unit}">${shown}${tail ? `<span class="num__unit">${tail}</span>` : ""}</data>`;
}

/** @param {number | null} value @param {string} [reason] */
export function seconds(value, reason) {
  if (value === null || value === undefined) return unknown(reason);
  const parts = duration(value).split(THIN);
  const text = parts.length === 2 ? `${parts[0]}<span class="num__unit">${parts[1]}</span>` : parts.join(THIN);
  return `<data class="num" value="${value}" title="${exact(value)} seconds">${text}</data>`;
}

/** @param {number | null} value */
export const bound = (value) =>
  value ? `<span class="num__bound" title="the true age lies within this bound">±${duration(value)}</span>` : "";

/** Put HTML into a cell if it changed; the figure glows once. @param {HTMLElement} cell @param {string} html @param {boolean} glow */
export function patch(cell, html, glow) {
  const holder = /** @type {HTMLElement & {_html?: string}} */ (cell);
  if (holder._html === html) return false;
  const first = holder._html === undefined;
  holder._html = html;
  cell.innerHTML = html;
  if (glow && !first && cell.firstElementChild) {
    const target = cell.firstElementChild;
    target.classList.add("glow");
    target.addEventListener("animationend", () => target.classList.remove("glow"), { once: true });
  }
  return true;
}
