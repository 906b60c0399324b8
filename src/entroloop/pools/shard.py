"""A part of a pool: rows that lie in one place, and the answers to what is asked of them.

A selection asks in rounds. In each, the part is told the picks made since, and answers with the few
rows that can come next, their defining values among them; how many rounds there are does not depend
on how many rows a part has. Neighbours, moments and digests are asked in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from socket import gethostname
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entroloop.distances.multipliers import Multiplier, multiplier_for
from entroloop.distances.neighbors import Neighbors, nearest_in
from entroloop.distances.spaces import Euclidean, Extent, Manhattan, Space, extent
from entroloop.distances.transforms import Whitening, unit_rows
from entroloop.pools.bounds import LARGEST, Shard
from entroloop.pools.rows import Rows
from entroloop.samples import Array, Float64, nonfinite_rows
from entroloop.system.memory import available_bytes

END = np.iinfo(np.int64).max - 1  # of every visiting order
Index = NDArray[np.int64]
Call = tuple[str, tuple[Any, ...]]  # a method of `Part` and its arguments


@dataclass(frozen=True)
class Candidates:
    """Rows of a pool that can be picked next; those not named have a value of at most `level`.

    index: of the pool. values: defining values to all picks, weighted. precision: what the part
    computes in. copies: nothing but copies of picks is left.
    """

    index: Index
    rows: Array
    values: Float64
    weights: Float64
    level: float
    precision: str
    copies: bool = False


@dataclass(frozen=True)
class Visited:
    """Rows in visiting order whose value exceeds a level, up to a place in the order.

    rank: the places of the rows. frontier: up to it no other row of the part exceeds the level.
    largest: no row of the part has a larger value.
    """

    index: Index
    rank: Index
    rows: Array
    values: Float64
    weights: Float64
    frontier: int
    largest: float


@dataclass(frozen=True)
class Setup:
    """How a part takes part in a selection.

    open_rows: which of its rows can be picked. dtype: of the picks. held: keep a centred copy in
    memory.
    """

    metric: str
    extent: Extent  # of the whole pool
    open_rows: NDArray[np.bool_]
    weights: Float64 | None
    capacity: int
    dtype: Any
    held: bool
    device: str
    operations: float


class Part:
    """Rows start, start + 1, … of a pool."""

    def __init__(self, rows: Rows, start: int = 0) -> None:
        self._source, self.start = rows, start
        self._kept: Index | None = None

    def open(self) -> None:
        """Open the rows; first of all that a part is told."""
        self.rows = self._source.open()

    def answer(self, calls: Sequence[Call]) -> Any:
        """Do what is asked, in order; return the last answer."""
        result = None
        for name, arguments in calls:
            result = getattr(self, name)(*arguments)
        return result

    def apply(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Return what a function makes of this part."""
        return function(self, *arguments)

    # -- a selection ----------------------------------------------------------------------------

    def room(self) -> tuple[str, int | None]:
        """Return which machine this is, and what memory can still be taken there."""
        return gethostname(), available_bytes()

    def invalid(self) -> tuple[int, list[int]]:
        """Return how many rows hold NaN or infinite values, and the first of them."""
        found = self.start + nonfinite_rows(self.rows)
        return len(found), found[:5].tolist()

    def transform(self, metric: str, whitening: Whitening | None) -> None:
        """Bring the rows where the metric is Euclidean."""
        if metric == "cosine":
            self.rows = unit_rows(self.rows, self.start)
        elif whitening is not None:
            self.rows = whitening(self.rows, self.start)

    def extent(self) -> Extent:
        """Return what a common centre follows from."""
        return extent(self.rows)

    def begin(self, setup: Setup) -> None:
        """Begin a selection without picks."""
        space, multiplier = space_for(setup.metric, setup.extent, setup.device, setup.operations)
        self.shard = Shard(
            self.rows,
            space,
            open_rows=setup.open_rows,
            capacity=setup.capacity,
            dtype=setup.dtype,
            weights=setup.weights,
            held=setup.held,
            multiplier=multiplier,
        )
        self._left = setup.open_rows.copy()  # what could be picked and was not
        self._wanted = 0
        self._only_copies = False

    def add(self, rows: Array, index: Index) -> None:
        """Take rows of the pool as picks; those of this part can no longer be picked."""
        self.shard.add(rows)
        self._left[self._own(index)] = False
        self.close(index)

    def close(self, index: Index) -> None:
        """Take rows of the pool, as far as they are here, out of what can be picked."""
        self.shard.close(self._own(index))

    def farthest(self, target: int) -> Candidates:
        """Return about `target` rows of largest value, and the level that they certainly reach."""
        shard = self.shard
        wanted = self._wanted or target  # so many of the largest bounds give a block of that size
        empty = np.empty(0, dtype=np.int64)
        if self._only_copies:
            return self._candidates(empty, -1.0, copies=True)
        while True:
            level, index, reached = shard.level_set(wanted, target)
            if level < 0 and not (shard.exact(index) > 0).any():
                self._only_copies = True
                return self._candidates(empty, -1.0, copies=True)
            if len(index) <= LARGEST or not shard.raise_precision():
                break
        self._wanted = int(
            np.clip(wanted * target / max(reached, 1), max(64, wanted / 2), 2 * wanted)
        )
        return self._candidates(index, level)

    def _candidates(self, index: Index, level: float, *, copies: bool = False) -> Candidates:
        shard = self.shard
        return Candidates(
            self.start + index, shard.rows[index], shard.exact(index), shard.weights_of(index),
            level, str(np.dtype(shard.dtype)), copies,
        )  # fmt: skip

    def set_order(self, rank: Index) -> None:
        """Set the place of each row in the visiting order; −1 for rows that have none."""
        order = np.argsort(rank, kind="stable")
        self._order = order[np.count_nonzero(rank < 0) :]
        self._rank = rank[self._order]

    def visit(self, position: int, level: float, count: int, strict: bool) -> Visited:
        """Return the rows above a level among the next `count` that may be, from a place on.

        strict: above, else at least at the level.
        """
        shard, order = self.shard, self._order
        first = int(np.searchsorted(self._rank, position))
        above = np.greater if strict else np.greater_equal
        ahead = first + np.flatnonzero(above(shard.upper[order[first:]], level))[:count]
        whole = len(ahead) < count
        shard.refresh(order[ahead])
        may = ahead[above(shard.upper[order[ahead]], level)]
        index, rank = order[may], self._rank[may]
        values = shard.exact(index)
        shard.tighten(index, values)
        frontier = END if whole else int(self._rank[ahead[-1]])
        return Visited(
            self.start + index, rank, shard.rows[index], values, shard.weights_of(index),
            frontier, float(shard.upper.max(initial=-np.inf)),
        )  # fmt: skip

    def values_of(self, index: Index) -> Candidates:
        """Return rows of the pool, as far as they are here, with their values to all picks."""
        own = self._own(index)
        self.shard.refresh(own)
        return self._candidates(own, -1.0)

    def reach_from(self, row: Array) -> float:
        """Return the largest weighted value of a row that can be picked to a given row."""
        shard, largest = self.shard, -np.inf
        every = np.flatnonzero(shard.open)
        for start in range(0, len(every), 8192):
            own = every[start : start + 8192]
            values = shard.weighted(shard.space.exact(shard.rows[own], row), own)
            largest = max(largest, float(values.max()))
        return largest

    def uncovered(self) -> float:
        """Return the largest value, without weights, of a row that could be picked and was not."""
        shard, best = self.shard, 0.0
        left = np.flatnonzero(self._left)
        bound = np.maximum(shard.least[left], 0) + shard.error[left]
        order = np.argsort(-bound)
        for start in range(0, len(order), 1024):  # most rows are far below the largest
            some = order[start : start + 1024]
            if bound[some[0]] <= best:
                break
            shard.refresh(left[some])
            best = max(best, float(shard.unweighted(left[some]).max()))
        return best

    def take(self, index: Index) -> Array:
        """Return rows of the pool, as far as they are here."""
        return np.asarray(self.rows[self._own(index)])

    def _own(self, index: Index) -> Index:
        own = index - self.start
        return own[(own >= 0) & (own < len(self.rows))]

    # -- what else is asked of rows -------------------------------------------------------------

    def nearest(self, queries: Array, own_index: Index | None, k: int, device: str) -> Neighbors:
        """Return the k nearest rows of this part, squared distances; see `nearest_in`."""
        if self._kept is None:
            return nearest_in([(self.rows, self.start)], queries, own_index, k, device)
        if own_index is not None:  # counted among the rows that are kept, −1 for others
            own = own_index - self.start
            place = np.minimum(np.searchsorted(self._kept, own), max(len(self._kept) - 1, 0))
            here = np.isin(own, self._kept)
            own_index = np.where(here, place, -1)
        found = nearest_in([(self._kept_rows, 0)], queries, own_index, k, device)
        there = np.isfinite(found.distances)
        found.indices[there] = self.start + self._kept[found.indices[there]]
        return found

    def keep(self, index: Index) -> None:
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


def space_for(
    metric: str, whole: Extent, device: str, operations: float
) -> tuple[Space, Multiplier]:
    """Return the space of a pool, and who multiplies there."""
    if metric == "manhattan":
        return Manhattan(len(whole.total)), multiplier_for("cpu", 0)
    multiplier = multiplier_for(device, operations)
    centre, reach = whole.centre_and_reach()
    return Euclidean(centre, reach, multiplier), multiplier
