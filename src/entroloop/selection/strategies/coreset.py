"""A composable core-set: two rounds whatever is chosen, and a choice that is only nearly greedy's.

Each part of the pool picks greedily among its own rows; the choice is made greedily among those.
Its coverage radius is at most four times the least possible (Malkomes et al. 2015); with more rows
from each part it comes nearer to greedy's two times (Ceccarello et al. 2019). What a run can be
sure of is `Selection.approximation`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from entroloop.errors import InputError
from entroloop.pools.hosts import InProcess
from entroloop.pools.rows import HeldRows
from entroloop.pools.shard import Part
from entroloop.samples import Array, Float64
from entroloop.selection.pool import begin, plan
from entroloop.selection.state import Picks, Task
from entroloop.selection.strategies.greedy import greedy

Index = NDArray[np.int64]


@dataclass(frozen=True)
class _Problem:
    """Rows in one place to pick from greedily, and what was picked already."""

    rows: Array
    open_rows: NDArray[np.bool_]
    weights: Float64 | None
    given: Array
    groups: Index | None
    quotas: Index | None
    metric: str

    def greedy(self, n: int, seed: int) -> Picks:
        held = HeldRows(self.rows)
        begun = begin(
            InProcess(held, [0, len(self.rows)]), held, plan(held, n, self.metric, len(self.given)),
            self.metric, self.open_rows, self.weights, np.empty(0, dtype=np.int64), self.given, n,
            "auto",
        )  # fmt: skip
        width = self.rows.shape[1]
        task = Task(begun.pool, n, seed, width, None, self.groups, self.quotas)
        return greedy(task)


def composable_coreset(task: Task, *, oversample: float = 1.0) -> Picks:
    """Pick n rows, approximately as greedy does: from `oversample` · n picks of each part.

    With groups, of each group by its quota. In one place this is greedy.

    Raises InputError for oversample below 1.
    """
    number = isinstance(oversample, int | float) and not isinstance(oversample, bool)
    if not number or not 1 <= oversample < np.inf:
        raise InputError(f"oversample must be at least 1; got {oversample!r}")
    parts, bounds = task.pool.parts, task.pool.parts.bounds
    if len(parts) == 1:
        return greedy(task)
    metric = "euclidean" if task.pool.space.power == 2 else "manhattan"
    plain = task.groups is None and not task.pool.count and not task.weighted
    extra = int(plain)  # one pick more tells how near to the best the choice is
    quotas = None if task.quotas is None else np.ceil(oversample * task.quotas).astype(np.int64)
    count = int(np.ceil(oversample * (task.n + extra)))
    whole = task.groups
    groups = [None if whole is None else whole[a:b] for a, b in pairwise(bounds)]
    found = parts.ask_each(
        "apply", [(picks_of, metric, count, task.seed, group, quotas) for group in groups]
    )
    index = np.concatenate([f[0] for f in found])
    order = np.argsort(index)
    index, rows, weights = (
        index[order],
        *(np.concatenate([f[i] for f in found])[order] for i in (1, 2)),
    )
    union = _Problem(
        rows, np.ones(len(rows), dtype=bool), weights if task.weighted else None, found[0][3],
        None if whole is None else whole[index],
        None if task.quotas is None else task.quotas.copy(), metric,
    )  # fmt: skip
    made = union.greedy(min(task.n + extra, len(rows)), task.seed)
    places = np.array(made.indices[: task.n])
    picks = Picks(task.n, index[places].tolist(), made.values[: task.n])
    picks.duplicates = picks.values.count(0.0)
    if extra:
        picks.next_value = made.values[task.n] if len(made.values) > task.n else 0.0
    task.pool.add(rows[places], index[places])
    return picks


def picks_of(
    part: Part, metric: str, count: int, seed: int, groups: Index | None, quotas: Index | None
) -> tuple[Index, Array, Float64, Array]:
    """Return a part's greedy picks: index, rows, weights; and the rows that were given."""
    shard = part.shard
    every = np.arange(len(part.rows))
    weights = shard.weights_of(every) ** (1 / shard.space.power)
    open_rows, given = shard.open, shard.picks.copy()
    if groups is not None and quotas is not None:  # no more of a group than are here
        quotas = np.minimum(quotas, np.bincount(groups[open_rows], minlength=len(quotas)))
        open_rows = open_rows & (quotas[groups] > 0)
        count = int(quotas.sum())
    count = min(count, int(open_rows.sum()))
    own = np.empty(0, dtype=np.int64)
    if count:
        problem = _Problem(part.rows, open_rows, weights, given, groups, quotas, metric)
        own = np.array(problem.greedy(count, seed).indices, dtype=np.int64)
    return part.start + own, np.asarray(part.rows[own]), weights[own], given
