"""Spaces: how a distance is defined, how it is approximated fast, and how far that can be off.

A space measures distances by a *value*: the square of a Euclidean distance, the Manhattan distance
itself. `exact` is the definition, in float64 between the stored rows, and decides; `least_two` and
`matrix` are fast and off by less than their stated bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy.spatial.distance import cdist

from entroloop.distances.multipliers import LeastTwo, Multiplier, least_two_of, rounding
from entroloop.errors import InputError
from entroloop.samples import Array, Float64

PAIR_BYTES = 16 * 2**20  # of one block of differences


class Space(Protocol):
    """A metric with its definition and its approximations."""

    power: int  # value = distance ** power
    unit: float  # the value of one unit of a tile

    def value_of(self, distance: Any) -> Any:
        """Return the value of a distance, or of an array of them: distance ** power."""

    def distance_of(self, value: Any) -> Any:
        """Return the distance that has a value, or an array of them: value ** (1 / power)."""

    def exact(self, a: Array, b: Array) -> Float64:
        """Return the defining values of the pairs (a_i, b_i), or of all a_i with one row b (d,)."""

    def prepare(self, rows: Array, dtype: Any) -> tuple[Array, Float64]:
        """Return rows in the form that `least_two` takes, and the size of each for its bound."""

    def least_two(self, handle: Any, sizes: Float64, picks: Array, skip: Array) -> LeastTwo:
        """Return (least value, where, second least) for held rows of these sizes over picks, the
        first `skip` (m,) of which do not count.
        """

    def tile(self, rows: Array, sizes: Float64, picks: Array) -> Array:
        """Return all values of prepared rows of these sizes and prepared picks, over `unit`."""

    def bound(self, sizes: Float64, largest: float, dtype: Any) -> Float64:
        """Return how far values of rows of these sizes and picks up to `largest` can be off."""

    def matrix(self, rows: Array) -> tuple[Float64, float]:
        """Return all values among rows, float64, and how far they can be off."""


class Euclidean:
    """Value Σ (a − b)², as `((a64 − b64)**2).sum()`: the order of summation belongs to it.

    The approximation takes rows less a common centre, times a power of two that brings the
    farthest of them near 1, so that float32 neither cancels nor overflows more than it must.
    """

    power = 2

    def __init__(self, centre: Float64, reach: float, multiplier: Multiplier) -> None:
        self._moderate = reach == 0 or 1e-30 < reach < 1e30  # far from what float32 cannot hold
        self._centre = centre.astype(np.float32).astype(np.float64) if self._moderate else centre
        exponent = -int(np.frexp(reach)[1]) if 0 < reach < np.inf else 0
        self._scale = float(np.ldexp(1.0, exponent))
        if abs(exponent) > 480 or not np.isfinite(reach):
            raise InputError(
                f"the rows spread over {reach:.1e}: squares of such values leave the range of "
                "float64; rescale them"
            )
        self.unit = float(np.ldexp(1.0, -2 * exponent))
        self.multiplier = multiplier

    def value_of(self, distance: Any) -> Any:
        """See `Space`."""
        return distance * distance

    def distance_of(self, value: Any) -> Any:
        """See `Space`."""
        return np.sqrt(value)

    def exact(self, a: Array, b: Array) -> Float64:
        """See `Space`."""
        return _sums_of(np.square, a, b)

    def prepare(self, rows: Array, dtype: Any) -> tuple[Array, Float64]:
        """See `Space`; the size is the length of the centred, scaled row."""
        centred: Array = np.empty(rows.shape, dtype=dtype)
        squares = np.empty(len(rows))
        block = max(1, PAIR_BYTES // (32 * max(1, rows.shape[1])))
        # float32 rows lose no more in float32 than in float64: the centre is a float32 number.
        narrow = dtype == rows.dtype == np.float32 and self._moderate
        centre = self._centre.astype(np.float32 if narrow else np.float64)
        for start in range(0, len(rows), block):
            part = slice(start, start + block)
            difference = np.subtract(rows[part], centre, out=centred[part] if narrow else None)
            centred[part] = np.multiply(difference, self._scale, out=difference)
            squares[part] = _squared_lengths(centred[part])
        return centred, np.sqrt(squares)

    def least_two(self, handle: Any, sizes: Float64, picks: Array, skip: Array) -> LeastTwo:
        """See `Space`."""
        squares = _squared_lengths(picks)
        least, where, second = self.multiplier.least_two(handle, picks, squares, skip)
        own = np.square(sizes)
        return (least + own) * self.unit, where, (second + own) * self.unit

    def tile(self, rows: Array, sizes: Float64, picks: Array) -> Array:
        """See `Space`."""
        values: Array = rows @ picks.T  # in the rows' dtype
        values *= -2
        values += _squared_lengths(picks)
        values += np.square(sizes)[:, None].astype(values.dtype)
        return values

    def bound(self, sizes: Float64, largest: float, dtype: Any) -> Float64:
        """See `Space`; the definition's own rounding is within it."""
        d = len(self._centre)
        kappa = rounding(d, dtype) + rounding(d, np.float64)
        underflow = 4 * d * float(np.finfo(dtype).tiny)
        return (kappa * np.square(sizes + largest) + underflow) * self.unit

    def matrix(self, rows: Array) -> tuple[Float64, float]:
        """See `Space`."""
        x, sizes = self.prepare(rows, np.float64)
        squares = np.square(sizes) * self.unit
        values = x @ x.T
        values *= -2 * self.unit
        values += squares
        values += squares[:, None]
        largest = float(sizes.max(initial=0))
        return values, float(self.bound(np.array([largest]), largest, np.float64)[0])


def _sums_of(function: np.ufunc, a: Array, b: Array) -> Float64:
    """Return Σ function(a_i − b_i) of each pair, or Σ function(a_i − b) with one row b, float64."""
    out = np.empty(len(a))
    block = max(1, PAIR_BYTES // (8 * max(1, a.shape[1])))
    for start in range(0, len(a), block):
        part = slice(start, start + block)
        other = b if b.ndim == 1 else b[part]
        # Of one layout: sums along a row round by it.
        difference = a[part].astype(np.float64, order="C") - other.astype(np.float64, order="C")
        out[part] = function(difference, out=difference).sum(axis=1)
    return out


def _squared_lengths(rows: Array) -> Array:
    """Return Σ x² of each row, in the rows' dtype."""
    squares: Array = np.einsum("ij,ij->i", rows, rows)
    return squares


class Manhattan:
    """Value Σ |a − b|, as `np.abs(a64 − b64).sum()`. No multiply can speed it up."""

    power = 1
    unit = 1.0

    def __init__(self, d: int) -> None:
        self._d = d

    @staticmethod
    def nearest(rows: Array, others: Array) -> Float64:
        """Return the distance of each row (n, d) to its nearest of others (m, d)."""
        blocks = (np.asarray(rows[i : i + 256], np.float64) for i in range(0, len(rows), 256))
        far = np.asarray(others, np.float64)
        return np.concatenate([cdist(block, far, "cityblock").min(axis=1) for block in blocks])

    def value_of(self, distance: Any) -> Any:
        """See `Space`: the distance itself."""
        return distance

    def distance_of(self, value: Any) -> Any:
        """See `Space`: the value itself."""
        return value

    def exact(self, a: Array, b: Array) -> Float64:
        """See `Space`."""
        return _sums_of(np.abs, a, b)

    def prepare(self, rows: Array, dtype: Any) -> tuple[Array, Float64]:
        """See `Space`; the size is the Manhattan length of the row."""
        x = np.asarray(rows).astype(np.float64)
        return x, np.abs(x).sum(axis=1)

    def least_two(self, handle: Array, sizes: Float64, picks: Array, skip: Array) -> LeastTwo:
        """See `Space`."""
        return least_two_of(self.tile(handle, sizes, picks), skip)

    def tile(self, rows: Array, sizes: Float64, picks: Array) -> Float64:
        """See `Space`."""
        values: Float64 = cdist(rows, picks, "cityblock")
        return values

    def bound(self, sizes: Float64, largest: float, dtype: Any) -> Float64:
        """See `Space`."""
        return 2 * rounding(self._d, np.float64) * (sizes + largest)

    def matrix(self, rows: Array) -> tuple[Float64, float]:
        """See `Space`."""
        x, sizes = self.prepare(rows, np.float64)
        largest = float(sizes.max(initial=0))
        bound = float(self.bound(np.array([largest]), largest, np.float64)[0])
        return cdist(x, x, "cityblock"), bound


@dataclass(frozen=True)
class Extent:
    """Sum, number, least and largest values of rows; the sum of two extents covers both."""

    total: Float64
    count: int
    low: Float64
    high: Float64

    def __add__(self, other: Extent) -> Extent:
        return Extent(
            self.total + other.total,
            self.count + other.count,
            np.minimum(self.low, other.low),
            np.maximum(self.high, other.high),
        )

    def centre_and_reach(self) -> tuple[Float64, float]:
        """Return the mean row, and a bound of the distance of any row from it."""
        centre = self.total / max(self.count, 1)
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
    block = max(1, PAIR_BYTES // (x.dtype.itemsize * max(1, d)))
    for start in range(0, len(x), block):
        # Columns of their own: along few values a row NumPy reduces ten times slower.
        columns = np.ascontiguousarray(x[start : start + block].T) if d <= 16 else None
        part, axis = (x[start : start + block], 0) if columns is None else (columns, 1)
        total += part.sum(axis=axis, dtype=np.float64)
        low = np.minimum(low, part.min(axis=axis))
        high = np.maximum(high, part.max(axis=axis))
    return Extent(total, len(x), low, high)


def centre_and_reach(*sets: Array) -> tuple[Float64, float]:
    """Return the mean row of all sets, and a bound of the distance of any row from it."""
    first, *others = map(extent, sets)
    return sum(others, first).centre_and_reach()
