// @ts-check
// The columns of the board: what stands in the cells of a row.
import { bound, figure, piece, seconds, TONES, unknown, verdictPill, words } from "ops/cells";

/** @typedef {import("ops/board-query").Row} Row */
/** @typedef {import("ops/cells").Piece} Piece */

export const SHOWN = ["verdict", "group", "client", "state", "members", "worst_topic", "lag_records", "lag_seconds", "produce_rate", "consume_rate", "spark", "catch_up_seconds"];
export const SPARK = SHOWN.indexOf("spark");
export const END = new Set(["members", "lag_records", "lag_seconds", "produce_rate", "consume_rate", "catch_up_seconds"]);

const truncated = (/** @type {string|null} */ text) => [piece("span", { class: "truncate", title: text ?? "" }, text ?? "")];

/**
 * @param {import("ops/board-query").Places} at @param {string} groupUrl address of a group's page with GROUP for its name
 * @param {(key: string, tone: string) => Piece} tail the sparkline of a row
 * @returns {Record<string, (row: Row, key: string) => Piece[]>}
 */
export function boardCells(at, groupUrl, tail) {
  return {
    verdict: (row) => [verdictPill(row[at.verdict], row[at.reason])],
    group: (row, key) => [piece("a", { class: "truncate", href: groupUrl.replace("GROUP", segment(row[at.group], key)), title: row[at.group] }, row[at.group])],
    client: (row) => truncated(row[at.client]),
    state: (row) => [words(row[at.state])],
    members: (row) => [figure(row[at.members], "", row[at.reason])],
    worst_topic: (row) => truncated(row[at.worst_topic]),
    lag_records: (row) => [figure(row[at.lag_records], "", row[at.reason])],
    lag_seconds: (row) => [seconds(row[at.lag_seconds], row[at.reason]), bound(row[at.bound])],
    produce_rate: (row) => [figure(row[at.produce_rate], "/s", "not known, or the topic is shared")],
    consume_rate: (row) => [figure(row[at.consume_rate], "/s", row[at.reason])],
    spark: (row, key) => [tail(key, TONES[row[at.verdict]] === "critical" ? "critical" : "")],
    catch_up_seconds: (row) => [catchUp(row[at.catch_up_seconds], row[at.lag_records] !== null, row[at.reason])],
  };
}

/** A group's name as a path segment; names that cannot be one are reached by id. @param {string} group @param {string} key */
function segment(group, key) {
  const plain = group && !group.includes("/") && group !== "." && group !== ".." && !group.startsWith("~");
  return plain ? encodeURIComponent(group) : `~${key}`;
}

/** @param {number | null} value seconds @param {boolean} known whether the lag is @param {string} reason */
function catchUp(value, known, reason) {
  if (value) return seconds(value);
  if (value === 0) return piece("span", { class: "faint" }, "caught up");
  return known ? piece("span", { class: "faint", title: "not converging, or not known" }, "no estimate") : unknown(reason);
}
