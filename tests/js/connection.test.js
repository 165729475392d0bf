import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { Live } from "../../static/js/live.js";

/** A socket that records what is sent; the test plays the server. */
class FakeSocket {
  /** @type {FakeSocket[]} */
  static opened = [];
  /** @type {any[]} */
  sent = [];
  onopen = () => {};
  /** @param {{data: string}} _event */
  onmessage = (_event) => {};
  /** @param {{code: number}} _event */
  onclose = (_event) => {};

  constructor() {
    FakeSocket.opened.push(this);
  }

  /** @param {string} text */
  send(text) {
    this.sent.push(...[JSON.parse(text)].flat());
  }

  close() {}

  /** @param {object} message */
  say(message) {
    this.onmessage({ data: JSON.stringify(message) });
  }

  /** Open and greet; what was sent in answer. */
  welcome() {
    this.onopen();
    this.say({ type: "welcome", epoch: "h", now: 1000, hz: 1, limits: {} });
  }

  /** @param {string} type */
  all(type) {
    return this.sent.filter((message) => message.type === type);
  }
}

const schema = { key: "key", columns: ["a"], time: null };
const snap = { type: "snap", v: "1", e: "e1", s: 5, ts: 1000, schema, rows: [["k", 1]] };

/** @type {any[]} */
let events;

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"], now: 1_000_000 });
  FakeSocket.opened = [];
  events = [];
  const page = new EventTarget();
  page.addEventListener("live:over", (event) => events.push(/** @type {CustomEvent} */ (event).detail.code));
  Object.assign(globalThis, { WebSocket: FakeSocket, document: page, addEventListener: () => {} });
});

function watching() {
  const live = new Live("ws://portal/ws/live/");
  /** @type {any[]} */
  const states = [];
  const view = live.subscribe("lag.board", { cluster: "demo" }, { onState: (state) => states.push([state.state, state.why]) });
  const socket = FakeSocket.opened[0];
  socket.welcome();
  return { live, view, states, socket };
}

test("it greets, then subscribes to every view at once", () => {
  const { socket } = watching();
  assert.equal(socket.sent[0].type, "hello");
  assert.deepEqual(socket.all("sub"), [{ type: "sub", id: "1", view: "lag.board", params: { cluster: "demo" } }]);
});

test("a delta that does not fit asks again from where the rows are", () => {
  const { socket, view } = watching();
  socket.say(snap);
  socket.say({ type: "d", v: "1", s: 9, ps: 8, ts: 1001, rows: [["k", 1, 2]], del: [] });
  assert.deepEqual(view.table.rows.get("k"), [1]);
  assert.deepEqual(socket.all("sub")[1], { type: "sub", id: "1", view: "lag.board", params: { cluster: "demo" }, epoch: "e1", seq: 5 });
});

test("a lost connection keeps the rows, says so, and goes on from them", () => {
  const { socket, view, states } = watching();
  socket.say(snap);
  socket.onclose({ code: 1006 });
  assert.deepEqual(states.at(-1), ["stale", "socket"]);
  assert.equal(view.table.rows.size, 1);
  mock.timers.tick(20_000);
  const next = FakeSocket.opened[1];
  next.welcome();
  assert.deepEqual([next.all("sub")[0].epoch, next.all("sub")[0].seq], ["e1", 5]);
  next.say({ type: "d", v: "1", s: 6, ps: 5, ts: 1002, rows: [["k", 1, 7]], del: [] });
  assert.deepEqual(view.table.rows.get("k"), [7]);
  assert.deepEqual(states.at(-1), ["live", null]);
});

test("silence of ten seconds counts as a lost connection", () => {
  const { socket, states } = watching();
  socket.say(snap);
  mock.timers.tick(16_000);
  assert.deepEqual(states.at(-1), ["stale", "socket"]);
});

test("an ended session is final and told to the page", () => {
  const { socket, states } = watching();
  socket.say(snap);
  socket.onclose({ code: 4401 });
  mock.timers.tick(60_000);
  assert.equal(FakeSocket.opened.length, 1);
  assert.deepEqual(states.at(-1), ["over", "4401"]);
  assert.deepEqual(events, [4401]);
});

test("a goodbye with a time is followed to the millisecond", () => {
  const { socket } = watching();
  socket.say({ type: "bye", code: 4000, retry_ms: 3000 });
  socket.onclose({ code: 4000 });
  mock.timers.tick(2999);
  assert.equal(FakeSocket.opened.length, 1);
  mock.timers.tick(1);
  assert.equal(FakeSocket.opened.length, 2);
});

test("other rights void the rows until the new snapshot", () => {
  const { socket, view } = watching();
  socket.say(snap);
  socket.say({ type: "gap", v: "1", why: "scope" });
  assert.equal(view.table.rows.size, 0);
  socket.say({ ...snap, e: "e2", s: 1 });
  assert.equal(view.table.epoch, "e2");
});

test("a large snapshot comes by HTTP and the socket goes on from it", async () => {
  /** @type {string[]} */
  const asked = [];
  const { type: _type, v: _v, ...body } = snap;
  Object.assign(globalThis, {
    fetch: async (/** @type {string} */ url) => {
      asked.push(url);
      return { ok: true, json: async () => body };
    },
  });
  const { live, socket } = watching();
  const view = live.subscribe("lag.group", { cluster: "demo", state: ["a b", "c"] }, {});
  socket.say({ type: "gap", v: "2", why: "large" });
  socket.say({ type: "d", v: "2", s: 6, ps: 5, ts: 1, rows: [], del: [] });
  await new Promise((done) => setImmediate(done));
  assert.deepEqual(asked, ["/api/v1/views/lag.group?cluster=demo&state=a+b&state=c"]);
  assert.equal(view.table.seq, 5);
  assert.deepEqual(socket.all("sub").at(-1).seq, 5);
});

test("the server's word on staleness is passed on and taken back", () => {
  const { socket, states } = watching();
  socket.say(snap);
  socket.say({ type: "stale", v: "1", since: 990, why: "source" });
  socket.say({ type: "stale", v: "1", since: null, why: null });
  assert.deepEqual(states, [["live", null], ["stale", "source"], ["live", null]]);
});
