"""Measures of sets whose rows are spread over shards: neighbours, moments and copies.

Measures based on nearest neighbours equal those of a single process to the last bit. Moments are
sums over shards and agree to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entroloop.distances.neighbors import Neighbors, in_order_of_first
from entroloop.errors import InputError
from entroloop.pools.hosts import PoolEngine, ShardedRows
from entroloop.pools.rows import Rows, is_rows, rows_of
from entroloop.pools.shard import Shard
from entroloop.samples import Array, Float64, as_vectors, invalid_rows
from entroloop.system.memory import blocks

Index = NDArray[np.int64]
BLOCK_BYTES = 2**24  # of queries sent to every shard at once


class ShardedSet:
    """A set of rows over the shards of an engine; see `sharded`."""

    def __init__(self, rows: Rows, shards: ShardedRows) -> None:
        self.rows, self.shards = rows, shards
        self.shape = rows.shape

    def nearest(
        self, queries: Rows, k: int, of: Index | None = None, *, exclude: bool = False
    ) -> Neighbors:
        """Return the k nearest rows to each query.

        of: ascending indices of the queries to use (default: all). exclude: the queries are the
        rows themselves, and no row is its own neighbour.
        """
        index = np.arange(queries.shape[0]) if of is None else of
        best = Neighbors(np.empty((len(index), k)), np.empty((len(index), k), dtype=np.int64))
        for some in blocks(len(index), queries.dtype.itemsize * queries.shape[1], BLOCK_BYTES):
            first, last = int(index[some][0]), int(index[some][-1])
            rows = queries.between(first, last + 1).open()
            rows = np.asarray(rows if of is None else rows[index[some] - first])
            own = index[some] if exclude else None
            found = self.shards.ask(Shard.nearest, rows, own, k, "auto")
            distances = np.concatenate([f.distances for f in found], axis=1)
            indices = np.concatenate([f.indices for f in found], axis=1)
            order = np.lexsort((indices, distances))[:, :k]
            best.distances[some] = np.sqrt(np.take_along_axis(distances, order, axis=1))
            best.indices[some] = np.take_along_axis(indices, order, axis=1)
        return best

    def distinct(self) -> tuple[Index, Index]:
        """Return (first, inverse) as `neighbors.distinct_rows`, from 128-bit digests of rows."""
        digests = np.concatenate(self.shards.ask(Shard.digests))
        _, first, inverse = np.unique(
            digests.view([("a", np.uint64), ("b", np.uint64)]).ravel(),
            return_index=True, return_inverse=True,
        )  # fmt: skip
        return in_order_of_first(first, inverse)

    def moments(self) -> tuple[Float64, Float64]:
        """Return the mean (d,) and the covariance (d, d) with divisor n − 1."""
        first, *others = self.shards.ask(Shard.extent)
        centre = sum(others, first).mean
        found = self.shards.ask(Shard.moments, centre)
        n = sum(count for count, _, _ in found)
        if n < 2:
            raise InputError("the covariance needs at least 2 rows in each set")
        shift = sum(total for _, total, _ in found) / n
        scatter = sum(scatter for _, _, scatter in found) - n * np.outer(shift, shift)
        return centre + shift, scatter / (n - 1)


@contextmanager
def sharded(x: Array | Rows, engine: PoolEngine, name: str) -> Iterator[ShardedSet]:
    """Distribute rows over an engine's shards and release them at the end.

    Raises InputError, naming the set, for NaN or infinite values.
    """
    if not is_rows(x):
        x = as_vectors(np.asarray(x))
    rows = rows_of(x)
    if rows.dtype.kind not in "fiu" or 0 in rows.shape:
        raise InputError(
            f"{name} must be numeric rows (n, d), at least one; got shape {rows.shape}, dtype "
            f"{rows.dtype}"
        )
    hosts = engine.distribute(rows)
    try:
        shards = ShardedRows(hosts)
        invalid = shards.ask(Shard.invalid)
        if bad := sum(count for count, _ in invalid):
            raise invalid_rows(name, bad, [i for _, first in invalid for i in first])
        yield ShardedSet(rows, shards)
    finally:
        hosts.close()


def distinct_epsilon(
    x: Any, engine: PoolEngine, k: int, floor: float
) -> tuple[Float64, int, int, int]:
    """Return the distance of each distinct row to its k-th nearest; the numbers of distinct rows,
    of all rows, and of values a row.

    floor > 0: do not merge copies, and add floor to every distance. Raises InputError if there are
    fewer than k other rows.
    """
    with sharded(x, engine, "x") as rows:
        n, d = rows.shape
        if not 1 <= k < n:
            raise InputError(f"k must be between 1 and n − 1 = {n - 1}; got {k}")
        first, _ = rows.distinct()
        if floor > 0:
            every = rows.nearest(rows.rows, k, exclude=True)
            return every.distances[:, -1] + floor, len(first), n, d
        if len(first) == 1:
            return np.zeros(1), 1, n, d
        if len(first) <= k:
            raise too_few_distinct(len(first), n, k)
        rows.shards.tell(Shard.keep_only, first)
        merged = rows.nearest(rows.rows, k, first, exclude=True)
        return merged.distances[:, -1], len(first), n, d


def too_few_distinct(distinct: int, n: int, k: int) -> InputError:
    """Return the error for fewer distinct rows than an entropy needs."""
    return InputError(f"only {distinct} of {n} rows are distinct; k = {k} needs {k + 1}")


def nearest_distances(
    queries: Any, rows: Any, engine: PoolEngine, names: tuple[str, str]
) -> Float64:
    """Return the distance (n,) from each query to its nearest row."""
    with sharded(rows, engine, names[1]) as others, sharded(queries, engine, names[0]) as asking:
        if asking.shape[1] != others.shape[1]:
            raise InputError(
                f"{names[0]} has {asking.shape[1]} values a row, {names[1]} {others.shape[1]}"
            )
        return others.nearest(asking.rows, 1).distances[:, 0]


def moments_of(sets: dict[str, Any], engine: PoolEngine, use: Callable[..., float]) -> float:
    """Return `use` applied to the moments of the sets, in order."""
    found = []
    for name, x in sets.items():
        with sharded(x, engine, name) as rows:
            found.append(rows.moments())
    return use(*found)
