// The inbox by keyboard and by dragging. Without this script every button submits a form.
"use strict";

const one = (selector, within = document) => within.querySelector(selector);
const form = one("[data-links]");
const list = form && one("[data-list]", form);
const status = one("[data-status]");
const undoForm = one("[data-undo]");
const dialog = one("[data-dialog]");
const section = dialog && one("[name=new_section]", dialog);
const single = one("[data-single]");
let last = null; // To undo, and where its rows were.
let current = null;
let dragged = null;
let busy = false;

const rows = () => [...list.children];
const titleOf = (row) => one("h2 a", row);
const boxOf = (row) => one("[name=link]", row);
const chosen = () => rows().filter((row) => boxOf(row).checked);
const rowOf = (node) => node.closest("[data-list] > li");
const focus = (row) => (row ? titleOf(row) : one("[data-single]")).focus();

function tell(sentence, isError) {
  status.hidden = false;
  status.classList.toggle("is-error", isError);
  status.firstElementChild.textContent = sentence;
}

// `done` changes the page if the server did what was asked.
async function send(url, name, value, links, done) {
  if (busy || !links.length) return;
  busy = true;
  const body = new URLSearchParams([[name, value], ...links.map((key) => ["link", key])]);
  body.set("csrfmiddlewaretoken", form.elements.csrfmiddlewaretoken.value);
  if (name === "to") body.set("new_section", section?.value || "");
  try {
    const reply = await fetch(url, { method: "POST", body, headers: { Accept: "application/json" }, redirect: "error" });
    const answer = await reply.json(); // Errors are no JSON.
    tell(answer.sentence, answer.is_error);
    for (const place of document.querySelectorAll("[data-count]")) place.textContent = answer.counts[place.dataset.count];
    for (const place of document.querySelectorAll("[data-to]")) {
      one("[data-stories]", place).textContent = answer.targets[place.dataset.to] ?? "";
    }
    if (!answer.is_error) done(answer);
  } catch {
    tell(form.dataset.textFailed, true);
  }
  busy = false;
  refresh();
}

// The rows leave, and the next one gets the focus.
function decide(name, value, some, url = location.href) {
  send(url, name, value, some.map((row) => row.dataset.link), (answer) => {
    const left = (row) => !some.includes(row);
    const next = rows().slice(rows().indexOf(some.at(-1))).find(left) || rows().findLast(left);
    last = { ...answer.undo, rows: some.map((row) => [row, row.nextElementSibling]) };
    for (const row of some) { boxOf(row).checked = false; row.remove(); }
    focus(next);
  });
}

function undo() {
  if (!last) return undoForm.hidden || undoForm.requestSubmit(one("button", undoForm));
  return send(location.href, "undo", last.state, last.links, () => {
    for (const [row, next] of last.rows.toReversed()) list.insertBefore(row, next?.isConnected ? next : null);
    focus(last.rows[0][0]);
    last = null;
  });
}

function refresh() {
  const some = chosen();
  for (const row of rows()) row.classList.toggle("chosen", some.includes(row));
  const bar = one(".selection");
  if (bar) {
    bar.hidden = !some.length;
    one("b", bar).textContent = form.dataset.textCount.replace("{count}", some.length);
  }
  undoForm.hidden = !last && !one("[name=link]", undoForm);
  one("[data-empty]").hidden = rows().length > 0;
}

// The keys of the current link are on its buttons.
list?.addEventListener("focusin", ({ target }) => {
  for (const key of list.querySelectorAll("kbd")) key.remove();
  current = rowOf(target);
  if (!single.checked) return;
  for (const [name, key] of [["keep", "e"], ["drop", "x"], ["add", "a"]]) {
    const label = Object.assign(document.createElement("kbd"), { textContent: key, ariaHidden: "true" });
    one(`.link-buttons [name=${name}]`, current)?.append(label);
  }
});

function choose(some) {
  dialog.some = some;
  section && (section.value = "");
  dialog.showModal();
  one("[name=to]", dialog)?.focus();
}

dialog?.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  event.preventDefault();
  if (button.closest(".new-section") && !section.value.trim()) return section.focus();
  dialog.close();
  if (button.name !== "to") return;
  // The last choice comes first.
  button.closest(".targets")?.prepend(button.parentElement);
  decide("to", button.value, dialog.some, form.dataset.add);
});

form?.addEventListener("click", (event) => {
  const button = event.target.closest("button[name]");
  if (!["keep", "drop", "add"].includes(button?.name)) return;
  event.preventDefault();
  act(button.name, button.value === "selected" ? chosen() : [rowOf(button)]);
});
form?.addEventListener("change", refresh);
form?.addEventListener("reset", () => setTimeout(refresh));
undoForm?.addEventListener("submit", (event) => { if (last) { event.preventDefault(); undo(); } });

function act(name, some) {
  if (!some.length || !one(`[name=${name}]`, some[0])) return;
  if (name === "add") choose(some);
  else decide(name, "selected", some);
}

function step(by, selects) {
  const all = rows();
  const at = all.indexOf(current);
  const row = all[Math.max(0, at + by)] || all.at(-1);
  if (selects && at >= 0) boxOf(all[at]).checked = boxOf(row).checked = true;
  refresh();
  if (row) focus(row);
}

document.addEventListener("keydown", (event) => {
  const types = event.target.closest("input:not([type=checkbox]), textarea, select");
  if (!form || types || dialog?.open || event.ctrlKey || event.metaKey || event.altKey || !single.checked) return;
  const row = rowOf(event.target);
  const some = chosen().length ? chosen() : [row].filter(Boolean);
  const keys = {
    j: () => step(1, event.shiftKey), k: () => step(-1, event.shiftKey),
    e: () => act("keep", some), x: () => act("drop", some), a: () => act("add", some),
    t: () => row && one("[data-edit]", row).click(),
    z: undo,
  };
  if (row && event.target === titleOf(row)) keys[" "] = () => { boxOf(row).checked = !boxOf(row).checked; refresh(); };
  const run = keys[event.key.toLowerCase()];
  if (!run) return;
  event.preventDefault();
  run();
});

// A drop on a section is one request, as a choice in the dialog is.
list?.addEventListener("dragstart", (event) => {
  const row = rowOf(event.target);
  dragged = chosen().includes(row) ? chosen() : [row];
  event.dataTransfer.setData("text/plain", titleOf(row).textContent);
});
for (const place of document.querySelectorAll("[data-to]")) {
  const hint = one("i", place);
  const over = (is) => { place.classList.toggle("over", is); hint.hidden = !is; };
  place.addEventListener("dragover", (event) => {
    if (!dragged) return;
    event.preventDefault();
    hint.textContent = hint.dataset.release.replace("{title}", titleOf(dragged[0]).textContent);
    over(true);
  });
  place.addEventListener("dragleave", () => over(false));
  place.addEventListener("drop", (event) => {
    event.preventDefault();
    over(false);
    if (section) section.value = "";
    if (dragged) decide("to", place.dataset.to, dragged, form.dataset.add);
    dragged = null;
  });
}

// Shows what was fetched.
async function watch(wait) {
  const waiting = [...list.querySelectorAll("[data-pending]")].map((row) => ["link", row.dataset.link]);
  if (!waiting.length || wait > 60) return;
  if (!document.hidden) {
    const made = document.createElement("ol");
    try {
      const answer = await fetch(`${form.dataset.rows}?${new URLSearchParams(waiting)}`, { redirect: "error" });
      made.innerHTML = answer.ok ? await answer.text() : "";
    } catch { /* Later. */ }
    for (const row of made.querySelectorAll("li:not([data-pending])")) {
      const old = document.getElementById(row.id);
      if (old && !old.contains(document.activeElement)) old.replaceWith(row);
    }
  }
  setTimeout(() => watch(wait * 1.3), wait * 1000);
}

if (form) {
  one("[data-keys]").hidden = false;
  single.checked = localStorage.getItem("single-letter-keys") !== "false";
  single.addEventListener("change", () => localStorage.setItem("single-letter-keys", single.checked));
  refresh();
  watch(2);
}
