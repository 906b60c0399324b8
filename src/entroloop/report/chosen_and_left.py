"""Rows of a selection of files: the first picks, and rows that were left beside their picks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from entroloop.report.images import Picture, tile_of
from entroloop.report.page_tables import Cell, Column, Row, Table, figure, words
from entroloop.report.took_and_left import spread_out

if TYPE_CHECKING:
    from entroloop.commands.chosen import Chosen

CHOSEN, LEFT = 48, 32  # rows of each


def _name(chosen: Chosen, row: int) -> str:
    origin = chosen.pools.columns_of(np.array([row]))
    return f"{origin['pool'][0]}: {origin['id'][0]}"


def _image(chosen: Chosen, row: int, name: str) -> Picture:
    [(found, own)] = chosen.pools.chosen(np.array([row]))
    return tile_of(np.asarray(found.data[own]), name)


def first_picks(chosen: Chosen) -> list[dict[str, Any]]:
    """Return the first picks in order: name, radius, how many rows each stands for, picture."""
    selection, images = chosen.selection, chosen.pools.are_images
    picks = []
    for rank, row in enumerate(selection.indices[:CHOSEN].tolist()):
        name = _name(chosen, row)
        picks.append({
            "rank": rank + 1, "name": name, "radius": float(selection.radii[rank]),
            "weight": int(selection.assignment.weight[rank]),
            "picture": _image(chosen, row, name) if images else None,
        })  # fmt: skip
    return picks


def left_rows(chosen: Chosen) -> list[dict[str, Any]]:
    """Return rows that were left, from the nearest to a pick to the farthest, each with it."""
    selection, images = chosen.selection, chosen.pools.are_images
    free = np.setdiff1d(np.arange(len(chosen.pools.names)), selection.indices)
    if not len(free):
        return []
    distance, pick = selection.assignment.distance, selection.assignment.pick
    left = []
    for row in spread_out(free[np.argsort(distance[free], kind="stable")], LEFT).tolist():
        both = (row, int(selection.indices[pick[row]]))
        name, covering = (_name(chosen, i) for i in both)
        left.append({
            "name": name, "covering": covering, "rank": int(pick[row]) + 1,
            "distance": float(distance[row]),
            "pictures": [_image(chosen, row, name), _image(chosen, both[1], covering)]
            if images else None,
        })  # fmt: skip
    return left


def in_tables(picks: list[dict[str, Any]], left: list[dict[str, Any]]) -> tuple[Table, Table]:
    """Return both as tables, for rows that have no pictures."""
    columns = [Column("pick"), Column("row", words=True), Column("radius"), Column("stands for")]
    first = [
        Row([_count(one["rank"]), words(one["name"]), figure(one["radius"]), _count(one["weight"])])
        for one in picks
    ]  # fmt: skip
    headings = [
        Column("row", words=True), Column("covered by", words=True), Column("pick"),
        Column("distance"),
    ]  # fmt: skip
    rest = [
        Row([words(one["name"]), words(one["covering"]), _count(one["rank"]),
             figure(one["distance"])])
        for one in left
    ]  # fmt: skip
    return (
        Table("taken", "The first picks, in order; how many rows each stands for", columns, first),
        Table("left-out", "From the nearest to a pick to the farthest", headings, rest),
    )


def _count(count: int) -> Cell:
    return Cell(f"{count:,}", count)
