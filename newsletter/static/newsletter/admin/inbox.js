// The inbox with the keyboard, by dragging, and without loading the page anew after each decision. Without this script
// every button submits its form.
"use strict";

const form = document.querySelector("[data-links]");
const list = form?.querySelector("[data-list]");
const status = document.querySelector("[data-status]");
const undoForm = document.querySelector("[data-undo]");
const dialog = document.querySelector("[data-dialog]");
const single = document.querySelector("[data-single]");
let last = null; // what can be undone: the answer's data, and the rows with the places that they had
let busy = false;
let current = null;

const rows = () => [...list.children];
const titleOf = (row) => row?.querySelector("h2 a");
const boxOf = (row) => row.querySelector("[name=link]");
const chosen = () => rows().filter((row) => boxOf(row)?.checked);
const keysOf = (some) => some.map((row) => row.dataset.link);

function tell(sentence, isError = false) {
  status.hidden = false;
  status.classList.toggle("is-error", isError);
  status.firstElementChild.textContent = sentence;
}

async function post(url, name, value, links) {
  const body = new URLSearchParams([[name, value], ...links.map((key) => ["link", key])]);
  body.set("csrfmiddlewaretoken", form.elements.csrfmiddlewaretoken.value);
  const section = dialog?.querySelector("[name=new_section]");
  if (name === "to" && value.endsWith(":") && section) body.set("new_section", section.value);
  const headers = { Accept: "application/json" };
  const answer = await fetch(url, { method: "POST", body, headers, credentials: "same-origin", redirect: "error" });
  if (!answer.ok) throw new Error(String(answer.status));
  return answer.json();
}

// Sends a decision about rows; on success they leave the list, and the next row gets the focus.
async function decide(name, value, some, url = location.href) {
  if (busy || !some.length) return;
  busy = true;
  try {
    const answer = await post(url, name, value, keysOf(some));
    show(answer);
    if (answer.is_error) return;
    const after = rows().slice(rows().indexOf(some.at(-1)) + 1).find((row) => !some.includes(row));
    const before = rows().findLast((row) => !some.includes(row));
    last = { undo: answer.undo, rows: some.map((row) => [row, row.nextElementSibling]) };
    for (const row of some) { if (boxOf(row)) boxOf(row).checked = false; row.remove(); }
    if (name === "to" && dialog) remember(value);
    focus(after || before);
  } catch {
    tell(form.dataset.textFailed, true);
  } finally {
    busy = false;
    refresh();
  }
}

function show(answer) {
  tell(answer.sentence, answer.is_error);
  for (const [state, count] of Object.entries(answer.counts)) {
    for (const place of document.querySelectorAll(`[data-count="${state}"]`)) place.textContent = count;
  }
  for (const place of document.querySelectorAll("[data-to]")) {
    const stories = answer.targets[place.dataset.to];
    if (stories) place.querySelector("[data-stories]").textContent = stories;
  }
}

async function undo() {
  if (busy) return;
  if (!last?.undo) { if (!undoForm.hidden) undoForm.requestSubmit(undoForm.querySelector("button")); return; }
  busy = true;
  try {
    const answer = await post(location.href, "undo", last.undo.state, last.undo.links.map(String));
    show(answer);
    if (!answer.is_error) {
      for (const [row, next] of last.rows.reverse()) list.insertBefore(row, next?.isConnected ? next : null);
      focus(last.rows[0][0]);
      last = null;
    }
  } catch {
    tell(form.dataset.textFailed, true);
  } finally {
    busy = false;
    refresh();
  }
}

function focus(row) {
  if (row) titleOf(row).focus();
  else document.querySelector("[data-empty]").scrollIntoView({ block: "nearest" });
}

function refresh() {
  const some = chosen();
  for (const row of rows()) row.classList.toggle("chosen", some.includes(row));
  const bar = form.querySelector(".selection");
  if (bar) bar.hidden = !some.length;
  const count = form.querySelector("[data-selected]");
  if (count) count.textContent = form.dataset.textCount.replace("{count}", some.length);
  undoForm.hidden = !last?.undo && !undoForm.querySelector("[name=link]");
  document.querySelector("[data-empty]").hidden = rows().length > 0;
}

// The keys of the current link are on its buttons.
function mark(row) {
  if (row === current) return;
  for (const key of list.querySelectorAll("kbd")) key.remove();
  current = row;
  if (!row || !single.checked) return;
  for (const [name, key] of [["keep", "e"], ["drop", "x"], ["add", "a"]]) {
    const label = document.createElement("kbd");
    label.textContent = key;
    label.setAttribute("aria-hidden", "true");
    row.querySelector(`.link-buttons [name=${name}]`)?.append(label);
  }
}

// Where links go

function openDialog(some) {
  if (!dialog || !some.length) return;
  dialog.links = some;
  dialog.showModal();
  dialog.querySelector("[name=to]")?.focus();
}

function remember(value) {
  const button = [...dialog.querySelectorAll(".targets [name=to]")].find((each) => each.value === value);
  if (button) button.closest("ul").prepend(button.closest("li"));
}

dialog?.addEventListener("click", (event) => {
  if (event.target.closest("[data-close]")) { dialog.close(); return; }
  const button = event.target.closest("[name=to]");
  if (!button) return;
  event.preventDefault();
  const section = dialog.querySelector("[name=new_section]");
  if (button.closest(".new-section") && !section.value.trim()) { section.focus(); return; }
  dialog.close();
  decide("to", button.value, dialog.links, form.dataset.add);
  if (!button.closest(".new-section")) section.value = "";
});

form?.addEventListener("click", (event) => {
  const button = event.target.closest("button[name]");
  const name = button?.name;
  if (!["keep", "drop", "add"].includes(name)) return;
  event.preventDefault();
  const some = button.value === "selected" ? chosen() : [button.closest("li")];
  if (name === "add") openDialog(some);
  else decide(name, "selected", some);
});
form?.addEventListener("change", refresh);
form?.addEventListener("reset", () => setTimeout(refresh));
list?.addEventListener("focusin", (event) => mark(event.target.closest("li")));
undoForm?.addEventListener("submit", (event) => { if (last?.undo) { event.preventDefault(); undo(); } });

// Keys

function step(by, extend) {
  const all = rows();
  const at = all.indexOf(current?.isConnected ? current : null);
  const row = all[Math.max(0, Math.min(all.length - 1, at + by))];
  if (!row) return;
  if (extend && at >= 0) { boxOf(all[at]).checked = boxOf(row).checked = true; refresh(); }
  focus(row);
}

document.addEventListener("keydown", (event) => {
  const at = event.target;
  const types = at.closest("input:not([type=checkbox]), textarea, select, [contenteditable]");
  if (!list || types || dialog?.open || event.ctrlKey || event.metaKey || event.altKey || !single.checked) return;
  const row = at.closest("[data-list] > li");
  const some = chosen().length ? chosen() : row ? [row] : [];
  const has = (name) => some.length && some[0].querySelector(`[name=${name}]`);
  const acts = {
    j: () => step(1, false), J: () => step(1, true), k: () => step(-1, false), K: () => step(-1, true),
    e: () => has("keep") && decide("keep", "selected", some),
    x: () => has("drop") && decide("drop", "selected", some),
    a: () => has("add") && openDialog(some),
    t: () => row?.querySelector("[data-edit]")?.click(),
    z: undo,
    " ": row && at.matches("h2 a") ? () => { boxOf(row).checked = !boxOf(row).checked; refresh(); } : null,
  };
  if (!acts[event.key]) return;
  event.preventDefault();
  acts[event.key]();
});

// Dragging: a drop is one request, as a choice in the dialog is.

list?.addEventListener("dragstart", (event) => {
  const row = event.target.closest("li");
  if (!row) return;
  list.dragged = chosen().includes(row) ? chosen() : [row];
  event.dataTransfer.setData("text/plain", titleOf(row).textContent);
  event.dataTransfer.effectAllowed = "copy";
});
for (const place of document.querySelectorAll("[data-to]")) {
  const leave = () => { place.classList.remove("over"); place.querySelector("i")?.remove(); };
  place.addEventListener("dragover", (event) => {
    if (!list?.dragged) return;
    event.preventDefault();
    if (place.classList.contains("over")) return;
    place.classList.add("over");
    const hint = document.createElement("i");
    hint.textContent = document.querySelector(".drops").dataset.textRelease.replace("{title}", titleOf(list.dragged[0]).textContent);
    place.append(hint);
  });
  place.addEventListener("dragleave", (event) => { if (!place.contains(event.relatedTarget)) leave(); });
  place.addEventListener("drop", (event) => {
    event.preventDefault();
    leave();
    decide("to", place.dataset.to, list.dragged || [], form.dataset.add);
    list.dragged = null;
  });
}

// Links whose pages are being fetched

async function watch(wait) {
  const waiting = list ? rows().filter((row) => "pending" in row.dataset) : [];
  if (!waiting.length || wait > 60) return;
  if (!document.hidden) {
    const query = new URLSearchParams(waiting.slice(0, 25).map((row) => ["link", row.dataset.link]));
    try {
      const answer = await fetch(`${form.dataset.rows}?${query}`, { credentials: "same-origin", redirect: "error" });
      const made = document.createElement("ol");
      made.innerHTML = answer.ok ? await answer.text() : "";
      for (const row of [...made.children]) {
        const old = document.getElementById(row.id);
        if (!old || "pending" in row.dataset || old.contains(document.activeElement)) continue;
        old.replaceWith(row);
      }
    } catch { /* tried again below */ }
  }
  setTimeout(() => watch(wait * 1.3), wait * 1000);
}

if (form) {
  document.querySelector("[data-keys]").hidden = false;
  single.checked = localStorage.getItem("single-letter-keys") !== "off";
  single.addEventListener("change", () => localStorage.setItem("single-letter-keys", single.checked ? "on" : "off"));
  refresh();
  watch(2);
}
