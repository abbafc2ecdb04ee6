// The page of a segment: adds, moves and removes rules without loading the page, and counts 400 ms after a change.
// Without this script, each button submits the form. All texts come from data-text-… attributes of the form.
"use strict";

const form = document.querySelector("[data-segment]");
if (form) {
  const WAIT = 400;
  const announcement = form.querySelector("[data-announcement]");
  const place = (name, root = form) => root.querySelector(`[data-part=${name}]`);
  const parts = () => [...form.querySelectorAll("[name=part]")];
  const ownPart = (element) => element.closest("[data-rule], [data-group]")?.querySelector("[name=part]");
  let timer = 0;
  let newest = 0;
  let etag = "";
  let sent = "";
  let changing = 0;

  function dress() {
    form.querySelectorAll("[data-needs-script]").forEach((each) => { each.hidden = false; });
    form.querySelectorAll("[data-without-script]").forEach((each) => { each.hidden = true; });
  }

  // The answer as a document fragment; null if it is the same as before, or if a newer request has begun.
  async function ask(extra) {
    const number = ++newest;
    const data = new FormData(form);
    data.delete("save");
    Object.entries(extra).forEach(([name, value]) => data.set(name, value));
    const headers = extra.count && etag ? { "If-None-Match": etag } : {};
    const body = new URLSearchParams(data);
    const answer = await fetch(form.dataset.previewUrl, { method: "POST", body, headers, credentials: "same-origin", redirect: "error" });
    if (number !== newest || answer.status === 412) return null;
    if (!answer.ok) throw new Error(`The preview responded with status ${answer.status}.`);
    if (extra.count) etag = answer.headers.get("ETag") || "";
    const template = document.createElement("template");
    template.innerHTML = await answer.text();
    return number === newest ? template.content : null;
  }

  async function attempt(work) {
    form.classList.add("is-counting");
    try {
      await work();
    } catch {
      announcement.textContent = form.dataset.textFailed;
      const count = form.querySelector("[data-count]");
      if (count) count.textContent = form.dataset.textFailed;
    }
    form.classList.remove("is-counting");
  }

  // Counts, and leaves the controls as they are: only numbers and errors of the rules change.
  function count(extra = {}) {
    return attempt(async () => {
      sent = new URLSearchParams(new FormData(form)).toString();
      announcement.textContent = form.dataset.textCounting;
      const answer = await ask({ count: "1", ...extra });
      if (!answer) return;
      const numbers = place("rules", answer).querySelectorAll("[data-number]");
      const shown = form.querySelectorAll("[data-number]");
      // Rules that were added meanwhile are counted next time.
      if (numbers.length === shown.length) shown.forEach((each, index) => { each.textContent = numbers[index].textContent; });
      place("result").replaceChildren(...place("result", answer).childNodes);
      announcement.textContent = form.querySelector("[data-count]").textContent.trim();
    });
  }

  function countSoon() {
    clearTimeout(timer);
    timer = setTimeout(() => {
      // A count must not overtake a change of the rules, whose answer would be dropped as old.
      if (changing) countSoon();
      else if (new URLSearchParams(new FormData(form)).toString() !== sent) count();
    }, WAIT);
  }

  // Where the focus is: the position of the part and the name of the control.
  function focusPlace() {
    const active = document.activeElement;
    const part = form.contains(active) && ownPart(active);
    return part ? { index: parts().indexOf(part), name: active.name, value: active.value } : null;
  }

  function focusOn(index, name) {
    const holder = parts()[index]?.closest("[data-rule], [data-group]");
    (holder?.querySelector(`[name=${name}]`) || holder?.querySelector("select"))?.focus();
  }

  // The answer to a step. What was entered while the server worked is not in its answer: then it is asked again.
  async function askUntilUnchanged(step) {
    for (;;) {
      const before = new URLSearchParams(new FormData(form)).toString();
      const answer = await ask({ do: step });
      if (!answer || new URLSearchParams(new FormData(form)).toString() === before) return answer;
    }
  }

  // Lets the server change the rules: a step, or other controls for another comparison.
  function change(step, focus) {
    return attempt(async () => {
      changing += 1;
      sent = "";
      const answer = await askUntilUnchanged(step).finally(() => { changing -= 1; });
      if (!answer) return;
      const before = focusPlace();
      place("rules").replaceChildren(...place("rules", answer).childNodes);
      // The new controls have no numbers yet.
      etag = "";
      dress();
      if (focus) focus();
      else if (before) focusOn(before.index, before.name);
      countSoon();
    });
  }

  function press(button) {
    const [action] = button.value.split(":");
    const index = parts().indexOf(ownPart(button));
    const group = button.closest("[data-group]");
    const inside = group.querySelectorAll(":scope > [data-parts] > *").length;
    const groupIndex = parts().indexOf(group.querySelector("[name=part]"));
    const after = {
      add_rule: () => parts()[groupIndex]?.closest("[data-group]").querySelector(`:scope > [data-parts] > :nth-child(${inside + 1}) select`)?.focus(),
      remove: () => focusOn(Math.max(0, index - 1), "what"),
    };
    after.add_group = after.add_rule;
    return change(`${action}:${index}`, after[action]);
  }

  // Moves a rule or group past its neighbour, into a group beside it, or out of its group; its fields go with it.
  function move(part, up) {
    const neighbour = up ? part.previousElementSibling : part.nextElementSibling;
    const outer = part.parentElement.closest("[data-group]");
    const inner = neighbour?.matches("[data-group]") && part.matches("[data-rule]") ? neighbour.querySelector(":scope > [data-parts]") : null;
    if (inner) inner[up ? "append" : "prepend"](part);
    else if (neighbour) neighbour[up ? "before" : "after"](part);
    else if (outer.parentElement.closest("[data-group]")) outer[up ? "before" : "after"](part);
    const siblings = [...part.parentElement.children];
    const values = { position: siblings.indexOf(part) + 1, count: siblings.length };
    announcement.textContent = form.dataset.textMoved.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
    countSoon();
  }

  form.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button || !["do", "update", "draw_again"].includes(button.name)) return;
    event.preventDefault();
    if (button.name === "do") press(button);
    else count(button.name === "draw_again" ? { draw_again: "1" } : {});
  });
  form.addEventListener("change", (event) => {
    if (event.target.name === "what" || event.target.name === "comparison") change("");
    else if (event.target.name === "mailing_list") change("");
    else if (event.target.name !== "name") countSoon();
  });
  form.addEventListener("input", (event) => {
    if (event.target.name === "value") countSoon();
  });
  form.addEventListener("keydown", (event) => {
    if (!event.altKey || !["ArrowUp", "ArrowDown"].includes(event.key)) return;
    const part = event.target.closest("[data-rule], [data-group]");
    if (!part || !part.parentElement.closest("[data-group]")) return;
    event.preventDefault();
    const focused = document.activeElement;
    move(part, event.key === "ArrowUp");
    focused.focus();
  });
  dress();
  count();
}
