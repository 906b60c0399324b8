"""The latent space filter: rows that a probe takes for real."""

from __future__ import annotations

import numpy as np

from entroloop.errors import InputError
from entroloop.samples import Array
from entroloop.selection.state import Picks, SelectionState
from entroloop.selection.strategies.clusters import ascending


def latent_space_filter(state: SelectionState, *, real: Array | None = None) -> Picks:
    """Pick the rows that a probe takes for real with most confidence (after arXiv 2511.12742).

    real: mask of the pool's rows that are known to be real. A logistic regression on standardized
    features is fitted to tell them from the others by five-fold cross-prediction, so that no row
    is judged by a probe that has seen it. Written from the paper's description.

    Raises InputError without `real`, or where fewer than 5 rows are of one kind.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows = state.selectable
    mask = np.asarray(real, dtype=bool) if real is not None else np.zeros(0, dtype=bool)
    if mask.shape != (len(state.pool),):
        raise InputError("latent_space_filter needs real=: a mask that tells which rows are real")
    known = mask[rows]
    if min(known.sum(), (~known).sum()) < 5:
        raise InputError("latent_space_filter needs at least 5 real and 5 other rows")
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    confidence = cross_val_predict(
        probe, state.features(rows), known, cv=5, method="predict_proba"
    )[:, 1]
    return state.picks_in_order(rows[ascending(-confidence)])
