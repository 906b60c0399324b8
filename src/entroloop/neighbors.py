"""Exact nearest neighbours, by blocks, at the speed of a matrix multiply.

A float32 multiply of centred rows makes a shortlist that certainly holds the neighbours, its bound
proven; distances and order are then taken from float64 differences of the stored values. Where
float32 cannot tell rows apart (far-apart clusters, lattices) the block is done again in float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entroloop.multiply import NumpyMultiplier
from entroloop.samples import Array, Float64
from entroloop.spaces import Euclidean, centre_and_reach

TILE_BYTES = 16 * 2**20
SHORTLIST = 32  # rows a query, beyond which float64 makes a shorter list


@dataclass(frozen=True)
class Neighbors:
    """The k nearest rows: distances (n, k) float64, ascending, and indices (n, k) int64."""

    distances: Float64
    indices: NDArray[np.int64]


def nearest(
    queries: Array,
    rows: Array,
    k: int = 1,
    *,
    exclude_same_index: bool = False,
) -> Neighbors:
    """Return the k nearest of `rows` (m, d) for each of `queries` (n, d); ties by lowest index.

    Any real dtype, memory maps included. `exclude_same_index` leaves row i out of the neighbours
    of query i (both sets the same). Needs k ≤ m, or k < m with `exclude_same_index`. Distances
    are those of the float64 differences of the stored values, to a relative 1e-15 · d.
    """
    centre, reach = centre_and_reach(rows, queries)
    space = Euclidean(centre, reach, NumpyMultiplier())
    found = Neighbors(np.empty((len(queries), k)), np.empty((len(queries), k), dtype=np.int64))
    prepared: dict[Any, tuple[Array, Float64]] = {np.float32: space.prepare(rows, np.float32)}
    block = max(1, min(4096, TILE_BYTES // (4 * len(rows))))
    for start in range(0, len(queries), block):
        part = np.arange(start, min(start + block, len(queries)))
        skip = part if exclude_same_index else None
        i, j = _shortlist(space, queries[part], prepared[np.float32], np.float32, k, skip)
        long = np.bincount(i, minlength=len(part)) > SHORTLIST * k
        if long.any():
            if np.float64 not in prepared:
                prepared[np.float64] = space.prepare(rows, np.float64)
            keep = ~long[i]
            again = np.flatnonzero(long)
            some = None if skip is None else skip[again]
            i2, j2 = _shortlist(
                space, queries[part[again]], prepared[np.float64], np.float64, k, some
            )
            i, j = np.concatenate([i[keep], again[i2]]), np.concatenate([j[keep], j2])
        values = _exact_pairs(space, queries, part, rows, i, j)
        order = np.lexsort((j, values, i))
        first = np.searchsorted(i[order], np.arange(len(part)))
        best = order[first[:, None] + np.arange(k)]
        found.distances[part] = np.sqrt(values[best])
        found.indices[part] = j[best]
    return found


def _shortlist(
    space: Euclidean,
    queries: Array,
    prepared: tuple[Array, Float64],
    dtype: type,
    k: int,
    skip: NDArray[np.int64] | None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return pairs (query, row) that certainly hold the k nearest rows of each query."""
    rows, sizes = prepared
    x, own = space.prepare(queries, dtype)
    error = space.bound(own, float(sizes.max(initial=0)), dtype)
    i_all, j_all = [], []
    block = max(1, TILE_BYTES // (np.dtype(dtype).itemsize * len(rows)))
    for start in range(0, len(x), block):
        part = slice(start, start + block)
        tile = space.tile(x[part], own[part], rows)
        lines = np.arange(len(tile))
        if skip is not None:
            tile[lines, skip[part]] = np.inf
        kth = np.partition(tile, k - 1, axis=1)[:, k - 1] if k > 1 else tile.min(axis=1)
        limit = np.nextafter((kth + 2 * error[part] / space.unit).astype(dtype), dtype(np.inf))
        i, j = np.divmod(np.flatnonzero(tile <= limit[:, None]), tile.shape[1])
        i_all.append(i + start)
        j_all.append(j)
    return np.concatenate(i_all), np.concatenate(j_all)


def _exact_pairs(
    space: Euclidean,
    queries: Array,
    part: NDArray[np.int64],
    rows: Array,
    i: NDArray[np.int64],
    j: NDArray[np.int64],
) -> Float64:
    values = np.empty(len(i))
    block = 65_536
    for start in range(0, len(i), block):
        some = slice(start, start + block)
        values[some] = space.exact(queries[part[i[some]]], rows[j[some]])
    return values


def distinct_rows(x: Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (first, inverse): the index of the first copy of each distinct row, in order, and for
    each row which distinct row it is. −0.0 and 0.0 are equal.
    """
    rows = np.ascontiguousarray(x + x.dtype.type(0))  # + 0 turns −0.0 into 0.0
    as_bytes = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel()
    _, first, inverse = np.unique(as_bytes, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return first[order].astype(np.int64), rank[inverse.ravel()].astype(np.int64)
