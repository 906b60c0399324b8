"""Measures of where generated rows lie: near training rows, or near held-out real ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from entroloop.errors import InputError
from entroloop.neighbors import distinct_rows, nearest
from entroloop.samples import Array, Float64, as_vectors, check_rows


def _pair(a: Array, a_name: str, b: Array, b_name: str) -> tuple[Array, Array]:
    a, b = as_vectors(np.asarray(a)), as_vectors(np.asarray(b))
    check_rows(a, a_name)
    check_rows(b, b_name)
    if a.shape[1] != b.shape[1]:
        raise InputError(
            f"{a_name} has {a.shape[1]} values a row and {b_name} {b.shape[1]}; "
            "take both from one feature space"
        )
    return a, b


def generalization_score(*, generated: Array, train: Array) -> float:
    """Return the mean distance of generated rows to their nearest training row.

    GS = mean over x in generated of min over z in train of ‖x − z‖ (Shi et al. 2025). Low means
    memorization; high is no merit by itself: compare with the score of held-out real rows.

    >>> generalization_score(generated=np.ones((2, 3)), train=np.ones((5, 3)))
    0.0
    """
    g, t = _pair(generated, "generated", train, "train")
    return float(nearest(g, t).distances.mean())


def coverage_distance(*, generated: Array, reference: Array) -> float:
    """Return the mean distance of a reference row to its nearest generated row.

    Low means that every part of the real data has generated rows near it.
    """
    g, r = _pair(generated, "generated", reference, "reference")
    return float(nearest(r, g).distances.mean())


def memorized_rows(*, generated: Array, train: Array, ratio: float = 1 / 3) -> NDArray[np.bool_]:
    """Return which generated rows are memorized, bool (n,).

    A row is memorized if d₁ < ratio · d₂, with d₁ and d₂ its distances to the two nearest
    training rows (Yoon et al. 2023); exact copies in the training set are merged first, and
    d₁ = 0 always counts.
    """
    if not 0 < ratio <= 1:
        raise InputError(f"ratio must lie in (0, 1]; got {ratio}")
    g, t = _pair(generated, "generated", train, "train")
    distinct = t[distinct_rows(t)[0]]
    d = nearest(g, distinct, min(2, len(distinct))).distances
    memorized: NDArray[np.bool_] = d[:, 0] == 0
    if len(distinct) > 1:
        memorized |= d[:, 0] < ratio * d[:, 1]
    return memorized


def memorized_fraction(*, generated: Array, train: Array, ratio: float = 1 / 3) -> float:
    """Return the share of generated rows that are memorized (see `memorized_rows`).

    >>> memorized_fraction(generated=np.zeros((2, 1)), train=np.array([[0.0], [9.0]]))
    1.0
    """
    return float(memorized_rows(generated=generated, train=train, ratio=ratio).mean())


def nearest_distances(rows: Array, to: Array) -> Float64:
    """Return the distance of each row to its nearest row of `to`, float64 (n,)."""
    a, b = _pair(rows, "rows", to, "to")
    return nearest(a, b).distances[:, 0]


def auth_pct(*, generated: Array, train: Array) -> float:
    """Return the percentage of generated rows that are authentic, 0 … 100 (`authentic_rows`).

    >>> auth_pct(generated=np.array([[0.1], [5.0]]), train=np.array([[0.0], [1.0]]))
    50.0
    """
    return 100 * float(authentic_rows(generated=generated, train=train).mean())


def authentic_rows(*, generated: Array, train: Array) -> NDArray[np.bool_]:
    """Return which generated rows are authentic, bool (n,).

    A row is authentic if it is farther from its nearest training row than that row is from its
    own nearest neighbour in the training set (Alaa et al. 2022). Few authentic rows mean copying.
    """
    g, t = _pair(generated, "generated", train, "train")
    if len(t) < 2:
        raise InputError("AuthPct needs at least 2 training rows")
    own = nearest(t, t, exclude_same_index=True).distances[:, 0]
    found = nearest(g, t)
    authentic: NDArray[np.bool_] = found.distances[:, 0] > own[found.indices[:, 0]]
    return authentic
