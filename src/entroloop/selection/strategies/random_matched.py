"""Random selection with another strategy's share of real rows: a control for that share."""

from __future__ import annotations

import numpy as np

from entroloop.errors import InputError
from entroloop.samples import Array
from entroloop.selection.state import Picks, SelectionState
from entroloop.selection.strategies.subpool import Subpool


def random_matched(state: SelectionState, *, real: Array | None = None) -> Picks:
    """Pick uniformly at random as many real rows as greedy would, and as many others.

    real: mask of the pool's rows that are known to be real. Greedy picks of the same rows by the
    same seed give the number of real ones; which rows are picked is drawn. What greedy gains beyond
    this it does not gain by keeping more real rows.

    Raises InputError without `real`.
    """
    mask = np.asarray(real, dtype=bool) if real is not None else np.zeros(0, dtype=bool)
    if mask.shape != (len(state.pool),):
        raise InputError("random_matched needs real=: a mask that tells which rows are real")
    rows = state.selectable
    subpool = Subpool(
        rows=state.features(rows),
        selectable=np.ones(len(rows), dtype=bool),
        weights=None,
        initial=state.pool.initial,
        groups=None if state.groups is None else state.groups[rows],
        quotas=None if state.quotas is None else state.quotas.copy(),
        metric=state.pool.distance.transformed,
    )
    greedy_rows = rows[np.array(subpool.greedy(state.n, state.seed).indices, dtype=np.int64)]
    order = state.rng.permutation(rows)
    wanted = int(mask[greedy_rows].sum())
    is_real = mask[order]
    if state.groups is None:
        chosen = np.concatenate([order[is_real][:wanted], order[~is_real][: state.n - wanted]])
        return state.picks_in_order(chosen)
    # In each group as many real rows as greedy takes there; quotas hold since greedy kept them.
    kept = []
    for group in np.unique(state.groups[greedy_rows]):
        own = greedy_rows[state.groups[greedy_rows] == group]
        here = order[state.groups[order] == group]
        count = int(mask[own].sum())
        kept += [here[mask[here]][:count], here[~mask[here]][: len(own) - count]]
    return state.picks_in_order(np.concatenate(kept))
