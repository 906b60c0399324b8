// Hover and arrow keys: the value of one arm at one place, with the arm's full name.

function listenForHover(chart) {
  const { svg } = chart;
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const scale = chart.width / box.width;
    showAt(chart, nearestTo(chart, (event.clientX - box.left) * scale, (event.clientY - box.top) * scale));
  });
  svg.addEventListener("pointerleave", () => showAt(chart, null));
  svg.addEventListener("blur", () => showAt(chart, null));
  svg.addEventListener("keydown", (event) => {
    const step = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (event.key === "Escape") showAt(chart, null);
    if (!step || !chart.visible().length) return;
    event.preventDefault();
    const series = chart.visible();
    const [row, column] = chart.at ?? [0, step[1] < 0 ? 1 : -1];
    const next = Math.min(series.length - 1, Math.max(0, row + step[0]));
    showAt(chart, [next, Math.min(series[next].y.length - 1, Math.max(0, column + step[1]))]);
  });
}

function nearestTo(chart, x, y) {
  const series = chart.visible();
  if (!series.length) return null;
  if (chart.spec.kind === "areas") return layerAt(chart, series, x, y);
  let best = null;
  let least = 45 ** 2;
  const weight = chart.spec.kind === "lines" ? 0.3 : 1; // along a line the generation counts first
  series.forEach((one, row) => one.y.forEach((value, column) => {
    if (value === null || one.x[column] === null) return;
    const distance = (chart.x(one.x[column]) - x) ** 2 + weight * (chart.y(value) - y) ** 2;
    if (distance < least) [least, best] = [distance, [row, column]];
  }));
  return best;
}

function layerAt(chart, layers, x, y) {
  const column = chart.spec.steps.findIndex((step) => Math.abs(chart.x(step) - x) <= (chart.x(1) - chart.x(0)) / 2);
  if (column < 0) return null;
  let top = 0;
  const row = layers.findIndex((layer) => chart.y((top += layer.y[column] ?? 0)) <= y);
  return row < 0 ? null : [row, column];
}

function showAt(chart, at) {
  chart.at = at;
  chart.tip.replaceChildren();
  chart.here?.replaceChildren();
  if (!at) return;
  const one = chart.visible()[at[0]];
  const [x, value] = [one.x[at[1]], one.y[at[1]]];
  chart.tip.append(make("strong", "", one.name), document.createElement("br"), textAt(chart, one, at[1]));
  const left = chart.spec.kind === "areas" ? chart.x(x) : chart.x(x ?? 0);
  const top = chart.spec.kind === "areas" ? chart.height / 2 : chart.y(value ?? 0);
  if (chart.spec.kind !== "areas" && value !== null) draw(chart.here, "circle", { class: "here", cx: left, cy: top, r: 6 });
  const scale = chart.svg.clientWidth / chart.width;
  const offset = chart.svg.offsetTop ?? chart.svg.getBoundingClientRect().top - chart.figure.getBoundingClientRect().top;
  const room = chart.figure.clientWidth - chart.tip.offsetWidth;
  chart.tip.style.left = `${Math.max(0, Math.min(room, left * scale + 12))}px`;
  chart.tip.style.top = `${offset + top * scale + 12}px`;
}

function textAt(chart, one, i) {
  if (chart.spec.kind === "points") return `${one.text?.[i] ?? ""} (${shown(one.x[i])}, ${shown(one.y[i])})`;
  const at = `${chart.spec.x} ${one.x[i]}: ${shown(one.y[i])}`;
  const seeds = one.n ? `, ${one.n[i]} seed${one.n[i] === 1 ? "" : "s"}` : "";
  const band = one.low ? ` (${shown(one.low[i])} … ${shown(one.high[i])}${seeds})` : "";
  const beside = one.beside ? `; ${chart.spec.dotted}: ${shown(one.beside[i])}` : "";
  return at + band + beside;
}
