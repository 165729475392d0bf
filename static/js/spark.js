// @ts-check
// Sparklines: a tail of (time, value) per key, drawn as one SVG path. The page keeps the tail; deltas never carry it.

const WIDTH = 120;
const HEIGHT = 24;

export class Tails {
  /** @type {Map<string, [number, number | null][]>} */
  #tails = new Map();

  /** @param {number} seconds how long a tail is @param {number} step shortest time between two of its points, seconds */
  constructor(seconds = 900, step = 5) {
    this.seconds = seconds;
    this.step = step;
  }

  /** @param {string} key @param {[number, number | null][]} points older points, in order */
  prepend(key, points) {
    const own = this.#tails.get(key) ?? [];
    const from = own[0]?.[0] ?? Infinity;
    this.#tails.set(key, [...points.filter(([at]) => at < from), ...own]);
  }

  /** @param {string} key @param {number} at @param {number | null} value */
  add(key, at, value) {
    let tail = this.#tails.get(key);
    if (!tail) this.#tails.set(key, (tail = []));
    const last = tail.at(-1);
    if (last && at - last[0] < this.step * 0.8) last[1] = value;
    else tail.push([at, value]);
    while (tail.length && tail[0][0] < at - this.seconds) tail.shift();
  }

  /** @param {string} key */
  has(key) {
    return (this.#tails.get(key)?.length ?? 0) > 1;
  }

  /** @param {string} key */
  of(key) {
    return this.#tails.get(key) ?? [];
  }

  /** @param {string} key @param {number} now @param {string} [tone] */
  svg(key, now, tone = "") {
    return sparkline(this.of(key), now - this.seconds, now, tone);
  }
}

/** SVG text of a line over [from, to]; unknown values leave a gap. @param {[number, number | null][]} points @param {number} from @param {number} to @param {string} [tone] */
export function sparkline(points, from, to, tone = "") {
  const known = points.filter(([at, value]) => value !== null && at >= from);
  if (known.length < 2) return `<svg class="spark" aria-hidden="true"></svg>`;
  const top = Math.max(1, ...known.map(([, value]) => /** @type {number} */ (value)));
  let line = "";
  let area = "";
  let start = -1;
  let pen = false;
  let lastX = 0;
  const close = () => { if (pen) area += `L${lastX} ${HEIGHT}L${start} ${HEIGHT}Z`; pen = false; };
  for (const [at, value] of points) {
    if (at < from) continue;
    if (value === null) { close(); continue; }
    const x = Math.round(((at - from) / (to - from)) * WIDTH * 10) / 10;
    const y = Math.round((HEIGHT - 1 - (value / top) * (HEIGHT - 3)) * 10) / 10;
    line += `${pen ? "L" : "M"}${x} ${y}`;
    area += `${pen ? "L" : "M"}${x} ${y}`;
    if (!pen) start = x;
    pen = true;
    lastX = x;
  }
  close();
  return `<svg class="spark${tone ? ` spark--${tone}` : ""}" viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" aria-hidden="true"><path class="spark__area" d="${area}"/><path d="${line}"/></svg>`;
}
