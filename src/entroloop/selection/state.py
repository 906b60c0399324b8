"""A selection under way: what it may pick, how many, and what it has picked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entroloop.errors import InputError
from entroloop.pools.shard import Candidates, Visited
from entroloop.pools.tree import PickedInTree
from entroloop.samples import Array, Float64
from entroloop.selection.block import Block
from entroloop.selection.checkpoint import Checkpoint
from entroloop.selection.decision import Decision
from entroloop.selection.pool import Pool
from entroloop.selection.stopping import Stopping, Watch
from entroloop.system.progress_line import Progress

Index = NDArray[np.int64]


@dataclass
class Picks:
    """Picks in order with their values (see `Space`); NaN where a strategy knows no radius."""

    n: int
    indices: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    next_value: float | None = None  # what one pick more would have had, where that is known
    duplicates: int = 0
    stopped_by: str | None = None  # what stopped greedy before n picks
    decision: Decision | None = None

    @property
    def missing(self) -> int:
        """How many picks are still to be made."""
        return self.n - len(self.indices)

    def first(self, k: int) -> Picks:
        """Return the first k picks, which the knee of their radii stopped."""
        values = self.values[:k]
        picks = Picks(k, self.indices[:k], values, duplicates=values.count(0.0))
        picks.stopped_by = "knee"
        return picks


@dataclass(kw_only=True)
class SelectionState:
    """What a strategy works on.

    pool: the rows, those that may not be picked excluded and initial rows added as picks. n: how
    many picks are wanted. width: values a row. rows: all rows (m, d), transformed, for strategies
    that need the pool in one process; None over shards. groups: (m,) or None, the group of each
    row; quotas: how many picks each group still takes. weighted: whether weights multiply
    distances. progress: called with the picks made and wanted. checkpoint: the picks made before a
    stop, and where new ones are written. stopping: when greedy makes fewer than n picks. again:
    selects anew from the same pool, by another strategy's name and number of picks, with these
    arguments of `select` changed.
    """

    pool: Pool
    n: int
    seed: int
    width: int
    rows: Array | None = None
    groups: Index | None = None
    quotas: Index | None = None
    weighted: bool = False
    progress: Progress | None = None
    checkpoint: Checkpoint | None = None
    stopping: Stopping | None = None
    again: Callable[..., Any] | None = None

    @property
    def rng(self) -> np.random.Generator:
        """A new generator by the seed."""
        return np.random.default_rng(self.seed)

    @property
    def selectable(self) -> Index:
        """The rows that can still be picked, ascending."""
        return np.flatnonzero(self.pool.selectable)

    def resumed_picks(self) -> Picks:
        """Return the picks made before a stop, added to the pool again, or none."""
        picks = Picks(self.n)
        if self.checkpoint is not None and self.checkpoint.indices:
            picks.indices, picks.values = self.checkpoint.indices, self.checkpoint.values
            picks.duplicates = self.checkpoint.duplicates
            index = np.array(picks.indices, dtype=np.int64)
            self.pool.add(self.pool.sharded.take(index), index)
            for row in picks.indices:
                self.count_in_group(row)
            self._exclude_full_groups(index)
        return picks

    def watch(self, picks: Picks) -> Watch | None:
        """Return what watches greedy's picks for the moment to stop, None for exactly n."""
        if self.stopping is None:
            return None
        candidates = int(self.pool.selectable.sum()) + len(picks.indices)
        return Watch(self.stopping, self.pool, candidates)

    def block(self, found: Candidates | Visited) -> Block:
        """Return a block of rows that can come next."""
        return Block(
            index=found.index,
            rows=found.rows,
            values=found.values,
            weights=found.weights,
            space=self.pool.space,
        )

    def take(self, block: Block, position: int) -> None:
        """Pick a row within a block; a group that is full with it leaves the block."""
        block.take(position)
        full = self.count_in_group(int(block.index[position]))
        if full is not None and self.groups is not None:
            block.drop(np.flatnonzero(self.groups[block.index] == full))

    def count_in_group(self, row: int) -> int | None:
        """Count a pick against the quota of its group; return the group if it is full now."""
        if self.groups is None or self.quotas is None:
            return None
        group = int(self.groups[row])
        self.quotas[group] -= 1
        return group if self.quotas[group] == 0 else None

    def accept(self, picks: Picks, block: Block, **state: float) -> None:
        """Add the picks of a block to the pool, and exclude groups that are full.

        state: what the strategy needs beside its picks to resume from here.
        """
        index = block.index[block.picks]
        self._record(picks, index, block.radii(), state)
        self.pool.add(block.rows[block.picks], index)
        self._exclude_full_groups(index)

    @property
    def in_tree(self) -> bool:
        """Whether picks are made in a tree of boxes, which knows neither groups nor `stopping`."""
        return self.pool.in_tree and self.groups is None and self.stopping is None

    def accept_from_tree(self, picks: Picks, found: PickedInTree, **state: float) -> None:
        """Record picks made in the tree; state: as in `accept`."""
        self._record(picks, found.index, found.values, state)

    def fill_with_duplicates(self, picks: Picks, index: Array) -> None:
        """Take rows at distance 0 in the order given, as many as are missing and quotas allow."""
        chosen: list[int] = []
        for row in index.tolist():
            if picks.missing == len(chosen):
                break
            if self.quotas is None or self.groups is None or self.quotas[self.groups[row]] > 0:
                self.count_in_group(row)
                chosen.append(row)
        self.pool.selectable[chosen] = False
        self._record(picks, np.array(chosen, dtype=np.int64), np.zeros(len(chosen)), {})

    def picks_in_order(self, order: Array) -> Picks:
        """Return the first rows of an order, as many of each group as its quota allows."""
        if self.groups is not None and self.quotas is not None:
            groups = self.groups[order]
            kept = [np.flatnonzero(groups == g)[:q] for g, q in enumerate(self.quotas)]
            order = order[np.sort(np.concatenate(kept))]
        chosen = order[: self.n].tolist()
        return Picks(self.n, chosen, [np.nan] * len(chosen))

    def features(self, index: Index) -> Float64:
        """Return rows of the pool in float64, for strategies that need it in one process."""
        if self.rows is None:
            raise InputError("this strategy needs the pool in one process, not over shards")
        x: Float64 = self.rows[index].astype(np.float64)
        return x

    def selectable_groups(self) -> Iterator[tuple[Index, int]]:
        """Yield the selectable rows and the number of picks of each group, or of the pool."""
        rows = self.selectable
        if self.groups is None or self.quotas is None:
            yield rows, self.n
            return
        for group, quota in enumerate(self.quotas.tolist()):
            if quota:
                yield rows[self.groups[rows] == group], quota

    def _record(self, picks: Picks, index: Index, values: Float64, state: dict[str, float]) -> None:
        picks.indices += index.tolist()
        picks.values += values.tolist()
        picks.duplicates += int((values == 0).sum())
        if self.checkpoint is not None:
            self.checkpoint.update(picks.indices, picks.values, picks.duplicates, state)
        if self.progress is not None:
            self.progress(len(picks.indices), picks.n)

    def _exclude_full_groups(self, index: Index) -> None:
        if self.groups is not None and self.quotas is not None:
            full = np.unique(self.groups[index])
            for group in full[self.quotas[full] == 0]:
                self.pool.exclude(np.flatnonzero(self.groups == group))
