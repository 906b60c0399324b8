"""The page of `measure --html`: measurements, pairs, a projection, distances, spectra."""

from __future__ import annotations

import json
import math
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from entroloop.errors import InputError
from entroloop.metrics import METRICS, Sets
from entroloop.metrics.moments import spectrum
from entroloop.metrics.neighbourhood import nearest_distances_of
from entroloop.report import refuse_foreign
from entroloop.report.figures import colour, lay_out
from entroloop.report.images import Picture, grid, picture
from entroloop.system.files import write_atomically

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from entroloop.commands.measure import Measured

PAIRS = 48
POINTS = 2000  # per set in the projection
VALUES = 200  # eigenvalues per spectrum


def write_page(measured: Measured, html: Path) -> None:
    """Write the measurements to a single HTML file that opens offline.

    Raises InputError for a file that cannot be written.
    """
    from jinja2 import Environment, StrictUndefined
    from plotly.offline import get_plotlyjs

    refuse_foreign(html)
    text = (resources.files("entroloop.report") / "sets.html.j2").read_text()
    rows = measured.rows
    sets = Sets(
        generated=rows["generated"], train=rows.get("train"), reference=rows.get("reference")
    )
    figures = {
        "projection": _projection(measured),
        "distances": _distances(sets),
        "spectra": _spectra(measured),
    }
    page = (
        Environment(autoescape=True, undefined=StrictUndefined)
        .from_string(text)
        .render(
            plotly_js=get_plotlyjs(),
            version=version("entroloop"),
            extractor=measured.extractor,
            sizes={role: x.shape for role, x in measured.rows.items()},
            rows=[_line(measured, name) for name in measured.found],
            figures={name: json.loads(f.to_json()) for name, f in figures.items() if f},
            pairs=_gallery(measured, sets),
        )
    )
    try:
        write_atomically(html, page)
    except OSError as error:
        raise InputError(f"the page {html} cannot be written: {error.strerror}") from None


def _line(measured: Measured, name: str) -> dict[str, str]:
    found = measured.found[name]
    interval = "–" if found.interval is None else " … ".join(f"{v:.4g}" for v in found.interval)
    value = f"{found.value:.4g}" if not math.isnan(found.value) else "–"
    return {"name": name, "value": value, "interval": interval, "says": METRICS[name].says,
            "note": found.note, "comparable": found.comparable}  # fmt: skip


def _gallery(measured: Measured, sets: Sets) -> Picture | None:
    """Return generated images above their nearest training images, most memorized first."""
    if not sets.has("train") or measured.sets["generated"].data.ndim != 4:
        return None
    found = sets.nearest("generated", "train")
    d = found.distances
    ratio = d[:, 0] / np.maximum(d[:, -1], 1e-300)
    order = np.lexsort((d[:, 0], ratio))[:PAIRS]
    generated = measured.sets["generated"].data[order]
    train = measured.sets["train"].data[found.indices[order, 0]]
    columns = 16
    rows = []
    for start in range(0, len(order), columns):
        part = slice(start, start + columns)
        missing = columns - len(generated[part])
        for images in (generated[part], train[part]):
            rows += [*images, *[np.full_like(images[0], 128)] * missing]
    images = np.stack(rows)
    images = images[..., 0] if images.shape[3] == 1 else images
    shown = ", ".join(f"{r:.2f}" for r in ratio[order[:8]])
    caption = (
        "generated images, each above its nearest training image; most memorized first "
        f"(d₁/d₂ of the first: {shown})"
    )
    return picture(grid(images, columns), caption, scale=2)


def _projection(measured: Measured) -> Figure:
    import plotly.graph_objects as go
    from sklearn.decomposition import PCA

    rows = measured.rows
    base = next(role for role in ("reference", "train", "generated") if role in rows)
    count = min(2, *rows[base].shape)
    axes = PCA(count, svd_solver="randomized", random_state=0).fit(rows[base].astype(np.float64))
    figure = go.Figure()
    for i, (role, x) in enumerate(rows.items()):
        rng = np.random.default_rng(0)
        points = axes.transform(x[rng.permutation(len(x))[:POINTS]].astype(np.float64))
        figure.add_scattergl(
            x=points[:, 0].tolist(), y=points[:, -1].tolist(), mode="markers", name=role,
            marker={"color": colour(i), "size": 4, "opacity": 0.5},
        )  # fmt: skip
    lay_out(figure, "second principal axis", f"first principal axis of {base}")
    return figure


def _distances(sets: Sets) -> Figure | None:
    """Plot the distribution functions of distances to the nearest row of another set."""
    import plotly.graph_objects as go

    if not sets.has("train") and not sets.has("reference"):
        return None
    figure = go.Figure()
    pairs = (("generated", "train"), ("reference", "train"), ("generated", "reference"),
             ("reference", "generated"))  # fmt: skip
    for i, (of, to) in enumerate(pairs):
        if not (sets.has(of) and sets.has(to)):
            continue
        values = np.quantile(nearest_distances_of(sets, of, to), np.linspace(0, 1, 201))
        figure.add_scatter(
            x=values.tolist(), y=np.linspace(0, 1, 201).tolist(), mode="lines",
            name=f"{of} to {to}", line={"color": colour(i)},
        )  # fmt: skip
    lay_out(figure, "share of rows", "distance to the nearest row")
    return figure


def _spectra(measured: Measured) -> Figure:
    import plotly.graph_objects as go

    figure = go.Figure()
    for i, (role, x) in enumerate(measured.rows.items()):
        if len(x) < 2 or x.shape[1] > 4096:
            continue
        values = spectrum(x)[:VALUES]
        figure.add_scatter(
            x=list(range(1, len(values) + 1)), y=np.maximum(values, 1e-30).tolist(), mode="lines",
            name=role, line={"color": colour(i)},
        )  # fmt: skip
    figure.update_yaxes(type="log")
    lay_out(figure, "eigenvalue of the covariance", "rank")
    return figure
