// Keeps the numbers of a report fresh while the issue is on its way. Without this file the page reloads itself.
"use strict";

const numbers = document.querySelector("[data-poll]");
const seconds = Number(numbers?.dataset.poll || 0);
if (seconds > 0) {
  const says = document.querySelector("[data-poll-says]");
  const inner = () => numbers.firstElementChild.dataset;
  let wait = seconds;
  let etag = "";
  let tenth = Math.floor(Number(inner().percent) / 10);

  async function look() {
    if (document.hidden) return;
    const headers = etag ? { "If-None-Match": etag } : {};
    const answer = await fetch(numbers.dataset.pollUrl, { headers, credentials: "same-origin", redirect: "error" });
    if (answer.status === 304) return;
    if (!answer.ok) throw new Error(`The report answered ${answer.status}.`);
    etag = answer.headers.get("ETag") || "";
    const before = inner().version;
    numbers.innerHTML = await answer.text();
    // Another state, or a batch that needs a decision: the page around the numbers changes too.
    if (inner().version !== before) location.reload();
    const reached = Math.floor(Number(inner().percent) / 10);
    if (inner().percent !== "" && reached !== tenth) says.textContent = `${inner().percent} percent done.`;
    tenth = reached;
  }

  async function turn() {
    try {
      await look();
      wait = seconds;
    } catch {
      wait = Math.min(wait * 2, 60);
    }
    setTimeout(turn, wait * 1000);
  }
  setTimeout(turn, wait * 1000);
}
