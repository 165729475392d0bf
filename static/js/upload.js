// @ts-check
// A form with large files: how far they are on their way, what the portal says, and a way to stop. Without scripts it is sent as any form.

const form = /** @type {HTMLFormElement | null} */ (document.querySelector("form[data-upload]"));
const bar = /** @type {HTMLElement | null} */ (document.querySelector("[data-upload-progress]"));
const chosen = /** @type {HTMLElement | null} */ (document.querySelector("[data-upload-chosen]"));
/** @type {XMLHttpRequest | null} */
let running = null;

/** @param {number} bytes */
function size(bytes) {
  return bytes >= 1e9 ? `${(bytes / 1e9).toFixed(2)} GB` : bytes >= 1e6 ? `${(bytes / 1e6).toFixed(1)} MB` : `${Math.ceil(bytes / 1e3)} KB`;
}

/** @param {string} name @param {string[]} texts */
function wrong(name, texts) {
  const field = form?.querySelector(`[data-field="${name}"]`) ?? form?.querySelector('[data-field="files"]');
  if (!field) return;
  field.setAttribute("data-invalid", "");
  const list = document.createElement("ul");
  list.dataset.said = "";
  for (const text of texts) {
    const item = document.createElement("li");
    item.className = "field__error";
    item.textContent = text;
    list.append(item);
  }
  list.setAttribute("role", "alert");
  field.append(list);
}

function clear() {
  for (const list of document.querySelectorAll("[data-said]")) list.remove();
  for (const field of document.querySelectorAll("[data-invalid]")) field.removeAttribute("data-invalid");
}

function ended() {
  running = null;
  if (bar) bar.hidden = true;
  for (const button of form?.querySelectorAll("button") ?? []) button.removeAttribute("aria-busy");
}

/** @param {XMLHttpRequest} request */
function answered(request) {
  let body = /** @type {any} */ ({});
  try { body = JSON.parse(request.responseText); } catch { /* a page, not an answer */ }
  if (request.status === 200 && body.location) return location.assign(body.location);
  ended();
  if (request.status === 422) for (const [name, texts] of Object.entries(body.fields ?? {})) wrong(name, /** @type {string[]} */ (texts));
  else if (request.status === 413) wrong("files", [body.message ?? "The files are too large."]);
  else if (request.status === 401) wrong("files", ["You are not signed in any more. Sign in in another tab, then send again."]);
  else wrong("files", [`The portal answered ${request.status}. Nothing was brought in; try again.`]);
}

form?.addEventListener("submit", (event) => {
  event.preventDefault();
  event.stopImmediatePropagation();
  if (running || !form) return;
  clear();
  const files = /** @type {HTMLInputElement} */ (form.elements.namedItem("files")).files ?? [];
  const whole = [...files].reduce((sum, file) => sum + file.size, 0);
  const most = Number(form.dataset.upload);
  if (!files.length) return wrong("files", ["Choose at least one file."]);
  if (whole > most) return wrong("files", [`The files are ${size(whole)}; the limit is ${size(most)} in all. Pack traces.csv with gzip, or use manage.py import_load_test.`]);
  const request = new XMLHttpRequest();
  running = request;
  request.open("POST", form.action);
  request.setRequestHeader("Accept", "application/json");
  request.upload.addEventListener("progress", (news) => {
    if (!bar || !news.lengthComputable) return;
    bar.hidden = false;
    const meter = /** @type {HTMLProgressElement} */ (bar.querySelector("progress"));
    [meter.max, meter.value] = [news.total, news.loaded];
    const words = /** @type {HTMLElement} */ (bar.querySelector("[data-upload-words]"));
    words.textContent = news.loaded < news.total ? `${size(news.loaded)} of ${size(news.total)} sent` : "All sent; the portal takes the files in";
  });
  request.addEventListener("load", () => answered(request));
  request.addEventListener("error", () => { ended(); wrong("files", ["The connection was lost. Nothing was brought in; try again."]); });
  request.addEventListener("abort", () => { ended(); wrong("files", ["Stopped. Nothing was brought in."]); });
  request.send(new FormData(form));
}, true);

form?.addEventListener("change", (event) => {
  const field = /** @type {HTMLInputElement} */ (event.target);
  if (field.name !== "files" || !chosen) return;
  const files = [...(field.files ?? [])];
  chosen.textContent = files.length ? `${files.map((file) => file.name).join(", ")}: ${size(files.reduce((sum, file) => sum + file.size, 0))}` : "";
});

document.querySelector("[data-upload-stop]")?.addEventListener("click", () => running?.abort());
