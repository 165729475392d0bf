// @ts-check
// Cells as the server draws them, drawn again in the browser. A cell is described as pieces, and only what differs from the last
// description touches the page: parsing HTML again for every figure costs ten times as much.
import { compact, duration, exact, THIN } from "ops/format";

/** @typedef {{tag: string, attrs: Record<string, string>, inner: Piece[]}} Tagged */
/** @typedef {string | Tagged} Piece text, or an element */

/** @type {Record<string, string>} */
export const TONES = {
  truncated: "critical", stopped: "critical", stalled: "critical", rewound: "warning", falling_behind: "warning",
  catching_up: "warning", no_commits: "warning", unknown: "unknown", ok: "ok",
};
export const VERDICTS = Object.keys(TONES);
const LEAST_BOUND = 0.005; // what is less would read as zero
const SVG = new Set(["svg", "use", "path"]);

/** An element. @param {string} tag @param {Record<string, string>} attrs @param {Piece[]} inner @returns {Tagged} */
export const piece = (tag, attrs, ...inner) => ({ tag, attrs, inner });

/** @param {string | null} word */
export const words = (word) => (word ?? "").replaceAll("_", " ");
export const icon = (/** @type {string} */ name) =>
  piece("svg", { class: "icon", "aria-hidden": "true" }, piece("use", { href: `#i-${name}` }));

/** @param {string} reason */
export const unknown = (reason = "not measured") => piece("abbr", { class: "unknown", title: reason }, "unknown");

/** @param {string} verdict @param {string} reason */
export const verdictPill = (verdict, reason) =>
  piece("span", { class: `pill tone-${TONES[verdict]}`, title: reason }, icon(TONES[verdict]), words(verdict));

/** @param {number | null} value @param {string} [unit] @param {string} [reason] */
export function figure(value, unit = "", reason) {
  if (value === null || value === undefined) return unknown(reason);
  const [shown, letter = ""] = compact(value).split(THIN);
  const tail = letter + (letter && unit && !unit.startsWith("/") ? THIN : "") + unit;
  return figureOf(value, `${exact(value)} ${unit}`, shown, tail);
}

/** @param {number | null} value @param {string} [reason] */
export function seconds(value, reason) {
  if (value === null || value === undefined) return unknown(reason);
  const parts = duration(value).split(THIN);
  const [text, unit] = parts.length === 2 ? parts : [parts.join(THIN), ""];
  return figureOf(value, `${exact(value)} seconds`, text, unit);
}

/** @param {number} value @param {string} title @param {string} text @param {string} unit */
const figureOf = (value, title, text, unit) =>
  piece("data", { class: "num", value: String(value), title }, text, ...(unit ? [piece("span", { class: "num__unit" }, unit)] : []));

/** @param {number | null} value @returns {Piece} */
export const bound = (value) =>
  value && value >= LEAST_BOUND ? piece("span", { class: "num__bound", title: "the true age lies within this bound" }, `±${duration(value)}`) : "";

// --- Putting pieces into the page -----------------------------------------------------------------------------------------
/** @type {WeakMap<Element, Piece[]>} */
const drawn = new WeakMap();
const still = matchMedia("(prefers-reduced-motion: reduce)");
document.addEventListener("animationend", (event) => {
  if (event.animationName === "glow") /** @type {Element} */ (event.target).classList.remove("glow");
});

/** Show these pieces in a cell; the figure glows once when a text changed. @param {Element} cell @param {Piece[]} pieces @param {boolean} glow */
export function patch(cell, pieces, glow) {
  const was = drawn.get(cell);
  drawn.set(cell, pieces);
  if (was === undefined) return cell.replaceChildren(...pieces.map(build));
  if (sync(cell, was, pieces) && glow && !still.matches) cell.firstElementChild?.classList.add("glow");
}

/** @param {Piece} wanted @returns {Node} */
function build(wanted) {
  if (typeof wanted === "string") return document.createTextNode(wanted);
  const { tag, attrs, inner } = wanted;
  const element = SVG.has(tag) ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const name in attrs) element.setAttribute(name, attrs[name]);
  for (const one of inner) element.append(build(one));
  return element;
}

/** True when a text or an element changed. @param {Element} parent @param {Piece[]} was @param {Piece[]} now */
function sync(parent, was, now) {
  let changed = was.length !== now.length;
  let node = parent.firstChild;
  for (let i = 0; i < now.length; i += 1) {
    if (i >= was.length || node === null) parent.append(build(now[i]));
    else {
      const next = /** @type {ChildNode | null} */ (node.nextSibling);
      changed = update(node, was[i], now[i]) || changed;
      node = next;
    }
  }
  for (let i = now.length; i < was.length; i += 1) parent.lastChild?.remove();
  return changed;
}

/** @param {ChildNode} node @param {Piece} was @param {Piece} now */
function update(node, was, now) {
  if (typeof was === "string" && typeof now === "string") {
    if (was === now) return false;
    /** @type {Text} */ (node).data = now;
    return true;
  }
  if (typeof was === "string" || typeof now === "string" || was.tag !== now.tag) {
    node.replaceWith(build(now));
    return true;
  }
  const element = /** @type {Element} */ (node);
  for (const name in now.attrs) if (now.attrs[name] !== was.attrs[name]) element.setAttribute(name, now.attrs[name]);
  for (const name in was.attrs) if (!(name in now.attrs)) element.removeAttribute(name);
  return sync(element, was.inner, now.inner);
}
