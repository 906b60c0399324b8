"""Spaces: how a distance is defined, how it is approximated fast, and how far that can be off.

A space measures distances by a *value*: the square of a Euclidean distance, the Manhattan distance
itself. `exact` is the definition, in float64 between the stored rows, and decides; `least_two` and
`matrix` are fast and off by less than their stated bound.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, Protocol

import numpy as np

from entroloop.distances.multipliers import (
    KERNELS,
    LeastTwo,
    Multiplier,
    nearest_two_of,
    rounded_up,
    rounding,
)
from entroloop.errors import InputError
from entroloop.samples import Array, Float64
from entroloop.system import compiled
from entroloop.system.memory import blocks
from entroloop.system.threads import in_threads, threads_here

DEFINING_KERNELS = "entroloop.distances.defining_kernels"
COMPILED_DTYPES = np.float32, np.float64, np.uint8  # each compiled for itself, when it is met
WORTH = 2e9  # operations from which loading compiled loops is little: a second without them
PAIR_BYTES = 16 * 2**20  # of one block of differences
GATHER_BYTES = 2**20  # of rows fetched for pairs at once, so that a core's cache holds them
LARGEST_EXPONENT = 1000  # of a power of two by which rows can be scaled, and back
PAIRWISE = 8  # values of a row from which NumPy's sum is pairwise; fewer it adds in turn, slowly
Prepared = tuple[Array, Float64]  # rows as `Space.prepare` returns them, and their sizes


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

    def prepare(self, rows: Array, dtype: Any) -> Prepared:
        """Return rows in the form that a multiplier holds, and the size of each for its bound."""

    def least_two(
        self, handle: Any, sizes: Float64, picks: Prepared, skip: Array, limit: Float64
    ) -> tuple[Array, LeastTwo]:
        """Return the held rows of these sizes to which a pick is at most `limit` (m,), and of each
        (least value, where, second least) over the picks, the first `skip` (m,) left out.

        Rows to which only a pick left out is that near may be among them. Without a second pick the
        second least is inf.
        """

    def near(
        self, handle: Any, sizes: Float64, picks: Prepared, limit: Float64
    ) -> tuple[Array, Array]:
        """Return (i, j), by i, j, of the held rows of these sizes and picks that are at most
        `limit` (m,) apart.
        """

    def tile(self, rows: Array, sizes: Float64, picks: Array) -> Array:
        """Return all values of prepared rows of these sizes and prepared picks, over `unit`."""

    def bound(self, sizes: Float64, largest: Float64 | float, dtype: Any) -> Float64:
        """Return how far values of rows of these sizes and picks up to `largest` can be off."""

    def reach(self, sizes: Float64, least: Float64, dtype: Any) -> Float64 | float:
        """Return beyond which size a pick is certainly farther from a row than its nearest one.

        least: the values of rows of these sizes to their nearest picks, as approximated.
        """

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
        return _sums_of(self.power, a, b)

    def prepare(self, rows: Array, dtype: Any) -> Prepared:
        """See `Space`; the size is the length of the centred, scaled row."""
        # float32 rows lose no more in float32 than in float64: the centre is a float32 number.
        narrow = dtype == rows.dtype == np.float32 and self._moderate
        centre = self._centre.astype(np.float32 if narrow else np.float64)
        centred, squares = _centred(rows, dtype, centre, self._scale, _squared_lengths)
        return centred, np.sqrt(squares)

    def least_two(
        self, handle: Any, sizes: Float64, picks: Prepared, skip: Array, limit: Float64
    ) -> tuple[Array, LeastTwo]:
        """See `Space`: ‖x − y‖² = ‖x‖² − 2 gain, gain = x·y − ‖y‖²/2."""
        held, lengths = picks
        own = np.square(sizes)
        floor = (own - limit / self.unit) / 2
        found, (most, where, next_most) = self.multiplier.nearest_two(
            handle, held, _halves(lengths, handle), skip, floor
        )
        own = own[found]
        least, second = ((own - 2.0 * gain) * self.unit for gain in (most, next_most))
        return found, (least, where, second)

    def near(
        self, handle: Any, sizes: Float64, picks: Prepared, limit: Float64
    ) -> tuple[Array, Array]:
        """See `Space`, and `least_two`."""
        held, lengths = picks
        floor = (np.square(sizes) - limit / self.unit) / 2
        return self.multiplier.reaching(handle, held, _halves(lengths, handle), floor)

    def tile(self, rows: Array, sizes: Float64, picks: Array) -> Array:
        """See `Space`."""
        values: Array = rows @ picks.T  # in the rows' dtype
        values *= -2
        values += _squared_lengths(picks)
        values += np.square(sizes)[:, None].astype(values.dtype)
        return values

    def bound(self, sizes: Float64, largest: Float64 | float, dtype: Any) -> Float64:
        """See `Space`; the definition's own rounding is within it."""
        underflow = 4 * len(self._centre) * float(np.finfo(dtype).tiny)
        bound: Float64 = (self._kappa(dtype) * np.square(sizes + largest) + underflow) * self.unit
        return bound

    def _kappa(self, dtype: Any) -> float:
        return rounding(len(self._centre), dtype) + rounding(len(self._centre), np.float64)

    def reach(self, sizes: Float64, least: Float64, dtype: Any) -> Float64 | float:
        """See `Space`.

        A pick of size s is at least s − ‖x‖ away, and by products at least
        (s − ‖x‖)² − κ (s + ‖x‖)². That exceeds least + 2 bound, bound = κ (‖x‖ + s)², from
        s − ‖x‖ = √least + c (s + ‖x‖), c = (1 + √2) √κ, on.
        """
        slack = 2.5 * np.sqrt(self._kappa(dtype))
        if slack > 0.5:
            return np.inf
        # More than the underflow in three bounds; far below what two values differ by elsewhere.
        underflow = 16 * len(self._centre) * float(np.finfo(dtype).tiny)
        farthest = np.sqrt(np.maximum(least / self.unit, 0) + underflow)
        reach: Float64 = ((1 + slack) * sizes + farthest) / (1 - slack)
        return reach

    def matrix(self, rows: Array) -> tuple[Float64, float]:
        """See `Space`."""
        x, sizes = self.prepare(rows, np.float64)
        squares = np.square(sizes) * self.unit
        values: Float64 = self.multiplier.among(x)
        values *= -2 * self.unit
        values += squares
        values += squares[:, None]
        largest = float(sizes.max(initial=0))
        return values, float(self.bound(np.array([largest]), largest, np.float64)[0])


def _centred(
    rows: Array, dtype: Any, centre: Array, scale: float, size: Callable[[Array], Array]
) -> Prepared:
    """Return (x − centre) · scale of rows, in a dtype, and the size of each; made in blocks.

    centre: of the dtype in which to subtract.
    """
    centred: Array = np.empty(rows.shape, dtype=dtype)
    sizes = np.empty(len(rows))
    narrow = centre.dtype == dtype == rows.dtype

    def centre_block(part: slice) -> None:
        difference = np.subtract(rows[part], centre, out=centred[part] if narrow else None)
        centred[part] = np.multiply(difference, scale, out=difference)
        sizes[part] = size(centred[part])

    parts = blocks(len(rows), 32 * rows.shape[1], PAIR_BYTES)
    in_threads(centre_block, parts, threads_here())
    return centred, sizes


def _halves(lengths: Float64, handle: Any) -> Array:
    """Return ‖y‖²/2 in the dtype of a handle."""
    narrow = handle.itemsize == 4
    halves: Array = (np.square(lengths) / 2).astype(np.float32 if narrow else np.float64)
    return halves


def exact_pairs(space: Space, a: Array, i: Array, b: Array, j: Array) -> Float64:
    """Return the defining values of the pairs (a[i], b[j]); few rows are fetched at once."""
    values = np.empty(len(i))
    if _compiled_sums(space.power, a, i, b, j, values):
        return values
    for part in blocks(len(i), 8 * a.shape[1], GATHER_BYTES):
        values[part] = space.exact(a[i[part]], b[j[part]])
    return values


def _sums_of(power: int, a: Array, b: Array) -> Float64:
    """Return Σ |a_i − b_i|^power of each pair, or Σ |a_i − b|^power with one row b, float64."""
    out = np.empty(len(a))
    every = np.arange(len(a))
    if _compiled_sums(power, a, every, np.atleast_2d(b), every if b.ndim > 1 else 0 * every, out):
        return out
    for part in blocks(len(a), 8 * a.shape[1], PAIR_BYTES):
        other = b if b.ndim == 1 else b[part]
        # Of one layout: sums along a row round by it.
        difference = np.subtract(
            a[part].astype(np.float64, order="C", copy=False),
            other.astype(np.float64, order="C", copy=False),
        )
        terms = (np.square if power == 2 else np.abs)(difference, out=difference)
        if terms.shape[1] < PAIRWISE:
            columns = iter(terms.T)
            out[part] = next(columns)
            for column in columns:
                out[part] += column
        else:
            out[part] = terms.sum(axis=1)
    return out


def _compiled_sums(power: int, a: Array, i: Array, b: Array, j: Array, out: Float64) -> bool:
    """Set out to the defining values of the pairs (a[i], b[j]) if compiled loops are loaded, which
    give the same ones to the last bit; return whether.
    """
    loops = compiled.loaded(DEFINING_KERNELS)
    known = a.dtype == b.dtype and a.dtype in COMPILED_DTYPES
    if loops is None or not (known and a.flags.c_contiguous and b.flags.c_contiguous):
        return False
    rows, others = (np.asarray(x)[:] for x in (a, b))
    rows.flags.writeable = others.flags.writeable = False  # all of a dtype are one type to numba
    i, j = np.ascontiguousarray(i), np.ascontiguousarray(j)
    loops.sums_of_pairs(rows, i, others, j, (0,) * power, *loops.halving(a.shape[1]), out)
    return True


def _squared_lengths(rows: Array) -> Array:
    """Return Σ x² of each row, in the rows' dtype."""
    squares: Array = np.einsum("ij,ij->i", rows, rows)
    return squares


def _absolute_sums(rows: Array) -> Float64:
    """Return Σ |x| of each row."""
    sums: Float64 = np.abs(rows).sum(axis=1, dtype=np.float64)
    return sums


class Manhattan:
    """Value Σ |a − b|, as `np.abs(a64 − b64).sum()`. No multiply can speed it up.

    The approximation takes rows as `Euclidean` does: less a common centre, scaled. operations: that
    are to be expected, which decide whether loops are compiled.
    """

    power = 1

    def __init__(self, centre: Float64, reach: float, operations: float = 0) -> None:
        self._d = len(centre)
        finite = bool(np.isfinite(reach))
        self._centre = centre if finite else np.zeros_like(centre)
        exponent = int(np.frexp(reach)[1]) if finite else LARGEST_EXPONENT
        exponent = min(max(exponent, -LARGEST_EXPONENT), LARGEST_EXPONENT)
        self._scale, self.unit = float(np.ldexp(1.0, -exponent)), float(np.ldexp(1.0, exponent))
        self._compiled = compiled.pays(KERNELS, operations, WORTH)

    @staticmethod
    def nearest(rows: Array, others: Array) -> Float64:
        """Return the distance of each row (n, d) to its nearest of others (m, d)."""
        blocks = (np.asarray(rows[i : i + 256], np.float64) for i in range(0, len(rows), 256))
        far = np.asarray(others, np.float64)
        return np.concatenate([_city_block(block, far).min(axis=1) for block in blocks])

    def value_of(self, distance: Any) -> Any:
        """See `Space`: the distance itself."""
        return distance

    def distance_of(self, value: Any) -> Any:
        """See `Space`: the value itself."""
        return value

    def exact(self, a: Array, b: Array) -> Float64:
        """See `Space`."""
        return _sums_of(self.power, a, b)

    def prepare(self, rows: Array, dtype: Any) -> Prepared:
        """See `Space`; the size is the Manhattan length of the centred, scaled row."""
        return _centred(rows, dtype, self._centre, self._scale, _absolute_sums)

    def least_two(
        self, handle: Array, sizes: Float64, picks: Prepared, skip: Array, limit: Float64
    ) -> tuple[Array, LeastTwo]:
        """See `Space`."""
        values = self.tile(handle, sizes, picks[0])
        found, (most, where, next_most) = nearest_two_of(
            np.negative(values, out=values), skip, -limit / self.unit
        )
        least, second = (most.astype(np.float64) * -self.unit for most in (most, next_most))
        return found, (least, where, second)

    def near(
        self, handle: Array, sizes: Float64, picks: Prepared, limit: Float64
    ) -> tuple[Array, Array]:
        """See `Space`."""
        values = self.tile(handle, sizes, picks[0])
        i, j = np.nonzero(values <= rounded_up(limit / self.unit, values.dtype)[:, None])
        return i, j

    def tile(self, rows: Array, sizes: Float64, picks: Array) -> Array:
        """See `Space`."""
        if not self._compiled:
            return _city_block(rows, picks)
        values = np.empty((len(rows), len(picks)), rows.dtype)
        import_module(KERNELS).city_block(
            np.ascontiguousarray(rows), np.ascontiguousarray(picks), values
        )
        return values

    def bound(self, sizes: Float64, largest: Float64 | float, dtype: Any) -> Float64:
        """See `Space`: centring, differences and sums round by κ (|x|₁ + |y|₁) together, κ that of
        `rounding`; the definition's own rounding is within it.
        """
        underflow = 4 * self._d * float(np.finfo(dtype).tiny)
        bound: Float64 = (self._kappa(dtype) * (sizes + largest) + underflow) * self.unit
        return bound

    def _kappa(self, dtype: Any) -> float:
        return 2 * (rounding(self._d, dtype) + rounding(self._d, np.float64))

    def reach(self, sizes: Float64, least: Float64, dtype: Any) -> Float64 | float:
        """See `Space`.

        A pick of size s is at least s − |x|₁ away, and by approximation at least that less
        κ (s + |x|₁). That exceeds least + 2 bound from s − |x|₁ = least + 3 κ (s + |x|₁) on.
        """
        slack = 4 * self._kappa(dtype)
        if slack > 0.5:
            return np.inf
        underflow = 16 * self._d * float(np.finfo(dtype).tiny)
        reach: Float64 = ((1 + slack) * sizes + np.maximum(least / self.unit, 0) + underflow) / (
            1 - slack
        )
        return reach

    def matrix(self, rows: Array) -> tuple[Float64, float]:
        """See `Space`."""
        x, sizes = self.prepare(rows, np.float64)
        largest = float(sizes.max(initial=0))
        bound = float(self.bound(np.array([largest]), largest, np.float64)[0])
        return self.tile(x, sizes, x) * self.unit, bound


def _city_block(a: Float64, b: Float64) -> Float64:
    from scipy.spatial.distance import cdist  # a third of what else starting takes

    return np.asarray(cdist(a, b, "cityblock"))
