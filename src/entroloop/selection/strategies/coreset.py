"""A composable core-set: two rounds whatever is chosen, and a choice that is only nearly greedy's.

Each shard of the pool picks greedily among its own rows; the choice is made greedily among those.
Its coverage radius is at most four times the least possible (Malkomes et al. 2015); with more rows
from each shard it comes nearer to greedy's two times (Ceccarello et al. 2019). What a run can be
sure of is `Selection.approximation`.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from entroloop.errors import InputError
from entroloop.pools.shard import Shard
from entroloop.samples import Array, Float64
from entroloop.selection.state import Picks, SelectionState
from entroloop.selection.strategies.greedy import greedy
from entroloop.selection.strategies.subpool import Subpool

Index = NDArray[np.int64]


def composable_coreset(state: SelectionState, *, oversample: float = 1.0) -> Picks:
    """Pick n rows, approximately as greedy does: from `oversample` · n picks of each shard.

    With groups, of each group by its quota. In one shard this is greedy.

    Raises InputError for oversample below 1.
    """
    number = isinstance(oversample, int | float) and not isinstance(oversample, bool)
    if not number or not 1 <= oversample < np.inf:
        raise InputError(f"oversample must be at least 1; got {oversample!r}")
    sharded = state.pool.sharded
    if len(sharded) == 1:
        return greedy(state)
    metric = state.pool.distance.transformed
    plain = state.groups is None and not state.pool.count and not state.weighted
    extra = int(plain)  # one pick more tells how near to the best the choice is
    quotas = None if state.quotas is None else np.ceil(oversample * state.quotas).astype(np.int64)
    count = int(np.ceil(oversample * (state.n + extra)))
    groups = state.groups
    own = [None if groups is None else groups[a:b] for a, b in pairwise(sharded.bounds)]
    found = sharded.ask_each(
        Shard.apply, [(picks_of, metric, count, state.seed, of_shard, quotas) for of_shard in own]
    )
    index, rows, weights = (np.concatenate([f[i] for f in found]) for i in range(3))
    order = np.argsort(index)
    index, rows, weights = index[order], rows[order], weights[order]
    union = Subpool(
        rows=rows,
        selectable=np.ones(len(rows), dtype=bool),
        weights=weights if state.weighted else None,
        initial=found[0][3],
        groups=None if groups is None else groups[index],
        quotas=None if state.quotas is None else state.quotas.copy(),
        metric=metric,
    )
    made = union.greedy(min(state.n + extra, len(rows)), state.seed)
    chosen = np.array(made.indices[: state.n])
    picks = Picks(state.n, index[chosen].tolist(), made.values[: state.n])
    picks.duplicates = picks.values.count(0.0)
    if extra:
        picks.next_value = made.values[state.n] if len(made.values) > state.n else 0.0
    state.pool.add(rows[chosen], index[chosen])
    return picks


def picks_of(
    shard: Shard, metric: str, count: int, seed: int, groups: Index | None, quotas: Index | None
) -> tuple[Index, Array, Float64, Array]:
    """Return a shard's greedy picks (index, rows, weights), and the rows that were given."""
    bounds = shard.bounds
    weights: Float64 = bounds.space.distance_of(bounds.weights_of(np.arange(len(shard.rows))))
    selectable, initial = bounds.selectable, bounds.picks.copy()
    if groups is not None and quotas is not None:  # no more of a group than are here
        quotas = np.minimum(quotas, np.bincount(groups[selectable], minlength=len(quotas)))
        selectable = selectable & (quotas[groups] > 0)
        count = int(quotas.sum())
    count = min(count, int(selectable.sum()))
    own = np.empty(0, dtype=np.int64)
    if count:
        subpool = Subpool(
            rows=shard.rows,
            selectable=selectable,
            weights=weights,
            initial=initial,
            groups=groups,
            quotas=quotas,
            metric=metric,
        )
        own = np.array(subpool.greedy(count, seed).indices, dtype=np.int64)
    return shard.start + own, np.asarray(shard.rows[own]), weights[own], initial
