import assert from "node:assert/strict";
import { test } from "node:test";
import "./page.js";

const { addressOf, comparison, filterOf, readQuery, viewParams } = await import("../../static/js/board-query.js");
const { Tails, sparkline } = await import("../../static/js/spark.js");
const { figure } = await import("../../static/js/cells.js");
const { inZone, showZone } = await import("../../static/js/zones.js");

const at = { group: 0, client: 1, state: 2, verdict: 3, lag_records: 4 };
const rows = [
  ["a", ["alpha", "", "stable", "ok", 5]], ["b", ["beta", "Northgate Capital", "empty", "stopped", null]],
  ["c", ["gamma", "", "stable", "ok", 40]], ["d", ["delta", "", "stable", "ok", 5]],
];
const sorted = (/** @type {string} */ sort) => [...rows].sort(comparison(sort, at)).map(([key]) => key).join("");

test("rows come in the server's order: unknown last, ties by name", () => {
  assert.equal(sorted("severity"), "badc");
  assert.equal(sorted("lag_records"), "adcb");
  assert.equal(sorted("-lag_records"), "cadb");
  assert.equal(sorted("-group"), "cdba");
});

test("a query survives its address and asks the view for the same", () => {
  const query = readQuery(new URLSearchParams("q=AL&verdict=ok&verdict=stopped&client=Northgate+Capital&sort=-group"));
  assert.equal(addressOf(readQuery(new URLSearchParams(addressOf(query)))), "?q=AL&verdict=stopped&verdict=ok&client=Northgate+Capital&sort=-group");
  assert.deepEqual(viewParams(query), { sort: "-group", q: "AL", verdict: ["ok", "stopped"], client: ["Northgate Capital"] });
  assert.equal(addressOf(readQuery(new URLSearchParams())), "");
});

test("filters are those of the server, and the chips count without the verdict", () => {
  const query = readQuery(new URLSearchParams("q=A&verdict=stopped"));
  const passing = (/** @type {boolean} */ any) => rows.filter(([, row]) => filterOf(query, at, any)(row)).map(([key]) => key).join("");
  assert.equal(passing(false), "b");
  assert.equal(passing(true), "abcd");
});

test("a tail keeps the highest value of each step and joins what came before", () => {
  const tails = new Tails(900, 15);
  tails.add("k", 1000, 4);
  tails.add("k", 1004, 9);
  tails.add("k", 1005, 2);
  tails.prepend("k", [[970, 1], [980, 3], [991, 7], [1001, 100]]);
  const path = tails.svg("k", 1005).inner[1].attrs.d;
  assert.equal(path.match(/[ML]/g)?.length, 4); // steps of 960, 975, 990 and 1005
  tails.keep(() => false);
  assert.equal(tails.has("k"), false);
});

test("a level line costs two points, and what is unknown is a gap", () => {
  const level = sparkline([[0, 0], [10, 0], [20, 0], [30, 0]], 0, 30);
  assert.equal(level.inner[1].attrs.d, "M0 23L120 23");
  const broken = sparkline([[0, 0], [10, 5], [20, null], [30, 5]], 0, 30);
  assert.equal(broken.inner[1].attrs.d, "M0 23L40 2M120 2");
});

test("a figure of the page is the server's: three digits, unit apart, exact on hover", () => {
  const cell = figure(12345, "/s");
  assert.deepEqual([cell.attrs.value, cell.inner[0], cell.inner[1].inner], ["12345", "12.3", ["k/s"]]);
  assert.equal(figure(null, "", "why").attrs.title, "why");
});

test("a moment is shown in the chosen zone, as exactly as before", () => {
  assert.equal(inZone(Date.parse("2026-07-01T22:30:05Z"), "Europe/Zurich"), "2026-07-02 00:30:05");
  const time = { dateTime: "2026-07-01T22:30:05Z", textContent: "22:30:05", title: "", dataset: {} };
  document.documentElement.dataset.zone = "own";
  showZone(time);
  assert.equal(time.textContent, "00:30:05");
  assert.equal(time.title, "2026-07-02 00:30:05 Europe/Zurich, 2026-07-01 22:30:05 UTC");
});
