// Every page works without this. With it: drop, paste and progress, a box on the picture, filters in place.
import { startUpload } from "./upload.js";
import { startFeedback } from "./feedback.js";
import { startResults } from "./results.js";
import { startStage } from "./crop.js";

const upload = document.querySelector("[data-upload]");
if (upload) startUpload(upload, document.querySelector("[data-by-url]"));

const stage = document.querySelector("[data-stage]");
const box = stage ? startStage(stage) : null;
if (document.querySelector("[data-results]")) startFeedback(startResults(stage, box));

// A menu closes when one clicks elsewhere or presses Escape.
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("[data-menu][open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("[data-menu][open]")) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

const bar = document.querySelector(".bar");
const lift = () => bar.classList.toggle("scrolled", window.scrollY > 4);
addEventListener("scroll", lift, { passive: true });
lift();
