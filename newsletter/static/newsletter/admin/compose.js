// The compose page: adds, moves and removes rows, counts words, and warns before unsaved text is lost.
// Without this script, rows have position numbers and checkboxes. All texts come from data-text-… attributes of the form.
"use strict";

const form = document.querySelector("[data-compose]");
if (form) {
  const list = form.querySelector("[data-rows]");
  const total = form.querySelector("[name=rows-TOTAL_FORMS]");
  const rowTemplate = form.querySelector("[data-new-row]");
  const announcement = form.querySelector("[data-announcement]");
  const kinds = JSON.parse(list.dataset.kinds);
  const FIELDS = ["title", "url", "source", "image", "alt", "body"];

  const rows = () => [...list.children];
  const field = (row, name) => row.querySelector(`[name$="-${name}"]`);
  const kindOf = (row) => field(row, "kind").value;
  const isStory = (row) => kindOf(row) === "story";
  const isBlock = (row) => !isStory(row) && kindOf(row) !== "section";
  const isRemoved = (row) => field(row, "DELETE").checked;
  const nameOf = (row) => field(row, "title").value || kinds[kindOf(row)].label;

  // A text of the form's data-text-… attributes, with its {names} filled in.
  function text(key, values = {}) {
    const template = form.dataset[`text${key}`];
    return template.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? values[name] : whole));
  }

  // Tells screen readers what happened.
  function announce(key, values) { announcement.textContent = text(key, values); }

  // A section or block and the stories below it move together.
  function block(row) {
    const moved = [row];
    if (!isStory(row)) {
      for (let next = row.nextElementSibling; next && isStory(next); next = next.nextElementSibling) moved.push(next);
    }
    return moved;
  }

  // A row shows the fields of its kind, and other fields only while they have a value or an error.
  function showFields(row) {
    const own = kinds[kindOf(row)].fields;
    FIELDS.forEach((name) => {
      const holder = field(row, name).closest(".field");
      holder.hidden = !(name in own || field(row, name).value || holder.classList.contains("has-error"));
      if (name in own) holder.querySelector("label").textContent = `${own[name]}:`;
    });
  }

  function updateSummary(row) {
    const count = field(row, "body").value.split(/\s+/).filter(Boolean).length;
    row.querySelector("[data-words]").textContent = count === 1 ? text("Word") : text("Words", { count });
    const label = kinds[kindOf(row)].label;
    const title = field(row, "title").value;
    row.querySelector("[data-shows=title]").textContent = title || (isBlock(row) ? label : text("NoTitle"));
    row.querySelector("[data-shows=source]").textContent = field(row, "source").value;
    const kind = row.querySelector("[data-shows=kind]");
    kind.textContent = label;
    kind.hidden = !(isBlock(row) && title);
  }

  function renumber() {
    let stories = 0;
    rows().forEach((row, index) => {
      field(row, "ORDER").value = index + 1;
      row.classList.toggle("row-section", kindOf(row) === "section");
      row.classList.toggle("row-block", isBlock(row));
      row.classList.toggle("row-story", isStory(row));
      const counts = isStory(row) && !isRemoved(row);
      if (counts) stories += 1;
      row.querySelector("[data-number]").textContent = counts ? stories : isStory(row) ? "–" : isBlock(row) ? "◆" : "§";
    });
    form.querySelector("[data-story-count]").textContent = stories;
  }

  function move(row, direction) {
    const all = rows();
    const moved = block(row);
    let target;
    if (direction < 0) {
      target = moved[0].previousElementSibling;
      while (target && !isStory(row) && isStory(target)) target = target.previousElementSibling;
    } else {
      target = moved[moved.length - 1].nextElementSibling;
    }
    const wouldBeFirst = isStory(row) && target === all[0] && direction < 0;
    if (!target || wouldBeFirst) {
      announce(direction < 0 ? "AtTop" : "AtEnd", { row: nameOf(row) });
      return;
    }
    if (direction < 0) target.before(...moved); else block(target).at(isStory(row) ? 0 : -1).after(...moved);
    changed(row);
  }

  function changed(row) {
    renumber();
    touched = true;
    announce("Moved", { row: nameOf(row), position: rows().indexOf(row) + 1, count: rows().length });
  }

  let nextIndex = 0;
  function add(kind, after) {
    const holder = document.createElement("template");
    holder.innerHTML = rowTemplate.innerHTML.replaceAll("__prefix__", nextIndex);
    nextIndex += 1;
    total.value = nextIndex;
    const row = holder.content.firstElementChild;
    field(row, "kind").value = kind;
    if (after) after.after(row); else list.append(row);
    prepare(row);
    row.querySelector("details").open = true;
    renumber();
    touched = true;
    const first = FIELDS.map((name) => field(row, name)).find((input) => !input.closest(".field").hidden);
    (first || row.querySelector("summary")).focus();
    announce("Added", { row: kinds[kind].label });
  }

  // A story needs a section above it, so the first story adds a section, too.
  function addAtEnd(kind) {
    if (kind === "story" && rows().every(isStory)) add("section");
    add(kind);
  }

  function toggleRemoved(row) {
    const box = field(row, "DELETE");
    box.checked = !box.checked;
    row.classList.toggle("is-removed", box.checked);
    row.querySelector("[data-remove]").textContent = text(box.checked ? "Keep" : "Remove");
    renumber();
    touched = true;
    announce(box.checked ? "WillBeRemoved" : "WillBeKept", { row: nameOf(row) });
  }

  // Parses "[Title](link) · Source" with the text on the lines below, as in issue files.
  function fillFromPaste(event, row) {
    const pasted = event.clipboardData.getData("text/plain").trim();
    const story = /^(?:#+ |\*\*)?\[([^\]]+)\]\((https?:\/\/\S+?)\)(?:\*\*)?(?: +[·•|–—-] +([^\n]+))?(?:\n\s*([\s\S]+))?$/.exec(pasted);
    if (!story || !isStory(row)) return;
    event.preventDefault();
    ["title", "url", "source", "body"].forEach((name, index) => {
      if (story[index + 1]) field(row, name).value = story[index + 1].trim();
    });
    updateSummary(row);
    touched = true;
    announce("Filled");
  }

  function prepare(row) {
    row.querySelectorAll("[data-with-script]").forEach((part) => { part.hidden = false; });
    row.querySelectorAll("[data-without-script]").forEach((part) => { part.hidden = true; });
    row.classList.toggle("is-removed", isRemoved(row));
    row.querySelector("[data-remove]").before(menuForRow());
    updateSummary(row);
    showFields(row);
  }

  function menuForRow() {
    const menu = form.querySelector("[data-menu]").cloneNode(true);
    menu.open = false;
    menu.querySelector("summary").textContent = text("AddBlockBelow");
    menu.querySelectorAll("button").forEach((button) => {
      button.dataset.add = button.dataset.append;
      delete button.dataset.append;
    });
    return menu;
  }

  // Drags a row by its grip, with mouse, pen or finger.
  function drag(event, row) {
    event.preventDefault();
    const moved = block(row);
    moved.forEach((one) => one.classList.add("is-dragged"));
    const follow = (step) => {
      const below = document.elementFromPoint(step.clientX, step.clientY)?.closest("[data-row]");
      if (!below || moved.includes(below) || below.parentElement !== list) return;
      const box = below.getBoundingClientRect();
      if (step.clientY < box.top + box.height / 2) {
        if (below === list.firstElementChild && isStory(row)) return;
        below.before(...moved);
      } else {
        below.after(...moved);
      }
    };
    const drop = () => {
      moved.forEach((one) => one.classList.remove("is-dragged"));
      window.removeEventListener("pointermove", follow);
      window.removeEventListener("pointerup", drop);
      window.removeEventListener("pointercancel", drop);
      changed(row);
    };
    // The window listens: a pointer captured by the grip is lost as soon as the grip's row moves.
    window.addEventListener("pointermove", follow);
    window.addEventListener("pointerup", drop);
    window.addEventListener("pointercancel", drop);
  }

  list.addEventListener("click", (event) => {
    const row = event.target.closest("[data-row]");
    const button = event.target.closest("button");
    if (event.target.closest("[data-grip]")) event.preventDefault();
    if (!row || !button) return;
    if (button.dataset.move) { move(row, Number(button.dataset.move)); button.focus(); }
    if (button.dataset.add) { closeMenu(button); add(button.dataset.add, row); }
    if ("remove" in button.dataset) toggleRemoved(row);
  });
  list.addEventListener("keydown", (event) => {
    // Only on the row's summary line: in a text field, Alt and arrows move the caret on some systems.
    const direction = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!event.altKey || !direction || event.target.tagName !== "SUMMARY") return;
    event.preventDefault();
    move(event.target.closest("[data-row]"), direction);
    event.target.focus();
  });
  list.addEventListener("pointerdown", (event) => {
    if (event.target.closest("[data-grip]") && event.button === 0) drag(event, event.target.closest("[data-row]"));
  });
  list.addEventListener("paste", (event) => {
    if (event.target.matches('[name$="-title"]')) fillFromPaste(event, event.target.closest("[data-row]"));
  });
  list.addEventListener("input", (event) => updateSummary(event.target.closest("[data-row]")));
  list.addEventListener("change", (event) => {
    if (!event.target.matches('[name$="-kind"]')) return;
    const row = event.target.closest("[data-row]");
    updateSummary(row);
    showFields(row);
    renumber();
  });
  function closeMenu(within) { const menu = within.closest("[data-menu]"); if (menu) menu.open = false; }
  form.addEventListener("keydown", (event) => {
    const menu = event.key === "Escape" && event.target.closest("[data-menu][open]");
    if (menu) { menu.open = false; menu.querySelector("summary").focus(); }
  });
  form.addEventListener("focusout", (event) => {
    const menu = event.target.closest("[data-menu]");
    if (menu && event.relatedTarget && !menu.contains(event.relatedTarget)) menu.open = false;
  });
  form.addEventListener("click", (event) => {
    const { append, expand, collapse } = event.target.dataset;
    if (append) { closeMenu(event.target); addAtEnd(append); }
    if (expand !== undefined || collapse !== undefined) {
      list.querySelectorAll("[data-row] > details").forEach((one) => { one.open = expand !== undefined; });
    }
  });

  // Leaving with unsaved text asks for confirmation; submitting to the preview does not.
  let touched = form.querySelector(".errornote") !== null;
  form.addEventListener("input", () => { touched = true; });
  // A second click within this many milliseconds is ignored; a later one is not, since the first save may have failed.
  const DOUBLE_CLICK = 3000;
  let sentAt = -Infinity;
  let mayBeSent = false;
  form.addEventListener("submit", async (event) => {
    renumber();
    if (event.submitter && "preview" in event.submitter.dataset) return;
    if (mayBeSent) { mayBeSent = false; touched = false; return; }
    event.preventDefault();
    if (event.timeStamp - sentAt < DOUBLE_CLICK) return;
    sentAt = event.timeStamp;
    const problem = await findProblem();
    form.querySelectorAll("[data-unsent]").forEach((note) => { note.hidden = note.dataset.unsent !== problem; });
    if (problem) { sentAt = -Infinity; return; }
    mayBeSent = true;
    form.requestSubmit(event.submitter);
  });

  // Asks the server before sending: a redirect to the log-in page would lose the text, and a log-in in another tab makes
  // the page's CSRF token invalid.
  async function findProblem() {
    try {
      const answer = await fetch(form.dataset.token, { redirect: "manual", cache: "no-store" });
      if (answer.type === "opaqueredirect") return "signed-out";
      if (!answer.ok) return "no-answer";
      form.querySelector("[name=csrfmiddlewaretoken]").value = (await answer.json()).token;
      return "";
    } catch {
      return "no-answer";
    }
  }
  window.addEventListener("pageshow", () => { sentAt = -Infinity; });
  window.addEventListener("beforeunload", (event) => { if (touched) event.preventDefault(); });

  // The empty rows at the end are for browsers without this script.
  list.querySelectorAll("[data-extra]").forEach((row) => row.remove());
  nextIndex = Math.max(-1, ...rows().map((row) => Number(/-(\d+)-/.exec(field(row, "kind").name)[1]))) + 1;
  total.value = nextIndex;
  form.classList.add("with-script");
  form.querySelectorAll("[data-with-script]").forEach((part) => { part.hidden = false; });
  form.querySelectorAll("[data-without-script]").forEach((part) => { part.hidden = true; });
  rows().forEach(prepare);
  renumber();

  // The link of a finding points to a row: the browser scrolls to it, and this opens it.
  const linked = location.hash.startsWith("#row-") && document.getElementById(location.hash.slice(1));
  if (linked) linked.parentElement.open = true;
}
