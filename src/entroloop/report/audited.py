"""The page of `audit --html`: each verdict in pictures, samples above their nearest real rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from entroloop.cleaning.audit import VERDICTS, FalseAlarms
from entroloop.report.assembly import write_page_from
from entroloop.report.figures import Chart, series_of
from entroloop.report.images import Picture, above_nearest, sheet, tiles
from entroloop.report.page_tables import Cell, Column, Row, Table, words
from entroloop.samples import Array
from entroloop.system.numbers import number, percent, percent_with_interval

if TYPE_CHECKING:
    from entroloop.commands.audit import Audited

SHOWN, COLUMNS = 48, 16  # samples of each verdict; in a row
NAMED = 16  # listed by name
POINTS = 2000  # of a verdict in the plane


def write_audit_page(audited: Audited, html: Path) -> None:
    """Write an audit to a single HTML file that opens offline.

    Raises InputError for a file that cannot be written.
    """
    chart = _plane(audited)
    write_page_from(
        "audited.html.j2",
        html,
        fingerprint="audit of generated samples",
        summary=audited.summary,
        verdicts=_verdicts(audited),
        chart=chart,
        classes=[_shown(audited, verdict) for verdict in VERDICTS],
        data={"arms": [], "charts": {"audit": [chart]}},
    )


def _verdicts(audited: Audited) -> Table:
    at = audited.summary["thresholds"]
    when = {
        "copy": "equal values",
        "near-copy": f"d₁ ≤ {number(at['distance'])} or d₁/d₂ ≤ {number(at['ratio'])}",
        "stray": f"typicality ≤ {number(at['level'])}",
        "keep": "none of these",
    }
    alarms = {name: _rate(alarm) for name, alarm in audited.found.false_alarms.items()}
    columns = [
        Column("verdict", words=True), Column("rows"), Column("when", words=True),
        Column("real rows that are flagged, each beside a half it is not in", words=True),
    ]  # fmt: skip
    rows = [
        Row([words(verdict), Cell(f"{count:,}", count), words(when[verdict]),
             words(alarms.get(verdict, "–"))])
        for verdict, count in audited.summary["counts"].items()
    ]  # fmt: skip
    return Table("verdicts", "What becomes of the generated rows", columns, rows)


def _rate(alarm: FalseAlarms) -> str:
    shown = percent_with_interval(alarm.rate, alarm.interval)
    return f"{shown} of {alarm.n:,}; meant: {percent(alarm.expected)}"


def _plane(audited: Audited) -> Chart:
    """Return typicality against d₁/d₂, by verdict."""
    found, series = audited.found, []
    for i, verdict in enumerate(VERDICTS):
        rows = np.flatnonzero(found.verdicts == verdict)[:POINTS]
        series.append(series_of(i, verdict, found.ratio[rows], found.typicality[rows]))
    return {"id": "plane", "kind": "points", "title": "Typicality", "x": "d₁/d₂",
            "series": series}  # fmt: skip


def _shown(audited: Audited, verdict: str) -> dict[str, Any]:
    """Return the first samples of a verdict, the clearest cases first, with their names."""
    found = audited.found
    rows = np.flatnonzero(found.verdicts == verdict)
    clear = {"near-copy": found.ratio, "stray": -found.d1}.get(verdict)
    if clear is not None:
        rows = rows[np.argsort(clear[rows], kind="stable")]
    rows = rows[:SHOWN]
    names = audited.made.columns_of(rows[:NAMED])["id"]
    real = audited.real.columns_of(found.nearest[rows[:NAMED]])["id"]
    pairs = [
        f"{own} ({near}, {number(d)})"
        for own, near, d in zip(names, real, found.d1[rows[:NAMED]], strict=True)
    ]
    return {
        "name": verdict,
        "count": found.counts[verdict],
        "pairs": pairs,
        "picture": _picture(audited, rows, verdict) if len(rows) else None,
    }


def _picture(audited: Audited, rows: Array, verdict: str) -> Picture | None:
    own, real = audited.made.images(rows), audited.real.images(audited.found.nearest[rows])
    if own is None or real is None:
        return None
    columns = min(COLUMNS, len(rows))
    caption = f"{verdict}: generated samples, each above its nearest real one"
    return sheet(tiles(above_nearest(own, real, columns)), columns, caption)
