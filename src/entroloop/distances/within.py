"""Which rows have a query within their radius, among all pairs, at the speed of a multiply.

Float32 products of centred rows tell nearly all pairs for certain, by a bound of their error;
float64 differences of the stored values decide the others. Where that leaves many in doubt
(far-apart clusters, lattices) the products of a part are repeated in float64. `ranges` finds pairs
within one small radius without comparing all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entroloop.distances.extents import centre_and_reach
from entroloop.distances.multipliers import NumpyMultiplier
from entroloop.distances.neighbors import SHORTLIST, TILE_BYTES, Index
from entroloop.distances.spaces import Euclidean, exact_pairs
from entroloop.samples import Array, Float64
from entroloop.system.memory import blocks
from entroloop.system.threads import in_threads, products_in_one_thread, threads_here


@dataclass(frozen=True)
class Pairs:
    """Pairs of queries and rows: indices int64 and distances float64, each (pairs,)."""

    queries: Index
    rows: Index
    distances: Float64


def count_within(queries: Array, rows: Array, radii: Float64) -> Index:
    """Return for each query (n, d) how many rows (m, d) have it within their radius (m,): ≤.

    Decided by the float64 differences of the stored rows wherever products of centred rows leave
    a doubt.
    """
    counts = np.zeros(len(queries), dtype=np.int64)

    def count(part: _Part) -> None:
        found = np.count_nonzero(part.certain, axis=1)
        within = part.exact(*part.doubtful) <= radii[part.doubtful[1]]
        found += np.bincount(part.doubtful[0][within], minlength=len(found))
        counts[part.first : part.first + len(found)] = found

    _compare(queries, rows, radii, count)
    return counts


def pairs_within(queries: Array, rows: Array, radii: Float64, most: int) -> Pairs | None:
    """Return all pairs of a query (n, d) within the radius (m,) of a row (m, d), as `count_within`
    decides; None where there are more than `most`.
    """
    found: dict[int, tuple[Index, Index, Float64]] = {}
    certain: list[int] = []

    def find(part: _Part) -> None:
        certain.append(int(np.count_nonzero(part.certain)))
        if sum(certain) > most:
            return
        some = part.certain
        some[part.doubtful] = True
        i, j = np.nonzero(some)
        distances = part.exact(i, j)
        within = distances <= radii[j]
        found[part.first] = (i[within] + part.first, j[within], distances[within])

    _compare(queries, rows, radii, find)
    if len(found) < len(certain) or sum(len(one[0]) for one in found.values()) > most:
        return None
    none: Index = np.empty(0, dtype=np.int64)
    a, b, distances = (
        (np.concatenate(one) for one in zip(*(found[at] for at in sorted(found)), strict=True))
        if found else (none, none, np.empty(0))
    )  # fmt: skip
    return Pairs(a, b, distances)


@dataclass(frozen=True)
class _Part:
    """Some queries, from the `first` on, beside all rows: which pairs are within for certain, a
    bool each, and [query, row] of those in doubt, queries counted from the first.
    """

    first: int
    certain: NDArray[np.bool_]
    doubtful: tuple[Index, Index]
    exact: Callable[[Index, Index], Float64]  # the distances of such pairs


def _compare(queries: Array, rows: Array, radii: Float64, use: Callable[[_Part], None]) -> None:
    """Compare all pairs with the radii of the rows, by parts, in threads; call `use` with each."""
    centre, reach = centre_and_reach(rows, queries)
    space = Euclidean(centre, reach, NumpyMultiplier())

    @cache
    def prepared(dtype: Any) -> tuple[Array, float, Array]:
        """Return the rows as they are multiplied, the largest length, and their limits."""
        y, lengths = space.prepare(rows, dtype)
        limits = np.minimum(np.square(radii) / space.unit, float(np.finfo(dtype).max))
        return y, float(lengths.max(initial=0)), limits.astype(dtype)

    def sides(some: Array, dtype: Any) -> tuple[NDArray[np.bool_], tuple[Index, Index]]:
        y, largest, limits = prepared(dtype)
        x, own = space.prepare(some, dtype)
        value = space.tile(x, own, y)
        value -= limits
        # Limits and differences are rounded once more than the bound of a value knows of; a limit
        # beyond (|x| + |y|)², which no value exceeds, is no nearer for it.
        slack = space.bound(own, largest, dtype) / space.unit
        slack += 2 * float(np.finfo(dtype).eps) * np.square(own + largest)
        slack = np.nextafter(slack.astype(dtype), dtype(np.inf))[:, None]
        i, j = np.nonzero(np.abs(value) <= slack)
        return value < -slack, (i, j)

    def compare(part: slice) -> None:
        some = queries[part]
        certain, doubtful = sides(some, np.float32)
        if len(doubtful[0]) > SHORTLIST * len(some):
            certain, doubtful = sides(some, np.float64)

        def exact(i: Index, j: Index) -> Float64:
            distances: Float64 = np.sqrt(exact_pairs(space, some, i, rows, j))
            return distances

        use(_Part(part.start, certain, doubtful, exact))

    parts = blocks(len(queries), 4 * len(rows), TILE_BYTES)
    with products_in_one_thread():
        prepared(np.float32)  # once, before the threads ask for it
        in_threads(compare, parts, threads_here())
