"""One worker's rows of a pool, and the queries it answers.

A selection asks in rounds. In each, a shard hears of the picks made since, and answers with the few
rows that can come next, their defining values among them; how many rounds there are does not depend
on how many rows a shard has. Neighbours, moments and digests are asked for in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from socket import gethostname
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entroloop.distances.extents import Extent, extent
from entroloop.distances.neighbors import Neighbors, nearest_in
from entroloop.distances.ranges import RangeIndex, Values, as_float64
from entroloop.distances.table import DISTANCES, Transform
from entroloop.distances.within import Pairs
from entroloop.pools.bounds import LARGEST, Bounds
from entroloop.pools.copies import copies_among
from entroloop.pools.rows import Rows
from entroloop.pools.tree import PickedInTree, Tree
from entroloop.samples import Array, Float64, nonfinite_rows
from entroloop.system.memory import available_bytes

END = np.iinfo(np.int64).max - 1  # of every visiting order
Index = NDArray[np.int64]
Call = tuple[Callable[..., Any], tuple[Any, ...]]  # a method of `Shard` and its arguments


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """Rows of a pool that can be picked next; every row not listed has value ≤ `level`.

    index: of the pool. values: defining values to all picks, weighted. weights: to the power of the
    space. precision: what the approximation is computed in. copies: only copies of picks are left.
    """

    index: Index
    rows: Array
    values: Float64
    weights: Float64
    level: float
    precision: str
    copies: bool = False


@dataclass(frozen=True, kw_only=True)
class Visited:
    """Rows in visiting order whose value exceeds a level, up to a position in the order.

    rank: the position of each row. frontier: up to it no other row exceeds the level. largest: an
    upper bound of all values.
    """

    index: Index
    rank: Index
    rows: Array
    values: Float64
    weights: Float64
    frontier: int
    largest: float


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a shard needs to start a selection.

    metric: a name in `DISTANCES`. extent: of the whole pool, so that all shards centre and scale
    alike. selectable: mask of this shard's rows that can be picked. weights: of its rows, or None.
    capacity: how many picks there will be at most, initial rows among them. dtype: of the picks as
    stored. centred_copy: keep the rows centred in memory. device: auto, cpu or cuda. operations:
    multiplications that the selection takes at most; they decide which multiplier pays.
    """

    metric: str
    extent: Extent
    selectable: NDArray[np.bool_]
    weights: Float64 | None
    capacity: int
    dtype: Any
    centred_copy: bool
    device: str
    operations: float


@dataclass(frozen=True, kw_only=True)
class PairSearch:
    """A search for pairs of queries and of some rows of a shard.

    metric: a name in `DISTANCES` whose transform, if any, learns nothing. radius: of the pairs (≤).
    start, stop: of the rows, kept: mask of those that count. queries: rows, here or elsewhere, the
    first of which is row `first` of the pool; asked: mask of those that count. most: pairs beyond
    which the search stops.
    """

    metric: str
    radius: float
    start: int
    stop: int
    kept: NDArray[np.bool_]
    queries: Rows
    first: int
    asked: NDArray[np.bool_]
    most: int


class Shard:
    """Rows start, start + 1, … of a pool."""

    def __init__(self, rows: Rows, start: int = 0) -> None:
        self._source, self.start = rows, start
        self._kept: Index | None = None
        self._sorted: tuple[Any, RangeIndex] | None = None  # of the last search for pairs

    def load(self) -> None:
        """Open the rows: the first call that a shard gets."""
        self.rows = self._source.open()

    def answer(self, calls: Sequence[Call]) -> Any:
        """Carry out calls in order; return the last answer."""
        result = None
        for method, arguments in calls:
            result = method(self, *arguments)
        return result

    def apply(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Return what a function makes of this shard."""
        return function(self, *arguments)

    # -- a selection ----------------------------------------------------------------------------

    def memory(self) -> tuple[str, int | None]:
        """Return which machine this is, and how many bytes of memory are available there."""
        return gethostname(), available_bytes()

    def invalid(self) -> tuple[int, list[int]]:
        """Return how many rows hold NaN or infinite values, and the first five of them."""
        found = self.start + nonfinite_rows(self.rows)
        return len(found), found[:5].tolist()

    def transform(self, transform: Transform) -> None:
        """Map rows into the space where the metric is Euclidean."""
        self.rows = transform(self.rows, self.start)

    def extent(self) -> Extent:
        """Return what a common centre follows from."""
        return extent(self.rows)

    def start_selection(self, settings: Settings) -> None:
        """Start a selection that has no picks yet."""
        space, multiplier = DISTANCES[settings.metric].space_for(
            settings.extent, device=settings.device, operations=settings.operations
        )
        self.bounds = Bounds(
            self.rows,
            space,
            selectable=settings.selectable,
            capacity=settings.capacity,
            dtype=settings.dtype,
            weights=settings.weights,
            centred_copy=settings.centred_copy,
            multiplier=multiplier,
        )
        self._tree: Tree | None = None
        self._order: Index | None = None
        self._ahead = 0  # how far `visit` looks ahead
        self._unpicked = settings.selectable.copy()  # what could be picked and was not
        self._wanted = 0
        self._only_copies = False
        self._raised = 0  # times that float32 could not tell rows apart

    def add(self, rows: Array, index: Index) -> None:
        """Add picks of the pool; those of this shard can no longer be picked."""
        own = self._own(index)
        self.bounds.add(rows, own if len(own) == len(rows) else None)
        if self._tree is not None:
            self._tree.add(rows)
        self._unpicked[own] = False
        self.bounds.exclude(own)

    def exclude(self, index: Index) -> None:
        """Take those of these rows that are here out of what can be picked."""
        self.bounds.exclude(self._own(index))

    def set_aside_copies(self, in_order: bool = False) -> None:
        """Leave out rows that equal another one, which come after it whatever is picked: they have
        no larger value, and a pick of either leaves both at distance 0.

        in_order: the first in visiting order stays, and with weights all do; else that of the
        largest weight, and of the lowest index.
        """
        bounds, weights = self.bounds, self.bounds.weights
        index = np.flatnonzero(bounds.selectable)
        if in_order:
            if weights is not None:
                return
            assert self._order is not None  # set_order comes first
            index = self._order[bounds.selectable[self._order]]
        copies = copies_among(bounds.rows, index, weights)
        bounds.exclude(copies)
        self._unpicked[copies] = False

    def farthest(self, target: int) -> Candidates:
        """Return about `target` rows of largest value, and a level that no other row exceeds."""
        bounds = self.bounds
        wanted = self._wanted or target  # this many of the largest bounds gave a full block
        empty = np.empty(0, dtype=np.int64)
        if self._only_copies:
            return self._candidates(empty, -1.0, copies=True)
        early = bounds.count <= bounds.capacity // 16
        if bounds.dtype == np.float64 and self._raised == 1 and early:
            bounds.restore_precision()  # beside a few far rows, picked first, all others were alike
        while True:
            level, index, reached = bounds.level_set(wanted, target)
            if level < 0 and not (bounds.exact(index) > 0).any():
                self._only_copies = True
                return self._candidates(empty, -1.0, copies=True)
            # Too many rows in doubt at one level: float32 cannot tell them apart.
            if len(index) <= LARGEST or not bounds.raise_precision():
                break
            self._raised += 1
        self._wanted = int(
            np.clip(wanted * target / max(reached, 1), max(64, wanted / 2), 2 * wanted)
        )
        return self._candidates(index, level)

    def _candidates(self, index: Index, level: float, *, copies: bool = False) -> Candidates:
        bounds = self.bounds
        return Candidates(
            index=self.start + index,
            rows=bounds.rows[index],
            values=bounds.exact(index),
            weights=bounds.weights_of(index),
            level=level,
            precision=str(np.dtype(bounds.dtype)),
            copies=copies,
        )

    def set_order(self, index: Index, rank: Index) -> None:
        """Set the visiting order: rows of the pool that are here, and the position of each in it,
        ascending.
        """
        self._order, self._rank = index - self.start, rank
        if self._tree is not None:
            self._tree.set_order(self._order)

    def visit(self, position: int, level: float, count: int, strict: bool) -> Visited:
        """Return the next rows above a level, at most `count` of them, from a position on.

        strict: above, else at least at the level.
        """
        bounds, order = self.bounds, self._order
        assert order is not None  # set_order comes first
        above = np.greater if strict else np.greater_equal
        first = stop = int(np.searchsorted(self._rank, position))
        found, some = np.empty(0, dtype=np.int64), max(self._ahead, count)
        while len(found) <= count // 2 and stop < len(order):
            start, stop = stop, min(stop + some, len(order))
            ahead = start + np.flatnonzero(above(bounds.upper[order[start:stop]], level))
            bounds.refresh(np.sort(order[ahead]))
            still = ahead[above(bounds.upper[order[ahead]], level)]
            found, some = np.concatenate([found, still]), 2 * some
        # Most bounds are old, and fall when they are brought up to date: how far ahead one must
        # look for `count` rows the last visit tells.
        looked = stop - first
        self._ahead = min(looked * count // max(len(found), 1), 2 * looked)
        if len(found) > count:
            found = found[:count]
            stop = int(found[-1]) + 1
        index = order[found]
        values = bounds.exact(index)
        bounds.tighten(index, values)
        return Visited(
            index=self.start + index,
            rank=self._rank[found],
            rows=bounds.rows[index],
            values=values,
            weights=bounds.weights_of(index),
            frontier=END if stop == len(order) else int(self._rank[stop - 1]),
            largest=float(bounds.upper.max(initial=-np.inf)),
        )

    def pick_in_tree(self, how: Callable[..., PickedInTree], *arguments: Any) -> PickedInTree:
        """Make picks in a tree of boxes; how: a method of `Tree`. This shard is the whole pool."""
        if self._tree is None:
            bounds = self.bounds
            self._tree = Tree(
                bounds.rows, np.flatnonzero(bounds.selectable), bounds.weights, bounds.space.power
            )
            self._tree.add(bounds.picks)
            if self._order is not None:
                self._tree.set_order(self._order)
        found = how(self._tree, *arguments)
        self.bounds.add(self.rows[found.index])
        self._unpicked[found.index] = False
        self.bounds.exclude(found.index)
        return found

    def values_of(self, index: Index) -> Candidates:
        """Return those of these rows that are here, with their values to all picks."""
        own = self._own(index)
        self.bounds.refresh(own)
        return self._candidates(own, -1.0)

    def largest_value_to(self, row: Array) -> float:
        """Return the largest weighted value of a selectable row to a given row."""
        bounds, largest = self.bounds, -np.inf
        for start in range(0, len(bounds.rows), 8192):
            part = slice(start, start + 8192)
            values = bounds.weighted(bounds.space.exact(bounds.rows[part], row), part)
            largest = max(largest, float(values[bounds.selectable[part]].max(initial=-np.inf)))
        return largest

    def largest_unpicked(self) -> float:
        """Return the largest value, without weights, of a row that could be picked and was not."""
        bounds, best = self.bounds, 0.0
        if self._tree is not None:
            return max(self._tree.largest_unweighted, 0.0)
        left = np.flatnonzero(self._unpicked)
        bounds.refresh(left[:0])
        upper = np.maximum(bounds.least[left], 0) + bounds.error[left]
        order = np.argsort(-upper)
        for start in range(0, len(order), 1024):  # most rows are far below the largest
            some = order[start : start + 1024]
            if upper[some[0]] <= best:
                break
            bounds.refresh(left[some])
            best = max(best, float(bounds.unweighted(left[some]).max()))
        return best

    def take(self, index: Index) -> Array:
        """Return those of these rows that are here."""
        return np.asarray(self.rows[self._own(index)])

    def _own(self, index: Index) -> Index:
        """Return which rows of the pool lie here, counted from this shard's first."""
        own = index - self.start
        return own[(own >= 0) & (own < len(self.rows))]

    # -- measures -------------------------------------------------------------------------------

    def nearest(self, queries: Array, own_index: Index | None, k: int, device: str) -> Neighbors:
        """Return the k nearest rows of this shard, squared distances; see `nearest_in`."""
        if self._kept is None:
            return nearest_in([(self.rows, self.start)], queries, own_index, k, device)
        if own_index is not None:  # counted among the rows that are kept, −1 for others
            own = own_index - self.start
            position = np.minimum(np.searchsorted(self._kept, own), max(len(self._kept) - 1, 0))
            own_index = np.where(np.isin(own, self._kept), position, -1)
        found = nearest_in([(self._kept_rows, 0)], queries, own_index, k, device)
        there = np.isfinite(found.distances)
        found.indices[there] = self.start + self._kept[found.indices[there]]
        return found

    def pairs(self, search: PairSearch | None) -> tuple[Pairs, float] | None:
        """Return the pairs of a search and how much of it is done (1 unless there are too many);
        None for none. Rows that were searched last stay sorted.
        """
        if search is None:
            return None
        learn = DISTANCES[search.metric].learn
        values: Values = as_float64 if learn is None else learn(tuple)
        key = (search.metric, search.radius, search.start, search.stop)
        if self._sorted is None or self._sorted[0] != key:
            self._sorted = None  # frees its memory before the next one is made
            own = self.rows[search.start - self.start : search.stop - self.start]
            kept = np.flatnonzero(search.kept)
            index = RangeIndex(own, search.radius, first=search.start, kept=kept, values=values)
            self._sorted = key, index
        asked = np.flatnonzero(search.asked)
        return self._sorted[1].pairs(search.queries.open(), search.first, asked, search.most)

    def without_length(self) -> tuple[int, list[int]]:
        """Return how many rows are zero vectors, and the first five of them."""
        found = [np.flatnonzero(~self.rows[at : at + 8192].any(axis=1)) + at
                 for at in range(0, len(self.rows), 8192)]  # fmt: skip
        zero = self.start + np.concatenate([np.empty(0, dtype=np.int64), *found])
        return len(zero), zero[:5].tolist()

    def keep_only(self, index: Index) -> None:
        """Leave out all but these rows of the pool from what can be a neighbour."""
        own = self._own(index)
        if len(own) < len(self.rows):
            self._kept, self._kept_rows = own, np.asarray(self.rows[own])

    def moments(self, shift: Float64) -> tuple[int, Float64, Float64]:
        """Return how many rows there are, Σ (x − shift), and Σ (x − shift)(x − shift)ᵀ."""
        total, scatter = np.zeros(len(shift)), np.zeros((len(shift), len(shift)))
        for start in range(0, len(self.rows), 4096):
            x = self.rows[start : start + 4096].astype(np.float64) - shift
            total += x.sum(axis=0)
            scatter += x.T @ x
        return len(self.rows), total, scatter

    def digests(self) -> Array:
        """Return 128 bits of each row's content (m, 2) uint64; −0.0 counts as 0.0."""
        out = np.empty((len(self.rows), 2), dtype=np.uint64)
        for start in range(0, len(self.rows), 8192):
            x = self.rows[start : start + 8192]
            x = np.ascontiguousarray(x + x.dtype.type(0))
            text = b"".join(blake2b(row, digest_size=16).digest() for row in x.view(np.uint8))
            out[start : start + 8192] = np.frombuffer(text, np.uint64).reshape(-1, 2)
        return out
