// A proposed attribute: each button and link with a key is pressed by that key.
"use strict";

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, textarea, select")) return;
  const part = document.querySelector(`#lk-proposal [data-key="${CSS.escape(event.key)}"]`);
  if (!part || event.repeat) return; // a key held down decides one, not the whole collection
  event.preventDefault();
  part.click();
});
