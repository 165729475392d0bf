// @ts-check
// Sparklines: a tail of (time, value) per key, drawn as SVG paths. The page keeps the tail; deltas never carry it.
import { piece } from "ops/cells";

const WIDTH = 120;
const HEIGHT = 24;

/** @typedef {[number, number | null]} Point seconds, value; null = unknown */

/** Tails of points, one per `step` seconds: the highest value of that time, so that no peak is lost. */
export class Tails {
  /** @type {Map<string, Point[]>} */
  #tails = new Map();

  /** @param {number} seconds how long a tail is @param {number} step what one point stands for: two pixels of a line of 15 min */
  constructor(seconds = 900, step = 15) {
    this.seconds = seconds;
    this.step = step;
  }

  /** @param {string} key @param {Point[]} points older points, in order */
  prepend(key, points) {
    const own = this.#tails.get(key) ?? [];
    const from = own[0]?.[0] ?? Infinity;
    /** @type {Point[]} */ const older = [];
    for (const [at, value] of points) if (at < from) this.#put(older, at, value);
    this.#tails.set(key, [...older, ...own]);
  }

  /** @param {string} key @param {number} at @param {number | null} value */
  add(key, at, value) {
    let tail = this.#tails.get(key);
    if (!tail) this.#tails.set(key, (tail = []));
    this.#put(tail, at, value);
    while (tail.length && tail[0][0] < at - this.seconds) tail.shift();
  }

  /** @param {Point[]} tail @param {number} at @param {number | null} value */
  #put(tail, at, value) {
    const start = at - (at % this.step);
    const last = tail.at(-1);
    if (!last || last[0] < start) tail.push([start, value]);
    else if (value !== null && (last[1] === null || value > last[1])) last[1] = value;
  }

  /** Keep only the tails of these keys. @param {(key: string) => boolean} wanted */
  keep(wanted) {
    for (const key of this.#tails.keys()) if (!wanted(key)) this.#tails.delete(key);
  }

  /** @param {string} key */
  has(key) {
    return (this.#tails.get(key)?.length ?? 0) > 1;
  }

  /** @param {string} key @param {number} now @param {string} [tone] */
  svg(key, now, tone = "") {
    const to = now - (now % this.step);
    return sparkline(this.#tails.get(key) ?? [], to - this.seconds, to, tone);
  }
}

/** A line over [from, to]; unknown values leave a gap. @param {Point[]} points @param {number} from @param {number} to @param {string} [tone] */
export function sparkline(points, from, to, tone = "") {
  let top = 1;
  let known = 0;
  for (const [at, value] of points) {
    if (value === null || at < from) continue;
    known += 1;
    if (value > top) top = value;
  }
  const attrs = { class: `spark${tone ? ` spark--${tone}` : ""}`, viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" };
  if (known < 2) return piece("svg", attrs);
  const x = (/** @type {number} */ at) => Math.round(((at - from) / (to - from)) * WIDTH * 10) / 10;
  const y = (/** @type {number} */ value) => Math.round((HEIGHT - 1 - (value / top) * (HEIGHT - 3)) * 10) / 10;
  let line = "";
  let area = "";
  let stroke = "";
  let start = 0;
  let end = 0;
  const lift = () => {
    if (stroke) area += `${stroke}L${end} ${HEIGHT}L${start} ${HEIGHT}Z`;
    line += stroke;
    stroke = "";
  };
  points.forEach(([at, value], index) => {
    if (at < from) return;
    if (value === null) return lift();
    end = x(at);
    if (!stroke) start = end;
    else if (points[index - 1][1] === value && points[index + 1]?.[1] === value) return; // on the way of a level line
    stroke += `${stroke ? "L" : "M"}${end} ${y(value)}`;
  });
  lift();
  return piece("svg", attrs, piece("path", { class: "spark__area", d: area }), piece("path", { d: line }));
}
