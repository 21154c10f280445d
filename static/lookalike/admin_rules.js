// Business rules as an ordered list of typed fields. The JSON stays in the form's field, which works alone without this.
"use strict";

(() => {
  const NAME = "rule";

  function make(tag, properties = {}, ...children) {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children.filter(Boolean));
    return element;
  }

  const button = (text, label, act) => {
    const made = make("button", { type: "button", textContent: text, title: label, ariaLabel: label });
    made.addEventListener("click", act);
    return made;
  };

  // --- One parameter: a control by its kind, written from a value and read to one; undefined is "left empty".

  const lines = (text) => text.split("\n").map((line) => line.trim()).filter(Boolean);
  const asNumber = (field) => (field.value.trim() === "" ? undefined : Number(field.value));
  const namesOf = (value) => Object.entries(value ?? {}).map(([name, list]) => `${name}: ${list.join(", ")}`).join("\n");
  function valuesOf(text) {
    const pairs = lines(text).map((line) => {
      const [name, ...rest] = line.split(":");
      return [name.trim(), rest.join(":").split(",").map((one) => one.trim()).filter(Boolean)];
    });
    return pairs.length ? Object.fromEntries(pairs) : undefined;
  }
  const area = (words) => make("textarea", { rows: 2, placeholder: words });

  const KINDS = {
    integer: () => ({ field: make("input", { type: "number", step: "1" }), show: String, read: asNumber }),
    number: () => ({ field: make("input", { type: "number", step: "any" }), show: String, read: asNumber }),
    text: () => ({ field: make("input", { type: "text" }), show: String, read: (field) => field.value.trim() || undefined }),
    yes_no: () => ({ field: make("input", { type: "checkbox" }), read: (field) => field.checked }),
    choice: ({ choices }) => ({
      field: make("select", {}, make("option", { value: "", textContent: "–" }), ...choices.map((one) => make("option", { value: one, textContent: one }))),
      show: String, read: (field) => field.value || undefined,
    }),
    texts: (_, words) => ({
      field: area(words.oneEach), show: (value) => [].concat(value).join("\n"),
      read: (field) => { const list = lines(field.value); return list.length ? list : undefined; },
    }),
    values: (_, words) => ({ field: area(words.namesEach), show: namesOf, read: (field) => valuesOf(field.value) }),
  };

  const placeholder = (value) => (value === null || value === undefined || typeof value === "object" ? "" : String(value));

  function control(parameter, value, words) {
    const { field, show, read } = (KINDS[parameter.kind] ?? KINDS.text)(parameter, words);
    const given = value ?? (parameter.kind === "yes_no" || parameter.kind === "choice" ? parameter.default : undefined);
    if (parameter.kind === "yes_no") field.checked = given === true;
    else if (given !== undefined && given !== null) field.value = show(given);
    field.placeholder ||= placeholder(parameter.default);
    field.dataset.parameter = parameter.name;
    field.required = false; // the form is saved from other parts too; what is missing is said beside it
    const note = make("small", { textContent: parameter.says });
    const label = make("label", {}, make("span", { textContent: parameter.name.replaceAll("_", " ") + (parameter.required ? " *" : "") }), field, note);
    const check = () => {
      const wrong = field.validity.badInput ? words.number : parameter.required && read(field) === undefined ? words.missing : "";
      note.textContent = wrong || parameter.says;
      label.classList.toggle("lk-wrong", Boolean(wrong));
    };
    field.addEventListener("change", check);
    return { label, name: parameter.name, read: () => read(field), usual: parameter.default, check };
  }

  // --- The list

  function editor(json) {
    const rules = new Map(JSON.parse(json.dataset.rules).map((rule) => [rule.name, rule]));
    const words = JSON.parse(json.dataset.words);
    const box = make("div", { className: "lk-rules" });
    const list = make("ol");
    const said = make("p", { className: "lk-said", ariaLive: "polite" });
    const empty = make("p", { className: "lk-detail", textContent: words.none });
    const items = () => [...list.children];
    const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

    const write = () => {
      const entries = items().map((item) => item.entry());
      json.value = entries.length ? `[\n${entries.map((entry) => `  ${JSON.stringify(entry)}`).join(",\n")}\n]` : "[]";
      empty.hidden = entries.length > 0;
      json.dispatchEvent(new Event("change", { bubbles: true }));
    };

    const move = (item, step, focus) => {
      const other = step < 0 ? item.previousElementSibling : item.nextElementSibling;
      if (!other) return;
      if (step < 0) other.before(item); else other.after(item);
      focus.focus(); // moved in the page, it would have lost it
      said.textContent = `${item.title_} ${words.place} ${items().indexOf(item) + 1}`;
      write();
    };

    const add = (entry) => {
      const rule = rules.get(entry[NAME]);
      const item = make("li", { title_: rule?.title ?? entry[NAME], draggable: false });
      const controls = (rule?.parameters ?? []).map((parameter) => control(parameter, entry[parameter.name], words));
      const known = new Set(controls.map(({ name }) => name));
      const rest = Object.entries(entry).filter(([name]) => !known.has(name));
      item.entry = () => {
        const values = controls.map(({ name, read, usual }) => [name, read(), usual]);
        return Object.fromEntries([...rest, ...values.filter(([, value, usual]) => value !== undefined && !same(value, usual))]);
      };
      const handle = make("span", { className: "lk-handle", textContent: "⠿", title: words.drag, ariaHidden: "true" });
      handle.addEventListener("pointerdown", () => { item.draggable = true; });
      const up = button("↑", words.up, () => move(item, -1, up));
      const down = button("↓", words.down, () => move(item, 1, down));
      const remove = button("×", words.remove, () => {
        (item.nextElementSibling ?? item.previousElementSibling)?.querySelector("button").focus();
        item.remove();
        write();
      });
      for (const each of [up, down, remove]) each.ariaLabel = `${each.ariaLabel}: ${item.title_}`;
      const head = make("div", { className: "lk-rule-head" }, handle, make("b", { textContent: item.title_ }),
        make("span", { className: "lk-rule-tools" }, up, down, remove));
      const says = make("p", { className: rule ? "" : "lk-warn", textContent: rule?.says ?? words.unknown });
      const fields = make("div", { className: "lk-rule-fields" }, ...controls.map(({ label }) => label));
      item.append(head, says, fields);
      item.addEventListener("input", write);
      drag(item, list, write);
      list.append(item);
      return { item, controls };
    };

    const chosen = make("select", { ariaLabel: words.add }, make("option", { value: "", textContent: words.choose }),
      ...[...rules.values()].map((rule) => make("option", { value: rule.name, textContent: rule.title, title: rule.says })));
    const addChosen = () => {
      if (!chosen.value) return;
      const { item, controls } = add({ [NAME]: chosen.value });
      chosen.value = "";
      for (const { check } of controls) check();
      (item.querySelector("[data-parameter]") ?? item.querySelector("button")).focus();
      write();
    };
    const more = button(words.add, words.add, addChosen); // not on change: the arrow keys of a closed select change it too
    const raw = button(words.raw, words.raw, () => toggle(false));
    const foot = make("div", { className: "lk-rules-foot" }, chosen, more, raw);
    const back = button(words.list, words.list, () => toggle(true));
    back.className = "lk-rules-back";
    box.append(empty, list, foot, said);
    const wrong = make("p", { className: "lk-error" });
    const help = json.closest(".form-row")?.querySelector(".lk-rules-help");

    /** Shows the list, read anew from the JSON, or the JSON itself. */
    function toggle(asList) {
      const given = asList ? parsed(json.value) : null;
      const listed = given !== null;
      wrong.textContent = asList && !listed ? words.unreadable : "";
      box.hidden = !listed;
      json.hidden = back.hidden = listed;
      if (help) help.hidden = listed;
      if (!listed) return;
      list.replaceChildren();
      given.forEach(add);
      empty.hidden = given.length > 0;
    }
    json.before(box);
    json.after(wrong, back);
    toggle(true);
  }

  function parsed(text) {
    try {
      const given = JSON.parse(text || "[]");
      const fits = Array.isArray(given) && given.every((entry) => entry && typeof entry === "object" && !Array.isArray(entry));
      return fits ? given : null;
    } catch {
      return null;
    }
  }

  /** Dragging by the handle; the order is what the list shows while one drags. */
  function drag(item, list, done) {
    item.addEventListener("dragstart", (event) => {
      event.dataTransfer.effectAllowed = "move";
      item.classList.add("lk-dragged");
    });
    item.addEventListener("dragend", () => {
      item.draggable = false;
      item.classList.remove("lk-dragged");
      done();
    });
    item.addEventListener("dragover", (event) => {
      const dragged = list.querySelector(".lk-dragged");
      if (!dragged) return;
      event.preventDefault();
      const { top, height } = item.getBoundingClientRect();
      if (dragged !== item) item[event.clientY < top + height / 2 ? "before" : "after"](dragged);
    });
  }

  document.querySelectorAll("textarea.lk-rules-json").forEach(editor);
})();
