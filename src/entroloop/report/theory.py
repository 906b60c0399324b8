"""The page of the theory bench: each case's means over the closed forms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from entroloop.report.assembly import page_from
from entroloop.report.figures import Chart, series_of
from entroloop.report.page_tables import Cell, Column, Row, Table, words
from entroloop.system.numbers import MISSING, number, percent
from entroloop.theory.bench import LIMIT, verdict
from entroloop.theory.case import Case
from entroloop.theory.table import CASES

if TYPE_CHECKING:
    import pandas as pd


def theory_page(records: pd.DataFrame) -> str:
    """Return the page of the bench's records as HTML."""
    charts: list[Chart] = []
    sections = []
    for case in CASES.values():
        rows = records[records["case"] == case.name]
        own = [_chart(case, i, chart, part)
               for i, (chart, part) in enumerate(rows.groupby("chart", sort=False))]  # fmt: skip
        shown = [{"place": len(charts) + i, "chart": chart} for i, chart in enumerate(own)]
        charts += own
        sections.append({
            "case": case, "charts": shown, "forms": _forms(case, rows),
            "points": _points(case, rows),
        })  # fmt: skip
    found = verdict(records)
    return page_from(
        "theory.html.j2",
        fingerprint="theory bench",
        seeds=int(records["seeds"].iloc[0]),
        limit=f"{LIMIT:g}",
        found=found,
        largest=number(found.largest),
        by_chance=percent(found.by_chance),
        sections=sections,
        data={"arms": [], "charts": {"theory": charts}},
    )


def _chart(case: Case, number_of_chart: int, chart: str, rows: pd.DataFrame) -> Chart:
    """Return measured means with bars of `LIMIT` standard errors, and closed forms as lines."""
    series, fits = [], []
    for i, (curve, own) in enumerate(rows.groupby("curve", sort=False)):
        kind, bars = own["kind"].iloc[0], LIMIT * own["error"]
        name = f"{curve} (empirical)" if kind == "empirical" else str(curve)
        series.append(series_of(i, name, own["at"], own["mean"]) | {
            "low": (own["mean"] - bars).tolist(), "high": (own["mean"] + bars).tolist(),
        })  # fmt: skip
        if kind != "empirical":
            fits.append(series_of(i, name, own["at"], own["expected"]))
    return {"id": f"{case.name}-{number_of_chart}", "kind": "points", "title": chart,
            "x": case.axis, "series": series, "fits": fits}  # fmt: skip


def _forms(case: Case, rows: pd.DataFrame) -> Table:
    """Return the closed form of each curve, and how far its means are from it."""
    columns = [
        Column("quantity", words=True), Column("loop", words=True),
        Column("closed form", words=True), Column("largest deviation, in standard errors"),
    ]  # fmt: skip
    body = []
    for curve in case.curves:
        own = rows[(rows["chart"] == curve.chart) & (rows["curve"] == curve.name)]["deviation"]
        off = float("nan") if curve.kind == "empirical" else float(_size(own, curve.kind).max())
        kind = "worse" if off > LIMIT else ""
        body.append(Row([words(curve.chart), words(curve.name), words(curve.form),
                         Cell(number(off), off, kind=kind)]))  # fmt: skip
    return Table(
        f"{case.name}-forms", "What theory says, and how far the means are off", columns, body
    )


def _size(deviations: pd.Series, kind: str) -> Any:
    """Return how far means are off; below a bound nothing is."""
    return deviations.clip(lower=0) if kind == "at most" else deviations.abs()


def _points(case: Case, rows: pd.DataFrame) -> Table:
    columns = [
        Column("loop", words=True), Column("quantity", words=True), Column(case.axis),
        Column("mean"), Column("standard error"), Column("closed form"),
        Column("deviation, in standard errors"),
    ]  # fmt: skip
    body = [
        Row([
            words(row.curve), words(row.chart),
            *map(_cell, (row.at, row.mean, row.error, row.expected)),
            words(MISSING) if row.kind == "empirical" else _cell(row.deviation),
        ])
        for row in rows.itertuples(index=False)
    ]  # fmt: skip
    return Table(f"{case.name}-points", f"Every mean of {case.title}", columns, body)


def _cell(value: float) -> Cell:
    return Cell(number(float(value)), float(value))
