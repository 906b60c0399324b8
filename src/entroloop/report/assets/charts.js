// Charts: lines with bands over seeds, clouds of points with a fit, stacked shares.

const MARGIN = { left: 50, right: 12, top: 8, bottom: 36 };

class Chart {
  constructor(figure, spec) {
    Object.assign(this, { figure, spec, log: Boolean(spec.log), at: null });
    this.tools = make("span", "tools");
    this.svg = draw(figure, "svg", { tabindex: 0, role: "img", "aria-roledescription": "chart" });
    this.tip = make("div", "tip");
    this.tip.setAttribute("aria-live", "polite");
    figure.prepend(this.tools);
    figure.append(this.tip);
    this.addLogSwitch();
    if (spec.kind === "lines" && spec.whole) this.addNumbers();
    listenForHover(this);
    redraws.push(() => this.redraw());
    this.redraw();
  }

  addLogSwitch() {
    const values = this.spec.series.flatMap((one) => [...one.y, ...(one.beside ?? []), ...(one.low ?? [])]);
    const known = values.filter((value) => value !== null);
    if (this.spec.kind !== "lines" || !known.length || Math.min(...known) <= 0) return;
    const own = button("log", () => {
      this.log = !this.log;
      own.setAttribute("aria-pressed", String(this.log));
      this.redraw();
    });
    own.setAttribute("aria-pressed", String(this.log));
    own.setAttribute("aria-label", `log axis: ${this.spec.title}`);
    this.tools.append(own);
  }

  // The same as a table, made when it is opened: what the chart says to those who do not see it.
  addNumbers() {
    const details = make("details", "numbers");
    details.append(make("summary", "", "numbers"));
    details.addEventListener("toggle", () => {
      details.querySelector(".sheet")?.remove();
      if (details.open) details.append(tableOf(this.spec, this.visible()));
    });
    this.figure.append(details);
  }

  visible() {
    return this.spec.series.filter((one) => isShown(one.arm));
  }

  redraw() {
    this.width = Math.max(240, this.figure.clientWidth || 370);
    this.height = this.figure.classList.contains("wide") || this.spec.kind === "points" ? 380
      : this.spec.kind === "areas" ? 180 : 230;
    this.svg.replaceChildren();
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
    this.at = null;
    this.tip.replaceChildren();
    const series = this.visible();
    this.svg.setAttribute("aria-label", this.inWords(series));
    if (!series.length) return this.say("no arm is shown");
    this.setScales(series);
    this.drawAxes();
    (this.spec.marks ?? []).forEach((mark, i) => this.drawMark(mark, i));
    ({ lines: drawLines, points: drawPoints, areas: drawAreas })[this.spec.kind](this, series);
    this.here = draw(this.svg, "g");
  }

  say(text) {
    draw(this.svg, "text", { x: this.width / 2, y: this.height / 2, "text-anchor": "middle" }).textContent = text;
  }

  inWords(series) {
    if (this.spec.kind !== "lines") return this.spec.title;
    const ends = series.map((one) => `${one.name} from ${shown(one.y[0])} to ${shown(one.y.at(-1))}`);
    return `${this.spec.title}, by ${this.spec.x}: ${ends.join("; ")}`;
  }

  setScales(series) {
    const fits = this.spec.fits ?? [];
    const known = (values) => values.filter((value) => value !== null && value !== undefined && !(this.log && value <= 0));
    const xs = known([...this.spec.series, ...fits].flatMap((one) => one.x));
    const ys = known([...series, ...fits].flatMap((one) => [...one.y, ...(one.low ?? []), ...(one.high ?? []), ...(one.beside ?? [])]));
    if (this.spec.kind === "areas") ys.push(0, 1);
    let [x0, x1] = [Math.min(...xs), Math.max(...xs)];
    let [y0, y1] = ys.length ? [Math.min(...ys), Math.max(...ys)] : [0, 1];
    if (this.spec.kind === "areas") [x0, x1] = [x0 - 0.5, x1 + 0.5];
    if (x0 === x1) [x0, x1] = [x0 - 0.5, x1 + 0.5];
    if (this.log) {
      const pad = Math.max((y1 / y0) ** 0.06, 1.02);
      [y0, y1] = [y0 / pad, y1 * pad];
    } else if (this.spec.kind !== "areas") {
      const pad = (y1 - y0) * 0.06 || Math.abs(y1) * 0.05 || 0.05;
      y1 = y1 + pad;
      y0 = this.spec.zero ? 0 : y0 >= 0 ? Math.max(0, y0 - pad) : y0 - pad;
    }
    const inner = this.width - MARGIN.left - MARGIN.right;
    const tall = this.height - MARGIN.top - MARGIN.bottom;
    const place = this.log ? Math.log : (value) => value;
    const along = this.spec.along === "log" ? Math.log : (value) => value;
    const pad = this.spec.kind === "points" ? (x1 - x0) * 0.04 : 0;
    this.x = (value) => MARGIN.left + (inner * (along(value) - along(x0) + pad)) / (along(x1) - along(x0) + 2 * pad);
    this.y = (value) => MARGIN.top + tall * (1 - (place(value) - place(y0)) / (place(y1) - place(y0)));
    this.range = { x0, x1, y0, y1 };
  }

  drawAxes() {
    const { x0, x1, y0, y1 } = this.range;
    const bottom = this.height - MARGIN.bottom;
    const rows = this.log ? logTicksBetween(y0, y1) : ticksBetween(y0, y1, this.spec.kind === "areas" ? 3 : 5);
    for (const value of rows) {
      draw(this.svg, "path", { class: "axis", d: `M${MARGIN.left} ${this.y(value)}H${this.width - MARGIN.right}` });
      draw(this.svg, "text", { x: MARGIN.left - 6, y: this.y(value) + 4, "text-anchor": "end" }).textContent = tick(value);
    }
    const columns = this.spec.along === "log" ? logTicksBetween(x0, x1)
      : ticksBetween(x0, x1, Math.min(8, this.width / 60), this.spec.whole);
    for (const value of columns) {
      draw(this.svg, "text", { x: this.x(value), y: bottom + 15, "text-anchor": "middle" }).textContent = tick(value);
    }
    draw(this.svg, "path", { class: "axis", d: `M${MARGIN.left} ${bottom}H${this.width - MARGIN.right}` });
    const middle = (MARGIN.left + this.width - MARGIN.right) / 2;
    const dotted = this.spec.dotted ? ` (dotted: ${this.spec.dotted})` : "";
    draw(this.svg, "text", { x: middle, y: this.height - 4, "text-anchor": "middle" }).textContent = this.spec.x + dotted;
    if (this.spec.y) {
      draw(this.svg, "text", { transform: `translate(11 ${(MARGIN.top + bottom) / 2}) rotate(-90)`, "text-anchor": "middle" }).textContent = this.spec.y;
    }
  }

  // A line across the chart at one place, with words on the side that has room.
  drawMark({ x, text }, line) {
    const at = this.x(x);
    const left = at > this.width / 2;
    draw(this.svg, "path", { class: "at", d: `M${at} ${MARGIN.top}V${this.height - MARGIN.bottom}` });
    draw(this.svg, "text", { x: at + (left ? -5 : 5), y: MARGIN.top + 10 + 14 * line, "text-anchor": left ? "end" : "start" }).textContent = text;
  }

  // A path through the places of a series, broken where a value is missing.
  path(xs, ys) {
    let text = "";
    let pen = "M";
    ys.forEach((value, i) => {
      if (value === null || value === undefined || (this.log && value <= 0)) pen = "M";
      else {
        text += `${pen}${this.x(xs[i]).toFixed(1)} ${this.y(value).toFixed(1)}`;
        pen = "L";
      }
    });
    return text;
  }

  band(xs, low, high) {
    const able = xs.map((_, i) => i).filter((i) => low[i] !== null && high[i] !== null && !(this.log && low[i] <= 0));
    const forth = able.map((i) => `${this.x(xs[i]).toFixed(1)} ${this.y(high[i]).toFixed(1)}`);
    const back = able.map((i) => `${this.x(xs[i]).toFixed(1)} ${this.y(low[i]).toFixed(1)}`).reverse();
    return able.length ? `M${[...forth, ...back].join("L")}Z` : "";
  }
}

function drawLines(chart, series) {
  const shared = new Set(series.map((one) => String(one.beside))).size === 1; // one line for all arms
  const real = draw(chart.svg, "g", { class: "real" });
  const groups = series.map((one) => draw(chart.svg, "g", { class: armClass(one.arm) }));
  series.forEach((one, i) => {
    if (one.low) draw(groups[i], "path", { class: "band", d: chart.band(one.x, one.low, one.high) });
    if (one.beside && !(shared && i)) draw(shared ? real : groups[i], "path", { class: "beside", d: chart.path(one.x, one.beside) });
  });
  series.forEach((one, i) => {
    draw(groups[i], "path", { class: "line", d: chart.path(one.x, one.y), "stroke-dasharray": DASHES[one.arm % DASHES.length] });
    if (one.x.length > 40) return;
    one.y.forEach((value, j) => {
      if (value === null || (chart.log && value <= 0)) return;
      draw(groups[i], "path", { class: "mark", d: markAt(one.arm, chart.x(one.x[j]), chart.y(value), 3.2) });
    });
  });
}

function drawPoints(chart, series) {
  for (const fit of chart.spec.fits ?? []) {
    const group = draw(chart.svg, "g", fit.arm === undefined ? {} : { class: armClass(fit.arm) });
    if (fit.low) draw(group, "path", { class: "fit-band", d: chart.band(fit.x, fit.low, fit.high) });
    draw(group, "path", { class: "fit", d: chart.path(fit.x, fit.y) });
  }
  for (const one of series) {
    const group = draw(chart.svg, "g", { class: one.arm === null ? "real" : armClass(one.arm) });
    one.y.forEach((value, i) => {
      if (value === null || one.x[i] === null) return;
      const [x, y] = [chart.x(one.x[i]), chart.y(value)];
      if (one.low) draw(group, "path", { class: "bar", d: `M${x} ${chart.y(one.low[i])}V${chart.y(one.high[i])}` });
      if (one.arm === null) draw(group, "circle", { class: "dot", cx: x.toFixed(1), cy: y.toFixed(1), r: 1.8 });
      else draw(group, "path", { class: "mark full", d: markAt(one.arm, x, y, 2.8) });
    });
  }
}

// Shares that add up to 1: a step for each generation, since there is nothing between two of them.
function drawAreas(chart, layers) {
  const steps = chart.spec.steps;
  const below = steps.map(() => 0);
  layers.forEach((layer, g) => {
    const top = steps.map((_, i) => below[i] + (layer.y[i] ?? 0));
    const edge = (values) => steps.map((x, i) => `${chart.x(x - 0.5)} ${chart.y(values[i])}L${chart.x(x + 0.5)} ${chart.y(values[i])}`);
    const back = steps.map((x, i) => `${chart.x(x + 0.5)} ${chart.y(below[i])}L${chart.x(x - 0.5)} ${chart.y(below[i])}`).reverse();
    drawLayer(chart.svg, "path", g, layers.length, { d: `M${[...edge(top), ...back].join("L")}Z` });
    top.forEach((value, i) => (below[i] = value));
  });
}

// Real rows are black; generations go from dark to light blue, so that grey print orders them.
function drawLayer(parent, shape, g, count, attributes) {
  const group = draw(parent, "g", { class: g === 0 ? "real-layer" : "own c0" });
  const strength = g === 0 ? 0.8 : 0.95 - (0.8 * (g - 1)) / Math.max(1, count - 2);
  draw(group, shape, { ...attributes, fill: "currentColor", "fill-opacity": strength.toFixed(2), stroke: "var(--paper)", "stroke-width": 0.5 });
}

function keyOfLayers(charts) {
  const key = make("p", "areas-key");
  const longest = charts.reduce((a, b) => (b.series.length > a.series.length ? b : a));
  longest.series.forEach((layer, g) => {
    const own = make("span");
    const svg = draw(own, "svg", { viewBox: "0 0 12 12", width: 12, height: 12, "aria-hidden": "true" });
    drawLayer(svg, "rect", g, longest.series.length, { width: 12, height: 12 });
    own.append(` ${layer.name}`);
    key.append(own);
  });
  return key;
}

function tableOf(spec, series) {
  const xs = [...new Set(series.flatMap((one) => one.x))].sort((a, b) => a - b);
  const header = ["arm", ...xs.map((x) => `${spec.x} ${x}`)].map((heading) => ({ text: heading }));
  const rows = series.map((one) => [
    { text: one.name, arm: one.arm },
    ...xs.map((x) => {
      const i = one.x.indexOf(x);
      const value = i < 0 ? null : one.y[i];
      return { text: shown(value), value, low: one.low?.[i], high: one.high?.[i] };
    }),
  ]);
  return sheetOf(spec.id, spec.title, header, rows);
}
