// Refreshes the numbers of a report while the issue is sending: less often while nothing changes or the server fails, and
// not at all while the page is hidden. Without this script the page reloads itself.
"use strict";

const numbers = document.querySelector("[data-poll]");
const seconds = Number(numbers?.dataset.poll || 0);
if (seconds > 0) {
  const announcement = document.querySelector("[data-poll-announcement]");
  const inner = () => numbers.firstElementChild.dataset;
  const longestUnchanged = Math.max(10, seconds);
  let wait = seconds;
  let etag = "";
  let leaving = false;
  let tenth = Math.floor(Number(inner().percent) / 10);

  // A decision is on its way: a reload would cut off the answer to it.
  addEventListener("submit", () => { leaving = true; });

  async function refresh() {
    if (document.hidden || leaving) return false;
    const headers = etag ? { "If-None-Match": etag } : {};
    const answer = await fetch(numbers.dataset.pollUrl, { headers, credentials: "same-origin", redirect: "error" });
    if (answer.status === 304) return false;
    if (!answer.ok) throw new Error(`The report responded with status ${answer.status}.`);
    etag = answer.headers.get("ETag") || "";
    const before = inner().version;
    const body = await answer.text();
    const focused = numbers.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    if (leaving) return false;
    const open = [...numbers.querySelectorAll("details[open][id]")].map((each) => each.id);
    numbers.innerHTML = body;
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
    // The status changed, or a batch needs a decision: the page around the numbers changes, too.
    if (inner().version !== before) {
      location.reload();
      return true;
    }
    if (focused) numbers.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
    const reached = Math.floor(Number(inner().percent) / 10);
    if (inner().percent !== "" && reached !== tenth) {
      announcement.textContent = announcement.dataset.text.replace("{percent}", inner().percent);
    }
    tenth = reached;
    return true;
  }

  async function poll() {
    try {
      wait = (await refresh()) ? seconds : Math.min(wait * 1.5, longestUnchanged);
    } catch {
      wait = Math.min(wait * 2, 60);
    }
    setTimeout(poll, wait * 1000);
  }
  setTimeout(poll, wait * 1000);
}
