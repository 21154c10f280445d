// A box on the picture, by mouse, finger, pen or keyboard. It is kept in upright original pixels, the
// unit of the address, and drawn in per cent, so it stays right at every size of the page.

const LEAST = 0.03; // of the picture's side; less was a tap

export function startStage(stage) {
  const whole = { w: Number(stage.dataset.width), h: Number(stage.dataset.height) };
  let box = parse(stage.dataset.box);
  let grip = null; // what is being dragged: its way, its start, the box at the start
  let frame = stage.querySelector(".crop");

  enlarging(stage.closest(".asked"));
  stage.classList.add("live");
  stage.tabIndex = 0;
  stage.setAttribute("role", "application");
  stage.setAttribute("aria-label", stage.dataset.help);
  draw();

  function parse(text) {
    const [x, y, w, h] = (text || "").split(",").map(Number);
    return w > 0 && h > 0 ? { x, y, w, h } : null;
  }

  function text() {
    return box ? [box.x, box.y, box.w, box.h].map(Math.round).join(",") : "";
  }

  function draw() {
    if (!box) {
      frame?.remove();
      frame = null;
      return;
    }
    if (!frame) {
      frame = document.createElement("div");
      frame.className = "crop";
      stage.append(frame);
    }
    if (!frame.childElementCount) {
      for (const at of ["nw", "ne", "sw", "se"]) frame.append(Object.assign(document.createElement("i"), { className: at }));
      for (const corner of frame.children) corner.dataset.at = corner.className;
    }
    const share = { x: box.x / whole.w, y: box.y / whole.h, w: box.w / whole.w, h: box.h / whole.h };
    for (const [name, value] of Object.entries(share)) frame.style.setProperty(`--${name}`, `${100 * value}%`);
  }

  function tell() {
    const said = text();
    if (said === stage.dataset.box) return;
    stage.dataset.box = said;
    stage.dispatchEvent(new CustomEvent("boxchange", { detail: said }));
  }

  function at(event) {
    const area = stage.getBoundingClientRect();
    const clamp = (value) => Math.min(Math.max(value, 0), 1);
    return {
      x: clamp((event.clientX - area.left) / area.width) * whole.w,
      y: clamp((event.clientY - area.top) / area.height) * whole.h,
    };
  }

  const between = (a, b) => ({ x: Math.min(a.x, b.x), y: Math.min(a.y, b.y), w: Math.abs(a.x - b.x), h: Math.abs(a.y - b.y) });
  const kept = (b) => ({ ...b, x: Math.min(Math.max(b.x, 0), whole.w - b.w), y: Math.min(Math.max(b.y, 0), whole.h - b.h) });

  stage.addEventListener("pointerdown", (event) => {
    if (event.button || grip) return;
    const corner = event.target.dataset?.at;
    const inside = !corner && event.target === frame;
    let anchor = at(event);
    if (corner) anchor = { x: corner.includes("w") ? box.x + box.w : box.x, y: corner.includes("n") ? box.y + box.h : box.y };
    grip = { inside, anchor, before: box };
    stage.setPointerCapture(event.pointerId);
  });

  stage.addEventListener("pointermove", (event) => {
    if (!grip) return;
    const here = at(event);
    const { inside, anchor, before } = grip;
    box = inside ? kept({ ...before, x: before.x + here.x - anchor.x, y: before.y + here.y - anchor.y }) : between(anchor, here);
    draw();
  });

  stage.addEventListener("pointerup", () => {
    if (!grip) return;
    if (!box || box.w < LEAST * whole.w || box.h < LEAST * whole.h) box = grip.before;
    grip = null;
    settle();
  });
  stage.addEventListener("pointercancel", () => {
    if (grip) box = grip.before;
    grip = null;
    draw();
  });

  function settle() {
    if (box) box = kept({ x: Math.round(box.x), y: Math.round(box.y), w: Math.max(1, Math.round(box.w)), h: Math.max(1, Math.round(box.h)) });
    draw();
    tell();
  }

  let waiting = 0;
  stage.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (event.key === "Escape" && box) box = null;
    else if (event.key === "Enter" && !box) box = { x: whole.w / 4, y: whole.h / 4, w: whole.w / 2, h: whole.h / 2 };
    else if (step && box) box = nudge(box, step, event.shiftKey);
    else return;
    event.preventDefault();
    draw();
    clearTimeout(waiting);
    waiting = setTimeout(settle, 400); // one search when the keys come to rest
  });

  function nudge(old, [dx, dy], resize) {
    const by = { x: (dx * whole.w) / 25, y: (dy * whole.h) / 25 };
    if (!resize) return kept({ ...old, x: old.x + by.x, y: old.y + by.y });
    const grow = (side, more, from, room) => Math.min(Math.max(side + more, LEAST * room), room - from);
    return { ...old, w: grow(old.w, by.x, old.x, whole.w), h: grow(old.h, by.y, old.y, whole.h) };
  }

  return {
    set(said) {
      box = parse(said);
      stage.dataset.box = said;
      draw();
    },
  };
}

// Where the picture is shown small, a tap on it or the button makes it large enough to draw on.
function enlarging(asked) {
  const button = asked?.querySelector("[data-enlarge]");
  if (!button) return;
  asked.addEventListener("click", (event) => {
    const pressed = button.contains(event.target);
    if (!pressed && (asked.classList.contains("large") || event.target.closest("a"))) return;
    button.setAttribute("aria-expanded", String(asked.classList.toggle("large")));
  });
}
