"""Lazy bounds on each row's distance to its nearest pick.

Each row keeps the value to its nearest pick as last computed. Values only fall as picks are added,
so that an old value is an upper bound, and a row whose bound lies below the level in question needs
no work at all. Where rows lie near a few directions, sketches tell which of the remaining pairs of
rows and new picks still need a distance. docs/selection-engine.md explains the whole engine.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entroloop.distances.multipliers import LeastTwo, Multiplier, NumpyMultiplier
from entroloop.distances.spaces import Euclidean, Space
from entroloop.pools.sketches import Sketches, sketch_for
from entroloop.samples import Array, Float64
from entroloop.system.memory import cache_bytes
from entroloop.system.threads import in_threads, products_in_one_thread, threads_here

# One product of rows and picks stays in the cache, with the rows and picks that it is made of.
TILE_BYTES = int(min(max(cache_bytes() // 8, 2**20), 8 * 2**20))
PICKS_AT_ONCE = 512
# Rows of a chunk, below which Python costs more than products; with sketches four times as many.
FEWEST_ROWS = 256
AGAIN = 2**16  # distances: what another product costs
LARGEST = 2048  # rows in doubt at once, beyond which float64 is to tell them apart


class Bounds:
    """Lazy bounds on the value of each row (m, d) to its nearest pick.

    With v(x, p) the value of a row and a pick (see `Space`) and p_1 … p_count the picks so far, a
    row i knows the first seen_i of them, and

        least_i  ≈ min_{j ≤ seen_i} v(x_i, p_j), off by at most error_i, reached at j = where_i,
        second_i ≤ any other v(x_i, p_j), j ≤ seen_i, by the same approximation,
        upper_i  ≥ w_i min_{j ≤ count} v(x_i, p_j), −inf for a row that cannot be picked.

    w_i is the weight of the row, to the power of the space. Minima only fall as picks are added, so
    that `upper` holds however few picks a row knows. A row is *up to date* once seen_i = count.

    selectable: mask of the rows that can be picked. capacity, dtype: of the picks. weights (m,):
    they multiply distances. centred_copy: keep a centred copy of the rows in memory; else they are
    read and centred anew for each use (memory maps beyond memory). Results never depend on
    `centred_copy` or on the precision.
    """

    def __init__(
        self,
        rows: Array,
        space: Space,
        *,
        selectable: NDArray[np.bool_],
        capacity: int,
        dtype: Any = None,
        weights: Float64 | None = None,
        centred_copy: bool = True,
        multiplier: Multiplier | None = None,
    ) -> None:
        self.rows, self.space = rows, space
        self.weights: Float64 | None = None if weights is None else space.value_of(weights)
        self._multiplier = multiplier or NumpyMultiplier()
        self._centred_copy = centred_copy
        self.dtype: Any = np.float32  # of the approximation
        self.selectable = selectable.copy()
        self.upper = np.where(self.selectable, np.inf, -np.inf)
        self.count = 0  # of picks so far; at most `capacity`
        self._picks = np.empty((capacity, rows.shape[1]), dtype=dtype or rows.dtype)
        self._ready = False
        self._sketches: Sketches | None = None

    def anew(self, capacity: int) -> Bounds:
        """Return bounds on the same rows, all selectable, without weights and without picks."""
        return Bounds(
            self.rows,
            self.space,
            selectable=np.ones(len(self.rows), dtype=bool),
            capacity=capacity,
            dtype=self._picks.dtype,
            centred_copy=self._centred_copy,
            multiplier=self._multiplier,
        )

    def _prepare(self) -> None:
        """Centre the rows in the present precision, and know nothing of them yet; a strategy that
        never asks never pays.
        """
        self._ready = True
        m, d = self.rows.shape
        self.least, self.second = np.full((2, m), np.inf)
        self.where, self.seen = np.zeros((2, m), dtype=np.int64)
        self.error = np.zeros(m)
        if self._centred_copy:
            prepared, self.sizes = self.space.prepare(self.rows, self.dtype)
            self._handle = self._multiplier.load(prepared)
            if isinstance(self.space, Euclidean) and self.dtype == np.float32:
                sketch = sketch_for(m, d, prepared.__getitem__)
                if sketch is not None:
                    self._sketches = Sketches(
                        sketch, self.space, self._handle, prepared, self.sizes, len(self._picks)
                    )
        else:
            self.sizes = np.empty(len(self.rows))
            for start in range(0, len(self.rows), 8192):
                part = slice(start, start + 8192)
                self.sizes[part] = self.space.prepare(self.rows[part], self.dtype)[1]
        prepared, sizes = self.space.prepare(self.picks, self.dtype)
        self._prepared_picks = np.empty(self._picks.shape, dtype=prepared.dtype)
        self._prepared_picks[: self.count] = prepared
        self._pick_sizes = np.empty(len(self._picks))
        self._pick_sizes[: self.count] = sizes
        if self._sketches is not None:
            self._sketches.add(slice(0, self.count), prepared, sizes)
        self._largest = float(sizes.max(initial=0))

    @property
    def picks(self) -> Array:
        """The picks so far, as they are stored."""
        return self._picks[: self.count]

    def raise_precision(self) -> bool:
        """Go from float32 to float64, where float32 can no longer tell rows apart; False if it
        is float64 already. What was known stays as upper bounds.
        """
        if self.dtype == np.float64:
            return False
        self.dtype = np.float64
        self._centred_copy, self._handle = (
            False,
            None,
        )  # few rows still matter: centred as they are used
        self._sketches = None  # their bounds are those of float32
        self._prepare()
        return True

    def add(self, rows: Array) -> None:
        """Append picks, as they are stored; nothing is computed yet."""
        new = slice(self.count, self.count + len(rows))
        self._picks[new] = rows
        if not self._ready:
            self.count += len(rows)
            return
        prepared, sizes = self.space.prepare(rows, self.dtype)
        self._prepared_picks[new], self._pick_sizes[new] = prepared, sizes
        if self._sketches is not None:
            self._sketches.add(new, prepared, sizes)
        self.count += len(rows)
        self._largest = max(self._largest, float(sizes.max(initial=0)))

    def exclude(self, index: Array) -> None:
        """Take rows out of what can still be picked."""
        self.selectable[index] = False
        self.upper[index] = -np.inf

    def tighten(self, index: Array, values: Float64) -> None:
        """Replace the bounds of rows that are up to date by their defining values, weighted."""
        self.upper[index] = np.where(self.selectable[index], values, -np.inf)

    def weights_of(self, index: Array) -> Float64:
        """Return the weights of rows, to the power of the space."""
        return np.ones(len(index)) if self.weights is None else self.weights[index]

    def weighted(self, values: Float64, index: Array) -> Float64:
        """Return values times the weights of their rows, to the power of the space."""
        return values if self.weights is None else values * self.weights[index]

    def level_set(self, wanted: int, target: int) -> tuple[float, NDArray[np.int64], int]:
        """Return a level, the rows whose value reaches it or may, and how many were brought up to
        date. Of the `wanted` largest bounds about `target` are left once they are up to date.

        Every row that is not returned has value ≤ level, and some row certainly has more. Level −1
        takes all selectable rows.
        """
        rank = wanted
        level = _at_rank(self.upper, rank)
        while True:
            index = self.above(level)
            certain = float(self.lower(index).max(initial=0.0))
            if level < 0 or certain > level:
                break
            if len(index):  # rows in doubt at the level itself: go just below what is certain
                level = certain * (1 - 1e-6) if certain > 0 else -1.0
            else:  # the bounds were old, all have fallen below the level
                rank *= 2
                level = _at_rank(self.upper, rank)
        reached = len(index)
        if reached > target:  # now that bounds are up to date a higher level may do
            higher = _at_rank(self.upper[index], target)
            if certain > higher > level:
                level, index = higher, index[self.upper[index] >= higher]
        return level, index, reached

    def above(self, level: float) -> NDArray[np.int64]:
        """Return the selectable rows whose value is at least `level`, or may be, up to date."""
        index = np.flatnonzero(self.upper >= level)
        self.refresh(index)
        return index[self.upper[index] >= level]

    def lower(self, index: Array) -> Float64:
        """Return lower bounds of the values of rows that are up to date."""
        values = np.maximum(self.least[index] - self.error[index], 0.0)
        return self.weighted(values, index)

    @products_in_one_thread()
    def refresh(self, index: NDArray[np.int64]) -> None:
        """Bring rows up to date with all picks, those that know least first."""
        if not self._ready:
            self._prepare()
        stale = index[self.seen[index] < self.count]
        if not len(stale):
            return
        stale = stale[np.argsort(self.seen[stale], kind="stable")]
        itemsize = np.dtype(self.dtype).itemsize
        chunk = max(64, TILE_BYTES // (itemsize * min(PICKS_AT_ONCE, self.count)))
        # Several for each thread, so that none waits long for the last one.
        fewest = FEWEST_ROWS if self._sketches is None else 4 * FEWEST_ROWS
        threads = threads_here() if self._multiplier.threaded else 1
        if threads > 1:
            chunk = min(chunk, max(fewest, -(-len(stale) // (4 * threads))))
        chunks = [stale[start : start + chunk] for start in range(0, len(stale), chunk)]
        in_threads(self._refresh_chunk, chunks, threads)

    def _refresh_chunk(self, index: NDArray[np.int64]) -> None:
        """Bring up to date rows that are sorted by how many picks they have seen."""
        seen = self.seen[index]
        least, second, where = self.least[index], self.second[index], self.where[index]
        sizes, largest = self.sizes[index], self._largest_near(index, least)
        self.error[index] = error = self.space.bound(sizes, largest, self.dtype)
        for first, stop in _windows(seen, self.count):
            q = int(np.searchsorted(seen, stop))  # those that miss some of these picks
            skip = np.maximum(seen[:q] - first, 0)
            # A pick farther than this can be neither the nearest nor a rival in doubt.
            limit = least[:q] + 2 * error[:q]
            some = slice(first, stop)
            near, (new, at, next_new) = self._nearest(index[:q], some, skip, limit, largest[:q])
            old = least[near]
            better = new < old
            runner_up = np.where(better, old, new)
            second[near] = np.minimum(second[near], np.minimum(runner_up, next_new))
            where[near] = np.where(better, at + first, where[near])
            least[near] = np.where(better, new, old)
        self.least[index], self.second[index], self.where[index] = least, second, where
        self.seen[index] = self.count
        upper = self.weighted(np.maximum(least, 0) + error, index)
        self.upper[index] = np.where(
            self.selectable[index], np.minimum(upper, self.upper[index]), -np.inf
        )

    def _largest_near(self, index: NDArray[np.int64], least: Float64) -> Float64:
        """Return the largest size of a pick whose rounding counts for each row: one of a size
        beyond its `reach` is farther than its nearest pick, and comes out so however it is rounded.
        """
        reach = self.space.reach(self.sizes[index], least, self.dtype)
        largest: Float64 = np.minimum(self._largest, np.broadcast_to(reach, index.shape))
        return largest

    def _nearest(
        self,
        index: NDArray[np.int64],
        some: slice,
        skip: NDArray[np.int64],
        limit: Float64,
        largest: Float64,
    ) -> tuple[NDArray[np.int64], LeastTwo]:
        """Return the positions in `index` of rows that a pick of `some` may be nearer to than
        `limit`, the first `skip_i` picks left out, and the least two values of each over those.
        """
        picks = self._prepared_picks[some], self._pick_sizes[some]
        if self._sketches is None or not self._sketches.pay or not some.start:
            return self.space.least_two(self._gather(index), self.sizes[index], picks, skip, limit)
        i, j = self._sketches.near(index, self.sizes[index], limit, largest, some)
        if skip.any():
            new = np.flatnonzero(j >= skip[i])
            i, j = i[new], j[new]
        starts = np.flatnonzero(np.diff(i, prepend=-1))
        near = i[starts]
        pair = self._multiplier.pair
        whole = pair + len(picks[0])  # all distances of a row, the first of which must be fetched
        single = len(i) * pair < len(near) * whole
        self._sketches.note(len(i) * pair if single else len(near) * whole, len(index) * whole)
        rows = index[i] if single else index[near]
        sizes = self.sizes[rows]
        if single:
            return near, self._sketches.least_two(rows, sizes, picks[0], some, j, starts)
        found, least = self.space.least_two(
            self._gather(rows), sizes, picks, skip[near], limit[near]
        )
        return near[found], least

    def _gather(self, index: NDArray[np.int64]) -> Any:
        if self._centred_copy:
            return self._multiplier.gather(self._handle, index)
        return self._multiplier.load(self.space.prepare(self.rows[index], self.dtype)[0])

    def exact(self, index: NDArray[np.int64]) -> Float64:
        """Return the defining values of rows that are up to date, weighted; inf without picks.

        min_j v(x_i, p_j) in the float64 of the definition, whatever the approximation says.
        """
        return self.weighted(self.unweighted(index), index)

    def unweighted(self, index: Array) -> Float64:
        """Return `exact` without the weights."""
        return self._defining(index, None)

    def nearest(self, index: Array) -> tuple[Float64, NDArray[np.int64]]:
        """Return `unweighted`, and which pick is that near; the first of equally near ones."""
        where: NDArray[np.int64] = self.where[index]
        return self._defining(index, where), where

    def _defining(self, index: Array, where: NDArray[np.int64] | None) -> Float64:
        """Return `unweighted`; where, if given, becomes the first pick that reaches each value."""
        values: Float64 = np.full(len(index), np.inf)
        if not self.count or not len(index):
            return values
        near = self.picks[self.where[index]]
        values = self.space.exact(self.rows[index], near)
        # Another pick can only be the nearest where its approximate value is as near as doubt.
        doubt = np.flatnonzero(self.second[index] <= self.least[index] + 2 * self.error[index])
        block = max(1, 8 * TILE_BYTES // (8 * self.count))
        for start in range(0, len(doubt), block):
            part = doubt[start : start + block]
            i, j, found = self._scan(index[part])
            best = values[part]
            np.minimum.at(best, i, found)
            if where is not None:
                first = np.where(best < values[part], self.count, where[part])
                tied = found == best[i]
                np.minimum.at(first, i[tied], j[tied])
                where[part] = first
            values[part] = best
        return values

    def _scan(self, index: NDArray[np.int64]) -> tuple[Array, Array, Float64]:
        """Return the pairs of a row (its position) and a pick within doubt, and their values."""
        limit = self.least[index] + 2 * self.error[index]
        pairs: Any = None
        if self._sketches is not None:
            every, largest = slice(0, self.count), self._largest_near(index, self.least[index])
            pairs = self._sketches.near(index, self.sizes[index], limit, largest, every)
        if pairs is None or len(pairs[0]) * self._multiplier.pair > len(index) * self.count:
            prepared, sizes = self.space.prepare(self.rows[index], self.dtype)
            tile = self.space.tile(prepared, sizes, self._prepared_picks[: self.count])
            pairs = np.nonzero(tile <= (limit / self.space.unit)[:, None])
        i, j = pairs
        return i, j, self.space.exact(self.rows[index[i]], self.picks[j])


def _windows(seen: NDArray[np.int64], total: int) -> Iterator[tuple[int, int]]:
    """Yield (first, stop) ranges of picks to process together.

    seen: how many picks each row knows, sorted. Some picks are taken again for rows that know them
    where that is less work than a range of its own.
    """
    starts, again = [int(seen[0])], 0
    for value, count in zip(*np.unique(seen, return_counts=True), strict=True):
        again += int(count) * (int(value) - starts[-1])
        if again > AGAIN or value - starts[-1] >= PICKS_AT_ONCE:
            starts.append(int(value))
            again = 0
    for start, end in pairwise([*starts, total]):
        for first in range(start, end, PICKS_AT_ONCE):
            yield first, min(first + PICKS_AT_ONCE, end)


def _at_rank(bounds: NDArray[np.float64], rank: int) -> float:
    """Return the rank-th largest bound, −1 where there are fewer selectable rows."""
    if rank >= len(bounds):
        return -1.0
    level = float(np.partition(bounds, len(bounds) - rank)[len(bounds) - rank])
    return level if level >= 0 else -1.0
