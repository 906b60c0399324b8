"""Exact nearest neighbours, by blocks, at the speed of a matrix multiply.

A float32 multiply of centred rows gives a shortlist that provably holds the neighbours; distances
and order then come from float64 differences of the stored values. Where float32 cannot separate
rows (far-apart clusters, lattices) the block is repeated in float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entroloop.distances.extents import centre_and_reach
from entroloop.distances.multipliers import NumpyMultiplier, on_device
from entroloop.distances.spaces import Euclidean, exact_pairs
from entroloop.errors import InputError
from entroloop.samples import Array, Float64
from entroloop.system.devices import device_for
from entroloop.system.memory import blocks
from entroloop.system.threads import in_threads, products_in_one_thread, threads_here

TILE_BYTES = 16 * 2**20
CHUNK_BYTES = 2**29  # of centred rows at once: larger sets (memory maps) go through in chunks
GROUP = 16  # columns of a tile whose least stands for them
SHORTLIST = 32  # rows a query, beyond which float64 makes a shorter list

Index = NDArray[np.int64]


@dataclass(frozen=True)
class Neighbors:
    """The k nearest rows: distances (n, k) float64, ascending, and indices (n, k) int64."""

    distances: Float64
    indices: Index


def nearest(
    queries: Array,
    rows: Array,
    k: int = 1,
    *,
    exclude_same_index: bool = False,
    device: str = "cpu",
) -> Neighbors:
    """Return the k nearest of `rows` (m, d) for each of `queries` (n, d); ties by lowest index.

    Any real dtype, memory maps included. `exclude_same_index` leaves row i out of the neighbours
    of query i (both sets the same). Distances are those of the float64 differences of the stored
    values, to a relative 1e-15 · d. device: cpu, cuda, or auto; results do not depend on it.

    Raises InputError unless 1 ≤ k ≤ m, or k < m with `exclude_same_index`.
    """
    most = len(rows) - exclude_same_index
    if not 1 <= k <= most:
        raise InputError(f"k must lie in 1 … {most} (the rows to search); got {k}")
    chunk = max(k + 1, CHUNK_BYTES // (4 * max(1, rows.shape[1])))
    chunks = [(rows[start : start + chunk], start) for start in range(0, len(rows), chunk)]
    own_index = np.arange(len(queries)) if exclude_same_index else None
    best = nearest_in(chunks, queries, own_index, k, device)
    np.sqrt(best.distances, out=best.distances)
    return best


def nearest_in(
    chunks: Sequence[tuple[Array, int]],
    queries: Array,
    own_index: Index | None,
    k: int,
    device: str,
) -> Neighbors:
    """Return the k nearest of the rows in chunks, each with the index of its first row.

    As `nearest`, but squared distances, and ∞ where there are fewer rows than k. own_index: the
    row that does not count as a neighbour of each query.
    """
    chosen = device_for(device)
    centre, reach = centre_and_reach(*(rows for rows, _ in chunks), queries)
    space = Euclidean(centre, reach, NumpyMultiplier())
    none = np.iinfo(np.int64).max
    best = Neighbors(np.full((len(queries), k), np.inf), np.full((len(queries), k), none))
    for rows, start in chunks:
        skip = None if own_index is None else own_index - start
        if len(rows):
            _search(_Chunk(space, rows, start, chosen), queries, skip, best)
    return best


class _Chunk:
    """Some of the rows, centred in float32, and in float64 on demand."""

    def __init__(self, space: Euclidean, rows: Array, start: int, device: str) -> None:
        self.space, self.rows, self.start = space, rows, start
        self._device, self.on_gpu = device, device != "cpu"
        self._prepared: dict[Any, tuple[Any, Float64]] = {}

    def prepared(self, dtype: Any) -> tuple[Any, Float64]:
        """Return [y, |y|²] of the rows where they are multiplied, and their lengths."""
        if dtype not in self._prepared:
            rows, sizes = self.space.prepare(self.rows, dtype)
            squares = np.einsum("ij,ij->i", rows, rows)
            both = np.concatenate([rows, squares[:, None]], axis=1)
            self._prepared[dtype] = (on_device(both, self._device), sizes)
        return self._prepared[dtype]

    def shortlist(self, queries: Array, skip: Index | None, k: int, dtype: Any) -> list[Index]:
        """Return pairs [query, row] that provably include the k nearest rows of each query.

        A product [−2x, 1]·[y, |y|²] is the squared distance less |x|²; the square comes out of the
        sum as one more term, which the bound covers.
        """
        space = self.space
        rows, sizes = self.prepared(dtype)
        x, own = space.prepare(queries, dtype)
        x = np.concatenate([-2 * x, np.ones((len(x), 1), dtype=dtype)], axis=1)
        slack = 2 * space.bound(own, float(sizes.max(initial=0)), dtype) / space.unit
        found: list[tuple[Index, Index]] = []
        for part in blocks(len(x), np.dtype(dtype).itemsize * len(rows), TILE_BYTES):
            choose = _candidates_on_gpu if self.on_gpu else _candidates
            left_out = None if skip is None else skip[part]
            i, j = choose(on_device(x[part], self._device) @ rows.T, left_out, k, slack[part])
            if left_out is not None:
                kept = j != left_out[i]
                i, j = i[kept], j[kept]
            found.append((i + part.start, j))
        return [np.concatenate(both) for both in zip(*found, strict=True)]


def _search(chunk: _Chunk, queries: Array, skip: Index | None, best: Neighbors) -> None:
    """Merge the nearest rows of a chunk into the best so far (squared distances)."""
    m, k = len(chunk.rows), best.distances.shape[1]
    block = max(1, min(4096, TILE_BYTES // (4 * m)))

    def search(start: int) -> None:
        part = np.arange(start, min(start + block, len(queries)))
        left_out = None if skip is None else skip[part]
        here = min(k, m)
        i, j = chunk.shortlist(queries[part], left_out, here, np.float32)
        long = np.bincount(i, minlength=len(part)) > SHORTLIST * k
        if long.any():
            keep, again = ~long[i], np.flatnonzero(long)
            some = None if left_out is None else left_out[again]
            i2, j2 = chunk.shortlist(queries[part[again]], some, here, np.float64)
            i, j = np.concatenate([i[keep], again[i2]]), np.concatenate([j[keep], j2])
        values = exact_pairs(chunk.space, queries, part[i], chunk.rows, j)
        # The best so far compete; they come from earlier chunks, so that they win ties.
        old = np.repeat(np.arange(len(part)), k)
        i, j = (
            np.concatenate([old, i]),
            np.concatenate([best.indices[part].ravel(), j + chunk.start]),
        )
        values = np.concatenate([best.distances[part].ravel(), values])
        order = np.lexsort((j, values, i))
        first = np.searchsorted(i[order], np.arange(len(part)))
        chosen = order[first[:, None] + np.arange(k)]
        best.distances[part], best.indices[part] = values[chosen], j[chosen]

    with products_in_one_thread():
        chunk.prepared(np.float32)  # once, before the threads ask for it
        in_threads(search, range(0, len(queries), block), 1 if chunk.on_gpu else threads_here())


def _candidates(tile: Array, skip: Index | None, k: int, slack: Float64) -> tuple[Index, Index]:
    """Return [line, column] of all that may be among the k least of each line of a tile."""
    if skip is not None:
        lines = np.flatnonzero((skip >= 0) & (skip < tile.shape[1]))
        tile[lines, skip[lines]] = np.inf
    kth = _at_most_kth(tile, k)
    limit = np.nextafter((kth + slack).astype(tile.dtype), tile.dtype.type(np.inf))
    i, j = np.divmod(np.flatnonzero(tile <= limit[:, None]), tile.shape[1])
    return i, j


def _candidates_on_gpu(tile: Any, skip: Array | None, k: int, slack: Array) -> tuple[Array, Array]:
    """Return [line, column] of all that may be among the k least of each line of a torch tile: at
    most `slack` above the k-th. skip: a column of each line to leave out.
    """
    import torch

    if skip is not None:
        lines = np.flatnonzero((skip >= 0) & (skip < tile.shape[1]))
        where = torch.from_numpy(np.stack([lines, skip[lines]])).to(tile.device)
        tile[where[0], where[1]] = torch.inf
    kth = tile.topk(k, dim=1, largest=False).values[:, -1].double()
    limit = (kth + torch.from_numpy(slack).to(tile.device)).to(tile.dtype)
    limit = torch.nextafter(limit, torch.full_like(limit, torch.inf))
    pairs: Array = (tile <= limit[:, None]).nonzero().cpu().numpy()
    return pairs[:, 0], pairs[:, 1]


def _at_most_kth(tile: Array, k: int) -> Array:
    """Return an upper bound on each row's k-th smallest value, near it, in one pass.

    The k-th least of the minima of groups of columns: each group holds at least one such value.
    """
    lines, m = tile.shape
    groups = m // GROUP
    if k == 1:
        least: Array = tile.min(axis=1)
        return least
    if groups < 8 * k:
        return np.asarray(np.partition(tile, k - 1, axis=1)[:, k - 1])
    minima = tile[:, : groups * GROUP].reshape(lines, GROUP, groups).min(axis=1)
    return np.asarray(np.partition(minima, k - 1, axis=1)[:, k - 1])


def distinct_rows(x: Array) -> tuple[Index, Index]:
    """Return (first, inverse): the index of the first copy of each distinct row, in order, and for
    each row which distinct row it is. −0.0 and 0.0 are equal.
    """
    rows = np.ascontiguousarray(x + x.dtype.type(0))  # + 0 turns −0.0 into 0.0
    as_bytes = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel()
    _, first, inverse = np.unique(as_bytes, return_index=True, return_inverse=True)
    return in_order_of_first(first, inverse.ravel())


def in_order_of_first(first: Index, inverse: Index) -> tuple[Index, Index]:
    """Return what `np.unique` found, numbered by first appearance rather than by value."""
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return first[order].astype(np.int64), rank[inverse].astype(np.int64)
