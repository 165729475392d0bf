// @ts-check
// Age chips: how old a panel's data is by the server's clock, ticking, with the reason when it is not fresh.
import { ageOf, ageState, ageText } from "ops/age";
import { live } from "ops/live";

const REASONS = /** @type {Record<string, string>} */ ({
  socket: "connection to the portal lost", source: "the source missed two readings", transport: "live transport down, read every 5 s",
  database: "the database cannot be read",
});

// Live collections: asking the document for them again each second costs more than a tick of the board.
const chips = /** @type {HTMLCollectionOf<HTMLElement>} */ (document.getElementsByClassName("age-chip"));

/** @param {HTMLElement} chip */
function draw(chip) {
  const at = chip.dataset.at ? Number(chip.dataset.at) : null;
  const age = ageOf(at, live.now());
  const why = chip.dataset.why ?? "";
  const state = at === null ? "unknown" : why && why !== "transport" ? "stale" : ageState(age, Number(chip.dataset.period) || 5);
  if (chip.dataset.state !== state) chip.dataset.state = state;
  const text = at === null ? "no data yet" : `${state === "stale" ? "stale, " : ""}${ageText(age)} ago`;
  if (chip.textContent !== text) chip.textContent = text;
}

/**
 * Tell the chips of a panel what is known. @param {string} panel @param {number | null | undefined} at server seconds;
 * undefined = as before @param {{state: string, why: string | null}} [state]
 */
export function showAge(panel, at, state) {
  for (const chip of chips) {
    if (chip.dataset.agePanel !== panel) continue;
    if (at !== undefined && at !== null) {
      chip.dataset.at = String(at);
      chip.title = `observed ${new Date(at * 1000).toISOString().replace("T", " ").replace("Z", " UTC")}`;
    }
    if (state) {
      if (state.state === "stale" || state.state === "over") {
        chip.dataset.why = state.why ?? "unknown";
        chip.title = `${chip.title.split("; ")[0]}; ${REASONS[state.why ?? ""] ?? state.why ?? ""}`;
      } else delete chip.dataset.why;
    }
    draw(chip);
  }
}

setInterval(() => {
  if (!document.hidden) for (const chip of chips) draw(chip);
}, 1000);
