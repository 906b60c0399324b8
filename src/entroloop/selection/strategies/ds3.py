"""Selection for specific references: a choice that specializes to given rows."""

from __future__ import annotations

import numpy as np

from entroloop.errors import InputError
from entroloop.samples import Array
from entroloop.selection.state import Picks, SelectionState
from entroloop.selection.strategies.clusters import fitted_kmeans, reference_rows


def ds3(
    state: SelectionState, *, reference: Array | None = None, clusters: int | None = None
) -> Picks:
    """Pick what specializes the choice to `reference` rows (the setting of Hulkund et al. 2025).

    The reference is cut into clusters (√n by default) by k-means; each gets a share of the picks
    by its size, and takes the rows nearest to its centre. A simple member of that family, not
    the authors' code.

    Raises InputError without a reference.
    """
    if reference is None:
        raise InputError("ds3 needs reference=: the rows that the choice is to specialize to")
    rows = state.selectable
    x = state.features(rows)
    goal = reference_rows(reference, x)
    fitted = fitted_kmeans(state, goal, min(clusters or max(1, round(state.n**0.5)), len(goal)))
    distances = fitted.transform(x)
    share = np.bincount(fitted.labels_, minlength=distances.shape[1]) / len(goal)
    queues = np.argsort(distances, axis=0, kind="stable").T
    taken = np.zeros(len(rows), dtype=bool)
    order: list[int] = []
    position, credit = np.zeros(len(queues), dtype=np.int64), np.zeros(len(queues))
    while len(order) < len(rows):
        credit += share
        cluster = int(credit.argmax())  # the one that is owed most
        credit[cluster] -= 1
        while position[cluster] < len(rows) and taken[queues[cluster, position[cluster]]]:
            position[cluster] += 1
        if position[cluster] == len(rows):
            break
        row = int(queues[cluster, position[cluster]])
        taken[row] = True
        order.append(row)
    return state.picks_in_order(rows[np.array(order)])
