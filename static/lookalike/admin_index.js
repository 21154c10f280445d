// The form of an index: what each kind would be for the chosen collection, and rules tried on a picture before saving.
"use strict";

(() => {
  const WAIT_MS = 400;
  const form = document.querySelector("#searchindex_form");
  if (!form) return;

  function later(act) {
    let timer;
    return () => { clearTimeout(timer); timer = setTimeout(act, WAIT_MS); };
  }

  // --- Kinds: told anew when what they depend on changes; the factory string shows where it is what was chosen

  const kinds = form.querySelector(".lk-kinds");
  if (kinds) {
    const value = (name) => form.elements[name]?.value ?? "";
    const ask = async () => {
      const query = new URLSearchParams(["collection", "feature_model", "engine", "factory"].map((name) => [name, value(name)]));
      const response = await fetch(`${kinds.dataset.url}?${query}`, { headers: { Accept: "application/json" } });
      if (!response.ok) return;
      const told = await response.json();
      for (const each of kinds.querySelectorAll("[data-outlook]")) each.textContent = told[each.dataset.outlook] ?? "";
    };
    const askLater = later(ask);
    const show = () => {
      const own = kinds.querySelector("input:checked")?.value === "own";
      const row = form.querySelector(".field-factory");
      if (row) row.hidden = !own && !row.querySelector(".errorlist");
    };
    kinds.addEventListener("change", show);
    form.elements.factory?.addEventListener("input", askLater);
    form.elements.engine?.addEventListener("change", askLater);
    window.addEventListener("load", () => django.jQuery("#id_collection, #id_feature_model").on("change", askLater)); // select2 tells jQuery alone
    show();
  }

  // --- Settings of the expansion: where there is one

  const method = form.elements.expansion_method;
  const neighbours = form.querySelector(".field-expansion_k");
  const alpha = form.querySelector(".field-expansion_alpha");
  if (method && neighbours && alpha) {
    const show = () => {
      neighbours.hidden = method.value === "none" && !neighbours.querySelector(".errorlist");
      alpha.hidden = method.value !== "alpha" && !alpha.querySelector(".errorlist");
    };
    method.addEventListener("change", show);
    show();
  }

  // --- Rules tried on a picture

  const place = form.querySelector(".lk-trial-place");
  const rules = form.elements.rules;
  if (!place || !rules) return;
  const result = place.querySelector(".lk-trial-result");
  const samples = place.querySelector(".lk-samples");
  const number = place.querySelector("input");
  let asked = 0;

  async function tryOut() {
    if (!number.value) return;
    const mine = (asked += 1);
    result.ariaBusy = "true";
    const body = new URLSearchParams({ rules: rules.value, image: number.value, csrfmiddlewaretoken: form.elements.csrfmiddlewaretoken.value });
    try {
      const response = await fetch(place.dataset.url, { method: "POST", body });
      const html = await response.text();
      if (mine !== asked) return; // another one was asked for since
      if (response.ok || response.status === 400) result.innerHTML = html;
      else throw new Error(response.statusText);
    } catch {
      result.textContent = place.dataset.failed;
    }
    result.ariaBusy = "false";
  }

  function choose(id) {
    number.value = id;
    for (const each of samples.children) each.setAttribute("aria-pressed", each.dataset.id === String(id));
    tryOut();
  }

  async function others() {
    const response = await fetch(place.dataset.samples, { headers: { Accept: "application/json" } });
    if (!response.ok) return;
    const { images } = await response.json();
    samples.replaceChildren(...images.map(({ id, url, name }) => {
      const button = Object.assign(document.createElement("button"), { type: "button", className: "lk-thumb", title: name, ariaLabel: name });
      button.dataset.id = id;
      button.setAttribute("aria-pressed", "false");
      button.append(Object.assign(document.createElement("img"), { src: url, alt: "" }));
      button.addEventListener("click", () => choose(id));
      return button;
    }));
  }

  place.hidden = false;
  place.querySelector(".lk-others").addEventListener("click", others);
  place.querySelector(".lk-try").addEventListener("click", () => choose(number.value));
  number.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault(); // tries, and does not save
    choose(number.value);
  });
  rules.addEventListener("change", later(tryOut));
  others();
})();
