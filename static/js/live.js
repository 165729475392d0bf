// @ts-check
/**
 * Live views: one socket per tab, many views (protocol 1). No dependency.
 *
 *   const view = live.subscribe("lag.board", { cluster: "demo" }, {
 *     onSnapshot(table) {}, onDelta(table, changed, deleted) {}, onState(state) {},
 *   });
 *   view.focus(); view.stop();
 *
 * Rows stay when the connection goes: `onState` says how old they are and why.
 */

/** @typedef {{key: string, columns: string[], time: string | null}} Schema */
/** @typedef {{e: string, s: number, ts: number | null, schema: Schema, rows: any[][]}} Snap */
/** @typedef {{s: number, ps: number, ts: number | null, rows: any[][], del: string[]}} Delta */
/** @typedef {"waiting" | "live" | "stale" | "refused" | "over"} StateName */
/** @typedef {{state: StateName, why: string | null, since: number | null}} State since: server seconds */
/**
 * @typedef {object} Handlers
 * @property {(table: Table) => void} [onSnapshot] all rows are new
 * @property {(table: Table, changed: Map<string, number>, deleted: string[]) => void} [onDelta] row key -> column bitmask
 * @property {(state: State) => void} [onState]
 */

const PING_MS = 5000;
const SILENT_MS = 10000;
const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 20000;

/** True when column `index` is set in the mask; masks may have more than 32 bits. @param {number} mask @param {number} index */
export const hasColumn = (mask, index) => Math.floor(mask / 2 ** index) % 2 === 1;

/** Server seconds as the interfaces write times. @param {number | null} ts */
const isoTime = (ts) => (ts === null ? null : new Date(Math.round(ts * 1000)).toISOString());

/** The rows of one view, as of sequence number `seq` in `epoch`. */
export class Table {
  epoch = "";
  seq = 0;
  /** Source time, server seconds. @type {number | null} */
  ts = null;
  /** @type {string[]} */
  columns = [];
  /** Row key -> values in column order. @type {Map<string, any[]>} */
  rows = new Map();
  #time = -1;

  /** @param {Snap} snap */
  load(snap) {
    this.epoch = snap.e;
    this.seq = snap.s;
    this.ts = snap.ts;
    this.columns = snap.schema.columns;
    this.#time = snap.schema.time === null ? -1 : this.columns.indexOf(snap.schema.time);
    this.rows = new Map(snap.rows.map(([key, ...values]) => [key, values]));
  }

  /**
   * Apply the delta if it follows what is here; null when it does not. @param {Delta} delta
   * @returns {Map<string, number> | null} row key -> changed columns
   */
  apply(delta) {
    if (delta.ps !== this.seq || this.epoch === "") return null;
    const changed = new Map();
    this.#follow(delta.ts, changed);
    for (const key of delta.del) this.rows.delete(key);
    for (const [key, mask, ...values] of delta.rows) {
      let row = this.rows.get(key);
      if (row === undefined) this.rows.set(key, (row = new Array(this.columns.length).fill(null)));
      let next = 0;
      for (let i = 0; i < row.length; i += 1) if (hasColumn(mask, i)) row[i] = values[next++];
      changed.set(key, mask);
    }
    this.seq = delta.s;
    return changed;
  }

  /** @param {string} key @param {string} column @returns {any} undefined when there is no such row or column */
  value(key, column) {
    return this.rows.get(key)?.[this.columns.indexOf(column)];
  }

  /** Rows read with the source move on with it; a delta only names those that do not. @param {number | null} ts @param {Map<string, number>} changed */
  #follow(ts, changed) {
    const time = this.#time;
    if (time >= 0 && this.ts !== null && ts !== this.ts) {
      const [old, now] = [isoTime(this.ts), isoTime(ts)];
      for (const [key, row] of this.rows) {
        if (row[time] === old) {
          row[time] = now;
          changed.set(key, 0);
        }
      }
    }
    this.ts = ts;
  }
}

/** The server's clock as seen from here: the offset of the quickest of the last pings. */
export class ServerClock {
  /** @type {{rtt: number, offset: number}[]} */
  #samples = [];
  #offset = 0;

  /** @param {number} sent own ms @param {number} received own ms @param {number} now server seconds */
  add(sent, received, now) {
    this.#samples = [...this.#samples.slice(-7), { rtt: received - sent, offset: now * 1000 - (sent + received) / 2 }];
    this.#offset = this.#samples.reduce((a, b) => (b.rtt < a.rtt ? b : a)).offset;
  }

  /** Server seconds since the epoch. @param {number} [own] own ms */
  now(own = Date.now()) {
    return (own + this.#offset) / 1000;
  }
}

/** Full jitter: anywhere up to the doubled ceiling. @param {number} failures @param {() => number} [random] */
export const retryDelay = (failures, random = Math.random) =>
  random() * Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** failures);

/** One view on the page. */
class Subscription {
  table = new Table();
  /** @type {State} */
  state = { state: "waiting", why: null, since: null };

  /** @param {Live} live @param {string} id @param {string} view @param {Record<string, any>} params @param {Handlers} handlers */
  constructor(live, id, view, params, handlers) {
    this.live = live;
    this.id = id;
    this.view = view;
    this.params = params;
    this.handlers = handlers;
  }

  /** The sub message; it continues from what is here. */
  message() {
    const { epoch, seq } = this.table;
    return { type: "sub", id: this.id, view: this.view, params: this.params, ...(epoch && { epoch, seq }) };
  }

  /** Show this view more often than the others. */
  focus() {
    this.live.focus(this.id);
  }

  /** Ask for other rows of the same view. @param {Record<string, any>} params */
  change(params) {
    this.params = params;
    this.table = new Table();
    this.set("waiting");
    this.live.send(this.message());
  }

  /** Leave the view. */
  stop() {
    this.live.forget(this.id);
  }

  /** @param {StateName} state @param {string | null} [why] @param {number | null} [since] */
  set(state, why = null, since = null) {
    if (this.state.state === state && this.state.why === why) return;
    this.state = { state, why, since };
    this.handlers.onState?.(this.state);
  }
}

/** The tab's connection. It opens with the first subscription. */
export class Live {
  clock = new ServerClock();
  #url;
  #failures = 0;
  #heardAt = 0;
  #nextId = 1;
  #ready = false;
  #over = false;
  /** @type {number | null} */
  #retryMs = null;
  /** @type {string | null} */
  #focus = null;
  /** @type {WebSocket | null} */
  #socket = null;
  /** @type {Map<string, Subscription>} */
  #views = new Map();

  /** @param {string} [url] */
  constructor(url) {
    this.#url = url ?? `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws/live/`;
    setInterval(() => this.#beat(), PING_MS);
    document.addEventListener("visibilitychange", () => this.#tellVisibility());
    addEventListener("online", () => this.#socket ?? this.#connect());
  }

  /** @param {string} view @param {Record<string, any>} params @param {Handlers} handlers */
  subscribe(view, params, handlers) {
    const subscription = new Subscription(this, `${this.#nextId++}`, view, params, handlers);
    this.#views.set(subscription.id, subscription);
    if (this.#socket === null && !this.#over) this.#connect();
    this.send(subscription.message());
    return subscription;
  }

  /** @param {string} id */
  forget(id) {
    if (this.#views.delete(id)) this.send({ type: "unsub", id });
  }

  /** @param {string} id */
  focus(id) {
    this.#focus = id;
    this.#tellVisibility();
  }

  /** Nothing is kept for later: a new connection subscribes to everything anyway. @param {object} message */
  send(message) {
    if (this.#ready) this.#socket?.send(JSON.stringify(message));
  }

  #connect() {
    const socket = (this.#socket = new WebSocket(this.#url));
    this.#heardAt = Date.now();
    this.#retryMs = null;
    socket.onopen = () => {
      const tz = Intl.DateTimeFormat().resolvedOptions().timeZone;
      socket.send(JSON.stringify({ type: "hello", proto: 1, tz }));
    };
    socket.onmessage = (event) => {
      if (socket !== this.#socket) return;
      this.#heardAt = Date.now();
      const data = JSON.parse(event.data);
      for (const message of Array.isArray(data) ? data : [data]) this.#take(message);
    };
    socket.onclose = (event) => {
      if (socket === this.#socket) this.#lost(event.code);
    };
  }

  /** @param {number} code */
  #lost(code) {
    this.#socket = null;
    this.#ready = false;
    this.#over = code >= 4400 && code < 4500;
    for (const view of this.#views.values()) {
      if (this.#over) view.set("over", `${code}`, view.table.ts);
      else if (view.state.state !== "refused") view.set("stale", "socket", view.table.ts ?? this.clock.now());
    }
    if (this.#over) {
      document.dispatchEvent(new CustomEvent("live:over", { detail: { code } }));
      return;
    }
    setTimeout(() => this.#socket ?? this.#connect(), this.#retryMs ?? retryDelay(this.#failures));
    this.#failures += 1;
  }

  #beat() {
    if (this.#socket === null) return;
    if (Date.now() - this.#heardAt > SILENT_MS) {
      const socket = this.#socket;
      this.#lost(1006); // the close event of a dead connection may be minutes away
      socket.close();
    } else {
      this.send({ type: "ping", t: Date.now() });
    }
  }

  #tellVisibility() {
    this.send({ type: "vis", hidden: document.hidden, focus: this.#focus });
  }

  /** @param {any} message */
  #take(message) {
    if (message.type === "welcome") this.#welcomed(message);
    else if (message.type === "pong") this.clock.add(message.t, Date.now(), message.now);
    else if (message.type === "bye") this.#retryMs = message.retry_ms || null;
    else {
      const view = this.#views.get(message.v);
      if (view) this.#takeFor(view, message);
    }
  }

  /** @param {{now: number}} message */
  #welcomed(message) {
    this.#failures = 0;
    this.#ready = true;
    this.clock.add(this.#heardAt, this.#heardAt, message.now);
    this.send({ type: "ping", t: Date.now() });
    this.#tellVisibility();
    const subs = [...this.#views.values()].map((view) => view.message());
    for (let i = 0; i < subs.length; i += 16) this.send(subs.slice(i, i + 16));
  }

  /** @param {Subscription} view @param {any} message */
  #takeFor(view, message) {
    const { table, handlers } = view;
    if (message.type === "snap") {
      table.load(message);
      handlers.onSnapshot?.(table);
      view.set("live");
    } else if (message.type === "d") {
      const changed = table.apply(message);
      if (changed === null) {
        if (table.epoch) this.send(view.message()); // without rows the snapshot is on its way
      } else {
        handlers.onDelta?.(table, changed, message.del);
        if (view.state.why === "socket" || view.state.state === "waiting") view.set("live");
      }
    } else if (message.type === "stale") {
      if (message.why === null) view.set("live");
      else view.set("stale", message.why, message.since);
    } else if (message.type === "gap") {
      view.table = new Table();
      if (message.why === "large") this.#fetch(view);
    } else if (message.type === "error") {
      if (message.code === "unavailable") setTimeout(() => this.send(view.message()), retryDelay(4));
      else view.set("refused", message.code);
    }
  }

  /** A large snapshot comes compressed over HTTP; the socket goes on from there. @param {Subscription} view */
  async #fetch(view) {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(view.params)) for (const one of [value].flat()) query.append(name, one);
    const table = view.table;
    try {
      const answer = await fetch(`/api/v1/views/${view.view}?${query}`);
      if (!answer.ok) throw new Error(`${answer.status}`);
      const snap = await answer.json();
      if (table !== view.table) return; // asked for something else meanwhile
      table.load(snap);
      view.handlers.onSnapshot?.(table);
      view.set("live");
      this.send(view.message());
    } catch {
      setTimeout(() => table === view.table && this.#fetch(view), retryDelay(4));
    }
  }
}

/** @type {Live | undefined} */
let shared;

/** The page's connection. */
export const live = {
  /** @param {string} view @param {Record<string, any>} params @param {Handlers} handlers */
  subscribe: (view, params, handlers) => (shared ??= new Live()).subscribe(view, params, handlers),
  /** Server seconds since the epoch. */
  now: () => shared?.clock.now() ?? Date.now() / 1000,
};
