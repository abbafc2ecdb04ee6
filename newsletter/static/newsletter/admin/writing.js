// The compose page: the formatting toolbar, the counters, the inbox view and the preview beside the text.
"use strict";

if (compose) {
  const { form, list, part, rows, field, value, isStory, wordsIn, nameOf, open, text, counted } = compose;
  const toolbar = part("toolbar"), buttons = [...toolbar.children];
  const WORDS_A_MINUTE = 220, KILOBYTES = 102, POPULAR = "{first_name|there}";

  // Replaces the selection so that the browser can undo it, and selects `from` to `to` of what was inserted.
  function insert(area, words, from, to) {
    const start = area.selectionStart;
    area.focus();
    document.execCommand("insertText", false, words);
    area.setSelectionRange(start + from, start + to);
  }

  function wrap(area, open_, close) {
    const words = area.value.slice(area.selectionStart, area.selectionEnd);
    insert(area, open_ + words + close, open_.length, open_.length + words.length);
  }

  function eachLine(area, mark) {
    const { value: all, selectionEnd: end } = area, start = all.lastIndexOf("\n", area.selectionStart - 1) + 1;
    const lines = all.slice(start, end).replace(/^/gm, mark);
    area.setSelectionRange(start, end);
    insert(area, lines, 0, lines.length);
  }

  const formats = {
    bold: (area) => wrap(area, "**", "**"),
    italic: (area) => wrap(area, "*", "*"),
    link: (area) => {
      const words = area.value.slice(area.selectionStart, area.selectionEnd), isLink = /^https?:\/\/\S+$/.test(words);
      const label = isLink ? "" : words, url = isLink ? words : "https://";
      insert(area, `[${label}](${url})`, label ? label.length + 3 : 1, label ? label.length + 3 + url.length : 1);
    },
    list: (area) => eachLine(area, "- "),
    quote: (area) => eachLine(area, "> "),
    field: (area) => insert(area, POPULAR, POPULAR.length, POPULAR.length),
  };
  const areaOf = () => toolbar.parentElement.querySelector("textarea");
  toolbar.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) formats[button.dataset.format](areaOf());
  });
  toolbar.addEventListener("mousedown", (event) => event.preventDefault());  // keeps the selection of the text
  toolbar.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    const next = buttons.at((buttons.indexOf(event.target) + step) % buttons.length);
    buttons.forEach((each) => { each.tabIndex = each === next ? 0 : -1; });
    next.focus();
  });
  list.addEventListener("keydown", (event) => {
    const format = { b: "bold", i: "italic", k: "link" }[event.key.toLowerCase()];
    if (!format || !(event.ctrlKey || event.metaKey) || event.altKey || event.target.tagName !== "TEXTAREA") return;
    event.preventDefault();
    formats[format](event.target);
  });

  // Counters and the inbox view.
  function count() {
    const words = rows().reduce((sum, row) => sum + wordsIn(row), 0), stories = rows().filter(isStory);
    part("stories").textContent = counted("Story", stories.length);
    part("all-words").textContent = counted("Word", words);
    part("minutes").textContent = text("Minutes", { count: Math.ceil(words / WORDS_A_MINUTE) });
    const problems = rows().map((row) => [row, problemOf(row)]).filter(([row, problem]) => {
      row.querySelector(".pill")?.remove();
      if (problem) row.querySelector("[data-shows=title]").append(" ", Object.assign(document.createElement("span"), { className: "pill pill-error", textContent: problem.label }));
      row.classList.toggle("has-error", Boolean(problem));
      return problem;
    });
    part("problems").replaceChildren(...problems.slice(0, 3).map(([row, problem]) => {
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: text(isStory(row) ? "StoryProblem" : "Problem", { row: isStory(row) ? row.querySelector("[data-number]").textContent : nameOf(row), problem: problem.label }) });
      button.addEventListener("click", () => open(row, problem.field));
      return button;
    }));
    part("problem-count").textContent = problems.length ? counted("ProblemCount", problems.length) : "";
  }

  function problemOf(row) {
    if ("error" in row.dataset) return { label: text("HasError") };
    const missing = isStory(row) && value(row, "title") && ["url", "body"].find((name) => !value(row, name));
    return missing ? { label: text(missing === "url" ? "NoLink" : "NoText"), field: missing } : null;
  }

  function showInbox() {
    // Merge fields as recipients without a value see them.
    const shown = (words) => words.replace(/\{[a-z][a-z0-9_]{0,39}\|([^{}|\n]{1,60})\}/g, "$1");
    const subject = shown(form.elements.subject.value).trim() || form.elements.title.value.trim();
    form.querySelectorAll("[data-inbox=subject]").forEach((each) => { each.textContent = subject; });
    form.querySelectorAll("[data-inbox=preheader]").forEach((each) => { each.textContent = shown(form.elements.preheader.value); });
    for (const output of form.querySelectorAll("[data-count-of]")) {
      const length = shown(form.elements[output.dataset.countOf].value).length, most = Number(output.dataset.most);
      output.textContent = text("Of", { count: length, most });
      output.classList.toggle("is-over", length > most);
    }
  }
  form.addEventListener("rowschange", count);
  form.addEventListener("input", showInbox);
  form.addEventListener("rowfocus", ({ detail: row }) => {
    const area = field(row, "body"), fields = row.querySelector(".row-fields");
    toolbar.hidden = !area;
    if (area && toolbar.nextElementSibling !== area) area.before(toolbar);
    if (!area && toolbar.parentElement === fields) part("templates").append(toolbar);
    follow(row);
  });

  // The preview. Its frame has this origin, so that it can be scrolled; nothing runs in it.
  const aside = part("beside"), frame = aside?.querySelector("iframe");
  const plain = (words) => words.replace(/[^\p{L}\p{N}]/gu, "").slice(0, 200);
  const isShown = () => frame && frame.offsetParent !== null;
  let scrolled = [0, 0], isOwn = false;

  function follow(row = compose.current()) {
    const inner = isShown() && part("follow").checked && frame.contentDocument;
    const wanted = inner && row?.isConnected && plain(value(row, "title") || value(row, "body").split("\n")[0]);
    if (!inner?.body || !wanted) return;
    // A title stands beside its number and its source: the shortest text that has it is the place.
    const beside = (each) => plain(each.textContent).length;
    const places = [...inner.body.querySelectorAll("a, h1, h2, h3, p, td")].filter((each) => plain(each.textContent).includes(wanted));
    const found = places.reduce((best, each) => (best && beside(best) < beside(each) ? best : each), null);
    inner.querySelectorAll("[data-followed]").forEach((each) => { each.style.boxShadow = ""; delete each.dataset.followed; });
    if (!found) return;
    const marked = found.closest("td, div, h2, h3") || found;
    marked.dataset.followed = "";
    marked.style.boxShadow = "-6px 0 0 0 #4f46e5";
    const top = marked.getBoundingClientRect().top, view = frame.contentWindow;
    if (top < 0 || top > view.innerHeight - 120) view.scrollBy(0, top - 60);
  }

  function reload() {
    if (!isShown()) return;
    const view = frame.contentWindow;
    scrolled = [view.scrollX, view.scrollY];
    isOwn = true;
    view.location.replace(aside.dataset.beside.replace("desktop", aside.dataset.client));
  }

  if (aside) {
    frame.addEventListener("load", () => {
      if (!isShown()) return;
      const bytes = Number(frame.contentDocument?.querySelector("meta[name=mail-bytes]")?.content);
      if (bytes) {
        const kilobytes = Math.ceil(bytes / 1000);
        part("kilobytes").textContent = text("Kilobytes", { count: kilobytes, most: KILOBYTES });
        part("size").value = kilobytes;
        part("size").hidden = false;
      }
      if (isOwn) frame.contentWindow.scrollTo(...scrolled);
      follow();
    });
    aside.addEventListener("click", (event) => {
      const button = event.target.closest("[data-client]:not(aside)");
      if (!button) return;
      aside.querySelectorAll("button[data-client]").forEach((each) => each.setAttribute("aria-pressed", each === button));
      aside.dataset.client = button.dataset.client;
      part("true-width").dataset.trueWidth = button.dataset.client === "phone" ? 375 : 600;
      reload();
    });
    form.addEventListener("saved", reload);
    part("follow").addEventListener("change", () => follow());
    document.addEventListener("keydown", (event) => {
      if (!event.altKey || event.code !== "KeyP" || !isShown()) return;
      event.preventDefault();
      aside.querySelector("[aria-pressed=true]").focus();
    });
  }
  count();
  showInbox();
}
