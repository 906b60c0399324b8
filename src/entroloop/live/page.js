// The live page: draws each state that /events sends. Text is set as text, never as HTML.
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56b4e9", "#7f7f7f"];
const DASHES = ["", "6 3", "2 2", "8 3 2 3"];
const SVG = "http://www.w3.org/2000/svg";

function make(tag, attributes, text, svg) {
  const node = svg ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

function means(records, arm, column) {
  // Mean over seeds for each generation, as [generation, value].
  const sums = new Map();
  for (const r of records) {
    if (r.arm !== arm || r[column] === null) continue;
    const [sum, n] = sums.get(r.generation) || [0, 0];
    sums.set(r.generation, [sum + r[column], n + 1]);
  }
  return [...sums].map(([g, [sum, n]]) => [g, sum / n]).sort((a, b) => a[0] - b[0]);
}

function look(i) {
  // How the line of the arm at this position is drawn, in charts and beside its name.
  return { stroke: COLOURS[i % COLOURS.length], fill: "none", "stroke-width": 2, "stroke-dasharray": DASHES[i % DASHES.length] };
}

function chart(state, arms, column, heading) {
  const curves = arms.map((arm) => means(state.records, arm, column));
  const points = curves.flat();
  const figure = make("figure");
  figure.append(make("figcaption", {}, heading));
  if (!points.length) return figure;
  const [w, h, left, bottom] = [340, 200, 48, 20];
  const last = Math.max(2, ...points.map((p) => p[0]));
  const low = Math.min(...points.map((p) => p[1]));
  const high = Math.max(...points.map((p) => p[1]));
  const x = (g) => left + ((g - 1) / (last - 1)) * (w - left - 8);
  const y = (v) => h - bottom - ((v - low) / (high - low || 1)) * (h - bottom - 8);
  const svg = make("svg", { viewBox: `0 0 ${w} ${h}`, role: "img", "aria-label": `${heading} over generations` }, undefined, true);
  for (const v of new Set([low, high])) svg.append(make("text", { x: left - 4, y: y(v) + 4, "text-anchor": "end" }, shown(v), true));
  for (const g of new Set([1, last])) svg.append(make("text", { x: x(g), y: h - 4, "text-anchor": "middle" }, g, true));
  curves.forEach((curve, i) => {
    const line = make("polyline", { ...look(i), points: curve.map(([g, v]) => `${x(g)},${y(v)}`).join(" ") }, undefined, true);
    line.append(make("title", {}, arms[i], true));
    svg.append(line);
    for (const [g, v] of curve) svg.append(make("circle", { cx: x(g), cy: y(v), r: 2.5, fill: look(i).stroke }, undefined, true));
  });
  figure.append(svg);
  return figure;
}

function table(state, arms) {
  const node = document.getElementById("last");
  const head = make("tr");
  for (const heading of ["arm", "generation", ...Object.values(state.shown)]) head.append(make("th", { scope: "col" }, heading));
  const rows = arms.map((arm, i) => {
    const row = make("tr");
    const own = state.records.filter((r) => r.arm === arm);
    const name = make("th", { scope: "row" }, ` ${arm}`);
    const key = make("svg", { viewBox: "0 0 28 8", width: 28, height: 8, "aria-hidden": "true", style: "width: 28px" }, undefined, true);
    key.append(make("line", { x1: 0, x2: 28, y1: 4, y2: 4, ...look(i) }, undefined, true));
    name.prepend(key);
    row.append(name);
    row.append(make("td", {}, Math.max(...own.map((r) => r.generation))));
    for (const column of Object.keys(state.shown)) {
      const curve = means(own, arm, column);
      row.append(make("td", {}, shown(curve.at(-1)?.[1])));
    }
    return row;
  });
  node.replaceChildren(make("caption", {}, "Last generation of each arm, mean over seeds"), head, ...rows);
}

function show(state) {
  const arms = [...new Set(state.records.map((r) => r.arm))];
  document.title = `${state.records.length}/${state.total} ${state.study} · entroloop`;
  document.getElementById("name").textContent = `Study ${state.study}`;
  document.getElementById("status").textContent =
    `${state.records.length} of ${state.total} records` + (state.complete ? ": complete" : "");
  document.getElementById("report").hidden = !state.complete;
  const done = document.getElementById("done");
  done.max = Math.max(1, state.total);
  done.value = state.records.length;
  const charts = Object.entries(state.shown).map(([column, heading]) => chart(state, arms, column, heading));
  document.getElementById("charts").replaceChildren(...charts);
  table(state, arms);
}

const events = new EventSource("/events");
events.onmessage = (event) => show(JSON.parse(event.data));
events.addEventListener("end", () => {
  events.close();
  document.getElementById("status").textContent += " (the server has ended)";
});
