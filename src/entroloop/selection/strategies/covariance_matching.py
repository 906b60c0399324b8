"""Covariance matching: rows whose moments stay near those of a reference."""

from __future__ import annotations

import numpy as np

from entroloop.samples import Array
from entroloop.selection.state import Picks, SelectionState
from entroloop.selection.strategies.clusters import reference_rows


def covariance_matching(state: SelectionState, *, reference: Array | None = None) -> Picks:
    """Pick rows one by one such that their moments stay near those of `reference`, or the pool.

    Herding (Welling 2009) of means and variances along the principal axes of the reference: each
    pick brings the sum of (z, z² − 1) over the picks nearest to 0, z the whitened row.
    """
    rows = state.selectable
    x = state.features(rows)
    goal = x if reference is None else reference_rows(reference, x)
    values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(goal.T, ddof=0)))
    kept = values > 1e-9 * max(float(values.max()), 1e-300)
    z = (x - goal.mean(axis=0)) @ (vectors[:, kept] / np.sqrt(values[kept]))
    moments = np.concatenate([z, np.square(z) - 1], axis=1)
    scores = np.square(moments).sum(axis=1)
    quotas = None if state.quotas is None else state.quotas.copy()
    order: list[int] = []
    while len(order) < state.n:
        best = int(scores.argmin())
        scores[best] = np.inf
        if quotas is not None and state.groups is not None:
            group = state.groups[rows[best]]
            if quotas[group] == 0:
                continue
            quotas[group] -= 1
        order.append(best)
        scores += 2 * (moments @ moments[best])
    return state.picks_in_order(rows[np.array(order)])
