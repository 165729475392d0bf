// @ts-check
// Ctrl-K: the server searches what the person may see; arrows choose, Enter opens.

/** @param {HTMLDialogElement} dialog */
export function startPalette(dialog) {
  const input = /** @type {HTMLInputElement} */ (dialog.querySelector("input"));
  const list = /** @type {HTMLElement} */ (dialog.querySelector("[role=listbox]"));
  let pending = new AbortController();
  let timer = 0;

  const items = () => /** @type {HTMLElement[]} */ ([...list.querySelectorAll("[role=option]")]);
  const chosen = () => items().findIndex((item) => item.getAttribute("aria-selected") === "true");

  function choose(/** @type {number} */ index) {
    const all = items();
    all.forEach((item, at) => item.setAttribute("aria-selected", String(at === index)));
    if (all[index]) {
      input.setAttribute("aria-activedescendant", all[index].id);
      all[index].scrollIntoView({ block: "nearest" });
    } else input.removeAttribute("aria-activedescendant");
  }

  async function search() {
    pending.abort();
    pending = new AbortController();
    try {
      const answer = await fetch(`${dialog.dataset.searchUrl}?q=${encodeURIComponent(input.value.trim())}`, {
        headers: { "HX-Request": "true" },
        signal: pending.signal,
      });
      if (!answer.ok) throw new Error(String(answer.status));
      list.innerHTML = await answer.text(); // our own template, escaped by the server
      choose(0);
    } catch (problem) {
      if (/** @type {Error} */ (problem).name === "AbortError") return;
      list.textContent = "The search does not answer. Try again in a moment.";
    }
  }

  dialog.addEventListener("palette-open", () => {
    dialog.showModal();
    input.select();
    search();
  });
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = window.setTimeout(search, 120);
  });
  input.addEventListener("keydown", (event) => {
    const count = items().length;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (count) choose((chosen() + (event.key === "ArrowDown" ? 1 : count - 1) + count) % count);
    } else if (event.key === "Enter") {
      event.preventDefault();
      items()[chosen()]?.click();
    } else if (event.key === "Escape") {
      event.preventDefault(); // a search field would only empty itself
      dialog.close();
    }
  });
}
