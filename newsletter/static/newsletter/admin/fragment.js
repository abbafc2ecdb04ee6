// Loads a folded part of a page when it is opened, and again by its refresh link: the page itself does not wait for it.
// Without this script the link leads to a page with the same part.
"use strict";

for (const folded of document.querySelectorAll("details[data-fragment]")) {
  const place = folded.querySelector("[data-fragment-place]");
  let loads = false;

  async function load() {
    if (loads) return;
    loads = true;
    place.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(folded.dataset.fragment, { credentials: "same-origin", redirect: "error" });
      if (!answer.ok) throw new Error(String(answer.status));
      place.innerHTML = await answer.text();
      folded.dataset.loaded = "";
    } catch {
      const failed = document.createElement("p");
      failed.textContent = folded.dataset.failed;
      place.prepend(failed);
    }
    place.removeAttribute("aria-busy");
    loads = false;
  }

  folded.addEventListener("toggle", () => { if (folded.open && !("loaded" in folded.dataset)) load(); });
  folded.addEventListener("click", (event) => {
    if (!event.target.closest("[data-refresh]")) return;
    event.preventDefault();
    load().then(() => place.querySelector("[data-refresh]")?.focus({ preventScroll: true }));
  });
}
