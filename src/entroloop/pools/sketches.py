"""Sketches: a few values of each row that bound distances from below, at a fraction of the work.

The coordinates along the K directions of largest variance and the length of what is left of the
row. With p the coordinates and r that length, x·y ≤ p_x·p_y + r_x r_y (Cauchy-Schwarz), so that

    ‖p_x − p_y‖² + (r_x − r_y)² ≤ ‖x − y‖².

Only pairs of a row and a new pick whose sketches are not farther apart than the row's nearest pick
so far need a distance of full length. On isotropic data nothing is gained, and no sketch is made.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entroloop.distances.multipliers import LeastTwo, rounding
from entroloop.distances.spaces import Euclidean
from entroloop.samples import Array, Float64
from entroloop.system.threads import in_threads, threads_here

Index = NDArray[np.int64]
SAMPLE = 1024  # rows whose variance chooses the directions
FIRST = 256  # of them, whose few main directions hold more variance than they do of all rows
SMALLEST_POOL = 8192
WORK = 5  # a sketch has at most 1/5 of a row's values: full distances cost that many times more
FAR = 64  # times the median squared length
FEWEST, MOST = 6, 126  # directions
ENERGY = 0.91  # of the variance that the directions are to hold: more cost more than they spare
LEAST_ENERGY = 0.7  # with which a sketch is worth its time
WORTHLESS = 0.75  # of the work that is left to do: a sketch costs more than it saves
TRIAL = 1000  # distances a row, after which its worth is known


class Sketch:
    """Directions (d, k), float64, and how far what they say can be off."""

    def __init__(self, directions: Float64) -> None:
        self._directions = directions
        self.width = directions.shape[1] + 2

    def of_rows(self, rows: Array, sizes: Float64) -> Array:
        """Return [p, r, 1] of prepared rows (m, d) of these lengths: (m, k + 2) float32."""
        p, r = self._coordinates(rows, sizes)
        return np.concatenate([p, r[:, None], np.ones_like(r)[:, None]], axis=1)

    @staticmethod
    def of_picks(sketched: Array, sizes: Float64) -> Array:
        """Return [−2p, −2r, |y|²], whose products with `of_rows`, plus |x|², are the bounds, of
        what `of_rows` returns for the picks.
        """
        of_picks = -2 * sketched
        of_picks[:, -1] = np.square(sizes)
        return of_picks

    def _coordinates(self, rows: Array, sizes: Float64) -> tuple[Array, Array]:
        p = np.empty((len(rows), self._directions.shape[1]), dtype=np.float32)

        def project(start: int) -> None:
            part = slice(start, start + 1024)
            p[part] = rows[part].astype(np.float64) @ self._directions

        in_threads(project, range(0, len(rows), 1024), threads_here())
        p64 = p.astype(np.float64)
        left = np.square(sizes) - np.einsum("ij,ij->i", p64, p64)
        # Raised by what rounding p to float32 can have taken from it: then r is never too small.
        r = np.sqrt(np.maximum(left, 0) + 2.1 * _coordinate_error() * np.square(sizes))
        return p, (r * (1 + 2 * np.finfo(np.float32).eps)).astype(np.float32)

    def doubt(self, sizes: Float64, largest: Float64 | float) -> Float64:
        """Return how far above a squared distance the bound can come out, by rounding alone.

        Inner products of coordinates are off by 2.1 η |x||y|, η their relative error, and the
        float32 product of sketches by κ (|x| + |y|)² (`rounding`), a little more for the raised r.
        """
        kappa = 1.02 * rounding(self.width, np.float32) + 1.1 * _coordinate_error()
        underflow = 4 * self.width * float(np.finfo(np.float32).tiny)
        doubt: Float64 = kappa * np.square(sizes + largest) + underflow
        return doubt


class Sketches:
    """The sketches of loaded rows (m, d) and of picks, and how much work they spare.

    handle: of the rows. prepared, sizes: rows and picks as `Space.prepare` returns them.
    """

    def __init__(
        self,
        sketch: Sketch,
        space: Euclidean,
        handle: Any,
        prepared: Array,
        sizes: Float64,
        capacity: int,
    ) -> None:
        self._sketch, self._space, self._handle = sketch, space, handle
        self._rows = space.multiplier.load(sketch.of_rows(prepared, sizes))
        self._picks = np.empty((capacity, sketch.width), np.float32)
        self._squares = np.empty(capacity)
        self._trial = TRIAL * len(prepared)
        self._whole = self._done = 0.0
        self._noting = Lock()  # parts of a refresh run in threads

    def add(self, new: slice, prepared: Array, sizes: Float64, own: Index | None = None) -> None:
        """Make sketches of picks; own: which of the rows they are, if they are."""
        known = self._sketch.of_rows(prepared, sizes) if own is None else self._rows[own]
        self._picks[new] = self._sketch.of_picks(known, sizes)
        self._squares[new] = np.square(sizes)

    def near(
        self, index: Index, sizes: Float64, limit: Float64, largest: Float64, some: slice
    ) -> tuple[Index, Index]:
        """Return (i, j), sorted, of all rows and picks whose value can be at most limit_i.

        largest (m,): of the sizes of the picks that can be that near.
        """
        rows = self._space.multiplier.gather(self._rows, index)
        most = self._most(sizes, limit, largest)
        return self._space.multiplier.within(rows, self._picks[some], most)

    @property
    def outlines(self) -> Array:
        """The sketches of the rows (m, k), and `pick_outlines` of the picks, as they are held."""
        outlines: Array = self._rows
        return outlines

    @property
    def pick_outlines(self) -> Array:
        """See `outlines`."""
        return self._picks

    def doubt(self, sizes: Float64, largest: Float64) -> Float64:
        """See `Sketch.doubt`."""
        return self._sketch.doubt(sizes, largest)

    def _most(self, sizes: Float64, limit: Float64, largest: Float64) -> Float64:
        products: Float64 = limit / self._space.unit - np.square(sizes)
        products += self._sketch.doubt(sizes, largest)
        return products

    def least_two(
        self, rows: Index, sizes: Float64, picks: Array, some: slice, j: Index, starts: Index
    ) -> LeastTwo:
        """Return (least value, its j, second least) of runs of pairs of a row and a pick.

        rows, sizes, j (q,): of each pair. picks: prepared, `some` of them all. starts: of the runs.
        """
        products = self._space.multiplier.products(self._handle, rows, picks, j)
        values: Float64 = np.square(sizes) + self._squares[some][j] - 2 * products
        values *= self._space.unit
        if not len(starts):
            return values, j, values
        least = np.minimum.reduceat(values, starts)
        lengths = np.diff(starts, append=len(values))
        lowest = np.flatnonzero(values == np.repeat(least, lengths))
        first = lowest[np.searchsorted(lowest, starts)]
        values[first] = np.inf
        return least, j[first], np.minimum.reduceat(values, starts)

    def note(self, done: float, whole: float) -> None:
        """Record the work that was done after a sketch, and what it would have been without."""
        with self._noting:
            self._done += done
            self._whole += whole

    @property
    def pay(self) -> bool:
        """Whether sketches have paid off so far."""
        return self._whole < self._trial or self._done <= WORTHLESS * self._whole


def _coordinate_error() -> float:
    return rounding(0, np.float32)  # many times the one rounding that it is


def sketch_bytes(m: int, d: int) -> int:
    """Return what sketches of m rows of d values take at most."""
    return 4 * m * min(MOST + 2, d // WORK)


def sketch_for(m: int, d: int, prepared: Callable[[Array], Array]) -> Sketch | None:
    """Return the sketch for rows (m, d), None where none would pay.

    prepared: returns the prepared rows (s, d) of indices (s,).
    """
    most = min(MOST, d // WORK - 2)
    if most < FEWEST or m < SMALLEST_POOL:
        return None
    sample = prepared(np.linspace(0, m - 1, SAMPLE).astype(np.int64)).astype(np.float64)
    squares = np.square(sample).sum(axis=1)
    if far := FAR * np.median(squares):  # a few far rows would be all that the directions describe
        sample = sample[squares <= far]
    some = sample[:: max(1, SAMPLE // FIRST)]
    largest = np.linalg.eigvalsh(some @ some.T)[-most:]
    if not largest.sum() >= LEAST_ENERGY * np.square(some).sum() > 0:
        return None
    # One step of subspace iteration (Halko, Martinsson, Tropp 2011, algorithm 4.4): a second one
    # finds directions that hold half a per cent more, in twice the time.
    start = np.random.default_rng(0).standard_normal((d, min(d, most + 8)))
    start = np.linalg.qr(sample.T @ (sample @ start))[0]
    along = sample @ start
    values, turned = (found[..., ::-1] for found in np.linalg.eigh(along.T @ along))
    energy = np.cumsum(values)[:most] / np.square(sample).sum()
    if not energy[-1] >= LEAST_ENERGY:
        return None
    kept = min(int(np.searchsorted(energy, ENERGY)) + 1, most)
    return Sketch(start @ turned[:, :kept])
