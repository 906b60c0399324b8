"""A selection under way: what it may pick, how many, and what it has picked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from entroloop.pools.shard import Candidates, Visited
from entroloop.samples import Array, Float64
from entroloop.selection.block import Block
from entroloop.selection.checkpoint import Journal
from entroloop.selection.rounds import Rounds

Progress = Callable[[int, int], None]  # called with the picks made and the picks wanted


@dataclass
class Picks:
    """Picks in order with their values (see `Space`); NaN where a strategy knows no radius."""

    n: int
    indices: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    next_value: float | None = None  # what one pick more would have had, where that is known
    duplicates: int = 0

    @property
    def missing(self) -> int:
        """How many picks are still to be made."""
        return self.n - len(self.indices)


@dataclass
class Task:
    """What a strategy works on.

    pool: asked in rounds, with rows that may not be picked closed and initial rows added as picks.
    rows: all features (m, d), for strategies that need the pool in one place; None elsewhere.
    groups: (m,) int64 or None; quotas: how many picks each group still takes. journal: what was
    picked before a stop, and where what is picked now is written.
    """

    pool: Rounds
    n: int
    seed: int
    width: int
    rows: Array | None = None
    groups: NDArray[np.int64] | None = None
    quotas: NDArray[np.int64] | None = None
    weighted: bool = False
    progress: Progress | None = None
    journal: Journal | None = None

    @property
    def rng(self) -> np.random.Generator:
        """A generator by the seed."""
        return np.random.default_rng(self.seed)

    @property
    def open_rows(self) -> NDArray[np.int64]:
        """The rows that can be picked."""
        return np.flatnonzero(self.pool.open)

    def begin(self) -> Picks:
        """Return the picks made before a stop, told to the pool again, or none."""
        picks = Picks(self.n)
        if self.journal is not None and self.journal.indices:
            picks.indices, picks.values = self.journal.indices, self.journal.values
            picks.duplicates = self.journal.duplicates
            index = np.array(picks.indices, dtype=np.int64)
            self.pool.add(self.pool.parts.take(index), index)
            for row in picks.indices:
                self.count_group(row)
            self._close_full_groups(index)
        return picks

    def block(self, found: Candidates | Visited) -> Block:
        """Return a block of rows that can come next."""
        return Block(found.index, found.rows, found.values, found.weights, self.pool.space)

    def count_group(self, row: int) -> int | None:
        """Count a pick to its group; return the group if it is full now."""
        if self.groups is None or self.quotas is None:
            return None
        group = int(self.groups[row])
        self.quotas[group] -= 1
        return group if self.quotas[group] == 0 else None

    def accept(self, picks: Picks, block: Block, **state: float) -> None:
        """Make a block's picks picks of the pool; full groups are closed.

        state: what a strategy needs to go on from here, beside its picks.
        """
        index = block.index[block.picks]
        self._note(picks, index, block.radii(), state)
        self.pool.add(block.rows[block.picks], index)
        self._close_full_groups(index)

    def fill_with_duplicates(self, picks: Picks, index: Array) -> None:
        """Take rows at distance 0 in the order given, as many as are missing and quotas allow."""
        chosen: list[int] = []
        for row in index.tolist():
            if picks.missing == len(chosen):
                break
            if self.quotas is None or self.groups is None or self.quotas[self.groups[row]] > 0:
                self.count_group(row)
                chosen.append(row)
        self.pool.open[chosen] = False
        self._note(picks, np.array(chosen, dtype=np.int64), np.zeros(len(chosen)), {})

    def _note(
        self, picks: Picks, index: NDArray[np.int64], values: Float64, state: dict[str, float]
    ) -> None:
        picks.indices += index.tolist()
        picks.values += values.tolist()
        picks.duplicates += int((values == 0).sum())
        if self.journal is not None:
            self.journal.commit(picks.indices, picks.values, picks.duplicates, state)
        if self.progress is not None:
            self.progress(len(picks.indices), picks.n)

    def _close_full_groups(self, index: NDArray[np.int64]) -> None:
        if self.groups is not None and self.quotas is not None:
            full = np.unique(self.groups[index])
            for group in full[self.quotas[full] == 0]:
                self.pool.close(np.flatnonzero(self.groups == group))
