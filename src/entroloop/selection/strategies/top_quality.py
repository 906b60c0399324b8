"""Selection by quality alone: the negative control."""

from __future__ import annotations

import numpy as np

from entroloop.errors import InputError
from entroloop.samples import Array
from entroloop.selection.state import Picks, SelectionState
from entroloop.selection.strategies.clusters import ascending


def top_quality(state: SelectionState, *, scores: Array | None = None) -> Picks:
    """Pick the rows of highest given score: the negative control.

    Choosing by quality narrows the data: it speeds collapse up. Raises InputError without scores.
    """
    try:
        given = np.asarray(scores if scores is not None else [], dtype=np.float64)
    except (TypeError, ValueError):
        given = np.empty(0)
    if given.shape != (len(state.pool),) or not np.isfinite(given).all():
        raise InputError("top_quality needs scores=: one finite number a row of the pool")
    rows = state.selectable
    return state.picks_in_order(rows[ascending(-given[rows])])
