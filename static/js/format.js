// @ts-check
// How figures read on a page; the same rules as ops_portal/lib/formats.py, held together by a test.

export const THIN = "\u202f";
const STEPS = /** @type {[number, string][]} */ ([[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]]);

/** @param {string} digits */
const grouped = (digits) => digits.replace(/\B(?=(\d{3})+(?!\d))/g, THIN);
/** @param {string} text */
const trimmed = (text) => (text.includes(".") ? text.replace(/0+$/, "").replace(/\.$/, "") : text);

/** Every digit of a whole number, thousands apart. @param {number} value */
export function exact(value) {
  const sign = value < 0 ? "-" : "";
  const size = Math.abs(value);
  if (Number.isInteger(value)) return sign + grouped(String(size));
  const [whole, part] = size.toFixed(3).split(".");
  return sign + trimmed(`${grouped(whole)}.${part}`);
}

/** At most three significant digits, rounded half up. @param {number} value */
export function threeDigits(value) {
  const size = Math.abs(value);
  const decimals = size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2;
  const text = trimmed((Math.floor(size * 10 ** decimals + 0.5) / 10 ** decimals).toFixed(decimals));
  return value < 0 && text !== "0" ? `-${text}` : text;
}

/** A figure for a list: 1234 -> "1.23 k". @param {number} value */
export function compact(value) {
  const size = Math.abs(value);
  for (const [step, letter] of STEPS) if (size >= step * 0.9995) return `${threeDigits(value / step)}${THIN}${letter}`;
  return threeDigits(value);
}

/** Seconds as people say them. @param {number} seconds */
export function duration(seconds) {
  const size = Math.abs(seconds);
  const sign = seconds < 0 ? "-" : "";
  if (size < 99.95) return `${sign}${threeDigits(size)}${THIN}s`;
  const whole = Math.floor(size + 0.5);
  if (whole < 3600) return sign + two(Math.floor(whole / 60), "min", whole % 60, "s");
  const minutes = Math.floor(size / 60 + 0.5);
  if (minutes < 1440) return sign + two(Math.floor(minutes / 60), "h", minutes % 60, "min");
  const hours = Math.floor(size / 3600 + 0.5);
  return sign + two(Math.floor(hours / 24), "d", hours % 24, "h");
}

/** @param {number} large @param {string} largeUnit @param {number} small @param {string} smallUnit */
function two(large, largeUnit, small, smallUnit) {
  const text = `${large}${THIN}${largeUnit}`;
  return small ? `${text} ${small}${THIN}${smallUnit}` : text;
}

/** "5 s ago", "in 2 min"; the past is positive. @param {number} seconds */
export function ago(seconds) {
  if (seconds < -0.5) return `in ${duration(Math.round(-seconds))}`;
  return seconds < 1 ? "now" : `${duration(Math.floor(seconds))} ago`;
}

/** Split a figure from its unit letters, so that units can be set lighter. @param {string} text */
export function splitUnit(text) {
  const match = /^(-?[\d.\u202f]*\d)\u202f?([^\d]*)$/.exec(text);
  return match ? [match[1], match[2]] : [text, ""];
}
