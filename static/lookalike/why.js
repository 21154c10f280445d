// What matched: how strongly the heat shows, and the counterpart of the place that is pointed at.
const root = document.querySelector("[data-why]");
const strength = root.querySelector("[data-strength]");
const apply = () => root.style.setProperty("--strength", strength.value / 100);
strength?.addEventListener("input", apply);
if (strength) apply(); // a browser may have kept the last value

const stages = [...root.querySelectorAll("[data-grid]")];
const grids = stages.map((stage) => JSON.parse(stage.dataset.grid));
const marks = stages.map((stage) => {
  const mark = document.createElement("span");
  mark.className = "why-mark";
  mark.hidden = true;
  stage.append(mark);
  return mark;
});

function put(which, place) {
  const { rows, columns, box } = grids[which];
  const [left, top, width, height] = box;
  const row = Math.floor(place / columns);
  const style = marks[which].style;
  style.left = `${left + ((place % columns) * width) / columns}%`;
  style.top = `${top + (row * height) / rows}%`;
  style.width = `${width / columns}%`;
  style.height = `${height / rows}%`;
  marks[which].hidden = false;
}

function show(which, place) {
  put(which, place);
  put(1 - which, grids[which].partners[place]);
}

function hide() {
  for (const mark of marks) mark.hidden = true;
}

function placeAt(which, event) {
  const { rows, columns, box } = grids[which];
  const around = stages[which].getBoundingClientRect();
  const x = ((100 * (event.clientX - around.left)) / around.width - box[0]) / box[2];
  const y = ((100 * (event.clientY - around.top)) / around.height - box[1]) / box[3];
  if (x < 0 || x >= 1 || y < 0 || y >= 1) return -1;
  return Math.floor(y * rows) * columns + Math.floor(x * columns);
}

const STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

stages.forEach((stage, which) => {
  const { rows, columns } = grids[which];
  let at = Math.floor(rows / 2) * columns + Math.floor(columns / 2);
  stage.tabIndex = 0;
  stage.setAttribute("role", "group");
  stage.setAttribute("aria-label", stage.dataset.help);
  const point = (event) => {
    const place = placeAt(which, event);
    if (place < 0) hide();
    else show(which, (at = place));
  };
  stage.addEventListener("pointermove", point);
  stage.addEventListener("pointerdown", point);
  stage.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && hide());
  stage.addEventListener("focus", () => stage.matches(":focus-visible") && show(which, at));
  stage.addEventListener("blur", hide);
  stage.addEventListener("keydown", (event) => {
    const step = STEPS[event.key];
    if (!step) return;
    event.preventDefault();
    const row = Math.min(Math.max(Math.floor(at / columns) + step[0], 0), rows - 1);
    const column = Math.min(Math.max((at % columns) + step[1], 0), columns - 1);
    show(which, (at = row * columns + column));
  });
});
