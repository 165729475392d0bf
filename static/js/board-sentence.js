// @ts-check
// The sentence over the board, word for word that of lag/sentences.py: the page begins with the server's and goes on with this.
import { VERDICTS, words } from "ops/cells";
import { duration, THIN } from "ops/format";

/** @param {Record<string, number>} counts @param {{group: string, lag_seconds: number} | null} worst */
export function sentenceOf(counts, worst) {
  const total = Object.values(counts).reduce((sum, one) => sum + one, 0);
  const groups = `${total}${THIN}group${total === 1 ? "" : "s"}`;
  if (!total) return "No consumer groups yet.";
  const troubled = VERDICTS.filter((verdict) => !["ok", "catching_up", "unknown"].includes(verdict) && counts[verdict]);
  if (troubled.length) {
    const number = troubled.reduce((sum, verdict) => sum + counts[verdict], 0);
    const list = troubled.map((verdict) => `${counts[verdict]} ${words(verdict)}`).join(", ");
    const tail = worst && worst.lag_seconds > 0 ? `; worst ${worst.group}, ${duration(worst.lag_seconds)} behind` : "";
    return `${number} of ${groups} ${number === 1 ? "needs" : "need"} attention: ${list}${tail}.`;
  }
  if (counts.unknown) return `${counts.unknown} of ${groups} ${counts.unknown === 1 ? "is" : "are"} unknown.`;
  if (counts.catching_up) return `${counts.catching_up} of ${groups} ${counts.catching_up === 1 ? "is" : "are"} catching up, the others keep up.`;
  return total === 1 ? "The only group keeps up." : `All ${groups} keep up.`;
}
