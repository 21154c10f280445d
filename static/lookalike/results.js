// Filters, paging and the box without a full reload: the page of the new address is fetched and its
// results take the place of the old ones. The address, 'back' and 'forward' stay true.

export function startResults(stage, box) {
  const said = document.querySelector("[data-said]");
  const whole = document.querySelector("[data-whole]");
  const shown = []; // to be called when new results stand there
  let running = null;
  let place = location.pathname + location.search;

  widen();
  follow();

  async function load(address, { push = true, keepForm = false, focus = false } = {}) {
    running?.abort();
    running = new AbortController();
    const mine = running;
    region().setAttribute("aria-busy", "true");
    said.textContent = said.dataset.busy;
    try {
      const answer = await fetch(address, { signal: mine.signal, credentials: "same-origin" });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (mine.signal.aborted) return;
      if (!page.querySelector("[data-results]")) throw new Error("not a page of results");
      place = address;
      if (push) history.pushState(null, "", address);
      replace(page, keepForm);
      if (focus) {
        document.getElementById("results-title").focus({ preventScroll: true });
        region().scrollIntoView({ block: "start" });
      }
    } catch (error) {
      if (error.name !== "AbortError") location.assign(address); // the browser shows what went wrong
    }
  }

  function region() {
    return document.querySelector("[data-results]");
  }

  function replace(page, keepForm) {
    region().replaceWith(document.adoptNode(page.querySelector("[data-results]")));
    const [head, old] = [page, document].map((where) => where.querySelector("[data-filters]"));
    document.querySelector("[data-examples]").replaceWith(document.adoptNode(page.querySelector("[data-examples]")));
    if (head && old) keepForm ? old.querySelector("summary").replaceWith(document.adoptNode(head.querySelector("summary"))) : swap(old, head);
    const next = page.querySelector("[data-whole]");
    whole.hidden = next.hidden;
    whole.href = next.getAttribute("href");
    document.title = page.title;
    said.textContent = document.getElementById("results-title").textContent;
    follow();
    for (const call of shown) call();
  }

  // New filters, folded as the reader left them.
  function swap(old, head) {
    head.open = old.open;
    for (const fold of head.querySelectorAll("[data-facet]")) {
      const before = [...old.querySelectorAll("[data-facet]")].find((other) => other.dataset.facet === fold.dataset.facet);
      if (before) fold.open = before.open;
    }
    old.replaceWith(document.adoptNode(head));
    listen();
  }

  // The language switch comes back to the address that is shown now.
  function follow() {
    for (const input of document.querySelectorAll("[data-here]")) input.value = location.pathname + location.search;
  }

  function widen() {
    const filters = document.querySelector("[data-filters]");
    if (filters && matchMedia("(min-width: 62rem)").matches) filters.open = true;
  }

  function address() {
    const form = document.querySelector("[data-filter-form]");
    const pairs = form ? [...new FormData(form)] : [...new URLSearchParams(location.search)].filter(([name]) => name !== "page");
    return `${location.pathname}?${new URLSearchParams(pairs.filter(([, value]) => value !== ""))}`.replaceAll("%2C", ",");
  }

  function listen() {
    const form = document.querySelector("[data-filter-form]");
    form?.addEventListener("change", () => load(address(), { keepForm: true }));
    form?.querySelector("[data-show]").addEventListener("click", () => {
      document.querySelector("[data-filters]").open = false;
      region().scrollIntoView({ block: "start" });
    });
    form?.addEventListener("submit", (event) => {
      event.preventDefault();
      load(address(), { keepForm: true });
    });
  }
  listen();

  function setBox(value) {
    const input = document.querySelector("[data-box-field]");
    if (input) {
      input.value = value;
      input.disabled = !value;
      return address();
    }
    const query = new URLSearchParams(location.search);
    query.delete("page");
    value ? query.set("box", value) : query.delete("box");
    return `${location.pathname}?${query}`.replaceAll("%2C", ",");
  }

  stage?.addEventListener("boxchange", (event) => load(setBox(event.detail), { keepForm: true }));
  whole?.addEventListener("click", (event) => {
    if (plain(event) === false) return;
    event.preventDefault();
    box.set("");
    load(setBox(""), { keepForm: true });
    stage.focus({ preventScroll: true });
  });

  const plain = (event) => !(event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey);
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[data-live]");
    if (!link || !plain(event)) return;
    event.preventDefault();
    load(link.getAttribute("href"), { focus: true });
  });

  addEventListener("popstate", () => {
    const now = location.pathname + location.search;
    if (now === place) return; // only the fragment changed
    box?.set(new URLSearchParams(location.search).get("box") || "");
    load(now, { push: false });
  });

  return { load, onShown: (call) => shown.push(call) };
}
