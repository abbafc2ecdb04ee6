// Saves the compose page without being asked: to the server, and on this device what has not got there yet.
"use strict";

if (compose) {
  const { form, part, rows, rowOf, open, text, announce, pairs, fill } = compose;
  const DELAY = 1500, RETRY = 10000, KEEP = 30 * 24 * 3600 * 1000;
  // What a page says about itself is no text of the editor.
  const isText = ([name]) => !/^(csrf|page_key|based_on|continued|replace_|rows-(TOTAL|INITIAL|MIN|MAX))/.test(name);
  const prefix = () => `compose ${form.dataset.editor} ${form.dataset.issue} `;
  const token = form.elements.csrfmiddlewaretoken, page = form.elements.page_key.value;
  const time = new Intl.DateTimeFormat(document.documentElement.lang, { timeStyle: "short", hourCycle: "h23", timeZone: form.dataset.zone });
  let changes = 0, saved = 0, timer = 0, kind = "saved", isKept = true, queue = Promise.resolve();

  function show(state, at) {
    form.querySelectorAll("[data-state]").forEach((each) => { each.hidden = each.dataset.state !== state; });
    if (at) form.querySelectorAll("[data-saved-at]").forEach((each) => { each.textContent = time.format(at); });
    part("phone-state").textContent = part(`state=${state}`)?.textContent.trim() ?? "";
    // Each kind of state is announced once, not each save.
    if (state !== kind && state !== "saving" && !(state === "saved" && kind === "saving")) announce(part("phone-state").textContent);
    if (state !== "saving") kind = state;
  }

  function keepHere() {
    try {
      localStorage.setItem(prefix() + page, JSON.stringify({ at: Date.now(), pairs: pairs().filter(([name]) => !name.startsWith("csrf")) }));
      isKept = true;
    } catch {
      isKept = false;
    }
  }

  function forgetHere() {
    try { localStorage.removeItem(prefix() + page); } catch { isKept = false; }
  }

  function changed() {
    changes += 1;
    keepHere();
    clearTimeout(timer);
    timer = setTimeout(save, DELAY);
  }

  // The JSON of the server, or the state in which the text did not get there.
  async function post(body, isAgain = false) {
    const answer = await fetch(form.dataset.autosave, { method: "POST", body, redirect: "manual" });
    if (answer.type === "opaqueredirect") return { state: "logged-out" };
    if (answer.status === 403 && !isAgain) {
      // A log-in in another tab makes the page's CSRF token invalid.
      const renewed = await fetch(form.dataset.token, { redirect: "manual", cache: "no-store" });
      if (renewed.type === "opaqueredirect") return { state: "logged-out" };
      if (renewed.ok) {
        token.value = (await renewed.json()).token;
        body.set("csrfmiddlewaretoken", token.value);
        return post(body, true);
      }
    }
    return answer.ok ? answer.json() : { state: answer.status === 404 ? "gone" : "failed" };
  }

  async function saveOnce(isManual) {
    const at = changes, body = new URLSearchParams(pairs());
    if (!isManual && at === saved && kind === "saved") return { state: "saved" };
    if (isManual) body.set("manual", "1");
    show("saving");
    const answer = await post(body).catch(() => ({ state: "offline" }));
    const isThere = ["saved", "unfinished", "newer", "closed"].includes(answer.state);
    if (isThere) {
      saved = at;
      if (at === changes) forgetHere();
    } else {
      keepHere();
      timer = setTimeout(save, RETRY);
    }
    if (answer.errors) showErrors(answer.errors, isManual);
    if (answer.state === "saved") {
      form.elements.based_on.value = answer.revision;
      form.querySelectorAll("[data-newer], [data-unfinished]").forEach((each) => each.remove());
      form.querySelector("h1").textContent = answer.title;
      Object.assign(part("pill"), { className: `pill pill-${answer.status}`, textContent: answer.label });
      if (answer.status === "draft") part("approved")?.remove();
      if (answer.url) becomeIssue(answer);
    }
    if (answer.by !== undefined) {
      part("newer-by").textContent = answer.by;
      part("compare").href = answer.compare;
    }
    show(answer.state === "unfinished" ? "saved" : answer.state, Date.now());
    if (answer.state === "saved") form.dispatchEvent(new Event("saved"));
    return answer;
  }

  // One save at a time: the next is based on the revision of the one before.
  function save({ isManual = false } = {}) {
    clearTimeout(timer);
    queue = queue.catch(() => {}).then(() => saveOnce(isManual));
    return queue;
  }

  // The page of a new issue goes on as the page of the issue that its first save made.
  function becomeIssue({ url, autosave, check, issue }) {
    forgetHere();
    history.replaceState(null, "", url);
    form.action = url;
    Object.assign(form.dataset, { autosave, check, issue });
  }

  function showErrors(errors, isManual) {
    form.querySelectorAll(".errorlist").forEach((each) => each.remove());
    form.querySelectorAll("[aria-invalid]").forEach((each) => each.removeAttribute("aria-invalid"));
    rows().forEach((row) => { delete row.dataset.error; });
    const shown = Object.entries(errors).map(([name, sentences]) => {
      const [, index, field] = /^rows-(\d+)-(\w+)$/.exec(name) || [];
      const row = index && rows()[index], input = row ? row.querySelector(`[name$="-${field}"]`) : form.elements[name];
      const node = input instanceof RadioNodeList ? input[0] : input;
      if (row) row.dataset.error = "";
      if (!node) return { sentences };
      const items = Object.assign(document.createElement("ul"), { className: "errorlist" });
      items.append(...sentences.map((each) => Object.assign(document.createElement("li"), { textContent: each })));
      items.id = `${node.id}_error`;
      node.setAttribute("aria-invalid", "true");
      node.dataset.help ??= node.getAttribute("aria-describedby") || "";
      node.setAttribute("aria-describedby", `${items.id} ${node.dataset.help}`);
      (node.closest("label") || node).after(items);
      return { sentences, node };
    });
    form.dispatchEvent(new Event("rowschange"));
    const alert = part("alert");
    alert.hidden = !isManual || !shown.length;
    document.title = document.title.replace(text("Error"), "");
    if (alert.hidden) return;
    document.title = text("Error") + document.title;
    part("error-list").replaceChildren(...shown.flatMap(({ sentences, node }) => sentences.map((each) => {
      const item = document.createElement("li"), link = document.createElement(node ? "a" : "span");
      link.textContent = each;
      if (node) link.href = `#${node.id}`;
      item.append(link);
      return item;
    })));
    const first = shown.find(({ node }) => node)?.node;
    if (first) goTo(first);
  }

  // Opens what a field is in, and puts the caret into it.
  function goTo(node) {
    for (let around = node.closest("details"); around; around = around.parentElement.closest("details")) around.open = true;
    node.focus();
  }

  // What the buttons do. An issue that was deleted meanwhile is posted as a form: the answer offers to save it as a new one.
  async function saveAnd(then) {
    const { state } = await save({ isManual: true });
    if (state === "saved") then();
    if (state === "gone") {
      const whole = Object.assign(document.createElement("form"), { method: "post", action: form.action, hidden: true });
      whole.append(...pairs().map(([name, value]) => Object.assign(document.createElement("textarea"), { name, value })));
      document.body.append(whole);
      whole.submit();
    }
  }
  const goToCheck = () => location.assign(form.dataset.check);
  // The page of a new issue has no preview: saving goes on to one that has.
  const wasNew = form.dataset.issue === "new";
  const goOn = () => {
    if (!wasNew) return;
    history.replaceState(null, "", `${form.action}#row-${rows().indexOf(compose.current())}`);
    location.reload();
  };

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    saveAnd(event.submitter?.name === "_check" ? goToCheck : goOn);
  });
  form.addEventListener("input", changed);
  form.addEventListener("focusout", (event) => {
    const row = rowOf(event.target);
    if (row && rowOf(event.relatedTarget) !== row && changes !== saved) save();
  });
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === "s") {
      event.preventDefault();
      saveAnd(goOn);
    }
  });
  form.addEventListener("click", (event) => {
    const link = event.target.closest('a[href^="#"]'), node = link && document.getElementById(link.hash.slice(1));
    if (node?.matches("input, textarea, select")) { event.preventDefault(); goTo(node); }
  });
  // Links of the page are followed once the text has got to the server, or is kept here.
  document.addEventListener("click", async (event) => {
    const link = event.target.closest("a[href]:not([target])");
    if (!link || link.origin !== location.origin || link.hash || changes === saved || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    await save();
    location.assign(link.href);
  });
  const retry = () => { if (changes !== saved || !["saved", "newer"].includes(kind)) save(); };
  window.addEventListener("online", retry);
  window.addEventListener("focus", retry);
  // What is kept on this device is offered on return, so that leaving asks only if it could not be kept.
  window.addEventListener("beforeunload", (event) => { if (changes !== saved && !isKept) event.preventDefault(); });

  // The newest text of this editor and issue that did not get to the server, from a page that is no longer open.
  async function offerCopy() {
    const held = await navigator.locks?.query();
    const alive = new Set(held?.held.map((lock) => lock.name));
    navigator.locks?.request(prefix() + page, () => new Promise(() => {}));
    const now = JSON.stringify(pairs().filter(isText)), found = [];
    for (const key of Object.keys(localStorage).filter((each) => each.startsWith("compose "))) {
      const copy = JSON.parse(localStorage.getItem(key));
      if (Date.now() - copy.at > KEEP) localStorage.removeItem(key);
      else if (key.startsWith(prefix()) && !alive.has(key)) {
        if (JSON.stringify(copy.pairs.filter(isText)) === now) localStorage.removeItem(key); else found.push([key, copy]);
      }
    }
    const [key, copy] = found.sort(([, one], [, other]) => other.at - one.at)[0] || [];
    const offer = part("copy");
    if (!copy) return;
    part("copy-time").textContent = time.format(copy.at);
    offer.hidden = false;
    const end = () => { localStorage.removeItem(key); offer.hidden = true; };
    part("copy-restore").addEventListener("click", () => { fill(copy.pairs); end(); part("undo").focus(); });
    part("copy-discard").addEventListener("click", () => { end(); part("undo").focus(); });
    part("copy-compare").hidden = !form.dataset.compareTyped;
    part("copy-compare").addEventListener("click", async () => {
      const body = new URLSearchParams([...copy.pairs, ["csrfmiddlewaretoken", token.value]]);
      const answer = await fetch(form.dataset.compareTyped, { method: "POST", body, redirect: "manual" }).catch(() => null);
      if (answer?.ok) part("copy-difference").innerHTML = await answer.text();
    });
  }
  if (!wasNew) show("saved");
  offerCopy().catch(() => { isKept = false; });
  Object.assign(compose, { save, goTo });
}
