"""SemDeDup: what is left when the rows most like another are dropped."""

from __future__ import annotations

import numpy as np

from entroloop.distances.transforms import unit_rows
from entroloop.selection.state import Picks, SelectionState
from entroloop.selection.strategies.clusters import ascending, fitted_kmeans


def semdedup(state: SelectionState, *, clusters: int | None = None) -> Picks:
    """Pick what is left when the rows most like another are dropped (Abbas et al. 2023).

    k-means (√m clusters by default); within a cluster every row is scored by its largest cosine
    similarity to a row nearer to the centre; rows of lowest score are kept.
    """
    rows = state.selectable
    x = state.features(rows)
    fitted = fitted_kmeans(state, x, min(clusters or max(1, round(len(rows) ** 0.5)), len(rows)))
    unit = unit_rows(x, refused="")
    score = np.full(len(rows), -1.0)
    for c in range(len(fitted.cluster_centers_)):
        members = np.flatnonzero(fitted.labels_ == c)
        if len(members) < 2:
            continue
        distance = np.square(x[members] - fitted.cluster_centers_[c]).sum(axis=1)
        members = members[ascending(distance)]
        likeness = np.tril(unit[members] @ unit[members].T, -1)
        likeness[np.triu_indices(len(members))] = -1.0
        score[members] = likeness.max(axis=1)
    return state.picks_in_order(rows[ascending(score)])
