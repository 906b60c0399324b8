// Pictures: tiles cut out of one sheet for each arm and generation, and their enlargement.

const sheetImages = new Map(); // number of a sheet: its image, once it is read

async function sheetImage(number) {
  if (!sheetImages.has(number)) {
    const image = new Image();
    image.src = page.pictures.sheets[number];
    sheetImages.set(number, image.decode().then(() => image));
  }
  return sheetImages.get(number);
}

// A canvas that holds one tile of a sheet.
async function tileCanvas(place, index) {
  const [height, width] = place.size;
  const canvas = make("canvas");
  Object.assign(canvas, { width, height });
  const columns = page.pictures.columns;
  const image = await sheetImage(place.sheet);
  canvas.getContext("2d").drawImage(image, (index % columns) * width, Math.floor(index / columns) * height, width, height, 0, 0, width, height);
  return canvas;
}

// A tile, or a tile above another, with a line of words; a click enlarges it.
async function tile(place, indices, words, label) {
  const own = make("button", "tile");
  own.type = "button";
  own.setAttribute("aria-label", label);
  own.append(...(await Promise.all(indices.map((index) => tileCanvas(place, index)))));
  if (words) own.append(make("small", "", words));
  own.addEventListener("click", () => enlarge(own, label));
  return own;
}

function enlarge(own, label) {
  const dialog = document.getElementById("zoom");
  const copies = [...own.querySelectorAll("canvas")].map((canvas) => {
    const copy = canvas.cloneNode();
    copy.getContext("2d").drawImage(canvas, 0, 0);
    return copy;
  });
  dialog.querySelector("div").replaceChildren(...copies, make("p", "", label));
  dialog.showModal();
}

async function tilesOf(count, className, one) {
  const box = make("div", `tiles ${className}`);
  box.append(...(await Promise.all(Array.from({ length: count }, (_, i) => one(i)))));
  return box;
}

const NOTES = {
  samples: "The same place in every panel grew from the same random numbers.",
  pairs: "Above a sample, below it its nearest training row; the most memorized first, by d₁/d₂ (distances to the nearest and the next training row; raw, Euclidean).",
  taken: "What selection took, in the order of its picks, with the radius at which each was taken; and rows that it left, each above the pick that covers it, from the nearest to the farthest (raw, Euclidean). Arms that select nothing have no panel.",
};

const from = (g) => (g === 0 ? "real" : `gen. ${g}`);

async function fill(panel, name, place, view) {
  const parts = [];
  if (view === "samples") {
    const count = place.samples ?? place.n;
    parts.push(await tilesOf(count, "", (i) => tile(place, [i], "", `${name}, ${i + 1} of ${count}`)));
  } else if (view === "pairs") {
    parts.push(await tilesOf(place.pairs.length, "pairs", (i) => {
      const { d, ratio } = place.pairs[i];
      const first = place.samples;
      return tile(place, [first + i, first + place.pairs.length + i], `${d} (${ratio})`, `${name}: sample ${i + 1} by memorization and its nearest training row, distance ${d}, d₁/d₂ ${ratio}`);
    }));
    parts.push(make("h3", "", `distance (d₁/d₂), of the first ${place.of} samples`));
  } else if (place.took) { // view "taken"
    const first = place.samples + 2 * place.pairs.length;
    parts.push(make("h3", "", "taken"), await tilesOf(place.took.length, "pairs", (i) => {
      const { g, radius } = place.took[i];
      const [short, long] = radius === MISSING ? ["", ""] : [`, r ${radius}`, `, radius ${radius}`]; // drawn at random: none
      return tile(place, [first + i], from(g) + short, `${name}: pick ${i + 1}, ${from(g)}${long}`);
    }));
    const left = first + place.took.length;
    parts.push(make("h3", "", "left, above the pick that covers it"), await tilesOf(place.left.length, "pairs", (i) => {
      const { g, d } = place.left[i];
      return tile(place, [left + i, left + place.left.length + i], `${from(g)}, ${d}`, `${name}: a row left out, ${from(g)}, and the pick that covers it, distance ${d}`);
    }));
  }
  panel.replaceChildren(make("figcaption", "", name), ...parts);
}

function buildGallery(gallery) {
  const { generations, arms, real } = page.pictures;
  const slider = gallery.querySelector("input[type=range]");
  const output = gallery.querySelector("output");
  const panels = gallery.querySelector(".panels");
  const own = [...real.map((place) => ({ name: place.name, at: () => place, real: true })),
    ...arms.map((arm) => ({ name: arm.name, arm: arm.arm, at: (g) => arm.generations[g] }))];
  for (const one of own) {
    one.panel = make("figure", "panel");
    if (one.arm !== undefined) one.panel.dataset.arm = one.arm;
    panels.append(one.panel);
  }
  async function show() {
    const generation = generations[Number(slider.value)];
    const view = gallery.querySelector("input[name=show]:checked").value;
    output.textContent = generation;
    slider.setAttribute("aria-valuetext", `generation ${generation}`);
    document.getElementById("gallery-note").textContent = NOTES[view];
    for (const one of own) {
      const place = one.at(generation);
      const without = one.real ? view !== "samples" : view === "taken" && !place?.took;
      one.panel.classList.toggle("none", without);
      if (place) await fill(one.panel, one.name, place, one.real ? "samples" : view);
      else one.panel.replaceChildren(make("figcaption", "", one.name), make("p", "note", "No such generation yet."));
    }
    gallery.dataset.shown = `${view} ${generation}`;
  }
  let waiting = Promise.resolve(); // one after the other: a quick hand on the slider mixes nothing
  const ask = () => (waiting = waiting.then(show));
  slider.addEventListener("input", ask);
  for (const radio of gallery.querySelectorAll("input[name=show]")) radio.addEventListener("change", ask);
  document.getElementById("zoom").addEventListener("click", (event) => event.target.id === "zoom" && event.target.close());
  ask();
}

// Rows that are no images: points on principal axes, generation by generation.
function buildAxes(place, axes) {
  const slider = place.querySelector("input");
  const output = place.querySelector("output");
  const spec = { id: "axes", kind: "points", title: "Samples on the principal axes of the real rows", x: "first principal axis", y: "second principal axis", series: [] };
  const fillSeries = () => {
    const g = Number(slider.value);
    output.textContent = g;
    spec.series = [{ arm: null, name: "real rows", ...axes.real },
      ...axes.arms.filter((arm) => arm.generations[g - 1]).map((arm) => ({ arm: arm.arm, name: arm.name, ...arm.generations[g - 1] }))];
  };
  fillSeries();
  const chart = new Chart(place.querySelector("figure"), spec);
  slider.addEventListener("input", () => {
    fillSeries();
    chart.redraw();
  });
}
