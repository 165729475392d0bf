import assert from "node:assert/strict";
import { test } from "node:test";
import { ageState, ageText } from "../../static/js/age.js";
import { hasColumn, retryDelay, ServerClock, Table } from "../../static/js/live.js";

const schema = { key: "key", columns: ["a", "b", "at"], time: "at" };

/** @param {any[][]} rows */
function loaded(rows, ts = 1000) {
  const table = new Table();
  table.load({ e: "e1", s: 5, ts, schema, rows });
  return table;
}

const AT_1000 = "1970-01-01T00:16:40.000Z";
const AT_1005 = "1970-01-01T00:16:45.500Z";

test("a delta changes only the columns of its mask", () => {
  const table = loaded([["k", 1, "x", null]]);
  const changed = table.apply({ s: 6, ps: 5, ts: 1000, rows: [["k", 2, "y"]], del: [] });
  assert.deepEqual([...changed], [["k", 2]]);
  assert.deepEqual(table.rows.get("k"), [1, "y", null]);
  assert.equal(table.seq, 6);
});

test("a delta that does not follow is refused and changes nothing", () => {
  const table = loaded([["k", 1, "x", null]]);
  assert.equal(table.apply({ s: 8, ps: 7, ts: 1000, rows: [["k", 1, 2]], del: [] }), null);
  assert.deepEqual(table.rows.get("k"), [1, "x", null]);
  assert.equal(new Table().apply({ s: 1, ps: 0, ts: 1, rows: [], del: [] }), null);
});

test("rows appear and vanish", () => {
  const table = loaded([["k", 1, "x", null]]);
  table.apply({ s: 6, ps: 5, ts: 1000, rows: [["n", 7, 3, "z", null]], del: ["k"] });
  assert.deepEqual([...table.rows], [["n", [3, "z", null]]]);
});

test("rows read with the source get its new time, others keep theirs", () => {
  const table = loaded([["with", 1, "x", AT_1000], ["old", 1, "x", "1970-01-01T00:00:01.000Z"]]);
  const changed = table.apply({ s: 6, ps: 5, ts: 1005.5, rows: [], del: [] });
  assert.equal(table.value("with", "at"), AT_1005);
  assert.equal(table.value("old", "at"), "1970-01-01T00:00:01.000Z");
  assert.deepEqual([...changed.keys()], ["with"]);
});

test("masks hold more columns than a 32 bit number", () => {
  assert.ok(hasColumn(2 ** 40, 40));
  assert.ok(!hasColumn(2 ** 40, 39));
});

test("the clock believes the quickest ping", () => {
  const clock = new ServerClock();
  clock.add(0, 1000, 300.5);
  clock.add(2000, 2020, 302.01);
  clock.add(3000, 4500, 305);
  assert.equal(clock.now(10_000), 310);
});

test("retries are spread up to a doubling ceiling of twenty seconds", () => {
  assert.equal(retryDelay(0, () => 1), 500);
  assert.equal(retryDelay(3, () => 0.5), 2000);
  assert.equal(retryDelay(50, () => 1), 20_000);
});

test("ages are told in words and states", () => {
  assert.deepEqual([null, 0.4, 61, 3600, 7500, 100_000].map(ageText), ["never", "0 s", "1 min", "1 h", "2 h 5 min", "1 d 3 h"]);
  assert.deepEqual([7, 8, 12, 12.1, null].map((age) => ageState(age, 5)), ["fresh", "late", "late", "stale", "stale"]);
});
