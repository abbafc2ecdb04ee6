// The compose page: adds, moves, selects and removes rows. Without it, rows have position numbers and checkboxes.
// All texts come from data-text-… attributes of the form. `compose` is shared with autosave.js and writing.js.
"use strict";

const compose = (() => {
  const form = document.querySelector("[data-compose]");
  if (!form) return null;
  const list = form.querySelector("[data-rows]");
  const announcement = form.querySelector("[data-announcement]");
  const message = form.querySelector("[data-message]");
  const kinds = JSON.parse(list.dataset.kinds);
  const FIELDS = ["title", "url", "source", "image", "alt", "body"];
  const done = [];  // the rows before each change, in their order; their texts stay in them
  let nextIndex = 1000, lastSelected = null, menu = null;

  const part = (name) => form.querySelector(`[data-${name}]`);
  const rows = () => [...list.children];
  const rowOf = (node) => node?.closest?.("[data-rows] > [data-row]");
  const lineOf = (row) => row.querySelector("summary");
  const field = (row, name) => row.querySelector(`[name$="-${name}"]`);
  const value = (row, name) => field(row, name)?.value.trim() ?? "";
  const kindOf = (row) => value(row, "kind");
  const isStory = (row) => kindOf(row) === "story";
  const nameOf = (row) => value(row, "title") || kinds[kindOf(row)].label;
  const wordsIn = (row) => value(row, "body").split(/\s+/).filter(Boolean).length;
  const boxOf = (row) => row.querySelector("[data-select]");
  const selected = () => rows().filter((row) => boxOf(row).checked);
  const chosen = (row) => (boxOf(row).checked ? selected() : [row]);

  // A text of the form's data-text-… attributes, with its {names} filled in.
  function text(key, values = {}) {
    return form.dataset[`text${key}`].replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
  }
  // The text for one, or that for several, whose key ends with "s".
  const counted = (key, count) => text(count === 1 ? key : `${key}s`, { count });

  // Tells screen readers what happened.
  function announce(words) { announcement.textContent = words; }

  // A section or block and the stories below it move together.
  function block(row) {
    const moved = [row];
    if (!isStory(row)) for (let next = row.nextElementSibling; next && isStory(next); next = next.nextElementSibling) moved.push(next);
    return moved;
  }

  function update(row) {
    const head = isStory(row) ? "" : (kindOf(row) === "text" && value(row, "body").slice(0, 80)) || kinds[kindOf(row)].label;
    row.querySelector("[data-shows=title]").textContent = value(row, "title") || head || text("NoTitle");
    row.querySelector("[data-words]").textContent = wordsIn(row) ? counted("Word", wordsIn(row)) : "";
    boxOf(row).setAttribute("aria-label", text("Select", { row: nameOf(row) }));
  }

  function renumber() {
    let stories = 0;
    rows().forEach((row) => {
      const kind = kindOf(row);
      row.querySelector("[data-number]").textContent = kind === "story" ? (stories += 1) : kind === "section" ? "§" : "◆";
      const below = block(row).length - 1;
      row.querySelector("[data-shows=source]").textContent = value(row, "source") || (below ? counted("Story", below)
        : isStory(row) || !value(row, "title") || kind === "section" ? "" : kinds[kind].label);
    });
    const marked = selected();
    part("selection").hidden = !marked.length;
    part("selected-count").textContent = counted("Selected", marked.length);
    part("undo").disabled = !done.length;
    part("empty").hidden = rows().length > 0;
    form.dispatchEvent(new Event("rowschange"));
  }

  // Every change of the list goes through here, so that it can be undone. `words` are announced, and shown if `isShown`.
  function change(run, words, isShown = false) {
    done.push(rows());
    run();
    message.hidden = !isShown;
    message.firstElementChild.textContent = isShown ? words() : "";
    touched();
    announce(words());
  }

  // Tells autosave.js that the list has changed.
  function touched() {
    renumber();
    list.dispatchEvent(new Event("input", { bubbles: true }));
  }

  function undo() {
    if (!done.length) return;
    list.replaceChildren(...done.pop());
    message.hidden = true;
    touched();
    announce(text("Undone"));
  }

  function place(row) {
    const all = rows().filter((other) => isStory(other) === isStory(row));
    let head = row;
    while (head && isStory(head)) head = head.previousElementSibling;
    const values = { position: all.indexOf(row) + 1, count: all.length, section: head ? nameOf(head) : "" };
    return text(isStory(row) && head ? "MovedIn" : "Moved", values);
  }

  function move(row, direction) {
    const moved = boxOf(row).checked ? selected() : block(row);
    const onlyStories = moved.every(isStory);
    let target = direction < 0 ? moved[0].previousElementSibling : moved.at(-1).nextElementSibling;
    while (direction < 0 && target && !onlyStories && isStory(target)) target = target.previousElementSibling;
    if (!target || (onlyStories && direction < 0 && target === list.firstElementChild)) {
      announce(text(direction < 0 ? "AtTop" : "AtEnd", { row: nameOf(row) }));
      return;
    }
    change(() => {
      if (direction < 0) target.before(...moved); else block(target).at(onlyStories ? 0 : -1).after(...moved);
    }, () => place(row));
    lineOf(row).focus();
  }

  function moveToSection(moved, head) {
    change(() => {
      const stay = block(head).filter((row) => !moved.includes(row));
      stay.at(-1).after(...moved);
    }, () => place(moved[0]));
  }

  function make(kind, values = {}) {
    const holder = document.createElement("template");
    holder.innerHTML = part("new-row").innerHTML.replaceAll("__prefix__", nextIndex++);
    const row = holder.content.firstElementChild, own = kinds[kind].fields;
    row.dataset.row = kind;
    field(row, "kind").value = kind;
    FIELDS.forEach((name) => {
      const input = field(row, name), label = input.closest("label") || input.previousElementSibling;
      if (name in own) label.firstChild.data = own[name];
      input.value = values[name] ?? "";
      if (!(name in own && !kinds[kind].optional.includes(name)) && !values[name]) { input.remove(); label.remove(); }
    });
    return prepare(row);
  }

  function prepare(row) {
    row.querySelector("noscript")?.remove();
    if (row.classList.contains("has-error")) row.dataset.error = "";
    row.append(part("handles").content.cloneNode(true));
    update(row);
    return row;
  }

  const valuesOf = (row) => Object.fromEntries(FIELDS.map((name) => [name, field(row, name)?.value]));

  // Inserts rows after `after`, or at the end. The first story of an issue needs a section above it.
  function insert(made, after, words, isShown) {
    if (isStory(made[0]) && !after && !rows().length) made.unshift(make("section"));
    change(() => { if (after) after.after(...made); else list.append(...made); }, words, isShown);
  }

  function add(kind, after = null) {
    const row = make(kind);
    insert([row], after, () => text("Added", { row: kinds[kind].label }));
    open(row);
  }

  function open(row, name) {
    row.querySelector("details").open = true;
    const first = field(row, name ?? "") || row.querySelector(".row-fields :is(input:not([type=hidden]), textarea)") || lineOf(row);
    first.focus();
    row.scrollIntoView({ block: "nearest" });
  }

  function close(row) {
    row.querySelector("details").open = false;
    lineOf(row).focus();
  }

  function remove(gone) {
    const all = rows(), from = all.indexOf(gone[0]);
    const next = all.slice(from).find((row) => !gone.includes(row)) || all.slice(0, from).reverse().find((row) => !gone.includes(row));
    const name = nameOf(gone[0]);
    change(() => gone.forEach((row) => { boxOf(row).checked = false; row.remove(); }),
      () => (gone.length === 1 ? text("Removed", { row: name }) : counted("RemovedRow", gone.length)), true);
    (next ? lineOf(next) : part("append")).focus();
  }

  function duplicate(originals) {
    const copies = originals.map((row) => make(kindOf(row), valuesOf(row)));
    insert(copies, originals.at(-1), () => counted("Duplicated", copies.length), true);
    lineOf(copies[0]).focus();
  }

  function select(row, isOn, extend = false) {
    const all = rows(), start = extend ? all.indexOf(lastSelected) : -1, end = all.indexOf(row);
    const range = start < 0 ? [row] : all.slice(Math.min(start, end), Math.max(start, end) + 1);
    range.forEach((each) => { boxOf(each).checked = isOn; });
    lastSelected = row;
    renumber();
    announce(part("selected-count").textContent);
  }

  // A menu below a button: [label, what it does] for each item. Escape and a click elsewhere close it.
  function closeMenu() { menu?.remove(); menu?.button.setAttribute("aria-expanded", "false"); menu = null; }
  function openMenu(button, items) {
    closeMenu();
    menu = Object.assign(document.createElement("div"), { className: "menu-list", button });
    menu.setAttribute("role", "menu");
    items.forEach(([label, run]) => {
      const item = Object.assign(document.createElement("button"), { type: "button", textContent: label, tabIndex: -1 });
      item.setAttribute("role", "menuitem");
      item.addEventListener("click", (event) => { event.stopPropagation(); closeMenu(); run(); });
      menu.append(item);
    });
    button.setAttribute("aria-expanded", "true");
    button.after(menu);
    menu.firstElementChild.focus();
  }

  function sectionMenu(button, moved) {
    const heads = rows().filter((row) => !isStory(row));
    openMenu(button, heads.map((head) => [nameOf(head), () => { moveToSection(moved, head); lineOf(moved[0]).focus(); }]));
  }

  function rowMenu(button, row) {
    const toSection = [text("ToSection"), () => sectionMenu(button, chosen(row))];
    openMenu(button, [
      [text("Open"), () => open(row)],
      [text("MoveUp"), () => move(row, -1)], [text("MoveDown"), () => move(row, 1)],
      ...(chosen(row).every(isStory) ? [toSection] : []),
      [text("Duplicate"), () => duplicate(chosen(row))],
      [text("AddBelow"), () => add("story", row)],
      [text("Remove"), () => remove(chosen(row))],
    ]);
  }

  // Links or Markdown pasted into a title become rows; the server reads them. Without an answer, the text is inserted.
  async function paste(event) {
    const input = event.target, row = rowOf(input), pasted = event.clipboardData.getData("text/plain").trim();
    if (!/\n|\]\(/.test(pasted)) return;
    event.preventDefault();
    let found = [];
    try {
      const body = new URLSearchParams({ text: pasted, csrfmiddlewaretoken: form.elements.csrfmiddlewaretoken.value });
      const answer = await fetch(form.dataset.pasted, { method: "POST", body, redirect: "manual" });
      if (answer.ok) found = (await answer.json()).rows;
    } catch { /* inserted as text below */ }
    if (!found.length) {
      input.focus();
      document.execCommand("insertText", false, pasted);
      return;
    }
    const made = found.map((each) => make(each.kind, each)), last = made.at(-1);
    const isEmpty = isStory(row) && !Object.values(valuesOf(row)).join("").trim();
    insert(made, row, () => counted("Pasted", made.length), true);
    if (isEmpty) { row.remove(); touched(); }
    open(made.length === 1 ? made[0] : last);
  }

  // Drags a row by its grip, with mouse, pen or finger.
  function drag(event, row) {
    event.preventDefault();
    const moved = block(row);
    done.push(rows());
    moved.forEach((one) => one.classList.add("is-dragged"));
    const follow = (step) => {
      const below = rowOf(document.elementFromPoint(step.clientX, step.clientY));
      if (!below || moved.includes(below)) return;
      const box = below.getBoundingClientRect();
      if (step.clientY >= box.top + box.height / 2) below.after(...moved);
      else if (below !== list.firstElementChild || !isStory(row)) below.before(...moved);
    };
    const drop = () => {
      moved.forEach((one) => one.classList.remove("is-dragged"));
      ends.abort();
      touched();
      announce(place(row));
    };
    // The window listens: a pointer captured by the grip is lost as soon as the grip's row moves.
    const ends = new AbortController();
    window.addEventListener("pointermove", follow, ends);
    ["pointerup", "pointercancel"].forEach((name) => window.addEventListener(name, drop, ends));
  }

  // The whole form as [name, value] pairs; rows are numbered in their order.
  function pairs() {
    const all = rows();
    return [
      ...[...new FormData(form)].filter(([name]) => !name.startsWith("rows-")),
      ...all.flatMap((row, index) => [
        ...["kind", ...FIELDS].filter((name) => field(row, name)).map((name) => [`rows-${index}-${name}`, field(row, name).value]),
        [`rows-${index}-ORDER`, `${index + 1}`],
      ]),
      ["rows-TOTAL_FORMS", `${all.length}`], ["rows-INITIAL_FORMS", `${all.length}`],
    ];
  }

  // Puts earlier pairs back. The rows that were there come back with Undo.
  function fill(saved) {
    const values = (name) => saved.filter(([each]) => each === name).map(([, one]) => one);
    for (const input of form.elements) {
      if (!input.name || /^(rows-|csrf|page_key|continued)/.test(input.name)) continue;
      if (input.type === "checkbox") input.checked = values(input.name).includes(input.value);
      else if (values(input.name).length) [input.value] = values(input.name);
    }
    const one = (index, name) => values(`rows-${index}-${name}`)[0];
    const made = [];
    for (let index = 0; one(index, "kind"); index += 1) {
      made.push(make(one(index, "kind"), Object.fromEntries(FIELDS.map((name) => [name, one(index, name)]))));
    }
    change(() => list.replaceChildren(...made), () => text("Restored"));
  }

  const actions = {
    append: (button) => {
      const block = button.closest("details"), kind = button.dataset.append;
      if (block) block.open = false;
      add(kind, kind === "story" || kind === "section" ? null : current);
    },
    snippet: (button) => {
      button.closest("details").open = false;
      const made = JSON.parse(button.dataset.snippet).map((each) => make(each.kind, each));
      const after = current && isStory(made[0]) ? current : current && block(current).at(-1);
      insert(made, after, () => counted("Pasted", made.length), true);
      open(made[0]);
    },
    below: (button) => add("story", rowOf(button)),
    remove: (button) => remove([rowOf(button)]),
    section: (button) => sectionMenu(button, rowOf(button) ? [rowOf(button)] : selected().filter(isStory)),
    more: (button) => rowMenu(button, rowOf(button)),
    undo,
    expand: (button) => {
      const isOpen = button.getAttribute("aria-pressed") !== "true";
      rows().forEach((row) => { row.querySelector("details").open = isOpen; });
      button.setAttribute("aria-pressed", isOpen);
    },
    duplicateSelected: () => duplicate(selected()),
    removeSelected: () => remove(selected()),
    clear: () => { selected().forEach((row) => { boxOf(row).checked = false; }); renumber(); },
    openAdd: () => { part("menu").open = true; part("menu").querySelector("button").focus(); },
  };
  let current = null;  // the row that had focus last

  form.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    const action = button && Object.keys(button.dataset).find((name) => name in actions);
    if (menu && !menu.contains(event.target) && button !== menu.button) closeMenu();
    if (!event.target.closest(".menu, [data-open-add]")) part("menu").open = false;
    if (action && menu?.button === button) closeMenu(); else if (action) actions[action](button);
    if (event.target.matches("[data-select]")) select(rowOf(event.target), event.target.checked, event.shiftKey);
  });
  form.addEventListener("keydown", (event) => {
    const { key, target } = event, step = { ArrowUp: -1, ArrowDown: 1 }[key], open_ = target.closest(".menu[open]");
    if (key === "Enter" && target.tagName === "INPUT") event.preventDefault();
    if (menu?.contains(target) && (step || key === "Escape" || key === "Tab")) {
      if (step) [...menu.children].at(([...menu.children].indexOf(target) + step) % menu.children.length).focus();
      else { menu.button.focus(); closeMenu(); }
    } else if (open_ && key === "Escape") {
      open_.open = false;
      open_.querySelector("summary").focus();
    } else if (open_ && step && !target.closest("summary")) {
      const items = [...open_.querySelectorAll("button")];
      items.at((items.indexOf(target) + step) % items.length).focus();
    } else return;
    event.preventDefault();
    event.stopImmediatePropagation();
  });
  list.addEventListener("keydown", (event) => {
    const { key, target } = event, row = rowOf(target), onLine = target.tagName === "SUMMARY";
    const step = { ArrowUp: "previousElementSibling", ArrowDown: "nextElementSibling" }[key];
    if (!row) return;
    // Only on the row's line: in a text field, arrows with Alt move the caret on some systems.
    if (key === "Enter" && (event.ctrlKey || event.metaKey)) add("story", row);
    else if (key === "Escape" && !menu) close(row);
    else if (!onLine) return;
    else if (step && event.altKey) move(row, key === "ArrowUp" ? -1 : 1);
    else if (step) {
      if (event.shiftKey) { lastSelected = row; select(row[step] || row, true, true); }
      if (row[step]) lineOf(row[step]).focus();
    } else if (key === " ") select(row, !boxOf(row).checked);
    else if (key === "Delete") remove(chosen(row));
    else if (key === "Enter") { if (row.querySelector("details").open) close(row); else open(row); } else return;
    event.preventDefault();
  });
  // Space on a summary would open it when the key is released.
  list.addEventListener("keyup", (event) => { if (event.key === " " && event.target.tagName === "SUMMARY") event.preventDefault(); });
  list.addEventListener("pointerdown", (event) => {
    if (event.target.closest("[data-grip]") && event.button === 0) drag(event, rowOf(event.target));
  });
  list.addEventListener("paste", (event) => { if (event.target.matches('[name$="-title"]')) paste(event); });
  list.addEventListener("input", (event) => { const row = rowOf(event.target); if (row) { update(row); renumber(); } });
  // The row's buttons and the formatting toolbar exist once, and follow the focus.
  const buttons = part("row-buttons");
  function follow() {
    if (!current.querySelector("details").open) return;
    const fields = current.querySelector(".row-fields");
    if (buttons.parentElement !== fields) fields.append(buttons);
    buttons.querySelector("[data-section]").hidden = !isStory(current);
    form.dispatchEvent(new CustomEvent("rowfocus", { detail: current }));
  }
  list.addEventListener("focusin", (event) => { current = rowOf(event.target); follow(); });
  list.addEventListener("toggle", (event) => { if (current && rowOf(event.target) === current) follow(); }, true);
  form.addEventListener("focusout", (event) => {
    const open_ = event.target.closest(".menu[open]");
    if (open_ && event.relatedTarget && !open_.contains(event.relatedTarget)) open_.open = false;
    if (menu?.contains(event.target) && event.relatedTarget && !menu.contains(event.relatedTarget)) closeMenu();
  });

  form.classList.add("with-script");
  form.querySelectorAll("[data-with-script]").forEach((each) => { each.hidden = false; });
  form.querySelectorAll("[data-without-script]").forEach((each) => { each.remove(); });
  rows().forEach(prepare);
  renumber();
  // The link of a finding points to a row or to a field in it: this opens the row, with the caret in the field.
  const linked = /^#(row-\d+|id_[\w-]+)$/.test(location.hash) && form.querySelector(location.hash);
  if (linked && rowOf(linked)) rowOf(linked).querySelector("details").open = true;
  if (linked && linked.matches("input, textarea")) {
    linked.closest("details")?.setAttribute("open", "");
    linked.focus();
  }

  return { form, list, part, rows, rowOf, field, value, isStory, wordsIn, nameOf, open, text, counted, announce, pairs, fill, make, current: () => current };
})();
