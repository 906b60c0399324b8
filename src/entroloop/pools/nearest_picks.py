"""What rows of a pool know of their nearest picks, brought up to date when it is asked for.

Products of many rows and picks tell nearly all; where sketches say which pairs are near, those
alone are multiplied. Compiled loops merge what is found where they pay, or else NumPy does.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entroloop.distances.multipliers import (
    CompiledMultiplier,
    LeastTwo,
    Multiplier,
    NumpyMultiplier,
)
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
Nearest = tuple[Float64, Float64, NDArray[np.int64]]  # least, second, where of some rows: views


class NearestPicks:
    """The nearest picks of each row (m, d), as far as rows have been asked for.

    With v(x, p) the value of a row and a pick (see `Space`) and p_1 … p_count the picks so far, a
    row i knows the first seen_i of them, and

        least_i  ≈ min_{j ≤ seen_i} v(x_i, p_j), off by at most error_i, reached at j = where_i,
        second_i ≤ any other v(x_i, p_j), j ≤ seen_i, by the same approximation.

    A row is *up to date* once seen_i = count. capacity, dtype: of the picks. centred_copy: keep a
    centred copy of the rows in memory; else they are read and centred anew for each use (memory
    maps beyond memory). Results never depend on `centred_copy` or on the precision.
    """

    def __init__(
        self,
        rows: Array,
        space: Space,
        *,
        capacity: int,
        dtype: Any = None,
        centred_copy: bool = True,
        multiplier: Multiplier | None = None,
    ) -> None:
        self.rows, self.space = rows, space
        self._multiplier = multiplier or NumpyMultiplier()
        self._centred_copy = centred_copy
        self.dtype: Any = np.float32  # of the approximation
        self.count = 0  # of picks so far; at most `capacity`
        self._picks = np.empty((capacity, rows.shape[1]), dtype=dtype or rows.dtype)
        self._ready = False
        self._sketches: Sketches | None = None

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
        compiled = isinstance(self._multiplier, CompiledMultiplier) and self.dtype == np.float32
        merge = self._merge_compiled if compiled else self._merge
        for first, stop in _windows(seen, self.count):
            q = int(np.searchsorted(seen, stop))  # those that miss some of these picks
            skip = np.maximum(seen[:q] - first, 0)
            # A pick farther than this can be neither the nearest nor a rival in doubt.
            limit = least[:q] + 2 * error[:q]
            some = slice(first, stop)
            known = least[:q], second[:q], where[:q]
            merge(index[:q], some, skip, limit, largest[:q], known)
        self.least[index], self.second[index], self.where[index] = least, second, where
        self.seen[index] = self.count
        self._brought_up_to_date(index)

    def _brought_up_to_date(self, index: NDArray[np.int64]) -> None:
        """Learn that rows are up to date."""

    def _largest_near(self, index: NDArray[np.int64], least: Float64) -> Float64:
        """Return the largest size of a pick whose rounding counts for each row: one of a size
        beyond its `reach` is farther than its nearest pick, and comes out so however it is rounded.
        """
        reach = self.space.reach(self.sizes[index], least, self.dtype)
        largest: Float64 = np.minimum(self._largest, np.broadcast_to(reach, index.shape))
        return largest

    def _merge(
        self,
        index: NDArray[np.int64],
        some: slice,
        skip: NDArray[np.int64],
        limit: Float64,
        largest: Float64,
        known: Nearest,
    ) -> None:
        """Merge `some` picks but the first `skip_i` into what rows know of their nearest.

        A pick farther from a row than `limit` may be left out; one longer than `largest` is.
        """
        least, second, where = known
        near, (new, at, next_new) = self._nearest(index, some, skip, limit, largest)
        old = least[near]
        better = new < old
        runner_up = np.where(better, old, new)
        second[near] = np.minimum(second[near], np.minimum(runner_up, next_new))
        where[near] = np.where(better, at + some.start, where[near])
        least[near] = np.where(better, new, old)

    def _merge_compiled(
        self,
        index: NDArray[np.int64],
        some: slice,
        skip: NDArray[np.int64],
        limit: Float64,
        largest: Float64,
        known: Nearest,
    ) -> None:
        """See `_merge`."""
        multiplier, sketches = self._multiplier, self._sketches
        assert isinstance(multiplier, CompiledMultiplier)
        kernels = multiplier.kernels
        picks, sizes, unit = self._prepared_picks[some], self.sizes[index], self.space.unit
        squares, own = np.square(self._pick_sizes[some]), np.square(sizes)
        if sketches is not None and sketches.pay and some.start:
            tile, most = sketches.tile(index, sizes, limit, largest, some)
            counts = np.empty(len(index), np.int64)
            kernels.count_at_most(tile, most, counts)
            near: Any = np.flatnonzero(counts)
            if self._pair_by_pair(int(counts.sum()), len(near), len(picks), len(index)):
                kernels.merge_pairs(
                    tile, most, skip, self._handle, index, own, picks, squares, unit, some.start,
                    *known,
                )  # fmt: skip
                return
            part: Any = tuple(column[near] for column in known)
        else:
            near, part = slice(None), known
        gains = multiplier.tile(self._gather(index[near]), picks)
        halves, floor = (squares / 2).astype(picks.dtype), (own - limit / unit)[near] / 2
        kernels.merge_gains(gains, halves, skip[near], floor, own[near], unit, some.start, *part)
        for column, found in zip(known, part, strict=True):
            if found is not column:
                column[near] = found

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
        single = self._pair_by_pair(len(i), len(near), len(picks[0]), len(index))
        rows = index[i] if single else index[near]
        sizes = self.sizes[rows]
        if single:
            return near, self._sketches.least_two(rows, sizes, picks[0], some, j, starts)
        found, least = self.space.least_two(
            self._gather(rows), sizes, picks, skip[near], limit[near]
        )
        return near[found], least

    def _pair_by_pair(self, pairs: int, near: int, picks: int, asked: int) -> bool:
        """Whether single pairs are less work than products of the `near` rows that they have with
        all picks; note what is left to do for the rows that were asked for.
        """
        assert self._sketches is not None
        pair = self._multiplier.pair
        whole = pair + picks  # all distances of a row, the first of which must be fetched
        work, others = pairs * pair, near * whole
        self._sketches.note(min(work, others), asked * whole)
        return work < others

    def _gather(self, index: NDArray[np.int64]) -> Any:
        if self._centred_copy:
            return self._multiplier.gather(self._handle, index)
        return self._multiplier.load(self.space.prepare(self.rows[index], self.dtype)[0])

    def unweighted(self, index: Array) -> Float64:
        """Return the defining values of rows that are up to date, inf without picks.

        min_j v(x_i, p_j) in the float64 of the definition, whatever the approximation says.
        """
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
