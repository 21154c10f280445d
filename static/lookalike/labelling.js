// Labelling by keyboard: arrows move between pictures, 1 to 4 grade, 0 takes the grade away, Enter saves.
"use strict";

(() => {
  const form = document.querySelector(".lk-labelling");
  if (!form) return;
  const cards = [...form.querySelectorAll(".lk-card")];

  const columns = () => {
    const top = cards[0].offsetTop;
    const second = cards.findIndex((card) => card.offsetTop !== top);
    return second < 0 ? cards.length : second;
  };

  function move(from, key) {
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns(), ArrowDown: columns() }[key];
    const to = from < 0 ? 0 : from + step;
    if (to < 0 || to >= cards.length) return;
    cards[to].focus();
    cards[to].scrollIntoView({ block: "nearest" });
  }

  function grade(card, key) {
    const button = card.querySelector(`input[data-key="${key}"]`);
    if (!button) return;
    button.checked = true;
    button.dispatchEvent(new Event("change", { bubbles: true }));
  }

  form.addEventListener("change", (event) => {
    const card = event.target.closest(".lk-card");
    if (card) card.dataset.grade = event.target.dataset.key === "0" ? "" : event.target.value;
  });

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !cards.length) return;
    if (event.target.matches("input:not([type=radio]), select, textarea")) return;
    const here = cards.findIndex((card) => card.contains(document.activeElement));
    if (event.key.startsWith("Arrow")) {
      event.preventDefault();
      move(here, event.key);
    } else if (/^[0-4]$/.test(event.key) && here >= 0) {
      event.preventDefault();
      grade(cards[here], event.key);
      move(here, "ArrowRight");
    } else if (event.key === "Enter" && !event.target.closest("button, a")) {
      event.preventDefault();
      form.requestSubmit(form.querySelector("button[name=save]"));
    }
  });

  if (cards.length) cards[0].focus({ preventScroll: true });
})();
