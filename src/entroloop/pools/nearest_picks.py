"""What rows of a pool know of their nearest picks, brought up to date when it is asked for.

Products of many rows and picks tell nearly all; where sketches say which pairs are near, those
alone are multiplied. Compiled loops merge what is found where they pay, or else NumPy does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
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
from entroloop.distances.spaces import Euclidean, Space, exact_pairs
from entroloop.pools.sketches import Sketches, sketch_for
from entroloop.samples import Array, Float64
from entroloop.system.threads import in_threads, products_in_one_thread, threads_here

ROWS_AT_ONCE = 2**17  # of which columns are held beside the pool's
# Rows of a part, below which Python costs more than products; four times as many where it merges
# what products find.
FEWEST_ROWS = 256
CORE_BYTES = 2**20  # of rows and products that a core's own cache holds beside other things


@dataclass(frozen=True, slots=True)
class Behind:
    """Rows that miss picks, sorted by how many they have seen; see `NearestPicks`.

    largest: of the sizes of the picks whose rounding counts. The columns from `least` on are
    written to.
    """

    index: NDArray[np.int64]
    seen: NDArray[np.int64]
    sizes: Float64
    largest: Float64
    error: Float64
    least: Float64
    second: Float64
    third: Float64
    where: NDArray[np.int64]
    rival: NDArray[np.int64]

    def part(self, start: int, stop: int) -> Behind:
        """Return some of the rows, views of their columns."""
        columns = (getattr(self, field.name)[start:stop] for field in fields(self))
        return Behind(*columns)


class NearestPicks:
    """The nearest picks of each row (m, d), as far as rows have been asked for.

    With v(x, p) the value of a row and a pick (see `Space`) and p_1 … p_count the picks so far, a
    row i knows the first seen_i of them, and

        least_i  ≈ min_{j ≤ seen_i} v(x_i, p_j), off by at most error_i, reached at j = where_i,
        second_i ≤ any other v(x_i, p_j), j ≤ seen_i, by the same approximation,
        third_i  ≤ any but those at where_i and at rival_i, which is −1 where it is not known,

    picks left out that were farther than least_i + 2 error_i: they cannot be the nearest.

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
        self.least, self.second, self.third = np.full((3, m), np.inf)
        self.where, self.seen = np.zeros((2, m), dtype=np.int64)
        self.rival = np.full(m, -1)
        self.error = np.zeros(m)
        if self._has_copy:
            prepared, self.sizes = self.space.prepare(self.rows, self.dtype)
            self._handle = self._multiplier.load(prepared)
            on_cpu = isinstance(self._multiplier, NumpyMultiplier)  # a GPU would gain nothing
            if on_cpu and isinstance(self.space, Euclidean):
                sketch = sketch_for(m, d, prepared.__getitem__)
                if sketch is not None:
                    self._sketches = Sketches(
                        sketch, self.space, self._handle, prepared, self.sizes, self.capacity
                    )
        else:
            self.sizes = np.empty(len(self.rows))
            for start in range(0, len(self.rows), 8192):
                part = slice(start, start + 8192)
                self.sizes[part] = self.space.prepare(self.rows[part], self.dtype)[1]
        prepared, sizes = self.space.prepare(self.picks, self.dtype)
        self._held_picks = self._multiplier.room(self._picks.shape, prepared.dtype)
        self._multiplier.write(self._held_picks, slice(0, self.count), prepared)
        self._pick_sizes = np.empty(len(self._picks))
        self._pick_sizes[: self.count] = sizes
        if self._sketches is not None:
            self._sketches.add(slice(0, self.count), prepared, sizes)
        self._largest = float(sizes.max(initial=0))

    @property
    def capacity(self) -> int:
        """How many picks there can be."""
        return len(self._picks)

    @property
    def _has_copy(self) -> bool:
        # In float64 few rows still matter: they are centred as they are used.
        return self._centred_copy and self.dtype == np.float32

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
        self._handle = self._sketches = None  # their bounds are those of float32
        self._prepare()
        return True

    def restore_precision(self) -> None:
        """Go back to float32. What was known stays as upper bounds."""
        self.dtype = np.float32
        self._prepare()

    def add(self, rows: Array, own: NDArray[np.int64] | None = None) -> None:
        """Append picks, as they are stored; nothing is computed yet. own: which rows they are."""
        new = slice(self.count, self.count + len(rows))
        self._picks[new] = rows
        if not self._ready:
            self.count += len(rows)
            return
        if own is not None and self._has_copy and isinstance(self._handle, np.ndarray):
            prepared, sizes = self._handle[own], self.sizes[own]
        else:
            prepared, sizes = self.space.prepare(rows, self.dtype)
        self._multiplier.write(self._held_picks, new, prepared)
        self._pick_sizes[new] = sizes
        if self._sketches is not None:
            self._sketches.add(new, prepared, sizes, own)
        self.count += len(rows)
        self._largest = max(self._largest, float(sizes.max(initial=0)))

    @products_in_one_thread()
    def refresh(self, index: NDArray[np.int64]) -> None:
        """Bring rows up to date with all picks, those that know least first."""
        if not self._ready:
            self._prepare()
        stale = index[self.seen[index] < self.count]
        stale = stale[np.argsort(self.seen[stale], kind="stable")]
        for start in range(0, len(stale), ROWS_AT_ONCE):
            self._catch_up(stale[start : start + ROWS_AT_ONCE])

    def _catch_up(self, index: NDArray[np.int64]) -> None:
        """Bring up to date rows that are sorted by how many picks they have seen."""
        sizes, least = self.sizes[index], self.least[index]
        largest = self._largest_near(sizes, least)
        error = self.space.bound(sizes, largest, self.dtype)
        behind = Behind(
            index, self.seen[index], sizes, largest, error,
            least, self.second[index], self.third[index], self.where[index], self.rival[index],
        )  # fmt: skip
        in_threads(self._merge_missing, self._parts(behind), self._threads)
        if behind.seen[0] == 0:  # rows that knew no pick had every pick's size in their error
            largest = self._largest_near(sizes, behind.least)
            error = self.space.bound(sizes, largest, self.dtype)
        for column in ("least", "second", "third", "where", "rival"):
            getattr(self, column)[index] = getattr(behind, column)
        self.error[index], self.seen[index] = error, self.count
        self._brought_up_to_date(index)

    @property
    def _by_loops(self) -> CompiledMultiplier | None:
        """The multiplier whose compiled loops merge what its products find, if they do."""
        float32_products = isinstance(self.space, Euclidean) and self.dtype == np.float32
        if float32_products and isinstance(self._multiplier, CompiledMultiplier):
            return self._multiplier
        return None

    @property
    def _threads(self) -> int:
        return threads_here() if self._multiplier.threaded else 1

    @property
    def _values_at_once(self) -> int:
        values: int = self._multiplier.tile_bytes // np.dtype(self.dtype).itemsize
        return values

    def _parts(self, behind: Behind) -> list[Behind]:
        """Return rows in parts, each of which fills a product with the picks that it misses."""
        most, threads = len(behind.index), self._threads
        if threads > 1:  # several for each thread, so that none waits long for the last one
            fewest = FEWEST_ROWS if self._by_loops is not None else 4 * FEWEST_ROWS
            most = max(fewest, -(-most // (4 * threads)))
        parts, start = [], 0
        while start < len(behind.index):
            missing = min(self._multiplier.picks_at_once, self.count - int(behind.seen[start]))
            width = max(missing, self.rows.shape[1])
            stop = start + min(most, max(64, self._values_at_once // width))
            parts.append(behind.part(start, stop))
            start = stop
        return parts

    def _merge_missing(self, behind: Behind) -> None:
        """Merge the picks that rows miss into what they know of their nearest."""
        if self._by_loops is not None:
            self._merge_compiled(behind, self._by_loops)
            return
        multiplier = self._multiplier
        at_once = multiplier.picks_at_once
        for first, stop in _windows(behind.seen, self.count, multiplier.again, at_once):
            those = int(np.searchsorted(behind.seen, stop))  # that miss some of these picks
            self._merge(behind.part(0, those), slice(first, stop))

    def _brought_up_to_date(self, index: NDArray[np.int64]) -> None:
        """Learn that rows are up to date."""

    def _largest_near(self, sizes: Float64, least: Float64) -> Float64:
        """Return the largest size of a pick whose rounding counts for each row: one of a size
        beyond its `reach` is farther than its nearest pick, and comes out so however it is rounded.
        """
        reach = self.space.reach(sizes, least, self.dtype)
        largest: Float64 = np.minimum(self._largest, np.broadcast_to(reach, sizes.shape))
        return largest

    def _merge(self, behind: Behind, some: slice) -> None:
        """Merge `some` picks, less those that a row knows, into what rows know of their nearest.

        A pick farther than least + 2 error can be neither the nearest nor a rival in doubt: it may
        be left out.
        """
        skip = np.maximum(behind.seen - some.start, 0)
        limit = behind.least + 2 * behind.error
        near, (new, at, next_new) = self._nearest(behind, some, skip, limit)
        old = behind.least[near]
        better = new < old
        runner_up = np.minimum(np.where(better, old, new), next_new)
        behind.second[near] = np.minimum(behind.second[near], runner_up)
        behind.where[near] = np.where(better, at + some.start, behind.where[near])
        behind.least[near] = np.where(better, new, old)

    def _nearest(
        self, behind: Behind, some: slice, skip: NDArray[np.int64], limit: Float64
    ) -> tuple[NDArray[np.int64], LeastTwo]:
        """Return the positions in `behind` of rows that a pick of `some` may be nearer to than
        `limit`, the first `skip_i` picks left out, and the least two values of each over those.
        """
        index = behind.index
        picks = self._held_picks[some], self._pick_sizes[some]
        if self._sketches is None or not self._sketches.pay or not some.start:
            return self.space.least_two(self._gather(index), behind.sizes, picks, skip, limit)
        i, j = self._sketches.near(index, behind.sizes, limit, behind.largest, some)
        if skip.any():
            new = np.flatnonzero(j >= skip[i])
            i, j = i[new], j[new]
        starts = np.flatnonzero(np.diff(i, prepend=-1))
        near = i[starts]
        # Single pairs, or products of the `near` rows, which must be fetched, with all picks.
        pair = self._multiplier.pair
        whole = pair + len(picks[0])
        single = len(i) * pair < len(near) * whole
        self._sketches.note(min(len(i) * pair, len(near) * whole), len(index) * whole)
        rows = index[i] if single else index[near]
        sizes = self.sizes[rows]
        if single:
            return near, self._sketches.least_two(rows, sizes, picks[0], some, j, starts)
        found, least = self.space.least_two(
            self._gather(rows), sizes, picks, skip[near], limit[near]
        )
        return near[found], least

    def _merge_compiled(self, behind: Behind, multiplier: CompiledMultiplier) -> None:
        """Merge all picks that rows miss, as `_merge` does for each range of them."""
        sketches = self._sketches
        sketched = sketches is not None and sketches.pay
        at, known = behind.index, slice(0, self.count)
        rows = self._handle
        if not self._has_copy:
            rows, at = self._gather(at), np.arange(len(at))
        nothing = np.empty((0, 1), np.float32)
        outlines, of_picks, doubt = nothing, nothing, behind.error
        if sketches is not None and sketched:
            outlines, of_picks = sketches.outlines, sketches.pick_outlines
            doubt = sketches.doubt(behind.sizes, behind.largest)
        at_once = multiplier.picks_at_once
        width = rows.shape[1] + outlines.shape[1] + at_once // 2
        lines = min(max(64, CORE_BYTES // (4 * width)), len(at))
        memory = multiplier.workspaces(lines, rows.shape[1], outlines.shape[1], at_once)
        work = multiplier.kernels.catch_up(
            rows, at, self._held_picks[known], np.square(self._pick_sizes[known]),
            behind.sizes, behind.error, behind.seen,
            behind.least, behind.second, behind.third, behind.where, behind.rival,
            self.space.unit, outlines, of_picks, doubt, sketched, float(multiplier.pair),
            multiplier.again, at_once, *memory,
        )  # fmt: skip
        if sketches is not None and sketched:
            sketches.note(*work)

    def _gather(self, index: NDArray[np.int64]) -> Any:
        if self._has_copy:
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
        values = exact_pairs(self.space, self.rows, index, self.picks, self.where[index])
        # Another pick can only be the nearest where its approximate value is as near as doubt.
        limit = self.least[index] + 2 * self.error[index]
        doubt = np.flatnonzero(self.second[index] <= limit)

        def merge(part: NDArray[np.int64], i: Array, j: Array, found: Float64) -> None:
            best = values[part]
            np.minimum.at(best, i, found)
            if where is not None:
                first = np.where(best < values[part], self.count, where[part])
                tied = found == best[i]
                np.minimum.at(first, i[tied], j[tied])
                where[part] = first
            values[part] = best

        alone = (self.rival[index[doubt]] >= 0) & (self.third[index[doubt]] > limit[doubt])
        one, doubt = doubt[alone], doubt[~alone]
        rival = self.rival[index[one]]
        found = exact_pairs(self.space, self.rows, index[one], self.picks, rival)
        merge(one, np.arange(len(one)), rival, found)
        block = max(1, min(self._values_at_once // self.count, -(-len(doubt) // self._threads)))

        def decide(start: int) -> None:
            part = doubt[start : start + block]
            merge(part, *self._scan(index[part]))

        in_threads(decide, range(0, len(doubt), block), self._threads)
        return values

    def _scan(self, index: NDArray[np.int64]) -> tuple[Array, Array, Float64]:
        """Return the pairs of a row (its position) and a pick within doubt, and their values."""
        limit = self.least[index] + 2 * self.error[index]
        sizes, every = self.sizes[index], slice(0, self.count)
        pairs: Any = None
        if self._sketches is not None:
            largest = self._largest_near(sizes, self.least[index])
            pairs = self._sketches.near(index, sizes, limit, largest, every)
        if pairs is None or len(pairs[0]) * self._multiplier.pair > len(index) * self.count:
            picks = self._held_picks[every], self._pick_sizes[every]
            pairs = self.space.near(self._gather(index), sizes, picks, limit)
        i, j = pairs
        return i, j, exact_pairs(self.space, self.rows, index[i], self.picks, j)


def _windows(
    seen: NDArray[np.int64], total: int, again: int, at_once: int
) -> Iterator[tuple[int, int]]:
    """Yield (first, stop) ranges of at most `at_once` picks to process together.

    seen: how many picks each row knows, sorted. Some picks are taken again for rows that know them
    where that is less work than a range of its own, which costs as much as `again` distances.
    """
    starts, repeated = [int(seen[0])], 0
    for value, count in zip(*np.unique(seen, return_counts=True), strict=True):
        repeated += int(count) * (int(value) - starts[-1])
        if repeated > again or value - starts[-1] >= at_once:
            starts.append(int(value))
            repeated = 0
    for start, end in pairwise([*starts, total]):
        for first in range(start, end, at_once):
            yield first, min(first + at_once, end)
