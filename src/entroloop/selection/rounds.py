"""Rounds: a strategy's questions to all parts of a pool, answered as if the pool were in one place.

Every part sends its rows of largest value and a level that no row it kept back exceeds; the largest
of these levels holds for the pool. Which rows make a block depends on how a pool is cut, what is
picked from it does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entroloop.distances.spaces import Space
from entroloop.pools.hosts import Parts
from entroloop.pools.shard import Candidates, Visited
from entroloop.samples import Array

Index = NDArray[np.int64]


class Rounds:
    """A selection's view of its pool: open rows, picks so far, and what can come next."""

    def __init__(self, parts: Parts, space: Space, open_rows: NDArray[np.bool_]) -> None:
        self.parts, self.space = parts, space
        self.open = open_rows.copy()
        self.count = 0  # of picks so far, rows that were given among them
        self.precision = "float32"
        self._share = np.full(len(parts), 1 / len(parts))

    def __len__(self) -> int:
        return len(self.open)

    def add(self, rows: Array, index: Index) -> None:
        """Add picks; an index of −1 stands for a row from outside the pool."""
        self.parts.tell("add", rows, index)
        self.open[index[index >= 0]] = False
        self.count += len(rows)

    def close(self, index: Index) -> None:
        """Take rows out of what can be picked."""
        self.open[index] = False
        bounds = np.searchsorted(index, self.parts.bounds)  # index is sorted
        own = [(index[a:b],) for a, b in pairwise(bounds)]
        self.parts.tell_each("close", own)

    def farthest(self, target: int) -> Candidates:
        """Return about `target` rows of largest value and the level of all others."""
        if len(self.parts) == 1:
            [found] = self.parts.ask("farthest", target)
            self.precision = max(self.precision, found.precision)
            return found  # type: ignore[no-any-return]
        own = np.maximum(np.ceil(target * self._share), 16).astype(int)
        answers: list[Candidates] = self.parts.ask_each("farthest", [(int(t),) for t in own])
        level = max(a.level for a in answers)
        kept = [a.values >= level for a in answers]
        counts = np.array([k.sum() for k in kept]) + 1
        self._share = (self._share + counts / counts.sum()) / 2
        self.precision = max([self.precision, *(a.precision for a in answers)])
        return Candidates(
            **_together(answers, kept, ("index", "rows", "values", "weights")),
            level=level,
            precision=self.precision,
            copies=all(a.copies for a in answers),
        )

    def set_order(self, order: Index) -> None:
        """Set the order in which `visit` goes: rows of the pool."""
        rank = np.full(len(self), -1, dtype=np.int64)
        rank[order] = np.arange(len(order))
        bounds = self.parts.bounds
        own = [(rank[a:b],) for a, b in pairwise(bounds)]
        self.parts.tell_each("set_order", own)

    def visit(self, position: int, level: float, count: int, *, strict: bool = True) -> Visited:
        """Return the rows above a level among about the next `count` that may be."""
        count = -(-count // len(self.parts))
        answers: list[Visited] = self.parts.ask("visit", position, level, count, strict)
        if len(answers) == 1:
            return answers[0]
        frontier = min(a.frontier for a in answers)
        kept = [a.rank <= frontier for a in answers]
        columns = _together(answers, kept, ("index", "rank", "rows", "values", "weights"))
        order = np.argsort(columns["rank"])
        columns = {name: column[order] for name, column in columns.items()}
        return Visited(**columns, frontier=frontier, largest=max(a.largest for a in answers))

    def one(self, index: int) -> Candidates:
        """Return one row with its value to all picks."""
        answers: list[Candidates] = self.parts.ask("values_of", np.array([index]))
        return next(a for a in answers if len(a.index))

    def reach_from(self, row: Array) -> float:
        """Return the largest weighted value of a row that can be picked to a given row."""
        return float(max(self.parts.ask("reach_from", row)))

    def uncovered(self) -> float:
        """Return the largest value, without weights, of a row that can still be picked."""
        return float(max(self.parts.ask("uncovered")))


def _together(
    answers: Sequence[Any], kept: Sequence[Array], names: tuple[str, ...]
) -> dict[str, Any]:
    return {
        name: np.concatenate([getattr(a, name)[k] for a, k in zip(answers, kept, strict=True)])
        for name in names
    }


def without(found: Candidates, places: Array) -> Candidates:
    """Return candidates in another order, or fewer of them."""
    columns: dict[str, Any] = {
        name: getattr(found, name)[places] for name in ("index", "rows", "values", "weights")
    }
    return replace(found, **columns)


def joined(found: Candidates, visited: Visited) -> Candidates:
    """Return the rows visited, followed by the candidates that are not among them."""
    new = ~np.isin(found.index, visited.index)
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(visited, name), getattr(found, name)[new]])
        for name in ("index", "rows", "values", "weights")
    }
    return replace(found, **columns)
