"""Selection of the unlikely: the rows around which the pool is thinnest."""

from __future__ import annotations

import numpy as np

from entroloop.distances.neighbors import nearest
from entroloop.errors import InputError
from entroloop.selection.state import Picks, SelectionState
from entroloop.selection.strategies.clusters import ascending


def low_likelihood(state: SelectionState, *, k: int = 5) -> Picks:
    """Pick the rows of lowest likelihood, under the density that the pool has around each.

    The density of m rows at a row is about k/(m v r^d), r the distance to its k-th nearest other
    row and v r^d the volume within (Loftsgaarden & Quesenberry 1965): the lowest is where r is
    greatest. The pool stands in for the model, whose likelihood a pool of samples does not tell.

    Raises InputError for k < 1.
    """
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise InputError(f"k must be a whole number ≥ 1; got {k!r}")
    rows = state.selectable
    if len(rows) < 2:
        return state.picks_in_order(rows)
    x = state.features(rows)
    found = nearest(x, x, min(k, len(x) - 1), exclude_same_index=True)
    return state.picks_in_order(rows[ascending(-np.asarray(found.distances[:, -1]))])
