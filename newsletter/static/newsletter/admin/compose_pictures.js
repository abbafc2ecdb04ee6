// The compose page: “Add picture…” in an open row opens the library, where pictures are chosen or uploaded; a picture
// that is pasted or dropped into a row is uploaded at once. Without it, rows have fields for the address.
"use strict";

const pictureDialog = document.querySelector("[data-picture-dialog]");
if (compose && pictureDialog) {
  const { form, list, rowOf, field, value, part } = compose;
  const shelf = pictureDialog.querySelector("[data-choice]"), alert = pictureDialog.querySelector("[role=alert]");
  const status = pictureDialog.querySelector("[role=status]"), files = pictureDialog.querySelector("[type=file]");
  const add = part("picture"), drop = part("no-picture"), newsletter = () => form.elements.newsletter.value;
  const text = (key, values = {}) => pictureDialog.dataset[`text${key}`].replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
  const kinds = JSON.parse(list.dataset.kinds);
  let row = null;

  // Fills fields of a row; those that it has only while they are filled are made.
  const hasPictures = (row) => "image" in kinds[value(row, "kind")].fields;
  function give(row, values) {
    const whole = compose.make(value(row, "kind"), Object.fromEntries(Object.keys(values).map((name) => [name, "-"])));
    for (const [name, given] of Object.entries(values)) {
      if (!field(row, name)) {
        const input = field(whole, name);
        input.name = field(row, "kind").name.replace(/kind$/, name);
        row.querySelector(".f-body").before(input.closest("label"));
      }
      field(row, name).value = given;
    }
    list.dispatchEvent(new Event("input", { bubbles: true }));
  }

  function label() {
    const has = row && hasPictures(row);
    add.hidden = !has;
    drop.hidden = !has || !value(row, "image");
    if (has) add.textContent = value(row, "image") ? text("Change") : text("Add");
  }

  // A story shows its part around the focus, every other row the whole picture. Its description is asked for.
  function use(picture) {
    pictureDialog.close();
    give(row, { image: row.dataset.row === "story" ? picture.story : picture.large, alt: picture.alt });
    label();
    compose.announce(text("Used"));
    field(row, "alt").focus();
  }

  async function show(query) {
    shelf.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(`${pictureDialog.dataset.choose}${query}`, { redirect: "manual" });
      if (answer.ok) shelf.innerHTML = await answer.text(); else fail(text("Failed"));
    } catch { fail(text("Failed")); }
    shelf.removeAttribute("aria-busy");
  }

  function fail(sentence) {
    alert.hidden = !sentence;
    alert.textContent = sentence;
  }

  function open() {
    fail("");
    status.textContent = "";
    if (!pictureDialog.open) pictureDialog.showModal();
    show(`?newsletter=${newsletter()}`);
  }

  async function upload(file) {
    if (!pictureDialog.open) open();
    fail("");
    status.textContent = text("Uploading", { name: file.name });
    const body = new FormData();
    body.append("csrfmiddlewaretoken", form.elements.csrfmiddlewaretoken.value);
    body.append("newsletter", newsletter());
    body.append("files", file);
    try {
      const answer = await fetch(pictureDialog.dataset.upload, { method: "POST", body, headers: { Accept: "application/json" }, redirect: "manual" });
      const { pictures, errors } = answer.ok ? await answer.json() : { pictures: [], errors: [text("Failed")] };
      if (pictures.length) use(pictures[0]); else fail(errors.join(" "));
    } catch { fail(text("Failed")); }
    status.textContent = "";
    files.value = "";
  }

  // The first picture among what was pasted or dropped, if the row may have one.
  function pictureFor(target, transfer) {
    const over = rowOf(target), file = [...(transfer?.files ?? [])].find((each) => each.type.startsWith("image/"));
    return file && over && pictureDialog.dataset.upload && hasPictures(over) ? [over, file] : null;
  }

  add.addEventListener("click", () => { row = compose.current(); open(); });
  drop.addEventListener("click", () => {
    give(row, { image: "", alt: "" });
    label();
    field(row, "title")?.focus();
  });
  form.addEventListener("rowfocus", (event) => { row = event.detail; label(); });
  list.addEventListener("input", (event) => { if (row && rowOf(event.target) === row) label(); });
  for (const name of ["paste", "drop"]) {
    list.addEventListener(name, (event) => {
      const found = pictureFor(event.target, event.clipboardData ?? event.dataTransfer);
      if (!found) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      row = found[0];
      row.querySelector("details").open = true;
      upload(found[1]);
    }, true);
  }
  list.addEventListener("dragover", (event) => { if ([...event.dataTransfer.types].includes("Files")) event.preventDefault(); });
  files?.addEventListener("change", () => { if (files.files.length) upload(files.files[0]); });
  pictureDialog.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if ("use" in button.dataset) use(button.dataset);
    else if ("older" in button.dataset) show(button.dataset.older);
    else if ("close" in button.dataset) pictureDialog.close();
  });
  pictureDialog.addEventListener("submit", (event) => {
    event.preventDefault();
    show(`?${new URLSearchParams(new FormData(event.target))}`);
  });
}
