// @ts-check
// A table body that holds only the rows near the window: spacer rows above and below keep the height.

const SPARE = 10;
const SMALL = 120; // up to here every row is in the page, and the browser's own search finds it

export class VirtualRows {
  /** @type {Map<string, HTMLTableRowElement>} */
  #shown = new Map();
  /** @type {string[]} */
  keys = [];

  /**
   * @param {HTMLTableSectionElement} body
   * @param {(key: string, row: HTMLTableRowElement) => void} fill draws all cells of a row that is new or comes back
   * @param {HTMLElement | null} [scroller] what scrolls; the window when null
   */
  constructor(body, fill, scroller = null) {
    this.body = body;
    this.fill = fill;
    this.scroller = scroller;
    this.top = this.#spacer();
    this.bottom = this.#spacer();
    for (const row of /** @type {NodeListOf<HTMLTableRowElement>} */ (body.querySelectorAll("tr[data-key]"))) {
      this.#shown.set(row.dataset.key ?? "", row);
      this.keys.push(row.dataset.key ?? "");
    }
    body.prepend(this.top);
    body.append(this.bottom);
    let due = false;
    const later = () => {
      if (due) return;
      due = true;
      requestAnimationFrame(() => { due = false; this.draw(); });
    };
    (scroller ?? window).addEventListener("scroll", later, { passive: true });
    addEventListener("resize", later);
  }

  #spacer() {
    const row = document.createElement("tr");
    row.className = "spacer";
    row.hidden = true;
    row.setAttribute("role", "presentation");
    row.append(document.createElement("td")); // one column wide: a span over hidden columns would make new ones
    return row;
  }

  /** Rows that are in the page now. */
  get shown() {
    return this.#shown;
  }

  get rowHeight() {
    return parseFloat(getComputedStyle(document.documentElement).getPropertyValue("--row-height")) || 36;
  }

  /** @param {string[]} keys in the order to show */
  set(keys) {
    this.keys = keys;
    this.draw();
  }

  #range() {
    const count = this.keys.length;
    if (count <= SMALL) return [0, count];
    const height = this.rowHeight;
    const box = this.scroller?.getBoundingClientRect();
    const above = (box ? box.top : 0) - this.body.getBoundingClientRect().top;
    const first = Math.max(0, Math.floor(above / height) - SPARE);
    const visible = Math.ceil((box ? box.height : innerHeight) / height) + 2 * SPARE;
    return [Math.min(first, Math.max(0, count - visible)), Math.min(count, first + visible)];
  }

  draw() {
    const [first, last] = this.#range();
    const wanted = this.keys.slice(first, last);
    const active = document.activeElement;
    const keep = new Set(wanted);
    for (const [key, row] of this.#shown) {
      if (keep.has(key)) continue;
      row.remove();
      this.#shown.delete(key);
    }
    let at = this.top.nextElementSibling;
    wanted.forEach((key, index) => {
      let row = this.#shown.get(key);
      if (!row) {
        row = document.createElement("tr");
        row.dataset.key = key;
        row.setAttribute("role", "row");
        this.#shown.set(key, row);
        this.fill(key, row);
      }
      row.setAttribute("aria-rowindex", String(first + index + 2));
      if (row === at) at = at.nextElementSibling;
      else this.body.insertBefore(row, at);
    });
    this.#space(this.top, first);
    this.#space(this.bottom, this.keys.length - last);
    if (active instanceof HTMLElement && active !== document.activeElement && active.isConnected) active.focus({ preventScroll: true });
  }

  /** @param {HTMLTableRowElement} row @param {number} rows */
  #space(row, rows) {
    row.hidden = rows <= 0;
    /** @type {HTMLElement} */ (row.firstElementChild).style.height = `${Math.max(0, rows) * this.rowHeight}px`;
  }

  /** Bring a row into view and focus its link. @param {number} index */
  focus(index) {
    if (index < 0 || index >= this.keys.length) return;
    const key = this.keys[index];
    if (!this.#shown.has(key) && !this.scroller) {
      scrollTo({ top: scrollY + this.body.getBoundingClientRect().top + index * this.rowHeight - innerHeight / 2 });
      this.draw();
    }
    const link = /** @type {HTMLElement|null|undefined} */ (this.#shown.get(key)?.querySelector("a"));
    link?.focus({ preventScroll: true });
    link?.scrollIntoView({ block: "nearest" });
  }

  /** Index of the row that has the focus, -1 without one. */
  focused() {
    const row = /** @type {HTMLElement|null|undefined} */ (document.activeElement?.closest("tr[data-key]"));
    return row ? this.keys.indexOf(row.dataset.key ?? "") : -1;
  }
}
