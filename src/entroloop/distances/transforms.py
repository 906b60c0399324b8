"""Transforms that turn cosine and mahalanobis into the Euclidean distance.

A row's transform does not depend, to the last bit, on the rows transformed with it: one process and
many get the same values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from entroloop.errors import InputError
from entroloop.samples import Array, Float64

BLOCK = 1024  # rows of one product; its shape is part of how it rounds


def unit_rows(x: Array, start: int = 0, *, refused: str = "cosine distance") -> Float64:
    """Return rows (m, d) divided by their length, float64.

    start: the index of the first. refused: what is not defined for a row of length 0; an empty
    text leaves such rows as they are. Raises InputError for a zero vector.
    """
    x64: Float64 = x.astype(np.float64, order="C")  # sums round by the layout
    lengths = np.sqrt(np.square(x64).sum(axis=1))
    zero = np.flatnonzero(lengths == 0)
    if len(zero) and refused:
        raise InputError(
            f"{refused} is not defined for zero vectors (row {start + zero[0]} has length 0, "
            f"{len(zero)} in all); drop them, or take another metric"
        )
    lengths[zero] = 1.0
    x64 /= lengths[:, None]
    return x64


@dataclass(frozen=True)
class Whitening:
    """(x − mean) W, W the inverse root of a covariance (divisor n − 1), float64."""

    mean: Float64
    factor: Float64

    @classmethod
    def of(cls, blocks: Callable[[], Iterable[Array]]) -> Whitening:
        """Return the whitening of the rows in these blocks, which are read twice.

        Directions without variance are dropped. The same blocks give the same bits.
        """
        total, n = np.zeros(1), 0
        for x in blocks():
            total, n = total + x.sum(axis=0, dtype=np.float64), n + len(x)
        mean = total / n
        scatter = np.zeros((len(mean), len(mean)))
        for x in blocks():
            centred = x.astype(np.float64) - mean
            scatter += centred.T @ centred
        values, vectors = np.linalg.eigh(scatter / max(n - 1, 1))
        kept = values > values.max(initial=0) * len(values) * np.finfo(np.float64).eps
        return cls(mean, vectors[:, kept] / np.sqrt(values[kept]))

    def __call__(self, x: Array, start: int = 0) -> Float64:
        """Return rows (m, d) of a pool, the first of which is row `start`, whitened: (m, k)."""
        out = np.empty((len(x), self.factor.shape[1]))
        block = np.zeros((BLOCK, len(self.mean)))
        first = -(start % BLOCK)
        while first < len(x):
            part = slice(max(first, 0), min(first + BLOCK, len(x)))
            own = slice(part.start - first, part.stop - first)
            block[own] = x[part]
            block[own] -= self.mean
            out[part] = (block @ self.factor)[own]
            first += BLOCK
        return out
