"""The page of `audit --html`: each verdict in pictures, samples above their nearest real rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from entroloop.cleaning.audit import VERDICTS, FalseAlarms
from entroloop.report.images import Picture, grid, picture, thumbnails
from entroloop.report.plain_page import write_plain_page
from entroloop.samples import Array

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from entroloop.commands.audit import Audited

SHOWN, COLUMNS = 48, 16  # samples of each verdict; in a row
NAMED = 16  # listed by name
POINTS = 2000  # of a verdict in the plane


def write_audit_page(audited: Audited, html: Path) -> None:
    """Write an audit to a single HTML file that opens offline.

    Raises InputError for a file that cannot be written.
    """
    write_plain_page(
        html,
        "audited.html.j2",
        figures={"plane": _plane(audited)},
        summary=audited.summary,
        rates={name: _rate(alarm) for name, alarm in audited.found.false_alarms.items()},
        classes=[_shown(audited, verdict) for verdict in VERDICTS],
    )


def _rate(alarm: FalseAlarms) -> str:
    low, high = alarm.interval
    return f"{alarm.rate:.2%} [{low:.2%}, {high:.2%}] of {alarm.n:,}; meant: {alarm.expected:.2%}"


def _plane(audited: Audited) -> Figure:
    """Plot typicality against d₁/d₂, by verdict."""
    import plotly.graph_objects as go

    from entroloop.report.figures import colour, lay_out

    figure, found = go.Figure(), audited.found
    for i, verdict in enumerate(VERDICTS):
        rows = np.flatnonzero(found.verdicts == verdict)[:POINTS]
        figure.add_scatter(
            x=found.ratio[rows].tolist(), y=found.typicality[rows].tolist(), mode="markers",
            name=verdict, marker={"color": colour(i), "size": 4, "opacity": 0.6},
        )  # fmt: skip
    lay_out(figure, "typicality", "d₁/d₂")
    return figure


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
        f"{own} ({near}, {d:.4g})"
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
    lines = []
    for start in range(0, len(rows), COLUMNS):
        for images in (own, real):
            part = images[start : start + COLUMNS]
            blank = np.full((COLUMNS - len(part), *part.shape[1:]), 128, dtype=np.uint8)
            lines += [part, blank]
    caption = f"{verdict}: generated samples, each above its nearest real one"
    return picture(grid(thumbnails(np.concatenate(lines)), COLUMNS), caption, scale=2)
