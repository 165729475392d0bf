// What modules of a page need before they are imported here: the import map, and just enough of a browser.
import { register } from "node:module";

register("./ops-loader.js", import.meta.url);
Object.assign(globalThis, {
  matchMedia: () => ({ matches: true }),
  document: { addEventListener() {}, documentElement: { dataset: { zone: "utc", ownZone: "Europe/Zurich" } } },
});
