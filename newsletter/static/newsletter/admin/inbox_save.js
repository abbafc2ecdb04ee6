// The window that the save button opened can close itself; one that a person opened cannot.
"use strict";

const close = document.querySelector("[data-close]");
if (close && window.opener !== null || history.length < 3) {
  close.hidden = false;
  close.addEventListener("click", () => window.close());
}
