// @ts-check
/** How old a value is, in words and in state; the limits are those of the server's `ops_portal.lib.units`. */

const LATE_PERIODS = 1.5;
const STALE_PERIODS = 2;
const STALE_GRACE_SECONDS = 2;

/** @param {number | null} age seconds @param {number} period seconds @returns {"fresh" | "late" | "stale"} */
export function ageState(age, period) {
  if (age === null || age > STALE_PERIODS * period + STALE_GRACE_SECONDS) return "stale";
  return age > LATE_PERIODS * period ? "late" : "fresh";
}

/** `3 s`, `4 min`, `2 h 5 min`, `3 d 4 h`; `never` for an unknown age. @param {number | null} age seconds */
export function ageText(age) {
  if (age === null) return "never";
  const seconds = Math.max(0, Math.floor(age));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return hours % 24 ? `${Math.floor(hours / 24)} d ${hours % 24} h` : `${Math.floor(hours / 24)} d`;
}

/** Age in seconds of a source time, never negative. @param {number | null} ts @param {number} now both server seconds */
export const ageOf = (ts, now) => (ts === null ? null : Math.max(0, now - ts));
