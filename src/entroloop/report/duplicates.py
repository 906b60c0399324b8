"""The page of `duplicates --html`: how many there are at each threshold, and the groups."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from entroloop.report.assembly import write_page_from
from entroloop.report.figures import Chart, series_of
from entroloop.report.images import Picture, sheet, tiles
from entroloop.report.page_tables import Cell, Column, Row, Table, words

if TYPE_CHECKING:
    from entroloop.commands.duplicates import FoundDuplicates

GROUPS, MEMBERS = 60, 12  # shown of all groups, the largest first, and of a group


def write_duplicates_page(found: FoundDuplicates, html: Path) -> None:
    """Write the groups to a single HTML file that opens offline.

    Raises InputError for a file that cannot be written.
    """
    chart = _curve(found.summary["curve"])
    write_page_from(
        "duplicates.html.j2",
        html,
        fingerprint="near-duplicates",
        chart=chart,
        summary=found.summary,
        pools=_pools(found.summary["pools"]),
        groups=_shown(found),
        most=MEMBERS,
        data={"arms": [], "charts": {"found": [chart]}},
    )


def _curve(curve: list[dict[str, float]]) -> Chart:
    thresholds = [step["threshold"] for step in curve]
    series = [
        series_of(i, name, thresholds, [step[name] for step in curve])
        for i, name in enumerate(("pairs", "dropped"))
    ]
    return {"id": "curve", "kind": "lines", "title": "How many, by threshold", "x": "threshold",
            "zero": True, "series": series}  # fmt: skip


def _pools(pools: dict[str, dict[str, int]]) -> Table:
    names = ("rows", "in_groups", "dropped")
    columns = [Column("pool", words=True), *(Column(name.replace("_", " ")) for name in names)]
    rows = [
        Row([words(pool), *(Cell(f"{counts[name]:,}", counts[name]) for name in names)])
        for pool, counts in pools.items()
    ]
    return Table("pools", "Rows of each pool, those in groups, those that need not be kept",
                 columns, rows)  # fmt: skip


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
    return sheet(tiles(images), len(rows), ", ".join(names))
