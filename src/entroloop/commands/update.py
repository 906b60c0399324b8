"""A rolling coreset: a choice that is made anew, at a fixed size, as rows arrive.

The new choice is made among the rows chosen before and the new ones, greedily from the same first
row. That is the choice among all rows ever seen where all that this would take of the rows before
had been chosen. Otherwise it is a composable core-set, made again at each update, and what can be
said is a radius. With R the largest distance of a row of this union to its nearest pick, L that of
a row that leaves, and B′ the bound of the earlier choice,

    B = max(R, B′ + L)

holds for every row ever offered, by the triangle inequality: a row seen before lies within B′ of a
row chosen before, which stays or lies within L of a pick. Since L ≤ R, B is at most the sum of the
R of all updates; for greedy each of these is at most twice the least possible radius of n rows
(Gonzalez 1985), so that T choices are within 2 T times it: two times two, as for the two rounds of
Malkomes et al. (2015), for one update.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from entroloop.commands.chosen import content_of
from entroloop.commands.materialize import rank_of
from entroloop.commands.pools import Origin, Pools
from entroloop.data.loading import read_set
from entroloop.data.sets import FileSet
from entroloop.errors import InputError, one_line
from entroloop.samples import Array
from entroloop.selection import Selection
from entroloop.system.output_folder import OutputFolder
from entroloop.system.seal import lies_below

NEEDED = {"sources", "pools", "features", "metric"}  # of summary.json


@dataclass(frozen=True, eq=False)
class Earlier:
    """A choice that an earlier `select` wrote.

    folder: where. table: its selection.parquet. summary: its summary.json. sets, origins: its rows,
    a set for each of their pools, in pick order within it.
    """

    folder: Path
    table: Any
    summary: dict[str, Any]
    sets: list[FileSet]
    origins: list[Origin]


def read_earlier(folder: Path, *, strict: bool, columns: list[str] | None) -> Earlier:
    """Read the choice in a folder: the rows that it holds, or those of its pools, by their index.

    columns: of its rows that are needed for groups and weights.

    Raises InputError for a folder that is not as `select` wrote it, by its manifest, and for rows
    that are no longer those that were chosen.
    """
    OutputFolder(folder).verify()
    table, summary = _table_and_summary(folder)
    kept = _kept_rows(folder, len(table), strict, columns)
    names = table["pool"].tolist()
    sets, origins = [], []
    for name in dict.fromkeys(names):
        own = np.flatnonzero(table["pool"] == name)
        index = table["index"].to_numpy(np.int64)[own]
        if kept is not None:
            found, origin = kept
            place = own
        else:
            found, origin = _of_source(name, summary["sources"], strict, columns)
            place = _places(found.index, index, name)
        ids = [table["id"].iloc[i] for i in own]
        sets.append(_rows_of(found, place, name, ids, index))
        origins.append(Origin(origin.path, origin.place[place], origin.ours))
    earlier = Earlier(folder, table, summary, sets, origins)
    _refuse_changed(earlier)
    return earlier


def _table_and_summary(folder: Path) -> tuple[Any, dict[str, Any]]:
    import pandas as pd

    try:
        table = pd.read_parquet(folder / "selection.parquet")
        summary = json.loads((folder / "summary.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        told = one_line(error, 160)
        raise InputError(f"{folder} holds no selection of entroloop ({told})") from None
    told_all = isinstance(summary, dict) and summary.keys() >= NEEDED
    told_all = told_all and isinstance(summary["sources"], dict)
    if not told_all or not {"pool", "index", "id", "rank", "radius"} <= set(table.columns):
        raise InputError(f"{folder} was written by another version of entroloop; select again")
    names = [*table["pool"].astype(str), *table["id"].astype(str)]
    if not all(map(lies_below, names)) or any("/" in name for name in table["pool"]):
        raise InputError(f"{folder}/selection.parquet holds names that lead elsewhere")
    return table, summary


def _kept_rows(
    folder: Path, n: int, strict: bool, columns: list[str] | None
) -> tuple[FileSet, Origin] | None:
    """Return the rows that --materialize kept, in pick order; None where it kept none."""
    places = [folder / "chosen.parquet", folder / "chosen"]
    path = next((p for p in places if p.exists()), None)
    if path is None:
        return None
    found = read_set(path, "update", strict=strict, columns=columns)
    if len(found.ids) != n:
        raise InputError(f"{path} holds {len(found.ids)} rows that can be read, {n} were chosen")
    if found.paths is not None:
        found.keep(np.argsort([rank_of(name) for name in found.ids]))
    return found, Origin(path, found.index, ours=True)


def _of_source(
    name: str, sources: dict[str, str], strict: bool, columns: list[str] | None
) -> tuple[FileSet, Origin]:
    if name not in sources:
        raise InputError(
            f"the rows of pool '{name}' are not kept in the earlier choice: make it with "
            "--materialize"
        )
    path = Path(sources[name])
    found = read_set(path, name, strict=strict, columns=columns)
    return found, Origin(path, found.index)


def _places(index: Array, wanted: Array, name: str) -> Array:
    """Return where the rows of these indices lie among those that were read."""
    order = np.argsort(index)
    at = np.minimum(np.searchsorted(index[order], wanted), len(index) - 1)
    places: Array = order[at]
    if (index[places] != wanted).any():
        raise InputError(f"pool '{name}' lacks rows that were chosen from it: it has changed")
    return places


def _rows_of(found: FileSet, place: Array, name: str, ids: list[str], index: Array) -> FileSet:
    return FileSet(
        name,
        found.data[place],
        ids,
        index,
        columns={column: values[place] for column, values in found.columns.items()},
        paths=None if found.paths is None else [found.paths[i] for i in place],
    )


def _refuse_changed(earlier: Earlier) -> None:
    pools = Pools(earlier.sets, earlier.origins)
    order = np.argsort(np.concatenate([
        np.flatnonzero(earlier.table["pool"] == s.name) for s in earlier.sets
    ]))  # fmt: skip
    told = earlier.summary.get("content")
    if told is not None and content_of(pools, order) != told:
        raise InputError(
            f"the rows of {earlier.folder} are not those that were chosen: their files were "
            "changed, or are read with other options"
        )


def what_left(earlier: Earlier, selection: Selection) -> Any:
    """Return a table of the rows of the earlier choice that left, with their nearest picks now.

    The rows of the earlier choice are the first of the selection's pool, set by set.
    """
    import pandas as pd

    rows = np.concatenate([np.flatnonzero(earlier.table["pool"] == s.name) for s in earlier.sets])
    gone = ~np.isin(np.arange(len(rows)), selection.indices)
    assignment = selection.assignment
    table = earlier.table.iloc[rows[gone]][["pool", "index", "id", "rank", "radius"]]
    at = np.flatnonzero(gone)
    told = table.assign(pick=assignment.pick[at], distance=assignment.distance[at])
    left: pd.DataFrame = told.sort_values("rank").reset_index(drop=True)
    return left


def update_told(
    earlier: Earlier, selection: Selection, left: Any, now: dict[str, Any], *, varies: bool
) -> dict[str, Any]:
    """Return what summary.json tells of an update beyond what it tells of any choice (`now`).

    varies: whether distances are learned from each pool, so that those of two choices differ.
    radius_bound: no row ever offered lies farther from a pick; None where that is not known.
    """
    before = earlier.summary
    bound, same = before.get("radius_bound"), not varies
    same &= all(before[name] == now[name] for name in ("features", "metric"))
    gone = float(left["distance"].max()) if len(left) else 0.0
    largest = float(selection.assignment.distance.max())
    offered = sum(pool["rows"] for pool in now["pools"].values()) - len(earlier.table)
    seen = before.get("update", {}).get("rows_seen")
    if seen is None:
        seen = sum(pool["rows"] for pool in before["pools"].values())
    return {
        "update": {
            "rows_seen": seen + offered,
            "stayed": len(earlier.table) - len(left),
            "left": len(left),
        },
        "sources": before["sources"] | now["sources"],
        "radius_bound": max(largest, bound + gone) if same and bound is not None else None,
    }
