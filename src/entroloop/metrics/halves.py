"""Halves of sets, whose neighbours are found among longer lists of the whole.

Intervals take every metric on forty halves. A search in each would be ten times the work of the
whole; but the k nearest rows within a half are the first k of the whole's list that lie in it. Of a
list of K rows about K/2 do; where fewer than k do the row is searched for itself. So halves have
the very distances that a search of their own gives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entroloop.distances.neighbors import Neighbors, nearest
from entroloop.distances.within import count_within
from entroloop.metrics.pair_means import Kernel, pair_means
from entroloop.metrics.sets import NEIGHBOURS, ROLES, Own, Sets
from entroloop.samples import Array, Float64

BETWEEN, WITHIN, REACH = 16, 64, 32  # the whole's lists: fewer than k in a half once in 10³ rows
MOST_PAIRS = 200  # pairs a row that are kept; beyond, every half counts for itself

Index = NDArray[np.int64]


def halvings(
    sets: Sets, rng: np.random.Generator, count: int, whole: Sequence[str] = ()
) -> list[tuple[Sets, Sets]]:
    """Return two disjoint halves of each role but those kept whole, `count` times.

    Each half is kept in order.
    """
    among = Among(sets)
    return [_halved(sets, rng, whole, among) for _ in range(count)]


def _halved(
    sets: Sets, rng: np.random.Generator, whole: Sequence[str], among: Among
) -> tuple[Sets, Sets]:
    halves: tuple[dict[str, Index], dict[str, Index]] = ({}, {})
    for role in ROLES:
        if not sets.has(role):
            continue
        n = len(sets[role])
        if role in whole:
            parts = (np.arange(n), np.arange(n))
        else:
            order = rng.permutation(n)
            parts = (order[: n // 2], order[n // 2 : 2 * (n // 2)])
        for half, part in zip(halves, parts, strict=True):
            half[role] = np.sort(part)
    return Half(sets, halves[0], among), Half(sets, halves[1], among)


class Half(Sets):
    """Some rows of each role of other sets; index: which, ascending.

    Neighbours come from the whole's lists unless the whole has equal rows: their first copy may
    lie in the other half. among: the halves that are made together.
    """

    def __init__(self, whole: Sets, index: dict[str, Index], among: Among) -> None:
        rows = {
            role: whole[role] if len(at) == len(whole[role]) else whole[role][at]
            for role, at in index.items()
        }
        if whole.probabilities is not None:
            rows["probabilities"] = whole.probabilities[index["generated"]]
        super().__init__(**rows, seed=whole.seed, device=whole.device)
        self._whole, self._index, self._among = whole, index, among
        self._number = among.add(index)

    def nearest(self, queries: str, rows: str, k: int = 2) -> Neighbors:
        """See `Sets`."""
        if not self._known(rows):
            return super().nearest(queries, rows, k)
        longer = self._whole.nearest(self._role(queries), self._role(rows), BETWEEN)
        found, short = self._first(longer, queries, rows, min(k, len(self[rows])))
        if len(short):
            again = nearest(self[queries][short], self[rows], found.indices.shape[1])
            found.distances[short], found.indices[short] = again.distances, again.indices
        return found

    def own(self, role: str, k: int = NEIGHBOURS) -> Own:
        """See `Sets`."""
        if not self._known(role) or len(self[role]) < 2:
            return super().own(role, k)
        key = ("own", role, k)
        if key not in self._found:
            longer = self._whole.own(self._role(role), WITHIN).neighbors
            found, short = self._first(longer, role, role, min(k, len(self[role]) - 1))
            if len(short):  # each row is its own nearest; no other lies at 0
                again = nearest(self[role][short], self[role], found.indices.shape[1] + 1)
                found.distances[short] = again.distances[:, 1:]
                found.indices[short] = again.indices[:, 1:]
            every = np.arange(len(self[role]))
            self._found[key] = Own(every, every, found)
        result: Own = self._found[key]
        return result

    def per_image(self, role: str, name: str, make: Callable[[Array], Array]) -> Array:
        """See `Sets`; of the whole, so that each image is looked at once."""
        return self._whole.per_image(role, name, make)[self._index[role]]

    def in_order(self, role: str, name: str, make: Callable[[Array], Float64]) -> Float64:
        """See `Sets`; what the whole has, without the rows of the other half."""
        values, order = self._whole._ordered(role, name, make)
        inside = self._at(role) >= 0
        return values[inside[order]].reshape(len(order), -1)

    def given_train(self, name: str, make: Callable[[Sets], Float64]) -> Float64:
        """See `Sets`; of the whole, where the training rows are its."""
        whole = self._whole
        if self["train_whole"] is not whole["train_whole"]:
            return super().given_train(name, make)
        return whole.given_train(name, make)[self._index["generated"]]

    def mean_over_pairs(self, a: str, b: str, kernel: Kernel, most: int) -> float:
        """See `Sets`; of those that the whole draws, the rows that lie in this half."""
        return float(self._among.means(self._role(a), self._role(b), kernel, most)[self._number])

    def within(self, queries: str, rows: str, radii: Float64) -> Index:
        """See `Sets`; the whole's pairs reach to its own neighbours that are REACH apart."""
        if not self._known(rows):
            return super().within(queries, rows, radii)
        whole, role = self._whole, self._role(rows)
        reach = whole.own(role, WITHIN).neighbors.distances
        reach = reach[:, min(REACH, reach.shape[1]) - 1]
        pairs = whole.pairs(self._role(queries), role, reach, MOST_PAIRS)
        if pairs is None:
            return super().within(queries, rows, radii)
        at, here = self._at(queries)[pairs.queries], self._at(rows)[pairs.rows]
        inside = (at >= 0) & (here >= 0)
        inside[inside] = pairs.distances[inside] <= radii[here[inside]]
        counts = np.bincount(at[inside], minlength=len(self[queries]))
        beyond = np.flatnonzero(radii > reach[self._index[self._role(rows)]])
        if len(beyond):
            near = inside & np.isin(here, beyond)
            counts -= np.bincount(at[near], minlength=len(counts))
            counts += count_within(self[queries], self[rows][beyond], radii[beyond])
        return counts

    def _known(self, role: str) -> bool:
        """Whether the whole has lists for a role: its rows are distinct, and they are its rows."""
        whole = self._whole
        same = role != "train_whole" or whole["train_whole"] is whole["train"]
        return same and whole.distinct(self._role(role))

    def _role(self, role: str) -> str:
        return "train" if role == "train_whole" else role

    def _at(self, role: str) -> Index:
        """Return where each row of the whole is in this half, −1 for the others."""
        key = ("at", role, 0)
        if key not in self._found:
            role = self._role(role)
            at = np.full(len(self._whole[role]), -1, dtype=np.int64)
            at[self._index[role]] = np.arange(len(self._index[role]))
            self._found[key] = at
        found: Index = self._found[key]
        return found

    def _first(self, longer: Neighbors, queries: str, rows: str, k: int) -> tuple[Neighbors, Index]:
        """Return the first k of the whole's lists that lie in this half, and the lists too short
        for that.
        """
        asking = self._index[self._role(queries)]
        at = self._at(rows)[longer.indices[asking]]
        here = at >= 0
        short = np.flatnonzero(here.sum(axis=1) < k)
        order = np.argsort(~here, axis=1, kind="stable")[:, :k]
        if order.shape[1] < k:  # the whole has no longer lists
            order = np.pad(order, ((0, 0), (0, k - order.shape[1])))
        distances = np.take_along_axis(longer.distances[asking], order, axis=1)
        return Neighbors(distances, np.take_along_axis(at, order, axis=1)), short


class Among:
    """Halves of one whole, and what one pass over it finds for all of them."""

    def __init__(self, whole: Sets) -> None:
        self._whole = whole
        self._halves: list[dict[str, Index]] = []
        self._found: dict[tuple[Any, ...], Float64] = {}

    def add(self, index: dict[str, Index]) -> int:
        """Add a half, told by its rows of each role; return its number."""
        self._halves.append(index)
        return len(self._halves) - 1

    def means(self, a: str, b: str, kernel: Kernel, most: int) -> Float64:
        """Return `Sets.mean_over_pairs` of each half."""
        key = (a, b, kernel, most, len(self._halves))
        if key not in self._found:
            i, j = (self._whole.some(role, most) for role in (a, b))
            x = self._whole[a][i]
            y = x if a == b else self._whole[b][j]
            self._found[key] = pair_means(x, y, kernel, self._members(a, i), self._members(b, j))
        return self._found[key]

    def _members(self, role: str, some: Index) -> Float64:
        members = np.zeros((len(self._halves), len(some)))
        for line, half in zip(members, self._halves, strict=True):
            here = np.zeros(len(self._whole[role]), dtype=bool)
            here[half[role]] = True
            line[here[some]] = 1
        return members
