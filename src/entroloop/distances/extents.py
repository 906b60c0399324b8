"""Extents: where rows lie, and how far from their middle; what a space centres and scales by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from entroloop.samples import Array, Float64
from entroloop.system.memory import blocks

BLOCK_BYTES = 16 * 2**20  # of rows read at once
SAMPLE = 64  # rows of a set that tell where most of it lies


@dataclass(frozen=True)
class Extent:
    """Sum, number, least and largest values of rows, and some of them (`sample`).

    The sum of two extents covers both.
    """

    total: Float64
    count: int
    low: Float64
    high: Float64
    sample: Float64

    def __add__(self, other: Extent) -> Extent:
        return Extent(
            self.total + other.total,
            self.count + other.count,
            np.minimum(self.low, other.low),
            np.maximum(self.high, other.high),
            np.concatenate([self.sample, other.sample]),
        )

    @property
    def mean(self) -> Float64:
        """The mean row."""
        mean: Float64 = self.total / max(self.count, 1)
        return mean

    def _centre(self) -> Float64:
        """Return the mean row, or, where a few rows far away move it, the median of each value."""
        if not len(self.sample):
            return self.mean
        median = np.median(self.sample, axis=0)
        with np.errstate(over="ignore", invalid="ignore"):
            most = [np.quantile(np.square(self.sample - centre).sum(axis=1), 0.9)
                    for centre in (self.mean, median)]  # fmt: skip
        return median if most[1] < most[0] / 4 else self.mean

    def centre_and_reach(self) -> tuple[Float64, float]:
        """Return a row in the middle of most rows, and a bound of any row's distance from it."""
        centre = self._centre()
        span = np.maximum(self.high - centre, centre - self.low)
        with np.errstate(over="ignore"):  # such rows are refused by name where they are used
            largest = float(span.max(initial=0))
            if not 0 < largest < np.inf:
                return centre, largest
            return centre, largest * float(np.sqrt(np.square(span / largest).sum()))


def extent(x: Array) -> Extent:
    """Return the extent of rows (m, d), read in blocks."""
    d = x.shape[1]
    total, low, high = np.zeros(d), np.full(d, np.inf), np.full(d, -np.inf)
    for some in blocks(len(x), x.dtype.itemsize * d, BLOCK_BYTES):
        # Columns of their own: along few values a row NumPy reduces ten times slower.
        columns = np.ascontiguousarray(x[some].T) if d <= 16 else None
        part, axis = (x[some], 0) if columns is None else (columns, 1)
        total += part.sum(axis=axis, dtype=np.float64)
        low = np.minimum(low, part.min(axis=axis))
        high = np.maximum(high, part.max(axis=axis))
    at = np.unique(np.linspace(0, len(x) - 1, SAMPLE).astype(np.int64)) if len(x) else slice(0)
    return Extent(total, len(x), low, high, np.asarray(x[at], dtype=np.float64))


def centre_and_reach(*sets: Array) -> tuple[Float64, float]:
    """Return a row in the middle of most rows of all sets, and a bound of the distances from it."""
    first, *others = map(extent, sets)
    return sum(others, first).centre_and_reach()
