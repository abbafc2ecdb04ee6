// The check page: results of links arrive while one reads, and single keys lead through the problems.
"use strict";

(() => {
  const page = () => document.querySelector("[data-check]");
  if (!page()) return;
  const isTyping = (node) => node.closest("input, textarea, select, [contenteditable]");
  const visible = (node) => node.getClientRects().length > 0;
  let wait = 2, last = page().querySelector("[data-waiting]")?.textContent;

  // Replaces the findings by those of a new run; what was unfolded and focused stays so.
  async function reload() {
    const answer = await fetch(location.pathname + location.search, { credentials: "same-origin", redirect: "error" });
    if (!answer.ok) throw new Error(String(answer.status));
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("[data-check]");
    if (!fresh) return;
    const folds = [...page().querySelectorAll("summary")].filter((each) => each.parentElement.open).map((each) => each.textContent);
    const link = page().contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    page().replaceWith(fresh);
    for (const summary of fresh.querySelectorAll("summary")) if (folds.includes(summary.textContent)) summary.parentElement.open = true;
    if (link) fresh.querySelector(`a[href="${CSS.escape(link)}"]`)?.focus({ preventScroll: true });
  }

  async function refresh() {
    if (document.hidden) return true;
    const answer = await fetch(page().dataset.url, { credentials: "same-origin", redirect: "error" });
    if (!answer.ok) throw new Error(String(answer.status));
    const state = await answer.json();
    if (String(state.revision) !== page().dataset.revision) {
      page().querySelector("[data-stale]").hidden = false;
      return false;
    }
    if (!state.waiting) {
      await reload();
      page().querySelector("[data-announce]").textContent = state.done;
      return false;
    }
    wait = String(state.waiting) === last ? Math.min(wait * 1.5, 15) : 2;
    last = String(state.waiting);
    const tile = page().querySelector("[data-waiting]"), bar = page().querySelector(".running progress");
    if (tile) tile.textContent = last;
    page().querySelector("[data-sentence]").textContent = state.sentence;
    if (bar) bar.value = state.total - state.waiting;
    return true;
  }

  async function poll() {
    let goesOn = true;
    try {
      goesOn = await refresh();
    } catch {
      wait = Math.min(wait * 2, 60);
    }
    if (goesOn) setTimeout(poll, wait * 1000);
  }
  if (page().querySelector("[data-sentence]")) setTimeout(poll, wait * 1000);

  function move(step) {
    const stops = [...page().querySelectorAll("[data-finding]")].map((each) => each.querySelector("[data-go]") || each.querySelector("a, button, summary")).filter((each) => each && visible(each));
    const here = stops.findIndex((each) => each.closest("[data-finding]").contains(document.activeElement));
    const next = here < 0 ? (step > 0 ? 0 : stops.length - 1) : here + step;
    stops[next]?.focus();
  }
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    if (event.key === "n") move(1);
    else if (event.key === "p") move(-1);
    else if (event.key === "f") [...page().querySelectorAll("[data-fix]")].find(visible)?.focus();
    else return;
    event.preventDefault();
  });
})();
