"""k-means: representatives of clusters, a baseline that keeps what is typical."""

from __future__ import annotations

import numpy as np

from entroloop.distances.neighbors import nearest
from entroloop.selection.state import Picks, SelectionState
from entroloop.selection.strategies.clusters import fitted_kmeans


def kmeans(state: SelectionState) -> Picks:
    """Pick the row nearest to each of n k-means centres (representatives; Lin et al. 2023).

    scikit-learn's MiniBatchKMeans by the seed; with groups, in each group with its quota. A row
    that is nearest to several centres counts once; what is missing then is drawn.
    """
    chosen = []
    for rows, n in state.selectable_groups():
        x = state.features(rows)
        representatives = np.unique(nearest(fitted_kmeans(state, x, n).cluster_centers_, x).indices)
        left = np.setdiff1d(np.arange(len(rows)), representatives)
        more = state.rng.permutation(left)[: n - len(representatives)]
        chosen.append(rows[np.concatenate([representatives, more])])
    return state.picks_in_order(np.concatenate(chosen))
