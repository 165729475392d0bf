// @ts-check
// Moments in the zone a person has chosen: UTC, or the account's own zone (the browser's when the account says UTC).

const root = document.documentElement;
/** @type {Map<string, Intl.DateTimeFormat>} */
const formats = new Map();

/** The zone that times are shown in. */
export const zoneName = () =>
  root.dataset.zone === "own" ? root.dataset.ownZone || Intl.DateTimeFormat().resolvedOptions().timeZone : "UTC";

/** Date and time of a moment, `2026-03-01 14:05:09`. @param {number} ms since the epoch @param {string} [zone] */
export function inZone(ms, zone = zoneName()) {
  let format = formats.get(zone);
  if (!format) {
    const options = /** @type {Intl.DateTimeFormatOptions} */ ({ timeZone: zone, dateStyle: "short", timeStyle: "medium" });
    formats.set(zone, (format = new Intl.DateTimeFormat("sv-SE", options))); // Swedish dates are ISO dates
  }
  return format.format(ms);
}

/** Hours and minutes of a moment. @param {number} ms since the epoch */
export const clockTime = (ms) => inZone(ms).slice(11, 16);

/** Show a time element in the zone, as exactly as the server did in UTC; both zones stand in its title. @param {HTMLTimeElement} time */
export function showZone(time) {
  const ms = Date.parse(time.dateTime);
  if (Number.isNaN(ms)) return;
  const [zone, here] = [zoneName(), inZone(ms)];
  time.dataset.zone = root.dataset.zone ?? "utc";
  time.title = zone === "UTC" ? `${inZone(ms, "UTC")} UTC` : `${here} ${zone}, ${inZone(ms, "UTC")} UTC`;
  if (time.dataset.ago !== undefined) return;
  const was = time.textContent ?? "";
  if (/^\d{4}-\d\d-\d\d \d\d:\d\d/.test(was)) time.textContent = here.slice(0, was.length);
  else if (/^\d\d:\d\d(:\d\d)?$/.test(was)) time.textContent = here.slice(11, 11 + was.length);
}
