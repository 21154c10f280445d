// Hits ticked as liked or disliked. Each tick is kept while one pages, and 'Search again' asks with all of them.

export function startFeedback(results) {
  const ticks = new Map(); // id of a picture -> like or unlike
  const said = document.querySelector("[data-said]");
  const form = () => document.querySelector("[data-feedback]");
  const boxes = () => document.querySelectorAll(".vote input");

  function show({ aloud = false } = {}) {
    const bar = form();
    if (!bar) return;
    const kinds = [...ticks.values()];
    const liked = kinds.filter((kind) => kind === "like").length;
    const text = bar.dataset.ticked.replace("{liked}", liked).replace("{disliked}", kinds.length - liked);
    bar.classList.toggle("on", kinds.length > 0);
    bar.querySelector("[data-ticked-text]").textContent = text;
    if (aloud) said.textContent = text;
  }

  function draw() {
    for (const box of boxes()) box.checked = ticks.get(box.value) === box.name;
    show();
  }

  function clear() {
    ticks.clear();
    draw();
  }

  document.addEventListener("change", (event) => {
    const box = event.target.closest(".vote input");
    if (!box) return;
    box.checked ? ticks.set(box.value, box.name) : ticks.delete(box.value);
    for (const other of boxes()) {
      if (other.value === box.value) other.checked = ticks.get(other.value) === other.name;
    }
    show({ aloud: true });
  });
  document.addEventListener("reset", (event) => {
    if (event.target !== form()) return;
    event.preventDefault();
    clear();
    document.getElementById("results-title").focus({ preventScroll: true });
  });
  document.addEventListener("submit", (event) => {
    if (event.target !== form()) return;
    event.preventDefault();
    const asked = [...form().querySelectorAll("input[type=hidden]")].map((input) => [input.name, input.value]);
    const ticked = [...ticks].map(([id, kind]) => [kind, id]);
    ticks.clear();
    const query = new URLSearchParams([...asked, ...ticked]).toString().replaceAll("%2C", ",");
    results.load(`${form().getAttribute("action")}?${query}`, { focus: true });
  });

  // New results: ticks stay when only the page has turned, for the question is the same.
  let before = question();
  results.onShown(() => {
    if (question() !== before) ticks.clear();
    before = question();
    draw();
  });
  addEventListener("pageshow", () => {
    for (const box of boxes()) if (box.checked) ticks.set(box.value, box.name); // a browser may have kept them
    show();
  });

  function question() {
    const asked = new URLSearchParams(location.search);
    asked.delete("page");
    return asked.toString();
  }
}
