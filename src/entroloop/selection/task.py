"""A selection under way: what it may pick, how many, and what it has picked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from entroloop.samples import Array, Float64
from entroloop.selection.block import Block
from entroloop.shards import Shard

Progress = Callable[[int, int], None]  # called with the picks made and the picks wanted


@dataclass
class Picks:
    """Picks in order with their values (see `Space`); NaN where a strategy knows no radius."""

    n: int
    indices: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    duplicates: int = 0

    @property
    def missing(self) -> int:
        """How many picks are still to be made."""
        return self.n - len(self.indices)


@dataclass
class Task:
    """What a strategy works on.

    shard: the pool, with rows that may not be picked closed and initial rows added as picks.
    groups: (m,) int64 or None; quotas: how many picks each group still takes. The features of all
    rows are `shard.rows`.
    """

    shard: Shard
    n: int
    seed: int
    groups: NDArray[np.int64] | None = None
    quotas: NDArray[np.int64] | None = None
    progress: Progress | None = None

    @property
    def rng(self) -> np.random.Generator:
        """A generator by the seed."""
        return np.random.default_rng(self.seed)

    @property
    def open_rows(self) -> NDArray[np.int64]:
        """The rows that can be picked."""
        return np.flatnonzero(self.shard.open)

    def block(self, index: NDArray[np.int64]) -> Block:
        """Return a block of rows that are up to date."""
        shard = self.shard
        weights = shard.weighted(np.ones(len(index)), index)
        return Block(index, shard.rows[index], shard.exact(index), weights, shard.space)

    def count_group(self, row: int) -> int | None:
        """Count a pick to its group; return the group if it is full now."""
        if self.groups is None or self.quotas is None:
            return None
        group = int(self.groups[row])
        self.quotas[group] -= 1
        return group if self.quotas[group] == 0 else None

    def accept(self, picks: Picks, index: NDArray[np.int64], values: Float64) -> None:
        """Make rows picks: they are added to the shard and closed, full groups with them."""
        picks.indices += index.tolist()
        picks.values += values.tolist()
        self.shard.add(self.shard.rows[index])
        self.shard.close(index)
        if self.groups is not None and self.quotas is not None:
            full = np.unique(self.groups[index])
            for group in full[self.quotas[full] == 0]:
                self.shard.close(np.flatnonzero(self.groups == group))
        if self.progress is not None:
            self.progress(len(picks.indices), picks.n)

    def fill_with_duplicates(self, picks: Picks, index: Array) -> None:
        """Take rows at distance 0 in the order given, as many as are missing and quotas allow."""
        chosen: list[int] = []
        for row in index.tolist():
            if picks.missing == len(chosen):
                break
            if self.quotas is None or self.groups is None or self.quotas[self.groups[row]] > 0:
                self.count_group(row)
                chosen.append(row)
        picks.duplicates += len(chosen)
        self.accept(picks, np.array(chosen, dtype=np.int64), np.zeros(len(chosen)))
