"""A selection's view of its pool: queries to all shards, answered as if the rows lay in one place.

Every shard sends its rows of largest value and a level that no row it kept back exceeds; the
largest of these levels holds for the pool. Which rows make a block depends on how a pool is cut,
what is picked from it does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entroloop.distances.spaces import Space
from entroloop.distances.table import DISTANCES, Distance, Transform
from entroloop.pools.hosts import Hosts, ShardedRows
from entroloop.pools.rows import Rows
from entroloop.pools.shard import Candidates, Settings, Shard, Visited
from entroloop.pools.tree import PickedInTree
from entroloop.samples import Array, Float64, invalid_rows
from entroloop.selection.budget import Budget

Index = NDArray[np.int64]


class Pool:
    """A pool that is picked from: which rows can be, the picks so far, and what can come next.

    sharded: all shards. distance, space: how its rows, transformed, are compared. selectable: mask
    of the rows that can still be picked. initial: rows that counted as chosen from the start, as
    they are compared. count: of picks so far, initial rows among them.
    """

    def __init__(
        self, sharded: ShardedRows, distance: Distance, space: Space, selectable: NDArray[np.bool_]
    ) -> None:
        self.sharded, self.distance, self.space = sharded, distance, space
        self.selectable = selectable.copy()
        self.initial: Array = np.empty((0, 0))
        self.transform: Transform | None = None  # of rows from outside
        self.in_tree = False  # whether picks are made in a tree of boxes
        self.count = 0
        self.precision = "float32"
        self._share = np.full(len(sharded), 1 / len(sharded))  # of a block, by shard

    def __len__(self) -> int:
        return len(self.selectable)

    def transformed(self, rows: Array) -> Array:
        """Return rows from outside as this pool compares rows."""
        return rows if self.transform is None else self.transform(rows, 0)

    def add(self, rows: Array, index: Index) -> None:
        """Add picks; an index of −1 stands for a row from outside the pool."""
        self.sharded.tell(Shard.add, rows, index)
        self.selectable[index[index >= 0]] = False
        self.count += len(rows)

    def exclude(self, index: Index) -> None:
        """Take rows, ascending, out of what can be picked."""
        self.selectable[index] = False
        cuts = np.searchsorted(index, self.sharded.bounds)
        self.sharded.tell_each(Shard.exclude, [(index[a:b],) for a, b in pairwise(cuts)])

    def farthest(self, target: int) -> Candidates:
        """Return about `target` rows of largest value, and a level that no other row exceeds."""
        if len(self.sharded) == 1:
            [found] = self.sharded.ask(Shard.farthest, target)
            self.precision = max(self.precision, found.precision)
            return found
        own = np.maximum(np.ceil(target * self._share), 16).astype(int)
        answers = self.sharded.ask_each(Shard.farthest, [(int(t),) for t in own])
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
        bounds = pairwise(self.sharded.bounds)
        ranks = [np.flatnonzero((order >= a) & (order < b)) for a, b in bounds]
        self.sharded.tell_each(Shard.set_order, [(order[rank], rank) for rank in ranks])

    def visit(self, position: int, level: float, count: int, *, strict: bool = True) -> Visited:
        """Return the next rows above a level, about `count` of them at most."""
        count = -(-count // len(self.sharded))
        answers = self.sharded.ask(Shard.visit, position, level, count, strict)
        if len(answers) == 1:
            return answers[0]
        frontier = min(a.frontier for a in answers)
        kept = [a.rank <= frontier for a in answers]
        columns = _together(answers, kept, ("index", "rank", "rows", "values", "weights"))
        order = np.argsort(columns["rank"])
        columns = {name: column[order] for name, column in columns.items()}
        return Visited(**columns, frontier=frontier, largest=max(a.largest for a in answers))

    def pick_in_tree(self, how: Callable[..., PickedInTree], *arguments: Any) -> PickedInTree:
        """Make picks in the tree of the one shard that is the whole pool; how: a method of it."""
        [found] = self.sharded.ask(Shard.pick_in_tree, how, *arguments)
        self.selectable[found.index] = False
        self.count += len(found.index)
        return found

    def row(self, index: int) -> Candidates:
        """Return one row with its value to all picks."""
        answers = self.sharded.ask(Shard.values_of, np.array([index]))
        return next(a for a in answers if len(a.index))

    def largest_value_to(self, row: Array) -> float:
        """Return the largest weighted value of a selectable row to a given row."""
        return float(max(self.sharded.ask(Shard.largest_value_to, row)))

    def largest_unpicked(self) -> float:
        """Return the largest value, without weights, of a row that could be picked and was not."""
        return float(max(self.sharded.ask(Shard.largest_unpicked)))


def open_pool(
    hosts: Hosts,
    rows: Rows,
    budget: Budget,
    *,
    metric: str,
    selectable: NDArray[np.bool_],
    weights: Float64 | None,
    initial: Index,
    outside: Array,
    n: int,
    device: str,
    checked: bool = True,
) -> Pool:
    """Send every shard its settings; return the opened pool, the initial rows added as picks.

    hosts: of the shards of `rows`. selectable: mask of the rows that can be picked. initial: rows
    of the pool, outside: other rows (k, d), that count as chosen already. n: how many picks there
    will be at most. checked: the rows are known to hold neither NaN nor infinite values.

    Raises InputError for NaN or infinite values, or too little memory on a machine.
    """
    sharded, distance = ShardedRows(hosts), DISTANCES[metric]
    if len(sharded) > 1:
        budget.check_machines(sharded.ask(Shard.memory))
    if not checked:
        _refuse_invalid(sharded.ask(Shard.invalid))
    transform: Transform | None = None
    if distance.learn is not None:
        transform = distance.learn(lambda: _blocks(rows, outside))
        outside = transform(outside, 0)
        sharded.tell(Shard.transform, transform)
    first, *others = sharded.ask(Shard.extent)
    extent = sum(others, first)
    kept = sharded.take(initial)
    chosen = np.concatenate([kept, outside]) if len(outside) else kept
    sharded.tell_each(Shard.start_selection, [
        (Settings(
            metric=metric,
            extent=extent,
            selectable=selectable[a:b],
            weights=None if weights is None else weights[a:b],
            capacity=n + len(chosen),
            dtype=chosen.dtype,
            centred_copy=budget.centred_copy,
            device=device,
            operations=budget.operations,
        ),)
        for a, b in pairwise(sharded.bounds)
    ])  # fmt: skip
    here = device if len(sharded) == 1 else "cpu"  # a driver may have none
    space, _ = distance.space_for(extent, device=here, operations=budget.operations)
    pool = Pool(sharded, distance, space, selectable)
    pool.initial, pool.transform = chosen, transform
    pool.in_tree = budget.in_tree
    if len(chosen):
        pool.add(chosen, np.concatenate([initial, np.full(len(outside), -1)]))
    return pool


def _refuse_invalid(found: list[tuple[int, list[int]]]) -> None:
    if bad := sum(count for count, _ in found):
        raise invalid_rows("the pool", bad, [i for _, first in found for i in first])


def _blocks(rows: Rows, outside: Array) -> Iterator[Array]:
    for start in range(0, rows.shape[0], 4096):
        yield rows.between(start, min(start + 4096, rows.shape[0])).open()
    yield outside


def _together(
    answers: Sequence[Any], kept: Sequence[Array], names: tuple[str, ...]
) -> dict[str, Any]:
    return {
        name: np.concatenate([getattr(a, name)[k] for a, k in zip(answers, kept, strict=True)])
        for name in names
    }


def only(found: Candidates, positions: Array) -> Candidates:
    """Return the candidates at these positions, in this order."""
    columns: dict[str, Any] = {
        name: getattr(found, name)[positions] for name in ("index", "rows", "values", "weights")
    }
    return replace(found, **columns)


def visited_then(visited: Visited, found: Candidates) -> Candidates:
    """Return the rows visited, followed by the candidates that are not among them."""
    new = ~np.isin(found.index, visited.index)
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(visited, name), getattr(found, name)[new]])
        for name in ("index", "rows", "values", "weights")
    }
    return replace(found, **columns)
