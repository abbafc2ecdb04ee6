// The compose page: rows that are added, moved and removed, words counted, and nothing lost by leaving.
// Without this file the page works with position numbers and checkboxes.
"use strict";

const form = document.querySelector("[data-compose]");
if (form) {
  const list = form.querySelector("[data-rows]");
  const total = form.querySelector("[name=rows-TOTAL_FORMS]");
  const pattern = form.querySelector("[data-new-row]");
  const says = form.querySelector("[data-says]");

  const rows = () => [...list.children];
  const field = (row, name) => row.querySelector(`[name$="-${name}"]`);
  const isSection = (row) => field(row, "kind").value === "section";
  const isRemoved = (row) => field(row, "DELETE").checked;
  const say = (sentence) => { says.textContent = sentence; };
  const named = (row) => field(row, "title").value || (isSection(row) ? "section" : "story");

  // A section and the stories below it move together.
  function block(row) {
    const moved = [row];
    if (isSection(row)) {
      for (let next = row.nextElementSibling; next && !isSection(next); next = next.nextElementSibling) moved.push(next);
    }
    return moved;
  }

  function describe(row) {
    const words = field(row, "body").value.split(/\s+/).filter(Boolean).length;
    row.querySelector("[data-words]").textContent = words === 1 ? "1 word" : `${words} words`;
    row.querySelector("[data-shows=title]").textContent = field(row, "title").value || "(no title yet)";
    row.querySelector("[data-shows=source]").textContent = isSection(row) ? "" : field(row, "source").value;
  }

  function renumber() {
    let stories = 0;
    rows().forEach((row, index) => {
      field(row, "ORDER").value = index + 1;
      row.classList.toggle("row-section", isSection(row));
      row.classList.toggle("row-story", !isSection(row));
      const counts = !isSection(row) && !isRemoved(row);
      if (counts) stories += 1;
      row.querySelector("[data-number]").textContent = counts ? stories : isSection(row) ? "§" : "–";
    });
    form.querySelector("[data-story-count]").textContent = stories;
  }

  function move(row, direction) {
    const all = rows();
    const moved = block(row);
    let target;
    if (direction < 0) {
      target = moved[0].previousElementSibling;
      while (target && isSection(row) && !isSection(target)) target = target.previousElementSibling;
    } else {
      target = moved[moved.length - 1].nextElementSibling;
    }
    const wouldLead = !isSection(row) && (target === all[0] && direction < 0 && isSection(target));
    if (!target || wouldLead) {
      say(`${named(row)} stays: it is at the ${direction < 0 ? "top" : "end"}.`);
      return;
    }
    if (direction < 0) target.before(...moved); else block(target).at(isSection(row) ? -1 : 0).after(...moved);
    changed(row);
  }

  function changed(row) {
    renumber();
    touched = true;
    say(`${named(row)} moved to ${rows().indexOf(row) + 1} of ${rows().length}.`);
  }

  let nextIndex = 0;
  function add(kind, after) {
    const holder = document.createElement("template");
    holder.innerHTML = pattern.innerHTML.replaceAll("__prefix__", nextIndex);
    nextIndex += 1;
    total.value = nextIndex;
    const row = holder.content.firstElementChild;
    field(row, "kind").value = kind;
    if (after) after.after(row); else list.append(row);
    prepare(row);
    row.querySelector("details").open = true;
    if (kind === "section") row.querySelector("label[for$=title]").textContent = "Heading:";
    renumber();
    touched = true;
    field(row, "title").focus();
  }

  // A story needs a section above it, so the first one brings its section along.
  function addAtEnd(kind) {
    if (kind === "story" && !rows().some(isSection)) add("section");
    add(kind);
  }

  function toggleRemoved(row) {
    const box = field(row, "DELETE");
    box.checked = !box.checked;
    row.classList.toggle("is-removed", box.checked);
    row.querySelector("[data-remove]").textContent = box.checked ? "Keep after all" : "Remove";
    renumber();
    touched = true;
    say(`${named(row)} ${box.checked ? "goes when you save" : "stays"}.`);
  }

  // [Title](link) · Source, with the text on the lines below, as issue files have it.
  function fillFromPaste(event, row) {
    const text = event.clipboardData.getData("text/plain").trim();
    const story = /^(?:#+ |\*\*)?\[([^\]]+)\]\((https?:\/\/\S+?)\)(?:\*\*)?(?: +[·•|–—-] +([^\n]+))?(?:\n\s*([\s\S]+))?$/.exec(text);
    if (!story || isSection(row)) return;
    event.preventDefault();
    ["title", "url", "source", "body"].forEach((name, index) => {
      if (story[index + 1]) field(row, name).value = story[index + 1].trim();
    });
    describe(row);
    touched = true;
    say("The story was filled from what you pasted.");
  }

  function prepare(row) {
    row.querySelectorAll("[data-with-script]").forEach((part) => { part.hidden = false; });
    row.querySelectorAll("[data-without-script]").forEach((part) => { part.hidden = true; });
    row.classList.toggle("is-removed", isRemoved(row));
    describe(row);
  }

  // Dragging by the grip, with mouse, pen or finger.
  function drag(event, row) {
    event.preventDefault();
    const moved = block(row);
    moved.forEach((one) => one.classList.add("is-dragged"));
    const follow = (step) => {
      const below = document.elementFromPoint(step.clientX, step.clientY)?.closest("[data-row]");
      if (!below || moved.includes(below) || below.parentElement !== list) return;
      const box = below.getBoundingClientRect();
      if (step.clientY < box.top + box.height / 2) {
        if (below === list.firstElementChild && !isSection(row)) return;
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
    // On the window: a pointer captured by the grip would be lost as soon as the grip's row moves.
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
    if (button.dataset.add) add(button.dataset.add, row);
    if ("remove" in button.dataset) toggleRemoved(row);
  });
  list.addEventListener("keydown", (event) => {
    // Only on the row's own line: in a text, Alt and arrows move the caret on some systems.
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
  list.addEventListener("input", (event) => describe(event.target.closest("[data-row]")));
  form.addEventListener("click", (event) => {
    const { append, expand, collapse } = event.target.dataset;
    if (append) addAtEnd(append);
    if (expand !== undefined || collapse !== undefined) {
      list.querySelectorAll("details").forEach((one) => { one.open = expand !== undefined; });
    }
  });

  // Leaving with unsaved words asks first; looking at the preview is not leaving.
  let touched = form.querySelector(".errornote") !== null;
  form.addEventListener("input", () => { touched = true; });
  // A second click while the first is on its way is passed over; for a moment only, since a save can be stopped.
  const MOMENT = 3000;
  let sentAt = -Infinity;
  form.addEventListener("submit", (event) => {
    renumber();
    if (event.submitter && "preview" in event.submitter.dataset) return;
    if (event.timeStamp - sentAt < MOMENT) { event.preventDefault(); return; }
    sentAt = event.timeStamp;
    touched = false;
  });
  window.addEventListener("pageshow", () => { sentAt = -Infinity; });
  window.addEventListener("beforeunload", (event) => { if (touched) event.preventDefault(); });

  // Spare rows are for browsers that cannot add any.
  list.querySelectorAll("[data-spare]").forEach((row) => row.remove());
  nextIndex = Math.max(-1, ...rows().map((row) => Number(/-(\d+)-/.exec(field(row, "kind").name)[1]))) + 1;
  total.value = nextIndex;
  form.classList.add("with-script");
  form.querySelectorAll("[data-with-script]").forEach((part) => { part.hidden = false; });
  form.querySelectorAll("[data-without-script]").forEach((part) => { part.hidden = true; });
  rows().forEach(prepare);
  rows().filter(isSection).forEach((row) => { row.querySelector("label[for$=title]").textContent = "Heading:"; });
  renumber();

  // A finding leads to its row, which the browser finds and focuses by itself; here it is opened.
  const goal = location.hash.startsWith("#row-") && document.getElementById(location.hash.slice(1));
  if (goal) goal.parentElement.open = true;
}
