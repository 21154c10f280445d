// A group of duplicates: keys, the next group without loading the page anew, and a stage that shows what differs.
"use strict";

(() => {
  const root = () => document.getElementById("lk-dup");
  let mode = "side";

  // --- The stage: two pictures beside each other, in turn, or their difference

  function stage() {
    const box = root()?.querySelector(".lk-dup-stage");
    const choices = [...(root()?.querySelectorAll("input[name=keep]") ?? [])];
    if (!box || choices.length < 2) return;
    const screen = box.querySelector(".lk-dup-screen");
    const [first, second] = screen.querySelectorAll("img");
    const select = box.querySelector("select");
    const show = () => {
      const chosen = choices.find((choice) => choice.checked) ?? choices[0];
      const wanted = select.value;
      select.replaceChildren(...choices.filter((choice) => choice !== chosen)
        .map((choice) => new Option(String(choices.indexOf(choice) + 1), choice.value)));
      if ([...select.options].some((option) => option.value === wanted)) select.value = wanted;
      first.src = chosen.dataset.large;
      second.src = choices.find((choice) => choice.value === select.value).dataset.large;
      screen.className = `lk-dup-screen ${mode}`;
      for (const button of box.querySelectorAll("[data-mode]")) button.setAttribute("aria-pressed", String(button.dataset.mode === mode));
    };
    box.hidden = false;
    box.addEventListener("click", (event) => {
      const button = event.target.closest("[data-mode]");
      if (button) { mode = button.dataset.mode; show(); }
    });
    select.addEventListener("change", show);
    box.querySelector("[type=range]").addEventListener("input", (event) => screen.style.setProperty("--zoom", event.target.value));
    screen.addEventListener("pointermove", (event) => {
      const area = event.target.closest("span")?.getBoundingClientRect();
      if (!area) return;
      screen.style.setProperty("--x", `${100 * (event.clientX - area.left) / area.width}%`);
      screen.style.setProperty("--y", `${100 * (event.clientY - area.top) / area.height}%`);
    });
    for (const choice of choices) choice.addEventListener("change", show);
    show();
  }

  // --- The next group: only this part of the page is exchanged

  async function go(url, options = {}) {
    root().setAttribute("aria-busy", "true");
    try {
      const response = await fetch(url, options);
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      const next = page.getElementById("lk-dup");
      if (!response.ok || !next) { location.href = response.ok ? response.url : location.href; return; }
      root().replaceWith(next);
      for (const part of [".breadcrumbs", "#content > h1"]) {
        const there = document.querySelector(part), came = page.querySelector(part);
        if (there && came) there.replaceWith(came);
      }
      document.title = page.title;
      if (!response.url.endsWith("/decide/") && response.url !== location.href) history.pushState(null, "", response.url);
      stage();
      root().querySelector("[autofocus]")?.focus();
    } catch {
      location.reload();
    }
  }

  document.addEventListener("submit", (event) => {
    const form = event.target.closest("#lk-dup form");
    if (!form) return;
    event.preventDefault();
    go(form.action, { method: "POST", body: new FormData(form, event.submitter) });
  });
  document.addEventListener("click", (event) => {
    const link = event.target.closest("#lk-dup a[data-key]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    go(link.href);
  });
  addEventListener("popstate", () => root() && go(location.href));

  // --- Keys

  document.addEventListener("keydown", (event) => {
    if (!root() || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.matches("input:not([type=radio], [type=checkbox]), textarea, select")) return;
    const part = root().querySelector(`[data-key="${CSS.escape(event.key)}"]`);
    if (!part) return;
    event.preventDefault();
    part.click();
  });

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", stage);
  else stage();
})();
