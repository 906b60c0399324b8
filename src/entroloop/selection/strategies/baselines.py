"""Baselines of the field: other ways to choose n rows, to compare the main strategies with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entroloop.distances.neighbors import nearest
from entroloop.errors import InputError
from entroloop.samples import Array, Float64
from entroloop.selection.state import Picks, Task
from entroloop.selection.strategies.random import in_order

Index = NDArray[np.int64]


def kmeans(task: Task) -> Picks:
    """Pick the row nearest to each of n k-means centres (representatives; Lin et al. 2023).

    scikit-learn's MiniBatchKMeans by the seed; with groups, in each group with its quota. A row
    that is nearest to several centres counts once; what is missing then is drawn.
    """
    chosen = []
    for rows, n in _groups(task):
        x = _features(task, rows)
        representatives = np.unique(nearest(_clusters(task, x, n).cluster_centers_, x).indices)
        left = np.setdiff1d(np.arange(len(rows)), representatives)
        more = task.rng.permutation(left)[: n - len(representatives)]
        chosen.append(rows[np.concatenate([representatives, more])])
    return in_order(task, np.concatenate(chosen))


def center_matching(task: Task, *, reference: Array | None = None) -> Picks:
    """Pick the rows nearest to the mean of `reference` rows, or of the pool (He et al. 2023)."""
    rows = task.open_rows
    x = _features(task, rows)
    centre = (x if reference is None else _reference(reference, x)).mean(axis=0)
    return in_order(task, rows[_ascending(np.square(x - centre).sum(axis=1))])


def covariance_matching(task: Task, *, reference: Array | None = None) -> Picks:
    """Pick rows one by one such that their moments stay near those of `reference`, or the pool.

    Herding (Welling 2009) of means and variances along the principal axes of the reference: each
    pick brings the sum of (z, z² − 1) over the picks nearest to 0, z the whitened row.
    """
    rows = task.open_rows
    x = _features(task, rows)
    goal = x if reference is None else _reference(reference, x)
    values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(goal.T, ddof=0)))
    kept = values > 1e-9 * max(float(values.max()), 1e-300)
    z = (x - goal.mean(axis=0)) @ (vectors[:, kept] / np.sqrt(values[kept]))
    moments = np.concatenate([z, np.square(z) - 1], axis=1)
    scores, quotas = np.square(moments).sum(axis=1), _quotas(task)
    order: list[int] = []
    while len(order) < task.n:
        best = int(scores.argmin())
        scores[best] = np.inf
        if quotas is not None and task.groups is not None:
            group = task.groups[rows[best]]
            if quotas[group] == 0:
                continue
            quotas[group] -= 1
        order.append(best)
        scores += 2 * (moments @ moments[best])
    return in_order(task, rows[np.array(order)])


def ds3(task: Task, *, reference: Array | None = None, clusters: int | None = None) -> Picks:
    """Pick what specializes the choice to `reference` rows (the setting of Hulkund et al. 2025).

    The reference is cut into clusters (√n by default) by k-means; each gets a share of the picks
    by its size, and takes the rows nearest to its centre. A simple member of that family, not
    the authors' code.

    Raises InputError without a reference.
    """
    if reference is None:
        raise InputError("ds3 needs reference=: the rows that the choice is to specialize to")
    rows = task.open_rows
    x = _features(task, rows)
    goal = _reference(reference, x)
    fitted = _clusters(task, goal, min(clusters or max(1, round(task.n**0.5)), len(goal)))
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
    return in_order(task, rows[np.array(order)])


def semdedup(task: Task, *, clusters: int | None = None) -> Picks:
    """Pick what is left when the rows most like another are dropped (Abbas et al. 2023).

    k-means (√m clusters by default); within a cluster every row is scored by its largest cosine
    similarity to a row nearer to the centre; rows of lowest score are kept.
    """
    rows = task.open_rows
    x = _features(task, rows)
    fitted = _clusters(task, x, min(clusters or max(1, round(len(rows) ** 0.5)), len(rows)))
    unit = x / np.maximum(np.sqrt(np.square(x).sum(axis=1)), 1e-300)[:, None]
    score = np.full(len(rows), -1.0)
    for c in range(len(fitted.cluster_centers_)):
        members = np.flatnonzero(fitted.labels_ == c)
        if len(members) < 2:
            continue
        distance = np.square(x[members] - fitted.cluster_centers_[c]).sum(axis=1)
        members = members[_ascending(distance)]
        likeness = np.tril(unit[members] @ unit[members].T, -1)
        likeness[np.triu_indices(len(members))] = -1.0
        score[members] = likeness.max(axis=1)
    return in_order(task, rows[_ascending(score)])


def latent_space_filter(task: Task, *, real: Array | None = None) -> Picks:
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

    rows = task.open_rows
    mask = np.asarray(real, dtype=bool) if real is not None else np.zeros(0, dtype=bool)
    if mask.shape != (len(task.pool),):
        raise InputError("latent_space_filter needs real=: a mask that tells which rows are real")
    known = mask[rows]
    if min(known.sum(), (~known).sum()) < 5:
        raise InputError("latent_space_filter needs at least 5 real and 5 other rows")
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    confidence = cross_val_predict(
        probe, _features(task, rows), known, cv=5, method="predict_proba"
    )[:, 1]
    return in_order(task, rows[_ascending(-confidence)])


def top_quality(task: Task, *, scores: Array | None = None) -> Picks:
    """Pick the rows of highest given score: the negative control.

    Choosing by quality narrows the data: it speeds collapse up. Raises InputError without scores.
    """
    try:
        given = np.asarray(scores if scores is not None else [], dtype=np.float64)
    except (TypeError, ValueError):
        given = np.empty(0)
    if given.shape != (len(task.pool),) or not np.isfinite(given).all():
        raise InputError("top_quality needs scores=: one finite number a row of the pool")
    rows = task.open_rows
    return in_order(task, rows[_ascending(-given[rows])])


def _features(task: Task, rows: Index) -> Float64:
    assert task.rows is not None  # `select` refuses a pool in several places
    x: Float64 = task.rows[rows].astype(np.float64)
    return x


def _reference(reference: Array, x: Float64) -> Float64:
    try:
        goal: Float64 = np.asarray(reference, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"reference must hold rows of {x.shape[1]} numbers") from None
    if goal.ndim != 2 or goal.shape[1] != x.shape[1] or len(goal) < 2:
        raise InputError(
            f"reference must hold at least 2 rows of {x.shape[1]} values; got {goal.shape}"
        )
    return goal


def _ascending(values: Float64) -> Index:
    return np.argsort(values, kind="stable")


def _clusters(task: Task, x: Float64, k: int) -> Any:
    from sklearn.cluster import MiniBatchKMeans

    seed = int(task.rng.integers(2**31))
    size = max(4096, min(len(x), 3 * k))
    return MiniBatchKMeans(k, random_state=seed, n_init=1, batch_size=size).fit(x)


def _quotas(task: Task) -> Index | None:
    return None if task.quotas is None else task.quotas.copy()


def _groups(task: Task) -> Iterator[tuple[Index, int]]:
    """Yield the open rows and the number of picks of each group, or of the whole pool."""
    rows = task.open_rows
    if task.groups is None or task.quotas is None:
        yield rows, task.n
        return
    for group, quota in enumerate(task.quotas.tolist()):
        if quota:
            yield rows[task.groups[rows] == group], quota
