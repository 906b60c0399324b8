// Once the page is there: its data, then everything that is drawn.

let page; // arms, charts, pictures, projections

document.addEventListener("DOMContentLoaded", () => {
  page = JSON.parse(document.getElementById("data").textContent);
  const legend = document.getElementById("legend");
  if (legend) buildLegend(legend);
  document.querySelectorAll(".sheet").forEach(enhance);
  for (const key of document.querySelectorAll("svg[data-key]")) drawKey(key, Number(key.dataset.key));
  for (const figure of document.querySelectorAll("[data-chart]")) {
    const [group, place] = figure.dataset.chart.split("/");
    new Chart(figure, page.charts[group][place]);
  }
  const areas = document.querySelector(".charts.provenance");
  if (areas) areas.before(keyOfLayers(page.charts.provenance));
  const gallery = document.getElementById("gallery");
  if (gallery) buildGallery(gallery);
  document.querySelectorAll("[data-axes]").forEach((place) => buildAxes(place, page.projections[place.dataset.axes]));
  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth === width) return;
    width = innerWidth;
    for (const redraw of redraws) redraw();
  });
  document.documentElement.dataset.ready = "yes";
});
