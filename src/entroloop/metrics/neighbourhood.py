"""Nearest-row distances between sets, and the memorization and authenticity based on them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from entroloop.distances.neighbors import nearest
from entroloop.errors import InputError
from entroloop.metrics.sets import Sets
from entroloop.metrics.sharded import nearest_distances
from entroloop.pools.hosts import PoolEngine
from entroloop.samples import Array, Float64


def generalization_score(
    *, generated: Array, train: Array, engine: PoolEngine | None = None
) -> float:
    """Return the mean distance from a generated row to its nearest training row.

    GS = mean over x in generated of min over z in train of ‖x − z‖ (Shi et al. 2025). A low
    score means memorization; a high one is no merit in itself: compare with the score of held-out
    real rows. engine: distributes the rows over shards (`RayEngine`); the value is the same.

    >>> generalization_score(generated=np.ones((2, 3)), train=np.ones((5, 3)))
    0.0
    """
    if engine is not None:
        names = ("generated", "train")
        return float(nearest_distances(generated, train, engine, names).mean())
    return float(
        nearest_distances_of(Sets(generated=generated, train=train), "generated", "train").mean()
    )


def generalization_ratio(*, generated: Array, train: Array) -> float:
    """Return the generalization score over the training set's own mean leave-one-out distance.

    mean_i d(g_i, T) / mean_j d(t_j, T without t_j), copies in T merged. Scaling all rows changes
    nothing: if the score falls only because the data shrink, the ratio stays; if generated rows
    move onto training rows, it falls. A perfect generator has about the ratio of
    held-out rows. NaN where fewer than two training rows are distinct.
    """
    return generalization_ratio_of(Sets(generated=generated, train=train))


def generalization_ratio_of(sets: Sets, to: str = "train") -> float:
    """See `generalization_ratio`; to: the role whose rows may have been memorized."""
    return float(nearest_distances_of(sets, "generated", to).mean()) / leave_one_out_of(sets, to)


def leave_one_out_of(sets: Sets, role: str) -> float:
    """Return the mean distance of a role's distinct rows to their nearest other, NaN for one."""
    try:
        return float(sets.own(role).neighbors.distances[:, 0].mean())
    except InputError:
        return float("nan")


def coverage_distance(*, generated: Array, reference: Array) -> float:
    """Return the mean distance from a reference row to its nearest generated row.

    A low value means that every part of the real data has generated rows near it.
    """
    sets = Sets(generated=generated, reference=reference)
    return float(nearest_distances_of(sets, "reference", "generated").mean())


def nearest_distances_of(sets: Sets, of: str, to: str) -> Float64:
    """Return the distance from each row of one role to the nearest row of another, float64 (n,)."""
    return sets.nearest(of, to).distances[:, 0]


def memorized_rows(*, generated: Array, train: Array, ratio: float = 1 / 3) -> NDArray[np.bool_]:
    """Return which generated rows are memorized, bool (n,).

    A row is memorized if d₁ < ratio · d₂, with d₁ and d₂ its distances to the two nearest
    training rows (Yoon et al. 2023). Exact copies in the training set are merged first, and
    d₁ = 0 always counts as memorized.
    """
    return memorized_rows_of(Sets(generated=generated, train=train), ratio)


def memorized_rows_of(
    sets: Sets, ratio: float = 1 / 3, of: str = "train_whole", who: str = "generated"
) -> NDArray[np.bool_]:
    """See `memorized_rows`; of: the role whose rows may have been memorized, who: by which."""
    if not 0 < ratio <= 1:
        raise InputError(f"ratio must lie in (0, 1]; got {ratio}")
    d = sets.nearest(who, of).distances
    found: NDArray[np.bool_] = d[:, 0] == 0
    if d.shape[1] > 1:
        found |= d[:, 0] < ratio * d[:, 1]
    return found


def memorized_fraction(*, generated: Array, train: Array, ratio: float = 1 / 3) -> float:
    """Return the share of generated rows that are memorized (see `memorized_rows`).

    >>> memorized_fraction(generated=np.zeros((2, 1)), train=np.array([[0.0], [9.0]]))
    1.0
    """
    return float(memorized_rows(generated=generated, train=train, ratio=ratio).mean())


def auth_pct(*, generated: Array, train: Array) -> float:
    """Return the percentage of generated rows that are authentic, 0 … 100 (see `auth_rows`).

    >>> auth_pct(generated=np.array([[0.1], [5.0]]), train=np.array([[0.0], [1.0]]))
    50.0
    """
    return 100 * float(auth_rows(generated=generated, train=train).mean())


def auth_rows(*, generated: Array, train: Array) -> NDArray[np.bool_]:
    """Return which generated rows are authentic, bool (n,).

    A row is authentic if it is farther from its nearest training row than that row is from its
    own nearest neighbour in the training set (Alaa et al. 2022). Few authentic rows mean copying.
    """
    return auth_rows_of(Sets(generated=generated, train=train))


def auth_rows_of(sets: Sets) -> NDArray[np.bool_]:
    """See `auth_rows`; a training row with an exact copy has its neighbour at distance 0."""
    train = sets["train_whole"]
    if len(train) < 2:
        raise InputError("AuthPct needs at least 2 training rows")
    found = sets.nearest("generated", "train_whole")
    near, at = np.unique(found.indices[:, 0], return_inverse=True)
    # Each row has two neighbours: itself, and the nearest other row (at 0 for a copy).
    own = nearest(train[near], train, 2, device=sets.device).distances[:, 1]
    result: NDArray[np.bool_] = found.distances[:, 0] > own[at]
    return result
