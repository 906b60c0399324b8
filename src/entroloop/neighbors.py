"""Exact nearest neighbours and distances by blocks: the one numerical core.

All decisions are taken on float64 distances between the stored values.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from entroloop.samples import Array

Float64 = NDArray[np.float64]

BLOCK_BYTES = 64 * 2**20  # of one block of distances or differences


@dataclass(frozen=True)
class Neighbors:
    """The k nearest rows: distances (n, k) float64, ascending, and indices (n, k) int64."""

    distances: Float64
    indices: NDArray[np.int64]


def squared_distances(rows: Array, point: Array) -> Float64:
    """Return the squared Euclidean distances that decide a selection, float64 (n,).

    Exactly `((rows64 − point64)**2).sum(axis=1)`: the order of summation is part of the
    definition, since near-ties are decided by the last bit.
    """
    point = point.astype(np.float64)
    block = max(1, BLOCK_BYTES // (8 * max(1, rows.shape[1])))
    out = np.empty(len(rows))
    for start in range(0, len(rows), block):
        difference = rows[start : start + block].astype(np.float64) - point
        out[start : start + block] = np.square(difference, out=difference).sum(axis=1)
    return out


def nearest(queries: Array, rows: Array, k: int = 1, exclude_same_index: bool = False) -> Neighbors:
    """Return the k nearest of `rows` (m, d) for each of `queries` (n, d); ties by lowest index.

    `exclude_same_index` leaves row i out of the neighbours of query i (both sets the same).
    Needs k ≤ m, or k < m with `exclude_same_index`.
    """
    rows64 = np.ascontiguousarray(rows, dtype=np.float64)
    block = max(1, BLOCK_BYTES // (8 * max(1, len(rows))))
    distances, indices = np.empty((len(queries), k)), np.empty((len(queries), k), dtype=np.int64)
    for start in range(0, len(queries), block):
        part = slice(start, min(start + block, len(queries)))
        d = cdist(queries[part].astype(np.float64), rows64)
        if exclude_same_index:
            d[np.arange(len(d)), np.arange(part.start, part.stop)] = np.inf
        found = np.argsort(d, axis=1, kind="stable")[:, :k] if k > 1 else d.argmin(axis=1)[:, None]
        indices[part] = found
        distances[part] = np.take_along_axis(d, found, axis=1)
    return Neighbors(distances, indices)


def distinct_rows(x: Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (first, inverse): the index of the first copy of each distinct row, and for each
    row which distinct row it is. −0.0 and 0.0 are equal.
    """
    rows = np.ascontiguousarray(x + x.dtype.type(0))  # + 0 turns −0.0 into 0.0
    as_bytes = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel()
    _, first, inverse = np.unique(as_bytes, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return first[order].astype(np.int64), rank[inverse.ravel()].astype(np.int64)
