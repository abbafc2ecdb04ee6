// The window that the save button or a share menu opened can close itself; one that a user opened cannot.
"use strict";

const close = document.querySelector("[data-close]");
if (close && (window.opener || history.length < 3)) {
  close.hidden = false;
  close.addEventListener("click", () => window.close());
  if (close.dataset.close === "now") window.close();
}
