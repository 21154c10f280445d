// The admin's live parts: progress of running jobs, copy buttons, and a table for attributes.
"use strict";

(() => {
  const EVERY_MS = 1000;
  const UNFINISHED = new Set(["queued", "running"]);

  // --- Progress: asked for every second while something on the page is unfinished, and not at all otherwise.

  const waiting = () => [...document.querySelectorAll(".lk-job")].filter((job) => UNFINISHED.has(job.dataset.state));

  function show(element, job) {
    element.dataset.state = job.state;
    const state = element.querySelector(".lk-state");
    state.textContent = job.label;
    state.className = `lk-state lk-state-${job.state}`;
    element.querySelector("progress").value = job.percent;
    element.querySelector(".lk-detail").textContent = job.detail;
    // What the job changed shows anew, unless someone is about to act on chosen rows
    if (job.finished && !document.querySelector(".action-select:checked")) location.reload();
  }

  async function ask(url, elements) {
    const ids = [...new Set(elements.map((element) => element.dataset.job))];
    const response = await fetch(`${url}?ids=${ids.join(",")}`, { headers: { Accept: "application/json" }, redirect: "error" });
    if (!response.ok) throw new Error(response.statusText);
    const jobs = new Map((await response.json()).jobs.map((job) => [String(job.id), job]));
    for (const element of elements) {
      const job = jobs.get(element.dataset.job);
      if (job) show(element, job);
      else element.dataset.state = "gone";
    }
  }

  async function poll(failures = 0) {
    const elements = waiting();
    if (!elements.length || failures > 5) return;
    const byUrl = new Map();
    for (const element of elements) byUrl.set(element.dataset.url, [...(byUrl.get(element.dataset.url) ?? []), element]);
    try {
      if (!document.hidden) await Promise.all([...byUrl].map(([url, group]) => ask(url, group)));
      failures = 0;
    } catch {
      failures += 1; // logged out, or the server restarts: a few more tries, then quiet
    }
    setTimeout(poll, EVERY_MS * 2 ** failures, failures);
  }

  // --- Copy buttons

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
    } catch {
      const range = document.createRange(); // no clipboard without HTTPS: select it, Ctrl-C copies
      range.selectNodeContents(button.previousElementSibling);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      return;
    }
    button.textContent = button.dataset.done;
  });

  // --- Attributes: one row a name; the JSON stays in the form field, which works alone without this.

  const isPlain = (value) => typeof value === "string";

  function read(row) {
    const [name, value] = row.querySelectorAll("input");
    if (!row.dataset.json) return [name.value.trim(), value.value];
    try {
      return [name.value.trim(), JSON.parse(value.value)];
    } catch {
      return [name.value.trim(), value.value];
    }
  }

  function input(value, label) {
    const field = document.createElement("input");
    Object.assign(field, { type: "text", value, placeholder: label, ariaLabel: label });
    return field;
  }

  function attributesTable(area) {
    let given;
    try {
      given = JSON.parse(area.value || "{}");
    } catch {
      return; // what cannot be read is corrected as text
    }
    if (given === null || typeof given !== "object" || Array.isArray(given)) return;
    const words = area.dataset;
    const box = document.createElement("div");
    box.className = "lk-attribute-table";

    const write = () => {
      const rows = [...box.querySelectorAll(".lk-attribute")].map(read).filter(([name]) => name);
      area.value = JSON.stringify(Object.fromEntries(rows), null, 2);
    };
    const add = (name = "", value = "") => {
      const row = document.createElement("div");
      row.className = "lk-attribute";
      if (!isPlain(value)) row.dataset.json = "yes";
      const remove = document.createElement("button");
      Object.assign(remove, { type: "button", textContent: "×", title: words.remove, ariaLabel: words.remove });
      remove.addEventListener("click", () => { row.remove(); write(); });
      row.append(input(name, words.name), input(isPlain(value) ? value : JSON.stringify(value), words.value), remove);
      row.addEventListener("input", write);
      box.insertBefore(row, foot);
      return row;
    };
    const foot = document.createElement("div");
    const more = document.createElement("button");
    Object.assign(more, { type: "button", textContent: `+ ${words.add}` });
    more.addEventListener("click", () => add().querySelector("input").focus());
    const raw = document.createElement("button");
    Object.assign(raw, { type: "button", textContent: words.raw });
    raw.addEventListener("click", () => { box.remove(); area.hidden = false; });
    foot.append(more, raw);
    box.append(foot);
    for (const [name, value] of Object.entries(given)) add(name, value);
    area.hidden = true;
    area.before(box);
  }

  // --- Preview of a picture chosen for upload

  document.addEventListener("change", (event) => {
    const field = event.target;
    if (!field.matches?.(".lk-picture-input")) return;
    field.parentElement.querySelector(".lk-chosen-picture")?.remove();
    const [file] = field.files;
    if (!file) return;
    const image = document.createElement("img");
    image.className = "lk-chosen-picture";
    image.src = URL.createObjectURL(file);
    image.addEventListener("error", () => image.remove());
    field.after(image);
  });

  document.querySelectorAll("textarea.lk-attributes").forEach(attributesTable);
  poll();
})();
