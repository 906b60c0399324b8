// Arms: the look of each, and the legend that hides and shows it everywhere.

const SVG = "http://www.w3.org/2000/svg";
const COLOURS = 8;
const DASHES = ["", "7 3", "10 3 2 3", "14 4", "12 3 2 3 2 3"]; // dots alone are held-out rows
const hiddenArms = new Set();
const redraws = []; // what follows the legend

function draw(parent, name, attributes = {}) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  parent.append(element);
  return element;
}

function make(name, className = "", text = "") {
  const element = document.createElement(name);
  if (className) element.className = className;
  element.textContent = text;
  return element;
}

function button(text, action) {
  const element = make("button", "", text);
  element.type = "button";
  element.addEventListener("click", action);
  return element;
}

function armClass(arm) {
  if (page.arms[arm]?.failed) return "own grey"; // its generation 1 cannot be judged
  return `own c${arm % COLOURS}`;
}

// The outline of an arm's mark around a place: seven shapes, which grey print keeps apart.
function markAt(arm, x, y, r) {
  const polygon = (...points) => `M${points.map(([a, b]) => `${x + a * r} ${y + b * r}`).join("L")}Z`;
  return [
    () => `M${x - r} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0`,
    () => polygon([-0.9, -0.9], [0.9, -0.9], [0.9, 0.9], [-0.9, 0.9]),
    () => polygon([0, -1.2], [1.1, 0.8], [-1.1, 0.8]),
    () => polygon([0, -1.3], [1.3, 0], [0, 1.3], [-1.3, 0]),
    () => polygon([0, 1.2], [1.1, -0.8], [-1.1, -0.8]),
    () => `M${x - r} ${y - r}L${x + r} ${y + r}M${x - r} ${y + r}L${x + r} ${y - r}`,
    () => `M${x - 1.2 * r} ${y}H${x + 1.2 * r}M${x} ${y - 1.2 * r}V${y + 1.2 * r}`,
  ][arm % 7]();
}

function drawKey(svg, arm) {
  const group = draw(svg, "g", { class: armClass(arm) });
  draw(group, "path", { class: "line", d: "M0 6H24", "stroke-dasharray": DASHES[arm % DASHES.length] });
  draw(group, "path", { class: "mark", d: markAt(arm, 12, 6, 3.4) });
}

function isShown(arm) {
  return arm === undefined || arm === null || !hiddenArms.has(Number(arm));
}

function followLegend() {
  for (const element of document.querySelectorAll("[data-arm]:not(#legend *)")) {
    element.hidden = !isShown(element.dataset.arm);
  }
  for (const own of document.querySelectorAll("#legend button[data-arm]")) {
    own.setAttribute("aria-pressed", String(isShown(own.dataset.arm)));
  }
  for (const redraw of redraws) redraw();
}

function showOnly(arms) {
  hiddenArms.clear();
  for (const arm of page.arms) if (!arms.includes(arm.index)) hiddenArms.add(arm.index);
  followLegend();
}

// A click hides or shows an arm; with Shift, or twice, it is shown alone.
function buildLegend(legend) {
  const all = page.arms.map((arm) => arm.index);
  for (const { index, name } of page.arms) {
    const own = button("", (event) => {
      if (event.shiftKey) return showOnly([index]);
      if (!hiddenArms.delete(index)) hiddenArms.add(index);
      followLegend();
    });
    own.addEventListener("dblclick", () => showOnly([index]));
    own.dataset.arm = index;
    own.title = `${name} (Shift and click: this arm alone)`;
    drawKey(draw(own, "svg", { viewBox: "0 0 24 12", width: 24, height: 12, "aria-hidden": "true" }), index);
    own.append(make("span", "", name));
    own.setAttribute("aria-pressed", "true");
    legend.append(own);
  }
  if (all.length > 1) legend.append(button("all", () => showOnly(all)));
}
