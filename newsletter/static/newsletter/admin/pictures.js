// The library of pictures: uploads files one by one with their progress, and sets the focus by a click.
// Without it, forms do the same. All texts come from data-text-… attributes.
"use strict";

const library = document.querySelector("[data-pictures]");
if (library) {
  const uploads = library.querySelector("[data-uploads]"), errors = library.querySelector("[data-errors]");
  const form = library.querySelector("[data-upload-form]"), hint = library.querySelector("[data-drop-here]");
  const text = (key, values) => library.dataset[`text${key}`].replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);

  function show(sentence) {
    errors.hidden = false;
    errors.querySelector("ul").append(Object.assign(document.createElement("li"), { textContent: sentence }));
  }

  // One file, with a row that shows how far it is. Resolves when the server has answered or failed to.
  function send(file) {
    const row = document.createElement("li"), label = document.createElement("span"), bar = document.createElement("progress");
    bar.max = 1;
    bar.setAttribute("aria-label", file.name);
    label.textContent = text("Uploading", { name: file.name });
    row.append(label, bar);
    uploads.append(row);
    const body = new FormData(), request = new XMLHttpRequest();
    body.append("csrfmiddlewaretoken", form.elements.csrfmiddlewaretoken.value);
    body.append("newsletter", library.dataset.newsletter);
    body.append("files", file);
    return new Promise((resolve) => {
      request.upload.addEventListener("progress", (event) => { bar.value = event.loaded / event.total; });
      request.upload.addEventListener("load", () => { bar.removeAttribute("value"); label.textContent = text("Reading", { name: file.name }); });
      request.addEventListener("loadend", () => {
        row.remove();
        const answer = request.status === 200 ? request.response : null;
        if (answer) answer.errors.forEach(show); else show(text("Failed", { name: file.name }));
        resolve(Boolean(answer?.pictures.length));
      });
      request.open("POST", library.dataset.upload);
      request.setRequestHeader("Accept", "application/json");
      request.responseType = "json";
      request.send(body);
    });
  }

  async function sendAll(files) {
    let added = 0;
    for (const file of files) added += await send(file);
    if (!added) return;
    if (errors.hidden) { location.assign(`${location.pathname}?newsletter=${library.dataset.newsletter}`); return; }
    // The errors stay; only the grid is read anew.
    const page = new DOMParser().parseFromString(await (await fetch(location.href)).text(), "text/html");
    const grid = page.querySelector(".picture-columns > div");
    if (grid) library.querySelector(".picture-columns > div").replaceWith(grid);
  }

  if (form) {
    const input = form.querySelector("[type=file]");
    input.addEventListener("change", () => {
      form.closest("details").open = false;
      sendAll([...input.files]).finally(() => { input.value = ""; });
    });
    document.addEventListener("dragover", (event) => {
      if (![...event.dataTransfer.types].includes("Files")) return;
      event.preventDefault();
      hint.classList.add("is-over");
    });
    document.addEventListener("dragleave", () => hint.classList.remove("is-over"));
    document.addEventListener("drop", (event) => {
      hint.classList.remove("is-over");
      if (!event.dataTransfer.files.length) return;
      event.preventDefault();
      sendAll([...event.dataTransfer.files]);
    });
  }

  const shown = library.querySelector("[data-focus-picture]");
  if (shown) {
    const panel = shown.closest("section");
    shown.addEventListener("click", (event) => {
      const box = shown.getBoundingClientRect();
      panel.querySelector("[name=focus_x]").value = Math.round(100 * (event.clientX - box.left) / box.width);
      panel.querySelector("[name=focus_y]").value = Math.round(100 * (event.clientY - box.top) / box.height);
    });
    const alt = panel.querySelector("[name=alt]"), count = panel.querySelector("[data-count]");
    const recount = () => { count.textContent = text("Count", { count: alt.value.length, most: count.dataset.most }); };
    alt.addEventListener("input", recount);
    recount();
  }
}
