"""Exact copies among the rows of a pool: greedy needs one of each, until only copies are left."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from entroloop.samples import Array, Float64

Index = NDArray[np.int64]
BLOCK = 8192  # rows at once


def copies_among(rows: Array, index: Index, weights: Float64 | None) -> Index:
    """Return those of some rows (their indices) that equal another of larger weight, or one of the
    same weight that comes before it in `index`. A few may be missed, none is wrong.

    Equal rows have equal products with two fixed directions; rows with equal products are compared.
    """
    directions = np.random.default_rng(0).standard_normal((2, rows.shape[1])).astype(np.float32)
    marks = np.empty((len(rows), 2), dtype=np.float32)
    for start in range(0, len(rows), BLOCK):
        part = slice(start, start + BLOCK)
        with np.errstate(over="ignore", invalid="ignore"):
            some = rows[part].astype(np.float32, copy=False)
            for column, direction in zip(marks[part].T, directions, strict=True):
                np.vecdot(some, direction, out=column)
    keys = (marks + 0).view(np.uint64)[:, 0][index]  # 0 for −0, which equals it
    repeated = _repeated(keys)  # few, mostly: to sort all by weight and index takes longer
    index, keys = index[repeated], keys[repeated]
    own = np.zeros(len(index)) if weights is None else -weights[index]
    order = np.lexsort((own, keys))  # stable
    keys, index = keys[order], index[order]
    same = np.flatnonzero(keys[1:] == keys[:-1])
    found = [np.empty(0, dtype=np.int64)]
    for start in range(0, len(same), BLOCK):
        first, second = (index[same[start : start + BLOCK] + k] for k in (0, 1))
        found.append(second[(rows[first] == rows[second]).all(axis=1)])
    return np.sort(np.concatenate(found))


def _repeated(keys: NDArray[np.uint64]) -> Index:
    """Return the positions of keys that are there more than once."""
    order = keys.argsort()
    equal, found = keys[order[1:]] == keys[order[:-1]], np.zeros(len(keys), dtype=bool)
    found[order[1:][equal]] = found[order[:-1][equal]] = True
    return np.flatnonzero(found)
