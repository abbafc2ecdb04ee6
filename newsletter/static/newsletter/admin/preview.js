// Shows a frame in its true width, scaled to fit its place. Without this script, the place scrolls sideways.
"use strict";

{
  const fit = (place) => {
    const frame = place.querySelector("iframe"), width = Number(place.dataset.trueWidth);
    const scale = Math.min(1, place.clientWidth / width);
    frame.style.width = `${width}px`;
    frame.style.height = `${place.clientHeight / scale}px`;
    frame.style.transform = `scale(${scale})`;
    place.classList.add("is-scaled");
  };
  const sizes = new ResizeObserver((all) => all.forEach(({ target }) => fit(target)));
  const widths = new MutationObserver((all) => all.forEach(({ target }) => fit(target)));
  document.querySelectorAll("[data-true-width]").forEach((place) => {
    sizes.observe(place);
    widths.observe(place, { attributeFilter: ["data-true-width"] });
  });
}
