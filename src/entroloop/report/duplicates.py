"""The page of `duplicates --html`: how many there are at each threshold, and the groups."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from entroloop.report.images import Picture, grid, picture, thumbnails
from entroloop.report.plain_page import write_plain_page

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from entroloop.commands.duplicates import FoundDuplicates

GROUPS, MEMBERS = 60, 12  # shown of all groups, the largest first, and of a group


def write_duplicates_page(found: FoundDuplicates, html: Path) -> None:
    """Write the groups to a single HTML file that opens offline.

    Raises InputError for a file that cannot be written.
    """
    write_plain_page(
        html,
        "duplicates.html.j2",
        figures={"curve": _curve(found.summary["curve"])},
        summary=found.summary,
        groups=_shown(found),
        most=MEMBERS,
    )


def _curve(curve: list[dict[str, float]]) -> Figure:
    import plotly.graph_objects as go

    from entroloop.report.figures import colour, lay_out

    figure = go.Figure()
    for i, name in enumerate(("pairs", "dropped")):
        figure.add_scatter(
            x=[step["threshold"] for step in curve], y=[step[name] for step in curve],
            mode="lines+markers", name=name, line={"color": colour(i)},
        )  # fmt: skip
    lay_out(figure, "how many", "threshold")
    return figure


def _shown(found: FoundDuplicates) -> list[dict[str, Any]]:
    """Return the largest groups: members, the representative first, and a picture of them."""
    groups = found.groups
    sizes = np.bincount(groups.group)
    shown = []
    for group in np.argsort(-sizes, kind="stable")[:GROUPS].tolist():
        start = int(np.searchsorted(groups.group, group))
        rows = groups.rows[start : start + sizes[group]]
        first = groups.representative[start : start + sizes[group]]
        rows = np.concatenate([rows[first], rows[~first]])[:MEMBERS]
        origin = found.pools.columns_of(rows)
        names = [f"{p}: {i}" for p, i in zip(origin["pool"], origin["id"], strict=True)]
        shown.append({
            "number": group,
            "size": int(sizes[group]),
            "names": names,
            "picture": _picture(found, rows, names),
        })  # fmt: skip
    return shown


def _picture(found: FoundDuplicates, rows: Any, names: list[str]) -> Picture | None:
    images = found.pools.images(rows)
    if images is None:
        return None
    return picture(grid(thumbnails(images), len(rows)), ", ".join(names), scale=2)
