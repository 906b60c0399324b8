"""Selection by a small, biased reference: a negative control."""

from __future__ import annotations

import numpy as np

from entroloop.distances.neighbors import nearest
from entroloop.errors import InputError
from entroloop.samples import Array
from entroloop.selection.state import Picks, SelectionState
from entroloop.selection.strategies.clusters import ascending, reference_rows
from entroloop.selection.strategies.verifier import known_rows


def silo(state: SelectionState, *, reference: Array | None = None, known: int = 32) -> Picks:
    """Pick the rows nearest to a small and biased part of the reference: a negative control.

    The part is the `known` rows of the reference nearest to its first row, that row among them: one
    corner of the data. What lies elsewhere is lost (the setting of arXiv 2606.13732, which finds
    that such selection speeds collapse up; this rule is ours).

    Raises InputError without a reference, or for fewer than 2 known rows.
    """
    if reference is None:
        raise InputError("silo needs reference=: real rows, a corner of which it goes by")
    rows = state.selectable
    x = state.features(rows)
    goal = reference_rows(reference, x)
    corner = goal[ascending(np.square(goal - goal[0]).sum(axis=1))[: known_rows(known)]]
    return state.picks_in_order(rows[ascending(nearest(x, corner).distances[:, 0])])
