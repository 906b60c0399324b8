"""The page of `measure --html`: measurements, pairs, a projection, distances, spectra."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from entroloop.metrics import METRICS, Sets
from entroloop.metrics.moments import spectrum
from entroloop.metrics.neighbourhood import nearest_distances_of
from entroloop.report.assembly import write_page_from
from entroloop.report.figures import Chart, series_of
from entroloop.report.memorized_pairs import pairs_file, pairs_of, shown_pairs, write_pairs
from entroloop.report.modes import modes_shown, radial_chart
from entroloop.report.page_tables import Cell, Column, Row, Table, figure, words
from entroloop.report.sets_verdict import sets_verdict
from entroloop.system.numbers import number

if TYPE_CHECKING:
    from entroloop.commands.measure import Measured

POINTS = 2000  # per set in the projection
VALUES = 200  # eigenvalues per spectrum
SMALLEST = 1e-12  # of them, of the largest


def write_page(measured: Measured, html: Path) -> Path | None:
    """Write the measurements to a single HTML file that opens offline, and all pairs beside it.

    Return the file of pairs of generated and training rows, None without training rows. Raises
    InputError for a file that cannot be written.
    """
    rows = measured.rows
    sets = Sets(
        generated=rows["generated"], train=rows.get("train"), reference=rows.get("reference")
    )
    pairs, file = pairs_of(sets), pairs_file(html)
    drawn = (_projection(measured), _distances(sets), _spectra(measured), radial_chart(measured))
    charts = [chart for chart in drawn if chart]
    write_page_from(
        "sets.html.j2",
        html,
        fingerprint="measured sets",
        extractor=measured.extractor,
        sizes={role: x.shape for role, x in measured.rows.items()},
        verdict=sets_verdict(measured.found),
        metrics=_metrics(measured),
        charts=charts,
        pairs=None if pairs is None else shown_pairs(pairs, measured),
        count=len(rows["generated"]),
        file=file.name,
        number=number,
        modes=modes_shown(measured, sets),
        data={"arms": [], "charts": {"sets": charts}},
    )
    if pairs is None:
        return None
    write_pairs(pairs, measured, file)
    return file


def _metrics(measured: Measured) -> Table:
    columns = [
        Column("metric", words=True), Column("value [95 % interval]"), Column("real rows"),
        Column("how it was taken", words=True),
    ]  # fmt: skip
    rows = [
        Row([
            Cell(name, detail=METRICS[name].says), figure(found.value, found.interval),
            figure(math.nan if found.floor is None else found.floor),
            words(f"{found.note}; comparable {found.comparable}"),
        ])
        for name, found in measured.found.items()
    ]  # fmt: skip
    return Table("metrics", "Intervals: 95 %, by the method named in the note", columns, rows)


def _projection(measured: Measured) -> Chart:
    from sklearn.decomposition import PCA

    rows = measured.rows
    base = next(role for role in ("reference", "train", "generated") if role in rows)
    count = min(2, *rows[base].shape)
    axes = PCA(count, svd_solver="randomized", random_state=0).fit(rows[base].astype(np.float64))
    series = []
    for i, (role, x) in enumerate(rows.items()):
        some = np.random.default_rng(0).permutation(len(x))[:POINTS]
        points = axes.transform(x[some].astype(np.float64))
        series.append(series_of(i, role, points[:, 0], points[:, -1]))
    return {"id": "projection", "kind": "points", "title": "The sets on principal axes",
            "x": f"first principal axis of {base}", "y": "second principal axis",
            "series": series}  # fmt: skip


def _distances(sets: Sets) -> Chart | None:
    """Return the distribution functions of distances to the nearest row of another set."""
    if not sets.has("train") and not sets.has("reference"):
        return None
    pairs = (("generated", "train"), ("reference", "train"), ("generated", "reference"),
             ("reference", "generated"))  # fmt: skip
    at = np.linspace(0, 1, 101)
    series = [
        series_of(i, f"{of} to {to}", np.quantile(nearest_distances_of(sets, of, to), at), at)
        for i, (of, to) in enumerate(pairs)
        if sets.has(of) and sets.has(to)
    ]
    return {"id": "distances", "kind": "lines", "title": "Share of rows within a distance",
            "x": "distance to the nearest row", "zero": True, "series": series}  # fmt: skip


def _spectra(measured: Measured) -> Chart | None:
    series = []
    for i, (role, x) in enumerate(measured.rows.items()):
        if len(x) < 2 or x.shape[1] > 4096:
            continue
        values = spectrum(x)[:VALUES]
        values[values < SMALLEST * values.max()] = np.nan  # 0 up to rounding
        series.append(series_of(i, role, np.arange(1, len(values) + 1), values))
    return {"id": "spectra", "kind": "lines", "title": "Eigenvalues of the covariance", "log": True,
            "x": "rank", "series": series} if series else None  # fmt: skip
