// Keeps the numbers of a report fresh while the issue is on its way: looks less often while nothing changes or nobody
// answers, and not at all while nobody sees it. Without this file the page reloads itself.
"use strict";

const numbers = document.querySelector("[data-poll]");
const seconds = Number(numbers?.dataset.poll || 0);
if (seconds > 0) {
  const says = document.querySelector("[data-poll-says]");
  const inner = () => numbers.firstElementChild.dataset;
  const longestUnchanged = Math.max(10, seconds);
  let wait = seconds;
  let etag = "";
  let tenth = Math.floor(Number(inner().percent) / 10);

  async function look() {
    if (document.hidden) return false;
    const headers = etag ? { "If-None-Match": etag } : {};
    const answer = await fetch(numbers.dataset.pollUrl, { headers, credentials: "same-origin", redirect: "error" });
    if (answer.status === 304) return false;
    if (!answer.ok) throw new Error(`The report answered ${answer.status}.`);
    etag = answer.headers.get("ETag") || "";
    const before = inner().version;
    numbers.innerHTML = await answer.text();
    // Another state, or a batch that needs a decision: the page around the numbers changes too.
    if (inner().version !== before) location.reload();
    const reached = Math.floor(Number(inner().percent) / 10);
    if (inner().percent !== "" && reached !== tenth) says.textContent = `${inner().percent} percent done.`;
    tenth = reached;
    return true;
  }

  async function turn() {
    try {
      wait = (await look()) ? seconds : Math.min(wait * 1.5, longestUnchanged);
    } catch {
      wait = Math.min(wait * 2, 60);
    }
    setTimeout(turn, wait * 1000);
  }
  setTimeout(turn, wait * 1000);
}
