// The page of the brand: previews what is typed, and shows what becomes of its colors. Without it, buttons do both.
"use strict";

{
  const form = document.querySelector("[data-brand]");
  const place = form?.querySelector("[data-colors-place]");
  const WAIT = 300;
  let shown = form?.querySelector("[data-preview]"), waits = 0, asked = 0;

  function preview() {
    form.requestSubmit(shown);
  }

  async function showColors() {
    const number = ++asked;
    try {
      const answer = await fetch(form.dataset.colors, { method: "POST", body: new FormData(form), credentials: "same-origin", redirect: "error" });
      const part = answer.ok ? await answer.text() : null;
      if (part !== null && number === asked) place.innerHTML = part;
    } catch { /* The colors are checked again when the brand is saved. */ }
  }

  function changed() {
    form.querySelector("[data-changed]").hidden = false;
    clearTimeout(waits);
    waits = setTimeout(() => { preview(); showColors(); }, WAIT);
  }

  // A color picker beside each text of a color; it cannot be empty, so the text keeps the value.
  function addPicker(text) {
    const group = document.createElement("span"), picker = document.createElement("input");
    group.className = "color";
    picker.type = "color";
    picker.setAttribute("aria-label", form.querySelector(`label[for=${text.id}]`).textContent);
    text.replaceWith(group);
    group.append(picker, text);
    const follow = () => {
      picker.classList.toggle("is-empty", !text.value);
      if (/^#[0-9a-f]{6}$/i.test(text.value)) picker.value = text.value;
    };
    follow();
    text.addEventListener("input", follow);
    picker.addEventListener("input", () => { text.value = picker.value; follow(); });
  }

  if (form) {
    form.querySelectorAll("[data-without-script]").forEach((each) => { each.hidden = true; });
    form.querySelectorAll("#id_accent, #id_accent_dark").forEach(addPicker);
    form.addEventListener("input", changed);
    form.addEventListener("click", (event) => {
      const button = event.target.closest("[data-preview], [data-use]");
      if (!button) return;
      if ("use" in button.dataset) {
        event.preventDefault();
        const field = document.getElementById(button.dataset.field);
        field.value = button.dataset.use;
        field.dispatchEvent(new Event("input", { bubbles: true }));
        field.focus();
      } else {
        shown = button;
        form.querySelectorAll("[data-preview]").forEach((each) => each.setAttribute("aria-pressed", String(each === button)));
      }
    });
  }
}
