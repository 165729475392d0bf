// @ts-check
// What the board is asked for: it lives in the address, and orders and filters rows as the server would.
import { VERDICTS } from "ops/cells";

/** @typedef {any[]} Row the values of one group, in the order of the view's columns */
/** @typedef {Record<string, number>} Places where a column's value stands in a row */
/** @typedef {{q: string, verdict: Set<string>, client: string, state: string, sort: string}} Query */

const TEXT = new Set(["group", "client"]);
const RANK = Object.fromEntries(VERDICTS.map((verdict, rank) => [verdict, rank]));
const byText = (/** @type {string} */ a, /** @type {string} */ b) => (a < b ? -1 : a > b ? 1 : 0);

/** @param {URLSearchParams} params @returns {Query} */
export const readQuery = (params) => ({
  q: params.get("q") ?? "",
  verdict: new Set(params.getAll("verdict")),
  client: params.get("client") ?? "",
  state: params.get("state") ?? "",
  sort: params.get("sort") ?? "severity",
});

/** @param {Query} query */
export const isFiltered = (query) => Boolean(query.q || query.verdict.size || query.client || query.state);

/** The address's query string, empty or with its question mark. @param {Query} query */
export function addressOf(query) {
  const params = new URLSearchParams();
  if (query.q) params.set("q", query.q);
  for (const verdict of VERDICTS) if (query.verdict.has(verdict)) params.append("verdict", verdict);
  if (query.client) params.set("client", query.client);
  if (query.state) params.set("state", query.state);
  if (query.sort !== "severity") params.set("sort", query.sort);
  const text = params.toString();
  return text ? `?${text}` : "";
}

/** Parameters of the live view that asks for the same. @param {Query} query */
export const viewParams = ({ q, verdict, client, state, sort }) => ({
  sort, ...(q && { q }), ...(verdict.size && { verdict: [...verdict].sort() }), ...(client && { client: [client] }), ...(state && { state: [state] }),
});

/** Does a row pass? `anyVerdict` leaves the verdict out, for the counts on the chips. @param {Query} query @param {Places} at */
export function filterOf(query, at, anyVerdict = false) {
  const text = query.q.toLowerCase();
  const [group, client, state, verdict] = [at.group, at.client, at.state, at.verdict];
  return (/** @type {Row} */ row) =>
    (anyVerdict || !query.verdict.size || query.verdict.has(row[verdict])) &&
    (!query.client || row[client] === query.client) &&
    (!query.state || row[state] === query.state) &&
    (!text || row[group].toLowerCase().includes(text));
}

/** Rows as the server sorts them: unknown last, ties by name. @param {string} sort @param {Places} at */
export function comparison(sort, at) {
  const name = sort.replace("-", "");
  const turn = sort.startsWith("-") ? -1 : 1;
  const [index, group] = [at[name === "severity" ? "verdict" : name], at.group];
  const value = name === "severity" ? (/** @type {Row} */ row) => RANK[row[index]] : (/** @type {Row} */ row) => row[index];
  return (/** @type {[string, Row]} */ [, a], /** @type {[string, Row]} */ [, b]) => {
    const [x, y] = [value(a) ?? null, value(b) ?? null];
    if (x === y) return byText(a[group], b[group]);
    if (x === null || y === null) return x === null ? 1 : -1;
    return (TEXT.has(name) ? byText(x, y) : x - y) * turn || byText(a[group], b[group]);
  };
}

/** Columns whose change can move a row. @param {Query} query */
export const decisive = (query) => ["group", "client", "state", "verdict", query.sort.replace("-", "")];
