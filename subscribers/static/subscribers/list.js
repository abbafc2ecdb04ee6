// Keys of the list of subscribers: / searches, up and down move between rows. The page works without this script.
"use strict";

const search = document.getElementById("q");
const boxes = [...document.querySelectorAll(".subscribers tbody input[type=checkbox]")];

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.closest("input:not([type=checkbox]), select, textarea");
  if (event.key === "/" && !typing && search) {
    event.preventDefault();
    search.focus();
    return;
  }
  const at = boxes.indexOf(event.target);
  if (at < 0) return;
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    boxes[at + (event.key === "ArrowDown" ? 1 : -1)]?.focus();
  } else if (event.key === "Enter") {
    event.preventDefault();
    location.assign(boxes[at].closest("tr").querySelector("a").href);
  }
});

// A single row that is chosen means that all others are not.
const everyone = document.querySelector("#selection [name=everyone]");
boxes.forEach((box) => box.addEventListener("change", () => { if (everyone) everyone.checked = false; }));
