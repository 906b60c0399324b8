"""What the strategies that go by centres share: k-means, reference rows, and stable orders."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from entroloop.errors import InputError
from entroloop.samples import Array, Float64
from entroloop.selection.state import SelectionState


def fitted_kmeans(state: SelectionState, x: Float64, k: int) -> Any:
    """Return scikit-learn's MiniBatchKMeans of k clusters, fitted to rows x by the seed."""
    from sklearn.cluster import MiniBatchKMeans

    seed = int(state.rng.integers(2**31))
    size = max(4096, min(len(x), 3 * k))
    return MiniBatchKMeans(k, random_state=seed, n_init=1, batch_size=size).fit(x)


def reference_rows(reference: Array, x: Float64) -> Float64:
    """Return reference rows in float64; raises InputError where they do not fit rows x (n, d)."""
    try:
        goal: Float64 = np.asarray(reference, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"reference must hold rows of {x.shape[1]} numbers") from None
    if goal.ndim != 2 or goal.shape[1] != x.shape[1] or len(goal) < 2:
        raise InputError(
            f"reference must hold at least 2 rows of {x.shape[1]} values; got {goal.shape}"
        )
    return goal


def ascending(values: Float64) -> NDArray[np.int64]:
    """Return the order of values, equal ones by their index."""
    return np.argsort(values, kind="stable")
