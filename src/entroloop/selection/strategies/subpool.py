"""Greedy picks within some of a pool's rows, for strategies that are built on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from entroloop.pools.hosts import InProcess
from entroloop.pools.rows import ArrayRows
from entroloop.samples import Array, Float64
from entroloop.selection.budget import budget_for
from entroloop.selection.pool import open_pool
from entroloop.selection.state import Picks, SelectionState
from entroloop.selection.strategies.greedy import greedy

Index = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Subpool:
    """Rows in this process to pick from greedily, and rows that were picked already (`initial`)."""

    rows: Array
    selectable: NDArray[np.bool_]
    weights: Float64 | None
    initial: Array
    groups: Index | None
    quotas: Index | None
    metric: str

    def greedy(self, n: int, seed: int) -> Picks:
        """Return n greedy picks, the first drawn by the seed unless there are initial rows."""
        rows = ArrayRows(self.rows)
        pool = open_pool(
            InProcess(rows, [0, len(self.rows)]),
            rows,
            budget_for(rows, n, self.metric, initial=len(self.initial)),
            metric=self.metric,
            selectable=self.selectable,
            weights=self.weights,
            initial=np.empty(0, dtype=np.int64),
            outside=self.initial,
            n=n,
            device="auto",
        )
        state = SelectionState(
            pool=pool,
            n=n,
            seed=seed,
            width=self.rows.shape[1],
            groups=self.groups,
            quotas=self.quotas,
        )
        return greedy(state)
