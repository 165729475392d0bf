// @ts-check
// What every page does: theme, rail, palette, keyboard help, toasts, relative times, forms that are sent once.
import "ops/ages";
import { ago } from "ops/format";
import { showZone, zoneName } from "ops/zones";

const root = document.documentElement;
const cookie = (/** @type {string} */ name, /** @type {string} */ value) => {
  document.cookie = `${name}=${value}; path=/; max-age=31536000; samesite=lax${location.protocol === "https:" ? "; secure" : ""}`;
};

// --- Theme -----------------------------------------------------------------------------------------------
const dark = matchMedia("(prefers-color-scheme: dark)");

function showTheme() {
  const chosen = root.dataset.theme ?? "auto";
  root.dataset.bsTheme = chosen === "auto" ? (dark.matches ? "dark" : "light") : chosen;
  for (const word of document.querySelectorAll("[data-theme-word]")) word.textContent = `Theme: ${chosen}`;
  document.dispatchEvent(new CustomEvent("ops:theme"));
}
dark.addEventListener("change", showTheme);
for (const button of document.querySelectorAll("[data-theme-switch]")) {
  button.addEventListener("click", () => {
    const [system, other] = dark.matches ? ["dark", "light"] : ["light", "dark"];
    const order = ["auto", other, system]; // so that the first press always changes something
    root.dataset.theme = order[(order.indexOf(root.dataset.theme ?? "auto") + 1) % 3];
    cookie("ops_theme", root.dataset.theme); // for the sign-in page; the account's choice counts elsewhere
    showTheme();
    fetch(/** @type {HTMLElement} */ (button).dataset.themeUrl ?? "", {
      method: "POST", keepalive: true, body: new URLSearchParams({ theme: root.dataset.theme }),
      headers: { "X-CSRFToken": /** @type {HTMLMetaElement} */ (document.querySelector("meta[name=csrf-token]")).content },
    }).catch(() => toast("The theme is changed on this page only: the portal cannot be reached.", "error"));
  });
}

// --- Rail ------------------------------------------------------------------------------------------------
for (const button of document.querySelectorAll("[data-rail-toggle]")) {
  button.addEventListener("click", () => {
    root.dataset.rail = root.dataset.rail === "narrow" ? "wide" : "narrow";
    cookie("ops_rail", root.dataset.rail);
  });
}

for (const button of document.querySelectorAll("[data-menu-toggle]")) {
  button.addEventListener("click", () => {
    const open = root.dataset.menu !== "open";
    root.dataset.menu = open ? "open" : "";
    button.setAttribute("aria-expanded", String(open));
  });
}

// --- Toasts ----------------------------------------------------------------------------------------------
const toasts = /** @type {HTMLElement|null} */ (document.querySelector("[data-toasts]"));

/** Say something in the corner; errors stay until dismissed. @param {string} text @param {"note"|"error"} kind */
export function toast(text, kind = "note") {
  if (!toasts) return;
  const note = document.createElement("div");
  note.className = `toast-note${kind === "error" ? " toast-note--error" : ""}`;
  note.dataset.toast = "";
  note.append(Object.assign(document.createElement("span"), { textContent: text }), dismissButton());
  toasts.append(note);
  if (kind !== "error") setTimeout(() => note.remove(), 6000);
}

function dismissButton() {
  const button = document.createElement("button");
  button.type = "button";
  button.setAttribute("aria-label", "Dismiss");
  button.append(iconElement("close"));
  return button;
}

/** @param {string} name */
export function iconElement(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}
toasts?.addEventListener("click", (event) => {
  const target = /** @type {Element} */ (event.target);
  if (target.closest("button")) target.closest("[data-toast]")?.remove();
});
document.body.addEventListener("htmx:responseError", (event) => {
  const answer = /** @type {CustomEvent} */ (event).detail.xhr;
  toast(`The portal answered ${answer.status}. Request ${answer.getResponseHeader("X-Request-ID") ?? "without id"}.`, "error");
});
document.body.addEventListener("htmx:sendError", () => toast("The portal cannot be reached. Nothing was changed.", "error"));

// --- Times: relative ones kept current, others in the chosen zone --------------------------------------------
const times = document.getElementsByTagName("time");

function showTimes() {
  if (document.hidden) return;
  for (const time of times) {
    if (time.dataset.ago !== undefined) {
      const text = ago((Date.now() - Date.parse(time.dateTime)) / 1000);
      if (time.textContent !== text) time.textContent = text;
    }
    if (time.dataset.zone !== root.dataset.zone) showZone(time);
  }
}
for (const button of document.querySelectorAll("[data-zone-switch]")) {
  button.addEventListener("click", () => {
    root.dataset.zone = root.dataset.zone === "own" ? "utc" : "own";
    cookie("ops_zone", root.dataset.zone);
    for (const word of document.querySelectorAll("[data-zone-word]")) word.textContent = `Times: ${zoneName()}`;
    showTimes();
    document.dispatchEvent(new CustomEvent("ops:zone"));
  });
}
for (const word of document.querySelectorAll("[data-zone-word]")) word.textContent = `Times: ${zoneName()}`;
showTimes();
setInterval(showTimes, 1000);

// --- Forms: sent once ------------------------------------------------------------------------------------
document.addEventListener("submit", (event) => {
  const form = /** @type {HTMLFormElement} */ (event.target);
  if (form.method.toLowerCase() !== "post" || event.defaultPrevented) return;
  if (form.dataset.sent) return event.preventDefault();
  form.dataset.sent = "1";
  for (const button of form.querySelectorAll("button[type=submit], button:not([type])")) button.setAttribute("aria-busy", "true");
});
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) {
    delete /** @type {HTMLElement} */ (form).dataset.sent;
    for (const button of form.querySelectorAll("[aria-busy]")) button.removeAttribute("aria-busy");
  }
});

// --- Selects that apply at once ----------------------------------------------------------------------------
document.addEventListener("change", (event) => {
  const field = /** @type {Element} */ (event.target);
  if (field.matches("[data-submit-on-change]")) /** @type {HTMLSelectElement} */ (field).form?.requestSubmit();
});
document.addEventListener("focusin", (event) => {
  const list = /** @type {Element} */ (event.target).matches("[list=time-zones]") && document.querySelector("[data-time-zones]:empty");
  if (list) for (const name of ["UTC", ...Intl.supportedValuesOf("timeZone")]) list.append(new Option(name, name));
});
document.addEventListener("click", (event) => {
  const target = /** @type {Element} */ (event.target);
  const copy = /** @type {HTMLElement|null} */ (target.closest("[data-copy]"));
  if (copy) navigator.clipboard?.writeText(copy.dataset.copy ?? "").then(() => toast("Copied"));
  for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(target)) menu.removeAttribute("open");
});

// --- Palette -----------------------------------------------------------------------------------------------
const palette = /** @type {HTMLDialogElement|null} */ (document.getElementById("palette"));
const keys = /** @type {HTMLDialogElement|null} */ (document.getElementById("keys"));
if (palette) import("ops/palette").then(({ startPalette }) => startPalette(palette));
const openPalette = () => palette && palette.dataset.searchUrl && !palette.open && palette.dispatchEvent(new Event("palette-open"));
for (const button of document.querySelectorAll("[data-palette-open]")) button.addEventListener("click", openPalette);
for (const dialog of [palette, keys]) dialog?.addEventListener("click", (event) => event.target === dialog && dialog.close());

// --- Keyboard ----------------------------------------------------------------------------------------------
let afterG = -Infinity;

function goTo(/** @type {string} */ letter) {
  const entry = [...document.querySelectorAll("a.rail__item[data-go]")].find((link) => /** @type {HTMLElement} */ (link).dataset.go === letter);
  if (entry) location.assign(/** @type {HTMLAnchorElement} */ (entry).href);
  return Boolean(entry);
}
document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
    event.preventDefault();
    return openPalette();
  }
  const target = /** @type {HTMLElement} */ (event.target);
  if (event.ctrlKey || event.metaKey || event.altKey || target.closest("input, textarea, select, dialog[open], [contenteditable]")) return;
  if (event.timeStamp - afterG < 1200) {
    afterG = -Infinity;
    if (goTo(event.key)) return event.preventDefault();
  }
  if (event.key === "g") afterG = event.timeStamp;
  else if (event.key === "?") keys?.showModal();
  else if (event.key === "/") {
    event.preventDefault();
    const filter = /** @type {HTMLInputElement|null} */ (document.querySelector("[data-page-filter]"));
    if (filter) filter.select();
    else openPalette();
  }
});
