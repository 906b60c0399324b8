"""The coverage map of a choice: which pick stands for each row of the pool, and for how many."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from entroloop.distances.table import Distance
from entroloop.pools.hosts import InProcess
from entroloop.pools.rows import rows_of
from entroloop.pools.shard import Shard
from entroloop.samples import Array, Float64
from entroloop.selection.budget import budget_for
from entroloop.selection.pool import Pool, open_pool

Index = NDArray[np.int64]
ROWS_AT_ONCE = 8192


@dataclass(frozen=True, eq=False)
class CoverageMap:
    """Every row of a pool with its nearest pick.

    pick: int64 (m,), the place of that pick in pick order; of equally near picks the earliest.
    distance: float64 (m,), to it, without weights. weight: int64 (n,), how many rows each pick
    stands for, itself included; they sum to m. A copy of an earlier pick stands for none.
    """

    pick: Index
    distance: Float64
    weight: Index


def coverage_map_here(rows: Array, distance: Distance, picks: Index) -> CoverageMap:
    """Return the coverage map of rows (m, d) in this process, transformed, by picks among them."""
    described = rows_of(rows)
    budget = budget_for(described, len(picks), distance.transformed)
    budget.check()
    pool = open_pool(
        InProcess(described, [0, len(rows)]),
        described,
        budget,
        metric=distance.transformed,
        selectable=np.ones(len(rows), dtype=bool),
        weights=None,
        initial=np.empty(0, dtype=np.int64),
        outside=np.empty((0, rows.shape[1])),
        n=len(picks),
        device="auto",
    )
    return coverage_map_of(pool, picks)


def coverage_map_of(pool: Pool, picks: Index) -> CoverageMap:
    """Return the coverage map of a pool by picks; what was picked from the pool is forgotten.

    One pass over the pool, as the engine's own: float32 products where they are sure, and the
    definition where they leave a doubt (`Bounds.nearest`).
    """
    pool.sharded.tell(Shard.apply, _start, len(picks))
    pool.sharded.tell(Shard.add, pool.sharded.take(picks), picks)
    answers = pool.sharded.ask(Shard.apply, _nearest_picks)
    values, pick = (np.concatenate(parts) for parts in zip(*answers, strict=True))
    weight = np.bincount(pick, minlength=len(picks)).astype(np.int64)
    return CoverageMap(pick, pool.space.distance_of(values), weight)


def _start(shard: Shard, capacity: int) -> None:
    shard.bounds = shard.bounds.anew(capacity)


def _nearest_picks(shard: Shard) -> tuple[Float64, Index]:
    """Return each row's defining value to its nearest pick, and which that is."""
    m = len(shard.rows)
    values, pick = np.empty(m), np.empty(m, dtype=np.int64)
    for start in range(0, m, ROWS_AT_ONCE):
        some = np.arange(start, min(start + ROWS_AT_ONCE, m))
        shard.bounds.refresh(some)
        values[some], pick[some] = shard.bounds.nearest(some)
    return values, pick
