"""A strategy: the rows farthest from the mean of the pool, farthest first."""

import numpy as np

from entroloop.selection.strategies import Strategy


def outermost(state, *, power: float = 2.0):
    """Pick by Σ |x − mean|^power."""
    distances = (np.abs(state.rows - state.rows.mean(axis=0)) ** power).sum(axis=1)
    chosen = state.selectable
    return state.picks_in_order(chosen[np.argsort(-distances[chosen], kind="stable")])


OUTERMOST = Strategy(pick=outermost)
