"""Exact range search: all pairs of rows within a radius, from the blocks that can hold some.

A row's coordinates along K orthonormal directions, and the length of what they leave of it, make a
point f(x) with |f(x) − f(y)| ≤ ‖x − y‖ (for the rest by the triangle inequality). Rows are sorted
by such points into leaves; a leaf whose box is farther than the radius from f(x) holds no row
within it. What is left is multiplied in float32, leaf by leaf, centred on the leaf so that near
rows do not cancel; the pairs that its bound leaves possible are decided by float64 differences of
the stored values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from entroloop.distances.multipliers import NumpyMultiplier, rounding
from entroloop.distances.neighbors import TILE_BYTES
from entroloop.distances.spaces import Euclidean
from entroloop.distances.within import Pairs
from entroloop.samples import Array, Float64
from entroloop.system.memory import blocks

LEAF = 512  # rows of a leaf at most: the columns of a multiply
DIRECTIONS = 16  # of the coordinates
SAMPLE = 4096  # rows whose variance chooses them
BLOCK_BYTES = 2**25  # of rows that are prepared at once
PAIRS = 65_536  # pairs in doubt that are decided at once
CROWDED = 32  # one in so many pairs of a tile in doubt: float64 products tell most of them apart

Index = NDArray[np.int64]
Values = Callable[..., Float64]  # makes of stored rows those that are compared


def as_float64(rows: Array) -> Float64:
    """Return rows as they are stored: the `Values` of the Euclidean distance."""
    return rows.astype(np.float64)


@dataclass(frozen=True)
class _Node:
    """A stretch of the sorted rows: its box, and its halves unless it is a leaf."""

    part: slice
    low: Array
    high: Array
    halves: tuple[_Node, _Node] | None


class RangeIndex:
    """Rows (m, d), sorted so that those within a radius of other rows are found.

    rows: any real dtype, memory maps included. first: the number of the first of them, where rows
    are numbered over a pool. kept: which of them count, ascending. values: makes of stored rows
    those that are compared (float64), such as rows of length 1. A float32 copy of the rows is held.
    """

    def __init__(
        self, rows: Array, radius: float, *, first: int = 0, kept: Index, values: Values
    ) -> None:
        self._rows, self._radius, self._values = rows, radius, values
        self.first = first
        self._centre, self._directions = self._learn(kept)
        reach = max((self._reach(some) for some in self._blocks(kept)), default=0.0)
        self._reach_of_all = 4 * reach + 4 * radius  # of rows that come near a box, from its centre
        if len(kept):
            Euclidean(self._centre, self._reach_of_all, NumpyMultiplier())  # refuses too large ones
        largest = max(reach, radius)
        self._unit = float(np.ldexp(1.0, int(np.frexp(largest)[1]))) if largest else 1.0
        points = self._points_of(values(rows[some]) for some in self._blocks(kept))
        order = np.arange(len(kept))
        self._root = _sorted_into_leaves(points, order, 0, len(order))
        self._at = kept[order]  # the row of `rows` in each place
        self._columns = np.empty((len(kept), rows.shape[1] + 1), dtype=np.float32)
        self._sizes = np.empty(len(kept))
        for leaf in _leaves(self._root):
            self._columns[leaf.part], self._sizes[leaf.part] = self._prepared(leaf, np.float32)

    def _blocks(self, index: Index) -> Iterator[Index]:
        return (index[some] for some in blocks(len(index), 8 * self._rows.shape[1], BLOCK_BYTES))

    def _learn(self, kept: Index) -> tuple[Float64, Float64]:
        """Return the mean and the directions (d, k) of largest variance of a sample."""
        places = np.unique(np.linspace(0, len(kept) - 1, min(SAMPLE, len(kept))).astype(np.int64))
        sample = self._values(self._rows[kept[places]])
        d = sample.shape[1]
        if not len(sample):
            return np.zeros(d), np.zeros((d, 0))
        centre = sample.mean(axis=0)
        sample = sample - centre
        sample /= np.abs(sample).max() or 1.0  # their squares are multiplied
        start = np.random.default_rng(0).standard_normal((d, min(d, DIRECTIONS)))
        for _ in range(2):  # subspace iteration (Halko, Martinsson, Tropp 2011, algorithm 4.4)
            start = np.linalg.qr(sample.T @ (sample @ start))[0]
        return centre, start

    def _reach(self, some: Index) -> float:
        """Return the largest distance of some rows from the centre."""
        centred = self._values(self._rows[some]) - self._centre
        with np.errstate(over="ignore"):
            return float(np.sqrt(np.einsum("ij,ij->i", centred, centred)).max())

    def _points_of(self, blocks: Iterable[Float64]) -> Array:
        """Return f of rows as they are compared, float32, in units that bring those of this index
        within 1.
        """
        k = self._directions.shape[1]
        directions = self._directions.astype(np.float32)
        points = [np.empty((0, k + 1), dtype=np.float32)]
        with np.errstate(over="ignore", invalid="ignore"):  # queries far off: beyond every box
            for x in blocks:
                centred = ((x - self._centre) / self._unit).astype(np.float32)
                found = np.empty((len(x), k + 1), dtype=np.float32)
                np.matmul(centred, directions, out=found[:, :k])
                centred -= found[:, :k] @ directions.T
                found[:, k] = np.sqrt(np.einsum("ij,ij->i", centred, centred))
                points.append(found)
        return np.concatenate(points)

    def _space(self, leaf: _Node) -> Euclidean:
        """Return the space of a leaf and of all rows that come near its box."""
        middle = (leaf.low + leaf.high)[:-1].astype(np.float64) / 2 * self._unit
        centre = self._centre + self._directions @ middle
        return Euclidean(centre, self._reach_of_all, NumpyMultiplier())

    def _prepared(self, leaf: _Node, dtype: type[np.floating]) -> tuple[Array, Float64]:
        """Return [−2y, |y|²] of a leaf's rows, and their lengths."""
        y, sizes = self._space(leaf).prepare(self._values(self._rows[self._at[leaf.part]]), dtype)
        squares = np.einsum("ij,ij->i", y, y)
        return np.concatenate([-2 * y, squares[:, None]], axis=1), sizes

    def pairs(self, queries: Array, first: int, kept: Index, most: int) -> tuple[Pairs, float]:
        """Return the pairs of queries and rows within the radius (≤), by their numbers.

        first: the number of the first query. Where queries are rows of this index, each pair comes
        once, with the row after the query. Stops once there are more than `most` pairs. Second: how
        much of the work is done, 1 unless it stopped.
        """
        if not len(self._at):  # no row counts, whatever the queries are
            return _together([]), 1.0
        same = self.first <= first < self.first + len(self._rows)
        found: list[Pairs] = []
        total, done, all_of_it = 0, 0, len(self._at)
        x, numbers = self._values(queries[kept]), first + kept
        points = self._points_of([x])
        for leaf, near in _near(self._root, points, np.arange(len(kept)), self._limit()):
            rows = self.first + self._at[leaf.part]
            if same:
                near = near[numbers[near] < rows[-1]]
            for i, j, distances, share in self._within(leaf, x, near, numbers, rows, same):
                found.append(Pairs(numbers[i], rows[j], distances))
                total += len(i)
                if total > most:
                    return _together(found), (done + share * len(rows)) / all_of_it
            done += len(rows)
        return _together(found), 1.0

    def _limit(self) -> float:
        """Return the distance of points beyond which rows are certainly farther than the radius.

        Of a pair within it neither row is farther than 2 units from the centre. Rounded directions,
        a coordinate (d terms), the rest (k more) and its length are each off by less than
        γ √(k + 1) |x|, in both points.
        """
        d, k = self._directions.shape
        error = 16 * rounding(d + k, np.float32) * float(np.sqrt(k + 1))
        return self._radius / self._unit * (1 + 2e-6) + error

    def _within(
        self, leaf: _Node, x: Float64, near: Index, numbers: Index, rows: Index, same: bool
    ) -> Iterator[tuple[Index, Index, Float64, float]]:
        """Yield the pairs of queries near a leaf and its rows: place in x, place in the leaf and
        distance of each, and how much of the leaf's work is done.

        numbers: of all queries; rows: of the leaf's. same: only rows after the query count.
        """
        space = self._space(leaf)
        for some in blocks(len(near), 4 * LEAF, TILE_BYTES):
            lines = near[some]
            # Rows of a leaf ascend, and so do the lines: what comes before all of them is left out.
            cut = int(np.searchsorted(rows, numbers[lines[0]])) if same else 0
            i, j = self._candidates(leaf, space, x[lines], cut)
            i = lines[i]
            if same:
                after = rows[j] > numbers[i]
                i, j = i[after], j[after]
            for part in range(0, len(i), PAIRS):
                a, b = i[part : part + PAIRS], j[part : part + PAIRS]
                distances = self._exact(space, x, a, self._at[leaf.part][b])
                within = distances <= self._radius
                share = (some.start + len(lines) * min(1.0, (part + PAIRS) / len(i))) / len(near)
                yield a[within], b[within], distances[within], share

    def _candidates(
        self, leaf: _Node, space: Euclidean, x: Float64, cut: int
    ) -> tuple[Index, Index]:
        """Return [line, place in the leaf] of all pairs of rows x that may be within the radius.

        cut: the place in the leaf from which on they count.
        """
        columns, sizes = self._columns[leaf.part][cut:], self._sizes[leaf.part][cut:]
        i, j = self._products(space, x, columns, sizes)
        if len(i) > max(4096, len(x) * len(columns) // CROWDED):
            columns, sizes = self._prepared(leaf, np.float64)
            i, j = self._products(space, x, columns[cut:], sizes[cut:])
        return i, j + cut

    def _products(
        self, space: Euclidean, x: Float64, columns: Array, sizes: Float64
    ) -> tuple[Index, Index]:
        """Return the pairs whose product is small enough, by the bound of its dtype."""
        dtype = columns.dtype.type
        rows, own = space.prepare(x, dtype)
        # One product gives the squared distance less |x|²; |y|² is one more term of its sum.
        tile = np.concatenate([rows, np.ones((len(rows), 1), dtype)], axis=1) @ columns.T
        limit = np.square(self._radius) * (1 + 1e-15) / space.unit - np.square(own)
        limit += space.bound(own, float(sizes.max(initial=0)), dtype) / space.unit
        above = np.nextafter(limit.astype(dtype), dtype(np.inf))
        lines = np.flatnonzero(tile.min(axis=1) <= above)  # a third of the time of a comparison
        i, j = np.nonzero(tile[lines] <= above[lines, None])
        return lines[i], j

    def _exact(self, space: Euclidean, x: Float64, a: Index, b: Index) -> Float64:
        """Return the distances of pairs of queries and stored rows, by float64 differences."""
        out = np.empty(len(a))
        for part in blocks(len(a), 8 * x.shape[1], BLOCK_BYTES):
            out[part] = np.sqrt(space.exact(x[a[part]], self._values(self._rows[b[part]])))
        return out


def _sorted_into_leaves(points: Array, order: Index, start: int, stop: int) -> _Node:
    """Sort order[start:stop] into leaves by halving along the widest coordinate; return the tree.

    Within a leaf rows come in their own order.
    """
    part = slice(start, stop)
    own = points[order[part]]
    if stop - start <= LEAF:
        order[part].sort()
        low = own.min(axis=0, initial=np.inf)
        return _Node(part, low, own.max(axis=0, initial=-np.inf), None)
    middle = (stop - start) // 2
    halved = np.argpartition(own[:, int(own.std(axis=0).argmax())], middle)
    order[part] = order[part][halved]
    halves = (
        _sorted_into_leaves(points, order, start, start + middle),
        _sorted_into_leaves(points, order, start + middle, stop),
    )
    low = np.minimum(halves[0].low, halves[1].low)
    return _Node(part, low, np.maximum(halves[0].high, halves[1].high), halves)


def _leaves(node: _Node) -> Iterator[_Node]:
    if node.halves is None:
        if node.part.stop > node.part.start:
            yield node
    else:
        for half in node.halves:
            yield from _leaves(half)


def _near(node: _Node, points: Array, some: Index, limit: float) -> Iterator[tuple[_Node, Index]]:
    """Yield each leaf with those of some points that are within a limit of its box."""
    own = points[some]
    gap = np.maximum(node.low - own, own - node.high)
    np.maximum(gap, 0, out=gap)
    some = some[np.einsum("ij,ij->i", gap, gap) <= limit * limit]
    if not len(some):
        return
    if node.halves is None:
        yield node, some
    else:
        for half in node.halves:
            yield from _near(half, points, some, limit)


def _together(found: list[Pairs]) -> Pairs:
    none = np.empty(0, dtype=np.int64)
    return Pairs(
        np.concatenate([none, *(f.queries for f in found)]),
        np.concatenate([none, *(f.rows for f in found)]),
        np.concatenate([np.empty(0), *(f.distances for f in found)]),
    )
